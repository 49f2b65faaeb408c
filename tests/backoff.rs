//! Back-off by its rules: every boundary from both sides, and properties over all numbers.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

use core::num::NonZeroU32;
use core::time::Duration;

use heartbeat_proto::backoff::{
    Backoff, BackoffError, Breaker, BreakerState, Budget, Cause, Jitter, Policies, Policy,
    PolicyBuilder,
};
use heartbeat_proto::{MAX_SPAN, Reason, Timestamp};
use proptest::prelude::*;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const NS: Duration = Duration::from_nanos(1);

fn less(span: Duration) -> Duration {
    span.checked_sub(NS).unwrap()
}

const fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

/// `min(cap, base * growth * share)` in exact fractions of a nanosecond: numerator over 1000.
fn formula(base: u128, growth: u128, share: u128, cap: u128) -> u128 {
    (base * growth * share).min(cap * 1000)
}

// ----- BO1 to BO3: delays -----

/// BO1, BO3: the numbers of the default policy, try by try, from both ends of chance.
#[test]
fn the_default_is_half_a_second_doubled_five_times() {
    let policy = Policy::default();
    for (n, nominal) in [500, 1000, 2000, 4000, 8000].into_iter().enumerate() {
        let n = n as u32;
        let (low, high) = (ms(nominal * 8 / 10), ms(nominal * 12 / 10));
        assert_eq!(policy.range(n), Some((low, high)));
        assert_eq!(policy.delay(n, 0), Some(low));
        assert_eq!(policy.delay(n, u64::MAX), Some(high));
        assert_eq!(policy.delay(n, 1 << 63), Some((low + high) / 2));
    }
    assert_eq!((policy.range(5), policy.delay(5, 0), policy.tries()), (None, None, Some(5)));
}

/// BO1: the shapes without jitter, the cap from both sides, and numbers beyond all others.
#[test]
fn shapes_grow_as_they_say_up_to_the_cap() {
    let build = |builder: PolicyBuilder| builder.jitter(Jitter::NONE).build().unwrap();
    let delays = |policy: Policy| -> Vec<_> {
        [0, 1, 2, 3, 62, 63, 64, u32::MAX].map(|n| policy.delay(n, 12345).unwrap()).to_vec()
    };
    let (b, cap) = (ms(100), ms(350));
    assert_eq!(delays(build(Policy::constant(b).cap(cap))), [b; 8]);
    let (c, d) = (cap, ms(200));
    assert_eq!(delays(build(Policy::linear(b).cap(cap))), [b, d, ms(300), c, c, c, c, c]);
    assert_eq!(delays(build(Policy::exponential(b).cap(cap))), [b, d, c, c, c, c, c, c]);
    for (cap, third) in [(less(ms(400)), less(ms(400))), (ms(400), ms(400)), (ms(401), ms(400))] {
        assert_eq!(build(Policy::exponential(b).cap(cap)).delay(2, 0), Some(third));
    }
    let now = build(Policy::immediate().tries(2));
    assert_eq!(
        [0, 1, 2].map(|n| now.delay(n, 9)),
        [Some(Duration::ZERO), Some(Duration::ZERO), None]
    );
    assert_eq!((Policy::NEVER.delay(0, 0), Policy::NEVER.tries()), (None, Some(0)));
}

/// BO1: at the cap the delays are as spread as before it, and none is above it.
#[test]
fn old_clients_are_not_in_step_at_the_cap() {
    let policy = Policy::exponential(ms(500)).build().unwrap();
    assert_eq!(policy.range(40), Some((secs(20), secs(30))));
    let full = Policy::exponential(ms(500)).jitter(Jitter::FULL).build().unwrap();
    assert_eq!(full.range(40), Some((Duration::ZERO, secs(30))));
    let equal = Policy::exponential(ms(500)).jitter(Jitter::EQUAL).build().unwrap();
    assert_eq!(equal.range(1), Some((ms(500), secs(1))));
    assert_eq!(equal.range(40), Some((secs(15), secs(30))));
}

