//! One connection: rules PL1, PL2, PL6 to PL8.

use core::time::Duration;

use heartbeat_proto::Timestamp;
use heartbeat_proto::pool::{Idle, IdleLimits, IdleLimitsBuilder, IdleWatch, Why};

use crate::{MS, SEC, at, since};

const UNANSWERED: Option<Idle> = Some(Idle::Evict(Why::Unanswered));

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn limits(builder: IdleLimitsBuilder) -> IdleLimits {
    builder.build().expect("valid")
}

fn due(watch: &IdleWatch, limits: &IdleLimits) -> u64 {
    watch.next_deadline(limits).map(since).expect("it waits")
}

/// PL6, PL7: Y28: 30 s without writing, a ping, 10 s without an answer, the eviction: to the
/// nanosecond.
#[test]
fn y28_a_write_idle_client_is_pinged_and_evicted() {
    let limits = IdleLimits::server();
    let mut watch = IdleWatch::new(&limits, 1, at(0));
    assert_eq!(due(&watch, &limits), 30 * SEC + 1);
    assert_eq!(watch.poll(&limits, at(30 * SEC)), None);
    assert_eq!(watch.poll(&limits, at(30 * SEC + 1)), Some(Idle::Ping));
    assert_eq!(watch.poll(&limits, at(30 * SEC + 1)), None);
    let last = 40 * SEC + 1;
    assert_eq!(due(&watch, &limits), last + 1);
    assert_eq!(watch.poll(&limits, at(last)), None);
    let mut answered = watch;
    answered.heard(at(last));
    assert_eq!(answered.poll(&limits, at(last + 1)), None);
    assert_eq!(due(&answered, &limits), 60 * SEC + 2, "30 s after the ping, which was a writing");
    assert_eq!(watch.poll(&limits, at(last + 1)), UNANSWERED);
    assert_eq!((watch.poll(&limits, at(last + 2)), watch.next_deadline(&limits)), (None, None));
}

/// PL6, PL7: Y28: who is written to but says nothing for 60 s is pinged, and evicted.
#[test]
fn y28_a_read_idle_client_is_pinged_and_evicted() {
    let limits = IdleLimits::server();
    let mut watch = IdleWatch::new(&limits, 1, at(0));
    for second in 1..=6 {
        watch.wrote(at(second * 10 * SEC));
        assert_eq!(watch.poll(&limits, at(second * 10 * SEC)), None);
    }
    assert_eq!(watch.poll(&limits, at(60 * SEC + 1)), Some(Idle::Ping));
    watch.wrote(at(65 * SEC));
    assert_eq!(watch.poll(&limits, at(70 * SEC + 1)), None, "an own writing is no answer");
    assert_eq!(watch.poll(&limits, at(70 * SEC + 2)), UNANSWERED);
}

/// PL6: who reads and writes is never pinged; who only answers pings lives for ever.
#[test]
fn the_living_are_kept() {
    let limits = IdleLimits::server();
    let mut watch = IdleWatch::new(&limits, 1, at(0));
    for round in 1..10_000 {
        let now = at(round * 29 * SEC);
        watch.read(now);
        watch.wrote(now);
        assert_eq!(watch.poll(&limits, now), None);
    }
    let mut pings = 0;
    for _ in 0..10_000 {
        let now = watch.next_deadline(&limits).expect("it waits");
        assert_eq!(watch.poll(&limits, now), Some(Idle::Ping));
        watch.heard(now);
        pings += 1;
    }
    assert_eq!(pings, 10_000);
}

/// PL7: pings and pongs are no use.
#[test]
fn the_unused_are_evicted_however_well_they_answer() {
    let limits = limits(IdleLimits::builder().unused(Some(secs(90))));
    let mut watch = IdleWatch::new(&limits, 1, at(0));
    watch.read(at(5 * SEC));
    watch.wrote(at(6 * SEC));
    let mut pings = 0;
    loop {
        let now = watch.next_deadline(&limits).expect("it waits");
        match watch.poll(&limits, now) {
            Some(Idle::Ping) => pings += 1,
            other => {
                assert_eq!(other, Some(Idle::Evict(Why::Unused)));
                assert_eq!((since(now), pings), (96 * SEC + 1, 2));
                return;
            }
        }
        watch.heard(now);
    }
}

