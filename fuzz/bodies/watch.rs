//! A machine with a watch on it: every call is checked against the invariants that hold for any
//! event at any time.

use core::sync::atomic::Ordering;

use heartbeat_proto::detector::Deadline;
use heartbeat_proto::{
    Action, Actions, Event, Findings, HeartbeatMachine, LatePolicy, Ledger, Liveness, PeerState,
    Reason, Report, Timestamp,
};

use super::TRACE;
use super::rules::{Rules, nanos};
use super::silence::{Evidence, Silence, by_silence, is_judged};

/// From here on the clock is exhausted (rule T6).
const END_OF_TIME: u64 = u64::MAX - 4 * 86_400 * 1_000_000_000;

const fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

/// One machine and everything that an outsider knows of it.
pub struct Watch<L: Ledger> {
    pub machine: HeartbeatMachine<Deadline, L>,
    pub rules: Rules,
    /// The largest `now` so far.
    pub now: u64,
    /// The same rules without the shell, on a clock that shows this much more (M3).
    twin: Option<(PeerState<Deadline, L>, u64)>,
    /// From the middle of a run on (M5).
    clone: Option<HeartbeatMachine<Deadline, L>>,
    silence: Silence,
    suspended: bool,
    draining: bool,
    exhausted: bool,
    /// Lost, and nothing can ever reopen it.
    is_final: bool,
    peer_gap: u64,
    worst_gap: u64,
    last_ping: Option<u64>,
    /// Of the newest ping, or beacon where no pings are sent.
    number: u32,
    pings: u64,
    pongs: u64,
    pings_received: u64,
}

impl<L: Ledger> Watch<L> {
    pub fn new(rules: Rules, seed: u64, now: u64, shift: u64) -> Self {
        if TRACE.load(Ordering::Relaxed) {
            eprintln!("seed {seed}, start {now}, {:?}", rules.config);
        }
        Self {
            machine: HeartbeatMachine::with_ledger(rules.config, seed, at(now)),
            rules,
            now,
            twin: Some((PeerState::new(seed, at(now.saturating_add(shift))), shift)),
            clone: None,
            silence: Silence::from(now),
            suspended: false,
            draining: false,
            exhausted: false,
            is_final: false,
            peer_gap: 0,
            worst_gap: 0,
            last_ping: None,
            number: 0,
            pings: 0,
            pongs: 0,
            pings_received: 0,
        }
    }

    pub fn due(&self) -> Option<u64> {
        self.machine.next_deadline().map(Timestamp::as_nanos)
    }

    /// Nothing will ever be sent or judged again.
    pub fn has_ended(&self) -> bool {
        match self.machine.liveness() {
            Liveness::Closed => true,
            Liveness::Lost => self.is_final || self.rules.reopen_after == 0,
            _ => false,
        }
    }

    fn is_slowed(&self) -> bool {
        self.machine.effective_interval() != self.rules.config.interval()
    }

    /// From now on a clone goes the same way.
    pub fn fork(&mut self) {
        self.clone = Some(self.machine.clone());
    }

    pub fn tell(&mut self, event: Event, given: u64) -> Actions {
        let regressed = given < self.now;
        let (due, before, ended) = (self.due(), self.machine.liveness(), self.has_ended());
        let (was_silence, was_suspended) = (self.silence, self.suspended);
        let was_slowed = self.is_slowed();
        self.tick_too_early(due);
        self.now = self.now.max(given);
        let actions = self.machine.handle(event, at(given));
        if TRACE.load(Ordering::Relaxed) {
            eprintln!("{given} {event:?} -> {actions:?}, due {:?}", self.due());
        }
        self.pings_received += u64::from(matches!(event, Event::PingReceived { .. }));
        let found = actions.findings();
        assert_eq!(found.contains(Findings::CLOCK_REGRESSION), regressed, "M1: {actions:?}");
        if let Some(clone) = &mut self.clone {
            assert_eq!(clone.handle(event, at(given)), actions, "M5");
        }
        self.walk_twin(event, &actions);

        let exhausted = self.now > END_OF_TIME;
        let told = found.contains(Findings::CLOCK_EXHAUSTED);
        let skipped = event == Event::Tick && due.is_some_and(|due| self.now < due);
        assert_eq!(told, exhausted && !self.exhausted && !skipped, "T6: {actions:?}");
        self.exhausted |= told;
        let after = self.machine.liveness();
        if !exhausted && !skipped {
            self.note(event, before, found, due);
        }
        self.check(Some(event), before, ended, &actions);
        if let Some(change) = actions.transition().filter(|change| change.to == Liveness::Lost) {
            let report = self.machine.report().expect("J12: a verdict has a report");
            assert!(actions.len() <= Actions::CAPACITY && change.reason == report.reason);
            if before.is_live() && !exhausted {
                let mut silence = was_silence;
                silence.called(due.map_or(0, |due| self.now.saturating_sub(due)));
                if was_suspended || found.contains(Findings::RESUMED) || self.forgives(found) {
                    silence.paused();
                }
                silence.heard(self.heard_too(event, &report, found), self.now, None);
                if matches!(event, Event::LimitReceived { .. }) {
                    // A smaller gap brings V forward (A6, CF4).
                    silence.slowed();
                }
                let slowed = was_slowed || self.is_slowed();
                silence.verdict(&self.rules, slowed, &report, &actions, self.now);
                if !was_suspended && !self.draining && self.rules.judges() {
                    silence.bound(&self.rules, self.worst_gap, self.now);
                }
            }
        }
        if !exhausted && self.rules.judges() && is_judged(after, self.draining, self.suspended) {
            self.silence.bound(&self.rules, self.worst_gap, self.now);
        }
        self.lazy(event, before, due, &actions);
        actions
    }

