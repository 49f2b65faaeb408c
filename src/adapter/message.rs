//! Heartbeats through libraries that frame pings and pongs themselves: WebSocket, say.
//!
//! The protocol has the bytes, the library has the frames; what is missing is somebody who knows
//! when to ping, which pong answers which ping, and when to give up. [`Heartbeat`] wraps the
//! library's stream and sink of messages, and is one itself: of the application's messages, with
//! the library's error or an [`Ended`] in [`Error`]. The peer need not know this crate: it answers
//! pings, as its protocol demands.
//!
//! [`Format`] says how the library names its messages. For `tokio-tungstenite` (for axum the same
//! with its `Message`):
//!
//! ```
//! use heartbeat_proto::adapter::message::{Format, Kind};
//! use tokio_tungstenite::tungstenite::{Bytes, Message};
//!
//! struct WebSocket;
//!
//! impl Format for WebSocket {
//!     type Message = Message;
//!
//!     fn kind(message: &Message) -> Kind<'_> {
//!         match message {
//!             Message::Ping(payload) => Kind::Ping(payload),
//!             Message::Pong(payload) => Kind::Pong(payload),
//!             Message::Close(_) => Kind::Close,
//!             _ => Kind::Data,
//!         }
//!     }
//!
//!     fn ping(payload: &[u8]) -> Message {
//!         Message::Ping(Bytes::copy_from_slice(payload))
//!     }
//!
//!     fn weight(message: &Message) -> usize {
//!         message.len()
//!     }
//! }
//! # let _ = WebSocket::ping(b"");
//! ```
//!
//! Then `Heartbeat::over(WebSocket, socket, TokioTimer::new(), Config::wan())` is the socket from
//! now on; `examples/websocket_chat.rs` shows both sides.
//!
//! # Large messages
//!
//! A ping cannot overtake a message that the library is writing, nor a pong one that it is
//! reading: while a megabyte crawls along, no message is a sign of life. [`Meter`] counts the bytes
//! below the library, so that crawling is told from silence: writes then report their progress, and
//! with [`LifeRule::AnyByte`](crate::LifeRule::AnyByte) received bytes are life.

mod heartbeat;
#[cfg_attr(
    not(any(feature = "tokio", feature = "futures-io")),
    allow(unused_imports, dead_code, reason = "there is no stream to be counted")
)]
mod meter;

pub use heartbeat::Heartbeat;
pub use meter::{Meter, Metered};

use super::notice::Ended;

/// What a message is to the heart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind<'m> {
    /// A ping of the peer, with its payload.
    Ping(&'m [u8]),
    /// A pong, with its payload.
    Pong(&'m [u8]),
    /// The peer closes on purpose.
    Close,
    /// The application's.
    Data,
}

/// How a library names its messages.
pub trait Format {
    /// The library's message.
    type Message;

    /// What `message` is.
    fn kind(message: &Self::Message) -> Kind<'_>;

    /// A ping with this payload, of 32 bytes, or 38 where a status is told. The peer's pong must
    /// repeat it.
    fn ping(payload: &[u8]) -> Self::Message;

    /// How much memory `message` holds, in bytes. Unread messages are kept up to 64 KiB (and one
    /// that may go beyond it), so that the heartbeats behind them are seen; then the library is not
    /// read until the application reads. Default: 1 KiB for each.
    fn weight(message: &Self::Message) -> usize {
        let _ = message;
        1024
    }

    /// A pong with the payload of the peer's newest ping. Default: `None`, for a library that
    /// answers pings itself; its answers are then flushed.
    fn pong(payload: &[u8]) -> Option<Self::Message> {
        let _ = payload;
        None
    }
}

/// What ends a stream of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error<E> {
    /// The library's own.
    #[error(transparent)]
    Library(E),
    /// The heartbeat's: a verdict, an end without a goodbye, or a close on purpose.
    #[error(transparent)]
    Ended(#[from] Ended),
}
