//! [`GuardReport`]: what an operator is told of the guard.

use core::fmt;

use crate::time::Timestamp;

/// Who is doubted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "part of the fleet, or all of it")]
pub enum Doubt {
    /// This host, or what connects it: peers of all groups are silent.
    Observer,
    /// What the members of this group share: a zone, a network, a release.
    Group(u16),
}

/// `observer` or `group 7`.
impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Observer => f.write_str("observer"),
            Self::Group(group) => write!(f, "group {group}"),
        }
    }
}

/// What the guard does about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GuardState {
    /// Nothing: each peer is judged by itself.
    #[default]
    Quiet,
    /// Verdicts by silence are held, and a sample of the silent members is probed.
    Holding,
    /// Held members were heard, or the others are few: who is still silent gets a fresh probe and is
    /// then judged by itself.
    Released,
    /// Nobody was heard for too long: verdicts fall until the share of silent members does.
    Condemned,
}

impl GuardState {
    /// A stable lower-case name, for logs and metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Holding => "holding",
            Self::Released => "released",
            Self::Condemned => "condemned",
        }
    }
}

/// What the guard of a fleet does about a group, or about the fleet as a whole; see
/// [`Sink::guarded`](super::super::Sink::guarded).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuardReport {
    /// Who is doubted.
    pub doubt: Doubt,
    /// What is done about it.
    pub state: GuardState,
    /// Peers that are judged: live, not draining, not suspended.
    pub members: u32,
    /// Those of them that are silent: suspect, or their verdict was put off.
    pub silent: u32,
    /// Since when the state is what it is.
    pub since: Timestamp,
}

/// `group 7 holding: 90 of 100 silent`.
impl fmt::Display for GuardReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { doubt, state, members, silent, .. } = self;
        write!(f, "{doubt} {}: {silent} of {members} silent", state.code())
    }
}
