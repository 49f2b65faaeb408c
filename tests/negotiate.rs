//! Both ends agree on the numbers: every pair of a table, and random ones. No test asserts
//! anything that holds only probably, so the false-failure rate is zero.

use core::time::Duration;

use heartbeat_proto::{Effective, Limits, LimitsError, NegotiateError, Side, Wish, negotiate};
use proptest::prelude::*;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn limits(interval: Wish, timeout: Option<u64>, gap: u64) -> Limits {
    Limits::new(interval, timeout.map(secs), secs(gap)).unwrap()
}

/// Every wish with every timeout and gap: values that real systems announce, and the edges.
fn table() -> Vec<Limits> {
    let mut table = Vec::new();
    let micro = Duration::from_micros(1);
    for interval in [
        Wish::Disabled,
        Wish::NoPreference,
        Wish::Every(micro),
        Wish::Every(secs(10)),
        Wish::Every(secs(15)),
        Wish::Every(secs(50)),
        Wish::Every(Limits::MAX_SPAN),
    ] {
        for timeout in [
            None,
            Some(micro),
            Some(secs(12)),
            Some(secs(30)),
            Some(secs(60)),
            Some(Limits::MAX_SPAN),
        ] {
            for gap in [Duration::ZERO, secs(5), secs(300), Limits::MAX_SPAN] {
                table.push(Limits::new(interval, timeout, gap).unwrap());
            }
        }
    }
    table
}

/// The promise: whoever judges hears signs of life often enough, with a margin; and no sender is
/// faster than the other end accepts.
fn check(judge: &Limits, agreed: &Effective) {
    assert_eq!(agreed.detect_after(), judge.timeout());
    if let Some(timeout) = agreed.detect_after() {
        let gap = agreed.receive_interval().or(agreed.send_interval());
        let gap = gap.expect("someone sends");
        assert!(gap + Effective::margin(timeout) < timeout, "{gap:?} {timeout:?}");
    }
    assert_eq!(agreed.receive_gap(), judge.min_gap());
    assert!(agreed.receive_interval().is_none_or(|gap| gap >= judge.min_gap() && !gap.is_zero()));
}

fn swap(side: Side) -> Side {
    if side == Side::Local { Side::Peer } else { Side::Local }
}

/// The same error, seen from the other end.
fn mirrored(error: NegotiateError) -> NegotiateError {
    match error {
        NegotiateError::Silent { judge, timeout } => {
            NegotiateError::Silent { judge: swap(judge), timeout }
        }
        NegotiateError::TooSlow { judge, timeout, gap, margin } => {
            assert!(gap + margin >= timeout, "{error}");
            NegotiateError::TooSlow { judge: swap(judge), timeout, gap, margin }
        }
        other => panic!("unknown error {other}"),
    }
}

/// Whether the pair can work together.
fn check_pair(a: &Limits, b: &Limits) -> bool {
    match (negotiate(a, b), negotiate(b, a)) {
        (Ok(ours), Ok(theirs)) => {
            assert_eq!(ours, theirs.mirror(), "{a:?} {b:?}");
            assert_eq!(ours, ours.mirror().mirror());
            check(a, &ours);
            check(b, &theirs);
            true
        }
        (Err(ours), Err(theirs)) => {
            // Ends with equal limits cannot be told apart: each reports itself.
            let expected = if a == b { ours } else { mirrored(ours) };
            assert_eq!(theirs, expected, "{a:?} {b:?}");
            false
        }
        (ours, theirs) => panic!("{a:?} {b:?}: {ours:?} but {theirs:?}"),
    }
}

#[test]
fn every_pair_of_the_table_agrees_or_fails_alike_at_both_ends() {
    let table = table();
    let mut agreed = 0;
    for a in &table {
        for b in &table {
            agreed += u32::from(check_pair(a, b));
        }
    }
    // Neither outcome is rare.
    let pairs = (table.len() * table.len()) as u32;
    assert!(agreed > pairs / 10 && agreed < pairs * 9 / 10, "{agreed} of {pairs}");
}

