//! The fleet: the same rules as single machines, on one schedule.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod alike;
mod corners;
mod epochs;
mod equality;
mod guard;
mod handles;
mod heard;
mod lives;
mod memory;
mod ops;
#[path = "../common/rng.rs"]
mod rng;
mod schedule;
mod sharded;
#[cfg(feature = "snapshot")]
mod snapshot;
#[cfg(feature = "snapshot")]
mod snapshot_bytes;
#[cfg(feature = "snapshot")]
mod snapshot_peers;
#[cfg(feature = "snapshot")]
mod snapshot_random;
mod twin;
mod twins;
