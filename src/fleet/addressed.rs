//! What a gateway needs of its fleet besides.

use super::Fleet;
use super::handle::{Handle, Profile};
use super::wheel::{CHUNK, MOST_SLOTS};
use crate::detector::Detector;
use crate::time::Timestamp;

impl<D: Detector> Fleet<D> {
    /// Who is in this place.
    #[inline]
    pub(crate) fn at(&self, slot: u32) -> Option<Handle> {
        let taken = (slot as usize) < self.slab.slots() && !self.slab.is_vacant(slot);
        taken.then(|| self.name(slot, self.slab.epoch(slot)))
    }

    /// Rule FL6, once for all that comes of one input.
    #[inline]
    pub(crate) fn clamped(&mut self, now: Timestamp) -> Timestamp {
        Timestamp::from_nanos(self.clamp(now))
    }

    /// Whether the peer may come back from a loss.
    pub(crate) fn reopens(&self, handle: Handle) -> bool {
        let rules = |profile: Profile| self.config(profile);
        let config = self.profile(handle).ok().and_then(rules);
        config.is_some_and(|config| self.peer(handle).is_ok_and(|peer| peer.may_reopen(config)))
    }

    /// How many slots there are once there are so many peers of one profile.
    pub(crate) fn slots_for(peers: usize) -> usize {
        peers.next_multiple_of(CHUNK).min(MOST_SLOTS)
    }
}
