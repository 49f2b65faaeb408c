//! When something is due: pure functions of configuration and state.
//!
//! [`next`] is the wake-up that the machine asks for; judging and probing read the same values, so
//! that what is promised and what is done cannot differ. Every value here is the first moment at
//! which the thing happens: a limit that must be *passed* (rule T4) has its 1 ns added.

#![expect(clippy::inline_always, reason = "`Deadlines::of` must be compiled as one piece")]

use core::fmt;

use crate::config::{Config, Mode, PingSchedule, Probing};
use crate::detector::{Detector, Trust};
use crate::ledger::Ledger;
use crate::liveness::Liveness;
use crate::state::{PeerState, Reprobe, Waiting};

/// Not due. No real deadline can reach it: stamps end four `MAX_SPAN` before (rule T6).
pub(crate) const NEVER: u64 = u64::MAX;

/// Why the machine wants to be called. For logs; the call itself needs no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadlineReason {
    /// A verdict is due: silence, start-up or drain limit.
    Verdict,
    /// The peer becomes suspect.
    Suspicion,
    /// The response window of a ping ends.
    ResponseWindow,
    /// A ping or a beacon is due.
    Probe,
    /// A sign of life is owed.
    Keepalive,
    /// The writer has been stuck for its limit.
    WriteStall,
}

impl fmt::Display for DeadlineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Verdict => "verdict",
            Self::Suspicion => "suspicion",
            Self::ResponseWindow => "response_window",
            Self::Probe => "probe",
            Self::Keepalive => "keepalive",
            Self::WriteStall => "write_stall",
        })
    }
}

// ----- The numbers in force: the configuration, slowed as the peer asked (rule CF4) -----

#[inline(always)]
fn is_slowed<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>) -> bool {
    state.is_slowed() && config.sends_on_plan()
}

/// The interval between pings.
#[inline(always)]
pub(crate) fn interval<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>) -> u64 {
    if is_slowed(config, state) { slowed_interval(config, state) } else { config.interval }
}

#[cold]
fn slowed_interval<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>) -> u64 {
    let limit = config.interval_limit();
    // An interval of up to 24 h doubled fifteen times fits 64 bits.
    let calmed = config.interval << state.calm();
    calmed.min(limit).max(state.peer_gap().min(limit)).max(config.interval)
}

/// The smallest gap between two pings.
#[inline(always)]
pub(crate) fn gap<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>) -> u64 {
    let slowed = is_slowed(config, state);
    let peer_gap = if slowed { state.peer_gap().min(config.interval_limit()) } else { 0 };
    config.min_gap.max(peer_gap)
}

/// The gap between pings while signs are bad.
#[inline(always)]
fn suspect_interval<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>) -> u64 {
    config.suspect_interval.max(gap(config, state))
}

/// The shortest silence that convicts.
#[inline(always)]
fn floor<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>) -> u64 {
    if is_slowed(config, state) && config.probes() {
        config.floor.max(interval(config, state) + config.window)
    } else {
        config.floor
    }
}

// ----- The deadlines -----

/// The wake-up and its reason; `None` when nothing will ever be due without an event.
pub(crate) fn next<D, L>(
    config: &Config<D>,
    state: &PeerState<D, L>,
) -> Option<(u64, DeadlineReason)>
where
    D: Detector,
    L: Ledger,
{
    let deadlines = Deadlines::of_mostly_steady(config, state);
    let mut first = (deadlines.verdict, DeadlineReason::Verdict);
    let others = [
        (deadlines.suspicion, DeadlineReason::Suspicion),
        (deadlines.window, DeadlineReason::ResponseWindow),
        (deadlines.probe, DeadlineReason::Probe),
        (deadlines.keepalive, DeadlineReason::Keepalive),
        (deadlines.write_stall, DeadlineReason::WriteStall),
    ];
    for other in others {
        if other.0 < first.0 {
            first = other;
        }
    }
    (first.0 != NEVER).then_some(first)
}

/// Every deadline of a peer; [`NEVER`] where it does not apply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    pub(crate) verdict: u64,
    pub(crate) suspicion: u64,
    pub(crate) window: u64,
    pub(crate) probe: u64,
    pub(crate) keepalive: u64,
    pub(crate) write_stall: u64,
}

