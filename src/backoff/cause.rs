//! [`Cause`]: why there is no connection, as far as it matters for trying again.

use core::fmt;

use crate::liveness::Reason;

/// Why there is no connection. Coarser than [`Reason`], and wider: it covers connections that
/// never came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The peer, or the path to it, went silent.
    NoResponse,
    /// The transport took no bytes any more.
    WriteStalled,
    /// The peer talked but answered no pings: half alive.
    PingUnanswered,
    /// This end did not do its part (its own schedule never probed).
    OwnFault,
    /// No connection came about: refused, unreachable, or cut during the handshake.
    Refused,
    /// Connect and handshake took longer than their limit.
    HandshakeTimeout,
    /// The peer said no: wrong version, name or credentials.
    Rejected,
    /// The peer said goodbye. A server that restarts says it to all its clients at once.
    Goodbye,
    /// This end closed on purpose.
    ClosedLocally,
    /// The stream ended without a goodbye: the peer's process died, perhaps.
    Abrupt,
    /// The stream was no stream of frames (any more).
    BadFrame,
    /// The peer pinged without measure and was convicted for it.
    Abuse,
    /// The transport failed: reset, broken pipe, the network went away.
    Transport,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::NoResponse,
        Self::WriteStalled,
        Self::PingUnanswered,
        Self::OwnFault,
        Self::Refused,
        Self::HandshakeTimeout,
        Self::Rejected,
        Self::Goodbye,
        Self::ClosedLocally,
        Self::Abrupt,
        Self::BadFrame,
        Self::Abuse,
        Self::Transport,
    ];

    /// A stable lower-case name of low cardinality, for logs and metric labels.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoResponse => "no_response",
            Self::WriteStalled => "write_stalled",
            Self::PingUnanswered => "ping_unanswered",
            Self::OwnFault => "own_fault",
            Self::Refused => "refused",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Rejected => "rejected",
            Self::Goodbye => "goodbye",
            Self::ClosedLocally => "closed_locally",
            Self::Abrupt => "abrupt",
            Self::BadFrame => "bad_frame",
            Self::Abuse => "abuse",
            Self::Transport => "transport",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// For the reason of a verdict or of a closing (rule BO4). The reasons that end nothing count as
/// [`NoResponse`](Cause::NoResponse).
impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::WriteStalled => Self::WriteStalled,
            Reason::PingUnanswered | Reason::ProbeLoss => Self::PingUnanswered,
            Reason::NotProbed => Self::OwnFault,
            Reason::StartupTimeout => Self::HandshakeTimeout,
            Reason::PingAbuse => Self::Abuse,
            // Only this end drains.
            Reason::ClosedLocally | Reason::DrainTimeout => Self::ClosedLocally,
            Reason::Goodbye => Self::Goodbye,
            Reason::NoResponse
            | Reason::Silence
            | Reason::Detector
            | Reason::Missed
            | Reason::Started
            | Reason::Heard => Self::NoResponse,
        }
    }
}
