//! When the fleet wants to be called, and what its calls do.

use core::ops::ControlFlow;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use heartbeat_proto::detector::{Detector, Evidence, Trust};
use heartbeat_proto::fleet::{Fleet, Handle, Input, Progress};
use heartbeat_proto::{Action, Actions, Config, Event, Liveness, Mode, Reason, Timestamp};

use super::memory::pings;

pub(super) const SEC: u64 = 1_000_000_000;

pub(super) fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(SEC + nanos)
}

pub(super) fn started(config: Config, peers: usize) -> (Fleet, Vec<Handle>) {
    let mut fleet = Fleet::new(config, 7, at(0)).expect("valid");
    let profile = fleet.profiles().next().expect("one");
    let handles = (0..peers)
        .map(|_| {
            let handle = fleet.insert(profile, at(0)).expect("room");
            let _ = fleet.handle(handle, Event::Start, at(0)).expect("there");
            handle
        })
        .collect();
    (fleet, handles)
}

/// Runs for `span` with a punctual caller; who is in `dead` answers nothing, all others after 20 ms.
pub(super) struct Run {
    pub(super) fleet: Fleet,
    pub(super) now: u64,
    pub(super) pongs: BTreeMap<u64, Vec<Input>>,
    pub(super) dead: BTreeSet<Handle>,
    /// When the last pong of each came.
    pub(super) heard: BTreeMap<Handle, u64>,
    pub(super) lost: BTreeMap<Handle, u64>,
    pub(super) pings: u64,
    pub(super) most_pings_a_call: u64,
}

impl Run {
    const RTT: u64 = 20_000_000;

    pub(super) fn new(fleet: Fleet) -> Self {
        Self {
            fleet,
            now: 0,
            pongs: BTreeMap::new(),
            dead: BTreeSet::new(),
            heard: BTreeMap::new(),
            lost: BTreeMap::new(),
            pings: 0,
            most_pings_a_call: 0,
        }
    }

    pub(super) fn until(&mut self, end: u64) {
        loop {
            let due = self.fleet.next_deadline().map_or(u64::MAX, |at| at.as_nanos() - SEC);
            let pong = self.pongs.keys().next().copied().unwrap_or(u64::MAX);
            if due.min(pong) > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(due.min(pong));
            while let Some(entry) = self.pongs.first_entry() {
                if *entry.key() > self.now {
                    break;
                }
                let inputs = entry.remove();
                let taken = self.fleet.handle_batch(&inputs, at(self.now), &mut ignore);
                assert_eq!(taken, inputs.len());
                self.heard.extend(inputs.iter().map(|input| (input.handle, self.now)));
            }
            self.advance();
        }
    }

    fn advance(&mut self) {
        let now = self.now;
        let (mut pings, mut inputs) = (0, Vec::new());
        let (dead, lost) = (&self.dead, &mut self.lost);
        let mut sink = |handle, actions: Actions| {
            for action in actions {
                match action {
                    Action::SendPing { id, stamp } => {
                        pings += 1;
                        if !dead.contains(&handle) {
                            let (stamp, hold, calm) = (Some(stamp), Duration::ZERO, false);
                            let event = Event::PongReceived { id, stamp, hold, calm };
                            inputs.push(Input { handle, event });
                        }
                    }
                    Action::Notify(change) if change.to == Liveness::Lost => {
                        assert_eq!(change.reason, Reason::NoResponse);
                        assert!(lost.insert(handle, now).is_none());
                    }
                    _ => {}
                }
            }
            ControlFlow::Continue(())
        };
        while self.fleet.advance(at(now), 1000, &mut sink) == Progress::Pending {}
        self.pings += pings;
        self.most_pings_a_call = self.most_pings_a_call.max(pings);
        if !inputs.is_empty() {
            self.pongs.entry(now + Self::RTT).or_default().extend(inputs);
        }
    }
}

