//! The limit that memory sets: of each ping and each pong one independent store to a record of as
//! many bytes as the fleet's, in a random order, and nothing else.

use crate::structure::{Out, Structure};
use crate::work::{Mode, Work, shuffle};

pub(crate) struct Stores<const WORDS: usize> {
    records: Vec<[u64; WORDS]>,
    /// In which the peers are pinged.
    order: Vec<u32>,
    work: Work,
    now: u64,
    interval: u128,
}

impl<const WORDS: usize> Structure for Stores<WORDS> {
    type Key = u32;
    type Ping = u32;
    type Pong = u32;

    fn new(work: &Work) -> (Self, Vec<u32>) {
        let mut order: Vec<u32> = (0..work.peers).collect();
        shuffle(&mut order, 7);
        // Not zero, so that the pages are there.
        let records = vec![[1; WORDS]; work.peers as usize];
        let interval = work.mean_interval().into();
        (Self { records, order, work: *work, now: 0, interval }, (0..work.peers).collect())
    }

    fn pong(ping: u32) -> u32 {
        ping
    }

    fn beat(key: u32, _now: u64) -> u32 {
        key
    }

    fn hear(&mut self, pongs: &[u32], now: u64) {
        for &peer in pongs {
            self.records[peer as usize][0] = now;
        }
    }

    fn step(&mut self, now: u64, out: &mut Out<u32>) {
        let from = std::mem::replace(&mut self.now, now);
        if self.work.mode == Mode::Passive {
            return;
        }
        let peers = u64::from(self.work.peers);
        let turn = |time: u64| (u128::from(time) * u128::from(peers) / self.interval) as u64;
        for at in turn(from)..turn(now) {
            let peer = self.order[(at % peers) as usize];
            self.records[peer as usize][1] = now;
            out.pings.push(peer);
        }
    }
}
