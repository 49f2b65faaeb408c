//! One endpoint: its probes, what they say of it, and where it stands.

use super::config::{Endpoint, FailoverConfig};
use super::event::{EndpointId, Standing};
use crate::jitter;
use crate::rtt::Rtt;
use crate::time::Timestamp;

/// A probe under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    /// The last moment at which an answer is in time.
    pub(super) expires: u64,
    /// It had its extra time for a late call.
    pub(super) spared: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) id: EndpointId,
    pub(super) spec: Endpoint,
    pub(super) epoch: u32,
    /// Of the newest probe.
    pub(super) number: u32,
    pub(super) flight: Option<Flight>,
    /// When the newest probe left.
    sent: u64,
    /// When the next probe may leave, unless one is under way.
    pub(super) due: u64,
    /// The last outcomes, newest lowest; a failure is a one.
    outcomes: u64,
    rtt: Rtt,
    /// Failures since the last answer, saturating.
    pub(super) run: u8,
    /// Answers since the last failure, saturating.
    streak: u8,
    /// When it last answered, since it was added or quarantined.
    pub(super) answered: Option<u64>,
    /// It answered since it was added.
    pub(super) proven: bool,
    failed_before: bool,
    /// It had an outcome since it was added.
    known: bool,
    /// Load and readiness, and when they were reported.
    report: Option<(u8, bool, u64)>,
    pub(super) standing: Standing,
    /// `k` of rule FO9, and the end of the last quarantine.
    doublings: u8,
    last_quarantine: Option<u64>,
    /// Its credit in the round robin.
    pub(super) credit: i32,
}

impl Slot {
    pub(super) fn new(id: EndpointId, spec: Endpoint, seed: u64, now: u64) -> Self {
        let epoch = jitter::epoch(seed ^ ((id.generation as u64) << 8 | id.slot as u64));
        Self {
            id,
            spec,
            epoch,
            number: 0,
            flight: None,
            sent: now,
            due: now, // FO3
            outcomes: 0,
            rtt: Rtt::default(),
            run: 0,
            streak: 0,
            answered: None,
            proven: false,
            failed_before: false,
            known: false,
            report: None,
            standing: Standing::Out,
            doublings: 0,
            last_quarantine: None,
            credit: 0,
        }
    }

    /// FO3: sends a probe, which must be due and not under way, and plans the next.
    pub(super) fn launch(&mut self, config: &FailoverConfig, now: u64) -> u32 {
        self.number = self.number.wrapping_add(1);
        let expires = now.saturating_add(config.timeout);
        self.flight = Some(Flight { expires, spared: false });
        self.sent = now;
        let most = self.spec.pace / 100 * config.jitter_percent as u64;
        let gap = self.spec.pace - jitter::share(most, self.epoch, self.number);
        self.due = now.saturating_add(gap);
        self.number
    }

    /// FO4: takes the probe under way, if `number` is that.
    pub(super) fn land(&mut self, number: u32) -> Option<Flight> {
        if number == self.number { self.flight.take() } else { None }
    }

    pub(super) fn answer(&mut self, rtt_nanos: u64, now: u64) {
        let micros = rtt_nanos.div_ceil(1000).clamp(1, u32::MAX as u64); // E7
        self.rtt.sample(micros as u32);
        self.outcomes <<= 1; // FO5
        self.known = true;
        self.alive(now);
        self.streak = self.streak.saturating_add(1);
    }

    /// FO9: life without a round trip.
    pub(super) const fn alive(&mut self, now: u64) {
        self.run = 0;
        self.answered = Some(now);
        self.proven = true;
    }

    pub(super) fn fail(&mut self, config: &FailoverConfig) {
        self.outcomes = self.outcomes << 1 | 1; // FO5
        self.run = self.run.saturating_add(1);
        self.streak = 0;
        (self.failed_before, self.known) = (true, true);
        // FO3: asked again after a time-out's time, until it has failed.
        if self.run < config.fall && !self.is_quarantined() {
            self.due = self.due.min(self.sent.saturating_add(config.timeout));
        }
    }

    pub(super) fn report(&mut self, load: u8, ready: bool, now: u64) {
        self.report = Some((load.min(100), ready, now));
    }

    /// FO5: until when the report counts.
    pub(super) fn report_ends(&self, config: &FailoverConfig) -> Option<u64> {
        self.report.map(|(_, _, at)| at.saturating_add(config.load_life))
    }

