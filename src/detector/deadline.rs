//! [`Deadline`]: a fixed limit, or one that follows the round-trip time.

use super::{Detector, Evidence, Trust};
use crate::time::Timestamp;

/// Trust ends a fixed time after the last evidence, or one that follows the round-trip time. It
/// keeps no state of its own.
///
/// * [`Deadline::fixed`] ends trust after `timeout`.
/// * [`Deadline::rtt_adaptive`]: `interval + attempts * factor * RTO`, where
///   `RTO = SRTT + max(1 ms, 4 * RTTVAR)` (RFC 6298 section 2, with the granularity of RFC 9002
///   section 6.2). Before the first sample it is the fixed one. The `floor` and the `ceiling` of
///   the configuration bound it: it convicts early on fast links and waits on slow ones.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::{Config, detector::Deadline};
///
/// let config = Config::builder()
///     .detector(Deadline::rtt_adaptive(3))
///     .interval(Duration::from_secs(1))
///     .timeout(Duration::from_secs(4))
///     .ceiling(Duration::from_secs(10))
///     .build()?;
/// assert_eq!(config.floor(), Duration::from_secs(2));
/// # Ok::<(), heartbeat_proto::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Deadline {
    /// 0: fixed.
    factor: u8,
}

impl Deadline {
    /// `timeout` after the last evidence, always.
    pub const fn fixed() -> Self {
        Self { factor: 0 }
    }

    /// Each of the `attempts` windows is `factor` retransmission timeouts; a factor of 0 is taken
    /// as 1. Three is a good start (RFC 9000 section 10.1: at least three probe timeouts).
    pub const fn rtt_adaptive(factor: u8) -> Self {
        Self { factor: if factor == 0 { 1 } else { factor } }
    }
}

impl Detector for Deadline {
    type State = ();

    #[inline]
    fn learn(&self, (): &mut (), _: &Evidence) {}

    #[inline]
    fn deadline(&self, (): &(), trust: &Trust) -> Timestamp {
        if self.factor == 0 {
            return Timestamp::from_nanos(trust.since.saturating_add(trust.timeout));
        }
        let silence = match trust.rtt.timeout_nanos() {
            Some(rto) => {
                let windows = u64::from(self.factor) * u64::from(trust.attempts);
                trust.period.saturating_add(rto.saturating_mul(windows))
            }
            None => trust.timeout,
        };
        Timestamp::from_nanos(trust.since.saturating_add(silence))
    }
}
