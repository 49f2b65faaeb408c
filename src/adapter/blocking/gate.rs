//! [`Gate`]: whether to beat on the application's behalf. It reads no clock.

use core::time::Duration;

use crate::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Application {
    /// In a call of its watch, for the peer: that is no standstill.
    Waits,
    /// It computes, and was last seen then.
    Busy(Timestamp),
    /// It was not seen in time: the gate is closed.
    Stuck,
}

/// Open while the application waits, or was seen within the limit.
#[derive(Debug)]
pub(super) struct Gate {
    limit: Duration,
    application: Application,
    lapses: u64,
}

impl Gate {
    pub(super) const fn new(limit: Duration, now: Timestamp) -> Self {
        Self { limit, application: Application::Busy(now), lapses: 0 }
    }

    pub(super) const fn limit(&self) -> Duration {
        self.limit
    }

    /// How many times it has closed.
    pub(super) const fn lapses(&self) -> u64 {
        self.lapses
    }

    pub(super) fn is_open(&self) -> bool {
        self.application != Application::Stuck
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.application == Application::Waits
    }

    /// The application waits from now on; whether that opens the gate.
    pub(super) fn wait(&mut self) -> bool {
        let was = core::mem::replace(&mut self.application, Application::Waits);
        was == Application::Stuck
    }

    /// The application was seen; whether that opens the gate.
    pub(super) fn see(&mut self, now: Timestamp) -> bool {
        let was = core::mem::replace(&mut self.application, Application::Busy(now));
        was == Application::Stuck
    }

    /// Closes the gate if its time has come, and says whether it did just now.
    pub(super) fn close_in_time(&mut self, now: Timestamp) -> bool {
        let closes = self.is_open() && now >= self.lapse(now);
        if closes {
            self.application = Application::Stuck;
            self.lapses = self.lapses.saturating_add(1);
        }
        closes
    }

    /// When to look whether it is to be closed, at the latest.
    pub(super) fn lapse(&self, now: Timestamp) -> Timestamp {
        let since = match self.application {
            // Looking no later than if it began to compute now, it need wake nobody when it does.
            Application::Waits => now,
            Application::Busy(since) => since,
            Application::Stuck => return Timestamp::MAX,
        };
        since.saturating_add(self.limit).saturating_add(Duration::from_nanos(1))
    }
}
