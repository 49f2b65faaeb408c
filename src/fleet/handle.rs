//! [`Handle`] and [`Profile`]: the names of peers and of rules in a fleet, and what can be wrong
//! with them.

use core::fmt;
use core::time::Duration;

use thiserror::Error;

use super::wheel::MOST_SLOTS;

/// Places are numbered in so many bits.
const PLACE_BITS: u32 = MOST_SLOTS.ilog2();

/// Names one peer of one [`Fleet`](super::Fleet): a slot and the epoch of the connection in it.
///
/// The peer's pongs bring back both: the epoch is that of [`PingId`](crate::PingId), the slot goes
/// into the `handle` field of the ping. So a pong needs no look-up by address. The epoch grows by
/// one each time that the slot is used again, and on each next connection: a handle that is out of
/// date names nobody (until 2^32 uses later; rule FL2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Handle {
    slot: u32,
    epoch: u32,
}

impl Handle {
    /// The handle of this slot and epoch, as a pong brings them. Any numbers may be tried: a handle
    /// that names nobody is refused where it is used.
    ///
    /// ```
    /// use heartbeat_proto::fleet::Handle;
    ///
    /// let handle = Handle::new(7, 0x5eed_0001);
    /// assert_eq!((handle.slot(), handle.epoch()), (7, 0x5eed_0001));
    /// assert_eq!(handle.to_string(), "5eed0001@7");
    /// ```
    pub const fn new(slot: u32, epoch: u32) -> Self {
        Self { slot, epoch }
    }

    /// What names the peer's memory, for the `handle` field of a ping: the [`shard`](Self::shard) in
    /// the high 8 bits, and the [`place`](Self::place) below.
    pub const fn slot(self) -> u32 {
        self.slot
    }

    /// The number of its fleet among those of a [`ShardedFleet`](super::ShardedFleet); 0 in a fleet
    /// that was given none (rule FL8).
    ///
    /// ```
    /// use heartbeat_proto::fleet::Handle;
    ///
    /// let handle = Handle::new(0x0300_0007, 0x5eed_0001);
    /// assert_eq!((handle.shard(), handle.place()), (3, 7));
    /// assert_eq!(handle.to_string(), "5eed0001@3/7");
    /// ```
    pub const fn shard(self) -> u8 {
        (self.slot >> PLACE_BITS) as u8
    }

    /// The place in its fleet, from 0: a small number, to index what else you know of the peers of
    /// that fleet.
    pub const fn place(self) -> u32 {
        self.slot & (MOST_SLOTS as u32 - 1)
    }

    /// The epoch of the connection: [`PingId::epoch`](crate::PingId::epoch) of its pings.
    pub const fn epoch(self) -> u32 {
        self.epoch
    }
}

/// Epoch and place, `5eed0001@7`; in a shard that is not 0, with it: `5eed0001@3/7`.
impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shard() {
            0 => write!(f, "{:08x}@{}", self.epoch, self.place()),
            shard => write!(f, "{:08x}@{shard}/{}", self.epoch, self.place()),
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names a [`Config`](crate::Config) that peers of one [`Fleet`](super::Fleet) share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Profile(u16);

impl Profile {
    pub(crate) const fn new(index: u16) -> Self {
        Self(index)
    }

    /// Its number, in the order in which they were added, from 0.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The handle names no peer: it was removed, or its connection replaced, or it never was.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("no peer has the handle {0}")]
#[expect(clippy::exhaustive_structs, reason = "the handle is all there is to say")]
pub struct StaleHandle(pub Handle);

/// Why a [`Fleet`](super::Fleet) refuses a configuration or a peer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FleetError {
    /// A fleet is punctual to a step; a configuration whose `slack` is less would take each of its
    /// calls for late.
    #[error("slack is {slack:?} but must be at least the fleet's step, which is {step:?}")]
    SlackBelowStep {
        /// The configuration's.
        slack: Duration,
        /// The fleet's.
        step: Duration,
    },
    /// The step is zero or longer than a minute.
    #[error("the step is {0:?} but must be from 1ns to 60s")]
    Step(Duration),
    /// No profile has this number here: it belongs to another fleet.
    #[error("this fleet has no profile {}", .0.index())]
    UnknownProfile(Profile),
    /// There are 65,536 profiles already.
    #[error("a fleet has at most 65536 profiles")]
    TooManyProfiles,
    /// All slots are taken: use a [`ShardedFleet`](super::ShardedFleet) with more shards.
    #[error("a fleet holds at most {MOST_SLOTS} peers")]
    Full,
    /// It has, or had, peers, and the number of the shard is in their handles.
    #[error("only a fleet that never had a peer can be given the number of a shard")]
    NotEmpty,
    /// A fleet has from 1 to 256 shards.
    #[error("there are to be {0} shards but must be from 1 to 256")]
    Shards(usize),
    /// There is no shard of this number.
    #[error("this fleet has no shard {0}")]
    UnknownShard(u8),
}
