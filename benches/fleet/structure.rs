//! [`Structure`]: what every contender can do.

use crate::work::Work;

/// Watches peers: is told of their pongs, says whom to ping, finds out who is silent.
pub(crate) trait Structure: Sized {
    /// Names a peer.
    type Key: Copy;
    /// What a ping carries, for its pong to bring back.
    type Ping: Copy;
    /// A pong, or in passive mode a beat, as it comes out of a decoder.
    type Pong: Copy;

    /// With all peers in it at time 0, and their keys.
    fn new(work: &Work) -> (Self, Vec<Self::Key>);

    /// The answer to a ping. Not timed.
    fn pong(ping: Self::Ping) -> Self::Pong;

    /// A beat of this peer. Not timed.
    fn beat(key: Self::Key, now: u64) -> Self::Pong;

    /// All pongs or beats of a step.
    fn hear(&mut self, pongs: &[Self::Pong], now: u64);

    /// Everything due by `now`.
    fn step(&mut self, now: u64, out: &mut Out<Self::Ping>);
}

/// What a step said.
pub(crate) struct Out<P> {
    pub(crate) pings: Vec<P>,
    /// Active: pings whose pong did not come in its window. Passive: peers silent for the timeout.
    pub(crate) verdicts: u64,
}
