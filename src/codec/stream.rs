//! Frames on a byte stream: [`Decoder`] and [`Encoder`].

use super::error::{DecodeError, EncodeError};
use super::frame::Frame;
use super::wire::{HEADER_LEN, Header, MAX_DATA, MAX_FRAME, kind};

/// What [`Decoder::feed`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Item {
    /// A whole heartbeat frame.
    Frame(Frame),
    /// Application bytes: those of the given input from `start` up to `end`, never empty. They
    /// are handed on as they come, and never copied.
    Data {
        /// The index of the first byte.
        start: usize,
        /// The index behind the last byte.
        end: usize,
    },
}

impl Item {
    /// The application bytes in the `input` that was fed; empty for a heartbeat.
    #[inline]
    pub fn data<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        match *self {
            Self::Data { start, end } => input.get(start..end).unwrap_or_default(),
            Self::Frame(_) => &[],
        }
    }
}

/// Finds heartbeats and application data in a byte stream, however it is cut.
///
/// It keeps at most one unfinished heartbeat frame ([`MAX_FRAME`] bytes), judges each declared
/// length before it waits for it, and never allocates. The first error is final: it comes again
/// whatever is fed, because after a bad frame nobody knows where the next one starts; close the
/// connection.
///
/// ```
/// use heartbeat_proto::PingId;
/// use heartbeat_proto::codec::{Decoder, Encoder, Frame, Item};
///
/// // On the wire: five bytes of the application, then a ping, cut in an odd place.
/// let ping = Frame::Ping { id: PingId::new(1, 7), handle: 3, stamp: 9, status: None };
/// let mut wire = Vec::from(Encoder::header(5)?);
/// wire.extend_from_slice(b"hello");
/// ping.encode(&mut wire)?;
///
/// let (mut decoder, mut text, mut frames) = (Decoder::new(), Vec::new(), Vec::new());
/// for mut input in wire.chunks(7) {
///     while !input.is_empty() {
///         let (consumed, item) = decoder.feed(input)?;
///         match item {
///             Some(Item::Frame(frame)) => frames.push(frame),
///             Some(data) => text.extend_from_slice(data.data(input)),
///             None => {}
///         }
///         input = &input[consumed..];
///     }
/// }
/// assert_eq!((text.as_slice(), frames), (b"hello".as_slice(), vec![ping]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The beginning of an unfinished frame; after a frame that was put together here, that frame
    /// until the next `feed`.
    kept: [u8; MAX_FRAME],
    filled: usize,
    /// The length of the frame in `kept` that was handed out by the last `feed`.
    handed: usize,
    /// Application bytes that are still to come.
    data_left: usize,
    /// How many bytes came before the current frame.
    offset: u64,
    failed: Option<DecodeError>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// At the start of a stream.
    pub const fn new() -> Self {
        Self { kept: [0; MAX_FRAME], filled: 0, handed: 0, data_left: 0, offset: 0, failed: None }
    }

    /// Takes bytes from the front of `input`, up to and including the first whole heartbeat or
    /// the first piece of application data, and says how many it took. Feed the rest again until
    /// all is taken. `None`: all was taken, and more is needed.
    ///
    /// Never panics, never allocates.
    ///
    /// # Errors
    ///
    /// The first bad frame, as [`Frame::decode`] finds it, and from then on always. Nothing of
    /// `input` is taken.
    #[inline]
    pub fn feed(&mut self, input: &[u8]) -> Result<(usize, Option<Item>), DecodeError> {
        if self.filled == 0 && self.data_left == 0 && self.failed.is_none() {
            // The common case: whole frames, decoded where they lie.
            if let Ok(Some((frame, len))) = Frame::decode(input) {
                self.offset = self.offset.wrapping_add(len as u64);
                self.handed = 0;
                return Ok((len, Some(Item::Frame(frame))));
            }
        }
        match self.failed {
            Some(error) => Err(error),
            None => self.feed_part(input).inspect_err(|&error| self.failed = Some(error)),
        }
    }

    /// The bytes of the heartbeat that the last [`feed`](Decoder::feed) returned, given what it
    /// was fed and what it consumed. For
    /// authenticated frames, whose tag is over the bytes; see `auth::Opener`.
    pub fn frame_bytes<'a>(&'a self, input: &'a [u8], consumed: usize) -> &'a [u8] {
        let (bytes, len) =
            if self.handed > 0 { (self.kept.as_slice(), self.handed) } else { (input, consumed) };
        bytes.get(..len).unwrap_or_default()
    }

    /// How many bytes of the stream came before the current frame: where the bad one starts,
    /// after an error. Wraps past `u64::MAX`.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// To be called at the end of the stream.
    ///
    /// # Errors
    ///
    /// The stream ended within a frame, or had failed before.
    pub const fn finish(&self) -> Result<(), DecodeError> {
        match self.failed {
            Some(error) => Err(error),
            None if self.filled > 0 => Err(DecodeError::Truncated { found: self.filled }),
            // The header of the data frame was taken.
            None if self.data_left > 0 => Err(DecodeError::Truncated { found: HEADER_LEN }),
            None => Ok(()),
        }
    }

    fn feed_part(&mut self, input: &[u8]) -> Result<(usize, Option<Item>), DecodeError> {
        self.handed = 0;
        let mut taken = 0;
        if self.data_left == 0 {
            taken = self.keep(input, HEADER_LEN);
            let Some(header) = Header::decode(self.kept.get(..self.filled).unwrap_or_default())?
            else {
                return Ok((taken, None));
            };
            if header.kind != kind::DATA {
                return self.feed_frame(input, taken, header.total());
            }
            self.filled = 0;
            self.data_left = header.len as usize;
            self.offset = self.offset.wrapping_add(header.total() as u64);
        }
        let piece = self.data_left.min(input.len().saturating_sub(taken));
        if piece == 0 {
            return Ok((taken, None));
        }
        self.data_left -= piece;
        let (start, end) = (taken, taken + piece);
        Ok((end, Some(Item::Data { start, end })))
    }

    fn feed_frame(
        &mut self,
        input: &[u8],
        taken: usize,
        total: usize,
    ) -> Result<(usize, Option<Item>), DecodeError> {
        let taken = taken + self.keep(input.get(taken..).unwrap_or_default(), total);
        let bytes = self.kept.get(..self.filled).unwrap_or_default();
        let Some((frame, len)) = Frame::decode(bytes)? else { return Ok((taken, None)) };
        self.filled = 0;
        self.handed = len;
        self.offset = self.offset.wrapping_add(len as u64);
        Ok((taken, Some(Item::Frame(frame))))
    }

    /// Copies bytes from `input` until `goal` are kept, and says how many it copied.
    fn keep(&mut self, input: &[u8], goal: usize) -> usize {
        let room = self.kept.get_mut(self.filled..goal).unwrap_or_default();
        let copied = room.len().min(input.len());
        for (to, from) in room.iter_mut().zip(input) {
            *to = *from;
        }
        self.filled += copied;
        copied
    }
}

