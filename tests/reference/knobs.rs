//! Configurations of all kinds.

use core::time::Duration;

use heartbeat_proto::{FirstPing, LatePolicy, LifeRule, Mode, PingSchedule, Probing, Verdict};
use proptest::prelude::*;
use proptest::sample::select;

use crate::model::{Keepalive, Knobs, LedgerKind};

/// Mostly the default, sometimes another.
fn mostly<T: Clone + core::fmt::Debug + 'static>(
    default: T,
    others: Vec<T>,
) -> impl Strategy<Value = T> {
    prop_oneof![3 => Just(default), 2 => select(others)]
}

/// A share of the interval, in thousandths, or nothing.
fn part(range: core::ops::Range<u64>) -> impl Strategy<Value = Option<u64>> {
    prop::option::weighted(0.25, range)
}

fn verdict() -> impl Strategy<Value = Verdict> {
    mostly(Verdict::Report, vec![Verdict::Ignore, Verdict::Convict])
}

/// The choices that are no numbers.
fn choices() -> impl Strategy<Value = Knobs> {
    (
        mostly(LedgerKind::Table, vec![LedgerKind::Echo]),
        mostly(
            Mode::Symmetric,
            vec![Mode::Initiator, Mode::Responder, Mode::Beacon, Mode::Passive],
        ),
        prop::bool::weighted(0.15),
        mostly(Probing::WhenIdle, vec![Probing::Always]),
        mostly(LifeRule::AnyFrame, vec![LifeRule::ExactPong, LifeRule::AnyPong, LifeRule::AnyByte]),
        mostly(LatePolicy::Reprobe, vec![LatePolicy::Strict, LatePolicy::Forgive(Duration::ZERO)]),
        mostly(FirstPing::Phase, vec![FirstPing::AfterInterval, FirstPing::Immediate]),
        (prop::bool::weighted(0.2), prop::bool::weighted(0.3), any::<bool>()),
    )
        .prop_map(|(ledger, mode, external, probing, life, late_policy, first_ping, flags)| {
            let probes = matches!(mode, Mode::Symmetric | Mode::Initiator);
            let pongs_only = matches!(life, LifeRule::ExactPong | LifeRule::AnyPong);
            Knobs {
                ledger,
                mode,
                schedule: match external && probes {
                    true => PingSchedule::External,
                    false => PingSchedule::Own,
                },
                probing,
                life_rule: if pongs_only && !probes { LifeRule::AnyFrame } else { life },
                late_policy,
                first_ping,
                ids: !flags.0,
                write_reports: flags.1,
                answer_each: flags.2,
                ..Knobs::default()
            }
        })
}

/// The counts and their verdicts.
fn counts(base: Knobs) -> impl Strategy<Value = Knobs> {
    (
        prop_oneof![2 => Just(3u8), 2 => 1u8..5, 1 => 1u8..16],
        prop_oneof![Just(0u8), Just(10), 0u8..=50],
        prop_oneof![Just(4u8), 1u8..4],
        (prop_oneof![1u8..4, 1u8..15], verdict()),
        prop::option::weighted(0.4, (1u8..5, 0u8..5, verdict())),
        (1u8..4, 1u8..4, verdict()),
        prop_oneof![2 => Just(0u8), 2 => 1u8..4],
    )
        .prop_map(move |(attempts, jitter, verify, unanswered, loss, police, reopen)| Knobs {
            attempts,
            jitter_percent: jitter,
            verify_every: verify,
            unanswered,
            loss: loss.map(|(k, more, verdict)| (k, k + more, verdict)),
            police,
            reopen_after: if base.life_rule == LifeRule::AnyByte { 0 } else { reopen },
            ..base.clone()
        })
}

/// The spans.
fn spans(base: Knobs) -> impl Strategy<Value = Knobs> {
    (
        (select(vec![1u64, 13, 1000, 1_000_000, 999_983]), 20u64..3000),
        (part(1050..6000), part(1000..4000), part(1000..9000), part(100..1000), part(300..1000)),
        (part(300..3000), part(1..250), part(500..5000), part(1..2000), part(500..5000)),
        (
            part(200..3000),
            part(300..4000),
            prop::option::weighted(0.4, 100u64..3000),
            any::<bool>(),
            1u64..2000,
        ),
    )
        .prop_map(move |((unit, count), a, b, c)| {
            let i = unit * count;
            let of = |parts: Option<u64>| parts.map(|parts| i * parts / 1000);
            let forgiven = Duration::from_nanos((i * c.4 / 1000).max(1));
            Knobs {
                interval: i,
                timeout: of(a.0),
                floor: of(a.1),
                ceiling: of(a.2),
                min_gap: of(a.3),
                suspect_interval: of(a.4),
                down_interval: of(b.0),
                slack: of(b.1),
                startup_limit: of(b.2).unwrap_or(2 * i),
                startup_grace: of(b.3).unwrap_or(0),
                drain_limit: of(b.4).unwrap_or(2 * i),
                keepalive: match (of(c.0), c.3) {
                    _ if matches!(base.mode, Mode::Beacon | Mode::Passive) => Keepalive::Default,
                    (Some(x), _) => Keepalive::Every(x),
                    (None, true) => Keepalive::Default,
                    (None, false) => Keepalive::Off,
                },
                write_stall: of(c.1),
                accept_gap: of(c.2),
                late_policy: match base.late_policy {
                    LatePolicy::Forgive(_) => LatePolicy::Forgive(forgiven),
                    other => other,
                },
                ..base.clone()
            }
        })
}

/// Any configuration, accepted or not.
pub fn raw() -> impl Strategy<Value = Knobs> {
    choices().prop_flat_map(counts).prop_flat_map(spans)
}

/// Any configuration that is accepted.
pub fn knobs() -> impl Strategy<Value = Knobs> {
    raw().prop_map(Knobs::mended)
}

/// Another configuration of the same machine.
pub fn other(now: &Knobs) -> impl Strategy<Value = Knobs> + use<> {
    // The part it plays and who schedules stay; and a verdict that was final stays so, and the other way round.
    let now = now.clone();
    knobs().prop_map(move |other| {
        let (ledger, mode, ids) = (now.ledger, now.mode, now.ids);
        let (schedule, reopen_after) = (now.schedule, now.reopen_after);
        let other = Knobs { ledger, mode, schedule, ids, reopen_after, ..other }.mended();
        if other.config().is_ok() { other } else { now.clone() }
    })
}
