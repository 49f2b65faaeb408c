//! The only source of chance: `SplitMix64`. Its numbers must be the same for ever, which no
//! library's generator promises, and the crate has its finaliser already.

use crate::jitter::mix;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for a part of the run, so that parts do not disturb each other.
    pub(crate) const fn part(seed: u64, part: u64) -> Self {
        Self(mix(seed ^ mix(part)))
    }

    #[inline]
    pub(crate) const fn next(&mut self) -> u64 {
        let word = mix(self.0);
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        word
    }

    /// A number in `0..limit`; 0 if `limit` is 0.
    #[inline]
    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        scaled(self.next(), limit)
    }

    /// A number in `least..=most`.
    pub(crate) const fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least).saturating_add(1))
    }

    /// A number in `least..=most` whose magnitude is drawn first: short spans are as likely as long
    /// ones.
    pub(crate) const fn span(&mut self, least: u64, most: u64) -> u64 {
        let (low, high) = ((least | 1).ilog2() as u64, (most | 1).ilog2() as u64);
        let magnitude = 1 << self.between(low, high);
        let drawn = self.between(magnitude, 2 * magnitude - 1);
        if drawn < least {
            least
        } else if drawn > most {
            most
        } else {
            drawn
        }
    }

    pub(crate) const fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A 64-bit word brought into `0..limit`.
#[inline]
pub(crate) const fn scaled(word: u64, limit: u64) -> u64 {
    ((word as u128 * limit as u128) >> 64) as u64
}
