//! What may happen to a fleet, and under which rules.

use core::time::Duration;

use heartbeat_proto::detector::Detector;
use heartbeat_proto::{Config, Mode, Verdict};

pub(crate) const MS: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Say {
    Start,
    /// The answer to the newest ping but so many.
    Pong(u32),
    /// The same, without what the echo ledger needs for older ones.
    BarePong(u32),
    CalmPong,
    Ping,
    Beacon,
    Frame,
    Limit(u16),
    PingDue,
    Written,
    Progress,
    Blocked,
    Suspend,
    Resume,
    Hold(bool),
    Drain,
    Close,
    Goodbye,
    Tick,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Insert {
        profile: usize,
        peers: usize,
    },
    /// So many times 20 ms of a healthy life.
    Live {
        rounds: usize,
    },
    /// All that are new are started.
    Start,
    /// All answer their newest ping, if they have not yet, and who is not pinged beats; but one in so
    /// many.
    Answer {
        but: usize,
    },
    Remove {
        who: usize,
    },
    Reconnect {
        who: usize,
    },
    Tell {
        who: usize,
        say: Say,
    },
    Batch {
        tells: Vec<(usize, Say)>,
        enough: usize,
    },
    Advance {
        budget: usize,
        enough: usize,
    },
    /// Advances until all is done.
    Finish,
    Pass {
        nanos: u64,
    },
    /// The clock steps back.
    Back {
        nanos: u64,
    },
}

/// A plain profile, one with all that can be asked for, and one that is pinged.
pub(crate) fn configs<D: Detector>(detector: D) -> Vec<Config<D>> {
    let base = Config::builder()
        .interval(Duration::from_millis(300))
        .timeout(Duration::from_millis(900))
        .attempts(3)
        .detector(detector);
    vec![
        base.build().expect("valid"),
        base.write_reports(true)
            .reopen_after(2)
            .accept_gap(Duration::from_millis(100))
            .police(2, 3, Verdict::Report)
            .keepalive(Duration::from_millis(500))
            .build()
            .expect("valid"),
        base.mode(Mode::Responder).build().expect("valid"),
    ]
}
