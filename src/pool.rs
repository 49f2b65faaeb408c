//! Idle connections: to keep them fit for use, and to be rid of them.
//!
//! * [`Pool`] keeps idle connections for the next user: it says which one to take and whether to
//!   verify it first, asks for pings, evicts, and keeps within its caps.
//! * [`IdleWatch`] watches one connection alone, for servers that evict idle clients.
//! * [`Quota`] counts connections by owner, for servers that limit a user or an address.
//!
//! All are sans-IO: no clock, no socket. Connections are values of your own that go in and out.
//!
//! ```
//! use heartbeat_proto::Timestamp;
//! use heartbeat_proto::pool::{CheckOut, Pool, PoolConfig, Upkeep};
//!
//! let mut pool: Pool<&str, u32> = Pool::new(PoolConfig::default(), 42);
//! let now = Timestamp::EPOCH;
//! let CheckOut::Connect { lease } = pool.check_out(&"db", now) else { panic!("it is empty") };
//! let connection = 7; // Connect here.
//! pool.check_in(lease, connection, now, now).expect("not too old");
//!
//! // Two minutes later; nobody has kept up the pool, so this one is too old to be trusted.
//! let now = Timestamp::from_nanos(120_000_000_000);
//! match pool.check_out(&"db", now) {
//!     CheckOut::Ready { .. } => panic!("never without a proof"),
//!     CheckOut::Verify { .. } => panic!("past its idle limit"),
//!     CheckOut::Close { connection, .. } => assert_eq!(connection, 7), // Close it, ask again.
//!     _ => panic!("it is there"),
//! }
//! ```
//!
//! # Half-open connections
//!
//! A peer that vanished leaves a socket that looks well: writes succeed into a buffer. Only what
//! the peer sent proves anything, so a connection is *ready* only if it was heard a moment ago;
//! otherwise [`CheckOut::Verify`] orders a round trip first, for instance by the `verify` of the
//! tokio adapter. Even so the peer may die in the moment after. The program `examples/pool.rs`
//! shows it all on real sockets.
//!
//! # Sources
//!
//! Read-idle, write-idle and ping are netty's `IdleStateHandler`; newest first, 90 s of idleness
//! and 100 connections are Go's `http.Transport`; verification after inactivity is Apache
//! `HttpClient`'s; a maximum age with jitter is gRPC's `MAX_CONNECTION_AGE`.

#[cfg(any(feature = "std", feature = "codec"))]
mod connections;
mod idle;
#[cfg(any(feature = "std", feature = "codec"))]
mod limits;
#[cfg(any(feature = "std", feature = "codec"))]
mod quota;

#[cfg(any(feature = "std", feature = "codec"))]
pub use connections::{CheckOut, ConnectionId, Lease, Pool, Upkeep};
pub use idle::{Idle, IdleLimits, IdleLimitsBuilder, IdleWatch, Why};
#[cfg(any(feature = "std", feature = "codec"))]
pub use limits::{PoolConfig, PoolConfigBuilder, PoolError, Proof, Take};
#[cfg(any(feature = "std", feature = "codec"))]
pub use quota::{Quota, QuotaError, Refusal};
