//! [`Ledger`]: which pings are outstanding, so that a pong finds its own.

use core::fmt::Debug;
use core::hash::Hash;

use crate::time::Timestamp;

/// Where the sending times of outstanding pings are kept. Chosen as a type parameter:
/// [`Table`] (default) remembers the last four pings; [`Echo`] remembers nothing, takes no space,
/// and relies on the stamp that the peer echoes: for fleets.
///
/// Sealed: the rules rely on its details.
pub trait Ledger: Copy + Debug + Default + Eq + Hash + sealed::Sealed {
    /// The ping `seq` was emitted.
    #[doc(hidden)]
    fn emitted(&mut self, seq: u32, at: u64);
    /// The ping `seq` was written.
    #[doc(hidden)]
    fn written(&mut self, seq: u32, at: u64);
    /// A pong for `query.seq`, which was sent at some time, came in.
    #[doc(hidden)]
    fn answered(&mut self, query: &Query) -> Answer;
    /// Time stood still for `by`.
    #[doc(hidden)]
    fn shift(&mut self, by: u64, now: u64);
    /// The same memory under other numbers and on another clock; see `PeerState::normalized`.
    #[doc(hidden)]
    #[must_use]
    fn renamed(&self, number: impl Fn(u32) -> u32, stamp: impl Fn(u64) -> u64) -> Self;
}

/// A pong, and what the state knows about its ping without a ledger.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
#[expect(unnameable_types, reason = "only the sealed implementations use it")]
pub struct Query {
    pub(crate) seq: u32,
    pub(crate) stamp: Option<Timestamp>,
    pub(crate) newest: u32,
    pub(crate) newest_at: u64,
    pub(crate) newest_answered: bool,
    /// When the judged ping was sent, if there is one.
    pub(crate) judged_at: Option<u64>,
    pub(crate) gap: u64,
}

/// What the ledger knows about the ping of a pong.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(unnameable_types, reason = "only the sealed implementations use it")]
pub enum Answer {
    /// Unanswered so far, sent at this time.
    Open(u64),
    /// Answered before.
    Duplicate,
    /// Sent too long ago to know.
    Forgotten,
}

/// Remembers the last four pings: number, time, and whether each was answered. 64 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Table {
    slots: [Slot; SLOTS],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Slot {
    /// 0: free.
    seq: u32,
    open: bool,
    at: u64,
}

/// Rule CF2 keeps a response window within this many of the shortest gaps between pings.
const SLOTS: usize = 4;

impl Table {
    const fn slot(&mut self, seq: u32) -> &mut Slot {
        &mut self.slots[seq as usize % SLOTS]
    }
}

impl Ledger for Table {
    #[inline]
    fn emitted(&mut self, seq: u32, at: u64) {
        *self.slot(seq) = Slot { seq, open: true, at };
    }

    fn written(&mut self, seq: u32, at: u64) {
        debug_assert!(self.slot(seq).seq == seq); // Only ever the newest.
        self.slot(seq).at = at;
    }

    #[inline]
    fn answered(&mut self, query: &Query) -> Answer {
        let slot = self.slot(query.seq);
        match (slot.seq == query.seq, slot.open) {
            (true, true) => {
                slot.open = false;
                Answer::Open(slot.at)
            }
            (true, false) => Answer::Duplicate,
            (false, _) => Answer::Forgotten,
        }
    }

    fn shift(&mut self, by: u64, now: u64) {
        for slot in &mut self.slots {
            slot.at = shifted(slot.at, by, now);
        }
    }

    fn renamed(&self, number: impl Fn(u32) -> u32, stamp: impl Fn(u64) -> u64) -> Self {
        let mut renamed = Self::default();
        for slot in self.slots.iter().filter(|slot| slot.seq != 0) {
            // Nobody asks when a ping was sent that was answered already.
            let at = if slot.open { stamp(slot.at) } else { 0 };
            let seq = number(slot.seq);
            *renamed.slot(seq) = Slot { seq, open: slot.open, at };
        }
        renamed
    }
}

/// Remembers nothing: the newest ping is known to the state, an older one by the echoed stamp, if
/// that lies between the sending of the judged ping and of the newest. 0 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Echo;

impl Ledger for Echo {
    #[inline]
    fn emitted(&mut self, _: u32, _: u64) {}

    #[inline]
    fn written(&mut self, _: u32, _: u64) {}

    #[inline]
    fn answered(&mut self, query: &Query) -> Answer {
        if query.seq == query.newest {
            return if query.newest_answered {
                Answer::Duplicate
            } else {
                Answer::Open(query.newest_at)
            };
        }
        match (query.stamp, query.judged_at) {
            // Pings are at least the gap apart, so a stamp within the gap before the writing of
            // the judged ping is the judged ping's emission.
            (Some(stamp), Some(judged_at))
                if stamp.as_nanos().saturating_add(query.gap) > judged_at
                    && stamp.as_nanos() <= query.newest_at =>
            {
                Answer::Open(stamp.as_nanos())
            }
            _ => Answer::Forgotten,
        }
    }

    #[inline]
    fn shift(&mut self, _: u64, _: u64) {}

    fn renamed(&self, _: impl Fn(u32) -> u32, _: impl Fn(u64) -> u64) -> Self {
        Self
    }
}

/// A past stamp moved forward by a pause, not into the future.
#[inline]
pub(crate) const fn shifted(stamp: u64, by: u64, now: u64) -> u64 {
    let moved = stamp.saturating_add(by);
    if moved <= now {
        moved
    } else if stamp <= now {
        now
    } else {
        stamp
    }
}

#[expect(unnameable_types, reason = "a sealed trait is meant to be unnameable")]
mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Table {}
    impl Sealed for super::Echo {}
}
