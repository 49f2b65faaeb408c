//! Saving and restoring a [`Fleet`] (rules SN1 to SN7): what the process knew of its peers, for the
//! process that comes after it, or the observer that takes over.
//!
//! A snapshot is a row of *portions*, each of 1024 slots and at most 41 KB, so that a save stops
//! the fleet for no longer than one of them takes, and goes to wherever bytes go as it is made. The
//! bytes are versioned, checked and chained; they hold spans, not stamps, so any clock will do.
//!
//! ```
//! use core::ops::ControlFlow;
//! use heartbeat_proto::fleet::{Fleet, Progress, Restoring, Saving};
//! use heartbeat_proto::{Config, Event, Liveness, Timestamp};
//!
//! // The old process.
//! let now = Timestamp::from_nanos(3_600_000_000_000);
//! let mut old = Fleet::new(Config::messaging_30_90(), 7, now)?;
//! let profile = old.profiles().next().expect("the one above");
//! let handle = old.insert(profile, now)?;
//! let _ = old.handle(handle, Event::Start, now)?;
//! let _ = old.handle(handle, Event::FrameReceived, now)?;
//!
//! let (mut saving, mut bytes) = (Saving::new(), Vec::new());
//! while old.save(&mut saving, now, &mut bytes) == Progress::Pending {
//!     // Between portions the old fleet may go on; write `bytes` out, and clear them.
//! }
//!
//! // The new one: another clock, another seed.
//! let now = Timestamp::from_nanos(86_400_000_000_000);
//! let mut new = Fleet::new(Config::messaging_30_90(), 8, now)?;
//! let (mut restoring, mut rest) = (Restoring::new(), &bytes[..]);
//! while !restoring.is_done() {
//!     let taken = new.restore(&mut restoring, rest, now, &mut |was, is| {
//!         assert_eq!((was, is.slot()), (handle, handle.slot())); // Side tables keep their index.
//!         assert_ne!(was, is); // What is still under way to the old process names nobody.
//!     })?;
//!     rest = &rest[taken..];
//! }
//! assert_eq!(new.count(Liveness::Alive), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Nobody dies of it
//!
//! A restore is a resume for all: the time between saving and restoring is nobody's silence, and
//! each peer gets a fresh probe and its whole response window before any verdict. Where no pings
//! are sent, silence begins anew.
//!
//! It is not a resume for all at once. Each peer is *released* at a moment of its own, drawn over
//! one interval (rule SN5), or when something is heard of it, if that is sooner: so the pings after
//! a restore are as many a second as they always were, and the verdicts on those who died meanwhile
//! are as spread (rule SN7), and come at most one interval later than a resume of them alone would
//! bring them (rule SN6). Call [`Fleet::advance`] as ever.
//!
//! Each keeps the liveness that it had: that the observer began anew is no news of its peers.
//!
//! # What to see to
//!
//! * Give the new fleet another seed, and its profiles in the same order, before the restore. They
//!   may have other numbers or another detector: those hold from the restore on.
//! * No stamp can lie before the beginning of the clock: an age above `now` counts as `now`, and the
//!   dead have so much more time. Where the clock begins with the process, as a `StdClock` does, add
//!   some hours to all that it says.
//! * Who was suspended is released like all others: tell it [`Event::Suspend`](crate::Event::Suspend)
//!   again before the next [`Fleet::advance`]. A guard is no part of a snapshot: set it, and the
//!   groups of those restored, anew.
//! * Of a [`ShardedFleet`](super::ShardedFleet) each shard has a snapshot of its own, which says its
//!   number and is refused by a fleet with another one. So slots stay as they are, here too.
//! * Insert peers when [`Restoring::is_done`]; all else may be done before that.
//! * A portion that is refused leaves the fleet as it was. Whether what was restored before it is
//!   of use without the rest is yours to say.
//! * The check finds damage, not malice: keep snapshots where nobody else writes. Bytes made up
//!   with a valid check cannot do more than make up peers.

use alloc::vec::Vec;

use super::guard::Counted;
use super::portion::{self, Header, Portion, Record, SnapshotError};
use super::wheel::{CHUNK, MOST_SLOTS};
use super::{Fleet, Handle, Profile, Progress};
use crate::deadlines::Deadlines;
use crate::detector::Detector;
use crate::jitter;
use crate::state::kept::Kept;
use crate::state::{PeerState, Waiting};
use crate::time::Timestamp;

/// How far a save has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saving {
    next: u32,
    before: u32,
    ended: bool,
}

impl Saving {
    /// Nothing is saved yet.
    pub const fn new() -> Self {
        Self { next: 0, before: 0, ended: false }
    }
}

/// How far a restore has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restoring {
    next: u32,
    before: u32,
    ended: bool,
}

impl Restoring {
    /// Nothing is restored yet.
    pub const fn new() -> Self {
        Self { next: 0, before: 0, ended: false }
    }

    /// Whether the end was read: then all peers of the snapshot are there.
    pub const fn is_done(&self) -> bool {
        self.ended
    }
}

impl<D: Detector> Fleet<D> {
    /// No portion of a snapshot has more bytes.
    pub const LONGEST_PORTION: usize = portion::LONGEST;

