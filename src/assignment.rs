//! [`Assignment`]: which observer watches which peer.
//!
//! A crowd of peers is watched by several processes, the observers. Each of them works out by
//! itself, from the list of observers alone, who watches whom, and all come to the same. When the
//! list changes, no more peers change hands than must (rule AS3).
//!
//! ```
//! use heartbeat_proto::assignment::{Assignment, Change};
//!
//! let mut observers = Assignment::new(7); // The same seed everywhere.
//! observers.insert("berlin", 1)?;
//! observers.insert("tokyo", 1)?;
//! observers.insert("lima", 2)?; // Twice the machine, twice the peers.
//!
//! assert_eq!(observers.assign("peer 1"), Some(&"lima"));
//! // Whom else to ask before a verdict:
//! assert_eq!(observers.ranked("peer 1", 2), [&"lima", &"tokyo"]);
//!
//! // Lima is gone. What does that mean for Berlin?
//! let mut left = observers.clone();
//! left.remove("lima");
//! let peers = ["peer 1", "peer 2", "peer 3", "peer 4"];
//! let changes: Vec<_> = observers.changes(&left, "berlin", peers).collect();
//! assert_eq!(changes, [("peer 2", Change::Gained { from: Some(&"lima") })]);
//! # Ok::<(), heartbeat_proto::assignment::AssignmentError>(())
//! ```
//!
//! # The rule
//!
//! *Rendezvous hashing*, or highest random weight (Thaler and Ravishankar, "Using name-based
//! mappings to increase hit rates", IEEE/ACM Transactions on Networking 6(1), 1998): each pair of a
//! peer and an observer has a number that a hash draws, and the observer with the best number
//! watches the peer. Nothing is kept, no ring, no table.
//!
//! *Weights* by the logarithmic method (Schindelhauer and Schomaker, "Weighted distributed hash
//! tables", SPAA 2005): `-ln(draw) / weight` is exponentially distributed with the weight as its
//! rate, and the first of several such clocks is each one's in proportion to the rates.
//!
//! Observers of different versions and platforms must agree about every peer, so the numbers are
//! part of the specification (rules AS1, AS2): the hash is XXH64, and the logarithm is taken in
//! integers, since the last bit of a float's is each library's own.
//!
//! # What it costs
//!
//! A look takes a hash of 16 bytes for each observer, and a logarithm where weights differ. That is
//! right for up to some hundreds of observers.
//!
//! # What it is not
//!
//! * The hash is fast, and no cryptographic one: who chooses its own id, and knows the seed, can choose
//!   its observer.
//! * Nobody here knows who the observers are: keep that list where its changes have an order. The
//!   package `examples/etcd` shows it all with leases in etcd.

use alloc::vec::Vec;
use core::cmp::Ordering;

use thiserror::Error;
use twox_hash::XxHash64;

/// Who watches whom: the observers, their weights, and a seed. See the [module](self).
///
/// Ids are bytes: names, addresses as text, numbers by `to_be_bytes()`. Two assignments with the
/// same seed, observers and weights are equal, in whatever order they were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment<I> {
    seed: u64,
    /// In the order of their ids.
    observers: Vec<Observer<I>>,
    /// All weights are the same: then the logarithms need not be known.
    is_even: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Observer<I> {
    id: I,
    hash: u64,
    weight: u32,
}

/// What a change of the observers means to one of them, for one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "it comes or it goes")]
pub enum Change<I> {
    /// It watches this peer from now on. It knows nothing of it yet: let the peer be asked, and have
    /// its whole response window, before any verdict.
    Gained {
        /// Who did; `None`: nobody, or nobody that there is.
        from: Option<I>,
    },
    /// It watches this peer no longer.
    Given {
        /// Who does; `None`: nobody.
        to: Option<I>,
    },
}

/// Why an observer was refused. Nothing was changed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssignmentError {
    /// Who has no weight would watch nobody: leave it out.
    #[error("an observer's weight must be from 1 to 4294967295")]
    ZeroWeight,
    /// There is one with this id.
    #[error("there is an observer with this id already")]
    Twice,
    /// There is none with this id.
    #[error("there is no observer with this id")]
    Unknown,
}

impl<I: AsRef<[u8]>> Assignment<I> {
    /// No observers yet. The seed must be the same wherever the answers are to be; which one it is
    /// does not matter.
    pub const fn new(seed: u64) -> Self {
        Self { seed, observers: Vec::new(), is_even: true }
    }

    /// One observer more (rule AS6). It gets peers in proportion to its weight (rule AS4); 1 for
    /// all is usual.
    ///
    /// # Errors
    ///
    /// [`AssignmentError::ZeroWeight`]; [`AssignmentError::Twice`].
    pub fn insert(&mut self, id: I, weight: u32) -> Result<(), AssignmentError> {
        if weight == 0 {
            return Err(AssignmentError::ZeroWeight);
        }
        let Err(at) = self.find(id.as_ref()) else { return Err(AssignmentError::Twice) };
        let hash = XxHash64::oneshot(self.seed, id.as_ref());
        self.observers.insert(at, Observer { id, hash, weight });
        self.weigh();
        Ok(())
    }

