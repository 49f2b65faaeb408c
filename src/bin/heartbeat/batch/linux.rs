//! `recvmmsg` and `sendmmsg`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::fs::MetadataExt;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo, RcvBufForce, SndBufForce};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage,
    recvmmsg, sendmmsg, setsockopt,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{BATCH, BUFFER, Queue, ROOM, Sent};

/// Before the socket is bound, so that every datagram tells where it was sent to.
pub(super) fn prepare(socket: &impl AsFd, address: SocketAddr) -> io::Result<()> {
    // Beyond the system's limit, if this process may.
    let _ = setsockopt(socket, RcvBufForce, &BUFFER);
    let _ = setsockopt(socket, SndBufForce, &BUFFER);
    match address {
        SocketAddr::V4(_) => setsockopt(socket, Ipv4PacketInfo, &true)?,
        SocketAddr::V6(_) => setsockopt(socket, Ipv6RecvPacketInfo, &true)?,
    }
    Ok(())
}

/// The half that receives.
#[derive(Debug)]
pub(crate) struct Receiver {
    socket: UdpSocket,
    headers: MultiHeaders<SockaddrStorage>,
    space: Box<[[u8; ROOM]; BATCH]>,
}

impl Receiver {
    pub(super) fn new(socket: UdpSocket) -> Self {
        let headers = MultiHeaders::preallocate(BATCH, Some(cmsg_space!(in6_pktinfo)));
        Self { socket, headers, space: Box::new([[0; ROOM]; BATCH]) }
    }

    /// Hands on what has come, at most a batch: whence, where to, the bytes (cut off after more
    /// than a frame can have). If nothing has, waits for `timeout` or a signal. Returns how many.
    pub(crate) fn receive(
        &mut self,
        timeout: Duration,
        mut each: impl FnMut(SocketAddr, Option<IpAddr>, &[u8]),
    ) -> io::Result<usize> {
        let count = self.take(&mut each)?;
        if count > 0 || timeout.is_zero() {
            return Ok(count);
        }
        // Longer than half a millennium is for ever.
        let timeout = Timespec::try_from(timeout).ok();
        let mut ready = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut ready, timeout.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(0),
            Ok(_) => self.take(&mut each),
            Err(error) => Err(error.into()),
        }
    }

    fn take(
        &mut self,
        each: &mut impl FnMut(SocketAddr, Option<IpAddr>, &[u8]),
    ) -> io::Result<usize> {
        let mut slices = self.space.each_mut().map(|space| [IoSliceMut::new(space)]);
        let socket = self.socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT;
        match recvmmsg(socket, &mut self.headers, &mut slices, flags, None) {
            Ok(messages) => {
                let mut count = 0;
                for message in messages {
                    count += 1;
                    if let Some(from) = message.address.as_ref().and_then(address) {
                        each(from, sent_to(&message), message.iovs().next().unwrap_or_default());
                    }
                }
                Ok(count)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Datagrams that came while the system's buffer was full, since the beginning; `None` where
    /// the system does not tell.
    pub(crate) fn lost(&self) -> Option<u64> {
        let of = format!("/proc/self/fd/{}", self.socket.as_raw_fd());
        let inode = std::fs::metadata(of).ok()?.st_ino().to_string();
        let table = match self.socket.local_addr().ok()? {
            SocketAddr::V4(_) => "/proc/self/net/udp",
            SocketAddr::V6(_) => "/proc/self/net/udp6",
        };
        let table = std::fs::read_to_string(table).ok()?;
        let mut rows = table.lines().map(str::split_ascii_whitespace);
        // proc(5): the tenth column is the inode, the last one counts drops.
        rows.find(|row| row.clone().nth(9) == Some(inode.as_str()))?.last()?.parse().ok()
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|&v4| v4.into());
    v4.or_else(|| storage.as_sockaddr_in6().map(|&v6| v6.into()))
}

fn sent_to(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Option<IpAddr> {
    message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()).into())
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into())
        }
        _ => None,
    })
}

