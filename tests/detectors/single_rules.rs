//! What single rules say, by numbers.

use heartbeat_proto::Timestamp;
use heartbeat_proto::detector::{
    Accrual, Bertier, Chen, Detector, Jacobson, KOfN, Misses, ParameterError, PhiExponential,
    PhiLogistic, PhiNormal, Retransmission, Satzger, Sign, Source, TwoWindows, tail,
};

use crate::link::{Beat, PERIOD, steady, steady_beat};
use crate::run::{MS, Run};

fn settled<D: Detector>(detector: D) -> Run<D> {
    let mut run = Run::new(detector, PERIOD);
    for beat in steady(150) {
        run.hear(Source::Beats, beat);
    }
    run
}

/// Trust that is left after the next beat on time.
fn next<D: Detector>(run: &mut Run<D>, number: u32) -> i64 {
    let beat = steady_beat(number);
    run.hear(Source::Beats, beat);
    run.end() - beat.at as i64
}

/// DT3: the peer started anew, with its clock and its numbers, on the same connection.
#[test]
fn a_peer_that_counts_anew_is_believed_after_ten_periods() {
    let mut run = settled(Chen::by_stamp(1.0).expect("a margin"));
    let before = run.end();
    let last = steady_beat(149).at;
    for number in 0..40 {
        let at = last + u64::from(number + 1) * PERIOD;
        run.hear(Source::Beats, Beat { at, ..steady_beat(number) });
        match number {
            0..9 => assert_eq!(run.end(), before, "overtaken: {number}"),
            9..18 => assert_eq!(run.end() as u64, at + run.timeout, "cold: {number}"),
            _ => assert_eq!(run.end() as u64, at + 2 * PERIOD, "learnt: {number}"),
        }
    }
}

/// DT4: a pause does not know what the peer promised.
#[test]
fn the_promised_period_is_waited_after_a_pause() {
    let beat = |run: &mut Run<PhiNormal>, now| {
        run.tell(Sign::Beat, now, |evidence| evidence.period_nanos = 5 * PERIOD);
        run.end() - now as i64
    };
    for (wait, learns) in [(4 * PERIOD, false), (6 * PERIOD, true)] {
        let mut run = Run::new(PhiNormal::new(8.0).expect("a threshold"), PERIOD);
        for number in 0..50 {
            let _ = beat(&mut run, number * 5 * PERIOD);
        }
        let resumed = 50 * 5 * PERIOD;
        run.tell(Sign::Pause, resumed, |_| ());
        let usual = beat(&mut run, resumed);
        assert_eq!(usual, 5 * PERIOD as i64);
        assert_eq!(beat(&mut run, resumed + wait) != usual, learns, "{wait} after the pause");
    }
}

/// DT7: eight periods early is swift, and a nanosecond more is another clock.
#[test]
fn a_clock_that_stood_still_voids_what_was_learnt() {
    for (early, forgets) in [(8 * PERIOD, false), (8 * PERIOD + 1, true)] {
        let mut run = settled(Chen::by_stamp(1.0).expect("a margin"));
        let usual = next(&mut run, 150);
        assert_eq!(usual, 2 * PERIOD as i64);
        // Our clock stood for so long: the peer's is ahead by it.
        let mut left = Vec::new();
        for number in 151..260 {
            let beat = steady_beat(number);
            run.beat(number, beat.sent + early, beat.at);
            left.push(run.end() - beat.at as i64);
        }
        if forgets {
            assert_eq!(left[..9], [run.timeout as i64; 9], "cold again");
            assert_eq!(left[9..], vec![usual; 100], "and then as before");
        } else {
            let late = usual + (8 * PERIOD) as i64 * 99 / 100;
            assert_eq!(left[0], late, "the window is of another clock for 100 beats");
            assert_eq!(left[100], usual);
        }
    }
}

/// DT7, by number: a silence that was too long to be counted.
#[test]
fn a_silence_that_is_cut_short_voids_what_was_learnt() {
    let mut run = settled(Chen::by_number(1.0).expect("a margin"));
    // The thousandth beat, after a silence that counts as 20 periods.
    run.hear(Source::Beats, Beat { at: steady_beat(170).at, ..steady_beat(1_000) });
    assert_eq!(run.end() as u64 - run.since, run.timeout);
}

/// DT19: from the first beat of the new promise on, without a mistake and without a memory.
#[test]
fn a_new_promise_counts_at_once() {
    fn check<D: Detector>(name: &str, detector: D, left_of: impl Fn(u64) -> f64) {
        let mut run = settled(detector);
        for (number, period) in [(150, PERIOD), (151, 5 * PERIOD), (152, 5 * PERIOD), (153, PERIOD)]
        {
            run.period = period;
            let at = run.since + period;
            run.tell(Sign::Beat, at, |evidence| evidence.seq = Some(number));
            let left = (run.end() - at as i64) as f64;
            let wanted = left_of(period);
            assert!((left - wanted).abs() <= 2.0, "{name}: {left}, not {wanted}, at {number}");
        }
    }
    const OK: &str = "in range";
    check("normal", PhiNormal::new(8.0).expect(OK), |period| period as f64);
    let exponential = |period| 8.0 * 10_f64.ln() * period as f64;
    check("exponential", PhiExponential::new(8.0).expect(OK), exponential);
    check("satzger", Satzger::new(2.0, 0.99).expect(OK), |period| 2.0 * period as f64);
    check("jacobson", Jacobson::new(4.0).expect(OK), |period| (period + MS) as f64);
    check("chen", Chen::by_number(1.0).expect(OK), |period| 2.0 * period as f64);
    check("misses", Misses::new(2), |period| 2.0 * period as f64);
}

