//! What the shipped accrual detectors make of the same beats.

use core::time::Duration;

use heartbeat_proto::Timestamp;
use heartbeat_proto::detector::{
    Detector, Evidence, Learnt, PhiExponential, PhiLogistic, PhiNormal, Sign, Trust, tail,
};

use super::{beats, phi, suspicion_is_sound, verdict, watch};
use crate::common::{MS, SEC};
use crate::script::ours;

const OK: &str = "in range";

/// With the parameters of the crate whose verdict wanders.
fn logistic() -> PhiLogistic {
    PhiLogistic::new(8.0).expect(OK)
}

pub(super) fn numbers_are_sound() {
    let normal = PhiNormal::new(8.0).expect(OK);
    let exponential = PhiExponential::new(1.0).expect(OK);
    // Two beats are too few to be learnt from: the fixed limit.
    for count in [1, 2] {
        assert_eq!(suspicion_is_sound(normal, count), 4 * SEC + 1);
        assert_eq!(suspicion_is_sound(exponential, count), 4 * SEC + 1);
        assert_eq!(suspicion_is_sound(logistic(), count), 4 * SEC + 1);
    }
    for count in [99, 150, 5_000] {
        assert_eq!(suspicion_is_sound(normal, count), 1_100 * MS + 1, "the floor: no deviation");
        assert_eq!(suspicion_is_sound(exponential, count), 2_302_585_093, "ln 10 means");
        // 1 s, 3 s of pause, and where the approximation reaches 8 with a deviation of 100 ms: the
        // crate's formula crosses there, too, once its window is right.
        let limit = (suspicion_is_sound(logistic(), count) / MS) as u32;
        assert!(phi(f64::from(limit), 4_000.0, 100.0) < 8.0, "{limit}");
        assert!(phi(f64::from(limit + 1), 4_000.0, 100.0) >= 8.0, "{limit}");
    }

    // Where the tail of the crates underflows, phi grows on; and below the mean it is no minus zero.
    assert!(phi(1_000.0, 100.0, 10.0).is_infinite());
    assert!((1_761.0..1_762.0).contains(&tail::phi(90.0)));
    assert!(tail::phi(-100.0).is_sign_positive());
    // A variance of the whole window: gaps of 100, 150 and 80 ms deviate by 29.4 ms.
    let (silence, z) = (110e6 + 3.0 * 29.439_202_887_759_49e6, 3.0);
    let mut state = Learnt::default();
    let detector = normal.window::<3>();
    let mut at = 0;
    for gap in [100, 100, 150, 80] {
        let mut beat = Evidence::new(Sign::Beat, Timestamp::from_nanos(at + gap * MS), 100 * MS);
        beat.silence_nanos = gap * MS;
        at += gap * MS;
        detector.learn(&mut state, &beat);
    }
    let trust = Trust::new(Timestamp::from_nanos(at), 100 * MS, 400 * MS);
    let now = Timestamp::from_nanos(at).saturating_add(Duration::from_nanos(silence as u64));
    let found = 8.0 * detector.suspicion(&state, &trust, now);
    assert!((found - tail::phi(z)).abs() < 1e-6, "{found}");
}

/// A beat a second; from the second case on with an outage of 25 s before the last beats.
pub(super) fn outages_are_no_gaps(cases: &[Vec<u64>]) {
    fn limit<D: Detector>(detector: D, times: &[u64]) -> u64 {
        let mut machine = ours(watch(detector), 1);
        beats(&mut machine, times.iter().copied());
        verdict(&machine) - times[times.len() - 1]
    }
    let swift = logistic().acceptable_pause(Duration::ZERO);
    for times in cases {
        let normal = PhiNormal::new(8.0).expect(OK).rejecting_above(2);
        assert_eq!(limit(normal, times), 1_100 * MS + 1, "after {}", times.len());
        let exponential = PhiExponential::new(1.0).expect(OK);
        assert_eq!(limit(exponential, times), 2_302_585_093, "after {}", times.len());
        let logistic = limit(swift.rejecting_above(2), times);
        assert_eq!(logistic, limit(swift, &cases[0]), "after {}", times.len());
    }
    // As published, they record it, and are patient.
    for times in &cases[1..] {
        assert!(limit(PhiNormal::new(8.0).expect(OK), times) > 10 * SEC);
        assert!(limit(swift, times) > 9 * SEC);
    }
}
