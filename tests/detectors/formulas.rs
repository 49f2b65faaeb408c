//! Each formula against a naive restatement of its rule: the whole history, floats, no state.

use core::time::Duration;

use heartbeat_proto::detector::{
    Bertier, Chen, Detector, Jacobson, KOfN, Misses, PhiExponential, PhiLogistic, PhiNormal,
    Retransmission, Satzger, Source, TwoWindows, tail,
};

use crate::link::{Beat, PERIOD, rough};
use crate::run::Run;

const P: f64 = PERIOD as f64;
const MILLI: f64 = 1e6;

/// Enough for every detector that rejects gaps.
const WARM: usize = 20;

/// The detector's deadline after each beat of three links is that of `naive`, which is given all
/// beats so far; to `slack` nanoseconds.
fn agrees<D: Detector>(detector: D, source: Source, slack: f64, naive: impl Fn(&[Beat]) -> f64) {
    let mut compared = 0;
    for seed in 1..=3 {
        let link = rough(seed, 400);
        let mut run = Run::new(detector, PERIOD);
        for count in 1..=link.len() {
            let beat = link[count - 1];
            match source {
                Source::Pongs => run.pong(beat.number, beat.sent, beat.at),
                _ => run.beat(beat.number, beat.sent, beat.at),
            }
            if count >= WARM {
                let (found, wanted) = (run.end() as f64, naive(&link[..count]));
                assert!((found - wanted).abs() <= slack, "beat {count}: {found}, not {wanted}");
                compared += 1;
            }
        }
    }
    assert!(compared > 1_000, "{compared}");
}

fn last<T>(values: &[T], n: usize) -> &[T] {
    &values[values.len().saturating_sub(n)..]
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: Vec<f64> = values.iter().map(|value| (value - mean).powi(2)).collect();
    self::mean(&squares).sqrt()
}

/// The gaps before each beat, the first one period.
fn gaps(beats: &[Beat]) -> Vec<f64> {
    let between = beats.windows(2).map(|pair| (pair[1].at - pair[0].at) as f64);
    core::iter::once(P).chain(between).collect()
}

fn at(beats: &[Beat]) -> f64 {
    beats[beats.len() - 1].at as f64
}

/// Delays, by stamp or by number, and when the newest beat was sent.
fn delays(beats: &[Beat], by_number: bool) -> (Vec<f64>, f64) {
    let sent = |beat: &Beat| if by_number { f64::from(beat.number) * P } else { beat.sent as f64 };
    let delays = beats.iter().map(|beat| beat.at as f64 - sent(beat)).collect();
    (delays, sent(&beats[beats.len() - 1]))
}

/// The averages of RFC 6298: of the samples, and of how far each was from the average before it.
fn averages(samples: &[f64], off: f64) -> (f64, f64) {
    samples[1..].iter().fold((samples[0], off), |(average, off), sample| {
        let distance = (sample - average).abs();
        (7.0 / 8.0 * average + sample / 8.0, 3.0 / 4.0 * off + distance / 4.0)
    })
}

/// DT8.
#[test]
fn misses_count_ticks() {
    for (k, share) in [(1, 0.0), (3, 0.25), (7, 0.5)] {
        let detector = Misses::new(k).phase(share).expect("a share");
        agrees(detector, Source::Beats, 0.5, |beats| {
            let mut tick = beats[0].at as f64 - share * P;
            while tick + P <= at(beats) {
                tick += P;
            }
            tick + f64::from(k) * P
        });
    }
}

/// DT9.
#[test]
fn chen_expects_the_next_beat() {
    let chen = |by_number, n, margin| {
        move |beats: &[Beat]| {
            let (delays, sent) = delays(beats, by_number);
            sent + P + mean(last(&delays, n)) + margin * P
        }
    };
    let by_stamp = Chen::by_stamp(0.25).expect("a margin");
    agrees(by_stamp, Source::Beats, 2.0, chen(false, 100, 0.25));
    agrees(by_stamp.on(Source::Pongs), Source::Pongs, 2.0, chen(false, 100, 0.25));
    let by_number = Chen::by_number(2.0).expect("a margin").window::<32>();
    agrees(by_number, Source::Beats, 2.0, chen(true, 32, 2.0));
}

