//! [`Burst`]: many datagrams at a time.

use core::net::SocketAddr;

use super::pongs::answered;
use super::{Gateway, Outlet};
use crate::detector::Detector;
use crate::event::Event;
use crate::fleet::{Handle, Input};
use crate::time::Timestamp;

/// Pongs that wait: more misses of the cache than a core has under way at once.
const MOST: usize = 38;

/// Datagrams that are taken one after the other, as [`Gateway::datagram`] takes them, and told a few
/// later: pongs wait for some others of the same time, so that the memory of several peers is fetched
/// at once. What waits is told at the latest when this is dropped. Look at the clock once for all
/// that comes together: where each datagram has another time, none waits, and nothing is gained.
///
/// ```no_run
/// # use core::net::SocketAddr;
/// # use heartbeat_proto::Timestamp;
/// # use heartbeat_proto::gateway::{Gateway, Outlet};
/// # fn now() -> Timestamp { Timestamp::EPOCH }
/// fn read_all(socket: &std::net::UdpSocket, gateway: &mut Gateway, out: &mut impl Outlet) {
///     let mut space = [0; 126];
///     let (now, mut burst) = (now(), gateway.burst(out));
///     while let Ok((len, from)) = socket.recv_from(&mut space) {
///         burst.datagram(now, from, &space[..len]);
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Burst<'g, D: Detector, O: Outlet> {
    gateway: &'g mut Gateway<D>,
    out: &'g mut O,
    now: Timestamp,
    waiting: [Input; MOST],
    len: usize,
}

impl<'g, D: Detector, O: Outlet> Burst<'g, D, O> {
    pub(super) fn new(gateway: &'g mut Gateway<D>, out: &'g mut O) -> Self {
        let none = Input { handle: Handle::new(0, 0), event: Event::Tick };
        Self { gateway, out, now: Timestamp::EPOCH, waiting: [none; MOST], len: 0 }
    }

    /// A datagram came from there at `now`, not before the one before it.
    #[inline]
    pub fn datagram(&mut self, now: Timestamp, from: SocketAddr, datagram: &[u8]) {
        if now > self.now {
            self.finish(); // GW9: each is told at its own time.
            self.now = now;
        }
        if self.gateway.seals.are_on() {
            // A digest costs more than a miss.
            return self.gateway.datagram(now, from, datagram, self.out);
        }
        self.gateway.stats.received += 1;
        let Some(pong) = answered(datagram) else {
            self.finish(); // In the order in which they came.
            return self.gateway.other(now, from, datagram, self.out);
        };
        let Some(input) = self.gateway.proven(self.now, from, &pong) else { return };
        if let Some(free) = self.waiting.get_mut(self.len) {
            *free = input;
            self.len += 1;
        }
        if self.len == MOST {
            self.finish();
        }
    }

    fn finish(&mut self) {
        let waiting = self.waiting.get(..self.len).unwrap_or_default();
        self.gateway.hear(self.now, waiting, self.out);
        self.len = 0;
    }
}

impl<D: Detector, O: Outlet> Drop for Burst<'_, D, O> {
    fn drop(&mut self) {
        self.finish();
    }
}
