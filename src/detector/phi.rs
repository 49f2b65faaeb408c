//! What the phi detectors share. Their suspicion is phi over its threshold, so that
//! `threshold * suspicion(now)` is phi.

use super::bits::{Bits, MOST, ParameterError};

/// Deviations and means below this count as this, in nanoseconds: nothing is divided by zero.
pub(crate) const FINEST: f64 = 1e-3;

/// A threshold of phi.
pub(crate) const fn threshold(phi: f64) -> Result<Bits, ParameterError> {
    Bits::within("phi", phi, 1e-3, MOST)
}
