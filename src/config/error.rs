//! [`ConfigError`]: which knobs do not fit together, with the numbers.

use core::time::Duration;

/// Why a configuration was refused. Nothing was built; the builder can be corrected and used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A span is zero. Zero never means "off": what may be off is left unset.
    #[error("{field} is zero")]
    Zero {
        /// The knob.
        field: &'static str,
    },
    /// A span is longer than [`MAX_SPAN`](crate::MAX_SPAN).
    #[error("{field} is {found:?} but at most {most:?} is allowed")]
    TooLong {
        /// The knob.
        field: &'static str,
        /// Its value.
        found: Duration,
        /// The largest allowed value.
        most: Duration,
    },
    /// A span is not below another one.
    #[error("{field} is {found:?} but must be less than {other}, which is {limit:?}")]
    NotBelow {
        /// The knob that is too large.
        field: &'static str,
        /// Its value.
        found: Duration,
        /// What it is compared with.
        other: &'static str,
        /// The value of that.
        limit: Duration,
    },
    /// A span is above another one.
    #[error("{field} is {found:?} but must be at most {other}, which is {limit:?}")]
    Above {
        /// The knob that is too large.
        field: &'static str,
        /// Its value.
        found: Duration,
        /// What it is compared with.
        other: &'static str,
        /// The value of that.
        limit: Duration,
    },
    /// A span is below another one.
    #[error("{field} is {found:?} but must be at least {other}, which is {limit:?}")]
    Below {
        /// The knob that is too small.
        field: &'static str,
        /// Its value.
        found: Duration,
        /// What it is compared with.
        other: &'static str,
        /// The value of that.
        limit: Duration,
    },
    /// A number is outside of its range.
    #[error("{field} is {found} but must be in {least}..={most}")]
    OutOfRange {
        /// The knob.
        field: &'static str,
        /// Its value.
        found: u8,
        /// The smallest allowed value.
        least: u8,
        /// The largest allowed value.
        most: u8,
    },
    /// Two settings exclude each other.
    #[error("{field} cannot be combined with {other}")]
    Conflict {
        /// One knob.
        field: &'static str,
        /// The other one.
        other: &'static str,
    },
    /// A wish that no configuration can fulfil.
    #[error("{wish} is {found:?} but must be in {least:?}..={most:?}")]
    Impossible {
        /// The wish.
        wish: &'static str,
        /// Its value.
        found: Duration,
        /// The smallest that can be fulfilled.
        least: Duration,
        /// The largest that can be fulfilled.
        most: Duration,
    },
}
