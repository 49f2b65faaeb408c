//! The equal-hazard margin in the machine, in the corners of the contract: deadlines of its own,
//! floor and ceiling, stale beats, pauses, promised periods, pongs. Each test fails if the trait or
//! the machine does not tell the detector, or not heed it.

use core::hash::Hash;
use core::time::Duration;

use heartbeat_proto::{
    Action, Actions, Config, DeadlineReason, Event, HeartbeatMachine, Liveness, Mode, PeerState,
    PingId, Reason, Timestamp,
    detector::{Deadline, Detector, Evidence, Hazard, Sign, Source, Trust},
};

const MS: u64 = 1_000_000;
/// Between two beats.
const PERIOD: u64 = 100 * MS;
/// The peer's clock shows this when ours shows zero.
const PEER: u64 = 7_000_000_123;

const fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

const fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn hazard(hundredths: u32) -> Hazard {
    Hazard::new(f64::from(hundredths) / 100.0).expect("in range")
}

/// A watcher of beacons: floor 300 ms, ceiling 1 s.
fn watcher<D: Detector>(detector: D) -> Config<D> {
    Config::builder()
        .mode(Mode::Passive)
        .detector(detector)
        .interval(ns(PERIOD))
        .response_window(ns(2 * PERIOD))
        .attempts(1)
        .floor(ns(300 * MS))
        .ceiling(ns(1000 * MS))
        .build()
        .expect("valid")
}

struct Watch<D: Detector> {
    machine: HeartbeatMachine<D>,
    /// Of our clock, and of the peer's against it.
    origin: u64,
    peer: u64,
}

impl<D: Detector> Watch<D> {
    fn new(detector: D) -> Self {
        Self::on_clocks(detector, 1_000_000_000, PEER)
    }

    fn on_clocks(detector: D, origin: u64, peer: u64) -> Self {
        let mut machine = HeartbeatMachine::new(watcher(detector), 1, at(origin));
        let _ = machine.handle(Event::Start, at(origin));
        Self { machine, origin, peer }
    }

    fn tick(&mut self, now: u64) -> Actions {
        self.machine.handle(Event::Tick, at(self.origin + now))
    }

    /// A beat that was sent at `sent` and arrives at `now`, of a peer that promises `period`.
    fn beat(&mut self, sent: u64, now: u64, period: u64) -> Actions {
        let stamp = Some(at(self.origin.wrapping_add(sent).wrapping_add(self.peer)));
        let event = Event::BeaconReceived { stamp, period: ns(period) };
        self.machine.handle(event, at(self.origin + now))
    }

    fn wake(&self) -> u64 {
        self.machine.next_deadline().expect("live").as_nanos() - self.origin
    }

    /// Beats `from..to`, each after its period, with a delay that wavers by `waver`. Returns when
    /// the last one arrived.
    fn beats(&mut self, from: u64, to: u64, waver: u64) -> u64 {
        let mut now = 0;
        for i in from..to {
            now = i * PERIOD + 10 * MS + (i % 2) * waver;
            self.until(now);
            let _ = self.beat(i * PERIOD, now, PERIOD);
        }
        now
    }

    /// A punctual driver.
    fn until(&mut self, now: u64) {
        while self.machine.next_deadline().is_some() && self.wake() < now {
            let _ = self.tick(self.wake());
        }
    }

    fn is(&self) -> Liveness {
        self.machine.liveness()
    }
}

#[test]
fn its_own_deadline_makes_suspect() {
    let mut calm = Watch::new(hazard(100));
    let mut wavering = Watch::new(hazard(100));
    let last = calm.beats(0, 51, 0);
    assert_eq!(wavering.beats(0, 51, 20 * MS), last);

    let (early, late) = (calm.wake(), wavering.wake());
    assert!(early < late, "it adapts: {early} {late}");
    assert!(late < last + 3 * PERIOD, "before the beat is overdue by interval and window");
    assert_eq!(calm.machine.deadline_reason(), Some(DeadlineReason::Suspicion));

    assert!(calm.tick(early - 1).is_empty());
    assert_eq!(calm.is(), Liveness::Alive);
    let change = calm.tick(early).transition().expect("a change");
    assert_eq!((change.to, change.reason), (Liveness::Suspect, Reason::Detector));
    assert!((calm.machine.suspicion(at(calm.origin + early - 1)) - 1.0).abs() < f64::EPSILON);
}

