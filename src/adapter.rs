//! Drivers for real sockets.
//!
//! | | for |
//! |---|---|
//! | [`blocking`] | streams and UDP of the standard library; `Pulse` and `Watch` for programs that compute |
//! | [`tokio`] | tokio's streams and UDP, and connections that come back (`Supervised`) |
//! | [`futures_io`] | streams of the `futures-io` traits: smol, async-std |
//! | [`poll`] | what those two share, for any other runtime |
//! | [`message`] | libraries that frame pings themselves: WebSocket; only one end need know this crate |
//! | [`Driver`], [`StreamDriver`] | what all of them share, without socket and clock |
//!
//! Streams are wrapped at both ends: the application reads and writes its bytes as before, and
//! heartbeats travel between them, in the frames of [`codec`](crate::codec). UDP sockets are
//! connected and carry heartbeats alone.
//!
//! # The driver loop
//!
//! All adapters do this, and so should yours:
//!
//! 1. **Read before you judge.** Hand in everything that the kernel has, until it says "would
//!    block". An answer that lies in a buffer is no silence.
//! 2. **Then tick**, if [`next_deadline`](Driver::next_deadline) is reached on your clock. Ask the
//!    clock, not the timer: timers fire early, late, or not at all while a runtime is busy. Call
//!    [`expire`](Driver::expire) whatever there is to read: it bounds a close and judges nobody.
//! 3. **Write** what waits, heartbeats before application data but never inside a data frame, and
//!    report it: the first byte ([`begun`](Driver::begun)), the last one ([`sent`](Driver::sent)),
//!    and that nothing goes ([`blocked`](Driver::blocked)). Flush.
//! 4. **If the connection [ended](Driver::ended), abort it.** A graceful close would wait for the
//!    very peer that is gone.
//! 5. **Wait** for input, for room to write if it was blocked, and for the deadline (rounded up).
//!
//! # Who does what
//!
//! | | machine | [`Driver`], [`StreamDriver`] | adapter | you |
//! |---|---|---|---|---|
//! | when to ping, whom to trust | x | | | the [`Config`](crate::Config) |
//! | frames, order of writing, bounds | | x | | |
//! | clock, socket, waiting, flushing | | | x | |
//! | to keep calling: read, write, or "drive" | | | | x |
//! | what follows from a verdict | | | abort | reconnect (or `Supervised`) |
//!
//! # You must keep calling
//!
//! An adapter has no thread and no task of its own, so it lives while you are in one of its calls:
//! reading, writing, or (if you do neither) [`run_for`](blocking::Heartbeat::run_for) or
//! [`drive`](self::tokio::Heartbeat::drive). Any of them does everything: a program that only
//! reads answers pings, flushed; one that only writes notices that its peer is dead. A program
//! that computes for longer than the response window calls `service` now and then, or its peer
//! will be right to suspect it, unless it leaves the beat to a `Pulse`, while it makes progress: see
//! [`blocking`]. Its own lateness is measured, told and not charged to the peer: see
//! [`LatePolicy`](crate::LatePolicy).
//!
//! And you must keep reading: heartbeats behind 64 KiB of unread application bytes are unread too.
//!
//! # Ends
//!
//! A goodbye is the end of the bytes (`Ok(0)`), as end of file is elsewhere. Everything else is an
//! [`io::Error`](std::io::Error) that carries an [`Ended`], from every call that follows: a verdict
//! with its [`Report`](crate::Report), a stream that ended without a goodbye, a bad frame, a
//! failed transport. A close on purpose leaves
//! [`drain_limit`](crate::ConfigBuilder::drain_limit) for what is under way; nothing waits for
//! longer.
//!
//! # Clocks
//!
//! [`StdClock`] and [`TokioClock`] read the system's monotonic clock. On Linux and macOS it stands
//! still while the host sleeps, so that sleep is not charged to peers; tell
//! [`Event::Resume`](crate::Event::Resume) if you learn of it and want a probe at once.

pub mod blocking;
mod cause;
mod clock;
mod driver;
#[cfg(feature = "futures-io")]
pub mod futures_io;
#[cfg(feature = "message")]
pub mod message;
mod notice;
mod outbox;
pub mod poll;
mod setup;
mod stream;
#[cfg(feature = "tcp")]
pub mod tcp;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use clock::StdClock;
#[cfg(feature = "tokio")]
pub use clock::TokioClock;
pub use driver::Driver;
pub use notice::{Ended, Notice};
pub use setup::Setup;
pub use stream::StreamDriver;
