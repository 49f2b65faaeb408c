//! [`Action`]: what the driver must do, and [`Actions`], the bounded answer to one event.

use core::fmt;
use core::iter::FusedIterator;

use crate::event::PingId;
use crate::finding::Findings;
use crate::liveness::Transition;
use crate::time::Timestamp;

/// One thing to do. Actions are imperatives: perform each, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Send a pong that answers `id`. It supersedes any pong that was not written yet, unless
    /// [`answer_each`](crate::ConfigBuilder::answer_each) is set.
    SendPong {
        /// The ping to answer: always the one that was just received.
        id: PingId,
        /// Tell the peer to calm down: it pings more often than the advertised gap allows.
        calm: bool,
    },
    /// Send a ping.
    SendPing {
        /// Its id; the pong repeats it.
        id: PingId,
        /// Now, on our clock; the pong may echo it.
        stamp: Timestamp,
    },
    /// Send a sign of life that wants no answer.
    SendBeacon {
        /// Its number; beacons and pings share one sequence.
        id: PingId,
        /// Now, on our clock.
        stamp: Timestamp,
    },
    /// With [`PingSchedule::External`](crate::PingSchedule::External): a probe is due; answer with
    /// [`Event::PingDue`](crate::Event::PingDue).
    RequestProbe,
    /// Say goodbye to the peer: the connection ends on purpose.
    SendGoodbye,
    /// The liveness changed. Edge-triggered: told once.
    Notify(Transition),
    /// Something was noticed that an operator may want to count or log. Edge-triggered.
    Report(Findings),
}

/// Everything one event led to: at most [`Actions::CAPACITY`] actions, in the order to perform
/// them (the pong first, news last). It owns its contents and borrows nothing.
///
/// ```
/// use heartbeat_proto::{Action, Config, Event, HeartbeatMachine, PingId, Timestamp};
///
/// let mut machine = HeartbeatMachine::new(Config::default(), 7, Timestamp::EPOCH);
/// let _ = machine.handle(Event::Start, Timestamp::EPOCH);
/// let ping = PingId::new(1, 1);
/// let mut actions = machine.handle(Event::ping(ping), Timestamp::from_nanos(5));
/// assert_eq!(actions.next(), Some(Action::SendPong { id: ping, calm: false }));
/// ```
#[must_use = "perform every action, in order, before handling the next event"]
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Actions {
    /// One bit for each slot that is filled, lowest first in the order of iteration.
    slots: u8,
    calm: bool,
    /// For the shell: life was heard.
    pub(crate) heard: bool,
    /// For the shell: a ping was answered, and it is certain which.
    pub(crate) proven: bool,
    transition: Option<Transition>,
    findings: Findings,
    /// For the shell: the round trip that was measured, in microseconds; 0: none.
    pub(crate) rtt_micros: u32,
    /// For the shell: when the ping left that was answered for certain, if `proven`.
    pub(crate) answered: u64,
    pong: PingId,
    /// Shared by ping and beacon: a call yields at most one of them.
    probe: PingId,
    stamp: Timestamp,
}

const PONG: u8 = 1;
const PING: u8 = 1 << 1;
const BEACON: u8 = 1 << 2;
const REQUEST: u8 = 1 << 3;
const GOODBYE: u8 = 1 << 4;
const NOTIFY: u8 = 1 << 5;
const REPORT: u8 = 1 << 6;

impl Actions {
    /// The most actions one call can yield: a pong, a ping or a beacon, a request for a probe or a
    /// goodbye, a transition, and a set of findings.
    pub const CAPACITY: usize = 5;

    /// Whether there is nothing (left) to do.
    pub const fn is_empty(&self) -> bool {
        self.slots == 0
    }

    /// The transition among the remaining actions, if any.
    pub const fn transition(&self) -> Option<Transition> {
        if self.slots & NOTIFY == 0 { None } else { self.transition }
    }

    /// The findings among the remaining actions; empty if there are none.
    pub const fn findings(&self) -> Findings {
        if self.slots & REPORT == 0 { Findings::NONE } else { self.findings }
    }

    pub(crate) const fn pong(&mut self, id: PingId, calm: bool) {
        self.slots |= PONG;
        self.pong = id;
        self.calm = calm;
    }

