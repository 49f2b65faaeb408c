//! [`Ranked`]: the last gaps in order of size, for quantiles.

use super::Beat;
use super::formula::WARM_UP;
use super::gaps;
use super::window::Window;

/// The last `N` gaps between arrivals, each as what it was longer than the period that was promised
/// then, and their ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ranked<const N: usize> {
    window: Window<N>,
    /// Where in the window each lies, the smallest first.
    slots: [u16; N],
    period: u64,
}

impl<const N: usize> Default for Ranked<N> {
    fn default() -> Self {
        Self { window: Window::default(), slots: [0; N], period: 0 }
    }
}

impl<const N: usize> Ranked<N> {
    /// Records the gap before a beat that teaches.
    pub(crate) fn hear(&mut self, beat: &Beat) {
        self.period = beat.period_nanos;
        if beat.teaches {
            self.push(gaps::excess(beat));
        }
    }

    fn push(&mut self, excess: i64) {
        let slot = self.window.next_slot() as u16;
        let mut len = self.window.len();
        if self.window.is_full() {
            let fallen = self.slots.iter().position(|&other| other == slot).unwrap_or(0);
            self.slots.copy_within(fallen + 1.., fallen);
            len -= 1;
        }
        let rank =
            self.slots[..len].partition_point(|&other| self.window.at(other.into()) <= excess);
        self.slots.copy_within(rank..len, rank + 1);
        self.slots[rank] = slot;
        self.window.push(excess);
    }

    /// Whether there are too few for an estimate.
    pub(crate) const fn are_few(&self) -> bool {
        self.window.is_short_of(WARM_UP)
    }

    /// The gap at this share of the ranks, 0 to 1, linear between two, at the present period; that
    /// period if there are none.
    #[expect(clippy::cast_precision_loss, reason = "gaps are below 2^53 ns")]
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let period = self.period as f64;
        let Some(last) = self.window.len().checked_sub(1) else { return period };
        let excess = |rank: usize| self.window.at(self.slots[rank.min(last)].into()) as f64;
        let rank = share * last as f64;
        let below = libm::floor(rank);
        let (low, high) = (excess(below as usize), excess(below as usize + 1));
        period + low + (high - low) * (rank - below)
    }
}
