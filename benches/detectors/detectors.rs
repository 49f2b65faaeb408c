//! What one beat costs a detector: learning from it, and the deadline after it; beside two other
//! crates, in the same run. Medians of rounds, in nanoseconds.
//!
//! `chitchat` 0.13 keeps its detector private: `lib.rs` has `mod failure_detector` and exports only
//! `FailureDetectorConfig`, and nothing public hears a heartbeat but a whole node that gossips. So
//! `SamplingWindow` and `BoundedArrayStats` of its `src/failure_detector.rs` are restated here
//! (`report_heartbeat`, `phi`; window 1000, prior 5 s of weight 5), with one map entry a node. In its
//! favour, a name serves as the key, which is not cloned at each report as its `ChitchatId` is; the
//! clock is given, not read twice a beat; nothing is traced.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::cell::Cell;
use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use heartbeat_proto::Timestamp;
use heartbeat_proto::detector::{
    Chen, Compact, Detector, Evidence, Hazard, PhiNormal, Sign, Trust,
};
use phi_accrual_failure_detector::{
    Clock, DefaultClock, Detector as _, FailureDetector, UnsyncState,
};

const PERIOD: u64 = 100_000_000;
const BEATS: usize = 20_000;
const ROUNDS: usize = 41;

/// When beats arrive: jitter of up to 20 ms, one in 200 lost.
fn arrivals() -> Vec<(u64, u64)> {
    let mut seed = 7_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seed >> 33
    };
    let beats =
        (1..=BEATS as u64).map(|i| (i * PERIOD, i * PERIOD + 10_000_000 + random() % 20_000_000));
    beats.filter(|(_, at)| at % 200 != 7).collect()
}

fn measure(name: &str, mut round: impl FnMut() -> usize) {
    let mut costs: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let beats = round();
            start.elapsed().as_nanos() as f64 / beats as f64
        })
        .collect();
    costs.sort_by(f64::total_cmp);
    println!("{name:45} {:6.1} {:6.1} {:6.1}", costs[0], costs[ROUNDS / 2], costs[ROUNDS - 1]);
}

fn ours<D: Detector>(name: &str, detector: D, beats: &[(u64, u64)]) {
    let name = format!("{name} ({} B)", size_of::<D::State>());
    measure(&name, || {
        let (mut state, mut since) = (D::State::default(), 0);
        for &(sent, at) in beats {
            let mut evidence = Evidence::new(Sign::Beat, Timestamp::from_nanos(at), PERIOD);
            evidence.silence_nanos = at - since;
            evidence.stamp = Some(Timestamp::from_nanos(sent));
            since = at;
            detector.learn(&mut state, black_box(&evidence));
            let trust = Trust::new(Timestamp::from_nanos(at), PERIOD, 4 * PERIOD);
            black_box(detector.deadline(&state, &trust));
        }
        beats.len()
    });
}

struct Window {
    values: Vec<f64>,
    next: usize,
    filled: bool,
    sum: f64,
    last: Option<u64>,
}

impl Window {
    fn report(&mut self, now: u64) {
        if let Some(last) = self.last {
            let interval = Duration::from_nanos(now - last);
            if interval <= Duration::from_secs(10) {
                let interval = interval.as_secs_f64();
                if self.filled {
                    self.sum -= self.values[self.next];
                }
                self.values[self.next] = interval;
                self.sum += interval;
                if self.next == self.values.len() - 1 {
                    self.filled = true;
                    self.next = 0;
                } else {
                    self.next += 1;
                }
            }
        }
        self.last = Some(now);
    }

    fn phi(&self, now: u64) -> Option<f64> {
        let elapsed = Duration::from_nanos(now - self.last?).as_secs_f64();
        let len = if self.filled { self.values.len() } else { self.next };
        let mean = (self.sum + 5.0 * 5.0) / (len as f64 + 5.0);
        Some(elapsed / mean)
    }
}

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// A clock that is set.
struct Told;

impl Clock for Told {
    type Timestamp = u64;

    fn timestamp(&self) -> u64 {
        NOW.get()
    }

    fn elapsed(earlier: &u64, later: &u64) -> Duration {
        Duration::from_nanos(later - earlier)
    }
}

fn phi_accrual(beats: &[(u64, u64)]) {
    measure("phi-accrual-failure-detector 0.1: beat, phi", || {
        let detector = FailureDetector::<UnsyncState<DefaultClock>>::builder()
            .clock(Told)
            .build()
            .expect("valid");
        for &(_, at) in beats {
            NOW.set(black_box(at));
            detector.heartbeat();
            NOW.set(at + 1_000_000);
            black_box(detector.phi());
        }
        beats.len()
    });
}

fn main() {
    let beats = arrivals();
    println!("{:45} {:>6} {:>6} {:>6}", "ns a beat", "least", "median", "most");
    ours("Hazard: learn, deadline", Hazard::default(), &beats);
    ours("Compact: learn, deadline", Compact::default(), &beats);
    ours("Chen by stamp: learn, deadline", Chen::by_stamp(1.0).expect("in range"), &beats);
    ours("PhiNormal: learn, deadline", PhiNormal::new(8.0).expect("in range"), &beats);
    measure("chitchat 0.13, restated: report, phi (8 kB)", || {
        let mut nodes: HashMap<String, Window> = HashMap::new();
        let values = vec![0.0; 1000];
        let new = Window { values, next: 0, filled: false, sum: 0.0, last: None };
        nodes.insert("node-1".to_owned(), new);
        for &(_, at) in &beats {
            let window = nodes.get_mut(black_box("node-1")).expect("known");
            window.report(black_box(at));
            black_box(window.phi(at + 1_000_000));
        }
        beats.len()
    });
    phi_accrual(&beats);
}