/// BO2: a seed replays; draws go on after a reset; a refusal costs neither try nor draw.
#[test]
fn chance_is_replayed_and_never_repeated() {
    let policy = Policy::exponential(ms(500)).tries(2).build().unwrap();
    let mut backoff = Backoff::new(7);
    let mut twin = backoff;
    let first: Vec<_> = (0..3).map(|_| backoff.next(&policy)).collect();
    assert_eq!(first, (0..3).map(|_| twin.next(&policy)).collect::<Vec<_>>());
    assert_eq!((first[2], backoff.retries()), (None, 2));
    // The words of the draws are those of the rule.
    let mix = |word: u64| {
        let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    };
    let draw = |k| mix(mix(7u64).wrapping_add(k));
    assert_eq!(first[..2], [policy.delay(0, draw(0)), policy.delay(1, draw(1))]);
    backoff.reset();
    assert_eq!(backoff.retries(), 0);
    assert_eq!(backoff.next(&policy), policy.delay(0, draw(2)));
    // Another cause, the same count.
    assert_eq!(backoff.next(&Policy::default()), Policy::default().delay(1, draw(3)));
}

/// BO3: every knob one step inside and one step outside of its range.
#[test]
fn policies_that_make_no_sense_are_refused() {
    let ok = |builder: PolicyBuilder| assert!(builder.build().is_ok(), "{builder:?}");
    let no = |builder: PolicyBuilder, text: &str| {
        assert_eq!(builder.build().unwrap_err().to_string(), text);
    };
    ok(Policy::constant(NS).cap(NS));
    no(Policy::constant(Duration::ZERO), "base is 0ns but must be in 1ns..=86400s");
    ok(Policy::linear(MAX_SPAN));
    no(Policy::linear(MAX_SPAN + NS), "base is 86400.000000001s but must be in 1ns..=86400s");
    ok(Policy::exponential(secs(2)).cap(secs(2)));
    no(
        Policy::exponential(secs(2)).cap(less(secs(2))),
        "cap is 1.999999999s but must be in 2s..=86400s",
    );
    no(
        Policy::exponential(secs(2)).cap(Duration::MAX),
        "cap is 18446744073709551615.999999999s but must be in 2s..=86400s",
    );
    let jitter = |lo, hi| Policy::constant(secs(1)).jitter(Jitter::permille(lo, hi));
    ok(jitter(0, 1));
    no(jitter(0, 0), "upper jitter is 0 but must be in 1..=10000");
    ok(jitter(10_000, 10_000));
    no(jitter(0, 10_001), "upper jitter is 10001 but must be in 1..=10000");
    no(jitter(501, 500), "lower jitter is 501 but must be in 0..=500");
    no(
        jitter(1, 1).jitter(Jitter::percent(0, u16::MAX)),
        "upper jitter is 65535 but must be in 1..=10000",
    );
    ok(Policy::constant(secs(1)).tries(1));
    no(Policy::constant(secs(1)).tries(0), "tries is 0 but must be in 1..=4294967295");
    no(Policy::immediate(), "immediate retries need a limit: set tries");
    ok(Policy::immediate().tries(1));
    assert!(Budget::new(1, NS).is_ok() && Budget::new(u32::MAX, MAX_SPAN).is_ok());
    assert!(Budget::new(0, NS).is_err() && Budget::new(1, Duration::ZERO).is_err());
    assert!(Budget::new(1, MAX_SPAN + NS).is_err());
    assert!(Breaker::new(1, NS).is_ok() && Breaker::new(0, NS).is_err());
    assert!(Breaker::new(1, Duration::ZERO).is_err() && Breaker::new(1, MAX_SPAN + NS).is_err());
    assert_eq!(Policy::exponential(ms(500)).tries(5).build(), Ok(Policy::default()));
    assert_eq!(Policy::immediate().build(), Err(BackoffError::Endless));
}

// ----- BO4: causes -----

