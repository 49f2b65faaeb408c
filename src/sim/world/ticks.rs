//! L4 and M6: a look at what ticks do that nobody asked for.

use crate::action::Action;
use crate::detector::Detector;
use crate::event::Event;
use crate::finding::Findings;
use crate::ledger::Ledger;
use crate::sim::end::End;
use crate::sim::ghost::NEVER;
use crate::sim::invariant::Invariant;
use crate::sim::sabotage::Sabotage;
use crate::time::Timestamp;

/// One call of so many is followed by a look at what ticks do.
pub(super) const SAMPLED: u64 = 64;

impl<D: Detector, L: Ledger> End<D, L> {
    /// L4 and M6: what a tick does before the wake-up, and once more at the same time.
    #[cold]
    pub(super) fn check_ticks(&self, now: u64, next: u64, draw: u64) -> Result<(), Invariant> {
        if next == NEVER || next <= now || self.ghost.is_over() {
            return Ok(());
        }
        let due = |sabotage| if self.sabotage == sabotage { next } else { now };
        let idle = |at: u64| {
            let mut twin = self.machine.clone();
            let regressed = twin.handle(Event::Tick, Timestamp::from_nanos(at));
            let quiet = !regressed.clone().any(|action| !is_regression(action));
            quiet
                && twin.state() == self.machine.state()
                && twin.next_deadline() == self.machine.next_deadline()
        };
        if !idle(due(Sabotage::RepeatedTick)) {
            return Err(Invariant::Idempotence);
        }
        let early = now + (draw >> 8) % (next - now);
        let early = if self.sabotage == Sabotage::EarlyTick { next } else { early };
        if idle(early) { Ok(()) } else { Err(Invariant::NoEarlyEffect) }
    }
}

fn is_regression(action: Action) -> bool {
    action == Action::Report(Findings::CLOCK_REGRESSION)
}
