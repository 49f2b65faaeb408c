//! [`Secret`]: what only this gateway can compute. The hash is `SipHash` (Aumasson, Bernstein,
//! INDOCRYPT 2012), of the crate `siphasher`.

use core::hash::Hasher;

use siphasher::sip::{SipHasher13, SipHasher24};

use super::address::Address;
use crate::fleet::Handle;

#[derive(Clone, Copy)]
pub(super) struct Secret {
    key: [u64; 2],
}

/// One for each purpose, so that no hash serves two.
#[derive(Clone, Copy)]
enum Purpose {
    Challenge = 1,
    Mask,
    Index,
    #[cfg(feature = "auth")]
    Nonce,
    #[cfg(feature = "auth")]
    Probe,
}

/// Who is challenged, and when: what an answer must fit.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) address: Address,
    pub(super) epoch: u32,
    pub(super) tick: u32,
    /// The number of the address then.
    pub(super) stay: u32,
}

impl Secret {
    pub(super) const fn new(secret: u128) -> Self {
        Self { key: [(secret >> 64) as u64, secret as u64] }
    }

    /// The stamp of a challenge (rule GW2). The full strength of `SipHash`-2-4: it is a MAC.
    pub(super) fn challenge(&self, to: &Asked) -> u64 {
        self.proof(Purpose::Challenge, to, 0)
    }

    /// The nonce of a hello (rule GW11), which is a challenge, too.
    #[cfg(feature = "auth")]
    pub(super) fn nonce(&self, to: &Asked, theirs: u64) -> u64 {
        self.proof(Purpose::Nonce, to, theirs)
    }

    /// What a probe to this address bears (rule GW12). Half a hash: only the peer could guess.
    #[cfg(feature = "auth")]
    pub(super) fn probe(&self, peer: Handle, at: &Address) -> u32 {
        let peer = u64::from(peer.slot()) << 32 | u64::from(peer.epoch());
        let [a, b, c] = at.words();
        // Not zero: the handle field of any other ping has zeros there.
        (self.short(Purpose::Probe, &[peer, a, b], c) as u32).max(1)
    }

    fn proof(&self, purpose: Purpose, to: &Asked, theirs: u64) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.key[0], self.key[1]);
        let [a, b, c] = to.address.words();
        let when = u64::from(to.epoch) << 32 | u64::from(to.tick);
        for word in [purpose as u64, a, b, c, when, theirs, to.stay.into()] {
            hasher.write_u64(word);
        }
        hasher.finish()
    }

    /// What is added to the stamps of pings to a peer at this address (rule GW5).
    #[inline]
    pub(super) fn mask(&self, peer: Handle, at: &Address) -> u64 {
        let peer = u64::from(peer.slot()) << 32 | u64::from(peer.epoch());
        if let Some(at) = at.v4() {
            return self.short(Purpose::Mask, &[peer], at);
        }
        let [a, b, c] = at.words();
        self.short(Purpose::Mask, &[peer, a, b], c)
    }

    /// Where the address is in a table: nobody can choose addresses that meet.
    pub(super) fn index(&self, address: &Address) -> u64 {
        let [a, b, c] = address.words();
        self.short(Purpose::Index, &[a, b], c)
    }

    pub(super) fn index_source(&self, source: u64) -> u64 {
        self.short(Purpose::Index, &[source], 0)
    }

    /// `last` has at most 48 bits.
    #[inline]
    fn short(&self, purpose: Purpose, words: &[u64], last: u64) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.key[0], self.key[1]);
        for word in words {
            hasher.write_u64(*word);
        }
        hasher.write_u64((purpose as u64) << 48 | last);
        hasher.finish()
    }
}

/// Not told, not even to a log.
impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(..)")
    }
}