/// BO4: every reason has its cause.
#[test]
fn reasons_lead_to_causes() {
    for (reason, cause) in [
        (Reason::NoResponse, Cause::NoResponse),
        (Reason::Silence, Cause::NoResponse),
        (Reason::Detector, Cause::NoResponse),
        (Reason::WriteStalled, Cause::WriteStalled),
        (Reason::PingUnanswered, Cause::PingUnanswered),
        (Reason::ProbeLoss, Cause::PingUnanswered),
        (Reason::NotProbed, Cause::OwnFault),
        (Reason::StartupTimeout, Cause::HandshakeTimeout),
        (Reason::PingAbuse, Cause::Abuse),
        (Reason::Goodbye, Cause::Goodbye),
        (Reason::ClosedLocally, Cause::ClosedLocally),
        (Reason::DrainTimeout, Cause::ClosedLocally),
    ] {
        assert_eq!(Cause::from(reason), cause, "{reason}");
    }
}

/// BO4: how a stream ends, and how a connect fails.
#[test]
#[cfg(feature = "std")]
fn ends_and_errors_lead_to_causes() {
    use std::io::{Error, ErrorKind};

    use heartbeat_proto::adapter::Ended;
    use heartbeat_proto::codec::DecodeError;

    let bad = Ended::BadFrame { offset: 3, error: DecodeError::Truncated { found: 1 } };
    for (ended, cause) in [
        (Ended::Abrupt, Cause::Abrupt),
        (bad, Cause::BadFrame),
        (Ended::Transport(ErrorKind::ConnectionRefused), Cause::Transport),
    ] {
        assert_eq!(Cause::from(ended), cause);
        assert_eq!(Cause::from(&Error::from(ended)), cause, "inside of an error");
    }
    for (kind, cause) in [
        (ErrorKind::ConnectionRefused, Cause::Refused),
        (ErrorKind::HostUnreachable, Cause::Refused),
        (ErrorKind::TimedOut, Cause::HandshakeTimeout),
        (ErrorKind::PermissionDenied, Cause::Rejected),
        (ErrorKind::InvalidData, Cause::BadFrame),
        (ErrorKind::UnexpectedEof, Cause::Abrupt),
        (ErrorKind::ConnectionReset, Cause::Transport),
    ] {
        assert_eq!(Cause::from(&Error::from(kind)), cause, "{kind:?}");
    }
}

/// BO4: the default table, line by line; and each cause has a place and a name of its own.
#[test]
fn every_cause_has_its_policy() {
    let policies = Policies::default();
    let spread = Policy::exponential(secs(10)).cap(secs(40)).jitter(Jitter::FULL).build().unwrap();
    let long = Policy::exponential(secs(60))
        .cap(secs(600))
        .jitter(Jitter::EQUAL)
        .tries(5)
        .build()
        .unwrap();
    let mut codes = std::collections::BTreeSet::new();
    for cause in Cause::ALL {
        let expected = match cause {
            Cause::ClosedLocally | Cause::Rejected => Policy::NEVER,
            Cause::BadFrame | Cause::Abuse => long,
            Cause::OwnFault => Policy::default(),
            _ => spread,
        };
        assert_eq!(policies[cause], expected, "{cause}");
        let marked = Policies::all(spread).on(cause, long);
        for other in Cause::ALL {
            let closed = other == Cause::ClosedLocally;
            let unmarked = if closed { Policy::NEVER } else { spread };
            assert_eq!(marked[other], if other == cause { long } else { unmarked });
        }
        codes.insert(cause.to_string());
    }
    assert_eq!(codes.len(), Cause::ALL.len());
    let rate = |rate| NonZeroU32::new(rate).unwrap();
    let width = |policies: Policies| policies[Cause::Abrupt].range(0).unwrap().1;
    assert_eq!(width(Policies::fleet(0, rate(1))), ms(500));
    assert_eq!(width(Policies::fleet(1000, rate(1999))), Duration::from_nanos(500_250_125));
    assert_eq!(width(Policies::fleet(u32::MAX, rate(1))), MAX_SPAN / 4);
}

