//! [`Rtt`]: the round-trip estimate of RFC 6298 in eight bytes of integers.

use core::fmt;
use core::time::Duration;

/// A smoothed round-trip time and its variation, by RFC 6298 section 2 with its gains of 1/8 and
/// 1/4. Samples must be unambiguous (Karn's rule); the machine sees to that.
///
/// Resolution 1 microsecond (samples are rounded up), range to 500 seconds (saturating).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rtt {
    /// In 1/8 microseconds; 0: no sample yet (a sample is at least 1 microsecond).
    smoothed: u32,
    /// In 1/4 microseconds.
    variation: u32,
}

/// RFC 9002 section 6.2.1: the granularity of timers, below which no timeout makes sense.
const GRANULARITY_NANOS: u64 = 1_000_000;

/// 500 s in microseconds: eight times that still fits `u32`.
const MAX_SAMPLE: u32 = 500_000_000;

impl Rtt {
    pub(crate) const UNKNOWN: Self = Self { smoothed: 0, variation: 0 };

    /// The smoothed round-trip time, `SRTT`; `None` before the first sample.
    pub const fn smoothed(self) -> Option<Duration> {
        match self.smoothed {
            0 => None,
            eighths => Some(Duration::from_nanos(eighths as u64 * 125)),
        }
    }

    /// The mean deviation, `RTTVAR`; `None` before the first sample.
    pub const fn variation(self) -> Option<Duration> {
        match self.smoothed {
            0 => None,
            _ => Some(Duration::from_nanos(self.variation as u64 * 250)),
        }
    }

    /// The retransmission timeout, `SRTT + max(1 ms, 4 * RTTVAR)`, in nanoseconds; `None` before
    /// the first sample.
    pub const fn timeout_nanos(self) -> Option<u64> {
        if self.smoothed == 0 {
            return None;
        }
        let deviation = self.variation as u64 * 1000;
        let margin = if deviation < GRANULARITY_NANOS { GRANULARITY_NANOS } else { deviation };
        Some(self.smoothed as u64 * 125 + margin)
    }

    /// Both numbers, in their own units, to be kept.
    #[cfg(feature = "snapshot")]
    pub(crate) const fn parts(self) -> [u32; 2] {
        [self.smoothed, self.variation]
    }

    /// Any numbers will do: no sum of [`sample`](Self::sample) overflows.
    #[cfg(feature = "snapshot")]
    pub(crate) const fn from_parts([smoothed, variation]: [u32; 2]) -> Self {
        Self { smoothed, variation }
    }

    /// Takes one sample of at least 1 microsecond.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "part of every pong")]
    pub(crate) const fn sample(&mut self, micros: u32) {
        let sample = if micros > MAX_SAMPLE { MAX_SAMPLE } else { micros };
        if self.smoothed == 0 {
            self.smoothed = sample * 8;
            self.variation = sample * 2;
        } else {
            // RFC 6298 (2.3): the variation first, with the old mean.
            let error = (self.smoothed / 8).abs_diff(sample);
            self.variation = self.variation - self.variation / 4 + error;
            self.smoothed = self.smoothed - self.smoothed / 8 + sample;
        }
    }
}

impl fmt::Debug for Rtt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `12.5ms ± 1.0ms`, or `unknown`.
impl fmt::Display for Rtt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.smoothed(), self.variation()) {
            (Some(smoothed), Some(variation)) => write!(f, "{smoothed:.1?} ± {variation:.1?}"),
            _ => f.write_str("unknown"),
        }
    }
}