    pub(super) const fn drop_report(&mut self) {
        self.report = None;
    }

    const fn failures(&self, config: &FailoverConfig) -> u32 {
        (self.outcomes & (u64::MAX >> (64 - config.window as u32))).count_ones()
    }

    /// FO6: the least of three parts.
    pub(super) fn score(&self, config: &FailoverConfig) -> u8 {
        let Some(rtt) = self.rtt.smoothed() else { return 0 };
        let rtt = crate::time::nanos(rtt);
        let trip = match config.timeout.saturating_sub(rtt) {
            _ if rtt <= config.rtt_goal => 100,
            left => (u128::from(left) * 100 / u128::from(config.timeout - config.rtt_goal)) as u32,
        };
        let window = config.window as u32;
        let errors = (window - self.failures(config)) * 100 / window;
        let load = match self.report {
            Some((_, false, _)) => 0,
            Some((load, true, _)) if load > config.load_goal => {
                (100 - load as u32) * 100 / (100 - config.load_goal as u32)
            }
            _ => 100,
        };
        trip.min(errors).min(load) as u8
    }

    /// FO7: the pool and its hysteresis.
    pub(super) fn stand(&mut self, config: &FailoverConfig) {
        let score = self.score(config);
        let most = config.errors_percent as u32 * config.window as u32;
        let erring = self.failures(config) * 100 > most;
        let rise = if self.failed_before { config.rise } else { 1 };
        match self.standing {
            Standing::InPool if score < config.leave_below || erring => {
                self.standing = Standing::Out;
            }
            Standing::Out if score >= config.enter_at && !erring && self.streak >= rise => {
                self.standing = Standing::InPool;
            }
            _ => {}
        }
    }

    pub(super) const fn is_quarantined(&self) -> bool {
        matches!(self.standing, Standing::Quarantined { .. })
    }

    pub(super) const fn is_in_pool(&self) -> bool {
        matches!(self.standing, Standing::InPool)
    }

    /// FO9: it has failed, and did not do so all the time.
    pub(super) const fn is_new_failure(&self, config: &FailoverConfig) -> bool {
        self.run >= config.fall && !self.is_quarantined() && self.answered.is_some()
    }

    /// FO9: away with it, and with what was learnt of it.
    pub(super) fn quarantine(&mut self, config: &FailoverConfig, now: u64) {
        let quiet = self.last_quarantine.map_or(0, |ended| now.saturating_sub(ended));
        let forgiven = quiet / config.quarantine_most;
        self.doublings = (self.doublings as u64).saturating_sub(forgiven) as u8;
        let span = config.quarantine.saturating_mul(1 << self.doublings);
        let until = now.saturating_add(span.min(config.quarantine_most));
        self.doublings = (self.doublings + 1).min(config.doublings());
        self.last_quarantine = Some(until);
        self.standing = Standing::Quarantined { until: Timestamp::from_nanos(until) };
        (self.outcomes, self.rtt, self.streak, self.answered) = (0, Rtt::default(), 0, None);
    }

    /// FO9: the end of the quarantine.
    pub(super) fn release(&mut self, now: u64) {
        if let Standing::Quarantined { until } = self.standing {
            if now > until.as_nanos() {
                self.standing = Standing::Out;
            }
        }
    }

    /// Nothing is known of it yet.
    pub(super) const fn is_young(&self) -> bool {
        !self.known
    }

    pub(super) const fn is_sound(&self) -> bool {
        self.is_in_pool() && self.run == 0
    }

    /// FO10: it cannot be used any more.
    pub(super) const fn has_failed(&self, config: &FailoverConfig) -> bool {
        self.is_quarantined() || self.run >= config.fall || (!self.proven && self.run > 0)
    }

    /// The last outcome was an answer, and there was one.
    pub(super) const fn answers(&self) -> bool {
        self.run == 0 && self.answered.is_some()
    }

    /// The next moment at which time alone changes something.
    pub(super) fn wake(&self, config: &FailoverConfig) -> u64 {
        let mut wake = match &self.flight {
            Some(flight) => flight.expires.saturating_add(1),
            None => self.due,
        };
        if let Standing::Quarantined { until } = self.standing {
            wake = wake.min(until.as_nanos().saturating_add(1));
        }
        if let Some(ends) = self.report_ends(config) {
            wake = wake.min(ends.saturating_add(1));
        }
        wake
    }
}
