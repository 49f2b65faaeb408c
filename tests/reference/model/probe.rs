//! Section 4: what leaves.

use heartbeat_proto::{Findings, PingId};

use super::{Act, Judged, Nanos, Ping, Reference, Reprobe, Twist};

impl Reference {
    /// P8: the start of a ping's window.
    pub(super) fn window_start(&self, ping: Ping) -> Nanos {
        if ping.granted { ping.sent } else { ping.written.unwrap_or(ping.sent) }
    }

    /// P7.
    pub(super) fn on_ping_due(&mut self) {
        if self.may_send() && self.rules.probes() {
            self.wanted = true;
        }
    }

    /// The probe of a call.
    pub(super) fn probe(&mut self) {
        if !self.rules.knobs.ids && self.judged.is_some() {
            return; // P9
        }
        if self.asks_later() {
            return; // P10
        }
        if !self.ping_is_due() {
            return;
        }
        self.excuse_slot(); // P5
        if !self.ping_is_due() {
            return;
        }
        if self.waits_to_be_written() {
            // P9.
            if self.plan <= self.now {
                self.tell(Findings::PING_SKIPPED);
                self.plan_after(self.seq);
            }
            return;
        }
        if self.rules.external() && !self.wanted {
            self.request_probe();
        } else if self.rules.probes() {
            self.send_ping();
        } else {
            self.plan_after(self.seq);
            self.send_beacon();
        }
    }

    fn ping_is_due(&self) -> bool {
        self.next_ping().is_some_and(|due| due <= self.now)
    }

    /// P9: whether what would leave must wait for the writer.
    pub(super) fn waits_to_be_written(&self) -> bool {
        if self.rules.probes() { self.ping_waits } else { self.owing }
    }

    /// P10: "no ping is judged (unless a grant sends another) and no request open".
    pub(super) fn asks_later(&self) -> bool {
        let judged = self.judged.is_some() && self.reprobe != Reprobe::Granted;
        self.rules.external() && !self.wanted && (judged || self.request.is_some())
    }

    /// P10.
    fn request_probe(&mut self) {
        self.call.request = true;
        self.request = Some(self.now);
        self.plan_after(self.seq);
        let held = matches!(self.reprobe, Reprobe::Running(_)) && self.lone.is_some(); // J14
        if self.reprobe == Reprobe::Granted || held {
            self.reprobe = Reprobe::Running(self.now + self.rules.w); // J6
            self.judged = None;
        }
        self.lone = None;
    }

    /// P11: numbers start at 1, grow by 1 and skip 0.
    fn number(&mut self) -> PingId {
        self.seq = self.seq.wrapping_add(1).max(1);
        PingId::new(self.epoch, self.seq)
    }

    fn send_ping(&mut self) {
        // J6: by a grant, or as the probe that a grant asked the caller for.
        let granted = self.reprobe == Reprobe::Granted
            || (matches!(self.reprobe, Reprobe::Running(_))
                && (self.request.is_some() || self.lone.is_some())); // J14
        self.plan_after(self.seq);
        let id = self.number();
        self.call.probe = Some(Act::SendPing { id, stamp: self.now as u64 });
        self.pings.push(Ping {
            seq: id.seq(),
            stamp: self.now,
            sent: self.now,
            emitted: self.now,
            written: None,
            slow: false,
            answered: false,
            granted,
        });
        // P8.
        if self.judged.is_none() || granted {
            self.judged = Some(Judged { seq: id.seq(), from: self.now });
        }
        if granted {
            self.reprobe = Reprobe::Running(self.now + self.rules.w); // J6
        }
        self.last_ping = self.now;
        self.wanted = false;
        self.request = None;
        self.lone = None;
        self.calm_done = false; // A5
        self.ambiguous = self.ambiguous.saturating_sub(1); // E8
        self.emitted();
        if self.rules.knobs.write_reports {
            self.ping_waits = true;
            self.something_waits(); // J11
        }
    }

    fn send_beacon(&mut self) {
        // P11.
        let id =
            if self.rules.probes() { PingId::new(self.epoch, self.seq) } else { self.number() };
        self.call.probe = Some(Act::SendBeacon { id, stamp: self.now as u64 });
        if !self.rules.probes() {
            self.last_ping = self.now;
        }
        self.sent_other();
    }

    /// A pong or a beacon was emitted.
    pub(super) fn sent_other(&mut self) {
        self.emitted();
        if self.rules.knobs.write_reports {
            self.owing = true;
            self.something_waits();
        }
    }

    /// P12: sent at its emission, unless it waits behind something else; a report of the writer
    /// is a later sending.
    fn emitted(&mut self) {
        if self.stall.is_none() {
            self.last_sent = self.now;
        }
    }

    /// P12: when the keepalive is owed.
    pub(super) fn keepalive_due(&self) -> Option<Nanos> {
        let keepalive = self.rules.keepalive?;
        let owed = self.liveness.is_live()
            && self.draining.is_none()
            && self.suspended.is_none()
            && !self.ping_waits
            && !self.owing;
        owed.then_some(self.last_sent + keepalive)
    }

    /// P12.
    pub(super) fn keepalive(&mut self) {
        let due = self.keepalive_due().is_some_and(|due| due <= self.now);
        if due && self.call.probe.is_none() && self.twist != Some(Twist::NoKeepalive) {
            self.send_beacon();
        }
    }
}
