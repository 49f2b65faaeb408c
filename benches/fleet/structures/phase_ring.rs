//! A lower bound for one interval without jitter: eight bytes a peer, in the order in which they
//! are due. A step pings a slice and checks the slice that was pinged a window ago; nothing is ever
//! filed. Passive: everything is swept once a second, so that a verdict is up to a second late.

use crate::structure::{Out, Structure};
use crate::work::{Mode, STEP, Work};

#[derive(Clone, Copy)]
struct Record {
    /// In steps.
    last_pong: u32,
    /// In 1/8 steps.
    srtt: u16,
    var: u16,
}

pub(crate) struct PhaseRing {
    records: Vec<Record>,
    work: Work,
    now: u64,
}

const SECOND: u64 = 1_000_000_000;

impl PhaseRing {
    /// The peers whose turn, every `period`, was after `from` and up to `to`.
    fn slices(&self, from: u64, to: u64, period: u64) -> [std::ops::Range<usize>; 2] {
        let peers = u128::from(self.work.peers);
        let at = |time: u64| (u128::from(time % period) * peers / u128::from(period)) as usize;
        let (from, to, end) = (at(from), at(to), self.records.len());
        if from <= to { [from..to, 0..0] } else { [from..end, 0..to] }
    }

    fn sweep(&self, from: u64, now: u64) -> u64 {
        let oldest = (now.saturating_sub(self.work.timeout) / STEP) as u32;
        let silent = |record: &&Record| record.last_pong < oldest;
        let slices = self.slices(from, now, SECOND);
        slices
            .into_iter()
            .map(|slice| self.records[slice].iter().filter(silent).count() as u64)
            .sum()
    }
}

impl Structure for PhaseRing {
    type Key = u32;
    type Ping = (u32, u32);
    type Pong = (u32, u32);

    fn new(work: &Work) -> (Self, Vec<u32>) {
        let record = Record { last_pong: 0, srtt: 0, var: 0 };
        let ring = Self { records: vec![record; work.peers as usize], work: *work, now: 0 };
        (ring, (0..work.peers).collect())
    }

    fn pong(ping: (u32, u32)) -> (u32, u32) {
        ping
    }

    fn beat(key: u32, _now: u64) -> (u32, u32) {
        (key, 0)
    }

    fn hear(&mut self, pongs: &[(u32, u32)], now: u64) {
        let now = (now / STEP) as u32;
        for &(peer, sent) in pongs {
            let record = &mut self.records[peer as usize];
            record.last_pong = now;
            if self.work.mode != Mode::Passive {
                let rtt = (now - sent) as u16;
                record.var = record.var - record.var / 4 + rtt.abs_diff(record.srtt / 8);
                record.srtt = record.srtt - record.srtt / 8 + rtt;
            }
        }
    }

    fn step(&mut self, now: u64, out: &mut Out<(u32, u32)>) {
        let from = std::mem::replace(&mut self.now, now);
        if self.work.mode == Mode::Passive {
            out.verdicts += self.sweep(from, now);
            return;
        }
        let (interval, step) = (self.work.interval, (now / STEP) as u32);
        for slice in self.slices(from, now, interval) {
            out.pings.extend(slice.map(|peer| (peer as u32, step)));
        }
        let window = self.work.window.div_ceil(STEP) * STEP;
        if from < window {
            return;
        }
        let pinged = ((now - window) / STEP) as u32;
        for slice in self.slices(from - window, now - window, interval) {
            for (peer, record) in slice.clone().zip(&self.records[slice]) {
                if record.last_pong < pinged {
                    out.verdicts += 1;
                    out.pings.push((peer as u32, step));
                }
            }
        }
    }
}
