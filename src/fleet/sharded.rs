//! [`ShardedFleet`]: fleets side by side, one for each core.

use alloc::vec::Vec;
use core::time::Duration;

use super::census::Census;
use super::handle::{FleetError, Handle, Profile, StaleHandle};
use super::sink::Sink;
use super::wheel::MOST_SLOTS;
use super::{Fleet, Progress};
use crate::action::Actions;
use crate::config::Config;
use crate::detector::{Deadline, Detector};
use crate::event::Event;
use crate::ledger::Echo;
use crate::liveness::Liveness;
use crate::state::PeerState;
use crate::time::Timestamp;

/// Up to 256 fleets with the same rules, their *shards*. A handle says which one it is of, so a pong
/// finds its peer without a look-up here, too (rule FL8).
///
/// There are no locks, and no threads but the caller's. The shards share nothing, so each may be on
/// a thread of its own: for a while with [`shards_mut`](Self::shards_mut) and scoped threads, or for
/// good with [`into_shards`](Self::into_shards). Whoever has one thread, but more peers than a fleet
/// holds, calls the methods here, which are those of a [`Fleet`].
///
/// Each shard is in all respects a fleet (rule FL9): its own clock is clamped, and a guard
/// ([`Fleet::set_guard`], for each shard) knows the peers of its shard alone, so `least` and
/// `verdicts_per_second` are for each. Snapshots are, too: save and restore shard by shard.
///
/// ```
/// use core::ops::ControlFlow;
/// use heartbeat_proto::fleet::{Handle, Progress, ShardedFleet};
/// use heartbeat_proto::{Actions, Config, Event, Liveness, Timestamp};
///
/// let now = Timestamp::EPOCH;
/// let mut fleet = ShardedFleet::new(Config::messaging_30_90(), 4, 7, now)?;
/// let profile = fleet.profiles().next().expect("the one above");
/// for _ in 0..1000 {
///     let peer = fleet.insert(profile, now)?;
///     let _ = fleet.handle(peer, Event::Start, now)?;
/// }
///
/// // A thread for each shard, with its own socket:
/// std::thread::scope(|threads| {
///     for shard in fleet.shards_mut() {
///         threads.spawn(move || {
///             let mut send = |_handle: Handle, _actions: Actions| ControlFlow::Continue(());
///             let now = shard.next_deadline().expect("there are peers");
///             while shard.advance(now, 10_000, &mut send) == Progress::Pending {}
///         });
///     }
/// });
/// assert_eq!(fleet.shards().len(), 4);
/// assert_eq!(fleet.count(Liveness::Starting), 1000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ShardedFleet<D: Detector = Deadline> {
    shards: Vec<Fleet<D>>,
    /// The shard that is advanced first in the next call.
    turn: usize,
}

impl<D: Detector> ShardedFleet<D> {
    /// No fleet has more shards: their number is one byte of a handle.
    pub const MOST_SHARDS: usize = 256;

    /// Empty fleets, numbered from 0, whose peers share `config`, punctual to [`Fleet::STEP`].
    ///
    /// `seed` decides the epochs of the peers, in each shard others.
    ///
    /// # Errors
    ///
    /// [`FleetError::SlackBelowStep`]; [`FleetError::Shards`] if it is none, or above
    /// [`MOST_SHARDS`](Self::MOST_SHARDS).
    pub fn new(
        config: Config<D>,
        shards: usize,
        seed: u64,
        now: Timestamp,
    ) -> Result<Self, FleetError> {
        Self::with_step(config, shards, seed, now, Fleet::<D>::STEP)
    }

