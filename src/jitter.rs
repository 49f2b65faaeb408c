//! Seeded, replayable jitter: a hash instead of a random number generator.

/// A span in `0..span`, decided by the connection's epoch and the number `k` of the slot.
#[inline]
pub(crate) const fn share(span: u64, epoch: u32, k: u32) -> u64 {
    part(span, (mix(((epoch as u64) << 32) | k as u64) >> 32) as u32)
}

/// A span in `0..span`: as much of it as `draw` is of 2^32.
#[inline]
pub(crate) const fn part(span: u64, draw: u32) -> u64 {
    // Multiply and shift instead of a modulus: unbiased to 2^-32 and without a division.
    ((span as u128 * draw as u128) >> 32) as u64
}

/// The epoch that a seed leads to: all 64 bits of the seed count.
pub(crate) const fn epoch(seed: u64) -> u32 {
    (mix(seed) >> 32) as u32
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014): every input bit changes every
/// output bit with a probability of about one half.
pub(crate) const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
