//! The configurator for one-way beats: sections 4 to 6 of the paper.

use core::time::Duration;

use super::search::{self, LEAST, MOST};
use super::{Link, Parts, Qos, QosError};
use crate::config::{Config, ConfigError, Mode};

/// How to beat, and how to watch the beats, so that a wish is granted.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::qos::{Link, Qos};
///
/// // The example of the paper: a death found within 30 s, a mistake a month, of at most 60 s.
/// let (month, minute) = (Duration::from_secs(30 * 24 * 3600), Duration::from_secs(60));
/// let wish = Qos::new(Duration::from_secs(30), month, minute)?;
/// let beats = wish.beats(&Link::exponential(0.01, Duration::from_millis(20))?)?;
/// assert_eq!(beats.interval().as_millis() / 10, 997);
/// assert_eq!(beats.interval() + beats.margin(), Duration::from_secs(30));
/// assert_eq!(beats.confirmations(), 3);
/// # Ok::<(), heartbeat_proto::qos::QosError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Beats {
    interval: Duration,
    margin: Duration,
}

impl Beats {
    /// `eta`: the time between two beats.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// How long after it was due a beat is waited for: `delta` of NFD-S, counted from the sending;
    /// for a link of which only the [`variance`](Link::variance) is known, `alpha` of NFD-E,
    /// counted from the expected arrival.
    pub const fn margin(&self) -> Duration {
        self.margin
    }

    /// How many beats in a row must be lost or late for a mistake.
    pub const fn confirmations(&self) -> u64 {
        // `Qos` and `LEAST` bound both: at most 24 hours over 1 ms.
        let within = self.interval.as_nanos() as u64 + self.margin.as_nanos() as u64;
        within.saturating_sub(1) / self.interval.as_nanos() as u64
    }

    /// The rules of the one who watches the beats, with the fixed deadline: `detect_within` after
    /// the last arrival. It makes no more mistakes than NFD-S, since it suspects only when that
    /// does, and detects later by the transit of the last beat (rule QS3); so `link` must not be
    /// one of [`variance`](Link::variance) alone, unless the mean delay is added to the timeout.
    /// The one who beats takes [`Mode::Beacon`] and the [`interval`](Self::interval).
    ///
    /// # Errors
    ///
    /// If the margin is zero, which happens only where a mistake is allowed at every beat.
    pub fn watcher(&self) -> Result<Config, ConfigError> {
        Config::builder()
            .mode(Mode::Passive)
            .interval(self.interval)
            .timeout(self.interval + self.margin)
            .attempts(self.confirmations().clamp(1, 15) as u8)
            .build()
    }
}

/// So many beats are looked at; those that might help besides are taken as lost.
const TERMS: u32 = 10_000;

pub(super) fn configure(wish: &Qos, link: &Link<'_>) -> Result<Beats, QosError> {
    let interval = longest_interval(link, wish.parts());
    let Some(interval) = interval else {
        return Err(search::refuse(wish, |parts| longest_interval(link, parts).is_some()));
    };
    // Rounded down, which refuses nothing: at most 24 hours.
    let interval = Duration::from_nanos((interval * 1e9) as u64).min(wish.detect_within);
    Ok(Beats { interval, margin: wish.detect_within.saturating_sub(interval) })
}

/// The largest `eta` of QS2, up to what is left of the bound on the detection.
fn longest_interval(link: &Link<'_>, wish: Parts) -> Option<f64> {
    if wish.within < LEAST {
        return None;
    }
    let answered = (1.0 - link.loss()) * (1.0 - link.exceeds(wish.within)); // q0', gamma'
    search::largest(wish.within.min(MOST), |interval| {
        interval <= answered * wish.mean && recurs_after(link, wish, interval)
    })
}

/// Whether `eta / prod(...) >= T_MR^L` (rule QS2).
fn recurs_after(link: &Link<'_>, wish: Parts, interval: f64) -> bool {
    // No beat has more time than the first, so none fails more seldom: if that for all of them is
    // not seldom enough, the product need not be worked out.
    let longest = wish.within - interval;
    let least = link.first_fails(longest).min(link.next_fails(longest));
    let beats = (wish.within / interval).min(TERMS.into());
    if libm::pow(least, beats) * wish.every > interval {
        return false;
    }
    let mut all_fail = 1.0;
    for j in 1..=TERMS {
        let left = wish.within - f64::from(j) * interval;
        if all_fail * wish.every <= interval || left <= 0.0 {
            break;
        }
        let fails = if j == 1 { link.first_fails(left) } else { link.next_fails(left) };
        if fails >= 1.0 {
            break; // Nor does one that has even less time.
        }
        all_fail *= fails;
    }
    all_fail * wish.every <= interval
}
