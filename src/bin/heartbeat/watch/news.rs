//! What one watched peer has to tell.

use core::net::SocketAddr;
use core::time::Duration;

use heartbeat_proto::adapter::{Driver, Ended};
use heartbeat_proto::backoff::Cause;
use heartbeat_proto::quality::Quality;
use heartbeat_proto::{Config, Findings, Histogram, Liveness, Report, Stats};

use crate::rules::Change;

#[derive(Clone, Debug)]
pub(crate) enum News {
    /// A connect begins; the number of it.
    Connecting(u64),
    Connected {
        to: SocketAddr,
        config: Config,
    },
    Changed {
        from: Liveness,
        report: Report,
    },
    Found(Findings),
    Snapshot(Box<Snapshot>),
    /// The rules are others now.
    Reconfigured(Vec<Change>),
    /// There is no connection; the next connect comes after this time.
    Waiting {
        cause: Cause,
        delay: Duration,
    },
    /// The last news.
    Over(Over),
}

/// How it ended.
#[derive(Clone, Debug)]
pub(crate) enum Over {
    /// The peer said goodbye, or we did. `last` is missing if there was no connection yet.
    OnPurpose { what: &'static str, last: Option<Box<Snapshot>> },
    /// The connection broke or the verdict fell.
    Lost { ended: Ended, last: Box<Snapshot> },
    /// No connection came about.
    Unreachable(String),
    /// There was an end to trying while the peer was gone.
    Gone(&'static str),
}

/// How a connection is, at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(crate) liveness: Liveness,
    pub(crate) suspicion: f64,
    pub(crate) rtt: Histogram,
    pub(crate) smoothed: Option<Duration>,
    pub(crate) lateness: Histogram,
    pub(crate) stats: Stats,
    pub(crate) report: Option<Report>,
    /// Over all connections to this peer.
    pub(crate) quality: Quality,
}

impl Snapshot {
    pub(crate) fn of(driver: &Driver, now: heartbeat_proto::Timestamp) -> Box<Self> {
        let machine = driver.machine();
        Box::new(Self {
            liveness: driver.liveness(),
            suspicion: machine.suspicion(now),
            rtt: *machine.rtt_histogram(),
            smoothed: machine.rtt().smoothed(),
            lateness: *machine.lateness(),
            stats: *machine.stats(),
            report: driver.report(),
            quality: driver.quality(),
        })
    }
}
