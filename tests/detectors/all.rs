//! Every learning detector, for what holds for all of them.

use core::time::Duration;

use heartbeat_proto::detector::{
    Bertier, Chen, Compact, Detector, Hazard, Jacobson, KOfN, Misses, PhiExponential, PhiLogistic,
    PhiNormal, Retransmission, Satzger, Source, TwoWindows,
};

/// A check of any one detector.
pub(crate) trait Check {
    /// `source` is what it learns from; `lessons`, after how many beats it trusts what it learnt.
    fn check<D: Detector>(&self, name: &str, source: Source, lessons: u32, detector: D);
}

/// Runs the check with every detector.
pub(crate) fn each(check: &impl Check) {
    const OK: &str = "in range";
    let (beats, pongs) = (Source::Beats, Source::Pongs);
    let akka = PhiLogistic::new(8.0).expect(OK);
    let swift = akka.acceptable_pause(Duration::ZERO).min_deviation(Duration::ZERO);
    check.check("misses", beats, 0, Misses::new(3));
    check.check("misses of pongs", pongs, 0, Misses::new(1).on(pongs).phase(0.3).expect(OK));
    check.check("k of n", beats, 10, KOfN::new(2, 5, 0.5).expect(OK));
    check.check("k of n, pongs", pongs, 10, KOfN::new(3, 8, 2.5).expect(OK).on(pongs));
    check.check("rfc 6298", pongs, 1, Retransmission::rfc6298());
    check.check("rfc 9002", pongs, 1, Retransmission::rfc9002(Duration::from_millis(25)));
    check.check("chen, number", beats, 10, Chen::by_number(1.0).expect(OK));
    check.check("chen, stamp", beats, 10, Chen::by_stamp(1.0).expect(OK).window::<32>());
    check.check("chen, pongs", pongs, 10, Chen::by_stamp(0.5).expect(OK).on(pongs));
    check.check("2w, number", beats, 10, TwoWindows::by_number(1.0).expect(OK));
    check.check("2w, stamp", beats, 10, TwoWindows::by_stamp(1.0).expect(OK).windows::<3, 50>());
    check.check("bertier", beats, 10, Bertier::new(4.0).expect(OK));
    check.check("phi, normal", beats, 10, PhiNormal::new(8.0).expect(OK));
    check.check("phi, pongs", pongs, 10, PhiNormal::new(3.0).expect(OK).on(pongs));
    check.check("phi, rejecting", beats, 10, PhiNormal::new(1.0).expect(OK).rejecting_above(2));
    check.check("phi, exponential", beats, 10, PhiExponential::new(8.0).expect(OK));
    let all = PhiExponential::new(0.5).expect(OK).recording_all();
    check.check("phi, exponential, all", beats, 10, all);
    check.check("phi, logistic", beats, 10, akka);
    check.check("phi, logistic, swift", beats, 10, swift);
    check.check("satzger, max", beats, 10, Satzger::new(2.0, 1.0).expect(OK));
    check.check("satzger, q99", beats, 10, Satzger::new(3.0, 0.99).expect(OK).window::<40>());
    check.check("jacobson", beats, 10, Jacobson::new(4.0).expect(OK));
    check.check("hazard", beats, 0, Hazard::default());
    check.check("hazard, pongs", pongs, 0, Hazard::new(9.0).expect(OK).on(pongs));
    check.check("compact", beats, 0, Compact::default());
    check.check("compact, pongs", pongs, 0, Compact::new(0.7).expect(OK).on(pongs));
}
