//! [`Gaps`]: the last intervals between beats, with exact mean and deviation.

use super::Beat;
use super::formula::WARM_UP;
use super::window::Window;

/// The last `N` gaps between arrivals, each as what it was longer than the period that was promised
/// then: so that a new promise is believed at once (rule DT19). Sum and sum of squares are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Gaps<const N: usize> {
    window: Window<N>,
    squares: i128,
    period: u64,
}

/// A gap that is longer or shorter than the period by more than three days counts as that: the sum
/// of 65536 of its squares still fits.
const FARTHEST: i64 = 1 << 48;

impl<const N: usize> Gaps<N> {
    /// Records the gap before a beat that teaches, unless it is longer than `most` periods.
    pub(crate) fn hear(&mut self, beat: &Beat, most: Option<u32>) {
        self.period = beat.period_nanos;
        let limit = most.map_or(u64::MAX, |most| self.period.saturating_mul(most.into()));
        if beat.teaches && beat.gap_nanos <= limit {
            let excess = excess(beat);
            let fallen = self.window.push(excess).unwrap_or(0);
            self.squares += i128::from(excess).pow(2) - i128::from(fallen).pow(2);
        }
    }

    /// Whether there are too few for an estimate.
    pub(crate) const fn are_few(&self) -> bool {
        self.window.is_short_of(WARM_UP)
    }

    /// The mean gap, at the present period; that period if there are none.
    #[expect(clippy::cast_precision_loss, reason = "the last step, of exact integers")]
    pub(crate) fn mean(&self) -> f64 {
        let count = self.window.len().max(1) as i128;
        (self.window.sum() + i128::from(self.period) * count) as f64 / count as f64
    }

    /// The standard deviation of these gaps (not an estimate for all that could be: the divisor is
    /// their number); 0 if there are none.
    #[expect(clippy::cast_precision_loss, reason = "the last step, of exact integers")]
    pub(crate) fn deviation(&self) -> f64 {
        let count = self.window.len().max(1) as i128;
        let spread = self.squares * count - self.window.sum().pow(2);
        libm::sqrt(spread as f64) / count as f64
    }
}

/// What the gap before a beat is longer than the period.
pub(crate) fn excess(beat: &Beat) -> i64 {
    let excess = i128::from(beat.gap_nanos) - i128::from(beat.period_nanos);
    excess.clamp(-i128::from(FARTHEST), i128::from(FARTHEST)) as i64
}
