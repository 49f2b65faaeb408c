//! Machines that are broken on purpose, so that each promise is seen to be broken somewhere.

use heartbeat_proto::{Event, PingId};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sabotage {
    #[default]
    None,
    /// Takes frames of other connections for its own.
    TrustsStrangers,
    /// Asks to be woken now, again and again.
    NeverSleeps,
    /// Takes each tick for a reason to ping.
    PingsWhenTicked,
    /// Hears nothing of a hold.
    IgnoresHolds,
    /// Sends a probe for each hold, or for none.
    ProbesAlways,
    ProbesNever,
    /// Takes a hold for a sign of life.
    TrustsHolds,
}

impl Sabotage {
    pub(crate) fn event(self, event: Event, epoch: u32) -> Event {
        match (self, event) {
            (Self::TrustsStrangers, Event::PongReceived { id, .. }) if id.epoch() != epoch => {
                Event::pong(PingId::new(epoch, u32::MAX))
            }
            (Self::IgnoresHolds, Event::Hold { .. }) => Event::Tick,
            (Self::ProbesAlways, Event::Hold { .. }) => Event::Hold { probe: true },
            (Self::ProbesNever, Event::Hold { .. }) => Event::Hold { probe: false },
            (Self::TrustsHolds, Event::Hold { .. }) => Event::FrameReceived,
            _ => event,
        }
    }

    pub(crate) fn early_tick(self) -> Event {
        if self == Self::PingsWhenTicked { Event::PingDue } else { Event::Tick }
    }

    pub(crate) fn wake_up(self, next: Option<u64>, now: u64) -> Option<u64> {
        if self == Self::NeverSleeps { next.map(|_| now) } else { next }
    }
}
