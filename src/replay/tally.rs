//! [`Tally`]: what a sequence of deadlines is worth on a link, by the definitions of Chen, Toueg and
//! Aguilera ("On the Quality of Service of Failure Detectors", IEEE TC 51(5), 2002).

#![expect(clippy::cast_precision_loss, reason = "spans of years in floats are good to 10 ns")]

use alloc::vec::Vec;

use super::trace::{Arrival, Link};

/// Adds up mistakes, times of suspicion and detection times, over all links of a trace. (RY3, RY4)
#[derive(Clone, Debug, Default)]
pub struct Tally {
    mistakes: u64,
    /// Wrongly suspected, and looked at, in nanoseconds.
    suspected: f64,
    observed: f64,
    /// Integral of the detection time over the crash, and the length of the time of crashes.
    area: f64,
    length: f64,
    worst: f64,
    /// Detection times with their weights, for the quantile; where it is wanted.
    samples: Option<Vec<(f64, f64)>>,
}

/// The detection time is sampled at four crashes between two beats, of up to so many beats.
const SAMPLED: usize = 4000;

impl Tally {
    /// Without the quantile of the detection time, which costs the most.
    pub fn new() -> Self {
        Self::default()
    }

    /// With it.
    pub fn with_quantile() -> Self {
        Self { samples: Some(Vec::new()), ..Self::default() }
    }

    /// Counts `deadlines`: for each arrival of the link, until when it is trusted.
    ///
    /// * A mistake is a change from trust to suspicion of a live peer; the time of suspicion runs to
    ///   the next arrival that renews trust, however short.
    /// * If beat `i` is the last one before a crash, the suspicion that never ends begins at its
    ///   deadline; or at its arrival, if it restores no trust; or before, if it was suspected then.
    /// * A crash falls at any moment between two effective beats were sent with equal chance; the
    ///   detection time is 0 if it is suspected already.
    pub fn add(&mut self, link: &Link, deadlines: &[u64]) {
        let mut suspected_before = false;
        // When the suspicion that is not interrupted began.
        let mut begun: u64 = 0;
        let judged = link.arrivals.len().saturating_sub(1 + link.warm);
        let step = (judged / SAMPLED).max(1);
        for (i, (pair, &deadline)) in link.arrivals.windows(2).zip(deadlines).enumerate() {
            let [arrival, next] = [pair[0], pair[1]];
            let suspected = deadline < next.at;
            let stays = deadline <= arrival.at && suspected_before;
            if !stays {
                begun = deadline.max(arrival.at);
            }
            suspected_before = suspected;
            let Some(judged) = i.checked_sub(link.warm) else { continue };
            self.mistakes += u64::from(suspected && !stays);
            if suspected {
                self.suspected += (next.at - deadline.max(arrival.at)) as f64;
            }
            self.crash_between(arrival, next, begun, judged % step == 0);
        }
        if let (Some(first), Some(last)) = (link.arrivals.get(link.warm), link.arrivals.last()) {
            self.observed += (last.at - first.at) as f64;
        }
    }

    fn crash_between(&mut self, arrival: Arrival, next: Arrival, begun: u64, sampled: bool) {
        let gap = (next.sent - arrival.sent) as f64;
        let found = begun as f64 - arrival.sent as f64;
        self.add_crash(found, gap);
        if let (Some(samples), true) = (&mut self.samples, sampled) {
            sample(samples, found, gap);
        }
    }

    /// Crashes at any moment within `gap`, each detected at `found` from its begin.
    fn add_crash(&mut self, found: f64, gap: f64) {
        let found = found.max(0.0);
        self.area += if found >= gap { found * gap - gap * gap / 2.0 } else { found * found / 2.0 };
        self.length += gap;
        self.worst = self.worst.max(found);
    }

    /// The same for detectors that judge probes, where the time is never cut off.
    pub(crate) fn add_probe(&mut self, found: f64, gap: f64) {
        self.area += found * gap - gap * gap / 2.0;
        self.length += gap;
        self.worst = self.worst.max(found);
        if let Some(samples) = &mut self.samples {
            sample(samples, found, gap);
        }
    }

    pub(crate) fn add_time(&mut self, mistakes: u64, suspected: f64, observed: f64) {
        self.mistakes += mistakes;
        self.suspected += suspected;
        self.observed += observed;
    }

    /// What it comes to; `None` if nothing was judged.
    pub fn outcome(mut self) -> Option<Outcome> {
        if self.length <= 0.0 || self.observed <= 0.0 {
            return None;
        }
        Some(Outcome {
            mean: self.area / self.length,
            p99: self.samples.take().and_then(quantile),
            worst: self.worst,
            mistakes: self.mistakes,
            suspected: self.suspected,
            observed: self.observed,
        })
    }
}

fn sample(samples: &mut Vec<(f64, f64)>, found: f64, gap: f64) {
    let crashes = [0.125, 0.375, 0.625, 0.875];
    samples.extend(crashes.map(|at| ((found - at * gap).max(0.0), gap)));
}

/// The least detection time that 99 of 100 crashes (by weight) do not exceed.
fn quantile(mut samples: Vec<(f64, f64)>) -> Option<f64> {
    samples.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let limit = 0.99 * samples.iter().map(|(_, weight)| weight).sum::<f64>();
    let mut sum = 0.0;
    let above = samples.iter().find(|(_, weight)| {
        sum += weight;
        sum >= limit
    });
    above.or(samples.last()).map(|(time, _)| *time)
}

/// How good a detector with one parameter is on a trace. Spans are nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The mean detection time, `T_D`: from the crash to the suspicion that never ends, the delay
    /// of the network included.
    pub mean: f64,
    /// 99 of 100 crashes are detected within this time; `None` if nobody asked.
    pub p99: Option<f64>,
    /// The longest detection time.
    pub worst: f64,
    /// How often a live peer was suspected.
    pub mistakes: u64,
    /// For how long, in all.
    pub suspected: f64,
    /// How long was looked at.
    pub observed: f64,
}

impl Outcome {
    /// Mistakes an hour, `lambda_M`.
    pub fn rate(&self) -> f64 {
        self.mistakes as f64 / (self.observed / 3.6e12)
    }

    /// The mean duration of a mistake, `T_M`; zero if there was none.
    pub fn mean_mistake(&self) -> f64 {
        if self.mistakes == 0 { 0.0 } else { self.suspected / self.mistakes as f64 }
    }

    /// The share of time in which a live peer is trusted, `P_A`.
    pub fn accuracy(&self) -> f64 {
        1.0 - self.inaccuracy()
    }

    /// `1 - P_A`, without the loss of digits.
    pub fn inaccuracy(&self) -> f64 {
        self.suspected / self.observed
    }
}