/// Cuts application bytes into data frames, and knows where a heartbeat may go between them.
///
/// It holds no bytes. The writer asks for a header, writes it and that many bytes of the
/// application, and between two frames writes whatever heartbeat waits: never behind more than
/// [`MAX_DATA`] bytes.
///
/// ```
/// use heartbeat_proto::codec::Encoder;
///
/// let mut encoder = Encoder::new();
/// let (header, len) = encoder.begin(20_000).expect("at a boundary, with bytes to send");
/// assert_eq!((header, len), ([0xb0, 7, 0x40, 0], 16_384));
/// assert!(!encoder.at_boundary());
/// encoder.wrote(10_000); // the transport took no more
/// encoder.wrote(6_384);
/// assert!(encoder.at_boundary()); // a heartbeat may go here
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Encoder {
    left: usize,
}

impl Encoder {
    /// At a boundary.
    pub const fn new() -> Self {
        Self { left: 0 }
    }

    /// The header of a data frame of `len` bytes.
    ///
    /// # Errors
    ///
    /// `len` is zero or above [`MAX_DATA`].
    pub const fn header(len: usize) -> Result<[u8; HEADER_LEN], EncodeError> {
        if len == 0 || len > MAX_DATA {
            return Err(EncodeError::Data { found: len });
        }
        Ok(Header { kind: kind::DATA, len: len as u16 }.to_bytes())
    }

    /// Begins a data frame for as many of the `waiting` application bytes as one frame holds:
    /// its header, and how many bytes of payload follow it. `None` if a frame is unfinished or
    /// nothing waits.
    pub const fn begin(&mut self, waiting: usize) -> Option<([u8; HEADER_LEN], usize)> {
        if self.left > 0 {
            return None;
        }
        let len = if waiting < MAX_DATA { waiting } else { MAX_DATA };
        match Self::header(len) {
            Ok(header) => {
                self.left = len;
                Some((header, len))
            }
            Err(_) => None,
        }
    }

    /// `len` bytes of payload were written.
    pub const fn wrote(&mut self, len: usize) {
        self.left = self.left.saturating_sub(len);
    }

    /// The bytes of payload that the unfinished data frame still wants.
    pub const fn left(&self) -> usize {
        self.left
    }

    /// Whether a heartbeat may be written now. A header that was begun must be written first.
    pub const fn at_boundary(&self) -> bool {
        self.left == 0
    }
}
