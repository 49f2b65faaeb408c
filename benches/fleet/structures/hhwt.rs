//! `hierarchical_hash_wheel_timer`'s wheel with cancellation, ticked every millisecond.

use std::time::Duration;

use hierarchical_hash_wheel_timer::IdOnlyTimerEntry;
use hierarchical_hash_wheel_timer::wheels::cancellable::QuadWheelWithOverflow;

use crate::monitor::Timers;
use crate::work::Work;

pub(crate) struct Hhwt {
    wheel: QuadWheelWithOverflow<IdOnlyTimerEntry<u32>>,
    /// Ticks so far.
    millis: u64,
}

impl Timers for Hhwt {
    fn new(_work: &Work) -> Self {
        Self { wheel: QuadWheelWithOverflow::new(), millis: 0 }
    }

    fn arm(&mut self, peer: u32, due: u64) {
        let ticks = due.div_ceil(1_000_000).saturating_sub(self.millis).max(1);
        let entry = IdOnlyTimerEntry::new(peer, Duration::from_millis(ticks));
        self.wheel.insert(entry).expect("at least a tick ahead");
    }

    fn rearm(&mut self, peer: u32, due: u64) {
        self.wheel.cancel(&peer).expect("armed");
        self.arm(peer, due);
    }

    fn expire(&mut self, now: u64, due: &mut Vec<u32>) {
        while self.millis < now / 1_000_000 {
            self.millis += 1;
            due.extend(self.wheel.tick().into_iter().map(|entry| entry.id));
        }
    }
}
