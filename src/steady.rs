//! The steps that nearly every call is: a healthy peer answers its newest ping in time
//! ([`answer`]), a healthy peer's next ping is due ([`probe`]), and where the pings are the peer's, a
//! beat of a healthy one ([`beat`]). They are short-cuts through the
//! rules, not rules: each asks at first whether the case is the common one, in a handful of
//! comparisons, and does in one piece what the parts of a [`Call`](crate::machine) would have done.
//! Where debug assertions are on, the long way is taken as well each time, and what comes out is
//! compared: every test of the rules tests this.

#![expect(clippy::inline_always, reason = "a step must be compiled into its shell")]

use core::time::Duration;

use crate::action::Actions;
use crate::config::Config;
use crate::deadlines::NEVER;
use crate::detector::{Detector, Evidence, Sign, Trust};
use crate::event::{Event, PingId};
use crate::jitter;
use crate::ledger::{Answer, Ledger, Query};
use crate::machine::END_OF_TIME;
use crate::rtt::Rtt;
use crate::state::PeerState;
use crate::time::{Timestamp, nanos};

/// What [`answer`] did.
pub(crate) struct Answered {
    /// The next wake-up.
    pub(crate) next: u64,
    /// When the ping had left.
    pub(crate) sent: u64,
    pub(crate) rtt_micros: u32,
}

impl Answered {
    /// What shells want to know of it.
    #[inline(always)]
    pub(crate) fn tell(&self, out: &mut Actions) {
        (out.heard, out.proven) = (true, true);
        (out.answered, out.rtt_micros) = (self.sent, self.rtt_micros);
    }
}

/// The answer to the newest ping, the only one out, came in time, and nothing was due before it
/// (rules E3, E4, E6, J10, J13). `None`: it was anything else, and nothing is changed.
#[inline(always)]
pub(crate) fn answer<D: Detector, L: Ledger>(
    config: &Config<D>,
    state: &mut PeerState<D, L>,
    id: PingId,
    hold: Duration,
    now: u64,
) -> Option<Answered> {
    let newest = id == PingId::new(state.epoch, state.seq) && state.awaits_newest_only();
    if !is_small::<D>()
        || !newest
        || !config.is_plain()
        || now > END_OF_TIME
        || now - state.last_ping > config.window
    {
        return None;
    }
    let sent = state.last_ping;
    let sends = planned(config, state).min(keepalive(config, state));
    let rtt = (now - sent).saturating_sub(nanos(hold)).max(1);
    let rtt_micros = ((rtt - 1) / 1000 + 1).min(u32::MAX.into()) as u32; // Rounded up.
    let mut estimate = state.rtt;
    estimate.sample(rtt_micros);
    let mut detector = state.detector;
    let trust = trust(config, state.ev, estimate);
    let evidence = Evidence {
        sign: Sign::Pong,
        at: Timestamp::from_nanos(now),
        silence_nanos: now.saturating_sub(state.ev).min(2 * config.ceiling),
        seq: Some(state.seq),
        stamp: None,
        period_nanos: config.interval,
        rtt_nanos: Some(rtt),
        in_pause: false,
    };
    config.detector.learn_in(&mut detector, &evidence, &trust);
    let trust = Trust { since: now, ..trust };
    let trust_ends = config.detector.deadline(&detector, &trust).as_nanos();
    if trust_ends < now {
        return None; // In spite of the evidence: it came too late to be trusted.
    }
    let answer = state.ledger.answered(&Query {
        seq: state.seq,
        stamp: None,
        newest: state.seq,
        newest_at: sent,
        newest_answered: false,
        judged_at: Some(sent),
        gap: config.min_gap,
    });
    debug_assert_eq!(answer, Answer::Open(sent));
    (state.rtt, state.detector, state.ev) = (estimate, detector, now);
    state.newest_answered();
    let judgement = trust_ends.min(now + config.ceiling) + 1;
    Some(Answered { next: judgement.min(sends), sent, rtt_micros })
}

/// Whether a detector's state is small enough to be copied for nothing; others take the long way.
const fn is_small<D: Detector>() -> bool {
    size_of::<D::State>() <= 64
}

/// A beat came from a peer to whom we send nothing, and nothing was due before it (rules E1, J3,
/// J13): the next wake-up. `None`: it was anything else, and nothing is changed.
#[inline(always)]
pub(crate) fn beat<D: Detector, L: Ledger>(
    config: &Config<D>,
    state: &mut PeerState<D, L>,
    beat: &Beat,
    now: u64,
) -> Option<u64> {
    if !is_small::<D>() || !state.is_quiet() || !config.only_listens() || now > END_OF_TIME {
        return None;
    }
    let mut detector = state.detector;
    let trust = trust(config, state.ev, state.rtt);
    let evidence = Evidence {
        sign: Sign::Beat,
        at: Timestamp::from_nanos(now),
        silence_nanos: now.saturating_sub(state.ev).min(2 * config.ceiling),
        seq: beat.seq,
        stamp: beat.stamp,
        period_nanos: beat.period.unwrap_or(config.interval),
        rtt_nanos: None,
        in_pause: false,
    };
    config.detector.learn_in(&mut detector, &evidence, &trust);
    let trust = Trust { since: now, ..trust };
    let trust_ends = config.detector.deadline(&detector, &trust).as_nanos();
    let beat_ends = match config.detector.beat_deadline(&detector, &trust) {
        Some(known) => known.as_nanos().min(NEVER - 1),
        None => now + config.interval + config.window,
    };
    let ends = trust_ends.min(beat_ends);
    if ends < now {
        return None; // In spite of the beat: it came too late to be trusted.
    }
    (state.detector, state.ev) = (detector, now);
    state.set_heard_traffic(true);
    Some((ends.min(now + config.ceiling) + 1).min(keepalive(config, state)))
}