impl Deadlines {
    const NONE: Self = Self {
        verdict: NEVER,
        suspicion: NEVER,
        window: NEVER,
        probe: NEVER,
        keepalive: NEVER,
        write_stall: NEVER,
    };

    #[inline(never)]
    pub(crate) fn of<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>) -> Self {
        let none = Self::NONE;
        if state.exhausted() || state.waiting() == Waiting::Resume {
            return none;
        }
        match state.liveness() {
            Liveness::Closed => none,
            Liveness::Lost if !state.may_reopen(config) => none, // P13
            Liveness::Lost => {
                let probe = probe(config, state, NEVER);
                Self { probe, window: window(config, state), ..none }
            }
            Liveness::Idle => Self { verdict: state.ev + config.startup_limit + 1, ..none },
            _ if state.draining() => Self { verdict: state.plan + 1, ..none },
            _ => Self::of_live(config, state),
        }
    }

    /// The same, but the steady case is compiled by itself: with the answers to most questions of
    /// [`of_live`](Self::of_live) known beforehand, a third of it is left.
    #[inline(always)]
    pub(crate) fn of_mostly_steady<D, L>(config: &Config<D>, state: &PeerState<D, L>) -> Self
    where
        D: Detector,
        L: Ledger,
    {
        if config.is_plain() && state.is_steady() {
            Self::of_live(config, state)
        } else {
            Self::of(config, state)
        }
    }

    /// Started, not ended, not draining, not suspended.
    #[inline(always)]
    pub(crate) fn of_live<D, L>(config: &Config<D>, state: &PeerState<D, L>) -> Self
    where
        D: Detector,
        L: Ledger,
    {
        let (trust_ends, limit) = limits(config, state);
        Self {
            verdict: verdict(config, state, limit),
            suspicion: suspicion(config, state, trust_ends),
            window: window(config, state),
            probe: probe(config, state, limit),
            keepalive: keepalive(config, state),
            write_stall: write_stall(config, state),
        }
    }

    /// The wake-up (rule T5).
    #[inline(always)]
    pub(crate) fn first(&self) -> u64 {
        self.judgement().min(self.probe).min(self.keepalive)
    }

    /// The first moment at which there is something to judge.
    #[inline(always)]
    pub(crate) fn judgement(&self) -> u64 {
        self.verdict.min(self.suspicion).min(self.window).min(self.write_stall)
    }
}

/// What a detector is told of the present silence.
#[inline(always)]
pub(crate) fn trust<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>) -> Trust {
    let period = interval(config, state);
    Trust {
        since: state.ev,
        period,
        window: config.window,
        timeout: config.timeout + (period - config.interval),
        attempts: config.attempts,
        rtt: state.rtt,
    }
}

/// When the detector's trust ends, and the limit of silence: that, between floor and ceiling
/// (rules J2, CF7).
#[inline(always)]
pub(crate) fn limits<D, L>(config: &Config<D>, state: &PeerState<D, L>) -> (u64, u64)
where
    D: Detector,
    L: Ledger,
{
    let trust = trust(config, state);
    let trust_ends = config.detector.deadline(&state.detector, &trust).as_nanos();
    (trust_ends, trust_ends.max(state.ev + floor(config, state)).min(state.ev + config.ceiling))
}

/// The verdict by silence, put off by a grant (rule J6).
#[inline(always)]
fn verdict<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>, limit: u64) -> u64 {
    if !config.judges() {
        return NEVER;
    }
    match state.reprobe() {
        Reprobe::Wanted => NEVER,
        Reprobe::None | Reprobe::Spent => limit + 1,
        Reprobe::Running => limit.max(state.waiting_since + config.window) + 1,
    }
}

/// Alive becomes Suspect by time alone (rule J3). Misses and losses make it so when they happen.
#[inline(always)]
fn suspicion<D, L>(config: &Config<D>, state: &PeerState<D, L>, trust_ends: u64) -> u64
where
    D: Detector,
    L: Ledger,
{
    if state.liveness() != Liveness::Alive || !config.judges() {
        return NEVER;
    }
    trust_ends.min(beat_limit(config, state)) + 1
}

