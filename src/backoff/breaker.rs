//! [`Breaker`]: stops trying after failures in a row, and lets one trial through now and then.

use core::time::Duration;

use super::policy::{BackoffError, SHORTEST, check_span};
use crate::time::Timestamp;

/// What a [`Breaker`] lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// Nothing, until the cool-down is over.
    Open {
        /// When it is.
        until: Timestamp,
    },
    /// One trial was let through; nothing more, until its result is told or another cool-down is
    /// over (a trial that was forgotten must not block for ever).
    HalfOpen {
        /// When that is.
        until: Timestamp,
    },
}

/// A circuit breaker: after so many failures in a row nothing is tried for a cool-down, then
/// exactly one trial; its success closes, its failure opens again (rule BO7).
///
/// One connection that backs off hardly needs it. It is for what many share: give all tries to one
/// server to one breaker, and a dead server costs one try each cool-down.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::Timestamp;
/// use heartbeat_proto::backoff::{Breaker, BreakerState};
///
/// let cool_down = Duration::from_secs(60);
/// let mut breaker = Breaker::new(3, cool_down)?;
/// let now = Timestamp::EPOCH;
/// for _ in 0..3 {
///     assert!(breaker.admit(now));
///     breaker.failed(now);
/// }
/// assert!(!breaker.admit(now));
/// let later = now.saturating_add(cool_down);
/// assert!(breaker.admit(later) && !breaker.admit(later)); // the trial, and nobody else
/// breaker.succeeded();
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// # Ok::<(), heartbeat_proto::backoff::BackoffError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    limit: u32,
    cool_down: Duration,
    failures: u32,
    state: BreakerState,
}

impl Breaker {
    /// Closed. Opens after `limit` failures in a row (at least 1) for `cool_down` (1 ns to 24 h).
    ///
    /// # Errors
    ///
    /// A value is out of its range.
    pub const fn new(limit: u32, cool_down: Duration) -> Result<Self, BackoffError> {
        if limit == 0 {
            let (field, least, most) = ("failures", 1, u32::MAX);
            return Err(BackoffError::Number { field, found: limit, least, most });
        }
        if let Err(error) = check_span("cool_down", cool_down, SHORTEST) {
            return Err(error);
        }
        Ok(Self { limit, cool_down, failures: 0, state: BreakerState::Closed })
    }

    /// The earliest moment from `now` on at which a try may be admitted, if no result is told
    /// before.
    #[must_use]
    pub fn ready_at(&self, now: Timestamp) -> Timestamp {
        match self.state {
            BreakerState::Closed => now,
            BreakerState::Open { until } | BreakerState::HalfOpen { until } => now.max(until),
        }
    }

    /// Whether a try may be made at `now`. Each yes is a try: tell its result.
    #[must_use = "a yes is a try"]
    pub fn admit(&mut self, now: Timestamp) -> bool {
        let ready = self.ready_at(now) == now;
        if ready && self.state != BreakerState::Closed {
            let until = now.saturating_add(self.cool_down);
            self.state = BreakerState::HalfOpen { until };
        }
        ready
    }

    /// A try succeeded.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
        self.state = BreakerState::Closed;
    }

    /// A try failed. While open this is a late result of a try before, and moves nothing.
    pub fn failed(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        let opens = match self.state {
            BreakerState::Closed => self.failures >= self.limit,
            BreakerState::Open { .. } => false,
            BreakerState::HalfOpen { .. } => true,
        };
        if opens {
            self.state = BreakerState::Open { until: now.saturating_add(self.cool_down) };
        }
    }

    /// Ends a cool-down: the next try is the trial.
    pub fn cut_short(&mut self, now: Timestamp) {
        if let BreakerState::Open { until } = self.state {
            self.state = BreakerState::Open { until: until.min(now) };
        }
    }

    /// What it lets through.
    pub const fn state(&self) -> BreakerState {
        self.state
    }
}
