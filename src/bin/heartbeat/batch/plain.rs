//! One datagram a system call, for systems without better. The system chooses source addresses.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::io;
use std::net::UdpSocket;

use super::{BATCH, ROOM, Sent, Waiting};

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
    waiting: Vec<(SocketAddr, Waiting)>,
    sent: Sent,
}

impl Sender {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        Ok(Self { socket, waiting: Vec::with_capacity(BATCH), sent: Sent::default() })
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
        self.waiting.push((to, Waiting::new(from, datagram)?));
        if self.waiting.len() < BATCH { Ok(()) } else { self.flush() }
    }

    /// Sends what is queued; the error of the last datagram that was dropped.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let mut ended = Ok(());
        for (to, waiting) in self.waiting.drain(..) {
            match self.socket.send_to(waiting.datagram(), to) {
                Ok(_) => self.sent.taken += 1,
                Err(error) => {
                    self.sent.dropped += 1;
                    ended = Err(error);
                }
            }
        }
        ended
    }
}
