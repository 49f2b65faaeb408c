//! What deadlines are worth, computed by hand on links of a few beats.
#![cfg(feature = "replay")]
#![expect(
    clippy::float_cmp,
    clippy::cast_precision_loss,
    reason = "small integers and halves are exact"
)]

use heartbeat_proto::detector::Deadline;
use heartbeat_proto::replay::{
    Contender, Field, Kind, Link, Outcome, Points, Role, Sample, Score, Segment, Tally, Trace,
    Trial, Unseen, contenders, synthetic,
};

const SECOND: u64 = 1_000_000_000;

/// Beats every second that take 100 ms, but for the `odd` ones: their delay in milliseconds, or
/// nothing.
fn link(beats: u32, odd: &[(u32, Option<u64>)]) -> Link {
    Link::new(&segment(beats, odd)).expect("long enough")
}

fn segment(beats: u32, odd: &[(u32, Option<u64>)]) -> Segment {
    let samples = (0..beats).map(|seq| {
        let found = odd.iter().find(|(odd, _)| *odd == seq);
        let delay = found.map_or(Some(100), |(_, delay)| *delay);
        let delay = delay.map(|millis| millis * 1_000_000);
        Sample { seq, sent: u64::from(seq) * SECOND, delay }
    });
    Segment::new("link".to_owned(), samples.collect())
}

/// A deadline `millis` after each arrival.
fn fixed(millis: u64) -> Contender {
    Contender::new("fixed", Role::Published, vec![0.0], move |_, _| {
        Some(Trial::new(Deadline::fixed()).with_timeout(millis * 1_000_000))
    })
}

fn outcome(link: &Link, millis: u64) -> Outcome {
    fixed(millis).outcome(0.0, core::slice::from_ref(link), true).expect("judged")
}

/// RY3, RY4: nothing happens.
#[test]
fn a_steady_link() {
    let outcome = outcome(&link(120, &[]), 1_500);
    assert_eq!((outcome.mistakes, outcome.suspected), (0, 0.0));
    // Trusted until 1.6 s after the sending: 1.6 s less half a second on average.
    assert_eq!(outcome.mean, 1.1e9);
    assert_eq!(outcome.worst, 1.6e9);
    // The crash right after the sending is not sampled, the one an eighth later is.
    assert_eq!(outcome.p99, Some(1.475e9));
    // Of 120 beats the first 24 teach.
    assert_eq!(outcome.observed, 95e9);
    assert_eq!(outcome.accuracy(), 1.0);
}

/// RY4: one lost beat, one mistake of half a second.
#[test]
fn a_lost_beat() {
    let outcome = outcome(&link(120, &[(50, None)]), 1_500);
    assert_eq!((outcome.mistakes, outcome.suspected), (1, 0.5e9));
    assert_eq!(outcome.mean_mistake(), 0.5e9);
    // 119 arrive, of which 23 teach.
    assert_eq!(outcome.inaccuracy(), 0.5 / 96.0);
    assert!((outcome.rate() - 3600.0 / 96.0).abs() < 1e-9);
    // In the gap of two seconds a crash is detected after max(0, 1.6 s - x): 1.28 s^2 in all.
    assert!((outcome.mean - (1.1e9 * 94.0 + 1.28e9) / 96.0).abs() < 1.0);
}

/// RY4: at the deadline it is trusted, a nanosecond later not.
#[test]
fn a_beat_at_the_deadline() {
    let late = link(120, &[(50, Some(600))]);
    assert_eq!(outcome(&late, 1_500).mistakes, 0);
    let mut tally = Tally::new();
    let short = |arrival: &heartbeat_proto::replay::Arrival| arrival.at + 3 * SECOND / 2 - 1;
    tally.add(&late, &late.arrivals.iter().map(short).collect::<Vec<_>>());
    let outcome = tally.outcome().unwrap();
    assert_eq!((outcome.mistakes, outcome.suspected), (1, 1.0));
}

/// RY4: beats that restore no trust prolong a mistake and make none; a crash among them is detected
/// at once.
#[test]
fn beats_that_restore_no_trust() {
    let link = link(60, &[]);
    let mut tally = Tally::new();
    let stale = |i: usize| (40..43).contains(&i);
    let deadlines = link.arrivals.iter().enumerate().map(|(i, arrival)| {
        if stale(i) { arrival.at - 1 } else { arrival.at + SECOND + SECOND / 2 }
    });
    tally.add(&link, &deadlines.collect::<Vec<_>>());
    let outcome = tally.outcome().unwrap();
    // Suspected from the arrival of beat 40 on (at which the trust of beat 39 ends) to that of 43.
    assert_eq!((outcome.mistakes, outcome.suspected), (1, 3e9));
    // Crashes: after beat 40 detected at its arrival, 0.1 s after it was sent; then at once.
    let area = 1.1e9 * 44.0 + 0.005e9;
    assert!((outcome.mean - area / 47.0).abs() < 1.0);
}

