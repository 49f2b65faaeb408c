//! One frame a datagram (or WebSocket ping, or any message with its own boundaries).
//!
//! A datagram is a frame and nothing else: bytes behind it are an error, so that two receivers
//! never disagree on what a datagram says. A bad datagram is dropped and counted; the next one
//! starts afresh.

use super::error::DecodeError;
use super::frame::Frame;
use super::wire::read_plain;

/// The frame that is the whole of `datagram`. Never panics.
///
/// # Errors
///
/// As [`Frame::decode`], and [`DecodeError::Truncated`] or [`DecodeError::Trailing`] if the
/// datagram is shorter or longer than its frame.
///
/// ```
/// use heartbeat_proto::codec::{DecodeError, datagram};
///
/// assert_eq!(datagram::decode(&[0xb0, 1]), Err(DecodeError::Truncated { found: 2 }));
/// ```
#[inline]
pub fn decode(datagram: &[u8]) -> Result<Frame, DecodeError> {
    match datagram.try_into().ok().and_then(read_plain) {
        Some(frame) => Ok(frame),
        None => decode_rare(datagram),
    }
}

fn decode_rare(datagram: &[u8]) -> Result<Frame, DecodeError> {
    let found = datagram.len();
    match Frame::decode(datagram)? {
        None => Err(DecodeError::Truncated { found }),
        Some((frame, len)) if len == found => Ok(frame),
        Some((_, len)) => Err(DecodeError::Trailing { extra: found.saturating_sub(len) }),
    }
}