// ----- BO5: the promise -----

/// BO5: the numbers of the formula, and its edges.
#[test]
fn a_wave_has_the_computed_bound() {
    let full = |w| Policy::constant(w).cap(w).jitter(Jitter::FULL).build().unwrap();
    let second = secs(1);
    // m = 1000.0001, so 1001; its root 31.6, so 32.
    assert_eq!(full(secs(10)).wave(0, 10_000, second), 1001 + 8 * 32 + 23);
    assert_eq!(full(secs(10)).wave(0, 10_000, secs(10)), 10_000);
    assert_eq!(full(secs(10)).wave(0, 10_000, Duration::MAX), 10_000);
    assert_eq!(full(secs(10)).wave(0, 20, second), 20, "a few clients may come together");
    assert_eq!(full(secs(10)).wave(0, 0, second), 0);
    assert_eq!(full(secs(10)).wave(9, 10_000, Duration::ZERO), 1 + 8 + 23);
    assert_eq!(Policy::NEVER.wave(0, 10_000, second), 0);
    assert_eq!(Policy::default().wave(5, 10_000, second), 0);
    let none = Policy::constant(second).jitter(Jitter::NONE).build().unwrap();
    assert_eq!(none.wave(0, u32::MAX, NS), u32::MAX, "without jitter all come at once");
}

/// BO5: fleets of many seeds, lost at one instant or spread, stay within it; and it is no bound
/// from the clouds: two thirds of it are reached.
#[test]
fn fleets_keep_the_bound() {
    let policy = Policies::default()[Cause::Goodbye];
    let most = |per: Duration, lost: &dyn Fn(u64) -> u64, seed: u64| {
        let per = per.as_nanos() as u64;
        let mut comes: Vec<u64> = (0..10_000u64)
            .map(|client| {
                let mut backoff = Backoff::new(seed * 1_000_000 + client);
                lost(client) + backoff.next(&policy).unwrap().as_nanos() as u64
            })
            .collect();
        comes.sort_unstable();
        let (mut from, mut most) = (0, 0);
        for (to, &last) in comes.iter().enumerate() {
            while last - comes[from] > per {
                from += 1;
            }
            most = most.max(to - from + 1);
        }
        most as u32
    };
    for seed in 0..20 {
        for per in [secs(1), ms(100), ms(10)] {
            let bound = policy.wave(0, 10_000, per);
            let at_once = most(per, &|_| 5, seed);
            assert!(at_once <= bound, "{at_once} of {bound} in {per:?}");
            assert!(per < secs(1) || at_once * 3 > bound * 2, "{at_once} of {bound}");
            let spread = most(per, &|client| client * 3_000_000, seed);
            assert!(spread <= bound, "{spread} of {bound} in {per:?}");
        }
    }
}

// ----- BO6: budget -----

/// BO6: the first tries at once, then one a refill, to the nanosecond.
#[test]
fn a_budget_refills_to_the_nanosecond() {
    let mut budget = Budget::new(3, Duration::from_nanos(10)).unwrap();
    let now = at(1_000);
    assert!((0..3).all(|_| budget.take(now)) && !budget.take(now));
    assert_eq!(budget.ready_at(now), at(1_010));
    assert!(!budget.take(at(1_009)));
    assert!(budget.take(at(1_010)) && !budget.take(at(1_010)));
    // Full again after three refills, and no fuller.
    assert!((0..3).all(|_| budget.take(at(9_000))) && !budget.take(at(9_000)));
    // A time that runs back gets nothing.
    assert!(!budget.take(at(3)));
    assert_eq!(budget.ready_at(at(3)), at(9_010));
}

