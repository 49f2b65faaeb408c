//! Detectors: how long silence may last before it means something.
//!
//! The machine owns the schedule, the misses, the windows and the verdict; a detector only answers
//! one question: until when is the last evidence worth trust? The machine clamps the answer to the
//! `floor` and the `ceiling` of its [`Config`](crate::Config), so that no detector can break the
//! detection promise.

#[cfg(feature = "detectors")]
mod any_all;
mod deadline;
#[cfg(feature = "detectors")]
mod shadow;

use core::fmt::Debug;
use core::hash::Hash;

#[cfg(feature = "detectors")]
pub use any_all::{All, Any};
pub use deadline::Deadline;
#[cfg(feature = "detectors")]
pub use shadow::{Opinions, Shadow, ShadowState};

use crate::rtt::Rtt;
use crate::time::Timestamp;

/// A policy that turns a stream of evidence into a deadline. The policy lives in the
/// [`Config`](crate::Config), shared by all peers; what it learns of one peer is its `State`.
///
/// A state holds spans, stamps of the *peer's* clock and differences between both clocks, but no
/// stamps of the local clock: what must relate to local time relates to [`Trust::since`]. Then the rules are invariant under a
/// shift of time and can be model-checked for runs of any length. Floats are kept as canonical
/// bits, so that states can be compared.
///
/// A policy is `Eq + Hash`, so that configurations and machines stay comparable whatever detects
/// for them; a policy with a float keeps its bits.
pub trait Detector: Copy + Debug + Eq + Hash {
    /// What is learnt of one peer.
    type State: Copy + Debug + Eq + Hash + Default;

    /// Learns from one piece of evidence.
    fn learn(&self, state: &mut Self::State, evidence: &Evidence);

    /// What the machine calls: [`learn`](Self::learn), with what it knew of the silence that the
    /// evidence ends or goes on in, for detectors that judge others. (If the evidence measured a
    /// round trip, [`Trust::rtt`] has it already.) The default forwards.
    #[inline]
    fn learn_in(&self, state: &mut Self::State, evidence: &Evidence, trust: &Trust) {
        let _ = trust;
        self.learn(state, evidence);
    }

    /// The last moment at which the peer is still trusted, if nothing more is heard. It may lie in
    /// the past (a stale beat restores no trust), and is clamped for the verdict.
    fn deadline(&self, state: &Self::State, trust: &Trust) -> Timestamp;

    /// The last moment at which the peer's own beat is not overdue, where we send no pings: past it
    /// the peer is Suspect (rule J3), even if [`deadline`](Self::deadline) trusts it for longer.
    /// `None`, the default: one configured interval and one response window after the last
    /// evidence. A detector that knows better, such as one that keeps the period the peer promised,
    /// answers its deadline.
    #[inline]
    fn beat_deadline(&self, state: &Self::State, trust: &Trust) -> Option<Timestamp> {
        let _ = (state, trust);
        None
    }

    /// How suspicious the silence is at `now`: 0 just after evidence, 1 at the deadline, more
    /// after it. The default grows linearly.
    #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 52 bits")]
    fn suspicion(&self, state: &Self::State, trust: &Trust, now: Timestamp) -> f64 {
        let limit = self.deadline(state, trust).as_nanos().saturating_sub(trust.since);
        let silence = now.as_nanos().saturating_sub(trust.since);
        if limit == 0 { f64::INFINITY } else { silence as f64 / limit as f64 }
    }

    /// For model checkers, which identify states up to a shift of time: the state on a clock (and
    /// peer's clock) that shows `by` less, wrapping, without what can no longer influence any answer.
    /// The default fits states that hold no stamps.
    #[doc(hidden)]
    fn normalized(&self, state: &Self::State, by: u64) -> Self::State {
        let _ = by;
        *state
    }
}

/// What kind of evidence was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sign {
    /// A pong.
    Pong,
    /// A ping or a beacon of the peer.
    Beat,
    /// Any other traffic.
    Traffic,
    /// A ping stayed unanswered. Renews nothing.
    Miss,
    /// The local process was paused until now (a call later than the slack, or a resume): what
    /// arrives in the next moments may have waited in a buffer, and its timing says nothing of the
    /// peer. Told before the evidence that the same call brings. Renews nothing.
    Pause,
}

impl Sign {
    /// Whether it renews life: then [`Trust::since`] moves to its time.
    pub const fn renews(self) -> bool {
        !matches!(self, Self::Miss | Self::Pause)
    }
}

/// One piece of evidence, as a detector sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// What was heard.
    pub sign: Sign,
    /// When it was heard.
    pub at: Timestamp,
    /// How long it had been silent before, in nanoseconds; at most twice the ceiling, beyond which
    /// silences are not told apart.
    pub silence_nanos: u64,
    /// The sequence number it carried, if any.
    pub seq: Option<u32>,
    /// When the peer sent it, on the peer's clock, if it said so.
    pub stamp: Option<Timestamp>,
    /// The period of the beats in nanoseconds: the one the peer promised, else our effective
    /// interval.
    pub period_nanos: u64,
    /// The round trip it measured, if it did, in nanoseconds.
    pub rtt_nanos: Option<u64>,
    /// It came in a call that was later than the slack: the local process was paused, and nothing
    /// should be learnt from the timing. (More of the same burst may come in calls of their own:
    /// see [`Sign::Pause`].)
    pub in_pause: bool,
}

/// What the machine knows about the present silence. Spans are in nanoseconds, because deadlines
/// are computed on every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    pub(crate) since: u64,
    pub(crate) period: u64,
    pub(crate) window: u64,
    pub(crate) timeout: u64,
    pub(crate) attempts: u8,
    pub(crate) rtt: Rtt,
}

impl Trust {
    /// When the last evidence was heard.
    pub const fn since(&self) -> Timestamp {
        Timestamp::from_nanos(self.since)
    }

    /// The effective interval between pings (or beats), in nanoseconds.
    pub const fn period_nanos(&self) -> u64 {
        self.period
    }

    /// The time a pong may take, in nanoseconds.
    pub const fn window_nanos(&self) -> u64 {
        self.window
    }

    /// The silence of the fixed verdict, in nanoseconds: `timeout`, longer by what the peer slowed
    /// us down. (`attempts` windows may fall short of it by their rounding.)
    pub const fn timeout_nanos(&self) -> u64 {
        self.timeout
    }

    /// How many windows go unanswered before the fixed verdict.
    pub const fn attempts(&self) -> u8 {
        self.attempts
    }

    /// The round-trip estimate.
    pub const fn rtt(&self) -> Rtt {
        self.rtt
    }
}
