//! [`Guard`]: when many peers fall silent together, the path they share or this very host is
//! doubted first (section 16.1 of the rules).
//!
//! The guard keeps for each group, and for the fleet, how many of its members are silent, brought
//! up to date with each step of a peer. When silence would convict one, and the share of silent
//! ones says that it is not alone, it is told [`Event::Hold`](crate::Event::Hold) in the place of
//! its tick: an event like any other, which a single machine takes, too.

mod config;
mod report;
mod scope;
mod spread;
mod stalls;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

pub use self::config::{GuardConfig, GuardError};
pub use self::report::{Doubt, GuardReport, GuardState};
use self::scope::Scope;
use self::spread::Bucket;
use self::stalls::Stalls;
use super::wheel::CHUNK;
use crate::action::Actions;
use crate::config::Config;
use crate::deadlines;
use crate::detector::Detector;
use crate::ledger::Ledger;
use crate::liveness::{Liveness, Reason};
use crate::state::{PeerState, Reprobe, Waiting};

#[derive(Debug)]
pub(super) struct Guard {
    config: GuardConfig,
    /// The group of each slot.
    of: Vec<Box<[u16]>>,
    groups: Vec<Scope>,
    all: Scope,
    bucket: Bucket,
    stalls: Stalls,
    /// Scopes that have changed since the sink was told: each at most once.
    news: Vec<Doubt>,
}

/// What a peer counts for (rule GD1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    member: bool,
    silent: bool,
    /// Its verdict was put off.
    held: bool,
}

impl Counted {
    pub(super) fn of<D: Detector, L: Ledger>(config: &Config<D>, state: &PeerState<D, L>) -> Self {
        // Who is suspended cannot be heard, and says nothing for the others, nor against them.
        let member = state.liveness().is_live()
            && !state.draining()
            && state.waiting() != Waiting::Resume
            && config.judges();
        let held = member && state.reprobe() != Reprobe::None;
        let bad = state.liveness() == Liveness::Suspect || state.misses() > 0;
        Self { member, silent: member && (bad || held), held }
    }
}

/// A peer that silence would convict now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suspect {
    slot: u32,
    /// The limit of its silence.
    limit: u64,
    /// When it had its last chance to be heard.
    asked: u64,
    window: u64,
}

impl Suspect {
    pub(super) fn of<D: Detector, L: Ledger>(
        slot: u32,
        config: &Config<D>,
        state: &PeerState<D, L>,
    ) -> Self {
        let (_, limit) = deadlines::limits(config, state);
        let asked = if config.probes() { state.last_ping } else { state.waiting_since };
        Self { slot, limit, asked: asked.max(state.ev), window: config.window }
    }
}

/// Whether this is a verdict by silence: what a hold can put off.
pub(super) fn convicts_by_silence(actions: &Actions) -> bool {
    actions.transition().is_some_and(|change| {
        let silence = [Reason::NoResponse, Reason::Silence, Reason::NotProbed];
        change.to == Liveness::Lost && silence.contains(&change.reason)
    })
}

impl Guard {
    pub(super) fn new(config: GuardConfig) -> Self {
        Self {
            config,
            of: Vec::new(),
            groups: vec![Scope::default()],
            all: Scope::default(),
            bucket: Bucket::default(),
            stalls: Stalls::default(),
            news: Vec::with_capacity(2),
        }
    }

    /// Room for a chunk of slots more.
    pub(super) fn grow(&mut self) {
        self.of.push(vec![0; CHUNK].into_boxed_slice());
    }

