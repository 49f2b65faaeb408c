//! Section 5: windows, signs, and the verdict.

use heartbeat_proto::{Findings, LatePolicy, Liveness, Mode, Reason, Verdict};

use super::{Judged, Nanos, Reference, Reprobe, Twist};

impl Reference {
    /// The judgement of a call.
    pub(super) fn judge(&mut self) {
        if self.suspended.is_some() || self.is_over() {
            return;
        }
        if self.liveness == Liveness::Idle {
            if self.passed(self.start, self.rules.startup_limit) {
                self.fall(Reason::StartupTimeout); // LC1
            }
            return;
        }
        if let Some(limit) = self.draining
            && self.now > limit
        {
            self.fall(Reason::DrainTimeout); // LC3
        }
        if self.draining.is_some() {
            return;
        }
        self.end_windows();
        if let Reprobe::Running(until) = self.reprobe
            && self.now > until
        {
            self.reprobe = Reprobe::Spent;
        }
        if !self.liveness.is_live() {
            return;
        }
        self.last_wait(); // J6
        let reason = if self.verdict_by_silence_is_due() {
            Some(self.reason_of_silence())
        } else if self.stalled() {
            Some(Reason::WriteStalled) // J11
        } else {
            None
        };
        match reason {
            Some(reason) => self.fall(reason),
            None => self.judge_signs(),
        }
    }

    pub(super) fn end_windows(&mut self) {
        self.judge_request();
        while let Some(end) = self.window_end()
            && self.now > end
        {
            self.end_window();
        }
        if self.lone.is_some_and(|from| self.passed(from, self.rules.w)) {
            self.lone = None;
        }
    }

    /// T4.
    fn passed(&self, from: Nanos, limit: Nanos) -> bool {
        self.now > from + limit
    }

    /// Beacon mode judges nobody.
    pub(super) fn judges(&self) -> bool {
        self.rules.knobs.mode != Mode::Beacon
    }

    /// What the detector names (J2).
    pub(super) fn detector(&self) -> Nanos {
        let slowed =
            if self.twist == Some(Twist::DetectorWithoutIe) { 0 } else { self.ie() - self.rules.i };
        self.ev + self.rules.t + slowed
    }

    /// `V` (J2).
    pub(super) fn limit_of_silence(&self) -> Nanos {
        self.detector().max(self.ev + self.fe()).min(self.ev + self.rules.c)
    }

    /// `V`, put off by a re-probe (J6); `None` while a granted ping is still to leave, or where
    /// silence does not convict.
    pub(super) fn verdict_at(&self) -> Option<Nanos> {
        let judged = self.judges()
            && self.liveness.is_live()
            && self.draining.is_none()
            && self.suspended.is_none();
        if !judged {
            return None;
        }
        let v = self.limit_of_silence();
        match self.reprobe {
            Reprobe::Granted => None,
            Reprobe::Running(until) => Some(v.max(until)),
            Reprobe::None | Reprobe::Spent => Some(v),
        }
    }

    /// J6: "when V is passed with no misses while the written judged ping's window still runs, V
    /// waits for its end, once a silence: under Reprobe, and under the external schedule."
    fn last_wait(&mut self) {
        let waits = self.rules.knobs.late_policy == LatePolicy::Reprobe || self.rules.external();
        let newest = self.judged.is_some_and(|judged| judged.seq == self.seq);
        let written = !(self.ping_waits && newest);
        let first = self.reprobe == Reprobe::None && self.misses == 0 && written;
        if waits
            && first
            && self.verdict_by_silence_is_due()
            && let Some(end) = self.window_end()
        {
            self.reprobe = Reprobe::Running(end);
            self.tell(Findings::REPROBE);
        }
    }

    pub(super) fn verdict_by_silence_is_due(&self) -> bool {
        self.verdict_at().is_some_and(|v| {
            self.now > v || (self.twist == Some(Twist::VerdictAtLimit) && self.now == v)
        })
    }

    /// J5.
    fn reason_of_silence(&self) -> Reason {
        let slow_writer = self.ping_waits || self.newest().is_some_and(|ping| ping.slow);
        if self.misses > 0 {
            Reason::NoResponse
        } else if slow_writer {
            Reason::WriteStalled
        } else if self.rules.external() && self.judged.is_none() {
            Reason::NotProbed
        } else {
            Reason::Silence
        }
    }

    /// P10.
    fn judge_request(&mut self) {
        if let Some(asked) = self.request
            && self.passed(asked, self.rules.w)
        {
            self.tell(Findings::NOT_PROBED);
            self.request = None;
        }
    }

    /// P8: when the judged ping's window ends.
    pub(super) fn window_end(&self) -> Option<Nanos> {
        let judged = self.judged?;
        Some(judged.from + self.rules.w)
    }

    /// Whether life was heard since `moment` (P8, J10).
    pub(super) fn life_since(&self, moment: Nanos) -> bool {
        self.ev > moment
    }

