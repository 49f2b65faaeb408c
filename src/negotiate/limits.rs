//! [`Limits`]: what one end announces.

use core::fmt;
use core::time::Duration;

/// How often an end would like to send its own pings or beacons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wish {
    /// Never: it only answers. There is one way to say so, and it is not a zero.
    Disabled,
    /// As often as the other end needs, and not at all if it needs nothing.
    #[default]
    NoPreference,
    /// With this gap, from one microsecond to [`Limits::MAX_SPAN`]; faster only if the other
    /// end's timeout needs it, slower only if the other end's smallest gap demands it.
    Every(Duration),
}

/// What one end announces. Valid by construction; spans are whole microseconds, because both
/// ends must compute from the very same numbers.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::{Limits, Wish};
///
/// let every = Wish::Every(Duration::from_secs(15));
/// let limits = Limits::new(every, Some(Duration::from_secs(45)), Duration::from_secs(5))?;
/// assert_eq!(limits.timeout(), Some(Duration::from_secs(45)));
/// assert!(Limits::new(Wish::Every(Duration::ZERO), None, Duration::ZERO).is_err());
/// # Ok::<(), heartbeat_proto::LimitsError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    pub(super) interval: Code,
    pub(super) timeout: Code,
    pub(super) min_gap: Micros,
}

/// Whole microseconds, at most `MAX_MICROS`.
pub(super) type Micros = u64;

/// A number of microseconds or a word, as it travels: see [`Limits::to_wire`].
pub(super) type Code = u64;

/// 366 days.
const MAX_MICROS: Micros = 366 * 86_400 * 1_000_000;
pub(super) const NEVER: Code = u64::MAX;
pub(super) const ANY: Code = u64::MAX - 1;

impl Limits {
    /// The longest span that can be announced: 366 days.
    pub const MAX_SPAN: Duration = Duration::from_micros(MAX_MICROS);

    /// Announces `interval`, the silence after which the other end is given up (`timeout`;
    /// `None`: its silence is not judged) and the smallest gap at which the other end may ping.
    /// Parts of a microsecond are rounded up, to later verdicts and wider gaps. A `min_gap` of
    /// zero is meant literally: any gap will do.
    ///
    /// # Errors
    ///
    /// An interval or timeout of zero, or any span above [`Limits::MAX_SPAN`].
    pub const fn new(
        interval: Wish,
        timeout: Option<Duration>,
        min_gap: Duration,
    ) -> Result<Self, LimitsError> {
        let interval = match interval {
            Wish::Disabled => NEVER,
            Wish::NoPreference => ANY,
            Wish::Every(span) => match micros("interval", span, 1) {
                Ok(micros) => micros,
                Err(error) => return Err(error),
            },
        };
        let timeout = match timeout {
            None => NEVER,
            Some(span) => match micros("timeout", span, 1) {
                Ok(micros) => micros,
                Err(error) => return Err(error),
            },
        };
        match micros("min_gap", min_gap, 0) {
            Ok(min_gap) => Ok(Self { interval, timeout, min_gap }),
            Err(error) => Err(error),
        }
    }

    /// The wish for the gap between its own pings or beacons.
    pub const fn interval(&self) -> Wish {
        match self.interval {
            NEVER => Wish::Disabled,
            ANY => Wish::NoPreference,
            micros => Wish::Every(Duration::from_micros(micros)),
        }
    }

    /// The silence after which it gives the other end up; `None` if it does not judge silence.
    pub const fn timeout(&self) -> Option<Duration> {
        super::span(self.silence())
    }

    /// The smallest gap between pings that it accepts.
    pub const fn min_gap(&self) -> Duration {
        Duration::from_micros(self.min_gap)
    }

    pub(super) const fn silence(&self) -> Option<Micros> {
        if self.timeout == NEVER { None } else { Some(self.timeout) }
    }

    /// Interval, timeout and smallest gap in microseconds; all ones is "never", all ones but the
    /// last is "no preference".
    #[cfg(feature = "codec")]
    pub(crate) const fn to_wire(self) -> [u64; 3] {
        [self.interval, self.timeout, self.min_gap]
    }

    /// The inverse of [`Limits::to_wire`].
    #[cfg(feature = "codec")]
    pub(crate) const fn from_wire(words: [u64; 3]) -> Result<Self, LimitsError> {
        let [interval, timeout, min_gap] = words;
        let interval = match interval {
            NEVER => Wish::Disabled,
            ANY => Wish::NoPreference,
            micros => Wish::Every(Duration::from_micros(micros)),
        };
        let timeout = if timeout == NEVER { None } else { Some(Duration::from_micros(timeout)) };
        Self::new(interval, timeout, Duration::from_micros(min_gap))
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("interval", &self.interval())
            .field("timeout", &self.timeout())
            .field("min_gap", &self.min_gap())
            .finish()
    }
}

/// Any valid limits.
#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for Limits {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        let interval = match u.int_in_range(0..=2)? {
            0 => NEVER,
            1 => ANY,
            _ => u.int_in_range(1..=MAX_MICROS)?,
        };
        let timeout = if u.arbitrary()? { NEVER } else { u.int_in_range(1..=MAX_MICROS)? };
        Ok(Self { interval, timeout, min_gap: u.int_in_range(0..=MAX_MICROS)? })
    }
}

/// Why [`Limits::new`] refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum LimitsError {
    /// The span is zero, which says neither "off" nor "as fast as you can".
    #[error("{parameter} is zero, allowed is 1 us to 366 days; write `Disabled` or `None` for off")]
    Zero {
        /// The name of the span.
        parameter: &'static str,
    },
    /// The span is above [`Limits::MAX_SPAN`].
    #[error("{parameter} is {found:?}, allowed is at most 366 days")]
    TooLong {
        /// The name of the span.
        parameter: &'static str,
        /// The span that was given.
        found: Duration,
    },
}

const fn micros(parameter: &'static str, found: Duration, least: u64) -> Result<u64, LimitsError> {
    let micros = found.as_nanos().div_ceil(1000);
    if micros > MAX_MICROS as u128 {
        Err(LimitsError::TooLong { parameter, found })
    } else if (micros as u64) < least {
        Err(LimitsError::Zero { parameter })
    } else {
        Ok(micros as u64)
    }
}
