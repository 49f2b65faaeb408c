//! [`Slab`]: where the states of the peers are.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::handle::Profile;
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

/// What decides the phase of a connection's first ping (rule P2): more of it is earlier.
const fn phase(epoch: u32) -> u64 {
    jitter::share(1 << 32, epoch, jitter::FIRST)
}

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

    /// A chunk of free slots more, whose epochs come from the seed, the shard (`base`) and the slot.
    pub(crate) fn grow(&mut self, profile: Profile, seed: u64, base: u32) {
        let first = self.slots() as u32;
        let free = PeerState::idle(0, 0);
        let mut states = vec![free; CHUNK].into_boxed_slice();
        for (state, slot) in states.iter_mut().zip(first..) {
            state.epoch = jitter::epoch(seed.wrapping_add(jitter::mix((base | slot).into())));
        }
        // Where many start at once and beat alike, neighbours in time are neighbours in memory.
        states.sort_unstable_by_key(|state| Reverse(phase(state.epoch.wrapping_add(1))));
        self.adopt(profile, states, |_| true);
    }

    /// A chunk more, with peers in it but where it is free. Its free slots are taken from all over
    /// it: few peers are not neighbours.
    pub(crate) fn adopt(
        &mut self,
        profile: Profile,
        mut states: Box<[PeerState<D, Echo>]>,
        is_free: impl Fn(usize) -> bool,
    ) {
        let first = self.slots() as u32;
        let next = &mut self.free[profile.index()];
        for nth in (0..CHUNK).rev() {
            let at = nth.reverse_bits() >> (usize::BITS - CHUNK.ilog2());
            if is_free(at) {
                states[at].seq = *next;
                *next = first + at as u32;
            }
        }
        self.chunks.push(Chunk { states, profile });
    }

    /// Puts a peer into a free slot: which, and under which epoch, one more than that of its last
    /// peer.
    pub(crate) fn insert(&mut self, profile: Profile, now: u64) -> (u32, u32) {
        let slot = self.free[profile.index()];
        let state = self.get_mut(slot);
        let (next, epoch) = (state.seq, state.epoch.wrapping_add(1));
        *state = PeerState::idle(epoch, now);
        self.free[profile.index()] = next;
        (slot, epoch)
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