/// DT12 and DT20: phi itself, at the silences of a normal distribution.
#[test]
fn suspicion_is_phi_over_its_threshold() {
    let mut run = Run::new(PhiNormal::new(8.0).expect("a threshold"), PERIOD);
    let mut at = 0;
    for number in 0..200 {
        at += if number % 2 == 0 { 90 * MS } else { 110 * MS }; // The first gap counts as 100.
        run.beat(number, at, at);
    }
    let deviation = (199.0 / 200.0_f64).sqrt() * 10.0;
    let mean = (100.0 * 200.0 + 10.0) / 200.0;
    for silence in [0.0, 80.0, 100.0, 120.0, 155.0, 200.0, 1_000.0, 100_000.0] {
        let now = Timestamp::from_nanos(run.origin + at + (silence * 1e6) as u64);
        let found = run.detector.phi(&run.state, &run.trust(), now);
        let wanted = tail::phi((silence - mean) / deviation);
        let off = (found - wanted).abs() / wanted.max(1e-10);
        assert!(off < 0.01, "{found}, not {wanted}, after {silence} ms");
    }
    assert!(run.suspicion(i64::MAX) < f64::MAX);
}

/// DT13 and DT14: the same, of the other two.
#[test]
fn suspicion_is_phi_of_the_others_as_well() {
    let exponential = settled(PhiExponential::new(8.0).expect("a threshold"));
    let logistic = settled(PhiLogistic::new(8.0).expect("a threshold"));
    let last = steady_beat(149).at as i64;
    for silence in [0, 1, 10, 50, 100] {
        let now = last + silence * PERIOD as i64;
        let found = 8.0 * exponential.suspicion(now);
        assert!((found - silence as f64 / 10_f64.ln()).abs() < 1e-9, "{found} after {silence}");
        // A mean of 100 ms, a pause of 3 s, a deviation of 100 ms.
        let y = silence as f64 - 31.0;
        let odds = y * (1.5976 + 0.070_566 * y * y);
        let wanted =
            if odds > 100.0 { odds / 10_f64.ln() } else { odds.exp().ln_1p() / 10_f64.ln() };
        let found = 8.0 * logistic.suspicion(now);
        assert!((found - wanted).abs() <= 1e-9 * wanted, "{found}, not {wanted}, at {silence}");
    }
}

/// Beats that are neither numbered nor stamped are counted by their gaps (section 15.1).
#[test]
fn beats_without_number_or_stamp_are_counted_by_their_gaps() {
    let mut run = Run::new(Chen::by_number(1.0).expect("a margin"), PERIOD);
    for number in (0..60_u64).filter(|number| number % 7 != 3) {
        let at = number * PERIOD + 10 * MS + (number % 2) * 20 * MS;
        run.tell(Sign::Beat, at, |_| ());
    }
    // The last was number 58; 20 ms late is the mean.
    let off = run.end().abs_diff(((58 + 2) * PERIOD + 20 * MS) as i64);
    assert!(off < MS, "{off}");
}

/// Beats that do not say when they were sent teach nothing about delays.
#[test]
fn without_stamps_there_are_no_delays() {
    let mut run = Run::new(Chen::by_stamp(1.0).expect("a margin"), PERIOD);
    for beat in steady(50) {
        run.tell(Sign::Beat, beat.at, |evidence| evidence.seq = Some(beat.number));
        assert_eq!(run.end() as u64, beat.at + run.timeout);
    }
}

#[test]
fn parameters_have_bounds() {
    fn refused<T>(result: Result<T, ParameterError>, text: &str) {
        assert_eq!(result.err().expect("out of range").to_string(), text);
    }
    let margin = |found| format!("margin is {found}, but 0 to 1000000 is allowed");
    refused(Chen::by_number(-0.5), &margin("-0.5"));
    refused(Chen::by_stamp(f64::NAN), &margin("NaN"));
    refused(TwoWindows::by_number(1e7), &margin("10000000"));
    refused(TwoWindows::by_stamp(f64::INFINITY), &margin("inf"));
    let phi = |found| format!("phi is {found}, but 0.001 to 1000000 is allowed");
    refused(PhiNormal::new(0.0), &phi("0"));
    refused(PhiExponential::new(-1.0), &phi("-1"));
    refused(PhiLogistic::new(2e6), &phi("2000000"));
    let deviations = |found| format!("deviations is {found}, but 0 to 1000000 is allowed");
    refused(Bertier::new(-1.0), &deviations("-1"));
    refused(Jacobson::new(-1.0), &deviations("-1"));
    refused(Retransmission::rfc6298().deviations(-1.0), &deviations("-1"));
    refused(Satzger::new(-1.0, 0.5), "factor is -1, but 0 to 1000000 is allowed");
    refused(Satzger::new(1.0, 1.5), "quantile is 1.5, but 0 to 1 is allowed");
    refused(Misses::new(1).phase(1.5), "phase is 1.5, but 0 to 1 is allowed");
    refused(KOfN::new(0, 3, 1.0), "k is 0, but 1 to 3 is allowed");
    refused(KOfN::new(4, 3, 1.0), "k is 4, but 1 to 3 is allowed");
    refused(KOfN::new(1, 101, 1.0), "n is 101, but 1 to 100 is allowed");
    refused(KOfN::new(1, 3, -1.0), "wait is -1, but 0 to 1000000 is allowed");
    assert_eq!(Misses::new(0), Misses::new(1));
    assert_eq!(Chen::by_stamp(-0.0), Chen::by_stamp(0.0), "one zero");
}
