//! [`GatewayConfig`]: what strangers can make a gateway do, at most.

use core::time::Duration;

use thiserror::Error;

use crate::backoff::Budget;

/// The most peers of one gateway: those of a fleet.
const MOST: u32 = 1 << 24;

/// The most in a second of what is limited by rate.
const MOST_RATE: u32 = 1_000_000_000;

/// The caps of a [`Gateway`](super::Gateway) (rule GW4). Peers that joined are not capped: they are
/// policed by the rules of their profile.
///
/// ```
/// use heartbeat_proto::gateway::GatewayConfig;
///
/// let caps = GatewayConfig::new().peers(1_000_000).per_source(16).joins_per_second(20_000);
/// assert!(caps.check().is_ok());
/// assert!(caps.peers(0).check().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayConfig {
    pub(super) peers: u32,
    pub(super) per_source: Option<u32>,
    joins_per_second: u32,
    challenges_per_second: u32,
}

/// A [`Gateway`](super::Gateway) that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// A cap is out of its range.
    #[error("{field} is {found}; allowed: 1 to {most}")]
    OutOfRange {
        /// The knob.
        field: &'static str,
        /// Its value.
        found: u32,
        /// The largest allowed one.
        most: u32,
    },
    /// The fleet has peers already, whose addresses nobody knows.
    #[error("the fleet has {0} peers; allowed: none")]
    NotEmpty(usize),
}

impl GatewayConfig {
    /// The defaults that the setters name.
    pub const fn new() -> Self {
        Self {
            peers: 65_536,
            per_source: Some(256),
            joins_per_second: 1000,
            challenges_per_second: 4000,
        }
    }

    /// The most peers at a time, 1 to 16,777,216; the room for their addresses is reserved at once:
    /// 44 bytes each, 112 with a cap for each source; touched as it is used. Default: 65,536.
    #[must_use]
    pub const fn peers(mut self, most: u32) -> Self {
        self.peers = most;
        self
    }

    /// The most peers of one source, at least 1: of an IPv4 address, or of a /64 of IPv6, which is
    /// what one customer gets (RFC 6177). Default: 256, as behind a home's or an office's NAT; of a
    /// carrier's NAT there are more.
    #[must_use]
    pub const fn per_source(mut self, most: u32) -> Self {
        self.per_source = Some(most);
        self
    }

    /// No cap for a source, and nothing is counted.
    #[must_use]
    pub const fn any_source(mut self) -> Self {
        self.per_source = None;
        self
    }

    /// The most peers admitted in a second, 1 to 10^9, and as many at once. Default: 1000. All peers
    /// come back together when a gateway was restarted: so long it takes then.
    #[must_use]
    pub const fn joins_per_second(mut self, most: u32) -> Self {
        self.joins_per_second = most;
        self
    }

    /// The most challenges sent in a second, 1 to 10^9, and as many at once: forged senders can
    /// bring about so many datagrams, none longer than theirs. With keys so many sealed hellos of
    /// strangers are verified, too: two digests each, at most. Default: 4000. Where more is forged
    /// than that, honest strangers are drowned out; peers that joined are not.
    #[must_use]
    pub const fn challenges_per_second(mut self, most: u32) -> Self {
        self.challenges_per_second = most;
        self
    }

    /// Whether it can work.
    ///
    /// # Errors
    ///
    /// The first that is out of its range.
    pub fn check(&self) -> Result<(), GatewayError> {
        let rate = MOST_RATE;
        for (field, found, most) in [
            ("peers", self.peers, MOST),
            ("per_source", self.per_source.unwrap_or(1), u32::MAX),
            ("joins_per_second", self.joins_per_second, rate),
            ("challenges_per_second", self.challenges_per_second, rate),
        ] {
            if found == 0 || found > most {
                return Err(GatewayError::OutOfRange { field, found, most });
            }
        }
        Ok(())
    }

    pub(super) fn joins(&self) -> Result<Budget, GatewayError> {
        budget("joins_per_second", self.joins_per_second)
    }

    pub(super) fn challenges(&self) -> Result<Budget, GatewayError> {
        budget("challenges_per_second", self.challenges_per_second)
    }
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// So many at once, and in each second (rounded up to a whole nanosecond between two).
fn budget(field: &'static str, rate: u32) -> Result<Budget, GatewayError> {
    let gap = 1_000_000_000_u64.div_ceil(rate.max(1).into());
    let refused = GatewayError::OutOfRange { field, found: rate, most: MOST_RATE };
    Budget::new(rate, Duration::from_nanos(gap)).map_err(|_| refused)
}
