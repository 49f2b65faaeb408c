//! J6 to J8: late calls; LC5 and LC6: suspension and resume.

use core::time::Duration;

use heartbeat_proto::{Event, Findings, LatePolicy, Liveness, MAX_SPAN};

use super::{Judged, Nanos, Reference, Reprobe, Twist};

impl Reference {
    /// RP1: how late this call is, if a wake-up was asked for and has come.
    fn lateness(&self) -> Option<Nanos> {
        self.wake.filter(|wake| *wake <= self.now).map(|wake| self.now - wake)
    }

    /// J12: the worst lateness since the last evidence.
    pub(super) fn note_lateness(&mut self) {
        self.worst_lateness = self.worst_lateness.max(self.lateness().unwrap_or(0));
    }

    /// J6 to J8.
    pub(super) fn late_call(&mut self, event: Event) {
        let Some(lateness) = self.lateness() else { return };
        let slack = if self.twist == Some(Twist::NoSlack) { 0 } else { self.rules.slack };
        // LC6: "a `Resume` is itself never a late call".
        let judging = self.liveness.is_live() && self.draining.is_none();
        if !judging || lateness <= slack || matches!(event, Event::Resume { .. }) {
            return;
        }
        self.tell(Findings::LATE_CALL);
        self.call.late = true;
        self.spoil();
        match self.rules.knobs.late_policy {
            LatePolicy::Strict => {}
            LatePolicy::Forgive(max) => {
                let by = lateness.min(max.as_nanos() as Nanos);
                self.shift(self.now - lateness, by);
            }
            LatePolicy::Reprobe => {
                if let Some(stall) = &mut self.stall {
                    *stall = (*stall + lateness).min(self.now);
                    self.last_sent = *stall; // P12: one clock of the writer
                }
                self.call.may_grant = !self.is_evidence(event);
            }
            _ => unreachable!("a policy that the text does not know"),
        }
    }

    /// E6, E8: a pause with a ping unanswered.
    fn spoil(&mut self) {
        self.confuse();
        if self.newest().is_some_and(|ping| !ping.answered) {
            self.paused_at = Some(self.seq);
        }
    }

    /// J6: what a late call is granted, once its event is known.
    pub(super) fn late_grant(&mut self) {
        let soon = self.limit_of_silence() < self.now + self.rules.w;
        let again = self.twist == Some(Twist::GrantsForEver);
        let first = self.reprobe == Reprobe::None || again;
        let here = self.liveness.is_live() && self.suspended.is_none();
        if self.call.may_grant && soon && first && here {
            self.end_windows();
            self.grant();
        }
    }

    /// A6, LC9: no verdict at once by a limit of silence that came nearer.
    pub(super) fn grant_if_near(&mut self) {
        let soon = self.limit_of_silence() < self.now + self.rules.w;
        if soon && self.reprobe == Reprobe::None {
            self.grant();
        }
    }

    /// J6.
    pub(super) fn grant(&mut self) {
        let judged = self.judges() && self.liveness.is_live() && self.draining.is_none();
        if !judged || self.suspended.is_some() {
            return;
        }
        self.tell(Findings::REPROBE);
        self.confuse();
        let outstanding = !self.rules.knobs.ids && self.judged.is_some();
        if self.ping_waits || outstanding {
            // "That one's window is begun anew instead."
            let now = self.now;
            if let Some(newest) = self.pings.last_mut() {
                newest.sent = now;
                newest.emitted = now;
                self.last_ping = now;
                self.judged = Some(Judged { seq: newest.seq, from: now });
            }
            self.reprobe = Reprobe::Running(self.now + self.rules.w);
        } else if self.request.is_some() && self.rules.external() {
            // "The window alone runs from `now`."
            self.request = Some(self.now);
            self.reprobe = Reprobe::Running(self.now + self.rules.w);
        } else if !self.rules.probes() {
            self.reprobe = Reprobe::Running(self.now + self.rules.w);
            self.lone = Some(self.now);
        } else {
            self.request = None;
            self.reprobe = Reprobe::Granted;
        }
    }

