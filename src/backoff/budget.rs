//! [`Budget`]: how many tries a span may hold, whoever asks for them.

use core::time::Duration;

use super::policy::{BackoffError, SHORTEST, check_span};
use crate::time::{Timestamp, nanos};

/// A token bucket for tries: `burst` at once, and one more each `refill`. Any span of length `w`
/// holds at most `burst + w / refill` tries (rule BO6).
///
/// A back-off spaces the tries of one outage; a budget bounds them over all outages, and over
/// whatever cuts a delay short.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::Timestamp;
/// use heartbeat_proto::backoff::Budget;
///
/// let mut budget = Budget::new(2, Duration::from_secs(10))?;
/// let now = Timestamp::EPOCH;
/// assert!(budget.take(now) && budget.take(now) && !budget.take(now));
/// assert_eq!(budget.ready_at(now), now.saturating_add(Duration::from_secs(10)));
/// # Ok::<(), heartbeat_proto::backoff::BackoffError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Nanoseconds, wide enough for sums beyond the last moment: the end of time refills nothing.
    refill: u128,
    /// What `burst - 1` tries are worth.
    ahead: u128,
    /// When the bucket would be full again (GCRA's theoretical arrival time).
    full_at: u128,
}

impl Budget {
    /// A full bucket of `burst` tries (at least 1), of which one comes back each `refill` (1 ns to
    /// 24 h).
    ///
    /// # Errors
    ///
    /// A value is out of its range.
    pub const fn new(burst: u32, refill: Duration) -> Result<Self, BackoffError> {
        if burst == 0 {
            let (field, least, most) = ("burst", 1, u32::MAX);
            return Err(BackoffError::Number { field, found: burst, least, most });
        }
        if let Err(error) = check_span("refill", refill, SHORTEST) {
            return Err(error);
        }
        let refill = nanos(refill) as u128;
        let ahead = refill * (burst as u128 - 1);
        Ok(Self { refill, ahead, full_at: 0 })
    }

    /// The earliest moment from `now` on at which there is a try.
    #[must_use]
    pub fn ready_at(&self, now: Timestamp) -> Timestamp {
        let ready = u64::try_from(self.full_at.saturating_sub(self.ahead)).unwrap_or(u64::MAX);
        now.max(Timestamp::from_nanos(ready))
    }

    /// Takes a try, if there is one at `now`.
    #[must_use = "without a token there is no try"]
    pub const fn take(&mut self, now: Timestamp) -> bool {
        let now = now.as_nanos() as u128;
        let ready = self.full_at.saturating_sub(self.ahead) <= now;
        if ready {
            let from = if self.full_at > now { self.full_at } else { now };
            self.full_at = from.saturating_add(self.refill);
        }
        ready
    }
}
