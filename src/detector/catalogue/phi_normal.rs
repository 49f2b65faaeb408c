//! [`PhiNormal`]: the phi accrual detector, by a normal distribution of the gaps.

use super::bits::{Bits, ParameterError};
use super::gaps::Gaps;
use super::phi::{Accrual, FINEST, threshold};
use super::{Beat, Formula, Source, Term, tail};

/// The accrual detector of Hayashibara: `phi` is minus the decimal logarithm of the chance that the
/// next beat takes even longer, if the gaps between beats are normal with the mean and the standard
/// deviation of the last `N`. Trust ends when phi reaches the threshold: at 1 one beat in ten would
/// be late, at 8 one in 10^8, were they normal.
///
/// N. Hayashibara, X. Défago, R. Yared, T. Katayama, "The phi accrual failure detector", SRDS 2004;
/// a window of 1000 there, of 200 here (1.6 KB; 1.4 times the mistakes on recorded links at the
/// same detection time). Phi is exact in the tail, and so is its inverse ([`tail`]); the deadline
/// is `arrival + mean + z * deviation`.
///
/// Real gaps are not normal: one outage in the window makes it patient for the next `N` beats, and
/// a calm one makes it careless. As published it records every gap; with
/// [`rejecting_above`](Self::rejecting_above) it does not record outages. It forgets gap by gap.
///
/// ```
/// use heartbeat_proto::Config;
/// use heartbeat_proto::detector::PhiNormal;
///
/// let detector = PhiNormal::new(8.0)?.rejecting_above(2);
/// let config = Config::builder().detector(detector).build().expect("valid");
/// # Ok::<(), heartbeat_proto::detector::ParameterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PhiNormal<const N: usize = 200> {
    source: Source,
    threshold: Bits,
    /// So many deviations above the mean phi reaches the threshold.
    z: Bits,
    most: Option<u32>,
}

impl PhiNormal {
    /// Trust ends at this phi: 0.001 to 10^6. Published: 1 to 12, most use 8.
    ///
    /// # Errors
    ///
    /// The threshold is out of its range.
    pub fn new(phi: f64) -> Result<Self, ParameterError> {
        let threshold = threshold(phi)?;
        Ok(Self { source: Source::Beats, threshold, z: Bits::new(tail::z(phi)), most: None })
    }
}

impl<const N: usize> PhiNormal<N> {
    /// Learns from this source. Default: beats.
    #[must_use]
    pub const fn on(self, source: Source) -> Self {
        Self { source, ..self }
    }

    /// Mean and deviation of the last `M` gaps, 1 to 65536: eight bytes each.
    #[must_use]
    pub const fn window<const M: usize>(self) -> PhiNormal<M> {
        let Self { source, threshold, z, most } = self;
        PhiNormal { source, threshold, z, most }
    }

    /// Gaps of more than this many periods, at least 1, are not recorded. Default: all are.
    #[must_use]
    pub const fn rejecting_above(self, periods: u32) -> Self {
        Self { most: Some(if periods == 0 { 1 } else { periods }), ..self }
    }
}

impl<const N: usize> Formula for PhiNormal<N> {
    type Memory = Gaps<N>;

    fn source(&self) -> Source {
        self.source
    }

    /// Rule DT12.
    fn term(&self, gaps: &mut Gaps<N>, beat: &Beat) -> Option<Term> {
        gaps.hear(beat, self.most);
        let end = gaps.mean() + self.z.get() * gaps.deviation();
        (!gaps.are_few()).then(|| Term::lasting(end))
    }

    #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 52 bits")]
    fn level(&self, gaps: &Gaps<N>, silence: u64) -> Option<f64> {
        let z = (silence as f64 - gaps.mean()) / gaps.deviation().max(FINEST);
        Some(tail::phi(z) / self.threshold.get())
    }
}

impl<const N: usize> Accrual for PhiNormal<N> {
    fn threshold(&self) -> f64 {
        self.threshold.get()
    }
}
