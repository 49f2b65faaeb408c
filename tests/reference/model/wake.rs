//! T4, T5: the wake-up.

use heartbeat_proto::Liveness;

use super::{Nanos, Reference, Reprobe};

impl Reference {
    /// The earliest moment at which something is due; `None` where nothing waits.
    pub(super) fn wake_up(&self) -> Option<Nanos> {
        if self.exhausted || self.is_over() || self.suspended.is_some() {
            return None;
        }
        if self.draining.is_some() {
            return self.draining.map(|limit| limit + 1); // LC3
        }
        let limits = [
            self.startup_at(),
            self.verdict_at(),
            self.window_end(),
            self.grant_end(),
            self.lone.map(|from| from + self.rules.w),
            self.sign_at(),
            self.request.map(|asked| asked + self.rules.w),
            self.stall_at(),
        ];
        let moments = [self.ping_at(), self.keepalive_due()];
        limits
            .into_iter()
            .flatten()
            .map(|limit| limit + 1) // T4
            .chain(moments.into_iter().flatten())
            .min()
    }

    fn startup_at(&self) -> Option<Nanos> {
        (self.liveness == Liveness::Idle).then_some(self.start + self.rules.startup_limit)
    }

    fn grant_end(&self) -> Option<Nanos> {
        match self.reprobe {
            Reprobe::Running(until) => Some(until),
            _ => None,
        }
    }

    /// J3: when the signs of an Alive peer turn bad by time alone.
    fn sign_at(&self) -> Option<Nanos> {
        if self.liveness != Liveness::Alive || !self.judges() || self.draining.is_some() {
            return None;
        }
        let beat = self.ev + self.rules.i + self.rules.w;
        Some(if self.rules.probes() { self.detector() } else { self.detector().min(beat) })
    }

    /// P7, P9, P10: a ping that must wait for something else is no reason to wake.
    fn ping_at(&self) -> Option<Nanos> {
        let due = self.next_ping()?;
        let waits = (!self.rules.knobs.ids && self.judged.is_some()) || self.asks_later();
        (!waits && due < Nanos::MAX).then_some(due)
    }
}
