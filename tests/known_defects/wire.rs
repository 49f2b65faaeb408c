//! Defects of what is on the wire: declared times, jitter, ids, queues, lengths.

use heartbeat_proto::adapter::StreamDriver;
use heartbeat_proto::codec::{DecodeError, Encoder, Frame};
use heartbeat_proto::detector::Hazard;
use heartbeat_proto::{
    Config, Event, Findings, HeartbeatMachine, LifeRule, Mode, PingId, Probing, Timestamp,
};

use crate::common::{MS, SEC, Solo, at, findings_in, ms, nanos, secs};
use crate::script::{Design, FixedLimit, Input, Script, ours, play};

/// Lesson: what a peer declares is a number that may be large. 70 s became 4.464 s.
#[test]
fn defect_04_overflow_of_a_declared_ttl() {
    /// libzmq: tenths of a second in 16 bits, times 100 in the same 16 bits.
    fn ttl_millis(tenths: u16) -> u64 {
        u64::from(tenths.wrapping_mul(100))
    }
    // The peer declares 70 s, and keeps to it.
    const PERIOD: u64 = 70 * SEC;
    assert_eq!(ttl_millis(700), 4_464);
    let beats: Vec<u64> = (0..100).map(|beat| beat * PERIOD + SEC).collect();
    let script = Script { frames: beats.clone(), until: 100 * PERIOD, ..Script::default() };
    let mut theirs = FixedLimit::new(10_000 * PERIOD, ttl_millis(700) * MS);
    assert_eq!(play(&script, &mut theirs).lost_at, Some(SEC + 4_464 * MS + 1));

    // Ours: the period is a `Duration` from the wire to the detector that believes it.
    let builder =
        Config::builder().mode(Mode::Passive).detector(Hazard::new(3.0).expect("in range"));
    let config = builder.interval(secs(1)).timeout(secs(4)).ceiling(secs(3_600)).build();
    let mut machine = ours(config.expect("valid"), 1);
    for &beat in &beats {
        while let Some(due) = machine.next_deadline().filter(|&due| due < at(beat)) {
            let _ = machine.handle(Event::Tick, due);
            assert!(machine.liveness().is_live(), "killed by a promise that was kept");
        }
        let declared = declare(PERIOD);
        let stamp = Some(Timestamp::from_nanos(beat));
        let _ = machine.handle(Event::BeaconReceived { stamp, period: declared }, at(beat));
    }
    // Whatever is declared arrives as it was declared, and a gap is obeyed as far as the ceiling
    // allows; never is it taken for a small one.
    for exponent in 0..64 {
        let asked = 1_u64 << exponent;
        if let 1_000_000..=4_000_000_000_000_000 = asked {
            assert!(nanos(declare(asked / MS * MS)) == asked / MS * MS, "{asked}");
        }
        let mut solo = Solo::alive(Config::wan());
        let (config, min_gap) = (Config::wan(), core::time::Duration::from_nanos(asked));
        let told = findings_in(&solo.tell(Event::LimitReceived { min_gap }));
        let most = nanos(config.ceiling()) - nanos(config.response_window());
        let effective = nanos(solo.machine.effective_interval());
        assert!(effective >= asked.min(most) && effective <= most, "{asked}: {effective}");
        assert_eq!(told.contains(Findings::LIMIT_EXCEEDED), asked > most, "{asked}");
    }
}

/// A period through the bytes of a beacon.
fn declare(period: u64) -> core::time::Duration {
    let period = Some(core::time::Duration::from_nanos(period));
    let beacon = Frame::Beacon { id: PingId::new(1, 1), handle: 0, stamp: 0, period, status: None };
    let mut bytes = [0; 125];
    let len = beacon.encode_into(&mut bytes).expect("room");
    match Frame::decode(&bytes[..len]) {
        Ok(Some((Frame::Beacon { period: Some(period), .. }, _))) => period,
        other => panic!("{other:?}"),
    }
}

/// Lesson: RFC 5880 says that the interval MUST be jittered, for a reason.
#[test]
fn defect_06_no_jitter_although_the_rfc_says_must() {
    /// An interval timer, started with the session.
    struct Metronome(u64);
    impl Design for Metronome {
        fn due(&self) -> Option<u64> {
            Some(self.0)
        }
        fn call(&mut self, input: Input, now: u64) -> Option<u64> {
            matches!(input, Input::Tick).then(|| {
                self.0 = now + SEC;
                now
            })
        }
        fn is_dead(&self) -> bool {
            false
        }
    }
    const SESSIONS: u64 = 500;
    let answer = |sent: u64| Some(sent + MS);
    let script = Script { answer: &answer, until: 100 * SEC, ..Script::default() };
    let peak = |pings: Vec<Vec<u64>>| {
        let mut slots: Vec<u64> = pings.into_iter().flatten().map(|at| at / (10 * MS)).collect();
        slots.sort_unstable();
        slots.chunk_by(|one, other| one == other).map(<[u64]>::len).max().expect("pings")
    };
    let theirs = (0..SESSIONS).map(|_| play(&script, &mut Metronome(SEC)).pings).collect();
    assert_eq!(peak(theirs), 500, "all at one instant, for ever");

    // BFD: an interval of 75 to 100 %.
    let builder = Config::builder().interval(secs(1)).timeout(secs(4)).jitter_percent(25);
    let config = builder.probing(Probing::Always).build().expect("valid");
    let ours: Vec<Vec<u64>> =
        (0..SESSIONS).map(|seed| play(&script, &mut ours(config, seed)).pings).collect();
    for pings in &ours {
        let gaps: Vec<u64> = pings.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (750 * MS..=SEC).contains(gap)), "{gaps:?}");
        assert!(gaps.windows(2).all(|pair| pair[0] != pair[1]), "every gap is its own");
    }
    // 500 sessions in 87.5 slots on average are 6 a slot.
    assert!(peak(ours.clone()) <= 25, "{}", peak(ours));
}

