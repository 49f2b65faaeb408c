//! [`Stopwatch`]: what a thread's work cost.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use anyhow::Result;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::time::ClockId;

/// Adds up what this thread does between the beginning and the end of its turns. Outside of them it
/// must wait and do nothing, since how its time divides between kernel and user space is known for
/// the thread as a whole only.
pub(crate) struct Stopwatch {
    packets: u64,
    /// Nanoseconds for a packet, by turn.
    processor: Vec<f64>,
    wall: Duration,
}

impl Stopwatch {
    pub(crate) fn new() -> Self {
        Self { packets: 0, processor: Vec::new(), wall: Duration::ZERO }
    }

    pub(crate) fn time(&mut self, work: impl FnOnce() -> Result<u64>) -> Result<u64> {
        let (start, before) = (Instant::now(), thread_nanos());
        let packets = work()?;
        let processor = thread_nanos() - before;
        self.wall += start.elapsed();
        if packets > 0 {
            self.processor.push(processor as f64 / packets as f64);
        }
        self.packets += packets;
        Ok(packets)
    }

    pub(crate) fn cost(&self) -> Cost {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("a thread has a usage");
        let micros = |time: nix::sys::time::TimeVal| time.num_microseconds() as f64;
        let (user, system) = (micros(usage.user_time()), micros(usage.system_time()));
        let wall = self.wall.as_nanos() as f64;
        let mut processor = self.processor.clone();
        processor.sort_unstable_by(f64::total_cmp);
        let processor = processor.get(processor.len() / 2).copied().unwrap_or(f64::NAN);
        Cost { packets: self.packets, processor, wall, user: user / (user + system).max(1.0) }
    }
}

fn thread_nanos() -> u64 {
    let time = ClockId::CLOCK_THREAD_CPUTIME_ID.now().expect("a thread has a clock");
    time.num_nanoseconds() as u64
}

/// Of so many packets, in nanoseconds.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    packets: u64,
    /// For one, in the median turn: what others did to the caches in some turns is not in it.
    processor: f64,
    wall: f64,
    /// The share of user space.
    user: f64,
}

/// Each for one packet.
impl Cost {
    pub(crate) fn nanos(&self) -> f64 {
        self.processor
    }

    pub(crate) fn user(&self) -> f64 {
        self.nanos() * self.user
    }

    pub(crate) fn system(&self) -> f64 {
        self.nanos() * (1.0 - self.user)
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, user, system) = (self.nanos(), self.user(), self.system());
        let wall = self.wall / self.packets as f64;
        write!(f, "{:9} {all:6.0} {user:8.1} {system:8.1} {wall:8.0}", self.packets)
    }
}
