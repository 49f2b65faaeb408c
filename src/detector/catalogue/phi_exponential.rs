//! [`PhiExponential`]: the phi accrual detector, by an exponential distribution of the gaps.

use core::f64::consts::LN_10;

use super::bits::{Bits, ParameterError};
use super::gaps::Gaps;
use super::phi::{Accrual, FINEST, threshold};
use super::{Beat, Formula, Source, Term};

/// Phi as if the gaps were exponential with the mean of the last `N`:
/// `phi = silence / (mean * ln 10)`. Trust ends when it reaches the threshold:
/// `arrival + threshold * ln 10 * mean`.
///
/// As in Apache Cassandra (`FailureDetector`: a threshold of 8, which is 18.4 mean gaps; 1000 gaps
/// there, 200 here, 1.6 KB) gaps of more than two periods are not recorded
/// (`cassandra.fd_max_interval_ms`): an outage teaches nothing. The mean is then about the period,
/// and this a fixed deadline that follows the peer's pace.
/// [`recording_all`](Self::recording_all) is the exponential detector of Xiong and Défago (ED-FD).
/// It forgets gap by gap.
///
/// ```
/// use heartbeat_proto::Config;
/// use heartbeat_proto::detector::PhiExponential;
///
/// let config = Config::builder().detector(PhiExponential::new(8.0)?).build().expect("valid");
/// # Ok::<(), heartbeat_proto::detector::ParameterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PhiExponential<const N: usize = 200> {
    source: Source,
    threshold: Bits,
    most: Option<u32>,
}

impl PhiExponential {
    /// Trust ends at this phi: 0.001 to 10^6. Published: 8.
    ///
    /// # Errors
    ///
    /// The threshold is out of its range.
    pub const fn new(phi: f64) -> Result<Self, ParameterError> {
        match threshold(phi) {
            Ok(threshold) => Ok(Self { source: Source::Beats, threshold, most: Some(2) }),
            Err(error) => Err(error),
        }
    }
}

impl<const N: usize> PhiExponential<N> {
    /// Learns from this source. Default: beats.
    #[must_use]
    pub const fn on(self, source: Source) -> Self {
        Self { source, ..self }
    }

    /// The mean of the last `M` gaps, 1 to 65536: eight bytes each.
    #[must_use]
    pub const fn window<const M: usize>(self) -> PhiExponential<M> {
        PhiExponential { source: self.source, threshold: self.threshold, most: self.most }
    }

    /// Gaps of more than this many periods, at least 1, are not recorded. Default: 2.
    #[must_use]
    pub const fn rejecting_above(self, periods: u32) -> Self {
        Self { most: Some(if periods == 0 { 1 } else { periods }), ..self }
    }

    /// Every gap is recorded, however long.
    #[must_use]
    pub const fn recording_all(self) -> Self {
        Self { most: None, ..self }
    }
}

impl<const N: usize> Formula for PhiExponential<N> {
    type Memory = Gaps<N>;

    fn source(&self) -> Source {
        self.source
    }

    /// Rule DT13.
    fn term(&self, gaps: &mut Gaps<N>, beat: &Beat) -> Option<Term> {
        gaps.hear(beat, self.most);
        let end = self.threshold.get() * LN_10 * gaps.mean();
        (!gaps.are_few()).then(|| Term::lasting(end))
    }

    #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 52 bits")]
    fn level(&self, gaps: &Gaps<N>, silence: u64) -> Option<f64> {
        let phi = silence as f64 / (gaps.mean().max(FINEST) * LN_10);
        Some(phi / self.threshold.get())
    }
}

impl<const N: usize> Accrual for PhiExponential<N> {
    fn threshold(&self) -> f64 {
        self.threshold.get()
    }
}
