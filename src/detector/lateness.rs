//! [`Lateness`]: what the equal-hazard margin learns of one link, and the patience it makes of that.
//! Integers only: the same on every target.

/// A lateness is kept in 2^-14 periods, its square in 2^-28.
const FRACTION: u32 = 14;
const ONE: u64 = 1 << FRACTION;

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
/// Hundredths of patience for which the spread counts as at least one period.
const RARE: u64 = 30_000;

/// The level of the delay, and the spread of the lateness against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lateness {
    /// The level less the delay of the newest beat, in nanoseconds: negative if that was late.
    pub(crate) ahead: i64,
    /// The mean square of the lateness, in 2^-28 squared periods; at most `LATEST` squared.
    pub(crate) square: u64,
    /// Beats that taught; it stops at 255.
    pub(crate) lessons: u8,
    /// How many in a row were later than `LATEST`.
    pub(crate) stale: u8,
}

/// A beat, as it stands to those before it. Spans are in nanoseconds.
pub(crate) struct Arrival {
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
    pub(crate) fn hear(&mut self, beat: &Arrival) {
        self.ahead = beat.ahead;
        if beat.ahead > beat.period.saturating_mul(TOO_EARLY) {
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
        let latest = beat.period.saturating_mul(LATEST);
        self.spread(beat.late.clamp(0, latest) as u64, beat.period as u64);
        self.follow(latest, beat.in_burst);
    }

    /// A mean of all lessons at first, then of about the last [`SPREAD`].
    fn spread(&mut self, late: u64, period: u64) {
        let late = ratio(late, period.max(1));
        self.square = match self.lessons - 1 {
            n @ 1..SPREAD => self.square - self.square / u64::from(n) + late * late / u64::from(n),
            _ => self.square - self.square / u64::from(SPREAD) + late * late / u64::from(SPREAD),
        };
    }

    /// Fast down; slow up, and by a few periods at most: the delays of a queue that drains after an
    /// outage are not the path's. If they stay, they are.
    fn follow(&mut self, latest: i64, in_burst: bool) {
        if self.ahead >= 0 {
            self.stale = 0;
            self.ahead -= share::<FALL>(self.ahead, self.lessons);
            return;
        }
        let late = self.ahead.saturating_neg();
        if late <= latest {
            self.stale = 0;
        } else if !in_burst {
            self.stale += 1;
        }
        if self.stale == TOO_LATE {
            (self.stale, self.ahead) = (0, 0);
        } else {
            self.ahead += share::<RISE>(late.min(latest), self.lessons);
        }
    }

    /// `a * sqrt(period * spread)`, with `a` in hundredths (rule DT22).
    pub(crate) fn margin(&self, period: i64, hundredths: u32) -> i64 {
        let rare = ONE * u64::from(hundredths) / RARE;
        let floor = match self.lessons {
            u8::MAX => rare.max(ONE / u64::from(u8::MAX)),
            n => rare.max(ONE / u64::from(n.max(1))),
        };
        let root = root(root(self.square.max(floor * floor)) << FRACTION);
        let times = root * u64::from(hundredths);
        let margin = (u128::from(period as u64) * u128::from(times)) >> FRACTION;
        nanos(u64::try_from(margin).unwrap_or(u64::MAX) / 100)
    }

    /// How long after the newest beat trust ends (rule DT23). Negative: it came too late to be
    /// trusted.
    pub(crate) fn patience(&self, period: i64, margin: i64) -> i64 {
        let late = self.ahead.saturating_neg().max(0);
        let whole = period.saturating_add(margin);
        if late > margin.saturating_mul(2) {
            -1
        } else {
            whole
                .saturating_add(self.ahead.max(0))
                .saturating_sub(late.saturating_sub(margin).max(0))
        }
    }
}

/// `span / period` in 2^-14, for a span of few periods.
fn ratio(span: u64, period: u64) -> u64 {
    if span >> (u64::BITS - FRACTION) == 0 {
        (span << FRACTION) / period
    } else {
        span / (period >> FRACTION) // Days: the lowest bits tell nothing.
    }
}

/// The `n`-th part of a span that is not negative, rounded up: so the level arrives in the end. The
/// usual `n` is a constant, and its division a shift.
fn share<const USUAL: u8>(span: i64, n: u8) -> i64 {
    let span = span as u64;
    nanos(if n < USUAL { span.div_ceil(n.into()) } else { span.div_ceil(USUAL.into()) })
}

/// The root of less than 2^52, rounded down: a processor's own instruction, and exact on all.
#[expect(clippy::cast_precision_loss, reason = "below 2^52")]
pub(crate) fn root(square: u64) -> u64 {
    libm::sqrt(square as f64) as u64
}

/// Spans of centuries are as good as endless.
pub(crate) fn nanos(span: u64) -> i64 {
    i64::try_from(span).unwrap_or(i64::MAX)
}
