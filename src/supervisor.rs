//! [`Supervisor`]: connect within a limit, stay connected, back off by cause, connect again, and in
//! the end give up visibly. Sans-IO; rules SV1 to SV7 of `docs/SPEC.md`.
//!
//! It says what should be going on now ([`Step`]), and is told what came of it. Saying is
//! level-triggered: the same answer until something happens, so that a step that was overlooked is
//! said again. Telling names the attempt, so that news told twice, or too late, changes nothing.
//!
//! ```
//! use core::time::Duration;
//! use heartbeat_proto::Timestamp;
//! use heartbeat_proto::backoff::Cause;
//! use heartbeat_proto::supervisor::{Plan, Step, Supervisor};
//!
//! let mut now = Timestamp::EPOCH;
//! let mut supervisor = Supervisor::new(Plan::default(), 42, now);
//! // Connect. (This one is refused.)
//! let Step::Connect { attempt, .. } = supervisor.next(now) else { unreachable!() };
//! supervisor.ended(attempt, Cause::Refused, now);
//! // Wait, for at most 10 s after the first failure.
//! let Step::Wait { until, .. } = supervisor.next(now) else { unreachable!() };
//! assert!(until <= now.saturating_add(Duration::from_secs(10)));
//! now = until;
//! // Connect, with success: the heart beats, by an adapter or by a machine of your own.
//! let Step::Connect { attempt, .. } = supervisor.next(now) else { unreachable!() };
//! assert!(supervisor.established(attempt, now));
//! assert_eq!(supervisor.next(now), Step::Run { attempt });
//! // A connection that came about proves nothing yet: the failures still count.
//! assert_eq!(supervisor.retries(), 1);
//! now = now.saturating_add(Duration::from_secs(30));
//! supervisor.verified(attempt, now);
//! assert_eq!(supervisor.retries(), 0);
//! ```

mod outcome;
mod plan;

use core::fmt;

pub use outcome::{Outcome, Why};
pub use plan::{Plan, PlanBuilder};

use crate::backoff::{Backoff, Breaker, Budget, Cause, Policy};
use crate::time::Timestamp;

/// What should be going on. Whatever else is still going on is to be abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A connect with this number, with all its handshakes. Tell
    /// [`established`](Supervisor::established) or [`ended`](Supervisor::ended).
    Connect {
        /// The number of the connect, from 1.
        attempt: u64,
        /// The limit. After this moment the connect has failed, whatever it does.
        until: Timestamp,
    },
    /// The connection of that connect: keep it alive, and tell when it has
    /// [ended](Supervisor::ended).
    Run {
        /// The number of the connect.
        attempt: u64,
    },
    /// Nothing.
    Wait {
        /// When the next connect is due.
        until: Timestamp,
        /// Why there is no connection; `None` before the first connect.
        cause: Option<Cause>,
    },
    /// It is over, for ever.
    Over(Outcome),
}

/// `connect 3`, `run 3`, `wait until 12.5s (refused)`, ...
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { attempt, until } => write!(f, "connect {attempt} until {until}"),
            Self::Run { attempt } => write!(f, "run {attempt}"),
            Self::Wait { until, cause: None } => write!(f, "wait until {until}"),
            Self::Wait { until, cause: Some(cause) } => write!(f, "wait until {until} ({cause})"),
            Self::Over(outcome) => write!(f, "over: {outcome}"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting { until: Timestamp, cause: Option<Cause> },
    Connecting { limit: Timestamp },
    Up { since: Timestamp, stable: bool },
    Over(Outcome),
}

/// One connection's life after life. See the [module](self).
///
/// It owns no [`HeartbeatMachine`](crate::HeartbeatMachine): that belongs to the adapter's stream,
/// which goes on with [`reconnected`](crate::HeartbeatMachine::reconnected).
#[derive(Clone, Copy, Debug)]
pub struct Supervisor {
    plan: Plan,
    backoff: Backoff,
    budget: Budget,
    breaker: Option<Breaker>,
    stage: Stage,
    /// The largest `now` so far: a time that runs back counts as it (rule T1).
    now: Timestamp,
    attempt: u64,
    tally: outcome::Tally,
}

impl Supervisor {
    /// The first connect is due at once. `seed` decides the jitter: give each supervisor its own.
    pub const fn new(plan: Plan, seed: u64, now: Timestamp) -> Self {
        Self {
            plan,
            backoff: Backoff::new(seed),
            budget: plan.budget,
            breaker: plan.breaker,
            stage: Stage::Waiting { until: now, cause: None },
            now,
            attempt: 0,
            tally: outcome::Tally::new(now),
        }
    }

    /// What should be going on at `now`. If a connect is due, this begins it: the limit runs.
    pub fn next(&mut self, now: Timestamp) -> Step {
        self.settle(now);
        if let Stage::Waiting { until, .. } = self.stage {
            if self.ready_at(until) <= self.now {
                self.begin();
            }
        }
        let attempt = self.attempt;
        match self.stage {
            Stage::Waiting { until, cause } => Step::Wait { until: self.ready_at(until), cause },
            Stage::Connecting { limit } => Step::Connect { attempt, until: limit },
            Stage::Up { .. } => Step::Run { attempt },
            Stage::Over(outcome) => Step::Over(outcome),
        }
    }

