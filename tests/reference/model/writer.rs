//! J11: what waits to be written, where writes are reported.

use heartbeat_proto::PingId;

use super::{LedgerKind, Reference, Twist};

impl Reference {
    /// "The clock starts when the first of them is handed over or `TxBlocked` comes."
    pub(super) fn something_waits(&mut self) {
        if self.stall.is_none() {
            self.stall = Some(self.now);
            self.last_sent = self.now; // P12: one clock of the writer
        }
    }

    /// "Starts anew at each `TxProgress`, `PongSent` or `PingSent`, and ends when nothing waits."
    pub(super) fn writer_moved(&mut self) {
        let waits = self.ping_waits || self.owing;
        let from = self.stall.filter(|_| self.twist == Some(Twist::StallFromFirst));
        self.stall = waits.then_some(from.unwrap_or(self.now));
        self.last_sent = self.now; // P12
    }

    fn is_reported(&self) -> bool {
        self.rules.knobs.write_reports
    }

    pub(super) fn on_ping_sent(&mut self, id: PingId) {
        if !self.is_reported() {
            return;
        }
        let now = self.now;
        let newest = id == PingId::new(self.epoch, self.seq);
        if !newest || !self.ping_waits {
            return;
        }
        {
            self.ping_waits = false;
            if let Some(ping) = self.pings.last_mut() {
                ping.written = Some(now);
                ping.slow = now > ping.emitted + self.rules.slack;
                // E6: the echo ledger knows a granted ping by its emission.
                let echo = self.rules.knobs.ledger == LedgerKind::Echo;
                if !echo {
                    ping.sent = now;
                }
                let seq = ping.seq;
                let running = matches!(self.reprobe, super::Reprobe::Running(_)); // J6
                if !running || self.judged.is_none_or(|judged| judged.seq != seq) {
                    ping.sent = now;
                    self.last_ping = now;
                }
                let unjudged = self.judged.is_none_or(|judged| judged.seq == seq && !running);
                if unjudged && self.twist != Some(Twist::WindowFromEmission) {
                    self.judged = Some(super::Judged { seq, from: now }); // P8
                }
            }
        }
        self.owing = false;
        self.writer_moved();
    }

    pub(super) fn on_pong_sent(&mut self) {
        if self.is_reported() {
            self.owing = false;
            self.writer_moved();
        }
    }

    pub(super) fn on_progress(&mut self) {
        if self.is_reported() {
            self.owing = false;
            self.writer_moved();
        }
    }

    pub(super) fn on_blocked(&mut self) {
        if self.is_reported() {
            self.owing = true;
            self.something_waits();
        }
    }

    /// J11: when the writer's limit is reached.
    pub(super) fn stall_at(&self) -> Option<super::Nanos> {
        let judged = self.liveness.is_live() && self.draining.is_none();
        Some(self.stall.filter(|_| judged)? + self.rules.write_stall)
    }

    pub(super) fn stalled(&self) -> bool {
        self.stall_at().is_some_and(|limit| self.now > limit)
    }
}
