//! [`KeyRing`]: the keys that are accepted, and the one that is used.

use core::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{AuthError, Direction, LABEL, TAG_LEN};

/// Up to four keys by number: all are accepted, one is used for sealing.
///
/// To change the key of a running fleet: [`insert`](KeyRing::insert) the new one everywhere, then
/// [`use_key`](KeyRing::use_key) it everywhere, then [`remove`](KeyRing::remove) the old one. At
/// no time does a frame fail. A ring belongs to the program, not to a connection: share one.
///
/// ```
/// use heartbeat_proto::codec::auth::KeyRing;
///
/// let mut keys = KeyRing::new(1, b"0123456789abcdef")?;
/// keys.insert(2, b"fedcba9876543210")?;
/// keys.use_key(2)?;
/// keys.remove(1)?;
/// assert_eq!(keys.current(), 2);
/// # Ok::<(), heartbeat_proto::codec::auth::KeyError>(())
/// ```
#[derive(Clone)]
pub struct KeyRing {
    current: Key,
    others: [Option<Key>; Self::CAPACITY - 1],
}

#[derive(Clone)]
struct Key {
    id: u8,
    /// Keyed once: both pads are already digested, which halves the work of each frame.
    mac: Hmac<Sha256>,
}

impl KeyRing {
    /// The most keys at a time.
    pub const CAPACITY: usize = 4;
    /// The shortest secret in bytes: as long as the tag. 32 random bytes are a good choice.
    pub const MIN_SECRET: usize = TAG_LEN;

    /// A ring with one key, which is used.
    ///
    /// # Errors
    ///
    /// The secret is shorter than [`KeyRing::MIN_SECRET`].
    pub fn new(id: u8, secret: &[u8]) -> Result<Self, KeyError> {
        Ok(Self { current: Key::new(id, secret)?, others: [const { None }; Self::CAPACITY - 1] })
    }

    /// Accepts one more key.
    ///
    /// # Errors
    ///
    /// The secret is too short, the number is taken, or the ring is full; it is then unchanged.
    pub fn insert(&mut self, id: u8, secret: &[u8]) -> Result<(), KeyError> {
        if self.find(id).is_some() {
            return Err(KeyError::Taken { id });
        }
        let key = Key::new(id, secret)?;
        let slot = self.others.iter_mut().find(|slot| slot.is_none()).ok_or(KeyError::Full)?;
        *slot = Some(key);
        Ok(())
    }

    /// Seals with the key `id` from now on.
    ///
    /// # Errors
    ///
    /// There is no such key; the ring is unchanged.
    pub fn use_key(&mut self, id: u8) -> Result<(), KeyError> {
        if self.current.id == id {
            return Ok(());
        }
        let other = self.others.iter_mut().flatten().find(|key| key.id == id);
        core::mem::swap(&mut self.current, other.ok_or(KeyError::Unknown { id })?);
        Ok(())
    }

    /// Accepts the key `id` no longer.
    ///
    /// # Errors
    ///
    /// There is no such key, or it is in use; the ring is unchanged.
    pub fn remove(&mut self, id: u8) -> Result<(), KeyError> {
        if self.current.id == id {
            return Err(KeyError::InUse { id });
        }
        let is_it = |slot: &&mut Option<Key>| slot.as_ref().is_some_and(|key| key.id == id);
        *self.others.iter_mut().find(is_it).ok_or(KeyError::Unknown { id })? = None;
        Ok(())
    }

    /// The number of the key that is used for sealing.
    pub const fn current(&self) -> u8 {
        self.current.id
    }

    /// The tag of `message` with the current key.
    pub(super) fn tag(&self, direction: Direction, message: &[u8]) -> [u8; TAG_LEN] {
        let full: [u8; 32] = self.current.mac(direction, message).finalize().into_bytes().into();
        let mut tag = [0; TAG_LEN];
        for (to, from) in tag.iter_mut().zip(full) {
            *to = from;
        }
        tag
    }

    /// Compares in constant time.
    pub(super) fn verify(
        &self,
        id: u8,
        direction: Direction,
        message: &[u8],
        tag: &[u8],
    ) -> Result<(), AuthError> {
        let key = self.find(id).ok_or(AuthError::UnknownKey { found: id })?;
        let mac = key.mac(direction, message);
        mac.verify_truncated_left(tag).map_err(|_| AuthError::BadTag)
    }

    fn find(&self, id: u8) -> Option<&Key> {
        core::iter::once(&self.current).chain(self.others.iter().flatten()).find(|key| key.id == id)
    }
}

/// Shows the numbers, never the secrets.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others = self.others.iter().flatten().map(|key| key.id);
        f.debug_list().entry(&self.current.id).entries(others).finish()
    }
}

impl Key {
    fn new(id: u8, secret: &[u8]) -> Result<Self, KeyError> {
        let found = secret.len();
        if found < KeyRing::MIN_SECRET {
            return Err(KeyError::TooShort { found });
        }
        // HMAC takes secrets of any length; the error cannot arise.
        let mac = Hmac::new_from_slice(secret).map_err(|_| KeyError::TooShort { found })?;
        Ok(Self { id, mac })
    }

    fn mac(&self, direction: Direction, message: &[u8]) -> Hmac<Sha256> {
        self.mac
            .clone()
            .chain_update(LABEL)
            .chain_update(direction.sender.to_be_bytes())
            .chain_update(direction.receiver.to_be_bytes())
            .chain_update(message)
    }
}

/// Why a [`KeyRing`] did not do as it was told. It is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The secret is too short.
    #[error("secret has {found} bytes, allowed is at least 16")]
    TooShort {
        /// Its length.
        found: usize,
    },
    /// There is a key of this number.
    #[error("key {id} exists already")]
    Taken {
        /// The number.
        id: u8,
    },
    /// There is no key of this number.
    #[error("key {id} is unknown")]
    Unknown {
        /// The number.
        id: u8,
    },
    /// The key is used for sealing.
    #[error("key {id} is in use")]
    InUse {
        /// The number.
        id: u8,
    },
    /// There are four keys already.
    #[error("the ring has 4 keys, allowed is at most 4")]
    Full,
}
