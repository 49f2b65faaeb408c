//! [`FrameCodec`]: heartbeats and application data for `tokio_util::codec::Framed`.
//!
//! For programs that own their loop and have a `Framed` already. The adapter
//! [`adapter::tokio`](crate::adapter::tokio) does more: it writes heartbeats ahead of waiting data,
//! and never loses one to a full buffer.
//!
//! ```
//! use futures_util::{SinkExt, StreamExt};
//! use heartbeat_proto::PingId;
//! use heartbeat_proto::codec::Frame;
//! use heartbeat_proto::codec::tokio_util::{FrameCodec, Message};
//! use tokio_util::bytes::Bytes;
//! use tokio_util::codec::Framed;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (here, there) = tokio::io::duplex(4096);
//! let mut ours = Framed::new(here, FrameCodec::new());
//! let mut theirs = Framed::new(there, FrameCodec::new());
//!
//! let ping = Frame::Ping { id: PingId::new(1, 7), handle: 3, stamp: 9, status: None };
//! ours.send(Bytes::from_static(b"hello")).await?;
//! ours.send(ping).await?;
//!
//! assert_eq!(theirs.next().await.transpose()?, Some(Message::Data(Bytes::from_static(b"hello"))));
//! let Some(Ok(Message::Frame(frame))) = theirs.next().await else { panic!("a ping") };
//! let pong = frame.answer(core::time::Duration::ZERO, false).expect("pings are answered");
//! theirs.send(pong).await?;
//! assert_eq!(ours.next().await.transpose()?, Some(Message::Frame(pong)));
//! # Ok(())
//! # }
//! ```

use std::io;

use ::tokio_util::codec;
use bytes::{Buf, Bytes, BytesMut};

use super::error::{DecodeError, EncodeError};
use super::frame::Frame;
use super::stream::{Decoder, Encoder, Item};
use super::wire::{HEADER_LEN, MAX_DATA};

/// What [`FrameCodec`] reads, and writes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// A heartbeat.
    Frame(Frame),
    /// Application bytes, a piece of the byte stream: as they come when read, never empty; of any
    /// length when written. What belongs together is for the application to say.
    Data(Bytes),
}

impl From<Frame> for Message {
    fn from(frame: Frame) -> Self {
        Self::Frame(frame)
    }
}

impl From<Bytes> for Message {
    fn from(data: Bytes) -> Self {
        Self::Data(data)
    }
}

/// What can go wrong in a [`FrameCodec`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The transport failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The stream is no stream of heartbeat frames (any more), or ended within one. Fatal: close
    /// the connection.
    #[error("bad frame after {offset} bytes: {error}")]
    Decode {
        /// How many bytes came before the bad frame.
        offset: u64,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// The frame cannot be written; nothing of it was.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Heartbeats between application data, for both directions of a `tokio_util::codec::Framed`.
///
/// It is a [`Decoder`] and an [`Encoder`] with the buffers of tokio-util: data is handed on without
/// copying, and written in pieces of at most [`MAX_DATA`] bytes. Beyond the buffers it keeps one
/// unfinished heartbeat. See [the module](self) for an example.
///
/// `Framed` writes in the order of its sink: a heartbeat waits behind the data that was sent before
/// it. Send large data in parts, and heartbeats between them.
#[derive(Clone, Debug, Default)]
pub struct FrameCodec {
    decoder: Decoder,
}

impl FrameCodec {
    /// At the start of a stream.
    pub const fn new() -> Self {
        Self { decoder: Decoder::new() }
    }

    const fn bad(&self, error: DecodeError) -> Error {
        Error::Decode { offset: self.decoder.offset(), error }
    }
}

impl codec::Decoder for FrameCodec {
    type Item = Message;
    type Error = Error;

    /// The next heartbeat, or the next piece of data.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`], and from then on always.
    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Message>, Error> {
        while !input.is_empty() {
            let (consumed, item) = self.decoder.feed(input).map_err(|error| self.bad(error))?;
            match item {
                Some(Item::Frame(frame)) => {
                    input.advance(consumed);
                    return Ok(Some(Message::Frame(frame)));
                }
                Some(Item::Data { start, end }) => {
                    let taken = input.split_to(consumed).freeze();
                    return Ok(Some(Message::Data(taken.slice(start..end))));
                }
                None => input.advance(consumed),
            }
        }
        Ok(None)
    }

    /// The same at the end of the stream.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`], also if the stream ended within a frame.
    fn decode_eof(&mut self, input: &mut BytesMut) -> Result<Option<Message>, Error> {
        if let Some(message) = self.decode(input)? {
            return Ok(Some(message));
        }
        self.decoder.finish().map(|()| None).map_err(|error| self.bad(error))
    }
}

impl codec::Encoder<Frame> for FrameCodec {
    type Error = Error;

    fn encode(&mut self, frame: Frame, output: &mut BytesMut) -> Result<(), Error> {
        Ok(frame.encode(output)?)
    }
}

impl codec::Encoder<Bytes> for FrameCodec {
    type Error = Error;

    /// Empty data is nothing on the wire.
    fn encode(&mut self, data: Bytes, output: &mut BytesMut) -> Result<(), Error> {
        output.reserve(data.len() + data.len().div_ceil(MAX_DATA) * HEADER_LEN);
        for piece in data.chunks(MAX_DATA) {
            output.extend_from_slice(&Encoder::header(piece.len())?);
            output.extend_from_slice(piece);
        }
        Ok(())
    }
}

impl codec::Encoder<Message> for FrameCodec {
    type Error = Error;

    fn encode(&mut self, message: Message, output: &mut BytesMut) -> Result<(), Error> {
        match message {
            Message::Frame(frame) => self.encode(frame, output),
            Message::Data(data) => self.encode(data, output),
        }
    }
}