#[test]
fn a_slow_server_learns_of_the_clients_timeout() {
    // A server that pings every 50 s and clients that give up after 30 s: dotnet/aspnetcore#20151.
    let server = limits(Wish::Every(secs(50)), Some(120), 5);
    let client = limits(Wish::NoPreference, Some(30), 5);
    let agreed = negotiate(&server, &client).unwrap();
    assert_eq!(agreed.send_interval(), Some(secs(15)));
    assert_eq!(agreed.receive_interval(), Some(secs(40)));
    assert_eq!((agreed.detect_after(), agreed.detected_after()), (Some(secs(120)), Some(secs(30))));
}

#[test]
fn the_receivers_smallest_gap_binds_the_sender() {
    let eager = limits(Wish::Every(secs(1)), None, 0);
    let strict = limits(Wish::NoPreference, Some(600), 300);
    assert_eq!(negotiate(&eager, &strict).unwrap().send_interval(), Some(secs(300)));
}

#[test]
fn no_preference_and_nobody_judging_sends_nothing() {
    let open = limits(Wish::NoPreference, None, 0);
    let agreed = negotiate(&open, &open).unwrap();
    assert_eq!((agreed.send_interval(), agreed.receive_interval()), (None, None));
    assert_eq!((agreed.detect_after(), agreed.detected_after()), (None, None));
}

#[test]
fn one_pinging_end_serves_both_because_it_is_answered() {
    let responder = limits(Wish::Disabled, Some(30), 5);
    let initiator = limits(Wish::Every(secs(50)), Some(40), 5);
    let agreed = negotiate(&initiator, &responder).unwrap();
    // Two beats within the shorter of both timeouts.
    assert_eq!((agreed.send_interval(), agreed.receive_interval()), (Some(secs(15)), None));
    let short = limits(Wish::NoPreference, Some(24), 5);
    assert_eq!(negotiate(&short, &responder).unwrap().send_interval(), Some(secs(8)));
}

#[test]
fn collisions_tell_their_numbers() {
    let judge = limits(Wish::Disabled, Some(30), 0);
    let silent = limits(Wish::Disabled, None, 0);
    let error = negotiate(&judge, &silent).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the local end gives up after 30s of silence, but neither end sends pings"
    );
    let hasty = limits(Wish::NoPreference, Some(60), 50);
    let error = negotiate(&limits(Wish::Every(secs(15)), None, 0), &hasty).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the peer gives up after 60s of silence, but signs of life come every 50s \
         and need a margin of 15s"
    );
}

#[test]
fn zero_is_never_off() {
    let zero = Duration::ZERO;
    let error = |parameter| Err(LimitsError::Zero { parameter });
    assert_eq!(Limits::new(Wish::Every(zero), None, zero), error("interval"));
    assert_eq!(Limits::new(Wish::Disabled, Some(zero), zero), error("timeout"));
    assert!(Limits::new(Wish::Disabled, None, zero).is_ok());
    let found = Limits::MAX_SPAN + Duration::from_nanos(1);
    let too_long = Err(LimitsError::TooLong { parameter: "min_gap", found });
    assert_eq!(Limits::new(Wish::Disabled, None, found), too_long);
}

#[test]
fn harmless_changes_apply_at_once_and_the_others_after_the_acknowledgement() {
    let peer = limits(Wish::Every(secs(10)), Some(60), 1);
    let at = |interval, timeout, gap| {
        negotiate(&limits(Wish::Every(secs(interval)), Some(timeout), gap), &peer).unwrap()
    };
    let (slow, fast) = (at(20, 60, 2), at(10, 60, 2));
    assert_eq!(slow.toward(fast).now(), fast);
    assert!(!slow.toward(fast).waits());
    assert_eq!(fast.toward(slow).now(), fast);
    assert_eq!(fast.toward(slow).after_ack(), slow);

    let (long, short) = (at(20, 60, 2), at(20, 30, 2));
    assert_eq!(short.toward(long).now(), long);
    assert_eq!(long.toward(short).now().detect_after(), Some(secs(60)));
    assert_eq!(long.toward(short).after_ack().detect_after(), Some(secs(30)));

    let (wide, narrow) = (at(20, 60, 8), at(20, 60, 2));
    assert_eq!(wide.toward(narrow).now().receive_gap(), secs(2));
    assert_eq!(narrow.toward(wide).now().receive_gap(), secs(2));
}

