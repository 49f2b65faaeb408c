//! Section 3: what is evidence, and what it does.

use core::time::Duration;

use heartbeat_proto::{Event, Findings, LatePolicy, LifeRule, Liveness, Reason};

use super::ledger::{Answered, Pong};
use super::{Judged, Nanos, Reference, Reprobe, Twist};

impl Reference {
    /// E1 and E2: whether the life rule takes this event as life.
    pub(super) fn is_evidence(&self, event: Event) -> bool {
        let pong = self.classify(event);
        let of_this_epoch = pong.is_some_and(|pong| pong != Pong::WrongEpoch);
        let exact = pong.is_some_and(|pong| pong.answers().is_some());
        let frame = matches!(
            event,
            Event::PingReceived { .. }
                | Event::BeaconReceived { .. }
                | Event::FrameReceived
                | Event::LimitReceived { .. }
        );
        match self.rules.knobs.life_rule {
            LifeRule::ExactPong => exact,
            LifeRule::AnyPong => of_this_epoch,
            LifeRule::AnyFrame => of_this_epoch || frame,
            LifeRule::AnyByte => of_this_epoch || frame || event == Event::BytesReceived,
            _ => unreachable!("a life rule that the text does not know"),
        }
    }

    /// E9.
    pub(super) fn evidence_after_the_end(&mut self, event: Event) {
        let evidence = self.is_evidence(event);
        if let Some(pong) = self.classify(event) {
            self.tell_pong(pong);
            if let Some(answered) = pong.answers() {
                self.note_answer(answered, event);
            }
        }
        match event {
            Event::PingReceived { .. } => self.tell_unexpected(),
            Event::PingSent { id } => self.on_ping_sent(id),
            _ => {}
        }
        if let Event::LimitReceived { min_gap } = event {
            self.take_limit(min_gap);
        }
        let lost = self.liveness == Liveness::Lost;
        if lost && !self.told_mistake && evidence {
            self.tell(Findings::MISTAKE);
            self.told_mistake = true;
        }
    }

    /// E10: under Strict the verdict falls first.
    pub(super) fn verdict_before_evidence(&mut self, event: Event) {
        // LC6: a `Resume` moves the stamps first; J14: a `Hold` puts the verdict off.
        let first = matches!(event, Event::Resume { .. } | Event::Hold { .. })
            && self.twist != Some(Twist::StrictIgnoresHolds);
        if !self.verdict_by_silence_is_due() || first {
            return;
        }
        if self.rules.knobs.late_policy == LatePolicy::Strict
            && self.twist != Some(Twist::StrictTakesLateEvidence)
        {
            self.judge();
        }
        self.call.overdue = true;
    }

    /// Evidence that is no pong.
    pub(super) fn take_evidence(&mut self, event: Event) {
        if self.is_evidence(event) {
            self.live_on(false);
        }
    }

    /// Evidence: a matched or late pong (`exact`), or traffic.
    fn live_on(&mut self, exact: bool) {
        if self.call.fell {
            return; // E10: void.
        }
        if self.liveness == Liveness::Lost {
            if exact || !self.rules.probes() {
                self.reopen(); // LC7
            }
            return;
        }
        if !self.liveness.is_live() {
            return; // LC1
        }
        if self.call.overdue {
            self.tell(Findings::LATE_EVIDENCE); // E10
        }
        self.renew(!exact);
        match self.liveness {
            Liveness::Starting => self.becomes(Liveness::Alive, Reason::Heard), // LC2
            Liveness::Recovering => {
                if !self.reopened || self.rules.knobs.reopen_after <= 1 {
                    self.becomes(Liveness::Alive, Reason::Heard); // LC8
                } else if exact || !self.rules.probes() {
                    self.good_reply();
                } else {
                    self.recovered();
                }
            }
            _ => {}
        }
    }

    /// E3.
    pub(super) fn renew(&mut self, traffic: bool) {
        self.ev = self.now;
        self.traffic = traffic;
        self.misses = 0;
        self.reprobe = Reprobe::None;
        self.worst_lateness = 0; // J12: "since the last evidence"
        if !self.rules.probes() {
            self.proof = Some(self.now); // RP3
        }
        if self.twist == Some(Twist::EvidenceClearsWindow) {
            self.windows.clear();
        }
    }

    pub(super) fn on_pong(&mut self, event: Event) {
        let Some(pong) = self.classify(event) else { return };
        self.tell_pong(pong);
        if !self.liveness.is_live() && self.liveness != Liveness::Lost {
            return; // LC1
        }
        self.take_pong(event, pong);
    }

