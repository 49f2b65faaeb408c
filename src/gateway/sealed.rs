//! A gateway with keys: every frame is sealed but the two hellos that exchange the nonces
//! (rule GW11).

use core::net::SocketAddr;
use core::time::Duration;

use super::address::Address;
use super::book::Home;
use super::join::tick;
use super::pongs::Pong;
use super::seals::{Opened, Pair, Seals};
use super::{Gateway, Outlet};
use crate::codec::auth::{KeyRing, Opener, SEAL_LEN, Sealer};
use crate::codec::{Frame, Hello, datagram};
use crate::detector::Detector;
use crate::fleet::{Fleet, Handle};
use crate::negotiate::{Limits, Wish};
use crate::time::Timestamp;

/// A hello without seal has just this.
const CLEAR_HELLO: usize = 56;

impl<D: Detector> Gateway<D> {
    /// With these keys, which peers have, too: all frames are sealed (`codec::auth`). For all peers
    /// the same: whoever has the keys can join, and can forge what others say if it sees their
    /// datagrams.
    ///
    /// A peer that speaks from another address is asked there, and goes on there when it has answered:
    /// within a round trip of a pong, or of a ping that names its slot. Peers that joined before are found dead: call it at the beginning. Each peer costs about 100 bytes more,
    /// each frame a digest or two.
    #[must_use]
    pub fn with_keys(self, keys: KeyRing) -> Self {
        let slots = Fleet::<D>::slots_for(self.config.peers as usize);
        Self { seals: Seals::with(keys, slots), ..self }
    }

    /// The keys, to change them while it runs; `None`: it has none.
    pub const fn keys_mut(&mut self) -> Option<&mut KeyRing> {
        self.seals.keys_mut()
    }

    /// A datagram where all must be sealed.
    #[inline(never)]
    pub(super) fn sealed<O: Outlet>(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        bytes: &[u8],
        out: &mut O,
    ) {
        let now = self.fleet.clamped(now);
        let (Ok(claimed), Some(address)) = (datagram::decode(bytes), Address::new(from)) else {
            return self.stats.malformed += 1;
        };
        if let (Frame::Hello(hello), CLEAR_HELLO) = (claimed, bytes.len()) {
            return self.greet(now, address, &hello, out);
        }
        let peer = self.claimed(&address, &claimed);
        let opened = peer.and_then(|peer| Some((peer, self.seals.open(peer.place(), bytes, now)?)));
        match (opened, claimed) {
            (Some((peer, opened)), _) => self.authentic(now, peer, address, &opened, out),
            (None, Frame::Hello(hello)) => self.admit_sealed(now, address, &hello, bytes, out),
            (None, _) => self.stats.unsealed += 1,
        }
    }

    /// The peer itself said so.
    fn authentic<O: Outlet>(
        &mut self,
        now: Timestamp,
        peer: Handle,
        address: Address,
        opened: &Opened,
        out: &mut O,
    ) {
        let Some(home) = self.book.home(peer.place()).copied() else { return };
        let (at, newest) = (Home { address, ..home }, opened.newest);
        let epoch = match opened.frame {
            Frame::Pong { id, handle, stamp, hold, calm, .. } => {
                let pong = Pong { id, handle, stamp, hold, calm };
                let slot = peer.slot().into();
                let told = Pong { handle: slot, ..pong };
                let Some(input) = self.proven(now, address.socket(), &told) else { return };
                let here = home.address == address;
                if !here && !self.elsewhere(now, peer, at, &pong, newest, out) {
                    return self.stats.pongs_moved += 1;
                }
                return self.hear(now, &[input], out);
            }
            Frame::Ping { .. } if home.address != address => {
                return self.called(now, peer, at, newest, out);
            }
            Frame::Ping { id, .. } | Frame::Beacon { id, .. } => id.epoch(),
            Frame::Hello(hello) => hello.epoch(),
            Frame::Goodbye { epoch, .. } => epoch,
            Frame::Unknown { .. } => 0,
        };
        if epoch == home.epoch {
            self.spoken(now, peer, &opened.frame, out);
        } else {
            self.stats.unwanted += 1;
        }
    }

    /// GW11: a hello in the clear brings back another one, whose nonce is the challenge.
    fn greet<O: Outlet>(&mut self, now: Timestamp, address: Address, hello: &Hello, out: &mut O) {
        let epoch = hello.epoch();
        if epoch == 0 {
            return self.stats.unwanted += 1;
        }
        if !self.may_challenge(now, &address) {
            return;
        }
        let asked = self.asked(address, epoch, tick(now));
        let nonce = self.secret.nonce(&asked, hello.nonce());
        if let Some(hello) = greeting(0, nonce) {
            self.send_to(address.socket(), &Frame::Hello(hello), out);
        }
    }

    /// GW11: a hello that is sealed with the nonce that was sent to that address (for epoch 0 none is).
    fn admit_sealed<O: Outlet>(
        &mut self,
        now: Timestamp,
        address: Address,
        hello: &Hello,
        bytes: &[u8],
        out: &mut O,
    ) {
        let (epoch, theirs) = (hello.epoch(), hello.nonce());
        // Before the digests: what they cost must not depend on what strangers send.
        if self.book.find(&address).is_none() && !self.has_place(&address) {
            return;
        }
        if !self.trials.take(now) {
            return self.stats.answers_capped += 1;
        }
        let agreed = [0, 1].into_iter().find_map(|age| {
            let asked = self.asked(address, epoch, tick(now).checked_sub(age)?);
            let ours = self.secret.nonce(&asked, theirs);
            let mut opener = Opener::new(ours, theirs).ok()?;
            opener.open(self.seals.keys()?, bytes, now).ok()?;
            let sealer = Sealer::new(ours, theirs).ok()?;
            Some((ours, Pair { sealer, opener }))
        });
        let Some((ours, pair)) = agreed else {
            return self.stats.answers_bad += 1;
        };
        let Some((peer, home)) = self.seat(now, address, epoch, out) else { return };
        self.seals.agree(peer.place(), pair);
        if let Some(hello) = greeting(peer.epoch(), ours) {
            let stamp = now.as_nanos().wrapping_add(self.mask(peer, &home));
            self.send(peer, &home, &Frame::Hello(hello.with_stamp(stamp)), out);
        }
        self.begin(now, peer, &home, out);
        // What the hello asks for.
        self.spoken(now, peer, &Frame::Hello(*hello), out);
    }
}

/// The gateway's hello: it judges by its own rules, and takes pings as they come.
fn greeting(epoch: u32, nonce: u64) -> Option<Hello> {
    let limits = Limits::new(Wish::NoPreference, None, Duration::ZERO).ok()?;
    Some(Hello::new(epoch, nonce, limits))
}

const _: () = assert!(SEAL_LEN == 27);
