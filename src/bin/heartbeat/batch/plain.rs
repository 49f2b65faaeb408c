//! One datagram a system call, for systems without better. The system chooses source addresses.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::io;
use std::net::UdpSocket;

use super::{Queue, ROOM, Wire};

/// The half that receives.
#[derive(Debug)]
pub(crate) struct Receiver(UdpSocket);

impl Receiver {
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
    pub(super) fn new(socket: UdpSocket, _names: bool) -> io::Result<Self> {
        Ok(Self(socket))
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

/// What sends.
#[derive(Debug)]
pub(crate) struct Calls(UdpSocket);

impl Wire for Calls {
    fn new(socket: UdpSocket) -> io::Result<Self> {
        Ok(Self(socket))
    }

    fn send(&mut self, queue: &Queue, first: usize) -> io::Result<usize> {
        match queue.datagrams(first).next() {
            Some((about, datagram)) => self.0.send_to(datagram, about.to).map(|_| 1),
            None => Ok(0),
        }
    }
}
