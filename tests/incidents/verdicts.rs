//! Incidents in which the living were declared dead, or the dead were not found.

use heartbeat_proto::detector::Deadline;
use heartbeat_proto::{
    Config, Event, Fault, FirstPing, LatePolicy, Liveness, Mode, Probing, Reason,
};

use crate::common::{MS, Rng, SEC, Solo, at, ms, nanos, ping_in, secs};
use crate::script::{FixedLimit, Script, ours, play};

/// Lesson: what a network may take is the network's to say. A limit that suits 30 ms of round trip
/// is mass death at 420 ms, where one segment that TCP repeats twice holds up all behind it.
#[test]
fn inc_2023_0891_fixed_limit_under_slow_network() {
    const INTERVAL: u64 = SEC;
    const LIMIT: u64 = 3 * SEC;
    const DIES: u64 = 260 * SEC;
    let builder = Config::builder().detector(Deadline::rtt_adaptive(3));
    let builder = builder.interval(secs(1)).timeout(secs(3)).ceiling(secs(12));
    let adaptive = builder.build().expect("valid");
    let (mut false_fixed, mut false_ours) = (0, 0);
    for seed in 0..200 {
        let mut rng = Rng(seed);
        // From the second minute on the round trip rises, to 420 ms and a fifth of jitter.
        let rtt = |sent: u64| {
            let risen = sent.clamp(60 * SEC, 120 * SEC) - 60 * SEC;
            30 * MS + risen * 390 / 60_000
        };
        // Twice in each minute a segment is lost twice: the wait is one timeout and the double.
        let mut stalls = Vec::new();
        for minute in 0..4 {
            let begins = [5, 35].map(|second| minute * 60 * SEC + (second + rng.below(20)) * SEC);
            stalls.extend(begins.map(|at| (at, at + 3 * (3 * rtt(at)).max(200 * MS))));
        }
        let dies = if seed % 20 == 0 { DIES } else { u64::MAX };
        let jitter = seed;
        let answer = |sent: u64| {
            let swing = rtt(sent) / 5;
            let arrival = sent + rtt(sent) - swing / 2 + Rng(sent ^ jitter).below(swing);
            let held = stalls.iter().find(|stall| (stall.0..stall.1).contains(&arrival));
            (arrival < dies).then(|| held.map_or(arrival, |stall| stall.1))
        };
        let script = Script { answer: &answer, until: 300 * SEC, ..Script::default() };
        let theirs = play(&script, &mut FixedLimit::new(INTERVAL, LIMIT));
        let mut machine = ours(adaptive, seed);
        let played = play(&script, &mut machine);
        false_fixed += u32::from(theirs.lost_at.is_some_and(|lost_at| lost_at < dies));
        false_ours += u32::from(played.lost_at.is_some_and(|lost_at| lost_at < dies));
        if dies == DIES && played.lost_at.is_some() {
            let promise = nanos(adaptive.worst_case_detection());
            assert!(played.lost_at <= Some(DIES + promise + 1), "seed {seed}: {played:?}");
        }
        assert_eq!(played.lost_at.is_some(), dies == DIES, "seed {seed}: {:?}", machine.report());
    }
    assert_eq!(false_fixed, 200, "the fixed limit kills them all");
    assert_eq!(false_ours, 0);
}

