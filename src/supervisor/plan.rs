//! [`Plan`]: the knobs of a supervisor.

use core::time::Duration;

use crate::backoff::{BackoffError, Breaker, Budget, Policies, check_span};

/// The smallest span there is.
pub(super) const INSTANT: Duration = Duration::from_nanos(1);

/// What a [`Supervisor`](super::Supervisor) goes by. A checked value, `Copy`.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::backoff::{Policies, Policy};
/// use heartbeat_proto::supervisor::Plan;
///
/// let plan = Plan::builder()
///     .policies(Policies::all(Policy::default()))
///     .handshake_limit(Duration::from_secs(5))
///     .build()?;
/// # let _ = plan;
/// # Ok::<(), heartbeat_proto::backoff::BackoffError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub(super) policies: Policies,
    pub(super) handshake_limit: Duration,
    pub(super) stable_after: Duration,
    pub(super) budget: Budget,
    pub(super) breaker: Option<Breaker>,
}

impl Plan {
    /// All knobs at their defaults.
    pub fn builder() -> PlanBuilder {
        PlanBuilder { plan: Self::default() }
    }

    /// The limit of a connect with all its handshakes.
    pub const fn handshake_limit(&self) -> Duration {
        self.handshake_limit
    }
}

/// [`Policies::default`], a handshake limit of 10 s, stable after 30 s, a budget of 10 connects and
/// one more each 3 s, no breaker.
impl Default for Plan {
    fn default() -> Self {
        let budget = const {
            match Budget::new(10, Duration::from_secs(3)) {
                Ok(budget) => budget,
                Err(_) => unreachable!(),
            }
        };
        Self {
            policies: Policies::default(),
            handshake_limit: Duration::from_secs(10),
            stable_after: Duration::from_secs(30),
            budget,
            breaker: None,
        }
    }
}

/// Collects the knobs of a [`Plan`]; [`build`](Self::build) checks them.
#[must_use = "a builder does nothing until `build`"]
#[derive(Clone, Copy, Debug)]
pub struct PlanBuilder {
    plan: Plan,
}

impl PlanBuilder {
    /// What follows from which cause. Default: [`Policies::default`].
    pub const fn policies(mut self, policies: Policies) -> Self {
        self.plan.policies = policies;
        self
    }

    /// How long a connect may take, with TLS and whatever is said before the heart beats. Default:
    /// 10 s; 1 ns to 24 h. Hard: what comes later is not wanted. Too short makes a slow server a
    /// dead one, and its clients the reason why it is slow.
    pub const fn handshake_limit(mut self, limit: Duration) -> Self {
        self.plan.handshake_limit = limit;
        self
    }

    /// How old a connection must be when the peer is proved alive, so that its failures are
    /// forgotten. Default: 30 s; 1 ns to 24 h. Too short, and a server that accepts and dies is
    /// hammered.
    pub const fn stable_after(mut self, span: Duration) -> Self {
        self.plan.stable_after = span;
        self
    }

    /// How many connects there may be, whatever the delays are. Default: 10, and one more each 3 s.
    pub const fn budget(mut self, budget: Budget) -> Self {
        self.plan.budget = budget;
        self
    }

    /// After how many failures in a row to try only now and then. Default: never; the delays alone
    /// decide. A failure: a connect that failed, or a connection that ended before it proved
    /// stable.
    pub const fn breaker(mut self, breaker: Breaker) -> Self {
        self.plan.breaker = Some(breaker);
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    ///
    /// A span is out of its range.
    pub const fn build(self) -> Result<Plan, BackoffError> {
        if let Err(error) = check_span("handshake_limit", self.plan.handshake_limit, INSTANT) {
            return Err(error);
        }
        if let Err(error) = check_span("stable_after", self.plan.stable_after, INSTANT) {
            return Err(error);
        }
        Ok(self.plan)
    }
}
