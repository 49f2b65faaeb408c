//! [`Policy`]: the delays of the retries, one after the other.

use core::time::Duration;

use crate::config::MAX_SPAN;
use crate::time::nanos;

/// What happens to a delay by chance: it is multiplied by a number that is drawn from a range, with
/// equal chances.
///
/// Without it, clients that lost their server together come back together, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Jitter {
    lo: u16,
    hi: u16,
}

impl Jitter {
    /// Nothing. For a single client, and for tests.
    pub const NONE: Self = Self::permille(1000, 1000);
    /// Between nothing and the delay (AWS: "full jitter"): the best for fleets.
    pub const FULL: Self = Self::permille(0, 1000);
    /// Between half of the delay and the delay (AWS: "equal jitter").
    pub const EQUAL: Self = Self::permille(500, 1000);

    /// Between `lo` and `hi` thousandths of the delay. [`PolicyBuilder::build`] wants
    /// `lo <= hi` and `hi` in 1 to 10 000.
    pub const fn permille(lo: u16, hi: u16) -> Self {
        Self { lo, hi }
    }

    /// The same in percent: `percent(80, 120)` is U(0.8, 1.2). `hi` in 1 to 1 000.
    pub const fn percent(lo: u16, hi: u16) -> Self {
        Self { lo: lo.saturating_mul(10), hi: hi.saturating_mul(10) }
    }
}

/// Why a policy, a budget or a breaker was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum BackoffError {
    /// A span is out of its range.
    #[error("{field} is {found:?} but must be in {least:?}..={most:?}")]
    Span {
        /// The knob.
        field: &'static str,
        /// Its value.
        found: Duration,
        /// The smallest allowed value.
        least: Duration,
        /// The largest allowed value.
        most: Duration,
    },
    /// A number is out of its range.
    #[error("{field} is {found} but must be in {least}..={most}")]
    Number {
        /// The knob.
        field: &'static str,
        /// Its value.
        found: u32,
        /// The smallest allowed value.
        least: u32,
        /// The largest allowed value.
        most: u32,
    },
    /// Retries without delay and without end: a busy loop.
    #[error("immediate retries need a limit: set tries")]
    Endless,
}

/// Zero never means "off".
pub(crate) const fn check_span(
    field: &'static str,
    found: Duration,
    least: Duration,
) -> Result<(), BackoffError> {
    if nanos(found) < nanos(least) || nanos(found) > nanos(MAX_SPAN) {
        return Err(BackoffError::Span { field, found, least, most: MAX_SPAN });
    }
    Ok(())
}

pub(crate) const SHORTEST: Duration = Duration::from_nanos(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shape {
    Never,
    Immediate,
    Constant,
    Linear,
    Exponential,
}

/// When to try again: a delay for each retry, or the end of trying. A checked value, `Copy`.
///
/// Retry `n` (from 0) waits `min(x(n), cap / hi) * U(lo, hi)`, where `x(n)` is `base`,
/// `base * (n + 1)` or `base * 2^n`. So the whole range lies below the cap: clients that have
/// tried for long are still spread, which they would not be if the product were cut at the cap.
/// (Where the product stays below the cap it is the same.) All in integers, nothing overflows.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::backoff::{Jitter, Policy};
///
/// let policy = Policy::exponential(Duration::from_millis(500))
///     .cap(Duration::from_secs(30))
///     .jitter(Jitter::percent(80, 120))
///     .tries(5)
///     .build()?;
/// assert_eq!(policy, Policy::default());
/// assert_eq!(policy.range(3), Some((Duration::from_millis(3200), Duration::from_millis(4800))));
/// assert_eq!(policy.range(5), None);
/// # Ok::<(), heartbeat_proto::backoff::BackoffError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    shape: Shape,
    base: u64,
    cap: u64,
    jitter: Jitter,
    tries: Option<u32>,
}

impl Policy {
    /// No retry at all.
    pub const NEVER: Self =
        Self { shape: Shape::Never, base: 1, cap: 1, jitter: Jitter::NONE, tries: None };

    /// Retries without delay; needs [`tries`](PolicyBuilder::tries). For a cause that one client
    /// has alone.
    pub const fn immediate() -> PolicyBuilder {
        PolicyBuilder::new(Shape::Immediate, SHORTEST)
    }

    /// Always `base`.
    pub const fn constant(base: Duration) -> PolicyBuilder {
        PolicyBuilder::new(Shape::Constant, base)
    }

    /// `base`, twice `base`, three times `base`, ...
    pub const fn linear(base: Duration) -> PolicyBuilder {
        PolicyBuilder::new(Shape::Linear, base)
    }

    /// `base`, then twice as long each time.
    pub const fn exponential(base: Duration) -> PolicyBuilder {
        PolicyBuilder::new(Shape::Exponential, base)
    }

    /// How many retries are allowed in a row; `None`: any number. 0 for [`NEVER`](Self::NEVER).
    pub const fn tries(&self) -> Option<u32> {
        match self.shape {
            Shape::Never => Some(0),
            _ => self.tries,
        }
    }

    /// The shortest and the longest delay of retry `n` (from 0), both possible; `None` if there is
    /// no such retry.
    pub fn range(&self, n: u32) -> Option<(Duration, Duration)> {
        let (low, high) = self.bounds(n)?;
        Some((Duration::from_nanos(low), Duration::from_nanos(high)))
    }

