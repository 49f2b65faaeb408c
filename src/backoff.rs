//! When to try again: delays, a budget of tries, a circuit breaker, and which of them follows from
//! which [`Cause`].
//!
//! Everything here is a plain value: no clock, no allocator, no floating point, and chance enters
//! only as a seed, so that a run replays bit for bit. Rules BO1 to BO7 of `docs/SPEC.md`.
//!
//! ```
//! use core::time::Duration;
//! use heartbeat_proto::backoff::{Backoff, Cause, Policies};
//!
//! let policies = Policies::default();
//! let mut backoff = Backoff::new(42);
//! // The server restarts and says so to all its clients at once: they come back within 10 s, not
//! // in step.
//! let delay = backoff.next(&policies[Cause::Goodbye]).expect("worth another try");
//! assert!(delay <= Duration::from_secs(10));
//! // Our own close is no reason to come back.
//! assert_eq!(backoff.next(&policies[Cause::ClosedLocally]), None);
//! ```
//!
//! # Sources
//!
//! *Exponential Backoff And Jitter* (AWS Architecture Blog, 2015) for full and equal jitter, and
//! for why jitter matters more than the growth; gRPC's `connection-backoff.md` for ±20 %, for a
//! limit on the connect itself, and for resetting only on proof from the server; RFC 8085 section
//! 3.1.1 and RFC 6298 section 5.5 for doubling; RFC 3539 section 3.4.1 for not trusting a
//! connection that has only just come back. The breaker is that of Nygard, *Release It!*; the
//! budget is a token bucket in the form of GCRA (ITU-T I.371).

mod breaker;
mod budget;
mod cause;
mod policies;
mod policy;

use core::time::Duration;

pub use breaker::{Breaker, BreakerState};
pub use budget::Budget;
pub use cause::Cause;
pub use policies::Policies;
pub(crate) use policy::check_span;
pub use policy::{BackoffError, Jitter, Policy, PolicyBuilder};

use crate::jitter::mix;

/// How many retries there were in a row, and the chance for the next one.
///
/// Retries of all causes are counted together: a server that refuses after it said goodbye is still
/// the same outage.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::backoff::{Backoff, Policy};
///
/// let policy = Policy::default();
/// let (mut ours, mut same, mut other) = (Backoff::new(1), Backoff::new(1), Backoff::new(2));
/// let delay = ours.next(&policy);
/// assert_eq!(delay, same.next(&policy));
/// assert_ne!(delay, other.next(&policy));
/// assert!(delay >= Some(Duration::from_millis(400)) && delay <= Some(Duration::from_millis(600)));
/// while ours.next(&policy).is_some() {}
/// assert_eq!(ours.retries(), 5);
/// ours.reset();
/// assert!(ours.next(&policy) <= Some(Duration::from_millis(600)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    seed: u64,
    drawn: u64,
    retries: u32,
}

impl Backoff {
    /// No retry yet. Two with one seed give the same delays; give each connection its own.
    pub const fn new(seed: u64) -> Self {
        Self { seed: mix(seed), drawn: 0, retries: 0 }
    }

    /// The delay before the next retry; `None` if `policy` allows none (any more). A retry that is
    /// not allowed is not counted.
    pub fn next(&mut self, policy: &Policy) -> Option<Duration> {
        // BO2: the draws go on after a reset, or the slowest client would be it for ever.
        let delay = policy.delay(self.retries, mix(self.seed.wrapping_add(self.drawn)))?;
        self.drawn = self.drawn.wrapping_add(1);
        self.retries = self.retries.saturating_add(1);
        Some(delay)
    }

    /// How many retries were counted since the last reset.
    pub const fn retries(&self) -> u32 {
        self.retries
    }

    /// Forgets the retries, but not which chances were used. Only for a connection that has proved
    /// stable; see [`Supervisor`](crate::supervisor::Supervisor).
    pub const fn reset(&mut self) {
        self.retries = 0;
    }
}
