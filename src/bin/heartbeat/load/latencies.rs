//! [`Latencies`]: how long something took, as a distribution.

use core::fmt;
use core::time::Duration;

use hdrhistogram::{CreationError, Histogram};

/// Microseconds, to three digits.
#[derive(Clone)]
pub(super) struct Latencies(Histogram<u64>);

/// Up to three hours; longer ones count as that.
const LONGEST: u64 = 3 * 3_600 * 1_000_000;

/// The percentiles that are shown.
pub(super) const PERCENTILES: [(&str, f64); 5] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0)];

impl Latencies {
    pub(super) fn new() -> Result<Self, CreationError> {
        Histogram::new_with_max(LONGEST, 3).map(Self)
    }

    pub(super) fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len()
    }

    /// The [`PERCENTILES`], if there is anything.
    pub(super) fn percentiles(&self) -> Option<[Duration; 5]> {
        let most = self.0.max();
        let value = |percent| self.0.value_at_percentile(percent).min(most);
        let all = PERCENTILES.map(|(_, percent)| Duration::from_micros(value(percent)));
        (self.len() > 0).then_some(all)
    }

    #[cfg(test)]
    pub(super) fn range(&self) -> (Duration, Duration) {
        (Duration::from_micros(self.0.min()), Duration::from_micros(self.0.max()))
    }
}

/// And not thousands of counts.
impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.len(), self.percentiles())
    }
}
