//! [`Fleet`]: millions of peers under the rules of one, on one core.
//!
//! A [`HeartbeatMachine`](crate::HeartbeatMachine) is for one connection. A gateway has a million,
//! and what it pays for each of them, with a timer or a task a connection, is mostly cache misses. A
//! fleet holds the states of all its peers in a slab, a few configurations that they share, and one
//! schedule for all; a pong writes one record and touches no timer.
//!
//! ```
//! use core::ops::ControlFlow;
//! use core::time::Duration;
//! use heartbeat_proto::fleet::{Fleet, Progress};
//! use heartbeat_proto::{Action, Actions, Config, Event, Liveness, Timestamp};
//!
//! let mut now = Timestamp::EPOCH;
//! let seed = 7; // Another one for each process: it spreads their peers in time.
//! let mut fleet = Fleet::new(Config::messaging_30_90(), seed, now)?;
//! let profile = fleet.profiles().next().expect("the one above");
//! for _ in 0..1000 {
//!     let peer = fleet.insert(profile, now)?;
//!     let _ = fleet.handle(peer, Event::Start, now)?;
//! }
//!
//! // Each time that the fleet wants to be called:
//! let mut pings = Vec::new();
//! for _ in 0..5000 {
//!     now = fleet.next_deadline().expect("there are peers");
//!     let mut sink = |handle, actions: Actions| {
//!         for action in actions {
//!             if let Action::SendPing { id, stamp } = action {
//!                 pings.push((handle, id, stamp)); // Or send it.
//!             }
//!         }
//!         ControlFlow::Continue(())
//!     };
//!     while fleet.advance(now, 10_000, &mut sink) == Progress::Pending {}
//!     // A pong brings back slot and epoch, and so finds its peer.
//!     for (handle, id, stamp) in pings.drain(..) {
//!         let (stamp, hold, calm) = (Some(stamp), Duration::ZERO, false);
//!         let _ = fleet.handle(handle, Event::PongReceived { id, stamp, hold, calm }, now)?;
//!     }
//! }
//! assert_eq!(fleet.count(Liveness::Alive), 1000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The same rules
//!
//! The state of each peer is at all times what it would be in a machine of its own (with the
//! [`Echo`] ledger) that was told the same events at the same times, bit for bit (rule FL1). Only
//! the ticks come from the fleet: at the first [`advance`](Fleet::advance) after the end of the step
//! in which the peer's deadline lies (rule FL3). So no verdict is early, and none is later than a
//! step and the caller's own lateness.
//!
//! # When all fall silent
//!
//! [`Fleet::set_guard`] makes a fleet doubt the path or this host first, when a large share of a group
//! of peers, or of all, falls silent together: their verdicts are held, a sample is probed, and the
//! group is released or condemned, within a bound (rules GD1 to GD7).
//!
//! # What it costs
//!
//! 80 bytes a peer with [`Deadline`], 104 with
//! [`Compact`](crate::detector::Compact), all in. Inserting and removing take constant time; room is
//! made for 1024 peers at a time, when they are inserted; [`handle`](Fleet::handle) and
//! [`advance`](Fleet::advance) never allocate (rule FL7). Figures: `docs/PERFORMANCE.md`.
//!
//! With the feature `snapshot` a fleet is handed over to the next process: `Fleet::save`,
//! `Fleet::restore`.
//!
//! For many cores, and more than 16.7 million peers: [`ShardedFleet`], a fleet for each core.

#[cfg(feature = "gateway")]
mod addressed;
mod blocks;
mod census;
mod fetch;
mod guard;
mod guarded;
mod handle;
#[cfg(feature = "snapshot")]
mod portion;
mod sharded;
mod sink;
mod slab;
#[cfg(feature = "snapshot")]
pub mod snapshot;
mod step;
mod wheel;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::ControlFlow;
use core::time::Duration;

pub use census::Census;
pub use guard::{Doubt, GuardConfig, GuardError, GuardReport, GuardState};
pub use handle::{FleetError, Handle, Profile, StaleHandle};
#[cfg(feature = "snapshot")]
pub use portion::SnapshotError;
pub use sharded::ShardedFleet;
pub use sink::Sink;
#[cfg(feature = "snapshot")]
pub use snapshot::{Restoring, Saving};

