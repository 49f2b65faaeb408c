//! The search for the longest safe silence, through NATs whose timeout only the test knows.

use core::time::Duration;

use heartbeat_proto::advisor::{Bounds, IdleSearch, Trial};
use heartbeat_proto::{Action, Config, Event, HeartbeatMachine, Liveness, PingId, Timestamp};
use proptest::prelude::*;

use crate::common::{MS, Rng, SEC, at, nanos, secs};

const ROUND_TRIP: u64 = 50 * MS;

/// A network: a NAT that forgets a silent connection, and loses a share of what passes.
struct Network {
    rng: Rng,
    loss_percent: u64,
    /// The timeout as it changes: from when on, and what.
    timeouts: Vec<(u64, u64)>,
}

impl Network {
    fn timeout(&self, now: u64) -> u64 {
        self.timeouts.iter().rev().find(|(from, _)| *from <= now).expect("from the start").1
    }

    fn passes(&mut self) -> bool {
        !self.rng.percent(self.loss_percent)
    }

    /// Five pings, of which one must be answered.
    fn answers(&mut self) -> bool {
        (0..5).any(|_| self.passes() && self.passes())
    }
}

/// The connection that matters: a real machine behind the NAT. The search reconfigures it.
struct World {
    network: Network,
    search: IdleSearch,
    machine: HeartbeatMachine,
    now: u64,
    pong: Option<(u64, PingId)>,
    /// When it last passed the NAT; `None`: the NAT has forgotten it.
    passed: Option<u64>,
    scout: Option<(u64, Duration)>,
    scouts: u32,
    disconnects: u32,
    /// Intervals in use, with when.
    used: Vec<(u64, Duration)>,
}

/// Pings a second apart, eight of them, fit into the eighth that the search leaves.
fn rules(interval: Duration) -> Config {
    let builder = Config::builder().interval(interval).response_window(secs(1)).attempts(8);
    builder.build().expect("valid")
}

impl World {
    fn new(search: IdleSearch, timeouts: &[(u64, u64)], loss_percent: u64, seed: u64) -> Self {
        let timeouts = timeouts.iter().map(|(from, secs)| (from * SEC, secs * SEC)).collect();
        let network = Network { rng: Rng(seed), loss_percent, timeouts };
        let mut machine = HeartbeatMachine::new(rules(search.interval()), seed, at(0));
        let _ = machine.handle(Event::Start, at(0));
        let _ = machine.handle(Event::FrameReceived, at(0));
        Self {
            network,
            machine,
            now: 0,
            pong: None,
            passed: Some(0),
            scout: None,
            scouts: 0,
            disconnects: 0,
            used: vec![(0, search.interval())],
            search,
        }
    }

    fn run(&mut self, until_secs: u64) {
        let until = until_secs * SEC;
        loop {
            if self.scout.is_none() {
                self.scout = self.search.trial(at(self.now)).map(|silence| (self.now, silence));
            }
            let due = self.machine.next_deadline().map_or(u64::MAX, Timestamp::as_nanos);
            let due = due.saturating_sub(at(0).as_nanos());
            let arrival = self.pong.map_or(u64::MAX, |pong| pong.0);
            let scouted = self.scout.map_or(u64::MAX, |(from, silence)| from + nanos(silence));
            let next = due.min(arrival).min(scouted).max(self.now);
            if next > until {
                self.now = until;
                return;
            }
            self.now = next;
            if scouted <= next {
                self.scout_ends();
            } else if arrival <= next {
                let (_, id) = self.pong.take().expect("it is there");
                self.tell(Event::pong(id));
            } else {
                self.tell(Event::Tick);
            }
            self.adapt();
        }
    }

    fn scout_ends(&mut self) {
        let (_, silence) = self.scout.take().expect("it is out");
        self.scouts += 1;
        let kept = nanos(silence) <= self.network.timeout(self.now);
        let answered = kept && self.network.answers();
        let trial = Trial::of(answered, self.network.answers());
        self.search.tried(silence, trial, at(self.now));
    }

