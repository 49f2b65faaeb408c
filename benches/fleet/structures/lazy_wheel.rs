//! A lower bound for any intervals: sixteen bytes a peer and a lazy wheel, by hand. A pong writes
//! the record and no timer; an entry is looked at when its slot comes, and filed again if it is
//! early.

use std::hint::black_box;

use crate::structure::{Out, Structure};
use crate::work::{Mode, STEP, Work};

/// Records that are read before the first is handled, so that their misses overlap.
const BATCH: usize = 32;

#[derive(Clone, Copy)]
struct Record {
    /// In steps: when to look at it.
    due: u32,
    /// In 1/256 steps: the next ping.
    plan: u32,
    /// In steps: the newest ping, or beat.
    last: u32,
    /// In 1/8 steps.
    srtt: u16,
    awaits_pong: bool,
}

pub(crate) struct LazyWheel {
    records: Vec<Record>,
    buckets: Vec<Vec<u32>>,
    /// Of the bucket at hand, so that its room is used again.
    spare: Vec<u32>,
    hand: u32,
    work: Work,
}

fn steps(nanos: u64) -> u32 {
    nanos.div_ceil(STEP) as u32
}

/// A 1/256 of a step.
const PART: u64 = STEP / 256;

impl LazyWheel {
    fn file(&mut self, peer: u32, due: u32) {
        let bucket = due as usize & (self.buckets.len() - 1);
        self.buckets[bucket].push(peer);
    }

    fn touch(&self, peers: &[u32]) {
        black_box(peers.iter().fold(0, |sum, &peer| sum ^ self.records[peer as usize].due));
    }

    fn meet(&mut self, peer: u32, now: u32, out: &mut Out<(u32, u32)>) {
        let record = &mut self.records[peer as usize];
        if record.due <= now {
            if record.awaits_pong || self.work.mode == Mode::Passive {
                out.verdicts += 1;
            } else {
                let plan = u64::from(record.plan) * PART;
                record.plan += (self.work.next_interval(peer, plan) / PART) as u32;
                record.awaits_pong = true;
            }
            let wait = if self.work.mode == Mode::Passive {
                self.work.timeout
            } else {
                out.pings.push((peer, now));
                self.work.window
            };
            record.last = now;
            record.due = now + steps(wait);
        }
        let due = record.due;
        self.file(peer, due);
    }
}

impl Structure for LazyWheel {
    type Key = u32;
    type Ping = (u32, u32);
    type Pong = (u32, u32);

    fn new(work: &Work) -> (Self, Vec<u32>) {
        let record = |peer| {
            let first = work.first(peer);
            let (due, plan) = (steps(first), (first / PART) as u32);
            Record { due, plan, last: 0, srtt: 0, awaits_pong: false }
        };
        let longest = work.timeout.max(work.interval * 2);
        let mut wheel = Self {
            records: (0..work.peers).map(record).collect(),
            buckets: vec![Vec::new(); (steps(longest) as usize + 2).next_power_of_two()],
            spare: Vec::new(),
            hand: 0,
            work: *work,
        };
        for peer in 0..work.peers {
            wheel.file(peer, wheel.records[peer as usize].due);
        }
        (wheel, (0..work.peers).collect())
    }

    fn pong(ping: (u32, u32)) -> (u32, u32) {
        ping
    }

    fn beat(key: u32, _now: u64) -> (u32, u32) {
        (key, 0)
    }

    fn hear(&mut self, pongs: &[(u32, u32)], now: u64) {
        let now = (now / STEP) as u32;
        let timeout = steps(self.work.timeout);
        for batch in pongs.chunks(BATCH) {
            let touched = batch.iter().fold(0, |sum, pong| sum ^ self.records[pong.0 as usize].due);
            black_box(touched);
            for &(peer, sent) in batch {
                let record = &mut self.records[peer as usize];
                if self.work.mode == Mode::Passive {
                    record.last = now;
                    record.due = now + timeout;
                } else if record.last == sent {
                    record.srtt = record.srtt - record.srtt / 8 + (now - sent) as u16;
                    record.awaits_pong = false;
                    record.due = record.plan.div_ceil(256).max(now);
                }
            }
        }
    }

    fn step(&mut self, now: u64, out: &mut Out<(u32, u32)>) {
        let end = (now / STEP) as u32;
        while self.hand < end {
            self.hand += 1;
            let bucket = self.hand as usize & (self.buckets.len() - 1);
            let mut peers = std::mem::take(&mut self.spare);
            std::mem::swap(&mut peers, &mut self.buckets[bucket]);
            for batch in peers.chunks(BATCH) {
                self.touch(batch);
                for &peer in batch {
                    self.meet(peer, self.hand, out);
                }
            }
            peers.clear();
            self.spare = peers;
        }
    }
}
