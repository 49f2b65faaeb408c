//! [`Chen`]: the expected arrival of the next beat, and a constant margin.

use super::bits::{Bits, MOST, ParameterError};
use super::delays::{Clock, Delays};
use super::{Beat, Formula, Source, Term};

/// NFD-E: trust ends a constant margin after the next beat is expected. It is expected a period and
/// the mean delay of the last `N` beats after the newest one was sent:
/// `sent + period + mean(arrival - sent) + margin`.
///
/// W. Chen, S. Toueg, M. Aguilera, "On the quality of service of failure detectors", IEEE
/// Transactions on Computers 51(5), 2002, section 6. The paper knows beats by their number and
/// sends them exactly one period apart ([`by_number`](Self::by_number)); where the sender's clock
/// drifts or the sender is unpunctual, the expectation is wrong by what has gathered over the
/// window. A stamp mends that ([`by_stamp`](Self::by_stamp)). If delays are alike and independent,
/// no detector with the same bound for the detection time is suspicious for less of the time (their
/// theorem 5).
///
/// The window is 100 beats (16 to 1000 are usual: the paper leaves it open). It is forgotten beat
/// by beat: after a step of the delay the expectation is wrong by the step at first, and right
/// again after `N` beats. Nothing is rejected as an outlier. Beats without a stamp say nothing to
/// [`by_stamp`](Self::by_stamp).
///
/// ```
/// use heartbeat_proto::Config;
/// use heartbeat_proto::detector::{Chen, Source};
///
/// // On pongs, half a period after the pong is expected, over the last 32.
/// let chen = Chen::by_stamp(0.5)?.on(Source::Pongs).window::<32>();
/// let config = Config::builder().detector(chen).build().expect("valid");
/// # Ok::<(), heartbeat_proto::detector::ParameterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chen<const N: usize = 100> {
    source: Source,
    clock: Clock,
    /// In periods.
    margin: Bits,
}

impl Chen {
    /// The beats are known by their number, the margin is in periods: 0 to 10^6. Not for pongs: our
    /// own pings are not exactly a period apart.
    ///
    /// # Errors
    ///
    /// The margin is out of its range.
    pub const fn by_number(margin: f64) -> Result<Self, ParameterError> {
        Self::by(Clock::Number, margin)
    }

    /// The beats are known by their stamp, or the round trip; the margin is in periods: 0 to 10^6.
    ///
    /// # Errors
    ///
    /// The margin is out of its range.
    pub const fn by_stamp(margin: f64) -> Result<Self, ParameterError> {
        Self::by(Clock::Stamp, margin)
    }

    const fn by(clock: Clock, margin: f64) -> Result<Self, ParameterError> {
        match Bits::within("margin", margin, 0.0, MOST) {
            Ok(margin) => Ok(Self { source: Source::Beats, clock, margin }),
            Err(error) => Err(error),
        }
    }
}

impl<const N: usize> Chen<N> {
    /// Learns from this source. Default: beats.
    #[must_use]
    pub const fn on(self, source: Source) -> Self {
        Self { source, ..self }
    }

    /// The mean of the last `M` beats, 1 to 65536: eight bytes each.
    #[must_use]
    pub const fn window<const M: usize>(self) -> Chen<M> {
        Chen { source: self.source, clock: self.clock, margin: self.margin }
    }
}

impl<const N: usize> Formula for Chen<N> {
    type Memory = Delays<N>;

    fn source(&self) -> Source {
        self.source
    }

    /// Rule DT9.
    #[expect(clippy::cast_precision_loss, reason = "periods are below 2^53 ns")]
    fn term(&self, delays: &mut Delays<N>, beat: &Beat) -> Option<Term> {
        delays.hear(self.clock, beat)?;
        if delays.are_few() {
            return None;
        }
        let patience = beat.period_nanos as f64 * (1.0 + self.margin.get());
        Some(Term::new(delays.mean() + patience, patience))
    }
}
