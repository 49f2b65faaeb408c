//! [`Outcome`]: the final report of a supervisor.

use core::fmt;
use core::time::Duration;

use crate::backoff::Cause;
use crate::time::Timestamp;

/// Why a supervisor has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// The cause is one that is not tried again.
    Never,
    /// The last allowed retry failed.
    TriesSpent,
    /// It was stopped.
    Stopped,
}

impl Why {
    /// A stable lower-case name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::TriesSpent => "tries_spent",
            Self::Stopped => "stopped",
        }
    }
}

/// How it ended, with numbers. `Copy`, so that it can be logged, kept and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Outcome {
    /// What ended it.
    pub why: Why,
    /// Why there is no connection.
    pub cause: Cause,
    /// How many connects there were in all.
    pub attempts: u64,
    /// How many of them came about.
    pub established: u64,
    /// How many retries there were since the last connection that proved stable.
    pub retries: u32,
    /// How long it was supervised.
    pub lasted: Duration,
    /// For how much of that there was a connection.
    pub connected: Duration,
    /// How long there has been none now.
    pub down: Duration,
}

/// `tries_spent (refused): 6 connects, 1 established, 5 retries in a row, ...`
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempts, established, retries, lasted, connected, down, .. } = self;
        write!(
            f,
            "{} ({}): {attempts} connects, {established} established, {retries} retries in a row, \
             connected for {connected:.3?} of {lasted:.3?}, not for the last {down:.3?}",
            self.why.code(),
            self.cause,
        )
    }
}

impl core::error::Error for Outcome {}

/// Counts for the report alone: no rule reads it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    began: Timestamp,
    established: u64,
    connected: Duration,
    /// Since when there is the connection, or none.
    since: Timestamp,
    is_up: bool,
}

impl Tally {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { began: now, established: 0, connected: Duration::ZERO, since: now, is_up: false }
    }

    pub(super) fn up(&mut self, now: Timestamp) {
        self.established = self.established.saturating_add(1);
        (self.since, self.is_up) = (now, true);
    }

    pub(super) fn down(&mut self, now: Timestamp) {
        if self.is_up {
            let span = now.saturating_duration_since(self.since);
            self.connected = self.connected.saturating_add(span);
            (self.since, self.is_up) = (now, false);
        }
    }

    pub(super) const fn outcome(
        &self,
        why: Why,
        cause: Cause,
        attempts: u64,
        retries: u32,
        now: Timestamp,
    ) -> Outcome {
        Outcome {
            why,
            cause,
            attempts,
            established: self.established,
            retries,
            lasted: now.saturating_duration_since(self.began),
            connected: self.connected,
            down: now.saturating_duration_since(self.since),
        }
    }
}
