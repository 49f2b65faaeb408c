//! [`Heartbeat`]: a blocking stream for one thread.

use core::fmt;
use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};

use super::wire::Wire;
use super::{GLANCE, SHORTEST, Transport, is_due, round_up};
use crate::adapter::clock::StdClock;
use crate::adapter::driver::Driver;
use crate::adapter::setup::{Setup, longest_wait};
use crate::adapter::stream::StreamDriver;
use crate::detector::{Deadline, Detector};
use crate::event::Event;
use crate::liveness::Liveness;
use crate::time::Timestamp;

/// A blocking stream that cannot hang: [`Read`] and [`Write`] with heartbeats in between.
///
/// Every call does everything that is due: it answers pings, sends them, judges the peer. Reads
/// and writes fail at the latest [`worst_case_detection`](crate::Config::worst_case_detection)
/// after the peer's last sign of life; see [the module above](crate::adapter#ends) for how.
///
/// Dropping it says no goodbye: the peer will take it for a crash. [`close`](Self::close) does.
pub struct Heartbeat<T: Transport, D: Detector = Deadline> {
    pub(super) wire: Wire<T, D>,
}

impl<T: Transport, D: Detector> Heartbeat<T, D> {
    /// Wraps a connected transport; the heart beats from now on. The peer must do the same.
    ///
    /// TCP sockets are told to send without delay and, with the feature `tcp`, to keep their
    /// unsent backlog small, to give up what is never acknowledged no sooner than
    /// any verdict could fall (on Linux), and to reset when aborted.
    ///
    /// # Errors
    ///
    /// The transport refuses these settings.
    pub fn new(transport: T, setup: impl Into<Setup<D>>) -> io::Result<Self> {
        let setup = setup.into();
        transport.prepare(longest_wait(setup.config()))?;
        let clock = StdClock::new();
        let stream = StreamDriver::new(setup, clock.now());
        Ok(Self { wire: Wire::new(transport, stream, clock) })
    }