    /// Other rules from now on.
    pub fn reconfigure(&mut self, rules: Rules) -> Actions {
        let (before, ended) = (self.machine.liveness(), self.has_ended());
        self.rules = rules;
        let actions = self.machine.reconfigure(rules.config, at(self.now));
        if TRACE.load(Ordering::Relaxed) {
            eprintln!("{} {:?} -> {actions:?}, due {:?}", self.now, rules.config, self.due());
        }
        if let Some(clone) = &mut self.clone {
            assert_eq!(clone.reconfigure(rules.config, at(self.now)), actions, "M5");
        }
        if let Some((twin, shift)) = live(&mut self.twin, self.now) {
            let bare = twin.reconfigure(&rules.config, at(self.now + shift));
            assert_eq!(bare.len(), actions.len(), "M3");
        }
        let exhausted = self.now > END_OF_TIME;
        self.exhausted |= exhausted;
        self.silence.reconfigured();
        // What could reopen may have ended under these rules, and the other way round.
        self.check(None, before, ended && self.has_ended(), &actions);
        if let Some(change) = actions.transition() {
            let at_once = matches!(change.reason, Reason::NoResponse | Reason::Silence);
            assert!(!at_once || change.to != Liveness::Lost, "LC9: {change}");
        }
        actions
    }

    /// The next connection to the same peer.
    pub fn reconnect(&mut self) {
        self.machine = self.machine.reconnected(at(self.now));
        self.clone = None;
        if let Some((twin, shift)) = live(&mut self.twin, self.now) {
            *twin = twin.next_connection(&self.rules.config, at(self.now + shift));
        }
        let began = self.now.min(END_OF_TIME);
        self.silence = Silence::from(began.saturating_add(self.rules.grace));
        (self.suspended, self.draining, self.is_final) = (false, false, false);
        (self.exhausted, self.last_ping, self.number) = (false, None, 0);
        (self.pings, self.pongs, self.pings_received) = (0, 0, 0);
    }

    /// At the end of a run.
    pub fn finish(self) {
        let stats = self.machine.stats();
        assert_eq!((stats.pings_sent, stats.pongs_sent), (self.pings, self.pongs), "RP2");
        assert!(self.pongs <= self.pings_received, "R2");
        assert_eq!(stats.pings_received, self.pings_received, "RP2");
        if let Some(clone) = self.clone {
            assert_eq!(clone, self.machine, "M5");
        }
        assert!(!self.machine.suspicion(at(self.now)).is_nan());
        assert!(!self.machine.is_verified_since(at(u64::MAX)));
        assert!(self.machine.lateness().percentile(99) <= self.machine.lateness().max());
    }

    /// L4, M6: a tick before the wake-up, and one at the time of the last call, change nothing.
    fn tick_too_early(&self, due: Option<u64>) {
        let Some((twin, shift)) = &self.twin else { return };
        // After a reconnection the first ping may be due at once.
        let at_once = due.is_some_and(|due| due <= self.now);
        if self.suspended || self.exhausted || at_once {
            return;
        }
        for early in [self.now, due.map_or(self.now, |due| due - 1)] {
            let mut same = *twin;
            let now = at(early.saturating_add(*shift));
            let actions = same.handle(&self.rules.config, Event::Tick, now);
            if early <= END_OF_TIME - shift {
                assert!(actions.is_empty() && same == *twin, "L4, M6: {actions:?} at {early}");
            }
        }
    }

