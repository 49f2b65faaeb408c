//! What it costs in memory: nothing after the admissions.

use core::net::SocketAddr;
use core::time::Duration;

use heartbeat_proto::Timestamp;
use heartbeat_proto::codec::{Frame, PING_LEN, datagram};
use heartbeat_proto::fleet::{Fleet, Progress};
use heartbeat_proto::gateway::{Gateway, GatewayConfig};

use crate::world::{BASE, MS, SECRET, World, bytes, host, ping, quick};

const PEERS: u32 = 3000;
const NOBODY: u32 = 3;

/// Answers all that it is sent, when it is asked.
struct Answers(Vec<(SocketAddr, [u8; PING_LEN])>);

impl Answers {
    /// The third of the hosts with that number does not answer.
    fn take(&mut self, to: SocketAddr, bytes: &[u8], silent: u32) {
        let frame = datagram::decode(bytes).expect("a frame");
        let SocketAddr::V4(four) = to else { return };
        let silent = four.ip().to_bits() % 3 == silent;
        if let (Some(pong), false) = (frame.answer(Duration::ZERO, false), silent) {
            let mut bytes = [0; PING_LEN];
            pong.encode_into(&mut bytes).expect("a pong");
            self.0.push((to, bytes));
        }
    }
}

/// GW10: of a thousand admissions the first makes room for all.
#[test]
fn an_admission_allocates_only_for_the_fleet() {
    let caps = GatewayConfig::new().peers(1024).joins_per_second(9999);
    let mut world = World::with(quick(), caps.challenges_per_second(9999));
    world.join(host(0), 9);
    let now = Timestamp::from_nanos(world.now);
    let knock = bytes(&ping(9));
    let counted = allocation_counter::measure(|| {
        for n in 1..1024 {
            let mut challenge = None;
            let mut out = |_: SocketAddr, bytes: &[u8]| challenge = bytes.try_into().ok();
            world.gateway.datagram(now, host(n), &knock, &mut out);
            // Its pong: the same bytes but for the kind.
            let mut answer: [u8; PING_LEN] = challenge.expect("a challenge");
            answer[1] = 2;
            world.gateway.datagram(now, host(n), &answer, &mut |_: SocketAddr, _: &[u8]| {});
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert_eq!(world.gateway.len(), 1024);
}

/// GW10: taking datagrams, advancing, losing peers, challenging strangers, and letting in as many as
/// there were before: nothing is allocated.
#[test]
fn nothing_is_allocated_while_it_runs() {
    let fleet = Fleet::new(quick(), 42, Timestamp::from_nanos(BASE)).expect("valid");
    let caps = GatewayConfig::new().peers(PEERS).joins_per_second(1_000_000);
    let caps = caps.challenges_per_second(1_000_000);
    let mut gateway = Gateway::new(fleet, caps, SECRET).expect("valid");
    let mut now = BASE;
    let mut waiting = Answers(Vec::with_capacity(2 * PEERS as usize));
    let mut answers = Answers(Vec::with_capacity(2 * PEERS as usize));
    let hello = bytes(&ping(9));
    let mut round = |knocks: u32, silent: u32| {
        now += 20 * MS;
        let at = Timestamp::from_nanos(now);
        core::mem::swap(&mut waiting, &mut answers);
        {
            let mut out = |to: SocketAddr, bytes: &[u8]| answers.take(to, bytes, silent);
            let mut burst = gateway.burst(&mut out);
            for n in 0..knocks {
                burst.datagram(at, host(n), &hello);
            }
            for (from, bytes) in waiting.0.drain(..) {
                burst.datagram(at, from, &bytes);
            }
        }
        let mut out = |to: SocketAddr, bytes: &[u8]| answers.take(to, bytes, silent);
        while gateway.advance(at, 500, &mut out) == Progress::Pending {}
        gateway.len()
    };
    for _ in 0..3 {
        round(PEERS, NOBODY);
    }
    assert_eq!(round(0, NOBODY), PEERS as usize);
    let mut fewest = PEERS as usize;
    let counted = allocation_counter::measure(|| {
        for n in 0..600 {
            // For a while a third is silent, and dies; then they come back, and strangers as well.
            let silent = match n {
                100..200 => 0,
                350..450 => 1,
                _ => NOBODY,
            };
            let knocks = if n % 50 == 0 { 2 * PEERS } else { 0 };
            fewest = fewest.min(round(knocks, silent));
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert!(fewest < PEERS as usize * 3 / 4, "only down to {fewest}: too tame");
    let stats = gateway.stats();
    assert!(stats.lost > 1500 && stats.refused_full > 1000, "{stats:?}");
    assert_eq!(gateway.len(), PEERS as usize);
    assert!(matches!(datagram::decode(&hello), Ok(Frame::Ping { .. })));
}