/// What a beat says.
pub(crate) struct Beat {
    pub(crate) seq: Option<u32>,
    pub(crate) stamp: Option<Timestamp>,
    /// What the peer promises.
    pub(crate) period: Option<u64>,
}

impl Beat {
    /// A beacon, or a ping that is not answered anyway.
    #[inline(always)]
    pub(crate) fn of<D>(config: &Config<D>, event: &Event) -> Option<Self> {
        match *event {
            Event::BeaconReceived { stamp, period } => {
                Some(Self { seq: None, stamp, period: Some(nanos(period)) })
            }
            Event::PingReceived { id, stamp } if !config.answers() => {
                Some(Self { seq: Some(id.seq()), stamp, period: None })
            }
            _ => None,
        }
    }
}

/// What [`probe`] did.
pub(crate) struct Probed {
    /// When it was due.
    #[allow(dead_code, reason = "for fleets, and for assertions")]
    pub(crate) due: u64,
    /// The next wake-up.
    pub(crate) next: u64,
    /// The ping to send, stamped `now`.
    pub(crate) id: PingId,
}

/// The next ping is due, and not overdue by more than the slack; nothing is out, and nothing to be
/// judged (rules P2, P8, P11, P12). `None`: it was anything else, and nothing is changed.
#[inline(always)]
pub(crate) fn probe<D: Detector, L: Ledger>(
    config: &Config<D>,
    state: &mut PeerState<D, L>,
    now: u64,
) -> Option<Probed> {
    if !config.is_plain() || !state.awaits_nothing() || now > END_OF_TIME {
        return None;
    }
    let planned = planned(config, state);
    let due = planned.min(keepalive(config, state));
    let silence = Silence::of(config, state);
    if now < planned || now >= silence.judgement || now - due > config.slack {
        return None;
    }
    // The old plan is not ahead of `now`, so the new one is no more than an interval.
    let plan = state.plan + (config.interval - jittered(config, state));
    if plan < now + config.min_gap {
        return None;
    }
    state.plan = plan;
    state.seq = state.seq.wrapping_add(1).max(1);
    state.ledger.emitted(state.seq, now);
    state.newest_pinged(now, config.write_reports);
    (state.last_ping, state.tx_at) = (now, now);
    let id = PingId::new(state.epoch, state.seq);
    Some(Probed { due, next: after_ping(config, state, &silence, now), id })
}

/// The wake-up after [`probe`], which has seen to it that the plan is no sooner than the gap allows.
#[inline(always)]
fn after_ping<D: Detector, L: Ledger>(
    config: &Config<D>,
    state: &PeerState<D, L>,
    silence: &Silence,
    now: u64,
) -> u64 {
    let next = silence.judgement.min(now + config.window + 1).min(state.plan);
    // As long as it is not written, only its window and the writer are waited for.
    if config.write_reports {
        return next.min(config.write_stall.map_or(NEVER, |span| now + span + 1));
    }
    // A ping that nothing answers is followed by the next at the end of its window (P6), if the
    // verdict is not sooner. (The gap is no more than `suspect_interval`: CF2.)
    let again = now + config.suspect_interval.max(config.window);
    let again = if again < silence.limit { again } else { NEVER };
    next.min(again).min(keepalive(config, state))
}

/// What ends the present silence, if nothing does sooner, while nothing is out.
struct Silence {
    /// The first moment of suspicion or of the verdict, whichever is first.
    judgement: u64,
    /// Until when it is allowed (rule J2).
    limit: u64,
}

impl Silence {
    #[inline(always)]
    fn of<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>) -> Self {
        let trust = trust(config, state.ev, state.rtt);
        let trust_ends = config.detector.deadline(&state.detector, &trust).as_nanos();
        let (floor, ceiling) = (state.ev + config.floor, state.ev + config.ceiling);
        Self { judgement: trust_ends.min(ceiling) + 1, limit: trust_ends.max(floor).min(ceiling) }
    }
}

/// The plan, no sooner than the gap allows.
#[inline(always)]
fn planned<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>) -> u64 {
    state.plan.max(state.last_ping + config.min_gap)
}

/// A sign of life is owed.
#[inline(always)]
fn keepalive<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>) -> u64 {
    config.keepalive.map_or(NEVER, |span| state.tx_at + span)
}

/// What the detector is told; nothing slows a steady peer down.
#[inline(always)]
const fn trust<D: Detector>(config: &Config<D>, since: u64, rtt: Rtt) -> Trust {
    Trust {
        since,
        period: config.interval,
        window: config.window,
        timeout: config.timeout,
        attempts: config.attempts,
        rtt,
    }
}

/// By how much the next interval is shorter (rule P2).
#[inline(always)]
fn jittered<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>) -> u64 {
    match config.jitter_percent {
        0 => 0,
        percent => {
            let most = config.interval / 100 * u64::from(percent);
            jitter::share(most, state.epoch, state.seq)
        }
    }
}
