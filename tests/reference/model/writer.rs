//! J11: what waits to be written, where writes are reported.

use heartbeat_proto::{Findings, Liveness, PingId};

use super::{Reference, Twist};

impl Reference {
    /// "The clock starts when the first of them is handed over or `TxBlocked` comes."
    pub(super) fn something_waits(&mut self) {
        self.stall = self.stall.or(Some(self.now));
    }

    /// "Starts anew at each `TxProgress`, `PongSent` or `PingSent`, and ends when nothing waits."
    fn writer_moved(&mut self) {
        let waits = self.ping_waits || self.owing;
        self.stall = waits.then_some(self.now);
        self.last_sent = self.now; // P12
    }

    fn is_reported(&self) -> bool {
        self.rules.knobs.write_reports && self.liveness != Liveness::Idle
    }

    pub(super) fn on_ping_sent(&mut self, id: PingId) {
        if !self.is_reported() {
            return;
        }
        let now = self.now;
        let newest = id == PingId::new(self.epoch, self.seq);
        if newest && self.ping_waits {
            self.ping_waits = false;
            if let Some(ping) = self.pings.last_mut() {
                ping.written = Some(now);
                let (seq, granted) = (ping.seq, ping.granted);
                if let Some(judged) = &mut self.judged
                    && judged.seq == seq
                    && !granted
                    && self.twist != Some(Twist::WindowFromEmission)
                {
                    judged.from = now; // P8
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

    /// J11: "a ping unwritten for W is told as `write_stalled` before that."
    pub(super) fn judge_unwritten(&mut self) {
        if self.unwritten_at().is_some_and(|limit| self.now > limit) {
            self.tell(Findings::WRITE_STALLED);
            self.told_unwritten = true;
        }
    }

    pub(super) fn unwritten_at(&self) -> Option<super::Nanos> {
        let waits = self.ping_waits && !self.told_unwritten;
        waits.then_some(self.last_ping + self.rules.w)
    }

    /// J11: when the writer's limit is reached.
    pub(super) fn stall_at(&self) -> Option<super::Nanos> {
        Some(self.stall? + self.rules.write_stall)
    }

    pub(super) fn stalled(&self) -> bool {
        self.stall_at().is_some_and(|limit| self.now > limit)
    }
}