#[test]
fn its_verdict_stays_between_floor_and_ceiling() {
    for (hundredths, limit) in [(100, 300 * MS), (100_000, 1000 * MS)] {
        let mut watch = Watch::new(hazard(hundredths));
        let last = watch.beats(0, 50, 5 * MS);
        let mut end = last;
        while watch.machine.next_deadline().is_some() {
            end = watch.wake();
            let _ = watch.tick(end);
        }
        assert_eq!(watch.is(), Liveness::Lost);
        assert_eq!(end, last + limit + 1, "a = {hundredths} hundredths");
    }
}

#[test]
fn suspect_stands_under_a_stale_beat() {
    let mut watch = Watch::new(hazard(100));
    let last = watch.beats(0, 50, 2 * MS);
    let now = last + 250 * MS;
    watch.until(now);
    assert_eq!(watch.is(), Liveness::Suspect);

    // Overtaken by one that came long ago; then that one again.
    for sent in [48 * PERIOD, 49 * PERIOD] {
        assert_eq!(watch.beat(sent, now, PERIOD).transition(), None, "sent at {sent}");
        assert_eq!(watch.is(), Liveness::Suspect);
        assert!(watch.machine.suspicion(at(watch.origin + now)) > 1.0);
    }
    // They are life all the same: the verdict is put off.
    assert_eq!(watch.wake(), now + 300 * MS + 1);
    let change = watch.beat(now - 10 * MS, now, PERIOD).transition().expect("a change");
    assert_eq!((change.to, change.reason), (Liveness::Alive, Reason::Heard));
}

/// The burst after a pause of our own: two beats that waited in a buffer. Whichever the driver
/// does first, nothing is learnt from them.
#[test]
fn a_pause_of_our_own_teaches_nothing() {
    let margin_after = |watch: &mut Watch<Hazard>| {
        let last = watch.beats(353, 356, 0);
        watch.wake() - last
    };
    let mut steady = Watch::new(hazard(100));
    steady.beats(0, 353, 0);
    let usual = margin_after(&mut steady);

    let resumed = 352 * PERIOD + 20 * MS;
    for ticks_first in [true, false] {
        let mut paused = Watch::new(hazard(100));
        paused.beats(0, 351, 0);
        if ticks_first {
            let _ = paused.tick(resumed);
        }
        for i in 351..353 {
            let _ = paused.beat(i * PERIOD, resumed, PERIOD);
        }
        assert_eq!(paused.is(), Liveness::Alive, "ticks first: {ticks_first}");
        assert_eq!(margin_after(&mut paused), usual, "ticks first: {ticks_first}");
    }

    // The same burst where it was the network that stood still, and the driver punctual.
    let mut delayed = Watch::new(hazard(100));
    delayed.beats(0, 351, 0);
    delayed.until(resumed);
    for i in 351..353 {
        let _ = delayed.beat(i * PERIOD, resumed, PERIOD);
    }
    assert!(margin_after(&mut delayed) > usual, "that is a lesson");
}

/// 500 ms promised to a watcher that would expect 100 ms.
#[test]
fn the_promised_period_is_believed() {
    fn doubts<D: Detector>(detector: D) -> u64 {
        let mut watch = Watch::new(detector);
        for i in 0..30 {
            let sent = i * 5 * PERIOD;
            watch.until(sent + 10 * MS);
            let _ = watch.beat(sent, sent + 10 * MS, 5 * PERIOD);
        }
        watch.machine.stats().suspicions + watch.machine.stats().losses
    }
    assert_eq!(doubts(hazard(100)), 0);
    assert!(doubts(Deadline::fixed()) > 0);
}

#[test]
fn it_follows_the_round_trips_of_pongs() {
    let config = Config::builder()
        .mode(Mode::Initiator)
        .detector(hazard(100).on(Source::Pongs))
        .interval(Duration::from_secs(1))
        .response_window(Duration::from_secs(2))
        .jitter_percent(0)
        .build()
        .expect("valid");
    let mut machine = HeartbeatMachine::new(config, 1, at(0));
    let _ = machine.handle(Event::Start, at(0));
    for _ in 0..40 {
        let wake = machine.next_deadline().expect("live");
        for action in machine.handle(Event::Tick, wake) {
            if let Action::SendPing { id, .. } = action {
                let _ = machine.handle(Event::pong(id), wake.saturating_add(ns(50 * MS)));
            }
        }
    }
    // The next ping is answered by nobody.
    let mut actions = Actions::default();
    while actions.transition().is_none() {
        let wake = machine.next_deadline().expect("live");
        actions = machine.handle(Event::Tick, wake);
    }
    let change = actions.transition().expect("a change");
    assert_eq!((change.to, change.reason), (Liveness::Suspect, Reason::Detector));
    let silence = machine.report().expect("a report").silence;
    assert!(silence > Duration::from_secs(1) && silence < Duration::from_millis(1_250));
}