/// Lesson: a handshake is no silence. The renewal of certificates takes 4.5 s, the limit is 3 s.
#[test]
fn inc_2023_0977_tls_renewal_counted_as_silence() {
    #[derive(Clone, Copy, PartialEq)]
    enum Tls {
        Begins,
        Done,
        Beat,
    }
    const LIMIT: u64 = 3 * SEC;
    // A handshake at the start of the connection and one at each full hour; beats between them.
    let mut script = Vec::new();
    for hour in 0..4 {
        let begins = hour * 3_600 * SEC;
        script.extend([(begins, Tls::Begins), (begins + 4_500 * MS, Tls::Done)]);
        script.extend((5..3_600).map(|second| (begins + second * SEC, Tls::Beat)));
    }

    // The countdown runs from the accepting of the socket, and knows nothing of handshakes.
    let mut last_heard = 0;
    let mut killed = Vec::new();
    for &(now, what) in &script {
        if now - last_heard > LIMIT {
            killed.push(last_heard + LIMIT);
            last_heard = now; // The client connects again.
        }
        if what == Tls::Beat {
            last_heard = now;
        }
    }
    let hours = [0, 3_599, 7_199, 10_799].map(|second| second * SEC + LIMIT);
    assert_eq!(killed, hours, "it kills the living peer at each handshake");

    // Before `Start` nothing is judged (LC1); in between the renewal is announced (LC5, LC6).
    let builder = Config::builder().mode(Mode::Responder).interval(ms(1_500)).timeout(secs(3));
    let mut solo = Solo::idle(builder.build().expect("valid"), 1);
    for &(now, what) in &script {
        solo.run_to(now);
        let _ = match (what, now < 10 * SEC) {
            (Tls::Begins, true) => Vec::new(),
            (Tls::Done, true) => solo.tell(Event::Start),
            (Tls::Begins, false) => solo.tell(Event::Suspend),
            (Tls::Done, false) => solo.tell(Event::Resume { slept: secs(0) }),
            (Tls::Beat, _) => solo.tell(Event::FrameReceived),
        };
        assert_eq!(solo.verdict(), None, "at {now}");
    }
    let last = solo.now;
    solo.run_out();
    assert_eq!(solo.verdict(), Some((last + LIMIT + 1, Reason::Silence)), "the dead are found");
}

/// Lesson: a connection is proved by what comes in. A write into the buffer of a half-open one
/// succeeds, and what lay in the receive buffer is no proof either.
#[test]
fn inc_2022_307_and_2023_012_half_open_connection_reused() {
    struct TrustingPool {
        last_used: u64,
        idle_limit: u64,
    }
    impl TrustingPool {
        /// Used not long ago, not closed as far as we know, and a write succeeds.
        fn is_usable(&self, now: u64, write: &std::io::Result<()>) -> bool {
            now - self.last_used < self.idle_limit && write.is_ok()
        }
    }
    const PARKED: u64 = 50 * SEC;
    const BORROWED: u64 = 160 * SEC;
    // The pool sleeps from 50 s on. At 99 s the peer sends a last frame, at 100 s it loses power
    // (or does not). At 160 s the connection is borrowed.
    for gone in [false, true] {
        let peer_answers = |asked: u64| (!gone || asked < 100 * SEC).then_some(asked + 20 * MS);

        // The pool that trusts. The kernel's buffer takes the write, whoever is at the other end.
        let pool = TrustingPool { last_used: PARKED, idle_limit: 300 * SEC };
        let handed_out = pool.is_usable(BORROWED, &Ok(()));
        let request_lost = handed_out && peer_answers(BORROWED).is_none();
        assert_eq!(request_lost, gone, "the request goes into the void");

        // Ours: ask, and hand out what answers.
        let builder = Config::builder().interval(secs(1)).timeout(secs(4));
        let mut solo = Solo::new(builder.write_reports(true).build().expect("valid"));
        while solo.now < PARKED {
            let due = solo.due().expect("live");
            if let Some(id) = ping_in(&solo.tell_at(due, Event::Tick)) {
                let _ = solo.tell(Event::PingSent { id });
                let _ = solo.tell_at(solo.now + 20 * MS, Event::pong(id));
            }
        }
        // The frame of 99 s is read only now; with it the overdue ping leaves, or else by request.
        let overdue = ping_in(&solo.tell_at(BORROWED, Event::FrameReceived));
        let mut asked = overdue.or(ping_in(&solo.tell(Event::PingDue)));
        let (mut answers, mut verified_at) = (None, None);
        while verified_at.is_none() && solo.machine.liveness().is_live() {
            if let Some(id) = asked {
                let _ = solo.tell(Event::PingSent { id }); // Writes succeed.
                let _ = solo.tell(Event::TxProgress);
                answers = peer_answers(solo.now).map(|arrival| (arrival, id));
            }
            assert!(!solo.machine.is_verified_since(at(BORROWED)), "nothing came in");
            if let Some((arrival, id)) = answers.take() {
                let _ = solo.tell_at(arrival, Event::pong(id));
                asked = None;
            } else {
                let due = solo.due().expect("live");
                asked = ping_in(&solo.tell_at(due, Event::Tick));
            }
            if solo.machine.is_verified_since(at(BORROWED)) {
                verified_at = Some(solo.now);
            }
        }
        if gone {
            assert_eq!(verified_at, None, "never handed out");
            let (lost_at, reason) = solo.verdict().expect("a verdict");
            assert_eq!(reason, Reason::NoResponse);
            assert!(lost_at <= BORROWED + 4 * SEC + 1, "{lost_at}");
        } else {
            assert_eq!(verified_at, Some(BORROWED + 20 * MS), "one round trip");
        }
    }
}

