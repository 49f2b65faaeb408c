//! [`Timestamp`]: the only form in which time enters the crate.

use core::fmt;
use core::time::Duration;

/// A moment on the caller's **monotonic** clock: nanoseconds since an epoch the caller chose.
///
/// It is not a wall-clock time. The epoch is arbitrary (process start, boot, zero in a test), but
/// all stamps given to one machine must come from the same clock. 64 bits of nanoseconds last 584
/// years. "Never" is written `None`, not [`Timestamp::MAX`]. All arithmetic is checked or
/// saturating; nothing here panics.
///
/// A suspended host shows as a jump if the clock counts suspended time (`CLOCK_BOOTTIME`) and as
/// nothing if it does not (`CLOCK_MONOTONIC`, which `std::time::Instant` uses on Linux); see
/// [`Event::Resume`](crate::Event::Resume).
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::Timestamp;
///
/// let start = Timestamp::EPOCH;
/// let later = start.saturating_add(Duration::from_millis(1500));
/// assert_eq!(later.saturating_duration_since(start), Duration::from_millis(1500));
/// assert_eq!(start.checked_duration_since(later), None);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Timestamp(u64);

impl Timestamp {
    /// The caller's epoch: zero nanoseconds.
    pub const EPOCH: Self = Self(0);
    /// The last representable moment.
    pub const MAX: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds after the epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// `self + span`, or `None` past [`Timestamp::MAX`].
    pub const fn checked_add(self, span: Duration) -> Option<Self> {
        // A span that does not fit in 64 bits cannot be added.
        if span.as_nanos() > u64::MAX as u128 {
            return None;
        }
        match self.0.checked_add(nanos(span)) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// `self + span`, or [`Timestamp::MAX`].
    #[must_use]
    pub const fn saturating_add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }

    /// `self - span`, or [`Timestamp::EPOCH`].
    #[must_use]
    pub const fn saturating_sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(span)))
    }

    /// The span from `earlier` to `self`, or `None` if `earlier` is in fact later.
    pub const fn checked_duration_since(self, earlier: Self) -> Option<Duration> {
        match self.0.checked_sub(earlier.0) {
            Some(nanos) => Some(Duration::from_nanos(nanos)),
            None => None,
        }
    }

    /// The span from `earlier` to `self`, or zero if `earlier` is in fact later.
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Seconds since the epoch with nine decimals: `12.500000000s`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// A span in nanoseconds, saturating at `u64::MAX` (584 years).
#[inline]
pub(crate) const fn nanos(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(span.subsec_nanos() as u64)
}
