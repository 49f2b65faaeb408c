//! The search that both configurators share.
//!
//! What is searched is the largest number that a predicate grants. The predicates are not monotone,
//! so all of a fixed grid is tried from above, and the boundary refined within one cell. Grid and
//! refinement do not depend on the wish, and a harder wish grants a subset of what an easier one
//! does: so a harder wish never gets a larger number (rule QS6).

use core::time::Duration;

use super::{Parts, Qos, QosError};
use crate::config::MAX_SPAN;

/// The shortest interval: less than 1 ms is less than the lateness of common timers.
pub(super) const LEAST: f64 = 0.001;

/// The grid: 24 hours, and each point one part in 128 less than the one above; 2358 points to 1 ms.
pub(super) const MOST: f64 = 86_400.0;
const RATIO: f64 = 127.0 / 128.0;

/// A cell of the grid is halved so often: to 1e-14 of the number.
const HALVINGS: u32 = 40;

/// The points of the grid from `most` down to [`LEAST`].
pub(super) fn grid(most: f64) -> impl Iterator<Item = f64> {
    let all = core::iter::successors(Some(MOST), |&point| Some(point * RATIO));
    all.skip_while(move |&point| point > most).take_while(|&point| point >= LEAST)
}

/// The largest number up to `most` that is granted.
pub(super) fn largest(most: f64, grants: impl Fn(f64) -> bool) -> Option<f64> {
    let mut granted = grid(most).find(|&point| grants(point))?;
    let mut refused = granted / RATIO;
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(granted, refused);
        if middle <= most && grants(middle) {
            granted = middle;
        } else {
            refused = middle;
        }
    }
    Some(granted)
}

/// What is said of a wish that is not granted: the part to blame is `detect_within` if it stands in
/// the way alone, else `mean_mistake` if it does, else `mistake_every` (rule QS7).
pub(super) fn refuse(wish: &Qos, granted: impl Fn(Parts) -> bool) -> QosError {
    let (asked, any) = (wish.parts(), Parts { every: TINY, mean: HUGE, within: MOST });
    let within = |asked: Parts| {
        let least = frontier(TINY, MOST, |within| granted(Parts { within, ..asked }))?;
        Some(rounded_up(least).min(MAX_SPAN))
    };
    let detect_within = within(asked);
    if !granted(Parts { within: asked.within, ..any }) {
        // What it takes for the other parts as they are; or else for any.
        let possible = detect_within.or_else(|| within(any));
        let (part, asked) = ("detect_within", wish.detect_within);
        return QosError::Impossible { part, asked, possible, detect_within };
    }
    if !granted(Parts { every: TINY, ..asked }) {
        let least = frontier(asked.mean, HUGE, |mean| granted(Parts { mean, ..asked }));
        let least = least.or_else(|| {
            frontier(asked.mean, HUGE, |mean| granted(Parts { mean, every: TINY, ..asked }))
        });
        let (part, asked) = ("mean_mistake", wish.mean_mistake);
        let possible = least.map(rounded_up);
        return QosError::Impossible { part, asked, possible, detect_within };
    }
    let most = frontier(asked.every, TINY, |every| granted(Parts { every, ..asked }));
    let (part, asked) = ("mistake_every", wish.mistake_every);
    let possible = most.map(|most| Duration::try_from_secs_f64(most * SHORT).unwrap_or_default());
    QosError::Impossible { part, asked, possible, detect_within }
}

/// Where a wish begins to be granted between what is refused and what may be granted: a number that
/// is granted, to a thousandth; `None` if there is none.
fn frontier(mut refused: f64, mut granted: f64, grants: impl Fn(f64) -> bool) -> Option<f64> {
    if !grants(granted) {
        return None;
    }
    while (refused / granted - 1.0).abs() > 0.001 {
        let middle = libm::sqrt(refused * granted);
        if grants(middle) {
            granted = middle;
        } else {
            refused = middle;
        }
    }
    Some(granted)
}

/// Seconds that are no wish any more: an attosecond, thirty thousand years.
const TINY: f64 = 1e-18;
const HUGE: f64 = 1e12;

/// What rounding to nanoseconds takes cannot refuse again.
const SHORT: f64 = 1.0 - 1e-9;

fn rounded_up(seconds: f64) -> Duration {
    let span = Duration::try_from_secs_f64(seconds / SHORT).unwrap_or(Duration::MAX);
    span.saturating_add(Duration::from_nanos(1))
}
