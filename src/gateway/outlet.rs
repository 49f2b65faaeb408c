//! [`Outlet`]: where a gateway's output goes.

use core::net::SocketAddr;

use crate::fleet::{GuardReport, Handle};
use crate::report::Report;

/// Takes what a [`Gateway`](super::Gateway) sends and tells, as it comes up: the gateway keeps none
/// of it. A closure over an address and a datagram is an outlet.
pub trait Outlet {
    /// Send this datagram. It is lost where it cannot be sent, as datagrams may be.
    fn send(&mut self, to: SocketAddr, datagram: &[u8]);

    /// A peer was admitted. Does nothing by default.
    fn joined(&mut self, peer: Handle, address: SocketAddr) {
        let _ = (peer, address);
    }

    /// What is believed of a peer has changed, and this is why. Does nothing by default.
    fn changed(&mut self, peer: Handle, address: SocketAddr, report: &Report) {
        let _ = (peer, address, report);
    }

    /// A peer is forgotten; its handle names nobody any more. Told once for each that joined. Does
    /// nothing by default.
    fn gone(&mut self, peer: Handle, address: SocketAddr, why: Gone) {
        let _ = (peer, address, why);
    }

    /// The guard has begun to hold verdicts, or ended it. Does nothing by default.
    fn guarded(&mut self, report: &GuardReport) {
        let _ = report;
    }
}

impl<F: FnMut(SocketAddr, &[u8])> Outlet for F {
    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        self(to, datagram);
    }
}

/// Why a peer is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Gone {
    /// It was declared dead; the report told why.
    Lost,
    /// It said goodbye.
    Left,
    /// It joined anew from the same address: a next connection took its place.
    Restarted,
    /// The caller wanted it.
    Removed,
}

impl Gone {
    /// A stable lower-case name, for logs and metric labels.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Left => "left",
            Self::Restarted => "restarted",
            Self::Removed => "removed",
        }
    }
}
