//! [`Stopwatch`]: time that this thread had, on a machine that others use too.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// Times a step in two parts. The wall clock is the finer one; where the thread's own clock says
/// that it lost the processor meanwhile, that is taken off the longer part.
pub(crate) struct Stopwatch {
    /// What two readings of the thread's clock differ by, at least, if nothing lies between.
    overhead: u64,
}

/// Less than this is not losing the processor.
const NOTABLE: u64 = 3_000;

impl Stopwatch {
    pub(crate) fn new() -> Self {
        let apart = |_| {
            let before = thread_nanos();
            thread_nanos() - before
        };
        Self { overhead: (0..1000).map(apart).min().unwrap_or(0) }
    }

    /// The nanoseconds of each part.
    pub(crate) fn time<T>(
        &self,
        subject: &mut T,
        first: impl FnOnce(&mut T),
        second: impl FnOnce(&mut T),
    ) -> [u64; 2] {
        let own = thread_nanos();
        let start = Instant::now();
        first(subject);
        let middle = Instant::now();
        second(subject);
        let end = Instant::now();
        let own = (thread_nanos() - own).saturating_sub(self.overhead);
        let mut parts = [nanos(start, middle), nanos(middle, end)];
        let lost = (parts[0] + parts[1]).saturating_sub(own);
        if lost > NOTABLE {
            let longer = usize::from(parts[1] > parts[0]);
            parts[longer] = parts[longer].saturating_sub(lost);
        }
        parts
    }
}

fn nanos(from: Instant, to: Instant) -> u64 {
    to.duration_since(from).as_nanos() as u64
}

fn thread_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
