//! Section 6: the life cycle.

use heartbeat_proto::{Findings, Liveness, Mode, Reason};

use super::{Act, Knobs, Reference, Reprobe, Rules, Twist};

impl Reference {
    /// Final Lost, or Closed: nothing more can happen.
    pub(super) fn is_over(&self) -> bool {
        match self.liveness {
            Liveness::Closed => true,
            Liveness::Lost => self.final_verdict || !self.rules.reopens(),
            _ => false,
        }
    }

    /// LC2; section 9's row "Start".
    pub(super) fn on_start(&mut self) {
        let late = self.now > self.start + self.rules.startup_limit;
        if late && self.twist == Some(Twist::StartNeedNotCome) {
            return;
        }
        if self.liveness == Liveness::Idle {
            self.becomes(Liveness::Starting, Reason::Started);
            self.begin();
        }
    }

    fn begin(&mut self) {
        self.start = self.now;
        self.ev = self.now + self.rules.startup_grace; // J1
        self.plan = self.first_slot();
        self.last_ping = self.now;
        self.stall = self.stall.map(|_| self.now);
        self.last_sent = self.now;
    }

    /// LC3.
    pub(super) fn on_drain(&mut self) {
        if matches!(self.liveness, Liveness::Idle | Liveness::Lost) {
            self.close(Reason::ClosedLocally);
        } else if self.liveness.is_live()
            && (self.draining.is_none() || self.twist == Some(Twist::DrainMovesAgain))
        {
            self.draining = Some(self.now + self.rules.drain_limit);
            self.judged = None;
            self.wanted = false;
            self.request = None;
        }
    }

    pub fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    /// LC4.
    pub(super) fn on_close(&mut self) {
        self.call.goodbye = self.liveness.is_live() && self.says_goodbye();
        self.close(Reason::ClosedLocally);
    }

    fn says_goodbye(&self) -> bool {
        self.rules.knobs.mode != Mode::Passive || self.twist == Some(Twist::PassiveSaysGoodbye)
    }

    pub(super) fn close(&mut self, reason: Reason) {
        if !self.is_over() {
            self.becomes(Liveness::Closed, reason);
            self.judged = None;
        }
    }

    /// LC7: Lost becomes Recovering.
    pub(super) fn reopen(&mut self) {
        self.tell(Findings::MISTAKE);
        self.told_mistake = false; // E9: once for each verdict.
        self.becomes(Liveness::Recovering, Reason::Heard);
        self.reopened = true;
        self.good_replies = 0;
        self.unanswered_run = 0; // Section 9, row "Lost".
        self.told_unanswered = false;
        self.plan = self.plan.min(self.last_ping + self.ie());
        self.renew(!self.rules.probes());
        self.good_reply();
    }

    /// LC7: n in a row make Recovering Alive.
    pub(super) fn good_reply(&mut self) {
        self.good_replies += 1;
        self.recovered();
    }

    pub(super) fn recovered(&mut self) {
        let one = self.twist == Some(Twist::OneReplyRecovers);
        if self.good_replies >= self.rules.knobs.reopen_after || one {
            self.becomes(Liveness::Alive, Reason::Heard);
        }
    }

    /// LC8.
    #[must_use]
    pub fn reconnected(&self, now: u64) -> Self {
        let mut next = Self::new(&self.rules.knobs, 0, now);
        next.twist = self.twist;
        next.epoch = self.epoch.wrapping_add(1);
        next.rtt = self.rtt;
        if self.twist != Some(Twist::CalmIsForgotten) {
            next.calm = self.calm;
        }
        next.peer_gap = self.peer_gap;
        next.liveness = Liveness::Recovering;
        next.begin();
        next.wake = next.wake_up();
        next
    }

    /// LC9.
    pub fn reconfigure(&mut self, knobs: &Knobs, now: u64) -> Vec<Act> {
        self.call = super::Call::default();
        self.now = self.now.max(super::Nanos::from(now));
        let before = self.before();
        self.rules = Rules::of(knobs);
        if self.exhausts() {
            self.exhaust(); // T6
        } else if !self.is_over() {
            self.follow_configuration();
            self.judge();
            self.probe();
            self.keepalive();
        }
        self.wake = self.wake_up();
        self.explain(before);
        self.told()
    }

    fn follow_configuration(&mut self) {
        self.reprobe = Reprobe::None;
        self.lone = None;
        if !self.rules.knobs.write_reports {
            self.ping_waits = false;
            self.owing = false;
            self.stall = None;
        }
        if !self.rules.probes() {
            self.judged = None;
            self.request = None;
        }
        if self.suspended.is_some() {
            return;
        }
        self.follow_plan();
        self.grant_if_near();
    }
}
