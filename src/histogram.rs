//! [`Histogram`]: a fixed-size distribution of spans.

use core::ops::AddAssign;
use core::time::Duration;

use crate::time::nanos;

/// Counts spans in buckets of powers of two, each halved: percentiles are exact to within 50 %
/// upwards, from 1 microsecond to 38 hours. 304 bytes, no allocation; counts saturate.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::Histogram;
///
/// let mut lateness = Histogram::default();
/// for millis in 1..=100 {
///     lateness.record(Duration::from_millis(millis));
/// }
/// assert_eq!(lateness.count(), 100);
/// assert_eq!(lateness.max(), Duration::from_millis(100));
/// let p50 = lateness.percentile(50);
/// assert!(p50 >= Duration::from_millis(50) && p50 < Duration::from_millis(75));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Histogram {
    buckets: [u32; Self::BUCKETS],
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [0; Self::BUCKETS], max: 0 }
    }
}

/// Both distributions together.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::Histogram;
///
/// let (mut one, mut other) = (Histogram::default(), Histogram::default());
/// one.record(Duration::from_millis(1));
/// other.record(Duration::from_millis(9));
/// one += &other;
/// assert_eq!((one.count(), one.max()), (2, Duration::from_millis(9)));
/// ```
impl AddAssign<&Self> for Histogram {
    fn add_assign(&mut self, other: &Self) {
        for (sum, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *sum = sum.saturating_add(*more);
        }
        self.max = self.max.max(other.max);
    }
}

impl Histogram {
    /// 2^37 microseconds, two buckets for each power.
    const BUCKETS: usize = 74;

    /// Counts one span.
    #[inline]
    pub fn record(&mut self, span: Duration) {
        self.record_nanos(nanos(span));
    }

    #[inline]
    pub(crate) fn record_nanos(&mut self, span: u64) {
        if span > self.max {
            self.max = span; // Hardly ever, so it is not written each time.
        }
        let bucket = &mut self.buckets[Self::bucket(span)];
        *bucket = bucket.saturating_add(1);
    }

    /// How many spans were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|&bucket| u64::from(bucket)).sum()
    }

    /// The largest span that was counted, exactly.
    pub const fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// A span that `percent` of all counted ones do not exceed; zero if nothing was counted. The
    /// end of its bucket, at most [`max`](Self::max). A percentage above 100 is taken as 100.
    pub fn percentile(&self, percent: u8) -> Duration {
        let rank = (self.count() * u64::from(percent.min(100))).div_ceil(100);
        let mut seen = 0;
        for (index, &bucket) in self.buckets.iter().enumerate() {
            seen += u64::from(bucket);
            if bucket != 0 && seen >= rank {
                return Duration::from_nanos(Self::end(index).min(self.max));
            }
        }
        Duration::ZERO
    }

    /// An upper bound of the probability that one more span is above `seconds`: of `n` spans those
    /// in buckets that reach beyond it and one more, over `n + 1`.
    #[cfg(feature = "detectors")]
    #[expect(clippy::cast_precision_loss, reason = "counts of 32 bits, ends of 48")]
    pub(crate) fn exceeds(&self, seconds: f64) -> f64 {
        let beyond = |index: &usize| Self::end(*index).min(self.max) as f64 > seconds * 1e9;
        let above: u64 =
            (0..Self::BUCKETS).filter(beyond).map(|i| u64::from(self.buckets[i])).sum();
        (above + 1) as f64 / (self.count() + 1) as f64
    }

    /// Bucket `2 n` holds `2^n ..` microseconds, bucket `2 n + 1` holds `1.5 * 2^n ..`.
    #[inline]
    const fn bucket(span: u64) -> usize {
        let micros = span / 1000;
        if micros < 2 {
            return 0;
        }
        // The two leading bits are 2 or 3: the lower or the upper half.
        let shift = micros.ilog2() - 1;
        let index = (micros >> shift) as usize + 2 * shift as usize;
        if index < Self::BUCKETS { index } else { Self::BUCKETS - 1 }
    }

    /// The last nanosecond of a bucket. The last one is open.
    const fn end(index: usize) -> u64 {
        if index == Self::BUCKETS - 1 {
            return u64::MAX;
        }
        let power = index as u32 / 2;
        let halves = if index % 2 == 0 { 3 } else { 4 };
        // The bucket of 0 and 1 microsecond has no halves.
        let micros = if power == 0 { 2 } else { halves << (power - 1) };
        micros * 1000 - 1
    }
}
