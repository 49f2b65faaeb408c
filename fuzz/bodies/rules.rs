//! Configurations of every kind, nearly all of them valid, and what they say that the crate does
//! not tell again.

use core::time::Duration;

use heartbeat_proto::detector::Deadline;
use heartbeat_proto::{
    Config, FirstPing, LatePolicy, LifeRule, MAX_SPAN, Mode, PingSchedule, Probing, Verdict,
};

use super::input::Input;

const DAY: u64 = MAX_SPAN.as_secs() * 1_000_000_000;

/// A valid configuration, and the knobs of it that have no getter.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub config: Config,
    pub own_schedule: bool,
    pub when_idle: bool,
    pub fixed: bool,
    pub ids: bool,
    pub polices: bool,
    pub life_rule: LifeRule,
    pub reopen_after: u8,
    pub grace: u64,
}

impl Rules {
    /// `None`: these knobs do not fit together.
    #[allow(clippy::too_many_lines, reason = "one knob after the other")]
    pub fn read(input: &mut Input<'_>) -> Option<Self> {
        let (a, b, c) = (input.byte(), input.byte(), input.byte());
        let mode = match a & 7 {
            0 => Mode::Initiator,
            1 => Mode::Responder,
            2 => Mode::Beacon,
            3 => Mode::Passive,
            _ => Mode::Symmetric,
        };
        let probes = matches!(mode, Mode::Symmetric | Mode::Initiator);
        let life_rule = match a >> 3 & 3 {
            0 => LifeRule::AnyByte,
            1 if probes => LifeRule::ExactPong,
            2 if probes => LifeRule::AnyPong,
            _ => LifeRule::AnyFrame,
        };
        let first = [FirstPing::Phase, FirstPing::AfterInterval, FirstPing::Immediate];
        let own_schedule = !probes || b >> 2 & 3 != 3;
        let when_idle = a >> 7 == 0;
        let (ids, fixed) = (b >> 4 & 3 != 3, b >> 7 == 0);
        let reopen_after = if life_rule == LifeRule::AnyByte { 0 } else { c & 3 };
        let verdict = |code| match code {
            1 => Verdict::Report,
            2 => Verdict::Convict,
            _ => Verdict::Ignore,
        };

        // From nanoseconds to seconds, from microseconds to hours, or close to the limits.
        let scale = [0, 0, 10, 13][usize::from(c >> 6)];
        let attempts = input.byte() % 15 + 1;
        let jitter = input.byte() % 51;
        let interval = (input.span() << scale).clamp(1, DAY / 2);
        let shortest = interval - interval / 100 * u64::from(jitter);
        let most_window = (DAY / 2 / u64::from(attempts)).min(shortest.saturating_mul(4));
        let window = (input.span() << scale).clamp(1, most_window);
        let timeout = interval + window * u64::from(attempts);
        let late = match a >> 5 & 3 {
            0 | 1 => LatePolicy::Reprobe,
            2 => LatePolicy::Strict,
            _ => LatePolicy::Forgive(Duration::from_nanos(window + interval / 2)),
        };

        let options = input.byte();
        let mut option = |bit: u8| (options >> bit & 1 == 1).then(|| u64::from(input.byte()));
        // A share of what is allowed between `least` and `most`.
        let between = |least: u64, most: u64, share: u64| {
            let room = u128::from(most.saturating_sub(least));
            Duration::from_nanos(least + (room * u128::from(share) / 255) as u64)
        };
        let quarter = window.div_ceil(4);
        let ceiling = option(0).map_or(timeout, |share| {
            between(timeout, timeout.saturating_mul(3).min(DAY), share).as_nanos() as u64
        });
        let suspect = option(1).map_or(window.min(shortest), |share| {
            between(quarter, shortest, share).as_nanos() as u64
        });
        let mut builder = Config::builder()
            .mode(mode)
            .schedule(if own_schedule { PingSchedule::Own } else { PingSchedule::External })
            .probing(if when_idle { Probing::WhenIdle } else { Probing::Always })
            .life_rule(life_rule)
            .late_policy(late)
            .first_ping(first[usize::from(b & 3) % 3])
            .ids(ids)
            .write_reports(b >> 6 & 1 == 1)
            .detector(if fixed { Deadline::fixed() } else { Deadline::rtt_adaptive(attempts % 4) })
            .interval(Duration::from_nanos(interval))
            .timeout(Duration::from_nanos(timeout))
            .ceiling(Duration::from_nanos(ceiling))
            .suspect_interval(Duration::from_nanos(suspect))
            .attempts(attempts)
            .jitter_percent(jitter)
            .verify_every(attempts)
            .reopen_after(reopen_after)
            .ping_unanswered(attempts.min(14), verdict(c >> 2 & 3));
        if c >> 2 & 3 != 0 {
            builder = builder.probe_loss(attempts.min(3), attempts.min(12), verdict(c >> 2 & 3));
        }
        if let Some(share) = option(2) {
            builder = builder.min_gap(between(quarter, suspect, share));
        }
        let police = option(3);
        if let Some(share) = police {
            let strikes = c >> 4 & 3;
            builder = builder.accept_gap(between(1, 2 * interval, share)).police(
                strikes + 1,
                strikes + 1,
                verdict(strikes),
            );
        }
        if let Some(share) = option(4) {
            builder = builder.floor(between(interval + window, ceiling, share));
        }
        if let Some(share) = option(5).filter(|_| !matches!(mode, Mode::Beacon | Mode::Passive)) {
            builder = builder.keepalive(between(suspect, 2 * interval, share));
        }
        let grace = option(6).map_or(0, |share| between(0, timeout, share).as_nanos() as u64);
        if let Some(share) = option(7) {
            builder = builder
                .write_stall(between(1, timeout, share))
                .drain_limit(between(1, timeout, share))
                .down_interval(between(suspect, 4 * interval, share));
        }
        let config = builder.startup_grace(Duration::from_nanos(grace)).build().ok()?;
        Some(Self {
            config,
            own_schedule,
            when_idle,
            fixed,
            ids,
            polices: police.is_some(),
            life_rule,
            reopen_after,
            grace,
        })
    }

    pub const fn probes(&self) -> bool {
        matches!(self.config.mode(), Mode::Symmetric | Mode::Initiator)
    }

    pub const fn sends_on_plan(&self) -> bool {
        !matches!(self.config.mode(), Mode::Responder | Mode::Passive)
    }

    pub const fn answers(&self) -> bool {
        !matches!(self.config.mode(), Mode::Beacon | Mode::Passive)
    }

    pub const fn judges(&self) -> bool {
        !matches!(self.config.mode(), Mode::Beacon)
    }

    /// The smallest gap between two pings, if the peer asked for `peer_gap` (rule CF4).
    pub fn gap(&self, peer_gap: u64) -> u64 {
        let limit = nanos(self.config.ceiling()) - nanos(self.config.response_window());
        let asked = if self.sends_on_plan() { peer_gap.min(limit) } else { 0 };
        nanos(self.config.min_gap()).max(asked)
    }
}

/// A span in nanoseconds; spans of a configuration fit.
pub const fn nanos(span: Duration) -> u64 {
    span.as_nanos() as u64
}
