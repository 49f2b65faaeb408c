//! What the checker knows of pings: the machine's own and which pongs answer them, and those of
//! the peer and which of them are admitted.

use super::{Call, Kind};
use crate::config::{Config, LifeRule};
use crate::event::{Event, PingId};
use crate::finding::Findings;

/// The machine's own pings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pings {
    epoch: u32,
    newest: u32,
    /// Bit `n`: the ping `newest - n` is unanswered.
    open: u8,
    /// When the newest left.
    pub(super) last: Option<u64>,
}

/// The table ledger knows the last four pings (rule E4).
const KNOWN: u32 = 4;

impl Pings {
    pub(super) const fn new(epoch: u32) -> Self {
        Self { epoch, newest: 0, open: 0, last: None }
    }

    pub(super) fn sent(&mut self, id: PingId, now: u64) {
        self.newest = id.seq();
        self.open = ((self.open << 1) | 1) & ((1 << KNOWN) - 1);
        self.last = Some(now);
    }

    /// Takes note of a pong, and says what the event is as evidence (rules E1, E2, E4).
    pub(super) fn evidence<D>(&mut self, config: &Config<D>, call: &Call) -> Kind {
        let frames = config.life_rule.takes_frames();
        let silent = !config.probes();
        let frame = Kind { counts: frames, reopens: silent && frames, unsure: false };
        match call.event {
            Event::PongReceived { id, .. } => self.pong(config, call, id),
            Event::AnonymousPongReceived => self.anonymous(config),
            Event::PingReceived { .. }
            | Event::BeaconReceived { .. }
            | Event::LimitReceived { .. }
            | Event::FrameReceived => frame,
            Event::BytesReceived => {
                let counts = config.life_rule == LifeRule::AnyByte;
                Kind { counts, reopens: silent && counts, unsure: false }
            }
            _ => Kind { counts: false, reopens: false, unsure: false },
        }
    }

    fn pong<D>(&mut self, config: &Config<D>, call: &Call, id: PingId) -> Kind {
        if id.epoch() != self.epoch {
            return Kind { counts: false, reopens: false, unsure: false };
        }
        let known = id.seq() != 0 && id.seq() <= self.newest && self.newest - id.seq() < KNOWN;
        let bit = if known { 1 << (self.newest - id.seq()) } else { 0 };
        let open = self.open & bit != 0;
        self.open &= !bit;
        // A ledger with less memory may have forgotten what the table knows.
        let forgets = call.told.found.contains(Findings::PONG_LATE);
        let exact = config.life_rule == LifeRule::ExactPong;
        Kind { counts: open || !exact, reopens: open || !config.probes(), unsure: exact && forgets }
    }

    fn anonymous<D>(&mut self, config: &Config<D>) -> Kind {
        let open = self.open & 1 != 0;
        self.open &= !1;
        let counts = open || config.life_rule != LifeRule::ExactPong;
        Kind { counts, reopens: open || !config.probes(), unsure: false }
    }
}

/// The pings of the peer: the token bucket of rules A2 to A4.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    tat: u64,
    struck: bool,
}

impl Asked {
    pub(super) const fn new(now: u64) -> Self {
        Self { tat: now, struck: false }
    }

    /// Whether a ping is admitted, and then whether its pong must calm the peer.
    pub(super) fn admit<D>(&mut self, config: &Config<D>, now: u64) -> Option<bool> {
        let Some(half_gap) = config.accept_half_gap else { return Some(false) };
        let burst = half_gap.saturating_mul(u64::from(config.accept_burst) - 1);
        if self.tat > now.saturating_add(burst) {
            self.struck = true;
            return None;
        }
        self.tat = self.tat.max(now).saturating_add(half_gap);
        Some(core::mem::take(&mut self.struck))
    }
}