/// RY2: what is overtaken is not heard, and does not renew.
#[test]
fn overtaken_beats_do_not_count() {
    let overtaken = link(120, &[(50, Some(1_300))]);
    assert_eq!(overtaken.arrivals.len(), 119);
    assert_eq!(outcome(&overtaken, 1_500).mistakes, 1);
    assert_eq!(outcome(&overtaken, 2_000).mistakes, 0);
}

/// RY2: the first hundred beats, at most a fifth, teach only.
#[test]
fn what_happens_while_learning_does_not_count() {
    assert_eq!(outcome(&link(600, &[(99, None)]), 1_500).mistakes, 0);
    assert_eq!(outcome(&link(600, &[(102, None)]), 1_500).mistakes, 1);
    assert_eq!(outcome(&link(100, &[(19, None)]), 1_500).mistakes, 0);
    assert_eq!(outcome(&link(100, &[(22, None)]), 1_500).mistakes, 1);
}

/// RY5: two of three.
#[test]
fn probes_are_judged_by_their_own_windows() {
    let all = contenders();
    let probes = all.iter().find(|contender| contender.name() == "k-of-n").unwrap();
    let label = |label: &str| {
        probes.grid().iter().copied().find(|&knob| probes.label(knob) == label).unwrap()
    };
    let lossy = [link(120, &[(50, None), (52, None), (60, None), (70, Some(650))])];
    let outcome = |knob| probes.outcome(label(knob), &lossy, false).unwrap();
    // Their windows are half a period and the median: 50, 52, 60 and 70 are lost.
    assert_eq!(outcome("1/1@0.5").mistakes, 4);
    assert_eq!(outcome("1/1@1.0").mistakes, 3);
    let two_of_three = outcome("2/3@0.5");
    // From the end of the window of 52 to that of 53, when 51 to 53 are the last.
    assert_eq!((two_of_three.mistakes, two_of_three.suspected), (1, 1e9));
    // After a probe that was answered two more must fail: 2.6 s after it was sent. After one of the
    // probes 50, 51, 60, 61, 70, 71, 53 one is enough, and while suspected one as well (52).
    let (two, one) = (2.6e9 - 0.5e9, 1.6e9 - 0.5e9);
    let mean = (two * 88.0 + one * 8.0) / 96.0;
    assert!((two_of_three.mean - mean).abs() < 1.0, "{} {mean}", two_of_three.mean);
    assert!(!probes.fits(Kind::OneWay, &lossy));
}

/// RY6: a deadline in a pause of the monitor moves to a period after it.
#[test]
fn a_pause_of_the_monitor_is_no_silence() {
    let mut paused = segment(120, &[]);
    // Beats 50 to 54 arrive within the pause, and are seen at its end.
    paused.pauses.push((50 * SECOND, 55 * SECOND));
    for sample in &mut paused.samples[50..55] {
        sample.delay = Some(55 * SECOND + u64::from(sample.seq) * 1000 - sample.sent);
    }
    let paused = [Link::new(&paused).unwrap()];
    let fixed = fixed(1_500);
    let plain = fixed.outcome(0.0, &paused, false).unwrap();
    let aware = fixed.pause_aware().outcome(0.0, &paused, false).unwrap();
    assert_eq!((plain.mistakes, aware.mistakes), (1, 0));
    // Beat 49, at 49.1 s, would be trusted until 50.6 s, and is until 56 s; so are those of the
    // burst, which would be until 56.5 s anyway.
    assert!(aware.worst == 7e9 && fixed.pause_aware().name() == "fixed+LP");
    assert!(fixed.pause_aware().fits(Kind::RoundTrip, &paused));
    assert!(!fixed.pause_aware().fits(Kind::RoundTrip, &[link(60, &[])]));
}

/// RY6: pauses that overlap are one.
#[test]
fn a_deadline_moves_behind_the_last_of_several_pauses() {
    let mut paused = segment(120, &[]);
    paused.pauses = vec![(50 * SECOND, 55 * SECOND), (53 * SECOND, 58 * SECOND)];
    for sample in &mut paused.samples[50..58] {
        sample.delay = Some(58 * SECOND + u64::from(sample.seq) * 1000 - sample.sent);
    }
    let paused = [Link::new(&paused).unwrap()];
    let aware = fixed(1_500).pause_aware().outcome(0.0, &paused, false).unwrap();
    assert_eq!((aware.mistakes, aware.worst), (0, 10e9));
}

