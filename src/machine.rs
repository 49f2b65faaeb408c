//! The transition function. One [`step`] takes what happened and when, uses nothing else (rule T2),
//! and does, in this order (rule T8):
//!
//! 1. `wake`: was the machine frozen, or the caller late? (below)
//! 2. `apply_evidence`: what the event says about the peer (`evidence.rs`);
//! 3. `judge`: misses, suspicion, verdicts (`judge.rs`);
//! 4. `plan_probe`: a ping, if one is due (`probe.rs`);
//! 5. `owe_sign_of_life`: a beacon, if we have been silent for too long ourselves (`probe.rs`).
//!
//! Parts 3 to 5 are `settle`'s, which skips them when nothing can be due. The words:
//!
//! * *life*, *evidence*: anything received that renews trust, by the life rule; *traffic* is all of
//!   it but pongs. *Silence* is the time since, `ev` the stamp of the last.
//! * A *beacon* is a sign of life that wants no answer; the *keepalive* is one that we owe.
//! * Several pings may be out. The *judged* one is the oldest still waited for; when it is answered
//!   or its response *window* ends, the newest takes its place. A window that ends in silence is a
//!   *miss*; if only the pong is missing, the ping is *unanswered*.
//! * The *limit* is how much silence the detector allows, between `floor` and `ceiling`. Beyond it
//!   lies the verdict; a *re-probe* puts that off, once a silence.
//!
//! ```text
//!             Start              first life
//!    Idle ───────────▶ Starting ────────────▶ Alive ◀─────────────┐
//!      │                  │                   │   ▲               │ enough
//!      │                  │          bad signs│   │good signs     │ good signs
//!      │ start-up         │ silence           ▼   │               │
//!      │ limit            │                  Suspect         Recovering ◀── next connection
//!      │                  │                     │ silence         ▲  │
//!      │                  ▼                     ▼                 │  │ silence
//!      └──────────────▶ Lost ◀──────────────────┴─────────────────┼──┘
//!                         │              reopen_after: good reply │
//!                         └───────────────────────────────────────┘
//!    any live one ── a verdict that needs no suspicion (the writer, the drain limit) ──▶ Lost
//!    any but a final Lost ── Close, GoodbyeReceived ──▶ Closed
//! ```
//!
//! Whether something is due is decided in `deadlines.rs`, by the stamps in `state.rs` that the parts
//! set. Ids such as T7 in comments name rules of `docs/SPEC.md`.

#![expect(clippy::inline_always, reason = "a step must be compiled into its shell")]

use core::time::Duration;

use crate::action::Actions;
use crate::config::{Config, FirstPing, LatePolicy, MAX_SPAN_NANOS};
use crate::deadlines::{self, DeadlineReason, Deadlines, NEVER};
use crate::detector::{Detector, Sign};
use crate::event::{Event, PingId};
use crate::finding::Findings;
use crate::jitter;
use crate::ledger::Ledger;
use crate::liveness::{Liveness, Reason, Transition};
use crate::state::{AMBIGUOUS, PeerState, Reprobe, SPOILED, Waiting};
use crate::steady::{self, Answered, Beat, Probed};
use crate::time::{Timestamp, nanos};

/// From here on the clock is exhausted (rule T6): no sum of a stamp and four spans overflows below.
pub(crate) const END_OF_TIME: u64 = u64::MAX - 4 * MAX_SPAN_NANOS;

impl<D: Detector, L: Ledger> PeerState<D, L> {
    /// Applies one event: the rules, without the shell.
    ///
    /// This is for programs that hold many peers and share one [`Config`] between them.
    /// [`HeartbeatMachine`](crate::HeartbeatMachine) adds what a single connection wants: a clock
    /// that may step back, counters, histograms, and the report of a verdict. Here `now` must never
    /// be below that of an earlier call, and `config` must be the same, or replaced through
    /// [`PeerState::reconfigure`].
    ///
    /// Never panics, never allocates, and takes constant time.
    #[inline]
    pub fn handle(&mut self, config: &Config<D>, event: Event, now: Timestamp) -> Actions {
        let mut due = Deadlines::of_mostly_steady(config, self).first();
        let mut out = Actions::default();
        step(config, self, event, now.as_nanos(), &mut due, &mut out);
        out
    }

    /// When to call [`handle`](Self::handle) with [`Event::Tick`] at the latest, and why.
    #[inline]
    pub fn next_deadline(&self, config: &Config<D>) -> Option<(Timestamp, DeadlineReason)> {
        deadlines::next(config, self).map(|(at, reason)| (Timestamp::from_nanos(at), reason))
    }

