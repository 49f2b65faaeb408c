//! Clocks: the only places of the library where time is read.

use core::time::Duration;
use std::time::Instant;

use crate::time::Timestamp;

/// Maps [`std::time::Instant`] to [`Timestamp`] and back. One for each machine: stamps of two
/// clocks must not meet.
///
/// On Linux and macOS this clock stands still while the host is suspended, so a suspended host
/// shows as nothing at all. Elsewhere it may show as one long jump; the machine takes it as a late
/// call.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::adapter::StdClock;
///
/// let clock = StdClock::new();
/// let now = clock.now();
/// let instant = clock.instant(now).expect("not centuries ahead");
/// assert_eq!(clock.timestamp(instant), now);
/// assert!(clock.now() >= now);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StdClock {
    epoch: Instant,
}

impl StdClock {
    /// A clock whose epoch is now.
    pub fn new() -> Self {
        Self { epoch: read() }
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.timestamp(read())
    }

    /// The moment `at` on this clock; [`Timestamp::EPOCH`] if it was before the epoch.
    pub fn timestamp(&self, at: Instant) -> Timestamp {
        Timestamp::EPOCH.saturating_add(at.saturating_duration_since(self.epoch))
    }

    /// The inverse; `None` if the system cannot name a moment that far ahead.
    pub fn instant(&self, at: Timestamp) -> Option<Instant> {
        self.epoch.checked_add(Duration::from_nanos(at.as_nanos()))
    }
}

impl Default for StdClock {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that is injected elsewhere")]
fn read() -> Instant {
    Instant::now()
}

#[cfg(feature = "tokio")]
pub use with_tokio::TokioClock;

#[cfg(feature = "tokio")]
mod with_tokio {
    use core::time::Duration;

    use ::tokio::time::Instant;

    use crate::time::Timestamp;

    /// Maps [`tokio::time::Instant`](::tokio::time::Instant) to [`Timestamp`] and back, so that
    /// paused and advanced tokio time reaches the machine.
    #[derive(Clone, Copy, Debug)]
    pub struct TokioClock {
        epoch: Instant,
    }

    impl TokioClock {
        /// A clock whose epoch is now.
        pub fn new() -> Self {
            Self { epoch: read() }
        }

        /// The present moment.
        pub fn now(&self) -> Timestamp {
            self.timestamp(read())
        }

        /// The moment `at` on this clock; [`Timestamp::EPOCH`] if it was before the epoch.
        pub fn timestamp(&self, at: Instant) -> Timestamp {
            Timestamp::EPOCH.saturating_add(at.saturating_duration_since(self.epoch))
        }

        /// The inverse; `None` if the system cannot name a moment that far ahead.
        pub fn instant(&self, at: Timestamp) -> Option<Instant> {
            self.epoch.checked_add(Duration::from_nanos(at.as_nanos()))
        }
    }

    impl Default for TokioClock {
        fn default() -> Self {
            Self::new()
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock that is injected elsewhere")]
    fn read() -> Instant {
        Instant::now()
    }
}