/// Lesson: a beat that nobody answers and nobody repeats turns loss into death, and its sender
/// never learns that there is nobody. Same interval, same limit of silence.
#[test]
fn inc_2022_199_datagram_beats_without_ack_or_retransmission() {
    const DIES: u64 = 3_605 * SEC;
    // Once a minute the path carries nothing for 5.2 s, over two beats in a row; 20 ms else.
    let carried = |sent: u64| {
        let phase = sent % (60 * SEC);
        !(9_900 * MS..15_100 * MS).contains(&phase) && sent < DIES
    };
    let answer = |sent: u64| carried(sent).then_some(sent + 20 * MS);
    let script = Script { answer: &answer, until: 4_000 * SEC, ..Script::default() };

    // Theirs: a beat each way every interval, the limit, and nothing else. (The path is the same
    // both ways, so the answer of the script stands for the beat of the other end.)
    let theirs = play(&script, &mut FixedLimit::new(5 * SEC, 12 * SEC));
    let lost_at = theirs.lost_at.expect("a verdict");
    assert!(lost_at < 20 * SEC, "two lost datagrams are a death: {lost_at}");
    // And its sender: nothing ever comes back, so that it sends to a dead peer for ever.
    let sender = FixedLimit::new(5 * SEC, u64::MAX / 2);
    let to_the_dead = play(&script, &mut { sender }).pings.iter().filter(|&&at| at > DIES).count();
    assert!(to_the_dead > 70, "{to_the_dead}");

    // Ours: each ping has an id, and one that stays out is sent again, at the end of its window.
    let builder = Config::builder().interval(secs(5)).timeout(secs(12)).attempts(4);
    let builder = builder.jitter_percent(0).first_ping(FirstPing::AfterInterval);
    let config = builder.build().expect("valid");
    let mut machine = ours(config, 1);
    let played = play(&script, &mut machine);
    assert!(machine.stats().misses > 100, "losses there were: {:?}", machine.stats());
    assert_eq!(machine.stats().losses, 1, "and no verdict but the last");
    let lost_at = played.lost_at.expect("the peer died");
    assert!((DIES..=DIES + nanos(config.worst_case_detection())).contains(&lost_at), "{lost_at}");
    let report = machine.report().expect("a verdict");
    assert_eq!((report.reason, report.missed), (Reason::NoResponse, 4), "after four in a row");
    // Repeats are paced: never closer than the gap, whatever is lost.
    let gap = nanos(config.min_gap());
    assert!(played.pings.windows(2).all(|pair| pair[1] - pair[0] >= gap));
}

/// Lesson: a peer that connects and says nothing must not hold its slot for ever.
#[test]
fn inc_2022_052_and_2023_281_handshake_without_limit() {
    const SLOTS: usize = 100;
    /// Of the handshake, in bytes.
    const LEN: usize = 1_000;
    const HONEST: u64 = 60 * SEC;
    // A hundred clients connect in the first second. Each sends a byte of its handshake every
    // second, and never the last one. After a minute an honest client comes.
    let drips: Vec<u64> = (1..=120).map(|second| second * SEC).collect();

    // `read_exact(&mut handshake)` without a deadline: each byte is progress, none is the end.
    let received = drips.iter().filter(|&&byte| byte < HONEST).count();
    let held = (0..SLOTS).filter(|_| received < LEN).count();
    assert_eq!(held, SLOTS, "the honest client finds no slot");

    let config = Config::builder().startup_limit(secs(10)).build().expect("valid");
    let mut slots: Vec<Solo> = (0..SLOTS as u64).map(|seed| Solo::idle(config, seed)).collect();
    for solo in &mut slots {
        for &byte in drips.iter().filter(|&&byte| byte < HONEST) {
            solo.run_to(byte);
            let _ = solo.tell(Event::BytesReceived); // Not even a whole frame would do (LC1).
            let _ = solo.tell(Event::FrameReceived);
        }
        assert_eq!(solo.verdict(), Some((10 * SEC + 1, Reason::StartupTimeout)));
    }
    slots.retain(|solo| solo.machine.liveness() == Liveness::Idle);
    assert!(slots.is_empty(), "all slots are free again");
    let mut honest = Solo::idle(config, 1_000);
    honest.run_to(9 * SEC); // Slow, and in time.
    let _ = honest.tell(Event::Start);
    honest.answer_to(300 * SEC, 20 * MS);
    assert_eq!(honest.machine.liveness(), Liveness::Alive);
}

