//! Wake-ups: L2, L3 and L5.

use super::{Call, Ghost, NEVER};
use crate::config::{Config, Probing};
use crate::event::Event;
use crate::finding::Findings;
use crate::liveness::Liveness;
use crate::sim::invariant::Invariant;

impl Ghost {
    pub(super) fn check_wake_up<D>(
        &self,
        config: &Config<D>,
        call: &Call,
        heard: bool,
    ) -> Result<(), Invariant> {
        let (now, due, next) = (self.now, call.due, call.next);
        if due != NEVER && now >= due && next == due {
            return Err(Invariant::Progress);
        }
        let waits = match call.after {
            _ if self.over || self.suspended.is_some() => false,
            Liveness::Lost => config.sends_on_plan(),
            _ => true,
        };
        if waits != (next != NEVER) || next <= now {
            return Err(Invariant::WakeUp);
        }
        let steady = heard
            && self.fixed
            && (call.before, call.after) == (Liveness::Alive, Liveness::Alive)
            && config.is_plain()
            && config.probing == Probing::WhenIdle
            // What is handed to a writer starts his clock (rule J11).
            && (call.told.count == 0 || !config.write_reports)
            && !call.told.found.contains(Findings::CALMED)
            && !matches!(call.event, Event::LimitReceived { .. }) // It is about the plan.
            && !self.draining
            && now < due
            // At the moment of a ping it was not yet heard "since" that (rule P6).
            && self.pings.last != Some(now);
        if steady && next < due { Err(Invariant::Laziness) } else { Ok(()) }
    }
}
