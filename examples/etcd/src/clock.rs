//! The clock of leases: it goes on while this host is suspended, as etcd's does.

use heartbeat_proto::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Since this host was started. (The library's `StdClock` stands still in a suspend, which is right
/// for judging others and wrong for a right that runs out.)
pub fn now() -> Timestamp {
    let time = clock_gettime(ClockId::Boottime);
    Timestamp::from_nanos(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}
