//! The checker of one machine: an observer with its own memory, who sees what the machine is told
//! and what it says, knows its configuration and the rules, and nothing of its state.

mod pings;
mod verdicts;
mod wake_ups;

use crate::config::{Config, LatePolicy, LifeRule, MAX_SPAN_NANOS, PingSchedule};
use crate::event::Event;
use crate::finding::Findings;
use crate::liveness::{Liveness, Reason};
use crate::report::Report;
use crate::time::nanos;

use self::pings::{Asked, Pings};
use super::invariant::Invariant;
use super::told::Told;

/// No moment: later than all of them.
pub(crate) const NEVER: u64 = u64::MAX;

/// Rule T6, in the checker's own words.
const END_OF_TIME: u64 = u64::MAX - 4 * MAX_SPAN_NANOS;

/// One call, as seen from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) event: Event,
    pub(crate) given: u64,
    pub(crate) before: Liveness,
    pub(crate) after: Liveness,
    /// The wake-up before and after; [`NEVER`] if none.
    pub(crate) due: u64,
    pub(crate) next: u64,
    pub(crate) told: Told,
    /// Of this call's verdict.
    pub(crate) report: Option<Report>,
}

/// What is known of the world beyond one machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nothing.
    #[default]
    None,
    /// Since this local time the peer answers every ping within W.
    Answers(u64),
    /// And no ping that was lost before can still matter: no verdict at all.
    Healthy,
}

#[expect(clippy::struct_excessive_bools, reason = "facts are independent of each other")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ghost {
    pub(crate) claim: Claim,
    /// The detector is the fixed one: the limit of silence is known exactly.
    pub(crate) fixed: bool,
    /// The largest time given.
    now: u64,
    /// The last evidence; until then the start and its grace.
    ev: u64,
    pings: Pings,
    asked: Asked,
    silence: Silence,
    /// How often the peer's calm signals were obeyed, and the gap it asked for.
    calm: u32,
    peer_gap: u64,
    suspended: Option<u64>,
    draining: bool,
    over: bool,
    exhausted: bool,
}

/// What happened since the last evidence.
#[expect(clippy::struct_excessive_bools, reason = "facts are independent of each other")]
#[derive(Clone, Copy, Debug, Default)]
struct Silence {
    /// The first ping of this silence.
    probe: Option<u64>,
    /// The caller's lateness, except what was forgiven.
    lateness: u64,
    /// Resumes, and limits that moved the verdict closer: each may bring a re-probe.
    resumes: u64,
    late: bool,
    granted: bool,
    /// A ping was written later than the slack.
    slow_writer: bool,
    /// Until then no verdict by silence may fall (S5).
    grace: u64,
    /// What counts as evidence could not be told from outside.
    unsure: bool,
}

/// The effective numbers (rule CF4).
#[derive(Clone, Copy)]
struct Numbers {
    interval: u64,
    gap: u64,
    floor: u64,
}

impl Ghost {
    pub(crate) fn new(epoch: u32, now: u64, fixed: bool) -> Self {
        Self {
            claim: Claim::None,
            fixed,
            now,
            ev: now,
            pings: Pings::new(epoch),
            asked: Asked::new(now),
            silence: Silence::default(),
            calm: 0,
            peer_gap: 0,
            suspended: None,
            draining: false,
            over: false,
            exhausted: false,
        }
    }

    /// The observer of the next connection (rule LC8).
    pub(crate) fn next_connection<D>(&self, config: &Config<D>, epoch: u32, now: u64) -> Self {
        Self {
            calm: self.calm,
            peer_gap: self.peer_gap,
            ev: now + config.startup_grace,
            ..Self::new(epoch, now, self.fixed)
        }
    }

    #[inline]
    pub(crate) fn check<D>(&mut self, config: &Config<D>, call: &Call) -> Result<(), Invariant> {
        let now = call.given.max(self.now);
        check_clock(call, now, call.given < self.now)?;
        self.now = now;
        if call.told.count != 0 && !call.told.is_one_of_each() {
            return Err(Invariant::NoAmplification);
        }
        if now > END_OF_TIME && (self.exhausted || call.told.found.contains(EXHAUSTED)) {
            self.exhausted = true;
            let quiet = call.next == NEVER && !call.told.acts();
            return if quiet { Ok(()) } else { Err(Invariant::WakeUp) };
        }
        // Under Strict an overdue verdict falls before the limit is looked at (rule E10).
        let lost = call.told.change.is_some_and(|change| change.to == Liveness::Lost);
        let void = lost && config.late_policy == LatePolicy::Strict;
        if !void {
            self.hear_limit(config, call.event);
        }
        if self.over {
            let quiet = !call.told.acts() && call.after == call.before && call.next == NEVER;
            return if quiet { Ok(()) } else { Err(Invariant::Final) };
        }
        self.pass_time(config, call);
        self.check_answer(config, call)?;
        if lost {
            self.check_verdict(config, call)?;
        }
        if void {
            self.hear_limit(config, call.event);
        }
        let due = self.follow(config, call)?;
        self.check_wake_up(config, call, due)?;
        self.check_promise(config, call)
    }

