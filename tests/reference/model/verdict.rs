//! J12: the evidence of a verdict.

use core::time::Duration;

use heartbeat_proto::{Liveness, Reason};

use super::{Nanos, Reference};

/// What is told with a change of liveness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub liveness: Liveness,
    pub reason: Reason,
    pub silence: Duration,
    pub missed: u8,
    pub attempts: u8,
    pub last_rtt: Option<Duration>,
    pub rtt: Option<(Duration, Duration)>,
    pub own_lateness: Duration,
    pub unwritten: Option<Duration>,
    pub due_at: u64,
    pub observed_at: u64,
}

/// What held before the call.
#[derive(Clone, Copy)]
pub(super) struct Before {
    ev: Nanos,
    wake: Option<Nanos>,
    misses: u8,
    unwritten: Option<Nanos>,
    lateness: Nanos,
}

fn span(nanos: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
}

impl Reference {
    pub(super) fn before(&self) -> Before {
        Before {
            ev: self.ev,
            wake: self.wake,
            misses: self.misses,
            unwritten: self.ping_waits.then_some(self.last_ping),
            lateness: self.worst_lateness,
        }
    }

    pub(super) fn explain(&mut self, before: Before) {
        let Some((_, liveness, reason)) = self.transition() else { return };
        // S2: without what was credited in this call; what was heard ended the silence before it.
        let ev = if liveness == Liveness::Lost { self.ev } else { before.ev };
        self.report = Some(Evidence {
            liveness,
            reason,
            silence: span(self.now - ev),
            missed: self.misses.max(before.misses),
            attempts: self.rules.knobs.attempts,
            last_rtt: self.last_rtt.map(|micros| Duration::from_micros(micros as u64)),
            rtt: self.rtt(),
            own_lateness: span(before.lateness),
            unwritten: before.unwritten.map(|since| span(self.now - since)),
            due_at: before.wake.map_or(self.now, |wake| wake.min(self.now)) as u64,
            observed_at: self.now as u64,
        });
    }
}
