//! [`Monitor`]: peers under the simplest rules there are, on any structure that keeps timers.

use crate::structure::{Out, Structure};
use crate::work::{Mode, Work};

/// Keeps one timer a peer.
pub(crate) trait Timers: Sized {
    fn new(work: &Work) -> Self;

    /// Of a peer without a timer.
    fn arm(&mut self, peer: u32, due: u64);

    /// Moves the peer's timer.
    fn rearm(&mut self, peer: u32, due: u64);

    /// Takes out the peers whose timers are due.
    fn expire(&mut self, now: u64, due: &mut Vec<u32>);
}

pub(crate) struct Monitor<T> {
    timers: T,
    peers: Vec<Peer>,
    due: Vec<u32>,
    work: Work,
}

#[derive(Clone, Copy)]
struct Peer {
    /// The next ping.
    plan: u64,
    awaits_pong: bool,
}

impl<T: Timers> Structure for Monitor<T> {
    type Key = u32;
    type Ping = u32;
    type Pong = u32;

    fn new(work: &Work) -> (Self, Vec<u32>) {
        let mut timers = T::new(work);
        let peer = |peer| {
            let plan = work.first(peer);
            timers.arm(peer, plan);
            Peer { plan, awaits_pong: false }
        };
        let peers = (0..work.peers).map(peer).collect();
        (Self { timers, peers, due: Vec::new(), work: *work }, (0..work.peers).collect())
    }

    fn pong(ping: u32) -> u32 {
        ping
    }

    fn beat(key: u32, _now: u64) -> u32 {
        key
    }

    fn hear(&mut self, pongs: &[u32], now: u64) {
        for &peer in pongs {
            let state = &mut self.peers[peer as usize];
            if self.work.mode == Mode::Passive {
                state.plan = now + self.work.timeout;
                self.timers.rearm(peer, state.plan);
            } else if state.awaits_pong {
                state.awaits_pong = false;
                self.timers.rearm(peer, state.plan);
            }
        }
    }

    fn step(&mut self, now: u64, out: &mut Out<u32>) {
        self.timers.expire(now, &mut self.due);
        for &peer in &self.due {
            let state = &mut self.peers[peer as usize];
            if self.work.mode == Mode::Passive {
                out.verdicts += 1;
                self.timers.arm(peer, now + self.work.timeout);
                continue;
            }
            if state.awaits_pong {
                out.verdicts += 1; // And another ping at once.
            } else {
                state.awaits_pong = true;
                state.plan += self.work.next_interval(peer, state.plan);
            }
            self.timers.arm(peer, now + self.work.window);
            out.pings.push(peer);
        }
        self.due.clear();
    }
}
