//! A digest of everything the machine says over more than a million pseudo-random events: a guard
//! against accidental changes of behaviour while the code is made faster or clearer.
//!
//! For each kind of configuration and both ledgers a script is run; every action, the liveness,
//! the deadline and its reason, and at the end of a life the counters, estimates and the report
//! enter a 64-bit FNV-1a digest. A bare [`PeerState`] walks beside the machine and must say the
//! same.
//!
//! **When this fails** and the change was meant (a fixed rule, a new action), replace the numbers
//! in [`EXPECTED`] by those that the failure prints, in the commit that changes the behaviour, and
//! say in its message which rule changed. When it was not meant, it is a bug.

use core::time::Duration;

use heartbeat_proto::detector::Deadline;
use heartbeat_proto::{
    Action, Config, ConfigBuilder, DeadlineReason, Echo, Event, Findings, FirstPing,
    HeartbeatMachine, LatePolicy, Ledger, LifeRule, Mode, PeerState, PingId, PingSchedule, Probing,
    Table, Timestamp, Verdict,
};

/// The digests with the [`Table`] and with the [`Echo`] ledger.
const EXPECTED: [(&str, &str, &str); 14] = [
    ("default", "89e38c2a8f08104f", "262c3af64d52f3c8"),
    ("mesh", "8e8e8198bb2987fb", "89aaf0d81bde7066"),
    ("strict", "509151b6c4236e31", "633abf9ca8705abf"),
    ("forgive", "a71879c3b75d3d4c", "41c03495f16cb51f"),
    ("writes", "6a006866bf86f11f", "b3dbae9ba704e271"),
    ("one_byte", "0088ecd53c330b84", "1e27bce3b98fb816"),
    ("external", "887a87ba6c1f0f76", "7fe36dec93c0f520"),
    ("external_one_byte", "06ed0078a1f025fe", "25ba288b2065456f"),
    ("initiator", "6fb5fbe997602371", "b5aa69ef356cf3d3"),
    ("responder", "5b992a520b1a1ddd", "e41091106aa24ca3"),
    ("beacon", "c9c024dd9e9c8651", "b3a5736ff6bbaeab"),
    ("passive", "f474a432055b52cd", "301eb8dca93c1aca"),
    ("reopening", "ab68f10dd94f3251", "7d38d2c6a8db24c3"),
    ("policed", "67dcbbd8901e0e0e", "d314401792f6c608"),
];

/// Lives times events: with 14 configurations and two ledgers 1.1 million.
const LIVES: usize = 200;
const EVENTS: usize = 200;

fn configs() -> [(&'static str, Config); 14] {
    let wan = || {
        Config::builder()
            .interval(Duration::from_secs(5))
            .timeout(Duration::from_secs(20))
            .attempts(3)
    };
    let config = |builder: ConfigBuilder| builder.build().unwrap();
    [
        ("default", Config::default()),
        ("mesh", Config::service_mesh()),
        ("strict", config(wan().late_policy(LatePolicy::Strict).life_rule(LifeRule::ExactPong))),
        (
            "forgive",
            config(
                wan()
                    .late_policy(LatePolicy::Forgive(Duration::from_secs(2)))
                    .life_rule(LifeRule::AnyPong)
                    .first_ping(FirstPing::Immediate),
            ),
        ),
        ("writes", config(wan().write_reports(true).write_stall(Duration::from_secs(8)))),
        ("one_byte", config(wan().ids(false).probing(Probing::Always))),
        ("external", config(wan().schedule(PingSchedule::External))),
        ("external_one_byte", config(wan().schedule(PingSchedule::External).ids(false))),
        ("initiator", config(wan().mode(Mode::Initiator).life_rule(LifeRule::AnyByte))),
        ("responder", config(wan().mode(Mode::Responder))),
        ("beacon", config(wan().mode(Mode::Beacon))),
        ("passive", config(wan().mode(Mode::Passive).reopen_after(2))),
        (
            "reopening",
            config(
                wan()
                    .detector(Deadline::rtt_adaptive(3))
                    .ceiling(Duration::from_secs(40))
                    .reopen_after(3)
                    .probe_loss(2, 5, Verdict::Report),
            ),
        ),
        (
            "policed",
            config(
                wan()
                    .accept_gap(Duration::from_secs(4))
                    .police(1, 1, Verdict::Convict)
                    .probe_loss(3, 8, Verdict::Convict)
                    .ping_unanswered(2, Verdict::Convict)
                    .keepalive(Duration::from_secs(3)),
            ),
        ),
    ]
}

/// FNV-1a over little-endian words: the same on every machine.
struct Digest {
    hash: u64,
    /// Every finding that was told, to show that the script reaches it.
    found: Findings,
}

impl Digest {
    fn new() -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, found: Findings::NONE }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn word(&mut self, word: u64) {
        self.bytes(&word.to_le_bytes());
    }

    fn action(&mut self, action: Action) {
        let words = match action {
            Action::SendPong { id, calm } => [1, id.as_u64(), u64::from(calm)],
            Action::SendPing { id, stamp } => [2, id.as_u64(), stamp.as_nanos()],
            Action::SendBeacon { id, stamp } => [3, id.as_u64(), stamp.as_nanos()],
            Action::RequestProbe => [4, 0, 0],
            Action::SendGoodbye => [5, 0, 0],
            Action::Notify(transition) => {
                self.bytes(transition.to_string().as_bytes());
                [6, 0, 0]
            }
            Action::Report(findings) => {
                self.found = self.found.with(findings);
                [7, findings.bits().into(), 0]
            }
            _ => unreachable!("an action that the digest does not know"),
        };
        for word in words {
            self.word(word);
        }
    }

    fn deadline(&mut self, deadline: Option<Timestamp>, reason: Option<DeadlineReason>) {
        self.word(deadline.map_or(u64::MAX, Timestamp::as_nanos));
        self.bytes(reason.map_or(String::new(), |reason| reason.to_string()).as_bytes());
    }
}

