//! One property for each invariant of `docs/SPEC.md`, section 10, named after it, over every kind of
//! configuration and all events. Time goes to deadlines, and to the nanoseconds around them.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]
#![allow(clippy::large_types_passed_by_value, reason = "configurations are values; no speed here")]

#[cfg(all(feature = "std", feature = "codec"))]
mod adapters;
#[path = "../common/mod.rs"]
mod common;
mod configs;
mod drive;
mod pacing;
mod peer;
mod promise;
mod time;
mod verdict;
