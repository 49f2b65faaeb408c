//! Detectors: how long silence may last before it means something.
//!
//! The machine owns the schedule, the misses, the windows and the verdict; a detector only answers
//! one question: until when is the last evidence worth trust? The machine clamps the answer to the
//! `floor` and the `ceiling` of its [`Config`](crate::Config), so that no detector can break the
//! detection promise.
//!
//! # Which one
//!
//! [`Deadline`] is the default: a fixed limit, or one that follows the round trip, without a state.
//! With the feature `detectors` (default) every rule that was published is here as well, each by
//! its formula, to be compared on your own traces and to be trusted where its authors' assumptions
//! hold:
//!
//! | detector | trust ends | weak where |
//! |---|---|---|
//! | `Misses` | at the k-th tick without a beat | losses come in bursts |
//! | `KOfN` | when k of the last n are missing | it must be quick |
//! | `Retransmission` | a retransmission timeout after the next ping | it forgets in four pongs |
//! | `Chen` | a margin after the expected arrival | one margin must fit unlike links |
//! | `TwoWindows` | the same, by the later of two expectations | a single beat was late |
//! | `Bertier` | the same, with a margin that follows its errors | calm makes it careless |
//! | `PhiNormal` | at a quantile of a normal distribution of gaps | outages, dead calm |
//! | `PhiExponential` | at a multiple of the mean gap | it should adapt: it is nearly fixed |
//! | `PhiLogistic` | as Akka and Pekko do | the tail is far |
//! | `Satzger` | at a multiple of a quantile of the gaps | one outage, at quantile 1 |
//! | `Jacobson` | at mean and deviations of the gaps | it forgets in eight beats |
//!
//! # What they have in common
//!
//! The learning ones are `Formula`s, and differ in nothing else. Trust starts with the
//! configuration's own limit until ten beats have taught (`Retransmission`: one; `Misses` learns
//! nothing). They learn from one `Source`; other life renews trust and teaches nothing; a beat that
//! was overtaken does neither. The moments after a pause of our own teach nothing, nor does a gap
//! that held one. A period that the peer promises anew is believed with the first beat that says
//! so. A step of the delay, or of a pace that nobody promised, is forgotten as each formula
//! forgets: beat by beat out of a window, or by the gain of an average. Beats that come eight
//! periods before their time void the delays that were learnt: one of the clocks stood still. A new
//! path is a new connection, and starts anew. Outliers are recorded, as published, except where
//! `rejecting_above` is said.
//!
//! A state is a plain value of at most 2 KB, without a stamp of the local clock. The published
//! windows of 1000 beats, in nanoseconds, do not fit; the default is 100 to 200, and
//! `window::<1000>()` is there. On five sets of recorded links and six budgets of detection time
//! that costs `PhiNormal` 1.4 times the mistakes, `PhiExponential` 1.07 times, and the others none
//! (0.4 to 1.03 times).

mod any_all;
#[cfg(feature = "detectors")]
mod catalogue;
mod deadline;

use core::fmt::Debug;
use core::hash::Hash;

pub use any_all::{All, Any};
#[cfg(feature = "detectors")]
pub use catalogue::*;
pub use deadline::Deadline;

use crate::rtt::Rtt;
use crate::time::Timestamp;

