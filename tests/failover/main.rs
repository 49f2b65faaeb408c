//! `Failover` in virtual time: each rule to the nanosecond, whole stories, and properties.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod properties;
mod robin;
mod rules;
mod standing;
mod stories;
mod world;

/// They may go anywhere, and are as large as is said.
#[test]
fn a_failover_is_a_plain_value() {
    use heartbeat_proto::failover::{Event, Failover, Orders};

    fn plain<T: Send + Sync + Unpin + Clone + core::panic::UnwindSafe>() -> usize {
        size_of::<T>()
    }
    let sizes = [plain::<Failover>(), plain::<Failover<2>>(), plain::<Orders<8>>()];
    assert!(sizes[0] <= 1536 && sizes[1] <= 512 && sizes[2] <= 1024, "{sizes:?}");
    assert!(plain::<Event>() <= 32);
}
