//! [`Work`]: what there is to do, the same for every structure.

use clap::ValueEnum;

/// The driver's step, and the fleet's: the longest power of two of nanoseconds below 10 ms.
pub(crate) const STEP: u64 = 1 << 23;

const MS: u64 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// We ping; intervals differ from peer to peer, and are jittered by a tenth.
    General,
    /// We ping; one interval for all, no jitter.
    Uniform,
    /// The peers beat, in an order that is new each time; three beats may be missed.
    Passive,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) mode: Mode,
    pub(crate) peers: u32,
    /// Between two pings or beats; in general mode about the mean of it.
    pub(crate) interval: u64,
    /// The time a pong may take.
    pub(crate) window: u64,
    /// The silence that convicts.
    pub(crate) timeout: u64,
}

impl Work {
    /// 30 s; at small sizes less, so that a step has about 28 pings or beats there too.
    pub(crate) fn new(mode: Mode, peers: u32) -> Self {
        let interval = match peers {
            ..10_000 => 300 * MS,
            10_000..100_000 => 3_000 * MS,
            _ => 30_000 * MS,
        };
        let window = (interval / 3 * 2).max(250 * MS);
        let timeout = if mode == Mode::Passive { 3 * interval } else { interval + 3 * window };
        Self { mode, peers, interval, window, timeout }
    }

    /// Different intervals.
    pub(crate) const CLASSES: u32 = 16;

    /// The longest interval of a class: from three quarters to five quarters of the mean.
    pub(crate) fn class_interval(&self, class: u32) -> u64 {
        match self.mode {
            Mode::General => self.interval / 4 * 3 + self.interval / 2 * u64::from(class) / 15,
            _ => self.interval,
        }
    }

    /// The interval with which as many pings are sent.
    pub(crate) fn mean_interval(&self) -> u64 {
        let pings = |class| 1.0 / self.class_interval(class) as f64;
        let rate = (0..self.classes()).map(pings).sum::<f64>() / f64::from(self.classes());
        ((1.0 - f64::from(self.jitter_percent()) / 200.0) / rate) as u64
    }

    pub(crate) const fn jitter_percent(&self) -> u8 {
        if matches!(self.mode, Mode::General) { 10 } else { 0 }
    }

    pub(crate) fn classes(&self) -> u32 {
        if self.mode == Mode::General { Self::CLASSES } else { 1 }
    }

    /// From the ping planned at `plan` to the next.
    #[inline]
    pub(crate) fn next_interval(&self, peer: u32, plan: u64) -> u64 {
        match self.mode {
            Mode::General => {
                let longest = self.class_interval(peer % Self::CLASSES);
                longest - share(longest / 10, plan ^ u64::from(peer))
            }
            _ => self.interval,
        }
    }

    /// When a peer is first due.
    pub(crate) fn first(&self, peer: u32) -> u64 {
        if self.mode == Mode::Passive {
            // After the first beat, and not all at the same time.
            let soonest = self.interval / 10 * 11;
            return soonest + share(self.timeout - soonest, u64::from(peer));
        }
        let longest = self.class_interval(peer % Self::CLASSES);
        let shortest = longest - longest / 100 * u64::from(self.jitter_percent());
        share(shortest, u64::from(peer))
    }

    /// Until all is as it will stay.
    pub(crate) fn warm_up(&self) -> u64 {
        let spans = if self.mode == Mode::Passive { 4 } else { 2 };
        (spans * self.interval).div_ceil(STEP)
    }

    /// How many steps later the pong of the `n`th ping comes: 8 to 201 ms. `None`: it is lost.
    pub(crate) fn answer(&self, n: u64) -> Option<usize> {
        let draw = mix(n);
        let lost = (draw >> 32).is_multiple_of(1000);
        (!lost).then_some(1 + (draw as u32 % 24) as usize)
    }
}

/// In `0..span`.
#[inline]
pub(crate) fn share(span: u64, of: u64) -> u64 {
    ((u128::from(span) * u128::from(mix(of))) >> 64) as u64
}

/// The finaliser of `SplitMix64`.
#[inline]
pub(crate) const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// In a random order.
pub(crate) fn shuffle<T>(items: &mut [T], seed: u64) {
    for last in (1..items.len()).rev() {
        items.swap(last, share(last as u64 + 1, seed ^ (last as u64) << 32) as usize);
    }
}
