//! All datagrams but the pongs of peers: who joins, leaves, and speaks of its own accord.

use core::net::SocketAddr;

use super::address::Address;
use super::book::Home;
use super::pongs::Pong;
use super::secret::Asked;
use super::{Gateway, Gone, Outlet};
use crate::codec::{Frame, Link, MAX_FRAME, datagram};
use crate::detector::Detector;
use crate::event::{Event, PingId};
use crate::fleet::Handle;
use crate::time::Timestamp;

/// A challenge holds for this one of the clock's 4.3 s and the next.
const TICK_SHIFT: u32 = 32;

pub(super) const fn tick(now: Timestamp) -> u32 {
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
            (_, Frame::Ping { .. }) if epoch != 0 => self.challenge(now, address, epoch, out),
            // GW2: to answer a ping of epoch 0 is to begin a loop with another gateway.
            _ => self.stats.unwanted += 1,
        }
    }

    /// A peer speaks of its own accord.
    pub(super) fn spoken<O: Outlet>(
        &mut self,
        now: Timestamp,
        peer: Handle,
        frame: &Frame,
        out: &mut O,
    ) {
        let Some(home) = self.book.home(peer.place()) else { return };
        let mut link = Link::new(self.mask(peer, home), peer.slot().into());
        match link.event(frame, now) {
            Some(event) => drop(self.tell(peer, event, now, Some(&mut link), out)),
            None => self.stats.unwanted += 1,
        }
    }

    /// GW2: nothing is kept of a stranger but what it must bring back.
    fn challenge<O: Outlet>(&mut self, now: Timestamp, address: Address, epoch: u32, out: &mut O) {
        if self.may_challenge(now, &address) {
            let asked = self.asked(address, epoch, tick(now));
            let stamp = self.secret.challenge(&asked);
            let id = PingId::new(0, asked.tick);
            let ping = Frame::Ping { id, handle: epoch.into(), stamp, status: None };
            self.send_to(address.socket(), &ping, out);
        }
    }

    /// What a challenge of that tick is made of.
    pub(super) fn asked(&self, address: Address, epoch: u32, tick: u32) -> Asked {
        Asked { address, epoch, tick, stay: self.book.stay(&address) }
    }

    /// GW4: whether one more may be challenged, who must be counted as such then.
    pub(super) fn may_challenge(&mut self, now: Timestamp, address: &Address) -> bool {
        if self.book.find(address).is_none() && !self.has_place(address) {
            return false;
        }
        let may = self.challenges.take(now);
        *(if may { &mut self.stats.challenges } else { &mut self.stats.challenges_capped }) += 1;
        may
    }

    pub(super) fn send_to<O: Outlet>(&mut self, to: SocketAddr, frame: &Frame, out: &mut O) {
        let mut bytes = [0; MAX_FRAME];
        let Ok(len) = frame.encode_into(&mut bytes) else { return };
        self.stats.sent += 1;
        out.send(to, bytes.get(..len).unwrap_or_default());
    }

    /// GW3: the answer to a challenge, or what claims to be.
    fn admit<O: Outlet>(&mut self, now: Timestamp, address: Address, pong: &Pong, out: &mut O) {
        let sent = pong.id.seq();
        let epoch = pong.handle as u32;
        let fresh = tick(now).wrapping_sub(sent) <= 1;
        let whole = u64::from(epoch) == pong.handle && epoch != 0;
        let asked = self.asked(address, epoch, sent);
        if !fresh || !whole || self.secret.challenge(&asked) != pong.stamp {
            return self.stats.answers_bad += 1;
        }
        if let Some((peer, home)) = self.seat(now, address, epoch, out) {
            self.begin(now, peer, &home, out);
        }
    }

    /// GW3, GW4: a place for whoever has proved to be there.
    pub(super) fn seat<O: Outlet>(
        &mut self,
        now: Timestamp,
        address: Address,
        epoch: u32,
        out: &mut O,
    ) -> Option<(Handle, Home)> {
        let place = self.book.find(&address);
        let known = place.and_then(|place| Some((self.fleet.at(place)?, *self.book.home(place)?)));
        let home = Home { address, epoch };
        match known {
            Some((_, old)) if old.epoch == epoch => {
                self.stats.unwanted += 1;
                None
            }
            None if !self.has_place(&address) => None,
            _ if !self.joins.take(now) => {
                self.stats.refused_rate += 1;
                None
            }
            Some((peer, _)) => Some((self.reseat(now, peer, &home, out)?, home)),
            None => Some((self.insert(now, home)?, home)),
        }
    }

    fn insert(&mut self, now: Timestamp, home: Home) -> Option<Handle> {
        let profile = self.fleet.profiles().next()?;
        let Ok(mut peer) = self.fleet.insert(profile, now) else {
            self.stats.refused_full += 1;
            return None;
        };
        if peer.epoch() == 0 {
            // That of challenges. The same slot again has the next one.
            self.fleet.remove(peer).ok()?;
            peer = self.fleet.insert(profile, now).ok()?;
        }
        self.book.enter(peer.place(), home);
        Some(peer)
    }

    fn reseat<O: Outlet>(
        &mut self,
        now: Timestamp,
        old: Handle,
        home: &Home,
        out: &mut O,
    ) -> Option<Handle> {
        let mut peer = self.fleet.reconnected(old, now).ok()?;
        if peer.epoch() == 0 {
            peer = self.fleet.reconnected(peer, now).ok()?;
        }
        self.book.renew(peer.place(), home.epoch);
        self.stats.restarted += 1;
        out.gone(old, home.address.socket(), Gone::Restarted);
        Some(peer)
    }

    pub(super) fn begin<O: Outlet>(
        &mut self,
        now: Timestamp,
        peer: Handle,
        home: &Home,
        out: &mut O,
    ) {
        self.stats.joined += 1;
        out.joined(peer, home.address.socket());
        let _ = self.tell(peer, Event::Start, now, None, out);
    }

    /// GW4: whether there is room for a stranger from there.
    pub(super) fn has_place(&mut self, address: &Address) -> bool {
        if self.fleet.len() >= self.config.peers as usize {
            self.stats.refused_full += 1;
            return false;
        }
        self.has_source(address)
    }

    /// Whether its source may have one more.
    pub(super) fn has_source(&mut self, address: &Address) -> bool {
        let may = self.config.per_source.is_none_or(|most| self.book.peers_beside(address) < most);
        self.stats.refused_source += u64::from(!may);
        may
    }
}
