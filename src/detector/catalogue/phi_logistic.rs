//! [`PhiLogistic`]: the phi accrual detector of Akka and Pekko, for compatibility.

use core::f64::consts::LN_10;
use core::time::Duration;

use super::bits::{Bits, ParameterError};
use super::gaps::Gaps;
use super::phi::{Accrual, FINEST, threshold};
use super::{Beat, Formula, Source, Term};
use crate::time::nanos;

/// Phi as Akka and Pekko reckon it (`PhiAccrualFailureDetector.scala`), for those who come from
/// there: a logistic approximation of the normal tail,
/// `phi = log10(1 + e^(y (1.5976 + 0.070566 y^2)))` with
/// `y = (silence - mean - pause) / deviation`, an acceptable pause on top of the mean, and a least
/// deviation. Far out it is wrong: the exponent grows with the cube of the silence, where that of
/// the normal tail grows with the square. Prefer [`PhiNormal`](super::PhiNormal).
///
/// Defaults as in `reference.conf` of a Pekko cluster: a pause of 3 s and a deviation of at least
/// 100 ms; usual thresholds are 8 (cluster) and 10 (remote watch; Hazelcast). They keep 1000 gaps
/// (200 for remote watch), this 200 (1.6 KB).
///
/// Three things differ: phi never becomes infinite nor minus zero, because it is reckoned by its
/// logarithm; the first heartbeat is not guessed as two gaps; and the gap that ends a suspicion is
/// recorded, where they drop it, unless [`rejecting_above`](Self::rejecting_above) drops it. It
/// forgets gap by gap.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::Config;
/// use heartbeat_proto::detector::PhiLogistic;
///
/// let detector = PhiLogistic::new(10.0)?.acceptable_pause(Duration::from_secs(10));
/// let config = Config::builder().detector(detector).build().expect("valid");
/// # Ok::<(), heartbeat_proto::detector::ParameterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PhiLogistic<const N: usize = 200> {
    source: Source,
    threshold: Bits,
    /// So many deviations above the mean and the pause phi reaches the threshold.
    y: Bits,
    pause: u64,
    least: u64,
    most: Option<u32>,
}

/// The logistic approximation: the logarithm of the odds is `y (LINEAR + CUBIC y^2)`.
const LINEAR: f64 = 1.5976;
const CUBIC: f64 = 0.070_566;

/// The phi of `y`.
fn phi_of(y: f64) -> f64 {
    let odds = (y * (LINEAR + CUBIC * y * y)).clamp(-1e300, 1e300);
    let least = odds.max(0.0);
    (least + libm::log1p(libm::exp(-libm::fabs(odds)))) / LN_10
}

/// The `y` of a phi, exactly: the root of a cubic that grows everywhere.
fn y_of(phi: f64) -> f64 {
    let odds = if phi > 15.0 { phi * LN_10 } else { libm::log(libm::expm1(phi * LN_10)) };
    let scale = libm::sqrt(LINEAR / (3.0 * CUBIC));
    2.0 * scale * libm::sinh(libm::asinh(1.5 * odds / (LINEAR * scale)) / 3.0)
}

impl PhiLogistic {
    /// Trust ends at this phi: 0.001 to 10^6. Published: 8.
    ///
    /// # Errors
    ///
    /// The threshold is out of its range.
    pub fn new(phi: f64) -> Result<Self, ParameterError> {
        let threshold = threshold(phi)?;
        Ok(Self {
            source: Source::Beats,
            threshold,
            y: Bits::new(y_of(phi)),
            pause: 3_000_000_000,
            least: 100_000_000,
            most: None,
        })
    }
}

impl<const N: usize> PhiLogistic<N> {
    /// Learns from this source. Default: beats.
    #[must_use]
    pub const fn on(self, source: Source) -> Self {
        Self { source, ..self }
    }

    /// Mean and deviation of the last `M` gaps, 1 to 65536: eight bytes each.
    #[must_use]
    pub const fn window<const M: usize>(self) -> PhiLogistic<M> {
        let Self { source, threshold, y, pause, least, most } = self;
        PhiLogistic { source, threshold, y, pause, least, most }
    }

    /// Silence of the peer that is no sign of death: added to the mean. Default: 3 s.
    #[must_use]
    pub const fn acceptable_pause(self, pause: Duration) -> Self {
        Self { pause: nanos(pause), ..self }
    }

    /// The deviation counts as at least this. Default: 100 ms.
    #[must_use]
    pub const fn min_deviation(self, least: Duration) -> Self {
        Self { least: nanos(least), ..self }
    }

    /// Gaps of more than this many periods, at least 1, are not recorded. Default: all are.
    #[must_use]
    pub const fn rejecting_above(self, periods: u32) -> Self {
        Self { most: Some(if periods == 0 { 1 } else { periods }), ..self }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "spans of days in floats are good to a nanosecond"
    )]
    fn center_and_scale(&self, gaps: &Gaps<N>) -> (f64, f64) {
        (gaps.mean() + self.pause as f64, gaps.deviation().max(self.least as f64))
    }
}

impl<const N: usize> Formula for PhiLogistic<N> {
    type Memory = Gaps<N>;

    fn source(&self) -> Source {
        self.source
    }

    /// Rule DT14.
    fn term(&self, gaps: &mut Gaps<N>, beat: &Beat) -> Option<Term> {
        gaps.hear(beat, self.most);
        let (center, deviation) = self.center_and_scale(gaps);
        (!gaps.are_few()).then(|| Term::lasting(center + self.y.get() * deviation))
    }

    #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 52 bits")]
    fn level(&self, gaps: &Gaps<N>, silence: u64) -> Option<f64> {
        let (center, deviation) = self.center_and_scale(gaps);
        let y = (silence as f64 - center) / deviation.max(FINEST);
        Some(phi_of(y) / self.threshold.get())
    }
}

impl<const N: usize> Accrual for PhiLogistic<N> {
    fn threshold(&self) -> f64 {
        self.threshold.get()
    }
}
