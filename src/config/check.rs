//! [`ConfigBuilder::build`]: all rules between the knobs (rules CF1 to CF3).

use core::time::Duration;

use super::{
    Config, ConfigBuilder, ConfigError, LatePolicy, LifeRule, MAX_SPAN, MAX_SPAN_NANOS, Mode,
    PingSchedule,
};
use crate::time::nanos;

/// What a peer's `slack` is at most by default: common timers are a few milliseconds late, busy
/// runtimes a few tens.
const DEFAULT_SLACK: u64 = 50_000_000;

/// Evaluates a `Result` in a `const fn`, where `?` is not allowed.
macro_rules! check {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}

impl<D: Copy> ConfigBuilder<D> {
    /// Checks every knob and every relation between them (rule CF2).
    ///
    /// # Errors
    ///
    /// The first knob that does not fit, with the values found and allowed.
    pub const fn build(self) -> Result<Config<D>, ConfigError> {
        check!(self.check_counts());
        check!(self.check_choices());
        let attempts = self.attempts as u64;
        let interval = check!(span("interval", self.interval));
        let timeout = check!(self.silence_limit(interval));
        let window = (timeout - interval) / attempts;
        if window == 0 {
            return Err(below("timeout", timeout, "interval + attempts", interval + attempts));
        }
        let probes = matches!(self.mode, Mode::Symmetric | Mode::Initiator);
        let least_floor = if probes { interval + window } else { 1 };
        let usual_floor = if probes { least_floor } else { interval };
        let ceiling = check!(optional("ceiling", self.ceiling, timeout));
        check!(at_least("ceiling", ceiling, "timeout", timeout));
        let floor = check!(optional("floor", self.floor, usual_floor));
        check!(at_least("floor", floor, "interval + response_window", least_floor));
        check!(at_most("floor", floor, "ceiling", ceiling));

        // Rounded up: a gap may be longer than promised, never shorter.
        let shortest = interval - interval / 100 * self.jitter_percent as u64;
        let usual = if window < shortest { window } else { shortest };
        let suspect_interval = check!(optional("suspect_interval", self.suspect_interval, usual));
        check!(at_most("suspect_interval", suspect_interval, "the jittered interval", shortest));
        // Without pings of our own there are no slots to fill.
        let sends = probes || matches!(self.mode, Mode::Beacon);
        let quarter = if sends { window.div_ceil(4) } else { 1 };
        let half = suspect_interval.div_ceil(2);
        let usual_gap = if half > quarter { half } else { quarter };
        let min_gap = check!(optional("min_gap", self.min_gap, usual_gap));
        check!(at_least("min_gap", min_gap, "response_window / 4", quarter));
        check!(at_most("min_gap", min_gap, "suspect_interval", suspect_interval));
        let down_interval = check!(optional("down_interval", self.down_interval, interval));
        check!(at_least("down_interval", down_interval, "min_gap", min_gap));

        let most_slack = window / 4;
        let usual_slack = if DEFAULT_SLACK < most_slack { DEFAULT_SLACK } else { most_slack };
        let slack = match self.slack {
            // A window of less than 4 ns has no quarter: everything counts as late.
            None => usual_slack,
            Some(slack) => check!(span("slack", slack)),
        };
        check!(at_most("slack", slack, "response_window / 4", most_slack));

        let keepalive = match self.keepalive {
            None if probes && self.ids && !self.keepalive_off => Some(interval),
            None => None,
            Some(keepalive) => {
                let keepalive = check!(span("keepalive", keepalive));
                check!(at_least("keepalive", keepalive, "min_gap", min_gap));
                Some(keepalive)
            }
        };
        let write_stall = match self.write_stall {
            // Kept even without write reports: an adapter may report writes after all.
            Some(write_stall) => Some(check!(span("write_stall", write_stall))),
            None if self.write_reports => Some(timeout),
            None => None,
        };
        let accept_half_gap = match self.accept_gap {
            None => None,
            Some(gap) => Some(check!(span("accept_gap", gap)).div_ceil(2)),
        };
        let startup_grace = nanos(self.startup_grace);
        if startup_grace > MAX_SPAN_NANOS {
            return Err(too_long("startup_grace", self.startup_grace));
        }
        Ok(Config {
            detector: self.detector,
            mode: self.mode,
            schedule: self.schedule,
            probing: self.probing,
            life_rule: self.life_rule,
            late_policy: self.late_policy,
            first_ping: self.first_ping,
            ids: self.ids,
            write_reports: self.write_reports,
            answer_each: self.answer_each,
            interval,
            timeout,
            window,
            floor,
            ceiling,
            min_gap,
            suspect_interval,
            down_interval,
            slack,
            startup_limit: check!(span("startup_limit", self.startup_limit)),
            startup_grace,
            drain_limit: check!(span("drain_limit", self.drain_limit)),
            keepalive,
            write_stall,
            accept_half_gap,
            attempts: self.attempts,
            jitter_percent: self.jitter_percent,
            verify_every: self.verify_every,
            unanswered_limit: self.unanswered_limit,
            unanswered_verdict: self.unanswered_verdict,
            loss_k: self.loss_k,
            loss_n: self.loss_n,
            loss_verdict: self.loss_verdict,
            accept_burst: self.accept_burst,
            max_strikes: self.max_strikes,
            abuse_verdict: self.abuse_verdict,
            reopen_after: self.reopen_after,
        })
    }

