//! [`Frame`] to bytes and back, on slices.

use core::time::Duration;

use super::cursor::{Reader, Writer};
use super::error::{DecodeError, EncodeError};
use super::frame::Frame;
use super::hello::Hello;
use super::status::Status;
use crate::event::PingId;

/// The length of the header in bytes.
pub const HEADER_LEN: usize = 4;

/// The longest heartbeat frame in bytes: the longest payload of a WebSocket control frame
/// (RFC 6455 section 5.5).
pub const MAX_FRAME: usize = 125;

/// The most application bytes in one data frame: 16 KiB. No heartbeat waits behind more.
pub const MAX_DATA: usize = 16 * 1024;

/// The length of a ping or pong without extensions, in bytes.
pub const PING_LEN: usize = 32;

/// The high half of the first byte: the protocol and its major version. No ASCII or UTF-8 text
/// begins like this, nor a TLS record.
const MAGIC: u8 = 0xb0;
/// Kinds and extensions that may be skipped are told from those that must be understood by the
/// highest bit: a kind that has it may be skipped, an extension that has it must not.
const HIGH_BIT: u8 = 0x80;

pub(super) mod kind {
    pub(crate) const PING: u8 = 1;
    pub(crate) const PONG: u8 = 2;
    /// A pong that asks the peer to calm down.
    pub(crate) const CALM: u8 = 3;
    pub(crate) const BEACON: u8 = 4;
    pub(crate) const HELLO: u8 = 5;
    pub(crate) const GOODBYE: u8 = 6;
    pub(crate) const DATA: u8 = 7;
}

pub(super) mod extension {
    pub(crate) const STATUS: u8 = 0x01;
    pub(crate) const STATUS_LEN: u8 = 4;
    /// Key, counter and tag; the highest number, so that it is always the last extension.
    pub(crate) const AUTH: u8 = 0x7f;
    pub(crate) const AUTH_LEN: u8 = 1 + 8 + 16;
    /// Type and length.
    pub(crate) const HEADER_LEN: usize = 2;
}

const PING_BODY: u16 = (PING_LEN - HEADER_LEN) as u16;
const BEACON_BODY: u16 = PING_BODY + 4;
const HELLO_BODY: u16 = Hello::LEN as u16;
const GOODBYE_BODY: u16 = 6;
const MAX_BODY: u16 = (MAX_FRAME - HEADER_LEN) as u16;
const STATUS_TOTAL: usize = extension::HEADER_LEN + extension::STATUS_LEN as usize;

const _: () = assert!(
    Hello::LEN + HEADER_LEN + STATUS_TOTAL + extension::HEADER_LEN + extension::AUTH_LEN as usize
        <= MAX_FRAME
);

/// A header that was found good.
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) kind: u8,
    /// The bytes that follow the header.
    pub(super) len: u16,
}

impl Header {
    /// Header and body.
    #[inline]
    pub(super) const fn total(self) -> usize {
        HEADER_LEN + self.len as usize
    }

    /// Judges as much of the header as is there; `None`: good so far.
    #[inline]
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        match *bytes {
            [version, ..] if version & 0xf0 != MAGIC => {
                Err(DecodeError::Version { found: version })
            }
            [_, kind, a, b, ..] => {
                let (least, most) = lengths(kind)?;
                let found = u16::from_be_bytes([a, b]);
                if found < least || found > most {
                    return Err(DecodeError::Length { kind, found, least, most });
                }
                Ok(Some(Self { kind, len: found }))
            }
            [_, kind, ..] => lengths(kind).map(|_| None),
            _ => Ok(None),
        }
    }

    pub(super) const fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [a, b] = self.len.to_be_bytes();
        [MAGIC, self.kind, a, b]
    }

    /// As the upper half of the first word.
    const fn to_word(self) -> u64 {
        (u32::from_be_bytes(self.to_bytes()) as u64) << 32
    }
}

/// The least and the most that may follow the header.
#[inline]
const fn lengths(kind: u8) -> Result<(u16, u16), DecodeError> {
    match kind {
        kind::PING | kind::PONG | kind::CALM => Ok((PING_BODY, MAX_BODY)),
        kind::BEACON => Ok((BEACON_BODY, MAX_BODY)),
        kind::HELLO => Ok((HELLO_BODY, MAX_BODY)),
        kind::GOODBYE => Ok((GOODBYE_BODY, MAX_BODY)),
        kind::DATA => Ok((1, MAX_DATA as u16)),
        HIGH_BIT.. => Ok((0, MAX_BODY)),
        _ => Err(DecodeError::Kind { found: kind }),
    }
}

impl Frame {
    /// The length on the wire in bytes; zero for [`Frame::Unknown`], which cannot be written.
    pub const fn encoded_len(&self) -> usize {
        let fields = match self {
            Self::Ping { .. } | Self::Pong { .. } => PING_BODY,
            Self::Beacon { .. } => BEACON_BODY,
            Self::Hello(_) => HELLO_BODY,
            Self::Goodbye { .. } => GOODBYE_BODY,
            Self::Unknown { .. } => return 0,
        };
        let status = if self.status().is_some() { STATUS_TOTAL } else { 0 };
        HEADER_LEN + fields as usize + status
    }

