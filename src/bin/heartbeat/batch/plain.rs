//! One datagram a system call, for systems without better. The system chooses source addresses.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::io;
use std::net::UdpSocket;

use super::{BATCH, Queue, ROOM, Sent};

/// The half that receives.
#[derive(Debug)]
pub(crate) struct Receiver(UdpSocket);

impl Receiver {
    pub(super) fn new(socket: UdpSocket) -> Self {
        Self(socket)
    }

    /// Hands on what has come, one datagram. If nothing has, waits for `timeout`.
    pub(crate) fn receive(
        &mut self,
        timeout: Duration,
        mut each: impl FnMut(SocketAddr, Option<IpAddr>, &[u8]),
    ) -> io::Result<usize> {
        // Zero would be for ever.
        self.0.set_read_timeout(Some(timeout.max(Duration::from_micros(1))))?;
        let mut space = [0; ROOM];
        match self.0.recv_from(&mut space) {
            Ok((len, from)) => {
                each(from, None, space.get(..len).unwrap_or_default());
                Ok(1)
            }
            Err(error) => match error.kind() {
                // Windows: word of an earlier datagram that found nobody.
                io::ErrorKind::WouldBlock
                | io::ErrorKind::TimedOut
                | io::ErrorKind::Interrupted
                | io::ErrorKind::ConnectionReset => Ok(0),
                _ => Err(error),
            },
        }
    }

    /// The system does not tell.
    #[expect(clippy::unused_self, reason = "elsewhere it does")]
    pub(crate) const fn lost(&self) -> Option<u64> {
        None
    }
}

/// The half that sends.
#[derive(Debug)]
pub(crate) struct Sender {
    socket: UdpSocket,
    queue: Queue,
    /// Where to: one for each that waits.
    to: Vec<SocketAddr>,
    sent: Sent,
}

impl Sender {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        let to = Vec::with_capacity(BATCH);
        Ok(Self { socket, queue: Queue::new(), to, sent: Sent::default() })
    }

    pub(crate) const fn sent(&self) -> Sent {
        self.sent
    }

    /// Queues a datagram, and sends all if that makes a batch.
    pub(crate) fn push(
        &mut self,
        to: SocketAddr,
        from: Option<IpAddr>,
        datagram: &[u8],
    ) -> io::Result<()> {
        self.queue.push(from, datagram)?;
        self.to.push(to);
        if self.queue.is_full() { self.flush() } else { Ok(()) }
    }

    /// Sends what is queued; the error of the last datagram that was dropped.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut ended = Ok(());
        for (datagram, to) in self.queue.datagrams(0).zip(self.to.drain(..)) {
            match self.socket.send_to(datagram, to) {
                Ok(_) => self.sent.taken += 1,
                Err(error) => {
                    self.sent.dropped += 1;
                    ended = Err(error);
                }
            }
        }
        self.queue.waiting.clear();
        ended
    }
}
