//! Ours.

use std::ops::ControlFlow;
use std::time::Duration;

use heartbeat_proto::detector::Detector;
use heartbeat_proto::fleet::{Fleet, Handle, Input, Progress, ShardedFleet};
use heartbeat_proto::{Action, Actions, Config, Event, Liveness, Mode as Part, Timestamp};

use crate::structure::{Out, Structure};
use crate::work::{Mode, STEP, Work};

pub(crate) struct Ours<D: Detector> {
    fleet: Fleet<D>,
    /// What counts as a verdict in this mode.
    verdict: Liveness,
    /// Found while pongs were handled.
    verdicts: u64,
}

#[derive(Clone, Copy)]
pub(crate) struct Ping {
    handle: Handle,
    seq: u32,
    stamp: Timestamp,
}

/// What a pong of a real peer holds: how long it took to answer.
const HOLD: Duration = Duration::from_micros(50);

fn config<D: Detector + Default>(work: &Work, class: u32) -> Config<D> {
    // The longest gap there is: in passive mode the order of the beats is new in each round.
    let rounds = if work.mode == Mode::Passive { 2 } else { 1 };
    let interval = work.class_interval(class) * rounds;
    let builder = Config::builder().detector(D::default()).interval(Duration::from_nanos(interval));
    let builder = if work.mode == Mode::Passive {
        let timeout = Duration::from_nanos(work.timeout);
        builder.mode(Part::Passive).timeout(timeout).floor(timeout)
    } else {
        let window = Duration::from_nanos(work.window);
        builder.mode(Part::Initiator).response_window(window)
    };
    builder.jitter_percent(work.jitter_percent()).build().expect("valid")
}

impl<D: Detector + Default> Ours<D> {
    /// So many, with the peers of the work each.
    pub(crate) fn shards(work: &Work, shards: usize) -> Vec<(Self, Vec<Handle>)> {
        let start = Timestamp::EPOCH;
        let step = Duration::from_nanos(STEP);
        let mut fleet =
            ShardedFleet::with_step(config(work, 0), shards, 7, start, step).expect("valid");
        for class in 1..work.classes() {
            fleet.add_profile(config(work, class)).expect("valid");
        }
        let profiles: Vec<_> = fleet.profiles().collect();
        let mut keys = vec![Vec::new(); shards];
        for peer in 0..work.peers {
            let profile = profiles[peer as usize % profiles.len()];
            for _ in 0..shards {
                let handle = fleet.insert(profile, start).expect("there is room");
                let _ = fleet.handle(handle, Event::Start, start).expect("just inserted");
                keys[usize::from(handle.shard())].push(handle);
            }
        }
        let verdict = if work.mode == Mode::Passive { Liveness::Lost } else { Liveness::Suspect };
        let ours = |fleet| Self { fleet, verdict, verdicts: 0 };
        fleet.into_shards().into_iter().map(ours).zip(keys).collect()
    }
}

impl<D: Detector + Default> Structure for Ours<D> {
    type Key = Handle;
    type Ping = Ping;
    type Pong = Input;

    fn new(work: &Work) -> (Self, Vec<Handle>) {
        Self::shards(work, 1).pop().expect("one")
    }

    fn pong(ping: Ping) -> Input {
        let id = heartbeat_proto::PingId::new(ping.handle.epoch(), ping.seq);
        let stamp = Some(ping.stamp);
        let event = Event::PongReceived { id, stamp, hold: HOLD, calm: false };
        Input { handle: ping.handle, event }
    }

    fn beat(key: Handle, now: u64) -> Input {
        const LONGEST_GAP: Duration = Duration::from_secs(60);
        let stamp = Some(Timestamp::from_nanos(now.saturating_sub(20_000_000)));
        let event = Event::BeaconReceived { stamp, period: LONGEST_GAP };
        Input { handle: key, event }
    }

    #[inline(never)] // So that a profile tells pongs from pings.
    fn hear(&mut self, pongs: &[Input], now: u64) {
        let verdicts = &mut self.verdicts;
        let mut sink = |_: Handle, actions: Actions| {
            *verdicts += u64::from(actions.transition().is_some_and(|to| to.to == self.verdict));
            ControlFlow::Continue(())
        };
        let taken = self.fleet.handle_batch(pongs, Timestamp::from_nanos(now), &mut sink);
        assert_eq!(taken, pongs.len());
    }

    #[inline(never)]
    fn step(&mut self, now: u64, out: &mut Out<Ping>) {
        out.verdicts += std::mem::take(&mut self.verdicts);
        let verdict = self.verdict;
        let mut sink = |handle: Handle, actions: Actions| {
            out.verdicts += u64::from(actions.transition().is_some_and(|to| to.to == verdict));
            for action in actions {
                if let Action::SendPing { id, stamp } = action {
                    out.pings.push(Ping { handle, seq: id.seq(), stamp });
                }
            }
            ControlFlow::Continue(())
        };
        let now = Timestamp::from_nanos(now);
        while self.fleet.advance(now, usize::MAX, &mut sink) == Progress::Pending {}
    }
}