    pub(super) fn group(&self, slot: u32) -> u16 {
        self.of[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    /// The peer in the slot belongs to `group` from now on.
    pub(super) fn set_group(&mut self, slot: u32, group: u16, standing: Counted, now: u64) {
        let most = self.groups.len().max(usize::from(group) + 1);
        self.groups.resize(most, Scope::default());
        self.news.reserve(most + 1 - self.news.len());
        // In the scope of all nothing has changed, not for a moment either.
        let old = self.group(slot);
        self.of[slot as usize / CHUNK][slot as usize % CHUNK] = group;
        if old != group {
            self.count_in(Doubt::Group(old), standing, Counted::default(), now);
            self.count_in(Doubt::Group(group), Counted::default(), standing, now);
        }
    }

    /// A peer's standing has changed (rule GD1).
    pub(super) fn count(&mut self, slot: u32, before: Counted, after: Counted, now: u64) {
        if before == after {
            return;
        }
        let group = self.group(slot);
        for doubt in [Doubt::Group(group), Doubt::Observer] {
            self.count_in(doubt, before, after, now);
        }
    }

    fn count_in(&mut self, doubt: Doubt, before: Counted, after: Counted, now: u64) {
        let config = self.config;
        let scope = self.scope_mut(doubt);
        scope.count(before, after);
        let changed = scope.settle(&config, now);
        self.note(doubt, changed);
    }

    /// A peer's wake-up was met later than a window after it: nobody was there to hear (rule GD8).
    pub(super) fn overslept(&mut self, due: u64, window: u64, now: u64) {
        let lasting = self.config.hold_most_nanos() + 2 * window;
        if self.stalls.late(due, window, now, lasting) {
            let changed = self.all.release(now);
            self.note(Doubt::Observer, changed);
        }
    }

    /// What becomes of the verdict: `None`, it falls; else the hold, with a probe or without.
    pub(super) fn decide(&mut self, suspect: Suspect, now: u64) -> Option<bool> {
        let put_off = self.stalls.counted(suspect.limit, now);
        let most = self.config.hold_most_nanos();
        // GD5: whoever was held has a fresh chance first.
        let group = self.group(suspect.slot);
        let released = self.all.released().max(self.scope(Doubt::Group(group)).released());
        if released > suspect.asked && put_off <= most + suspect.window {
            return Some(true);
        }
        if let Some(doubt) = self.doubt(suspect.slot) {
            let config = self.config;
            let held = self.stalls.counted(self.scope(doubt).since(), now);
            let scope = self.scope_mut(doubt);
            let (holds, changed) = scope.hold(put_off <= most, held <= most, now);
            let probe = holds && scope.samples(&config, suspect.asked, suspect.window, now);
            self.note(doubt, changed);
            if holds {
                return Some(probe); // GD3, GD4
            }
        }
        match self.config.gap_nanos() {
            Some(gap) if !self.bucket.admits(gap, suspect.window, now) => Some(false), // GD7
            _ => None,
        }
    }

    /// Who is doubted rather than this peer (rule GD2).
    fn doubt(&self, slot: u32) -> Option<Doubt> {
        let group = self.group(slot);
        let own = self.scope(Doubt::Group(group));
        let rest_is_silent = self.all.without(own).is_silent_if_any(&self.config);
        if self.all.is_silent(&self.config) && rest_is_silent {
            Some(Doubt::Observer)
        } else {
            own.is_silent(&self.config).then_some(Doubt::Group(group))
        }
    }

    fn scope(&self, doubt: Doubt) -> &Scope {
        match doubt {
            Doubt::Observer => &self.all,
            Doubt::Group(group) => &self.groups[usize::from(group)],
        }
    }

    fn scope_mut(&mut self, doubt: Doubt) -> &mut Scope {
        match doubt {
            Doubt::Observer => &mut self.all,
            Doubt::Group(group) => &mut self.groups[usize::from(group)],
        }
    }

    /// The sink must hear of this scope, once.
    fn note(&mut self, doubt: Doubt, changed: bool) {
        if changed && !self.scope(doubt).is_noted() {
            self.scope_mut(doubt).set_noted(true);
            self.news.push(doubt);
        }
    }

    /// What the sink has not heard yet.
    pub(super) fn take_news(&mut self) -> Option<GuardReport> {
        let doubt = self.news.pop()?;
        self.scope_mut(doubt).set_noted(false);
        self.report(doubt)
    }

    /// `None`: there is no such group.
    pub(super) fn report(&self, doubt: Doubt) -> Option<GuardReport> {
        match doubt {
            Doubt::Group(group) if usize::from(group) >= self.groups.len() => None,
            _ => Some(self.scope(doubt).report(doubt)),
        }
    }
}
