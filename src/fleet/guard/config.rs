//! [`GuardConfig`]: from when on many silent peers are no coincidence, and for how long they are
//! spared.

use core::time::Duration;

use thiserror::Error;

use crate::config::MAX_SPAN_NANOS;
use crate::time::nanos;

/// When the guard of a [`Fleet`](super::super::Fleet) doubts the path or the host rather than the
/// peers, and what it does then.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::Config;
/// use heartbeat_proto::fleet::GuardConfig;
///
/// let rules = Config::messaging_30_90();
/// let guard = GuardConfig::new(3 * rules.response_window()).share(50).verdicts_per_second(1000);
/// // With these rules a group that dies at once is suspect as a whole before its first verdict.
/// assert_eq!(GuardConfig::seen(&rules), 100);
/// assert!(guard.check().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardConfig {
    hold_most: Duration,
    share_percent: u8,
    least: u32,
    sample: u32,
    verdicts_per_second: Option<u32>,
}

/// A [`GuardConfig`] that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GuardError {
    /// `hold_most` is zero or above 24 h.
    #[error("hold_most is {0:?}; allowed: 1 ns to 24 h")]
    HoldMost(Duration),
    /// `share` is not a share.
    #[error("share is {0} %; allowed: 1 to 100")]
    Share(u8),
    /// With so few members a coincidence is none.
    #[error("least is {0}; allowed: 2 or more")]
    Least(u32),
    /// Nobody would be probed.
    #[error("sample is 0; allowed: 1 or more")]
    Sample,
    /// No verdict would ever fall.
    #[error("verdicts_per_second is 0; allowed: 1 or more")]
    Rate,
}

impl GuardConfig {
    /// Verdicts are held for at most `hold_most`, from each peer's own on: a few response windows
    /// are enough for a path to come back; every dead group is found later by as much. The rest as
    /// the setters below say.
    pub const fn new(hold_most: Duration) -> Self {
        Self { hold_most, share_percent: 50, least: 8, sample: 32, verdicts_per_second: None }
    }

    /// The share of silent members, in percent, from which on they are doubted together. Default
    /// 50: independent peers do not fall silent by the half within one detection time, and
    /// [`seen`](Self::seen) tells that a dead group gets there before its first verdict.
    #[must_use]
    pub const fn share(mut self, percent: u8) -> Self {
        self.share_percent = percent;
        self
    }

    /// A group of fewer members is judged peer by peer. Default 8: if each is down for 1 % of the
    /// time, half of 8 are at once by coincidence for 7e-7 of it.
    #[must_use]
    pub const fn least(mut self, members: u32) -> Self {
        self.least = members;
        self
    }

    /// How many silent members of a held group are probed in a response window, so that a path in
    /// trouble is not loaded more; in the next window others. The group is released once [`least`](Self::least) of them were heard.
    /// Default 32: where half get through, that many are in 99.9 % of such samples.
    #[must_use]
    pub const fn sample(mut self, members: u32) -> Self {
        self.sample = members;
        self
    }

    /// So many verdicts by silence fall in a second, on the average over more than a response
    /// window; others wait for their turn (rule GD7). Default: no limit.
    #[must_use]
    pub const fn verdicts_per_second(mut self, most: u32) -> Self {
        self.verdicts_per_second = Some(most);
        self
    }

    /// The share of a group that dies at once, in percent, that is suspect at the first verdict
    /// under these rules: the last to be heard was so an interval after the first, and each is
    /// suspect `(N - 1) W` before its verdict; so it is `(N - 1) W / I`, and at most all. If that is
    /// below [`share`](Self::share), verdicts fall before the guard sees the group: give more
    /// attempts. (For pings, without traffic and with the fixed detector.)
    pub fn seen<D>(rules: &crate::Config<D>) -> u8 {
        let seen = u128::from(rules.attempts - 1) * u128::from(rules.window) * 100;
        (seen / u128::from(rules.interval)).min(100) as u8
    }

    /// Whether it can work.
    ///
    /// # Errors
    ///
    /// The first that is wrong.
    pub fn check(&self) -> Result<(), GuardError> {
        if self.hold_most.is_zero() || self.hold_most > Duration::from_nanos(MAX_SPAN_NANOS) {
            return Err(GuardError::HoldMost(self.hold_most));
        }
        if !(1..=100).contains(&self.share_percent) {
            return Err(GuardError::Share(self.share_percent));
        }
        if self.least < 2 {
            return Err(GuardError::Least(self.least));
        }
        match (self.sample, self.verdicts_per_second) {
            (0, _) => Err(GuardError::Sample),
            (_, Some(0)) => Err(GuardError::Rate),
            _ => Ok(()),
        }
    }

    pub(super) const fn share_percent(&self) -> u8 {
        self.share_percent
    }

    pub(super) const fn least_members(&self) -> u32 {
        self.least
    }

    pub(super) const fn sample_size(&self) -> u32 {
        self.sample
    }

    pub(super) fn hold_most_nanos(&self) -> u64 {
        nanos(self.hold_most)
    }

    /// Between two verdicts; `None`: there is no limit.
    pub(super) fn gap_nanos(&self) -> Option<u64> {
        self.verdicts_per_second.map(|rate| 1_000_000_000_u64.div_ceil(u64::from(rate.max(1))))
    }
}