    /// The delay of retry `n` (from 0), with `chance` a number of which all 64 bits are random;
    /// `None` if there is no such retry. [`Backoff`](super::Backoff) counts and draws.
    pub fn delay(&self, n: u32, chance: u64) -> Option<Duration> {
        let (low, high) = self.bounds(n)?;
        let share = (u128::from(high - low + 1) * u128::from(chance)) >> 64;
        Some(Duration::from_nanos(low + share as u64))
    }

    /// BO1. Both ends are at most the cap, which is at most 24 h.
    fn bounds(&self, n: u32) -> Option<(u64, u64)> {
        if self.tries().is_some_and(|tries| n >= tries) {
            return None;
        }
        let grown = match self.shape {
            Shape::Never | Shape::Immediate => 0,
            Shape::Constant => self.base,
            Shape::Linear => self.base.saturating_mul(u64::from(n) + 1),
            Shape::Exponential => self.base.saturating_mul(1u64.checked_shl(n).unwrap_or(u64::MAX)),
        };
        let (lo, hi) = (u64::from(self.jitter.lo), u64::from(self.jitter.hi));
        let span = grown.min(self.cap * 1000 / hi);
        Some((span * lo / 1000, span * hi / 1000))
    }

    /// How many of `clients` make their retry `n` within any span of length `per`: the promise of
    /// rule BO5, whenever they lost their connections, all at once or not, as long as each has its
    /// own seed. 0 if there is no such retry.
    ///
    /// With `w` the width of the delay's [range](Self::range), the mean is `m = clients * per / w`,
    /// and this is `m + 8 * sqrt(m) + 23`, at most `clients`. By Bernstein's inequality a fleet
    /// exceeds it anywhere with a probability below `clients * 2e-14`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use heartbeat_proto::backoff::{Cause, Policies, Policy};
    ///
    /// // A server with 10 000 clients restarts. The first retries of one second:
    /// let second = Duration::from_secs(1);
    /// assert_eq!(Policies::default()[Cause::Goodbye].wave(0, 10_000, second), 1_280);
    /// // ±20 % of half a second is no spread to speak of.
    /// assert_eq!(Policy::default().wave(0, 10_000, second), 10_000);
    /// ```
    pub fn wave(&self, n: u32, clients: u32, per: Duration) -> u32 {
        let Some((low, high)) = self.bounds(n) else { return 0 };
        // Whole nanoseconds, both ends included.
        let (width, per) = (u128::from(high - low + 1), u128::from(nanos(per)) + 1);
        let mean = (u128::from(clients) * per).div_ceil(width);
        // Above all clients the mean says nothing more.
        let mean = mean.min(u128::from(clients)) as u64;
        let root = mean.isqrt() + u64::from(mean.isqrt().pow(2) < mean);
        u32::try_from(mean + 8 * root + 23).unwrap_or(u32::MAX).min(clients)
    }
}

/// 500 ms, doubled each time, up to 30 s, times U(0.8, 1.2); five tries.
impl Default for Policy {
    fn default() -> Self {
        Self {
            shape: Shape::Exponential,
            base: 500_000_000,
            cap: nanos(PolicyBuilder::CAP),
            jitter: PolicyBuilder::JITTER,
            tries: Some(5),
        }
    }
}

/// Collects the knobs of a [`Policy`]; [`build`](Self::build) checks them.
#[must_use = "a builder does nothing until `build`"]
#[derive(Clone, Copy, Debug)]
pub struct PolicyBuilder {
    shape: Shape,
    base: Duration,
    cap: Duration,
    jitter: Jitter,
    tries: Option<u32>,
}

impl PolicyBuilder {
    const CAP: Duration = Duration::from_secs(30);
    const JITTER: Jitter = Jitter::percent(80, 120);

    const fn new(shape: Shape, base: Duration) -> Self {
        let cap = if nanos(base) > nanos(Self::CAP) { base } else { Self::CAP };
        Self { shape, base, cap, jitter: Self::JITTER, tries: None }
    }

    /// The longest delay, jitter included. Default: 30 s, or the base if that is longer. At least
    /// the base, at most 24 h.
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// Default: U(0.8, 1.2).
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// How many retries in a row. Default: any number; at least 1.
    pub const fn tries(mut self, tries: u32) -> Self {
        self.tries = Some(tries);
        self
    }

    /// Checks everything (rule BO3).
    ///
    /// # Errors
    ///
    /// A knob is out of its range, or there is no end to retries without delay.
    pub fn build(self) -> Result<Policy, BackoffError> {
        let Self { shape, base, cap, jitter, tries } = self;
        check_span("base", base, SHORTEST)?;
        check_span("cap", cap, base)?;
        let number = |field, found, least, most| {
            if (least..=most).contains(&found) {
                Ok(())
            } else {
                Err(BackoffError::Number { field, found, least, most })
            }
        };
        number("upper jitter", jitter.hi.into(), 1, 10_000)?;
        number("lower jitter", jitter.lo.into(), 0, jitter.hi.into())?;
        number("tries", tries.unwrap_or(1), 1, u32::MAX)?;
        if shape == Shape::Immediate && tries.is_none() {
            return Err(BackoffError::Endless);
        }
        Ok(Policy { shape, base: nanos(base), cap: nanos(cap), jitter, tries })
    }
}