    /// Rule A6. The next connection remembers it, so it counts after the end too.
    fn hear_limit<D>(&mut self, config: &Config<D>, event: Event) {
        if let Event::LimitReceived { min_gap } = event {
            let before = self.numbers(config).interval;
            self.peer_gap = rounded_gap(nanos(min_gap));
            self.silence.resumes += u64::from(self.numbers(config).interval < before);
        }
    }

    fn numbers<D>(&self, config: &Config<D>) -> Numbers {
        if (self.calm == 0 && self.peer_gap == 0) || !config.sends_on_plan() {
            let (interval, gap, floor) = (config.interval, config.min_gap, config.floor);
            return Numbers { interval, gap, floor };
        }
        let limit = config.ceiling - config.window;
        let peer_gap = self.peer_gap.min(limit);
        let interval = config.interval.max(peer_gap).max((config.interval << self.calm).min(limit));
        let floor = if config.probes() { interval + config.window } else { 0 };
        Numbers { interval, gap: config.min_gap.max(peer_gap), floor: config.floor.max(floor) }
    }

    /// The limit of silence: exactly for the fixed detector, else a lower bound (rule J2).
    fn limit<D>(&self, config: &Config<D>) -> u64 {
        let Numbers { interval, floor, .. } = self.numbers(config);
        let fixed = config.timeout + (interval - config.interval);
        let span = if self.fixed { fixed.max(floor) } else { floor };
        self.ev + span.min(config.ceiling)
    }

    // ----- Time: lateness, forgiveness, suspension -----

    fn pass_time<D>(&mut self, config: &Config<D>, call: &Call) {
        let (now, event) = (self.now, call.event);
        if let (Some(_), false) = (self.suspended, matches!(event, Event::Close | Event::Suspend)) {
            let slept = if let Event::Resume { slept } = event { nanos(slept) } else { 0 };
            return self.resume(config, call, slept);
        }
        if let Event::Resume { slept } = event {
            if !matches!(call.before, Liveness::Lost | Liveness::Closed) {
                self.resume(config, call, nanos(slept));
            }
        }
        if now < call.due || !call.before.is_live() || self.draining {
            return;
        }
        let by = now - call.due;
        let mut forgiven = 0;
        if by > config.slack && !matches!(event, Event::Resume { .. }) {
            match config.late_policy {
                LatePolicy::Forgive(most) => {
                    forgiven = by.min(nanos(most));
                    self.ev = moved(self.ev, forgiven, call.due, now);
                }
                LatePolicy::Reprobe if !self.silence.granted => {
                    self.silence.grace = now + config.window;
                }
                LatePolicy::Reprobe | LatePolicy::Strict => {}
            }
            self.silence.late = true;
        }
        self.silence.lateness += by - forgiven;
    }

    /// Rule LC6.
    fn resume<D>(&mut self, config: &Config<D>, call: &Call, slept: u64) {
        let began = self.suspended.take().unwrap_or(self.now);
        let stood = self.now - began;
        let by = if self.ev > began { stood } else { stood.max(slept) };
        self.ev = moved(self.ev, by, began, self.now);
        self.silence.resumes += 1;
        self.silence.granted = true;
        if call.before.is_live() && !self.draining {
            self.silence.grace = self.now + config.window;
        }
    }

    // ----- Answers (S8) -----

    fn check_answer<D>(&mut self, config: &Config<D>, call: &Call) -> Result<(), Invariant> {
        let mut asked = None;
        if let Event::PingReceived { id, .. } = call.event {
            let reopening = call.before == Liveness::Lost; // A final one is over.
            if config.answers() && (call.before.is_live() || reopening) {
                asked = self.asked.admit(config, self.now).map(|calm| (id, calm));
            }
        }
        // Under Strict a verdict that is overdue falls before the ping is looked at (rule E10).
        let excused = call.told.pong.is_none()
            && call.after == Liveness::Lost
            && config.late_policy == LatePolicy::Strict;
        if call.told.pong == asked || excused { Ok(()) } else { Err(Invariant::Answer) }
    }

    // ----- What the call changed -----

