//! P2 to P6: when the next ping is due.

use heartbeat_proto::{FirstPing, Liveness, Probing};

use super::{Nanos, Reference, Reprobe, Twist};

impl Reference {
    /// P2: the first slot.
    pub(super) fn first_slot(&self) -> Nanos {
        let x = self.ie() - self.ie() / 100 * self.rules.jitter;
        self.now
            + match self.rules.knobs.first_ping {
                FirstPing::Phase => x - x * Nanos::from(self.epoch) / (1 << 32),
                FirstPing::AfterInterval => self.ie(),
                FirstPing::Immediate => 0,
                _ => unreachable!("a first ping that the text does not know"),
            }
    }

    /// P2 and P3: the plan after a ping at `now`, where `k` is the newest number before it.
    pub(super) fn plan_after(&mut self, k: u32) {
        let (t, s, ie, ge) = (self.now, self.plan, self.ie(), self.ge());
        if self.liveness == Liveness::Lost {
            self.plan = t + self.rules.down.max(ge); // P13
        } else if s <= t {
            let mut next = s + self.jittered(k);
            if next < t + ge {
                let short = t + ge - next;
                next += (short + ie - 1) / ie * ie;
            }
            self.plan = next.min(t + ie);
            if self.twist == Some(Twist::PlanDrifts) {
                self.plan = t + self.jittered(k);
            }
        } else if s < t + ge && self.twist != Some(Twist::SlotSoonAfterPing) {
            self.plan = t + self.jittered(k);
        }
    }

    /// Where pings (or beacons) may leave at all (P1, P13).
    pub(super) fn may_send(&self) -> bool {
        let open = self.liveness.is_live() || (self.liveness == Liveness::Lost && !self.is_over());
        open && self.draining.is_none() && self.suspended.is_none() && self.rules.sends_on_plan()
    }

    /// "Until a ping was sent, no gap" (P4); the earliest moment for the next.
    pub(super) fn gap_end(&self) -> Option<Nanos> {
        (self.seq > 0).then(|| {
            let gap = if self.twist == Some(Twist::GapUnpushed) { self.rules.g } else { self.ge() };
            self.last_ping + gap
        })
    }

    /// P7, J6: a ping is due at once.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted || self.reprobe == Reprobe::Granted
    }

    /// P6: the moment of a ping outside the plan, and whether it stands in place of the slot.
    fn hurried(&self) -> Option<(Nanos, bool)> {
        if self.pings.is_empty() || !self.rules.probes() {
            return None;
        }
        let se = self.last_ping + self.se();
        let (at, instead) = if self.liveness == Liveness::Suspect || self.misses > 0 {
            (se, true)
        } else {
            let judged = self.judged?;
            if self.life_since(self.judged_sent()?) {
                return None;
            }
            (se.max(judged.from + self.rules.w), false)
        };
        // "Neither rule at or after the limit of silence."
        if at < self.limit_of_silence() {
            Some((at, instead))
        } else {
            instead.then_some((Nanos::MAX, true))
        }
    }

    /// When the next ping (or planned beacon) is due; `None` where none may leave.
    pub(super) fn next_ping(&self) -> Option<Nanos> {
        if !self.may_send() {
            return None;
        }
        let due = if self.ping_waits {
            self.plan // P9: nothing but a slot can be left out.
        } else if self.is_wanted() {
            self.gap_end().unwrap_or(self.now)
        } else if self.liveness == Liveness::Lost {
            self.plan // P13
        } else {
            match self.hurried() {
                Some((at, true)) => at,
                Some((at, false)) => at.min(self.plan),
                None => self.plan,
            }
        };
        Some(self.gap_end().map_or(due, |end| due.max(end)))
    }

    /// P5: a slot that traffic excuses is moved.
    pub(super) fn excuse_slot(&mut self) {
        let idle = self.rules.knobs.probing == Probing::WhenIdle && !self.rules.external();
        let here = self.may_send() && self.rules.probes();
        let come = self.plan.max(self.gap_end().unwrap_or(0)) <= self.now;
        if !idle || !here || !come || !self.traffic || self.is_wanted() {
            return;
        }
        let most = self.last_ping + Nanos::from(self.rules.knobs.verify_every) * self.ie();
        let most = if self.twist == Some(Twist::TrafficExcusesForever) { Nanos::MAX } else { most };
        let moved = (self.ev + self.jittered(self.seq)).min(most);
        if moved > self.now {
            self.plan = moved;
        }
    }

    /// LC9, A5, A6: the plan lies between `I'(k)` and `Ie` after the last ping, or at `now`.
    pub(super) fn follow_plan(&mut self) {
        if self.liveness == Liveness::Lost {
            return; // P13
        }
        // The first ping needs no gap.
        let gap = if self.seq == 0 { 0 } else { self.jittered(self.seq) };
        let (earliest, latest) = (self.last_ping + gap, self.last_ping + self.ie());
        self.plan = self.plan.clamp(earliest, latest).max(self.now);
    }
}
