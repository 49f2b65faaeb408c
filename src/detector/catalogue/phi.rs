//! [`Accrual`]: what the phi detectors share.

use super::bits::{Bits, MOST, ParameterError};
use super::{Detector, Trust};
use crate::time::Timestamp;

/// A detector whose suspicion is phi, minus the decimal logarithm of the chance that a living peer
/// is silent for so long, over a threshold.
///
/// Programs that act at several levels of phi read it off one machine:
///
/// ```
/// use heartbeat_proto::detector::{Accrual, PhiNormal};
/// use heartbeat_proto::{Config, HeartbeatMachine, Timestamp};
///
/// let config = Config::builder().detector(PhiNormal::new(8.0)?).build().expect("valid");
/// let now = Timestamp::EPOCH;
/// let machine = HeartbeatMachine::new(config, 7, now);
/// let phi = config.detector().threshold() * machine.suspicion(now);
/// assert_eq!(phi, 0.0);
/// # Ok::<(), heartbeat_proto::detector::ParameterError>(())
/// ```
pub trait Accrual: Detector {
    /// The phi at which trust ends.
    fn threshold(&self) -> f64;

    /// Phi at `now`: at most the threshold up to the deadline, and more from the next nanosecond
    /// on. Before enough is known to tell a chance, the share of the fixed limit that has passed,
    /// times the threshold.
    fn phi(&self, state: &Self::State, trust: &Trust, now: Timestamp) -> f64 {
        self.threshold() * self.suspicion(state, trust, now)
    }
}

/// Deviations and means below this count as this, in nanoseconds: nothing is divided by zero.
pub(crate) const FINEST: f64 = 1e-3;

/// A threshold of phi.
pub(crate) const fn threshold(phi: f64) -> Result<Bits, ParameterError> {
    Bits::within("phi", phi, 1e-3, MOST)
}