    /// P8, J9, J10: what an end of the judged window leads to.
    fn end_window(&mut self) {
        let Some(judged) = self.judged.take() else { return };
        let Some(&ping) = self.ping(judged.seq) else { return };
        let waiting = self.ping_waits && self.newest().is_some_and(|newest| newest.seq == ping.seq);
        self.ambiguous = 2; // E8
        if self.liveness == Liveness::Lost {
            if waiting {
                self.tell(Findings::WRITE_STALLED);
                self.ping_waits = false; // Section 9: given up in Lost
                self.stall = self.stall.filter(|_| self.owing);
            }
            self.judge_next(judged);
            return;
        }
        if waiting {
            self.tell(Findings::WRITE_STALLED); // J11: a ping unwritten for W
        }
        let life = self.life_since(judged.from); // P8: since its window began
        // J6: "a granted ping written more than slack after its emission is no miss".
        let slow = matches!(self.reprobe, Reprobe::Running(_)) && ping.seq == self.seq && ping.slow;
        if (!life || self.twist == Some(Twist::MissDespiteLife)) && !waiting && !slow {
            // "The run counts to N."
            self.misses = (self.misses + 1).min(self.rules.knobs.attempts);
            self.tell(Findings::MISS);
        }
        if waiting || slow {
            // P8, J6: neither a miss nor unanswered.
        } else if self.liveness == Liveness::Recovering {
            self.good_replies = 0; // LC7
        } else if !self.call.late {
            // J10: a window that a late call ends does not count.
            self.unanswered_run = self.unanswered_run.saturating_add(1);
            self.judge_unanswered(life);
        }
        if self.call.fell {
            return;
        }
        if !waiting && !slow && (!self.call.late || self.twist == Some(Twist::LateCallsRecordLoss))
        {
            self.record_window(true);
        }
        if self.call.fell {
            return;
        }
        self.judge_next(judged);
    }

    /// P8: "then the newest ping, if newer and unanswered, becomes the judged one."
    fn judge_next(&mut self, judged: Judged) {
        if let Some(&newest) = self.newest()
            && newest.seq > judged.seq
            && !newest.answered
        {
            self.judged = Some(Judged { seq: newest.seq, from: self.window_start(newest) });
        }
    }

    /// J10.
    fn judge_unanswered(&mut self, life: bool) {
        let (limit, verdict) = self.rules.knobs.unanswered;
        let limit = if self.twist == Some(Twist::CountsNoRun) { 1 } else { limit };
        let counted = matches!(self.liveness, Liveness::Alive | Liveness::Suspect);
        if !counted || !life || self.unanswered_run < limit {
            return;
        }
        if !self.told_unanswered && verdict != Verdict::Ignore {
            self.tell(Findings::PING_UNANSWERED);
            self.told_unanswered = true;
        }
        if verdict == Verdict::Convict {
            self.fall(Reason::PingUnanswered);
        }
    }

    /// J9.
    pub(super) fn record_window(&mut self, lost: bool) {
        let told = self.loses();
        self.windows.push(lost);
        let verdict = self.rules.knobs.loss.map_or(Verdict::Ignore, |(_, _, verdict)| verdict);
        if told || !self.loses() || verdict == Verdict::Ignore || self.liveness == Liveness::Lost {
            return;
        }
        self.tell(Findings::PROBE_LOSS);
        if verdict == Verdict::Convict {
            self.fall(Reason::ProbeLoss);
        }
    }

    /// J9: "k lost of the last n".
    fn loses(&self) -> bool {
        self.rules.knobs.loss.is_some_and(|(k, n, _)| {
            let last = self.windows.iter().rev().take(usize::from(n));
            last.filter(|lost| **lost).count() >= usize::from(k)
        })
    }

    /// J3: the first bad sign.
    fn bad_sign(&self) -> Option<Reason> {
        if self.misses > 0 {
            Some(Reason::Missed)
        } else if self.loses() {
            Some(Reason::ProbeLoss)
        } else if self.now > self.detector() {
            Some(Reason::Detector)
        } else if !self.rules.probes() && self.passed(self.ev, self.rules.i + self.rules.w) {
            Some(Reason::Missed)
        } else {
            None
        }
    }

    /// J4.
    fn judge_signs(&mut self) {
        if !self.judges() {
            return;
        }
        match (self.liveness, self.bad_sign()) {
            (Liveness::Alive, Some(reason)) => self.becomes(Liveness::Suspect, reason),
            (Liveness::Suspect, None) => self.becomes(Liveness::Alive, Reason::Heard),
            _ => {}
        }
    }

    /// The verdict, and section 9's row "Lost".
    pub(super) fn fall(&mut self, reason: Reason) {
        self.becomes(Liveness::Lost, reason);
        self.call.fell = true;
        self.plan = self.last_ping + self.rules.down; // P13; P4 holds too
        self.ambiguous = 2; // E8
        self.judged = None;
        self.lone = None;
        self.reprobe = Reprobe::None;
        self.windows.clear();
        self.ping_waits = false;
        self.owing = false;
        self.stall = None;
        self.wanted = false;
        self.request = None;
        let hard = reason == Reason::StartupTimeout || self.draining.is_some(); // LC1, LC3
        self.final_verdict = hard || !self.rules.reopens();
    }
}
