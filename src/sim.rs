//! A deterministic simulator: networks of heartbeat machines in virtual time, with every fault that
//! networks, hosts, clocks and drivers know, and a checker that holds each machine to the
//! invariants of the rules.
//!
//! It serves two purposes:
//!
//! * [`World`] is for your own tests: build nodes and links, let time pass, break things, look.
//! * [`simulate`] runs a whole random world from one seed, as the crate does to prove itself:
//!   random configurations under random faults, then a healed network that must converge. A
//!   [`Failure`] names the broken invariant and the smallest script that still breaks it.
//!
//! [`Log`] records what one machine was told, in production too, and replays it bit for bit.
//!
//! There is no clock, no thread and no randomness but the seed's; all arithmetic is on integers.
//! The same seed gives the same [`Digest`] on every platform.

mod clock;
mod coverage;
mod digest;
mod end;
mod failure;
mod fault;
mod ghost;
mod invariant;
mod log;
mod path;
mod plan;
mod rng;
mod sabotage;
mod simulate;
mod told;
mod world;

pub use coverage::Coverage;
pub use digest::Digest;
pub use failure::Failure;
pub use fault::Fault;
pub use invariant::Invariant;
pub use log::{Entry, Log, LogError, LogProblem, OtherConfig, Step, fingerprint};
pub use plan::{Link, Plan, Timed};
pub use sabotage::Sabotage;
pub use simulate::{Simulator, Totals, simulate};
pub use world::{Broken, Note, World};
