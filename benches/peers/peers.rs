//! One heartbeat, here and at the peers: what comes out when a ping is due, and what happens when
//! its answer comes in. All in one run, round by round in turn, so that a noisy machine is noisy
//! for all; the ratio is the median over the rounds.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml`
//!
//! What the rows hold:
//!
//! * ours: `HeartbeatMachine::handle` (rules, counters, histograms, next deadline) and the bare
//!   `PeerState::handle`; bytes not included.
//! * the floor: a hand-written state of forty bytes with one interval and one timeout.
//! * rumqttc's `MqttState`: `PingReq` out, `PingResp` in. It reads the clock itself, so there is a
//!   row of ours with as many readings. It has no timers and no codec.
//! * foca's probe, at the probing node alone: timer, ping encoded, ack decoded, indirect timer.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "../cycles/mod.rs"]
mod cycles;

use std::convert::Infallible;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use cycles::{Floor, config, floor_cycle, machine_cycle, state_cycle};
use foca::{AccumulatingRuntime, Foca, Member, NoCustomBroadcast, PostcardCodec, Timer};
use heartbeat_proto::{Echo, Ledger, Table};
use rumqttc::{Incoming, MqttState, PingReq, Request};

const ROUNDS: usize = 101;
/// Heartbeats a round; a multiple of [`NODES`].
const HEARTBEATS: usize = 6400;
/// foca's nodes take turns, so that the clock is read around many probes and not around each.
const NODES: usize = 64;

/// Runs [`HEARTBEATS`] and says how long they took.
type Subject = (&'static str, Box<dyn FnMut() -> Duration>);

fn main() {
    let mut subjects: Vec<Subject> = vec![
        ("machine, table", machine::<Table>(false)),
        ("machine, echo", machine::<Echo>(false)),
        ("bare state, table", state::<Table>()),
        ("bare state, echo", state::<Echo>()),
        ("floor (one interval, one timeout)", floor()),
        ("machine, table, with four clock readings", machine::<Table>(true)),
        ("rumqttc MqttState (reads the clock four times)", rumqttc_ping()),
        ("foca probe, probing node (with its codec)", foca_probe()),
    ];
    let mut times = vec![Vec::with_capacity(ROUNDS); subjects.len()];
    for _ in 0..ROUNDS {
        for ((_, run), times) in subjects.iter_mut().zip(&mut times) {
            times.push(run().as_secs_f64() * 1e9 / HEARTBEATS as f64);
        }
    }
    println!("{:50} {:>8} {:>8} {:>8}", "ns a heartbeat", "min", "median", "ratio");
    for ((name, _), own) in subjects.iter().zip(&times) {
        let mut ratios: Vec<_> = own.iter().zip(&times[0]).map(|(own, ours)| own / ours).collect();
        let mut sorted = own.clone();
        let (median, ratio) = (median(&mut sorted), median(&mut ratios));
        println!("{name:50} {:8.2} {median:8.2} {ratio:8.2}", sorted[0]);
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn timed(mut heartbeat: impl FnMut() + 'static) -> Box<dyn FnMut() -> Duration> {
    Box::new(move || {
        let start = Instant::now();
        for _ in 0..HEARTBEATS {
            heartbeat();
        }
        start.elapsed()
    })
}

fn machine<L: Ledger + 'static>(reads_clock: bool) -> Box<dyn FnMut() -> Duration> {
    let (mut machine, _) = cycles::machine::<L>();
    timed(move || {
        if reads_clock {
            black_box([(); 4].map(|()| Instant::now()));
        }
        machine_cycle(black_box(&mut machine));
    })
}

fn state<L: Ledger + 'static>() -> Box<dyn FnMut() -> Duration> {
    let (mut state, config) = (cycles::state::<L>(7).0, config());
    timed(move || {
        state_cycle(black_box(&mut state), black_box(&config));
    })
}

fn floor() -> Box<dyn FnMut() -> Duration> {
    let mut floor = Floor::new();
    timed(move || floor_cycle(black_box(&mut floor)))
}

fn rumqttc_ping() -> Box<dyn FnMut() -> Duration> {
    let mut mqtt = MqttState::new(100, false);
    timed(move || {
        let ping = mqtt.handle_outgoing_packet(black_box(Request::PingReq(PingReq)));
        assert!(ping.expect("the last one was answered").is_some());
        let nothing = mqtt.handle_incoming_packet(black_box(Incoming::PingResp));
        assert!(nothing.expect("a ping is out").is_none());
        // Its event loop takes these; nobody else empties the queue.
        mqtt.events.clear();
    })
}

type Node = Foca<SocketAddrV4, PostcardCodec, Dice, NoCustomBroadcast>;
type Runtime = AccumulatingRuntime<SocketAddrV4>;

/// foca draws members and numbers; this is enough for one member.
struct Dice(u64);

impl rand::TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(self.try_next_u64()? as u8);
        Ok(())
    }
}

