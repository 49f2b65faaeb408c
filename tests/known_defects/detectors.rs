//! Defects of detector arithmetic.

use std::collections::VecDeque;

use heartbeat_proto::detector::{Deadline, Detector, Hazard};
use heartbeat_proto::{Action, Config, Event, HeartbeatMachine, Mode, PingId, Timestamp};

use crate::common::{MS, SEC, Solo, at, ms, secs};
use crate::script::{ours, since_start};

#[cfg(feature = "detectors")]
mod accrual;

/// The logistic approximation of the normal tail that the crates share, as
/// -log10 of the chance that a beat comes later than `silence`.
fn phi(silence: f64, mean: f64, deviation: f64) -> f64 {
    let y = (silence - mean) / deviation;
    let e = (-y * (1.5976 + 0.070_566 * y * y)).exp();
    let later = if silence > mean { e / (1.0 + e) } else { 1.0 - 1.0 / (1.0 + e) };
    -later.log10()
}

/// A window of intervals whose length is told as the number of all that ever were pushed.
#[derive(Default)]
struct PushesForLength {
    window: VecDeque<f64>,
    pushes: f64,
}

impl PushesForLength {
    /// A window of 100 that starts as a guess of 1 s, a quarter more and less.
    fn after(beats: u32) -> Self {
        let mut new = Self::default();
        let guess = [750.0, 1_250.0];
        for interval in guess.into_iter().chain((1..beats).map(|_| 1_000.0)) {
            new.window.push_back(interval);
            new.pushes += 1.0;
            if new.window.len() > 100 {
                new.window.pop_front();
            }
        }
        new
    }

    /// When phi reaches 8, with 3 s of acceptable pause and a deviation of at least 100 ms.
    fn verdict(&self) -> u32 {
        let mean = self.window.iter().sum::<f64>() / self.pushes;
        let squares = self.window.iter().map(|interval| interval * interval).sum::<f64>();
        let deviation = (squares / self.pushes - mean * mean).sqrt().max(100.0);
        let convicts = |silence: &u32| phi(f64::from(*silence), mean + 3_000.0, deviation) >= 8.0;
        (0..100_000).step_by(10).find(convicts).expect("a verdict")
    }
}

/// A watcher of beats that come every second.
fn watch<D: Detector>(detector: D) -> Config<D> {
    let builder = Config::builder().mode(Mode::Passive).detector(detector);
    let builder = builder.interval(secs(1)).timeout(secs(4)).floor(ms(1_100));
    builder.ceiling(secs(60)).reopen_after(3).build().expect("valid")
}

/// Tells beats at these times, by a punctual driver; the stamps are the peer's.
fn beats<D: Detector>(machine: &mut HeartbeatMachine<D>, times: impl Iterator<Item = u64>) {
    for now in times {
        while let Some(due) = machine.next_deadline().filter(|&due| due < at(now)) {
            let _ = machine.handle(Event::Tick, due);
        }
        let stamp = Some(Timestamp::from_nanos(now + 77 * SEC));
        let _ = machine.handle(Event::BeaconReceived { stamp, period: secs(1) }, at(now));
    }
}

/// When the machine gives the peer up, if nothing more is heard.
fn verdict<D: Detector>(machine: &HeartbeatMachine<D>) -> u64 {
    let mut machine = machine.clone();
    while machine.liveness().is_live() {
        let due = machine.next_deadline().expect("live");
        let _ = machine.handle(Event::Tick, due);
    }
    since_start(machine.report().expect("a verdict").observed_at)
}

/// Suspicion after that many beats: a number that grows, 1 at the detector's deadline.
fn suspicion_is_sound<D: Detector>(detector: D, count: u32) -> u64 {
    let mut machine = ours(watch(detector), 1);
    beats(&mut machine, (1..=u64::from(count)).map(|beat| beat * SEC));
    let last = u64::from(count) * SEC;
    let mut before = 0.0;
    for step in 0..6_000 {
        let suspicion = machine.suspicion(at(last + step * 10 * MS));
        assert!(suspicion.is_finite() && suspicion.is_sign_positive(), "{suspicion} after {count}");
        assert!(suspicion >= before, "{suspicion} below {before}");
        before = suspicion;
    }
    assert!(before > 1.0, "silence of a minute is suspicious: {before}");
    verdict(&machine) - last
}