/// DT10.
#[test]
fn two_windows_take_the_later() {
    let two = |by_number, short, long, margin| {
        move |beats: &[Beat]| {
            let (delays, sent) = delays(beats, by_number);
            sent + P + mean(last(&delays, short)).max(mean(last(&delays, long))) + margin * P
        }
    };
    let by_stamp = TwoWindows::by_stamp(0.5).expect("a margin");
    agrees(by_stamp, Source::Beats, 2.0, two(false, 1, 100, 0.5));
    let by_number = TwoWindows::by_number(0.0).expect("a margin").windows::<4, 60>();
    agrees(by_number, Source::Beats, 2.0, two(true, 4, 60, 0.0));
}

/// DT11.
#[test]
fn bertier_follows_its_errors() {
    let naive = |n: usize, a: f64| {
        move |beats: &[Beat]| {
            let (delays, sent) = delays(beats, true);
            let (mut d, mut v) = (0.0, 0.0);
            for i in 1..delays.len() {
                let error = delays[i] - mean(last(&delays[..i], n));
                v = 0.9 * v + 0.1 * (error - d).abs();
                d = 0.9 * d + 0.1 * error;
            }
            sent + P + mean(last(&delays, n)) + d + a * v
        }
    };
    agrees(Bertier::new(4.0).expect("a number"), Source::Beats, 3.0, naive(200, 4.0));
    let short = Bertier::new(1.5).expect("a number").window::<20>();
    agrees(short, Source::Beats, 3.0, naive(20, 1.5));
}

/// DT12.
#[test]
fn phi_normal_is_a_quantile() {
    for z in [0.5, 3.0, 12.0] {
        let detector = PhiNormal::new(tail::phi(z)).expect("a threshold");
        let naive = |n: usize, most: f64| {
            move |beats: &[Beat]| {
                let gaps: Vec<f64> =
                    gaps(beats).into_iter().filter(|gap| *gap <= most * P).collect();
                let gaps = last(&gaps, n);
                at(beats) + mean(gaps) + z * deviation(gaps)
            }
        };
        agrees(detector, Source::Beats, 5.0, naive(200, f64::INFINITY));
        agrees(detector.window::<30>(), Source::Beats, 5.0, naive(30, f64::INFINITY));
        agrees(detector.rejecting_above(3), Source::Beats, 5.0, naive(200, 3.0));
    }
}

/// DT13.
#[test]
fn phi_exponential_is_a_multiple_of_the_mean() {
    let naive = |n: usize, most: f64| {
        move |beats: &[Beat]| {
            let gaps: Vec<f64> = gaps(beats).into_iter().filter(|gap| *gap <= most * P).collect();
            at(beats) + 8.0 * 10_f64.ln() * mean(last(&gaps, n))
        }
    };
    let cassandra = PhiExponential::new(8.0).expect("a threshold");
    agrees(cassandra, Source::Beats, 3.0, naive(200, 2.0));
    agrees(cassandra.rejecting_above(4), Source::Beats, 3.0, naive(200, 4.0));
    agrees(cassandra.recording_all().window::<50>(), Source::Beats, 3.0, naive(50, f64::INFINITY));
}

