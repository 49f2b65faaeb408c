//! [`Follow`]: an interval that follows the network within bounds.

use core::time::Duration;

use crate::config::{MAX_SPAN, MAX_SPAN_NANOS};
use crate::time::nanos;

/// Lets the interval follow how much the round trips fluctuate: their standard deviation over their
/// mean, both averaged with a gain of 1/16. A network that fluctuates is asked more often, one that
/// does not is left in peace (rules AD3 and AD4).
///
/// Every 16 round trips it looks: above `rough` the interval is halved, below `calm` it grows by a
/// quarter, within the bounds; between them it stays, so that it does not swing. Shortening is fast
/// and lengthening slow, since a wrong long interval costs more than a wrong short one.
///
/// Keep the response window as it is and build the rules anew: the timeout follows.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::Config;
/// use heartbeat_proto::advisor::Follow;
///
/// let (least, most) = (Duration::from_secs(2), Duration::from_secs(30));
/// let mut follow = Follow::new(Duration::from_secs(10), least, most)?;
/// let rules = Config::builder().response_window(Duration::from_secs(1));
/// for _ in 0..400 {
///     // After each round trip that the machine measured:
///     if let Some(interval) = follow.sample(Duration::from_millis(40)) {
///         let config = rules.interval(interval).build().expect("within the bounds");
///         // machine.reconfigure(config, now)
///         # let _ = config;
///     }
/// }
/// assert_eq!(follow.interval(), most, "it was calm for long");
/// # Ok::<(), heartbeat_proto::advisor::FollowError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Follow {
    least: u64,
    most: u64,
    interval: u64,
    /// In percent of the mean.
    calm: u16,
    rough: u16,
    /// In sixteenths of microseconds, and the square of that.
    mean: u64,
    variance: u64,
    samples: u8,
}

/// Why bounds were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The interval does not lie between the bounds, or a bound is zero or above
    /// [`MAX_SPAN`](crate::MAX_SPAN).
    #[error("interval is {found:?} but must be in {least:?}..={most:?}, within 1ns..={MAX_SPAN:?}")]
    Bounds {
        /// The interval.
        found: Duration,
        /// The lower bound.
        least: Duration,
        /// The upper bound.
        most: Duration,
    },
    /// The thresholds leave no room between them.
    #[error("calm is {calm}% but must be below rough, which is {rough}%")]
    Thresholds {
        /// Below it the network is calm.
        calm: u16,
        /// Above it the network is rough.
        rough: u16,
    },
}

/// It looks every so many samples, and knows little before as many.
const LOOK: u8 = 16;

/// Longer round trips count as this: 60 s in sixteenths of microseconds, whose square fits 64 bits.
const MOST_SAMPLE: u64 = 60_000_000 * 16;

impl Follow {
    /// Begins with `interval` and stays within `least..=most`. Below 15 % is calm, above
    /// 40 % is rough.
    ///
    /// # Errors
    ///
    /// If they are not in that order, or not within 1 ns ..= [`MAX_SPAN`](crate::MAX_SPAN).
    pub const fn new(
        interval: Duration,
        least: Duration,
        most: Duration,
    ) -> Result<Self, FollowError> {
        let (found, low, high) = (nanos(interval), nanos(least), nanos(most));
        if low == 0 || low > found || found > high || high > MAX_SPAN_NANOS {
            return Err(FollowError::Bounds { found: interval, least, most });
        }
        let (calm, rough, mean, variance, samples) = (15, 40, 0, 0, 0);
        Ok(Self { least: low, most: high, interval: found, calm, rough, mean, variance, samples })
    }

    /// Other thresholds, in percent of the mean.
    ///
    /// # Errors
    ///
    /// If `calm` is not below `rough`.
    pub const fn thresholds(self, calm: u16, rough: u16) -> Result<Self, FollowError> {
        if calm >= rough {
            return Err(FollowError::Thresholds { calm, rough });
        }
        Ok(Self { calm, rough, ..self })
    }

    /// Takes one round trip; the new interval, if it changes. Never panics.
    pub fn sample(&mut self, rtt: Duration) -> Option<Duration> {
        let sample = (nanos(rtt) / 1000).saturating_mul(16).clamp(1, MOST_SAMPLE);
        if self.mean == 0 {
            self.mean = sample;
        } else {
            let off = sample.abs_diff(self.mean);
            self.variance = self.variance - self.variance / 16 + off * off / 16;
            self.mean = self.mean - self.mean / 16 + sample / 16;
        }
        self.samples += 1;
        if self.samples < LOOK {
            return None;
        }
        self.samples = 0;
        let next = if self.fluctuates_more_than(self.rough) {
            (self.interval / 2).max(self.least) // AD4
        } else if self.fluctuates_more_than(self.calm) {
            self.interval
        } else {
            (self.interval + (self.interval / 4).max(1)).min(self.most)
        };
        let changed = next != self.interval;
        self.interval = next;
        changed.then(|| self.interval())
    }

    /// The interval that suits the network now.
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// Standard deviation over mean, in percent; `None` before the first sample.
    pub fn fluctuation_percent(&self) -> Option<u16> {
        let square = u128::from(self.variance) * 10_000;
        let mean = u128::from(self.mean);
        (mean != 0).then(|| (square / (mean * mean)).isqrt().min(u16::MAX.into()) as u16)
    }

    /// AD3, without a root: `variance / mean^2 > percent^2`.
    const fn fluctuates_more_than(&self, percent: u16) -> bool {
        let (mean, percent) = (self.mean as u128, percent as u128);
        self.variance as u128 * 10_000 > percent * percent * mean * mean
    }
}
