//! Advice from a running peer: which rules would suit it, how long an interval the network bears.
//!
//! * [`Advisor`] learns loss and round trips, and proposes a configuration for a
//!   [`Qos`](crate::qos::Qos), with how sure it is and why.
//! * [`Follow`] lets the interval follow the network within bounds: shorter where round trips
//!   fluctuate, longer where they do not.
//! * [`IdleSearch`] finds the longest silence that a NAT of unknown timeout bears, without risking the
//!   connection that matters.
//!
//! None of them does anything by itself: no clock, no I/O, no allocation. What they propose takes
//! effect through [`HeartbeatMachine::reconfigure`](crate::HeartbeatMachine::reconfigure), which
//! convicts nobody by the change (rule LC9). Rules AD1 to AD8 of `docs/SPEC.md`; recipes in
//! `docs/INTEGRATING.md`.

mod follow;
mod idle;
mod learn;

pub use follow::{Follow, FollowError};
pub use idle::{Bounds, IdleSearch, Trial};
pub use learn::{Advice, Advisor, AdvisorError};
