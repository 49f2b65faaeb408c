//! [`PeerState::normalized`]: the representative of all states that differ by nothing but a shift
//! of time, the numbers of their pings, and what no rule will ever look at again.
//!
//! With it the state space of the shipped machine is finite, and a model checker exhausts it for
//! runs of any length (`tests/model`). It is sound if the original and its representative behave
//! alike for ever; `tests/normalized.rs` runs both side by side.

use crate::config::{Config, Mode, PingSchedule, Probing};
use crate::detector::Detector;
use crate::ledger::Ledger;
use crate::liveness::Liveness;
use crate::rtt::Rtt;
use crate::state::{PeerState, Reprobe, Waiting};
use crate::time::Timestamp;

impl<D: Detector, L: Ledger> PeerState<D, L> {
    /// The time at which a normalised state stands: far enough from both ends of the clock.
    #[doc(hidden)]
    pub const NORMAL_NOW: Timestamp = Timestamp::from_nanos(1 << 62);

    /// The number of the newest ping of a normalised state, if there is one.
    #[doc(hidden)]
    pub const NORMAL_SEQ: u32 = 1 << 16;

    /// The same state as if it were [`NORMAL_NOW`](Self::NORMAL_NOW), where `now` is the time of
    /// the last call. States with equal representatives behave alike for ever: they yield the same
    /// actions and ask for the same wake-ups, up to the shift of time and of ping numbers, for the
    /// same `config`. (Reports, reconfiguration and the next connection may tell them apart, and so
    /// may the end of the clock and pings more than 2^16 behind the newest.)
    ///
    /// Pings are renumbered only without jitter, which depends on their numbers.
    #[doc(hidden)]
    #[must_use]
    pub fn normalized(&self, config: &Config<D>, now: Timestamp) -> Self {
        let back = now.as_nanos().wrapping_sub(Self::NORMAL_NOW.as_nanos());
        let newest = match self.seq {
            0 => 0,
            seq if config.jitter_percent != 0 => seq,
            _ => Self::NORMAL_SEQ,
        };
        let stamp = |at: u64| at.wrapping_sub(back);
        let mut normal = self.renumbered(newest);
        normal.ev = stamp(self.ev);
        normal.plan = stamp(self.plan);
        normal.last_ping = stamp(self.last_ping);
        normal.waiting_since = stamp(self.waiting_since);
        normal.tx_at = stamp(self.tx_at);
        normal.tat = stamp(self.tat);
        normal.ledger = normal.ledger.renamed(Some, stamp);
        normal.detector = config.detector.normalized(&self.detector, back);
        normal.drop_what_is_off(config);
        normal.drop_what_is_over(config);
        normal
    }

    /// The same state, had its newest ping that number: how a connection is after more pings than
    /// anybody can wait for. Older pings keep their distance; what falls below 1 is forgotten.
    #[doc(hidden)]
    #[must_use]
    pub fn renumbered(&self, newest: u32) -> Self {
        let number = |seq: u32| newest.checked_sub(self.seq.checked_sub(seq)?);
        let mut renumbered = *self;
        renumbered.seq = newest;
        renumbered.ledger = self.ledger.renamed(number, |at| at);
        renumbered
    }

    /// Fields that rest under this configuration.
    fn drop_what_is_off(&mut self, config: &Config<D>) {
        let now = Self::NORMAL_NOW.as_nanos();
        let owing = self.ping_unwritten() || self.tx_owing();
        let clock_runs = if owing { config.write_stall } else { config.keepalive };
        if clock_runs.is_none() {
            self.tx_at = now;
        }
        if self.waiting() == Waiting::Nothing {
            self.waiting_since = now;
        }
        // A token bucket that has been full for a whole gap has forgiven everything (rule A3).
        self.tat = config.accept_half_gap.map_or(now, |half_gap| self.tat.max(now - half_gap));
        if !config.probes() && config.mode != Mode::Beacon {
            self.last_ping = now;
            if !self.draining() {
                self.plan = now;
            }
        }
        if !config.judges() && !self.draining() {
            self.ev = now;
            self.detector = D::State::default();
        }
        self.keep_outcomes(config.loss_n);
        // What excuses a slot (rule P5).
        if config.probing == Probing::Always
            || config.schedule == PingSchedule::External
            || !config.probes()
        {
            self.set_heard_traffic(false);
        }
    }

    /// Fields that only another phase of life reads.
    fn drop_what_is_over(&mut self, config: &Config<D>) {
        let now = Self::NORMAL_NOW.as_nanos();
        match self.liveness() {
            Liveness::Idle => {
                // All that `Start` sets anew.
                self.plan = now;
                self.last_ping = now;
                self.tx_at = now;
            }
            Liveness::Lost if self.may_reopen(config) => {
                // Longer silences are not told apart; and pauses do not move a lost peer's stamps.
                self.ev = self.ev.max(now - 2 * config.ceiling);
                let longest = config.keepalive.max(config.write_stall).unwrap_or(0);
                self.tx_at = self.tx_at.max(now - longest - 1);
            }
            Liveness::Lost | Liveness::Closed => self.drop_the_dead(config),
            _ => {}
        }
    }

    /// After the end only pongs are still classified (rule E4), for the findings.
    fn drop_the_dead(&mut self, config: &Config<D>) {
        let now = Self::NORMAL_NOW.as_nanos();
        let oldest = now - config.window - config.interval_limit() - 1;
        self.ev = now;
        self.plan = now;
        self.tx_at = now;
        self.tat = now;
        self.last_ping = self.last_ping.max(oldest);
        self.waiting_since = self.waiting_since.max(oldest);
        self.ledger = self.ledger.renamed(Some, |at| at.max(oldest));
        self.rtt = Rtt::default();
        self.detector = D::State::default();
        self.keep_outcomes(0);
        self.set_reprobe(Reprobe::None);
        self.set_tx_owing(false);
        self.set_probe_wanted(false);
        self.set_heard_traffic(false);
        self.set_calm_obeyed(false);
        self.set_misses(0);
        self.set_strikes(0);
        self.set_struck(false);
        self.set_written_late(false);
        self.set_unanswered_in_a_row(0);
    }
}
