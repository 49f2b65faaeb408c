//! The knobs of one end as plain values: what the machine is built from, what the observer holds it
//! to, and what the table of coverage is printed from.

use core::time::Duration;

use heartbeat_proto::{
    Config, ConfigError, FirstPing, LatePolicy, LifeRule, Mode, PingSchedule, Probing, Verdict,
    detector::Detector,
};

/// Spans are in units of 1 ns, the grain of the machine's own time.
#[expect(clippy::struct_excessive_bools, reason = "knobs are independent of each other")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) mode: Mode,
    pub(crate) interval: u64,
    pub(crate) window: u64,
    pub(crate) attempts: u8,
    pub(crate) floor: Option<u64>,
    pub(crate) ceiling: Option<u64>,
    pub(crate) min_gap: Option<u64>,
    pub(crate) slack: Option<u64>,
    pub(crate) late: LatePolicy,
    pub(crate) life: LifeRule,
    pub(crate) ids: bool,
    pub(crate) external: bool,
    pub(crate) always: bool,
    pub(crate) writes: bool,
    pub(crate) write_stall: Option<u64>,
    pub(crate) keepalive: Option<u64>,
    pub(crate) loss: Option<(u8, u8)>,
    pub(crate) unanswered: u8,
    pub(crate) reopen: u8,
    pub(crate) drain_limit: u64,
}

impl Rules {
    /// Symmetric, by the defaults, but without keepalive.
    pub(crate) fn of(interval: u64, window: u64, attempts: u8) -> Self {
        Self {
            mode: Mode::Symmetric,
            interval,
            window,
            attempts,
            floor: None,
            ceiling: None,
            min_gap: None,
            slack: None,
            late: LatePolicy::Reprobe,
            life: LifeRule::AnyFrame,
            ids: true,
            external: false,
            always: false,
            writes: false,
            write_stall: None,
            keepalive: None,
            loss: None,
            unanswered: 1, // A shorter count is a smaller space.
            reopen: 0,
            drain_limit: 1,
        }
    }

    /// Without jitter and phase: the model chooses offsets itself.
    pub(crate) fn build<D: Detector>(&self, detector: D) -> Result<Config<D>, ConfigError> {
        let schedule = if self.external { PingSchedule::External } else { PingSchedule::Own };
        let probing = if self.always { Probing::Always } else { Probing::WhenIdle };
        let mut builder = Config::builder()
            .detector(detector)
            .first_ping(FirstPing::AfterInterval)
            .jitter_percent(0)
            .startup_limit(ns(1))
            .drain_limit(ns(self.drain_limit))
            .mode(self.mode)
            .interval(ns(self.interval))
            .response_window(ns(self.window))
            .attempts(self.attempts)
            .late_policy(self.late)
            .life_rule(self.life)
            .ids(self.ids)
            .schedule(schedule)
            .probing(probing)
            .write_reports(self.writes)
            .ping_unanswered(self.unanswered, Verdict::Report)
            .reopen_after(self.reopen);
        builder = match self.keepalive {
            Some(span) => builder.keepalive(ns(span)),
            None => builder.no_keepalive(),
        };
        builder = self.floor.map_or(builder, |span| builder.floor(ns(span)));
        builder = self.ceiling.map_or(builder, |span| builder.ceiling(ns(span)));
        builder = self.min_gap.map_or(builder, |span| builder.min_gap(ns(span)));
        builder = self.slack.map_or(builder, |span| builder.slack(ns(span)));
        builder = self.write_stall.map_or(builder, |span| builder.write_stall(ns(span)));
        builder = self.loss.map_or(builder, |(k, n)| builder.probe_loss(k, n, Verdict::Report));
        builder.build()
    }

    pub(crate) fn probes(&self) -> bool {
        matches!(self.mode, Mode::Symmetric | Mode::Initiator)
    }

    /// On its own schedule, and with nothing that waits to be written.
    pub(crate) fn probes_alone(&self) -> bool {
        self.probes() && !self.external && !self.writes
    }

    pub(crate) fn answers(&self) -> bool {
        !matches!(self.mode, Mode::Beacon | Mode::Passive)
    }

    pub(crate) fn reprobes(&self) -> bool {
        self.late == LatePolicy::Reprobe
    }
}

pub(crate) const fn ns(span: u64) -> Duration {
    Duration::from_nanos(span)
}
