//! UDP in batches: many datagrams a system call, each from and to an address of its own.
//!
//! A gateway pings a million addresses from one socket, and a generator plays a million addresses
//! on one. On Linux that is `recvmmsg` and `sendmmsg` with `IP_PKTINFO`, by way of `nix`, the one
//! safe library that has both for any mixture of destinations: `quinn-udp` makes one system call a
//! destination, `rustix` neither receives so nor names source addresses. In `nix` a call has one
//! source address, so a batch is sent in as many calls as its sources change. Elsewhere it is one
//! datagram a call, and the system chooses the source.

// Paths, since `benches/gateway` includes this file.
#[cfg(target_os = "linux")]
#[path = "batch/linux.rs"]
mod linux;
#[cfg(any(test, not(target_os = "linux")))]
#[path = "batch/plain.rs"]
mod plain;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::io;
use std::net::UdpSocket;

use heartbeat_proto::codec::MAX_FRAME;
use socket2::{Domain, Protocol, Type};

#[cfg(target_os = "linux")]
pub(crate) use self::linux::{Receiver, Sender};
#[cfg(not(target_os = "linux"))]
pub(crate) use self::plain::{Receiver, Sender};

/// Datagrams a system call. With 64 of them the call itself costs a few nanoseconds a datagram.
const BATCH: usize = 64;

/// One byte more than a frame may have, so that longer ones are seen to be.
const ROOM: usize = MAX_FRAME + 1;

/// What is asked for as buffers of the system: a second of two million peers that answer within
/// 30 s, at the 768 bytes that Linux charges for a small datagram. It gives what it may.
const BUFFER: usize = 64 << 20;

/// How long a full buffer of the system is waited for before datagrams are dropped.
const PATIENCE: Duration = Duration::from_millis(100);

/// A bound socket, to be split where it is used: its halves stay on one thread.
#[derive(Debug)]
pub(crate) struct Socket(UdpSocket);

impl Socket {
    /// Binds. With `shared`, other sockets that say so too may bind the same address; on Linux
    /// each then receives the datagrams of some senders.
    pub(crate) fn bind(address: SocketAddr, shared: bool) -> io::Result<Self> {
        let socket =
            socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        #[cfg(unix)]
        socket.set_reuse_port(shared)?;
        #[cfg(not(unix))]
        if shared {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // A smaller buffer drops more; it is not a reason not to work.
        let _ = socket.set_recv_buffer_size(BUFFER);
        let _ = socket.set_send_buffer_size(BUFFER);
        #[cfg(target_os = "linux")]
        linux::prepare(&socket, address)?;
        socket.bind(&address.into())?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(socket.into()))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The half that receives and the half that sends.
    pub(crate) fn split(self) -> io::Result<(Receiver, Sender)> {
        let sender = Sender::new(self.0.try_clone()?)?;
        Ok((Receiver::new(self.0), sender))
    }
}

/// What was sent since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Datagrams that the system took.
    pub(crate) taken: u64,
    /// Datagrams that it did not take: its buffer stayed full, or it knows no way to there.
    pub(crate) dropped: u64,
}

/// Datagrams that wait to be sent, a batch at most.
#[derive(Debug)]
struct Queue {
    /// Whence, and how many bytes.
    waiting: Vec<(Option<IpAddr>, usize)>,
    bytes: Box<[[u8; MAX_FRAME]; BATCH]>,
}

impl Queue {
    fn new() -> Self {
        Self { waiting: Vec::with_capacity(BATCH), bytes: Box::new([[0; MAX_FRAME]; BATCH]) }
    }

    fn push(&mut self, from: Option<IpAddr>, datagram: &[u8]) -> io::Result<()> {
        let free = self.bytes.get_mut(self.waiting.len());
        match free.and_then(|free| free.get_mut(..datagram.len())) {
            Some(place) => place.copy_from_slice(datagram),
            None => return Err(io::ErrorKind::InvalidInput.into()),
        }
        self.waiting.push((from, datagram.len()));
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.waiting.len() == BATCH
    }

    /// Those from `first` on.
    fn datagrams(&self, first: usize) -> impl Iterator<Item = &[u8]> {
        let waiting = self.waiting.iter().zip(self.bytes.iter()).skip(first);
        waiting.map(|((_, len), bytes)| bytes.get(..*len).unwrap_or_default())
    }
}

#[cfg(test)]
#[path = "batch/tests.rs"]
mod tests;
