//! `Failover` in virtual time: each rule to the nanosecond, whole stories, and properties.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod properties;
mod robin;
mod rules;
mod standing;
mod stories;
mod world;
