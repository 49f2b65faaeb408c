//! [`drive`]: one run of one structure. Time is simulated, step by step; the pongs come from the
//! pings that the structure sends, by the number of the ping, so that all are told as much.

use std::alloc::System;
use std::fmt;
use std::hint::black_box;
use std::str::FromStr;

use anyhow::Context;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use crate::stopwatch::Stopwatch;
use crate::structure::{Out, Structure};
use crate::work::{Mode, STEP, Work, shuffle};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

pub(crate) struct Plan {
    pub(crate) work: Work,
    /// So much is read before each measured step, to evict everything else; 0: nothing.
    pub(crate) evict_mib: usize,
    /// Steps before those that are measured.
    pub(crate) skip: u64,
    pub(crate) steps: u64,
}

/// What one run came to, over its measured steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) steps: u64,
    pub(crate) pings: u64,
    /// Or beats.
    pub(crate) pongs: u64,
    pub(crate) verdicts: u64,
    pub(crate) pong_nanos: u64,
    pub(crate) step_nanos: u64,
    pub(crate) worst_nanos: u64,
    /// Bytes of the heap that the structure holds at the end.
    pub(crate) heap: u64,
    /// By how much it has made the process grow.
    pub(crate) resident: u64,
}

pub(crate) fn drive<S: Structure>(plan: &Plan) -> Figures {
    drive_made(plan, S::new)
}

/// The structure may be made beforehand; then its memory is not measured, nor if other threads
/// allocate.
pub(crate) fn drive_made<S: Structure>(
    plan: &Plan,
    make: impl FnOnce(&Work) -> (S, Vec<S::Key>),
) -> Figures {
    let evict = vec![1_u64; plan.evict_mib << 17];
    let (heap_before, resident_before) = (live_heap(), resident());
    let (mut structure, keys) = make(&plan.work);
    let mut network = Network::<S>::new(plan.work, keys);
    let mut out = Out { pings: Vec::new(), verdicts: 0 };
    let watch = Stopwatch::new();
    let mut figures = Figures { steps: plan.steps, ..Figures::default() };
    for step in 1..=plan.skip + plan.steps {
        let now = step * STEP;
        let pongs = network.pongs(step);
        let measured = step > plan.skip;
        if measured {
            black_box(evict.iter().step_by(8).sum::<u64>());
        }
        let [hear, advance] =
            watch.time(&mut structure, |it| it.hear(&pongs, now), |it| it.step(now, &mut out));
        if measured {
            figures.pings += out.pings.len() as u64;
            figures.pongs += pongs.len() as u64;
            figures.verdicts += out.verdicts;
            figures.pong_nanos += hear;
            figures.step_nanos += advance;
            figures.worst_nanos = figures.worst_nanos.max(hear + advance);
        }
        out.verdicts = 0;
        network.send(step, pongs, &mut out.pings);
    }
    let (heap_full, resident_full) = (live_heap(), resident());
    drop(structure);
    figures.heap = heap_full.saturating_sub(live_heap());
    let drivers = live_heap().saturating_sub(heap_before);
    figures.resident = resident_full.saturating_sub(resident_before + drivers);
    figures
}

/// The way there and back.
struct Network<S: Structure> {
    work: Work,
    /// The pongs of each of the next steps.
    ahead: [Vec<S::Pong>; 32],
    pings: u64,
    /// Passive: the peers in the order of their beats, and how many have beaten.
    keys: Vec<S::Key>,
    beats: u64,
}

impl<S: Structure> Network<S> {
    fn new(work: Work, keys: Vec<S::Key>) -> Self {
        let keys = if work.mode == Mode::Passive { keys } else { Vec::new() };
        Self { work, ahead: std::array::from_fn(|_| Vec::new()), pings: 0, keys, beats: 0 }
    }

    /// What comes in at this step, in a random order.
    fn pongs(&mut self, step: u64) -> Vec<S::Pong> {
        let mut pongs = std::mem::take(&mut self.ahead[step as usize % 32]);
        if self.work.mode == Mode::Passive {
            self.beat(step * STEP, &mut pongs);
        } else {
            shuffle(&mut pongs, step);
        }
        pongs
    }

    fn beat(&mut self, now: u64, pongs: &mut Vec<S::Pong>) {
        let peers = self.keys.len() as u64;
        let beats = u128::from(now) * u128::from(peers) / u128::from(self.work.interval);
        while u128::from(self.beats) < beats {
            if self.beats.is_multiple_of(peers) {
                shuffle(&mut self.keys, self.beats);
            }
            pongs.push(S::beat(self.keys[(self.beats % peers) as usize], now));
            self.beats += 1;
        }
    }

    /// Sends pings, and takes the room of the last pongs back.
    fn send(&mut self, step: u64, mut room: Vec<S::Pong>, pings: &mut Vec<S::Ping>) {
        room.clear();
        self.ahead[step as usize % 32] = room;
        for ping in pings.drain(..) {
            self.pings += 1;
            if let Some(later) = self.work.answer(self.pings) {
                self.ahead[(step as usize + later) % 32].push(S::pong(ping));
            }
        }
    }
}

pub(crate) fn live_heap() -> u64 {
    let stats = HEAP.stats();
    // Bytes that reallocation added or gave back are in the first two already.
    (stats.bytes_allocated - stats.bytes_deallocated) as u64
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE
}

/// The pages of every x86-64 machine, and of most others.
const PAGE: u64 = 4096;

impl Figures {
    fn fields(&self) -> [u64; 9] {
        [
            self.steps,
            self.pings,
            self.pongs,
            self.verdicts,
            self.pong_nanos,
            self.step_nanos,
            self.worst_nanos,
            self.heap,
            self.resident,
        ]
    }
}

/// From one process to another.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields().iter().try_for_each(|field| write!(f, "{field} "))
    }
}

impl FromStr for Figures {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let fields: Result<Vec<u64>, _> = line.split_whitespace().map(str::parse).collect();
        let fields: [u64; 9] =
            fields?.try_into().ok().with_context(|| format!("not nine numbers: {line:?}"))?;
        let [steps, pings, pongs, verdicts, pong_nanos, step_nanos, worst_nanos, heap, resident] =
            fields;
        Ok(Self {
            steps,
            pings,
            pongs,
            verdicts,
            pong_nanos,
            step_nanos,
            worst_nanos,
            heap,
            resident,
        })
    }
}
