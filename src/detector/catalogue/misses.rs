//! [`Misses`]: a tick that counts, and a beat that starts the count again.

use super::bits::{Bits, ParameterError};
use super::{Beat, Formula, Source, Term};

/// Trust ends at the `k`-th tick without a beat: the counter of most hand-written heartbeats. The
/// ticks are one period apart and start with the first beat, so that between `k - 1` and `k`
/// periods of silence are enough. It follows the period that the peer promised, and learns nothing:
/// no cold start, nothing to reject or to forget.
///
/// ```
/// use heartbeat_proto::Config;
/// use heartbeat_proto::detector::Misses;
///
/// let config = Config::builder().detector(Misses::new(3)).build()?;
/// # Ok::<(), heartbeat_proto::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Misses {
    source: Source,
    k: u32,
    phase: Bits,
}

impl Misses {
    /// Trust ends at the `k`-th tick; 0 is taken as 1.
    pub const fn new(k: u32) -> Self {
        Self { source: Source::Beats, k: if k == 0 { 1 } else { k }, phase: Bits::new(0.0) }
    }

    /// The first beat comes this share of a period after a tick: 0 to 1. Default: 0. Where the
    /// ticks of a real program lie is chance.
    ///
    /// # Errors
    ///
    /// The share is out of its range.
    pub const fn phase(self, share: f64) -> Result<Self, ParameterError> {
        match Bits::within("phase", share, 0.0, 1.0) {
            Ok(phase) => Ok(Self { phase, ..self }),
            Err(error) => Err(error),
        }
    }

    /// Counts these beats. Default: the peer's own.
    #[must_use]
    pub const fn on(self, source: Source) -> Self {
        Self { source, ..self }
    }
}

/// What [`Misses`] remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ticks {
    /// From the last tick to the newest beat.
    since: u64,
}

impl Formula for Misses {
    type Memory = Ticks;

    fn source(&self) -> Source {
        self.source
    }

    /// Rule DT8.
    #[expect(clippy::cast_precision_loss, reason = "periods are below 2^53 ns")]
    fn term(&self, ticks: &mut Ticks, beat: &Beat) -> Option<Term> {
        let passed = if beat.first {
            libm::round(self.phase.get() * beat.period_nanos as f64) as u64
        } else {
            ticks.since.saturating_add(beat.gap_nanos)
        };
        ticks.since = passed % beat.period_nanos;
        let patience = beat.period_nanos as f64 * f64::from(self.k);
        Some(Term::new(patience - ticks.since as f64, patience))
    }
}