/// Two contenders on a link with some losses: a patient and a hasty one.
fn race() -> (Field, Points) {
    let odd: Vec<_> = (0..10).map(|i| (150 + 10 * i, None)).collect();
    let trace = Trace::new("race".to_owned(), vec![segment(300, &odd)]);
    let field = Field::new(&trace).unwrap();
    let grid = vec![1.2, 1.6, 2.5];
    let make = |periods: f64, _: &Link| {
        Some(Trial::new(Deadline::fixed()).with_timeout((periods * 1e9) as u64))
    };
    let fixed = Contender::new("fixed", Role::Published, grid.clone(), make);
    let hasty = Contender::new("hasty", Role::Candidate, vec![0.5, 1.2], make);
    let points = [fixed, hasty].into_iter().flat_map(|contender| {
        let grid = contender.grid().to_vec();
        grid.into_iter().filter_map(|knob| field.point(&contender, knob, false)).collect::<Vec<_>>()
    });
    let points = Points(points.collect());
    (field, points)
}

/// RY7: the best of each within a budget, and the guard.
#[test]
fn contenders_meet_at_equal_detection_time() {
    let (field, points) = race();
    assert_eq!((field.period, field.delay), (1e9, 0.1e9));
    assert_eq!(field.budget(2.0), 2.6e9);
    let best = |budget: f64| {
        let budget = field.budget(budget);
        points.best("fixed", budget, points.guard(budget)).map(|best| best.parameter)
    };
    assert_eq!(best(0.1), None);
    // Both make ten mistakes: the faster one.
    assert_eq!(best(0.7), Some(1.2));
    assert_eq!(best(5.0), Some(2.5));
    assert_eq!(
        points.mean_for("fixed", 0.0),
        points.best("fixed", 1e12, 1.0).map(|p| p.outcome.mean)
    );
    // Half a period of trust makes one mistake a beat, and stays suspicious half of the time.
    let budget = field.budget(0.2);
    assert_eq!(points.best("hasty", budget, 1.0).unwrap().parameter, 1.2);
    let hasty = points.of("hasty").next().unwrap();
    assert!(hasty.outcome.inaccuracy() > points.guard(budget));
}

/// RY8: only cells in which the best published one made mistakes count; no point counts eight.
#[test]
fn the_score_is_a_geometric_mean() {
    let (field, points) = race();
    let score = Score::new([(&field, &points)]);
    // From three periods on nobody is wrong (2.5 periods have a mean of 2.1 s: m = 1.5).
    let budgets: Vec<_> = score.cells.iter().map(|cell| cell.budget).collect();
    assert_eq!(budgets, [0.5, 1.0]);
    let cell = &score.cells[1];
    assert_eq!((cell.reference, &*cell.holder), (10, "fixed"));
    assert!(score.rows.iter().all(|row| row.score == 1.0 && row.missing == 0));
    let fast = |point: &&heartbeat_proto::replay::Point| point.contender != "hasty";
    let mut without = Points(points.0.iter().filter(fast).cloned().collect());
    let mut slow = points.of("fixed").last().unwrap().clone();
    "slow".clone_into(&mut slow.contender);
    without.0.push(slow);
    let score = Score::new([(&field, &without)]);
    let slow = score.rows.iter().find(|row| row.contender == "slow").unwrap();
    assert!((slow.score - 8.0).abs() < 1e-9 && slow.missing == 2);
}

