//! [`Slab`]: where the states of the peers are.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::array;
use core::slice;

use super::fetch::prefetch;
use super::handle::Profile;
use super::wheel::{CHUNK, Mark, Marks};
use crate::detector::{Deadline, Detector};
use crate::jitter;
use crate::ledger::Echo;
use crate::state::PeerState;
use crate::state::halves::{Far, Near};

/// The peers, in chunks that never move, so that growth is no pause. All peers of a chunk have the
/// same profile. Whether a slot is vacant is told by its mark; the free ones of a profile are a list,
/// each with the number of the next one in the place of its sequence number.
#[derive(Debug)]
pub(crate) struct Slab<D: Detector> {
    chunks: Vec<Chunk<D>>,
    stocks: Vec<Stock>,
}

/// What there is of a profile.
#[derive(Clone, Copy, Debug)]
struct Stock {
    chunks: u32,
    /// The first free slot.
    free: u32,
}

#[derive(Debug)]
struct Chunk<D: Detector> {
    groups: Box<[Group<D>; GROUPS]>,
    profile: Profile,
}

/// A peer in a line, if it is small enough, and the rest of several in the lines after them.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Group<D: Detector> {
    records: [Record<D>; GROUP],
    rests: [Far; GROUP],
}

pub(super) type Record<D> = Near<D, Mark>;

const GROUP: usize = 16;
const GROUPS: usize = CHUNK / GROUP;

const _: () = assert!(size_of::<Record<Deadline>>() == 64);

/// What is asked for first of a peer.
pub(super) struct Peer<'a, D: Detector> {
    pub(super) record: &'a mut Record<D>,
    pub(super) profile: Profile,
}

const NONE: u32 = u32::MAX;

/// Where the epochs of a profile's `nth` chunk lie, and hence its peers' phases (rules FL12, P2): the
/// last of them, and over how many before it they are spread.
///
/// Where many start at once and beat alike, neighbours in time shall be neighbours in memory, and
/// nobody knows how many chunks there will be. So the first sixteen have all phases each, and with
/// each doubling the chunks have half as many, at points between those of all chunks before (the
/// sequence of van der Corput, 1935). At any number of whole chunks no 64th of all phases has an
/// eighth more than its share.
const fn phases(nth: u32) -> (u32, u64) {
    (nth.reverse_bits(), (1 << 32) >> (nth | 1).ilog2().saturating_sub(3))
}

impl<D: Detector> Slab<D> {
    pub(crate) const fn new() -> Self {
        Self { chunks: Vec::new(), stocks: Vec::new() }
    }

