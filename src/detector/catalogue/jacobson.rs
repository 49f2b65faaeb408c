//! [`Jacobson`]: mean and mean deviation of the gaps, as averages.

use super::bits::{Bits, MOST, ParameterError};
use super::formula::WARM_UP;
use super::gaps;
use super::{Beat, Formula, Source, Term};

/// The estimator of the retransmission timeout, applied to the gaps between beats: with a gap `g`,
/// `v += (|g - m| - v) / 4` (with the `m` before), `m += (g - m) / 8`; trust ends at
/// `arrival + m + max(1 ms, deviations * v)`. (What is averaged is the gap less the promised
/// period, so that a new promise is believed at once.)
///
/// V. Jacobson, "Congestion avoidance and control", SIGCOMM 1988, with the gains of RFC 6298. It
/// forgets within four to eight beats, calm and outages alike: many mistakes. Nothing is rejected
/// as an outlier. The state is the smallest of all.
///
/// ```
/// use heartbeat_proto::Config;
/// use heartbeat_proto::detector::Jacobson;
///
/// let config = Config::builder().detector(Jacobson::new(4.0)?).build().expect("valid");
/// # Ok::<(), heartbeat_proto::detector::ParameterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Jacobson {
    source: Source,
    deviations: Bits,
}

/// The least margin, in nanoseconds: the granularity of timers, RFC 9002 section 6.2.1.
pub(super) const GRANULARITY: f64 = 1e6;
/// RFC 6298 section 2: of the mean, and of the deviation.
pub(super) const GAINS: (f64, f64) = (1.0 / 8.0, 1.0 / 4.0);

impl Jacobson {
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

    /// Learns from this source. Default: beats.
    #[must_use]
    pub const fn on(self, source: Source) -> Self {
        Self { source, ..self }
    }
}

/// What [`Jacobson`] remembers: averages in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Averages {
    mean: Bits,
    deviation: Bits,
}

impl Averages {
    /// Averages that start with this sample and this deviation.
    pub(super) const fn starting(sample: f64, deviation: f64) -> Self {
        Self { mean: Bits::new(sample), deviation: Bits::new(deviation) }
    }

    /// RFC 6298 (2.3): the deviation first, from the old mean.
    #[inline]
    pub(super) fn follow(&mut self, sample: f64) {
        self.deviation.follow(libm::fabs(sample - self.mean.get()), GAINS.1);
        self.mean.follow(sample, GAINS.0);
    }

    /// The mean and so many deviations, at least the granularity.
    pub(super) const fn reach(&self, deviations: f64) -> f64 {
        self.mean.get() + (deviations * self.deviation.get()).max(GRANULARITY)
    }
}

impl Formula for Jacobson {
    type Memory = Averages;

    fn source(&self) -> Source {
        self.source
    }

    /// Rule DT16.
    #[expect(clippy::cast_precision_loss, reason = "gaps are below 2^53 ns")]
    fn term(&self, averages: &mut Averages, beat: &Beat) -> Option<Term> {
        let excess = gaps::excess(beat) as f64;
        if beat.teaches && beat.lessons == 1 {
            *averages = Averages::starting(excess, 0.0);
        } else if beat.teaches {
            averages.follow(excess);
        }
        if beat.lessons < WARM_UP as u32 {
            return None;
        }
        Some(Term::lasting(beat.period_nanos as f64 + averages.reach(self.deviations.get())))
    }
}
