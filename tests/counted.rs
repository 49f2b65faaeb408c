//! What is counted and measured (RP1 to RP3, J12), and what is left of the actions of one call.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]
#![allow(clippy::large_types_passed_by_value, reason = "configurations are values; no speed here")]

mod common;

use core::time::Duration;

use common::{MS, Rng, SEC, Solo, at, ms, nanos, secs};
use heartbeat_proto::{
    Action, Config, Event, Fault, Findings, Histogram, Liveness, Mode, PingId, Stats, Timestamp,
};

/// RP2: each counter is the number of events told to the machine, or of what it told, of its kind.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted([u64; 20]);

impl Counted {
    fn by(stats: &Stats) -> Self {
        Self([
            stats.pings_received,
            stats.pongs_received,
            stats.beacons_received,
            stats.frames_received,
            stats.pings_sent,
            stats.pongs_sent,
            stats.beacons_sent,
            stats.misses,
            stats.pongs_late,
            stats.pongs_duplicate,
            stats.pongs_unmatched,
            stats.pongs_wrong_epoch,
            stats.strikes,
            stats.late_calls,
            stats.clock_regressions,
            stats.reprobes,
            stats.pings_skipped,
            stats.suspicions,
            stats.losses,
            stats.mistakes,
        ])
    }

    fn event(&mut self, event: Event) {
        let at = match event {
            Event::PingReceived { .. } => 0,
            Event::PongReceived { .. } | Event::AnonymousPongReceived => 1,
            Event::BeaconReceived { .. } => 2,
            Event::FrameReceived => 3,
            _ => return,
        };
        self.0[at] += 1;
    }

    fn action(&mut self, action: Action) {
        const TOLD: [Findings; 10] = [
            Findings::MISS,
            Findings::PONG_LATE,
            Findings::PONG_DUPLICATE,
            Findings::PONG_UNMATCHED,
            Findings::PONG_WRONG_EPOCH,
            Findings::PING_STRIKE,
            Findings::LATE_CALL,
            Findings::CLOCK_REGRESSION,
            Findings::REPROBE,
            Findings::PING_SKIPPED,
        ];
        match action {
            Action::SendPing { .. } => self.0[4] += 1,
            Action::SendPong { .. } => self.0[5] += 1,
            Action::SendBeacon { .. } => self.0[6] += 1,
            Action::Report(found) => {
                for (count, finding) in self.0[7..].iter_mut().zip(TOLD) {
                    *count += u64::from(found.contains(finding));
                }
                self.0[19] += u64::from(found.contains(Findings::MISTAKE));
            }
            Action::Notify(change) => {
                self.0[17] += u64::from(change.to == Liveness::Suspect);
                self.0[18] += u64::from(change.to == Liveness::Lost);
                let wrong = change.from == Liveness::Suspect && change.to == Liveness::Alive;
                self.0[19] += u64::from(wrong);
            }
            _ => {}
        }
    }
}

fn any_event(random: &mut Rng, epoch: u32, newest: u32) -> Event {
    let id = PingId::new(epoch, newest.saturating_sub(random.below(3) as u32));
    match random.below(22) {
        0 => Event::ping(PingId::new(1, newest)),
        1 => Event::AnonymousPongReceived,
        2 => Event::BeaconReceived { stamp: None, period: secs(1) },
        3 => Event::FrameReceived,
        4 => Event::pong(PingId::new(epoch, newest + 1)),
        5 => Event::pong(PingId::new(epoch + 1, newest)),
        6 => Event::PingSent { id },
        7 => Event::PingDue,
        8..12 => Event::pong(id),
        _ => Event::Tick,
    }
}

/// RP2.
#[test]
fn counters_are_what_was_told() {
    let builder = Config::builder().interval(secs(1)).timeout(secs(4)).reopen_after(1);
    let config = builder.accept_gap(secs(4)).write_reports(true).build().expect("valid");
    let mut solo = Solo::new(config);
    let (mut random, mut counted) = (Rng(5), Counted::default());
    for action in &solo.log {
        counted.action(action.1);
    }
    for _ in 0..20_000 {
        let epoch = solo.machine.state().epoch();
        let newest = solo.last_ping().map_or(0, PingId::seq);
        let event = any_event(&mut random, epoch, newest);
        let late = [0, 1, 80 * MS, 600 * MS][random.below(4) as usize];
        let next = solo.due().map_or(solo.now, |due| due.max(solo.now) + late);
        let now = if random.percent(50) { next } else { solo.now + 1 };
        // One call in fifty comes with a time from before.
        let given = if random.percent(2) { now - 2 } else { now };
        solo.now = now.max(solo.now);
        counted.event(event);
        for action in solo.machine.handle(event, at(given)) {
            counted.action(action);
            solo.log.push((now, action));
        }
        assert_eq!(Counted::by(solo.machine.stats()), counted);
    }
    assert!(counted.0.iter().all(|&count| count > 0), "{counted:?}");
}

