//! What one event costs, and one whole heartbeat.
//!
//! `cargo bench --bench handle`. Divan shows the time of a batch; `Mitem/s` is the rate of single
//! events (or heartbeats), and its reciprocal what one costs: 100 Mitem/s are 10 ns. The peers are
//! measured beside it by `cargo run --release --manifest-path benches/peers/Cargo.toml`.
//!
//! Exact instruction counts of one heartbeat, a thousandth of what callgrind collects:
//!
//! ```text
//! cargo bench --bench handle --no-run
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null \
//!     --toggle-collect='*machine_heartbeats*' <the bench's path> --test machine_table
//! ```

mod cycles;

use core::hint::black_box;

use cycles::{config, pong, pong_for};
use divan::counter::ItemsCount;
use divan::{Bencher, bench_group};
use heartbeat_proto::{Actions, Echo, Event, PingId, Table, Timestamp};

fn main() {
    divan::main();
}

/// Heartbeats of one batch.
const HEARTBEATS: u32 = 1000;

/// Whole heartbeats: a tick at the deadline that sends a ping, and its pong 20 ms later.
#[bench_group]
mod heartbeat {
    use core::hint::black_box;

    use divan::Bencher;
    use divan::counter::ItemsCount;
    use heartbeat_proto::detector::Deadline;
    use heartbeat_proto::{Config, Echo, HeartbeatMachine, Ledger, PeerState, Table};

    use super::HEARTBEATS;
    use super::cycles::{self, Floor, config, floor_cycle, machine_cycle, state_cycle};

    #[divan::bench]
    fn machine_table(bencher: Bencher) {
        let (mut machine, _) = cycles::machine::<Table>();
        count(bencher).bench_local(|| machine_heartbeats(black_box(&mut machine)));
    }

    #[divan::bench]
    fn machine_echo(bencher: Bencher) {
        let (mut machine, _) = cycles::machine::<Echo>();
        count(bencher).bench_local(|| machine_heartbeats(black_box(&mut machine)));
    }

    #[divan::bench]
    fn state_table(bencher: Bencher) {
        let (mut state, config) = (cycles::state::<Table>(7).0, config());
        count(bencher).bench_local(|| state_heartbeats(black_box(&mut state), black_box(&config)));
    }

    #[divan::bench]
    fn state_echo(bencher: Bencher) {
        let (mut state, config) = (cycles::state::<Echo>(7).0, config());
        count(bencher).bench_local(|| state_heartbeats(black_box(&mut state), black_box(&config)));
    }

    #[divan::bench]
    fn floor(bencher: Bencher) {
        let mut floor = Floor::new();
        count(bencher).bench_local(|| floor_heartbeats(black_box(&mut floor)));
    }

    fn count<'a, 'b>(bencher: Bencher<'a, 'b>) -> Bencher<'a, 'b> {
        bencher.counter(ItemsCount::new(HEARTBEATS))
    }

    #[inline(never)]
    fn machine_heartbeats<L: Ledger>(machine: &mut HeartbeatMachine<Deadline, L>) {
        for _ in 0..HEARTBEATS {
            machine_cycle(machine);
        }
    }

    #[inline(never)]
    fn state_heartbeats<L: Ledger>(state: &mut PeerState<Deadline, L>, config: &Config) {
        for _ in 0..HEARTBEATS {
            state_cycle(state, config);
        }
    }

    #[inline(never)]
    fn floor_heartbeats(floor: &mut Floor) {
        for _ in 0..HEARTBEATS {
            floor_cycle(floor);
        }
    }
}

/// Fresh copies of one situation, so that each event is measured alone. They fit the second cache.
const COPIES: usize = 256;

/// A situation: the last ping was answered and the next one is due at `due`; or, with `pinged`,
/// it has been sent and `id` waits for its pong.
struct Situation {
    due: Timestamp,
    id: PingId,
}

impl Situation {
    /// Halfway to the next ping.
    fn idle_at(&self) -> Timestamp {
        Timestamp::from_nanos(self.due.as_nanos() - 2_000_000_000)
    }

    fn pong_at(&self) -> Timestamp {
        Timestamp::from_nanos(self.due.as_nanos() + cycles::RTT)
    }

    /// The kinds of events that the benches below measure: name, event, time, whether after the
    /// ping.
    fn event(&self, kind: &str) -> (Event, Timestamp, bool) {
        let stale = PingId::new(self.id.epoch(), self.id.seq() - 1);
        match kind {
            "tick_idle" => (Event::Tick, self.idle_at(), false),
            "tick_ping_due" => (Event::Tick, self.due, false),
            "pong_matched" => (pong(self.id, self.due), self.pong_at(), true),
            "pong_duplicate" => (pong(stale, self.due), self.pong_at(), true),
            "pong_wrong_epoch" => (Event::pong(PingId::new(!0, 1)), self.pong_at(), true),
            "ping_received" => (Event::ping(PingId::new(9, 9)), self.idle_at(), false),
            "frame" => (Event::FrameReceived, self.idle_at(), false),
            "ping_now" => (Event::PingDue, self.idle_at(), false),
            "close" => (Event::Close, self.idle_at(), false),
            other => unreachable!("{other}"),
        }
    }
}

const KINDS: [&str; 9] = [
    "tick_idle",
    "tick_ping_due",
    "pong_matched",
    "pong_duplicate",
    "pong_wrong_epoch",
    "ping_received",
    "frame",
    "ping_now",
    "close",
];

/// One event to a machine in its steady state.
#[divan::bench(args = KINDS)]
fn machine(bencher: Bencher, kind: &str) {
    let (mut machine, _) = cycles::machine::<Table>();
    let due = machine.next_deadline().expect("live");
    let idle = machine.clone();
    let Event::PongReceived { id, .. } = pong_for(machine.handle(Event::Tick, due)) else {
        unreachable!()
    };
    let (event, now, pinged) = Situation { due, id }.event(kind);
    let before = if pinged { machine } else { idle };
    each(bencher, &before, |machine| machine.handle(event, now));
}

/// One event to a bare state that relies on echoed stamps.
#[divan::bench(args = KINDS)]
fn state(bencher: Bencher, kind: &str) {
    let (mut state, _) = cycles::state::<Echo>(7);
    let config = black_box(config());
    let (due, _) = state.next_deadline(&config).expect("live");
    let idle = state;
    let Event::PongReceived { id, .. } = pong_for(state.handle(&config, Event::Tick, due)) else {
        unreachable!()
    };
    let (event, now, pinged) = Situation { due, id }.event(kind);
    let before = if pinged { state } else { idle };
    each(bencher, &before, |state| state.handle(&config, event, now));
}

fn each<T: Clone>(bencher: Bencher, before: &T, mut handle: impl FnMut(&mut T) -> Actions) {
    bencher
        .counter(ItemsCount::new(COPIES))
        .with_inputs(|| vec![before.clone(); COPIES])
        .bench_local_refs(|copies| {
            for copy in copies {
                drop(black_box(handle(black_box(copy))));
            }
        });
}
