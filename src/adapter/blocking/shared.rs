//! What a [`Pulse`](super::Pulse) and its [`Watch`](super::Watch) share: the connection with its gate,
//! under one lock.

use core::mem;
use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::gate::Gate;
use super::wire::Wire;
use super::{GLANCE, Transport};
use crate::adapter::notice::{Ended, Notice};
use crate::adapter::setup::longest_wait;
use crate::adapter::stream::StreamDriver;
use crate::detector::Detector;
use crate::liveness::Liveness;
use crate::time::Timestamp;

/// How often one round reads before the other half gets its turn.
const MOST_READS: u32 = 16;

/// What both halves have.
pub(super) struct Shared<T: Transport, D: Detector> {
    core: Mutex<Core<T, D>>,
    /// For a watch that waits: something came, went or ended.
    news: Condvar,
    /// Wakes the pulse.
    bell: UnixStream,
}

impl<T: Transport, D: Detector> Shared<T, D> {
    pub(super) const fn new(core: Core<T, D>, bell: UnixStream) -> Self {
        Self { core: Mutex::new(core), news: Condvar::new(), bell }
    }

    /// Nobody keeps this lock while it waits for anything.
    pub(super) fn lock(&self) -> MutexGuard<'_, Core<T, D>> {
        self.core.lock().unwrap_or_else(|poisoned| sound(poisoned))
    }

    /// Wakes the watch, if it waits.
    pub(super) fn tell(&self, core: &Core<T, D>) {
        if core.gate.is_waiting() || core.is_over() {
            self.news.notify_all();
        }
    }

    /// Waits for news: until a little after the deadline, which the pulse should have met, or
    /// `until`.
    pub(super) fn wait<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core<T, D>>,
        until: Timestamp,
    ) -> MutexGuard<'a, Core<T, D>> {
        self.rouse(&mut core);
        let due = core.wire.stream.driver().next_deadline().unwrap_or(Timestamp::MAX);
        let until = until.min(due.saturating_add(GLANCE));
        let now = core.wire.clock.now();
        let wait = until.saturating_duration_since(now).max(Duration::from_millis(1));
        match self.news.wait_timeout(core, wait) {
            Ok((core, _)) => core,
            Err(poisoned) => sound(PoisonError::new(poisoned.into_inner().0)),
        }
    }

    /// Wakes the pulse, if it sleeps for too long or for the wrong thing.
    pub(super) fn rouse(&self, core: &mut Core<T, D>) {
        let wish = core.wish();
        if core.is_over() || wish.is_more_than(&core.asleep) {
            core.asleep = wish;
            let _ = (&self.bell).write(&[1]); // If it is full, it rings already.
        }
    }
}

/// A panic in the middle of a round, an observer's for one, leaves nothing to be trusted.
fn sound<T: Transport, D: Detector>(
    poisoned: PoisonError<MutexGuard<'_, Core<T, D>>>,
) -> MutexGuard<'_, Core<T, D>> {
    let mut core = poisoned.into_inner();
    core.abandon();
    core
}

/// What is to wake the pulse.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) until: Timestamp,
    pub(super) read: bool,
    pub(super) write: bool,
}

impl Wish {
    const fn bell_alone() -> Self {
        Self { until: Timestamp::MAX, read: false, write: false }
    }

    fn is_more_than(&self, other: &Self) -> bool {
        self.until < other.until || (self.read && !other.read) || (self.write && !other.write)
    }
}

/// The connection with its gate. Nothing in it waits.
pub(super) struct Core<T, D: Detector> {
    pub(super) wire: Wire<T, D>,
    pub(super) gate: Gate,
    /// One of the halves is gone.
    abandoned: bool,
    /// There may be more to read.
    more: bool,
    asleep: Wish,
}

impl<T: Transport, D: Detector> Core<T, D> {
    pub(super) fn new(wire: Wire<T, D>, limit: Duration) -> io::Result<Self> {
        if limit.is_zero() {
            let error = "the limit of a pulse must be longer than zero";
            return Err(io::Error::new(ErrorKind::InvalidInput, error));
        }
        Ok(Self {
            gate: Gate::new(limit, wire.clock.now()),
            wire,
            abandoned: false,
            more: false,
            asleep: Wish::bell_alone(),
        })
    }

