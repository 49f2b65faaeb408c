#![doc = "Sans-IO heartbeats."]
#![no_std]

#[cfg(feature = "std")]
extern crate std;

mod action;
#[cfg(feature = "codec")]
pub mod codec;
mod event;
mod finding;
mod liveness;
mod negotiate;
mod time;

pub use action::{Action, Actions};
pub use event::{Event, PingId};
pub use finding::Findings;
pub use liveness::{Fault, Liveness, Reason, Transition};
pub use negotiate::{
    Change, Effective, Limits, LimitsError, NegotiateError, Side, Wish, negotiate,
};
pub use time::Timestamp;
