//! Two detectors as one: `Any`, `All` and `Shadow` against the machines of their parts.
#![cfg(feature = "detectors")]
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

use core::time::Duration;

use heartbeat_proto::detector::{All, Any, Deadline, Detector, Evidence, Hazard, Shadow, Trust};
use heartbeat_proto::{Action, Config, Event, HeartbeatMachine, Mode, Timestamp};
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const PERIOD: u64 = 100 * MS;

const fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn hazard(patience: f64) -> Hazard {
    Hazard::new(patience).expect("in range")
}

/// Trust ends so long after the last evidence; with a deadline for the beats of its own or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct After {
    nanos: u64,
    knows_beats: bool,
}

impl Detector for After {
    type State = ();

    fn learn(&self, (): &mut (), _: &Evidence) {}

    fn deadline(&self, (): &(), trust: &Trust) -> Timestamp {
        at(trust.since().as_nanos() + self.nanos)
    }

    fn beat_deadline(&self, state: &(), trust: &Trust) -> Option<Timestamp> {
        self.knows_beats.then(|| self.deadline(state, trust))
    }
}

/// Two composed ones and their parts hear the same. (Machines of their own would wake up at other
/// times, and so be late at others.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Choir {
    a: Hazard,
    b: Hazard,
    c: After,
    any: Any<Hazard, Any<Hazard, After>>,
    all: All<All<Hazard, Hazard>, After>,
}

type StateOf<D> = <D as Detector>::State;

impl Detector for Choir {
    type State = (
        StateOf<Hazard>,
        StateOf<Hazard>,
        StateOf<Any<Hazard, Any<Hazard, After>>>,
        StateOf<All<All<Hazard, Hazard>, After>>,
    );

    fn learn(&self, state: &mut Self::State, evidence: &Evidence) {
        self.a.learn(&mut state.0, evidence);
        self.b.learn(&mut state.1, evidence);
        self.any.learn(&mut state.2, evidence);
        self.all.learn(&mut state.3, evidence);
    }

    fn deadline(&self, state: &Self::State, trust: &Trust) -> Timestamp {
        self.a.deadline(&state.0, trust)
    }
}

const fn after(nanos: u64) -> After {
    After { nanos, knows_beats: true }
}

const fn without_beats(nanos: u64) -> After {
    After { nanos, knows_beats: false }
}

/// A watcher of beacons that never gives up within these tests.
fn watcher<D: Detector>(detector: D) -> HeartbeatMachine<D> {
    let config = Config::builder()
        .mode(Mode::Passive)
        .detector(detector)
        .interval(Duration::from_nanos(PERIOD))
        .response_window(Duration::from_nanos(2 * PERIOD))
        .floor(Duration::from_secs(3600))
        .ceiling(Duration::from_secs(3600))
        .build()
        .expect("valid");
    let mut machine = HeartbeatMachine::new(config, 1, at(0));
    let _ = machine.handle(Event::Start, at(0));
    machine
}

/// A punctual driver.
fn punctual<D: Detector>(machine: &mut HeartbeatMachine<D>, until: u64) {
    while let Some(wake) = machine.next_deadline().filter(|wake| *wake < at(until)) {
        let _ = machine.handle(Event::Tick, wake);
    }
}

fn beat(sent: u64) -> Event {
    let period = Duration::from_nanos(PERIOD);
    Event::BeaconReceived { stamp: Some(at(7_000_000_123 + sent)), period }
}

/// What happened next: after how long, and what.
#[derive(Clone, Copy, Debug)]
enum Step {
    Beat { sent_ago: u64 },
    Traffic,
    Tick,
    Resume,
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        6 => (0..400 * MS).prop_map(|sent_ago| Step::Beat { sent_ago }),
        1 => Just(Step::Traffic),
        1 => Just(Step::Tick),
        1 => Just(Step::Resume),
    ];
    let wait = prop_oneof![Just(PERIOD), 0..3 * PERIOD, Just(20 * PERIOD)];
    proptest::collection::vec((wait, step), 1..60)
}

fn event(step: Step, now: u64) -> Event {
    match step {
        Step::Beat { sent_ago } => beat(now.saturating_sub(sent_ago)),
        Step::Traffic => Event::FrameReceived,
        Step::Tick => Event::Tick,
        Step::Resume => Event::Resume { slept: Duration::ZERO },
    }
}

/// What one machine's detector says.
fn says<D: Detector>(machine: &HeartbeatMachine<D>) -> (Timestamp, Option<Timestamp>) {
    let (detector, state) = (machine.config().detector(), machine.state().detector_state());
    let trust = machine.trust();
    (detector.deadline(state, &trust), detector.beat_deadline(state, &trust))
}

