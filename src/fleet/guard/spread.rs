//! [`Bucket`]: at most so many verdicts in a time (rule GD7).

/// A token bucket (GCRA). Its burst is what it lets through in one window: whoever is refused comes
/// again a window later, and then a whole window's worth must get through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    /// When it is full again.
    full: u64,
}

impl Bucket {
    /// One verdict each `gap`, and those that a `window` leaves over.
    pub(super) fn admits(&mut self, gap: u64, window: u64, now: u64) -> bool {
        let admitted = self.full <= now.saturating_add(window);
        if admitted {
            self.full = self.full.max(now).saturating_add(gap);
        }
        admitted
    }
}
