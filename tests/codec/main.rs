//! The codec: its bytes, its promises, and what frames mean to the machine.
#![cfg(feature = "codec")]

mod golden;
mod link;
mod properties;
mod state;
mod tokio_util;
#[path = "../vectors/mod.rs"]
mod vectors;