    /// M1, M3: the bare rules say the same, shifted, at the clamped time.
    fn walk_twin(&mut self, event: Event, actions: &Actions) {
        let due = self.due();
        let Some((twin, shift)) = live(&mut self.twin, self.now) else { return };
        let event = match event {
            Event::PongReceived { id, stamp: Some(stamp), hold, calm } => {
                // Beyond the clock a stamp is as good as its last moment.
                let stamp = Some(at(stamp.as_nanos().saturating_add(shift)));
                Event::PongReceived { id, stamp, hold, calm }
            }
            other => other,
        };
        let bare = twin.handle(&self.rules.config, event, at(self.now + shift));
        let regression = actions.findings().contains(Findings::CLOCK_REGRESSION);
        let regression = if regression { Findings::CLOCK_REGRESSION } else { Findings::NONE };
        assert_eq!(bare.findings().with(regression), actions.findings(), "M1, M3: {event:?}");
        let shifted = bare.filter(|action| !matches!(action, Action::Report(_))).map(|action| {
            let back = |stamp: Timestamp| at(stamp.as_nanos() - shift);
            match action {
                Action::SendPing { id, stamp } => Action::SendPing { id, stamp: back(stamp) },
                Action::SendBeacon { id, stamp } => Action::SendBeacon { id, stamp: back(stamp) },
                other => other,
            }
        });
        let told = actions.clone().filter(|action| !matches!(action, Action::Report(_)));
        assert!(shifted.eq(told), "M3: {event:?}");
        let next = twin.next_deadline(&self.rules.config).map(|(due, _)| due.as_nanos() - shift);
        assert_eq!(next, due, "M3: {event:?}");
        assert!(shift != 0 || self.machine.state() == twin, "M1: {event:?}");
    }

    /// The evidence of a call in which a verdict fell for another reason than silence: that may
    /// have been before it or after it.
    fn heard_too(&self, event: Event, report: &Report, found: Findings) -> Evidence {
        let epoch = self.machine.state().epoch();
        match Evidence::of(event, found, epoch, self.rules.life_rule) {
            Evidence::No => Evidence::No,
            _ if by_silence(report.reason) => Evidence::No,
            _ => Evidence::Perhaps,
        }
    }

    fn forgives(&self, found: Findings) -> bool {
        let forgives = matches!(self.rules.config.late_policy(), LatePolicy::Forgive(_));
        forgives && found.contains(Findings::LATE_CALL)
    }

    /// What the call means to an outsider.
    fn note(&mut self, event: Event, before: Liveness, found: Findings, due: Option<u64>) {
        let after = self.machine.liveness();
        let over = matches!(after, Liveness::Lost | Liveness::Closed);
        self.silence.called(due.map_or(0, |due| self.now.saturating_sub(due)));
        if found.contains(Findings::RESUMED) || self.forgives(found) {
            self.silence.paused();
        }
        if before == Liveness::Idle && after == Liveness::Starting {
            self.silence = Silence::from(self.now.saturating_add(self.rules.grace));
        }
        if let Event::LimitReceived { min_gap } = event {
            self.peer_gap = rounded(nanos(min_gap.min(core::time::Duration::from_secs(1 << 33))));
            self.worst_gap = self.worst_gap.max(self.peer_gap);
            self.silence.slowed();
        }
        let reopened = before == Liveness::Lost && after.is_live();
        if (before.is_live() && !over) || reopened {
            let epoch = self.machine.state().epoch();
            let evidence = Evidence::of(event, found, epoch, self.rules.life_rule);
            let evidence = if reopened { Evidence::Yes } else { evidence };
            self.silence.heard(evidence, self.now, self.last_ping);
        }
        if found.contains(Findings::REPROBE) {
            self.silence.reprobed(matches!(event, Event::LimitReceived { .. }));
        }
        self.draining |= event == Event::Drain && after.is_live();
        self.suspended = match event {
            Event::Suspend => !over,
            Event::Close => self.suspended && !over,
            _ => false,
        };
    }

