//! [`Invariant`]: what is promised, by the names of section 10 of the rules.

use core::fmt;

macro_rules! invariants {
    ($($(#[$doc:meta])+ $name:ident = $id:literal, $says:literal, $local:literal;)+) => {
        /// A promise that the checker asserts (`docs/SPEC.md`, section 10, and the convergence of
        /// a healed network).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Invariant {
            $($(#[$doc])+ $name,)+
        }

        impl Invariant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name in the rules: `S1`.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)+ }
            }

            const fn says(self) -> &'static str {
                match self { $(Self::$name => $says,)+ }
            }

            /// Whether the events and answers of one machine are enough to see it broken.
            pub const fn is_local(self) -> bool {
                match self { $(Self::$name => $local,)+ }
            }
        }
    };
}

invariants! {
    /// A verdict by silence falls only after the limit of silence.
    Accuracy = "S1", "a verdict by silence fell before its limit", true;
    /// The silence told is the silence that was, and a punctual verdict falls at its limit.
    Exactness = "S2", "the silence told is not the silence that was", true;
    /// Nobody is convicted who answers in time.
    NoFalsePositive = "S3", "a living peer that answers in time was convicted", false;
    /// A ping and its whole window come before a verdict by silence.
    ProbeBeforeVerdict = "S4", "a verdict without a ping that had its whole window", true;
    /// After a stall of our own there is a window before the verdict.
    StallGrace = "S5", "a verdict within a window after a stall of our own", true;
    /// Nothing but what was received, by the life rule, is life.
    ReceivedOnly = "S6", "something renewed life that is no evidence", true;
    /// After the end nothing happens.
    Final = "S7", "something was done after the end", true;
    /// Each admitted ping gets its pong at once, and nothing else does.
    Answer = "S8", "an admitted ping got no pong of its own, or something else did", true;
    /// Pings leave at least the gap apart.
    Gap = "R1", "two pings left less than the gap apart", true;
    /// At most five actions a call, one of each kind; no more pongs than pings.
    NoAmplification = "R2", "a call did more than it may", true;
    /// Silence is given up within the promise.
    Completeness = "L1", "a silent peer was not given up within the promise", true;
    /// What waits has a wake-up, strictly later than now; what is over has none.
    WakeUp = "L2", "the wake-up is missing, not later than now, or after the end", true;
    /// A call at the wake-up gets on.
    Progress = "L3", "a call at the wake-up changed nothing", true;
    /// A tick before the wake-up changes nothing.
    NoEarlyEffect = "L4", "a tick before the wake-up did something", true;
    /// Evidence in a steady connection never makes the wake-up earlier.
    Laziness = "L5", "evidence made the wake-up of a steady connection earlier", true;
    /// A time that runs backwards counts as the newest, and is told.
    Monotone = "M1", "a time that ran backwards was not taken as the newest", true;
    /// A tick repeated at the same time does nothing.
    Idempotence = "M6", "a tick repeated at the same time did something", true;
    /// Once the network is healed, every living peer is Alive and every dead one given up.
    Convergence = "healing", "a healed network did not converge", false;
}

/// `S1: a verdict by silence fell before its limit`.
impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id(), self.says())
    }
}
