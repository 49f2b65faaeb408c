//! `k` of the last `n` probes unanswered: judges probes, not arrivals, so it has no deadline and is
//! evaluated on its own (DETECTORS section 4).

#![expect(clippy::cast_precision_loss, reason = "spans of years in floats are good to 10 ns")]

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::tally::Tally;
use super::trace::Link;

/// How long a probe waits for its answer beyond the median round trip, in periods.
const WINDOWS: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

/// `k` and `n`.
const RULES: [(usize, usize); 18] = [
    (1, 1),
    (2, 2),
    (2, 3),
    (3, 3),
    (3, 4),
    (3, 5),
    (4, 5),
    (5, 5),
    (5, 8),
    (8, 8),
    (8, 10),
    (10, 10),
    (16, 16),
    (20, 25),
    (32, 32),
    (64, 64),
    (100, 100),
    (200, 200),
];

/// How many settings there are.
pub(super) const SETTINGS: u32 = (WINDOWS.len() * RULES.len()) as u32;

fn setting(parameter: f64) -> (f64, usize, usize) {
    let index = (parameter.clamp(0.0, f64::from(SETTINGS - 1))) as usize;
    let (k, n) = RULES[index % RULES.len()];
    (WINDOWS[index / RULES.len()], k, n)
}

/// `3/5@0.5`
pub(super) fn label(parameter: f64) -> String {
    let (window, k, n) = setting(parameter);
    alloc::format!("{k}/{n}@{window:?}")
}

/// Counts the link: a probe is lost if its answer comes later than its window or not at all; the
/// detector suspects at the end of a window with which `k` of the last `n` are lost. After a crash
/// the probes to come are lost one by one. (RY5)
pub(super) fn add(tally: &mut Tally, parameter: f64, link: &Link) {
    let (window, k, n) = setting(parameter);
    let period = link.period as f64;
    let window = window * period + median(link);
    let sent = sendings(link);
    let probes = sent.len();
    if probes < link.warm + 20 {
        return;
    }
    let mut lost = vec![true; probes];
    for arrival in &link.arrivals {
        lost[arrival.seq as usize] = arrival.at as f64 > sent[arrival.seq as usize] + window;
    }
    // How many of the probes before each are lost.
    let mut before = vec![0_usize; probes + 1];
    for (i, &lost) in lost.iter().enumerate() {
        before[i + 1] = before[i] + usize::from(lost);
    }
    let suspects = |i: usize| before[i + 1] - before[(i + 1).saturating_sub(n)] >= k;
    let (mut mistakes, mut suspected) = (0, 0.0);
    for i in link.warm..probes - 1 {
        let gap = sent[i + 1] - sent[i];
        mistakes += u64::from(suspects(i + 1) && !suspects(i));
        suspected += if suspects(i) { gap.max(0.0) } else { 0.0 };
        // With `more` further losses the last `n` reach back to probe `i + more + 1 - n`.
        let convicts = |more: &usize| {
            let from = (i + more + 1).saturating_sub(n).min(i + 1);
            before[i + 1] - before[from] + more >= k
        };
        let more = (1..=k).find(convicts).unwrap_or(k);
        tally.add_probe(more as f64 * period + window, gap.max(1e-3));
    }
    tally.add_time(mistakes, suspected, sent[probes - 1] - sent[link.warm]);
}

/// When each probe was sent; those that were lost are taken between their neighbours.
fn sendings(link: &Link) -> Vec<f64> {
    let mut sent = Vec::new();
    for arrival in &link.arrivals {
        let (from, to) = (sent.len(), arrival.seq as usize);
        let end = arrival.sent as f64;
        let start = sent.last().copied().unwrap_or(end);
        let steps = (to + 1 - from) as f64;
        sent.extend((from..to).map(|i| start + (end - start) * ((i + 1 - from) as f64 / steps)));
        sent.push(end);
    }
    sent
}

fn median(link: &Link) -> f64 {
    let mut delays: Vec<_> = link.arrivals.iter().map(|beat| beat.at - beat.sent).collect();
    delays.sort_unstable();
    let middle = delays.len() / 2;
    let upper = delays[middle] as f64;
    if delays.len() % 2 == 1 { upper } else { f64::midpoint(delays[middle - 1] as f64, upper) }
}