    pub(crate) const fn ping(&mut self, id: PingId, stamp: u64) {
        self.probe(PING, id, stamp);
    }

    pub(crate) const fn beacon(&mut self, id: PingId, stamp: u64) {
        self.probe(BEACON, id, stamp);
    }

    pub(crate) const fn request_probe(&mut self) {
        debug_assert!(self.slots & PING == 0); // R2
        self.slots |= REQUEST;
    }

    pub(crate) const fn goodbye(&mut self) {
        self.slots |= GOODBYE;
    }

    /// Replaces what was told before: a call tells at most one transition.
    pub(crate) const fn notify(&mut self, transition: Option<Transition>) {
        self.slots = if transition.is_some() { self.slots | NOTIFY } else { self.slots & !NOTIFY };
        self.transition = transition;
    }

    /// Tells these findings, of which there is at least one.
    pub(crate) const fn report(&mut self, findings: Findings) {
        self.slots |= REPORT;
        self.findings = self.findings.with(findings);
    }

    pub(crate) const fn sends_pong(&self) -> bool {
        self.slots & PONG != 0
    }

    pub(crate) const fn sends_ping(&self) -> bool {
        self.slots & PING != 0
    }

    /// The ping among the actions.
    #[cfg(feature = "detectors")]
    pub(crate) const fn ping_id(&self) -> Option<PingId> {
        if self.sends_ping() { Some(self.probe) } else { None }
    }

    /// Whether a transition or a finding is told.
    #[inline]
    pub(crate) const fn has_news(&self) -> bool {
        self.slots & (NOTIFY | REPORT) != 0
    }

    /// These, and those of the next call at the same time: what one call would have yielded. A ping
    /// takes the place of a beacon, and of a request for one.
    #[cfg(feature = "fleet")]
    pub(crate) fn followed_by(&self, next: &Self) -> Self {
        let sooner = self.slots & PING != 0;
        let pinged = (self.slots | next.slots) & PING != 0;
        let slots = self.slots | next.slots;
        let probe = if sooner || next.slots & (PING | BEACON) == 0 { self } else { next };
        let transition = match (self.transition(), next.transition()) {
            (Some(first), Some(last)) => Some(Transition::new(first.from, last.to, last.reason)),
            (first, last) => first.or(last),
        };
        let mut both = Self {
            slots: if pinged { slots & !(BEACON | REQUEST) } else { slots },
            probe: probe.probe,
            stamp: probe.stamp,
            pong: if self.slots & PONG != 0 { self.pong } else { next.pong },
            calm: self.calm || next.calm,
            heard: self.heard || next.heard,
            proven: next.proven,
            findings: self.findings.with(next.findings),
            rtt_micros: next.rtt_micros,
            answered: next.answered,
            transition,
        };
        both.notify(transition.filter(|change| change.from != change.to));
        both
    }

    /// Whether a ping or a beacon already leaves in this call.
    pub(crate) const fn sends_life(&self) -> bool {
        self.slots & (PING | BEACON) != 0
    }

    const fn probe(&mut self, slot: u8, id: PingId, stamp: u64) {
        debug_assert!(self.slots & (PING | BEACON) == 0); // R2
        self.slots |= slot;
        self.probe = id;
        self.stamp = Timestamp::from_nanos(stamp);
    }
}

impl Iterator for Actions {
    type Item = Action;

    #[inline]
    fn next(&mut self) -> Option<Action> {
        let slot = self.slots & self.slots.wrapping_neg();
        self.slots &= !slot;
        Some(match slot {
            PONG => Action::SendPong { id: self.pong, calm: self.calm },
            PING => Action::SendPing { id: self.probe, stamp: self.stamp },
            BEACON => Action::SendBeacon { id: self.probe, stamp: self.stamp },
            REQUEST => Action::RequestProbe,
            GOODBYE => Action::SendGoodbye,
            NOTIFY => return self.transition.map(Action::Notify),
            REPORT => Action::Report(self.findings),
            _ => return None,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.slots.count_ones() as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Actions {}
impl FusedIterator for Actions {}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

const _: () = assert!(size_of::<Action>() <= 24); // R3
const _: () = assert!(size_of::<Actions>() <= 48);
