//! FL7: nothing is allocated but when peers are inserted, and what there is stays small.

use core::ops::ControlFlow;
use core::time::Duration;

use heartbeat_proto::detector::{Compact, Detector};
use heartbeat_proto::fleet::{Fleet, GuardConfig, Handle, Progress};
use heartbeat_proto::{Actions, Config, Event, PingId, Timestamp};

const SEC: u64 = 1_000_000_000;

fn ignore(_: Handle, _: Actions) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

/// Like the machine's generator elsewhere: `SplitMix64`.
struct Rng(u64);

impl Rng {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % limit
    }
}

/// The worst that peers can do to the schedule: limits that put each peer's deadline forward and
/// back all the time, and slots that change their peers.
#[test]
fn nothing_is_allocated_while_it_runs() {
    let config = Config::builder()
        .interval(Duration::from_secs(2))
        .timeout(Duration::from_secs(8))
        .ceiling(Duration::from_secs(60))
        .build()
        .expect("valid");
    let mut fleet = Fleet::new(config, 3, at(0)).expect("valid");
    // It is quick to doubt, and slow to convict.
    let guard = GuardConfig::new(Duration::from_secs(60)).share(1).verdicts_per_second(5);
    fleet.set_guard(guard).expect("valid");
    let profile = fleet.profiles().next().expect("one");
    let mut handles: Vec<Handle> =
        (0..5000).map(|_| fleet.insert(profile, at(0)).expect("room")).collect();
    for (group, handle) in (0..).zip(&handles) {
        fleet.set_group(*handle, group % 300).expect("there");
        let _ = fleet.handle(*handle, Event::Start, at(0)).expect("there");
    }
    let mut rng = Rng(9);
    let mut now = 0;
    let counted = allocation_counter::measure(|| {
        for _ in 0..400_000 {
            let who = rng.below(handles.len() as u64) as usize;
            let handle = handles[who];
            let event = match rng.below(8) {
                0..=3 => {
                    let min_gap = Duration::from_millis(rng.below(40_000));
                    Event::LimitReceived { min_gap }
                }
                4 => Event::PingDue,
                5 => Event::pong(PingId::new(handle.epoch(), 1 + rng.below(3) as u32)),
                6 => Event::FrameReceived,
                _ => {
                    let _ = fleet.remove(handle).expect("there");
                    handles[who] = fleet.insert(profile, at(now)).expect("a free slot");
                    Event::Start
                }
            };
            let _ = fleet.handle(handles[who], event, at(now)).expect("there");
            now += rng.below(SEC / 2000);
            if rng.below(50) == 0 {
                while fleet.advance(at(now), 100, &mut ignore) == Progress::Pending {}
            }
        }
    });
    assert_eq!(counted.count_total, 0, "allocations");
}

/// A crowd that comes, is started and goes, `rounds` times: what more memory is held then, and
/// whether something is left in the schedule. Whoever is started is due far sooner than before, which
/// was at the limit of its start-up.
fn crowds(rounds: usize, one_by_one: bool) -> (i64, bool) {
    let config = Config::builder()
        .interval(Duration::from_millis(50))
        .timeout(Duration::from_millis(200))
        .startup_limit(Duration::from_secs(60))
        .build()
        .expect("valid");
    let mut fleet = Fleet::new(config, 3, at(0)).expect("valid");
    let profile = fleet.profiles().next().expect("one");
    let mut now = 0;
    let mut come_and_go = |fleet: &mut Fleet| {
        let start = |fleet: &mut Fleet, handle| {
            let _ = fleet.handle(handle, Event::Start, at(now)).expect("there");
        };
        let mut handles = Vec::new();
        for _ in 0..1000 {
            let handle = fleet.insert(profile, at(now)).expect("room");
            handles.push(handle);
            if one_by_one {
                start(fleet, handle);
            }
        }
        for handle in handles {
            start(fleet, handle);
            let _ = fleet.remove(handle).expect("there");
        }
        now += SEC / 10; // Beyond the first ping of each.
        while fleet.advance(at(now), 100, &mut ignore) == Progress::Pending {}
    };
    come_and_go(&mut fleet);
    let counted = allocation_counter::measure(|| {
        for _ in 0..rounds {
            come_and_go(&mut fleet);
        }
    });
    (counted.bytes_current, fleet.next_deadline().is_some())
}

/// Who is started as soon as it is inserted has its entry in the schedule taken back: nothing waits for
/// the limit of its start-up any more.
#[test]
fn nothing_is_left_of_a_crowd_started_one_by_one() {
    assert_eq!(crowds(200, true), (0, false));
}

/// Where that cannot be, as others came after, what is stale is paid for. All this happens before the
/// first of the limits would come (4096 steps, 34 s). The schedule has room for some 45,000 entries,
/// whatever they are; 200,000 are put forward.
#[test]
fn little_is_left_of_a_crowd_started_together() {
    assert_eq!(crowds(200, false).0, 0);
}

/// In tenths of a byte.
fn bytes_a_peer<D: Detector>(config: Config<D>, peers: usize) -> usize {
    let mut fleet = None;
    let counted = allocation_counter::measure(|| {
        let mut made = Fleet::new(config, 3, at(0)).expect("valid");
        let profile = made.profiles().next().expect("one");
        for _ in 0..peers {
            let handle = made.insert(profile, at(0)).expect("room");
            let _ = made.handle(handle, Event::Start, at(0)).expect("there");
        }
        fleet = Some(made);
    });
    assert_eq!(fleet.expect("made").len(), peers);
    usize::try_from(counted.bytes_current).expect("not less than before") * 10 / peers
}

/// All in: state, handle, schedule with room for its worst case.
#[test]
fn a_peer_is_small() {
    let base = Config::builder().interval(Duration::from_secs(30)).timeout(Duration::from_secs(90));
    let fixed = bytes_a_peer(base.build().expect("valid"), 200_000);
    let compact = bytes_a_peer(base.detector(Compact::default()).build().expect("valid"), 200_000);
    println!("tenths of a byte a peer: {fixed} with Deadline, {compact} with Compact");
    // At a million 79.8 and 103.8: the schedule's own 400 kB weigh less.
    assert!(fixed <= 815, "{fixed}");
    assert!(compact <= 1055, "{compact}");
}
