//! What a simulated peer does.

use core::time::Duration;

use heartbeat_proto::codec::{Frame, MAX_FRAME};
use heartbeat_proto::{PingId, Timestamp};
use rand::{Rng, RngCore};

use super::peer::{Peer, Phase};
use super::world::{Out, World};

/// The goodbye that a gateway says to a peer that it declared dead.
const LOST: u16 = 1;

/// So often a peer is drawn before the next one that has joined is taken.
const DRAWS: u32 = 64;

impl World {
    /// Asks to join, under a new epoch.
    pub(super) fn join(&mut self, now: Timestamp, index: u32, out: &mut impl Out) {
        self.renew(now, index);
        self.ask(now, index, out);
    }

    /// The wait for an answer is over, unless it came.
    pub(super) fn ask_again(&mut self, now: Timestamp, index: u32, epoch: u32, out: &mut impl Out) {
        let Some(peer) = self.peers.get(index as usize) else { return };
        if peer.epoch == epoch && matches!(peer.phase, Phase::Joining(_)) {
            self.ask(now, index, out);
        }
    }

    /// A peer that has joined falls silent.
    pub(super) fn kill(&mut self, now: Timestamp) {
        let Some(index) = self.draw() else { return };
        let Some(peer) = self.peers.get_mut(index as usize) else { return };
        (peer.phase, peer.since) = (Phase::Killed, now);
        self.tally.killed += 1;
        self.tally.present -= 1;
    }

    /// A peer that has joined leaves, and joins anew.
    pub(super) fn churn(&mut self, now: Timestamp, out: &mut impl Out) {
        let Some(index) = self.draw() else { return };
        let Some(peer) = self.peers.get(index as usize) else { return };
        self.send(index, &Frame::Goodbye { epoch: peer.epoch, reason: 0 }, out);
        self.tally.churned += 1;
        self.tally.present -= 1;
        self.join(now, index, out);
    }

    /// Pings of its own accord, if it has joined.
    pub(super) fn ping(&mut self, now: Timestamp, index: u32, out: &mut impl Out) {
        if self.peers.get(index as usize).is_some_and(|peer| peer.phase == Phase::Joined) {
            self.tally.own_pings += 1;
            self.speak(now, index, out);
        }
    }

    /// Leaves for good.
    pub(super) fn leave(&mut self, now: Timestamp, index: u32, out: &mut impl Out) {
        let (bound, hundredths) = (self.plan.bound, self.hundredths(now));
        let Some(peer) = self.peers.get_mut(index as usize) else { return };
        // One less, since both are rounded down.
        let silent = u64::from(hundredths.saturating_sub(peer.heard)).saturating_sub(1);
        let silence = Duration::from_millis(10 * silent);
        let (epoch, phase) = (peer.epoch, peer.phase);
        let span = now.saturating_duration_since(peer.since);
        peer.phase = Phase::Away;
        match phase {
            Phase::Joined => {
                self.tally.forgotten += u64::from(silence > bound);
                self.tally.present -= 1;
            }
            Phase::Joining(_) if span > bound => self.tally.outside += 1,
            Phase::Joining(_) => self.tally.waiting += 1,
            Phase::Killed if span >= bound => self.tally.late += 1,
            Phase::Killed => self.tally.undecided += 1,
            Phase::Away | Phase::Found => {}
        }
        if matches!(phase, Phase::Joined | Phase::Joining(_)) {
            self.post(index, &Frame::Goodbye { epoch, reason: 0 }, out);
        }
    }

    /// A living peer got this.
    pub(super) fn heard(&mut self, now: Timestamp, index: u32, frame: &Frame, out: &mut impl Out) {
        let hundredths = self.hundredths(now);
        let Some(peer) = self.peers.get_mut(index as usize) else { return };
        match *frame {
            // A challenge: whoever answers is there.
            Frame::Ping { id, handle, .. } if id.epoch() == 0 => {
                if handle != u64::from(peer.epoch) {
                    return self.tally.strays += 1;
                }
                peer.challenged = true;
                let first = !core::mem::replace(&mut peer.confirmed, true);
                self.answer(index, frame, out);
                if first {
                    // The answer tells whether it is in, long before it is pinged.
                    self.speak(now, index, out);
                }
            }
            // Of the connection before; it was under way.
            Frame::Ping { id, .. }
                if matches!(peer.phase, Phase::Joining(_)) && id.epoch() == peer.gateway =>
            {
                self.tally.strays += 1;
            }
            Frame::Ping { id, .. } => {
                self.joined(now, index);
                let Some(peer) = self.peers.get_mut(index as usize) else { return };
                (peer.gateway, peer.heard) = (id.epoch(), hundredths);
                self.tally.pings += 1;
                self.answer(index, frame, out);
            }
            // Before a challenge a gateway answers nobody: it would be a server that watches nobody.
            Frame::Pong { id, stamp, .. } if id.epoch() == peer.epoch && peer.challenged => {
                peer.heard = hundredths;
                let took = now.saturating_duration_since(Timestamp::from_nanos(stamp));
                self.tally.round_trips.record(took);
                self.joined(now, index);
            }
            _ => self.tally.strays += 1,
        }
    }