    /// Goes on under another configuration (rule LC9): never an instant death by silence, never a
    /// gap above the new bound.
    pub fn reconfigure(&mut self, config: &Config<D>, now: Timestamp) -> Actions {
        let now = now.as_nanos();
        let mut out = Actions::default();
        let mut call = Call::new(config, self, now, &mut out);
        if now > END_OF_TIME {
            call.exhaust_clock();
            return out;
        }
        if !config.write_reports {
            call.state.set_ping_unwritten(false);
            call.state.set_tx_owing(false);
        }
        if call.state.waiting() == Waiting::Resume {
            return out; // The resume sees to the rest.
        }
        if !config.probes() {
            call.state.wait(Waiting::Nothing, now);
            call.state.set_probe_wanted(false);
        } else if call.state.waiting() == Waiting::Window {
            call.state.wait(Waiting::Nothing, now); // Granted where no pings were sent.
        }
        if call.state.liveness().is_live() && !call.state.draining() {
            call.state.set_reprobe(Reprobe::None);
            call.replan();
            call.grant_reprobe_if_near();
        }
        call.judge_and_act();
        out
    }

    /// The state for the next connection to the same peer (rule LC8).
    #[must_use]
    pub fn next_connection(&self, config: &Config<D>, now: Timestamp) -> Self {
        let now = now.as_nanos().min(END_OF_TIME); // The first event tells.
        let mut next = Self::idle(self.epoch.wrapping_add(1), now);
        next.rtt = self.rtt;
        next.set_calm(self.calm());
        next.set_peer_gap(self.peer_gap());
        let mut out = Actions::default();
        let mut call = Call::new(config, &mut next, now, &mut out);
        call.begin(Liveness::Recovering);
        next
    }
}

/// The transition function, over configuration and state, for every shell. `due` is the wake-up of
/// `state`, before and after the step; shells know it already. `out` comes empty.
#[inline(always)]
pub(crate) fn step<D, L>(
    config: &Config<D>,
    state: &mut PeerState<D, L>,
    event: Event,
    now: u64,
    due: &mut u64,
    out: &mut Actions,
) where
    D: Detector,
    L: Ledger,
{
    // T7. (Where nothing is due at all, a tick may still be the resume of a suspended machine.)
    if matches!(event, Event::Tick) && now < *due && *due != NEVER {
        return;
    }
    match event {
        Event::PongReceived { id, hold, calm: false, .. } if now < *due => {
            if let Some(answered) = answer(config, state, id, hold, now) {
                *due = answered.next;
                return answered.tell(out);
            }
        }
        Event::BeaconReceived { .. } | Event::PingReceived { .. } if now < *due => {
            if let Some(next) = beat(config, state, &event, now) {
                *due = next;
                out.heard = true;
                return;
            }
        }
        Event::Tick if now >= *due => {
            if let Some(probed) = probe(config, state, now) {
                *due = probed.next;
                return out.ping(probed.id, now);
            }
        }
        _ => {}
    }
    any_step(config, state, event, now, due, out);
}

/// [`steady::answer`] to this pong; nothing was due before `now`.
#[inline(always)]
pub(crate) fn answer<D: Detector, L: Ledger>(
    config: &Config<D>,
    state: &mut PeerState<D, L>,
    id: PingId,
    hold: Duration,
    now: u64,
) -> Option<Answered> {
    #[cfg(debug_assertions)]
    let before = *state;
    let answered = steady::answer(config, state, id, hold, now)?;
    #[cfg(debug_assertions)]
    {
        let event = Event::PongReceived { id, stamp: None, hold, calm: false };
        let mut out = Actions::default();
        answered.tell(&mut out);
        assert_no_other(config, before, event, now, NEVER, (state, answered.next, &out));
    }
    Some(answered)
}

/// [`steady::beat`] by this event, if it is one; nothing was due before `now`.
#[inline(always)]
pub(crate) fn beat<D: Detector, L: Ledger>(
    config: &Config<D>,
    state: &mut PeerState<D, L>,
    event: &Event,
    now: u64,
) -> Option<u64> {
    #[cfg(debug_assertions)]
    let before = *state;
    let next = steady::beat(config, state, &Beat::of(config, event)?, now)?;
    #[cfg(debug_assertions)]
    {
        let mut out = Actions::default();
        out.heard = true;
        assert_no_other(config, before, *event, now, NEVER, (state, next, &out));
    }
    Some(next)
}

