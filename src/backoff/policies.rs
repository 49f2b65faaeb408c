//! [`Policies`]: which policy follows from which cause.

use core::num::NonZeroU32;
use core::ops::Index;
use core::time::Duration;

use super::cause::Cause;
use super::policy::{Jitter, Policy};
use crate::config::MAX_SPAN;

/// A [`Policy`] for each [`Cause`]. `policies[cause]` reads one.
///
/// | cause | default |
/// |---|---|
/// | `goodbye`, `abrupt`, `transport`, `refused`, `handshake_timeout` | spread |
/// | `no_response`, `write_stalled`, `ping_unanswered` | spread |
/// | `own_fault` | [`Policy::default`] |
/// | `bad_frame`, `abuse` | long |
/// | `rejected`, `closed_locally` | never |
///
/// A server that restarts, dies or is overloaded does so to all its clients in one instant; and the
/// verdicts of a fleet fall together if its last traffic came together (a broadcast). One client's
/// own trouble brings nobody else. A peer that sends bad frames, or pings without measure, is not
/// what we took it for, and will be no other in a second. A rejection does not get better by
/// itself, and after our own close nobody wants to come back.
///
/// *Spread*: `w` doubled each time up to the larger of `4 w` and 30 s, full jitter, any number of
/// tries. `w` is 10 s, so that 10 000 clients come back at 1 000 a second, a rate that servers
/// with a TLS handshake survive; [`fleet`](Self::fleet) sets it. *Long*: 1 min, doubled up to
/// 10 min, equal jitter, five tries.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::backoff::{Cause, Policies, Policy};
///
/// let quick = Policy::constant(Duration::from_millis(200)).tries(3).build()?;
/// let policies = Policies::default().on(Cause::NoResponse, quick);
/// assert_eq!(policies[Cause::NoResponse].tries(), Some(3));
/// assert_eq!(policies[Cause::Rejected], Policy::NEVER);
/// # Ok::<(), heartbeat_proto::backoff::BackoffError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policies {
    by_cause: [Policy; Cause::ALL.len()],
}

impl Policies {
    /// The same for every cause, but `never` for [`Cause::ClosedLocally`].
    #[must_use]
    pub const fn all(policy: Policy) -> Self {
        Self { by_cause: [policy; Cause::ALL.len()] }.on(Cause::ClosedLocally, Policy::NEVER)
    }

    /// The [default](Self) for a fleet: after a common loss, `clients` come back at about
    /// `per_second`. What is spread over `w = clients / per_second` is kept to 500 ms to 6 h.
    ///
    /// ```
    /// use core::num::NonZeroU32;
    /// use core::time::Duration;
    /// use heartbeat_proto::backoff::{Cause, Policies};
    ///
    /// let rate = NonZeroU32::new(200).expect("not zero");
    /// let policies = Policies::fleet(50_000, rate);
    /// let (soonest, latest) = policies[Cause::Goodbye].range(0).expect("a retry");
    /// assert_eq!((soonest, latest), (Duration::ZERO, Duration::from_secs(250)));
    /// ```
    #[must_use]
    pub fn fleet(clients: u32, per_second: NonZeroU32) -> Self {
        let (least, most) = (Duration::from_millis(500), MAX_SPAN / 4);
        let spread = (Duration::from_secs(clients.into()) / per_second.get()).clamp(least, most);
        let cap = (4 * spread).max(Duration::from_secs(30));
        let spread = built(Policy::exponential(spread).cap(cap).jitter(Jitter::FULL));
        let minute = Duration::from_secs(60);
        let long = Policy::exponential(minute).cap(10 * minute).jitter(Jitter::EQUAL).tries(5);
        Self::all(spread)
            .on(Cause::OwnFault, Policy::default())
            .on(Cause::BadFrame, built(long))
            .on(Cause::Abuse, built(long))
            .on(Cause::Rejected, Policy::NEVER)
    }

    /// Another policy for one cause.
    #[must_use]
    pub const fn on(mut self, cause: Cause, policy: Policy) -> Self {
        self.by_cause[cause as usize] = policy;
        self
    }
}

/// Of numbers that are in their ranges: never the default, as the test of this table shows.
fn built(policy: super::PolicyBuilder) -> Policy {
    policy.build().unwrap_or_default()
}

impl Index<Cause> for Policies {
    type Output = Policy;

    fn index(&self, cause: Cause) -> &Policy {
        &self.by_cause[cause as usize]
    }
}

/// For 10 000 clients that come back at 1 000 a second.
impl Default for Policies {
    fn default() -> Self {
        Self::fleet(10_000, const { NonZeroU32::new(1_000).unwrap() })
    }
}
