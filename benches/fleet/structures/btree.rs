//! `BTreeSet` of deadline and peer.

use std::collections::BTreeSet;

use crate::monitor::Timers;
use crate::work::Work;

pub(crate) struct Tree {
    set: BTreeSet<(u64, u32)>,
    deadlines: Vec<u64>,
}

impl Timers for Tree {
    fn new(work: &Work) -> Self {
        Self { set: BTreeSet::new(), deadlines: vec![0; work.peers as usize] }
    }

    fn arm(&mut self, peer: u32, due: u64) {
        self.deadlines[peer as usize] = due;
        self.set.insert((due, peer));
    }

    fn rearm(&mut self, peer: u32, due: u64) {
        self.set.remove(&(self.deadlines[peer as usize], peer));
        self.arm(peer, due);
    }

    fn expire(&mut self, now: u64, due: &mut Vec<u32>) {
        while self.set.first().is_some_and(|first| first.0 <= now) {
            due.extend(self.set.pop_first().map(|(_, peer)| peer));
        }
    }
}
