//! Snapshots of fleets that have met anything, with random damage, and of peers that are made up.

use core::ops::ControlFlow;
use core::time::Duration;
use std::sync::LazyLock;

use heartbeat_proto::fleet::{Fleet, Handle, Progress, Restoring, Saving, SnapshotError};
use heartbeat_proto::{Action, Actions, Config, Event, Liveness, Mode, PingId, Timestamp, Verdict};
use proptest::prelude::*;

use super::snapshot::saved;
use super::snapshot_bytes::{
    HEADER, HOUR, MS, PORTION, RECORD, at, refused, restore_all, sealed, snapshot,
};

/// One of everything that a fleet can be told.
#[derive(Clone, Debug)]
enum Op {
    Insert(usize),
    Remove(usize),
    Reconnect(usize),
    Tell(usize, Event),
    /// The answer to the newest ping, so many nanoseconds after it was sent, calm or not.
    Pong(usize, bool),
    Pass(u64),
    /// A burst of pings.
    Flood(usize),
}

fn limit(millis: u64) -> Event {
    Event::LimitReceived { min_gap: Duration::from_millis(millis) }
}

fn op() -> impl Strategy<Value = Op> {
    let event = prop_oneof![
        4 => Just(Event::Start),
        3 => Just(Event::FrameReceived),
        2 => Just(Event::PingDue),
        3 => any::<u32>().prop_map(|n| Event::ping(PingId::new(9, n))),
        1 => (0..5_000_u64).prop_map(limit),
        1 => Just(Event::Suspend),
        1 => Just(Event::Drain),
        1 => Just(Event::Close),
        1 => Just(Event::GoodbyeReceived),
    ];
    prop_oneof![
        3 => (0..3_usize).prop_map(Op::Insert),
        1 => any::<usize>().prop_map(Op::Remove),
        1 => any::<usize>().prop_map(Op::Reconnect),
        12 => (any::<usize>(), event).prop_map(|(who, event)| Op::Tell(who, event)),
        10 => (any::<usize>(), any::<bool>()).prop_map(|(who, calm)| Op::Pong(who, calm)),
        10 => (0..2_000 * MS).prop_map(Op::Pass),
        2 => any::<usize>().prop_map(Op::Flood),
    ]
}

/// One that is pinged and may come back, one whose peer is policed, and one that only listens.
fn profiles() -> [Config; 3] {
    let base = Config::builder().interval(Duration::from_secs(2)).timeout(Duration::from_secs(8));
    let reopening = base.reopen_after(3).ceiling(Duration::from_secs(60)).build();
    let policing =
        base.accept_gap(Duration::from_secs(1)).probe_loss(2, 5, Verdict::Report).build();
    let listening = base.mode(Mode::Passive).build();
    [reopening, policing, listening].map(|config| config.expect("valid"))
}

fn fleet_of(profiles: &[Config; 3], seed: u64, now: Timestamp) -> Fleet {
    let mut fleet = Fleet::new(profiles[0], seed, now).expect("valid");
    for config in &profiles[1..] {
        let _ = fleet.add_profile(*config).expect("room");
    }
    fleet
}

fn grown(ops: &[Op]) -> (Fleet, u64) {
    let mut fleet = fleet_of(&profiles(), 1, at(0));
    let (mut handles, mut pings, mut now) = (Vec::<Handle>::new(), Vec::new(), 0);
    for op in ops {
        let who = |who: &usize, all: &[Handle]| all.get(who % all.len().max(1)).copied();
        let mut actions = None;
        match op {
            Op::Insert(profile) => {
                let profile = fleet.profiles().nth(*profile).expect("three");
                handles.push(fleet.insert(profile, at(now)).expect("room"));
            }
            Op::Remove(n) => {
                if let Some(handle) = who(n, &handles) {
                    let _ = fleet.remove(handle).expect("there");
                    handles.retain(|one| *one != handle);
                }
            }
            Op::Reconnect(n) => {
                if let Some(handle) = who(n, &handles) {
                    let next = fleet.reconnected(handle, at(now)).expect("there");
                    handles.iter_mut().filter(|h| **h == handle).for_each(|h| *h = next);
                }
            }
            Op::Tell(n, event) => {
                if let Some(handle) = who(n, &handles) {
                    actions = fleet.handle(handle, *event, at(now)).ok().map(|a| (handle, a));
                }
            }
            Op::Flood(n) => {
                for (handle, seq) in who(n, &handles).into_iter().cycle().zip(1..9) {
                    let event = Event::ping(PingId::new(1, seq));
                    let _ = fleet.handle(handle, event, at(now)).expect("there");
                }
            }
            Op::Pong(n, calm) => {
                let found = who(n, &handles).and_then(|handle| {
                    let its = |(of, ..): &&(Handle, PingId, Timestamp)| *of == handle;
                    pings.iter().rev().find(its).copied()
                });
                if let Some((handle, id, stamp)) = found {
                    let (stamp, hold, calm) = (Some(stamp), Duration::ZERO, *calm);
                    let event = Event::PongReceived { id, stamp, hold, calm };
                    actions = fleet.handle(handle, event, at(now)).ok().map(|a| (handle, a));
                }
            }
            Op::Pass(nanos) => {
                now += nanos;
                let mut sink = |handle, actions: Actions| {
                    pings.extend(sent(handle, actions));
                    ControlFlow::Continue(())
                };
                while fleet.advance(at(now), 1000, &mut sink) == Progress::Pending {}
            }
        }
        if let Some((handle, actions)) = actions {
            pings.extend(sent(handle, actions));
        }
    }
    (fleet, now)
}

