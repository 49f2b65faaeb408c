//! What this machine itself was late, so that no bound is a guess about how busy it is.
//!
//! A verdict may come later than promised by: the lateness that the machine under test measured
//! and tells; the time that the observing thread was ready to run and did not (the scheduler's own
//! count); the time that the hypervisor took; and the worst that a thread which sleeps for a few
//! milliseconds at a time was woken late meanwhile, since relay and peer are threads, too. And by
//! [`GRAIN`], which is what timers and counters cannot tell.

use core::time::Duration;
use std::collections::VecDeque;
use std::fs;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

/// Timer wheels turn once a millisecond, stolen time is counted by hundredths of a second.
pub(crate) const GRAIN: Duration = Duration::from_millis(50);

#[expect(clippy::disallowed_methods, reason = "these tests are about real time")]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// When a sleeper was woken, and how much too late.
static SLEEPER: Mutex<VecDeque<(Instant, Duration)>> = Mutex::new(VecDeque::new());

/// A nap, and what is remembered of the naps: some minutes.
const NAP: Duration = ms(5);
const REMEMBERED: usize = 100_000;

/// Starts the sleeper.
pub(crate) fn start() {
    thread::spawn(|| {
        loop {
            let begun = clock();
            thread::sleep(NAP);
            let woken = clock();
            let mut naps = SLEEPER.lock().expect("no panic");
            naps.push_back((woken, (woken - begun).saturating_sub(NAP)));
            if naps.len() > REMEMBERED {
                naps.pop_front();
            }
        }
    });
}

/// A span of time on one thread, and what disturbed it.
pub(crate) struct Watch {
    begun: Instant,
    waited: Duration,
    stolen: Duration,
}

impl Watch {
    pub(crate) fn begin() -> Self {
        Self { begun: clock(), waited: waited(), stolen: stolen() }
    }

    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// The worst that a sleeper was woken late.
    pub(crate) fn worst_nap(&self) -> Duration {
        let naps = SLEEPER.lock().expect("no panic");
        let since = naps.iter().rev().take_while(|(woken, _)| *woken >= self.begun);
        since.map(|(_, late)| *late).max().unwrap_or_default()
    }

    /// By how much all that was waited for may have been late, without anybody's fault.
    pub(crate) fn disturbance(&self) -> Duration {
        let waited = waited().saturating_sub(self.waited);
        waited + stolen().saturating_sub(self.stolen) + self.worst_nap()
    }
}

/// How long this thread was ready to run, and did not, since it began. (Linux; zero elsewhere.)
fn waited() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().nth(1).and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

/// How much time the hypervisor took from all processors together. (Linux; zero elsewhere.)
fn stolen() -> Duration {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks = text.split_whitespace().nth(8).and_then(|ticks| ticks.parse::<u64>().ok());
    ms(10) * u32::try_from(ticks.unwrap_or_default()).unwrap_or(u32::MAX)
}