    /// Like [`new`](Self::new), with another step: see [`Fleet::with_step`].
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); [`FleetError::Step`] if the step is zero or above 60 s.
    pub fn with_step(
        config: Config<D>,
        shards: usize,
        seed: u64,
        now: Timestamp,
        step: Duration,
    ) -> Result<Self, FleetError> {
        if shards == 0 || shards > Self::MOST_SHARDS {
            return Err(FleetError::Shards(shards));
        }
        let shard = |number| {
            let mut fleet = Fleet::with_step(config, seed, now, step)?;
            fleet.set_shard(number as u8)?;
            Ok(fleet)
        };
        Ok(Self { shards: (0..shards).map(shard).collect::<Result<_, _>>()?, turn: 0 })
    }

    /// A further configuration for peers to share, in every shard.
    ///
    /// # Errors
    ///
    /// As [`Fleet::add_profile`]; then no shard has it.
    pub fn add_profile(&mut self, config: Config<D>) -> Result<Profile, FleetError> {
        // What the first takes all take: they are alike.
        let mut added = self.shards.iter_mut().map(|shard| shard.add_profile(config));
        let first = added.next().unwrap_or(Err(FleetError::Shards(0)))?;
        added.try_for_each(|profile| profile.map(|_| ()))?;
        Ok(first)
    }

    /// All profiles, in the order in which they were added.
    pub fn profiles(&self) -> impl ExactSizeIterator<Item = Profile> + use<D> {
        self.shards[0].profiles()
    }

    /// The rules of a profile; `None` if it is not of this fleet.
    pub fn config(&self, profile: Profile) -> Option<&Config<D>> {
        self.shards[0].config(profile)
    }

    /// Like [`Fleet::insert`], into the shard with the fewest peers (rule FL10). Takes a look at
    /// each shard.
    ///
    /// # Errors
    ///
    /// [`FleetError::UnknownProfile`]; [`FleetError::Full`] if that shard is.
    pub fn insert(&mut self, profile: Profile, now: Timestamp) -> Result<Handle, FleetError> {
        let fewest = self.shards.iter_mut().min_by_key(|shard| shard.len());
        fewest.ok_or(FleetError::Full)?.insert(profile, now)
    }

    /// Like [`insert`](Self::insert), into this shard: the one whose thread has the connection.
    ///
    /// # Errors
    ///
    /// As [`Fleet::insert`]; [`FleetError::UnknownShard`].
    pub fn insert_into(
        &mut self,
        shard: u8,
        profile: Profile,
        now: Timestamp,
    ) -> Result<Handle, FleetError> {
        let fleet = self.shards.get_mut(usize::from(shard));
        fleet.ok_or(FleetError::UnknownShard(shard))?.insert(profile, now)
    }

    /// [`Fleet::remove`].
    ///
    /// # Errors
    ///
    /// The handle names no peer.
    pub fn remove(&mut self, handle: Handle) -> Result<PeerState<D, Echo>, StaleHandle> {
        self.shard_mut(handle)?.remove(handle)
    }

    /// [`Fleet::reconnected`]: the peer stays in its shard.
    ///
    /// # Errors
    ///
    /// The handle names no peer.
    pub fn reconnected(&mut self, handle: Handle, now: Timestamp) -> Result<Handle, StaleHandle> {
        self.shard_mut(handle)?.reconnected(handle, now)
    }

    /// [`Fleet::handle`]. (Batches are told faster: sort them by shard, and give each to its
    /// [`Fleet::handle_batch`].)
    ///
    /// # Errors
    ///
    /// The handle names no peer.
    #[inline]
    pub fn handle(
        &mut self,
        handle: Handle,
        event: Event,
        now: Timestamp,
    ) -> Result<Actions, StaleHandle> {
        self.shard_mut(handle)?.handle(handle, event, now)
    }

    /// [`Fleet::advance`] for all shards, with at most `budget` peers in all. After a call that is
    /// [`Progress::Pending`] the next one begins with another shard (rule FL11).
    pub fn advance<S: Sink>(&mut self, now: Timestamp, budget: usize, sink: &mut S) -> Progress {
        let (mut left, first) = (budget, self.turn);
        let (before, after) = self.shards.split_at_mut(first);
        for (shard, number) in after.iter_mut().chain(before).zip(first..) {
            let had = left;
            if shard.advance_within(now, &mut left, sink) == Progress::Pending {
                let began = usize::from(had > 0); // Or there was nothing left for it.
                self.turn = (number + began) % self.shards.len();
                return Progress::Pending;
            }
        }
        Progress::Done
    }

    /// The first of all shards' [`Fleet::next_deadline`].
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.shards.iter().filter_map(Fleet::next_deadline).min()
    }

    /// How many peers there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(Fleet::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many peers are believed to be so.
    pub fn count(&self, liveness: Liveness) -> usize {
        self.shards.iter().map(|shard| shard.count(liveness)).sum()
    }

    /// What was counted and measured of all peers together: the sum of all shards.
    pub fn census(&self) -> Census {
        let mut sum = Census::default();
        self.shards.iter().for_each(|shard| sum += shard.census());
        sum
    }

    /// [`Fleet::peer`].
    ///
    /// # Errors
    ///
    /// The handle names no peer.
    #[inline]
    pub fn peer(&self, handle: Handle) -> Result<PeerState<D, Echo>, StaleHandle> {
        let shard = self.shards.get(usize::from(handle.shard()));
        shard.ok_or(StaleHandle(handle))?.peer(handle)
    }

    /// The shards, in the order of their numbers.
    pub fn shards(&self) -> &[Fleet<D>] {
        &self.shards
    }

    /// The shards, for a thread each. Leave each in its place, with its number: in another one its
    /// peers are not found. And leave the profiles to [`add_profile`](Self::add_profile): the same one
    /// must be the same in all.
    pub fn shards_mut(&mut self) -> &mut [Fleet<D>] {
        &mut self.shards
    }

    /// The shards, for threads that own theirs. Sums of their censuses: `+=`.
    pub fn into_shards(self) -> Vec<Fleet<D>> {
        self.shards
    }

    #[inline]
    fn shard_mut(&mut self, handle: Handle) -> Result<&mut Fleet<D>, StaleHandle> {
        self.shards.get_mut(usize::from(handle.shard())).ok_or(StaleHandle(handle))
    }
}

impl<D: Detector> Fleet<D> {
    /// Makes this fleet the shard of that number, 0 if it is never said: it is in all its handles,
    /// and handles of other shards are refused (rule FL8). Of fleets with the same seed, those with
    /// different numbers give different epochs.
    ///
    /// # Errors
    ///
    /// [`FleetError::NotEmpty`] if there was a peer before.
    pub fn set_shard(&mut self, shard: u8) -> Result<(), FleetError> {
        if self.slab.slots() > 0 {
            return Err(FleetError::NotEmpty);
        }
        self.base = u32::from(shard) * MOST_SLOTS as u32;
        Ok(())
    }

    /// The number of the shard: [`Handle::shard`] of all its peers.
    pub const fn shard(&self) -> u8 {
        Handle::new(self.base, 0).shard()
    }

    /// The slot that is meant. Of a handle of another shard it is beyond all that there are.
    #[inline]
    pub(super) const fn slot_of(&self, handle: Handle) -> u32 {
        handle.slot() ^ self.base
    }

    #[inline]
    pub(super) const fn name(&self, slot: u32, epoch: u32) -> Handle {
        Handle::new(self.base | slot, epoch)
    }
}
