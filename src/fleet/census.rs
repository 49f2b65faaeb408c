//! [`Census`]: what a fleet counts and measures of all its peers together.

use core::ops::AddAssign;

use crate::action::Actions;
use crate::config::Config;
use crate::deadlines::NEVER;
use crate::detector::Detector;
use crate::event::Event;
use crate::histogram::Histogram;
use crate::ledger::Ledger;
use crate::liveness::Liveness;
use crate::report::{Before, Report};
use crate::state::PeerState;
use crate::stats::Stats;

/// Counters and distributions of a whole [`Fleet`](super::Fleet). No rule reads them.
#[derive(Clone, Debug, Default)]
pub struct Census {
    counts: [u32; Liveness::ALL.len()],
    stats: Stats,
    rtts: Histogram,
    lateness: Histogram,
    recent: Recent,
    report: Option<Report>,
}

impl Census {
    /// How many peers there are.
    pub fn len(&self) -> usize {
        self.counts.iter().map(|count| *count as usize).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many peers are believed to be so.
    pub const fn count(&self, liveness: Liveness) -> usize {
        self.counts[liveness.index() as usize] as usize
    }

    /// The counters, summed over all peers.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The distribution of all measured round trips.
    pub const fn rtt_histogram(&self) -> &Histogram {
        &self.rtts
    }

    /// The distribution of this end's own lateness: how long after their deadlines peers were
    /// ticked. Up to a step is by design.
    pub const fn lateness(&self) -> &Histogram {
        &self.lateness
    }

    /// The newest change of any peer's liveness, with its evidence. Its own lateness is the worst
    /// of the whole fleet in about the time that a verdict takes.
    pub const fn last_report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    pub(super) const fn enter(&mut self, liveness: Liveness) {
        self.counts[liveness.index() as usize] += 1;
    }

    pub(super) const fn leave(&mut self, liveness: Liveness) {
        self.counts[liveness.index() as usize] -= 1;
    }

    pub(super) const fn count_regression(&mut self) {
        self.stats.clock_regressions = self.stats.clock_regressions.wrapping_add(1);
    }

    /// A ping was answered in time.
    #[inline]
    pub(super) fn record_answer(&mut self, rtt_micros: u32) {
        self.stats.pongs_received = self.stats.pongs_received.wrapping_add(1);
        self.rtts.record_nanos(u64::from(rtt_micros) * 1000);
    }

    /// A beat was heard.
    #[inline]
    pub(super) fn record_beat(&mut self, event: &Event) {
        self.stats.count_event(event);
    }

    /// A ping left.
    #[inline]
    pub(super) fn record_ping<D>(&mut self, late_by: u64, now: u64, config: &Config<D>) {
        self.stats.pings_sent = self.stats.pings_sent.wrapping_add(1);
        self.lateness.record_nanos(late_by);
        self.recent.record(late_by, now, config.worst_case_nanos());
    }

    /// After any step of one peer.
    #[inline]
    pub(super) fn record<D: Detector, L: Ledger>(
        &mut self,
        config: &Config<D>,
        state: &PeerState<D, L>,
        before: Before,
        event: &Event,
        now: u64,
        actions: &Actions,
    ) {
        self.stats.count_event(event);
        if before.due <= now && before.due != NEVER {
            self.lateness.record_nanos(now - before.due);
            self.recent.record(now - before.due, now, config.worst_case_nanos());
        }
        if actions.rtt_micros != 0 {
            self.rtts.record_nanos(u64::from(actions.rtt_micros) * 1000);
        }
        if actions.is_empty() {
            return;
        }
        self.stats.count_actions(actions);
        if let Some(transition) = actions.transition() {
            self.leave(transition.from);
            self.enter(transition.to);
            let own = self.recent.worst();
            self.report = Some(Report::of(config, state, transition, before, now, 0, own));
        }
    }
}

/// The sum over both: what two shards have counted. The newer of their reports is kept.
impl AddAssign<&Self> for Census {
    fn add_assign(&mut self, other: &Self) {
        let Self { counts, stats, rtts, lateness, recent: _, report } = other;
        for (sum, more) in self.counts.iter_mut().zip(counts) {
            *sum = sum.saturating_add(*more);
        }
        self.stats += stats;
        self.rtts += rtts;
        self.lateness += lateness;
        let is_newer =
            |new: &Report| self.report.is_none_or(|old| old.observed_at < new.observed_at);
        if let Some(new) = report.filter(is_newer) {
            self.report = Some(new);
        }
    }
}

/// The worst lateness in the present span of time or the one before.
#[derive(Clone, Copy, Debug, Default)]
struct Recent {
    worst: [u64; 2],
    since: u64,
}

impl Recent {
    #[inline]
    fn record(&mut self, lateness: u64, now: u64, span: u64) {
        let passed = now - self.since; // A fleet's `now` is never below an earlier one.
        if passed > span {
            let last = if passed > span.saturating_mul(2) { 0 } else { self.worst[0] };
            *self = Self { worst: [0, last], since: now };
        }
        if lateness > self.worst[0] {
            self.worst[0] = lateness;
        }
    }

    fn worst(self) -> u64 {
        self.worst[0].max(self.worst[1])
    }
}
