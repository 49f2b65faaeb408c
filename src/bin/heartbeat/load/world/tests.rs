//! The simulated peers with the library's gateway, in virtual time.

use alloc::collections::VecDeque;
use core::net::{Ipv4Addr, SocketAddr};

use heartbeat_proto::fleet::{Fleet, Progress};
use heartbeat_proto::gateway::{Gateway, GatewayConfig};
use heartbeat_proto::{Config, PingId};
use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
/// Each way.
const DELAY: Duration = Duration::from_millis(2);

/// What is under way, in the order in which it arrives.
type Way = VecDeque<(Timestamp, u32, Vec<u8>)>;

struct Pair {
    world: World,
    gateway: Gateway,
    there: Way,
    back: Way,
    /// What the gateway's datagrams must not be to arrive.
    withheld: fn(u32, &Frame) -> bool,
    /// All that the peers sent.
    sent: Vec<(Timestamp, u32, Vec<u8>)>,
}

fn plan(peers: u32) -> Plan {
    let bound = Config::lan().worst_case_detection() + SECOND;
    let (ramp, length) = (SECOND, 30 * SECOND);
    Plan { peers, ramp, length, loss: 0.0, churn: 0, kill: 0, bound, ping: None, seed: 1 }
}

fn address(peer: u32) -> SocketAddr {
    (Ipv4Addr::from(0x7f01_0000 + peer), 7).into()
}

fn peer(address: SocketAddr) -> u32 {
    let SocketAddr::V4(address) = address else { panic!("none of ours") };
    u32::from(*address.ip()) - 0x7f01_0000
}

impl Pair {
    fn new(plan: Plan, config: GatewayConfig) -> Self {
        let now = Timestamp::from_nanos(5_000_000_000);
        let fleet = Fleet::new(Config::lan(), 7, now).unwrap();
        Self {
            world: World::new(plan, now).unwrap(),
            gateway: Gateway::new(fleet, config, 0x5eed).unwrap(),
            there: Way::new(),
            back: Way::new(),
            withheld: |_, _| false,
            sent: Vec::new(),
        }
    }

    fn next(&self) -> Option<Timestamp> {
        let ways = [&self.there, &self.back].map(|way| way.front().map(|next| next.0));
        let ends = [self.world.next_deadline(), self.gateway.next_deadline()];
        ways.into_iter().chain(ends).flatten().min()
    }

    /// Until all have left; the time it took.
    fn run(&mut self) -> Duration {
        let begin = self.world.begin;
        let mut now = begin;
        while !self.world.is_over() {
            now = self.next().expect("somebody has to leave").max(now);
            let arrives = now.saturating_add(DELAY);
            let (sent, there) = (&mut self.sent, &mut self.there);
            let mut out = |peer, bytes: &[u8]| {
                sent.push((now, peer, bytes.to_vec()));
                there.push_back((arrives, peer, bytes.to_vec()));
            };
            while self.back.front().is_some_and(|next| next.0 <= now) {
                let (_, peer, bytes) = self.back.pop_front().unwrap();
                self.world.datagram(now, peer, &bytes, &mut out);
            }
            self.world.advance(now, 64, &mut out);
            let (withheld, back) = (self.withheld, &mut self.back);
            let mut out = |to: SocketAddr, bytes: &[u8]| {
                let frame = datagram::decode(bytes).unwrap();
                if !withheld(peer(to), &frame) {
                    back.push_back((arrives, peer(to), bytes.to_vec()));
                }
            };
            while self.there.front().is_some_and(|next| next.0 <= now) {
                let (_, peer, bytes) = self.there.pop_front().unwrap();
                self.gateway.datagram(now, address(peer), &bytes, &mut out);
            }
            while self.gateway.advance(now, 1_000, &mut out) == Progress::Pending {}
        }
        now.saturating_duration_since(begin)
    }
}

/// Lets all in at once.
fn open() -> GatewayConfig {
    GatewayConfig::new().joins_per_second(1_000_000).challenges_per_second(1_000_000)
}

