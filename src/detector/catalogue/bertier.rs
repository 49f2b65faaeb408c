//! [`Bertier`]: the expected arrival, and a margin that follows its errors.

use super::bits::{Bits, MOST, ParameterError};
use super::delays::{Clock, Delays};
use super::{Beat, Formula, Source, Term};

/// The expected arrival of [`Chen`](super::Chen), by number, and a margin in the manner of
/// Jacobson: with the error `e` of the expectation, `d += 0.1 (e - d)`,
/// `v += 0.1 (|e - d| - v)` (with the `d` before), trust ends `d + deviations * v` after the
/// expected arrival.
///
/// M. Bertier, O. Marin, P. Sens, "Implementation and performance evaluation of an adaptable
/// failure detector", DSN 2002; four deviations, a gain of 0.1 and a window of 1000 there, of 200
/// here (1.6 KB). Short detection times and many mistakes: the margin forgets within about ten
/// beats, so that calm makes it careless. Nothing is rejected as an outlier.
///
/// ```
/// use heartbeat_proto::Config;
/// use heartbeat_proto::detector::Bertier;
///
/// let config = Config::builder().detector(Bertier::new(4.0)?).build().expect("valid");
/// # Ok::<(), heartbeat_proto::detector::ParameterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bertier<const N: usize = 200> {
    source: Source,
    deviations: Bits,
}

/// The gain of both averages.
const GAIN: f64 = 0.1;

impl Bertier {
    /// The margin holds this many mean deviations: 0 to 10^6, published 4.
    ///
    /// # Errors
    ///
    /// The number is out of its range.
    pub const fn new(deviations: f64) -> Result<Self, ParameterError> {
        match Bits::within("deviations", deviations, 0.0, MOST) {
            Ok(deviations) => Ok(Self { source: Source::Beats, deviations }),
            Err(error) => Err(error),
        }
    }
}

impl<const N: usize> Bertier<N> {
    /// Learns from this source. Default: beats.
    #[must_use]
    pub const fn on(self, source: Source) -> Self {
        Self { source, ..self }
    }

    /// The expectation by the last `M` beats, 1 to 65536: eight bytes each.
    #[must_use]
    pub const fn window<const M: usize>(self) -> Bertier<M> {
        Bertier { source: self.source, deviations: self.deviations }
    }
}

/// What [`Bertier`] remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Errors<const N: usize> {
    delays: Delays<N>,
    /// The mean error of the expectation, in nanoseconds, and its mean deviation.
    error: Bits,
    deviation: Bits,
}

impl<const N: usize> Formula for Bertier<N> {
    type Memory = Errors<N>;

    fn source(&self) -> Source {
        self.source
    }

    /// Rule DT11.
    #[expect(clippy::cast_precision_loss, reason = "periods are below 2^53 ns")]
    fn term(&self, memory: &mut Errors<N>, beat: &Beat) -> Option<Term> {
        let error = memory.delays.hear(Clock::Number, beat)?;
        if beat.teaches {
            memory.deviation.follow(libm::fabs(error - memory.error.get()), GAIN);
            memory.error.follow(error, GAIN);
        }
        if memory.delays.are_few() {
            return None;
        }
        let margin = memory.error.get() + self.deviations.get() * memory.deviation.get();
        let patience = beat.period_nanos as f64 + margin;
        Some(Term::new(memory.delays.mean() + patience, patience))
    }
}
