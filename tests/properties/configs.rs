//! Configurations of every kind, with what their getters do not tell.
#![allow(dead_code, reason = "every test program uses another part of this")]
#![allow(clippy::large_types_passed_by_value, reason = "configurations are values; no speed here")]

use core::time::Duration;

use heartbeat_proto::detector::{Deadline, Detector, Evidence, Trust};
use heartbeat_proto::{
    Config, ConfigBuilder, FirstPing, LatePolicy, LifeRule, Mode, PingSchedule, Probing, Timestamp,
    Verdict,
};
use proptest::prelude::*;

pub(crate) const fn ns(span: u64) -> Duration {
    Duration::from_nanos(span)
}

/// A span in nanoseconds.
pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).expect("within 24 h")
}

/// The detector of the crate, which also lets the last evidence (`ev`) be seen, exactly while
/// clocks are below 2^53 ns: as the suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spy(Deadline);

impl Detector for Spy {
    type State = ();

    fn learn(&self, (): &mut (), evidence: &Evidence) {
        self.0.learn(&mut (), evidence);
    }

    fn deadline(&self, (): &(), trust: &Trust) -> Timestamp {
        self.0.deadline(&(), trust)
    }

    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
    fn suspicion(&self, (): &(), trust: &Trust, _: Timestamp) -> f64 {
        trust.since().as_nanos() as f64
    }
}

/// A configuration, and the choices in it that only its builder knows.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "as independent as the knobs")]
pub(crate) struct Rules {
    pub(crate) config: Config<Spy>,
    pub(crate) schedule: PingSchedule,
    pub(crate) life: LifeRule,
    pub(crate) ids: bool,
    pub(crate) adaptive: bool,
    pub(crate) reopens: bool,
    pub(crate) polices: bool,
    pub(crate) jitter: u8,
    pub(crate) grace: u64,
    pub(crate) write_stall: u64,
}

impl Rules {
    /// Symmetric or Initiator.
    pub(crate) fn probes(&self) -> bool {
        matches!(self.config.mode(), Mode::Symmetric | Mode::Initiator)
    }

    pub(crate) fn judges(&self) -> bool {
        self.config.mode() != Mode::Beacon
    }

    /// Whether it probes on its own schedule with ids, the common case.
    pub(crate) fn is_plain(&self) -> bool {
        self.probes() && self.ids && self.schedule == PingSchedule::Own
    }

    pub(crate) fn interval(&self) -> u64 {
        nanos(self.config.interval())
    }

    pub(crate) fn timeout(&self) -> u64 {
        nanos(self.config.timeout())
    }

    pub(crate) fn window(&self) -> u64 {
        nanos(self.config.response_window())
    }

    pub(crate) fn slack(&self) -> u64 {
        nanos(self.config.slack())
    }

    pub(crate) fn ceiling(&self) -> u64 {
        nanos(self.config.ceiling())
    }

    /// How much silence convicts at least and at most under the effective interval `ie` (rule J2):
    /// the same with the fixed detector.
    pub(crate) fn limits(&self, ie: u64) -> (u64, u64) {
        let mut floor = nanos(self.config.floor());
        if self.probes() {
            floor = floor.max(ie + self.window());
        }
        if self.adaptive {
            return (floor, self.ceiling());
        }
        let named = (self.timeout() + (ie - self.interval())).clamp(floor, self.ceiling());
        (named, named)
    }

    /// Any pong, any frame, any byte: which of them renew life (rule E1).
    pub(crate) fn counts(&self) -> (bool, bool, bool) {
        match self.life {
            LifeRule::AnyPong => (true, false, false),
            LifeRule::AnyFrame => (true, true, false),
            LifeRule::AnyByte => (true, true, true),
            _ => (false, false, false),
        }
    }
}

type Roles = (Mode, PingSchedule, Probing, LifeRule, LatePolicy, FirstPing);
type Flags = (bool, bool, bool, bool, bool, bool);
type Numbers = (u64, u64, u8, u8, u8, u64);
type Spans = (u8, Option<u64>, u64, u64);
type Shares = (Option<u64>, Option<u64>, Option<u64>, u64);

fn roles() -> impl Strategy<Value = Roles> {
    (
        prop_oneof![
            4 => Just(Mode::Symmetric),
            1 => Just(Mode::Initiator),
            1 => Just(Mode::Responder),
            1 => Just(Mode::Beacon),
            1 => Just(Mode::Passive)
        ],
        prop_oneof![3 => Just(PingSchedule::Own), 1 => Just(PingSchedule::External)],
        prop_oneof![2 => Just(Probing::WhenIdle), 1 => Just(Probing::Always)],
        prop_oneof![
            1 => Just(LifeRule::ExactPong),
            1 => Just(LifeRule::AnyPong),
            3 => Just(LifeRule::AnyFrame),
            1 => Just(LifeRule::AnyByte)
        ],
        prop_oneof![
            3 => Just(LatePolicy::Reprobe),
            1 => Just(LatePolicy::Strict),
            1 => (1..60u64).prop_map(|most| LatePolicy::Forgive(ns(most)))
        ],
        prop_oneof![
            Just(FirstPing::Phase),
            Just(FirstPing::AfterInterval),
            Just(FirstPing::Immediate)
        ],
    )
}