/// T3, for our clock and the peer's apart; and of both together not even the state changes.
#[test]
fn both_clocks_may_start_anywhere() {
    let run = |origin: u64, peer: u64| {
        let mut watch = Watch::on_clocks(hazard(100), origin, peer);
        watch.beats(0, 120, 7 * MS);
        watch
    };
    let one = run(1_000_000_000, 0);
    for (origin, peer) in [(1 << 60, 0), (1_000_000_000, 1 << 50), (1_000_000_000, u64::MAX - 5)] {
        assert_eq!(run(origin, peer).wake(), one.wake(), "clocks at {origin} and {peer}");
    }
    let other = run(1 << 60, 0);
    let normal = |watch: &Watch<Hazard>| {
        let now = at(watch.origin + 119 * PERIOD + 17 * MS);
        watch.machine.state().normalized(watch.machine.config(), now)
    };
    assert_eq!(normal(&one), normal(&other));
}

#[test]
fn its_state_is_a_small_value() {
    fn is_value<T: Copy + Eq + Hash + Send + Sync>() -> usize {
        size_of::<T>()
    }
    assert!(is_value::<<Hazard as Detector>::State>() <= 1024);
    assert!(is_value::<PeerState<Hazard>>() <= 2048);
}

// ----- What a detector is told -----

/// Keeps the last thing it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Told;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Last {
    sign: Option<Sign>,
    before: Option<Sign>,
    seq: Option<u32>,
    period: u64,
    silence: u64,
}

impl Detector for Told {
    type State = Last;

    fn learn(&self, state: &mut Last, evidence: &Evidence) {
        *state = Last {
            sign: Some(evidence.sign),
            before: state.sign,
            seq: evidence.seq,
            period: evidence.period_nanos,
            silence: evidence.silence_nanos,
        };
    }

    fn deadline(&self, _: &Last, trust: &Trust) -> Timestamp {
        trust.since().saturating_add(ns(2 * PERIOD))
    }
}

#[test]
fn the_number_of_a_ping_is_told() {
    let mut watch = Watch::new(Told);
    let ping = Event::ping(PingId::new(3, 41));
    let _ = watch.machine.handle(ping, at(watch.origin + 5));
    assert_eq!(watch.machine.state().detector_state().seq, Some(41));
}

#[test]
fn the_promise_of_a_beacon_without_a_stamp_is_told() {
    let mut watch = Watch::new(Told);
    let beacon = Event::BeaconReceived { stamp: None, period: ns(77) };
    let _ = watch.machine.handle(beacon, at(watch.origin + 5));
    assert_eq!(watch.machine.state().detector_state().period, 77);
}

#[test]
fn a_pause_is_told_before_the_evidence_of_the_same_call() {
    let mut watch = Watch::new(Told);
    let _ = watch.beat(0, 10 * MS, PERIOD);
    let late = watch.wake() + 60 * MS;
    let _ = watch.beat(PERIOD, late, PERIOD);
    let last = watch.machine.state().detector_state();
    assert_eq!((last.before, last.sign), (Some(Sign::Pause), Some(Sign::Beat)));
    assert_eq!(last.silence, late - 10 * MS, "a pause renews nothing");

    let _ = watch.machine.handle(Event::Suspend, at(watch.origin + late));
    let _ = watch.machine.handle(Event::Resume { slept: ns(5) }, at(watch.origin + late + 9));
    assert_eq!(watch.machine.state().detector_state().sign, Some(Sign::Pause));
}

/// Whatever a detector answers, the machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Always(Timestamp);

impl Detector for Always {
    type State = ();

    fn learn(&self, (): &mut (), _: &Evidence) {}

    fn deadline(&self, (): &(), _: &Trust) -> Timestamp {
        self.0
    }

    fn beat_deadline(&self, (): &(), _: &Trust) -> Option<Timestamp> {
        Some(self.0)
    }
}

#[test]
fn absurd_deadlines_are_clamped() {
    for (answer, limit) in [(Timestamp::EPOCH, 300 * MS), (Timestamp::MAX, 1000 * MS)] {
        let mut watch = Watch::new(Always(answer));
        let _ = watch.beat(0, 10 * MS, PERIOD);
        while watch.machine.next_deadline().is_some() {
            let _ = watch.tick(watch.wake());
        }
        let report = watch.machine.report().expect("a verdict");
        assert_eq!((report.liveness, report.silence), (Liveness::Lost, ns(limit + 1)));
    }
}
