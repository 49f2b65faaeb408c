//! The quality of detection as measured beside the machine (rules QL1 to QL5), against stories with
//! known numbers and a count by hand.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]
#![allow(clippy::large_types_passed_by_value, reason = "configurations are values; no speed here")]

use core::time::Duration;

use heartbeat_proto::quality::{Gauge, Quality};
use heartbeat_proto::{
    Config, Event, HeartbeatMachine, Liveness, Mode, Probing, Reason, Timestamp, Verdict,
};
use proptest::prelude::*;

const MS: u64 = 1_000_000;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// So many milliseconds less some nanoseconds: a limit is passed one after it.
const fn ms_less(millis: u64, nanos: u64) -> Duration {
    Duration::from_nanos(millis * MS - nanos)
}

const fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

/// A machine with its gauge, and what was seen: when it was heard, when it was suspected.
struct Seen {
    machine: HeartbeatMachine,
    gauge: Gauge,
    now: u64,
    lives: Vec<u64>,
    /// From, to.
    suspicions: Vec<(u64, u64)>,
}

impl Seen {
    /// Watches beats of one second: suspect after 1.5 s of silence, lost after 4 s.
    fn new(reopen_after: u8) -> Self {
        let builder = Config::builder().mode(Mode::Passive).interval(ms(1000)).timeout(ms(4000));
        let builder = builder.attempts(6).reopen_after(reopen_after);
        let machine = HeartbeatMachine::new(builder.build().expect("valid"), 1, at(0));
        let (lives, suspicions) = (Vec::new(), Vec::new());
        let mut seen = Self { machine, gauge: Gauge::new(), now: 0, lives, suspicions };
        seen.tell(Event::Start);
        seen
    }

    fn tell(&mut self, event: Event) {
        let before = self.machine.liveness();
        let actions = self.machine.handle(event, at(self.now));
        self.gauge.observe(&actions, at(self.now));
        let suspects = |liveness| matches!(liveness, Liveness::Suspect | Liveness::Lost);
        if event == Event::FrameReceived {
            self.lives.push(self.now);
        }
        match (suspects(before), suspects(self.machine.liveness())) {
            (false, true) => self.suspicions.push((self.now, u64::MAX)),
            (true, false) => self.suspicions.last_mut().expect("one began").1 = self.now,
            _ => {}
        }
    }

    /// A punctual driver until then.
    fn pass(&mut self, millis: u64) {
        let until = self.now + millis * MS;
        while let Some(wake) = self.machine.next_deadline().filter(|wake| *wake <= at(until)) {
            self.now = wake.as_nanos();
            self.tell(Event::Tick);
        }
        self.now = until;
    }

    /// Silence, and then life.
    fn silence(&mut self, millis: u64) {
        self.pass(millis);
        self.tell(Event::FrameReceived);
    }

    fn quality(&self) -> Quality {
        self.gauge.quality()
    }
}

/// QL1, QL2: life after Suspect proves a mistake; its duration, its recurrence, the time watched.
#[test]
fn a_suspicion_that_life_disproves_is_a_mistake() {
    let mut seen = Seen::new(0);
    seen.tell(Event::FrameReceived);
    seen.silence(1000);
    assert_eq!(seen.quality().mistakes(), 0);
    seen.silence(2000); // suspected from 1500 ms and 1 ns on
    seen.silence(1000);
    seen.silence(3000); // and again, 4500 ms later than that
    let quality = seen.quality();
    assert_eq!((quality.mistakes(), quality.wrong_losses(), quality.detections()), (2, 0, 0));
    assert_eq!(quality.watched(), ms(7000));
    assert_eq!(quality.time_wrong(), ms_less(500 + 1500, 2));
    assert_eq!(quality.mean_mistake(), Some(ms_less(1000, 1)));
    assert_eq!(quality.longest_mistake(), ms_less(1500, 1));
    assert_eq!(quality.mean_recurrence(), Some(ms(3500)));
    assert_eq!(quality.shortest_recurrence(), Some(ms(3000)));
    let accuracy = quality.accuracy().expect("time has passed");
    assert!((accuracy - 5.0 / 7.0).abs() < 1e-9, "{accuracy}");
    let rate = quality.mistakes_per_hour().expect("time has passed");
    assert!((rate - 2.0 * 3600.0 / 7.0).abs() < 1e-6, "{rate}");
}

/// QL3: a verdict that stands is a detection, with the silence that the report tells; the silence
/// itself is no time of a living peer.
#[test]
fn a_death_is_found_and_its_delay_is_kept() {
    let mut seen = Seen::new(0);
    seen.tell(Event::FrameReceived);
    seen.silence(1000);
    seen.pass(60_000);
    let (quality, report) = (seen.quality(), seen.machine.report().expect("a verdict"));
    assert_eq!(report.liveness, Liveness::Lost);
    assert_eq!((quality.mistakes(), quality.detections()), (0, 1));
    assert_eq!(quality.mean_detection(), Some(report.silence));
    assert_eq!(quality.longest_detection(), report.silence);
    assert_eq!(quality.watched(), ms(1000));
    assert_eq!(quality.time_wrong(), Duration::ZERO);
}