/// The transition and the findings are "among the remaining actions": once taken, they are none.
#[test]
fn what_was_taken_is_not_among_the_remaining_actions() {
    let mut solo = Solo::new(Config::lan());
    // Late, and the first life: a pong, the transition and a finding.
    let mut actions = solo.machine.handle(Event::ping(PingId::new(1, 1)), at(2 * SEC));
    assert_eq!(actions.len(), 3, "{actions:?}");
    let mut left = actions.len();
    while let Some(action) = actions.next() {
        left -= 1;
        assert_eq!((actions.len(), actions.size_hint()), (left, (left, Some(left))));
        assert_eq!(actions.is_empty(), left == 0);
        match action {
            Action::Notify(_) => assert_eq!(actions.transition(), None),
            Action::Report(_) => assert!(actions.findings().is_empty()),
            _ => assert!(actions.transition().is_some() && !actions.findings().is_empty()),
        }
    }
    assert_eq!(left, 0);
}

/// The span at which the bucket of a span ends: powers of two in microseconds, each halved.
fn bucket_end(micros: u64) -> Duration {
    let half = if micros < 2 { 2 } else { 1 << (micros.ilog2() - 1) };
    Duration::from_micros((micros / half + 1) * half).saturating_sub(Duration::from_nanos(1))
}

#[test]
fn buckets_are_halved_powers_of_two_up_to_38_hours() {
    let most = 1_u64 << 37;
    let powers = (0..37).flat_map(|power| {
        let low = 1_u64 << power;
        [low, low + low / 2 - u64::from(power > 0), low + low / 2, 2 * low - 1]
    });
    for micros in powers.chain([0, 3, 1_000, 123_456_789, most, 2 * most]) {
        for span in [Duration::from_micros(micros), bucket_end(micros)] {
            let mut spans = Histogram::default();
            spans.record(span);
            spans.record(Duration::MAX);
            let end = if micros < most / 4 * 3 { bucket_end(micros) } else { spans.max() };
            assert_eq!(spans.percentile(50), end, "{span:?}");
            assert!(micros >= most / 4 * 3 || span <= end);
        }
    }
}

#[test]
fn a_percentile_is_what_so_many_do_not_exceed() {
    let mut spans = Histogram::default();
    for (count, millis) in [(10, 1), (80, 10), (9, 100), (1, 1_000)] {
        for _ in 0..count {
            spans.record(ms(millis));
        }
    }
    assert_eq!((spans.count(), spans.max()), (100, ms(1_000)));
    for (percents, millis) in [(0..=10, 1), (11..=90, 10), (91..=99, 100), (100..=101, 1_000)] {
        for percent in percents {
            let expected = bucket_end(millis * 1_000).min(spans.max());
            assert_eq!(spans.percentile(percent), expected, "{percent}");
        }
    }
}

/// RP3: an answer proves that the peer was there when the ping left, and not a nanosecond later.
#[test]
fn an_answer_proves_the_moment_of_its_ping() {
    let mut solo = Solo::new(Config::lan());
    assert!(!solo.machine.is_verified_since(Timestamp::EPOCH));
    let first = solo.next_ping();
    let sent = solo.now;
    let second = solo.next_ping();
    let then = solo.now;
    let verified = |solo: &Solo, since| solo.machine.is_verified_since(at(since));
    let _ = solo.tell_at(then + MS, Event::pong(second));
    assert!(verified(&solo, then) && !verified(&solo, then + 1));
    let _ = solo.tell(Event::pong(first));
    assert!(verified(&solo, then) && sent < then, "an older answer takes nothing back");
    let _ = solo.tell_at(then + 500 * MS, Event::FrameReceived);
    assert!(!verified(&solo, then + 1), "traffic proves nothing where pings are sent");
    let _ = solo.tell(Event::Close);
    assert!(!verified(&solo, then), "not live");
}

/// RP3: where no pings are sent, life itself is the proof.
#[test]
fn life_is_the_proof_where_no_pings_are_sent() {
    let builder = Config::builder().mode(Mode::Responder).interval(secs(1)).timeout(secs(4));
    let mut solo = Solo::new(builder.build().expect("valid"));
    let _ = solo.tell_at(SEC, Event::FrameReceived);
    assert!(solo.machine.is_verified_since(at(SEC)));
    assert!(!solo.machine.is_verified_since(at(SEC + 1)));
}

