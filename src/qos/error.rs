//! [`QosError`]: why a wish cannot be granted, and what can.

use core::fmt;
use core::time::Duration;

/// Why there is no configuration for a wish. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QosError {
    /// A part of the wish is zero.
    #[error("{part} is zero")]
    Zero {
        /// The part.
        part: &'static str,
    },
    /// `detect_within` is longer than [`MAX_SPAN`](crate::MAX_SPAN).
    #[error("detect_within is {found:?} but at most {most:?} is allowed")]
    TooLong {
        /// Its value.
        found: Duration,
        /// The largest allowed value.
        most: Duration,
    },
    /// A probability of the link is not in `0.0..1.0`.
    #[error("{what} is {found} but must be at least 0 and below 1")]
    NotALoss {
        /// Which one.
        what: &'static str,
        /// Its value.
        found: f64,
    },
    /// Nothing is known of the delay: a histogram without a sample.
    #[error("the delays were never measured")]
    NoDelays,
    /// Pings are judged from the moment they leave, so the mean delay must be known.
    #[error("the variance of the delay alone is not enough for pings")]
    NeedsDelay,
    /// This part of the wish cannot be had on this link, the others as they are.
    #[error(
        "{part} of {asked:?} is impossible on this link: {}",
        best(part, *possible, *detect_within)
    )]
    Impossible {
        /// The part: `detect_within`, `mistake_every` or `mean_mistake`.
        part: &'static str,
        /// What was wished.
        asked: Duration,
        /// What could be had instead: the shortest, for `mistake_every` the longest; `None` if
        /// nothing helps.
        possible: Option<Duration>,
        /// The shortest `detect_within` that would grant the other parts as they are; `None` if
        /// not even 24 hours do.
        detect_within: Option<Duration>,
    },
}

/// The text of [`QosError::Impossible`].
struct Best {
    possible: Option<Duration>,
    /// If it is another part that is impossible.
    detect_within: Option<Duration>,
}

impl fmt::Display for Best {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.possible {
            Some(possible) => write!(f, "{possible:.3?} is the best there is")?,
            None => f.write_str("no value helps")?,
        }
        match self.detect_within {
            Some(within) => write!(f, "; with detect_within of {within:.3?} it is possible"),
            None => Ok(()),
        }
    }
}

fn best(
    part: &'static str,
    possible: Option<Duration>,
    detect_within: Option<Duration>,
) -> impl fmt::Display {
    Best { possible, detect_within: detect_within.filter(|_| part != "detect_within") }
}