    /// One observer less; `None`: there was none.
    pub fn remove(&mut self, id: impl AsRef<[u8]>) -> Option<I> {
        let at = self.find(id.as_ref()).ok()?;
        let observer = self.observers.remove(at);
        self.weigh();
        Some(observer.id)
    }

    /// Another weight: a larger one brings it peers of all others, a smaller one takes some of its
    /// own away, and nothing else moves.
    ///
    /// # Errors
    ///
    /// [`AssignmentError::ZeroWeight`]; [`AssignmentError::Unknown`].
    pub fn set_weight(&mut self, id: impl AsRef<[u8]>, weight: u32) -> Result<(), AssignmentError> {
        if weight == 0 {
            return Err(AssignmentError::ZeroWeight);
        }
        let at = self.find(id.as_ref()).map_err(|_| AssignmentError::Unknown)?;
        self.observers[at].weight = weight;
        self.weigh();
        Ok(())
    }

    /// The observers and their weights, in the order of their ids.
    pub fn observers(&self) -> impl ExactSizeIterator<Item = (&I, u32)> {
        self.observers.iter().map(|observer| (&observer.id, observer.weight))
    }

    /// How many observers there are.
    pub fn len(&self) -> usize {
        self.observers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.observers.is_empty()
    }

    /// Who watches the peer (rule AS2); `None`: there are no observers.
    pub fn assign(&self, peer: impl AsRef<[u8]>) -> Option<&I> {
        let peer = XxHash64::oneshot(self.seed, peer.as_ref());
        let ranks = self.observers.iter().map(|observer| self.rank(observer, peer));
        let first = ranks.zip(&self.observers).min_by(|(one, _), (other, _)| one.order(other));
        first.map(|(_, observer)| &observer.id)
    }

    /// The first `most` in the peer's order of observers: who watches it, and then whoever would if
    /// those before were not there (rule AS3). Fewer if there are fewer.
    pub fn ranked(&self, peer: impl AsRef<[u8]>, most: usize) -> Vec<&I> {
        let peer = XxHash64::oneshot(self.seed, peer.as_ref());
        let ranks = self.observers.iter().map(|observer| self.rank(observer, peer));
        let mut ranks: Vec<_> = ranks.zip(&self.observers).collect();
        ranks.sort_by(|(one, _), (other, _)| one.order(other)); // Stable: ties in the order of ids.
        ranks.into_iter().take(most).map(|(_, observer)| &observer.id).collect()
    }

    /// Which of `peers` change hands, to `own` or from it, when `next` follows this assignment (rule
    /// AS5).
    pub fn changes<'a, P: AsRef<[u8]>>(
        &'a self,
        next: &'a Self,
        own: impl AsRef<[u8]>,
        peers: impl IntoIterator<Item = P>,
    ) -> impl Iterator<Item = (P, Change<&'a I>)> {
        peers.into_iter().filter_map(move |peer| {
            let is_own = |id: &&I| id.as_ref() == own.as_ref();
            let (before, after) = (self.assign(&peer), next.assign(&peer));
            match (before.as_ref().is_some_and(is_own), after.as_ref().is_some_and(is_own)) {
                (false, true) => Some((peer, Change::Gained { from: before })),
                (true, false) => Some((peer, Change::Given { to: after })),
                _ => None,
            }
        })
    }

    fn find(&self, id: &[u8]) -> Result<usize, usize> {
        self.observers.binary_search_by(|observer| observer.id.as_ref().cmp(id))
    }

    fn weigh(&mut self) {
        let mut weights = self.observers.iter().map(|observer| observer.weight);
        let first = weights.next();
        self.is_even = weights.all(|weight| Some(weight) == first);
    }

    /// Rule AS1.
    fn rank(&self, observer: &Observer<I>, peer: u64) -> Rank {
        let mut pair = [0; 16];
        pair[..8].copy_from_slice(&observer.hash.to_le_bytes());
        pair[8..].copy_from_slice(&peer.to_le_bytes());
        let draw = XxHash64::oneshot(self.seed, &pair);
        // With one weight for all, the higher draw has the lower cost, or the same.
        let cost = if self.is_even { 0 } else { cost(draw) };
        Rank { draw, cost, weight: observer.weight }
    }
}

/// How well an observer suits a peer.
struct Rank {
    draw: u64,
    cost: u64,
    weight: u32,
}

impl Rank {
    /// Rule AS2: the lower cost for its weight comes first, by exact fractions; then the higher draw.
    fn order(&self, other: &Self) -> Ordering {
        let [one, two] = [(self, other), (other, self)]
            .map(|(own, other)| u128::from(own.cost) * u128::from(other.weight));
        one.cmp(&two).then(other.draw.cmp(&self.draw))
    }
}

const FRACTION: u32 = 40;

/// Rule AS2: `-log2(draw / 2^64)`, in units of 2^-40; of 0 as of 1. Each squaring of the mantissa gives one more
/// bit of the logarithm (the classical way: Knuth, The Art of Computer Programming, 1.2.2).
fn cost(draw: u64) -> u64 {
    let draw = draw.max(1);
    let mut log = u64::from(draw.ilog2());
    let mut mantissa = draw << draw.leading_zeros();
    for _ in 0..FRACTION {
        let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
        let carry = (square >> 64) as u64;
        mantissa = (square >> carry) as u64;
        log = log << 1 | carry;
    }
    (64 << FRACTION) - log
}