use self::guard::{Counted, Guard};
use self::slab::Slab;
use self::wheel::{Batch, MOST_SLOTS, Marks as _, Wheel};
use crate::action::Actions;
use crate::config::Config;
use crate::detector::{Deadline, Detector};
use crate::event::Event;
use crate::ledger::Echo;
use crate::liveness::Liveness;
use crate::machine::END_OF_TIME;
use crate::state::PeerState;
use crate::time::{Timestamp, nanos};

/// How far [`Fleet::advance`] came.
#[must_use = "Pending: there is more to do now"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum Progress {
    /// All that was due is done: call again at [`Fleet::next_deadline`].
    Done,
    /// The budget is used up, or the sink wanted no more. There may be more due now.
    Pending,
}

/// One event of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain input")]
pub struct Input {
    /// Whose it is.
    pub handle: Handle,
    /// What happened.
    pub event: Event,
}

/// Many peers, each kept alive and found out as by a
/// [`HeartbeatMachine`](crate::HeartbeatMachine) of its own. See the [module](self).
#[derive(Debug)]
#[repr(align(128))] // Two shards side by side write to no common line, nor to a pair of them.
pub struct Fleet<D: Detector = Deadline> {
    profiles: Vec<Config<D>>,
    slab: Slab<D>,
    wheel: Wheel,
    /// Found due, and not yet handled.
    batch: Batch,
    /// The largest `now` so far.
    now: u64,
    seed: u64,
    /// The slot that every handle has, but for the place.
    base: u32,
    census: Census,
    guard: Option<Box<Guard>>,
    /// What the guard told a peer in the last call.
    held: Option<(Handle, Event)>,
}

impl<D: Detector> Fleet<D> {
    /// The usual step: 10 ms, shortened to the next power of two of nanoseconds, 8.39 ms.
    pub const STEP: Duration = Duration::from_millis(10);

    /// So many records are asked for at once.
    const BATCH: usize = 32;

    /// An empty fleet, whose peers share `config`, punctual to [`Fleet::STEP`].
    ///
    /// `seed` decides the epochs of the peers, hence the phase of their pings and the jitter.
    ///
    /// # Errors
    ///
    /// [`FleetError::SlackBelowStep`].
    pub fn new(config: Config<D>, seed: u64, now: Timestamp) -> Result<Self, FleetError> {
        Self::with_step(config, seed, now, Self::STEP)
    }

    /// Like [`new`](Self::new), with another step: wake-ups within one step are one. It is
    /// shortened to a power of two of nanoseconds. The schedule reaches 4096 steps ahead; what is
    /// due later is looked at once for each time that they pass.
    ///
    /// # Errors
    ///
    /// [`FleetError::SlackBelowStep`]; [`FleetError::Step`] if it is zero or above 60 s.
    pub fn with_step(
        config: Config<D>,
        seed: u64,
        now: Timestamp,
        step: Duration,
    ) -> Result<Self, FleetError> {
        if step.is_zero() || step > Duration::from_secs(60) {
            return Err(FleetError::Step(step));
        }
        let mut fleet = Self {
            profiles: Vec::new(),
            slab: Slab::new(),
            wheel: Wheel::new(nanos(step), now.as_nanos()),
            batch: Batch::new(),
            now: now.as_nanos(),
            seed,
            base: 0,
            census: Census::default(),
            guard: None,
            held: None,
        };
        fleet.add_profile(config)?;
        Ok(fleet)
    }

    /// A further configuration for peers to share.
    ///
    /// # Errors
    ///
    /// [`FleetError::SlackBelowStep`]; [`FleetError::TooManyProfiles`].
    pub fn add_profile(&mut self, config: Config<D>) -> Result<Profile, FleetError> {
        let step = self.step();
        if config.slack() < step {
            return Err(FleetError::SlackBelowStep { slack: config.slack(), step });
        }
        let index = u16::try_from(self.profiles.len()).map_err(|_| FleetError::TooManyProfiles)?;
        self.profiles.push(config);
        self.slab.add_profile();
        Ok(Profile::new(index))
    }