    /// E8: after a resume or a grant with a ping unanswered.
    fn confuse(&mut self) {
        if self.newest().is_some_and(|ping| !ping.answered) {
            self.ambiguous = 2;
        }
    }

    /// J14.
    pub(super) fn on_hold(&mut self, probe: bool) {
        let judged = self.judges() && self.liveness.is_live() && self.draining.is_none();
        // "At a late call that J6 gives a grant it changes nothing."
        let granted = self.call.may_grant && self.reprobe == Reprobe::None;
        if !judged || granted {
            return;
        }
        self.end_windows();
        let soon = self.limit_of_silence() < self.now + self.rules.w;
        let waits = self.reprobe == Reprobe::Granted;
        if !self.liveness.is_live() || !soon || waits {
            return;
        }
        if !self.rules.knobs.ids && !self.ping_waits {
            self.judged = None;
        }
        let begun_anew = self.ping_waits || self.request.is_some() || !self.rules.probes();
        if probe || begun_anew || self.twist == Some(Twist::HoldsProbe) {
            return self.grant();
        }
        self.tell(Findings::REPROBE);
        self.confuse();
        self.judged = None;
        self.lone = Some(self.now);
        self.reprobe = Reprobe::Running(self.now + self.rules.w);
    }

    /// LC5.
    pub(super) fn on_suspend(&mut self) {
        if !matches!(self.liveness, Liveness::Lost | Liveness::Closed) && self.suspended.is_none() {
            self.suspended = Some(self.now);
        }
    }

    /// LC5: "any other event but `Close` implies it."
    pub(super) fn implied_resume(&mut self, event: Event) {
        let explicit = matches!(event, Event::Resume { .. } | Event::Suspend | Event::Close);
        if self.suspended.is_some() && !explicit {
            self.on_resume(Duration::ZERO);
        }
    }

    /// LC6.
    pub(super) fn on_resume(&mut self, slept: Duration) {
        if matches!(self.liveness, Liveness::Lost | Liveness::Closed) {
            return;
        }
        let slept = slept.as_nanos() as Nanos;
        let began = self.suspended.take().unwrap_or(self.now);
        let d = self.now - began;
        self.shift(began, d);
        if self.twist != Some(Twist::SleepNotCredited) {
            self.shift_past((slept - d).max(0));
        }
        self.tell(Findings::RESUMED);
        self.spoil();
        self.judged = None;
        self.request = None;
        if self.liveness.is_live() {
            self.grant();
            self.call.findings = self.call.findings.without(Findings::REPROBE);
        }
    }

    /// LC6, J7: all stamps move by `by`; those that were past at `began` not beyond now.
    fn shift(&mut self, began: Nanos, by: Nanos) {
        let now = self.now;
        self.plan = (self.plan + by).min(now + self.ie());
        let latest = self.now + MAX_SPAN.as_nanos() as Nanos;
        self.draining = self.draining.map(|limit| (limit + by).min(latest));
        self.shift_stamps(|stamp| if stamp > began { stamp + by } else { (stamp + by).min(now) });
    }

    /// LC6: what lay ahead stays, what was past moves by `by`, not beyond now.
    fn shift_past(&mut self, by: Nanos) {
        let now = self.now;
        self.shift_stamps(|stamp| if stamp > now { stamp } else { (stamp + by).min(now) });
    }

    fn shift_stamps(&mut self, moved: impl Fn(Nanos) -> Nanos) {
        self.ev = moved(self.ev);
        self.last_ping = moved(self.last_ping);
        self.start = moved(self.start);
        self.request = self.request.map(&moved);
        self.lone = self.lone.map(&moved);
        self.stall = self.stall.map(&moved);
        self.last_sent = self.stall.unwrap_or(self.last_sent); // P12: one clock of the writer
        if let Some(judged) = &mut self.judged {
            judged.from = moved(judged.from);
        }
        if let Reprobe::Running(until) = &mut self.reprobe {
            *until = moved(*until);
        }
        for ping in &mut self.pings {
            ping.sent = moved(ping.sent);
            ping.emitted = moved(ping.emitted);
            ping.written = ping.written.map(&moved);
        }
    }
}
