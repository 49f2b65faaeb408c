//! [`Stats`]: counters of one machine.

use core::ops::AddAssign;

use crate::action::Actions;
use crate::event::Event;
use crate::finding::Findings;
use crate::liveness::Liveness;

/// What a machine has counted since it was made. Counters never influence a rule.
///
/// Active probing (`pings_sent`, `misses`) and passive arrival (`pings_received`,
/// `beacons_received`, `frames_received`) are separate on purpose: their rates mean different
/// things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Stats {
    /// Pings emitted.
    pub pings_sent: u64,
    /// Pongs emitted.
    pub pongs_sent: u64,
    /// Beacons emitted.
    pub beacons_sent: u64,
    /// Pings received, admitted or not.
    pub pings_received: u64,
    /// Pongs received, of whatever kind.
    pub pongs_received: u64,
    /// Beacons received.
    pub beacons_received: u64,
    /// Other whole frames received.
    pub frames_received: u64,
    /// Pings that stayed unanswered in silence.
    pub misses: u64,
    /// Pongs that came after their window or after a newer one.
    pub pongs_late: u64,
    /// Pongs for a ping answered before.
    pub pongs_duplicate: u64,
    /// Pongs for a ping never sent.
    pub pongs_unmatched: u64,
    /// Pongs of another connection.
    pub pongs_wrong_epoch: u64,
    /// Pings of the peer that came too early.
    pub strikes: u64,
    /// Times the peer became suspect.
    pub suspicions: u64,
    /// Verdicts `Lost`.
    pub losses: u64,
    /// Verdicts, and suspicions, that later life proved wrong.
    pub mistakes: u64,
    /// Calls later than the slack.
    pub late_calls: u64,
    /// Calls with a `now` below an earlier one.
    pub clock_regressions: u64,
    /// Re-probes granted before a verdict.
    pub reprobes: u64,
    /// Pings left out because the writer had not taken the last one.
    pub pings_skipped: u64,
}

/// Each counter by itself: what two machines have counted together.
impl AddAssign<&Self> for Stats {
    fn add_assign(&mut self, other: &Self) {
        // Whole, so that no counter is forgotten.
        let Self {
            pings_sent,
            pongs_sent,
            beacons_sent,
            pings_received,
            pongs_received,
            beacons_received,
            frames_received,
            misses,
            pongs_late,
            pongs_duplicate,
            pongs_unmatched,
            pongs_wrong_epoch,
            strikes,
            suspicions,
            losses,
            mistakes,
            late_calls,
            clock_regressions,
            reprobes,
            pings_skipped,
        } = self;
        for (sum, more) in [
            (pings_sent, other.pings_sent),
            (pongs_sent, other.pongs_sent),
            (beacons_sent, other.beacons_sent),
            (pings_received, other.pings_received),
            (pongs_received, other.pongs_received),
            (beacons_received, other.beacons_received),
            (frames_received, other.frames_received),
            (misses, other.misses),
            (pongs_late, other.pongs_late),
            (pongs_duplicate, other.pongs_duplicate),
            (pongs_unmatched, other.pongs_unmatched),
            (pongs_wrong_epoch, other.pongs_wrong_epoch),
            (strikes, other.strikes),
            (suspicions, other.suspicions),
            (losses, other.losses),
            (mistakes, other.mistakes),
            (late_calls, other.late_calls),
            (clock_regressions, other.clock_regressions),
            (reprobes, other.reprobes),
            (pings_skipped, other.pings_skipped),
        ] {
            *sum = sum.wrapping_add(more);
        }
    }
}

impl Stats {
    #[inline]
    pub(crate) fn count_event(&mut self, event: &Event) {
        let counter = match event {
            Event::PingReceived { .. } => &mut self.pings_received,
            Event::PongReceived { .. } | Event::AnonymousPongReceived => &mut self.pongs_received,
            Event::BeaconReceived { .. } => &mut self.beacons_received,
            Event::FrameReceived => &mut self.frames_received,
            _ => return,
        };
        *counter = counter.wrapping_add(1);
    }

    #[inline]
    pub(crate) fn count_actions(&mut self, actions: &Actions) {
        if actions.sends_pong() {
            self.pongs_sent = self.pongs_sent.wrapping_add(1);
        }
        if actions.sends_ping() {
            self.pings_sent = self.pings_sent.wrapping_add(1);
        } else if actions.sends_life() {
            self.beacons_sent = self.beacons_sent.wrapping_add(1);
        }
        if actions.has_news() {
            self.count_news(actions);
        }
    }

    #[cold]
    fn count_news(&mut self, actions: &Actions) {
        if let Some(transition) = actions.transition() {
            let (from, to) = (transition.from, transition.to);
            self.suspicions += u64::from(to == Liveness::Suspect);
            self.losses += u64::from(to == Liveness::Lost);
            self.mistakes += u64::from(from == Liveness::Suspect && to == Liveness::Alive);
        }
        let found = actions.findings();
        for (finding, counter) in [
            (Findings::MISS, &mut self.misses),
            (Findings::PONG_LATE, &mut self.pongs_late),
            (Findings::PONG_DUPLICATE, &mut self.pongs_duplicate),
            (Findings::PONG_UNMATCHED, &mut self.pongs_unmatched),
            (Findings::PONG_WRONG_EPOCH, &mut self.pongs_wrong_epoch),
            (Findings::PING_STRIKE, &mut self.strikes),
            (Findings::MISTAKE, &mut self.mistakes),
            (Findings::LATE_CALL, &mut self.late_calls),
            (Findings::CLOCK_REGRESSION, &mut self.clock_regressions),
            (Findings::REPROBE, &mut self.reprobes),
            (Findings::PING_SKIPPED, &mut self.pings_skipped),
        ] {
            *counter = counter.wrapping_add(u64::from(found.contains(finding)));
        }
    }
}
