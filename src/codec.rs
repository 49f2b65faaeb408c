//! The bytes: one small, versioned, length-prefixed frame for every transport.
//!
//! A heartbeat frame is a header of four bytes, the fixed fields of its kind and then optional
//! extensions, big-endian throughout. It has at most [`MAX_FRAME`] bytes, so that it fits into a
//! WebSocket control frame. A plain ping, like its pong, has [`PING_LEN`]:
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+-------------------------------+
//! |  0xb  | minor |     kind      |   length of all that follows  |
//! +-------+-------+---------------+-------------------------------+
//! |                 epoch of the ping's sender                    |
//! +---------------------------------------------------------------+
//! |                     sequence of the ping                      |
//! +---------------------------------------------------------------+
//! |                                                               |
//! +          handle: the ping sender's own, repeated              +
//! |                                                               |
//! +---------------------------------------------------------------+
//! |                                                               |
//! +   stamp: the ping sender's masked nanoseconds, repeated       +
//! |                                                               |
//! +---------------------------------------------------------------+
//! |       ping: zero; pong: microseconds the ping was held        |
//! +---------------------------------------------------------------+
//! |  extensions: type (1), length (1), value; ascending types ... |
//! ```
//!
//! All kinds, the rules of versions and extensions and the golden vectors are in
//! `docs/PROTOCOL.md`.
//!
//! # Which part for which transport
//!
//! | Transport | Use |
//! |---|---|
//! | a stream of its own, or one shared with application bytes | [`Decoder`], [`Encoder`] |
//! | datagrams, WebSocket pings, messages of any kind | [`datagram`] |
//! | a stream under `tokio_util::codec::Framed` | `tokio_util::FrameCodec` |
//! | a stream on which every byte counts | [`ByteLink`] |
//! | a gateway that only answers | [`Frame::answer`] |
//!
//! [`Link`] translates between frames and the machine's events and actions.
//!
//! # Errors
//!
//! On a stream a bad frame is fatal: after it nobody knows where the next frame starts, and to
//! guess is to let a peer hide frames in garbage; close the connection. On datagrams the next
//! datagram starts afresh: drop the bad one, count it, go on. Neither is a sign of life.
//!
//! # Guarantees
//!
//! Nothing here allocates, panics, reads a clock or waits for more than [`MAX_FRAME`] bytes on
//! the word of a peer. Encoding never truncates. Every accepted frame without unknown content
//! encodes to the very bytes it was decoded from.

#[cfg(feature = "auth")]
pub mod auth;
mod byte;
mod cursor;
pub mod datagram;
mod error;
mod frame;
mod hello;
mod link;
mod shell;
mod status;
mod stream;
#[cfg(feature = "tokio-util")]
pub mod tokio_util;
mod wire;

pub use byte::{ByteLink, UnknownByte};
pub use error::{DecodeError, EncodeError};
pub use frame::Frame;
pub use hello::Hello;
pub use link::Link;
pub use status::{LoadError, Status};
pub use stream::{Decoder, Encoder, Item};
pub use wire::{HEADER_LEN, MAX_DATA, MAX_FRAME, PING_LEN};