/// Lesson: a number that wraps after 256 makes an old answer a new one.
#[test]
fn defect_07_id_wraps_at_256() {
    /// A `u8` probe number: an ack counts if it has the number of the last probe.
    struct ProbeNumber(FixedLimit, u64);
    impl Design for ProbeNumber {
        fn due(&self) -> Option<u64> {
            self.0.due()
        }
        fn call(&mut self, input: Input, now: u64) -> Option<u64> {
            match input {
                Input::Pong(number) if number as u8 != self.1 as u8 => None,
                _ => {
                    let sent = self.0.call(input, now);
                    self.1 = sent.unwrap_or(self.1);
                    sent
                }
            }
        }
        fn is_dead(&self) -> bool {
            self.0.is_dead()
        }
    }
    // A probe a second. Something on the path repeats each answer after 256 s. At 300 s the peer
    // dies.
    const DIES: u64 = 300 * SEC;
    let answer = |sent: u64| (sent < DIES).then_some(sent + 20 * MS);
    let again = Some(256 * SEC);
    let script = Script { answer: &answer, again, until: 1_000 * SEC, ..Script::default() };
    let lost_at = play(&script, &mut ProbeNumber(FixedLimit::new(SEC, 4 * SEC), 0)).lost_at;
    assert_eq!(lost_at, Some(559 * SEC + 20 * MS + 1), "alive until the echoes end");

    // Ours: 32 bits of number and 32 of epoch. An old pong is told, and answers nothing.
    let builder = Config::builder().interval(secs(1)).timeout(secs(4)).jitter_percent(0);
    let config = builder.life_rule(LifeRule::ExactPong).build().expect("valid");
    let mut machine: HeartbeatMachine = ours(config, 1);
    let lost_at = play(&script, &mut machine).lost_at.expect("a verdict");
    let promise = nanos(config.worst_case_detection());
    assert!((DIES..=DIES + promise).contains(&lost_at), "{lost_at}");
    assert!(machine.stats().pongs_late > 40, "{:?}", machine.stats());
    assert_eq!(machine.rtt_histogram().max(), ms(20), "and no sample of 256 s was taken");
}

/// Lesson: what a peer asks for must not pile up here.
#[test]
fn defect_10_ping_flood_grows_the_queue_of_pongs() {
    const PINGS: u32 = 100_000;
    let ping = |seq| Frame::Ping { id: PingId::new(9, seq), handle: 1, stamp: 2, status: None };
    let mut flood = Vec::new();
    let mut bytes = [0; 125];
    for seq in 1..=PINGS {
        let len = ping(seq).encode_into(&mut bytes).expect("room");
        flood.extend_from_slice(&bytes[..len]);
    }
    // The writer is blocked all the while.

    // `sendQueue = append(sendQueue, pingAck)`.
    let mut queue: Vec<[u8; 32]> = Vec::new();
    for ping in flood.chunks_exact(32) {
        queue.push(ping.try_into().expect("32 bytes"));
    }
    assert_eq!(queue.len(), PINGS as usize);

    let mut stream: StreamDriver = StreamDriver::new(Config::lan(), at(0));
    let grown = allocation_counter::measure(|| stream.received(&flood, at(MS)));
    assert!(grown.bytes_max < 1_024, "one pong waits: {grown:?}");
    assert_eq!(stream.to_write(at(MS)).len(), 32);
    assert_eq!(stream.driver().machine().stats().pings_received, u64::from(PINGS));
}

/// Lesson: the length that a peer claims is no length until it is checked. (Heartbleed.)
#[test]
fn defect_10_over_long_echo() {
    // A ping of 32 bytes whose header claims 121 more, in a buffer with something else behind it.
    let mut bytes = [0; 125];
    let ping = Frame::Ping { id: PingId::new(9, 1), handle: 1, stamp: 2, status: None };
    let len = ping.encode_into(&mut bytes).expect("room");
    let claims = |claimed: u16| {
        let mut memory = bytes[..len].to_vec();
        memory[2..4].copy_from_slice(&claimed.to_be_bytes());
        memory.extend_from_slice(b"-----BEGIN PRIVATE KEY-----");
        memory.resize(70_000, b's');
        memory
    };

    // `memcpy(reply, payload, payload_length)`, with the length that was claimed.
    let memory = claims(16_384);
    let claimed = usize::from(u16::from_be_bytes([memory[2], memory[3]]));
    let echo = &memory[4..4 + claimed];
    assert!(echo.windows(7).any(|part| part == b"PRIVATE"), "it sends what it should not");

    for claimed in [29, 121, 122, 16_384, u16::MAX] {
        let judged = Frame::decode(&claims(claimed));
        if claimed > 121 {
            assert!(matches!(judged, Err(DecodeError::Length { .. })), "{claimed}: {judged:?}");
        }
        let mut stream: StreamDriver = StreamDriver::new(Config::lan(), at(0));
        stream.received(&claims(claimed)[..len], at(MS));
        let written = stream.to_write(at(MS)).to_vec();
        assert!(!written.windows(7).any(|part| part == b"PRIVATE"), "{claimed}");
        assert!(written.len() <= 32, "{claimed}");
    }
    assert!(Encoder::header(usize::from(u16::MAX)).is_err(), "nor do we write one");
}