    /// When to call [`next`](Self::next) at the latest; `None` while only news can change anything.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Waiting { until, .. } => Some(self.ready_at(until)),
            // T4: at the limit itself it is not passed.
            Stage::Connecting { limit } => Some(limit.saturating_add(plan::INSTANT)),
            Stage::Up { .. } | Stage::Over(_) => None,
        }
    }

    /// The connect of this number is through, with all its handshakes. Returns whether the
    /// connection is wanted: not if it came too late, and then it is to be dropped.
    #[must_use = "a connection that is not wanted is to be dropped"]
    pub fn established(&mut self, attempt: u64, now: Timestamp) -> bool {
        self.settle(now);
        if attempt != self.attempt {
            return false;
        }
        if let Stage::Connecting { .. } = self.stage {
            self.stage = Stage::Up { since: self.now, stable: false };
            self.tally.up(self.now);
        }
        matches!(self.stage, Stage::Up { .. })
    }

    /// The connect of this number failed, or its connection was lost or closed.
    pub fn ended(&mut self, attempt: u64, cause: Cause, now: Timestamp) {
        self.settle(now);
        if attempt == self.attempt {
            self.fall(cause);
        }
    }

    /// The peer of this connect was proved alive at `at` (now, or at some moment before): it has
    /// answered a ping that left then, say. Call it as often as you like, at least once before
    /// [`ended`](Self::ended), with the newest proof.
    pub fn verified(&mut self, attempt: u64, at: Timestamp) {
        self.settle(at);
        let Stage::Up { since, .. } = self.stage else { return };
        // SV4: not by coming about, nor by one answer.
        if attempt == self.attempt && at >= since.saturating_add(self.plan.stable_after) {
            self.stage = Stage::Up { since, stable: true };
            self.backoff.reset();
            if let Some(breaker) = &mut self.breaker {
                breaker.succeeded();
            }
        }
    }

    /// The network came back, or the user asks: wait no longer. The budget still holds, so that a
    /// network that flaps makes no storm. Elsewhere than in [`Step::Wait`] it changes nothing.
    pub fn retry_now(&mut self, now: Timestamp) {
        self.settle(now);
        if let Stage::Waiting { cause, .. } = self.stage {
            // SV6: it counts as the retry that it hastens.
            self.stage = Stage::Waiting { until: self.now, cause };
            if let Some(breaker) = &mut self.breaker {
                breaker.cut_short(self.now);
            }
        }
    }

    /// The connection is wanted no more: whatever goes on is to be closed or abandoned.
    pub fn stop(&mut self, now: Timestamp) {
        self.settle(now);
        if !matches!(self.stage, Stage::Over(_)) {
            self.finish(Why::Stopped, Cause::ClosedLocally);
        }
    }

    /// How many retries there were since the last connection that proved stable.
    pub const fn retries(&self) -> u32 {
        self.backoff.retries()
    }

    /// The attempt whose connection there is, as far as told. Unlike [`next`](Self::next) it begins
    /// nothing.
    pub const fn running(&self) -> Option<u64> {
        if let Stage::Up { .. } = self.stage { Some(self.attempt) } else { None }
    }

    /// Whether there is a connection, and it has proved stable.
    pub const fn is_stable(&self) -> bool {
        matches!(self.stage, Stage::Up { stable: true, .. })
    }

    /// The final report, once it is over.
    pub const fn outcome(&self) -> Option<Outcome> {
        if let Stage::Over(outcome) = self.stage { Some(outcome) } else { None }
    }

    /// T1, and the limit of the connect (SV2): before any news, so that late news is late.
    fn settle(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        if let Stage::Connecting { limit } = self.stage {
            if self.now > limit {
                self.fall(Cause::HandshakeTimeout);
            }
        }
    }

    /// SV3: no connect before the delay is over, the budget has a try and the breaker is not open.
    fn ready_at(&self, until: Timestamp) -> Timestamp {
        let ready = self.budget.ready_at(until);
        self.breaker.map_or(ready, |breaker| breaker.ready_at(ready))
    }

    fn begin(&mut self) {
        // At the last moment of the clock `ready_at` cannot say "later".
        if !self.budget.take(self.now) {
            return;
        }
        let admitted = self.breaker.as_mut().is_none_or(|breaker| breaker.admit(self.now));
        debug_assert!(admitted, "ready_at says when");
        self.attempt = self.attempt.saturating_add(1);
        self.stage =
            Stage::Connecting { limit: self.now.saturating_add(self.plan.handshake_limit) };
    }

    /// SV3, SV5: there is no connection any more, or none came about.
    fn fall(&mut self, cause: Cause) {
        let (Stage::Connecting { .. } | Stage::Up { .. }) = self.stage else { return };
        let proved = self.is_stable();
        self.tally.down(self.now);
        if let Some(breaker) = self.breaker.as_mut().filter(|_| !proved) {
            breaker.failed(self.now);
        }
        let policy = &self.plan.policies[cause];
        match self.backoff.next(policy) {
            Some(delay) => {
                let until = self.now.saturating_add(delay);
                self.stage = Stage::Waiting { until, cause: Some(cause) };
            }
            None if *policy == Policy::NEVER => self.finish(Why::Never, cause),
            None => self.finish(Why::TriesSpent, cause),
        }
    }

    fn finish(&mut self, why: Why, cause: Cause) {
        self.tally.down(self.now);
        let (attempts, retries) = (self.attempt, self.backoff.retries());
        self.stage = Stage::Over(self.tally.outcome(why, cause, attempts, retries, self.now));
    }
}
