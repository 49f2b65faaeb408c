#![doc = "Sans-IO heartbeats."]
#![no_std]

#[cfg(feature = "std")]
extern crate std;

mod action;
mod event;
mod finding;
mod liveness;
mod time;

pub use action::{Action, Actions};
pub use event::{Event, PingId};
pub use finding::Findings;
pub use liveness::{Fault, Liveness, Reason, Transition};
pub use time::Timestamp;