fn ignore(_: Handle, _: Actions) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// FL3: with a punctual caller nobody living is lost, and each dead peer is found after its limit,
/// and not more than a step later.
#[test]
fn verdicts_are_exact_to_a_step() {
    let config = Config::lan(); // Every second, dead after 4 s.
    let (fleet, handles) = started(config, 2000);
    let step = u64::try_from(fleet.step().as_nanos()).expect("short");
    let mut run = Run::new(fleet);
    run.until(10 * SEC);
    let (pings, seconds) = (run.pings, 10);
    assert!((2000 * seconds..2300 * seconds).contains(&pings), "{pings} pings");
    assert_eq!(run.fleet.count(Liveness::Alive), 2000);

    // Each tenth peer falls silent.
    run.dead = handles.iter().step_by(10).copied().collect();
    run.pongs.values_mut().for_each(|all| all.retain(|one| !run.dead.contains(&one.handle)));
    run.until(20 * SEC);
    assert_eq!(run.lost.len(), run.dead.len());
    assert_eq!(run.fleet.count(Liveness::Lost), run.dead.len());
    assert_eq!(run.fleet.count(Liveness::Alive), 1800);
    for (dead, lost) in &run.lost {
        let limit = run.heard[dead] + 4 * SEC;
        assert!((limit + 1..=limit + 1 + step).contains(lost), "{dead}: {lost}, limit {limit}");
    }
    let late = run.fleet.census().lateness().max();
    assert!(late <= run.fleet.step(), "late by {late:?}");
}

