//! Verdicts: when they may fall (S1 to S6), and when they must have fallen (L1).

use super::{Call, Claim, Ghost};
use crate::config::{Config, LatePolicy, PingSchedule};
use crate::liveness::{Liveness, Reason};
use crate::sim::invariant::Invariant;
use crate::time::nanos;

impl Ghost {
    pub(super) fn check_verdict<D>(
        &self,
        config: &Config<D>,
        call: &Call,
    ) -> Result<(), Invariant> {
        let Some(change) = call.told.change else { return Ok(()) };
        if matches!(change.reason, Reason::StartupTimeout | Reason::DrainTimeout) {
            return Ok(());
        }
        match self.claim {
            Claim::Healthy => return Err(Invariant::NoFalsePositive),
            Claim::Answers(since) if since <= self.ev && by_silence(change.reason) => {
                return Err(Invariant::NoFalsePositive);
            }
            _ => {}
        }
        // A stuck writer has a limit of its own.
        let stuck = change.reason == Reason::WriteStalled;
        if stuck || !by_silence(change.reason) || self.silence.unsure {
            return Ok(());
        }
        let silence = self.now.saturating_sub(self.ev);
        self.check_silence(config, call, silence)?;
        if self.silence.grace != 0 && self.now <= self.silence.grace {
            return Err(Invariant::StallGrace);
        }
        let probes = config.probes() && config.schedule == PingSchedule::Own;
        // A ping without an id may have to wait for the end of a window longer than the interval.
        let waited = !config.ids && config.window > config.interval;
        let late = self.silence.lateness > 0 || self.silence.late;
        let excused = (late || waited) && config.late_policy != LatePolicy::Reprobe;
        let had_window = self.silence.probe.is_some_and(|probe| self.now - probe > config.window);
        if probes && !excused && !had_window && !self.silence.slow_writer {
            return Err(Invariant::ProbeBeforeVerdict);
        }
        match call.report.map(|report| nanos(report.silence)) {
            Some(told) if told < silence => Err(Invariant::ReceivedOnly),
            Some(told) if told > silence => Err(Invariant::Exactness),
            _ => Ok(()),
        }
    }

    fn check_silence<D>(
        &self,
        config: &Config<D>,
        call: &Call,
        silence: u64,
    ) -> Result<(), Invariant> {
        let limit = self.limit(config);
        if silence <= self.numbers(config).floor || self.now <= limit {
            return Err(Invariant::Accuracy);
        }
        let put_off = self.silence.late || self.silence.granted;
        let exact = self.fixed && !put_off && self.now == call.due;
        if exact && self.now != limit + 1 { Err(Invariant::Exactness) } else { Ok(()) }
    }

    /// Rules CF5 and CF6.
    pub(super) fn check_promise<D>(
        &self,
        config: &Config<D>,
        call: &Call,
    ) -> Result<(), Invariant> {
        // The call of the verdict, too, must have come in time.
        let judged = (call.after.is_live() || by_silence_now(call)) && config.judges();
        let judged = judged && !self.draining;
        if !judged || self.suspended.is_some() || self.now <= self.ev + config.ceiling {
            return Ok(());
        }
        let probe = config.window + self.numbers(config).gap;
        let reprobes = u64::from(config.late_policy == LatePolicy::Reprobe) + self.silence.resumes;
        let external = config.schedule == PingSchedule::External;
        // A nanosecond for each limit that must be passed.
        let passed = 2 + 2 * reprobes + u64::from(external);
        let most = config.ceiling
            + reprobes * probe
            + if external { config.window } else { 0 }
            + passed
            + self.silence.lateness;
        let kept = self.now - self.ev <= most || self.silence.unsure;
        if kept { Ok(()) } else { Err(Invariant::Completeness) }
    }
}

/// A verdict by silence falls in this call.
fn by_silence_now(call: &Call) -> bool {
    call.told.change.is_some_and(|to| to.to == Liveness::Lost && by_silence(to.reason))
}

const fn by_silence(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NoResponse | Reason::Silence | Reason::NotProbed | Reason::WriteStalled
    )
}
