//! The gateway: a fleet behind one UDP socket, and all that strangers can send to it.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod caps;
mod corners;
mod counts;
mod hostile;
mod memory;
mod naive;
mod random;
mod rules;
#[cfg(feature = "auth")]
mod sealed;
mod shards;
mod world;