/// BO6: the end of time refills nothing.
#[test]
fn a_budget_holds_at_the_end_of_time() {
    let mut budget = Budget::new(2, MAX_SPAN).unwrap();
    assert!(budget.take(at(u64::MAX - 1)) && budget.take(at(u64::MAX)));
    assert!(!budget.take(Timestamp::MAX));
    assert_eq!(budget.ready_at(at(5)), Timestamp::MAX);
}

// ----- BO7: breaker -----

/// BO7: a whole life, boundaries to the nanosecond.
#[test]
fn a_breaker_lets_one_trial_through() {
    let mut breaker = Breaker::new(2, Duration::from_nanos(100)).unwrap();
    let open = |until| BreakerState::Open { until: at(until) };
    breaker.failed(at(1));
    breaker.succeeded();
    breaker.failed(at(2));
    assert_eq!((breaker.state(), breaker.admit(at(2))), (BreakerState::Closed, true), "in a row");
    breaker.failed(at(3));
    assert_eq!(breaker.state(), open(103));
    breaker.failed(at(50)); // A late result.
    assert_eq!(breaker.state(), open(103));
    assert!(!breaker.admit(at(102)));
    assert_eq!((breaker.ready_at(at(102)), breaker.ready_at(at(104))), (at(103), at(104)));
    assert!(breaker.admit(at(103)), "the trial");
    assert_eq!(breaker.state(), BreakerState::HalfOpen { until: at(203) });
    assert!(!breaker.admit(at(103)) && !breaker.admit(at(202)), "and nobody else");
    breaker.failed(at(150));
    assert_eq!(breaker.state(), open(250));
    assert!(breaker.admit(at(250)) && !breaker.admit(at(349)));
    assert!(breaker.admit(at(350)), "the trial was forgotten");
    breaker.succeeded();
    assert_eq!(breaker.state(), BreakerState::Closed);
    breaker.failed(at(400));
    assert!(breaker.admit(at(400)), "success forgets the failures");
    breaker.failed(at(401));
    breaker.cut_short(at(410));
    assert_eq!(breaker.state(), open(410));
    breaker.cut_short(at(420));
    assert_eq!(breaker.state(), open(410), "not put off");
    assert!(breaker.admit(at(410)) && !breaker.admit(at(410)));
}

// ----- Properties -----

fn jitters() -> impl Strategy<Value = (u16, u16)> {
    prop_oneof![
        Just((1000, 1000)),
        Just((0, 1000)),
        Just((500, 1000)),
        Just((800, 1200)),
        (1..=10_000u16).prop_flat_map(|hi| (0..=hi, Just(hi))),
    ]
}

fn spans() -> impl Strategy<Value = u64> {
    let most = MAX_SPAN.as_nanos() as u64;
    prop_oneof![1..=100u64, 1..=most, (0..=46u32).prop_map(move |e| (1u64 << e).min(most))]
}

fn tries() -> impl Strategy<Value = u32> {
    prop_oneof![0..70u32, any::<u32>()]
}

