//! What adapters tell: [`Notice`] while a connection lives, [`Ended`] when it does not any more.

use core::fmt;
use std::io;

use crate::codec::DecodeError;
use crate::finding::Findings;
use crate::liveness::Liveness;
use crate::report::Report;

/// News of a connection, told to the [observer](super::Setup::observer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The liveness changed. The report has the new one, and why.
    Changed {
        /// What was believed before.
        from: Liveness,
        /// What is believed now, and the evidence.
        report: Report,
    },
    /// Something was noticed that an operator may want to count or log.
    Found(Findings),
    /// With [`PingSchedule::External`](crate::PingSchedule::External): a probe is due.
    ProbeWanted,
    /// With the `Pulse` of the blocking adapter: the application has shown no progress for longer
    /// than was agreed. From now on nothing is sent on its behalf, and the peer will find that out.
    Unattended,
    /// The application has come back, and its pulse beats again.
    Attended,
    /// The connection is over; every further call says so too. The last notice.
    Ended(Ended),
}

/// `alive -> suspect: suspect (missed, ...): ...`, `found miss late_call`.
impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { from, report } => write!(f, "{from} -> {report}"),
            Self::Found(findings) => write!(f, "found {findings}"),
            Self::ProbeWanted => f.write_str("a probe is wanted"),
            Self::Unattended => f.write_str("unattended: the application shows no progress"),
            Self::Attended => f.write_str("attended again"),
            Self::Ended(ended) => write!(f, "ended: {ended}"),
        }
    }
}

/// How a connection ended. It travels inside [`io::Error`]; [`Ended::of`] finds it there.
///
/// ```
/// use std::io;
/// use heartbeat_proto::adapter::Ended;
///
/// fn log(error: &io::Error) {
///     match Ended::of(error) {
///         Some(Ended::Lost(report)) => eprintln!("peer lost: {report}"),
///         Some(other) => eprintln!("connection over: {other}"),
///         None => eprintln!("not the heartbeat's: {error}"),
///     }
/// }
/// # log(&io::Error::from(Ended::Abrupt));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The verdict fell: [`io::ErrorKind::TimedOut`]. The transport was aborted.
    #[error("{0}")]
    Lost(Report),
    /// Closed on purpose, by either side: [`io::ErrorKind::NotConnected`]. Not a failure.
    #[error("{0}")]
    Closed(Report),
    /// The stream ended without a goodbye: the peer's process died, perhaps, or a middlebox cut
    /// the connection. [`io::ErrorKind::UnexpectedEof`].
    #[error("the stream ended without a goodbye")]
    Abrupt,
    /// The stream is no stream of heartbeat frames (any more): [`io::ErrorKind::InvalidData`]. The
    /// transport was aborted.
    #[error("bad frame after {offset} bytes: {error}")]
    BadFrame {
        /// How many bytes came before the bad frame.
        offset: u64,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// The transport failed.
    #[error("the transport failed: {0}")]
    Transport(io::ErrorKind),
    /// Nobody beats for this connection any more: its `Pulse` was dropped, a panic left its state in
    /// doubt, or its stream was [released](super::poll::Heartbeat::release).
    /// [`io::ErrorKind::BrokenPipe`]. The transport was aborted.
    #[error("the pulse of this connection has stopped")]
    Abandoned,
}

impl Ended {
    /// The end that `error` tells of, if it came from an adapter.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// The report of the verdict or of the closing.
    pub const fn report(&self) -> Option<Report> {
        match self {
            Self::Lost(report) | Self::Closed(report) => Some(*report),
            _ => None,
        }
    }

    /// Whether the end was wanted.
    pub const fn on_purpose(&self) -> bool {
        matches!(self, Self::Closed(_))
    }

    /// The kind of the [`io::Error`].
    pub const fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Lost(_) => io::ErrorKind::TimedOut,
            Self::Closed(_) => io::ErrorKind::NotConnected,
            Self::Abrupt => io::ErrorKind::UnexpectedEof,
            Self::BadFrame { .. } => io::ErrorKind::InvalidData,
            Self::Transport(kind) => *kind,
            Self::Abandoned => io::ErrorKind::BrokenPipe,
        }
    }
}

impl From<Ended> for io::Error {
    fn from(ended: Ended) -> Self {
        Self::new(ended.kind(), ended)
    }
}
