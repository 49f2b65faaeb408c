//! nexus-timer's hierarchical wheel, as its documentation says for a busy one: each poll
//! rebalances.

use std::time::{Duration, Instant};

use nexus_timer::{TimerHandle, Wheel, WheelBuilder};

use crate::monitor::Timers;
use crate::work::Work;

pub(crate) struct Nexus {
    wheel: Wheel<u32>,
    handles: Vec<Option<TimerHandle<u32>>>,
    start: Instant,
}

impl Nexus {
    fn at(&self, due: u64) -> Instant {
        self.start + Duration::from_nanos(due)
    }
}

impl Timers for Nexus {
    fn new(work: &Work) -> Self {
        let start = Instant::now();
        let wheel = WheelBuilder::new().unbounded(4096).build(start).expect("the usual levels");
        Self { wheel, handles: (0..work.peers).map(|_| None).collect(), start }
    }

    fn arm(&mut self, peer: u32, due: u64) {
        let handle = self.wheel.schedule(self.at(due), peer);
        self.handles[peer as usize] = Some(handle);
    }

    fn rearm(&mut self, peer: u32, due: u64) {
        let at = self.at(due);
        let slot = &mut self.handles[peer as usize];
        let handle = slot.take().expect("armed");
        *slot = Some(self.wheel.reschedule(handle, at));
    }

    fn expire(&mut self, now: u64, due: &mut Vec<u32>) {
        let at = self.at(now);
        self.wheel.poll_and_rebalance(at, due);
        for &peer in &*due {
            let handle = self.handles[peer as usize].take().expect("armed");
            self.wheel.free(handle);
        }
    }
}