    /// Writes the frame to the start of `out` and returns its length. Allocates nothing, never
    /// panics.
    ///
    /// # Errors
    ///
    /// The output is too small, the frame is [`Frame::Unknown`], or a promised period is out of
    /// range. What was written to `out` is then not to be sent.
    #[inline]
    pub fn encode_into(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let Some(words) = self.plain_words() else { return self.encode_rare(out) };
        let found = out.len();
        let Some(out) = out.first_chunk_mut::<PING_LEN>() else {
            return Err(EncodeError::NoSpace { found, needed: PING_LEN });
        };
        let mut to = Writer::new(out);
        for word in words {
            to.u64(word);
        }
        Ok(PING_LEN)
    }

    /// The common frames, ping and pong without extensions, as four big-endian words: built in
    /// registers and stored once, because reading back what was stored in pieces stalls.
    #[inline]
    pub(super) fn plain_words(&self) -> Option<[u64; 4]> {
        let (kind, id, handle, stamp, last) = match *self {
            Self::Ping { id, handle, stamp, status: None } => (kind::PING, id, handle, stamp, 0),
            Self::Pong { id, handle, stamp, hold, calm, status: None } => {
                (pong_kind(calm), id, handle, stamp, hold_micros(hold))
            }
            _ => return None,
        };
        Some([
            Header { kind, len: PING_BODY }.to_word() | id.epoch() as u64,
            (id.seq() as u64) << 32 | handle >> 32,
            handle << 32 | stamp >> 32,
            stamp << 32 | last as u64,
        ])
    }

    /// Reads one frame from the start of `bytes`, with its length. `Ok(None)`: good so far, but
    /// there must be more. Allocates nothing, never panics.
    ///
    /// An impossible header is an error as soon as it can be seen, before any of the bytes that
    /// it declares have arrived.
    ///
    /// # Errors
    ///
    /// The bytes are no frame, whatever follows them; see [`DecodeError`]. Application data is
    /// one: see [`Decoder`](crate::codec::Decoder).
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        match bytes.first_chunk().and_then(read_plain) {
            Some(frame) => Ok(Some((frame, PING_LEN))),
            None => Self::decode_rare(bytes),
        }
    }

    fn encode_rare(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let needed = self.encoded_len();
        let found = out.len();
        let mut to = Writer::new(out);
        let header = |kind| Header { kind, len: (needed - HEADER_LEN) as u16 }.to_bytes();
        match *self {
            Self::Ping { id, handle, stamp, .. } => {
                to.put(header(kind::PING));
                write_ids(&mut to, id, handle, stamp);
                to.put(0_u32.to_be_bytes());
            }
            Self::Pong { id, handle, stamp, hold, calm, .. } => {
                to.put(header(pong_kind(calm)));
                write_ids(&mut to, id, handle, stamp);
                to.put(hold_micros(hold).to_be_bytes());
            }
            Self::Beacon { id, handle, stamp, period, .. } => {
                to.put(header(kind::BEACON));
                write_ids(&mut to, id, handle, stamp);
                to.u64(period_micros(period)?);
            }
            Self::Hello(hello) => {
                to.put(header(kind::HELLO));
                hello.write(&mut to);
            }
            Self::Goodbye { epoch, reason } => {
                to.put(header(kind::GOODBYE));
                to.put(epoch.to_be_bytes());
                to.put(reason.to_be_bytes());
            }
            Self::Unknown { kind } => return Err(EncodeError::Unknown { kind }),
        }
        if let Some(status) = self.status() {
            to.put([extension::STATUS, extension::STATUS_LEN]);
            to.put(status.to_wire());
        }
        if to.fitted() { Ok(needed) } else { Err(EncodeError::NoSpace { found, needed }) }
    }

    fn decode_rare(bytes: &[u8]) -> Result<Option<(Self, usize)>, DecodeError> {
        let Some(header) = Header::decode(bytes)? else { return Ok(None) };
        if header.kind == kind::DATA {
            return Err(DecodeError::UnexpectedData { len: header.len });
        }
        let Some(frame) = bytes.get(HEADER_LEN..header.total()) else { return Ok(None) };
        // The header has excluded a body that is too short for its kind.
        let short = DecodeError::Truncated { found: bytes.len() };
        let frame = read_body(header.kind, Reader(frame)).unwrap_or(Err(short))?;
        Ok(Some((frame, header.total())))
    }
}

