//! The calls of the shipped transition function, and what becomes of their actions.

use core::time::Duration;

use heartbeat_proto::{
    Action, Actions, Event, Ledger, PeerState, PingId, Timestamp, detector::Detector,
};

use crate::end::{End, Process, Side};
use crate::fate::Data;
use crate::ghost::{Answers, Call};
use crate::link::{Kind, Number, Packet, remove};
use crate::promises::Rule;
use crate::world::{State, World};

impl<D: Detector, L: Ledger> World<D, L> {
    const NOW: u64 = End::<D, L>::NOW.as_nanos();

    /// One call, and everything that is promised of it.
    pub(crate) fn call(&self, state: &mut State<D, L>, who: usize, event: Event) {
        self.call_for(state, who, event, None);
    }

    /// `asked`: the number and the age of the ping that came in.
    fn call_for(
        &self,
        state: &mut State<D, L>,
        who: usize,
        event: Event,
        asked: Option<(Number, u8)>,
    ) {
        let side = &self.sides[who];
        let peer_runs = state.ends[1 - who].process != Process::Crashed;
        let end = &mut state.ends[who];
        let before = end.peer;
        let overdue = end.overdue(side);
        let actions = self.handle(end, side, event);
        let next = self.wake_up(end, side);
        let call = Call {
            event,
            answers: answers(&before, event),
            before: before.liveness(),
            after: end.peer.liveness(),
            overdue,
            wakes_later: next.map(|next| next > Self::NOW),
            peer_runs,
            actions: actions.clone(),
        };
        let broken = end.ghost.call(side, &call);
        let early = self.early_tick(end, side);
        end.peer = end.peer.normalized(&side.config, End::<D, L>::NOW);
        state.broken = state.broken.or(broken).or(early);
        self.perform(state, who, asked, actions);
    }

    fn handle(&self, end: &mut End<D, L>, side: &Side<D>, event: Event) -> Actions {
        let event = self.sabotage.event(event, end.peer.epoch());
        end.peer.handle(&side.config, event, End::<D, L>::NOW)
    }

    fn wake_up(&self, end: &End<D, L>, side: &Side<D>) -> Option<u64> {
        let next = end.peer.next_deadline(&side.config).map(|(at, _)| at.as_nanos());
        self.sabotage.wake_up(next, Self::NOW)
    }

    /// L4 and M6: a tick before the wake-up, and one at the same time again, changes nothing.
    pub(crate) fn early_tick(&self, end: &End<D, L>, side: &Side<D>) -> Option<Rule> {
        if self.wake_up(end, side)? <= Self::NOW {
            return None;
        }
        let mut copy = end.clone();
        let event = self.sabotage.early_tick();
        let actions = copy.peer.handle(&side.config, event, End::<D, L>::NOW);
        (!actions.is_empty() || copy.peer != end.peer).then_some(Rule::L4NoEarlyEffect)
    }

    /// Hands the frames over.
    fn perform(
        &self,
        state: &mut State<D, L>,
        who: usize,
        asked: Option<(Number, u8)>,
        actions: Actions,
    ) {
        for action in actions {
            match action {
                Action::SendPing { .. } => {
                    self.supersede(state, who, |kind| matches!(kind, Kind::Ping(_)));
                    state.packets.iter_mut().for_each(|packet| packet.fall_behind(who));
                    self.send(state, who, Kind::Ping(Number::Behind(0)));
                }
                Action::SendBeacon { .. } => self.send(state, who, Kind::Beacon),
                Action::SendPong { .. } => {
                    self.supersede(state, who, |kind| matches!(kind, Kind::Pong(_)));
                    let (number, stamp_age) = asked.unwrap_or((Number::OldEpoch, 0));
                    self.send_stamped(state, who, Kind::Pong(number), stamp_age);
                }
                Action::SendGoodbye => self.send(state, who, Kind::Goodbye),
                _ => {}
            }
        }
    }

