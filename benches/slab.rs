//! A million peers in a slab: does the shape of [`PeerState`] serve fleets? Pongs of random peers,
//! one by one and in batches, and pings in the order of the slots, beside the limit that memory
//! sets for records of the same size.
//!
//! `cargo bench --bench slab`. Divan shows the time of a million events; in milliseconds it is the
//! nanoseconds of one. No timers are in it: who is due is decided beforehand.

use core::cell::RefCell;
use core::hint::black_box;
use core::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use heartbeat_proto::detector::Deadline;
use heartbeat_proto::{Action, Config, Echo, Event, Liveness, PeerState, PingId, Timestamp};

const PEERS: usize = 1_000_000;
const RTT: u64 = 20_000_000;
/// How many pongs of a batch are looked at before they are handled, so that their cache misses
/// overlap.
const BATCH: usize = 32;

type Peer = PeerState<Deadline, Echo>;

fn main() {
    println!("{} bytes a peer", size_of::<Peer>());
    divan::main();
}

struct Fleet {
    config: Config,
    peers: Vec<Peer>,
    /// When each peer's next ping is due, as a timer would know it.
    due: Vec<Timestamp>,
    /// The pings that were sent, in the order of the slots.
    pings: Vec<PingId>,
    /// The pongs to come, in random order, as if read from a socket.
    pongs: Vec<Pong>,
    order: Vec<u32>,
    /// The pongs are still to be handled.
    is_pinged: bool,
}

struct Pong {
    slot: u32,
    id: PingId,
    /// Echoed by the peer.
    stamp: Timestamp,
}

impl Fleet {
    fn new() -> Self {
        let config = Config::builder()
            .interval(Duration::from_secs(30))
            .timeout(Duration::from_secs(90))
            .build()
            .unwrap();
        let peer = |seed| {
            let mut peer = Peer::new(seed, Timestamp::EPOCH);
            let _ = peer.handle(&config, Event::Start, Timestamp::EPOCH);
            peer
        };
        let mut fleet = Self {
            config,
            peers: (0..PEERS as u64).map(peer).collect(),
            due: vec![Timestamp::EPOCH; PEERS],
            pings: vec![PingId::default(); PEERS],
            pongs: Vec::with_capacity(PEERS),
            order: shuffled(),
            is_pinged: false,
        };
        for _ in 0..3 {
            pinged(&mut fleet);
            fleet.pong_in_batches();
        }
        pinged(&mut fleet);
        assert!(fleet.peers.iter().all(|peer| peer.liveness() == Liveness::Alive));
        fleet
    }

    fn look_for_due(&mut self) {
        for (peer, due) in self.peers.iter().zip(&mut self.due) {
            *due = peer.next_deadline(&self.config).expect("live").0;
        }
    }

    fn receive_pongs(&mut self) {
        let (pings, due) = (&self.pings, &self.due);
        let pong = |&slot: &u32| Pong { slot, id: pings[slot as usize], stamp: due[slot as usize] };
        self.pongs.clear();
        self.pongs.extend(self.order.iter().map(pong));
    }

    /// Every peer is due, each at its own time, in the order of the slots.
    fn ping(&mut self) {
        self.is_pinged = true;
        let slots = self.peers.iter_mut().zip(&self.due).zip(&mut self.pings);
        for ((peer, &due), ping) in slots {
            match peer.handle(&self.config, black_box(Event::Tick), due).next() {
                Some(Action::SendPing { id, .. }) => *ping = id,
                other => panic!("a ping is due, not {other:?}"),
            }
        }
    }

    /// The next pong's peer is known only when the last pong was handled: every miss is waited for.
    fn pong_one_by_one(&mut self) {
        self.is_pinged = false;
        let mut after = 0;
        for pong in &self.pongs {
            let slot = pong.slot as usize + after;
            after = answer(&self.config, &mut self.peers[slot], pong);
        }
    }

    /// As they are read from a socket: pongs of peers that are known at once, and the processor
    /// may look ahead as far as it can.
    fn pong_in_a_row(&mut self) {
        self.is_pinged = false;
        for pong in &self.pongs {
            answer(&self.config, &mut self.peers[pong.slot as usize], pong);
        }
    }