    /// All profiles, in the order in which they were added.
    pub fn profiles(&self) -> impl ExactSizeIterator<Item = Profile> + use<D> {
        (0..self.profiles.len()).map(|index| Profile::new(index as u16))
    }

    /// The rules of a profile; `None` if it is not of this fleet.
    pub fn config(&self, profile: Profile) -> Option<&Config<D>> {
        self.profiles.get(profile.index())
    }

    /// How late a punctual caller may find a peer due, at most.
    pub const fn step(&self) -> Duration {
        Duration::from_nanos(self.wheel.step())
    }

    /// A peer whose connection is being set up since `now`: tell it [`Event::Start`] when it is
    /// usable. Constant time.
    ///
    /// # Errors
    ///
    /// [`FleetError::UnknownProfile`]; [`FleetError::Full`].
    pub fn insert(&mut self, profile: Profile, now: Timestamp) -> Result<Handle, FleetError> {
        if profile.index() >= self.profiles.len() {
            return Err(FleetError::UnknownProfile(profile));
        }
        if !self.slab.has_free(profile) {
            if self.slab.slots() == MOST_SLOTS {
                return Err(FleetError::Full);
            }
            self.slab.grow(profile, self.seed, self.base);
            self.wheel.reserve(self.slab.slots());
            if let Some(guard) = &mut self.guard {
                guard.grow();
            }
        }
        let now = self.clamp(now);
        let (slot, epoch) = self.slab.insert(profile, now.min(END_OF_TIME));
        if let Some(guard) = &mut self.guard {
            guard.set_group(slot, 0, Counted::default(), now);
        }
        self.census.enter(Liveness::Idle);
        self.reschedule(slot);
        Ok(self.name(slot, epoch))
    }

    /// The peer is no longer watched; nothing is said to it. Returns what was known of it. Constant
    /// time.
    ///
    /// # Errors
    ///
    /// The handle names no peer.
    pub fn remove(&mut self, handle: Handle) -> Result<PeerState<D, Echo>, StaleHandle> {
        let state = self.peer(handle)?;
        self.recount(handle.place(), &state, None);
        self.census.leave(state.liveness());
        self.slab.remove(handle.place());
        Ok(state)
    }

    /// Goes on with the next connection to the same peer, usable since `now`, in the same slot and
    /// under a new handle (rule LC8).
    ///
    /// # Errors
    ///
    /// The handle names no peer.
    pub fn reconnected(&mut self, handle: Handle, now: Timestamp) -> Result<Handle, StaleHandle> {
        let state = self.peer(handle)?;
        let now = Timestamp::from_nanos(self.clamp(now));
        let slot = handle.place();
        let profile = self.slab.profile(slot);
        let next = state.next_connection(&self.profiles[profile.index()], now);
        self.recount(slot, &state, Some(&next));
        self.census.leave(state.liveness());
        self.census.enter(next.liveness());
        self.slab.set_state(slot, &next);
        self.reschedule(slot);
        Ok(self.name(slot, next.epoch()))
    }

