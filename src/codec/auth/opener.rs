//! [`Opener`]: authenticated bytes to frames.

use core::time::Duration;

use super::{AuthError, Direction, KeyRing, SEAL_LEN, TAG_LEN};
use crate::codec::datagram;
use crate::codec::frame::Frame;
use crate::codec::wire::{MAX_FRAME, extension};
use crate::time::{Timestamp, nanos};

/// Opens the frames of one connection. For an example see [`Sealer`](super::Sealer).
///
/// The tag is verified before anything in the frame is looked at.
#[derive(Clone, Debug)]
pub struct Opener {
    direction: Direction,
    window: Window,
    skew_limit: u64,
    clock: Option<PeerClock>,
}

impl Opener {
    /// The default limit on the skew of stamps, either way: 500 ms.
    pub const SKEW_LIMIT: Duration = Duration::from_millis(500);

    /// For the connection of these two hellos.
    ///
    /// # Errors
    ///
    /// [`AuthError::SameNonce`].
    pub fn new(our_nonce: u64, peer_nonce: u64) -> Result<Self, AuthError> {
        Ok(Self {
            direction: Direction::new(peer_nonce, our_nonce)?,
            window: Window { newest: 0, seen: 0 },
            skew_limit: nanos(Self::SKEW_LIMIT),
            clock: None,
        })
    }

    /// Sets the limit on the skew of stamps, either way. Zero is meant literally, and no real
    /// path keeps it; a limit above 292 years never rejects.
    #[must_use]
    pub const fn with_skew_limit(self, limit: Duration) -> Self {
        Self { skew_limit: nanos(limit), ..self }
    }

    /// The frame that is the whole of `bytes`, received at `now`, if it is authentic and new.
    /// Allocates nothing, never panics.
    ///
    /// # Errors
    ///
    /// See [`AuthError`]. The opener is unchanged.
    pub fn open(
        &mut self,
        keys: &KeyRing,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Frame, AuthError> {
        // More than a frame can have is not worth a digest.
        let bytes = if bytes.len() > MAX_FRAME { &[] } else { bytes };
        let (signed, tag) = bytes.split_last_chunk::<TAG_LEN>().ok_or(AuthError::Missing)?;
        let seal = signed.last_chunk::<{ SEAL_LEN - TAG_LEN }>().ok_or(AuthError::Missing)?;
        let &[extension::AUTH, extension::AUTH_LEN, key, ref counter @ ..] = seal else {
            return Err(AuthError::Missing);
        };
        keys.verify(key, self.direction, signed, tag)?;
        let frame = datagram::decode(bytes)?;
        let window = self.window.accept(u64::from_be_bytes(*counter))?;
        let clock = match sender_stamp(&frame) {
            Some(stamp) => Some(PeerClock::advance(self.clock, stamp, now, self.skew_limit)?),
            None => self.clock,
        };
        (self.window, self.clock) = (window, clock);
        Ok(frame)
    }

    /// The highest counter that was accepted; zero before the first.
    #[cfg(feature = "gateway")]
    pub(crate) const fn newest(&self) -> u64 {
        self.window.newest
    }

    /// Forgets how the peer's clock relates to ours: the next good frame teaches it anew. To be
    /// called after the host slept, since a clock that stood still makes every stamp look early.
    /// Keys, nonces and the replay window stay.
    pub const fn resumed(&mut self) {
        self.clock = None;
    }
}

/// The stamp that the sender of the frame took; a pong's is the receiver's own.
fn sender_stamp(frame: &Frame) -> Option<u64> {
    match *frame {
        Frame::Ping { stamp, .. } | Frame::Beacon { stamp, .. } => Some(stamp),
        Frame::Hello(hello) => Some(hello.stamp()),
        _ => None,
    }
}

/// The sliding window of 64 counters (RFC 4303 section 3.4.3, RFC 6479).
#[derive(Clone, Copy, Debug)]
struct Window {
    /// The highest counter accepted; zero before the first.
    newest: u64,
    /// Bit n: the counter `newest - n` was accepted.
    seen: u64,
}

impl Window {
    fn accept(self, found: u64) -> Result<Self, AuthError> {
        let Self { newest, seen } = self;
        let replay = Err(AuthError::Replay { found, newest });
        if found > newest {
            let shift = u32::try_from(found - newest).unwrap_or(u32::MAX);
            let seen = seen.checked_shl(shift).unwrap_or(0) | 1;
            return Ok(Self { newest: found, seen });
        }
        let age = newest - found;
        if found == 0 || age > 63 {
            return replay;
        }
        let bit = 1 << age;
        if seen & bit == 0 { Ok(Self { newest, seen: seen | bit }) } else { replay }
    }
}

/// How the peer's masked clock relates to ours.
#[derive(Clone, Copy, Debug)]
struct PeerClock {
    /// Receiving time minus stamp, wrapping.
    offset: u64,
    learnt_at: Timestamp,
}

/// Drift may be the elapsed time divided by 2 to this power: 244 parts in a million, beyond the
/// 100 of a bad crystal at either end.
const DRIFT_SHIFT: u32 = 12;

#[expect(clippy::cast_possible_wrap, reason = "said beside each cast")]
impl PeerClock {
    fn advance(
        known: Option<Self>,
        stamp: u64,
        now: Timestamp,
        limit: u64,
    ) -> Result<Self, AuthError> {
        let measured = now.as_nanos().wrapping_sub(stamp);
        let Some(Self { offset, learnt_at }) = known else {
            return Ok(Self { offset: measured, learnt_at: now });
        };
        // Two's complement: the shorter way round.
        let skew = measured.wrapping_sub(offset) as i64;
        if skew < 0 {
            // It travelled faster than any before it: those were late, and it is the new measure.
            return Ok(Self { offset: measured, learnt_at: now.max(learnt_at) });
        }
        let drift = nanos(now.saturating_duration_since(learnt_at)) >> DRIFT_SHIFT;
        let allowed_nanos = limit.saturating_add(drift);
        if skew.unsigned_abs() > allowed_nanos {
            return Err(AuthError::Skew { found_nanos: skew, allowed_nanos });
        }
        // `drift` has at most 52 bits.
        let most = drift as i64;
        let offset = offset.wrapping_add_signed(skew.min(most));
        Ok(Self { offset, learnt_at: now.max(learnt_at) })
    }
}
