//! The pool and the watch over idle connections, in virtual time.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod life;
mod properties;
#[path = "../common/rng.rs"]
mod rng;
mod rules;
mod watch;

use heartbeat_proto::Timestamp;

const MS: u64 = 1_000_000;
const SEC: u64 = 1_000 * MS;

/// Runs start later than zero, so that a rule that wrongly depends on that shows.
fn at(now: u64) -> Timestamp {
    Timestamp::from_nanos(77 * SEC + now)
}

fn since(moment: Timestamp) -> u64 {
    moment.as_nanos() - 77 * SEC
}

/// They may go where their connections may; a server keeps one watch for each client.
#[test]
fn a_pool_is_a_plain_value() {
    use heartbeat_proto::pool::{IdleWatch, Lease, Pool, Quota};

    fn plain<T: Send + Sync + Unpin + core::panic::UnwindSafe>() -> usize {
        size_of::<T>()
    }
    let _ = (plain::<Pool<u32, u32>>(), plain::<Quota<u32>>(), plain::<Lease<u32>>());
    assert_eq!(plain::<IdleWatch>(), 56);
}
