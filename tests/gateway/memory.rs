//! What it costs in memory: nothing after the admissions.

use core::net::SocketAddr;
use core::time::Duration;

use heartbeat_proto::Timestamp;
use heartbeat_proto::codec::{Frame, PING_LEN, datagram};
use heartbeat_proto::fleet::{Fleet, Progress};
use heartbeat_proto::gateway::{Gateway, GatewayConfig};

use crate::world::{BASE, MS, SECRET, bytes, host, ping, quick};

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
