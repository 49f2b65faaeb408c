//! [`Peer`]: one of the simulated, in 32 bytes.

use heartbeat_proto::Timestamp;

/// What is kept of a peer. Its address is its place in the table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Peer {
    /// Since when it is in this phase; when it joins: when it first asked.
    pub(super) since: Timestamp,
    /// Its own, of the ping that it joins with. Another one each time.
    pub(super) epoch: u32,
    /// The gateway's, of the pings that it gets; zero: it got none yet. While it joins: that of
    /// the connection before.
    pub(super) gateway: u32,
    /// When the gateway last sent it a ping or a pong, in hundredths of a second.
    pub(super) heard: u32,
    /// The number of its last ping under this epoch.
    pub(super) seq: u32,
    /// Whether it answered a challenge under this epoch.
    pub(super) challenged: bool,
    /// Whether it asked a second time, right after it answered the challenge.
    pub(super) confirmed: bool,
    pub(super) phase: Phase,
}

const _: () = assert!(size_of::<Peer>() <= 32);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before it joins, and after it left for good.
    #[default]
    Away,
    /// Has asked to join, so many times.
    Joining(u8),
    /// The gateway has pinged it, or answered it.
    Joined,
    /// Answers no more, and the gateway has not said that it noticed.
    Killed,
    /// Killed, and the gateway has noticed.
    Found,
}
