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
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrIn, SockaddrIn6,
    SockaddrLike, recvmmsg, sendmmsg, setsockopt,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};

use super::{BATCH, BUFFER, Queue, ROOM, Wire};

/// What the system may refuse.
pub(super) fn prepare(socket: &impl AsFd) {
    // Beyond the system's limit, if this process may.
    let _ = setsockopt(socket, RcvBufForce, &BUFFER);
    let _ = setsockopt(socket, SndBufForce, &BUFFER);
    // Also of a socket for IPv6, which may send to IPv4 addresses in their mapped form.
    let _ = set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::PROBE);
}

pub(super) fn name_destinations(socket: &UdpSocket) -> io::Result<()> {
    match socket.local_addr()? {
        SocketAddr::V4(_) => setsockopt(socket, Ipv4PacketInfo, &true)?,
        SocketAddr::V6(_) => setsockopt(socket, Ipv6RecvPacketInfo, &true)?,
    }
    Ok(())
}

/// Room for the headers of a batch, by the family of the socket.
#[derive(Debug)]
enum Headers {
    V4(MultiHeaders<SockaddrIn>),
    V6(MultiHeaders<SockaddrIn6>),
}

impl Headers {
    fn new(socket: &UdpSocket, control: Option<Vec<u8>>) -> io::Result<Self> {
        Ok(match socket.local_addr()? {
            SocketAddr::V4(_) => Self::V4(MultiHeaders::preallocate(BATCH, control)),
            SocketAddr::V6(_) => Self::V6(MultiHeaders::preallocate(BATCH, control)),
        })
    }
}

/// The half that receives.
#[derive(Debug)]
pub(crate) struct Receiver {
    socket: UdpSocket,
    headers: Headers,
    /// Whether destinations are told.
    names: bool,
    space: Box<[[u8; ROOM]; BATCH]>,
}

impl Receiver {
    pub(super) fn new(socket: UdpSocket, names: bool) -> io::Result<Self> {
        let headers = Headers::new(&socket, names.then(|| cmsg_space!(in6_pktinfo)))?;
        Ok(Self { socket, headers, names, space: Box::new([[0; ROOM]; BATCH]) })
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

    #[inline]
    fn take(
        &mut self,
        each: &mut impl FnMut(SocketAddr, Option<IpAddr>, &[u8]),
    ) -> io::Result<usize> {
        match &mut self.headers {
            Headers::V4(headers) => take(&self.socket, headers, self.names, &mut self.space, each),
            Headers::V6(headers) => take(&self.socket, headers, self.names, &mut self.space, each),
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

#[inline]
fn take<S: SockaddrLike + Copy + Into<SocketAddr>>(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<S>,
    names: bool,
    space: &mut [[u8; ROOM]; BATCH],
    each: &mut impl FnMut(SocketAddr, Option<IpAddr>, &[u8]),
) -> io::Result<usize> {
    let mut slices = space.each_mut().map(|space| [IoSliceMut::new(space)]);
    match recvmmsg(socket.as_raw_fd(), headers, &mut slices, MsgFlags::MSG_DONTWAIT, None) {
        Ok(messages) => {
            let mut count = 0;
            for message in messages {
                count += 1;
                if let Some(from) = message.address {
                    let to = if names { sent_to(&message) } else { None };
                    each(from.into(), to, message.iovs().next().unwrap_or_default());
                }
            }
            Ok(count)
        }
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

#[inline]
fn sent_to<S>(message: &RecvMsg<'_, '_, S>) -> Option<IpAddr> {
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

/// What sends.
#[derive(Debug)]
pub(crate) struct Calls {
    socket: UdpSocket,
    /// For datagrams whose source the system chooses, and for the others.
    headers: Headers,
    sourced: Headers,
}

impl Wire for Calls {
    fn new(socket: UdpSocket) -> io::Result<Self> {
        // The system refuses a control message of another length than it expects.
        let control = match socket.local_addr()? {
            SocketAddr::V4(_) => cmsg_space!(in_pktinfo),
            SocketAddr::V6(_) => cmsg_space!(in6_pktinfo),
        };
        let headers = Headers::new(&socket, None)?;
        let sourced = Headers::new(&socket, Some(control))?;
        Ok(Self { socket, headers, sourced })
    }

    /// Those of one source.
    fn send(&mut self, queue: &Queue, first: usize) -> io::Result<usize> {
        let from = queue.waiting.get(first).and_then(|about| about.from);
        let headers = if from.is_some() { &mut self.sourced } else { &mut self.headers };
        let (v4, v6);
        let control = match from {
            None => None,
            Some(IpAddr::V4(from)) => {
                let from = in_addr { s_addr: u32::from_ne_bytes(from.octets()) };
                let any = in_addr { s_addr: 0 };
                v4 = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: from, ipi_addr: any };
                Some(ControlMessage::Ipv4PacketInfo(&v4))
            }
            Some(IpAddr::V6(from)) => {
                let from = in6_addr { s6_addr: from.octets() };
                v6 = in6_pktinfo { ipi6_addr: from, ipi6_ifindex: 0 };
                Some(ControlMessage::Ipv6PacketInfo(&v6))
            }
        };
        let run = queue.datagrams(first).take_while(|(about, _)| about.from == from);
        let sent = match headers {
            Headers::V4(headers) => send(&self.socket, headers, run, control, |to| match to {
                SocketAddr::V4(to) => Some(to.into()),
                SocketAddr::V6(_) => None,
            }),
            Headers::V6(headers) => send(&self.socket, headers, run, control, |to| match to {
                SocketAddr::V4(_) => None,
                SocketAddr::V6(to) => Some(to.into()),
            }),
        };
        match sent {
            Err(Errno::ENOBUFS) => Err(Errno::EAGAIN.into()),
            sent => Ok(sent?),
        }
    }
}

/// One system call. To an address of another family it has no destination, and is refused.
#[inline]
fn send<'q, S: SockaddrLike + Copy>(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<S>,
    run: impl Iterator<Item = (&'q super::Waiting, &'q [u8])>,
    control: Option<ControlMessage<'_>>,
    family: impl Fn(SocketAddr) -> Option<S>,
) -> nix::Result<usize> {
    let mut to = Vec::with_capacity(BATCH);
    let mut slices = Vec::with_capacity(BATCH);
    for (about, datagram) in run {
        to.push(family(about.to));
        slices.push([IoSlice::new(datagram)]);
    }
    let (control, flags) = (control.as_slice(), MsgFlags::empty());
    Ok(sendmmsg(socket.as_raw_fd(), headers, &slices, to, control, flags)?.count())
}
