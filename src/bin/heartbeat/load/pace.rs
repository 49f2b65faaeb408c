//! [`Pace`]: so many events, evenly over a span.

use core::time::Duration;

use heartbeat_proto::Timestamp;

/// Events that are still to come, each in the middle of its share of the span. Exact however many
/// there are: each moment is computed from the begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    begin: Timestamp,
    span: Duration,
    of: u64,
    done: u64,
}

impl Pace {
    /// `of` events within `span`. Of none there is none.
    pub(super) const fn new(begin: Timestamp, span: Duration, of: u64) -> Self {
        Self { begin, span, of, done: 0 }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        if self.done >= self.of {
            return None;
        }
        // Below 2^64 * 2^33: it fits. Not beyond the span, whose nanoseconds fit 64 bits here.
        let middle = 2 * u128::from(self.done) + 1;
        let span = self.span.as_nanos() * middle / (2 * u128::from(self.of));
        Some(self.begin.saturating_add(Duration::from_nanos(span as u64)))
    }

    /// Takes the next one if it is due: its number, from 0.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<u64> {
        self.next().filter(|&at| at <= now)?;
        self.done += 1;
        Some(self.done - 1)
    }

    /// The same number again, within the span that follows.
    pub(super) const fn again(self) -> Self {
        Self::new(self.begin.saturating_add(self.span), self.span, self.of)
    }

    pub(super) const fn done(&self) -> u64 {
        self.done
    }

    pub(super) const fn is_over(&self) -> bool {
        self.done >= self.of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_spread_evenly() {
        let at = |millis| Timestamp::EPOCH.saturating_add(Duration::from_millis(millis));
        let mut pace = Pace::new(at(100), Duration::from_millis(900), 3);
        for (number, due) in [250, 550, 850].into_iter().enumerate() {
            assert_eq!(pace.next(), Some(at(due)));
            assert_eq!(pace.take(at(due - 1)), None);
            assert_eq!(pace.take(at(due)), Some(number as u64));
        }
        assert_eq!((pace.next(), pace.take(at(9_999)), pace.is_over()), (None, None, true));
        assert!(Pace::new(at(0), Duration::ZERO, 0).is_over());
    }
}
