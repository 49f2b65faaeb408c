//! The program `heartbeat`, used as an operator uses it. Loopback only, and real time: a machine
//! that stands still for seconds fails them, chance does not.
#![cfg(all(feature = "cli", unix))]

extern crate alloc;

mod basics;
mod config;
mod fleet;
mod load;
mod process;
mod replay;
mod tls;
mod watch;
