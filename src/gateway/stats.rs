//! [`GatewayStats`]: what a gateway has counted.

use core::ops::AddAssign;

/// Counters of a [`Gateway`](super::Gateway) since it was made; what its peers did is in the
/// fleet's [`Census`](crate::fleet::Census). No rule reads them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct GatewayStats {
    /// Datagrams that came in.
    pub received: u64,
    /// Datagrams that were sent.
    pub sent: u64,
    /// Came in and were no frame.
    pub malformed: u64,
    /// Frames that mean nothing here: of strangers that do not ask to join, of peers under another
    /// epoch than theirs, of unknown kinds.
    pub unwanted: u64,
    /// Pongs that name no peer: of one that was forgotten, or made up.
    pub pongs_stale: u64,
    /// Pongs for another shard.
    pub pongs_misrouted: u64,
    /// Pongs from another address than their peer's; with keys those that do not move it there.
    pub pongs_moved: u64,
    /// Pongs whose stamp was never sent.
    pub pongs_forged: u64,
    /// With keys: frames that were not sealed by their peer, or were replayed.
    pub unsealed: u64,
    /// With keys: peers that spoke from another address, and were asked there.
    pub probes: u64,
    /// With keys: peers that went on at another address.
    pub moved: u64,
    /// Challenges sent.
    pub challenges: u64,
    /// Strangers that got no challenge, because there were too many in a second.
    pub challenges_capped: u64,
    /// Answers to challenges that were never sent to that address, or too long ago.
    pub answers_bad: u64,
    /// With keys: sealed hellos of strangers that were not verified, because there were too many in a
    /// second.
    pub answers_capped: u64,
    /// Strangers refused because all places are taken.
    pub refused_full: u64,
    /// Strangers refused because their source has all the peers that it may.
    pub refused_source: u64,
    /// Answers refused because too many were admitted in a second.
    pub refused_rate: u64,
    /// Peers admitted, those that began anew with them.
    pub joined: u64,
    /// Peers that began anew.
    pub restarted: u64,
    /// Peers that said goodbye.
    pub left: u64,
    /// Peers declared dead.
    pub lost: u64,
    /// Peers that the caller removed.
    pub removed: u64,
}

/// Each counter by itself: what two gateways have counted together.
impl AddAssign<&Self> for GatewayStats {
    fn add_assign(&mut self, other: &Self) {
        // Whole, so that no counter is forgotten.
        let Self {
            received,
            sent,
            malformed,
            unwanted,
            pongs_stale,
            pongs_misrouted,
            pongs_moved,
            pongs_forged,
            unsealed,
            probes,
            moved,
            challenges,
            challenges_capped,
            answers_bad,
            answers_capped,
            refused_full,
            refused_source,
            refused_rate,
            joined,
            restarted,
            left,
            lost,
            removed,
        } = self;
        for (sum, more) in [
            (received, other.received),
            (sent, other.sent),
            (malformed, other.malformed),
            (unwanted, other.unwanted),
            (pongs_stale, other.pongs_stale),
            (pongs_misrouted, other.pongs_misrouted),
            (pongs_moved, other.pongs_moved),
            (pongs_forged, other.pongs_forged),
            (unsealed, other.unsealed),
            (probes, other.probes),
            (moved, other.moved),
            (challenges, other.challenges),
            (challenges_capped, other.challenges_capped),
            (answers_bad, other.answers_bad),
            (answers_capped, other.answers_capped),
            (refused_full, other.refused_full),
            (refused_source, other.refused_source),
            (refused_rate, other.refused_rate),
            (joined, other.joined),
            (restarted, other.restarted),
            (left, other.left),
            (lost, other.lost),
            (removed, other.removed),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

impl GatewayStats {
    /// What strangers, and strange datagrams, were refused: all that was dropped.
    ///
    /// ```
    /// use heartbeat_proto::gateway::GatewayStats;
    ///
    /// let mut stats = GatewayStats::default();
    /// (stats.malformed, stats.refused_rate) = (2, 3);
    /// assert_eq!((stats.dropped(), stats.refused()), (5, 3));
    /// ```
    pub const fn dropped(&self) -> u64 {
        let pongs = self.pongs_stale + self.pongs_misrouted + self.pongs_moved + self.pongs_forged;
        self.malformed + self.unwanted + self.unsealed + pongs + self.answers_bad + self.refused()
    }

    /// Strangers that were refused by a cap.
    pub const fn refused(&self) -> u64 {
        let capped = self.challenges_capped + self.answers_capped;
        capped + self.refused_full + self.refused_source + self.refused_rate
    }
}