fn sent(handle: Handle, actions: Actions) -> Option<(Handle, PingId, Timestamp)> {
    actions.into_iter().find_map(|action| match action {
        Action::SendPing { id, stamp } => Some((handle, id, stamp)),
        _ => None,
    })
}

/// The slots of all portions.
fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let portions = bytes.chunks_exact(PORTION);
    let slots = portions.flat_map(|portion| portion[HEADER..PORTION - 4].chunks_exact(RECORD));
    slots.map(<[u8]>::to_vec).collect()
}

fn number<const N: usize>(record: &[u8], from: usize) -> [u8; N] {
    record[from..from + N].try_into().expect("N bytes")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// SN1, SN2, SN4: what is saved, restored on another clock and saved again is the same, but for
    /// the epoch, the silence of those who are not pinged, and limits that are nearly over.
    #[test]
    fn what_is_saved_comes_back(
        ops in prop::collection::vec(op(), 1..300),
        later in 0..100_000 * MS,
        begin in 0..1000 * HOUR,
        seed: u64,
    ) {
        let (fleet, now) = grown(&ops);
        let now = now + later; // As if the caller were late.
        let bytes = saved(&fleet, at(now));
        let mut new = fleet_of(&profiles(), seed, at(begin));
        let (mut restoring, mut taken) = (Restoring::new(), 0);
        let mut names = Vec::new();
        while !restoring.is_done() {
            let mut told = |was, is| names.push((was, is));
            let portion = &bytes[taken..];
            taken += new.restore(&mut restoring, portion, at(begin), &mut told).expect("whole");
        }
        prop_assert_eq!(names.len(), fleet.len());
        for liveness in Liveness::ALL {
            prop_assert_eq!(new.count(liveness), fleet.count(liveness));
        }
        for (was, is) in names {
            let (old, new_one) = (fleet.peer(was).expect("there"), new.peer(is).expect("there"));
            prop_assert_eq!(new.profile(is), Ok(fleet.profile(was).expect("there")));
            prop_assert_eq!((new_one.liveness(), new_one.rtt()), (old.liveness(), old.rtt()));
        }
        let again = saved(&new, at(begin));
        prop_assert_eq!(again.len(), bytes.len());
        let listening = |slot: usize| bytes[slot / 1024 * PORTION + 21] == 2;
        for (slot, (old, new)) in records(&bytes).into_iter().zip(records(&again)).enumerate() {
            let epochs = [&old, &new].map(|one| u32::from_be_bytes(number(one, 8)));
            let raised = epochs[1].wrapping_sub(epochs[0]);
            prop_assert!((1 << 16..1 << 17).contains(&raised), "by {}", raised);
            let mut expected = old.clone();
            expected[8..12].copy_from_slice(&new[8..12]);
            let ages = [16, 20].map(|from| i32::from_be_bytes(number(&old, from)));
            let (liveness, is_draining) = (old[0] >> 1 & 7, old[0] & 0x10 != 0);
            let is_live = (1..=4).contains(&liveness);
            let window = i32::try_from((2_000 * MS) >> 16).expect("short");
            let mut silence = ages[0];
            let mut last = ages[1];
            if old[0] != 0 && liveness == 0 {
                // 10 s for the start, of which a window is left at least.
                let most = i32::try_from((8_000 * MS) >> 16).expect("short");
                silence = silence.min(most);
            } else if is_live && listening(slot) {
                silence = silence.min(0);
            }
            if is_live && is_draining {
                last = last.min(-window - 1);
            }
            expected[16..20].copy_from_slice(&silence.to_be_bytes());
            expected[20..24].copy_from_slice(&last.to_be_bytes());
            prop_assert_eq!(new, expected, "slot {}", slot);
        }
    }

    /// SN3: one flipped bit anywhere.
    #[test]
    fn no_bit_may_flip(bit in 0..8 * PORTION) {
        static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| snapshot(1));
        let mut bytes = WHOLE[..PORTION].to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let _ = refused(&bytes);
    }

    /// SN3: whoever can make the check fit can make up peers, and no more: nothing panics, and
    /// their lives go by the rules.
    #[test]
    fn made_up_peers_are_peers(
        slots in prop::collection::vec(prop::array::uniform32(any::<u8>()), 1..40),
        profile in 0..3_u8,
        begin in prop_oneof![0..HOUR, Just(u64::MAX), any::<u64>()],
        events in prop::collection::vec((any::<usize>(), op()), 0..100),
    ) {
        let mut bytes = saved(&grown(&[Op::Insert(0)]).0, at(0))[..PORTION].to_vec();
        bytes[21] = profile;
        for (n, slot) in slots.iter().enumerate() {
            let record = &mut bytes[HEADER + n * RECORD..][..RECORD];
            record[..32].copy_from_slice(slot);
            record[0] = (slot[0] | 1) & 0x7f;
            (record[3], record[4], record[6]) = (0, slot[4] & 15, slot[6] & 15);
        }
        let begin = Timestamp::from_nanos(begin);
        let mut fleet = fleet_of(&profiles(), 1, begin);
        let mut handles = Vec::new();
        let mut told = |_, is| handles.push(is);
        let restored = fleet.restore(&mut Restoring::new(), &sealed(&bytes), begin, &mut told);
        if let Err(error) = restored {
            prop_assert_eq!(error, SnapshotError::Malformed);
            prop_assert!(slots.iter().any(|slot| slot[0] >> 1 & 7 == 7));
            return Ok(());
        }
        let mut now = begin;
        for (who, op) in events {
            match op {
                Op::Tell(_, event) => {
                    let _ = fleet.handle(handles[who % handles.len()], event, now);
                }
                Op::Pass(nanos) => {
                    now = now.saturating_add(Duration::from_nanos(nanos));
                    let mut sink = |_, _: Actions| ControlFlow::Continue(());
                    while fleet.advance(now, 1000, &mut sink) == Progress::Pending {}
                }
                _ => {}
            }
        }
        let mut all = Vec::new();
        let _ = fleet.save(&mut Saving::new(), now, &mut all);
    }
}

