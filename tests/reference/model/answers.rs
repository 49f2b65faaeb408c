//! Section 7: answers, policing, and what the peer asks for.

use core::time::Duration;

use heartbeat_proto::{Findings, Liveness, Mode, PingId, Reason, Verdict};

use super::{Act, Nanos, Reference, Twist};

impl Reference {
    /// A1 to A4.
    pub(super) fn on_ping(&mut self, id: PingId) {
        self.tell_unexpected();
        let answering =
            self.liveness.is_live() || (self.liveness == Liveness::Lost && self.rules.reopens());
        if !answering {
            return;
        }
        if !self.rules.answers() {
            return;
        }
        if self.admit() {
            self.strike_counted = false;
            // A4.
            let calm = self.calm_owed;
            self.calm_owed = false;
            self.call.pong = Some(Act::SendPong { id, calm });
            self.sent_other();
        } else {
            self.strike();
        }
    }

    /// P1.
    pub(super) fn tell_unexpected(&mut self) {
        if self.rules.knobs.mode == Mode::Initiator {
            self.tell(Findings::UNEXPECTED_PING);
        }
    }

    /// A2.
    fn admit(&mut self) -> bool {
        let Some(a) = self.rules.accept_gap else { return true };
        let h = (a + 1) / 2;
        let b = Nanos::from(self.rules.knobs.police.0);
        let b = if self.twist == Some(Twist::BucketOneMore) { b + 1 } else { b };
        if self.tat + h <= self.now && self.twist != Some(Twist::StrikesStay) {
            self.strikes = 0; // A3
            self.told_abuse = false;
        }
        let admitted = self.tat <= self.now + (b - 1) * h;
        if admitted {
            self.tat = self.tat.max(self.now) + h;
        }
        admitted
    }

    /// A3.
    fn strike(&mut self) {
        self.tell(Findings::PING_STRIKE);
        self.calm_owed = true; // A4
        if self.strike_counted && self.twist != Some(Twist::EveryStrikeCounts) {
            return;
        }
        self.strike_counted = true;
        let (_, most, verdict) = self.rules.knobs.police;
        self.strikes = self.strikes.saturating_add(1);
        if self.strikes >= most && !self.told_abuse && verdict != Verdict::Ignore {
            self.told_abuse = true;
            self.tell(Findings::PING_ABUSE);
            if verdict == Verdict::Convict && self.liveness.is_live() {
                self.fall(Reason::PingAbuse);
            }
        }
    }

    /// A5.
    pub(super) fn calm_down(&mut self) {
        let open = self.liveness.is_live() && self.draining.is_none();
        let again = self.calm_done && self.twist != Some(Twist::CalmUnguarded);
        let calmed = self.rules.i * (1 << self.calm);
        if !open || again || calmed >= self.push_limit() || self.calm >= 15 {
            return;
        }
        self.calm += 1;
        self.calm_done = true;
        self.tell(Findings::CALMED);
        self.follow_plan();
    }

    /// A6, while the plan is ours to move.
    pub(super) fn on_limit(&mut self, min_gap: Duration, evidence: bool) {
        let before = self.ie();
        self.take_limit(min_gap);
        self.follow_plan();
        if self.ie() < before && !evidence {
            self.grant_if_near();
        }
    }

    /// A6, in any state.
    pub(super) fn take_limit(&mut self, min_gap: Duration) {
        let nanos = min_gap.as_nanos() as Nanos;
        let up = if self.twist == Some(Twist::GapRoundedDown) { 0 } else { 999_999 };
        let mut millis = (nanos + up) / 1_000_000;
        // "Rounded up to seven bits and a power of two."
        let mut power = 0;
        while millis > 127 {
            millis = (millis + 1) / 2;
            power += 1;
        }
        self.peer_gap = (millis << power) * 1_000_000;
        if nanos > self.push_limit() {
            self.tell(Findings::LIMIT_EXCEEDED); // CF4
        }
    }
}