/// QL1, QL3: life after Lost: the verdict was a mistake from the suspicion on, and no detection;
/// where the peer may come back and where the verdict is final.
#[test]
fn life_after_the_verdict_takes_the_detection_back() {
    for reopen_after in [0, 1] {
        let mut seen = Seen::new(reopen_after);
        seen.tell(Event::FrameReceived);
        seen.pass(6000);
        assert_eq!(seen.quality().detections(), 1, "it stands so far");
        seen.tell(Event::FrameReceived);
        let quality = seen.quality();
        assert_eq!((quality.mistakes(), quality.wrong_losses(), quality.detections()), (1, 1, 0));
        assert_eq!(quality.mean_detection(), None);
        assert_eq!(quality.watched(), ms(6000));
        assert_eq!(quality.time_wrong(), ms_less(4500, 1));
        seen.silence(1000);
        // On a final verdict nothing more is heard.
        let watched = if reopen_after == 0 { 6000 } else { 7000 };
        assert_eq!(seen.quality().watched(), ms(watched));
        assert_eq!(seen.quality().mistakes(), 1);
    }
}

/// QL2: a suspicion that goes on although life is heard (lost probes) is one mistake, and wrong for
/// as long as it lasts, no longer.
#[test]
fn a_suspicion_under_traffic_is_counted_once() {
    let builder = Config::builder().interval(ms(1000)).timeout(ms(4000)).jitter_percent(0);
    let builder = builder.probing(Probing::Always).probe_loss(1, 2, Verdict::Report);
    let config = builder.ping_unanswered(14, Verdict::Ignore).build().expect("valid");
    let machine = HeartbeatMachine::new(config, 1, at(0));
    let mut seen = Seen { machine, ..Seen::new(0) };
    (seen.gauge, seen.lives, seen.suspicions) = (Gauge::new(), Vec::new(), Vec::new());
    seen.tell(Event::Start);
    // Traffic all the time, and no pong at all.
    for _ in 0..200 {
        seen.silence(50);
    }
    assert_eq!(seen.machine.liveness(), Liveness::Suspect);
    assert_eq!(seen.machine.report().expect("why").reason, Reason::ProbeLoss);
    let (watched, wrong, mistakes, longest, _) = by_hand(&seen);
    assert!(mistakes == 1 && wrong > watched / 2, "{wrong} of {watched}");
    assert_eq!(seen.quality().watched(), Duration::from_nanos(watched));
    assert_eq!(seen.quality().time_wrong(), Duration::from_nanos(wrong));
    assert_eq!(seen.quality().longest_mistake(), Duration::from_nanos(longest));
    assert_eq!(seen.quality().mistakes(), 1);
}

/// QL3: a goodbye is a sign of life; a close of our own is none; neither is a detection.
#[test]
fn an_end_on_purpose_is_no_detection() {
    for (event, mistakes) in [(Event::GoodbyeReceived, 1), (Event::Close, 0)] {
        let mut seen = Seen::new(0);
        seen.tell(Event::FrameReceived);
        seen.pass(2000);
        assert_eq!(seen.machine.liveness(), Liveness::Suspect);
        seen.tell(event);
        let quality = seen.quality();
        assert_eq!((quality.mistakes(), quality.detections()), (mistakes, 0), "{event:?}");
    }
}

/// QL4: what the host slept is nobody's time: neither watched nor wrong.
#[test]
fn a_suspended_host_is_not_held_against_the_detector() {
    let mut seen = Seen::new(0);
    seen.tell(Event::FrameReceived);
    seen.pass(1700);
    assert_eq!(seen.machine.liveness(), Liveness::Suspect);
    seen.tell(Event::Suspend);
    seen.now += 3_600_000 * MS;
    seen.tell(Event::Resume { slept: Duration::ZERO });
    seen.silence(100);
    let quality = seen.quality();
    assert_eq!(quality.watched(), ms(1800));
    assert_eq!(quality.mistakes(), 1);
    assert_eq!(quality.time_wrong(), ms_less(300, 1));
}

/// QL3: a peer that was never heard has not died; one that is lost stays so on the next connection.
#[test]
fn the_next_connection_goes_on_with_the_gauge() {
    let mut seen = Seen::new(0);
    seen.pass(60_000);
    assert_eq!(seen.machine.liveness(), Liveness::Lost);
    assert_eq!(seen.quality(), Quality::NONE);
    for deaths in 1..=3 {
        seen.machine = seen.machine.reconnected(at(seen.now));
        seen.tell(Event::Tick);
        seen.tell(Event::FrameReceived);
        seen.silence(1000);
        seen.pass(60_000);
        let quality = seen.quality();
        assert_eq!((quality.detections(), quality.mistakes()), (deaths, 0));
        assert_eq!(quality.watched(), ms(1000) * deaths);
    }
    let told = seen.quality().to_string();
    assert_eq!(
        told,
        "0 mistakes in 3.0s, accuracy 100.0000%, 3 deaths found in 4.0s, at most 4.0s"
    );
}

