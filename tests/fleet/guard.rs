//! The guard: many who fall silent together are not convicted one by one.

mod counts;
mod groups;
mod sample;
mod stalls;

use core::ops::ControlFlow;
use core::time::Duration;
use std::collections::BTreeMap;

use heartbeat_proto::fleet::{
    Doubt, Fleet, GuardConfig, GuardError, GuardReport, GuardState, Handle, Input, Progress, Sink,
};
use heartbeat_proto::{Action, Actions, Config, Event, LatePolicy, Liveness, Timestamp};
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const SEC: u64 = 1000 * MS;
const RTT: u64 = 20 * MS;

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(SEC + nanos)
}

pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).expect("short")
}

/// Every second, dead after 4 s: W = 1 s, three attempts.
fn lan() -> Config {
    Config::lan()
}

fn guard() -> GuardConfig {
    GuardConfig::new(Duration::from_secs(5))
}

/// What the fleet said, and when.
#[derive(Default)]
struct Said {
    now: u64,
    pings: Vec<(u64, Handle, Action)>,
    lost: BTreeMap<Handle, u64>,
    holds: Vec<(u64, Handle, bool)>,
    reports: Vec<(u64, GuardReport)>,
}

impl Sink for Said {
    fn take(&mut self, handle: Handle, actions: Actions) -> ControlFlow<()> {
        for action in actions {
            match action {
                Action::SendPing { .. } => self.pings.push((self.now, handle, action)),
                Action::Notify(change) if change.to == Liveness::Lost => {
                    assert!(self.lost.insert(handle, self.now).is_none());
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn held(&mut self, handle: Handle, event: Event) {
        let Event::Hold { probe } = event else { panic!("{event:?}") };
        self.holds.push((self.now, handle, probe));
    }

    fn guarded(&mut self, report: &GuardReport) {
        self.reports.push((self.now, *report));
    }
}

/// Peers that answer after [`RTT`], each in a group whose path may be dark for a while.
struct World {
    fleet: Fleet,
    peers: Vec<Handle>,
    group: BTreeMap<Handle, u16>,
    dark: Vec<(u16, core::ops::Range<u64>)>,
    dead: BTreeMap<Handle, u64>,
    pongs: BTreeMap<u64, Vec<Input>>,
    heard: BTreeMap<Handle, u64>,
    said: Said,
    now: u64,
    budget: usize,
}

impl World {
    /// So many peers in each group.
    fn new(config: Config, guard: Option<GuardConfig>, sizes: &[usize]) -> Self {
        let mut fleet = Fleet::new(config, 7, at(0)).expect("valid");
        if let Some(guard) = guard {
            fleet.set_guard(guard).expect("valid");
        }
        let profile = fleet.profiles().next().expect("one");
        let (mut peers, mut groups) = (Vec::new(), BTreeMap::new());
        for (group, size) in (0..).zip(sizes) {
            for _ in 0..*size {
                let peer = fleet.insert(profile, at(0)).expect("room");
                fleet.set_group(peer, group).expect("there");
                let _ = fleet.handle(peer, Event::Start, at(0)).expect("there");
                groups.insert(peer, group);
                peers.push(peer);
            }
        }
        Self {
            fleet,
            peers,
            group: groups,
            dark: Vec::new(),
            dead: BTreeMap::new(),
            pongs: BTreeMap::new(),
            heard: BTreeMap::new(),
            said: Said::default(),
            now: 0,
            budget: 10_000,
        }
    }

    fn passes(&self, handle: Handle, now: u64) -> bool {
        let alive = self.dead.get(&handle).is_none_or(|died| now < *died);
        let group = self.group[&handle];
        alive && !self.dark.iter().any(|(of, when)| *of == group && when.contains(&now))
    }

    fn until(&mut self, end: u64) {
        loop {
            let due = self.fleet.next_deadline().map_or(u64::MAX, |at| at.as_nanos() - SEC);
            let pong = self.pongs.keys().next().copied().unwrap_or(u64::MAX);
            if due.min(pong) > end {
                self.now = self.now.max(end);
                return;
            }
            self.now = self.now.max(due.min(pong));
            let _ = self.step();
        }
    }

    /// Reads what came, and then advances once by the budget.
    fn step(&mut self) -> Progress {
        let now = self.now;
        self.said.now = now;
        while let Some(entry) = self.pongs.first_entry() {
            if *entry.key() > now {
                break;
            }
            let came = *entry.key();
            let mut inputs = entry.remove();
            inputs.retain(|input| self.passes(input.handle, came));
            let taken = self.fleet.handle_batch(&inputs, at(now), &mut self.said);
            assert_eq!(taken, inputs.len());
            self.heard.extend(inputs.iter().map(|input| (input.handle, now)));
        }
        let before = self.said.pings.len();
        let progress = self.fleet.advance(at(now), self.budget, &mut self.said);
        for (_, handle, action) in &self.said.pings[before..] {
            if !self.passes(*handle, now) {
                continue;
            }
            let Action::SendPing { id, stamp } = *action else { unreachable!() };
            let (stamp, hold, calm) = (Some(stamp), Duration::ZERO, false);
            let event = Event::PongReceived { id, stamp, hold, calm };
            self.pongs.entry(now + RTT).or_default().push(Input { handle: *handle, event });
        }
        progress
    }

    /// Nobody calls for so long; then the caller works off what waits, so much every 10 ms. Returns
    /// how many pongs had waited.
    fn freeze(&mut self, span: u64, budget: usize) -> usize {
        let waited = self.pongs.values().map(Vec::len).sum();
        self.now += span;
        self.budget = budget;
        while self.step() == Progress::Pending {
            self.now += 10 * MS;
        }
        self.budget = 10_000;
        waited
    }

    fn states(&self, doubt: Doubt) -> Vec<GuardState> {
        let of = self.said.reports.iter().filter(|(_, report)| report.doubt == doubt);
        of.map(|(_, report)| report.state).collect()
    }
}

/// INC-2022-074, GD1 to GD5: the path to one region jitters for longer than a peer may be silent,
/// and comes back. Judged peer by peer the whole region is taken down; with the guard nobody is,
/// the other regions are not touched, and the operator is told what it was.
#[test]
fn inc_2022_074_a_region_that_jitters_is_not_taken_down() {
    let outage = 20 * SEC..26 * SEC;
    for guard in [None, Some(guard())] {
        let mut world = World::new(lan(), guard, &[100, 100, 100]);
        world.dark.push((1, outage.clone()));
        world.until(60 * SEC);
        if guard.is_none() {
            let region = |lost: &&Handle| world.group[*lost] == 1;
            assert_eq!(world.said.lost.keys().filter(region).count(), 100, "peer by peer");
            continue;
        }
        assert_eq!(world.said.lost, BTreeMap::new());
        assert_eq!(world.fleet.count(Liveness::Alive), 300);
        assert_eq!(world.states(Doubt::Observer), []);
        assert_eq!(world.states(Doubt::Group(1)), [GuardState::Holding, GuardState::Released]);
        let (began, report) = world.said.reports[0];
        assert!(outage.contains(&began) && report.silent >= 50 && report.members == 100);
        assert_eq!(report.to_string(), format!("group 1 holding: {} of 100 silent", report.silent));
        // It is over two windows after the path is back: a sample was asked in each.
        let (released, _) = world.said.reports[1];
        assert!(outage.end < released && released < outage.end + 2 * SEC, "{released}");
        assert!(world.said.holds.iter().all(|(_, peer, _)| world.group[peer] == 1));
    }
}

/// GD2: all regions at once are this host's fault, or its network's.
#[test]
fn if_all_are_silent_the_observer_is_doubted() {
    let mut world = World::new(lan(), Some(guard()), &[100, 100, 5]);
    world.dark.extend((0..3).map(|group| (group, 20 * SEC..26 * SEC)));
    world.until(60 * SEC);
    assert_eq!(world.said.lost, BTreeMap::new());
    assert_eq!(world.states(Doubt::Observer), [GuardState::Holding, GuardState::Released]);
    assert!(world.said.reports[0].1.doubt == Doubt::Observer || world.said.reports.len() > 2);
    assert_eq!(world.fleet.count(Liveness::Alive), 205);
}

/// GD3, GD4, GD6: a group that is really dead is condemned after `hold_most`, and found by that and
/// two windows later than without a guard; meanwhile only a sample of it is probed.
#[test]
fn a_dead_group_is_condemned_in_time() {
    let run = |guard| {
        let mut world = World::new(lan(), guard, &[200, 200]);
        world.until(20 * SEC);
        let dead: Vec<_> = world.peers[200..].iter().map(|peer| (*peer, 20 * SEC)).collect();
        world.dead.extend(dead);
        world.until(60 * SEC);
        world
    };
    let (bare, guarded) = (run(None), run(Some(guard().sample(10))));
    assert_eq!(guarded.said.lost.len(), 200);
    let condemned = [GuardState::Holding, GuardState::Condemned, GuardState::Quiet];
    assert_eq!(guarded.states(Doubt::Group(1)), condemned);
    let step = nanos(guarded.fleet.step());
    for (peer, found) in &guarded.said.lost {
        let later = found - bare.said.lost[peer];
        assert!(later <= 5 * SEC + 2 * SEC + 8 * step, "{peer} {later} later");
    }
    // The first verdict without a guard is the first hold with it.
    let (first, first_held) = (bare.said.lost.values().min(), &guarded.said.holds[0]);
    assert_eq!(first, Some(&first_held.0));
    let last_held = guarded.said.holds.last().expect("some").0;
    let held = first_held.0..last_held;
    let dead_pinged = |(when, peer, _): &&(u64, Handle, Action)| {
        held.contains(when)
            && guarded.dead.contains_key(peer)
            && guarded.said.holds.iter().any(|(hold, of, _)| of == peer && hold <= when)
    };
    let probes = guarded.said.pings.iter().filter(dead_pinged).count();
    let windows = (held.end - held.start).div_ceil(SEC) as usize;
    assert!((1..=10 * (windows + 1)).contains(&probes), "{probes} in {windows} windows");
    assert!(guarded.fleet.count(Liveness::Alive) == 200);
}

/// GD6: peers that die for themselves are found to the nanosecond when they are without a guard,
/// whatever their number below the share.
#[test]
fn a_lone_death_is_not_delayed() {
    let run = |guard, dies: usize| {
        let mut world = World::new(lan(), guard, &[100, 100]);
        world.until(20 * SEC);
        let dead: Vec<_> = world.peers[..dies].iter().map(|peer| (*peer, 20 * SEC)).collect();
        world.dead.extend(dead);
        world.until(40 * SEC);
        world.said
    };
    for dies in [1, 49] {
        let (bare, guarded) = (run(None, dies), run(Some(guard()), dies));
        assert_eq!(bare.lost.len(), dies);
        assert_eq!((bare.lost, bare.pings), (guarded.lost, guarded.pings));
        assert_eq!((guarded.holds, guarded.reports), (Vec::new(), Vec::new()));
    }
}

/// Need 9: this host is frozen for a minute. Nobody of 10,000 healthy peers dies, under any policy;
/// probes are no more than what the caller works off; and 100 that died meanwhile are found within
/// one extra round.
#[test]
fn need_9_a_freeze_of_a_minute_kills_nobody() {
    for policy in [LatePolicy::Reprobe, LatePolicy::Strict] {
        let config = Config::builder()
            .interval(Duration::from_secs(5))
            .timeout(Duration::from_secs(20))
            .late_policy(policy)
            .build()
            .expect("valid");
        let window = nanos(config.response_window());
        let mut world = World::new(config, Some(guard()), &[5_000, 5_100]);
        world.until(11 * SEC);
        let dead: Vec<_> = world.peers[10_000..].iter().map(|peer| (*peer, 12 * SEC)).collect();
        world.dead.extend(dead);
        let before = world.said.pings.len();
        let waited = world.freeze(60 * SEC, 100);
        assert!((1..100).contains(&waited), "{waited} pongs");
        let thawed = world.now;
        let mut calls: BTreeMap<u64, usize> = BTreeMap::new();
        for (when, ..) in &world.said.pings[before..] {
            *calls.entry(*when).or_default() += 1;
        }
        let most = calls.values().max().expect("some");
        assert!(*most <= 100 + waited, "{policy:?}: {most}");
        world.until(thawed + 30 * SEC);
        let healthy = world.said.lost.keys().filter(|peer| !world.dead.contains_key(peer)).count();
        assert_eq!(healthy, 0, "{policy:?}");
        assert_eq!(world.said.lost.len(), 100, "{policy:?}");
        let last = world.said.lost.values().max().expect("some");
        assert!(*last <= thawed + 5 * SEC + 3 * window, "{policy:?}: {}", last - thawed);
    }
}

/// GD8: a call that comes a window after a wake-up is late, and no stall; one that comes later is one.
#[test]
fn a_stall_is_longer_than_a_window() {
    for (beyond, state) in [(0, GuardState::Quiet), (1, GuardState::Released)] {
        let mut world = World::new(lan(), Some(guard()), &[1]);
        let peer = world.peers[0];
        let (due, _) =
            world.fleet.peer(peer).expect("there").next_deadline(&lan()).expect("a ping");
        let now = due.as_nanos() + nanos(lan().response_window()) + beyond;
        let now = Timestamp::from_nanos(now);
        let _ = world.fleet.handle(peer, Event::FrameReceived, now).expect("there");
        let report = world.fleet.guard_report(Doubt::Observer).expect("a guard");
        assert_eq!(report.state, state, "{beyond} ns beyond");
    }
}

/// Need 18, GD7: verdicts of a mass event fall at no more than the rate, and the last of them no
/// later than the rate makes necessary, and a window.
#[test]
fn verdicts_are_spread() {
    let (rate, many) = (100_u64, 1000);
    let run = |guard: GuardConfig| {
        // Nobody is held: only the rate is seen.
        let mut world = World::new(lan(), Some(guard.least(u32::MAX)), &[many]);
        world.until(20 * SEC);
        world.dead = world.peers.iter().map(|peer| (*peer, 20 * SEC)).collect();
        world.until(60 * SEC);
        world
    };
    let (bare, spread) = (run(guard()), run(guard().verdicts_per_second(100)));
    assert_eq!((bare.said.lost.len(), spread.said.lost.len()), (many, many));
    let most = |world: &World, span: u64| {
        let mut falls: Vec<u64> = world.said.lost.values().copied().collect();
        falls.sort_unstable();
        let within =
            |first: &u64| falls.iter().filter(|f| (*first..first + span).contains(f)).count();
        falls.iter().map(within).max().expect("some") as u64
    };
    let window = SEC;
    for span in [SEC / 10, SEC, 3 * SEC] {
        let bound = rate * (span + window) / SEC + 1;
        assert!(most(&spread, span) <= bound, "{} in {span}", most(&spread, span));
    }
    assert!(most(&bare, SEC) > 2 * (2 * rate + 1), "there is something to spread");
    let step = nanos(spread.fleet.step());
    let worst = many as u64 * SEC / rate + window + 20 * step;
    let late = spread.said.lost.iter().map(|(peer, fell)| fell - bare.said.lost[peer]).max();
    assert!(late.expect("some") <= worst, "{late:?} > {worst}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// GD6, GD1: however paths flap and whoever dies, no verdict is put off for longer than the
    /// bound, and nobody whom the fleet can reach is lost; the counts stay exact.
    #[test]
    fn flapping_cannot_hold_for_ever(
        outages in prop::collection::vec((0..3_u16, 5_000..40_000_u64, 500..9_000_u64), 0..12),
        deaths in prop::collection::vec((0..60_usize, 5_000..40_000_u64), 0..40),
        least in 2..12_u32,
        sample in 1..8_u32,
        hold_most in 1..8_u64,
    ) {
        let config = lan();
        let held = GuardConfig::new(Duration::from_secs(hold_most)).least(least).sample(sample);
        let mut world = World::new(config, Some(held), &[20, 20, 20]);
        for (group, from, span) in outages {
            world.dark.push((group, from * MS..(from + span) * MS));
        }
        for (who, when) in deaths {
            world.dead.insert(world.peers[who], when * MS);
        }
        world.until(70 * SEC);
        let window = nanos(config.response_window());
        let limit = nanos(config.timeout());
        // The bound, W after a release, a window that V itself may wait for (J6), and a step each.
        let most = limit + hold_most * SEC + 4 * window + nanos(config.min_gap()) + SEC / 2;
        for (peer, fell) in &world.said.lost {
            let heard = world.heard.get(peer).copied().unwrap_or(0);
            let silent = fell.saturating_sub(heard);
            if heard > *fell {
                continue; // Heard again, after the verdict.
            }
            prop_assert!(silent > limit && silent <= most, "{peer}: silent for {silent}");
        }
        for peer in &world.peers {
            let dies = world.dead.contains_key(peer);
            let dark = world.dark.iter().any(|(group, _)| *group == world.group[peer]);
            prop_assert!(dies || dark || !world.said.lost.contains_key(peer));
            prop_assert!(!dies || world.said.lost.contains_key(peer));
        }
        let counted = world.fleet.guard_report(Doubt::Observer).expect("a guard");
        world.fleet.set_guard(held).expect("valid");
        let again = world.fleet.guard_report(Doubt::Observer).expect("a guard");
        prop_assert_eq!((counted.members, counted.silent), (again.members, again.silent));
    }
}

/// GD2: what cannot work is refused, by its name; and how much of a dead group is seen.
#[test]
fn a_guard_that_cannot_work_is_refused() {
    let mut fleet = Fleet::new(lan(), 7, at(0)).expect("valid");
    for (config, error) in [
        (GuardConfig::new(Duration::ZERO), GuardError::HoldMost(Duration::ZERO)),
        (guard().share(0), GuardError::Share(0)),
        (guard().share(101), GuardError::Share(101)),
        (guard().least(1), GuardError::Least(1)),
        (guard().sample(0), GuardError::Sample),
        (guard().verdicts_per_second(0), GuardError::Rate),
    ] {
        assert_eq!(fleet.set_guard(config), Err(error));
    }
    assert_eq!(fleet.guard_report(Doubt::Observer), None);
    fleet.set_guard(guard()).expect("valid");
    assert_eq!(fleet.guard_report(Doubt::Group(9)), None);
    let rules = Config::builder()
        .interval(Duration::from_secs(25))
        .timeout(Duration::from_secs(55))
        .build()
        .expect("valid");
    assert_eq!(GuardConfig::seen(&rules), 80);
}

/// GD3: whatever the event that finds the verdict due, the hold comes first, and what both yield
/// comes as one.
#[test]
fn a_hold_comes_before_any_event() {
    let ping = Event::ping(heartbeat_proto::PingId::new(3, 4));
    for event in [Event::Tick, Event::PingDue, Event::TxProgress, Event::Drain, Event::Close, ping]
    {
        // Under Strict evidence comes too late as well (E10).
        let config = Config::builder()
            .interval(Duration::from_secs(1))
            .timeout(Duration::from_secs(4))
            .late_policy(LatePolicy::Strict)
            .build()
            .expect("valid");
        let mut world = World::new(config, Some(guard()), &[50, 50]);
        world.dark.push((1, 20 * SEC..90 * SEC));
        world.until(22 * SEC);
        let verdict = |world: &World, peer: &Handle| world.heard[peer] + 4 * SEC + 1;
        let region = world.peers[50..].iter().copied();
        let peer = region.min_by_key(|peer| verdict(&world, peer)).expect("some");
        let due = verdict(&world, &peer);
        world.until(due - 1);
        let mut twin = world.fleet.peer(peer).expect("there");
        assert_eq!(twin.next_deadline(&config).map(|(when, _)| when), Some(at(due)));

        let both = world.fleet.handle(peer, event, at(due)).expect("there");
        let hold = world.fleet.last_hold();
        assert_eq!(hold, Some(Event::Hold { probe: true }), "{event:?}");
        let first = twin.handle(&config, Event::Hold { probe: true }, at(due));
        let mut expected = [first.findings(), first.findings()];
        let mut sent: Vec<Action> = first.collect();
        if event != Event::Tick {
            let next = twin.handle(&config, event, at(due));
            expected[1] = next.findings();
            sent.extend(next);
        }
        assert_eq!(world.fleet.peer(peer).expect("there"), twin, "{event:?}");
        assert_eq!(both.findings(), expected[0].with(expected[1]));
        assert!(both.findings().contains(heartbeat_proto::Findings::REPROBE));
        let told = |action: &Action| matches!(action, Action::Report(_));
        sent.retain(|action| !told(action));
        let mut both: Vec<Action> = both.filter(|action| !told(action)).collect();
        let order = |action: &Action| format!("{action:?}");
        sent.sort_by_key(order);
        both.sort_by_key(order);
        assert_eq!(both, sent, "{event:?}");
        assert_ne!(world.fleet.peer(peer).expect("there").liveness(), Liveness::Lost);
    }
}
