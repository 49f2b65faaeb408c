//! [`Window`]: the last `N` samples and their sum, exact.

/// A ring of the last `N` samples, in nanoseconds, with their running sum. Integers: nothing is
/// rounded, so that no error grows however long it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Window<const N: usize> {
    samples: [i64; N],
    /// Where the next sample goes.
    next: u32,
    len: u32,
    sum: i128,
}

impl<const N: usize> Default for Window<N> {
    fn default() -> Self {
        const { assert!(N > 0 && N <= 1 << 16, "a window holds 1 to 65536 samples") };
        Self { samples: [0; N], next: 0, len: 0, sum: 0 }
    }
}

impl<const N: usize> Window<N> {
    /// Returns the sample that fell out, if the window was full.
    pub(crate) const fn push(&mut self, sample: i64) -> Option<i64> {
        let slot = self.next as usize;
        let fallen = if self.is_full() { Some(self.samples[slot]) } else { None };
        self.sum += sample as i128;
        match fallen {
            Some(old) => self.sum -= old as i128,
            None => self.len += 1,
        }
        self.samples[slot] = sample;
        self.next = if slot + 1 == N { 0 } else { self.next + 1 };
        fallen
    }

    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.len() == N
    }

    /// Whether it holds fewer than so many, and could hold more.
    pub(crate) const fn is_short_of(&self, enough: usize) -> bool {
        self.len() < enough && !self.is_full()
    }

    pub(crate) const fn sum(&self) -> i128 {
        self.sum
    }

    /// Where the next sample goes.
    pub(crate) const fn next_slot(&self) -> usize {
        self.next as usize
    }

    /// What lies there, if it was ever pushed.
    pub(crate) const fn at(&self, slot: usize) -> i64 {
        self.samples[slot]
    }

    /// The samples, the newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = i64> {
        let (newer, older) = self.samples.split_at(self.next as usize);
        newer.iter().rev().chain(older.iter().rev()).copied().take(self.len())
    }
}
