//! [`Quota`]: how many connections, for whom. Rule PL3.

use alloc::collections::BTreeMap;

/// Counts connections by owner (a user, an address), within a cap for each and one for all.
///
/// The caps bound the memory as well: owners without connections are forgotten.
///
/// ```
/// use heartbeat_proto::pool::{Quota, Refusal};
///
/// let mut quota = Quota::new(2, 100)?;
/// assert!(quota.admit(&"alice").is_ok() && quota.admit(&"alice").is_ok());
/// assert_eq!(quota.admit(&"alice"), Err(Refusal::Owner { cap: 2 }));
/// assert!(quota.admit(&"bob").is_ok());
/// assert!(quota.release(&"alice") && quota.admit(&"alice").is_ok());
/// # Ok::<(), heartbeat_proto::pool::QuotaError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Quota<K> {
    caps: Caps,
    all: u32,
    owners: BTreeMap<K, u32>,
}

/// Two caps that fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Caps {
    per_owner: u32,
    total: u32,
}

impl Caps {
    pub(super) const fn new(per_owner: u32, total: u32) -> Result<Self, QuotaError> {
        if per_owner == 0 || per_owner > total {
            return Err(QuotaError { per_owner, total });
        }
        Ok(Self { per_owner, total })
    }
}

/// Caps that do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("per_owner is {per_owner} and total is {total}, but 1 <= per_owner <= total is needed")]
#[non_exhaustive]
pub struct QuotaError {
    /// The cap for each owner.
    pub per_owner: u32,
    /// The cap for all.
    pub total: u32,
}

/// Which cap is reached. Nothing was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The owner's.
    #[error("the owner has all {cap} connections that one may have")]
    Owner {
        /// How many one owner may have.
        cap: u32,
    },
    /// That of all together.
    #[error("all {cap} connections are taken")]
    Total {
        /// How many there may be.
        cap: u32,
    },
}

impl<K: Ord + Clone> Quota<K> {
    /// Counts nothing yet.
    ///
    /// # Errors
    ///
    /// Unless `1 <= per_owner <= total`.
    pub const fn new(per_owner: u32, total: u32) -> Result<Self, QuotaError> {
        match Caps::new(per_owner, total) {
            Ok(caps) => Ok(Self::with_caps(caps)),
            Err(error) => Err(error),
        }
    }

    pub(super) const fn with_caps(caps: Caps) -> Self {
        Self { caps, all: 0, owners: BTreeMap::new() }
    }

    /// Counts one more connection of the owner.
    ///
    /// # Errors
    ///
    /// The cap that is reached.
    pub fn admit(&mut self, owner: &K) -> Result<(), Refusal> {
        if self.of(owner) >= self.caps.per_owner {
            return Err(Refusal::Owner { cap: self.caps.per_owner });
        }
        if self.all >= self.caps.total {
            return Err(Refusal::Total { cap: self.caps.total });
        }
        self.all += 1;
        *self.owners.entry(owner.clone()).or_insert(0) += 1;
        Ok(())
    }

    /// One connection of the owner is closed. Returns whether one was counted.
    pub fn release(&mut self, owner: &K) -> bool {
        let Some(count) = self.owners.get_mut(owner) else { return false };
        *count -= 1;
        if *count == 0 {
            self.owners.remove(owner);
        }
        self.all -= 1;
        true
    }

    /// How many connections the owner has.
    pub fn of(&self, owner: &K) -> u32 {
        self.owners.get(owner).copied().unwrap_or(0)
    }

    /// How many connections there are.
    pub const fn all(&self) -> u32 {
        self.all
    }

    /// How many owners have connections.
    pub fn owners(&self) -> usize {
        self.owners.len()
    }
}