/// A policy that turns a stream of evidence into a deadline. The policy lives in the
/// [`Config`](crate::Config), shared by all peers; what it learns of one peer is its `State`. One
/// that learns from beats is written more easily as a `Formula`, which is a detector by itself.
///
/// A state holds spans, stamps of the *peer's* clock and differences between both clocks, but no
/// stamps of the local clock: what must relate to local time relates to [`Trust::since`]. Then the
/// rules are invariant under a shift of time and can be model-checked for runs of any length.
/// Floats are kept as canonical bits, so that states can be compared.
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

    /// How suspicious the silence is at `now`: 0 just after evidence, at most 1 up to the deadline,
    /// more than 1 from the nanosecond after it on. Finite, and never less later on (rule DT1). The
    /// default grows linearly.
    fn suspicion(&self, state: &Self::State, trust: &Trust, now: Timestamp) -> f64 {
        linear_suspicion(trust, self.deadline(state, trust), now)
    }

    /// The form of [`lasting`](Self::lasting): 0, the default, is for nothing. A snapshot in another
    /// form is not read, and the detector begins anew; so another meaning needs another number (of
    /// your own detectors: from 65,536 up).
    #[cfg(feature = "snapshot")]
    const LASTING: u32 = 0;

    /// What of a state holds on another clock, after a time that nobody knows: 64 bits for
    /// [`Fleet::save`](crate::fleet::Fleet::save). Spreads last; levels between two clocks do not.
    /// Nothing by default: what is learnt is learnt anew, and the configuration's own limit stands
    /// until then.
    #[cfg(feature = "snapshot")]
    fn lasting(&self, state: &Self::State) -> u64 {
        let _ = state;
        0
    }

    /// The state to begin with where this lasts. Any bits may come, and must lead to a state whose
    /// answers keep the rules of every other one.
    #[cfg(feature = "snapshot")]
    fn lasted(&self, lasting: u64) -> Self::State {
        let _ = lasting;
        Self::State::default()
    }

    /// For model checkers, which identify states up to a shift of time: the state on a clock (and
    /// peer's clock) that shows `by` less, wrapping, without what can no longer influence any
    /// answer. The default fits states that hold no stamps.
    #[doc(hidden)]
    fn normalized(&self, state: &Self::State, by: u64) -> Self::State {
        let _ = by;
        *state
    }
}

/// Grows from the last evidence to the deadline; if that had passed by then, a period at a time.
#[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 52 bits")]
fn linear_suspicion(trust: &Trust, deadline: Timestamp, now: Timestamp) -> f64 {
    let (now, deadline) = (now.as_nanos(), deadline.as_nanos());
    let level = match deadline.saturating_sub(trust.since) {
        0 => 1.0 + now.saturating_sub(deadline) as f64 / trust.period.max(1) as f64,
        limit => now.saturating_sub(trust.since) as f64 / limit as f64,
    };
    on_its_side(level, now, deadline)
}

/// The same level of suspicion, on the side of 1 on which `now` is of the deadline: both are
/// rounded, and must agree to the nanosecond (rule DT1).
#[inline]
fn on_its_side(level: f64, now: u64, deadline: u64) -> f64 {
    if now <= deadline { level.min(1.0) } else { level.max(1.0 + f64::EPSILON) }
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

impl Evidence {
    /// Evidence as the machine would tell it, for those who run a detector without one: the other
    /// fields are zero, `None` and false, and can be set.
    ///
    /// ```
    /// use heartbeat_proto::{Timestamp, detector::{Evidence, Sign}};
    ///
    /// let mut beat = Evidence::new(Sign::Beat, Timestamp::from_nanos(7_000), 1_000);
    /// beat.seq = Some(3);
    /// ```
    pub const fn new(sign: Sign, at: Timestamp, period_nanos: u64) -> Self {
        Self {
            sign,
            at,
            silence_nanos: 0,
            seq: None,
            stamp: None,
            period_nanos,
            rtt_nanos: None,
            in_pause: false,
        }
    }
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
    /// What the machine would know, for those who run a detector without one: the last evidence was
    /// heard at `since`, beats come every `period_nanos`, and the fixed verdict would fall
    /// `timeout_nanos` after the last evidence. One window lies between them; no round trip is
    /// known.
    ///
    /// ```
    /// use heartbeat_proto::{Timestamp, detector::{Deadline, Detector, Trust}};
    ///
    /// let trust = Trust::new(Timestamp::from_nanos(7_000), 1_000, 2_500);
    /// let deadline = Deadline::fixed().deadline(&(), &trust);
    /// assert_eq!(deadline, Timestamp::from_nanos(9_500));
    /// ```
    pub const fn new(since: Timestamp, period_nanos: u64, timeout_nanos: u64) -> Self {
        Self {
            since: since.as_nanos(),
            period: period_nanos,
            window: timeout_nanos.saturating_sub(period_nanos),
            timeout: timeout_nanos,
            attempts: 1,
            rtt: Rtt::UNKNOWN,
        }
    }

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
