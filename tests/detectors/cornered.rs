//! Evidence of any value: nothing panics, and every answer is a number.

use heartbeat_proto::Timestamp;
use heartbeat_proto::detector::{
    Any, Compact, Deadline, Detector, Evidence, Formula, Hazard, Jacobson, Sign, Source, Trust,
};

use crate::all::{Check, each};
use crate::common::Rng;

/// Mostly small, sometimes at an end.
fn odd(rng: &mut Rng) -> u64 {
    match rng.below(8) {
        0 => 0,
        1 => u64::MAX - rng.below(3),
        2 => rng.next(),
        3 => 1 << rng.below(64),
        _ => rng.below(1 << 32),
    }
}

fn any(rng: &mut Rng) -> Evidence {
    let signs = [Sign::Beat, Sign::Beat, Sign::Pong, Sign::Pong, Sign::Traffic, Sign::Pause];
    let sign = signs[rng.below(6) as usize];
    let mut evidence = Evidence::new(sign, Timestamp::from_nanos(odd(rng)), odd(rng));
    evidence.silence_nanos = odd(rng);
    evidence.seq = rng.percent(50).then(|| odd(rng) as u32);
    evidence.stamp = rng.percent(70).then(|| Timestamp::from_nanos(odd(rng)));
    evidence.rtt_nanos = rng.percent(80).then(|| odd(rng));
    evidence.in_pause = rng.percent(5);
    evidence
}

struct Corners;

impl Check for Corners {
    fn check<D: Detector>(&self, name: &str, _: Source, _: u32, detector: D) {
        let fresh = D::State::default();
        assert_eq!(detector.normalized(&fresh, 5), fresh, "{name}: there is no stamp to move");
        assert!(!format!("{detector:?}").contains("Bits"), "{detector:?}");
        for seed in 0..60 {
            let mut rng = Rng(seed);
            let mut state = D::State::default();
            for _ in 0..300 {
                detector.learn(&mut state, &any(&mut rng));
                let since = Timestamp::from_nanos(odd(&mut rng));
                let trust = Trust::new(since, odd(&mut rng), odd(&mut rng));
                let end = detector.deadline(&state, &trust);
                assert!(detector.suspicion(&state, &trust, end) <= 1.0, "{name}");
                for _ in 0..3 {
                    let now = Timestamp::from_nanos(odd(&mut rng));
                    let suspicion = detector.suspicion(&state, &trust, now);
                    assert!(suspicion.is_finite() && suspicion.is_sign_positive(), "{name}");
                    assert_eq!(suspicion > 1.0, now > end, "{name}: {suspicion}");
                }
            }
        }
    }
}

/// DT1.
#[test]
fn every_answer_is_a_number() {
    each(&Corners);
}

#[test]
fn a_knob_out_of_its_range_is_refused() {
    for patience in [0.0, 0.009, 1000.1, -1.0, f64::NAN, f64::INFINITY] {
        let refused = Hazard::new(patience).expect_err("out of range");
        let said = refused.to_string();
        assert!(said.contains("patience") && said.contains("0.01"), "{said}");
        assert!(Compact::new(patience).is_err());
    }
    assert!([0.01, 1000.0].iter().all(|&edge| Hazard::new(edge).is_ok()));
}

/// DT40: two that name no deadline for beats name none together.
#[test]
fn what_neither_names_is_not_named() {
    let trust = Trust::new(Timestamp::from_nanos(5), 10, 20);
    let any = Any(Deadline::fixed(), Deadline::fixed());
    assert_eq!(any.beat_deadline(&Default::default(), &trust), None);
    assert_eq!(any.deadline(&Default::default(), &trust), Timestamp::from_nanos(25));
}

#[test]
fn a_source_is_the_one_that_was_chosen() {
    let jacobson = Jacobson::new(4.0).expect("in range");
    assert_eq!(jacobson.source(), Source::Beats);
    assert_eq!(jacobson.on(Source::Pongs).source(), Source::Pongs);
}
