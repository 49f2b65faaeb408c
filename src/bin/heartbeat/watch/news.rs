//! What one watched peer has to tell.

use core::net::SocketAddr;
use core::time::Duration;

use heartbeat_proto::adapter::{Driver, Ended};
use heartbeat_proto::{Config, Findings, Histogram, Liveness, Report, Stats};

#[derive(Clone, Debug)]
pub(crate) enum News {
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
    /// There never was a connection.
    Unreachable(String),
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
}

impl Snapshot {
    pub(crate) fn of(driver: &Driver, now: heartbeat_proto::Timestamp) -> Self {
        let machine = driver.machine();
        Self {
            liveness: driver.liveness(),
            suspicion: machine.suspicion(now),
            rtt: *machine.rtt_histogram(),
            smoothed: machine.rtt().smoothed(),
            lateness: *machine.lateness(),
            stats: *machine.stats(),
            report: driver.report(),
        }
    }
}