    /// Appends the next portion of a snapshot to `out`, as things are at `now`; `Done`: it was the
    /// last (after that, nothing is appended).
    ///
    /// Between two portions the fleet may go on (rule SN2): a peer that is inserted may then be
    /// missing, one that is removed may be restored needlessly, and each is restored as it was when
    /// its portion was saved.
    ///
    /// A `now` below an earlier one is taken as that one. Allocates nothing if `out` has room for
    /// [`LONGEST_PORTION`](Self::LONGEST_PORTION).
    pub fn save(&self, saving: &mut Saving, now: Timestamp, out: &mut Vec<u8>) -> Progress {
        if saving.ended {
            return Progress::Done;
        }
        let now = now.as_nanos().max(self.now);
        let first = saving.next as usize * CHUNK;
        let is_end = first >= self.slab.slots();
        let (profile, form) =
            if is_end { (0, 0) } else { (self.slab.profile(first as u32).index(), D::LASTING) };
        let (number, before) = (saving.next, saving.before);
        let shard = self.shard();
        let header = Header { is_end, shard, number, before, profile: profile as u16, form };
        let slots = if is_end { 0..0 } else { first as u32..(first + CHUNK) as u32 };
        let config = &self.profiles[profile];
        let records = slots.map(|slot| {
            let state = self.slab.state(slot);
            let kept = (!self.slab.is_vacant(slot)).then(|| state.keep(config, now));
            Record { epoch: state.epoch(), kept }
        });
        saving.before = portion::write(&header, records, out);
        saving.next += 1;
        saving.ended = is_end;
        if is_end { Progress::Done } else { Progress::Pending }
    }

    /// Restores the portion at the front of `bytes` into this fleet, which had no peers before the
    /// first one, and returns how many bytes it was. `told` hears of each peer: its handle in the
    /// old fleet, and the one that it has now, in the same slot.
    ///
    /// A `now` below an earlier one is taken as that one, and counted.
    ///
    /// # Errors
    ///
    /// Each [`SnapshotError`]; then nothing of the portion was restored, and the same call may be
    /// tried again with other bytes. Nothing is reserved for a portion but what its peers take.
    pub fn restore(
        &mut self,
        restoring: &mut Restoring,
        bytes: &[u8],
        now: Timestamp,
        told: &mut impl FnMut(Handle, Handle),
    ) -> Result<usize, SnapshotError> {
        if restoring.ended {
            return Err(SnapshotError::Ended);
        }
        if self.slab.slots() != restoring.next as usize * CHUNK {
            return Err(SnapshotError::NotEmpty);
        }
        let portion = Portion::read(bytes)?;
        let (header, expected) = (portion.header, restoring.next);
        if header.shard != self.shard() {
            let (expected, found) = (self.shard(), header.shard);
            return Err(SnapshotError::OtherShard { expected, found });
        }
        if header.number != expected {
            return Err(SnapshotError::OutOfOrder { expected, found: header.number });
        }
        if header.before != restoring.before {
            return Err(SnapshotError::OtherSnapshot);
        }
        if !header.is_end {
            let records = self.records(&portion)?;
            let now = self.clamp(now);
            self.adopt(&header, &records, now, told);
        }
        *restoring = Restoring { next: expected + 1, before: portion.check, ended: header.is_end };
        Ok(portion.length)
    }

    /// All that is there to be refused is refused here.
    fn records(&self, portion: &Portion<'_>) -> Result<Vec<Record>, SnapshotError> {
        if usize::from(portion.header.profile) >= self.profiles.len() {
            return Err(SnapshotError::UnknownProfile(portion.header.profile));
        }
        if self.slab.slots() == MOST_SLOTS {
            return Err(SnapshotError::Malformed); // No fleet has more.
        }
        portion.records().collect::<Option<_>>().ok_or(SnapshotError::Malformed)
    }

    /// A chunk of slots as they were.
    fn adopt(
        &mut self,
        header: &Header,
        records: &[Record],
        now: u64,
        told: &mut impl FnMut(Handle, Handle),
    ) {
        let profile = Profile::new(header.profile);
        let config = &self.profiles[profile.index()];
        let first = self.slab.slots() as u32;
        let states = (first..)
            .zip(records)
            .map(|(slot, record)| {
                let epoch = raised(record.epoch, self.base | slot, self.seed);
                let Some(kept) = &record.kept else { return PeerState::idle(epoch, now) };
                let lasting = kept.lasting.filter(|_| header.form == D::LASTING);
                PeerState::restored(&Kept { lasting, ..*kept }, config, epoch, now)
            })
            .collect();
        self.slab.adopt(profile, states, |at| records[at].kept.is_none());
        self.wheel.reserve(self.slab.slots());
        if let Some(guard) = &mut self.guard {
            guard.grow();
        }
        for (slot, record) in (first..).zip(records).filter(|(_, record)| record.kept.is_some()) {
            let state = self.slab.state(slot);
            let config = &self.profiles[profile.index()];
            let due = if state.waiting() == Waiting::Resume {
                state.release(config)
            } else {
                Deadlines::of(config, &state).first()
            };
            if let Some(guard) = &mut self.guard {
                guard.count(slot, Counted::default(), Counted::of(config, &state), now);
            }
            self.census.enter(state.liveness());
            told(self.name(slot, record.epoch), self.name(slot, state.epoch()));
            self.wheel.set(slot, due, &mut self.slab);
        }
    }

    /// Whether the peer, which the schedule has found due, was restored and is not to be released
    /// yet (the schedule does not reach far): then it is filed again. (Who was suspended by the
    /// caller is never found due.)
    #[inline]
    pub(super) fn is_held(&mut self, slot: u32, now: u64) -> bool {
        let state = self.slab.state(slot);
        if state.waiting() != Waiting::Resume {
            return false;
        }
        let due = state.release(&self.profiles[self.slab.profile(slot).index()]);
        if due > now {
            self.wheel.set(slot, due, &mut self.slab);
        }
        due > now
    }
}

/// The epoch after a restore (rule SN2): beyond what the old process can have got to, and not the
/// same when a snapshot is restored twice.
fn raised(epoch: u32, slot: u32, seed: u64) -> u32 {
    let draw = jitter::mix(seed.wrapping_add(jitter::mix(slot.into()))) as u32 & 0xffff;
    epoch.wrapping_add(0x1_0000 + draw)
}
