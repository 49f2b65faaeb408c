//! [`World`]: the simulated peers. No sockets and no clock: datagrams and the time come in,
//! datagrams go out.

use core::time::Duration;

use hdrhistogram::CreationError;
use heartbeat_proto::Timestamp;
use heartbeat_proto::codec::{Frame, datagram};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::pace::Pace;
use super::peer::{Peer, Phase};
use super::retry::Retries;
use super::tally::Tally;

/// What the peers are to do. Spans are below a century, so that they fit into nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) peers: u32,
    /// All have asked to join by then.
    pub(super) ramp: Duration,
    /// From the begin until all leave.
    pub(super) length: Duration,
    /// The chance that a datagram is lost, each way.
    pub(super) loss: f64,
    /// So often a peer leaves and joins anew.
    pub(super) churn: u32,
    /// So many fall silent for ever.
    pub(super) kill: u32,
    /// A killed peer that the gateway has not noticed after so long is late; a living one that has
    /// not heard from it for so long is forgotten.
    pub(super) bound: Duration,
    /// Each peer pings of its own accord so often.
    pub(super) ping: Option<Duration>,
    pub(super) seed: u64,
}

/// Where datagrams go: which peer sends, and what.
pub(super) trait Out: FnMut(u32, &[u8]) {}
impl<F: FnMut(u32, &[u8])> Out for F {}

/// The simulated peers, as one.
#[derive(Debug)]
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) begin: Timestamp,
    pub(super) peers: Vec<Peer>,
    pub(super) retries: Retries,
    joins: Pace,
    churns: Pace,
    kills: Pace,
    leaves: Pace,
    /// The present round of the peers' own pings.
    pings: Option<Pace>,
    /// Which peers: drawn apart from the losses, which depend on what comes in.
    pub(super) choices: ChaCha8Rng,
    losses: ChaCha8Rng,
    /// A datagram is lost if the number drawn is below.
    lost_below: u64,
    pub(super) tally: Tally,
}

/// Between two peers that leave at the end: a gateway can take so many.
const LEAVE_GAP: Duration = Duration::from_micros(10);

impl World {
    pub(super) fn new(plan: Plan, begin: Timestamp) -> Result<Self, CreationError> {
        let ramped = begin.saturating_add(plan.ramp);
        let rest = plan.length.saturating_sub(plan.ramp);
        // Those killed last can still be found within their bound.
        let killing = rest.saturating_sub(plan.bound);
        let mut choices = ChaCha8Rng::seed_from_u64(plan.seed);
        let losses = ChaCha8Rng::seed_from_u64(choices.next_u64());
        Ok(Self {
            plan,
            begin,
            peers: vec![Peer::default(); plan.peers as usize],
            retries: Retries::default(),
            joins: Pace::new(begin, plan.ramp, plan.peers.into()),
            churns: Pace::new(ramped, rest, plan.churn.into()),
            kills: Pace::new(ramped, killing, plan.kill.into()),
            leaves: Self::leaves(plan, begin.saturating_add(plan.length)),
            pings: plan.ping.map(|every| Pace::new(begin, every, plan.peers.into())),
            choices,
            losses,
            lost_below: (plan.loss * 2_f64.powi(64)) as u64,
            tally: Tally::new()?,
        })
    }

    fn leaves(plan: Plan, from: Timestamp) -> Pace {
        Pace::new(from, LEAVE_GAP.saturating_mul(plan.peers), plan.peers.into())
    }

    /// Ends now, not at the end of the plan: those killed a moment ago are not waited for.
    pub(super) fn stop(&mut self, now: Timestamp) {
        if self.leaves.next().is_some_and(|at| at > now) && self.leaves.done() == 0 {
            self.leaves = Self::leaves(self.plan, now);
        }
    }

    /// Whether all have left.
    pub(super) const fn is_over(&self) -> bool {
        self.leaves.is_over()
    }

    /// Does what is due, but sends at most about `budget` datagrams; what has come in should be
    /// read in between.
    pub(super) fn advance(&mut self, now: Timestamp, budget: usize, out: &mut impl Out) {
        let leaving = self.leaves.next().is_some_and(|at| at <= now) || self.leaves.done() > 0;
        for _ in 0..budget {
            if leaving {
                let Some(peer) = self.leaves.take(now) else { break };
                self.leave(now, peer as u32, out);
            } else if !self.one(now, out) {
                break;
            }
        }
    }

    /// When [`advance`](Self::advance) has something to do again.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        if self.leaves.done() > 0 {
            return self.leaves.next();
        }
        let pings = self.pings.as_ref().and_then(Pace::next);
        let paces = [self.joins.next(), self.churns.next(), self.kills.next(), pings];
        let others = [self.retries.next_deadline(), self.leaves.next()];
        paces.into_iter().chain(others).flatten().min()
    }

    /// Does one thing that is due, if there is one.
    fn one(&mut self, now: Timestamp, out: &mut impl Out) -> bool {
        if let Some(peer) = self.joins.take(now) {
            self.join(now, peer as u32, out);
        } else if let Some((peer, epoch)) = self.retries.pop(now) {
            self.ask_again(now, peer, epoch, out);
        } else if self.kills.take(now).is_some() {
            self.kill(now);
        } else if self.churns.take(now).is_some() {
            self.churn(now, out);
        } else if let Some(peer) = self.next_to_ping(now) {
            self.ping(now, peer, out);
        } else {
            return false;
        }
        true
    }

    fn next_to_ping(&mut self, now: Timestamp) -> Option<u32> {
        let pings = self.pings.as_mut()?;
        let peer = pings.take(now)?;
        if pings.is_over() {
            *pings = pings.again();
        }
        Some(peer as u32)
    }

    /// A datagram of the gateway came to this peer.
    pub(super) fn datagram(&mut self, now: Timestamp, peer: u32, bytes: &[u8], out: &mut impl Out) {
        self.tally.received += 1;
        let Ok(frame) = datagram::decode(bytes) else { return self.tally.strays += 1 };
        let Some(phase) = self.peers.get(peer as usize).map(|peer| peer.phase) else {
            return self.tally.strays += 1;
        };
        // Goodbyes are how verdicts are counted: none is lost on purpose.
        if let Frame::Goodbye { epoch, reason } = frame {
            return self.told(now, peer, epoch, reason);
        }
        match phase {
            Phase::Joining(_) | Phase::Joined if self.is_lost() => self.tally.lost += 1,
            Phase::Joining(_) | Phase::Joined => self.heard(now, peer, &frame, out),
            // The gateway does not know yet.
            Phase::Killed => self.tally.unanswered += 1,
            Phase::Away | Phase::Found => self.tally.strays += 1,
        }
    }
}

impl World {
    /// Whether chance loses the next datagram.
    pub(super) fn is_lost(&mut self) -> bool {
        self.lost_below > 0 && self.losses.next_u64() < self.lost_below
    }
}

#[cfg(test)]
mod tests;
