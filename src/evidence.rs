//! What an event says: the second part of a step. Which inputs are life, which pong answers which
//! ping, and how the peer's own pings are answered and policed.

#![expect(clippy::inline_always, reason = "pongs are the most frequent input by far")]

use core::time::Duration;

use crate::config::{LatePolicy, LifeRule, Mode};
use crate::deadlines;
use crate::detector::{Detector, Evidence, Sign};
use crate::event::{Event, PingId};
use crate::finding::Findings;
use crate::ledger::{Answer, Ledger, Query};
use crate::liveness::{Liveness, Reason};
use crate::machine::Call;
use crate::state::{AMBIGUOUS, Reprobe, SPOILED, Waiting};
use crate::time::{Timestamp, nanos};

/// How often the interval may be doubled: the state counts to this.
const MOST_CALM: u8 = 15;

impl<D: Detector, L: Ledger> Call<'_, D, L> {
    #[inline(always)]
    pub(crate) fn apply_evidence(&mut self, event: Event) {
        match event {
            Event::Tick => {}
            Event::PongReceived { id, stamp, hold, calm } => {
                self.pong_received(id, stamp, hold, calm);
            }
            _ => self.apply_other(event),
        }
    }

    #[inline(never)]
    fn apply_other(&mut self, event: Event) {
        match event {
            Event::AnonymousPongReceived => self.anonymous_pong_received(),
            Event::PingReceived { id, stamp } => self.ping_received(id, stamp),
            Event::BeaconReceived { stamp, period } => {
                self.beat_received(None, stamp, Some(nanos(period)));
            }
            Event::FrameReceived => self.frame_received(),
            Event::BytesReceived => {
                if self.config.life_rule == LifeRule::AnyByte {
                    self.hear(Sign::Traffic, None, None, None);
                }
            }
            Event::LimitReceived { min_gap } => self.limit_received(nanos(min_gap)),
            Event::PingSent { id } => self.ping_sent(id),
            Event::PongSent | Event::TxProgress => {
                self.state.set_tx_owing(false);
                self.state.tx_at = self.now;
            }
            Event::TxBlocked => {
                if self.config.write_reports {
                    self.owe_write();
                    self.state.set_tx_owing(true);
                }
            }
            Event::PingDue => {
                let alive = self.state.liveness().is_live() && !self.state.draining();
                if self.config.probes() && (alive || self.is_reopening()) {
                    self.state.set_probe_wanted(true); // P7
                }
            }
            Event::Suspend => {
                let lost = self.state.liveness() == Liveness::Lost;
                if !lost && !self.has_ended() && self.state.waiting() != Waiting::Resume {
                    self.state.wait(Waiting::Resume, self.now); // LC5
                }
            }
            Event::Resume { slept } => self.resume(nanos(slept)),
            Event::Hold { probe } => self.hold(probe),
            _ => self.change_life(event),
        }
    }

    /// The life cycle (section 6).
    fn change_life(&mut self, event: Event) {
        let idle = self.state.liveness() == Liveness::Idle;
        match event {
            _ if self.has_ended() => {}
            Event::Start if idle => self.begin(Liveness::Starting),
            // There is nothing to drain.
            Event::Drain if idle || self.is_reopening() => self.close(Reason::ClosedLocally),
            Event::Drain if !self.state.draining() => {
                self.state.set_draining(true);
                self.state.wait(Waiting::Nothing, self.now);
                self.state.set_probe_wanted(false);
                self.state.set_reprobe(Reprobe::None);
                self.state.plan = self.now + self.config.drain_limit; // LC3
            }
            Event::Close => {
                if self.state.liveness().is_live() && self.config.mode != Mode::Passive {
                    self.out.goodbye(); // LC4
                }
                self.close(Reason::ClosedLocally);
            }
            Event::GoodbyeReceived => self.close(Reason::Goodbye),
            _ => {}
        }
    }

    fn close(&mut self, reason: Reason) {
        self.state.wait(Waiting::Nothing, self.now);
        self.change(Liveness::Closed, reason);
    }

    // ----- Pongs (rules E4 to E8) -----

    #[inline(always)]
    fn pong_received(&mut self, id: PingId, stamp: Option<Timestamp>, hold: Duration, calm: bool) {
        if id.epoch() != self.state.epoch {
            return self.out.report(Findings::PONG_WRONG_EPOCH);
        }
        if id.seq() == 0 || id.seq() > self.state.seq {
            self.out.report(Findings::PONG_UNMATCHED);
            return self.hear_pong(false, id.seq(), None);
        }
        let judged = self.state.waiting() == Waiting::Pong;
        let query = Query {
            seq: id.seq(),
            stamp,
            newest: self.state.seq,
            newest_at: self.state.last_ping,
            newest_answered: self.state.unanswered() == 0,
            judged_at: judged.then_some(self.state.waiting_since),
            gap: self.config.min_gap,
        };
        let answer = self.state.ledger.answered(&query);
        if answer != Answer::Duplicate && self.state.liveness() != Liveness::Recovering {
            self.state.set_unanswered_in_a_row(0); // J10: the peer does answer, however late.
        }
        match answer {
            Answer::Open(sent) => {
                if calm {
                    self.calm_down();
                }
                self.ping_answered(id.seq(), sent, nanos(hold));
            }
            Answer::Duplicate => {
                self.out.report(Findings::PONG_DUPLICATE);
                self.hear_pong(false, id.seq(), None);
            }
            Answer::Forgotten => {
                self.out.report(Findings::PONG_LATE);
                self.hear_pong(false, id.seq(), None); // It may be a replay.
            }
        }
    }

    /// A pong found its ping, which was sent at `sent`.
    #[inline(always)]
    fn ping_answered(&mut self, seq: u32, sent: u64, hold: u64) {
        let behind = self.state.seq - seq;
        let overtaken = behind >= u32::from(self.state.unanswered());
        if overtaken || self.now > sent.saturating_add(self.config.window) {
            self.out.report(Findings::PONG_LATE);
        }
        if !overtaken {
            self.state.set_unanswered(behind as u8); // Less than what it was.
        }
        if behind == 0 && self.state.ping_unwritten() {
            // The report of its writing is still to come, or got lost.
            self.state.set_ping_unwritten(false);
            self.state.tx_at = self.now;
        }
        let judged_at = self.state.waiting_since;
        // An earlier ping left at least the gap before the judged one.
        let resolves = sent.saturating_add(self.config.min_gap) > judged_at;
        if self.state.waiting() == Waiting::Pong && resolves {
            if behind == 0 {
                self.state.wait_no_more();
            } else {
                self.state.wait(Waiting::Pong, self.state.last_ping); // E5
            }
            if self.now <= judged_at + self.config.window || self.late {
                self.state.push_outcome(false);
            } else {
                self.answered_too_late();
            }
        }
        (self.out.proven, self.out.answered) = (true, sent);
        let pings_since_pause = SPOILED - self.state.ambiguity();
        if self.config.ids && pings_since_pause < SPOILED && behind >= pings_since_pause.into() {
            return self.hear_pong(true, seq, None); // E6: it may have waited for us.
        }
        let rtt = self.now.saturating_sub(sent).saturating_sub(hold).max(1);
        let micros = (rtt.saturating_add(999) / 1000).min(u32::MAX.into()) as u32;
        self.state.rtt.sample(micros);
        self.out.rtt_micros = micros;
        self.hear_pong(true, seq, Some(rtt));
    }

    /// Without ids it is not certain any more which ping the next pongs answer (rule E8).
    pub(crate) fn confuse_samples(&mut self) {
        if !self.config.ids {
            self.state.set_ambiguity(AMBIGUOUS);
        }
    }

    /// The judged ping was lost although its pong came before anybody looked (rule J9).
    #[cold]
    fn answered_too_late(&mut self) {
        let was_lossy = self.probes_are_lost();
        self.state.push_outcome(true);
        if !was_lossy && self.probes_are_lost() && self.state.liveness().is_live() {
            self.find(Findings::PROBE_LOSS, self.config.loss_verdict, Reason::ProbeLoss);
        }
    }

    /// A pong that names no ping answers the newest one (rule E8).
    #[inline(never)]
    fn anonymous_pong_received(&mut self) {
        let seq = self.state.seq;
        if seq == 0 {
            self.out.report(Findings::PONG_UNMATCHED);
            return self.hear_pong(false, seq, None);
        }
        if self.state.unanswered() == 0 {
            self.confuse_samples();
            self.out.report(Findings::PONG_DUPLICATE);
            return self.hear_pong(false, seq, None);
        }
        if self.state.liveness() != Liveness::Recovering {
            self.state.set_unanswered_in_a_row(0); // J10
        }
        if self.state.ambiguity() == 0 {
            return self.ping_answered(seq, self.state.last_ping, 0);
        }
        self.state.set_unanswered(0);
        if self.state.waiting() == Waiting::Pong {
            self.state.push_outcome(false);
            self.state.wait(Waiting::Nothing, self.now);
        } else {
            self.out.report(Findings::PONG_LATE);
        }
        self.hear_pong(true, seq, None);
    }

    /// `exact`: it answers a ping that nothing had answered before.
    #[inline(always)]
    fn hear_pong(&mut self, exact: bool, seq: u32, rtt: Option<u64>) {
        if exact || self.config.life_rule != LifeRule::ExactPong {
            let sign = if exact { Sign::Pong } else { Sign::Traffic };
            self.hear(sign, Some(seq), None, rtt);
        }
    }

    // ----- Pings of the peer (section 7) -----

    fn ping_received(&mut self, id: PingId, stamp: Option<Timestamp>) {
        // Two ends that have given each other up must answer, or neither ever recovers.
        let answers = self.state.liveness().is_live() || self.is_reopening();
        let struck = self.state.struck(); // Before the admission clears it.
        if self.config.answers() && answers && self.admit() {
            self.out.pong(id, struck); // A1, A4
            self.owe_write();
            self.state.set_tx_owing(self.config.write_reports);
        }
        if self.config.mode == Mode::Initiator {
            self.out.report(Findings::UNEXPECTED_PING);
        }
        self.beat_received(Some(id.seq()), stamp, None);
    }

    /// Nothing will ever happen again.
    fn has_ended(&self) -> bool {
        match self.state.liveness() {
            Liveness::Closed => true,
            Liveness::Lost => !self.is_reopening(),
            _ => false,
        }
    }

    /// Lost, but not for good (rules P13, LC7).
    pub(crate) fn is_reopening(&self) -> bool {
        self.state.liveness() == Liveness::Lost && self.state.may_reopen(self.config)
    }

    /// The token bucket (rules A2, A3).
    fn admit(&mut self) -> bool {
        let Some(half_gap) = self.config.accept_half_gap else {
            self.state.set_struck(false); // Policing may have been switched off since.
            return true;
        };
        if self.state.tat.saturating_add(half_gap) <= self.now {
            self.state.set_strikes(0); // `tat` lies half a gap after the last: a whole one of peace.
        }
        let burst = u64::from(self.config.accept_burst) - 1;
        if self.state.tat <= self.now.saturating_add(burst.saturating_mul(half_gap)) {
            self.state.tat = self.state.tat.max(self.now).saturating_add(half_gap);
            self.state.set_struck(false);
            return true;
        }
        self.out.report(Findings::PING_STRIKE);
        if self.state.struck() {
            return false; // One burst, which a stalled path makes of honest pings, is one strike.
        }
        self.state.set_struck(true);
        let strikes = self.state.strikes();
        self.state.set_strikes(strikes.saturating_add(1).min(self.config.max_strikes));
        if strikes < self.config.max_strikes && self.state.strikes() == self.config.max_strikes {
            self.find(Findings::PING_ABUSE, self.config.abuse_verdict, Reason::PingAbuse);
        }
        false
    }

    /// A ping or a beacon.
    fn beat_received(&mut self, seq: Option<u32>, stamp: Option<Timestamp>, period: Option<u64>) {
        if matches!(self.config.life_rule, LifeRule::AnyFrame | LifeRule::AnyByte) {
            self.hear(Sign::Beat, seq, Some((stamp, period)), None);
        }
    }

    fn frame_received(&mut self) {
        if matches!(self.config.life_rule, LifeRule::AnyFrame | LifeRule::AnyByte) {
            self.hear(Sign::Traffic, None, None, None);
        }
    }

    // ----- What the peer asks for (rules A5, A6) -----

    #[cold]
    fn calm_down(&mut self) {
        let live = self.state.liveness().is_live() && !self.state.draining();
        if self.state.calm_obeyed() || !live {
            return;
        }
        let level = self.state.calm();
        if level == MOST_CALM || self.config.interval << level >= self.config.interval_limit() {
            return; // At the cap already.
        }
        self.state.set_calm(level + 1);
        self.state.set_calm_obeyed(true);
        self.out.report(Findings::CALMED);
        self.replan();
    }

    fn limit_received(&mut self, min_gap: u64) {
        if min_gap > self.config.interval_limit() {
            self.out.report(Findings::LIMIT_EXCEEDED);
        }
        let before = deadlines::interval(self.config, self.state);
        self.state.set_peer_gap(min_gap);
        let live = self.state.liveness().is_live() && !self.state.draining();
        if live {
            self.replan();
        }
        self.frame_received();
        let shorter = deadlines::interval(self.config, self.state) < before;
        if live && shorter && !self.out.heard {
            self.grant_reprobe_if_near(); // No instant death by a shorter limit of silence.
        }
    }

    // ----- Writes -----

    fn ping_sent(&mut self, id: PingId) {
        let newest = id.epoch() == self.state.epoch && id.seq() == self.state.seq;
        if !newest || !self.state.ping_unwritten() {
            return;
        }
        self.state.ledger.written(id.seq(), self.now);
        self.state.set_ping_unwritten(false);
        self.state.set_tx_owing(false);
        self.state.tx_at = self.now;
        let took = self.now.saturating_sub(self.state.last_ping);
        self.state.set_written_late(took > self.config.slack);
        if self.state.reprobe() == Reprobe::Running && self.state.judges_newest() {
            return; // J6: the window that was granted runs from the emission.
        }
        if self.state.waiting() == Waiting::Nothing
            || (self.state.waiting() == Waiting::Pong && self.state.judges_newest())
        {
            self.state.wait(Waiting::Pong, self.now); // P8: the window runs from the writing.
        }
        self.state.last_ping = self.now;
    }

    // ----- Life -----

    /// Life was heard (rules E1 to E3, E9, E10, LC2, LC7).
    #[inline(always)]
    fn hear(
        &mut self,
        sign: Sign,
        seq: Option<u32>,
        beat: Option<(Option<Timestamp>, Option<u64>)>,
        rtt: Option<u64>,
    ) {
        if !self.state.liveness().is_live() && !self.hears_when_ended(sign) {
            return;
        }
        if self.overdue {
            self.out.report(Findings::LATE_EVIDENCE);
        }
        self.learn(sign, seq, beat, rtt);
        self.out.heard = true;
        self.state.ev = self.now;
        self.state.set_misses(0);
        self.state.set_reprobe(Reprobe::None);
        self.state.set_heard_traffic(sign != Sign::Pong);
        if !matches!(self.state.liveness(), Liveness::Alive | Liveness::Suspect) {
            self.recover(sign);
        }
    }

    /// Whether life counts before the start or after the end.
    #[cold]
    fn hears_when_ended(&mut self, sign: Sign) -> bool {
        match self.state.liveness() {
            Liveness::Lost if self.is_reopening() => {
                // E10: void in the call of the verdict; LC7.
                !self.lost_just_now() && (sign == Sign::Pong || !self.config.probes())
            }
            Liveness::Lost => {
                // What this very frame brought about (a loss, abuse) is no mistake (E10).
                let before = self.overdue && self.config.late_policy == LatePolicy::Strict;
                if !self.state.mistaken() && (before || !self.lost_just_now()) {
                    self.state.set_mistaken(true);
                    self.out.report(Findings::MISTAKE); // E9: told once.
                }
                false
            }
            _ => false,
        }
    }

    #[cold]
    fn recover(&mut self, sign: Sign) {
        match self.state.liveness() {
            Liveness::Starting => self.change(Liveness::Alive, Reason::Heard),
            Liveness::Lost => {
                self.state.set_mistaken(true);
                self.out.report(Findings::MISTAKE);
                self.change(Liveness::Recovering, Reason::Heard);
                self.state.set_good_in_a_row(0);
                let interval = deadlines::interval(self.config, self.state);
                self.state.plan = self.state.plan.min(self.state.last_ping + interval);
                self.count_good(sign);
            }
            _ => self.count_good(sign), // Recovering.
        }
    }

    /// Enough good replies make Recovering Alive: after a loss `reopen_after`, on the next
    /// connection one (rules LC7, LC8).
    fn count_good(&mut self, sign: Sign) {
        let needed = if self.state.mistaken() { self.config.reopen_after.max(1) } else { 1 };
        if sign == Sign::Pong || !self.config.probes() || needed == 1 {
            self.state.set_good_in_a_row(self.state.good_in_a_row() + 1);
        }
        if self.state.good_in_a_row() >= needed {
            self.state.set_good_in_a_row(0);
            self.change(Liveness::Alive, Reason::Heard);
        }
    }

    /// Tells the detector (rule J13).
    #[inline]
    pub(crate) fn learn(
        &mut self,
        sign: Sign,
        seq: Option<u32>,
        beat: Option<(Option<Timestamp>, Option<u64>)>,
        rtt: Option<u64>,
    ) {
        let trust = deadlines::trust(self.config, self.state);
        let evidence = Evidence {
            sign,
            at: Timestamp::from_nanos(self.now),
            silence_nanos: self.now.saturating_sub(self.state.ev).min(2 * self.config.ceiling),
            seq,
            stamp: beat.and_then(|(stamp, _)| stamp),
            period_nanos: beat.and_then(|(_, period)| period).unwrap_or(trust.period),
            rtt_nanos: rtt,
            in_pause: self.late,
        };
        self.config.detector.learn_in(&mut self.state.detector, &evidence, &trust);
    }
}