/// PL8: the age, less its share of jitter, by the seed.
#[test]
fn the_old_are_evicted() {
    let exact =
        limits(IdleLimits::builder().age(Some(secs(1000))).age_jitter_percent(0).write(None));
    let mut watch = IdleWatch::new(&exact, 1, at(0));
    watch.read(at(1000 * SEC));
    assert_eq!(watch.poll(&exact, at(1000 * SEC)), None);
    assert_eq!(watch.poll(&exact, at(1000 * SEC + 1)), Some(Idle::Evict(Why::Old)));
    let only_age = IdleLimits::builder().read(None).write(None).age_jitter_percent(20);
    let spread = limits(only_age.age(Some(secs(1000))));
    let ends: Vec<u64> =
        (0..100).map(|seed| due(&IdleWatch::new(&spread, seed, at(0)), &spread)).collect();
    assert!(ends.iter().all(|end| (800 * SEC..=1000 * SEC + 1).contains(end)), "{ends:?}");
    let (least, most) = (ends.iter().min().expect("some"), ends.iter().max().expect("some"));
    assert!(most - least > 150 * SEC, "{least} to {most}");
    let nothing = limits(only_age);
    assert_eq!(IdleWatch::new(&nothing, 1, at(0)).next_deadline(&nothing), None);
}

/// PL7: a server that stood still pings again before it evicts; once.
#[test]
fn a_late_call_evicts_nobody_for_silence() {
    let limits = IdleLimits::server();
    let slack = 50 * MS;
    for (late, evicted) in [(slack, true), (slack + 1, false)] {
        let mut watch = IdleWatch::new(&limits, 1, at(0));
        assert_eq!(watch.poll(&limits, at(30 * SEC + 1)), Some(Idle::Ping));
        let now = 40 * SEC + 2 + late;
        let found = watch.poll(&limits, at(now));
        assert_eq!(found, if evicted { UNANSWERED } else { Some(Idle::Ping) });
        if !evicted {
            assert_eq!(due(&watch, &limits), now + 10 * SEC + 1);
            let mut heard = watch;
            assert_eq!(watch.poll(&limits, at(now + 500 * SEC)), UNANSWERED, "once");
            // Life gives the grace anew.
            heard.heard(at(now + SEC));
            assert_eq!(heard.poll(&limits, at(now + 100 * SEC)), Some(Idle::Ping));
            assert_eq!(heard.poll(&limits, at(now + 200 * SEC)), Some(Idle::Ping));
        }
    }
}

/// PL7: unread data may be use.
#[test]
fn a_late_call_evicts_nobody_as_unused() {
    let builder = IdleLimits::builder().read(None).write(None);
    let limits = limits(builder.unused(Some(secs(90))));
    let mut watch = IdleWatch::new(&limits, 1, at(0));
    assert_eq!(watch.poll(&limits, at(200 * SEC)), None);
    assert_eq!(due(&watch, &limits), 200 * SEC + 50 * MS + 1);
    let mut used = watch;
    used.read(at(200 * SEC + MS));
    assert_eq!(due(&used, &limits), 290 * SEC + MS + 1);
    let evict = Some(Idle::Evict(Why::Unused));
    assert_eq!(watch.poll(&limits, at(200 * SEC + 50 * MS + 1)), evict);
}

/// PL1: times below earlier ones move nothing back, and the end of the clock is reached in peace.
#[test]
fn time_is_monotone_and_ends() {
    let limits = limits(IdleLimits::builder().unused(Some(secs(90))).age(Some(secs(100))));
    let mut watch = IdleWatch::new(&limits, 1, at(50 * SEC));
    let before = watch;
    watch.heard(at(0));
    watch.read(at(1));
    watch.wrote(at(2));
    assert_eq!(watch, before);
    assert_eq!(watch.poll(&limits, Timestamp::EPOCH), None);
    for nanos in [u64::MAX - 60 * SEC, u64::MAX - 1, u64::MAX] {
        let mut watch = IdleWatch::new(&limits, 1, Timestamp::from_nanos(nanos));
        for _ in 0..5 {
            let _ = watch.poll(&limits, Timestamp::MAX);
            watch.heard(Timestamp::MAX);
        }
    }
}

/// PL2: every bound, on both sides.
#[test]
fn what_does_not_fit_is_refused() {
    type Knob = fn(IdleLimitsBuilder, Duration) -> IdleLimitsBuilder;
    let knobs: [Knob; 5] = [
        |builder, span| builder.read(Some(span)),
        |builder, span| builder.write(Some(span)),
        |builder, span| builder.unused(Some(span)),
        |builder, span| builder.age(Some(span)),
        IdleLimitsBuilder::answer,
    ];
    let (day, step) = (Duration::from_secs(86_400), Duration::from_nanos(1));
    for knob in knobs {
        let build = |span| knob(IdleLimits::builder(), span).build().is_ok();
        assert!(build(day) && build(4 * step) && !build(Duration::ZERO) && !build(day + step));
    }
    let slack = |slack| IdleLimits::builder().slack(slack).build().is_ok();
    let quarter = Duration::from_millis(2500);
    assert!(slack(step) && slack(quarter) && !slack(quarter + step) && !slack(Duration::ZERO));
    for percent in 0..=u8::MAX {
        let built = IdleLimits::builder().age_jitter_percent(percent).build();
        assert_eq!(built.is_ok(), percent <= 50);
    }
    assert_eq!(limits(IdleLimits::builder()), IdleLimits::server());
    assert_eq!(Why::Room.to_string(), "room");
}
