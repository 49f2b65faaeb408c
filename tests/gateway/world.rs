//! A gateway with a clock, and what it says.

use core::net::SocketAddr;
use core::time::Duration;

use heartbeat_proto::codec::{Frame, MAX_FRAME, datagram};
use heartbeat_proto::fleet::{Fleet, GuardReport, Handle, Progress};
use heartbeat_proto::gateway::{Gateway, GatewayConfig, Gone, Outlet};
use heartbeat_proto::{Config, PingId, Report, Timestamp};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SEC: u64 = 1_000 * MS;

/// Not at zero, so that a rule that wrongly depends on the epoch shows.
pub(crate) const BASE: u64 = 5_000 * SEC;

pub(crate) const SECRET: u128 = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;

/// A ping every 300 ms, dead after 900 ms.
pub(crate) fn quick() -> Config {
    let quick = Config::builder().interval(Duration::from_millis(300));
    quick.timeout(Duration::from_millis(900)).attempts(3).build().expect("valid")
}

/// What came out, in this order.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub(crate) sent: Vec<(SocketAddr, Frame)>,
    pub(crate) joined: Vec<(Handle, SocketAddr)>,
    pub(crate) changed: Vec<(Handle, Report)>,
    pub(crate) gone: Vec<(Handle, SocketAddr, Gone)>,
    pub(crate) guarded: Vec<GuardReport>,
}

impl Outlet for Out {
    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        let frame = datagram::decode(datagram).expect("what is sent is a frame");
        self.sent.push((to, frame));
    }

    fn joined(&mut self, peer: Handle, address: SocketAddr) {
        self.joined.push((peer, address));
    }

    fn changed(&mut self, peer: Handle, _: SocketAddr, report: &Report) {
        self.changed.push((peer, *report));
    }

    fn gone(&mut self, peer: Handle, address: SocketAddr, why: Gone) {
        self.gone.push((peer, address, why));
    }

    fn guarded(&mut self, report: &GuardReport) {
        self.guarded.push(*report);
    }
}

pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) now: u64,
    pub(crate) out: Out,
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// The `n`th address of many, each of another host.
pub(crate) fn host(n: u32) -> SocketAddr {
    SocketAddr::from(((0x0a00_0000 + n).to_be_bytes(), 7007))
}

pub(crate) fn bytes(frame: &Frame) -> Vec<u8> {
    let mut out = [0; MAX_FRAME];
    let len = frame.encode_into(&mut out).expect("a frame");
    out[..len].to_vec()
}

pub(crate) fn ping(epoch: u32) -> Frame {
    Frame::Ping { id: PingId::new(epoch, 1), handle: 77, stamp: 5, status: None }
}

pub(crate) fn pong(ping: &Frame) -> Frame {
    ping.answer(Duration::ZERO, false).expect("a ping")
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(quick(), GatewayConfig::new())
    }

    pub(crate) fn with(config: Config, caps: GatewayConfig) -> Self {
        Self::seeded(config, caps, 42)
    }

    pub(crate) fn seeded(config: Config, caps: GatewayConfig, seed: u64) -> Self {
        let fleet = Fleet::new(config, seed, Timestamp::from_nanos(BASE)).expect("valid");
        let gateway = Gateway::new(fleet, caps, SECRET).expect("valid");
        Self { gateway, now: BASE, out: Out::default() }
    }

    pub(crate) fn raw(&mut self, from: SocketAddr, bytes: &[u8]) -> Vec<(SocketAddr, Frame)> {
        let now = Timestamp::from_nanos(self.now);
        self.gateway.datagram(now, from, bytes, &mut self.out);
        core::mem::take(&mut self.out.sent)
    }

    /// What the gateway sends when it is told this.
    pub(crate) fn say(&mut self, from: SocketAddr, frame: &Frame) -> Vec<(SocketAddr, Frame)> {
        self.raw(from, &bytes(frame))
    }

    /// The challenge that a ping of this epoch brings.
    pub(crate) fn challenge(&mut self, from: SocketAddr, epoch: u32) -> Frame {
        let sent = self.say(from, &ping(epoch));
        assert_eq!(sent.len(), 1, "one datagram for one: {sent:?}");
        assert_eq!(sent[0].0, from);
        sent[0].1
    }

    pub(crate) fn join(&mut self, from: SocketAddr, epoch: u32) -> Handle {
        let challenge = self.challenge(from, epoch);
        assert_eq!(self.say(from, &pong(&challenge)), [], "the first ping is spread in time");
        let (peer, address) = *self.out.joined.last().expect("it joined");
        assert_eq!(address, from);
        peer
    }

    /// All that is due in this time, answered by `answers`.
    pub(crate) fn pass(
        &mut self,
        nanos: u64,
        answers: impl Fn(SocketAddr) -> bool,
    ) -> Vec<(SocketAddr, Frame)> {
        let end = self.now + nanos;
        let mut all = Vec::new();
        while let Some(due) = self.gateway.next_deadline().filter(|due| due.as_nanos() <= end) {
            self.now = self.now.max(due.as_nanos());
            let now = Timestamp::from_nanos(self.now);
            while self.gateway.advance(now, 1000, &mut self.out) == Progress::Pending {}
            let sent = core::mem::take(&mut self.out.sent);
            all.extend(sent.iter().copied());
            for (to, frame) in sent {
                if matches!(frame, Frame::Ping { .. }) && answers(to) {
                    let answered = self.say(to, &pong(&frame));
                    all.extend(answered);
                }
            }
        }
        self.now = end;
        all
    }

    /// The next ping to this peer, which is not answered.
    pub(crate) fn next_ping(&mut self, to: SocketAddr) -> Frame {
        for _ in 0..100 {
            let sent = self.pass(10 * MS, |other| other != to);
            let mut pings =
                sent.iter().filter(|(at, frame)| *at == to && matches!(frame, Frame::Ping { .. }));
            if let Some((_, ping)) = pings.next() {
                return *ping;
            }
        }
        panic!("no ping to {to}");
    }
}
