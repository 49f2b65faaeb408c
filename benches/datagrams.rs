//! What a gateway adds to the system calls: decoding, telling the fleet, encoding; by packet, at
//! 30 s between two pings, with caches warm and cold (all of them written over between two steps).
//!
//! `cargo bench --bench datagrams --features gateway [-- PEERS SECONDS]`
//!
//! Prints `caches peers pong_ns lone_pong_ns ping_ns`: a pong in a burst, one that is told at once,
//! and a ping that is sent; medians of the simulated seconds.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![allow(clippy::std_instead_of_alloc, reason = "benchmarks have std")]
#![allow(clippy::similar_names, clippy::cast_precision_loss, reason = "pings, pongs, nanoseconds")]

use core::hint::black_box;
use core::net::SocketAddr;
use core::time::Duration;
use std::time::Instant;

use heartbeat_proto::codec::{Frame, PING_LEN, datagram};
use heartbeat_proto::fleet::{Fleet, Progress};
use heartbeat_proto::gateway::{Gateway, GatewayConfig};
use heartbeat_proto::{Config, PingId, Timestamp};

type Datagram = (SocketAddr, [u8; PING_LEN]);

const STEP: u64 = 10_000_000;
const STEPS: u64 = 100;

/// Larger than the caches that a core has to itself and shares.
const CACHES: usize = 256 << 20;

fn host(n: u32) -> SocketAddr {
    SocketAddr::from(((0x0a00_0000 + n).to_be_bytes(), 7007))
}

fn bytes(frame: &Frame) -> [u8; PING_LEN] {
    let mut bytes = [0; PING_LEN];
    frame.encode_into(&mut bytes).expect("a ping or a pong");
    bytes
}

fn answer(ping: &[u8]) -> Option<[u8; PING_LEN]> {
    let pong = datagram::decode(ping).ok()?.answer(Duration::ZERO, false)?;
    Some(bytes(&pong))
}

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

/// `peers` of them, joined in the order of their addresses within an interval.
fn joined(peers: u32, now: &mut u64) -> Gateway {
    let fleet = Fleet::new(Config::messaging_30_90(), 42, at(*now)).expect("valid");
    let caps = GatewayConfig::new().peers(peers).any_source();
    let caps = caps.joins_per_second(1_000_000_000).challenges_per_second(1_000_000_000);
    let mut gateway = Gateway::new(fleet, caps, 0x5eed).expect("valid");
    let (id, handle, stamp) = (PingId::new(9, 1), 0, 0);
    let ping = bytes(&Frame::Ping { id, handle, stamp, status: None });
    for n in 0..peers {
        let mut challenge = None;
        let mut out = |_: SocketAddr, bytes: &[u8]| challenge = answer(bytes);
        gateway.datagram(at(*now), host(n), &ping, &mut out);
        let pong = challenge.expect("a challenge");
        gateway.datagram(at(*now), host(n), &pong, &mut |_: SocketAddr, _: &[u8]| {});
    }
    assert_eq!(gateway.len(), peers as usize);
    gateway
}

fn evict(caches: &mut [u64]) {
    for word in caches.iter_mut().step_by(8) {
        *word = word.wrapping_add(1);
    }
    black_box(caches);
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// What a packet costs in nanoseconds: pongs in a burst, told at once, pings.
fn measure(gateway: &mut Gateway, now: &mut u64, seconds: u64, cold: bool) -> [f64; 3] {
    let mut caches = vec![0; CACHES / 8];
    let mut pongs: Vec<Datagram> = Vec::with_capacity(1 << 20);
    let mut sent: Vec<Datagram> = Vec::with_capacity(1 << 20);
    let mut costs = [const { Vec::new() }; 3];
    for second in 0..seconds {
        let lone = second % 2 == 1;
        let (mut spent, mut count) = ([Duration::ZERO; 3], [0_usize; 3]);
        for _ in 0..STEPS {
            *now += STEP;
            if cold {
                evict(&mut caches);
            }
            let told = usize::from(lone);
            let begun = Instant::now();
            let mut out = |_: SocketAddr, bytes: &[u8]| {
                black_box(bytes);
            };
            if lone {
                for (from, bytes) in &pongs {
                    gateway.datagram(at(*now), *from, bytes, &mut out);
                }
            } else {
                let mut burst = gateway.burst(&mut out);
                for (from, bytes) in &pongs {
                    burst.datagram(at(*now), *from, bytes);
                }
            }
            spent[told] += begun.elapsed();
            count[told] += pongs.len();
            if cold {
                evict(&mut caches);
            }
            let begun = Instant::now();
            let mut out = |to: SocketAddr, bytes: &[u8]| {
                if let Ok(bytes) = bytes.try_into() {
                    sent.push((to, bytes));
                }
            };
            while gateway.advance(at(*now), 1024, &mut out) == Progress::Pending {}
            spent[2] += begun.elapsed();
            count[2] += sent.len();
            pongs.clear();
            pongs.extend(sent.drain(..).filter_map(|(to, ping)| Some((to, answer(&ping)?))));
        }
        for which in 0..3 {
            if count[which] > 0 {
                costs[which].push(spent[which].as_nanos() as f64 / count[which] as f64);
            }
        }
    }
    costs.map(median)
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|arg| arg.parse().ok());
    let peers = numbers.next().unwrap_or(1_000_000);
    let seconds = u64::from(numbers.next().unwrap_or(30));
    let mut now = 1_000_000_000;
    let mut gateway = joined(peers, &mut now);
    measure(&mut gateway, &mut now, 31, false);
    println!("caches peers pong_ns lone_pong_ns ping_ns");
    for (name, cold) in [("warm", false), ("cold", true)] {
        let [pong, lone, ping] = measure(&mut gateway, &mut now, seconds, cold);
        println!("{name} {peers} {pong:.0} {lone:.0} {ping:.0}");
    }
    let stats = gateway.stats();
    assert_eq!((stats.lost, stats.dropped()), (0, 0), "all the work was done");
}