/// Of two collisions both ends tell the one of the shorter timeout; of equal ones that of the
/// shorter interval, and then of the smaller gap. Ends of any version must choose alike.
#[test]
fn of_two_collisions_both_ends_tell_the_same() {
    let own = |every, timeout, gap| limits(Wish::Every(secs(every)), Some(timeout), gap);
    for (first, second) in [
        (own(10, 20, 100), own(10, 30, 100)),
        (own(10, 20, 100), own(11, 20, 100)),
        (own(10, 20, 100), own(10, 20, 101)),
    ] {
        let judge = |found| match found {
            Err(NegotiateError::TooSlow { judge, .. }) => judge,
            other => panic!("{other:?}"),
        };
        assert_eq!(judge(negotiate(&first, &second)), Side::Local);
        assert_eq!(judge(negotiate(&second, &first)), Side::Peer);
        assert_eq!(judge(negotiate(&first, &first)), Side::Local);
    }
}

/// The gap and a quarter of the timeout must be less than the timeout.
#[test]
fn a_gap_of_three_quarters_is_too_slow() {
    let judge = limits(Wish::Every(secs(1)), Some(40), 30);
    let sender = limits(Wish::Every(secs(1)), None, 0);
    assert!(matches!(negotiate(&judge, &sender), Err(NegotiateError::TooSlow { .. })));
    let gap = secs(30).saturating_sub(Duration::from_micros(1));
    let judge = Limits::new(Wish::Every(secs(1)), Some(secs(40)), gap).unwrap();
    assert!(negotiate(&judge, &sender).is_ok());
}

#[test]
fn a_change_waits_if_it_changes_anything_harmful() {
    let agree = |every| {
        let end = limits(Wish::Every(secs(every)), Some(100), 1);
        negotiate(&end, &end).unwrap()
    };
    assert!(agree(10).toward(agree(20)).waits(), "slower only when the peer knows");
    assert!(!agree(20).toward(agree(10)).waits(), "faster at once");
}

fn any_limits() -> impl Strategy<Value = Limits> {
    // Magnitudes first, so that spans of all sizes meet.
    let span = || {
        (0..45_u32, any::<u64>()).prop_map(|(bits, word)| {
            let micros = (word & ((1 << bits) - 1)).clamp(1, Limits::MAX_SPAN.as_micros() as u64);
            Duration::from_micros(micros)
        })
    };
    let wish =
        prop_oneof![Just(Wish::Disabled), Just(Wish::NoPreference), span().prop_map(Wish::Every)];
    let gap = prop_oneof![Just(Duration::ZERO), span()];
    (wish, proptest::option::of(span()), gap)
        .prop_map(|(interval, timeout, gap)| Limits::new(interval, timeout, gap).unwrap())
}

/// Whether signs of life come often enough for an end in `judge` while the other is in `other`.
fn safe(judge: &Effective, other: &Effective) -> bool {
    judge.detect_after().is_none_or(|timeout| {
        let gap = other.send_interval().or(judge.send_interval());
        gap.is_some_and(|gap| gap + Effective::margin(timeout) < timeout)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn any_pair_agrees_or_fails_alike_at_both_ends(a in any_limits(), b in any_limits()) {
        check_pair(&a, &b);
        check_pair(&a, &a);
    }

    /// At every moment of a live change each end may be in the old numbers, in those of the
    /// first step, or in the new ones, as far as the order of messages allows. None of it
    /// convicts the living.
    #[test]
    fn a_live_change_is_safe_at_every_step(
        a in any_limits(), b in any_limits(), changed in any_limits(),
    ) {
        let (Ok(old), Ok(new)) = (negotiate(&a, &b), negotiate(&changed, &b)) else {
            return Ok(());
        };
        let first = old.toward(new).now();
        for (proposer, other) in [
            (old, old.mirror()),   // nothing happened yet
            (first, old.mirror()), // step 1: applied, announced
            (first, new.mirror()), // step 2: the other end applied all, acknowledges
            (new, new.mirror()),   // step 3: acknowledged
        ] {
            prop_assert!(safe(&proposer, &other), "{:?} {:?}", proposer, other);
            prop_assert!(safe(&other, &proposer), "{:?} {:?}", proposer, other);
        }
        prop_assert_eq!(old.toward(new).after_ack(), new);
        prop_assert!(!new.toward(new).waits());
    }
}
