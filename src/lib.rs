// The front page is the README; its examples need the tokio adapter.
#![cfg_attr(feature = "tokio", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "tokio"),
    doc = "Heartbeats that find dead peers and never kill the living."
)]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(
    feature = "std",
    feature = "codec",
    feature = "sim",
    feature = "fleet",
    feature = "assignment"
))]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod action;
#[cfg(all(feature = "std", feature = "codec"))]
pub mod adapter;
#[cfg(feature = "detectors")]
pub mod advisor;
#[cfg(feature = "assignment")]
pub mod assignment;
pub mod backoff;
#[cfg(feature = "codec")]
pub mod codec;
mod config;
mod deadlines;
pub mod detector;
mod event;
mod evidence;
pub mod failover;
mod finding;
#[cfg(feature = "fleet")]
pub mod fleet;
#[cfg(feature = "gateway")]
pub mod gateway;
mod heartbeat;
mod histogram;
mod jitter;
mod judge;
mod ledger;
mod liveness;
mod machine;
mod negotiate;
mod normal;
pub mod pool;
mod probe;
#[cfg(feature = "detectors")]
pub mod qos;
pub mod quality;
#[cfg(feature = "replay")]
pub mod replay;
mod report;
mod rtt;
#[cfg(feature = "sim")]
pub mod sim;
mod state;
mod stats;
mod steady;
pub mod supervisor;
mod time;
#[cfg(feature = "std")]
pub mod unsent;

pub use action::{Action, Actions};
pub use config::{
    Config, ConfigBuilder, ConfigError, FirstPing, LatePolicy, LifeRule, MAX_SPAN, Mode,
    PingSchedule, Probing, Verdict,
};
pub use deadlines::DeadlineReason;
pub use event::{Event, PingId};
pub use finding::Findings;
pub use heartbeat::HeartbeatMachine;
pub use histogram::Histogram;
pub use ledger::{Echo, Ledger, Table};
pub use liveness::{Fault, Liveness, Reason, Transition};
pub use negotiate::{
    Change, Effective, Limits, LimitsError, NegotiateError, Side, Wish, negotiate,
};
pub use report::Report;
pub use rtt::Rtt;
pub use state::PeerState;
pub use stats::Stats;
pub use time::Timestamp;

/// The examples of the documents are compiled and run.
#[cfg(all(
    doctest,
    unix,
    feature = "tokio",
    feature = "futures-io",
    feature = "message",
    feature = "pulse",
    feature = "tokio-util",
    feature = "detectors",
    feature = "gateway"
))]
mod documents {
    #[doc = include_str!("../docs/INTEGRATING.md")]
    mod integrating {}
    #[doc = include_str!("../docs/MIGRATING.md")]
    mod migrating {}
}
