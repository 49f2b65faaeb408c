//! Whole configurations over segments, computed by hand.
#![cfg(feature = "replay")]
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]
#![allow(clippy::large_types_passed_by_value, reason = "configurations are values here")]

use core::time::Duration;

use heartbeat_proto::replay::{PlayError, Played, Sample, Segment, play};
use heartbeat_proto::{Config, ConfigBuilder, FirstPing, Liveness, Mode, Probing};
use proptest::prelude::*;

const MILLI: u64 = 1_000_000;

/// Samples every 100 ms for `beats`; `delay` in milliseconds, nothing for lost.
fn segment(beats: u32, delay: impl Fn(u32) -> Option<u64>) -> Segment {
    let samples = (0..beats).map(|seq| Sample {
        seq,
        sent: u64::from(seq) * 100 * MILLI,
        delay: delay(seq).map(|millis| millis * MILLI),
    });
    Segment::new("link".to_owned(), samples.collect())
}

/// A ping every second at the whole second, given up after four.
fn rules() -> ConfigBuilder {
    Config::builder()
        .interval(Duration::from_secs(1))
        .timeout(Duration::from_secs(4))
        .attempts(3)
        .jitter_percent(0)
        .probing(Probing::Always)
        .first_ping(FirstPing::Immediate)
}

fn played(builder: &ConfigBuilder, segment: &Segment, crashes: u32) -> Played {
    play(&builder.build().expect("valid"), segment, crashes).expect("playable")
}

/// RY10: on a steady link nothing happens, and a crash is found 4 s after the last pong.
#[test]
fn a_steady_link_is_alive_and_every_crash_is_found() {
    let played = played(&rules(), &segment(1_000, |_| Some(20)), 97);
    assert_eq!((played.suspicions, played.losses, played.distrusted), (0, 0, 0));
    assert_eq!(played.observed, 99_900 * MILLI);
    let pings = 100;
    assert_eq!(played.pings, pings);
    let lives: Vec<_> = played.turns.iter().map(|turn| turn.to).collect();
    assert_eq!(lives, [Liveness::Starting, Liveness::Alive]);
    assert_eq!(played.detections.len(), 97);
    // The last ping before the crash left at most a second before it, and its pong came 20 ms later.
    for took in &played.detections {
        assert!((3_020 * MILLI..=4_020 * MILLI + 1).contains(took), "{took}");
    }
    let mean = played.detections.iter().sum::<u64>() / 97;
    assert!(mean.abs_diff(3_520 * MILLI) < 20 * MILLI, "{mean}");
}

/// RY10: a ping meets the path as the newest sample did; a slow path makes pongs slow.
#[test]
fn pings_meet_the_path_of_their_time() {
    // From 30.0 s to 31.0 s pongs take 2.5 s: W is 1 s.
    let slow = |seq| Some(if (300..=310).contains(&seq) { 2_500 } else { 20 });
    let played = played(&rules(), &segment(1_000, slow), 0);
    // The last pong came at 29.02 s; the ping of 30 s is missed at 31 s; that of 32 s is answered.
    let told: Vec<_> = played.turns[2..].iter().map(|turn| (turn.at, turn.to)).collect();
    assert_eq!(told, [(31_000 * MILLI + 1, Liveness::Suspect), (32_020 * MILLI, Liveness::Alive)]);
    assert_eq!((played.suspicions, played.losses), (1, 0));
    assert_eq!(played.distrusted, 1_020 * MILLI - 1);
}

/// RY10: one outage is one loss, whatever became of the connections in it.
#[test]
fn an_outage_is_one_loss() {
    let out = |seq| (!(300..420).contains(&seq)).then_some(20);
    let all = played(&rules(), &segment(1_000, out), 0);
    assert_eq!((all.suspicions, all.losses), (1, 1));
    let lost = all.turns.iter().filter(|turn| turn.to == Liveness::Lost).count();
    assert_eq!(lost, 3, "the connections of 33, 37 and 41 s: {:?}", all.turns);
    assert_eq!(all.turns.last().expect("alive").to, Liveness::Alive);
    // Reopening by itself comes to the same.
    let again = played(&rules().reopen_after(1), &segment(1_000, out), 0);
    assert_eq!((again.suspicions, again.losses), (1, 1));
}

/// RY10: a pause of the monitor: what arrived is read first.
#[test]
fn a_pause_of_the_monitor_loses_nobody() {
    let mut paused = segment(1_000, |_| Some(20));
    paused.pauses.push((30_010 * MILLI, 60_000 * MILLI));
    let played = played(&rules(), &paused, 0);
    assert_eq!((played.suspicions, played.losses), (0, 0), "{:?}", played.turns);
    // Of the hundred pings of a minute and a half thirty were not sent.
    assert!((69..=72).contains(&played.pings), "{}", played.pings);
}

/// RY10: who only listens hears the samples themselves, and none that was sent after the crash.
#[test]
fn a_listener_hears_the_samples() {
    for mode in [Mode::Passive, Mode::Responder] {
        let config = Config::builder()
            .mode(mode)
            .interval(Duration::from_millis(100))
            .timeout(Duration::from_millis(500))
            .attempts(1);
        let out = |seq| (!(300..302).contains(&seq)).then_some(20);
        let all = played(&config, &segment(1_000, out), 50);
        assert_eq!((all.suspicions, all.losses, all.pings), (0, 0, 0), "{:?}", all.turns);
        // Given up 500 ms after the last arrival, which came 20 ms after it was sent.
        for took in &all.detections {
            assert!((220 * MILLI..=520 * MILLI + 1).contains(took), "{took}");
        }
        let longer = |seq| (!(300..306).contains(&seq)).then_some(20);
        assert_eq!(played(&config, &segment(1_000, longer), 0).losses, 1);
    }
}

/// RY10
#[test]
fn what_cannot_be_played_is_told() {
    let beacon = Config::builder().mode(Mode::Beacon).build().expect("valid");
    let some = segment(10, |_| Some(1));
    assert_eq!(play(&beacon, &some, 1), Err(PlayError::JudgesNobody));
    assert_eq!(play(&Config::lan(), &segment(1, |_| Some(1)), 1), Err(PlayError::TooShort));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// RY10: whatever the path does, the promise holds for every crash.
    #[test]
    fn a_crash_is_found_within_the_promise(
        delays in prop::collection::vec(prop::option::weighted(0.9, 0_u64..3_000), 2..400),
        interval in 1_u64..3_000,
        more in 2_u64..5_000,
    ) {
        let segment = segment(delays.len() as u32, |seq| delays[seq as usize]);
        let spans = [interval, interval + more].map(Duration::from_millis);
        let built = Config::builder().interval(spans[0]).timeout(spans[1]).build();
        prop_assume!(built.is_ok());
        let config = built.unwrap();
        let played = play(&config, &segment, 20).unwrap();
        // A pong that is under way at the crash is life.
        let latest = u128::from(delays.iter().flatten().max().copied().unwrap_or(0) * MILLI);
        let promise = config.worst_case_detection().as_nanos() + latest;
        for took in &played.detections {
            prop_assert!(u128::from(*took) <= promise + 1, "{took} {promise}");
        }
    }
}