const V1: &[u8] = include_bytes!("../data/snapshot-v1.bin");

/// A fleet that has met much, the same each time.
fn eventful() -> (Fleet, u64) {
    let tell = |n: usize, event| Op::Tell(n, event);
    let mut ops = vec![Op::Insert(1); 40];
    ops.extend((0..36).map(|n| tell(n, Event::Start)));
    ops.extend((0..30).map(|n| tell(n, Event::FrameReceived)));
    for n in 0..400_usize {
        ops.push(Op::Pass((n * 97 % 61) as u64 * MS));
        ops.push(match n % 7 {
            0 => tell(n, Event::FrameReceived),
            1 if n < 60 => Op::Remove(n % 40),
            2 if n < 200 => Op::Reconnect(n % 31),
            3 => tell(n % 5, Event::ping(PingId::new(1, 1 + n as u32))),
            _ => Op::Pong(n % 23, n % 5 == 0),
        });
    }
    ops.extend([
        tell(1, Event::Close),
        tell(2, Event::LimitReceived { min_gap: Duration::from_secs(5) }),
        tell(3, Event::Drain),
        tell(4, Event::Suspend),
        Op::Insert(1),
        Op::Insert(1),
        tell(33, Event::Start),
        tell(34, Event::Start),
        Op::Pass(3000 * MS),
    ]);
    grown(&ops)
}

/// SN3: what the first version wrote is read for ever, to the same peers.
#[test]
fn old_snapshots_are_read() {
    let mut new = fleet_of(&profiles(), 5, at(0));
    assert_eq!(restore_all(&mut new, V1), Ok(V1.len()));
    let counts = Liveness::ALL.map(|liveness| new.count(liveness));
    assert_eq!(counts, [2, 0, 21, 8, 0, 1, 1]);
    let peer = new.iter().find(|(handle, _)| handle.slot() == 10).expect("there").1;
    assert_eq!(format!("{} {}", peer.liveness(), peer.rtt()), "alive 309.0ms ± 154.5ms");
    // And saved to the same bytes, as long as version 1 is the newest; but for what SN4 changes.
    let without = |mut record: Vec<u8>| {
        record.drain(8..12);
        record.drain(12..20);
        record
    };
    let again = records(&saved(&new, at(0))).into_iter().map(without);
    assert!(again.eq(records(V1).into_iter().map(without)));
}

/// Writes the vector of the present version: for a new one alone.
#[test]
#[ignore = "writes tests/data: `cargo test --all-features write_the_vector -- --ignored`"]
fn write_the_vector() {
    let (fleet, now) = eventful();
    std::fs::write("tests/data/snapshot-v1.bin", saved(&fleet, at(now))).expect("written");
}
