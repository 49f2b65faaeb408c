//! What the asynchronous adapters share: one stream, for any transport and any runtime.
//!
//! [`Heartbeat`] is the whole adapter. [`tokio::Heartbeat`](super::tokio::Heartbeat) and
//! [`futures_io::Heartbeat`](super::futures_io::Heartbeat) are its names for their runtimes; for
//! another runtime implement [`Transport`] for its streams and [`Timer`] for its clock.
//!
//! # How it works
//!
//! Every poll of a heartbeat, for whatever purpose, does the whole round of
//! [the driver loop](super#the-driver-loop) (but a flush of nothing). It has no task, so nothing outlives it; it keeps all
//! its state in itself and none in its futures, so every future may be dropped at any point, and
//! nothing is lost or written twice.
//!
//! There is one timer for each connection. It is set again only when it has fired or is too late,
//! not for every byte that moves the deadline. The machine is told the time of the clock, never that
//! of the timer. And before silence is judged after a stall, the runtime gets the chance to look at
//! the socket again: what it knows of a socket may be as old as its last look.
//!
//! # What was rejected
//!
//! *A task for each connection, with channels*: it answers pings while the application is stuck,
//! outlives it, and needs an executor. *Two halves of our own*: the runtimes' `split` does, since
//! each half drives both directions and all waiting tasks are woken. *A future to be joined with the
//! application's*: forgotten, it would leave a program that never detects anything. *An adapter for
//! each runtime*: every defect of one would be a defect of all, found one by one.

mod heartbeat;
mod pulse;
mod runtime;
mod scratch;
mod wakers;
mod wire;

pub use heartbeat::Heartbeat;
pub use runtime::{Timer, Transport};

#[cfg(any(feature = "tokio", feature = "message"))]
pub(super) use pulse::{Input, Io, MOST_READS, Pulse};
#[cfg(feature = "message")]
pub(super) use wakers::{Slot, Wakers};
