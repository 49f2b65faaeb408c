//! [`Slab`]: where the states of the peers are.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::handle::{Handle, Profile};
use super::wheel::CHUNK;
use crate::detector::Detector;
use crate::jitter;
use crate::ledger::Echo;
use crate::state::PeerState;

/// The states, in chunks that never move, so that growth is no pause. All peers of a chunk have the
/// same profile. Which slots are vacant is the wheel's to know; here they are a list of free ones,
/// each with the number of the next one in the place of its sequence number.
#[derive(Debug)]
pub(crate) struct Slab<D: Detector> {
    chunks: Vec<Chunk<D>>,
    /// The first free slot of each profile.
    free: Vec<u32>,
}

#[derive(Debug)]
struct Chunk<D: Detector> {
    states: Box<[PeerState<D, Echo>]>,
    profile: Profile,
}

const NONE: u32 = u32::MAX;

impl<D: Detector> Slab<D> {
    pub(crate) const fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn slots(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    pub(crate) fn add_profile(&mut self) {
        self.free.push(NONE);
    }

    pub(crate) fn has_free(&self, profile: Profile) -> bool {
        self.free[profile.index()] != NONE
    }

    /// A chunk of free slots more, whose epochs come from the seed.
    pub(crate) fn grow(&mut self, profile: Profile, seed: u64) {
        let first = self.slots() as u32;
        let free = PeerState::idle(0, 0);
        let mut states = vec![free; CHUNK].into_boxed_slice();
        for (state, slot) in states.iter_mut().zip(first..) {
            state.epoch = jitter::epoch(seed.wrapping_add(jitter::mix(slot.into())));
        }
        // Where many start at once and beat alike, neighbours in time are neighbours in memory.
        states.sort_unstable_by_key(|state| Reverse(jitter::phase(state.epoch.wrapping_add(1))));
        // But few peers are not neighbours: they are put into the chunk from all over it.
        let mut next = self.free[profile.index()];
        for nth in (0..CHUNK).rev() {
            let at = nth.reverse_bits() >> (usize::BITS - CHUNK.ilog2());
            states[at].seq = next;
            next = first + at as u32;
        }
        self.free[profile.index()] = next;
        self.chunks.push(Chunk { states, profile });
    }

    /// Puts a peer into a free slot. Its epoch is one more than that of the slot's last peer.
    pub(crate) fn insert(&mut self, profile: Profile, now: u64) -> Handle {
        let slot = self.free[profile.index()];
        let state = self.get_mut(slot);
        let (next, epoch) = (state.seq, state.epoch.wrapping_add(1));
        *state = PeerState::idle(epoch, now);
        self.free[profile.index()] = next;
        Handle::new(slot, epoch)
    }

    pub(crate) fn remove(&mut self, slot: u32) {
        let profile = self.profile(slot).index();
        let next = self.free[profile];
        self.get_mut(slot).seq = next;
        self.free[profile] = slot;
    }

    #[inline]
    pub(crate) fn profile(&self, slot: u32) -> Profile {
        self.chunks[slot as usize / CHUNK].profile
    }

    #[inline]
    pub(crate) fn get(&self, slot: u32) -> &PeerState<D, Echo> {
        &self.chunks[slot as usize / CHUNK].states[slot as usize % CHUNK]
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: u32) -> &mut PeerState<D, Echo> {
        &mut self.chunks[slot as usize / CHUNK].states[slot as usize % CHUNK]
    }

    /// The state and its profile, in one look.
    #[inline]
    pub(crate) fn peer_mut(&mut self, slot: u32) -> (&mut PeerState<D, Echo>, Profile) {
        let chunk = &mut self.chunks[slot as usize / CHUNK];
        (&mut chunk.states[slot as usize % CHUNK], chunk.profile)
    }

    /// Something of the state's first and last line: so that it comes near.
    #[inline]
    pub(crate) fn touch(&self, slot: u32) -> u64 {
        let state = self.get(slot);
        state.ev ^ u64::from(state.epoch)
    }
}