proptest! {
    /// BO1: within [lo, hi] times the formula, never above the cap, for any try and any chance;
    /// all of the range is used; and below the cap it is min(cap, base * 2^n * U) exactly.
    #[test]
    fn delays_follow_the_formula(
        base in spans(),
        more in spans(),
        (lo, hi) in jitters(),
        shape in 0..3,
        n in tries(),
        chance in any::<u64>(),
    ) {
        let most = MAX_SPAN.as_nanos() as u64;
        let cap = (base + more).min(most);
        let span = Duration::from_nanos(base);
        let (builder, growth) = match shape {
            0 => (Policy::constant(span), 1),
            1 => (Policy::linear(span), u128::from(n) + 1),
            _ => (Policy::exponential(span), 1u128 << n.min(60)),
        };
        let policy = builder
            .cap(Duration::from_nanos(cap))
            .jitter(Jitter::permille(lo, hi))
            .build()
            .unwrap();
        let (low, high) = policy.range(n).unwrap();
        let delay = policy.delay(n, chance).unwrap();
        prop_assert!(low <= delay && delay <= high && high <= Duration::from_nanos(cap));
        prop_assert_eq!(policy.delay(n, 0), Some(low));
        prop_assert_eq!(policy.delay(n, u64::MAX), Some(high));
        let (low, high) = (low.as_nanos() * 1000, high.as_nanos() * 1000);
        let at = |share: u16| formula(base.into(), growth, share.into(), cap.into());
        // Rounded down, by less than a nanosecond (at the cap, the growth is rounded as well).
        prop_assert!(high <= at(hi) && at(hi) < high + 1000 * (1 + u128::from(hi).div_ceil(1000)));
        if at(hi) < u128::from(cap) * 1000 {
            prop_assert!(low <= at(lo) && at(lo) < low + 1000);
        } else {
            // At the cap the lower end keeps its distance.
            prop_assert!(low <= u128::from(cap) * 1000 * u128::from(lo) / u128::from(hi));
        }
    }

    /// BO2: one seed, the same delays; two seeds, others.
    #[test]
    fn seeds_decide(seed in any::<u64>(), other in any::<u64>(), n in 1..60usize) {
        prop_assume!(seed != other);
        let policy = Policy::exponential(ms(500)).jitter(Jitter::FULL).build().unwrap();
        let run = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..n).map(|_| backoff.next(&policy).unwrap()).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(seed), run(seed));
        prop_assert_ne!(run(seed), run(other));
    }

    /// BO6: no span of whatever length holds more than the burst and its refills; and a budget is
    /// not stingier than that: what it refuses would break the bound.
    #[test]
    fn a_budget_is_never_exceeded(
        burst in 1..6u32,
        refill in 1..50u64,
        steps in prop::collection::vec(0..60u64, 1..200),
    ) {
        let mut budget = Budget::new(burst, Duration::from_nanos(refill)).unwrap();
        let mut now = 1_000;
        let mut taken: Vec<u64> = Vec::new();
        let fits = |taken: &[u64]| {
            let last = *taken.last().unwrap();
            let most = |first: u64| u64::from(burst) + (last - first) / refill;
            (0..taken.len()).all(|i| (taken.len() - i) as u64 <= most(taken[i]))
        };
        for step in steps {
            now += step;
            let ready = budget.ready_at(at(now));
            let took = budget.take(at(now));
            prop_assert_eq!(took, ready == at(now), "ready_at says when");
            taken.push(now);
            prop_assert_eq!(took, fits(&taken), "at {}", now);
            if !took {
                taken.pop();
                let ready = ready.as_nanos();
                let then = |at| fits(&taken.iter().copied().chain([at]).collect::<Vec<_>>());
                prop_assert!(then(ready) && !then(ready - 1), "not at {}", ready);
            }
        }
    }

    /// BO7: with results told at any time, or never, no two trials run at once within a cool-down,
    /// and nothing else passes an open breaker.
    #[test]
    fn an_open_breaker_admits_one_trial_at_a_time(
        limit in 1..4u32,
        steps in prop::collection::vec((0..60u64, 0..4u8), 1..200),
    ) {
        const COOL: u64 = 50;
        let mut breaker = Breaker::new(limit, Duration::from_nanos(COOL)).unwrap();
        // The naive breaker: failures in a row, and until when nothing passes.
        let (mut row, mut tripped, mut shut_until, mut trial) = (0, false, 0, false);
        let mut now = 0;
        for (step, what) in steps {
            now += step;
            match what {
                0 => {
                    breaker.succeeded();
                    (row, tripped, trial) = (0, false, false);
                }
                1 => {
                    breaker.failed(at(now));
                    row += 1;
                    if trial || (!tripped && row >= limit) {
                        (tripped, trial, shut_until) = (true, false, now + COOL);
                    }
                }
                _ => {
                    let passes = !tripped || now >= shut_until;
                    prop_assert_eq!(breaker.admit(at(now)), passes);
                    if tripped && passes {
                        (trial, shut_until) = (true, now + COOL);
                    }
                }
            }
        }
    }
}
