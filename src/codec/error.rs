//! What can be wrong with bytes, and with frames that are to become bytes.

use core::time::Duration;

use super::wire::{MAX_DATA, MAX_FRAME};
use crate::negotiate::LimitsError;

/// Why bytes are not a frame. Nothing was consumed.
///
/// On a stream every one of them is fatal, on datagrams every one costs one datagram; see
/// [the module](crate::codec#errors).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The first byte belongs to no version of this protocol, or to a later major one.
    #[error("version byte is {found:#04x}, allowed is 0xb0 to 0xbf")]
    Version {
        /// The byte.
        found: u8,
    },
    /// The kind is unknown and its sender demands that it be understood.
    #[error("kind {found:#04x} is unknown and must not be skipped")]
    Kind {
        /// The kind.
        found: u8,
    },
    /// The declared length does not suit the kind. Found out before the bytes are waited for.
    #[error("kind {kind:#04x} declares {found} bytes, allowed is {least} to {most}")]
    Length {
        /// The kind.
        kind: u8,
        /// The declared length, without the header.
        found: u16,
        /// The smallest allowed one.
        least: u16,
        /// The largest allowed one.
        most: u16,
    },
    /// A field that must be zero is not.
    #[error("reserved field is {found:#x}, allowed is 0")]
    Reserved {
        /// The value.
        found: u32,
    },
    /// An extension is unknown and its sender demands that it be understood.
    #[error("extension {found:#04x} is unknown and must not be skipped")]
    Extension {
        /// The type of the extension.
        found: u8,
    },
    /// An extension does not come after its predecessor in the order of types, or twice.
    #[error("extension {found:#04x} comes after {after:#04x}, allowed is ascending order")]
    ExtensionOrder {
        /// The type of the extension.
        found: u8,
        /// The type of the one before.
        after: u8,
    },
    /// An extension has the wrong length, or more than the frame has left.
    #[error("extension {extension:#04x} declares {found} bytes, allowed is {allowed}")]
    ExtensionLength {
        /// The type of the extension.
        extension: u8,
        /// The declared length.
        found: u8,
        /// The length it must have, or what the frame has left.
        allowed: u8,
    },
    /// One byte follows the last extension: too few for another one.
    #[error("a single byte {found:#04x} follows the last extension")]
    Stray {
        /// The byte.
        found: u8,
    },
    /// The flags of a status contain undefined ones.
    #[error("status flags are {found:#04x}, allowed is 0x00 to 0x0f")]
    StatusFlags {
        /// The flags.
        found: u8,
    },
    /// The load of a status is above 100.
    #[error("load is {found}, allowed is 0 to 100")]
    Load {
        /// The load.
        found: u8,
    },
    /// The limits of a hello are invalid.
    #[error("hello: {0}")]
    Limits(#[from] LimitsError),
    /// Application data where only heartbeat frames can be: use
    /// [`Decoder`](crate::codec::Decoder).
    #[error("{len} bytes of application data outside a shared stream")]
    UnexpectedData {
        /// The declared length.
        len: u16,
    },
    /// The input ended within a frame.
    #[error("input ends after {found} bytes of a frame")]
    Truncated {
        /// How many bytes of the frame are there.
        found: usize,
    },
    /// Bytes follow the frame of a datagram.
    #[error("{extra} bytes follow the frame, allowed is 0")]
    Trailing {
        /// How many.
        extra: usize,
    },
}

/// Why a frame cannot be written. Nothing was written, or nothing that may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The output is too small.
    #[error("output has {found} bytes, needed are {needed}")]
    NoSpace {
        /// Its size.
        found: usize,
        /// The size of the frame.
        needed: usize,
    },
    /// The frame was received, and is known only as far as it could be skipped.
    #[error("kind {kind:#04x} is unknown and cannot be written")]
    Unknown {
        /// The kind.
        kind: u8,
    },
    /// The promised period is zero, or above `u64::MAX` microseconds.
    #[error("period is {found:?}, allowed is 1 us to {max:?}", max = Duration::from_micros(u64::MAX))]
    Period {
        /// The period.
        found: Duration,
    },
    /// The frame is longer than any frame may be.
    #[error("frame has {found} bytes, allowed is at most {MAX_FRAME}")]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// A data frame carries nothing or too much.
    #[error("data frame has {found} bytes, allowed is 1 to {MAX_DATA}")]
    Data {
        /// The size of the payload.
        found: usize,
    },
}