#[test]
fn all_join_some_are_killed_and_found_some_churn_and_all_leave() {
    let plan = Plan { churn: 40, kill: 30, ping: Some(7 * SECOND), ..plan(300) };
    let mut pair = Pair::new(plan, open());
    let took = pair.run();
    assert!(took >= plan.length && took < plan.length + SECOND, "{took:?}");
    let (tally, stats) = (&pair.world.tally, pair.gateway.stats());
    assert!(tally.is_good(), "{tally:?}");
    assert_eq!((tally.killed, tally.found, tally.churned), (30, 30, 40));
    assert_eq!((tally.joins.len(), tally.asked, stats.joined), (340, 340, 340));
    assert_eq!((stats.lost, tally.present, tally.strays, tally.lost), (30, 0, 0, 0));
    // Two round trips, and no more.
    let (least, most) = tally.joins.range();
    assert!(least >= 4 * DELAY && most < 5 * DELAY, "{:?}", tally.joins);
    assert!(tally.round_trips.len() > 340 + 3 * 270);
    let (least, most) = tally.detections.range();
    assert!(least > 2 * SECOND && most < plan.bound, "{:?}", tally.detections);
    assert!(pair.world.peers.iter().all(|peer| matches!(peer.phase, Phase::Away | Phase::Found)));
}

#[test]
fn a_gateway_that_condemns_the_living_is_told_off() {
    let mut pair = Pair::new(plan(50), open());
    pair.withheld = |peer, frame| peer == 7 && matches!(frame, Frame::Ping { .. });
    pair.run();
    // It is never challenged, so it is never in, for longer than the bound.
    assert_eq!((pair.world.tally.outside, pair.world.tally.is_good()), (1, false));

    let mut pair = Pair::new(plan(50), open());
    // The peer cannot answer: the gateway is wrong through no fault of its own, and is told.
    pair.withheld = |peer, frame| peer == 7 && pings_of_its_own(frame);
    pair.run();
    let (tally, stats) = (&pair.world.tally, pair.gateway.stats());
    assert!(tally.wrong > 1 && tally.wrong == stats.lost, "{tally:?}");
    assert!(!tally.is_good());
    // But for the last time, perhaps.
    assert!(tally.joins.len() + 1 >= 50 + tally.wrong);
}

fn pings_of_its_own(frame: &Frame) -> bool {
    matches!(frame, Frame::Ping { id, .. } if id.epoch() != 0)
}

#[test]
fn a_gateway_that_says_nothing_is_late_and_forgets() {
    let mut pair = Pair::new(Plan { kill: 5, ..plan(50) }, open());
    pair.withheld = |_, frame| matches!(frame, Frame::Goodbye { .. });
    pair.run();
    assert_eq!((pair.world.tally.found, pair.world.tally.late), (0, 5));
    assert!(!pair.world.tally.is_good());

    let mut pair = Pair::new(plan(50), open());
    pair.withheld = |peer, frame| {
        peer == 7 && (pings_of_its_own(frame) || matches!(frame, Frame::Goodbye { .. }))
    };
    pair.run();
    assert_eq!((pair.world.tally.wrong, pair.world.tally.forgotten), (0, 1));
    assert!(!pair.world.tally.is_good());
}

#[test]
fn nobody_there_is_not_good_and_is_asked_ever_more_rarely() {
    let mut pair = Pair::new(Plan { bound: 60 * SECOND, ..plan(10) }, open());
    pair.withheld = |_, _| true;
    pair.run();
    // Waits of 1, 1 to 2, 1 to 4, 1 to 8 s and so on: 30 s are five to twelve of them.
    let tally = &pair.world.tally;
    assert!((50..120).contains(&tally.asked) && tally.outside == 0, "{tally:?}");
    assert!(!pair.world.tally.is_good());
}

#[test]
fn a_gateway_that_lets_few_in_is_not_stormed() {
    let config = GatewayConfig::new().joins_per_second(50).challenges_per_second(1_000_000);
    let mut pair = Pair::new(plan(400), config);
    pair.run();
    let tally = &pair.world.tally;
    assert_eq!((tally.joins.len(), tally.is_good()), (400, true), "{tally:?}");
    assert!(tally.asked < 400 * 8, "{tally:?}");
    // To a request belong a ping, a second one, and at most two answers; then pongs, and a goodbye.
    assert!(tally.sent <= 4 * tally.asked + tally.pings + 400, "{tally:?}");
}

