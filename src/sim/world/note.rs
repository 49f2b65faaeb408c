//! What a world tells: [`Note`] and [`Broken`].

use core::fmt;

use crate::action::Actions;
use crate::sim::invariant::Invariant;
use crate::sim::log::Entry;
use crate::time::Timestamp;

/// An invariant is broken: by which end's machine, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broken {
    /// What was promised.
    pub invariant: Invariant,
    /// The end whose machine broke it.
    pub end: usize,
    /// When, since the beginning of the world.
    pub at: core::time::Duration,
}

/// `S1: a verdict by silence fell before its limit (end 0, at 12.5s)`.
impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (end {}, at {:?})", self.invariant, self.end, self.at)
    }
}

impl core::error::Error for Broken {}

/// One call, for traces and logs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Note {
    /// When, in nanoseconds since the beginning of the world.
    pub at: u64,
    /// Whose machine.
    pub end: usize,
    /// The time on that machine's clock.
    pub stamp: Timestamp,
    /// What it was told.
    pub entry: Entry,
    /// What it said.
    pub actions: Actions,
    /// The wake-up that it asked for then.
    pub next: Option<Timestamp>,
}

/// `at 1.5s end 0: tick -> [SendPing { .. }], next 2.5s`, on two clocks.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = core::time::Duration::from_nanos(self.at);
        write!(f, "at {at:?} end {} ({}): {}", self.end, self.stamp, self.entry)?;
        if !self.actions.is_empty() {
            write!(f, " -> {:?}", self.actions)?;
        }
        match self.next {
            Some(next) => write!(f, ", next {next}"),
            None => f.write_str(", no wake-up"),
        }
    }
}
