//! The fleet's schedule beside a naive one: FL3, FL5, FL7 where no peer can bring it about.
//!
//! The schedule is no part of the interface, so its files are taken in as they are. Debug assertions
//! in them tell when there are more entries or blocks than there is room for.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

extern crate alloc;

mod deadlines {
    pub(crate) const NEVER: u64 = u64::MAX;
}

#[path = "../common/rng.rs"]
mod rng;

#[path = "../../src/fleet"]
#[allow(dead_code, reason = "the fleet uses the rest")]
mod fleet {
    mod blocks;
    mod fetch;
    mod wheel;

    #[path = "../../tests/wheel/model.rs"]
    mod model;
}