#[test]
fn a_gateway_that_ends_is_asked_again_after_a_second() {
    let mut pair = Pair::new(plan(1), open());
    let now = pair.world.begin;
    let mut none = |_: u32, _: &[u8]| {};
    pair.world.advance(now.saturating_add(SECOND), 9, &mut none);
    let ping = Frame::Ping { id: PingId::new(77, 1), handle: 0, stamp: 0, status: None };
    let told = |world: &mut World, frame: &Frame, at: Timestamp| {
        let (mut bytes, mut answers) = ([0; 125], 0);
        let len = frame.encode_into(&mut bytes).unwrap();
        world.datagram(at, 0, &bytes[..len], &mut |_: u32, _: &[u8]| answers += 1);
        answers
    };
    let at = now.saturating_add(2 * SECOND);
    assert_eq!(told(&mut pair.world, &ping, at), 1);
    assert_eq!(told(&mut pair.world, &Frame::Goodbye { epoch: 78, reason: 2 }, at), 0);
    assert_eq!((pair.world.tally.present, pair.world.tally.strays), (1, 1));
    assert_eq!(told(&mut pair.world, &Frame::Goodbye { epoch: 77, reason: 2 }, at), 0);
    assert_eq!((pair.world.tally.present, pair.world.tally.dismissed), (0, 1));
    let mut asked = 0;
    pair.world.advance(at, 9, &mut |_: u32, _: &[u8]| asked += 1);
    // The first request's retry is not its own any more; the new one is due a second later.
    pair.world.advance(at.saturating_add(SECOND), 9, &mut |_: u32, _: &[u8]| asked += 1);
    assert_eq!((asked, pair.world.tally.wrong), (1, 0));
}

/// A server that answers whoever pings it watches nobody: it is no gateway.
#[test]
fn a_pong_before_any_challenge_lets_nobody_in() {
    let mut world = World::new(plan(1), Timestamp::EPOCH).unwrap();
    let at = Timestamp::EPOCH.saturating_add(SECOND);
    world.advance(at, 9, &mut |_: u32, _: &[u8]| {});
    let epoch = world.peers[0].epoch;
    let id = PingId::new(epoch, 1);
    let (stamp, hold) = (at.as_nanos(), Duration::ZERO);
    let pong = Frame::Pong { id, handle: 0, stamp, hold, calm: false, status: None };
    let id = PingId::new(0, 1);
    let challenge = Frame::Ping { id, handle: epoch.into(), stamp: 9, status: None };
    for (frame, present, sent) in [(pong, 0, 1), (challenge, 0, 3), (pong, 1, 3)] {
        let mut bytes = [0; 125];
        let len = frame.encode_into(&mut bytes).unwrap();
        world.datagram(at, 0, &bytes[..len], &mut |_: u32, _: &[u8]| {});
        let tally = &world.tally;
        assert_eq!((tally.present, tally.strays, tally.sent), (present, 1, sent), "{frame:?}");
    }
}

/// A ping can overtake nothing, but what a peer says can cross it.
#[test]
fn a_ping_of_the_connection_before_lets_nobody_in() {
    let mut world = World::new(plan(1), Timestamp::EPOCH).unwrap();
    let at = Timestamp::EPOCH.saturating_add(SECOND);
    let mut none = |_: u32, _: &[u8]| {};
    let ping = |world: &mut World, epoch| {
        let mut bytes = [0; 32];
        let id = PingId::new(epoch, 1);
        Frame::Ping { id, handle: 0, stamp: 0, status: None }.encode_into(&mut bytes).unwrap();
        world.datagram(at, 0, &bytes, &mut |_: u32, _: &[u8]| {});
        (world.tally.present, world.tally.joins.len(), world.peers[0].gateway)
    };
    world.advance(at, 9, &mut none);
    assert_eq!(ping(&mut world, 5), (1, 1, 5));
    world.churn(at, &mut none);
    assert_eq!(ping(&mut world, 5), (0, 1, 5));
    assert_eq!(ping(&mut world, 6), (1, 2, 6));
}