    /// At most one of a kind waits to be written (and a ping that was given up no longer does).
    fn supersede(&self, state: &mut State<D, L>, who: usize, is: impl Fn(Kind) -> bool) {
        if self.sides[who].rules.writes {
            state.packets.retain(|packet| packet.written || packet.to == who || !is(packet.kind));
        }
    }

    pub(crate) fn send(&self, state: &mut State<D, L>, who: usize, kind: Kind) {
        self.send_stamped(state, who, kind, 0);
    }

    fn send_stamped(&self, state: &mut State<D, L>, who: usize, kind: Kind, stamp_age: u8) {
        let to = 1 - who;
        if state.ends[to].process != Process::Crashed {
            let written = !self.sides[who].rules.writes;
            state.packets.push(Packet { to, kind, written, age: 0, stamp_age, doubled: false });
        }
    }

    /// The transport took a frame.
    pub(crate) fn write(&self, state: &mut State<D, L>, packet: Packet) {
        let who = 1 - packet.to;
        remove(&mut state.packets, packet);
        state.packets.push(Packet { written: true, age: 0, ..packet });
        let event = match packet.kind {
            Kind::Ping(number) => Event::PingSent { id: id_of(&state.ends[who].peer, number) },
            Kind::Pong(_) => Event::PongSent,
            _ => Event::TxProgress,
        };
        self.call(state, who, event);
    }

    pub(crate) fn deliver(&self, state: &mut State<D, L>, packet: Packet) {
        let who = packet.to;
        remove(&mut state.packets, packet);
        if state.ends[who].process.is_suspended() {
            Self::wake(state, who);
        }
        let (sender, receiver) = (&state.ends[1 - who], &state.ends[who]);
        let stamp = Timestamp::from_nanos(Self::NOW - u64::from(packet.stamp_age));
        let stamp = self.stamps.then_some(stamp);
        let event = match packet.kind {
            Kind::Ping(number) => Event::PingReceived { id: id_of(&sender.peer, number), stamp },
            Kind::Pong(_) if !self.sides[who].rules.ids => Event::AnonymousPongReceived,
            Kind::Pong(number) => Event::PongReceived {
                id: id_of(&receiver.peer, number),
                stamp,
                hold: Duration::ZERO,
                calm: false,
            },
            Kind::Beacon => {
                Event::BeaconReceived { stamp, period: self.sides[1 - who].config.interval() }
            }
            Kind::Data if self.fate.data == Data::Bytes => Event::BytesReceived,
            Kind::Data => Event::FrameReceived,
            Kind::Goodbye => Event::GoodbyeReceived,
        };
        let asked = match packet.kind {
            Kind::Ping(number) => Some((number, packet.stamp_age)),
            _ => None,
        };
        self.call_for(state, who, event, asked);
    }

    pub(crate) fn stranger(&self, state: &mut State<D, L>, who: usize) {
        let id = id_of(&state.ends[who].peer, Number::OldEpoch);
        self.call(state, who, Event::pong(id));
    }

    pub(crate) fn forged(&self, state: &mut State<D, L>, who: usize) {
        let id = PingId::new(state.ends[who].peer.epoch(), u32::MAX);
        self.call(state, who, Event::pong(id));
    }
}

fn id_of<D: Detector, L: Ledger>(peer: &PeerState<D, L>, number: Number) -> PingId {
    match number {
        Number::Behind(behind) => {
            PingId::new(peer.epoch(), PeerState::<D, L>::NORMAL_SEQ - u32::from(behind))
        }
        Number::OldEpoch => PingId::new(!peer.epoch(), 1),
    }
}

/// Which ping a pong answers, by its id alone.
fn answers<D: Detector, L: Ledger>(peer: &PeerState<D, L>, event: Event) -> Answers {
    match event {
        Event::AnonymousPongReceived => Answers::Ping(0),
        Event::PongReceived { id, .. } if id.epoch() == peer.epoch() => {
            match PeerState::<D, L>::NORMAL_SEQ.checked_sub(id.seq()) {
                Some(behind) => Answers::Ping(behind),
                None => Answers::NoPing,
            }
        }
        Event::PongReceived { .. } => Answers::OtherEpoch,
        _ => Answers::NoPing,
    }
}
