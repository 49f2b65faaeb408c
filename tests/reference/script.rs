//! Moves: what happens next, relative to what the reference knows, so that they shrink well.

use core::time::Duration;

use heartbeat_proto::{Event, PingId, Timestamp};

use super::model::{Knobs, LedgerKind, Nanos, Reference};

/// When a move happens.
#[derive(Clone, Copy, Debug)]
pub enum When {
    Now,
    /// At the wake-up, and this much after it.
    Wake(i64),
    /// At the wake-up and the slack, and this much after.
    WakeSlack(i64),
    /// At the wake-up and a window, and this much after.
    WakeWindow(i64),
    /// This much of the way to the wake-up, in thousandths.
    Towards(u32),
    /// A part of the interval later, in thousandths.
    Later(u32),
    Nanos(u32),
    /// A part of the interval back, in thousandths.
    Back(u32),
}

/// Which ping a pong answers, or a report names.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// The newest but so many.
    Recent(u8),
    Unsent(u32),
    Zero,
    WrongEpoch,
}

/// What the pong echoes.
#[derive(Clone, Copy, Debug)]
pub enum Echoed {
    Nothing,
    Stamp,
    Off(i64),
}

#[derive(Clone, Debug)]
pub enum What {
    Plain(Event),
    Ping(u32),
    Pong {
        which: Which,
        echoed: Echoed,
        hold: u32,
        calm: bool,
    },
    /// A part of the interval, in thousandths.
    Limit(u32),
    PingSent(Which),
    Resume(u32),
    Reconnect,
    Reconfigure(Box<Knobs>),
}

#[derive(Clone, Debug)]
pub struct Move {
    pub when: When,
    pub what: What,
}

/// A move, made concrete.
#[derive(Clone, Debug)]
pub enum Step {
    Event(Event, u64),
    Reconnect(u64),
    Reconfigure(Box<Knobs>, u64),
}

impl Move {
    pub fn on(&self, reference: &Reference) -> Step {
        let now = self.when.on(reference);
        let part = |parts: u32| reference.rules.i * Nanos::from(parts) / 1000;
        let span = |parts| Duration::from_nanos(part(parts) as u64);
        Step::Event(
            match self.what {
                What::Plain(event) => event,
                What::Ping(seq) => {
                    let stamp = (seq % 2 == 0).then(|| Timestamp::from_nanos(now));
                    Event::PingReceived { id: PingId::new(7, seq), stamp }
                }
                What::Pong { which, echoed, hold, calm } => {
                    let id = which.on(reference);
                    let sent = reference.pings.iter().find(|ping| ping.seq == id.seq());
                    let stamp = sent.map_or(now, |ping| ping.stamp as u64);
                    let stamp = match echoed {
                        Echoed::Nothing => None,
                        Echoed::Stamp => Some(Timestamp::from_nanos(stamp)),
                        Echoed::Off(by) => {
                            Some(Timestamp::from_nanos(stamp.saturating_add_signed(by)))
                        }
                    };
                    Event::PongReceived { id, stamp, hold: span(hold), calm }
                }
                What::Limit(parts) => Event::LimitReceived { min_gap: span(parts) },
                What::PingSent(which) => Event::PingSent { id: which.on(reference) },
                What::Resume(parts) => Event::Resume { slept: span(parts) },
                // At the end of time (T6) nobody reconnects: there is no call that could tell it.
                What::Reconnect if Reference::is_the_end(now.max(reference.now()).into()) => {
                    Event::Tick
                }
                What::Reconnect => return Step::Reconnect(now.max(reference.now())),
                // EXCLUDED: how far back the echo ledger knows pings after its g was changed.
                What::Reconfigure(_) if reference.rules.knobs.ledger == LedgerKind::Echo => {
                    Event::Tick
                }
                What::Reconfigure(ref knobs) => return Step::Reconfigure(knobs.clone(), now),
            },
            now,
        )
    }
}

impl When {
    fn on(self, reference: &Reference) -> u64 {
        let rules = &reference.rules;
        let now = Nanos::from(reference.now());
        let part = |parts: u32| rules.i * Nanos::from(parts) / 1000;
        // Without a wake-up, some time passes.
        let wake = reference.next_deadline().map_or(now + rules.w, Nanos::from);
        let at = match self {
            Self::Now => now,
            Self::Wake(by) => wake + Nanos::from(by),
            Self::WakeSlack(by) => wake + rules.slack + Nanos::from(by),
            Self::WakeWindow(by) => wake + rules.w + Nanos::from(by),
            Self::Towards(parts) => now + (wake - now) * Nanos::from(parts) / 1000,
            Self::Later(parts) => now + part(parts),
            Self::Nanos(by) => now + Nanos::from(by),
            Self::Back(parts) => now - part(parts),
        };
        at.clamp(0, Nanos::from(u64::MAX)) as u64
    }
}

impl Which {
    fn on(self, reference: &Reference) -> PingId {
        let newest = reference.pings.last().map_or(0, |ping| ping.seq);
        let (epoch, seq) = match self {
            Self::Recent(back) => (reference.epoch, newest.saturating_sub(back.into())),
            Self::Unsent(by) => (reference.epoch, newest.wrapping_add(by)),
            Self::Zero => (reference.epoch, 0),
            Self::WrongEpoch => (reference.epoch.wrapping_add(1), newest),
        };
        PingId::new(epoch, seq)
    }
}
