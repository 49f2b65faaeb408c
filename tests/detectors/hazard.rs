//! The equal-hazard margin against a naive restatement in floats; its compact form against the full
//! one; and what it promises of late beats and of a changed path.

use heartbeat_proto::detector::{Compact, Detector, Hazard};

use crate::link::{Beat, PERIOD, rough, steady, steady_beat};
use crate::run::{MS, Run};

const P: f64 = PERIOD as f64;

/// DT21 to DT23 in floats, over the whole history.
fn naive(beats: &[Beat], a: f64) -> f64 {
    let delay = |beat: &Beat| beat.at as f64 - beat.sent as f64;
    let (mut level, mut square, mut stale) = (delay(&beats[0]), 0.0, 0);
    for (count, pair) in (1..).zip(beats.windows(2)) {
        let [before, beat] = [pair[0], pair[1]];
        let late = beat.at as f64 - (before.sent as f64 + P + level);
        let late = late.clamp(0.0, 3.0 * P);
        square += (late * late - square) / f64::from(count.min(64));
        let above = delay(&beat) - level;
        let waited = beat.at - before.at < PERIOD / 2;
        stale = if above > 3.0 * P { stale + i32::from(!waited) } else { 0 };
        if above < -8.0 * P || stale == 16 {
            (level, stale) = (delay(&beat), 0);
        } else if above > 0.0 {
            level += above.min(3.0 * P) / f64::from((count + 1).min(64));
        } else {
            level += above / f64::from((count + 1).min(16));
        }
    }
    let last = &beats[beats.len() - 1];
    let spread = square.sqrt().max(P / beats.len().min(255) as f64).max(P * a / 300.0);
    let margin = a * (P * spread).sqrt();
    let late = delay(last) - level;
    if late > 2.0 * margin {
        return last.at as f64 - 1.0;
    }
    last.at as f64 + P + margin - late.min(0.0) - (late - margin).max(0.0)
}

/// How far the detector is from the restatement, at worst, as a share of a period.
fn worst<D: Detector>(detector: D, a: f64) -> f64 {
    let mut worst = 0.0_f64;
    for seed in 1..=5 {
        let link = rough(seed, 600);
        let mut run = Run::new(detector, PERIOD);
        for count in 1..=link.len() {
            let beat = link[count - 1];
            run.beat(beat.number, beat.sent, beat.at);
            worst = worst.max((run.end() as f64 - naive(&link[..count], a)).abs() / P);
        }
    }
    worst
}

/// DT21 to DT23.
#[test]
fn it_is_what_the_rules_say() {
    for a in [0.5, 4.0, 20.0] {
        let off = worst(Hazard::new(a).expect("in range"), a);
        assert!(off < 5e-4 + 2e-4 * a, "a = {a}: {off} periods");
    }
}

/// DT24.
#[test]
fn the_compact_one_is_as_good() {
    for a in [0.5, 4.0, 20.0] {
        let off = worst(Compact::new(a).expect("in range"), a);
        assert!(off < 2e-4 + 4e-4 * a, "a = {a}: {off} periods");
    }
    assert_eq!(size_of::<<Compact as Detector>::State>(), 24);
    assert!(size_of::<<Hazard as Detector>::State>() <= 128);
}

/// DT23: a queue that drains in order after an outage of 200 periods gives no trust until its beats
/// are fresh; then it does at once.
#[test]
fn a_drained_queue_gives_no_trust() {
    fn check<D: Detector>(detector: D) {
        let mut run = Run::new(detector, PERIOD);
        for beat in steady(100) {
            run.beat(beat.number, beat.sent, beat.at);
        }
        let over = steady_beat(300).at;
        for number in 100..=300 {
            let beat = steady_beat(number);
            run.beat(number, beat.sent, over);
            let age = over - beat.at;
            let trusted = run.end() >= over as i64;
            assert!(!trusted || age < 40 * PERIOD, "{detector:?}: {age} ns old, yet trusted");
            assert!(trusted || age > 0, "{detector:?}: fresh, yet not trusted");
        }
    }
    check(Hazard::default());
    check(Compact::default());
}

/// DT21: a path that became 50 periods longer is trusted again after 16 beats; one that became
/// shorter by as much, at once.
#[test]
fn a_changed_path_is_believed() {
    fn check<D: Detector>(detector: D) {
        let mut run = Run::new(detector, PERIOD);
        let usual = |run: &Run<D>| run.end() - run.since as i64;
        for beat in steady(300) {
            run.beat(beat.number, beat.sent, beat.at);
        }
        let before = usual(&run);
        for number in 300..316 {
            assert!(number == 300 || usual(&run) < 0, "{detector:?}: trusted at {number}");
            let beat = steady_beat(number);
            run.beat(number, beat.sent, beat.at + 50 * PERIOD);
        }
        assert!(usual(&run) >= before, "{detector:?}: not believed");
        let back = steady_beat(400);
        run.beat(400, back.sent, back.at);
        let (left, most) = (usual(&run), 6 * PERIOD as i64);
        assert!(left >= before && left < most, "{detector:?}: {left} ns");
    }
    check(Hazard::default());
    check(Compact::default());
}

/// DT22.
#[test]
fn it_is_patient_where_the_link_is_restless() {
    fn margin<D: Detector>(detector: D, jitter: u64) -> i64 {
        let mut run = Run::new(detector, PERIOD);
        for number in 0..200 {
            let beat = steady_beat(number);
            run.beat(number, beat.sent, beat.at + u64::from(number % 2) * jitter);
        }
        run.end() - run.since as i64 - PERIOD as i64
    }
    for (calm, restless) in [
        (margin(Hazard::default(), 0), margin(Hazard::default(), 80 * MS)),
        (margin(Compact::default(), 0), margin(Compact::default(), 80 * MS)),
    ] {
        assert!(calm > 0 && restless > 3 * calm, "{calm} {restless}");
    }
}