    fn tell(&mut self, event: Event) {
        for action in self.machine.handle(event, at(self.now)) {
            if let Action::SendPing { id, .. } = action {
                if !self.network.passes() {
                    continue; // Before it reached the NAT.
                }
                let timeout = self.network.timeout(self.now);
                self.passed = self.passed.filter(|passed| self.now - passed <= timeout);
                if self.passed.is_some() {
                    self.passed = Some(self.now);
                    if self.network.passes() {
                        self.pong = Some((self.now + ROUND_TRIP, id));
                    }
                }
            }
        }
        if self.machine.liveness() == Liveness::Lost {
            self.disconnects += 1;
            self.search.lost();
            self.reconnect();
        }
    }

    fn reconnect(&mut self) {
        self.machine = self.machine.reconnected(at(self.now));
        (self.passed, self.pong) = (Some(self.now), None);
        let _ = self.machine.handle(Event::FrameReceived, at(self.now));
    }

    /// The interval in force is always the one that is safe.
    fn adapt(&mut self) {
        let interval = self.search.interval();
        if self.machine.config().interval() != interval {
            self.used.push((self.now, interval));
            let _ = self.machine.reconfigure(rules(interval), at(self.now));
        }
    }

    fn share_of(&self, timeout_secs: u64) -> f64 {
        self.search.interval().as_secs_f64() / Duration::from_secs(timeout_secs).as_secs_f64()
    }
}

fn search() -> IdleSearch {
    IdleSearch::new(secs(20), secs(3600)).expect("in order")
}

/// AD5, AD6, need 23: it converges to 0.7 to 0.95 of the timeout, within 16 scouts, without ever
/// losing the connection that matters; with and without loss.
#[test]
fn it_finds_the_timeout_of_a_nat() {
    for timeout in [30, 120, 300] {
        for (loss, seed) in [(0, 1), (10, 2), (10, 3), (10, 4), (10, 5)] {
            let mut world = World::new(search(), &[(0, timeout)], loss, seed);
            world.run(20_000);
            let share = world.share_of(timeout);
            assert!((0.7..=0.95).contains(&share), "{timeout} s, seed {seed}: {share}");
            assert!(world.search.is_settled());
            assert!(world.scouts <= 16, "{timeout} s: {} scouts", world.scouts);
            assert!(world.used.iter().all(|(_, used)| *used <= secs(timeout)), "{:?}", world.used);
            world.run(3 * 86_400);
            assert_eq!(world.disconnects, 0, "{timeout} s, loss {loss} %, seed {seed}");
        }
    }
}

/// AD5: no NAT at all, or one that outlasts all that is wanted.
#[test]
fn it_ends_at_the_longest_that_is_wanted() {
    let mut world = World::new(search(), &[(0, 100_000)], 0, 1);
    world.run(100_000);
    assert_eq!(world.search.bounds(), Bounds::new(secs(3600), None));
    assert_eq!(world.search.interval(), secs(3150));
    assert_eq!((world.disconnects, world.scouts), (0, 8));
}

/// AD7, need 23: the NAT becomes less patient. That costs the connection once; the fallback holds,
/// and the new timeout is found.
#[test]
fn a_drop_of_the_timeout_costs_one_connection() {
    for (before, after) in [(300, 60), (300, 250), (120, 30)] {
        for seed in 1..=5 {
            let mut world = World::new(search(), &[(0, before), (30_000, after)], 10, seed);
            world.run(30_000);
            assert_eq!(world.disconnects, 0);
            world.run(60_000);
            assert!(world.disconnects <= 1, "{before} to {after}: {}", world.disconnects);
            let share = world.share_of(after);
            assert!((0.7..=0.95).contains(&share), "{before} to {after}, seed {seed}: {share}");
        }
    }
}

/// AD8: the NAT becomes more patient: found at the next visit, at no cost.
#[test]
fn a_rise_of_the_timeout_is_found_when_it_is_looked_for() {
    let hourly = search().revisited_every(secs(3600));
    let mut world = World::new(hourly, &[(0, 30), (10_000, 300)], 10, 1);
    world.run(10_000);
    assert!(world.share_of(30) > 0.7);
    world.run(30_000);
    assert!((0.7..=0.95).contains(&world.share_of(300)), "{:?}", world.search);
    assert_eq!(world.disconnects, 0);
}

