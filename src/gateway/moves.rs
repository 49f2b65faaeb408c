//! Peers with keys that speak from another address than theirs (rule GW12): they are asked there, and
//! go on there when they have answered. Nothing is kept meanwhile: the ping bears a hash of the address.

use super::address::Address;
use super::book::Home;
use super::pongs::Pong;
use super::{Gateway, Outlet};
use crate::codec::Frame;
use crate::detector::Detector;
use crate::event::PingId;
use crate::fleet::Handle;
use crate::time::Timestamp;

/// A handle field: the slot in the low half, and in a probe the hash in the high half.
const fn halves(field: u64) -> (u32, u32) {
    (field as u32, (field >> 32) as u32)
}

impl<D: Detector> Gateway<D> {
    /// Whose a sealed frame claims to be; nothing of it counts before the tag is verified. A ping names
    /// its peer by slot, where it does not by its address.
    pub(super) fn claimed(&self, from: &Address, frame: &Frame) -> Option<Handle> {
        let found = |place| self.fleet.at(place);
        match *frame {
            Frame::Pong { id, handle, .. } => {
                let peer = Handle::new(halves(handle).0, id.epoch());
                self.fleet.contains(peer).then_some(peer)
            }
            Frame::Ping { id, handle, .. } => self.book.find(from).and_then(found).or_else(|| {
                let place = Handle::new(u32::try_from(handle).ok()?, 0).place();
                let home = self.book.home(place)?;
                let peer = found(place)?;
                let named = home.epoch == id.epoch() && u64::from(peer.slot()) == handle;
                named.then_some(peer)
            }),
            _ => self.book.find(from).and_then(found),
        }
    }

    /// A pong of this peer came from another address. Whether it counts.
    pub(super) fn elsewhere<O: Outlet>(
        &mut self,
        now: Timestamp,
        peer: Handle,
        at: Home,
        pong: &Pong,
        newest: bool,
        out: &mut O,
    ) -> bool {
        let (_, probed) = halves(pong.handle);
        if !self.has_room(peer, &at.address) {
            return false;
        }
        if probed == 0 {
            // It answers what was sent to where the peer was: anybody can have brought it.
            if newest {
                self.probe(now, peer, at, out);
            }
            return true;
        }
        let asked = pong.id.seq() == 0 && probed == self.secret.probe(peer, &at.address);
        if asked && newest {
            self.book.relocate(peer.place(), at.address);
            self.stats.moved += 1;
        }
        asked && newest
    }

    /// A ping of this peer came from another address.
    pub(super) fn called<O: Outlet>(
        &mut self,
        now: Timestamp,
        peer: Handle,
        at: Home,
        newest: bool,
        out: &mut O,
    ) {
        if newest && self.has_room(peer, &at.address) {
            self.probe(now, peer, at, out);
        } else {
            self.stats.unwanted += 1;
        }
    }

    /// Asks the peer whether it is there: by no ping of the fleet's, which knows nothing of it.
    fn probe<O: Outlet>(&mut self, now: Timestamp, peer: Handle, at: Home, out: &mut O) {
        let id = PingId::new(peer.epoch(), 0);
        let hash = self.secret.probe(peer, &at.address);
        let handle = u64::from(hash) << 32 | u64::from(peer.slot());
        let stamp = now.as_nanos().wrapping_add(self.mask(peer, &at));
        self.stats.probes += 1;
        self.send(peer, &at, &Frame::Ping { id, handle, stamp, status: None }, out);
    }

    /// GW4: whether there is room for it there; within its source it is none more.
    fn has_room(&mut self, peer: Handle, to: &Address) -> bool {
        let home = self.book.home(peer.place());
        let beside = home.is_some_and(|home| home.address.source() == to.source());
        self.book.find(to).is_none() && (beside || self.has_source(to))
    }
}
