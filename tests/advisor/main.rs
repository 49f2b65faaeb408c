//! Advice from a running peer (rules AD1 to AD8): real machines in virtual time, over links and
//! through NATs that are seeded and known to the test alone.
#![cfg(feature = "detectors")]
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]
#![allow(clippy::large_types_passed_by_value, reason = "configurations are values; no speed here")]

#[path = "../common/mod.rs"]
mod common;

mod follow;
mod idle;
mod learn;