    /// Of each batch all records are touched before the first is handled.
    fn pong_in_batches(&mut self) {
        self.is_pinged = false;
        for batch in self.pongs.chunks(BATCH) {
            let mut touched = 0;
            for pong in batch {
                let peer = &self.peers[pong.slot as usize];
                touched ^= peer.epoch() ^ peer.liveness() as u32;
            }
            black_box(touched);
            for pong in batch {
                answer(&self.config, &mut self.peers[pong.slot as usize], pong);
            }
        }
    }
}

/// Zero, in a way that only the handling can tell.
#[inline]
fn answer(config: &Config, peer: &mut Peer, pong: &Pong) -> usize {
    let now = Timestamp::from_nanos(pong.stamp.as_nanos() + RTT);
    let (id, stamp) = (pong.id, Some(pong.stamp));
    let event = Event::PongReceived { id, stamp, hold: Duration::ZERO, calm: false };
    black_box(peer.handle(config, event, now).len())
}

fn shuffled() -> Vec<u32> {
    let mut order: Vec<u32> = (0..PEERS as u32).collect();
    let mut state = 7_u64;
    for last in (1..PEERS).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        order.swap(last, (state >> 33) as usize % (last + 1));
    }
    order
}

fn measure(bencher: Bencher, before: fn(&mut Fleet), what: fn(&mut Fleet)) {
    let fleet = RefCell::new(Fleet::new());
    bencher
        .counter(ItemsCount::new(PEERS))
        .with_inputs(|| before(&mut fleet.borrow_mut()))
        .bench_local_values(|()| what(&mut fleet.borrow_mut()));
}

/// The pongs of the last round were handled (or, the first time, are handled here): the next.
fn again(fleet: &mut Fleet) {
    if fleet.is_pinged {
        fleet.pong_in_batches();
    }
    pinged(fleet);
}

/// All peers were answered: they are pinged, and the pongs are on their way.
fn pinged(fleet: &mut Fleet) {
    fleet.look_for_due();
    fleet.ping();
    fleet.receive_pongs();
}

#[divan::bench(sample_count = 12, sample_size = 1)]
fn ping_in_slot_order(bencher: Bencher) {
    let answered = |fleet: &mut Fleet| {
        fleet.receive_pongs();
        fleet.pong_in_batches();
        fleet.look_for_due();
    };
    measure(bencher, answered, Fleet::ping);
}

#[divan::bench(sample_count = 12, sample_size = 1)]
fn pong_one_by_one(bencher: Bencher) {
    measure(bencher, again, Fleet::pong_one_by_one);
}

#[divan::bench(sample_count = 12, sample_size = 1)]
fn pong_in_a_row(bencher: Bencher) {
    measure(bencher, again, Fleet::pong_in_a_row);
}

#[divan::bench(sample_count = 12, sample_size = 1)]
fn pong_in_batches(bencher: Bencher) {
    measure(bencher, again, Fleet::pong_in_batches);
}

/// A record of the same size, of which a pong only writes one word: what the memory allows.
#[derive(Clone)]
struct Record([u64; size_of::<Peer>() / 8]);

/// Independent random stores.
#[divan::bench(sample_count = 12, sample_size = 1)]
fn limit_random_stores(bencher: Bencher) {
    let (mut records, order) = (vec![Record([0; size_of::<Peer>() / 8]); PEERS], shuffled());
    bencher.counter(ItemsCount::new(PEERS)).bench_local(|| {
        for &slot in &order {
            records[slot as usize].0[0] = u64::from(slot);
        }
        black_box(&records);
    });
}

/// Each store waits for the load before it.
#[divan::bench(sample_count = 12, sample_size = 1)]
fn limit_dependent_misses(bencher: Bencher) {
    let (mut records, order) = (vec![Record([0; size_of::<Peer>() / 8]); PEERS], shuffled());
    bencher.counter(ItemsCount::new(PEERS)).bench_local(|| {
        let mut after = 0;
        for &slot in &order {
            let record = &mut records[slot as usize + after].0[0];
            after = black_box(*record) as usize;
            *record = 0;
        }
        black_box(&records);
    });
}
