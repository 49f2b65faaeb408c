//! One peer as a state of its own, beside that in the fleet.

use core::time::Duration;

use heartbeat_proto::detector::Detector;
use heartbeat_proto::{Action, Actions, Config, Echo, Event, PeerState, PingId, Timestamp};

use super::ops::Say;

/// What one peer is told, as the fleet and its twin are.
pub(crate) struct Twin<D: Detector> {
    pub(super) profile: usize,
    pub(super) state: PeerState<D, Echo>,
    /// Its pings, newest last.
    pub(super) pings: Vec<(PingId, Timestamp)>,
    pub(super) drained: bool,
    pub(super) answered: usize,
}

impl<D: Detector> Twin<D> {
    /// What is said, as an event of this peer.
    pub(super) fn event(&self, say: Say) -> Event {
        let newest = |back: u32| {
            let nth = self.pings.len().checked_sub(1 + back as usize);
            nth.map_or((PingId::new(self.state.epoch(), 9), Timestamp::EPOCH), |n| self.pings[n])
        };
        let pong = |back, calm| {
            let (id, stamp) = newest(back);
            Event::PongReceived { id, stamp: Some(stamp), hold: Duration::from_micros(50), calm }
        };
        let zero = Duration::ZERO;
        match say {
            Say::Start => Event::Start,
            Say::Pong(back) => pong(back, false),
            Say::BarePong(back) => Event::pong(newest(back).0),
            Say::CalmPong => pong(0, true),
            Say::Ping => Event::ping(PingId::new(5, 6)),
            Say::Beacon => Event::BeaconReceived { stamp: None, period: Duration::from_millis(90) },
            Say::Frame => Event::FrameReceived,
            Say::Limit(millis) => {
                Event::LimitReceived { min_gap: Duration::from_millis(millis.into()) }
            }
            Say::PingDue => Event::PingDue,
            Say::Written => Event::PingSent { id: newest(0).0 },
            Say::Progress => Event::TxProgress,
            Say::Blocked => Event::TxBlocked,
            Say::Suspend => Event::Suspend,
            Say::Resume => Event::Resume { slept: zero },
            Say::Hold(probe) => Event::Hold { probe },
            Say::Drain => Event::Drain,
            Say::Close => Event::Close,
            Say::Goodbye => Event::GoodbyeReceived,
            Say::Tick => Event::Tick,
        }
    }

    pub(super) fn tell(&mut self, configs: &[Config<D>], event: Event, now: Timestamp) -> Actions {
        let live = self.state.liveness().is_live();
        self.drained |= live && event == Event::Drain;
        let actions = self.state.handle(&configs[self.profile], event, now);
        for action in actions.clone() {
            if let Action::SendPing { id, stamp } = action {
                self.pings.push((id, stamp));
            }
        }
        actions
    }
}