/// RY11: the knob that served others best, on a link that nobody saw.
#[test]
fn a_knob_is_chosen_on_the_other_traces() {
    let losing = |name: &str, burst: u32| {
        let odd: Vec<_> =
            (0..10).flat_map(|i| (0..burst).map(move |j| (150 + 10 * i + j, None))).collect();
        Field::new(&Trace::new(name.to_owned(), vec![segment(300, &odd)])).unwrap()
    };
    // Single losses on two links, pairs on the third: 2.5 periods bear the first ones alone.
    let fields = [losing("a", 1), losing("b", 1), losing("c", 2)];
    let make = |periods: f64, _: &Link| {
        Some(Trial::new(Deadline::fixed()).with_timeout((periods * 1e9) as u64))
    };
    let fixed = Contender::new("fixed", Role::Published, vec![1.2, 2.5], make);
    let other = Contender::new("other", Role::Candidate, vec![2.5, 3.2], make);
    let race = |field: &Field| {
        let run = |one: &Contender| -> Vec<_> {
            one.grid().iter().filter_map(|&knob| field.point(one, knob, false)).collect()
        };
        Points([run(&fixed), run(&other)].concat())
    };
    let points = fields.each_ref().map(race);
    let unseen = Unseen::new(fields.iter().zip(&points));
    assert_eq!(unseen.traces, ["a", "b", "c"]);
    // "fixed" is the reference, at whatever knob. For "c" the others would have 2.5 periods, which
    // makes ten mistakes there: as many as the best that is as fast.
    let row = |name: &str| unseen.rows.iter().find(|row| row.contender == name).unwrap().clone();
    assert_eq!(row("fixed").score, 1.0);
    assert_eq!(row("other").ratios[2], Some(1.0));

    // A reference that bears the pairs, and is faster, makes the choice of the others a bad one: 3.2
    // periods would have been the better ones.
    let mut points = points;
    let mut lucky = points[2].of("fixed").next().unwrap().clone();
    "lucky".clone_into(&mut lucky.contender);
    lucky.outcome.mistakes = 1;
    lucky.outcome.suspected = 0.0;
    points[2].0.push(lucky);
    let unseen = Unseen::new(fields.iter().zip(&points));
    let other = unseen.rows.iter().find(|row| row.contender == "other").unwrap();
    assert_eq!((other.ratios[0], other.ratios[1]), (None, None));
    assert!((other.ratios[2].unwrap() - 11.0 / 2.0).abs() < 1e-9, "{other:?}");

    // Suspicious for too long: eight. And nobody is judged where no published one is as fast.
    let theirs = points[2].0.iter_mut().filter(|point| point.contender == "other");
    theirs.for_each(|point| point.outcome.suspected = 1e12);
    let unseen = |points: &[Points; 3]| {
        let unseen = Unseen::new(fields.iter().zip(points));
        unseen.rows.iter().find(|row| row.contender == "other").and_then(|row| row.ratios[2])
    };
    assert!((unseen(&points).unwrap() - 8.0).abs() < 1e-9);
    points[2].0.retain(|point| point.role == Role::Candidate);
    assert_eq!(unseen(&points), None);
}

/// RY9: the scenarios are what they claim.
#[test]
fn the_scenarios_have_their_losses_and_delays() {
    let traces = synthetic(1);
    assert_ne!(traces, synthetic(2));
    let stats = |name: &str| {
        let trace = traces.iter().find(|trace| trace.name == name).expect(name);
        let samples = &trace.segments[0].samples;
        let lost = samples.iter().filter(|sample| sample.delay.is_none()).count();
        let mut delays: Vec<_> = samples.iter().filter_map(|s| s.delay).collect();
        delays.sort_unstable();
        let quantile = |q: usize| delays[delays.len() * q / 100] as f64 / 1e6;
        (lost as f64 / 720.0, quantile(50), quantile(90), delays[delays.len() - 1] as f64 / 1e6)
    };
    let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.1;
    let (lost, median, p90, _) = stats("syn-wan-lognormal");
    assert!(near(lost, 0.4) && near(median, 55.0) && near(p90, 50.0 + 5.0 * 3.6));
    let (_, median, p90, _) = stats("syn-pareto");
    assert!(near(median, 50.0 + 2.0 * 1.587) && near(p90, 50.0 + 2.0 * 4.64));
    let (lost, ..) = stats("syn-gilbert-elliott");
    // In the bad state for 0.002 / 0.152 of the time.
    assert!(near(lost, 100.0 * (0.8 * 0.01316 + 0.001 * 0.98684)), "{lost}");
    let (_, median, p90, most) = stats("syn-step-x10");
    assert!(median < 250.0 && near(p90, 218.0) && most < 400.0);
    let (lost, ..) = stats("syn-sender-stall-5s");
    assert!((1.0..3.5).contains(&lost), "{lost}");
    let (_, median, p90, _) = stats("syn-congestion");
    assert!(near(median, 50.0) && p90 > 450.0);
    let (_, _, p90, most) = stats("syn-spikes-15s");
    assert!(p90 < 70.0 && most > 850.0);
    let (_, median, _, _) = stats("syn-lan");
    assert!(near(median, 0.335));
    let paused = traces.iter().find(|trace| trace.name == "syn-monitor-stall-5s").unwrap();
    assert_eq!(paused.segments[0].pauses.len(), 40);
    let (.., most) = stats("syn-monitor-stall-5s");
    // Two stalls that overlap make a longer one.
    assert!((4_990.0..10_100.0).contains(&most), "{most}");
}