proptest! {
    /// DT40, DT41: deadlines, beat deadlines, suspicion and states are those of the parts, nested
    /// ones too.
    #[test]
    fn composed_detectors_say_what_their_parts_say(steps in steps(), probe in 0..2_000 * MS) {
        let (a, b, c) = (hazard(1.5), hazard(6.0), without_beats(170 * MS));
        let (any, all) = (Any(a, Any(b, c)), All(All(a, b), c));
        let mut machine = watcher(Choir { a, b, c, any, all });
        let mut now = 1_000_000_000;
        for (wait, step) in steps {
            now += wait;
            let _ = machine.handle(event(step, now), at(now));
            let states = machine.state().detector_state();
            let trust = machine.trust();
            let ends = [a.deadline(&states.0, &trust), b.deadline(&states.1, &trust),
                c.deadline(&(), &trust)];
            prop_assert_eq!(Some(any.deadline(&states.2, &trust)), ends.into_iter().min());
            prop_assert_eq!(Some(all.deadline(&states.3, &trust)), ends.into_iter().max());
            // The third knows no beats: what the machine would do then.
            let usual = at(trust.since().as_nanos() + 3 * PERIOD);
            let beats = [ends[0], ends[1], usual];
            prop_assert_eq!(any.beat_deadline(&states.2, &trust), beats.into_iter().min());
            prop_assert_eq!(all.beat_deadline(&states.3, &trust), beats.into_iter().max());
            let later = at(now + probe);
            let parts = [
                a.suspicion(&states.0, &trust, later),
                b.suspicion(&states.1, &trust, later),
                c.suspicion(&(), &trust, later),
            ].map(f64::to_bits);
            // Bits of numbers that are not negative are in the order of the numbers.
            let (most, least) = (parts.into_iter().max(), parts.into_iter().min());
            prop_assert_eq!(Some(any.suspicion(&states.2, &trust, later).to_bits()), most);
            prop_assert_eq!(Some(all.suspicion(&states.3, &trust, later).to_bits()), least);
            prop_assert_eq!((states.0, (states.1, ())), states.2);
            prop_assert_eq!(((states.0, states.1), ()), states.3);
        }
    }

    /// DT42: the acting one acts as if it were alone, whatever the silent one says.
    #[test]
    fn a_shadow_changes_nothing(steps in steps()) {
        let acting = hazard(2.0);
        let (mut alone, mut beside) = (watcher(acting), watcher(Shadow::new(acting, after(1))));
        let mut now = 1_000_000_000;
        for (wait, step) in steps {
            now += wait;
            let event = event(step, now);
            prop_assert_eq!(alone.handle(event, at(now)), beside.handle(event, at(now)));
            prop_assert_eq!(alone.next_deadline(), beside.next_deadline());
            prop_assert_eq!(says(&alone), says(&beside));
            let both = [alone.suspicion(at(now)), beside.suspicion(at(now))].map(f64::to_bits);
            prop_assert_eq!(both[0], both[1]);
            let states = (alone.state().detector_state(), beside.state().detector_state());
            prop_assert_eq!(states.0, states.1.acting_state());
        }
    }

    /// DT43: what a shadow keeps is what a count by hand finds: a deadline that passed before life
    /// was heard is a mistake, from the deadline to the life.
    #[test]
    fn a_shadow_counts_both_by_one_rule(gaps in proptest::collection::vec(1..500 * MS, 1..80)) {
        let (early, late) = (150 * MS, 320 * MS);
        let mut machine = watcher(Shadow::new(after(late), after(early)));
        let mut now = 1_000_000_000;
        let _ = machine.handle(beat(now), at(now));
        for &gap in &gaps {
            punctual(&mut machine, now + gap); // No silence has a pause in it.
            now += gap;
            let _ = machine.handle(beat(now), at(now));
        }
        let state = machine.state().detector_state();
        for (limit, quality) in [(late, state.acting()), (early, state.silent())] {
            let over: Vec<u64> = gaps.iter().map(|gap| gap.saturating_sub(limit)).collect();
            let mistakes = over.iter().filter(|&&span| span > 0).count();
            prop_assert_eq!(quality.mistakes() as usize, mistakes);
            prop_assert_eq!(quality.time_wrong(), Duration::from_nanos(over.iter().sum()));
            let longest = over.iter().max().copied().unwrap_or(0);
            prop_assert_eq!(quality.longest_mistake(), Duration::from_nanos(longest));
            prop_assert_eq!(quality.watched(), Duration::from_nanos(gaps.iter().sum()));
            // The times at which mistakes began.
            let mut clock = 0;
            let starts: Vec<u64> = gaps.iter().filter_map(|&gap| {
                clock += gap;
                (gap > limit).then(|| clock - gap + limit)
            }).collect();
            let closest = starts.windows(2).map(|pair| pair[1] - pair[0]).min();
            prop_assert_eq!(quality.shortest_recurrence(), closest.map(Duration::from_nanos));
        }
        prop_assert_eq!(state.shared_mistakes(), state.acting().mistakes());
        prop_assert_eq!(state.mean_lag_nanos(), Some(early.cast_signed() - late.cast_signed()));
    }
}