    /// Tells a peer what happened and when, and returns everything to do about it, including all
    /// that time alone has made due for this peer.
    ///
    /// A `now` below an earlier one is taken as that one, and counted (rule FL6).
    ///
    /// Never panics, never allocates, and takes constant time.
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
        let now = self.clamp(now);
        self.held = None;
        self.tell(handle, &event, now).actions().ok_or(StaleHandle(handle))
    }

    /// Tells many peers, in this order; all at `now`. Faster than one by one: the memory of several
    /// is fetched at the same time. Returns how many events were taken: all, or as many as the sink
    /// wanted.
    pub fn handle_batch<S: Sink>(
        &mut self,
        inputs: &[Input],
        now: Timestamp,
        sink: &mut S,
    ) -> usize {
        let now = self.clamp(now);
        self.held = None;
        let mut taken = 0;
        let mut batches = inputs.chunks(Self::BATCH);
        let mut next = batches.next().unwrap_or_default();
        self.fetch(next);
        while !next.is_empty() {
            let batch = next;
            next = batches.next().unwrap_or_default();
            self.fetch(next);
            if let ControlFlow::Break(told) = self.tell_all(batch, now, sink) {
                return taken + told;
            }
            taken += batch.len();
        }
        taken
    }

    /// Asks for the records that are meant, without waiting for them.
    #[inline]
    fn fetch(&self, inputs: &[Input]) {
        for input in inputs {
            self.slab.fetch(self.slot_of(input.handle));
        }
    }

    /// Does what time has made due by `now`, for at most `budget` peers (rule FL4). Call it at
    /// [`next_deadline`](Self::next_deadline), and again while it is [`Progress::Pending`]; between
    /// such calls anything else may be called.
    ///
    /// Never panics and never allocates.
    pub fn advance<S: Sink>(&mut self, now: Timestamp, budget: usize, sink: &mut S) -> Progress {
        let mut left = budget;
        self.advance_within(now, &mut left, sink)
    }

    /// Takes what it handled off the budget.
    #[inline]
    fn advance_within<S: Sink>(
        &mut self,
        now: Timestamp,
        left: &mut usize,
        sink: &mut S,
    ) -> Progress {
        let now = self.clamp(now);
        self.held = None;
        self.tell_of_guard(sink);
        let mut look = left.saturating_mul(LOOKS);
        loop {
            let due = self.batch.len();
            let flow = self.tick_all(now, due.min(*left), sink);
            *left -= due - self.batch.len();
            if flow.is_break() || !self.batch.is_empty() {
                return Progress::Pending;
            }
            let more = self.wheel.take(now, &mut self.batch, &mut look, &mut self.slab);
            if self.batch.is_empty() {
                return if more { Progress::Pending } else { Progress::Done };
            }
        }
    }

    /// When to call [`advance`](Self::advance) at the latest: the end of the step in which the
    /// first peer may be due. It may turn out that none is (rule FL5). `None`: nothing will ever be
    /// due.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.batch.is_empty() {
            self.wheel.next().map(Timestamp::from_nanos)
        } else {
            Some(Timestamp::from_nanos(self.now))
        }
    }

    /// How many peers there are.
    pub fn len(&self) -> usize {
        self.census.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many peers are believed to be so. Constant time.
    pub const fn count(&self, liveness: Liveness) -> usize {
        self.census.count(liveness)
    }

    /// What was counted and measured of all peers together.
    pub const fn census(&self) -> &Census {
        &self.census
    }

    /// Whether the handle names a peer.
    pub fn contains(&self, handle: Handle) -> bool {
        self.find(handle).is_ok()
    }

    /// What the rules remember of a peer.
    ///
    /// # Errors
    ///
    /// The handle names no peer.
    #[inline]
    pub fn peer(&self, handle: Handle) -> Result<PeerState<D, Echo>, StaleHandle> {
        self.find(handle).map(|slot| self.slab.state(slot))
    }

    /// The slot of a peer.
    #[inline]
    fn find(&self, handle: Handle) -> Result<u32, StaleHandle> {
        let slot = self.slot_of(handle);
        let is_there = (slot as usize) < self.slab.slots()
            && self.slab.epoch(slot) == handle.epoch()
            && !self.slab.is_vacant(slot);
        if is_there { Ok(slot) } else { Err(StaleHandle(handle)) }
    }

    /// The profile of a peer.
    ///
    /// # Errors
    ///
    /// The handle names no peer.
    pub fn profile(&self, handle: Handle) -> Result<Profile, StaleHandle> {
        self.find(handle).map(|slot| self.slab.profile(slot))
    }

    /// All peers, in the order of their slots. To see those of one liveness, filter them.
    pub fn iter(&self) -> impl Iterator<Item = (Handle, PeerState<D, Echo>)> {
        let slots = (0..self.slab.slots() as u32).filter(|&slot| !self.slab.is_vacant(slot));
        slots.map(|slot| {
            let state = self.slab.state(slot);
            (self.name(slot, state.epoch()), state)
        })
    }
}

/// Entries of the schedule that may be looked at for each peer of the budget: cheap, but not free.
const LOOKS: usize = 8;