/// FL4: however small the budget and however soon the sink has enough, all is done in the end, once.
#[test]
fn nothing_is_lost_in_small_pieces() {
    for (budget, enough) in [(1, 1), (7, 3), (100, 1), (3, 100)] {
        let (mut fleet, handles) = started(Config::lan(), 300);
        let now = at(2 * SEC); // All first pings are overdue, by up to two intervals.
        let mut pinged = BTreeMap::new();
        loop {
            let (mut here, mut taken) = (0, Vec::new());
            let mut sink = |handle, actions: Actions| {
                here += 1;
                for action in actions {
                    if let Action::SendPing { id, .. } = action {
                        taken.push((handle, id));
                    }
                }
                if here < enough { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            };
            let progress = fleet.advance(now, budget, &mut sink);
            assert!(taken.len() <= budget.min(enough));
            for (handle, id) in taken {
                assert!(pinged.insert(handle, id).is_none(), "{handle} was pinged twice");
            }
            if progress == Progress::Done {
                break;
            }
        }
        assert_eq!(pinged.len(), handles.len());
    }
}

/// FL5: a fleet without peers, or with ended ones only, wants nothing.
#[test]
fn nobody_there_nothing_due() {
    let (mut fleet, handles) = started(Config::lan(), 5);
    for handle in &handles {
        let _ = fleet.handle(*handle, Event::Close, at(1)).expect("there");
    }
    assert_eq!(fleet.advance(at(100 * SEC), 10, &mut ignore), Progress::Done);
    assert_eq!(fleet.next_deadline(), None);
    for handle in handles {
        let _ = fleet.remove(handle).expect("there");
    }
    assert!(fleet.is_empty());
    assert_eq!(fleet.next_deadline(), None);
}

/// Deadlines beyond the horizon of the schedule are kept (one hour is 104 times its 4096 steps).
#[test]
fn far_deadlines_are_kept() {
    let config = Config::builder()
        .interval(Duration::from_secs(3600))
        .timeout(Duration::from_secs(3 * 3600))
        .build()
        .expect("valid");
    let (fleet, _) = started(config, 50);
    let mut run = Run::new(fleet);
    run.until(3600 * SEC);
    assert!((50..60).contains(&run.pings), "{}", run.pings);
    run.until(24 * 3600 * SEC);
    assert!((24 * 50..27 * 50).contains(&run.pings), "{}", run.pings);
    assert_eq!(run.fleet.count(Liveness::Alive), 50);
}

/// Need 18: peers that start in one instant do not beat in phase, from the first ping on.
#[test]
fn a_crowd_spreads() {
    let config = Config::builder()
        .interval(Duration::from_secs(30))
        .timeout(Duration::from_secs(90))
        .jitter_percent(0)
        .build()
        .expect("valid");
    let (fleet, _) = started(config, 30_000);
    let mut run = Run::new(fleet);
    run.until(90 * SEC);
    // 30,000 in 30 s: 8.4 a step. A Poisson of that mean exceeds 35 once in 10^11 steps.
    assert!(run.most_pings_a_call < 35, "{} in a step", run.most_pings_a_call);
}

/// Whom the fleet has found due, and who has left before it was handled, is not called; nor is who came
/// into its slot.
#[test]
fn who_has_left_is_not_called() {
    let (mut fleet, handles) = started(Config::lan(), 40);
    let profile = fleet.profiles().next().expect("one");
    let now = at(3 * SEC); // All first pings are overdue.
    assert_eq!(fleet.advance(now, 1, &mut ignore), Progress::Pending);
    for handle in handles {
        let _ = fleet.remove(handle).expect("there");
    }
    for _ in 0..20 {
        let _ = fleet.insert(profile, now).expect("room");
    }
    let mut sink = |handle, actions: Actions| panic!("{handle}: {actions:?}");
    assert_eq!(fleet.advance(now, 1000, &mut sink), Progress::Done);
    assert_eq!(fleet.count(Liveness::Idle), 20);
}

/// FL6: a time below an earlier one is counted, and no other is.
#[test]
fn steps_back_are_counted() {
    let (mut fleet, handles) = started(Config::lan(), 1);
    for (now, counted) in [(5, 0), (5, 0), (9, 0), (8, 1), (9, 1), (10, 1), (3, 2)] {
        let _ = fleet.handle(handles[0], Event::TxProgress, at(now)).expect("there");
        assert_eq!(fleet.census().stats().clock_regressions, counted, "at {now}");
    }
}

/// Trusts for two of the periods that the peer promised last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Promise;

impl Detector for Promise {
    type State = u64;

    fn learn(&self, period: &mut u64, evidence: &Evidence) {
        *period = evidence.period_nanos;
    }

    fn deadline(&self, period: &u64, trust: &Trust) -> Timestamp {
        trust.since().saturating_add(Duration::from_nanos(2 * period))
    }

    fn beat_deadline(&self, period: &u64, trust: &Trust) -> Option<Timestamp> {
        Some(self.deadline(period, trust))
    }
}

/// A beat may promise the next one sooner than the last did: then the peer is looked at sooner.
#[test]
fn a_beat_may_bring_the_wake_up_forward() {
    let config = Config::builder().mode(Mode::Passive).detector(Promise).build().expect("valid");
    let mut fleet = Fleet::new(config, 7, at(0)).expect("valid");
    let profile = fleet.profiles().next().expect("one");
    let handle = fleet.insert(profile, at(0)).expect("room");
    for event in [Event::Start, beacon(8000), beacon(8000), beacon(100)] {
        let _ = fleet.handle(handle, event, at(0)).expect("there");
    }
    let doubted = at(200_000_001); // The first moment at which it is not trusted.
    let next = fleet.next_deadline().expect("a peer");
    assert!(doubted <= next && next <= doubted.saturating_add(fleet.step()), "{next:?}");
    assert_eq!(fleet.advance(next, 1, &mut ignore), Progress::Done);
    assert_eq!(fleet.count(Liveness::Suspect), 1);
}

/// FL1: a pong that comes when the next ping is due has it sent, be it in the same step or later: it
/// is no healthy peer's answer, before which nothing was due.
#[test]
fn a_pong_sends_what_was_due_before_it() {
    let config = Config::builder()
        .interval(Duration::from_secs(1))
        .response_window(Duration::from_secs(2))
        .build()
        .expect("valid");
    for late in [0, 40].map(Duration::from_millis) {
        let (mut fleet, handles) = started(config, 1);
        let handle = handles[0];
        // The first pong makes it healthy.
        for pings_at_pong in [0, 1] {
            let next = fleet.next_deadline().expect("a peer");
            let mut sent = Vec::new();
            let mut sink = |handle, actions| {
                sent.extend(pings(handle, actions));
                ControlFlow::Continue(())
            };
            assert_eq!(fleet.advance(next, 1, &mut sink), Progress::Done);
            let (due, _) = fleet.peer(handle).expect("there").next_deadline(&config).expect("due");
            let now = if pings_at_pong == 0 { next } else { due.saturating_add(late) };
            let actions = fleet.handle(handle, sent[0].event, now).expect("there");
            assert_eq!(pings(handle, actions).count(), pings_at_pong, "{late:?}");
        }
    }
}

fn beacon(period: u64) -> Event {
    Event::BeaconReceived { stamp: None, period: Duration::from_millis(period) }
}

/// FL4: who has answered is looked at when the response would have ended, which costs no budget.
#[test]
fn answers_cost_no_budget() {
    let config = Config::builder()
        .interval(Duration::from_secs(30))
        .response_window(Duration::from_millis(40))
        .build()
        .expect("valid");
    let (mut fleet, handles) = started(config, 8);
    for handle in handles {
        let actions = fleet.handle(handle, Event::PingDue, at(0)).expect("there");
        let answer: Vec<Input> = pings(handle, actions).collect();
        assert_eq!(fleet.handle_batch(&answer, at(0), &mut ignore), 1);
    }
    let next = fleet.next_deadline().expect("peers");
    assert!(next < at(SEC / 10), "{next:?}");
    assert_eq!(fleet.advance(at(SEC / 10), 1, &mut ignore), Progress::Done);
    assert!(fleet.next_deadline() > Some(at(SEC / 10)));
}

/// How late the caller was with a ping is measured, to a sixteenth: with the first of a peer, and with
/// those of a healthy one, which go a shorter way.
#[test]
fn lateness_is_measured() {
    let (mut fleet, handles) = started(Config::lan(), 1);
    for late in [20, 40, 80, 160].map(Duration::from_millis) {
        let state = fleet.peer(handles[0]).expect("there");
        let (due, _) = state.next_deadline(&Config::lan()).expect("a ping");
        let now = due.saturating_add(late);
        let mut pong = None;
        let mut sink = |_, actions: Actions| {
            pong = actions.into_iter().find_map(|action| match action {
                Action::SendPing { id, .. } => Some(Event::pong(id)),
                _ => None,
            });
            ControlFlow::Continue(())
        };
        assert_eq!(fleet.advance(now, 2, &mut sink), Progress::Done);
        let measured = fleet.census().lateness().max();
        assert!(late <= measured && measured <= late + late / 16, "{measured:?} of {late:?}");
        let _ = fleet.handle(handles[0], pong.expect("a ping"), now).expect("there");
    }
}

/// Of peers that start together those who are due together lie together: their order in memory goes
/// through the interval once, and not to and fro.
#[test]
fn neighbours_in_time_are_neighbours_in_memory() {
    let interval = Duration::from_secs(30);
    let config = Config::builder().interval(interval).timeout(3 * interval).build().expect("valid");
    let (fleet, _) = started(config, 1024);
    let due = fleet.iter().map(|(_, state)| state.next_deadline(&config).expect("a ping").0);
    let due: Vec<u64> = due.map(Timestamp::as_nanos).collect();
    let way: u64 = due.windows(2).map(|two| two[0].abs_diff(two[1])).sum();
    assert!(way <= 2 * 30 * SEC, "{way}");
}
