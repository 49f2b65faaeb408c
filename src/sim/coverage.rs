//! [`Coverage`]: what a run, or many, really came across.

use super::fault::Fault;
use super::ghost::Call;
use crate::finding::Findings;
use crate::liveness::{Liveness, Reason};

/// Every reason, in the order of the variants.
const REASONS: [Reason; 15] = [
    Reason::Started,
    Reason::Heard,
    Reason::Missed,
    Reason::Detector,
    Reason::ProbeLoss,
    Reason::NoResponse,
    Reason::Silence,
    Reason::WriteStalled,
    Reason::PingUnanswered,
    Reason::NotProbed,
    Reason::StartupTimeout,
    Reason::DrainTimeout,
    Reason::PingAbuse,
    Reason::ClosedLocally,
    Reason::Goodbye,
];

const FINDINGS: usize = 22;

/// Counts of everything that happened. A simulation that never meets a fault proves nothing about
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    pub(crate) calls: u64,
    /// Calls that yielded nothing, pings, beacons, pongs, requests, goodbyes.
    actions: [u64; 6],
    findings: [u64; FINDINGS],
    states: [u64; Liveness::ALL.len()],
    /// Of verdicts `Lost`.
    verdicts: [u64; REASONS.len()],
    /// Of all other changes.
    changes: [u64; REASONS.len()],
    pub(crate) faults: [u64; Fault::KINDS],
    /// Sent, lost, duplicated, reordered, queued behind others.
    pub(crate) frames: [u64; 5],
}

impl Coverage {
    #[inline]
    pub(crate) fn count(&mut self, call: &Call) {
        let told = &call.told;
        self.calls += 1;
        if told.count == 0 {
            self.actions[0] += 1;
            return;
        }
        self.actions[1] += u64::from(told.ping.is_some());
        self.actions[2] += u64::from(told.beacon.is_some());
        self.actions[3] += u64::from(told.pong.is_some());
        self.actions[4] += u64::from(told.request);
        self.actions[5] += u64::from(told.goodbye);
        if !told.found.is_empty() || told.change.is_some() {
            self.count_news(call);
        }
    }

    #[cold]
    fn count_news(&mut self, call: &Call) {
        let bits = call.told.found.bits();
        for (bit, count) in self.findings.iter_mut().enumerate() {
            *count += u64::from(bits >> bit & 1);
        }
        if let Some(change) = call.told.change {
            let table =
                if change.to == Liveness::Lost { &mut self.verdicts } else { &mut self.changes };
            table[change.reason as usize] += 1;
            self.states[change.to as usize] += 1;
        }
    }

    /// Adds what another run came across.
    pub(crate) fn add(&mut self, other: &Self) {
        fn sum<const N: usize>(mine: &mut [u64; N], other: &[u64; N]) {
            for (mine, other) in mine.iter_mut().zip(other) {
                *mine += other;
            }
        }
        self.calls += other.calls;
        sum(&mut self.actions, &other.actions);
        sum(&mut self.findings, &other.findings);
        sum(&mut self.states, &other.states);
        sum(&mut self.verdicts, &other.verdicts);
        sum(&mut self.changes, &other.changes);
        sum(&mut self.faults, &other.faults);
        sum(&mut self.frames, &other.frames);
    }

    /// How often each reason led to a verdict `Lost`.
    pub fn verdicts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        REASONS.iter().zip(self.verdicts).map(|(reason, count)| (reason.code(), count))
    }

    /// How often each reason led to any other change.
    pub fn changes(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        REASONS.iter().zip(self.changes).map(|(reason, count)| (reason.code(), count))
    }

    /// How often each finding was told.
    pub fn findings(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Findings::all().names().zip(self.findings)
    }

    /// How often each state was entered.
    pub fn states(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Liveness::ALL.iter().zip(self.states).map(|(state, count)| (state.code(), count))
    }

    /// How often each fault was made.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Fault::NAMES.iter().copied().zip(self.faults)
    }

    /// What became of calls and frames.
    pub fn traffic(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let actions = ["quiet calls", "pings", "beacons", "pongs", "requests", "goodbyes"];
        let frames = [
            "frames sent",
            "frames lost",
            "frames duplicated",
            "frames reordered",
            "frames queued",
        ];
        actions.into_iter().zip(self.actions).chain(frames.into_iter().zip(self.frames))
    }
}
