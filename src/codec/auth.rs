//! Authenticated frames: a keyed MAC, key rotation, a replay window and a limit on stamp skew.
//!
//! A sealed frame is an ordinary frame with one more extension at its end: the number of the key,
//! a counter and a tag, 27 bytes with their header. Receivers without a key skip it.
//!
//! ```text
//! +------+------+--------+---------------------------+------------------+
//! | 0x7f |  25  | key id |  counter, 8, big-endian   |  tag, 16         |
//! +------+------+--------+---------------------------+------------------+
//! ```
//!
//! The tag is HMAC-SHA-256 (RFC 2104), cut to its first 16 bytes (RFC 2104 section 5), over
//!
//! ```text
//! "heartbeat-proto 1" | sender's nonce, 8 | receiver's nonce, 8 | the frame up to the tag
//! ```
//!
//! The nonces are those of both [`Hello`](crate::codec::Hello) frames, so a frame of another
//! connection, or one thrown back at its sender, does not verify.
//!
//! # Handshake
//!
//! 1. Each end sends a hello in the clear. It serves to exchange the nonces and for nothing else:
//!    whoever forges one brings about tags that do not verify.
//! 2. Each end makes its [`Sealer`] and its [`Opener`] of both nonces.
//! 3. Each end sends a sealed hello. Only its limits count.
//!
//! A nonce must be fresh and unpredictable for each connection: the caller draws it.
//!
//! # Skew
//!
//! Sender and receiver share no clock, and stamps are masked. The opener takes the difference of
//! receiving and sending time from the first good frame that has a stamp of its sender (ping,
//! beacon, hello); a later frame may differ from it by at most the skew limit and 1/4096 of the
//! time since (244 parts in a million, for the drift of the clocks), and moves it by at most the
//! latter. A pong repeats the receiver's own stamp, which the machine judges.

mod key_ring;
mod opener;
mod sealer;

pub use key_ring::{KeyError, KeyRing};
pub use opener::Opener;
pub use sealer::{SealError, Sealer};

use super::error::DecodeError;
use super::wire::extension;

/// What a seal adds to a frame, in bytes.
pub const SEAL_LEN: usize = extension::HEADER_LEN + extension::AUTH_LEN as usize;

const TAG_LEN: usize = 16;
const LABEL: &[u8; 17] = b"heartbeat-proto 1";

/// Why a frame was not accepted, or a connection cannot be authenticated. The opener's state is
/// unchanged. Drop the frame on datagrams and count it; on a stream, close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The frame is not sealed.
    #[error("frame is not sealed")]
    Missing,
    /// The key is not, or no longer, in the ring.
    #[error("key {found} is unknown")]
    UnknownKey {
        /// The number of the key.
        found: u8,
    },
    /// The tag is wrong: another key, another connection, or an altered frame.
    #[error("tag does not verify")]
    BadTag,
    /// The counter was used before, or is too old to tell, or zero.
    #[error("counter {found} was used before or is more than 63 below {newest}")]
    Replay {
        /// The counter.
        found: u64,
        /// The highest counter that was accepted.
        newest: u64,
    },
    /// The stamp differs from the expected one by too much.
    #[error("stamp is off by {found_nanos} ns, allowed is {allowed_nanos} ns either way")]
    Skew {
        /// By how much: positive is late.
        found_nanos: i64,
        /// The limit.
        allowed_nanos: u64,
    },
    /// Both nonces are the same: somebody throws our own hello back at us.
    #[error("the peer's nonce is our own")]
    SameNonce,
    /// The tag is right, but the frame is not.
    #[error("{0}")]
    Frame(#[from] DecodeError),
}

/// The nonces of a connection in the order of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Direction {
    sender: u64,
    receiver: u64,
}

impl Direction {
    /// Refuses equal nonces, which would make both directions the same.
    fn new(sender: u64, receiver: u64) -> Result<Self, AuthError> {
        if sender == receiver {
            return Err(AuthError::SameNonce);
        }
        Ok(Self { sender, receiver })
    }
}