/// The half that sends.
#[derive(Debug)]
pub(crate) struct Sender {
    socket: UdpSocket,
    queue: Queue,
    /// Where to, as the system wants it: one for each that waits.
    to: Vec<Option<SockaddrStorage>>,
    /// For datagrams whose source the system chooses, and for the others.
    headers: MultiHeaders<SockaddrStorage>,
    sourced: MultiHeaders<SockaddrStorage>,
    sent: Sent,
}

impl Sender {
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        // The system refuses a control message of another length than it expects.
        let control = match socket.local_addr()? {
            SocketAddr::V4(_) => cmsg_space!(in_pktinfo),
            SocketAddr::V6(_) => cmsg_space!(in6_pktinfo),
        };
        Ok(Self {
            socket,
            queue: Queue::new(),
            to: Vec::with_capacity(BATCH),
            headers: MultiHeaders::preallocate(BATCH, None),
            sourced: MultiHeaders::preallocate(BATCH, Some(control)),
            sent: Sent::default(),
        })
    }

    pub(crate) const fn sent(&self) -> Sent {
        self.sent
    }

    /// Queues a datagram, and sends all if that makes a batch. `from` is an address of this host,
    /// by default the one the system chooses.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush); more bytes than a frame has.
    pub(crate) fn push(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
        datagram: &[u8],
    ) -> io::Result<()> {
        self.queue.push(from, datagram)?;
        self.to.push(Some(to.into()));
        if self.queue.is_full() { self.flush() } else { Ok(()) }
    }

    /// Sends what is queued. Waits a moment if the system's buffer is full.
    ///
    /// # Errors
    ///
    /// Why the last datagram that was dropped was; all that could be sent is.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let (mut done, mut ended) = (0, Ok(()));
        while let Some(&(from, _)) = self.queue.waiting.get(done) {
            let rest = self.queue.waiting.get(done..).unwrap_or_default();
            let left = rest.len() as u64;
            let run = rest.iter().take_while(|next| next.0 == from).count();
            match self.send(done, run, from) {
                Ok(0) | Err(Errno::EAGAIN | Errno::ENOBUFS) => {
                    self.sent.dropped += left;
                    ended = Err(io::ErrorKind::WouldBlock.into());
                    break;
                }
                Ok(taken) => {
                    self.sent.taken += taken as u64;
                    done += taken;
                }
                Err(Errno::EINTR) => {}
                // Of one destination: the others can be reached.
                Err(error) => {
                    self.sent.dropped += 1;
                    done += 1;
                    ended = Err(error.into());
                }
            }
        }
        self.queue.waiting.clear();
        self.to.clear();
        ended
    }

    /// One system call for `run` datagrams from `first` on; how many of them were sent.
    fn send(&mut self, first: usize, run: usize, from: Option<IpAddr>) -> nix::Result<usize> {
        let none = IoSlice::new(&[]);
        let mut slices = [[none]; BATCH];
        for (slice, datagram) in slices.iter_mut().zip(self.queue.datagrams(first)).take(run) {
            *slice = [IoSlice::new(datagram)];
        }
        let slices = slices.iter().take(run);
        let to = self.to.get(first..).unwrap_or_default();
        let (socket, flags) = (self.socket.as_raw_fd(), MsgFlags::empty());
        let (v4, v6);
        let control = match from {
            None => {
                return Ok(sendmmsg(socket, &mut self.headers, slices, to, [], flags)?.count());
            }
            Some(IpAddr::V4(from)) => {
                let from = in_addr { s_addr: u32::from_ne_bytes(from.octets()) };
                let any = in_addr { s_addr: 0 };
                v4 = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: from, ipi_addr: any };
                [ControlMessage::Ipv4PacketInfo(&v4)]
            }
            Some(IpAddr::V6(from)) => {
                let from = in6_addr { s6_addr: from.octets() };
                v6 = in6_pktinfo { ipi6_addr: from, ipi6_ifindex: 0 };
                [ControlMessage::Ipv6PacketInfo(&v6)]
            }
        };
        Ok(sendmmsg(socket, &mut self.sourced, slices, to, control, flags)?.count())
    }
}