/// AD7: a loss that was none of the NAT's doing: the shortest interval at once, and the old one
/// again after one scout.
#[test]
fn an_ordinary_loss_is_told_from_an_expiry() {
    let mut world = World::new(search(), &[(0, 300)], 0, 1);
    world.run(20_000);
    let (found, bounds, scouts) = (world.search.interval(), world.search.bounds(), world.scouts);
    // The server restarts.
    world.search.lost();
    world.reconnect();
    assert_eq!(world.search.interval(), secs(20), "at once");
    world.adapt();
    world.run(20_000 + 301);
    assert_eq!((world.search.interval(), world.search.bounds()), (found, bounds));
    assert_eq!(world.scouts, scouts + 1);
    assert_eq!(world.disconnects, 0);
}

/// AD6: while nobody is answered, a scout that is not proves nothing.
#[test]
fn an_outage_is_no_vote() {
    let mut search = search();
    let before = search;
    for _ in 0..10 {
        search.tried(secs(40), Trial::of(false, false), at(0));
    }
    assert_eq!(search, before);
    // One alone is not enough either, and what it says is forgotten when the next one survives.
    search.tried(secs(40), Trial::Expired, at(0));
    assert_eq!(search.trial(at(0)), Some(secs(40)));
    search.tried(secs(40), Trial::Survived, at(0));
    search.tried(secs(80), Trial::Expired, at(0));
    assert_eq!(search.bounds(), Bounds::new(secs(40), None));
    search.tried(secs(80), Trial::Expired, at(0));
    assert_eq!(search.bounds(), Bounds::new(secs(40), Some(secs(80))));
}

/// AD5: what is known of a network is kept and restored, and proved again by one scout.
#[test]
fn bounds_are_remembered() {
    let mut world = World::new(search(), &[(0, 300)], 0, 1);
    world.run(20_000);
    let known = world.search.bounds();
    let known = Bounds::new(known.survived, known.expired);
    let again = search().restored(known);
    assert_eq!(again.interval(), world.search.interval());
    let mut world = World::new(again, &[(0, 300)], 0, 2);
    world.run(5_000);
    assert_eq!((world.scouts, world.disconnects), (1, 0));
    // It was another network after all: the scout tells before the connection is lost, or it costs
    // one.
    let mut world = World::new(again, &[(0, 60)], 0, 2);
    world.run(20_000);
    assert!(world.disconnects <= 1 && (0.7..=0.95).contains(&world.share_of(60)));
    // What contradicts itself is forgotten.
    let nonsense = search().restored(Bounds::new(secs(100), Some(secs(50))));
    assert_eq!(nonsense, search());
}

/// AD5: several connections wake the device together.
#[test]
fn intervals_are_rounded_to_a_quantum() {
    let search = IdleSearch::new(secs(20), secs(3600)).expect("in order").quantized(secs(60));
    let known = Bounds::new(secs(300), Some(secs(310)));
    assert_eq!(search.restored(known).interval(), secs(240));
    assert_eq!(search.interval(), secs(20), "never below the least");
    assert!(
        IdleSearch::new(secs(0), secs(1)).is_err() && IdleSearch::new(secs(2), secs(1)).is_err()
    );
}

proptest! {
    /// AD5 to AD8: whatever scouts tell, the interval is within the bounds and at most seven
    /// eighths of what survived; and nothing panics.
    #[test]
    fn the_interval_is_always_safe(
        steps in proptest::collection::vec((0..5000u64, 0..4u8, 0..100_000u64), 0..100),
    ) {
        let mut search = search();
        let mut survived = secs(20);
        for (silence, what, now) in steps {
            let asked = search.trial(at(now * SEC)).unwrap_or(secs(silence));
            match what {
                0 => {
                    survived = survived.max(asked);
                    search.tried(asked, Trial::Survived, at(now * SEC));
                }
                1 => search.tried(asked, Trial::Expired, at(now * SEC)),
                2 => search.tried(asked, Trial::Unclear, at(now * SEC)),
                _ => search.lost(),
            }
            let interval = search.interval();
            prop_assert!(interval >= secs(20) && interval <= secs(3150));
            prop_assert!(interval <= (survived * 7 / 8).max(secs(20)));
            if let Some(expired) = search.bounds().expired {
                prop_assert!(search.bounds().survived < expired);
            }
        }
    }
}
