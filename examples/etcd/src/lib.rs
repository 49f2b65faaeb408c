//! Observers that share a crowd of peers, by leases in etcd.
//!
//! * Each observer holds a lease, which a heartbeat machine keeps alive: a keepalive is the ping,
//!   etcd's answer the pong ([`lease`]).
//! * Who the observers are, and who the peers, is read from etcd and watched; who watches whom each
//!   observer works out by itself ([`view`]).
//! * Each watches its peers with a fleet ([`ward`]); a verdict is written by a transaction that fails unless the
//!   observer still holds its lease ([`observer`], [`etcd`]).
//! * [`crowd`] plays the peers, [`stage`] starts and kills all of it, for the demonstration and
//!   the tests.

#![forbid(unsafe_code)]

pub mod clock;
pub mod crowd;
pub mod etcd;
pub mod lease;
pub mod observer;
pub mod stage;
pub mod view;
pub mod ward;
pub mod worker;