/// The plain ping or pong; `None` is anything else, good or bad.
#[inline]
pub(super) fn read_plain(bytes: &[u8; PING_LEN]) -> Option<Frame> {
    const MINOR: u64 = 0x0f << 56;
    const PING: u64 = Header { kind: kind::PING, len: PING_BODY }.to_word() >> 32;
    const PONG: u64 = Header { kind: kind::PONG, len: PING_BODY }.to_word() >> 32;
    const CALM: u64 = Header { kind: kind::CALM, len: PING_BODY }.to_word() >> 32;

    let mut from = Reader(bytes);
    let (a, b, c, d) = (from.u64()?, from.u64()?, from.u64()?, from.u64()?);
    let id = PingId::new(a as u32, (b >> 32) as u32);
    let (handle, stamp) = (b << 32 | c >> 32, c << 32 | d >> 32);
    let last = d as u32;
    let head = (a & !MINOR) >> 32;
    if head == PING {
        (last == 0).then_some(Frame::Ping { id, handle, stamp, status: None })
    } else if head == PONG || head == CALM {
        let hold = Duration::from_micros(last as u64);
        Some(Frame::Pong { id, handle, stamp, hold, calm: head == CALM, status: None })
    } else {
        None
    }
}

fn write_ids(to: &mut Writer<'_>, id: PingId, handle: u64, stamp: u64) {
    to.u64(id.as_u64());
    to.u64(handle);
    to.u64(stamp);
}

/// `None` if the body is too short for its kind.
fn read_body(kind: u8, mut from: Reader<'_>) -> Option<Result<Frame, DecodeError>> {
    if kind >= HIGH_BIT {
        return Some(Ok(Frame::Unknown { kind }));
    }
    let mut frame = match kind {
        kind::HELLO => match Hello::read(&mut from)? {
            Ok(hello) => Frame::Hello(hello),
            Err(error) => return Some(Err(error)),
        },
        kind::GOODBYE => Frame::Goodbye { epoch: from.u32()?, reason: from.u16()? },
        _ => match read_beat(kind, &mut from)? {
            Ok(frame) => frame,
            Err(error) => return Some(Err(error)),
        },
    };
    Some(read_extensions(from).map(|found| {
        if let Frame::Ping { status, .. }
        | Frame::Pong { status, .. }
        | Frame::Beacon { status, .. } = &mut frame
        {
            *status = found;
        }
        frame
    }))
}

/// The fields of a ping, pong or beacon.
fn read_beat(kind: u8, from: &mut Reader<'_>) -> Option<Result<Frame, DecodeError>> {
    let id = PingId::from_u64(from.u64()?);
    let (handle, stamp, status) = (from.u64()?, from.u64()?, None);
    Some(Ok(match kind {
        kind::BEACON => {
            let period = match from.u64()? {
                0 => None,
                micros => Some(Duration::from_micros(micros)),
            };
            Frame::Beacon { id, handle, stamp, period, status }
        }
        kind::PING => match from.u32()? {
            0 => Frame::Ping { id, handle, stamp, status },
            found => return Some(Err(DecodeError::Reserved { found })),
        },
        _ => {
            let hold = Duration::from_micros(from.u32()? as u64);
            Frame::Pong { id, handle, stamp, hold, calm: kind == kind::CALM, status }
        }
    }))
}

fn read_extensions(mut from: Reader<'_>) -> Result<Option<Status>, DecodeError> {
    let mut status = None;
    let mut after = 0;
    while let Some([found, len]) = from.array() {
        if found & !HIGH_BIT <= after & !HIGH_BIT {
            return Err(DecodeError::ExtensionOrder { found, after });
        }
        after = found;
        let wrong =
            |allowed| DecodeError::ExtensionLength { extension: found, found: len, allowed };
        let left = from.0.len() as u8;
        let mut value = Reader(from.slice(len as usize).ok_or(wrong(left))?);
        match (found, len) {
            (extension::STATUS, extension::STATUS_LEN) => {
                status = value.array().map(Status::from_wire).transpose()?;
            }
            (extension::STATUS, _) => return Err(wrong(extension::STATUS_LEN)),
            // Verified by `auth::Opener`, where there is one.
            (extension::AUTH, extension::AUTH_LEN) => {}
            (extension::AUTH, _) => return Err(wrong(extension::AUTH_LEN)),
            (HIGH_BIT.., _) => return Err(DecodeError::Extension { found }),
            _ => {}
        }
    }
    match *from.0 {
        [found, ..] => Err(DecodeError::Stray { found }),
        [] => Ok(status),
    }
}

const fn pong_kind(calm: bool) -> u8 {
    if calm { kind::CALM } else { kind::PONG }
}

/// Rounded down and saturating: a hold time that is told too short lengthens an RTT sample, which
/// is the harmless direction.
#[inline]
fn hold_micros(hold: Duration) -> u32 {
    let whole = hold.as_secs().saturating_mul(1_000_000);
    whole.saturating_add(hold.subsec_micros() as u64).min(u32::MAX as u64) as u32
}

/// Rounded up: a promise must not become shorter than what was promised.
fn period_micros(period: Option<Duration>) -> Result<u64, EncodeError> {
    let Some(found) = period else { return Ok(0) };
    match u64::try_from(found.as_nanos().div_ceil(1000)) {
        Ok(micros) if micros > 0 => Ok(micros),
        _ => Err(EncodeError::Period { found }),
    }
}
