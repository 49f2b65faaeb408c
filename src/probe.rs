//! The fourth and the fifth part of a step: what is sent because it is due. Pings by the plan, and
//! the sign of life that is owed (section 4 of the rules).

#![expect(clippy::inline_always, reason = "a due ping is half of all that ever happens")]

use crate::config::{Mode, PingSchedule};
use crate::deadlines::{self, Deadlines};
use crate::detector::Detector;
use crate::event::PingId;
use crate::finding::Findings;
use crate::jitter;
use crate::ledger::Ledger;
use crate::liveness::Liveness;
use crate::machine::Call;
use crate::state::{Reprobe, Waiting};

impl<D: Detector, L: Ledger> Call<'_, D, L> {
    #[inline(always)]
    pub(crate) fn plan_probe(&mut self) {
        let reopening = self.state.liveness() == Liveness::Lost;
        let next_interval = self.next_interval();
        if self.now >= self.state.plan && self.state.heard_traffic() {
            if let Some(moved) =
                deadlines::excused(self.config, self.state, next_interval, self.now)
            {
                self.state.plan = moved; // P5
                if self.now < Deadlines::of(self.config, self.state).probe {
                    return;
                }
            }
        }
        let beacon = self.config.mode == Mode::Beacon;
        let unwritten = self.state.ping_unwritten() || (beacon && self.state.tx_owing());
        self.advance_plan(next_interval);
        if unwritten {
            self.out.report(Findings::PING_SKIPPED); // P9
        } else if beacon {
            self.send_beacon();
        } else if self.config.schedule == PingSchedule::Own || self.state.probe_wanted() {
            self.send_ping();
        } else {
            self.request_probe();
        }
        if reopening {
            let gap = deadlines::gap(self.config, self.state);
            self.state.plan = self.now + self.config.down_interval.max(gap); // P13
        }
    }

    /// The slot after the one that is used now (rules P2, P3).
    #[inline(always)]
    fn advance_plan(&mut self, next_interval: u64) {
        let now = self.now;
        let earliest = now + deadlines::gap(self.config, self.state);
        if self.state.plan > now {
            if self.state.plan < earliest {
                self.state.plan = now + next_interval; // P3
            }
            return;
        }
        let interval = deadlines::interval(self.config, self.state);
        let mut plan = self.state.plan.saturating_add(next_interval);
        if plan < earliest {
            // No interval is zero (CF2), but the compiler must see it: this is the only division.
            plan += (earliest - plan).div_ceil(interval.max(1)) * interval;
        }
        self.state.plan = plan.min(now + interval);
    }

    /// The plan after the effective interval has changed: not sooner than it allows after the last
    /// ping, and not later.
    pub(crate) fn replan(&mut self) {
        let interval = deadlines::interval(self.config, self.state);
        let (soonest, latest) =
            (self.state.last_ping + self.next_interval(), self.state.last_ping + interval);
        if self.state.seq != 0 {
            self.state.plan = self.state.plan.max(soonest);
        }
        self.state.plan = self.state.plan.min(latest).max(self.now);
    }

    /// The jittered interval to the slot after this: shorter by up to `jitter` (rule P2).
    #[inline(always)]
    pub(crate) fn next_interval(&self) -> u64 {
        let interval = deadlines::interval(self.config, self.state);
        interval - jitter::share(self.spread(interval), self.state.epoch, self.state.seq)
    }

    /// By how much the jitter may shorten an interval.
    pub(crate) fn spread(&self, interval: u64) -> u64 {
        interval / 100 * u64::from(self.config.jitter_percent)
    }

    #[inline(always)]
    fn send_ping(&mut self) {
        let gap = deadlines::gap(self.config, self.state);
        debug_assert!(self.state.seq == 0 || self.now >= self.state.last_ping + gap); // R1
        let (now, seq) = (self.now, self.next_seq());
        self.state.ledger.emitted(seq, now);
        self.state.last_ping = now;
        self.state.set_unanswered(self.state.unanswered() + 1);
        self.state.set_written_late(false);
        self.state.set_probe_wanted(false);
        self.state.set_calm_obeyed(false);
        self.state.set_ambiguity(self.state.ambiguity().saturating_sub(1));
        if self.state.waiting() != Waiting::Pong || self.state.reprobe() == Reprobe::Wanted {
            self.state.wait(Waiting::Pong, now);
        }
        if self.state.reprobe() == Reprobe::Wanted {
            self.state.set_reprobe(Reprobe::Running);
        }
        self.owe_write();
        self.state.set_ping_unwritten(self.config.write_reports);
        self.out.ping(PingId::new(self.state.epoch, seq), now);
    }

    pub(crate) fn send_beacon(&mut self) {
        // Where pings are sent the numbers are theirs (P11): a pong is told by how many lie behind.
        let seq = if self.config.probes() { self.state.seq } else { self.next_seq() };
        if self.config.mode == Mode::Beacon {
            self.state.last_ping = self.now;
        }
        self.owe_write();
        self.state.set_tx_owing(self.config.write_reports);
        self.out.beacon(PingId::new(self.state.epoch, seq), self.now);
    }

    /// Asks the caller to probe (rule P10).
    #[cold]
    fn request_probe(&mut self) {
        let granted = self.state.reprobe() == Reprobe::Wanted;
        // One at a time: until then there is no deadline for it.
        let free = matches!(self.state.waiting(), Waiting::Nothing | Waiting::Window);
        debug_assert!(granted || free);
        self.state.wait(Waiting::Caller, self.now);
        self.out.request_probe();
        if granted {
            self.state.set_reprobe(Reprobe::Running);
        }
    }

    fn next_seq(&mut self) -> u32 {
        self.state.seq = self.state.seq.wrapping_add(1).max(1); // P11
        self.state.seq
    }

    /// Something is handed to the writer: the stall clock starts unless it runs already.
    pub(crate) fn owe_write(&mut self) {
        if !self.state.ping_unwritten() && !self.state.tx_owing() {
            self.state.tx_at = self.now;
        }
    }

    #[cold]
    pub(crate) fn owe_sign_of_life(&mut self) {
        if !self.out.sends_life() {
            self.send_beacon(); // P12
        }
    }
}
