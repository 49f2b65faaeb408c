//! [`Link`]: what is known of the network.

use core::fmt;
use core::time::Duration;

use super::QosError;
use crate::histogram::Histogram;

/// Loss and delay of a link, as far as they are known: of one way for [`beats`](super::Qos::beats),
/// of the round trip for [`pings`](super::Qos::pings).
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    loss: f64,
    repeat: f64,
    delay: Delay<'a>,
}

/// What is known of the delay. Spans are seconds.
#[derive(Clone, Copy)]
enum Delay<'a> {
    Known(&'a dyn Fn(f64) -> f64),
    Exponential { mean: f64 },
    Moments { mean: f64, variance: f64 },
    Variance { variance: f64 },
    Measured(&'a Histogram),
}

impl<'a> Link<'a> {
    /// The distribution is known: `exceeds(x)` is the probability that a delay is above `x`
    /// seconds. It must not grow with `x`; what is not in `0.0..=1.0` is taken as the nearer end,
    /// and NaN as 1.
    ///
    /// # Errors
    ///
    /// If `loss` is not in `0.0..1.0`.
    pub fn known(loss: f64, exceeds: &'a dyn Fn(f64) -> f64) -> Result<Self, QosError> {
        Self::new(loss, Delay::Known(exceeds))
    }

    /// The delay is distributed exponentially around `mean`: the example of the paper.
    ///
    /// # Errors
    ///
    /// If `loss` is not in `0.0..1.0`.
    pub fn exponential(loss: f64, mean: Duration) -> Result<Self, QosError> {
        Self::new(loss, Delay::Exponential { mean: mean.as_secs_f64() })
    }

    /// Only the mean and the standard deviation of the delay are known. The one-sided inequality of
    /// Cantelli holds whatever the distribution is: `Pr(D > E + x) <= V / (V + x^2)`.
    ///
    /// # Errors
    ///
    /// If `loss` is not in `0.0..1.0`.
    pub fn moments(loss: f64, mean: Duration, deviation: Duration) -> Result<Self, QosError> {
        let (mean, deviation) = (mean.as_secs_f64(), deviation.as_secs_f64());
        Self::new(loss, Delay::Moments { mean, variance: deviation * deviation })
    }

    /// Only the standard deviation of the delay is known, as where the clocks are not synchronised.
    /// Delays are then meant beyond the unknown mean.
    ///
    /// # Errors
    ///
    /// If `loss` is not in `0.0..1.0`.
    pub fn variance(loss: f64, deviation: Duration) -> Result<Self, QosError> {
        let deviation = deviation.as_secs_f64();
        Self::new(loss, Delay::Variance { variance: deviation * deviation })
    }

    /// The delays were measured, as in [`rtt_histogram`](crate::HeartbeatMachine::rtt_histogram).
    /// They are taken at the upper ends of their buckets; and `n` samples say nothing of what
    /// happens less than once in `n + 1` times, so that this probability remains for any delay
    /// (Laplace's rule of succession).
    ///
    /// # Errors
    ///
    /// If `loss` is not in `0.0..1.0`, or nothing was measured.
    pub fn measured(loss: f64, delays: &'a Histogram) -> Result<Self, QosError> {
        if delays.count() == 0 {
            return Err(QosError::NoDelays);
        }
        Self::new(loss, Delay::Measured(delays))
    }

    /// Losses come in bursts: after one that was lost, the next is lost with this probability. It
    /// is not taken as less than `loss`, which is the default: independent losses.
    ///
    /// # Errors
    ///
    /// If `repeat` is not in `0.0..1.0`.
    pub fn repeat_loss(self, repeat: f64) -> Result<Self, QosError> {
        let repeat = probability("repeat_loss", repeat)?;
        Ok(Self { repeat: repeat.max(self.loss), ..self })
    }

    /// The probability that one is lost.
    pub const fn loss(&self) -> f64 {
        self.loss
    }

    /// The probability that one is lost after one that was.
    pub const fn loss_after_loss(&self) -> f64 {
        self.repeat
    }

    /// The probability, or an upper bound of it, that a delay is above `seconds`, if the message is
    /// not lost (rule QS1).
    pub fn exceeds(&self, seconds: f64) -> f64 {
        if seconds <= 0.0 {
            return 1.0;
        }
        let beyond = |mean: f64, variance: f64| {
            let x = seconds - mean;
            if x > 0.0 { variance / (variance + x * x) } else { 1.0 }
        };
        let exceeds = match self.delay {
            Delay::Known(exceeds) => exceeds(seconds),
            Delay::Exponential { mean } => libm::exp(-seconds / mean),
            Delay::Moments { mean, variance } => beyond(mean, variance),
            Delay::Variance { variance } => beyond(0.0, variance),
            Delay::Measured(delays) => delays.exceeds(seconds),
        };
        if exceeds < 1.0 { exceeds.max(0.0) } else { 1.0 }
    }

    /// The first of several fails: it is lost or takes longer.
    pub(super) fn first_fails(&self, seconds: f64) -> f64 {
        self.loss + (1.0 - self.loss) * self.exceeds(seconds)
    }

    /// One more fails, after others that did.
    pub(super) fn next_fails(&self, seconds: f64) -> f64 {
        self.repeat + (1.0 - self.repeat) * self.exceeds(seconds)
    }

    pub(super) const fn has_mean(&self) -> bool {
        !matches!(self.delay, Delay::Variance { .. })
    }

    fn new(loss: f64, delay: Delay<'a>) -> Result<Self, QosError> {
        let loss = probability("loss", loss)?;
        Ok(Self { loss, repeat: loss, delay })
    }
}

fn probability(what: &'static str, found: f64) -> Result<f64, QosError> {
    if (0.0..1.0).contains(&found) { Ok(found) } else { Err(QosError::NotALoss { what, found }) }
}

impl fmt::Debug for Delay<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(_) => f.write_str("known"),
            Self::Exponential { mean } => write!(f, "exponential, mean {mean} s"),
            Self::Moments { mean, variance } => write!(f, "mean {mean} s, variance {variance} s^2"),
            Self::Variance { variance } => write!(f, "variance {variance} s^2"),
            Self::Measured(delays) => write!(f, "{} samples", delays.count()),
        }
    }
}