/// Valid configurations of every kind. The small scale makes windows, gaps and limits collide, the
/// middle one makes round trips differ, and the large one comes near the longest spans.
pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    let flags = (
        prop_oneof![3 => Just(true), 1 => Just(false)],
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        prop_oneof![1 => Just(true), 2 => Just(false)],
        any::<bool>(),
    );
    let attempts = prop_oneof![8 => 1..4u8, 1 => Just(15)];
    let jitter = prop_oneof![3 => Just(0), 2 => Just(25u8), 1 => Just(50)];
    let numbers = (1..24u64, 1..16u64, attempts, jitter, 0..3u8, 0..12u64);
    let spans = (1..4u8, proptest::option::of(1..30u64), 0..5u64, 1..40u64);
    let share = || proptest::option::of(0..=4u64);
    let shares = (share(), share(), share(), 1..40u64);
    let scale = prop_oneof![3 => Just(1u64), 2 => Just(1_000_003), 1 => Just(30_000_000_007)];
    (roles(), flags, numbers, spans, shares, scale).prop_filter_map("relations", build)
}

/// `share` quarters of the way from `least` to `most`.
fn between(least: u64, most: u64, share: u64) -> Duration {
    ns(least + most.saturating_sub(least) * share / 4)
}

fn build(all: (Roles, Flags, Numbers, Spans, Shares, u64)) -> Option<Rules> {
    let ((mode, schedule, probing, life, late, first), flags, numbers, spans, shares, scale) = all;
    let (ids, writes, polices, losses, adaptive, each) = flags;
    let (interval, window, attempts, jitter, reopen, extra) = numbers;
    let (verify, keepalive, grace, limit) = spans;
    let (interval, window) = (interval * scale, window * scale);
    let timeout = interval + window * u64::from(attempts);
    let probes = matches!(mode, Mode::Symmetric | Mode::Initiator);
    let late = match late {
        LatePolicy::Forgive(most) => LatePolicy::Forgive(ns(nanos(most) * scale)),
        other => other,
    };
    // What cannot be combined is left out rather than refused.
    let schedule = if probes { schedule } else { PingSchedule::Own };
    let pongs_only = matches!(life, LifeRule::ExactPong | LifeRule::AnyPong);
    let life = if pongs_only && !probes { LifeRule::AnyFrame } else { life };
    let reopen = if life == LifeRule::AnyByte { 0 } else { reopen };
    let verdict = if grace == 0 { Verdict::Convict } else { Verdict::Report };
    let mut builder = Config::builder()
        .mode(mode)
        .schedule(schedule)
        .probing(probing)
        .life_rule(life)
        .late_policy(late)
        .first_ping(first)
        .ids(ids)
        .write_reports(writes)
        .answer_each(each)
        .interval(ns(interval))
        .response_window(ns(window))
        .ceiling(ns(timeout + extra * scale))
        .attempts(attempts)
        .jitter_percent(jitter)
        .verify_every(verify)
        .startup_grace(ns(grace * scale))
        .startup_limit(ns(limit * scale))
        .drain_limit(ns(limit * scale))
        .reopen_after(reopen)
        .ping_unanswered(2, verdict);
    builder = shared(builder, shares, (interval, window, jitter, timeout + extra * scale), scale);
    builder = match keepalive {
        Some(span) if probes || mode == Mode::Responder => builder.keepalive(ns(span * scale)),
        _ => builder.no_keepalive(),
    };
    if losses {
        builder = builder.probe_loss(2, 3, verdict);
    }
    if polices {
        builder = builder.accept_gap(ns(interval)).police(2, 2, verdict);
    }
    let spy = Spy(if adaptive { Deadline::rtt_adaptive(2) } else { Deadline::fixed() });
    let config = builder.detector(spy).build().ok()?;
    let grace = grace * scale;
    let (reopens, stall) = (reopen > 0, shares.3 * scale);
    Some(Rules {
        config,
        write_stall: stall,
        schedule,
        life,
        ids,
        adaptive,
        reopens,
        polices,
        jitter,
        grace,
    })
}

/// The spans that lie between others: gaps, floor, stall limit.
fn shared(
    builder: ConfigBuilder,
    (gap, suspect, floor, stall): Shares,
    (interval, window, jitter, ceiling): (u64, u64, u8, u64),
    scale: u64,
) -> ConfigBuilder {
    let shortest = interval - interval / 100 * u64::from(jitter);
    let quarter = window.div_ceil(4);
    let mut builder = builder.write_stall(ns(stall * scale));
    let suspect = suspect.map(|share| between(quarter, shortest, share));
    if let Some(suspect) = suspect {
        builder = builder.suspect_interval(suspect);
    }
    if let Some(share) = gap {
        let most = suspect.map_or(window.min(shortest), nanos);
        builder = builder.min_gap(between(quarter, most, share));
    }
    if let Some(share) = floor {
        builder = builder.floor(between(interval + window, ceiling, share));
    }
    builder
}