/// [`steady::probe`].
#[inline(always)]
pub(crate) fn probe<D: Detector, L: Ledger>(
    config: &Config<D>,
    state: &mut PeerState<D, L>,
    now: u64,
) -> Option<Probed> {
    #[cfg(debug_assertions)]
    let before = *state;
    let probed = steady::probe(config, state, now)?;
    #[cfg(debug_assertions)]
    {
        assert_eq!(probed.due, Deadlines::of(config, &before).first());
        let mut out = Actions::default();
        out.ping(probed.id, now);
        assert_no_other(config, before, Event::Tick, now, probed.due, (state, probed.next, &out));
    }
    Some(probed)
}

/// The long way leads to the same place.
#[cfg(debug_assertions)]
#[cold]
#[inline(never)]
fn assert_no_other<D: Detector, L: Ledger>(
    config: &Config<D>,
    mut state: PeerState<D, L>,
    event: Event,
    now: u64,
    mut due: u64,
    short: (&PeerState<D, L>, u64, &Actions),
) {
    let mut out = Actions::default();
    any_step(config, &mut state, event, now, &mut due, &mut out);
    assert_eq!((&state, due, &out), short, "a short-cut leads elsewhere");
}

/// The same, without short-cuts.
#[inline(never)]
fn any_step<D, L>(
    config: &Config<D>,
    state: &mut PeerState<D, L>,
    event: Event,
    now: u64,
    due: &mut u64,
    out: &mut Actions,
) where
    D: Detector,
    L: Ledger,
{
    let mut call = Call::new(config, state, now, out);
    if now > END_OF_TIME {
        call.exhaust_clock();
        *due = NEVER;
        return;
    }
    call.wake(event, *due);
    call.apply_evidence(event);
    *due = call.settle();
    debug_assert!(*due > now); // L2
}

/// One call of the transition function.
pub(crate) struct Call<'a, D: Detector, L: Ledger> {
    pub(crate) config: &'a Config<D>,
    pub(crate) state: &'a mut PeerState<D, L>,
    pub(crate) now: u64,
    /// The caller was later than the slack.
    pub(crate) late: bool,
    /// The verdict was due already when the call began.
    pub(crate) overdue: bool,
    pub(crate) out: &'a mut Actions,
}

impl<'a, D: Detector, L: Ledger> Call<'a, D, L> {
    #[inline(always)]
    fn new(
        config: &'a Config<D>,
        state: &'a mut PeerState<D, L>,
        now: u64,
        out: &'a mut Actions,
    ) -> Self {
        Self { config, state, now, late: false, overdue: false, out }
    }

    #[cold]
    fn exhaust_clock(&mut self) {
        if !self.state.exhausted() {
            self.state.set_exhausted(true);
            self.out.report(Findings::CLOCK_EXHAUSTED);
        }
    }

    /// Does what is due after the evidence (parts 3 to 5), and returns the next wake-up.
    ///
    /// Nearly every call finds a steady peer, and then nothing but a deadline can ask for a
    /// judgement: signs that are bad or mending, lost probes and a running re-probe are not steady,
    /// and a late call, a resume and a change of liveness are news. So one look at the deadlines is
    /// enough. Everything else is judged at every call.
    #[inline(always)]
    fn settle(&mut self) -> u64 {
        if self.config.is_plain() && self.state.is_steady() && !self.out.has_news() {
            let deadlines = Deadlines::of_live(self.config, self.state);
            if self.now < deadlines.first() {
                return deadlines.first();
            }
            if self.now < deadlines.judgement() {
                return self.act(deadlines.probe, deadlines.keepalive);
            }
        }
        self.judge_and_act()
    }

    #[cold]
    fn judge_and_act(&mut self) -> u64 {
        self.judge();
        let deadlines = Deadlines::of(self.config, self.state);
        self.act(deadlines.probe, deadlines.keepalive)
    }

    /// Sends what is due. (Only something sent moves the deadline of the keepalive.)
    #[inline(always)]
    fn act(&mut self, probe: u64, keepalive: u64) -> u64 {
        if self.now >= probe {
            self.plan_probe();
        }
        if self.now >= keepalive {
            self.owe_sign_of_life();
        }
        Deadlines::of_mostly_steady(self.config, self.state).first()
    }

    // ----- 1. Was the machine frozen, or the caller late? -----

