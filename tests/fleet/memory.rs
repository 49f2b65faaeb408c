//! FL7: nothing is allocated but when peers are inserted, and what there is stays small.

use core::ops::ControlFlow;
use core::time::Duration;

use heartbeat_proto::detector::{Compact, Detector};
use heartbeat_proto::fleet::{Fleet, GuardConfig, Handle, Input, Progress};
use heartbeat_proto::{Action, Actions, Config, Event, PingId, Timestamp};

use super::guard::nanos;
use super::rng::Rng;

const SEC: u64 = 1_000_000_000;

fn ignore(_: Handle, _: Actions) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
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
    // And nobody is forgotten.
    for tick in 0..700 {
        let now = now + tick * SEC / 10;
        while fleet.advance(at(now), 100, &mut ignore) == Progress::Pending {}
        assert_eq!(forgotten(&fleet, now), 0);
    }
}

/// How many were due in a step that had ended by `now`, the time of the last call, and still are.
fn forgotten(fleet: &Fleet, now: u64) -> usize {
    let config = *fleet.config(fleet.profiles().next().expect("one")).expect("its own");
    let ended = at(now.saturating_sub(nanos(fleet.step())));
    let due = fleet.iter().filter_map(|(_, state)| state.next_deadline(&config));
    due.filter(|(due, _)| *due < ended).count()
}

/// Room is made wherever the broom is, after any number of rounds. In buckets of more entries than a
/// block has, old blocks and new ones lie together.
#[test]
fn nobody_is_forgotten_where_room_is_made() {
    let config = Config::builder()
        .interval(Duration::from_secs(40))
        .response_window(Duration::from_secs(4))
        .slack(Duration::from_secs(1))
        .build()
        .expect("valid");
    let mut fleet = Fleet::with_step(config, 3, at(0), Duration::from_secs(1)).expect("valid");
    let profile = fleet.profiles().next().expect("one");
    let (mut rng, mut now) = (Rng(5), 0);
    let mut handles = Vec::new();
    for _ in 0..8 {
        for _ in 0..1024 {
            let handle = fleet.insert(profile, at(now)).expect("room");
            let _ = fleet.handle(handle, Event::Start, at(now)).expect("there");
            handles.push(handle);
        }
        // A round takes a quarter as many stale entries as there are blocks: 600 to 1250.
        for _ in 0..100 {
            now += SEC / 2;
            for _ in 0..5 + rng.below(20) {
                let handle = handles[rng.below(handles.len() as u64) as usize];
                let actions = fleet.handle(handle, Event::PingDue, at(now)).expect("there");
                for pong in pings(handle, actions) {
                    let _ = fleet.handle(handle, pong.event, at(now)).expect("there");
                }
            }
            let mut sent = Vec::new();
            let mut sink = |handle, actions| {
                sent.extend(pings(handle, actions));
                ControlFlow::Continue(())
            };
            while fleet.advance(at(now), 100, &mut sink) == Progress::Pending {}
            let _ = fleet.handle_batch(&sent, at(now), &mut ignore);
        }
        assert_eq!(forgotten(&fleet, now), 0, "at {now}");
    }
}

/// Whoever asks for a ping between the regular ones has the peer's wake-up put forward to the end of the
/// response, and back to the very step it was in: where it has left a stale entry each time.
#[test]
fn a_wake_up_that_comes_back_is_filed_once() {
    let config = Config::builder()
        .interval(Duration::from_secs(30))
        .response_window(Duration::from_millis(40))
        .attempts(3)
        .build()
        .expect("valid");
    let mut fleet = Fleet::new(config, 3, at(0)).expect("valid");
    let profile = fleet.profiles().next().expect("one");
    let handles: Vec<Handle> =
        (0..20 * 1024).map(|_| fleet.insert(profile, at(0)).expect("room")).collect();
    for handle in &handles {
        let _ = fleet.handle(*handle, Event::Start, at(0)).expect("there");
    }
    let mut asked = handles.iter().cycle();
    let mut sent = Vec::with_capacity(handles.len());
    let mut last_pinged = vec![0; handles.len()];
    let mut round = |nth: u64, ask| {
        let now = at(nth * SEC / 16);
        for handle in asked.by_ref().take(ask) {
            let actions = fleet.handle(*handle, Event::PingDue, now).expect("there");
            sent.extend(pings(*handle, actions));
        }
        // The end of each response comes, and is no verdict.
        for now in [now, at(now.as_nanos() + SEC / 17)] {
            for pong in sent.drain(..) {
                let _ = fleet.handle(pong.handle, pong.event, now).expect("there");
            }
            let mut sink = |handle: Handle, actions| {
                last_pinged[handle.slot() as usize] = nth;
                sent.extend(pings(handle, actions));
                ControlFlow::Continue(())
            };
            while fleet.advance(now, 100, &mut sink) == Progress::Pending {}
        }
    };
    // 30 s: before the first of the steps that they come back to. And 30 s in which they do.
    let asking = 480;
    let counted = allocation_counter::measure(|| (1..=asking).for_each(|nth| round(nth, 400)));
    assert_eq!(counted.count_total, 0, "allocations");
    (asking + 1..=2 * asking).for_each(|nth| round(nth, 0));
    assert!(last_pinged.iter().all(|nth| *nth > asking), "nobody is forgotten");
}

/// The answers to the pings among these.
pub(super) fn pings(handle: Handle, actions: Actions) -> impl Iterator<Item = Input> {
    actions.filter_map(move |action| match action {
        Action::SendPing { id, .. } => Some(Input { handle, event: Event::pong(id) }),
        _ => None,
    })
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

/// Blocks that suffice for so many slots, whatever happens, by the argument at `stale_limit`: with
/// `b` of them never more than 0.51 `b` entries are stale, 19 fit into one, and one of each bucket,
/// of which there are 4096, is not full. They are made by 64.
fn blocks_needed(slots: usize) -> usize {
    let mut blocks = 0;
    loop {
        let entries = slots + blocks * 51 / 100;
        let needed = (entries.div_ceil(19) + entries.min(4096)).next_multiple_of(64);
        if needed == blocks {
            return blocks;
        }
        blocks = needed;
    }
}

/// There is room for the worst case of the schedule, and hardly more: at any number of slots.
#[test]
fn the_schedule_has_room_for_its_worst_case() {
    let mut fleet = Fleet::new(Config::messaging_30_90(), 3, at(0)).expect("valid");
    let profile = fleet.profiles().next().expect("one");
    let mut allocations = 0;
    for chunk in 1..=64 {
        let counted = allocation_counter::measure(|| {
            for _ in 0..1024 {
                let _ = fleet.insert(profile, at(0)).expect("room");
            }
        });
        allocations += usize::try_from(counted.count_current).expect("nothing is given back");
        // A chunk of states each, and two lists of chunks.
        let room = 64 * (allocations - chunk - 2);
        let needed = blocks_needed(1024 * chunk);
        assert!((needed..=needed + 64).contains(&room), "{room} blocks, not {needed}, for {chunk}");
    }
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
