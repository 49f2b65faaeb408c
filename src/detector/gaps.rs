//! [`Gaps`]: the last intervals between beats, with exact mean and deviation.

use super::Beat;
use super::formula::WARM_UP;
use super::window::Window;

/// The last `N` gaps between arrivals. Sum and sum of squares are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Gaps<const N: usize> {
    window: Window<N>,
    squares: i128,
}

/// A gap of more than two days counts as that: its square, 65536 times, still fits.
const LONGEST: i64 = 1 << 48;

impl<const N: usize> Gaps<N> {
    /// Records the gap before a beat that teaches, unless it is longer than `most` periods.
    pub(crate) fn hear(&mut self, beat: &Beat, most: Option<u32>) {
        let limit = most.map_or(u64::MAX, |most| beat.period_nanos.saturating_mul(most.into()));
        if beat.teaches && beat.gap_nanos <= limit {
            let gap = sample(beat);
            let fallen = self.window.push(gap).unwrap_or(0);
            self.squares += i128::from(gap).pow(2) - i128::from(fallen).pow(2);
        }
    }

    /// Whether there are too few for an estimate.
    pub(crate) const fn are_few(&self) -> bool {
        self.window.len() < WARM_UP && !self.window.is_full()
    }

    /// 0 if there are none.
    #[expect(clippy::cast_precision_loss, reason = "the last step, of exact integers")]
    pub(crate) const fn mean(&self) -> f64 {
        match self.window.len() {
            0 => 0.0,
            count => self.window.sum() as f64 / count as f64,
        }
    }

    /// The standard deviation of these gaps (not an estimate for all that could be: the divisor is
    /// their number); 0 if there are none.
    #[expect(clippy::cast_precision_loss, reason = "the last step, of exact integers")]
    pub(crate) fn deviation(&self) -> f64 {
        match self.window.len() as i128 {
            0 => 0.0,
            count => {
                let spread = self.squares * count - self.window.sum().pow(2);
                libm::sqrt(spread as f64) / count as f64
            }
        }
    }
}

/// The gap before a beat, as a sample.
pub(crate) fn sample(beat: &Beat) -> i64 {
    i64::try_from(beat.gap_nanos).unwrap_or(LONGEST).min(LONGEST)
}