/// J12, RP1: silence, misses, own lateness since the last evidence, due and observed time.
#[test]
fn a_verdict_comes_with_its_evidence() {
    let config = Config::lan();
    let mut solo = Solo::new(config);
    let due = solo.due().expect("a ping") + 20 * MS;
    let _ = solo.tell_at(due, Event::Tick);
    let _ = solo.tell_at(due + 3 * MS, Event::pong(solo.last_ping().expect("it left")));
    assert_eq!(solo.machine.rtt_histogram().max(), ms(3));
    let heard = solo.now;
    let mut lateness = 0;
    while let Some(due) = solo.due() {
        lateness = 10 * MS - lateness; // 10 ms and 0 by turns, and less than the slack.
        let _ = solo.tell_at(due + lateness, Event::Tick);
        if solo.machine.liveness() != Liveness::Lost {
            continue;
        }
        let report = solo.machine.report().expect("a verdict");
        assert_eq!((report.liveness, report.missed, report.attempts), (Liveness::Lost, 3, 3));
        assert_eq!(report.silence, Duration::from_nanos(solo.now - heard));
        assert_eq!((report.last_rtt, report.rtt), (Some(ms(3)), solo.machine.rtt()));
        assert_eq!(report.own_lateness, ms(10), "20 ms were before the last evidence");
        assert_eq!(report.unwritten, None);
        assert_eq!((report.due_at, report.observed_at), (at(due), at(due + lateness)));
    }
    assert_eq!(solo.machine.liveness(), Liveness::Lost);
}

/// A late observer is at fault if its lateness is more than a quarter of the silence.
#[test]
fn the_observer_is_at_fault_above_a_quarter() {
    let mut solo = Solo::alive(Config::lan());
    solo.run_out();
    let mut report = solo.machine.report().expect("a verdict");
    report.own_lateness = report.silence / 4;
    assert_eq!(report.fault(), Fault::PeerOrPath);
    report.own_lateness += Duration::from_nanos(1);
    assert_eq!(report.fault(), Fault::Observer);
}

/// E7, RFC 6298: the timeout is the mean and four times the variation, at least a millisecond; all
/// are unknown before the first sample.
#[test]
fn the_timeout_follows_mean_and_variation() {
    for trips in [&[][..], &[40][..], &[2, 2, 2, 2, 2, 2, 2, 2, 2, 2], &[300, 5, 7, 900]] {
        let mut solo = Solo::new(Config::builder().build().expect("valid"));
        for &millis in trips {
            let id = solo.next_ping();
            let _ = solo.tell_at(solo.now + millis * MS, Event::pong(id));
        }
        let rtt = solo.machine.rtt();
        let expected = rtt.smoothed().map(|mean| {
            let variation = rtt.variation().expect("known with the mean");
            nanos(mean + (4 * variation).max(ms(1)))
        });
        assert_eq!(rtt.timeout_nanos(), expected);
        assert_eq!(expected.is_some(), !trips.is_empty());
        assert_eq!(
            (rtt.variation().is_some(), format!("{rtt:?}")),
            (expected.is_some(), rtt.to_string())
        );
        assert!(!rtt.to_string().is_empty());
    }
}

/// Each counter is added to its own.
#[test]
fn what_two_have_counted_together() {
    fn counters(stats: &mut Stats) -> [&mut u64; 20] {
        [
            &mut stats.pings_received,
            &mut stats.pongs_received,
            &mut stats.beacons_received,
            &mut stats.frames_received,
            &mut stats.pings_sent,
            &mut stats.pongs_sent,
            &mut stats.beacons_sent,
            &mut stats.misses,
            &mut stats.pongs_late,
            &mut stats.pongs_duplicate,
            &mut stats.pongs_unmatched,
            &mut stats.pongs_wrong_epoch,
            &mut stats.strikes,
            &mut stats.late_calls,
            &mut stats.clock_regressions,
            &mut stats.reprobes,
            &mut stats.pings_skipped,
            &mut stats.suspicions,
            &mut stats.losses,
            &mut stats.mistakes,
        ]
    }
    let (mut sum, mut more, mut expected) = (Stats::default(), Stats::default(), Stats::default());
    for (stats, factor) in [(&mut sum, 1), (&mut more, 100), (&mut expected, 101)] {
        for (counter, number) in counters(stats).into_iter().zip(1..) {
            *counter = factor * number;
        }
    }
    sum += &more;
    assert_eq!(sum, expected);
}
