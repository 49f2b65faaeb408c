//! The transition function. One step takes what happened and the time it happened, and does, in
//! this order:
//!
//! 1. `wake`: was the machine frozen, or the caller late?
//! 2. `apply_evidence`: what the event says about the peer (`evidence.rs`);
//! 3. `judge`: misses, suspicion, verdicts;
//! 4. `plan_probe`: is a ping due?
//! 5. `owe_sign_of_life`: have we been silent for too long ourselves?
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
//!    any but a final Lost ── Close, GoodbyeReceived ──▶ Closed
//! ```
//!
//! Whether something is due is decided in `deadlines.rs`, by the stamps that are set here. The rule
//! ids in comments are those of `docs/SPEC.md`.

#![expect(clippy::inline_always, reason = "a step must be compiled into its shell")]

use crate::action::Actions;
use crate::config::{Config, FirstPing, LatePolicy, MAX_SPAN_NANOS, Mode, PingSchedule, Verdict};
use crate::deadlines::{self, DeadlineReason, Deadlines, NEVER};
use crate::detector::{Detector, Sign};
use crate::event::{Event, PingId};
use crate::finding::Findings;
use crate::jitter;
use crate::ledger::Ledger;
use crate::liveness::{Liveness, Reason, Transition};
use crate::state::{PeerState, Reprobe, TOLD, Waiting};
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

    /// Goes on under another configuration (rule L9): never an instant death, never a gap above
    /// the new bound.
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
        }
        if call.state.liveness().is_live() && !call.state.draining() {
            call.state.set_reprobe(Reprobe::None);
            call.replan();
            call.grant_if_near();
        }
        call.judge_and_act();
        out
    }

    /// The state for the next connection to the same peer (rule L8).
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
    let mut call = Call::new(config, state, now, out);
    if now > END_OF_TIME {
        call.exhaust_clock();
        *due = NEVER;
        return;
    }
    call.wake(event, *due);
    call.apply_evidence(event);
    *due = call.settle();
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
                self.resume(0); // L5
            }
        } else if self.now >= due
            && !matches!(event, Event::Resume { .. }) // It credits a freeze nobody announced (L6).
            && self.state.liveness().is_live()
            && !self.state.draining()
        {
            self.late = self.now - due > self.config.slack;
            if self.late || !matches!(event, Event::Tick) {
                self.woken_late(self.now - due);
            }
        }
    }

    /// Something was due before the event came.
    #[cold]
    fn woken_late(&mut self, lateness: u64) {
        if self.late {
            self.out.report(Findings::LATE_CALL);
            match self.config.late_policy {
                LatePolicy::Forgive(most) => {
                    self.shift(lateness.min(nanos(most)), self.now - lateness); // J7
                }
                LatePolicy::Reprobe => self.state.forgive_writer(lateness, self.now), // J6
                LatePolicy::Strict => {}
            }
            self.learn(Sign::Pause, None, None, None);
        }
        self.overdue = self.now >= Deadlines::of(self.config, self.state).verdict;
        if self.overdue && self.config.late_policy == LatePolicy::Strict {
            self.judge(); // E10: the verdict falls before the evidence.
        }
    }

    /// The freeze is over (rule L6).
    pub(crate) fn resume(&mut self, slept: u64) {
        if matches!(self.state.liveness(), Liveness::Lost | Liveness::Closed) {
            return;
        }
        if self.state.waiting() == Waiting::Resume {
            let began = self.state.waiting_since;
            self.shift(self.now - began, began);
            self.shift(slept.saturating_sub(self.now - began), self.now);
        } else {
            self.shift(slept, self.now);
        }
        if self.state.unanswered() > 0 {
            self.state.set_ambiguity(2); // Its pong may still come.
        }
        self.state.wait(Waiting::Nothing, self.now);
        self.out.report(Findings::RESUMED);
        self.learn(Sign::Pause, None, None, None);
        if self.state.liveness().is_live() && !self.state.draining() {
            self.grant();
        }
    }

    /// Time stood still for `by` since `began` (rules J7, L6).
    fn shift(&mut self, by: u64, began: u64) {
        self.state.shift(by, began, self.now);
        if !self.state.draining() {
            let interval = deadlines::interval(self.config, self.state);
            self.state.plan = self.state.plan.min(self.now + interval);
        }
    }

    // ----- 3. Misses, suspicion, verdicts -----

    #[cold]
    fn judge(&mut self) {
        if self.state.waiting() == Waiting::Resume {
            return;
        }
        let deadlines = Deadlines::of(self.config, self.state);
        match self.state.liveness() {
            Liveness::Lost => self.end_windows(),
            Liveness::Idle if self.now >= deadlines.verdict => self.lose(Reason::StartupTimeout),
            Liveness::Idle | Liveness::Closed => {}
            _ if !self.state.draining() => self.judge_silence(),
            _ if self.now >= deadlines.verdict => self.lose(Reason::DrainTimeout), // L3
            _ => {}
        }
    }

    fn judge_silence(&mut self) {
        self.end_windows();
        if !self.state.liveness().is_live() {
            return; // A window's end convicted.
        }
        if self.late && !self.out.heard && self.config.late_policy == LatePolicy::Reprobe {
            self.grant_if_near(); // J6
        }
        let deadlines = Deadlines::of(self.config, self.state);
        if self.now >= deadlines.verdict {
            if self.may_wait_for_window() {
                self.state.set_reprobe(Reprobe::Running);
                self.out.report(Findings::REPROBE);
            } else {
                return self.lose(self.reason_of_silence());
            }
        }
        if self.now >= deadlines.write_stall {
            return self.lose(Reason::WriteStalled); // J11
        }
        self.judge_signs();
    }

    /// Alive with bad signs becomes Suspect, Suspect with good ones Alive (rules J3, J4).
    fn judge_signs(&mut self) {
        if !self.config.judges() {
            return;
        }
        let (trust_ends, _) = deadlines::limits(self.config, self.state);
        let bad = if self.state.misses() > 0 {
            Some(Reason::Missed)
        } else if self.probes_are_lost() {
            Some(Reason::ProbeLoss)
        } else if self.now > trust_ends {
            Some(Reason::Detector)
        } else if self.now > deadlines::beat_overdue(self.config, self.state) {
            Some(Reason::Missed)
        } else {
            None
        };
        match (self.state.liveness(), bad) {
            (Liveness::Alive, Some(reason)) => self.change(Liveness::Suspect, reason),
            (Liveness::Suspect, None) => self.change(Liveness::Alive, Reason::Heard),
            _ => {}
        }
    }

    /// Ends every window that has passed. At most two can have: the judged ping's, and that of the
    /// newest ping, which is judged after it.
    fn end_windows(&mut self) {
        for _ in 0..2 {
            if self.now <= self.state.waiting_since + self.config.window {
                return;
            }
            let granted = self.state.reprobe() == Reprobe::Running;
            if granted {
                self.state.set_reprobe(Reprobe::Spent); // J6: one window, whatever is judged next.
            }
            match self.state.waiting() {
                Waiting::Pong => self.end_window(granted),
                Waiting::Window => self.state.wait(Waiting::Nothing, self.now),
                Waiting::Caller => {
                    self.state.wait(Waiting::Nothing, self.now);
                    self.out.report(Findings::NOT_PROBED); // P10
                }
                Waiting::Nothing | Waiting::Resume => return,
            }
        }
    }

    /// The judged ping went unanswered (rules P8, J9, J10).
    fn end_window(&mut self, granted: bool) {
        let since = self.state.waiting_since;
        let newest = self.state.judges_newest();
        if newest || self.state.unanswered() == 0 {
            self.state.wait(Waiting::Nothing, self.now);
        } else {
            self.state.wait(Waiting::Pong, self.state.last_ping);
        }
        if newest && self.state.ping_unwritten() {
            self.out.report(Findings::WRITE_STALLED); // J11: it never left, so nobody missed it.
            if self.state.liveness() == Liveness::Lost {
                self.state.set_ping_unwritten(false); // Given up: datagrams do get dropped.
            }
            return;
        }
        if newest && granted && self.state.written_late() {
            return; // J6: it left too late to be missed already.
        }
        self.state.set_ambiguity(2);
        self.state.set_in_a_row(match self.state.in_a_row() {
            _ if self.state.liveness() == Liveness::Recovering => 0,
            TOLD => TOLD,
            before => (before + 1).min(TOLD - 1),
        });
        if !self.state.liveness().is_live() {
            return;
        }
        let was_lossy = self.probes_are_lost();
        if !self.late {
            self.state.push_outcome(true); // A pause of our own says nothing about the path.
        }
        if self.state.ev <= since {
            self.state.set_misses((self.state.misses() + 1).min(self.config.attempts));
            self.out.report(Findings::MISS);
            self.learn(Sign::Miss, None, None, None);
        } else if matches!(self.state.liveness(), Liveness::Alive | Liveness::Suspect)
            && (self.config.unanswered_limit..TOLD).contains(&self.state.in_a_row())
        {
            self.state.set_in_a_row(TOLD);
            let verdict = self.config.unanswered_verdict;
            self.find(Findings::PING_UNANSWERED, verdict, Reason::PingUnanswered);
        }
        if !was_lossy && self.probes_are_lost() && self.state.liveness().is_live() {
            self.find(Findings::PROBE_LOSS, self.config.loss_verdict, Reason::ProbeLoss);
        }
    }

    pub(crate) fn probes_are_lost(&self) -> bool {
        let (k, n) = (self.config.loss_k, self.config.loss_n);
        n != 0 && self.state.losses(n) >= u32::from(k)
    }

    /// Once a silence, a written ping gets its whole window: under Reprobe (rule J6), and under
    /// the external schedule, whose caller may probe at the last moment (rule C6).
    fn may_wait_for_window(&self) -> bool {
        (self.config.late_policy == LatePolicy::Reprobe
            || self.config.schedule == PingSchedule::External)
            && self.state.reprobe() == Reprobe::None
            && self.state.misses() == 0
            && self.state.waiting() == Waiting::Pong
            && !self.state.ping_unwritten()
    }

    /// Why silence convicts now (rule J5).
    fn reason_of_silence(&self) -> Reason {
        if self.state.misses() > 0 {
            Reason::NoResponse
        } else if self.state.ping_unwritten() || self.state.written_late() {
            Reason::WriteStalled
        } else if self.config.schedule == PingSchedule::External
            && self.state.waiting() != Waiting::Pong
        {
            Reason::NotProbed
        } else {
            Reason::Silence
        }
    }

    /// Grants a re-probe if the limit of silence lies less than a window ahead (rules J6, L9).
    fn grant_if_near(&mut self) {
        let (_, limit) = deadlines::limits(self.config, self.state);
        let near = limit < self.now + self.config.window;
        if near && self.config.judges() && self.state.reprobe() == Reprobe::None {
            self.grant();
            self.out.report(Findings::REPROBE);
        }
    }

    /// One fresh probe and one window before any verdict.
    fn grant(&mut self) {
        if !self.config.judges() {
            return;
        }
        let outstanding = !self.config.ids && self.state.waiting() == Waiting::Pong;
        let running = if !self.config.probes() {
            Waiting::Window
        } else if self.state.waiting() == Waiting::Caller {
            Waiting::Caller // It was asked for already.
        } else if self.state.ping_unwritten() || outstanding {
            // A ping is under way and a second one may not be sent: that one is the probe.
            self.state.ledger.written(self.state.seq, self.now);
            self.state.last_ping = self.now;
            self.state.set_ambiguity(2);
            Waiting::Pong
        } else {
            return self.state.set_reprobe(Reprobe::Wanted);
        };
        self.state.wait(running, self.now);
        self.state.set_reprobe(Reprobe::Running);
    }

    /// A finding with a policy.
    pub(crate) fn find(&mut self, finding: Findings, verdict: Verdict, reason: Reason) {
        match verdict {
            Verdict::Ignore => {}
            Verdict::Report => self.out.report(finding),
            Verdict::Convict => {
                self.out.report(finding);
                self.lose(reason);
            }
        }
    }

    /// The verdict (rule J12).
    pub(crate) fn lose(&mut self, reason: Reason) {
        self.state.wait(Waiting::Nothing, self.now);
        self.state.set_reprobe(Reprobe::None);
        self.state.set_probe_wanted(false);
        self.state.set_in_a_row(0);
        // Nobody waits for what was not written until now.
        self.state.set_ping_unwritten(false);
        self.state.set_tx_owing(false);
        if self.state.may_reopen(self.config) {
            self.state.plan = self.state.last_ping.saturating_add(self.config.down_interval);
        }
        self.change(Liveness::Lost, reason);
    }

    /// Whether the verdict has fallen in this very call: its evidence is void then.
    pub(crate) fn lost_just_now(&self) -> bool {
        self.out.transition().is_some_and(|change| change.to == Liveness::Lost)
    }

    /// At most one transition a call is told: of two, from where it began to where it ended.
    pub(crate) fn change(&mut self, to: Liveness, reason: Reason) {
        let from = match self.out.transition() {
            Some(first) => first.from,
            None => self.state.liveness(),
        };
        self.state.set_liveness(to);
        self.out.notify((from != to).then_some(Transition::new(from, to, reason)));
    }

    // ----- 4. Is a ping due? -----

    #[inline(always)]
    fn plan_probe(&mut self) {
        let reopening = self.state.liveness() == Liveness::Lost;
        let next_gap = self.next_gap();
        if self.now >= self.state.plan && self.state.heard_traffic() {
            if let Some(moved) = deadlines::excused(self.config, self.state, next_gap, self.now) {
                self.state.plan = moved; // P5
                if self.now < Deadlines::of(self.config, self.state).probe {
                    return;
                }
            }
        }
        let beacon = self.config.mode == Mode::Beacon;
        let unwritten = self.state.ping_unwritten() || (beacon && self.state.tx_owing());
        self.advance_plan(next_gap);
        if unwritten {
            self.out.report(Findings::PING_SKIPPED); // P9
        } else if beacon {
            self.send_beacon();
        } else if self.config.schedule == PingSchedule::Own || self.state.probe_wanted() {
            self.send_ping();
        } else {
            self.request_probe();
        }
        if reopening {
            let gap = deadlines::gap(self.config, self.state);
            self.state.plan = self.now + self.config.down_interval.max(gap); // P13
        }
    }

    /// The slot after the one that is used now (rules P2, P3).
    #[inline(always)]
    fn advance_plan(&mut self, next_gap: u64) {
        let now = self.now;
        let earliest = now + deadlines::gap(self.config, self.state);
        if self.state.plan > now {
            if self.state.plan < earliest {
                self.state.plan = now + next_gap; // P3
            }
            return;
        }
        let interval = deadlines::interval(self.config, self.state);
        let mut plan = self.state.plan.saturating_add(next_gap);
        if plan < earliest {
            plan += (earliest - plan).div_ceil(interval) * interval;
        }
        self.state.plan = plan.min(now + interval);
    }

    /// The plan after the effective interval has changed: not sooner than it allows after the last
    /// ping, and not later.
    pub(crate) fn replan(&mut self) {
        let interval = deadlines::interval(self.config, self.state);
        let (soonest, latest) =
            (self.state.last_ping + self.next_gap(), self.state.last_ping + interval);
        if self.state.seq != 0 {
            self.state.plan = self.state.plan.max(soonest);
        }
        self.state.plan = self.state.plan.min(latest).max(self.now);
    }

    /// The jittered interval to the slot after this: shorter by up to `jitter` (rule P2).
    #[inline(always)]
    pub(crate) fn next_gap(&self) -> u64 {
        let interval = deadlines::interval(self.config, self.state);
        interval - jitter::share(self.spread(interval), self.state.epoch, self.state.seq)
    }

    /// By how much the jitter may shorten an interval.
    fn spread(&self, interval: u64) -> u64 {
        interval / 100 * u64::from(self.config.jitter_percent)
    }

    #[inline(always)]
    fn send_ping(&mut self) {
        let (now, seq) = (self.now, self.next_seq());
        self.state.ledger.emitted(seq, now);
        self.state.last_ping = now;
        self.state.set_unanswered(self.state.unanswered() + 1);
        self.state.set_written_late(false);
        self.state.set_probe_wanted(false);
        self.state.set_calm_obeyed(false);
        self.state.set_ambiguity(self.state.ambiguity().saturating_sub(1));
        if self.state.waiting() != Waiting::Pong || self.state.reprobe() == Reprobe::Wanted {
            self.state.wait(Waiting::Pong, now);
        }
        if self.state.reprobe() == Reprobe::Wanted {
            self.state.set_reprobe(Reprobe::Running);
        }
        self.owe_write();
        self.state.set_ping_unwritten(self.config.write_reports);
        self.out.ping(PingId::new(self.state.epoch, seq), now);
    }

    fn send_beacon(&mut self) {
        // Where pings are sent the numbers are theirs (P11): a pong is told by how many lie behind.
        let seq = if self.config.probes() { self.state.seq } else { self.next_seq() };
        if self.config.mode == Mode::Beacon {
            self.state.last_ping = self.now;
        }
        self.owe_write();
        self.state.set_tx_owing(self.config.write_reports);
        self.out.beacon(PingId::new(self.state.epoch, seq), self.now);
    }

    /// Asks the caller to probe (rule P10).
    #[cold]
    fn request_probe(&mut self) {
        if self.state.waiting() == Waiting::Nothing || self.state.reprobe() == Reprobe::Wanted {
            self.state.wait(Waiting::Caller, self.now);
            self.out.request_probe();
            if self.state.reprobe() == Reprobe::Wanted {
                self.state.set_reprobe(Reprobe::Running);
            }
        }
    }

    fn next_seq(&mut self) -> u32 {
        self.state.seq = self.state.seq.wrapping_add(1).max(1); // P11
        self.state.seq
    }

    /// Something is handed to the writer: the stall clock starts unless it runs already.
    pub(crate) fn owe_write(&mut self) {
        if !self.state.ping_unwritten() && !self.state.tx_owing() {
            self.state.tx_at = self.now;
        }
    }

    // ----- 5. Have we been silent for too long ourselves? -----

    #[cold]
    fn owe_sign_of_life(&mut self) {
        if !self.out.sends_life() {
            self.send_beacon(); // P12
        }
    }

    /// The connection is usable from now on (rules L2, L8, P2, J1).
    pub(crate) fn begin(&mut self, liveness: Liveness) {
        let (now, interval) = (self.now, deadlines::interval(self.config, self.state));
        let shortest = interval - self.spread(interval);
        let first = match self.config.first_ping {
            // Within the shortest interval, so that nobody's second ping falls among others' first;
            // and by a draw of its own (sequence numbers get there last).
            FirstPing::Phase => shortest - jitter::share(shortest, self.state.epoch, u32::MAX),
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
