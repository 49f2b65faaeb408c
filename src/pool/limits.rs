//! [`PoolConfig`]: the knobs of a pool. Rule PL2.

use core::time::Duration;

use super::idle::IdleLimits;
use super::quota::{Caps, QuotaError};
use crate::config::ConfigError;
use crate::config::check::span;

/// When a connection is handed out without being verified first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Proof {
    /// If its peer was heard at most so long ago, 1 ns to 24 h.
    HeardWithin(Duration),
    /// Never: each costs a round trip, and none is handed out that had died before.
    Always,
}

/// Which of several idle connections is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Take {
    /// The one given back last: it is the warmest, and the others can end.
    Newest,
    /// The one given back first: all are kept in use.
    Oldest,
}

/// The rules of a [`Pool`](super::Pool). One that exists is valid.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::pool::{PoolConfig, Proof};
///
/// let config = PoolConfig::builder().caps(4, 16).proof(Proof::Always).build()?;
/// assert!(PoolConfig::builder().caps(4, 3).build().is_err());
/// # let _ = config;
/// # Ok::<(), heartbeat_proto::pool::PoolError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolConfig {
    pub(super) caps: Caps,
    /// In nanoseconds; `None`: nothing is proof enough.
    pub(super) proof: Option<u64>,
    pub(super) take: Take,
    pub(super) idle: IdleLimits,
}

/// Why a configuration was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// The caps do not fit together.
    #[error(transparent)]
    Caps(#[from] QuotaError),
    /// A span does not fit.
    #[error(transparent)]
    Span(#[from] ConfigError),
}

impl PoolConfig {
    /// A builder with the defaults.
    pub fn builder() -> PoolConfigBuilder {
        PoolConfigBuilder {
            per_owner: 10,
            total: 100,
            proof: Proof::HeardWithin(Duration::from_secs(1)),
            take: Take::Newest,
            idle: IdleLimits::pool(),
        }
    }
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self::builder().build().expect("the defaults fit together")
    }
}

/// Collects the knobs of a [`PoolConfig`]; [`build`](Self::build) checks them.
#[must_use = "a builder does nothing until `build`"]
#[derive(Clone, Copy, Debug)]
pub struct PoolConfigBuilder {
    per_owner: u32,
    total: u32,
    proof: Proof,
    take: Take,
    idle: IdleLimits,
}

impl PoolConfigBuilder {
    /// How many connections, idle or in use, an owner may have, and all together. Default: 10 and
    /// 100; at least 1, and the first at most the second.
    pub const fn caps(self, per_owner: u32, total: u32) -> Self {
        Self { per_owner, total, ..self }
    }

    /// When a connection need not be verified. Default: heard within 1 s.
    pub const fn proof(self, proof: Proof) -> Self {
        Self { proof, ..self }
    }

    /// Which idle connection is taken. Default: the newest.
    pub const fn take(self, take: Take) -> Self {
        Self { take, ..self }
    }

    /// How long connections may be idle, and live. Default: [`IdleLimits::pool`].
    pub const fn idle(self, idle: IdleLimits) -> Self {
        Self { idle, ..self }
    }

    /// Checks every knob.
    ///
    /// # Errors
    ///
    /// The first that does not fit, with the values found and allowed.
    pub fn build(self) -> Result<PoolConfig, PoolError> {
        let Self { per_owner, total, proof, take, idle } = self;
        let caps = Caps::new(per_owner, total)?;
        let proof = match proof {
            Proof::Always => None,
            Proof::HeardWithin(limit) => Some(span("proof", limit)?),
        };
        Ok(PoolConfig { caps, proof, take, idle })
    }
}
