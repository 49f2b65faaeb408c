//! [`Lateness`]: what the equal-hazard margin learns of one link, and the margin it makes of that.
//! Integers only: the same on every target.

/// A lateness is kept in 2^-14 periods; its square in 2^-28.
const FRACTION: u32 = 14;
const ONE: u64 = 1 << FRACTION;

/// How many beats the level rises and falls over, and the spread is averaged over.
const RISE: u32 = 64;
const FALL: u32 = 16;
const SPREAD: u32 = 64;
/// More periods than this a beat counts as late as this: it was lost, or the link was down.
const LATEST: i64 = 3;
/// A beat that is so many periods ahead of the level: the path, or a clock, is another one.
const TOO_EARLY: i64 = 8;
/// The spread is at least a hundredth of a period; and the `n`-th part of one after `n` beats, which
/// prove nothing of what is rarer.
const CALM: u32 = 100;
/// If for so many periods each of at least half as many beats was above the level, they are right.
const STANDING: u64 = 32;

/// The level of the delay and the spread of the lateness above it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lateness {
    /// The level of the delay, relative to the delay of the newest beat, in nanoseconds: negative
    /// if that was late.
    level: i64,
    /// The mean square of the lateness, in 2^-28 squared periods.
    square: u64,
    /// Beats that taught, up to [`CALM`].
    lessons: u32,
    /// How many beats came in the present stretch of [`STANDING`] periods.
    standing: u32,
    /// The least delay among them, relative to that of the newest beat.
    least: i64,
    /// How long the stretch has lasted until the newest beat, in nanoseconds.
    stretch: u64,
}

impl Lateness {
    /// A beat, `gap` after the one before it, was `slower` under way than that one.
    pub(crate) fn hear(&mut self, period: i64, gap: u64, slower: i64, teaches: bool) {
        let late = nanos(gap).saturating_sub(period).saturating_sub(self.level);
        self.level = self.level.saturating_sub(slower);
        self.least = self.least.saturating_sub(slower);
        self.stretch = self.stretch.saturating_add(gap);
        if !teaches {
            return;
        }
        if self.lessons == 0 {
            (self.level, self.least, self.lessons, self.standing) = (0, 0, 1, 1);
            return;
        }
        self.spread(late, period);
        self.lessons = (self.lessons + 1).min(CALM);
        self.follow(period);
        self.stand(period);
    }

    /// A running mean that becomes an exponential average.
    fn spread(&mut self, late: i64, period: i64) {
        let late = late.clamp(0, period.saturating_mul(LATEST)) as u64;
        let late = ratio(late, period as u64);
        let n = u64::from(self.lessons.min(SPREAD));
        self.square = self.square - self.square / n + late * late / n;
    }

    /// Slow up, and by a few periods at most, so that a queue that drains after an outage is not
    /// taken for the path; fast down.
    fn follow(&mut self, period: i64) {
        if self.level > period.saturating_mul(TOO_EARLY) {
            self.level = 0;
        } else if self.level > 0 {
            self.level -= self.level / i64::from(self.lessons.min(FALL));
        } else {
            let above = self.level.saturating_neg().min(period.saturating_mul(LATEST));
            self.level += above / i64::from(self.lessons.min(RISE));
        }
    }

    /// In a drained queue the delay falls within moments; one that stands is the path's.
    fn stand(&mut self, period: i64) {
        if self.stretch < (period as u64).saturating_mul(STANDING) {
            self.least = self.least.min(0);
            self.standing = self.standing.saturating_add(1);
            return;
        }
        if u64::from(self.standing) >= STANDING / 2 {
            self.level = self.level.max(self.least);
        }
        (self.stretch, self.least, self.standing) = (0, 0, 1);
    }

    /// `a * sqrt(period * spread)`, with `a` in hundredths.
    pub(crate) fn margin(&self, period: i64, hundredths: u32) -> i64 {
        let floor = ONE / u64::from(self.lessons.max(1));
        let spread = self.square.max(floor * floor).isqrt();
        let root = (spread << FRACTION).isqrt();
        let margin = i128::from(period) * i128::from(root) * i128::from(hundredths);
        i64::try_from(margin / (100 << FRACTION)).unwrap_or(i64::MAX)
    }

    /// How long after the newest beat trust ends: a margin after the next one is expected, where a
    /// late beat puts that off by what it was late, up to two margins.
    pub(crate) fn patience(&self, period: i64, margin: i64) -> i64 {
        let late = self.level.saturating_neg().max(0);
        let stale = self.level.saturating_add(late.min(margin.saturating_mul(2)));
        period.saturating_add(margin).saturating_add(stale)
    }
}

/// `span / period` in 2^-14, for a span of few periods.
fn ratio(span: u64, period: u64) -> u64 {
    ((u128::from(span) << FRACTION) / u128::from(period.max(1))) as u64
}

/// Spans of centuries are as good as endless.
pub(crate) fn nanos(span: u64) -> i64 {
    i64::try_from(span).unwrap_or(i64::MAX)
}
