//! `BinaryHeap`, in the two ways in which it can do without moving entries.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::monitor::Timers;
use crate::work::Work;

/// `LAZY`: each move pushes another entry, and old ones are dropped when they are met. Else a later
/// deadline is only noted; an entry that is met too early is pushed again.
pub(crate) struct Heap<const LAZY: bool> {
    heap: BinaryHeap<Reverse<(u64, u32)>>,
    deadlines: Vec<u64>,
}

const NONE: u64 = u64::MAX;

impl<const LAZY: bool> Timers for Heap<LAZY> {
    fn new(work: &Work) -> Self {
        Self { heap: BinaryHeap::new(), deadlines: vec![NONE; work.peers as usize] }
    }

    fn arm(&mut self, peer: u32, due: u64) {
        self.deadlines[peer as usize] = due;
        self.heap.push(Reverse((due, peer)));
    }

    fn rearm(&mut self, peer: u32, due: u64) {
        let before = std::mem::replace(&mut self.deadlines[peer as usize], due);
        if LAZY || due < before {
            self.heap.push(Reverse((due, peer)));
        }
    }

    fn expire(&mut self, now: u64, due: &mut Vec<u32>) {
        while let Some(&Reverse((entry, peer))) = self.heap.peek() {
            if entry > now {
                return;
            }
            self.heap.pop();
            let deadline = &mut self.deadlines[peer as usize];
            if *deadline <= now {
                *deadline = NONE;
                due.push(peer);
            } else if !LAZY && *deadline != NONE {
                self.heap.push(Reverse((*deadline, peer)));
            }
        }
    }
}