    /// The next connection to the same peer. It keeps what was learnt of the path, the observer
    /// and the epoch's count, and begins [`Recovering`](Liveness::Recovering): see
    /// [`HeartbeatMachine::reconnected`](crate::HeartbeatMachine::reconnected).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn reconnected(self, transport: T) -> io::Result<Self> {
        transport.prepare(longest_wait(self.driver().machine().config()))?;
        let Wire { stream, clock, .. } = self.wire;
        let stream = stream.reconnected(clock.now());
        Ok(Self { wire: Wire::new(transport, stream, clock) })
    }

    /// Does what is due, without waiting: for programs that compute for long between two reads or
    /// writes.
    ///
    /// # Errors
    ///
    /// The connection has [ended](crate::adapter::Ended).
    pub fn service(&mut self) -> io::Result<Liveness> {
        self.run_for(Duration::ZERO)
    }

    /// Keeps the connection alive for `span`, for programs that neither read nor write. Returns
    /// sooner if the peer says goodbye ([`Liveness::Closed`]).
    ///
    /// # Errors
    ///
    /// The connection has [ended](crate::adapter::Ended).
    pub fn run_for(&mut self, span: Duration) -> io::Result<Liveness> {
        let until = self.wire.clock.now().saturating_add(span);
        loop {
            self.turn(until, SHORTEST)?;
            let over = self.wire.stream.driver().liveness() == Liveness::Closed;
            if over || self.wire.clock.now() >= until {
                return Ok(self.wire.stream.driver().liveness());
            }
        }
    }

    /// Waits up to `span` for application bytes, and says whether there are any (or their end).
    ///
    /// # Errors
    ///
    /// The connection has [ended](crate::adapter::Ended).
    pub fn wait_readable(&mut self, span: Duration) -> io::Result<bool> {
        let until = self.wire.clock.now().saturating_add(span);
        if is_due(self.driver(), self.now()) {
            self.turn(Timestamp::EPOCH, SHORTEST)?; // However much there is at hand.
        }
        loop {
            if self.wire.stream.available() > 0 {
                return Ok(true);
            }
            if let Some(end) = self.wire.stream.end_of_input() {
                return end.map(|()| true);
            }
            self.turn(until, SHORTEST)?;
            if self.wire.stream.available() == 0 && self.wire.clock.now() >= until {
                return Ok(false);
            }
        }
    }

    /// Asks the peer for a sign of life, and waits for it: before a pooled connection is used
    /// again, say. A write that succeeds proves nothing; this does.
    ///
    /// # Errors
    ///
    /// The connection has [ended](crate::adapter::Ended), at the latest by the verdict that this silence leads to;
    /// or so many received bytes wait to be read that the answer behind them cannot be
    /// ([`ErrorKind::WouldBlock`]).
    pub fn verify(&mut self) -> io::Result<()> {
        let since = self.caught_up()?;
        self.driver_mut().handle(Event::PingDue, since);
        while !self.wire.stream.driver().machine().is_verified_since(since) {
            if self.wire.stream.is_full() {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.turn(Timestamp::MAX, SHORTEST)?;
            if self.wire.stream.driver().liveness() == Liveness::Closed {
                return self.wire.stream.end_of_input().unwrap_or(Ok(()));
            }
        }
        Ok(())
    }

    /// Closes on purpose: sends what waits and a goodbye, and waits for the peer to close as well,
    /// dropping what it still sends. (A socket that is dropped while the peer's last ping is on its
    /// way would be reset, and what was written before be lost.) Each of the two takes at most
    /// [`drain_limit`](crate::ConfigBuilder::drain_limit).
    ///
    /// # Errors
    ///
    /// The connection has [ended](crate::adapter::Ended) otherwise.
    pub fn close(mut self) -> io::Result<()> {
        loop {
            let now = self.caught_up()?;
            if self.wire.close(now)? {
                return Ok(());
            }
            self.turn(now.saturating_add(self.wire.close_wait()), GLANCE)?;
        }
    }

    /// The machine's driver: liveness, report, round trips, counters.
    pub const fn driver(&self) -> &Driver<D> {
        self.wire.stream.driver()
    }

    /// For events of your own (a probe now, a drain, a resume) and for the status to tell.
    /// Stamp events with [`now`](Self::now).
    pub const fn driver_mut(&mut self) -> &mut Driver<D> {
        self.wire.stream.driver_mut()
    }

    /// The present moment on the clock of this connection.
    pub fn now(&self) -> Timestamp {
        self.wire.clock.now()
    }

    /// The wrapped transport, unless it was aborted. Do not read or write it.
    pub const fn get_ref(&self) -> Option<&T> {
        self.wire.transport.as_ref()
    }

    /// One round of the driver loop. It waits for input until the machine's deadline, `until` at
    /// most; if the transport refuses bytes, for `write_wait` to write and a glance to read.
    fn turn(&mut self, until: Timestamp, write_wait: Duration) -> io::Result<()> {
        let clear = self.write_for(write_wait);
        let mut now = self.wire.clock.now();
        if self.wire.stream.wants_input() {
            let until = until.min(self.driver().next_deadline().unwrap_or(until));
            let mut wait = until.saturating_duration_since(now);
            if !clear {
                wait = wait.min(if write_wait > SHORTEST { SHORTEST } else { GLANCE });
            }
            let mut drained = self.read_for(wait);
            if drained && !wait.is_zero() {
                now = self.wire.clock.now();
                // The wait was over before `now`; and who is judged by it had until then to answer.
                drained = !is_due(self.driver(), now) || self.read_for(Duration::ZERO);
            }
            if drained {
                self.wire.stream.driver_mut().tick(now);
            }
        } else if clear {
            // Nothing can be done before the application takes what was received.
            std::thread::sleep(until.saturating_duration_since(now).min(GLANCE));
        }
        let now = self.wire.clock.now();
        self.wire.stream.driver_mut().expire(now); // However much there still is to read.
        self.write_for(SHORTEST);
        self.wire.check()
    }

    /// Reads once; whether all that was there has been read.
    fn read_for(&mut self, wait: Duration) -> bool {
        self.wire.read(|transport, buf| {
            if wait.is_zero() {
                return transport.read_now(buf);
            }
            transport.set_read_timeout(round_up(wait))?;
            transport.read(buf)
        })
    }

    /// Writes what waits; whether all of it went. `wait` for a transport that refuses bytes.
    fn write_for(&mut self, wait: Duration) -> bool {
        self.wire.write(|transport| transport.set_write_timeout(wait))
    }

    /// The present moment for an event. At or past a deadline any event can judge the peer, so what
    /// was received is read before.
    fn caught_up(&mut self) -> io::Result<Timestamp> {
        while self.wire.must_read(self.now()) {
            self.turn(Timestamp::EPOCH, SHORTEST)?;
        }
        Ok(self.wire.event_time())
    }
}

impl<T: Transport, D: Detector> Read for Heartbeat<T, D> {
    /// Waits for application bytes. `Ok(0)`: the peer said goodbye.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if is_due(self.driver(), self.now()) {
            let _ = self.turn(Timestamp::EPOCH, SHORTEST); // However much there is at hand.
        }
        loop {
            let taken = self.wire.stream.take(buf);
            if taken > 0 {
                return Ok(taken);
            }
            if let Some(end) = self.wire.stream.end_of_input() {
                return end.map(|()| 0);
            }
            // The error, if any, comes by way of `end_of_input`, after the bytes before it.
            let _ = self.turn(Timestamp::MAX, SHORTEST);
        }
    }
}

impl<T: Transport, D: Detector> Write for Heartbeat<T, D> {
    /// Takes some bytes once the ones before are written, and writes of them what goes at once. The
    /// rest leaves with whatever call comes next; [`flush`](Write::flush) waits for it.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        loop {
            let staged = self.wire.stream.stage(buf)?;
            // Without waiting for input, but looking at it: a program may do nothing but write.
            self.turn(Timestamp::EPOCH, GLANCE)?;
            if staged > 0 || buf.is_empty() {
                return Ok(staged);
            }
        }
    }

    /// Waits until everything is written.
    fn flush(&mut self) -> io::Result<()> {
        while self.wire.has_output() {
            self.turn(Timestamp::EPOCH, GLANCE)?;
        }
        self.wire.check()
    }
}

impl<T: Transport, D: Detector> fmt::Debug for Heartbeat<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat").field("stream", &self.wire.stream).finish_non_exhaustive()
    }
}