/// `SplitMix64`: small, and the same for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// From nanoseconds to minutes, each magnitude equally often.
    fn span(&mut self) -> Duration {
        let magnitude = 1 << self.below(37);
        Duration::from_nanos(self.below(magnitude + 1))
    }
}

/// A machine, the bare state beside it, and what a driver would remember.
struct Life<L: Ledger> {
    machine: HeartbeatMachine<Deadline, L>,
    state: PeerState<Deadline, L>,
    now: u64,
    /// The last pings with their stamps, newest first.
    pings: [(PingId, Timestamp); 4],
    peer_seq: u32,
}

impl<L: Ledger> Life<L> {
    fn new(config: Config, seed: u64, now: u64) -> Self {
        let at = Timestamp::from_nanos(now);
        let mut life = Self {
            machine: HeartbeatMachine::with_ledger(config, seed, at),
            state: PeerState::new(seed, at),
            now,
            pings: [(PingId::new(0, 0), at); 4],
            peer_seq: 0,
        };
        life.forget_pings();
        life
    }

    fn forget_pings(&mut self) {
        let none = PingId::new(self.state.epoch(), 0);
        self.pings = [(none, Timestamp::from_nanos(self.now)); 4];
    }

    /// The time of the next event: mostly the deadline, sometimes late, sometimes absurd.
    fn advance(&mut self, random: &mut Random) -> u64 {
        let deadline = self.machine.next_deadline().map_or(self.now, Timestamp::as_nanos);
        match random.below(64) {
            0..28 => deadline,
            28..31 => deadline.saturating_sub(1),
            31..34 => deadline.saturating_add(random.below(60_000_000)),
            34..36 => deadline.saturating_add(random.below(20_000_000_000)),
            36..48 => (self.now + random.below(100_000_000)).min(deadline.max(self.now)),
            48..60 => self.now + random.below(2_000_000_000),
            60 => self.now.saturating_sub(random.below(1_000_000_000)),
            61 => self.now + random.below(60_000_000_000),
            _ => self.now,
        }
    }

    fn pong(&self, random: &mut Random) -> Event {
        let newest = random.below(8).saturating_sub(4) as usize;
        let (mut id, mut stamp) = self.pings[newest];
        if random.one_in(20) {
            id = PingId::from_u64(id.as_u64() ^ (1 << random.below(64)));
        }
        if random.one_in(20) {
            stamp = Timestamp::from_nanos(random.next());
        }
        let stamp = (!random.one_in(4)).then_some(stamp);
        let hold = if random.one_in(4) { random.span() } else { Duration::ZERO };
        Event::PongReceived { id, stamp, hold, calm: random.one_in(200) }
    }

    fn event(&mut self, random: &mut Random) -> Event {
        let stamp = random.one_in(2).then(|| Timestamp::from_nanos(self.now / 2));
        match random.below(256) {
            0..100 => Event::Tick,
            100..170 => self.pong(random),
            170..180 => Event::AnonymousPongReceived,
            180..200 => {
                self.peer_seq += 1;
                Event::PingReceived { id: PingId::new(77, self.peer_seq), stamp }
            }
            200..205 => Event::BeaconReceived { stamp, period: random.span() },
            205..220 => Event::FrameReceived,
            220..224 => Event::BytesReceived,
            224..242 => Event::PingSent { id: self.pings[0].0 },
            242..245 => Event::PongSent,
            245..247 => Event::TxProgress,
            247 => Event::TxBlocked,
            248..252 => Event::PingDue,
            252 => Event::LimitReceived { min_gap: random.span() },
            253 => Event::Suspend,
            254 => Event::Resume { slept: random.span() },
            _ if random.one_in(4) => {
                [Event::Start, Event::Drain, Event::Close, Event::GoodbyeReceived]
                    [random.below(4) as usize]
            }
            _ => Event::Tick,
        }
    }

