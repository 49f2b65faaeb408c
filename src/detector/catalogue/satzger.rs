//! [`Satzger`]: the gaps as they were, without a distribution.

use super::bits::{Bits, MOST, ParameterError};
use super::ranked::Ranked;
use super::{Beat, Formula, Source, Term};

/// Trust ends after a multiple of a quantile of the last `N` gaps: `arrival + factor * quantile`,
/// the largest gap of all (quantile 1) or, less easily impressed, the 99th percentile. The quantile
/// is linear between two ranks.
///
/// B. Satzger, A. Pietzowski, W. Trumler, T. Ungerer, "A new adaptive accrual failure detector for
/// dependable distributed systems", SAC 2007: the suspicion is the share of the stored gaps that
/// were at most as long as the scaled silence; a deadline is where it reaches the threshold. 1000
/// gaps there, 180 here (1.8 KB with the ranks). Work grows with the window.
///
/// One outage is the largest gap for the next `N` beats; a quantile below `1 - 1/N` forgets it at
/// once. Nothing else is rejected. It forgets gap by gap.
///
/// ```
/// use heartbeat_proto::Config;
/// use heartbeat_proto::detector::Satzger;
///
/// let config = Config::builder().detector(Satzger::new(2.0, 0.99)?).build().expect("valid");
/// # Ok::<(), heartbeat_proto::detector::ParameterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Satzger<const N: usize = 180> {
    source: Source,
    factor: Bits,
    quantile: Bits,
}

impl Satzger {
    /// A `factor` of 0 to 10^6 on the `quantile`, 0 to 1.
    ///
    /// # Errors
    ///
    /// A parameter is out of its range.
    pub const fn new(factor: f64, quantile: f64) -> Result<Self, ParameterError> {
        let factor = Bits::within("factor", factor, 0.0, MOST);
        match (factor, Bits::within("quantile", quantile, 0.0, 1.0)) {
            (Ok(factor), Ok(quantile)) => Ok(Self { source: Source::Beats, factor, quantile }),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }
}

impl<const N: usize> Satzger<N> {
    /// Learns from this source. Default: beats.
    #[must_use]
    pub const fn on(self, source: Source) -> Self {
        Self { source, ..self }
    }

    /// The quantile of the last `M` gaps, 1 to 65536: ten bytes each.
    #[must_use]
    pub const fn window<const M: usize>(self) -> Satzger<M> {
        Satzger { source: self.source, factor: self.factor, quantile: self.quantile }
    }
}

impl<const N: usize> Formula for Satzger<N> {
    type Memory = Ranked<N>;

    fn source(&self) -> Source {
        self.source
    }

    /// Rule DT15.
    fn term(&self, gaps: &mut Ranked<N>, beat: &Beat) -> Option<Term> {
        gaps.hear(beat);
        if gaps.are_few() {
            return None;
        }
        Some(Term::lasting(self.factor.get() * gaps.quantile(self.quantile.get())))
    }
}
