//! [`TwoWindows`]: the later of two expectations, and a constant margin.

use super::bits::{Bits, MOST, ParameterError};
use super::delays::{Clock, Delays};
use super::{Beat, Formula, Source, Term};

/// 2W-FD: as [`Chen`](super::Chen), with the later one of two expected arrivals: by the mean delay
/// of the last `S` beats and of the last `L`. The short window follows a path that becomes slow at
/// once, the long one keeps the margin after a swift beat.
///
/// A. Tomsic, P. Sens, J. Garcia, L. Arantes, J. Sopena, "2W-FD", IPDPS 2015; with windows of 1 and
/// 1000 there, of 1 and 100 here (0.8 KB: the long one is all that the state holds). After one late
/// beat the deadline is late, too: that is the price. It forgets as `Chen` does, each window for
/// itself; nothing is rejected as an outlier.
///
/// ```
/// use heartbeat_proto::Config;
/// use heartbeat_proto::detector::TwoWindows;
///
/// let detector = TwoWindows::by_stamp(1.0)?;
/// let config = Config::builder().detector(detector).build().expect("valid");
/// # Ok::<(), heartbeat_proto::detector::ParameterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TwoWindows<const S: usize = 1, const L: usize = 100> {
    source: Source,
    clock: Clock,
    /// In periods.
    margin: Bits,
}

impl TwoWindows {
    /// The beats are known by their number, the margin is in periods: 0 to 10^6.
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

impl<const S: usize, const L: usize> TwoWindows<S, L> {
    /// Learns from this source. Default: beats.
    #[must_use]
    pub const fn on(self, source: Source) -> Self {
        Self { source, ..self }
    }

    /// The means of the last `A` and the last `B` beats, 1 to 65536: eight bytes for each of the
    /// `B`. The short one should be the shorter one, and is added up anew for each beat.
    #[must_use]
    pub const fn windows<const A: usize, const B: usize>(self) -> TwoWindows<A, B> {
        TwoWindows { source: self.source, clock: self.clock, margin: self.margin }
    }
}

impl<const S: usize, const L: usize> Formula for TwoWindows<S, L> {
    type Memory = Delays<L>;

    fn source(&self) -> Source {
        self.source
    }

    /// Rule DT10.
    #[expect(clippy::cast_precision_loss, reason = "periods are below 2^53 ns")]
    fn term(&self, delays: &mut Delays<L>, beat: &Beat) -> Option<Term> {
        delays.hear(self.clock, beat)?;
        if delays.are_few() {
            return None;
        }
        let patience = beat.period_nanos as f64 * (1.0 + self.margin.get());
        Some(Term::new(delays.mean().max(delays.mean_of(S)) + patience, patience))
    }
}