/// DT14. The root is found by halving.
#[test]
fn phi_logistic_is_that_of_akka() {
    let phi = |silence: f64, mean: f64, deviation: f64| {
        let y = (silence - mean) / deviation;
        let e = (-y * (1.5976 + 0.070_566 * y * y)).exp();
        let later = if silence > mean { e / (1.0 + e) } else { 1.0 - 1.0 / (1.0 + e) };
        -later.log10()
    };
    for (threshold, pause, least) in [(0.5, 0, 10), (8.0, 300, 10), (100.0, 0, 200)] {
        let detector = PhiLogistic::new(threshold).expect("a threshold");
        let detector = detector.acceptable_pause(Duration::from_millis(pause));
        let detector = detector.min_deviation(Duration::from_millis(least));
        agrees(detector, Source::Beats, 50.0, |beats| {
            let gaps = gaps(beats);
            let gaps = last(&gaps, 200);
            let center = mean(gaps) + pause as f64 * MILLI;
            let deviation = deviation(gaps).max(least as f64 * MILLI);
            let (mut low, mut high) = (0.0, center + 40.0 * deviation);
            for _ in 0..200 {
                let middle = f64::midpoint(low, high);
                if phi(middle, center, deviation) < threshold {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            at(beats) + low
        });
    }
}

/// DT15.
#[test]
fn satzger_takes_the_gaps_as_they_were() {
    let naive = |n: usize, factor: f64, quantile: f64| {
        move |beats: &[Beat]| {
            let gaps = gaps(beats);
            let mut sorted = last(&gaps, n).to_vec();
            sorted.sort_by(f64::total_cmp);
            let rank = quantile * (sorted.len() - 1) as f64;
            let (low, part) = (rank.floor(), rank.fract());
            let below = sorted[low as usize];
            let above = sorted[(low as usize + 1).min(sorted.len() - 1)];
            at(beats) + factor * (below * (1.0 - part) + above * part)
        }
    };
    let detector = |factor, quantile| Satzger::new(factor, quantile).expect("in range");
    agrees(detector(2.0, 1.0), Source::Beats, 2.0, naive(180, 2.0, 1.0));
    agrees(detector(3.0, 0.99), Source::Beats, 2.0, naive(180, 3.0, 0.99));
    agrees(detector(1.5, 0.0), Source::Beats, 2.0, naive(180, 1.5, 0.0));
    agrees(detector(1.5, 0.7).window::<11>(), Source::Beats, 2.0, naive(11, 1.5, 0.7));
}

/// DT16.
#[test]
fn jacobson_averages_the_gaps() {
    let detector = Jacobson::new(4.0).expect("a number");
    agrees(detector, Source::Beats, 3.0, |beats| {
        let (gap, off) = averages(&gaps(beats), 0.0);
        at(beats) + gap + (4.0 * off).max(MILLI)
    });
}

/// DT17.
#[test]
fn retransmission_is_that_of_the_rfcs() {
    let naive = |a: f64, delay: f64, least: f64| {
        move |beats: &[Beat]| {
            let (trips, sent) = delays(beats, false);
            let (trip, off) = averages(&trips, trips[0] / 2.0);
            sent + P + (trip + (a * off).max(MILLI) + delay).max(least)
        }
    };
    let tcp = Retransmission::rfc6298();
    agrees(tcp, Source::Pongs, 3.0, naive(4.0, 0.0, 1e9));
    agrees(tcp.at_least(Duration::ZERO), Source::Pongs, 3.0, naive(4.0, 0.0, 0.0));
    let quic = Retransmission::rfc9002(Duration::from_millis(25));
    agrees(quic, Source::Pongs, 3.0, naive(4.0, 25.0 * MILLI, 0.0));
    let bold = quic.deviations(0.0).expect("a number");
    agrees(bold, Source::Pongs, 3.0, naive(0.0, 25.0 * MILLI, 0.0));
}

/// DT18. Naively: the outcome of every beat, those to come missing, and the first moment at which
/// k of the last n are; in the order of the beats.
#[test]
fn k_of_n_counts_outcomes() {
    let delay = 20 * 1_000_000;
    for (k, n, wait) in [
        (1, 1, 0.5),
        (1, 1, 1.5),
        (2, 3, 0.3),
        (2, 2, 2.5),
        (3, 5, 2.5),
        (5, 5, 4.0),
        (20, 100, 0.1),
    ] {
        let detector = KOfN::new(k, n, wait).expect("in range").on(Source::Pongs);
        let detector = detector.delay(Duration::from_nanos(delay));
        agrees(detector, Source::Pongs, 5_000.0, |beats| {
            let newest = beats[beats.len() - 1];
            let number = |beat: &Beat| beat.number as usize;
            let mut missing = vec![true; number(&newest) + 1 + usize::from(k)];
            for beat in beats {
                let late = (beat.at - beat.sent) as f64 - delay as f64;
                missing[number(beat)] = late > wait * P;
            }
            // Before the first beat there was nothing to miss.
            missing[..number(&beats[0])].fill(false);
            let due = |i: usize| {
                let ahead = i as f64 - f64::from(newest.number);
                newest.sent as f64 + delay as f64 + wait * P + ahead * P
            };
            let fails = |i: usize| {
                let first = (i + 1).saturating_sub(usize::from(n));
                missing[first..=i].iter().filter(|missing| **missing).count() >= usize::from(k)
            };
            // From the last outcome that is known.
            let known = |&i: &usize| due(i) <= at(beats);
            let mut from = (0..=number(&newest)).rfind(known).unwrap_or(0);
            while from <= number(&newest) && fails(from) {
                from += 1;
            }
            if from > number(&newest) {
                return at(beats) - 1.0;
            }
            due((from..missing.len()).find(|&i| fails(i)).expect("all to come are missing"))
        });
    }
}
