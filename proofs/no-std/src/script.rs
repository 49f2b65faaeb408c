//! A fixed script of events for machines of several kinds, and the digest of all they say.

use core::time::Duration;

use heartbeat_proto::{
    Action, Actions, Config, Echo, Event, HeartbeatMachine, LatePolicy, Ledger, Mode, PingId,
    Table, Timestamp, Verdict,
};

/// Runs so many lives of each kind.
pub fn digest(lives: u32) -> u64 {
    let mut digest = Digest(0xcbf2_9ce4_8422_2325);
    let mut random = Random(7);
    for life in 0..lives {
        for kind in 0..KINDS {
            // These numbers fit together; a refusal would show in the digest.
            let Some(config) = config(kind) else { continue };
            if life % 2 == 0 {
                Life::<Table>::new(config, &mut random).run(&mut random, &mut digest);
            } else {
                Life::<Echo>::new(config, &mut random).run(&mut random, &mut digest);
            }
        }
    }
    #[cfg(feature = "detectors")]
    {
        use heartbeat_proto::detector::{Compact, Hazard, KOfN, PhiNormal};
        learn(Hazard::default(), lives, &mut random, &mut digest);
        learn(Compact::default(), lives, &mut random, &mut digest);
        if let (Ok(phi), Ok(k_of_n)) = (PhiNormal::new(8.0), KOfN::new(2, 5, 0.5)) {
            learn(phi, lives, &mut random, &mut digest);
            learn(k_of_n, lives, &mut random, &mut digest);
        }
    }
    digest.0
}

/// What a detector makes of beats that come more or less every second.
#[cfg(feature = "detectors")]
fn learn<D: heartbeat_proto::detector::Detector>(
    detector: D,
    lives: u32,
    random: &mut Random,
    digest: &mut Digest,
) {
    use heartbeat_proto::detector::{Evidence, Sign, Trust};
    const SECOND: u64 = 1_000_000_000;
    let (mut state, mut since) = (D::State::default(), SECOND);
    for beat in 1..=100 * u64::from(lives) {
        let at = since.max(beat * SECOND + random.below(SECOND / 2));
        let mut evidence = Evidence::new(Sign::Beat, Timestamp::from_nanos(at), SECOND);
        evidence.silence_nanos = at - since;
        evidence.stamp = Some(Timestamp::from_nanos(beat * SECOND));
        detector.learn(&mut state, &evidence);
        since = at;
        let trust = Trust::new(Timestamp::from_nanos(since), SECOND, 3 * SECOND);
        let end = detector.deadline(&state, &trust);
        digest.word(end.as_nanos());
        digest
            .word(detector.suspicion(&state, &trust, Timestamp::from_nanos(at + SECOND)).to_bits());
    }
}

const KINDS: u32 = 6;

fn config(kind: u32) -> Option<Config> {
    let wan = Config::builder().interval(Duration::from_secs(5)).timeout(Duration::from_secs(20));
    match kind {
        0 => return Some(Config::lan()),
        1 => wan.late_policy(LatePolicy::Strict).write_reports(true),
        2 => wan.reopen_after(2).probe_loss(2, 5, Verdict::Report),
        3 => wan.accept_gap(Duration::from_secs(4)).police(1, 2, Verdict::Convict),
        4 => wan.ids(false).late_policy(LatePolicy::Forgive(Duration::from_secs(2))),
        _ => wan.mode(Mode::Responder),
    }
    .build()
    .ok()
}

/// FNV-1a over little-endian words.
struct Digest(u64);

impl Digest {
    fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn word(&mut self, word: u64) {
        self.bytes(&word.to_le_bytes());
    }
}

/// `SplitMix64`.
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
}

struct Life<L: Ledger> {
    machine: HeartbeatMachine<heartbeat_proto::detector::Deadline, L>,
    now: u64,
    ping: PingId,
    #[cfg(feature = "codec")]
    link: heartbeat_proto::codec::Link,
}

impl<L: Ledger> Life<L> {
    fn new(config: Config, random: &mut Random) -> Self {
        let now = random.next() / 4;
        let at = Timestamp::from_nanos(now);
        Self {
            machine: HeartbeatMachine::with_ledger(config, random.next(), at),
            now,
            ping: PingId::new(0, 0),
            #[cfg(feature = "codec")]
            link: heartbeat_proto::codec::Link::new(random.next(), 1),
        }
    }

    fn run(mut self, random: &mut Random, digest: &mut Digest) {
        self.tell(Event::Start, digest);
        for peer_seq in 1..=100 {
            let due = self.machine.next_deadline().map_or(self.now, Timestamp::as_nanos);
            self.now = match random.below(16) {
                0..9 => due,
                9 => due.saturating_sub(1),
                10 => due.saturating_add(random.below(10_000_000_000)),
                _ => (self.now + random.below(200_000_000)).min(due.max(self.now)),
            }
            .max(self.now);
            let span = Duration::from_nanos(random.below(3_000_000_000));
            let event = match random.below(24) {
                0..9 => Event::Tick,
                9..15 => Event::pong(self.ping),
                15 => Event::AnonymousPongReceived,
                16 | 17 => Event::ping(PingId::new(77, peer_seq)),
                18 => Event::FrameReceived,
                19 | 20 => Event::PingSent { id: self.ping },
                21 => Event::PingDue,
                22 => Event::LimitReceived { min_gap: span },
                _ if random.below(4) == 0 => Event::Suspend,
                _ => Event::Resume { slept: span },
            };
            self.tell(event, digest);
        }
        digest.word(self.machine.stats().pings_sent);
        digest.word(self.machine.lateness().count());
    }

    fn tell(&mut self, event: Event, digest: &mut Digest) {
        let actions = self.machine.handle(event, Timestamp::from_nanos(self.now));
        self.write(&actions, digest);
        for action in actions {
            if let Action::SendPing { id, .. } = action {
                self.ping = id;
            }
            let words = match action {
                Action::SendPong { id, calm } => [1, id.as_u64(), u64::from(calm)],
                Action::SendPing { id, stamp } => [2, id.as_u64(), stamp.as_nanos()],
                Action::SendBeacon { id, stamp } => [3, id.as_u64(), stamp.as_nanos()],
                Action::Notify(change) => {
                    digest.bytes(change.to.code().as_bytes());
                    [4, 0, 0]
                }
                Action::Report(found) => [5, u64::from(found.bits()), 0],
                _ => [6, 0, 0],
            };
            for word in words {
                digest.word(word);
            }
        }
        digest.word(self.machine.next_deadline().map_or(u64::MAX, Timestamp::as_nanos));
        digest.bytes(self.machine.liveness().code().as_bytes());
    }

    /// The bytes of what is sent, and what they mean when they come back.
    #[cfg(feature = "codec")]
    fn write(&mut self, actions: &Actions, digest: &mut Digest) {
        use heartbeat_proto::codec::{Decoder, Item, MAX_FRAME};

        let at = Timestamp::from_nanos(self.now);
        for action in actions.clone() {
            let Some(frame) = self.link.frame(&action, at) else { continue };
            let mut out = [0; MAX_FRAME];
            let len = frame.encode_into(&mut out).unwrap_or(0);
            let bytes = out.get(..len).unwrap_or_default();
            digest.bytes(bytes);
            let mut decoder = Decoder::new();
            for byte in bytes {
                if let Ok((_, Some(item))) = decoder.feed(core::slice::from_ref(byte)) {
                    digest.word(u64::from(item == Item::Frame(frame)));
                }
            }
        }
    }

    #[cfg(not(feature = "codec"))]
    fn write(&mut self, _: &Actions, _: &mut Digest) {}
}
