//! [`Hazard`]: the equal-hazard margin.

use super::bits::ParameterError;
use super::lateness::{Lateness, nanos};
use super::{Beat, Formula, Source, Term};

/// The equal-hazard margin: patient where the link is restless, quick where it is calm, with one
/// knob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hazard {
    source: Source,
    hundredths: u32,
}

impl Hazard {
    /// The knob: 0.01 to 10 000.
    ///
    /// # Errors
    ///
    /// It is out of its range.
    pub const fn new(patience: f64) -> Result<Self, ParameterError> {
        if patience >= 0.01 && patience <= 10_000.0 {
            let hundredths = (patience * 100.0 + 0.5) as u32;
            Ok(Self { source: Source::Beats, hundredths })
        } else {
            Err(ParameterError { name: "patience", found: patience, least: 0.01, most: 10_000.0 })
        }
    }

    /// Learns from this source. Default: beats.
    #[must_use]
    pub const fn on(self, source: Source) -> Self {
        Self { source, ..self }
    }
}

impl Formula for Hazard {
    type Memory = Lateness;

    fn source(&self) -> Source {
        self.source
    }

    fn term(&self, memory: &mut Lateness, beat: &Beat) -> Option<Term> {
        let period = nanos(beat.period_nanos);
        let counted = nanos(beat.period_nanos.saturating_mul(beat.steps.into()));
        let slower = match beat.slower_nanos {
            Some(slower) => slower,
            None => nanos(beat.gap_nanos).saturating_sub(counted),
        };
        memory.hear(period, beat.gap_nanos, slower, beat.teaches);
        let margin = memory.margin(period, self.hundredths);
        let traffic = period.saturating_add(margin) as u64;
        Some(Term { beat: memory.patience(period, margin), traffic })
    }
}
