//! [`Seals`]: frames to bytes, sealed where the gateway has keys.

#[cfg(feature = "auth")]
use alloc::{boxed::Box, vec::Vec};

use super::address::Address;
use super::secret::Secret;
#[cfg(feature = "auth")]
use crate::codec::auth::{KeyRing, Opener, Sealer};
use crate::codec::{Frame, MAX_FRAME};
use crate::fleet::Handle;
#[cfg(feature = "auth")]
use crate::time::Timestamp;

/// Nothing, or the keys and what each peer has agreed on.
#[derive(Debug, Default)]
pub(super) struct Seals {
    #[cfg(feature = "auth")]
    keyed: Option<Keyed>,
}

#[cfg_attr(not(feature = "auth"), expect(clippy::unused_self, reason = "there are no keys"))]
impl Seals {
    /// Writes a frame to the peer in this place. `None`: it cannot be written.
    pub(super) fn encode(
        &mut self,
        place: u32,
        frame: &Frame,
        out: &mut [u8; MAX_FRAME],
    ) -> Option<usize> {
        #[cfg(feature = "auth")]
        if let Some(Keyed { keys, pairs }) = &mut self.keyed {
            let pair = pairs.get_mut(place as usize)?.as_mut()?;
            return pair.sealer.seal(keys, frame, out).ok();
        }
        let _ = place;
        frame.encode_into(out).ok()
    }

    /// Whether every frame must be sealed.
    #[inline]
    pub(super) const fn are_on(&self) -> bool {
        #[cfg(feature = "auth")]
        return self.keyed.is_some();
        #[cfg(not(feature = "auth"))]
        false
    }

    /// What is added to the stamps of pings to a peer at this address: a pong from elsewhere does not
    /// have it. With keys a peer may move, and is known by its seal.
    #[inline]
    pub(super) fn mask(&self, secret: &Secret, peer: Handle, at: &Address) -> u64 {
        let nowhere = Address::default();
        secret.mask(peer, if self.are_on() { &nowhere } else { at })
    }

    /// The peer in this place has gone.
    pub(super) fn forget(&mut self, place: u32) {
        #[cfg(feature = "auth")]
        if let Some(pair) = self.keyed.as_mut().and_then(|k| k.pairs.get_mut(place as usize)) {
            *pair = None;
        }
        let _ = place;
    }
}

#[cfg(feature = "auth")]
#[derive(Debug)]
struct Keyed {
    keys: KeyRing,
    /// By place.
    pairs: Vec<Option<Box<Pair>>>,
}

/// What a peer and the gateway have agreed on by their hellos.
#[cfg(feature = "auth")]
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) sealer: Sealer,
    pub(super) opener: Opener,
}

/// A frame of a peer.
#[cfg(feature = "auth")]
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    pub(super) frame: Frame,
    /// It was sealed after all that came from that peer before.
    pub(super) newest: bool,
}

#[cfg(feature = "auth")]
impl Seals {
    pub(super) fn with(keys: KeyRing, slots: usize) -> Self {
        Self { keyed: Some(Keyed { keys, pairs: Vec::with_capacity(slots) }) }
    }

    pub(super) const fn keys(&self) -> Option<&KeyRing> {
        match &self.keyed {
            Some(keyed) => Some(&keyed.keys),
            None => None,
        }
    }

    pub(super) const fn keys_mut(&mut self) -> Option<&mut KeyRing> {
        match &mut self.keyed {
            Some(keyed) => Some(&mut keyed.keys),
            None => None,
        }
    }

    /// From now on the peer in this place seals and opens so.
    pub(super) fn agree(&mut self, place: u32, pair: Pair) {
        let Some(keyed) = &mut self.keyed else { return };
        if keyed.pairs.len() <= place as usize {
            keyed.pairs.resize_with(place as usize + 1, || None);
        }
        if let Some(free) = keyed.pairs.get_mut(place as usize) {
            *free = Some(Box::new(pair));
        }
    }

    /// What the peer in this place has sealed; `None`: it was not that peer, or not now.
    pub(super) fn open(&mut self, place: u32, bytes: &[u8], now: Timestamp) -> Option<Opened> {
        let Keyed { keys, pairs } = self.keyed.as_mut()?;
        let opener = &mut pairs.get_mut(place as usize)?.as_mut()?.opener;
        let before = opener.newest();
        let frame = opener.open(keys, bytes, now).ok()?;
        Some(Opened { frame, newest: opener.newest() > before })
    }
}