    /// The gateway said goodbye to this peer.
    pub(super) fn told(&mut self, now: Timestamp, index: u32, epoch: u32, reason: u16) {
        let Some(peer) = self.peers.get_mut(index as usize) else { return };
        let meant = peer.gateway == epoch || peer.gateway == 0;
        match (peer.phase, reason) {
            (Phase::Killed, LOST) if meant => {
                peer.phase = Phase::Found;
                let took = now.saturating_duration_since(peer.since);
                self.tally.found += 1;
                self.tally.late += u64::from(took > self.plan.bound);
                self.tally.detections.record(took);
            }
            // It has ended, or been told to forget this one: nobody will find it any more.
            (Phase::Killed, _) if meant => {
                peer.phase = Phase::Away;
                self.tally.undecided += 1;
            }
            (Phase::Joined, _) if meant => {
                if reason == LOST {
                    self.tally.wrong += 1;
                } else {
                    self.tally.dismissed += 1;
                }
                self.tally.present -= 1;
                let epoch = self.renew(now, index);
                // Not at once: the gateway may be about to end.
                self.retries.push(now, index, epoch, 0);
            }
            _ => self.tally.strays += 1,
        }
    }

    /// A next life of this peer begins: its epoch.
    fn renew(&mut self, now: Timestamp, index: u32) -> u32 {
        let epoch = (self.choices.next_u32()).max(1);
        if let Some(peer) = self.peers.get_mut(index as usize) {
            let Peer { gateway, heard, .. } = *peer;
            let phase = Phase::Joining(0);
            *peer = Peer { since: now, epoch, gateway, heard, phase, ..Peer::default() };
        }
        epoch
    }

    fn ask(&mut self, now: Timestamp, index: u32, out: &mut impl Out) {
        let Some(peer) = self.peers.get_mut(index as usize) else { return };
        let Phase::Joining(before) = peer.phase else { return };
        peer.phase = Phase::Joining(before.saturating_add(1));
        peer.confirmed = false;
        let epoch = peer.epoch;
        self.tally.asked += 1;
        // As long as any wait so far, by chance: those refused together do not come back together.
        let level = self.choices.random_range(0..=before);
        self.retries.push(now, index, epoch, level);
        self.speak(now, index, out);
    }

    /// The gateway has let this peer in, if it had not before.
    fn joined(&mut self, now: Timestamp, index: u32) {
        let Some(peer) = self.peers.get_mut(index as usize) else { return };
        if matches!(peer.phase, Phase::Joining(_)) {
            (peer.phase, peer.gateway) = (Phase::Joined, 0);
            let took = now.saturating_duration_since(peer.since);
            self.tally.present += 1;
            self.tally.joins.record(took);
        }
    }

    /// One that has joined, by chance; `None` if nobody has.
    fn draw(&mut self) -> Option<u32> {
        if self.tally.present == 0 {
            return None;
        }
        let (peers, choices, count) = (&self.peers, &mut self.choices, self.plan.peers);
        let has_joined = |index: &u32| {
            peers.get(*index as usize).is_some_and(|peer| peer.phase == Phase::Joined)
        };
        let mut drawn = (0..DRAWS).map(|_| choices.random_range(0..count));
        drawn.find(has_joined).or_else(|| {
            let first = choices.random_range(0..count);
            (first..count).chain(0..first).find(has_joined)
        })
    }

    /// A ping of the peer's own.
    fn speak(&mut self, now: Timestamp, index: u32, out: &mut impl Out) {
        let Some(peer) = self.peers.get_mut(index as usize) else { return };
        peer.seq = peer.seq.wrapping_add(1);
        let id = PingId::new(peer.epoch, peer.seq);
        self.send(index, &Frame::Ping { id, handle: 0, stamp: now.as_nanos(), status: None }, out);
    }

    fn answer(&mut self, index: u32, ping: &Frame, out: &mut impl Out) {
        if let Some(pong) = ping.answer(Duration::ZERO, false) {
            self.send(index, &pong, out);
        }
    }

    /// Sends, unless chance loses it.
    fn send(&mut self, index: u32, frame: &Frame, out: &mut impl Out) {
        if self.is_lost() {
            self.tally.lost += 1;
        } else {
            self.post(index, frame, out);
        }
    }

    fn post(&mut self, index: u32, frame: &Frame, out: &mut impl Out) {
        let mut bytes = [0; MAX_FRAME];
        if let Ok(len) = frame.encode_into(&mut bytes) {
            self.tally.sent += 1;
            out(index, bytes.get(..len).unwrap_or_default());
        }
    }

    /// Since the begin. A run of a year ends before there are too many.
    fn hundredths(&self, now: Timestamp) -> u32 {
        let span = now.saturating_duration_since(self.begin).as_millis() / 10;
        u32::try_from(span).unwrap_or(u32::MAX)
    }
}