    /// `timeout`, from whichever of the two knobs is given.
    const fn silence_limit(&self, interval: u64) -> Result<u64, ConfigError> {
        let timeout = match (self.timeout, self.response_window) {
            (Some(_), Some(_)) => {
                return Err(ConfigError::Conflict { field: "timeout", other: "response_window" });
            }
            (Some(timeout), None) => check!(span("timeout", timeout)),
            (None, None) => {
                // 55 s for the default interval of 25 s.
                let timeout = Duration::from_nanos(interval / 5 * 11 + interval % 5 * 11 / 5);
                check!(span("timeout (2.2 intervals)", timeout))
            }
            (None, Some(window)) => {
                let window = check!(span("response_window", window));
                let timeout = interval + window * self.attempts as u64;
                check!(span("interval + attempts * response_window", Duration::from_nanos(timeout)))
            }
        };
        if interval >= timeout {
            return Err(ConfigError::NotBelow {
                field: "interval",
                found: Duration::from_nanos(interval),
                other: "timeout",
                limit: Duration::from_nanos(timeout),
            });
        }
        Ok(timeout)
    }

    const fn check_counts(&self) -> Result<(), ConfigError> {
        check!(in_range("attempts", self.attempts, 1, 15));
        check!(in_range("jitter_percent", self.jitter_percent, 0, 50));
        check!(in_range("verify_every", self.verify_every, 1, u8::MAX));
        check!(in_range("ping_unanswered limit", self.unanswered_limit, 1, 14));
        if self.loss_k != 0 || self.loss_n != 0 {
            check!(in_range("probe_loss n", self.loss_n, 1, 12));
            check!(in_range("probe_loss k", self.loss_k, 1, self.loss_n));
        }
        check!(in_range("accept_burst", self.accept_burst, 1, u8::MAX));
        check!(in_range("max_strikes", self.max_strikes, 1, 15));
        in_range("reopen_after", self.reopen_after, 0, 15)
    }

    const fn check_choices(&self) -> Result<(), ConfigError> {
        let probes = matches!(self.mode, Mode::Symmetric | Mode::Initiator);
        let pongs_only = matches!(self.life_rule, LifeRule::ExactPong | LifeRule::AnyPong);
        if pongs_only && !probes {
            return Err(ConfigError::Conflict {
                field: "a life rule that counts pongs only",
                other: "a mode that sends no pings",
            });
        }
        if matches!(self.schedule, PingSchedule::External) && !probes {
            return Err(ConfigError::Conflict {
                field: "an external ping schedule",
                other: "a mode that sends no pings",
            });
        }
        if self.keepalive.is_some() && matches!(self.mode, Mode::Passive | Mode::Beacon) {
            return Err(ConfigError::Conflict {
                field: "keepalive",
                other: "a mode without signs of life of its own, or with nothing else",
            });
        }
        if matches!(self.life_rule, LifeRule::AnyByte) && self.reopen_after != 0 {
            return Err(ConfigError::Conflict {
                field: "LifeRule::AnyByte (for streams)",
                other: "reopen_after (for datagrams)",
            });
        }
        if let LatePolicy::Forgive(most) = self.late_policy {
            check!(span("LatePolicy::Forgive", most));
        }
        Ok(())
    }
}

pub(crate) const fn span(field: &'static str, value: Duration) -> Result<u64, ConfigError> {
    match nanos(value) {
        0 => Err(ConfigError::Zero { field }),
        nanos if nanos > MAX_SPAN_NANOS => Err(too_long(field, value)),
        nanos => Ok(nanos),
    }
}

const fn optional(
    field: &'static str,
    value: Option<Duration>,
    default: u64,
) -> Result<u64, ConfigError> {
    match value {
        Some(value) => span(field, value),
        None => Ok(default),
    }
}

const fn too_long(field: &'static str, found: Duration) -> ConfigError {
    ConfigError::TooLong { field, found, most: MAX_SPAN }
}

pub(crate) const fn at_most(
    field: &'static str,
    found: u64,
    other: &'static str,
    limit: u64,
) -> Result<(), ConfigError> {
    if found <= limit {
        return Ok(());
    }
    let (found, limit) = (Duration::from_nanos(found), Duration::from_nanos(limit));
    Err(ConfigError::Above { field, found, other, limit })
}

const fn at_least(
    field: &'static str,
    found: u64,
    other: &'static str,
    limit: u64,
) -> Result<(), ConfigError> {
    if found >= limit { Ok(()) } else { Err(below(field, found, other, limit)) }
}

const fn below(field: &'static str, found: u64, other: &'static str, limit: u64) -> ConfigError {
    let (found, limit) = (Duration::from_nanos(found), Duration::from_nanos(limit));
    ConfigError::Below { field, found, other, limit }
}

pub(crate) const fn in_range(
    field: &'static str,
    found: u8,
    least: u8,
    most: u8,
) -> Result<(), ConfigError> {
    if found >= least && found <= most {
        return Ok(());
    }
    Err(ConfigError::OutOfRange { field, found, least, most })
}
