//! Every bug found so far, each with its script.

mod adapters;
#[path = "../common/mod.rs"]
mod common;
mod frames;
mod life;
mod simulated;
mod text;
mod verdicts;
