//! Snapshots (rules SN1 to SN5, FL2): peers that the input has made up, under a check that fits or
//! does not. What is refused changes nothing; what is accepted is a fleet like any other.

use core::ops::ControlFlow;
use core::sync::atomic::Ordering;

use heartbeat_proto::detector::{Compact, Deadline, Detector, Source};
use heartbeat_proto::fleet::{Fleet, Handle, Progress, Restoring, Saving};
use heartbeat_proto::{Actions, Config, Event, Liveness, Timestamp};

use super::TRACE;
use super::input::Input;
use super::ops::configs;

const HEADER: usize = 28;
const RECORD: usize = 40;
const PEERS: usize = 9;
const PATCHES: usize = 48;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    if input.flag() {
        play(Compact::default().on(Source::Pongs), input);
    } else {
        play(Deadline::fixed(), input);
    }
}

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn play<D: Detector>(detector: D, mut input: Input<'_>) {
    let (seals, now) = (!input.flag(), input.word() >> 1);
    let (mut fleet, peers) = lived(detector, &mut input);
    let later = 20_000_000_000 + input.span();
    let mut bytes = saved(&fleet, at(later));
    let portion = Fleet::<D>::LONGEST_PORTION;
    for _ in 0..PATCHES {
        if input.is_empty() {
            break;
        }
        let (who, offset, value) = (input.byte(), usize::from(input.byte()), input.byte());
        // One in sixteen into a header, an end, or anywhere else.
        let place = if who >> 4 == 0 {
            usize::from(who & 15) * portion / 4 + offset
        } else {
            let slot = peers[usize::from(who) % peers.len()].slot() as usize;
            slot / 1024 * portion + HEADER + slot % 1024 * RECORD + offset % RECORD
        };
        if let Some(byte) = bytes.get_mut(place) {
            *byte ^= value;
        }
    }
    if seals {
        seal(&mut bytes, portion);
    }
    if TRACE.load(Ordering::Relaxed) {
        println!("{} bytes, restored at {now}", bytes.len());
    }
    let configs = configs(detector);
    fleet = empty(&configs, at(now));
    let Some(names) = restored(&mut fleet, &bytes, at(now)) else { return };
    for (old, new) in &names {
        assert!(fleet.contains(*new) && !fleet.contains(*old), "SN2: {old} {new}");
    }
    lives_on(&mut fleet, now);
    // What was accepted can be handed on.
    let (once, mut again) = (saved(&fleet, at(now)), empty(&configs, at(now)));
    let names = restored(&mut again, &once, at(now)).expect("SN3: as it was written");
    for (old, new) in names {
        let liveness = |fleet: &Fleet<D>, peer| fleet.peer(peer).expect("there").liveness();
        assert_eq!(liveness(&fleet, old), liveness(&again, new), "SN4");
    }
}

fn empty<D: Detector>(configs: &[Config<D>], now: Timestamp) -> Fleet<D> {
    let mut fleet = Fleet::new(configs[0], 7, now).expect("valid");
    for config in &configs[1..] {
        let _ = fleet.add_profile(*config).expect("room");
    }
    fleet
}

/// A fleet with peers of each profile, some of them heard.
fn lived<D: Detector>(detector: D, input: &mut Input<'_>) -> (Fleet<D>, Vec<Handle>) {
    let mut fleet = empty(&configs(detector), at(0));
    let profiles: Vec<_> = fleet.profiles().collect();
    let mut peers = Vec::new();
    for n in 0..PEERS {
        let peer = fleet.insert(profiles[n % 3], at(0)).expect("room");
        let _ = fleet.handle(peer, Event::Start, at(0)).expect("there");
        peers.push(peer);
    }
    for _ in 0..input.byte() & 15 {
        let now = at(input.span());
        let peer = peers[usize::from(input.byte()) % PEERS];
        let _ = fleet.handle(peer, Event::FrameReceived, now).expect("there");
    }
    (fleet, peers)
}

fn saved<D: Detector>(fleet: &Fleet<D>, now: Timestamp) -> Vec<u8> {
    let (mut saving, mut bytes) = (Saving::new(), Vec::new());
    while fleet.save(&mut saving, now, &mut bytes) == Progress::Pending {}
    bytes
}

/// Checks that fit, each with that of the portion before it.
fn seal(bytes: &mut [u8], portion: usize) {
    let mut before = [0; 4];
    for portion in bytes.chunks_mut(portion) {
        let end = portion.len() - 4;
        portion[16..20].copy_from_slice(&before);
        before = crc32fast::hash(&portion[..end]).to_be_bytes();
        portion[end..].copy_from_slice(&before);
    }
}

/// The old names and the new ones, if all was accepted.
fn restored<D: Detector>(
    fleet: &mut Fleet<D>,
    bytes: &[u8],
    now: Timestamp,
) -> Option<Vec<(Handle, Handle)>> {
    let (mut restoring, mut rest, mut names) = (Restoring::new(), bytes, Vec::new());
    while !restoring.is_done() {
        let (before, peers) = (restoring, names.len());
        let mut told = |old, new| names.push((old, new));
        let Ok(length) = fleet.restore(&mut restoring, rest, now, &mut told) else {
            assert_eq!((restoring, names.len(), fleet.len()), (before, peers, peers), "SN3");
            return None;
        };
        rest = &rest[length..];
    }
    assert_eq!(fleet.len(), names.len());
    Some(names)
}

/// Nobody is condemned before a probe and a window of this process (rule SN5, LC6), and a fleet that
/// asks to be called has something to do.
fn lives_on<D: Detector>(fleet: &mut Fleet<D>, restored: u64) {
    let earliest: Vec<(Handle, u64)> = (fleet.iter())
        .filter(|(_, state)| state.liveness().is_live())
        .map(|(peer, _)| {
            let profile = fleet.profile(peer).expect("there");
            let window = fleet.config(profile).expect("one of its own").response_window();
            (peer, restored.saturating_add(window.as_nanos() as u64))
        })
        .collect();
    for _ in 0..200 {
        let Some(now) = fleet.next_deadline() else { break };
        let mut sink = |peer: Handle, actions: Actions| {
            let lost = actions.transition().is_some_and(|change| change.to == Liveness::Lost);
            let earliest = earliest.iter().find(|(one, _)| *one == peer).map_or(0, |(_, at)| *at);
            assert!(!lost || now.as_nanos() >= earliest, "SN5: {peer} at {now:?}");
            ControlFlow::Continue(())
        };
        while fleet.advance(now, 100, &mut sink) == Progress::Pending {}
    }
}
