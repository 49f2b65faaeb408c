//! A log under the eyes of the checker.

use super::{Entry, Log, OtherConfig, fingerprint};
use crate::config::Config;
use crate::detector::Deadline;
use crate::ledger::Ledger;
use crate::sim::ghost::{Call, Ghost, NEVER};
use crate::sim::invariant::Invariant;
use crate::sim::sabotage::Sabotage;
use crate::sim::told::Told;
use crate::time::Timestamp;

impl Log {
    /// Replays the log under the eyes of the checker, and says which invariant breaks first, if any
    /// does. (Only those that one machine's life can show: [`Invariant::is_local`].)
    ///
    /// # Errors
    ///
    /// [`OtherConfig`] if the log was taken under another configuration.
    pub fn check<L: Ledger>(&self, config: Config) -> Result<Option<Invariant>, OtherConfig> {
        let found = fingerprint(&config);
        if found != self.config {
            return Err(OtherConfig { expected: self.config, found });
        }
        Ok(self.check_sabotaged::<L>(config, Sabotage::None))
    }

    pub(crate) fn check_sabotaged<L: Ledger>(
        &self,
        config: Config,
        sabotage: Sabotage,
    ) -> Option<Invariant> {
        let mut machine = self.machine::<Deadline, L>(config);
        let fixed = config.detector == Deadline::fixed();
        let mut ghost = Ghost::new(machine.state().epoch(), self.made.as_nanos(), fixed);
        for &(stamp, entry) in &self.entries {
            let (before, due) = (machine.liveness(), nanos_or_never(machine.next_deadline()));
            let actions = entry.apply(&mut machine, stamp);
            let (epoch, given) = (machine.state().epoch(), stamp.as_nanos());
            match entry {
                Entry::Fresh { .. } => ghost = Ghost::new(epoch, given, fixed),
                Entry::Reconnected => ghost = ghost.next_connection(&config, epoch, given),
                Entry::Event(event) => {
                    let mut told = Told::default();
                    actions.for_each(|action| told.add(action));
                    let (after, next) =
                        (machine.liveness(), nanos_or_never(machine.next_deadline()));
                    let report = if told.change.is_some() { machine.report() } else { None };
                    let mut call = Call { event, given, before, after, due, next, told, report };
                    sabotage.falsify(&mut call);
                    if let Err(invariant) = ghost.check(&config, &call) {
                        return Some(invariant);
                    }
                }
            }
        }
        None
    }
}

fn nanos_or_never(deadline: Option<Timestamp>) -> u64 {
    deadline.map_or(NEVER, Timestamp::as_nanos)
}
