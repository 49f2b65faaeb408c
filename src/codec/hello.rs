//! [`Hello`]: the frame of the handshake.

use super::cursor::{Reader, Writer};
use super::error::DecodeError;
use crate::negotiate::Limits;

/// A hello opens a connection, announces [`Limits`], and acknowledges the other end's.
///
/// Both ends send one as soon as the transport is there. Each later change of limits is another
/// hello with the next revision; see [`Effective::toward`](crate::Effective::toward) for the order
/// in which a change is applied.
///
/// ```
/// use heartbeat_proto::codec::Hello;
/// use heartbeat_proto::{Limits, Wish};
/// use core::time::Duration;
///
/// let limits = Limits::new(Wish::NoPreference, Some(Duration::from_secs(60)), Duration::ZERO)?;
/// let hello = Hello::new(0x5eed_0001, 0x1122_3344_5566_7788, limits).with_ack(1);
/// assert_eq!((hello.revision(), hello.ack()), (1, 1));
/// # Ok::<(), heartbeat_proto::LimitsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Hello {
    epoch: u32,
    revision: u32,
    ack: u32,
    nonce: u64,
    stamp: u64,
    limits: Limits,
}

impl Hello {
    /// The length of the fields on the wire.
    pub(super) const LEN: usize = 4 + 4 + 4 + 8 + 8 + 24;

    /// The first hello of the connection `epoch`: revision 1, nothing acknowledged, stamp zero.
    ///
    /// `nonce` must be fresh and unpredictable for each connection where frames are
    /// authenticated; the crate has no source of random numbers.
    pub const fn new(epoch: u32, nonce: u64, limits: Limits) -> Self {
        Self { epoch, revision: 1, ack: 0, nonce, stamp: 0, limits }
    }

    /// Numbers the announcement; later ones have higher numbers.
    #[must_use]
    pub const fn with_revision(self, revision: u32) -> Self {
        Self { revision, ..self }
    }

    /// Acknowledges the peer's announcement `revision`: it has been applied.
    #[must_use]
    pub const fn with_ack(self, revision: u32) -> Self {
        Self { ack: revision, ..self }
    }

    /// Sets the sending time; see [`Link::stamp`](crate::codec::Link::stamp).
    #[must_use]
    pub const fn with_stamp(self, stamp: u64) -> Self {
        Self { stamp, ..self }
    }

    /// The sender's epoch: another one than before means that the sender began anew.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The number of this announcement.
    pub const fn revision(&self) -> u32 {
        self.revision
    }

    /// The newest of our announcements that the sender has applied; zero is none.
    pub const fn ack(&self) -> u32 {
        self.ack
    }

    /// The sender's random number of the connection; it enters the MAC of authenticated frames.
    pub const fn nonce(&self) -> u64 {
        self.nonce
    }

    /// The sender's masked sending time in nanoseconds.
    pub const fn stamp(&self) -> u64 {
        self.stamp
    }

    /// What the sender announces.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn write(&self, out: &mut Writer<'_>) {
        out.put(self.epoch.to_be_bytes());
        out.put(self.revision.to_be_bytes());
        out.put(self.ack.to_be_bytes());
        out.u64(self.nonce);
        out.u64(self.stamp);
        for word in self.limits.to_wire() {
            out.u64(word);
        }
    }

    /// `None` if there are too few bytes, which the header has excluded.
    pub(super) fn read(fields: &mut Reader<'_>) -> Option<Result<Self, DecodeError>> {
        let (epoch, revision, ack) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (nonce, stamp) = (fields.u64()?, fields.u64()?);
        let limits = Limits::from_wire([fields.u64()?, fields.u64()?, fields.u64()?]);
        Some(match limits {
            Ok(limits) => Ok(Self { epoch, revision, ack, nonce, stamp, limits }),
            Err(error) => Err(error.into()),
        })
    }
}
