//! [`Delays`]: how long the last beats were under way, compared with each other.

use super::Beat;
use super::formula::WARM_UP;
use super::window::Window;

/// By what the sending times of beats are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Clock {
    /// The peer sends one beat a period, and numbers them.
    Number,
    /// The peer says when it sent, on its own clock; or the round trip is known.
    Stamp,
}

/// A beat that comes so many periods before its time is no swift one: our clock stood still while
/// the peer's ran (a suspended host), the silence was too long to be counted, or the path became
/// shorter by that much. What was learnt before says nothing of the present then (rule DT7).
const TOO_EARLY: i64 = 8;

/// The delays of the last `N` beats. Their origin is arbitrary (two clocks are never compared),
/// and wraps; only differences count. The sum is exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Delays<const N: usize> {
    window: Window<N>,
    /// Of the newest beat, whether or not it taught.
    newest: i64,
}

impl<const N: usize> Delays<N> {
    /// Takes up a beat. Returns by how many nanoseconds it is later than the mean of those before
    /// (0 if there are none); `None`: it does not say when it was sent.
    pub(crate) fn hear(&mut self, clock: Clock, beat: &Beat) -> Option<f64> {
        let slower = match clock {
            Clock::Stamp => beat.slower_nanos?,
            Clock::Number => {
                let due = beat.period_nanos.saturating_mul(beat.steps.into());
                nanos(beat.gap_nanos).saturating_sub(nanos(due))
            }
        };
        self.newest = self.newest.wrapping_add(slower);
        let period = nanos(beat.period_nanos);
        if slower.saturating_add(period.saturating_mul(TOO_EARLY)) < 0 {
            self.window = Window::default();
        }
        let later = -self.mean();
        if beat.teaches {
            self.window.push(self.newest);
        }
        Some(later)
    }

    /// Whether there are too few for an estimate.
    pub(crate) const fn are_few(&self) -> bool {
        self.window.is_short_of(WARM_UP)
    }

    /// Their mean, seen from the newest beat; 0 if there are none.
    #[expect(clippy::cast_precision_loss, reason = "the last step, of an exact integer")]
    pub(crate) const fn mean(&self) -> f64 {
        let count = self.window.len();
        if count == 0 {
            return 0.0;
        }
        let sum = self.window.sum() - self.newest as i128 * count as i128;
        sum as f64 / count as f64
    }

    /// The mean of the last `n`, seen from the newest beat; 0 if there are none.
    #[expect(clippy::cast_precision_loss, reason = "the last step, of an exact integer")]
    pub(crate) fn mean_of(&self, n: usize) -> f64 {
        let delays = self.window.newest().take(n);
        let (sum, count) = delays.fold((0, 0_u32), |(sum, count), delay| {
            (sum + i128::from(delay) - i128::from(self.newest), count + 1)
        });
        if count == 0 { 0.0 } else { sum as f64 / f64::from(count) }
    }
}

/// Spans of centuries are as good as endless.
fn nanos(span: u64) -> i64 {
    i64::try_from(span).unwrap_or(i64::MAX)
}