    /// The pulse's round: beats while the gate is open.
    pub(super) fn beat(&mut self) {
        if self.is_over() {
            return;
        }
        if self.gate.close_in_time(self.wire.clock.now()) {
            self.wire.stream.driver_mut().tell(Notice::Unattended);
        }
        if self.gate.is_open() {
            self.turn();
        }
    }

    /// The application begins to wait for the peer.
    pub(super) fn wait(&mut self) {
        let opens = self.gate.wait();
        self.tell_attended(opens);
    }

    /// The application is here; whether it had been missed.
    pub(super) fn see(&mut self) -> bool {
        let opens = self.gate.see(self.wire.clock.now());
        self.tell_attended(opens);
        opens
    }

    fn tell_attended(&mut self, opens: bool) {
        if opens && !self.is_over() {
            self.wire.stream.driver_mut().tell(Notice::Attended);
        }
    }

    /// The next connection. Of this one nothing is left but its end.
    pub(super) fn next(&mut self, transport: T) -> io::Result<Self> {
        let config = *self.wire.stream.driver().machine().config();
        transport.prepare(longest_wait(&config))?;
        self.desert();
        let clock = self.wire.clock;
        let rest = StreamDriver::new(config, clock.now());
        let stream = mem::replace(&mut self.wire.stream, rest).reconnected(clock.now());
        Self::new(Wire::new(transport, stream, clock), self.gate.limit())
    }

    /// One round of the driver loop.
    pub(super) fn turn(&mut self) {
        self.more = false;
        if self.is_over() {
            return;
        }
        for round in 0.. {
            let now = self.wire.clock.now();
            if !self.wire.stream.wants_input() {
                break;
            }
            if self.wire.read(Read::read) {
                // Whoever is judged by this had until now to answer.
                self.wire.stream.driver_mut().tick(now);
                break;
            }
            if round == MOST_READS {
                self.more = true;
                break;
            }
        }
        let now = self.wire.clock.now();
        self.wire.stream.driver_mut().expire(now); // However much there still is to read.
        self.write();
    }

    pub(super) fn write(&mut self) {
        self.wire.write(|_| Ok(()));
        let _ = self.wire.check(); // Who wants to know the end looks for it.
    }

    /// The end of the connection, if it has ended.
    pub(super) fn end(&self) -> Option<Ended> {
        self.wire.stream.driver().ended().or(self.abandoned.then_some(Ended::Abandoned))
    }

    /// Fails once the connection has ended otherwise than on purpose.
    pub(super) fn check(&self) -> io::Result<()> {
        match self.end() {
            Some(ended) if !ended.on_purpose() => Err(ended.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.end().is_some()
    }

    /// One half is gone without a word.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
        if let Some(transport) = self.wire.transport.take() {
            transport.abort();
        }
    }

    /// The application is gone. Its transport is closed, as any that is dropped.
    pub(super) fn desert(&mut self) {
        self.abandoned = true;
        self.wire.transport = None;
    }

    /// What the pulse sleeps for now, unless there is nothing left to wake for.
    pub(super) fn doze(&mut self) -> Option<Wish> {
        self.asleep = self.wish();
        (!self.is_over()).then_some(self.asleep)
    }

    fn wish(&self) -> Wish {
        if !self.gate.is_open() {
            return Wish::bell_alone();
        }
        let (stream, driver) = (&self.wire.stream, self.wire.stream.driver());
        let (read, write) = (stream.wants_input(), self.wire.has_output());
        // Before the application takes what it has, there is nothing to be done about a deadline.
        let stuck = stream.is_full() && !write && driver.liveness() != Liveness::Closed;
        let due = if stuck { None } else { driver.next_deadline() };
        let due = if self.more { Timestamp::EPOCH } else { due.unwrap_or(Timestamp::MAX) };
        Wish { until: due.min(self.gate.lapse(self.wire.clock.now())), read, write }
    }
}
