//! [`Bits`]: a float that can be compared and hashed.

use core::fmt;

/// A finite float by its bits. There is one zero, and what is not a number is zero: so that equal
/// values have equal bits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Bits(u64);

impl Bits {
    #[inline]
    pub(crate) const fn new(value: f64) -> Self {
        if value.is_nan() || value == 0.0 { Self(0) } else { Self(value.to_bits()) }
    }

    /// A parameter of a policy, which must lie in `least..=most`.
    pub(crate) const fn within(
        name: &'static str,
        value: f64,
        least: f64,
        most: f64,
    ) -> Result<Self, ParameterError> {
        if value >= least && value <= most {
            Ok(Self::new(value))
        } else {
            Err(ParameterError { name, found: value, least, most })
        }
    }

    #[inline]
    pub(crate) const fn get(self) -> f64 {
        f64::from_bits(self.0)
    }

    /// Moves by the share `gain` of the way to `sample`: an exponentially weighted average.
    #[inline]
    pub(crate) const fn follow(&mut self, sample: f64, gain: f64) {
        *self = Self::new(self.get() + (sample - self.get()) * gain);
    }
}

/// The largest factor or margin of any policy: a million periods or deviations.
pub(crate) const MOST: f64 = 1e6;

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// A parameter of a detector was refused: it is out of its range, or not a number.
///
/// ```
/// use heartbeat_proto::detector::Chen;
///
/// let error = Chen::by_stamp(-1.0).unwrap_err();
/// assert_eq!(error.to_string(), "margin is -1, but 0 to 1000000 is allowed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[error("{name} is {found}, but {least} to {most} is allowed")]
pub struct ParameterError {
    /// The parameter.
    pub name: &'static str,
    /// Its value.
    pub found: f64,
    /// The least allowed value.
    pub least: f64,
    /// The largest allowed value.
    pub most: f64,
}