    /// Remembers what happened, and returns whether it was evidence.
    fn follow<D>(&mut self, config: &Config<D>, call: &Call) -> Result<bool, Invariant> {
        let (told, now) = (&call.told, self.now);
        self.follow_life(config, call);
        if told.found.contains(Findings::CALMED) {
            self.calm += 1;
        }
        let kind = self.pings.evidence(config, call);
        let lost = told.change.is_some_and(|change| change.to == Liveness::Lost);
        let heard = match call.before {
            _ if lost => false,
            Liveness::Lost => call.after.is_live(),
            before => before.is_live() && kind.counts,
        };
        if call.before == Liveness::Lost && heard && !kind.reopens {
            return Err(Invariant::ReceivedOnly);
        }
        if heard {
            self.ev = now;
            // A ping of the same moment may still be missed.
            let probe = self.pings.last.filter(|&last| last == now);
            self.silence = Silence { probe, unsure: kind.unsure, ..Silence::default() };
        }
        self.silence.granted |= told.found.contains(Findings::REPROBE);
        if let Event::PingSent { .. } = call.event {
            // It leaves when it is written.
            let took = self.pings.last.map_or(0, |emitted| now - emitted);
            self.silence.slow_writer |= took > config.slack;
            self.silence.probe = self.silence.probe.or(Some(now));
        }
        if let Some((id, _)) = told.ping {
            let gap = self.numbers(config).gap;
            if self.pings.last.is_some_and(|last| now - last < gap) {
                return Err(Invariant::Gap);
            }
            self.pings.sent(id, now);
            self.silence.probe = self.silence.probe.or(Some(now));
        }
        Ok(heard)
    }

    fn follow_life<D>(&mut self, config: &Config<D>, call: &Call) {
        match call.event {
            Event::Start if call.before == Liveness::Idle => {
                self.ev = self.now + config.startup_grace;
                self.silence = Silence::default();
            }
            Event::Drain if call.before.is_live() => self.draining = true,
            // J14: its window, and those of a request and of a ping in it.
            Event::Hold { .. } => {
                self.silence.resumes += 2 + u64::from(config.schedule == PingSchedule::External);
                if call.told.found.contains(Findings::REPROBE) {
                    self.silence.grace = self.now + config.window;
                }
            }
            Event::Suspend if !matches!(call.after, Liveness::Lost | Liveness::Closed) => {
                self.suspended = self.suspended.or(Some(self.now));
            }
            _ => {}
        }
        let for_good = config.reopen_after == 0
            || self.draining
            || call.told.change.is_some_and(|change| change.reason == Reason::StartupTimeout);
        self.over = match call.after {
            Liveness::Closed => true,
            Liveness::Lost => for_good,
            _ => false,
        };
    }

    /// Whether the machine is past any change.
    pub(crate) const fn is_over(&self) -> bool {
        self.over || self.exhausted
    }

    pub(crate) const fn is_draining(&self) -> bool {
        self.draining
    }
}

const EXHAUSTED: Findings = Findings::CLOCK_EXHAUSTED;

/// M1.
fn check_clock(call: &Call, now: u64, regressed: bool) -> Result<(), Invariant> {
    let told = &call.told;
    let stamped = |sent: Option<(_, u64)>| sent.is_none_or(|(_, stamp)| stamp == now);
    let stamps = stamped(told.ping) && stamped(told.beacon);
    let fine = stamps && told.found.contains(Findings::CLOCK_REGRESSION) == regressed;
    if fine { Ok(()) } else { Err(Invariant::Monotone) }
}

/// A stamp after a pause: what lay ahead when it began keeps its distance, what lay behind moves
/// on, but not beyond now.
const fn moved(stamp: u64, by: u64, began: u64, now: u64) -> u64 {
    let moved = stamp.saturating_add(by);
    if stamp > began || moved <= now {
        moved
    } else if stamp > now {
        stamp
    } else {
        now
    }
}

/// Rule A6.
const fn rounded_gap(gap: u64) -> u64 {
    let (mut millis, mut doubled) = (gap.div_ceil(1_000_000), 0);
    while millis > 127 {
        millis = millis.div_ceil(2);
        doubled += 1;
    }
    (millis << doubled).saturating_mul(1_000_000)
}

/// What an event is as a sign of life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// By the life rule.
    pub(crate) counts: bool,
    /// It brings back a lost peer, where that may be.
    pub(crate) reopens: bool,
    /// It cannot be told from outside.
    pub(crate) unsure: bool,
}

impl LifeRule {
    /// Rule E1: any whole frame counts.
    const fn takes_frames(self) -> bool {
        matches!(self, Self::AnyFrame | Self::AnyByte)
    }
}
