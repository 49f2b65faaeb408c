//! What the benchmarks share: a peer in its steady state, and one whole heartbeat.

use core::hint::black_box;
use core::time::Duration;

use heartbeat_proto::detector::Deadline;
use heartbeat_proto::{
    Action, Actions, Config, Event, HeartbeatMachine, Ledger, Liveness, PeerState, PingId,
    Timestamp,
};

/// The round trip of every pong, in nanoseconds.
pub(crate) const RTT: u64 = 20_000_000;

/// Every 5 s, dead after 20 s, three attempts, 10 % jitter; counters and keepalive as by default.
pub(crate) fn config() -> Config {
    Config::wan()
}

/// The pong for the ping among `actions`, as a peer that echoes the stamp answers it.
#[inline]
pub(crate) fn pong_for(mut actions: Actions) -> Event {
    match actions.next() {
        Some(Action::SendPing { id, stamp }) => pong(id, stamp),
        other => panic!("a ping was due, not {other:?}"),
    }
}

#[inline]
pub(crate) const fn pong(id: PingId, stamp: Timestamp) -> Event {
    Event::PongReceived { id, stamp: Some(stamp), hold: Duration::ZERO, calm: false }
}

/// A machine with its last ping answered, and the present time.
pub(crate) fn machine<L: Ledger>() -> (HeartbeatMachine<Deadline, L>, Timestamp) {
    let mut machine = HeartbeatMachine::with_ledger(config(), 7, Timestamp::EPOCH);
    let _ = machine.handle(Event::Start, Timestamp::EPOCH);
    let mut now = Timestamp::EPOCH;
    for _ in 0..20 {
        now = machine_cycle(&mut machine);
    }
    assert_eq!(machine.liveness(), Liveness::Alive);
    (machine, now)
}

/// A bare state with its last ping answered, and the present time.
pub(crate) fn state<L: Ledger>(seed: u64) -> (PeerState<Deadline, L>, Timestamp) {
    let config = config();
    let mut state = PeerState::new(seed, Timestamp::EPOCH);
    let _ = state.handle(&config, Event::Start, Timestamp::EPOCH);
    let mut now = Timestamp::EPOCH;
    for _ in 0..20 {
        now = state_cycle(&mut state, &config);
    }
    assert_eq!(state.liveness(), Liveness::Alive);
    (state, now)
}

/// The tick at the deadline, the ping it sends, and the pong 20 ms later.
#[inline]
pub(crate) fn machine_cycle<L: Ledger>(machine: &mut HeartbeatMachine<Deadline, L>) -> Timestamp {
    let due = machine.next_deadline().expect("live");
    let pong = pong_for(machine.handle(black_box(Event::Tick), due));
    let now = Timestamp::from_nanos(due.as_nanos() + RTT);
    let actions = machine.handle(black_box(pong), now);
    debug_assert!(actions.findings().is_empty());
    drop(black_box(actions));
    now
}

/// The same for a bare state: whoever holds it asks for the deadline after each event, as the
/// machine does.
#[inline]
pub(crate) fn state_cycle<L: Ledger>(
    state: &mut PeerState<Deadline, L>,
    config: &Config,
) -> Timestamp {
    let (due, _) = state.next_deadline(config).expect("live");
    let pong = pong_for(state.handle(config, black_box(Event::Tick), due));
    let now = Timestamp::from_nanos(due.as_nanos() + RTT);
    drop(black_box(state.handle(config, black_box(pong), now)));
    now
}

/// The least that a heartbeat can be: one interval, one timeout, one number, one average. It has
/// no window, no lateness, no suspicion, no epoch, no plan: the floor of what a rule set can cost,
/// not a rival.
#[derive(Clone, Debug)]
pub(crate) struct Floor {
    interval: u64,
    timeout: u64,
    last_heard: u64,
    next_ping: u64,
    seq: u32,
    srtt: u32,
}

impl Floor {
    pub(crate) fn new() -> Self {
        let (interval, timeout) = (5_000_000_000, 20_000_000_000);
        Self { interval, timeout, last_heard: 0, next_ping: interval, seq: 0, srtt: 0 }
    }

    #[inline]
    pub(crate) fn next_deadline(&self) -> u64 {
        self.next_ping.min(self.last_heard + self.timeout)
    }

    /// The number of the ping to send, if one is due; `None` for the verdict.
    #[inline]
    pub(crate) fn tick(&mut self, now: u64) -> Option<u32> {
        if now >= self.last_heard + self.timeout || now < self.next_ping {
            return None;
        }
        self.seq += 1;
        self.next_ping += self.interval;
        Some(self.seq)
    }

    #[inline]
    pub(crate) fn pong(&mut self, seq: u32, now: u64) {
        if seq == self.seq {
            let rtt = ((now - (self.next_ping - self.interval)) / 1000) as u32;
            self.srtt = self.srtt - self.srtt / 8 + rtt;
            self.last_heard = now;
        }
    }
}

/// A heartbeat of the floor.
#[inline]
pub(crate) fn floor_cycle(floor: &mut Floor) {
    let due = floor.next_deadline();
    let seq = floor.tick(black_box(due)).expect("a ping is due");
    floor.pong(black_box(seq), due + RTT);
}
