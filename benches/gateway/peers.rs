//! Peers that have joined.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use anyhow::{Context, Result, ensure};
use heartbeat_proto::codec::{Frame, PING_LEN, datagram};
use heartbeat_proto::fleet::{Fleet, Progress};
use heartbeat_proto::gateway::{Gateway, GatewayConfig};
use heartbeat_proto::{Config, PingId, Timestamp};

/// How often a gateway with much to do is called.
const STEP: Duration = Duration::from_millis(10);

/// Each has been asked several times then.
const BEFORE: Duration = Duration::from_secs(100);

const FIRST: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 0);

/// So many, on this port of as many addresses, which answer at once; and the time when all do as they
/// will for ever.
pub(crate) fn joined(peers: u32, port: u16) -> Result<(Gateway, Timestamp)> {
    let begin = Timestamp::EPOCH;
    let fleet = Fleet::new(Config::messaging_30_90(), 42, begin)?;
    let caps = GatewayConfig::new().peers(peers).any_source();
    let caps = caps.joins_per_second(1_000_000_000).challenges_per_second(1_000_000_000);
    let mut gateway = Gateway::new(fleet, caps, 0x5eed)?;
    let mut ping = [0; PING_LEN];
    let (id, handle, stamp) = (PingId::new(9, 1), 0, 0);
    Frame::Ping { id, handle, stamp, status: None }.encode_into(&mut ping)?;
    for peer in 0..peers {
        let ip = Ipv4Addr::from(u32::from(FIRST) + peer);
        let address = SocketAddr::new(ip.into(), port);
        let mut challenge = None;
        let mut out = |_: SocketAddr, bytes: &[u8]| challenge = answer(bytes);
        gateway.datagram(begin, address, &ping, &mut out);
        if let Some(answer) = challenge {
            gateway.datagram(begin, address, &answer, &mut |_: SocketAddr, _: &[u8]| {});
        }
    }
    let mut now = begin;
    let mut pongs = Vec::new();
    while now < begin.saturating_add(BEFORE) {
        now = next(&gateway, now);
        let mut out = |to: SocketAddr, ping: &[u8]| pongs.push((to, answer(ping)));
        while gateway.advance(now, 1024, &mut out) == Progress::Pending {}
        for (from, pong) in pongs.drain(..) {
            let pong = pong.context("no ping")?;
            gateway.datagram(now, from, &pong, &mut |_: SocketAddr, _: &[u8]| {});
        }
    }
    ensure!(gateway.len() == peers as usize, "not all joined");
    Ok((gateway, now))
}

/// When it is called after `now`.
pub(crate) fn next(gateway: &Gateway, now: Timestamp) -> Timestamp {
    let due = gateway.next_deadline().unwrap_or(now);
    due.max(now.saturating_add(STEP))
}

/// The pong to this ping.
pub(crate) fn answer(ping: &[u8]) -> Option<[u8; PING_LEN]> {
    let mut bytes = [0; PING_LEN];
    let pong = datagram::decode(ping).ok()?.answer(Duration::ZERO, false)?;
    pong.encode_into(&mut bytes).ok()?;
    Some(bytes)
}
