//! The configurator for pings: the fixed verdict of the machine.

use core::time::Duration;

use super::search::{self, LEAST, MOST};
use super::{Link, Parts, Qos, QosError};
use crate::config::{Config, ConfigBuilder};

/// How to ping so that a wish is granted.
#[derive(Clone, Copy, Debug)]
pub struct Pings {
    config: Config,
    builder: ConfigBuilder,
}

impl Pings {
    /// The rules, ready to use.
    pub const fn config(&self) -> Config {
        self.config
    }

    /// The same with room for changes: what else the application needs. Changes of
    /// `interval`, `response_window`, `attempts`, `jitter_percent`, `suspect_interval`, `min_gap`
    /// and `late_policy` undo what was computed; where a lost peer may come back, `down_interval`
    /// does.
    pub const fn builder(&self) -> ConfigBuilder {
        self.builder
    }

    /// The gap between pings after a verdict, where a lost peer may come back
    /// ([`reopen_after`](ConfigBuilder::reopen_after)): it keeps the mean mistake.
    pub const fn down_interval(&self) -> Duration {
        Duration::from_nanos(self.config.down_interval)
    }

    /// How long after a ping was due the verdict falls: the margin.
    pub const fn margin(&self) -> Duration {
        self.config.timeout().saturating_sub(self.config.interval())
    }
}

/// The jitter that is assumed is the default one: it shortens an interval by up to a tenth.
const JITTER: u8 = 10;
const SHORTEST: f64 = 0.9;

/// An interval is at most three response windows long, as in the presets: else all pings of a
/// silence would fall into one short outage.
const WINDOWS: f64 = 3.0;

/// At most so many of the pings that are not lost may be answered after their window: each makes
/// the peer suspect. (RFC 6298 waits for four deviations, beyond which by Cantelli lie at most 1 in
/// 17.)
const LATE: f64 = 0.05;

const MOST_ATTEMPTS: u8 = 15;

/// A plan, in seconds.
#[derive(Clone, Copy)]
struct Plan {
    window: f64,
    attempts: u8,
    /// The probability that a silence that begins becomes a mistake.
    all_fail: f64,
}

pub(super) fn configure(wish: &Qos, link: &Link<'_>) -> Result<Pings, QosError> {
    if !link.has_mean() {
        return Err(QosError::NeedsDelay);
    }
    let parts = wish.parts();
    let refusal = || search::refuse(wish, |parts| longest_interval(link, parts).is_some());
    let interval = longest_interval(link, parts).ok_or_else(refusal)?;
    let down = down_interval(link, parts.mean).ok_or_else(refusal)?;
    let plan = plan(link, parts, down, interval).ok_or_else(refusal)?;
    // Rounding down shortens the promise; and the window stays below the shortest interval.
    let span = |seconds: f64| Duration::from_nanos((seconds * 1e9) as u64);
    let window = span(plan.window).saturating_sub(Duration::from_nanos(1));
    let builder = Config::builder()
        .interval(span(interval))
        .response_window(window)
        .attempts(plan.attempts)
        .jitter_percent(JITTER)
        .down_interval(span(down));
    let config = builder.build().map_err(|_| refusal())?;
    Ok(Pings { config, builder })
}

fn longest_interval(link: &Link<'_>, wish: Parts) -> Option<f64> {
    let down = down_interval(link, wish.mean)?;
    search::largest(wish.within.min(MOST), |interval| plan(link, wish, down, interval).is_some())
}

/// The plan with this interval that makes the fewest mistakes, if it grants the wish (rule QS4).
fn plan(link: &Link<'_>, wish: Parts, down: f64, interval: f64) -> Option<Plan> {
    let plans = (1..=MOST_ATTEMPTS).filter_map(|attempts| {
        // The promise of CF5: `I + N W`, and under Reprobe `W + g` with `g = W / 2`.
        let window = (wish.within - interval) / (f64::from(attempts) + 1.5);
        // The smallest gap between pings, half of it, is none above `down`.
        let window = window.min(SHORTEST * interval).min(2.0 * down);
        let fits = window >= LEAST && WINDOWS * window >= interval && link.exceeds(window) <= LATE;
        fits.then(|| Plan { window, attempts, all_fail: all_fail(link, window, attempts) })
    });
    let best = plans.min_by(|a, b| a.all_fail.total_cmp(&b.all_fail))?;
    (best.all_fail * wish.every <= SHORTEST * interval).then_some(best)
}

/// The ping that leaves first has all windows to be answered, the last has one.
fn all_fail(link: &Link<'_>, window: f64, attempts: u8) -> f64 {
    let most = f64::from(attempts) * window;
    (1..attempts)
        .fold(link.first_fails(most), |all, left| all * link.next_fails(f64::from(left) * window))
}

/// Pings after a verdict, for those who let a lost peer come back: the longest gap that keeps the
/// mean mistake (rule QS5). In shares of that, so that a wish for longer ones never gets a shorter.
fn down_interval(link: &Link<'_>, mean_mistake: f64) -> Option<f64> {
    const STEPS: u32 = 64;
    let most = (mean_mistake / 2.0).min(MOST);
    (1..=STEPS).rev().map(|step| most * f64::from(step) / f64::from(STEPS)).find(|&gap| {
        let answered = (1.0 - link.loss_after_loss()) * (1.0 - link.exceeds(gap));
        gap >= LEAST / 2.0 && gap * (answered + 1.0) <= mean_mistake * answered
    })
}
