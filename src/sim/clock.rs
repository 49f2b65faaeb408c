//! The clock of a node: it runs a little wrong, stands still, and is stepped.

/// Local time as a function of the world's: a line through an anchor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    real: u64,
    local: u64,
    /// Parts per million by which it is fast, or slow if negative.
    ppm: i32,
}

const MILLION: u64 = 1_000_000;

impl Clock {
    pub(crate) const fn new(local: u64) -> Self {
        Self { real: 0, local, ppm: 0 }
    }

    /// What it shows at `real`, which does not lie before the last change.
    #[inline]
    pub(crate) const fn local(&self, real: u64) -> u64 {
        let passed = real - self.real;
        if self.ppm == 0 {
            return self.local.saturating_add(passed);
        }
        let error = scale(passed, self.ppm.unsigned_abs() as u64, MILLION);
        self.local.saturating_add(if self.ppm < 0 { passed - error } else { passed + error })
    }

    /// The first moment at which it shows `local` or more; not before the last change.
    #[inline]
    pub(crate) fn real(&self, local: u64) -> u64 {
        let ahead = local.saturating_sub(self.local);
        if self.ppm == 0 {
            return self.real.saturating_add(ahead);
        }
        // Near the solution; the error is rounded, so the last nanoseconds are found by looking.
        let rate = MILLION.saturating_add_signed(i64::from(self.ppm));
        let mut real = self.real.saturating_add(scale(ahead, MILLION, rate));
        while self.local(real) < local {
            real += 1;
        }
        while real > self.real && self.local(real - 1) >= local {
            real -= 1;
        }
        real
    }

    /// From now on it is fast by `ppm` parts per million.
    pub(crate) const fn set_ppm(&mut self, real: u64, ppm: i32) {
        *self = Self { real, local: self.local(real), ppm };
    }

    /// It jumps.
    pub(crate) const fn step(&mut self, real: u64, by: i64) {
        let local = self.local(real).saturating_add_signed(by);
        *self = Self { real, local, ppm: self.ppm };
    }
}

/// `value * by / of`, rounded down.
const fn scale(value: u64, by: u64, of: u64) -> u64 {
    match value.checked_mul(by) {
        Some(product) => product / of,
        None => (value as u128 * by as u128 / of as u128) as u64,
    }
}
