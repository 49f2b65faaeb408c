//! UDP in batches: many datagrams a system call, each from and to an address of its own.
//!
//! A gateway pings a million addresses from one socket, and a generator plays a million addresses
//! on one. On Linux that is `recvmmsg` and `sendmmsg` with `IP_PKTINFO`, by way of `nix`, the one
//! safe library that has both for any mixture of destinations: `quinn-udp` makes one system call a
//! destination, `rustix` neither receives so nor names source addresses. In `nix` a call has one
//! source address, so a batch is sent in as many calls as its sources change. Elsewhere it is one
//! datagram a call, and the system chooses the source.
//!
//! IPv4 datagrams are sent with the bit that they must not be taken apart (`IP_PMTUDISC_PROBE`): a
//! frame fits every path. Without it Linux draws a number for each, for a tenth of what sending
//! costs.

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
use self::linux as system;
#[cfg(not(target_os = "linux"))]
use self::plain as system;
pub(crate) use self::system::Receiver;

/// Datagrams a system call, at most. What the kernel does in it pushes what comes after out of the
/// caches, for each call anew.
const BATCH: usize = 128;

/// One byte more than a frame may have, so that longer ones are seen to be.
const ROOM: usize = MAX_FRAME + 1;

/// What is asked for as buffers of the system: a second of two million peers that answer within
/// 30 s, at the 768 bytes that Linux charges for a small datagram. It gives what it may.
const BUFFER: usize = 64 << 20;

/// How long a full buffer of the system is waited for before datagrams are dropped.
const PATIENCE: Duration = Duration::from_millis(100);

/// A bound socket, to be split where it is used: its halves stay on one thread.
#[derive(Debug)]
pub(crate) struct Socket {
    socket: UdpSocket,
    /// Whether what comes tells where it was sent to.
    names: bool,
}

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
        linux::prepare(&socket);
        socket.bind(&address.into())?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket: socket.into(), names: false })
    }

    /// What comes tells where it was sent to, for some of what receiving costs. Elsewhere than on
    /// Linux it does not.
    pub(crate) fn name_destinations(self) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        linux::name_destinations(&self.socket)?;
        Ok(Self { names: true, ..self })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The half that receives and the half that sends.
    pub(crate) fn split(self) -> io::Result<(Receiver, Sender)> {
        let sender = Sender::new(self.socket.try_clone()?)?;
        Ok((Receiver::new(self.socket, self.names)?, sender))
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

/// How a system sends.
trait Wire: Sized {
    fn new(socket: UdpSocket) -> io::Result<Self>;

    /// Sends of what waits, from `first` on, as much as one call can; how many datagrams.
    ///
    /// # Errors
    ///
    /// `WouldBlock`: the system's buffer stays full; anything else is about the first one.
    fn send(&mut self, queue: &Queue, first: usize) -> io::Result<usize>;
}

/// The half that sends.
#[derive(Debug)]
pub(crate) struct Sender<W = system::Calls> {
    wire: W,
    queue: Queue,
    sent: Sent,
}

#[expect(private_bounds, reason = "nobody else sends")]
impl<W: Wire> Sender<W> {
    fn new(socket: UdpSocket) -> io::Result<Self> {
        Ok(Self { wire: W::new(socket)?, queue: Queue::new(), sent: Sent::default() })
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
    #[inline]
    pub(crate) fn push(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
        datagram: &[u8],
    ) -> io::Result<()> {
        self.queue.push(to, from, datagram)?;
        if self.queue.is_full() { self.flush() } else { Ok(()) }
    }

    /// Sends what is queued. Waits a moment if the system's buffer is full.
    ///
    /// # Errors
    ///
    /// Why the last datagram that was dropped was; all that could be sent is.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let (mut done, mut ended) = (0, Ok(()));
        while let left @ 1.. = self.queue.waiting.len() - done {
            match self.wire.send(&self.queue, done) {
                Ok(taken @ 1..) => {
                    self.sent.taken += taken as u64;
                    done += taken;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Of one destination: the others can be reached.
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    self.sent.dropped += 1;
                    done += 1;
                    ended = Err(error);
                }
                full => {
                    self.sent.dropped += left as u64;
                    ended = full.and(Err(io::ErrorKind::WouldBlock.into()));
                    break;
                }
            }
        }
        self.queue.waiting.clear();
        ended
    }
}

/// Datagrams that wait to be sent, a batch at most.
#[derive(Debug)]
struct Queue {
    waiting: Vec<Waiting>,
    bytes: Box<[[u8; MAX_FRAME]; BATCH]>,
}

#[derive(Debug)]
struct Waiting {
    to: SocketAddr,
    from: Option<IpAddr>,
    len: usize,
}

impl Queue {
    fn new() -> Self {
        Self { waiting: Vec::with_capacity(BATCH), bytes: Box::new([[0; MAX_FRAME]; BATCH]) }
    }

    #[inline]
    fn push(&mut self, to: SocketAddr, from: Option<IpAddr>, datagram: &[u8]) -> io::Result<()> {
        let len = datagram.len();
        let free = self.bytes.get_mut(self.waiting.len());
        match free.and_then(|free| free.get_mut(..len)) {
            Some(place) => place.copy_from_slice(datagram),
            None => return Err(io::ErrorKind::InvalidInput.into()),
        }
        self.waiting.push(Waiting { to, from, len });
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.waiting.len() == BATCH
    }

    /// Those from `first` on.
    fn datagrams(&self, first: usize) -> impl Iterator<Item = (&Waiting, &[u8])> {
        let waiting = self.waiting.iter().zip(self.bytes.iter()).skip(first);
        waiting.map(|(about, bytes)| (about, bytes.get(..about.len).unwrap_or_default()))
    }
}

#[cfg(test)]
#[path = "batch/tests.rs"]
mod tests;