/// A probing node, its peer, and what the probing node waits for.
struct Pair {
    node: Node,
    runtime: Runtime,
    peer: Node,
    peer_runtime: Runtime,
    next_probe: Option<Timer<SocketAddrV4>>,
    indirect: Option<Timer<SocketAddrV4>>,
    ack: Vec<u8>,
}

impl Pair {
    fn new() -> Self {
        let mut config = foca::Config::new_wan(NonZeroU32::new(2).expect("two"));
        // Only the probe: no gossip and no announcements on other timers.
        (config.periodic_announce, config.periodic_announce_to_down_members) = (None, None);
        config.periodic_gossip = None;
        let at = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let node = |port| {
            let mut node = Foca::new(at(port), config.clone(), Dice(7), PostcardCodec);
            let mut runtime = Runtime::new();
            let other = Member::alive(at(3 - port));
            node.apply_many([other].into_iter(), false, &mut runtime).expect("one member");
            (node, runtime)
        };
        let ((node, runtime), (peer, peer_runtime)) = (node(1), node(2));
        let (next_probe, indirect, ack) = (None, None, Vec::new());
        let mut pair = Self { node, runtime, peer, peer_runtime, next_probe, indirect, ack };
        pair.take_timers();
        pair
    }

    fn take_timers(&mut self) {
        while let Some((_, timer)) = self.runtime.to_schedule() {
            match timer {
                Timer::ProbeRandomMember(_) => self.next_probe = Some(timer),
                Timer::SendIndirectProbe { .. } => self.indirect = Some(timer),
                _ => {}
            }
        }
    }

    /// The probe is due: a ping goes out.
    fn probe(&mut self) {
        let timer = self.next_probe.take().expect("a probe follows a probe");
        self.node.handle_timer(timer, &mut self.runtime).expect("a probe");
        self.take_timers();
    }

    /// The other end, not measured.
    fn answer(&mut self) {
        let (_, ping) = self.runtime.to_send().expect("a ping");
        self.peer.handle_data(&ping, &mut self.peer_runtime).expect("a ping");
        let (_, ack) = self.peer_runtime.to_send().expect("an ack");
        self.ack = ack.to_vec();
    }

    /// The ack comes in; later the timer of the indirect probe finds nothing to do.
    fn hear(&mut self) {
        self.node.handle_data(&self.ack, &mut self.runtime).expect("an ack");
        let timer = self.indirect.take().expect("a timer follows a probe");
        self.node.handle_timer(timer, &mut self.runtime).expect("answered");
        assert!(self.runtime.to_send().is_none(), "no indirect probe: the ack was accepted");
        self.take_timers();
    }
}

fn foca_probe() -> Box<dyn FnMut() -> Duration> {
    let mut pairs: Vec<_> = (0..NODES).map(|_| Pair::new()).collect();
    Box::new(move || {
        let mut total = Duration::ZERO;
        for _ in 0..HEARTBEATS / NODES {
            let start = Instant::now();
            pairs.iter_mut().for_each(Pair::probe);
            total += start.elapsed();
            pairs.iter_mut().for_each(Pair::answer);
            let start = Instant::now();
            pairs.iter_mut().for_each(Pair::hear);
            total += start.elapsed();
        }
        total
    })
}
