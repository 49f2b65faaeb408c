//! [`Liveness`], the reasons of verdicts, and who was at fault.

use core::fmt;

/// What is believed of the connection. Level-triggered: ask for it at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Liveness {
    /// The connection is being set up; nothing is sent, only the start-up limit runs.
    #[default]
    Idle,
    /// Started; the peer has not been heard yet.
    Starting,
    /// The peer was heard within its limits.
    Alive,
    /// Signs are bad (a miss, lost probes, the detector's deadline): probing faster.
    Suspect,
    /// After a loss, or on the next connection: signs are good but not yet enough.
    Recovering,
    /// The verdict has fallen. Final on a stream; see
    /// [`reopen_after`](crate::ConfigBuilder::reopen_after) for datagrams.
    Lost,
    /// Ended on purpose, by either side. Not a failure.
    Closed,
}

impl Liveness {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 7] = [
        Self::Idle,
        Self::Starting,
        Self::Alive,
        Self::Suspect,
        Self::Recovering,
        Self::Lost,
        Self::Closed,
    ];

    /// Whether silence is being judged.
    #[inline]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Starting | Self::Alive | Self::Suspect | Self::Recovering)
    }

    /// A stable lower-case name, for logs and metric labels.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Starting => "starting",
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Recovering => "recovering",
            Self::Lost => "lost",
            Self::Closed => "closed",
        }
    }

    #[inline]
    pub(crate) const fn index(self) -> u64 {
        self as u64
    }

    #[inline]
    pub(crate) const fn from_index(index: u64) -> Self {
        match index {
            0 => Self::Idle,
            1 => Self::Starting,
            2 => Self::Alive,
            3 => Self::Suspect,
            4 => Self::Recovering,
            5 => Self::Lost,
            _ => Self::Closed,
        }
    }
}

impl fmt::Display for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Why the liveness changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The caller started the connection.
    Started,
    /// Life was heard.
    Heard,
    /// A ping stayed unanswered, or (where no pings are sent) an expected beat stayed out.
    Missed,
    /// The detector's own deadline passed.
    Detector,
    /// k of the last n probes were lost.
    ProbeLoss,
    /// Written pings stayed unanswered and nothing was heard for the whole limit.
    NoResponse,
    /// Nothing was heard for the whole limit, with no ping that had its full response window:
    /// none is sent in this mode, or the caller was late and charges itself.
    Silence,
    /// The ping could not be written, or the writer took no byte for the stall limit.
    WriteStalled,
    /// The peer talks but answers no pings.
    PingUnanswered,
    /// The external schedule never sent the ping it was asked for.
    NotProbed,
    /// The connection was not started within the start-up limit.
    StartupTimeout,
    /// Draining took longer than its limit.
    DrainTimeout,
    /// The peer pinged without measure.
    PingAbuse,
    /// The caller closed the connection.
    ClosedLocally,
    /// The peer said goodbye.
    Goodbye,
}

impl Reason {
    /// A stable lower-case name of low cardinality, for logs and metric labels.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Heard => "heard",
            Self::Missed => "missed",
            Self::Detector => "detector",
            Self::ProbeLoss => "probe_loss",
            Self::NoResponse => "no_response",
            Self::Silence => "silence",
            Self::WriteStalled => "write_stalled",
            Self::PingUnanswered => "ping_unanswered",
            Self::NotProbed => "not_probed",
            Self::StartupTimeout => "startup_timeout",
            Self::DrainTimeout => "drain_timeout",
            Self::PingAbuse => "ping_abuse",
            Self::ClosedLocally => "closed_locally",
            Self::Goodbye => "goodbye",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Who was at fault, as far as one end can tell. Part of every [`Report`](crate::Report).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The peer, or a path that carries nothing: from here they look alike.
    PeerOrPath,
    /// The peer: it is reachable but does not keep to the protocol.
    Peer,
    /// The path to the peer (or the peer's reader): bytes cannot leave.
    Path,
    /// The observer: this process was late, or did not probe.
    Observer,
    /// Nobody: the change was wanted.
    Nobody,
}

impl Fault {
    /// A stable lower-case name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::PeerOrPath => "peer_or_path",
            Self::Peer => "peer",
            Self::Path => "path",
            Self::Observer => "observer",
            Self::Nobody => "nobody",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A change of liveness, with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Transition {
    /// What was believed before.
    pub from: Liveness,
    /// What is believed now.
    pub to: Liveness,
    /// Why.
    pub reason: Reason,
}

impl Transition {
    pub(crate) const fn new(from: Liveness, to: Liveness, reason: Reason) -> Self {
        Self { from, to, reason }
    }
}

/// `alive -> suspect (missed)`.
impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} ({})", self.from, self.to, self.reason)
    }
}
