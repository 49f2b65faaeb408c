//! [`GatewayStats`]: what a gateway has counted.

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
    /// Pongs from another address than their peer's.
    pub pongs_moved: u64,
    /// Pongs whose stamp was never sent.
    pub pongs_forged: u64,
    /// Challenges sent.
    pub challenges: u64,
    /// Strangers that got no challenge, because there were too many in a second.
    pub challenges_capped: u64,
    /// Answers to challenges that were never sent to that address, or too long ago.
    pub answers_bad: u64,
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