#[test]
fn stopped_early_all_leave_at_once_and_the_newly_killed_are_not_late() {
    let mut pair = Pair::new(Plan { kill: 9, ramp: SECOND, ..plan(20) }, open());
    let (begin, none) = (pair.world.begin, &mut |_: u32, _: &[u8]| {});
    pair.world.advance(begin.saturating_add(SECOND), 99, none);
    for (at, peer) in pair.world.peers.iter_mut().enumerate() {
        peer.phase = if at < 9 { Phase::Killed } else { Phase::Joined };
        peer.heard = 1_000;
    }
    pair.world.tally.present = 11;
    let now = begin.saturating_add(3 * SECOND);
    pair.world.stop(now);
    let mut goodbyes = 0;
    pair.world.advance(now.saturating_add(SECOND), 99, &mut |_: u32, _: &[u8]| goodbyes += 1);
    assert!(pair.world.is_over());
    assert_eq!((goodbyes, pair.world.tally.undecided, pair.world.tally.present), (11, 9, 0));
}

/// As many as were asked for, also when hardly any are left.
#[test]
fn all_are_killed_if_all_are_to_be() {
    let plan = Plan { churn: 20, kill: 300, ..plan(300) };
    let mut pair = Pair::new(plan, open());
    pair.run();
    let tally = &pair.world.tally;
    assert_eq!((tally.killed, tally.found, tally.is_good()), (300, 300, true), "{tally:?}");
    assert!(tally.churned > 0);
}

/// Who was refused to the end is told of, also where that is no time to blame the gateway for.
#[test]
fn those_not_let_in_yet_are_counted() {
    let plan = Plan { bound: 60 * SECOND, ..plan(50) };
    let mut pair = Pair::new(plan, open().peers(8));
    pair.run();
    let tally = &pair.world.tally;
    assert_eq!((tally.joins.len(), tally.waiting, tally.outside), (8, 42, 0), "{tally:?}");
    let mut pair = Pair::new(super::Plan { bound: 9 * SECOND, ..plan }, open().peers(8));
    pair.run();
    let tally = &pair.world.tally;
    assert_eq!((tally.joins.len(), tally.waiting, tally.outside), (8, 0, 42), "{tally:?}");
}

/// A gateway that ends forgets whoever was killed: it is not to blame for what it cannot find any
/// more.
#[test]
fn a_gateway_that_ends_is_not_late_with_the_killed() {
    let mut pair = Pair::new(Plan { kill: 1, ..plan(1) }, open());
    let world = &mut pair.world;
    let at = world.begin.saturating_add(2 * SECOND);
    world.peers[0] = Peer { phase: Phase::Killed, since: at, gateway: 77, ..Peer::default() };
    let mut bytes = [0; 125];
    for (reason, undecided) in [(0, 1), (1, 1)] {
        let len = Frame::Goodbye { epoch: 77, reason }.encode_into(&mut bytes).unwrap();
        world.datagram(at, 0, &bytes[..len], &mut |_: u32, _: &[u8]| {});
        let tally = &world.tally;
        assert_eq!((tally.undecided, tally.found, tally.late), (undecided, 0, 0));
    }
    world.stop(at.saturating_add(20 * SECOND));
    world.advance(at.saturating_add(21 * SECOND), 9, &mut |_: u32, _: &[u8]| {});
    assert_eq!((world.tally.undecided, world.tally.late), (1, 0));
}

/// For as long as a run can be.
#[test]
fn the_forgotten_are_counted_after_a_year_too() {
    const DAY: Duration = Duration::from_secs(86_400);
    for silent in [2 * SECOND, 20 * SECOND] {
        let (length, bound) = (366 * DAY, 10 * SECOND);
        let mut world = World::new(Plan { length, bound, ..plan(1) }, Timestamp::EPOCH).unwrap();
        let end = Timestamp::EPOCH.saturating_add(length);
        let mut none = |_: u32, _: &[u8]| {};
        world.advance(Timestamp::EPOCH.saturating_add(SECOND), 1, &mut none);
        let ping = Frame::Ping { id: PingId::new(77, 1), handle: 0, stamp: 0, status: None };
        let mut bytes = [0; 125];
        let len = ping.encode_into(&mut bytes).unwrap();
        let heard = Timestamp::from_nanos(end.as_nanos() - silent.as_nanos() as u64);
        world.datagram(heard, 0, &bytes[..len], &mut none);
        world.advance(end.saturating_add(SECOND), 9, &mut none);
        assert!(world.is_over());
        assert_eq!(world.tally.forgotten, u64::from(silent > bound));
    }
}

