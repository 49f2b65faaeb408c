//! The epochs that a fleet gives to new peers (rule FL12).

use heartbeat_proto::fleet::{Fleet, Handle};
use heartbeat_proto::{Config, Timestamp};

const SPANS: usize = 64;

/// The handles of the first so many peers of a fleet.
fn handles(peers: usize, seed: u64) -> Vec<Handle> {
    let mut fleet: Fleet = Fleet::new(Config::default(), seed, Timestamp::EPOCH).expect("valid");
    let profile = fleet.profiles().next().expect("one");
    (0..peers).map(|_| fleet.insert(profile, Timestamp::EPOCH).expect("room")).collect()
}

/// FL12: whatever their number.
#[test]
fn phases_are_even() {
    let all = handles(100_000, 7);
    let mut counts = [0_usize; SPANS];
    for (nth, handle) in all.iter().enumerate() {
        counts[handle.epoch() as usize >> 26] += 1;
        let (share, fullest) = ((nth + 1).div_ceil(SPANS), counts.iter().max());
        assert!(fullest <= Some(&(share + share / 8 + 2)), "{fullest:?} of {} peers", nth + 1);
    }
}

/// Two seeds have nothing in common: neither epochs nor the ways from one to the next.
#[test]
fn epochs_are_drawn() {
    let (one, other) = (handles(10_000, 7), handles(10_000, 8));
    let step = |two: &[Handle]| two[0].epoch().wrapping_sub(two[1].epoch());
    let steps = one.windows(2).zip(other.windows(2));
    assert_eq!(one.iter().zip(&other).filter(|(a, b)| a.epoch() == b.epoch()).count(), 0);
    assert_eq!(steps.filter(|(a, b)| step(a) == step(b)).count(), 0);
}

/// FL12: in the order of slots the phases of a thousand peers go once through a part of all phases
/// that is smaller the more peers there are.
#[test]
fn slots_that_lie_together_are_due_together() {
    let mut all = handles(100 * 1024, 9);
    all.sort_by_key(|handle| handle.slot());
    for (nth, chunk) in all.chunks(1024).enumerate().skip(1) {
        let back = |handle: &Handle| chunk[0].epoch().wrapping_sub(handle.epoch());
        assert!(chunk.is_sorted_by_key(back), "chunk {nth}");
        let span = u64::from(u32::MAX) >> nth.ilog2().saturating_sub(3);
        assert!(u64::from(back(&chunk[1023])) <= span, "chunk {nth}");
    }
}
