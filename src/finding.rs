//! [`Findings`]: what a call noticed, as a set.

use core::fmt;

/// A set of things noticed in one call. Edge-triggered: each is told when it becomes true.
///
/// ```
/// use heartbeat_proto::Findings;
///
/// let found = Findings::MISS.with(Findings::LATE_CALL);
/// assert!(found.contains(Findings::MISS));
/// assert_eq!(found.to_string(), "miss late_call");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Findings(u32);

macro_rules! findings {
    ($($(#[$doc:meta])+ $name:ident = $bit:literal, $code:literal;)+) => {
        impl Findings {
            $($(#[$doc])+ pub const $name: Self = Self(1 << $bit);)+

            /// Every finding with its stable name, in the order of their bits.
            const NAMES: &[(Self, &'static str)] = &[$((Self::$name, $code),)+];
        }
    };
}

findings! {
    /// A ping stayed unanswered for a response window, and nothing else was heard either.
    MISS = 0, "miss";
    /// The caller was late by more than the slack.
    LATE_CALL = 1, "late_call";
    /// Evidence came with the first call after the verdict's deadline, and was accepted.
    LATE_EVIDENCE = 2, "late_evidence";
    /// `now` was below the last one; it was taken as the last one.
    CLOCK_REGRESSION = 3, "clock_regression";
    /// The clock is near the end of 64 bits: detection stops.
    CLOCK_EXHAUSTED = 4, "clock_exhausted";
    /// A ping was not written within a response window.
    WRITE_STALLED = 5, "write_stalled";
    /// The peer talks but answers no pings.
    PING_UNANSWERED = 6, "ping_unanswered";
    /// The external schedule did not probe when it was asked to.
    NOT_PROBED = 7, "not_probed";
    /// At least k of the last n probes were lost.
    PROBE_LOSS = 8, "probe_loss";
    /// A pong answered a ping that had been given up, or that a newer pong had overtaken.
    PONG_LATE = 9, "pong_late";
    /// A pong answered a ping that had been answered before.
    PONG_DUPLICATE = 10, "pong_duplicate";
    /// A pong answered no ping that was ever sent.
    PONG_UNMATCHED = 11, "pong_unmatched";
    /// A pong belonged to another connection.
    PONG_WRONG_EPOCH = 12, "pong_wrong_epoch";
    /// The peer pinged more often than the advertised gap allows; that ping is not answered.
    PING_STRIKE = 13, "ping_strike";
    /// The peer's strikes reached the limit.
    PING_ABUSE = 14, "ping_abuse";
    /// The peer told us to calm down and the interval was doubled.
    CALMED = 15, "calmed";
    /// The peer wants a larger gap than the ceiling allows; the largest possible one is used.
    LIMIT_EXCEEDED = 16, "limit_exceeded";
    /// The peer pings although it is not its part to.
    UNEXPECTED_PING = 17, "unexpected_ping";
    /// Life was heard after the verdict `Lost`: the verdict was a mistake.
    MISTAKE = 18, "mistake";
    /// A local pause: the verdict was put off for one fresh probe and one response window.
    REPROBE = 19, "reprobe";
    /// A due ping was left out because the writer had not taken the last one.
    PING_SKIPPED = 20, "ping_skipped";
    /// The host woke up: the time it slept is not counted as silence.
    RESUMED = 21, "resumed";
}

impl Findings {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Whether nothing was found.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every finding of `other` is in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The union of both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set without the members of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Everything there is to find.
    #[cfg(feature = "sim")]
    pub(crate) fn all() -> Self {
        Self::NAMES.iter().fold(Self::NONE, |all, &(one, _)| all.with(one))
    }

    /// The set as bits; the meaning of a bit never changes.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The stable names of the members, for metric labels.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(one, _)| self.contains(*one)).map(|&(_, name)| name)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.names().enumerate() {
            f.write_str(if i == 0 { "" } else { " " })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}