#[test]
fn it_tells_itself_on_one_line() {
    assert_eq!(Quality::NONE.to_string(), "0 mistakes in 0.0ns");
    let mut seen = Seen::new(1);
    seen.tell(Event::FrameReceived);
    seen.silence(6000);
    assert_eq!(
        seen.quality().to_string(),
        "1 mistake in 6.0s (600.000/h, mean 4.5s, longest 4.5s, 1 of them lost), accuracy 25.0000%"
    );
}

/// The same numbers from the lists of lives and suspicions.
fn by_hand(seen: &Seen) -> (u64, u64, usize, u64, Option<u64>) {
    let (Some(&first), Some(&last)) = (seen.lives.first(), seen.lives.last()) else {
        return (0, 0, 0, 0, None);
    };
    let proven: Vec<(u64, u64)> = seen
        .suspicions
        .iter()
        .filter(|suspicion| suspicion.0 < last)
        .map(|&(from, to)| (from, to.min(last)))
        .collect();
    let spans = || proven.iter().map(|(from, to)| to - from);
    let closest = proven.windows(2).map(|pair| pair[1].0 - pair[0].0).min();
    (last - first, spans().sum(), proven.len(), spans().max().unwrap_or(0), closest)
}

fn any_silences() -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(prop_oneof![1..1400u64, 1400..1700u64, 1700..8000u64], 1..40)
}

fn measured(silences: &[u64]) -> Seen {
    let mut seen = Seen::new(2);
    seen.tell(Event::FrameReceived);
    for &millis in silences {
        seen.silence(millis);
    }
    seen
}

proptest! {
    /// QL1 to QL3: as counted by hand, whatever happens.
    #[test]
    fn it_counts_what_happened(silences in any_silences(), rest in 0..9000u64) {
        let mut seen = measured(&silences);
        seen.pass(rest);
        let (watched, wrong, mistakes, longest, closest) = by_hand(&seen);
        let (quality, nanos) = (seen.quality(), Duration::from_nanos);
        prop_assert_eq!(quality.watched(), nanos(watched));
        prop_assert_eq!(quality.time_wrong(), nanos(wrong));
        prop_assert_eq!(quality.mistakes() as usize, mistakes);
        prop_assert_eq!(quality.longest_mistake(), nanos(longest));
        prop_assert_eq!(quality.shortest_recurrence(), closest.map(nanos));
        let lost = seen.machine.liveness() == Liveness::Lost;
        prop_assert_eq!(quality.detections(), u32::from(lost));
    }

    /// QL5: a fleet is the sum of its peers, in whatever order.
    #[test]
    fn merging_is_exact(
        a in any_silences(), b in any_silences(), c in any_silences(), rest in 0..9000u64,
    ) {
        let [a, b, c] = [a, b, c].map(|silences| {
            let mut seen = measured(&silences);
            seen.pass(rest);
            seen.quality()
        });
        prop_assert_eq!(a.merge(b), b.merge(a));
        prop_assert_eq!(a.merge(b).merge(c), a.merge(b.merge(c)));
        prop_assert_eq!(a.merge(Quality::NONE), a);
        let fleet: Quality = [c, a, b].into_iter().sum();
        prop_assert_eq!(fleet, a.merge(b).merge(c));
        prop_assert_eq!(fleet.mistakes(), a.mistakes() + b.mistakes() + c.mistakes());
        prop_assert_eq!(fleet.watched(), a.watched() + b.watched() + c.watched());
        prop_assert_eq!(fleet.time_wrong(), a.time_wrong() + b.time_wrong() + c.time_wrong());
        prop_assert_eq!(fleet.detections(), a.detections() + b.detections() + c.detections());
        let most = a.longest_mistake().max(b.longest_mistake()).max(c.longest_mistake());
        prop_assert_eq!(fleet.longest_mistake(), most);
        let closest = [a, b, c].into_iter().filter_map(|one| one.shortest_recurrence()).min();
        prop_assert_eq!(fleet.shortest_recurrence(), closest);
    }
}

/// RP2, QL1: the adapters' driver measures by itself, over the next connection, too.
#[cfg(all(feature = "std", feature = "codec"))]
#[test]
fn the_driver_measures_by_itself() {
    use heartbeat_proto::adapter::Driver;

    let config = Config::builder().mode(Mode::Passive).interval(ms(1000)).timeout(ms(4000));
    let mut driver = Driver::new(config.build().expect("valid"), at(0));
    driver.handle(Event::FrameReceived, at(0));
    driver.tick(driver.next_deadline().expect("live"));
    assert_eq!(driver.liveness(), Liveness::Suspect);
    driver.handle(Event::FrameReceived, at(3_000 * MS));
    assert_eq!(driver.quality().mistakes(), 1);
    let next = driver.reconnected(at(10_000 * MS));
    assert_eq!(next.quality().mistakes(), 1);
    assert_eq!(next.quality().watched(), ms(3000));
}
