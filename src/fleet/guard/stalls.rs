//! [`Stalls`]: when the caller was away, which counts against nobody (rule GD8).

/// So many stalls are remembered, besides the newest.
const REMEMBERED: usize = 7;

/// From a window after a wake-up until the call that was late. Empty: there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Stall {
    from: u64,
    to: u64,
}

impl Stall {
    const fn len(&self) -> u64 {
        self.to - self.from
    }

    /// How much of it lies in this time.
    fn within(&self, from: u64, to: u64) -> u64 {
        self.to.min(to).saturating_sub(self.from.max(from))
    }
}

/// Disjoint, since each begins a window after the one before has ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stalls {
    newest: Stall,
    older: [Stall; REMEMBERED],
    /// When the one before the newest ended, remembered or not.
    before: u64,
}

impl Stalls {
    /// A call came at `now`, more than a window after a wake-up at `due`. Whether it is another stall
    /// than the newest one, which may still be worked off. Stalls since which more than `lasting` was
    /// counted matter to nobody.
    pub(super) fn late(&mut self, due: u64, window: u64, now: u64, lasting: u64) -> bool {
        let from = due.saturating_add(window);
        if due > self.newest.to {
            self.remember(self.newest, from, lasting);
            self.before = self.newest.to;
            self.newest = Stall { from, to: now };
            return true;
        }
        if due > self.before {
            self.newest.from = self.newest.from.min(from); // The first to be called was not the first due.
        }
        false
    }

    /// In the place of the shortest, or of one that matters no more.
    fn remember(&mut self, stall: Stall, until: u64, lasting: u64) {
        for at in 0..REMEMBERED {
            if self.counted(self.older[at].to, until) > lasting {
                self.older[at] = Stall::default();
            }
        }
        let shortest = self.older.iter_mut().min_by_key(|old| old.len());
        if let Some(old) = shortest.filter(|old| old.len() <= stall.len()) {
            *old = stall;
        }
    }

    /// The time from one to the other, without stalls.
    pub(super) fn counted(&self, from: u64, to: u64) -> u64 {
        let away = |stall: &Stall| stall.within(from, to);
        let stalls: u64 = self.older.iter().map(away).sum();
        to.saturating_sub(from) - stalls - away(&self.newest)
    }
}