/// DT43: a silence with a pause of our own in it is held against neither.
#[test]
fn a_shadow_forgives_our_own_pauses() {
    let mut machine = watcher(Shadow::new(after(250 * MS), after(150 * MS)));
    let _ = machine.handle(beat(0), at(1_000 * MS));
    let _ = machine.handle(beat(100), at(1_100 * MS));
    // Nobody called for two seconds; then a tick, and only later the beat.
    let _ = machine.handle(Event::Tick, at(3_000 * MS));
    let _ = machine.handle(beat(200), at(3_200 * MS));
    let state = machine.state().detector_state();
    assert_eq!((state.acting().mistakes(), state.silent().mistakes()), (0, 0));
    assert_eq!(state.acting().watched(), Duration::from_millis(100));
    // The next one counts again.
    punctual(&mut machine, 3_520 * MS);
    let _ = machine.handle(beat(300), at(3_520 * MS));
    let state = machine.state().detector_state();
    assert_eq!((state.acting().mistakes(), state.silent().mistakes()), (1, 1));
    assert_eq!(state.silent().time_wrong(), Duration::from_millis(170));
}

/// DT43: by the deadline as it was before the evidence, and before the round trip that this
/// measured.
#[test]
fn a_shadow_judges_by_the_round_trips_known_before() {
    let config = Config::builder()
        .mode(Mode::Initiator)
        .detector(Shadow::new(after(60_000 * MS), Deadline::rtt_adaptive(1)))
        .interval(Duration::from_secs(1))
        .timeout(Duration::from_secs(4))
        .jitter_percent(0)
        .build()
        .expect("valid");
    let mut machine = HeartbeatMachine::new(config, 1, at(0));
    let _ = machine.handle(Event::Start, at(0));
    for round in 0..21 {
        let id = loop {
            let wake = machine.next_deadline().expect("live");
            let actions = machine.handle(Event::Tick, wake);
            let ping = actions.into_iter().find_map(|action| match action {
                Action::SendPing { id, stamp } => Some((id, stamp.as_nanos())),
                _ => None,
            });
            if let Some(ping) = ping {
                break ping;
            }
        };
        // Twenty round trips of 5 ms; the last takes 800 ms, far beyond three timeouts of that.
        let rtt = if round < 20 { 5 * MS } else { 800 * MS };
        punctual(&mut machine, id.1 + rtt);
        let _ = machine.handle(Event::pong(id.0), at(id.1 + rtt));
    }
    let silent = machine.state().detector_state().silent();
    assert_eq!(silent.mistakes(), 1, "{silent}");
    assert!(silent.longest_mistake() > Duration::from_millis(700), "{silent}");
}

/// DT43: evidence that gives no trust back goes on with the mistake.
#[test]
fn a_shadow_counts_one_mistake_under_stale_beats() {
    let mut machine = watcher(Shadow::new(after(10_000 * MS), hazard(1.0)));
    let mut now = 1_000 * MS;
    for i in 0..50 {
        now = 1_000 * MS + i * PERIOD;
        punctual(&mut machine, now);
        let _ = machine.handle(beat(i * PERIOD), at(now));
    }
    let before = machine.state().detector_state().silent();
    // Beats that were overtaken long ago; the first ends a silence that is too long.
    for more in [250, 300, 350] {
        punctual(&mut machine, now + more * MS);
        let _ = machine.handle(beat(20 * PERIOD), at(now + more * MS));
    }
    let state = machine.state().detector_state();
    assert_eq!(state.silent().mistakes(), before.mistakes() + 1);
    assert!(state.silent().longest_mistake() > Duration::from_millis(200), "it lasts on");
    // A fresh one ends it.
    let _ = machine.handle(beat(54 * PERIOD), at(now + 400 * MS));
    let _ = machine.handle(beat(55 * PERIOD), at(now + 500 * MS));
    let after = machine.state().detector_state().silent();
    assert_eq!(after.mistakes(), before.mistakes() + 1);
    assert!(after.watched() > after.time_wrong());
}

/// DT42: after the end the silent one still says when it would have ended it.
#[test]
fn a_shadow_tells_when_the_silent_one_would_have_given_up() {
    let config = Config::builder()
        .mode(Mode::Passive)
        .detector(Shadow::new(after(300 * MS), after(450 * MS)))
        .interval(Duration::from_nanos(PERIOD))
        .response_window(Duration::from_nanos(PERIOD))
        .attempts(1)
        .ceiling(Duration::from_secs(10))
        .build()
        .expect("valid");
    let mut machine = HeartbeatMachine::new(config, 1, at(0));
    let _ = machine.handle(Event::Start, at(0));
    let _ = machine.handle(beat(0), at(10 * MS));
    let mut end = at(0);
    while let Some(wake) = machine.next_deadline() {
        end = wake;
        let _ = machine.handle(Event::Tick, wake);
    }
    let state = machine.state().detector_state();
    let opinions = machine.config().detector().opinions(state, &machine.trust());
    assert_eq!(end, at(310 * MS + 1));
    assert_eq!((opinions.acting, opinions.silent), (at(310 * MS), at(460 * MS)));
    assert_eq!(opinions.lag_nanos(), (150 * MS).cast_signed());
}
