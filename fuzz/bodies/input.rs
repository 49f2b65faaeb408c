//! Bytes as a script: one byte says much, so that a mutated byte changes one thing.

/// What is left of the input. Past its end everything is zero.
pub struct Input<'a>(pub &'a [u8]);

impl Input<'_> {
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A span of nanoseconds.
    pub fn span(&mut self) -> u64 {
        span(self.byte())
    }

    pub fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, _| word << 8 | u64::from(self.byte()))
    }
}

/// From 0 to 16 s, each power of two in eight steps.
pub const fn span(code: u8) -> u64 {
    let steps = code as u64 & 7;
    match code >> 3 {
        0 => steps,
        power => (8 + steps) << (power - 1),
    }
}
