//! Links: when beats are sent and when they arrive.

use crate::common::Rng;
use crate::run::MS;

pub(crate) const PERIOD: u64 = 100 * MS;

/// One beat, with its number; in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    pub(crate) number: u32,
    pub(crate) sent: u64,
    pub(crate) at: u64,
}

/// So many beats that nothing disturbs.
pub(crate) fn steady(count: u32) -> Vec<Beat> {
    (0..count).map(steady_beat).collect()
}

/// The one of that number.
pub(crate) fn steady_beat(number: u32) -> Beat {
    let sent = u64::from(number) * PERIOD;
    Beat { number, sent, at: sent + 10 * MS }
}

/// A link with jitter at both ends, loss and outages, in order of arrival, without beats that were
/// overtaken: the newest of all so far, each time.
pub(crate) fn rough(seed: u64, count: u32) -> Vec<Beat> {
    let mut rng = Rng(seed);
    let mut beats = Vec::new();
    let mut clear_at = 0;
    for number in 0..count {
        let sent = u64::from(number) * PERIOD + rng.below(5 * MS);
        if rng.percent(1) {
            clear_at = sent + rng.below(1_000 * MS); // An outage; what is in it drains afterwards.
        }
        let spike = if rng.percent(5) { rng.below(150 * MS) } else { 0 };
        let at = (sent + 10 * MS + rng.below(20 * MS) + spike).max(clear_at);
        if !rng.percent(3) {
            beats.push(Beat { number, sent, at });
        }
    }
    beats.sort_by_key(|beat| (beat.at, beat.number));
    let mut newest = None;
    beats.retain(|beat| {
        let fresh = newest.is_none_or(|newest| beat.number > newest);
        newest = newest.max(Some(beat.number));
        fresh
    });
    beats
}
