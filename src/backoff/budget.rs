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
    refill: u64,
    /// What `burst - 1` tries are worth.
    ahead: u64,
    /// When the bucket would be full again (GCRA's theoretical arrival time).
    full_at: u64,
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
        let refill = nanos(refill);
        let ahead = refill.saturating_mul(burst as u64 - 1);
        Ok(Self { refill, ahead, full_at: 0 })
    }

    /// The earliest moment from `now` on at which there is a try.
    #[must_use]
    pub fn ready_at(&self, now: Timestamp) -> Timestamp {
        now.max(Timestamp::from_nanos(self.full_at.saturating_sub(self.ahead)))
    }

    /// Takes a try, if there is one at `now`.
    #[must_use = "without a token there is no try"]
    pub fn take(&mut self, now: Timestamp) -> bool {
        let ready = self.ready_at(now) == now;
        if ready {
            self.full_at = self.full_at.max(now.as_nanos()).saturating_add(self.refill);
        }
        ready
    }
}
