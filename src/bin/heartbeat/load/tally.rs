//! [`Tally`]: what came of it.

use core::time::Duration;

use hdrhistogram::CreationError;
use heartbeat_proto::Timestamp;

use super::latencies::Latencies;

/// Counts and latencies of a run so far.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// Peers that are in, and alive.
    pub(super) present: u64,
    /// Requests to join, repeated ones as well.
    pub(super) asked: u64,
    /// Datagrams handed to the system, and received; those that chance lost are not among the
    /// former.
    pub(super) sent: u64,
    pub(super) received: u64,
    /// Datagrams that chance lost, either way.
    pub(super) lost: u64,
    /// Pings of the gateway to living peers that reached them.
    pub(super) pings: u64,
    /// Datagrams to killed peers.
    pub(super) unanswered: u64,
    /// Pings of the peers' own accord.
    pub(super) own_pings: u64,
    /// Datagrams that mean nothing to whom they reached.
    pub(super) strays: u64,
    pub(super) churned: u64,
    pub(super) killed: u64,
    /// Killed, and told that they were declared dead.
    pub(super) found: u64,
    /// Killed, and not found within the bound.
    pub(super) late: u64,
    /// Killed too short before the end to say, or the gateway's end.
    pub(super) undecided: u64,
    /// Alive, and told that they were declared dead.
    pub(super) wrong: u64,
    /// Alive, joined, and not heard from for longer than the bound at the end.
    pub(super) forgotten: u64,
    /// Asked to join for longer than the bound at the end, and was not let in.
    pub(super) outside: u64,
    /// Asked to join for less than that at the end, and was not let in yet.
    pub(super) waiting: u64,
    /// Sent away by a gateway that ended.
    pub(super) dismissed: u64,
    /// By how much this program itself was late, at most.
    pub(super) own_lateness: Duration,
    /// From the first request until it is in, own pings' round trips, from kill until told.
    pub(super) joins: Latencies,
    pub(super) round_trips: Latencies,
    pub(super) detections: Latencies,
}

impl Tally {
    pub(super) fn new() -> Result<Self, CreationError> {
        Ok(Self {
            present: 0,
            asked: 0,
            sent: 0,
            received: 0,
            lost: 0,
            pings: 0,
            unanswered: 0,
            own_pings: 0,
            strays: 0,
            churned: 0,
            killed: 0,
            found: 0,
            late: 0,
            undecided: 0,
            wrong: 0,
            forgotten: 0,
            outside: 0,
            waiting: 0,
            dismissed: 0,
            own_lateness: Duration::ZERO,
            joins: Latencies::new()?,
            round_trips: Latencies::new()?,
            detections: Latencies::new()?,
        })
    }

    /// This program did at `now` what was due at `due`.
    pub(super) fn was_due(&mut self, due: Timestamp, now: Timestamp) {
        self.own_lateness = self.own_lateness.max(now.saturating_duration_since(due));
    }

    /// Whether there was a gateway, and every verdict was right and in time.
    pub(super) fn is_good(&self) -> bool {
        let bad = [self.wrong, self.late, self.forgotten, self.outside];
        bad == [0; 4] && self.joins.len() > 0
    }
}