    /// E4: told in every state.
    fn tell_pong(&mut self, pong: Pong) {
        match pong {
            Pong::WrongEpoch => self.tell(Findings::PONG_WRONG_EPOCH),
            Pong::Unmatched => self.tell(Findings::PONG_UNMATCHED),
            Pong::Duplicate => self.tell(Findings::PONG_DUPLICATE),
            Pong::Late(_) | Pong::Forgotten => self.tell(Findings::PONG_LATE),
            Pong::Matched(_) => {}
        }
    }

    fn take_pong(&mut self, event: Event, pong: Pong) {
        if let Event::PongReceived { calm: true, .. } = event
            && pong.answers().is_some()
        {
            self.calm_down(); // A5
        }
        let evidence = self.is_evidence(event);
        if let Some(answered) = pong.answers() {
            self.answer(answered, matches!(pong, Pong::Late(_)), event);
        }
        if evidence {
            self.live_on(pong.answers().is_some());
        }
        if matches!(pong, Pong::Matched(_) | Pong::Late(_) | Pong::Forgotten) {
            self.unanswered_run = 0; // J10
            self.told_unanswered = false;
        }
        if pong == Pong::Duplicate {
            self.ambiguous = 2; // E8
        }
    }

    /// A matched or late pong, in any state.
    fn note_answer(&mut self, answered: Answered, event: Event) {
        if let Some(ping) = self.pings.iter_mut().find(|ping| ping.seq == answered.seq) {
            ping.answered = true;
        }
        let hold = match event {
            Event::PongReceived { hold, .. } => hold,
            _ => Duration::ZERO,
        };
        if self.is_unambiguous() {
            self.proof = self.proof.max(Some(answered.sent)); // RP3
            if !self.is_spoiled(answered) {
                self.sample(answered, hold);
            }
        }
    }

    /// E6: unanswered at a pause, and fewer than three pings were sent since.
    fn is_spoiled(&self, answered: Answered) -> bool {
        let since = self.paused_at.map(|newest| (answered.seq <= newest, self.seq - newest));
        let counts = self.rules.knobs.ids && self.twist != Some(Twist::PausesAreSampled);
        counts && since.is_some_and(|(before, pings)| before && pings < 3)
    }

    /// E8.
    fn is_unambiguous(&self) -> bool {
        self.ambiguous == 0 || self.rules.knobs.ids
    }

    /// A matched or late pong.
    fn answer(&mut self, answered: Answered, late: bool, event: Event) {
        if answered.seq == self.seq && self.ping_waits && self.is_unambiguous() {
            self.ping_waits = false;
            self.writer_moved();
        }
        self.note_answer(answered, event);
        self.resolve(answered, late);
    }

    /// E5.
    fn resolve(&mut self, answered: Answered, late: bool) {
        let Some(judged) = self.judged_sent() else { return };
        let g = if self.twist == Some(Twist::ResolveWithoutGap) { 0 } else { self.rules.g };
        if answered.sent <= judged - g {
            return;
        }
        // J9: "answered in its window or lost".
        // Without ids by what E8 makes of it, else by our own clock, whatever the pong echoes.
        let newest = self.judged.is_some_and(|judged| judged.seq == answered.seq);
        let matched = !late && newest && !self.rules.knobs.ids;
        let lost = !matched && self.window_end().is_some_and(|end| self.now > end);
        self.record_window(lost && !self.call.late);
        if self.call.fell {
            return;
        }
        self.judged = None;
        if let Some(&newest) = self.newest()
            && newest.seq > answered.seq
            && !newest.answered
        {
            self.judged = Some(Judged { seq: newest.seq, from: self.window_start(newest) });
        }
    }

    /// E6, E8, RP3.
    fn sample(&mut self, answered: Answered, hold: Duration) {
        let hold = hold.as_nanos() as Nanos;
        let hold = if self.twist == Some(Twist::HoldCounts) { 0 } else { hold };
        let sample = (self.now - answered.rtt_from - hold).max(1);
        let micros = (sample + 999) / 1000;
        let r = micros.min(500_000_000); // E7
        self.rtt = Some(match self.rtt {
            None => (8 * r, 2 * r),
            Some((srtt8, var4)) => {
                let var4 = var4 + (srtt8 / 8 - r).abs() - var4 / 4;
                (srtt8 + r - srtt8 / 8, var4)
            }
        });
        self.last_rtt = Some(micros.min(Nanos::from(u32::MAX)));
    }

    /// SRTT and RTTVAR.
    pub fn rtt(&self) -> Option<(Duration, Duration)> {
        let nanos = |x: Nanos| Duration::from_nanos(x as u64);
        self.rtt.map(|(srtt8, var4)| (nanos(srtt8 * 1000 / 8), nanos(var4 * 1000 / 4)))
    }

    /// RP3.
    pub fn is_verified_since(&self, since: u64) -> bool {
        self.liveness.is_live() && self.proof.is_some_and(|proof| proof >= Nanos::from(since))
    }
}
