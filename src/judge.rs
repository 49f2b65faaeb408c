//! The third part of a step: misses, suspicion, re-probes and verdicts (section 5 of the rules).

use crate::config::{LatePolicy, PingSchedule, Verdict};
use crate::deadlines::{self, Deadlines};
use crate::detector::{Detector, Sign};
use crate::finding::Findings;
use crate::ledger::Ledger;
use crate::liveness::{Liveness, Reason};
use crate::machine::Call;
use crate::state::{Reprobe, TOLD, Waiting};

impl<D: Detector, L: Ledger> Call<'_, D, L> {
    #[cold]
    pub(crate) fn judge(&mut self) {
        if self.state.waiting() == Waiting::Resume {
            return;
        }
        let deadlines = Deadlines::of(self.config, self.state);
        match self.state.liveness() {
            Liveness::Lost => self.end_windows(),
            Liveness::Idle if self.now >= deadlines.verdict => {
                self.state.set_final(true); // LC1: there is nothing to reopen.
                self.lose(Reason::StartupTimeout);
            }
            Liveness::Idle | Liveness::Closed => {}
            _ if !self.state.draining() => self.judge_silence(),
            _ if self.now >= deadlines.verdict => self.lose(Reason::DrainTimeout), // LC3
            _ => {}
        }
    }

    fn judge_silence(&mut self) {
        self.end_windows();
        if !self.state.liveness().is_live() {
            return; // A window's end convicted.
        }
        if self.late && !self.out.heard && self.config.late_policy == LatePolicy::Reprobe {
            self.grant_reprobe_if_near(); // J6
        }
        let deadlines = Deadlines::of(self.config, self.state);
        if self.now >= deadlines.verdict {
            if self.may_wait_for_window() {
                self.state.set_reprobe(Reprobe::Running);
                self.out.report(Findings::REPROBE);
            } else {
                debug_assert!(self.now > self.state.ev + self.config.floor); // S1
                return self.lose(self.reason_of_silence());
            }
        }
        if self.now >= deadlines.write_stall {
            return self.lose(Reason::WriteStalled); // J11
        }
        self.judge_signs();
    }

    /// Alive with bad signs becomes Suspect, Suspect with good ones Alive (rules J3, J4).
    fn judge_signs(&mut self) {
        if !self.config.judges() {
            return;
        }
        let (trust_ends, _) = deadlines::limits(self.config, self.state);
        let bad = if self.state.misses() > 0 {
            Some(Reason::Missed)
        } else if self.probes_are_lost() {
            Some(Reason::ProbeLoss)
        } else if self.now > trust_ends {
            Some(Reason::Detector)
        } else if self.now > deadlines::beat_limit(self.config, self.state) {
            Some(Reason::Missed)
        } else {
            None
        };
        match (self.state.liveness(), bad) {
            (Liveness::Alive, Some(reason)) => self.change(Liveness::Suspect, reason),
            (Liveness::Suspect, None) => self.change(Liveness::Alive, Reason::Heard),
            _ => {}
        }
    }

    /// Ends every window that has passed. At most two can have: the judged ping's, and that of the
    /// newest ping, which is judged after it.
    fn end_windows(&mut self) {
        for _ in 0..2 {
            if self.now <= self.state.waiting_since + self.config.window {
                return;
            }
            let granted = self.state.reprobe() == Reprobe::Running;
            if granted {
                self.state.set_reprobe(Reprobe::Spent); // J6: one window, whatever is judged next.
            }
            match self.state.waiting() {
                Waiting::Pong => self.end_window(granted),
                Waiting::Window => self.state.wait(Waiting::Nothing, self.now),
                Waiting::Caller => {
                    self.state.wait(Waiting::Nothing, self.now);
                    self.out.report(Findings::NOT_PROBED); // P10
                }
                Waiting::Nothing | Waiting::Resume => return,
            }
        }
    }

    /// The judged ping went unanswered (rules P8, J9, J10).
    fn end_window(&mut self, granted: bool) {
        let since = self.state.waiting_since;
        let newest = self.state.judges_newest();
        if newest || self.state.unanswered() == 0 {
            self.state.wait(Waiting::Nothing, self.now);
        } else {
            self.state.wait(Waiting::Pong, self.state.last_ping);
        }
        self.confuse_samples(); // Its pong may still come.
        if newest && self.state.ping_unwritten() {
            self.out.report(Findings::WRITE_STALLED); // J11: it never left, so nobody missed it.
            if self.state.liveness() == Liveness::Lost {
                self.state.set_ping_unwritten(false); // Given up: datagrams do get dropped.
            }
            return;
        }
        if newest && granted && self.state.written_late() {
            return; // J6: it left too late to be missed already.
        }
        if self.state.liveness() == Liveness::Recovering {
            self.state.set_good_in_a_row(0); // LC7: the count starts again.
        } else if !self.late {
            // J10. After a pause of our own the pong may lie behind what was read first.
            let before = self.state.unanswered_in_a_row();
            let now = if before == TOLD { TOLD } else { (before + 1).min(TOLD - 1) };
            self.state.set_unanswered_in_a_row(now);
        }
        if !self.state.liveness().is_live() {
            return;
        }
        let was_lossy = self.probes_are_lost();
        if !self.late {
            self.state.push_outcome(true); // A pause of our own says nothing about the path.
        }
        if self.state.ev <= since {
            // Not a sound since the ping left: a miss.
            self.state.set_misses((self.state.misses() + 1).min(self.config.attempts));
            self.out.report(Findings::MISS);
            self.learn(Sign::Miss, None, None, None);
        } else if !self.late
            && matches!(self.state.liveness(), Liveness::Alive | Liveness::Suspect)
            && (self.config.unanswered_limit..TOLD).contains(&self.state.unanswered_in_a_row())
        {
            self.state.set_unanswered_in_a_row(TOLD);
            let verdict = self.config.unanswered_verdict;
            self.find(Findings::PING_UNANSWERED, verdict, Reason::PingUnanswered);
        }
        if !was_lossy && self.probes_are_lost() && self.state.liveness().is_live() {
            self.find(Findings::PROBE_LOSS, self.config.loss_verdict, Reason::ProbeLoss);
        }
    }

    pub(crate) fn probes_are_lost(&self) -> bool {
        let (k, n) = (self.config.loss_k, self.config.loss_n);
        n != 0 && self.state.losses(n) >= u32::from(k)
    }

    /// Once a silence, a written ping gets its whole window: under Reprobe (rule J6), and under
    /// the external schedule, whose caller may probe at the last moment (rule CF6).
    fn may_wait_for_window(&self) -> bool {
        (self.config.late_policy == LatePolicy::Reprobe
            || self.config.schedule == PingSchedule::External)
            && self.state.reprobe() == Reprobe::None
            && self.state.misses() == 0
            && self.state.waiting() == Waiting::Pong
            && !(self.state.ping_unwritten() && self.state.judges_newest())
    }

    /// Why silence convicts now (rule J5).
    fn reason_of_silence(&self) -> Reason {
        if self.state.misses() > 0 {
            Reason::NoResponse
        } else if self.state.ping_unwritten() || self.state.written_late() {
            Reason::WriteStalled
        } else if self.config.schedule == PingSchedule::External
            && self.state.waiting() != Waiting::Pong
        {
            Reason::NotProbed
        } else {
            Reason::Silence
        }
    }

    /// Grants a re-probe if the limit of silence lies less than a window ahead (rules J6, LC9).
    pub(crate) fn grant_reprobe_if_near(&mut self) {
        let (_, limit) = deadlines::limits(self.config, self.state);
        let near = limit < self.now + self.config.window;
        if near && self.config.judges() && self.state.reprobe() == Reprobe::None {
            self.grant_reprobe();
            self.out.report(Findings::REPROBE);
        }
    }

    /// No verdict before a window from now, in spite of what was granted before (rule J14).
    pub(crate) fn hold(&mut self, probe: bool) {
        // A late call has a grant to give, if none was given yet: a fresh probe (J6).
        let forgiven = self.late
            && self.config.late_policy == LatePolicy::Reprobe
            && self.state.reprobe() == Reprobe::None;
        if !self.state.liveness().is_live() || self.state.draining() || forgiven {
            return;
        }
        self.end_windows();
        let (_, limit) = deadlines::limits(self.config, self.state);
        let near = limit < self.now + self.config.window && self.config.judges();
        if !near || !self.state.liveness().is_live() || self.state.reprobe() == Reprobe::Wanted {
            return;
        }
        if !self.config.ids && self.state.waiting() == Waiting::Pong && !self.state.ping_unwritten()
        {
            // It may be older than the last evidence: then its window is no chance.
            self.state.wait(Waiting::Nothing, self.now);
            self.confuse_samples();
        }
        self.grant(probe);
        self.out.report(Findings::REPROBE);
    }

    /// One fresh probe and one window before any verdict.
    pub(crate) fn grant_reprobe(&mut self) {
        self.grant(true);
    }

    /// One window before any verdict; `fresh`: that of a probe of its own.
    fn grant(&mut self, fresh: bool) {
        if !self.config.judges() {
            return;
        }
        let outstanding = !self.config.ids && self.state.waiting() == Waiting::Pong;
        let running = if !self.config.probes() {
            Waiting::Window
        } else if self.state.waiting() == Waiting::Caller {
            Waiting::Caller // It was asked for already.
        } else if self.state.ping_unwritten() || outstanding {
            // A ping is under way and a second one may not be sent: that one is the probe.
            self.state.ledger.written(self.state.seq, self.now);
            self.state.last_ping = self.now;
            self.confuse_samples();
            Waiting::Pong
        } else if fresh {
            return self.state.set_reprobe(Reprobe::Wanted);
        } else {
            Waiting::Window
        };
        self.state.wait(running, self.now);
        self.state.set_reprobe(Reprobe::Running);
    }

    /// A finding with a policy.
    pub(crate) fn find(&mut self, finding: Findings, verdict: Verdict, reason: Reason) {
        match verdict {
            Verdict::Ignore => {}
            Verdict::Report => self.out.report(finding),
            Verdict::Convict => {
                self.out.report(finding);
                if self.state.liveness().is_live() {
                    self.lose(reason); // In Lost there is no second verdict (A3).
                }
            }
        }
    }

    /// The verdict (rule J12).
    pub(crate) fn lose(&mut self, reason: Reason) {
        self.state.wait(Waiting::Nothing, self.now);
        self.state.set_reprobe(Reprobe::None);
        self.state.set_probe_wanted(false);
        self.confuse_samples();
        self.state.keep_outcomes(0);
        self.state.set_mistaken(false);
        // Nobody waits for what was not written until now.
        self.state.set_ping_unwritten(false);
        self.state.set_tx_owing(false);
        if self.state.may_reopen(self.config) {
            self.state.plan = self.state.last_ping.saturating_add(self.config.down_interval);
        } else {
            self.state.set_final(true); // Whatever a later configuration says.
        }
        self.change(Liveness::Lost, reason);
    }
}