    fn step(&mut self, event: Event, given: u64, digest: &mut Digest) {
        let regressed = given < self.now;
        self.now = self.now.max(given);
        let actions = self.machine.handle(event, Timestamp::from_nanos(given));
        let bare = self.state.handle(self.machine.config(), event, Timestamp::from_nanos(self.now));
        assert_eq!(self.machine.state(), &self.state, "the machine and its bare state differ");
        assert_eq!(actions.transition(), bare.transition());
        let regression = if regressed { Findings::CLOCK_REGRESSION } else { Findings::NONE };
        assert_eq!(actions.findings(), bare.findings().with(regression));
        for action in actions {
            if let Action::SendPing { id, stamp } = action {
                self.pings.rotate_right(1);
                self.pings[0] = (id, stamp);
            }
            digest.action(action);
        }
        self.tell(digest);
    }

    fn tell(&self, digest: &mut Digest) {
        let next = self.state.next_deadline(self.machine.config());
        assert_eq!(self.machine.next_deadline(), next.map(|(at, _)| at));
        digest.deadline(self.machine.next_deadline(), self.machine.deadline_reason());
        digest.bytes(self.machine.liveness().code().as_bytes());
    }

    /// The next connection, or other rules.
    fn turn(&mut self, config: Config, other: Config, random: &mut Random, digest: &mut Digest) {
        let now = Timestamp::from_nanos(self.now);
        if random.one_in(2) {
            self.machine = self.machine.reconnected(now);
            self.state = self.state.next_connection(self.machine.config(), now);
            self.forget_pings();
        } else {
            let config = if random.one_in(2) { config } else { other };
            let actions = self.machine.reconfigure(config, now);
            let bare = self.state.reconfigure(&config, now);
            assert_eq!(actions.len(), bare.len());
            for action in actions {
                digest.action(action);
            }
        }
        assert_eq!(self.machine.state(), &self.state);
        self.tell(digest);
    }

    fn end(&self, digest: &mut Digest) {
        let machine = &self.machine;
        digest.bytes(format!("{:?}", machine.stats()).as_bytes());
        digest.bytes(format!("{:?} {}", machine.report(), machine.rtt()).as_bytes());
        for histogram in [machine.rtt_histogram(), machine.lateness()] {
            digest.word(histogram.count());
            digest.bytes(format!("{:?}", histogram.max()).as_bytes());
            digest.bytes(format!("{:?}", histogram.percentile(50)).as_bytes());
        }
        digest.word(machine.suspicion(Timestamp::from_nanos(self.now)).to_bits());
    }
}

fn digest<L: Ledger>(index: u64, config: Config, other: Config) -> Digest {
    let mut digest = Digest::new();
    let mut random = Random(index);
    for _ in 0..LIVES {
        let now =
            if random.one_in(50) { u64::MAX - 346_000_000_000_000 } else { random.next() / 4 };
        let mut life = Life::<L>::new(config, random.next(), now);
        if !random.one_in(20) {
            life.step(Event::Start, now, &mut digest);
        }
        for _ in 0..EVENTS {
            let (given, event) = (life.advance(&mut random), life.event(&mut random));
            life.step(event, given, &mut digest);
            let over = life.machine.next_deadline().is_none();
            if random.one_in(if over { 5 } else { 200 }) {
                life.turn(config, other, &mut random, &mut digest);
            }
        }
        life.end(&mut digest);
    }
    digest
}

#[test]
fn the_machine_says_what_it_always_said() {
    let configs = configs();
    let mut all = Findings::NONE;
    let mut same = true;
    for (index, (name, config)) in configs.into_iter().enumerate() {
        let (_, other) = configs[(index + 1) % configs.len()];
        let table = digest::<Table>(index as u64, config, other);
        let echo = digest::<Echo>(index as u64, config, other);
        all = all.with(table.found).with(echo.found);
        let (table, echo) = (format!("{:016x}", table.hash), format!("{:016x}", echo.hash));
        println!("    (\"{name}\", \"{table}\", \"{echo}\"),");
        same &= EXPECTED[index] == (name, &table, &echo);
    }
    assert_eq!(all.names().count(), 22, "the script reaches only {all}");
    assert!(same, "the behaviour changed; the new digests are above");
}
