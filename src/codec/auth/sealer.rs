//! [`Sealer`]: frames to authenticated bytes.

use super::{AuthError, Direction, KeyRing, SEAL_LEN, TAG_LEN};
use crate::codec::error::EncodeError;
use crate::codec::frame::Frame;
use crate::codec::wire::{HEADER_LEN, MAX_FRAME, extension};

/// Seals the frames of one connection.
///
/// ```
/// use heartbeat_proto::codec::auth::{KeyRing, Opener, Sealer};
/// use heartbeat_proto::codec::{Frame, MAX_FRAME};
/// use heartbeat_proto::{PingId, Timestamp};
///
/// let keys = KeyRing::new(1, b"0123456789abcdef")?;
/// let (ours, theirs) = (0x1111, 0x2222); // the nonces of both hellos
/// let mut sealer = Sealer::new(ours, theirs)?;
/// let mut opener = Opener::new(theirs, ours)?;
///
/// let ping = Frame::Ping { id: PingId::new(1, 7), handle: 3, stamp: 9, status: None };
/// let mut out = [0; MAX_FRAME];
/// let len = sealer.seal(&keys, &ping, &mut out)?;
/// assert_eq!(opener.open(&keys, &out[..len], Timestamp::EPOCH), Ok(ping));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sealer {
    direction: Direction,
    /// The counter of the last frame; the first frame has 1.
    counter: u64,
}

impl Sealer {
    /// For the connection of these two hellos.
    ///
    /// # Errors
    ///
    /// [`AuthError::SameNonce`].
    pub fn new(our_nonce: u64, peer_nonce: u64) -> Result<Self, AuthError> {
        Ok(Self { direction: Direction::new(our_nonce, peer_nonce)?, counter: 0 })
    }

    /// Writes the sealed frame to the start of `out` and returns its length, which is the frame's
    /// plus [`SEAL_LEN`]. Never panics.
    ///
    /// # Errors
    ///
    /// The frame cannot be written, or all 2^64 counters are used up. The sealer is unchanged,
    /// and what was written to `out` is not to be sent.
    pub fn seal(
        &mut self,
        keys: &KeyRing,
        frame: &Frame,
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        let counter = self.counter.checked_add(1).ok_or(SealError::Exhausted)?;
        let plain = frame.encode_into(out)?;
        let needed = plain + SEAL_LEN;
        if needed > MAX_FRAME {
            return Err(EncodeError::TooLong { found: needed }.into());
        }
        let no_space = EncodeError::NoSpace { found: out.len(), needed };
        let (signed, rest) = out.split_at_mut_checked(needed - TAG_LEN).ok_or(no_space)?;
        let tag = rest.first_chunk_mut::<TAG_LEN>().ok_or(no_space)?;
        // The tag covers the final length.
        if let Some([_, _, length @ ..]) = signed.first_chunk_mut::<HEADER_LEN>() {
            *length = ((needed - HEADER_LEN) as u16).to_be_bytes();
        }
        if let Some(head) = signed.last_chunk_mut::<{ SEAL_LEN - TAG_LEN }>() {
            let [kind, len, key, number @ ..] = head;
            (*kind, *len, *key) = (extension::AUTH, extension::AUTH_LEN, keys.current());
            *number = counter.to_be_bytes();
        }
        *tag = keys.tag(self.direction, signed);
        self.counter = counter;
        Ok(needed)
    }
}

/// Why a frame was not sealed. The sealer is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The frame cannot be written.
    #[error("{0}")]
    Encode(#[from] EncodeError),
    /// Every counter was used once: begin a new connection.
    #[error("all counters of the connection are used up")]
    Exhausted,
}
