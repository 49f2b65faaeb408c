//! The published detectors: each formula against a naive restatement of section 15.1, what holds
//! for all of them, and the normal tail against a table of high precision.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "spans of hours in floats are good to a nanosecond"
)]

#[path = "../common/mod.rs"]
mod common;

mod all;
mod common_rules;
mod cornered;
mod formulas;
mod hazard;
mod link;
mod promise;
mod run;
mod single_rules;
mod tail;
