//! Every learning detector, for what holds for all of them.

use core::time::Duration;

use heartbeat_proto::Timestamp;
use heartbeat_proto::detector::{
    All, Any, Bertier, Chen, Compact, Deadline, Detector, Evidence, Hazard, Jacobson, KOfN, Misses,
    PhiExponential, PhiLogistic, PhiNormal, Retransmission, Satzger, Shadow, Source, Trust,
    TwoWindows,
};

use crate::common::Rng;

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

/// From `least` on over five orders of magnitude, so that some are swift and some wait for the
/// ceiling.
fn parameter(least: f64, rng: &mut Rng) -> f64 {
    least * 10_f64.powf(rng.below(5_000) as f64 / 1_000.0)
}

/// Runs the check with every detector, at any parameters and source; and with what is made of
/// them.
pub(crate) fn each_at_random(rng: &mut Rng, check: &impl Check) {
    const OK: &str = "in range";
    let from = [Source::Beats, Source::Pongs][rng.below(2) as usize];
    let share = rng.below(1_001) as f64 / 1_000.0;
    let some = rng.below(100) as u8;
    let span = Duration::from_millis(rng.below(2_000));
    let mut knob = |least: f64| parameter(least, rng);
    let hazard = Hazard::new(knob(0.01)).expect(OK).on(from);
    let compact = Compact::new(knob(0.01)).expect(OK).on(from);
    let misses = Misses::new(knob(1.0) as u32).phase(share).expect(OK).on(from);
    let k_of_n = KOfN::new(1 + some / 2, 1 + some, knob(0.01)).expect(OK).on(from).delay(span);
    let rfc = Retransmission::rfc9002(span).deviations(knob(0.1)).expect(OK);
    let chen = Chen::by_number(knob(0.01)).expect(OK).on(from);
    let stamped = Chen::by_stamp(knob(0.01)).expect(OK).window::<8>();
    let normal = PhiNormal::new(knob(0.01)).expect(OK).on(from);
    let satzger = Satzger::new(knob(0.01), share).expect(OK).on(from);
    check.check("hazard", from, 0, hazard);
    check.check("compact", from, 0, compact);
    check.check("misses", from, 0, misses);
    check.check("k of n", from, 10, k_of_n);
    check.check("rfc 9002", Source::Pongs, 1, rfc);
    check.check("rfc 6298", Source::Pongs, 1, Retransmission::rfc6298().at_least(span));
    check.check("chen, number", from, 10, chen);
    check.check("chen, stamp", Source::Beats, 10, stamped);
    check.check("2w, number", from, 10, TwoWindows::by_number(knob(0.01)).expect(OK).on(from));
    let stamped = TwoWindows::by_stamp(knob(0.01)).expect(OK).windows::<2, 30>();
    check.check("2w, stamp", Source::Beats, 10, stamped);
    check.check("bertier", from, 10, Bertier::new(knob(0.01)).expect(OK).on(from));
    check.check("phi, normal", from, 10, normal);
    check.check("phi, rejecting", from, 10, normal.rejecting_above(some.into()));
    let exponential = PhiExponential::new(knob(0.01)).expect(OK).on(from);
    check.check("phi, exponential", from, 10, exponential);
    check.check("phi, exponential, all", from, 10, exponential.recording_all());
    let logistic = PhiLogistic::new(knob(0.01)).expect(OK).on(from);
    check.check("phi, logistic", from, 10, logistic.acceptable_pause(span).min_deviation(span));
    check.check("satzger", from, 10, satzger);
    check.check("jacobson", from, 10, Jacobson::new(knob(0.01)).expect(OK).on(from));
    check.check("fixed", from, 0, Deadline::fixed());
    check.check("rtt", Source::Pongs, 0, Deadline::rtt_adaptive(1 + some));
    check.check("any", from, 0, Any(hazard, Any(normal, k_of_n)));
    check.check("all", from, 0, All(compact, All(chen, satzger)));
    check.check("shadow", from, 0, Shadow::new(hazard, misses));
    check.check("never", from, 0, Stubborn(Timestamp::EPOCH));
    check.check("always", from, 0, Stubborn(Timestamp::MAX));
}

/// Answers one thing, whatever it hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stubborn(Timestamp);

impl Detector for Stubborn {
    type State = ();

    fn learn(&self, (): &mut (), _: &Evidence) {}

    fn deadline(&self, (): &(), _: &Trust) -> Timestamp {
        self.0
    }

    fn beat_deadline(&self, (): &(), _: &Trust) -> Option<Timestamp> {
        Some(self.0)
    }
}
