//! [`Failure`]: a broken invariant, and the smallest script that breaks it.

use alloc::vec::Vec;
use core::fmt;

use super::fault::Fault;
use super::log::{Entry, Log};
use super::plan::{Plan, Timed};
use super::sabotage::Sabotage;
use super::world::{Broken, Note};
use crate::config::Config;
use crate::event::Event;
use crate::ledger::{Echo, Table};
use crate::time::Timestamp;

/// A run in which an invariant broke, and all that is needed to see it again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What broke in the run of the whole plan.
    pub broken: Broken,
    /// The smallest plan in which the same invariant breaks: without a step more, it holds.
    pub plan: Plan,
    /// What breaks in that.
    pub smallest: Broken,
    /// What the machine that broke it was told, up to there; if the invariant is one of a single
    /// machine, only what is needed to break it.
    pub log: Log,
}

impl Failure {
    pub(crate) fn explain(plan: &Plan, broken: Broken, sabotage: Sabotage) -> Self {
        let invariant = broken.invariant;
        let breaks =
            |plan: &Plan| plan.breaks(sabotage).filter(|found| found.invariant == invariant);
        let (starts, steps): (Vec<Timed>, Vec<Timed>) =
            plan.steps.iter().partition(|step| is_start(step));
        let with = |kept: &[Timed]| {
            let mut smaller = Plan { steps: [&starts, kept].concat(), ..plan.clone() };
            smaller.steps.sort_by_key(|step| step.at);
            smaller
        };
        let kept = minimal(&steps, |kept| breaks(&with(kept)).is_some());
        let plan = with(&kept);
        let smallest = breaks(&plan).unwrap_or(broken);
        let (notes, _) = plan.trace_sabotaged(sabotage);
        let config = plan.links[smallest.end / 2].configs[smallest.end % 2];
        let log = shortest(&plan, log_of(&notes, smallest.end, &config), smallest, sabotage);
        Self { broken, plan, smallest, log }
    }

    /// The configuration of the machine that broke the invariant, to replay its log.
    pub fn config(&self) -> Config {
        self.plan.links[self.smallest.end / 2].configs[self.smallest.end % 2]
    }

    /// Runs the smallest plan once more.
    pub fn replay(&self, sabotage: Sabotage) -> Option<Broken> {
        self.plan.breaks(sabotage)
    }
}

const fn is_start(step: &Timed) -> bool {
    matches!(step.fault, Fault::Tell { event: Event::Start, .. })
}

/// Leaves out parts, halves first and single items last, as long as the rest still `fails` (delta
/// debugging). Without any single item of the result it would not.
pub(crate) fn minimal<T: Copy>(items: &[T], fails: impl Fn(&[T]) -> bool) -> Vec<T> {
    let mut kept = items.to_vec();
    let mut part = kept.len().div_ceil(2);
    while part > 0 {
        let mut from = 0;
        let mut smaller = false;
        while from < kept.len() {
            let to = (from + part).min(kept.len());
            let rest = [&kept[..from], &kept[to..]].concat();
            if fails(&rest) {
                kept = rest;
                smaller = true;
            } else {
                from = to;
            }
        }
        if part > 1 {
            part = part.div_ceil(2);
        } else if !smaller {
            part = 0;
        }
    }
    kept
}

fn log_of(notes: &[Note], end: usize, config: &Config) -> Log {
    let mine = notes.iter().filter(|note| note.end == end);
    let first = mine.clone().next();
    let (seed, made) = first.map_or((0, Timestamp::EPOCH), |note| match note.entry {
        Entry::Fresh { seed } => (seed, note.stamp),
        _ => (0, note.stamp),
    });
    let mut log = Log::new(config, seed, made);
    mine.skip(1).for_each(|note| log.push_entry(note.stamp, note.entry));
    log
}

/// Where one machine is enough to see the invariant broken, nothing else remains in its log.
fn shortest(plan: &Plan, log: Log, broken: Broken, sabotage: Sabotage) -> Log {
    if !broken.invariant.is_local() {
        return log;
    }
    let config = plan.links[broken.end / 2].configs[broken.end % 2];
    let found = |entries: &[(Timestamp, Entry)]| {
        let log = log.with_entries(entries.to_vec());
        if plan.echo {
            log.check_sabotaged::<Echo>(config, sabotage)
        } else {
            log.check_sabotaged::<Table>(config, sabotage)
        }
    };
    if found(log.entries()) != Some(broken.invariant) {
        return log; // What samples found, for one.
    }
    let entries = minimal(log.entries(), |entries| found(entries) == Some(broken.invariant));
    log.with_entries(entries)
}

/// The report: the broken invariant, the options, the steps that matter, and the log.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} breaks {}", self.plan.seed, self.broken)?;
        writeln!(f, "the smallest plan that still does, at {:?}:", self.smallest.at)?;
        writeln!(f, "{}", self.plan)?;
        writeln!(f, "what the machine of end {} was told:", self.smallest.end)?;
        write!(f, "{}", self.log)?;
        write!(f, "# the whole run: heartbeat simulate --seed {} --trace", self.plan.seed)
    }
}

impl core::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::minimal;

    #[test]
    fn what_is_left_is_what_it_takes() {
        let items: [u32; 100] = core::array::from_fn(|index| index as u32);
        for needed in [&[][..], &[0], &[99], &[3, 50, 51], &[0, 20, 40, 60, 80, 99]] {
            let fails = |kept: &[u32]| needed.iter().all(|item| kept.contains(item));
            assert_eq!(minimal(&items, fails), needed);
        }
        // Of several ways to fail one is left.
        let pair = |kept: &[u32]| kept.windows(2).any(|two| two[0] + 1 == two[1]);
        assert_eq!(minimal(&items, pair).len(), 2);
    }
}