    #[inline(always)]
    fn wake(&mut self, event: Event, due: u64) {
        if self.state.waiting() == Waiting::Resume {
            if !matches!(event, Event::Close | Event::Suspend | Event::Resume { .. }) {
                self.resume(0); // LC5
            }
        } else if self.now >= due
            && !matches!(event, Event::Resume { .. }) // It credits a freeze nobody announced (LC6).
            && self.state.liveness().is_live()
            && !self.state.draining()
        {
            self.late = self.now - due > self.config.slack;
            if self.late || !matches!(event, Event::Tick) {
                self.woken_late(event, self.now - due);
            }
        }
    }

    /// Something was due before the event came.
    #[cold]
    fn woken_late(&mut self, event: Event, lateness: u64) {
        if self.late {
            self.out.report(Findings::LATE_CALL);
            match self.config.late_policy {
                LatePolicy::Forgive(most) => {
                    self.shift(lateness.min(nanos(most)), self.now - lateness); // J7
                }
                LatePolicy::Reprobe => self.state.forgive_writer(lateness, self.now), // J6
                LatePolicy::Strict => {}                                              // J8
            }
            self.spoil_samples();
            self.learn(Sign::Pause, None, None, None); // J13: before the evidence.
        }
        self.overdue = self.now >= Deadlines::of(self.config, self.state).verdict;
        let strict = self.config.late_policy == LatePolicy::Strict;
        if self.overdue && strict && !matches!(event, Event::Hold { .. }) {
            self.judge(); // E10: the verdict falls before the evidence.
        }
    }

    /// The freeze is over (rule LC6).
    pub(crate) fn resume(&mut self, slept: u64) {
        if matches!(self.state.liveness(), Liveness::Lost | Liveness::Closed) {
            return;
        }
        let suspended = self.state.waiting() == Waiting::Resume;
        let began = if suspended { self.state.waiting_since } else { self.now };
        let stood = self.now.saturating_sub(began);
        self.shift(stood, began);
        self.state.shift_past(slept.saturating_sub(stood), self.now);
        self.spoil_samples();
        self.state.wait(Waiting::Nothing, self.now);
        self.out.report(Findings::RESUMED);
        self.learn(Sign::Pause, None, None, None);
        if self.state.liveness().is_live() && !self.state.draining() {
            self.grant_reprobe();
        }
    }

    /// The pongs that are still to come have waited for us: no round trip (rules E6, E8).
    fn spoil_samples(&mut self) {
        if self.state.unanswered() > 0 {
            self.state.set_ambiguity(if self.config.ids { SPOILED } else { AMBIGUOUS });
        }
    }

    /// Time stood still for `by` since `began` (rules J7, LC6).
    fn shift(&mut self, by: u64, began: u64) {
        self.state.shift(by, began, self.now);
        if !self.state.draining() {
            let interval = deadlines::interval(self.config, self.state);
            self.state.plan = self.state.plan.min(self.now + interval);
        }
    }

    // ----- What all parts share -----

    /// Whether the verdict has fallen in this very call: its evidence is void then.
    pub(crate) fn lost_just_now(&self) -> bool {
        self.out.transition().is_some_and(|change| change.to == Liveness::Lost)
    }

    /// At most one transition a call is told: of two, from where it began to where it ended.
    pub(crate) fn change(&mut self, to: Liveness, reason: Reason) {
        let ended = matches!(self.state.liveness(), Liveness::Lost | Liveness::Closed);
        debug_assert!(!ended || self.state.may_reopen(self.config)); // S7
        let from = match self.out.transition() {
            Some(first) => first.from,
            None => self.state.liveness(),
        };
        self.state.set_liveness(to);
        self.out.notify((from != to).then_some(Transition::new(from, to, reason)));
    }

    /// The connection is usable from now on (rules LC2, LC8, P2, J1).
    pub(crate) fn begin(&mut self, liveness: Liveness) {
        let (now, interval) = (self.now, deadlines::interval(self.config, self.state));
        let shortest = interval - self.spread(interval);
        let first = match self.config.first_ping {
            // Within the shortest interval, so that nobody's second ping falls among others' first.
            FirstPing::Phase => shortest - jitter::part(shortest, self.state.epoch),
            FirstPing::AfterInterval => interval,
            FirstPing::Immediate => 0,
        };
        self.state.ev = now + self.config.startup_grace;
        self.state.plan = now + first;
        self.state.last_ping = now;
        self.state.tx_at = now;
        self.state.wait(Waiting::Nothing, now);
        self.change(liveness, Reason::Started);
    }
}