/// Lesson: when everybody falls silent at once, suspect yourself. (The half that one machine can
/// see: the observer itself stood still. A silent region needs the guard over the fleet.)
#[test]
fn inc_2022_074_one_jittered_observer_takes_down_all_services() {
    // 300 services in three regions, watched from one host that is stalled for 12 s by its
    // hypervisor. Every hundredth service dies meanwhile.
    const STALL: (u64, u64) = (60 * SEC, 72 * SEC);
    let config = Config::builder().interval(secs(1)).timeout(secs(5)).build().expect("valid");
    let (mut down_fixed, mut down_ours) = (0, 0);
    for service in 0..300 {
        let dies = if service % 100 == 7 { 62 * SEC } else { u64::MAX };
        let way = (5 + service % 3 * 40) * MS;
        let answer = |sent: u64| (sent + way < dies).then_some(sent + way);
        let script = Script {
            answer: &answer,
            pauses: vec![STALL],
            timers_first: true,
            until: 120 * SEC,
            ..Script::default()
        };
        let theirs = play(&script, &mut FixedLimit::new(SEC, 5 * SEC));
        assert_eq!(theirs.lost_at, Some(STALL.1), "all at once");
        down_fixed += 1;
        let mut machine = ours(config, service);
        let played = play(&script, &mut machine);
        down_ours += u32::from(played.lost_at.is_some());
        assert_eq!(played.lost_at.is_some(), dies != u64::MAX, "service {service}");
        assert_eq!(machine.stats().late_calls, 1, "it knows whose fault the silence was");
    }
    assert_eq!((down_fixed, down_ours), (300, 3));

    // A caller whose clock is beyond doubt charges itself, and the report says so.
    let builder = Config::builder().interval(secs(1)).timeout(secs(5));
    let mut strict = ours(builder.late_policy(LatePolicy::Strict).build().expect("valid"), 1);
    let answer = |sent: u64| Some(sent + 5 * MS);
    let pauses = vec![STALL];
    let script = Script {
        answer: &answer,
        pauses,
        timers_first: true,
        until: 80 * SEC,
        ..Script::default()
    };
    assert_eq!(play(&script, &mut strict).lost_at, Some(STALL.1));
    assert_eq!(strict.report().expect("a verdict").fault(), Fault::Observer);
}

/// A blocked thread as observer: the other half of INC-2024-0117 (see `process.rs`).
///
/// Lesson: what waits in the buffer was heard in time; read it before you judge, and if you did
/// not, ask once more before you convict.
#[test]
fn inc_2024_0117_blocking_call_in_the_observer_kills_the_peer() {
    // The peer's frames come every second; a query blocks the thread for 12 s.
    for timers_first in [true, false] {
        let script = Script {
            answer: &|sent| Some(sent + 10 * MS),
            frames: (1..100).map(|second| second * SEC).collect(),
            pauses: vec![(30_500 * MS, 42_500 * MS)],
            timers_first,
            until: 100 * SEC,
            ..Script::default()
        };
        let theirs = play(&script, &mut FixedLimit::new(2 * SEC, 6 * SEC));
        assert_eq!(theirs.lost_at, timers_first.then_some(42_500 * MS));
        let builder = Config::builder().interval(secs(2)).timeout(secs(6));
        let mut machine = ours(builder.probing(Probing::Always).build().expect("valid"), 1);
        assert_eq!(play(&script, &mut machine).lost_at, None);
        assert_eq!(machine.liveness(), Liveness::Alive);
        let lateness = machine.lateness().max();
        assert!(lateness > secs(9), "and it says how long: {lateness:?}");
    }
}
