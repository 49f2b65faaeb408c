//! [`Kept`]: what of a peer outlives the process, on no clock; and the peer that comes of it
//! (rules SN1, SN4, SN5).

use super::{AMBIGUOUS, IN_A_ROW, LOSSES, PEER_GAP, PeerState, Waiting};
use crate::config::{Config, MAX_SPAN_NANOS};
use crate::deadlines;
use crate::detector::Detector;
use crate::jitter;
use crate::ledger::Ledger;
use crate::liveness::Liveness;
use crate::machine::END_OF_TIME;
use crate::rtt::Rtt;

/// What is saved of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) liveness: Liveness,
    /// While live: draining; while Lost: for good.
    pub(crate) draining: bool,
    pub(crate) mistaken: bool,
    pub(crate) struck: bool,
    pub(crate) calm: u8,
    pub(crate) strikes: u8,
    pub(crate) misses: u8,
    pub(crate) in_a_row: u8,
    pub(crate) losses: u16,
    /// As the state packs it: rule A6.
    pub(crate) peer_gap: u16,
    pub(crate) seq: u32,
    /// Since the last evidence.
    pub(crate) silence: Age,
    /// Since the last ping; while draining, since the limit, which lies ahead.
    pub(crate) last: Age,
    pub(crate) rtt: [u32; 2],
    /// What lasts of the detector; `None`: of another detector.
    pub(crate) lasting: Option<u64>,
}

/// How long ago, in units of 2^16 ns, rounded down; below zero: how far ahead, rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age(pub(crate) i32);

impl Age {
    const SHIFT: u32 = 16;

    fn of(stamp: u64, at: u64) -> Self {
        let nanos = i128::from(at) - i128::from(stamp);
        let most = i128::from(i32::MAX);
        Self((nanos >> Self::SHIFT).clamp(-most, most) as i32)
    }

    /// The stamp, when it is `now`.
    fn stamp(self, now: u64) -> u64 {
        now.saturating_add_signed(-(i64::from(self.0) << Self::SHIFT))
    }
}

/// Each draw of the jitter has a number; sequence numbers get here last.
const RELEASE: u32 = u32::MAX - 1;

impl<D: Detector, L: Ledger> PeerState<D, L> {
    /// What is to be saved at `now`.
    pub(crate) fn keep(&self, config: &Config<D>, now: u64) -> Kept {
        // Nobody's silence counts while suspended.
        let at = if self.waiting() == Waiting::Resume { self.waiting_since } else { now };
        Kept {
            liveness: self.liveness(),
            draining: self.draining(),
            mistaken: self.mistaken(),
            struck: self.struck(),
            calm: self.calm(),
            strikes: self.strikes(),
            misses: self.misses(),
            in_a_row: self.word.get(IN_A_ROW) as u8,
            losses: self.word.get(LOSSES) as u16,
            peer_gap: self.word.get(PEER_GAP) as u16,
            seq: self.seq,
            silence: Age::of(self.ev, at),
            last: Age::of(if self.drains() { self.plan } else { self.last_ping }, at),
            rtt: self.rtt.parts(),
            lasting: Some(config.detector.lasting(&self.detector)),
        }
    }

    /// The peer that is restored at `now`: suspended, if it has not ended (rule SN5).
    pub(crate) fn restored(kept: &Kept, config: &Config<D>, epoch: u32, now: u64) -> Self {
        let now = now.min(END_OF_TIME); // The first event tells.
        let mut state = Self::idle(epoch, now);
        state.set_liveness(kept.liveness);
        state.set_draining(kept.draining && kept.liveness != Liveness::Idle);
        state.set_mistaken(kept.mistaken);
        state.set_struck(kept.struck);
        state.set_calm(kept.calm);
        state.set_strikes(kept.strikes);
        state.set_misses(kept.misses.min(config.attempts));
        state.word.set(IN_A_ROW, kept.in_a_row.into());
        state.word.set(LOSSES, kept.losses.into());
        state.word.set(PEER_GAP, kept.peer_gap.into());
        state.set_ambiguity(if config.ids { 0 } else { AMBIGUOUS }); // E8
        state.seq = kept.seq;
        state.rtt = Rtt::from_parts(kept.rtt);
        if let Some(lasting) = kept.lasting {
            state.detector = config.detector.lasted(lasting);
        }
        state.tx_at = now.saturating_sub(config.keepalive.unwrap_or(0));
        state.ev = kept.silence.stamp(now);
        if state.drains() {
            let limit = kept.last.stamp(now).min(now + MAX_SPAN_NANOS);
            state.plan = limit.max(now + config.window);
        } else {
            state.last_ping = kept.last.stamp(now).min(now);
        }
        match state.liveness() {
            Liveness::Lost if state.may_reopen(config) => {
                let span = config.down_interval.max(deadlines::gap(config, &state));
                state.plan = now + jitter::share(span, epoch, RELEASE); // P13
            }
            Liveness::Lost | Liveness::Closed => {}
            Liveness::Idle => {
                let least = (now + config.window).saturating_sub(config.startup_limit);
                state.ev = state.ev.min(now).max(least);
                state.wait(Waiting::Resume, now);
            }
            live => {
                let grace = if live == Liveness::Starting { config.startup_grace } else { 0 };
                let least = if config.probes() { 0 } else { now };
                state.ev = state.ev.max(least).min(now + grace);
                state.wait(Waiting::Resume, now);
            }
        }
        state
    }

    /// Whether `plan` is the drain limit.
    fn drains(&self) -> bool {
        self.draining() && self.liveness().is_live()
    }

    /// When a restored peer that is still suspended is to be released (rule SN5).
    pub(crate) fn release(&self, config: &Config<D>) -> u64 {
        let interval = deadlines::interval(config, self);
        self.waiting_since + jitter::share(interval, self.epoch, RELEASE)
    }
}
