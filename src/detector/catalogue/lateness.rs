//! [`Lateness`]: what the equal-hazard margin learns of one link, and the patience it makes of that.
//! Integers, and floats with operations that IEEE 754 rounds exactly: the same on every target.

use super::bits::ParameterError;

/// The knob of the equal-hazard margin, in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Patience(u32);

impl Default for Patience {
    fn default() -> Self {
        Self(400)
    }
}

impl Patience {
    const LEAST: f64 = 0.01;
    const MOST: f64 = 1000.0;

    pub(crate) const fn new(patience: f64) -> Result<Self, ParameterError> {
        if patience >= Self::LEAST && patience <= Self::MOST {
            Ok(Self((patience * 100.0 + 0.5) as u32))
        } else {
            let (least, most) = (Self::LEAST, Self::MOST);
            Err(ParameterError { name: "patience", found: patience, least, most })
        }
    }

    fn get(self) -> f64 {
        f64::from(self.0) * 0.01
    }
}

/// Over how many beats the level rises and falls, and the spread is averaged.
const RISE: u8 = 64;
const FALL: u8 = 16;
const SPREAD: u8 = 64;
/// A beat that is more periods late than this was lost or waited out an outage: it counts as this
/// late.
const LATEST: i64 = 3;
/// A beat that is so many periods ahead of the level: the path, or a clock, is another one.
const TOO_EARLY: i64 = 8;
/// So many beats in a row, each later than [`LATEST`]: the same.
const TOO_LATE: u8 = 16;
/// This share of the patience is the least spread, in periods.
const RARE: f64 = 1.0 / 300.0;

/// The level of the delay, and the spread of the lateness against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lateness {
    /// The level less the delay of the newest beat, in nanoseconds: negative if that was late.
    pub(crate) ahead: i64,
    /// The mean square of the lateness, in squared periods, at most `LATEST` squared: the bits of
    /// an `f64`.
    pub(crate) square: u64,
    /// Beats that taught; it stops at 255.
    pub(crate) lessons: u8,
    /// How many in a row were later than `LATEST`.
    pub(crate) stale: u8,
}

/// A beat, as it stands to those before it. Spans are in nanoseconds.
pub(crate) struct Arrival {
    /// 1 to [`ENDLESS`].
    pub(crate) period: i64,
    /// How long after it was expected it arrived.
    pub(crate) late: i64,
    /// The level before it, less its delay.
    pub(crate) ahead: i64,
    /// Less than half a period passed since the last evidence: it may have waited in a queue.
    pub(crate) in_burst: bool,
    pub(crate) teaches: bool,
}

impl Lateness {
    /// Rule DT21.
    #[inline]
    pub(crate) fn hear(&mut self, beat: &Arrival) {
        self.ahead = beat.ahead;
        if beat.ahead > beat.period * TOO_EARLY {
            self.ahead = 0;
        }
        if !beat.teaches {
            return;
        }
        self.lessons = self.lessons.saturating_add(1);
        if self.lessons == 1 {
            self.ahead = 0;
            return;
        }
        self.spread(beat.late, beat.period);
        self.follow(beat.period * LATEST, beat.in_burst);
    }

    /// A mean of all lessons at first, then of about the last [`SPREAD`].
    #[inline]
    fn spread(&mut self, late: i64, period: i64) {
        let late = float(late.clamp(0, period * LATEST)) / float(period);
        let gain = 1.0 / f64::from((self.lessons - 1).min(SPREAD));
        let square = f64::from_bits(self.square) * (1.0 - gain) + late * late * gain;
        self.square = square.to_bits();
    }

    /// Fast down; slow up, and by a few periods at most: the delays of a queue that drains after an
    /// outage are not the path's. If they stay, they are.
    #[inline]
    fn follow(&mut self, latest: i64, in_burst: bool) {
        if self.ahead >= -latest {
            self.stale = 0;
            // Without a branch: one of both is 0, and which cannot be foretold.
            let (early, late) = (self.ahead.max(0), self.ahead.min(0));
            self.ahead += share::<FALL>(-early, self.lessons) - share::<RISE>(late, self.lessons);
            return;
        }
        self.stale = straying(self.stale, in_burst);
        if self.stale == TOO_LATE {
            (self.stale, self.ahead) = (0, 0);
        } else {
            self.ahead -= share::<RISE>(-latest, self.lessons);
        }
    }

    /// `a * sqrt(period * spread)` (rule DT22).
    #[inline]
    pub(crate) fn margin(&self, period: i64, patience: Patience) -> i64 {
        let rare = greater(patience.get() * RARE, 1.0 / f64::from(self.lessons.max(1)));
        let square = greater(f64::from_bits(self.square), rare * rare);
        let root = libm::sqrt(libm::sqrt(square));
        whole(lesser(patience.get() * float(period), float(ENDLESS)) * root)
    }

    /// How long after the newest beat was expected trust ends (rule DT23): before it came, if it
    /// came too late to be trusted.
    #[inline]
    pub(crate) fn patience(&self, period: i64, margin: i64) -> i64 {
        let late = self.ahead.min(0);
        if late + margin >= 0 {
            period + margin - late
        } else if late + 2 * margin >= 0 {
            period + 2 * margin
        } else {
            late.saturating_neg().clamp(2, ENDLESS) - 1
        }
    }
}

/// How many in a row, with this one.
#[cold]
fn straying(stale: u8, in_burst: bool) -> u8 {
    stale + u8::from(!in_burst)
}

/// The `n`-th part of a span of few periods that is not positive, rounded away from 0: so the level
/// arrives in the end. The usual `n` is a constant, and its division a shift.
#[inline]
const fn share<const USUAL: u8>(span: i64, n: u8) -> i64 {
    if n < USUAL { span.div_euclid(n as i64) } else { span >> USUAL.ilog2() }
}

/// In one instruction; `a` is a number.
const fn lesser(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

/// In one instruction; `a` is a number.
const fn greater(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// The longest period, 13 days, and about the longest margin: so that three of them are below 2^52.
pub(crate) const ENDLESS: i64 = 1 << 50;

/// From 1 to [`ENDLESS`].
pub(crate) fn period(nanos: u64) -> i64 {
    signed(nanos.clamp(1, ENDLESS as u64))
}

/// The same bits: so is the difference of two clocks that wrap.
pub(crate) const fn signed(span: u64) -> i64 {
    i64::from_ne_bytes(span.to_ne_bytes())
}

/// Spans of centuries are as good as endless.
pub(crate) fn nanos(span: u64) -> i64 {
    i64::try_from(span).unwrap_or(i64::MAX)
}

/// The last bit of a float of this size is 1. (A processor's own conversions are slower: those of
/// x86 wait for what was in the register before, and for Rust must saturate.)
const UNITS: f64 = f64::from_bits((1023 + 52) << 52);

/// Of an integer from 0 to 2^52.
#[inline]
const fn float(span: i64) -> f64 {
    f64::from_bits(span as u64 | UNITS.to_bits()) - UNITS
}

/// The nearest integer, from 0 to 2^52.
#[inline]
const fn whole(span: f64) -> i64 {
    signed((span + UNITS).to_bits() ^ UNITS.to_bits())
}
