//! Who takes part: every detector with its knob and the values to try.

use alloc::vec::Vec;

use super::contender::{Contender, Role, Trial};
use super::trace::Link;
use crate::detector::Deadline;

/// `n` values from `from` to `to` with equal ratios.
fn ratios(from: f64, to: f64, n: u32) -> Vec<f64> {
    let step = libm::log(to / from) / f64::from(n - 1);
    (0..n).map(|i| from * libm::exp(step * f64::from(i))).collect()
}

/// So many periods.
#[expect(clippy::cast_precision_loss, reason = "a period is far below 2^53 ns")]
fn nanos(periods: f64, link: &Link) -> u64 {
    libm::round(periods * link.period as f64) as u64
}

/// Every contender with the grid of its knob, as DETECTORS section 4 sweeps it: the sixteen
/// published ones, those with a stamp added, the candidates, and some that are told of pauses.
pub fn contenders() -> Vec<Contender> {
    let margins = ratios(0.02, 400.0, 96);
    let fixed = Contender::new(
        "fixed",
        Role::Published,
        margins.iter().map(|margin| 1.0 + margin).collect(),
        |periods, link| Trial::new(Deadline::fixed()).with_timeout(nanos(periods, link)),
    );
    let aware = fixed.pause_aware();
    Vec::from([fixed, Contender::probes(), aware])
}