/// Lesson: a number that is infinite, negative zero, not a number, or of the wrong window, is no
/// measure.
#[test]
fn defect_05_tails_and_windows_of_phi() {
    // The tail underflows: infinite from 1 s on, for beats of 100 ms and a deviation of 10.
    assert!(phi(1_000.0, 100.0, 10.0).is_infinite());
    // Below the mean: minus zero.
    let early = phi(0.0, 1_000.0, 10.0);
    assert!(early == 0.0 && early.is_sign_negative());
    // A mean of inverted sense (count over span), and none at all of a single beat.
    let inverted = 9.0 / 9_000.0;
    let deviation = (1_000.0_f64 - inverted).abs();
    assert!((0.29..0.31).contains(&phi(1.0, inverted, deviation)), "just after a beat");
    assert!((1.5..1.7).contains(&phi(2_000.0, inverted, deviation)), "after missing one");
    let (intervals, span) = (0.0, 0.0);
    assert!(phi(1.0, intervals / span, 0.01).is_nan());
    // A variance that sums the squares to a mean that was still on its way: 22 for 29.4.
    let (mut sum, mut squares) = (100.0, 0.0);
    for (count, interval) in [(2.0, 150.0), (3.0, 80.0)] {
        sum += interval;
        squares += f64::powi(interval - sum / count, 2);
    }
    assert!((22.0..23.0).contains(&f64::sqrt(squares / 3.0)), "{}", f64::sqrt(squares / 3.0));
    // The same beats of 1 s, never late: the verdict wanders.
    let verdicts = [99, 150, 5_000].map(|beats| PushesForLength::after(beats).verdict());
    assert_eq!(verdicts, [4_530, 6_140, 3_760], "as measured of the crate, to 10 ms");

    // Ours, over the same numbers of beats, and a single one.
    let mut patience = u64::MAX;
    for count in [1, 2, 99, 150, 5_000] {
        let fixed = suspicion_is_sound(Deadline::fixed(), count);
        assert_eq!(fixed, 4 * SEC + 1, "after {count}");
        // It trusts a calm link more with each of the first hundred beats, and then equally.
        let adaptive = suspicion_is_sound(Hazard::new(3.0).expect("in range"), count);
        assert!(adaptive <= patience && (count <= 150 || adaptive == patience), "after {count}");
        patience = adaptive;
    }
    #[cfg(feature = "detectors")]
    accrual::numbers_are_sound();
}

/// Lesson: one outage must not make a detector patient for the next hundred beats.
#[test]
fn defect_11_long_mean_after_one_outage() {
    /// Mean and deviation of the last hundred intervals, all of them.
    fn limit(times: &[u64]) -> u32 {
        let millis = |pair: &[u64]| u32::try_from((pair[1] - pair[0]) / MS).map(f64::from);
        let intervals: Vec<f64> = times.windows(2).flat_map(millis).collect();
        let mean_of = |values: &[f64]| values.iter().sum::<f64>() / 100.0;
        let last = &intervals[intervals.len() - 100..];
        let mean = mean_of(last);
        let squares: Vec<f64> = last.iter().map(|one| (one - mean).powi(2)).collect();
        let variance = mean_of(&squares);
        let convicts =
            |silence: &u32| phi(f64::from(*silence), mean, variance.sqrt().max(100.0)) >= 8.0;
        (0..1_000_000).step_by(10).find(convicts).expect("a verdict")
    }
    // A beat a second; the path carries nothing for 25 s after the 200th; then again.
    let before: Vec<u64> = (1..=200).map(|beat| beat * SEC).collect();
    let after = |beats: u64| {
        let mut times = before.clone();
        times.extend((225..225 + beats).map(|second| second * SEC));
        times
    };
    assert_eq!(limit(&before), 1_530);
    for beats in [1, 25, 50, 99] {
        assert!(limit(&after(beats)) > 13_000, "{} after {beats} beats", limit(&after(beats)));
    }

    // A detector of beats on our trait: one interval counts as three periods at most.
    for (times, most) in [(before.clone(), 1_350 * MS), (after(1), 4 * SEC), (after(50), 3 * SEC)] {
        let mut machine = ours(watch(Hazard::new(3.0).expect("in range")), 1);
        beats(&mut machine, times.iter().copied());
        let limit = verdict(&machine) - times[times.len() - 1];
        assert!(limit <= most, "{limit} after {} beats", times.len());
    }
    #[cfg(feature = "detectors")]
    accrual::outages_are_no_gaps(&[before.clone(), after(1), after(25), after(99)]);
    // The round-trip estimate does take the samples of what the outage held up, and forgets them in
    // 25 answers, by RFC 6298; until then the ceiling bounds what they do.
    let builder = Config::builder().detector(Deadline::rtt_adaptive(3)).reopen_after(1);
    let config = builder.interval(secs(1)).timeout(secs(4)).ceiling(secs(30)).build();
    let config = config.expect("valid");
    for (dies, most) in [(200, 2 * SEC), (226, 30 * SEC + 1), (250, 3 * SEC), (275, 2 * SEC)] {
        let mut solo = Solo::of(ours(config, 1));
        solo.answer_to(200 * SEC, 20 * MS);
        let sent = solo.log.len();
        if dies > 200 {
            solo.run_to(225 * SEC);
            let is_ping = |&(_, action): &(u64, Action)| match action {
                Action::SendPing { id, .. } => Some(id),
                _ => None,
            };
            let held: Vec<PingId> = solo.log[sent..].iter().filter_map(is_ping).collect();
            for id in held {
                let _ = solo.tell(Event::pong(id));
            }
            solo.answer_to(dies * SEC, 20 * MS);
        }
        let lost_at = solo.lost_by(400 * SEC).expect("a verdict");
        assert!(lost_at - dies * SEC <= most, "dead at {dies} s: {lost_at}");
    }
}