    pub(crate) fn slots(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    pub(crate) fn add_profile(&mut self) {
        self.stocks.push(Stock { chunks: 0, free: NONE });
    }

    pub(crate) fn has_free(&self, profile: Profile) -> bool {
        self.stocks[profile.index()].free != NONE
    }

    /// A chunk of free slots more, whose epochs come from the seed, the shard (`base`) and the slot
    /// (rule FL12).
    pub(crate) fn grow(&mut self, profile: Profile, seed: u64, base: u32) {
        let draw = |of: u64| jitter::epoch(seed.wrapping_add(jitter::mix(of)));
        let (last, span) = phases(self.stocks[profile.index()].chunks);
        let last = last.wrapping_add(draw(!u64::from(base | profile.index() as u32)));
        let each = span / CHUNK as u64;
        let first = base | self.slots() as u32;
        let states = (0..CHUNK as u32).map(|at| {
            let before = u64::from(at) * each + jitter::part(each, draw((first + at).into()));
            // One less: the first peer has the next (rule FL2).
            PeerState::idle(last.wrapping_sub(before as u32).wrapping_sub(1), 0)
        });
        self.adopt(profile, states.collect(), |_| true);
    }

    /// A chunk more, with peers in it but where it is free. Its free slots are taken from all over
    /// it: few peers are not neighbours.
    pub(crate) fn adopt(
        &mut self,
        profile: Profile,
        mut states: Vec<PeerState<D, Echo>>,
        is_free: impl Fn(usize) -> bool,
    ) {
        let first = self.slots() as u32;
        let stock = &mut self.stocks[profile.index()];
        stock.chunks += 1;
        for nth in (0..CHUNK).rev() {
            let at = nth.reverse_bits() >> (usize::BITS - CHUNK.ilog2());
            if is_free(at) {
                states[at].seq = stock.free;
                stock.free = first + at as u32;
            }
        }
        let group = |states: &[PeerState<D, Echo>]| {
            let halves: [_; GROUP] = array::from_fn(|at| Near::split(&states[at], Mark::vacant()));
            Group { records: halves.map(|(near, _)| near), rests: halves.map(|(_, far)| far) }
        };
        let groups: Box<[_]> = states.chunks_exact(GROUP).map(group).collect();
        let Ok(groups) = groups.try_into() else { unreachable!("a chunk of states") };
        self.chunks.push(Chunk { groups, profile });
    }

    /// Puts a peer into a free slot: which, and under which epoch, one more than that of its last
    /// peer.
    pub(crate) fn insert(&mut self, profile: Profile, now: u64) -> (u32, u32) {
        let slot = self.stocks[profile.index()].free;
        let Record { seq: next, epoch, .. } = *self.peer_mut(slot).record;
        let epoch = epoch.wrapping_add(1);
        self.set_state(slot, &PeerState::idle(epoch, now));
        self.stocks[profile.index()].free = next;
        (slot, epoch)
    }

    pub(crate) fn remove(&mut self, slot: u32) {
        let profile = self.profile(slot).index();
        let next = self.stocks[profile].free;
        let record = self.peer_mut(slot).record;
        record.mark.vacate();
        record.seq = next;
        self.stocks[profile].free = slot;
    }

    #[inline]
    pub(crate) fn profile(&self, slot: u32) -> Profile {
        self.chunks[slot as usize / CHUNK].profile
    }

    /// Whether nobody is in this slot, which is there.
    #[inline]
    pub(crate) fn is_vacant(&self, slot: u32) -> bool {
        self.mark(slot).is_vacant()
    }

    /// The state of a slot that is there.
    #[inline]
    pub(crate) fn state(&self, slot: u32) -> PeerState<D, Echo> {
        let (group, at) = self.group(slot);
        group.records[at].whole(&group.rests[at])
    }

    #[inline]
    pub(crate) fn set_state(&mut self, slot: u32, state: &PeerState<D, Echo>) {
        let (group, at) = place(slot);
        let group = &mut self.chunks[slot as usize / CHUNK].groups[group];
        group.records[at].set(&mut group.rests[at], state);
    }

    #[inline]
    pub(crate) fn epoch(&self, slot: u32) -> u32 {
        let (group, at) = self.group(slot);
        group.records[at].epoch
    }

    #[inline]
    fn group(&self, slot: u32) -> (&Group<D>, usize) {
        let (group, at) = place(slot);
        (&self.chunks[slot as usize / CHUNK].groups[group], at)
    }

    /// The peer of a slot that is there.
    #[inline]
    pub(super) fn peer_mut(&mut self, slot: u32) -> Peer<'_, D> {
        self.chunks[slot as usize / CHUNK].peer_mut(slot)
    }

    /// The peer of any slot; `None`: it is not there.
    #[inline]
    pub(super) fn find_mut(&mut self, slot: u32) -> Option<Peer<'_, D>> {
        self.chunks.get_mut(slot as usize / CHUNK).map(|chunk| chunk.peer_mut(slot))
    }
}

impl<D: Detector> Chunk<D> {
    #[inline]
    fn peer_mut(&mut self, slot: u32) -> Peer<'_, D> {
        let (group, at) = place(slot);
        Peer { record: &mut self.groups[group].records[at], profile: self.profile }
    }
}

impl<D: Detector> Marks for Slab<D> {
    #[inline]
    fn fetch(&self, slot: u32) {
        if let Some(chunk) = self.chunks.get(slot as usize / CHUNK) {
            let (group, at) = place(slot);
            let records = &chunk.groups[group].records;
            prefetch(records, at);
            if size_of::<Record<D>>() > 64 {
                // Its middle, and where it ends.
                prefetch(slice::from_ref(&records[at].detector), 0);
                prefetch(records, at + 1);
            }
        }
    }

    #[inline]
    fn mark(&self, slot: u32) -> Mark {
        let (group, at) = self.group(slot);
        group.records[at].mark
    }

    #[inline]
    fn mark_mut(&mut self, slot: u32) -> &mut Mark {
        &mut self.peer_mut(slot).record.mark
    }
}

/// The group of a slot in its chunk, and the place there.
#[inline]
const fn place(slot: u32) -> (usize, usize) {
    (slot as usize / GROUP % GROUPS, slot as usize % GROUP)
}