    /// What holds after any call.
    fn check(&mut self, event: Option<Event>, before: Liveness, ended: bool, actions: &Actions) {
        let after = self.machine.liveness();
        let change = actions.transition();
        let (from, to) = change.map_or((before, before), |change| (change.from, change.to));
        assert_eq!((from, to), (before, after), "T8: {actions:?}");
        assert!(change.is_none() || from != to, "T8: {actions:?}");
        if let Some(change) = change.filter(|change| change.to == Liveness::Lost) {
            let for_good = matches!(change.reason, Reason::StartupTimeout | Reason::DrainTimeout);
            self.is_final |= for_good || self.draining || self.rules.reopen_after == 0;
        }
        let over = self.has_ended();
        assert!(!ended || (over && change.is_none()), "S7: {actions:?} after the end");
        assert!(actions.len() <= Actions::CAPACITY, "R2: {actions:?}");
        let mut rank = 0;
        for action in actions.clone() {
            let this = self.check_action(event, action, over, ended);
            assert!(this > rank, "T8: out of order, or twice: {actions:?}");
            rank = this;
        }
        self.check_answer(event, before, actions);
        if let Some(due) = self.due() {
            assert!(due > self.now, "L2: {due} at {}", self.now);
            assert!(!over && !self.suspended && !self.exhausted, "L2, S7: {due}");
        } else {
            let waits = after.is_live() || after == Liveness::Idle;
            assert!(!waits || self.suspended || self.exhausted, "L2: no wake-up, {event:?}");
        }
    }

    /// The rank of the action in a call.
    fn check_action(
        &mut self,
        event: Option<Event>,
        action: Action,
        over: bool,
        ended: bool,
    ) -> u8 {
        match action {
            Action::SendPong { id, .. } => {
                let asked = matches!(event, Some(Event::PingReceived { id: of, .. }) if of == id);
                assert!(asked && !ended, "S8, R2, S7: {action:?} to {event:?}");
                self.pongs += 1;
                1
            }
            Action::SendPing { id, stamp } => {
                assert!(!over && self.rules.probes(), "S7, P1: {action:?}");
                assert_eq!(stamp.as_nanos(), self.now);
                if let Some(sent) = self.last_ping {
                    let gap = self.rules.gap(self.peer_gap);
                    assert!(self.now - sent >= gap, "R1: {} < {gap}", self.now - sent);
                }
                self.number += 1;
                assert_eq!(id.seq(), self.number, "P11");
                self.last_ping = Some(self.now);
                self.silence.pinged(self.now);
                self.pings += 1;
                2
            }
            Action::SendBeacon { id, .. } => {
                assert!(!over, "S7: {action:?}");
                self.number += u32::from(!self.rules.probes());
                assert_eq!(id.seq(), self.number, "P11");
                2
            }
            Action::RequestProbe => {
                assert!(!over && !self.rules.own_schedule, "S7, P10: {action:?}");
                3
            }
            Action::SendGoodbye => {
                assert!(event == Some(Event::Close) && !ended, "LC4: {action:?}");
                4
            }
            Action::Notify(_) => 5,
            Action::Report(_) => 6,
            _ => unreachable!("an action that the watch does not know"),
        }
    }

    /// S8: what is admitted is answered.
    fn check_answer(&self, event: Option<Event>, before: Liveness, actions: &Actions) {
        let Some(Event::PingReceived { .. }) = event else { return };
        let found = actions.findings();
        let pong = actions.clone().any(|action| matches!(action, Action::SendPong { .. }));
        let strike = found.contains(Findings::PING_STRIKE);
        assert!(!strike || self.rules.polices, "A2: {actions:?}");
        // A verdict may fall in this call, before its event or after it.
        let open = before.is_live() && !self.machine.liveness().eq(&Liveness::Lost);
        if open && !self.exhausted {
            assert_eq!(pong, self.rules.answers() && !strike, "S8: {actions:?}");
        }
    }

    /// L5: evidence never makes the wake-up earlier.
    fn lazy(&self, event: Event, before: Liveness, due: Option<u64>, actions: &Actions) {
        let steady = before == Liveness::Alive && self.machine.liveness() == Liveness::Alive;
        let idle = self.rules.when_idle && self.rules.own_schedule && self.rules.probes();
        let idle = idle && self.last_ping < Some(self.now);
        let (Some(old), Some(new)) = (due, self.due()) else { return };
        if steady && idle && event == Event::FrameReceived && actions.is_empty() && !self.draining {
            assert!(new >= old, "L5: {old} to {new}");
        }
    }
}

/// The twin and its shift; `None` once its clock is exhausted, which is before the machine's.
fn live<L: Ledger>(
    twin: &mut Option<(PeerState<Deadline, L>, u64)>,
    now: u64,
) -> Option<(&mut PeerState<Deadline, L>, u64)> {
    if twin.is_some_and(|(_, shift)| now > END_OF_TIME - shift) {
        *twin = None;
    }
    twin.as_mut().map(|(twin, shift)| (twin, *shift))
}

/// The peer's gap as it is kept (rule A6).
fn rounded(nanos: u64) -> u64 {
    let millis = nanos.div_ceil(1_000_000);
    let power = (0..32).find(|&power| millis.div_ceil(1 << power) <= 127).unwrap_or(0_u32);
    (millis.div_ceil(1 << power) << power).saturating_mul(1_000_000)
}