/// While they leave nothing else is waited for.
#[test]
fn those_that_leave_are_not_hurried_by_what_is_left_undone() {
    let mut pair = Pair::new(Plan { ping: Some(SECOND), churn: 99, ..plan(500) }, open());
    let now = pair.world.begin.saturating_add(SECOND);
    pair.world.advance(now, 9, &mut |_: u32, _: &[u8]| {});
    pair.world.stop(now);
    let soon = now.saturating_add(Duration::from_micros(20));
    pair.world.advance(soon, 99, &mut |_: u32, _: &[u8]| {});
    assert_eq!(pair.world.tally.sent, 9 + 2);
    assert!(pair.world.next_deadline().unwrap() > soon);
}

#[test]
fn what_is_due_goes_out_within_the_budget() {
    let mut world = World::new(plan(1_000), Timestamp::EPOCH).unwrap();
    let late = Timestamp::EPOCH.saturating_add(5 * SECOND);
    let mut sent = 0;
    world.advance(late, 64, &mut |_: u32, _: &[u8]| sent += 1);
    assert_eq!(sent, 64);
    assert!(world.next_deadline().unwrap() <= late);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]

    /// What the gateway did and what the peers saw of it agree, whatever the plan.
    #[test]
    fn both_ends_count_the_same(
        peers in 1..200_u32,
        loss in prop_oneof![Just(0.0), 0.0..0.1],
        churn in 0..50_u32,
        kill in 0..50_u32,
        ping in proptest::option::of(1..9_u32),
        seed: u64,
    ) {
        let ping = ping.map(|seconds| seconds * SECOND);
        let plan = Plan { loss, churn, kill: kill.min(peers), ping, seed, ..plan(peers) };
        let mut pair = Pair::new(plan, open());
        pair.run();
        let (tally, stats) = (&pair.world.tally, pair.gateway.stats());
        prop_assert_eq!(tally.late, 0, "{:?}", tally);
        if loss == 0.0 {
            prop_assert_eq!((tally.wrong, tally.forgotten, tally.lost), (0, 0, 0), "{:?}", tally);
            prop_assert_eq!(tally.joins.len(), stats.joined);
            prop_assert_eq!(tally.found, stats.lost);
        } else {
            // A goodbye may reach a peer that has left meanwhile; all others are counted.
            prop_assert!(tally.found + tally.wrong + tally.strays >= stats.lost);
            prop_assert!(tally.found + tally.wrong <= stats.lost);
        }
        let mut again = Pair::new(plan, open());
        again.run();
        prop_assert_eq!(&pair.sent, &again.sent);
    }

    /// A gateway can say anything at any time.
    #[test]
    fn no_datagram_upsets_the_peers(
        said in prop::collection::vec((0..4_u32, any::<u8>(), any::<[u8; 4]>(), 0..3_000_u64), 1..200),
    ) {
        let mut world = World::new(Plan { kill: 2, churn: 9, ..plan(3) }, Timestamp::EPOCH).unwrap();
        let mut now = Timestamp::EPOCH;
        let mut none = |_: u32, _: &[u8]| {};
        for (peer, kind, bytes, millis) in said {
            now = now.saturating_add(Duration::from_millis(millis));
            world.advance(now, 9, &mut none);
            let epoch = if kind & 8 == 0 { u32::from(kind >> 6) } else { u32::from_be_bytes(bytes) };
            let epoch = match world.peers.get(peer as usize) {
                Some(peer) if kind & 16 == 0 => peer.epoch,
                _ => epoch,
            };
            let id = PingId::new(epoch, kind.into());
            let (handle, stamp) = (epoch.into(), u64::from_be_bytes([kind; 8]));
            let frame = match kind & 3 {
                0 => Frame::Ping { id, handle, stamp, status: None },
                1 => Frame::Pong { id, handle, stamp, hold: SECOND, calm: false, status: None },
                2 => Frame::Goodbye { epoch, reason: (kind >> 4).into() },
                _ => Frame::Beacon { id, handle, stamp, period: None, status: None },
            };
            let mut space = [0; 125];
            let len = frame.encode_into(&mut space).unwrap();
            let len = if kind & 32 == 0 { len } else { len.min(usize::from(kind >> 2)) };
            world.datagram(now, peer, &space[..len], &mut none);
            let joined = world.peers.iter().filter(|peer| peer.phase == Phase::Joined).count();
            prop_assert_eq!(world.tally.present, joined as u64);
        }
    }
}
