//! All datagrams but the pongs of peers: who joins, leaves, and speaks of its own accord.

use core::net::SocketAddr;

use super::address::Address;
use super::book::Home;
use super::{Gateway, Gone, Outlet, Pong};
use crate::codec::{Frame, Link, datagram};
use crate::detector::Detector;
use crate::event::{Event, PingId};
use crate::fleet::Handle;
use crate::time::Timestamp;

/// A challenge holds for this one of the clock's 4.3 s and the next.
const TICK_SHIFT: u32 = 32;

const fn tick(now: Timestamp) -> u32 {
    (now.as_nanos() >> TICK_SHIFT) as u32
}

impl<D: Detector> Gateway<D> {
    /// Anything but a pong of a peer.
    #[inline(never)]
    pub(super) fn other<O: Outlet>(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        datagram: &[u8],
        out: &mut O,
    ) {
        let now = self.fleet.clamped(now);
        // GW1: no sign of life.
        let (Ok(frame), Some(address)) = (datagram::decode(datagram), Address::new(from)) else {
            return self.stats.malformed += 1;
        };
        let epoch = match frame {
            Frame::Pong { id, handle, stamp, hold, calm, .. } => {
                // `answered` has left those of epoch 0.
                let pong = Pong { id, handle, stamp, hold, calm };
                return self.admit(now, address, &pong, out);
            }
            Frame::Ping { id, .. } | Frame::Beacon { id, .. } => id.epoch(),
            Frame::Hello(hello) => hello.epoch(),
            Frame::Goodbye { epoch, .. } => epoch,
            Frame::Unknown { .. } => 0,
        };
        let place = self.book.find(&address);
        let known = place.and_then(|place| self.book.home(place)).map(|home| home.epoch);
        match (place.and_then(|place| self.fleet.at(place)), frame) {
            // GW6, GW7: under its own epoch a peer is heard.
            (Some(peer), frame) if known == Some(epoch) => self.spoken(now, peer, &frame, out),
            (_, Frame::Ping { .. }) if epoch != 0 => {
                self.challenge(now, address, epoch, known.is_some(), out);
            }
            // GW2: to answer a ping of epoch 0 is to begin a loop with another gateway.
            _ => self.stats.unwanted += 1,
        }
    }

    /// A peer speaks of its own accord.
    fn spoken<O: Outlet>(&mut self, now: Timestamp, peer: Handle, frame: &Frame, out: &mut O) {
        let mut link = Link::new(self.secret.mask(peer), peer.slot().into());
        match link.event(frame, now) {
            Some(event) => drop(self.tell(peer, event, now, Some(&mut link), out)),
            None => self.stats.unwanted += 1,
        }
    }

    /// GW2: nothing is kept of a stranger but what it must bring back.
    fn challenge<O: Outlet>(
        &mut self,
        now: Timestamp,
        address: Address,
        epoch: u32,
        known: bool,
        out: &mut O,
    ) {
        if !known && !self.has_place(&address) {
            return;
        }
        if !self.challenges.take(now) {
            return self.stats.challenges_capped += 1;
        }
        let tick = tick(now);
        let stamp = self.secret.challenge(&address, epoch, tick);
        let id = PingId::new(0, tick);
        let ping = Frame::Ping { id, handle: epoch.into(), stamp, status: None };
        self.stats.challenges += 1;
        self.send_to(address.socket(), &ping, out);
    }

    /// GW3: the answer to a challenge, or what claims to be.
    fn admit<O: Outlet>(&mut self, now: Timestamp, address: Address, pong: &Pong, out: &mut O) {
        let sent = pong.id.seq();
        let epoch = pong.handle as u32;
        let fresh = tick(now).wrapping_sub(sent) <= 1;
        let whole = u64::from(epoch) == pong.handle && epoch != 0;
        if !fresh || !whole || self.secret.challenge(&address, epoch, sent) != pong.stamp {
            return self.stats.answers_bad += 1;
        }
        let place = self.book.find(&address);
        let known = place.and_then(|place| Some((self.fleet.at(place)?, *self.book.home(place)?)));
        match known {
            Some((_, home)) if home.epoch == epoch => self.stats.unwanted += 1,
            None if !self.has_place(&address) => {}
            _ if !self.joins.take(now) => self.stats.refused_rate += 1,
            Some((peer, home)) => {
                let home = Home { epoch, ..home };
                self.restart(now, peer, home, out);
            }
            None => self.join(now, Home { address, epoch }, out),
        }
    }

    fn join<O: Outlet>(&mut self, now: Timestamp, home: Home, out: &mut O) {
        let Some(profile) = self.fleet.profiles().next() else { return };
        let Ok(mut peer) = self.fleet.insert(profile, now) else {
            return self.stats.refused_full += 1;
        };
        if peer.epoch() == 0 {
            // That of challenges. The same slot again has the next one.
            let _ = self.fleet.remove(peer);
            let Ok(next) = self.fleet.insert(profile, now) else { return };
            peer = next;
        }
        self.book.enter(peer.place(), home);
        self.begin(now, peer, &home, out);
    }

    fn restart<O: Outlet>(&mut self, now: Timestamp, old: Handle, home: Home, out: &mut O) {
        let Ok(mut peer) = self.fleet.reconnected(old, now) else { return };
        if peer.epoch() == 0 {
            let Ok(next) = self.fleet.reconnected(peer, now) else { return };
            peer = next;
        }
        self.book.renew(peer.place(), home.epoch);
        self.stats.restarted += 1;
        out.gone(old, home.address.socket(), Gone::Restarted);
        self.begin(now, peer, &home, out);
    }

    fn begin<O: Outlet>(&mut self, now: Timestamp, peer: Handle, home: &Home, out: &mut O) {
        self.stats.joined += 1;
        out.joined(peer, home.address.socket());
        let _ = self.tell(peer, Event::Start, now, None, out);
    }

    /// GW4: whether there is room for a stranger from there.
    fn has_place(&mut self, address: &Address) -> bool {
        if self.fleet.len() >= self.config.peers as usize {
            self.stats.refused_full += 1;
            return false;
        }
        let most = self.config.per_source.unwrap_or(u32::MAX);
        if self.config.per_source.is_some() && self.book.peers_beside(address) >= most {
            self.stats.refused_source += 1;
            return false;
        }
        true
    }
}