/// The last moment at which the peer's own beat is not overdue, where we send no pings.
#[inline(always)]
pub(crate) fn beat_limit<D, L>(config: &Config<D>, state: &PeerState<D, L>) -> u64
where
    D: Detector,
    L: Ledger,
{
    match config.mode {
        Mode::Responder | Mode::Passive => {
            match config.detector.beat_deadline(&state.detector, &trust(config, state)) {
                Some(known) => known.as_nanos().min(NEVER - 1),
                None => state.ev + config.interval + config.window,
            }
        }
        _ => NEVER - 1,
    }
}

/// The end of the judged ping's window, or of the wait for the caller.
#[inline(always)]
fn window<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>) -> u64 {
    match state.waiting() {
        Waiting::Pong | Waiting::Caller | Waiting::Window => {
            state.waiting_since + config.window + 1
        }
        Waiting::Nothing | Waiting::Resume => NEVER,
    }
}

/// The next ping, beacon or request (section 4), given the limit of silence; never sooner than the
/// gap after the last one (rule P4).
#[inline(always)]
fn probe<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>, limit: u64) -> u64 {
    if !config.sends_on_plan() {
        return NEVER;
    }
    let mut due = state.plan;
    if !state.ping_unwritten() {
        if state.probe_wanted() || state.reprobe() == Reprobe::Wanted {
            due = 0;
        } else if state.liveness() != Liveness::Lost {
            due = planned_or_fast(config, state, limit);
        }
    }
    if state.seq != 0 {
        due = due.max(state.last_ping + gap(config, state));
    }
    let asks_caller = config.schedule == PingSchedule::External && !state.probe_wanted();
    match state.waiting() {
        _ if state.reprobe() == Reprobe::Wanted => due,
        Waiting::Caller if asks_caller => NEVER,
        // One ping outstanding at a time where pongs cannot be told apart (rule P9), and one
        // request at a time to a caller who probes (rule P10).
        Waiting::Pong if asks_caller || !config.ids => {
            due.max(state.waiting_since + config.window + 1)
        }
        _ => due,
    }
}

/// The next ping by the plan, or, while signs are bad, the faster one in its place: after misses
/// and while suspect; and already at the end of the window of a ping that nothing has answered
/// (rule P6).
#[inline(always)]
fn planned_or_fast<D: Detector, L: Ledger>(
    config: &Config<D>,
    state: &PeerState<D, L>,
    limit: u64,
) -> u64 {
    if state.seq == 0 || config.mode == Mode::Beacon {
        return state.plan;
    }
    let after_last = || state.last_ping + suspect_interval(config, state);
    // A probe that the verdict overtakes is no use.
    let in_time = |due| if due < limit { due } else { NEVER };
    if state.misses() > 0 || state.liveness() == Liveness::Suspect {
        return in_time(after_last());
    }
    if state.waiting() == Waiting::Pong && state.ev <= state.waiting_since {
        return state.plan.min(in_time(after_last().max(state.waiting_since + config.window)));
    }
    state.plan
}

/// The beacon owed because nothing was sent for long (rule P12).
#[inline(always)]
fn keepalive<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>) -> u64 {
    match config.keepalive {
        Some(_) if state.ping_unwritten() || state.tx_owing() => NEVER,
        Some(span) => state.tx_at + span,
        None => NEVER,
    }
}

/// The verdict on a writer that takes nothing (rule J11).
#[inline(always)]
fn write_stall<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>) -> u64 {
    match config.write_stall {
        Some(span) if state.ping_unwritten() || state.tx_owing() => state.tx_at + span + 1,
        _ => NEVER,
    }
}

/// Whether the slot at the plan is excused, now that traffic was the last evidence, and if so, to
/// when it moves (rule P5).
pub(crate) fn excused<D, L>(
    config: &Config<D>,
    state: &PeerState<D, L>,
    next_interval: u64,
    now: u64,
) -> Option<u64>
where
    D: Detector,
    L: Ledger,
{
    let excusable = config.probing == Probing::WhenIdle
        && config.schedule == PingSchedule::Own
        && config.mode != Mode::Beacon
        && !state.probe_wanted()
        && state.reprobe() != Reprobe::Wanted;
    let moved = state.ev.saturating_add(next_interval);
    let verify_at =
        state.last_ping.saturating_add(interval(config, state) * config.verify_every as u64);
    (excusable && moved > now && now < verify_at).then_some(moved.min(verify_at))
}
