//! Which [`Cause`] the end of a connection is, or an error that came before it began.

use std::io::{self, ErrorKind};

use super::notice::Ended;
use crate::backoff::Cause;

/// Rule BO4.
impl From<Ended> for Cause {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Lost(report) | Ended::Closed(report) => report.reason.into(),
            Ended::Abrupt => Self::Abrupt,
            Ended::BadFrame { .. } => Self::BadFrame,
            Ended::Transport(_) => Self::Transport,
            Ended::Abandoned => Self::OwnFault,
        }
    }
}

/// For an error of the application, of a connect or of a handshake (rule BO4): the [`Ended`] in
/// it, or its kind.
///
/// ```
/// use std::io::{Error, ErrorKind};
/// use heartbeat_proto::{adapter::Ended, backoff::Cause};
///
/// assert_eq!(Cause::from(&Error::from(ErrorKind::ConnectionRefused)), Cause::Refused);
/// assert_eq!(Cause::from(&Error::new(ErrorKind::PermissionDenied, "bad token")), Cause::Rejected);
/// assert_eq!(Cause::from(&Error::from(Ended::Abrupt)), Cause::Abrupt);
/// ```
impl From<&io::Error> for Cause {
    fn from(error: &io::Error) -> Self {
        if let Some(ended) = Ended::of(error) {
            return (*ended).into();
        }
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::Unsupported => Self::Rejected,
            ErrorKind::InvalidData => Self::BadFrame,
            ErrorKind::UnexpectedEof => Self::Abrupt,
            ErrorKind::TimedOut => Self::HandshakeTimeout,
            ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::AddrNotAvailable
            | ErrorKind::NotFound => Self::Refused,
            _ => Self::Transport,
        }
    }
}
