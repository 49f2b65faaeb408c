//! Group A of the needs: dead peers are found, always.

use crate::common::{Link, MS, Pair, Rng, SEC, Solo, at, findings_in, ms, nanos, ping_in, secs};
use heartbeat_proto::{
    Action, Config, Event, Findings, LifeRule, Liveness, Mode, PingId, Reason, Timestamp, Verdict,
};

/// Need 1, idle and busy: two machines, a cut at many moments, late drivers.
#[test]
fn need_01_a_cut_link_is_found_by_both_ends_in_time_idle_or_busy() {
    for round in 0..200 {
        let mut rng = Rng(round);
        let config = [Config::lan(), Config::wan()][round as usize % 2];
        let mut pair = Pair::new([config; 2], [Link::delayed(20 * MS); 2], round);
        if round % 3 > 0 {
            pair.ends[0].app = Some((5 * MS, 70 * MS));
        }
        if round % 3 > 1 {
            pair.ends[1].app = Some((9 * MS, 900 * MS));
        }
        let cut = rng.below(60 * SEC) + SEC;
        pair.cut(cut);
        let freeze = rng.below(20 * SEC);
        let frozen = rng.below(8 * SEC);
        pair.ends[0].frozen.push((cut + freeze, cut + freeze + frozen));
        let promise = nanos(config.worst_case_detection()) + 1;
        pair.run_to(cut + 3 * promise + 30 * SEC);
        let [first, second] = [0, 1].map(|end| pair.ends[end].lost_at().expect("a verdict"));
        assert!(first <= cut + promise + frozen, "round {round}: {first} after a cut at {cut}");
        assert!(second <= cut + promise, "round {round}: {second} after a cut at {cut}");
    }
}

/// Need 2: a machine that sends all the time, and hears nothing, convicts at the same nanosecond
/// as one that is idle. Neither kind of write report has a way to the verdict.
#[test]
fn need_02_own_sends_never_count_as_life() {
    let verdict = |sends: bool, write_reports: bool| {
        let builder = Config::builder().interval(secs(5)).timeout(secs(20));
        let mut solo = Solo::alive(builder.write_reports(write_reports).build().expect("valid"));
        for step in 1..30_000 {
            solo.run_to(step * MS);
            if write_reports && solo.pings().last() == Some(&solo.now) {
                let id = solo.last_ping().expect("a ping");
                let _ = solo.tell(Event::PingSent { id });
            }
            if sends {
                let _ = solo.tell(Event::PongSent);
                let _ = solo.tell(Event::TxProgress);
                assert!(!solo.machine.is_verified_since(at(0)), "a send is no proof");
            }
        }
        solo.verdict().expect("a verdict")
    };
    for write_reports in [false, true] {
        assert_eq!(verdict(true, write_reports), verdict(false, write_reports));
        assert_eq!(verdict(true, write_reports).0, 20 * SEC + 1);
    }
}

/// Need 3: a read-only end still shows signs of life, for 1e6 simulated seconds; receiving never
/// excuses sending.
#[test]
fn need_03_receiving_does_not_excuse_sending() {
    let reader = Config::default();
    let mut pair = Pair::new([reader, Config::default()], [Link::delayed(30 * MS); 2], 3);
    pair.ends[1].app = Some((0, 4 * SEC));
    pair.run_to(1_000_000 * SEC);
    for end in &pair.ends {
        assert_eq!(end.machine.liveness(), Liveness::Alive);
        assert_eq!(end.lost_at(), None);
        assert!(end.longest_tx_gap <= nanos(reader.interval()), "{}", end.longest_tx_gap);
    }
    // Traffic did excuse most pings; pongs and beacons took their place.
    let stats = *pair.ends[0].machine.stats();
    assert!(stats.pings_sent <= 10_000 && stats.beacons_sent > 0, "{stats:?}");
}

/// Need 3, one-way: an end that never pings owes signs of life too, if so configured.
#[test]
fn need_03_a_responder_keeps_its_own_direction_alive() {
    let config = Config::builder().mode(Mode::Responder).keepalive(secs(10)).build().unwrap();
    let mut solo = Solo::alive(config);
    for second in 1..3_600 {
        solo.run_to(second * SEC);
        let _ = solo.tell(Event::FrameReceived);
    }
    let is_beacon = |action: &Action| matches!(action, Action::SendBeacon { .. });
    let beacons: Vec<u64> =
        solo.log.iter().filter(|(_, action)| is_beacon(action)).map(|&(now, _)| now).collect();
    assert_eq!(beacons.len(), 359);
    assert!(beacons.windows(2).all(|pair| pair[1] - pair[0] == 10 * SEC));
}

/// Need 4: one pong is dropped, then an hour of data only. Pings continue, one at the first slot
/// after `verify_every` intervals (P5), and that none is answered is told as a finding of its own.
#[test]
fn need_04_a_lost_pong_does_not_wedge_the_prober() {
    for verdict in [Verdict::Ignore, Verdict::Report, Verdict::Convict] {
        let builder = Config::builder().interval(secs(5)).timeout(secs(20));
        let config = builder.ping_unanswered(3, verdict).build().expect("valid");
        let mut solo = Solo::alive(config);
        for second in 1..3_600 {
            solo.run_to(second * SEC);
            let _ = solo.tell(Event::FrameReceived);
        }
        let told = solo.found(Findings::PING_UNANSWERED);
        let pings = solo.pings();
        assert!(pings.windows(2).all(|pair| pair[1] - pair[0] <= 25 * SEC), "{pings:?}");
        if verdict == Verdict::Convict {
            assert_eq!(told, 1);
            assert_eq!(solo.verdict().map(|(_, reason)| reason), Some(Reason::PingUnanswered));
            assert_eq!(pings.len(), 3);
        } else {
            assert_eq!(told, usize::from(verdict == Verdict::Report), "told once");
            assert!(solo.verdict().is_none(), "it talks: not silence");
            assert!(pings.len() >= 150, "{}", pings.len());
        }
    }
}

/// Need 4: from every state that random scripts reach, silence leads to a ping or the verdict
/// within interval and timeout.
#[test]
fn need_04_from_any_live_state_a_ping_or_the_verdict_follows() {
    let mut tried = 0;
    for seed in 0..4_000 {
        let mut rng = Rng(seed);
        let builder = Config::builder().interval(ms(1_000)).timeout(ms(4_000));
        let builder = [builder, builder.ids(false), builder.life_rule(LifeRule::ExactPong)]
            [seed as usize % 3];
        let mut solo = Solo::new(builder.build().expect("valid"));
        for _ in 0..rng.below(60) {
            let now = solo.now + rng.below(700 * MS);
            solo.run_to(now);
            let seq = rng.below(6) as u32 + 1;
            let _ = solo.tell(match rng.below(6) {
                0 => Event::FrameReceived,
                1 => Event::PingDue,
                2 => Event::AnonymousPongReceived,
                3 => Event::ping(PingId::new(9, seq)),
                4 => Event::Resume { slept: ms(rng.below(3_000)) },
                _ => Event::pong(PingId::new(solo.machine.state().epoch(), seq)),
            });
        }
        if !solo.machine.liveness().is_live() {
            continue;
        }
        tried += 1;
        let (since, sent) = (solo.now, solo.pings().len());
        solo.run_to(since + 5_001 * MS);
        let pinged = solo.pings().len() > sent;
        assert!(pinged || solo.verdict().is_some(), "seed {seed}: wedged since {since}");
        solo.run_out();
        assert!(solo.verdict().is_some(), "seed {seed}: never lost");
    }
    assert!(tried > 2_000, "{tried}");
}

/// Need 5: a ping interval below the response window is no trap: probes overlap, the first ping's
/// deadline is not put off by the later ones.
#[test]
fn need_05_pings_closer_than_the_response_window_do_not_cancel_the_deadline() {
    let builder = Config::builder().interval(secs(10)).response_window(secs(20)).attempts(1);
    let mut solo = Solo::alive(builder.build().expect("valid"));
    solo.run_out();
    assert_eq!(solo.verdict(), Some((30 * SEC + 1, Reason::NoResponse)));
}

/// Need 6: a host that accepts everything and answers nothing is Lost, once; afterwards nothing
/// wakes the machine, moves it or makes it speak.
#[test]
fn need_06_the_verdict_is_told_once_and_is_final() {
    let mut solo = Solo::alive(Config::lan());
    solo.answer_to(20 * SEC, 5 * MS);
    solo.run_out();
    let (lost_at, reason) = solo.verdict().expect("a verdict");
    assert_eq!(reason, Reason::NoResponse);
    assert_eq!(solo.due(), None);
    let report = solo.machine.report();
    let id = solo.last_ping().expect("a ping");
    let stamp = Some(Timestamp::from_nanos(7));
    let slept = secs(9);
    let events = [
        Event::Tick,
        Event::Start,
        Event::PingDue,
        Event::ping(id),
        Event::pong(id),
        Event::PongReceived { id, stamp, hold: slept, calm: true },
        Event::AnonymousPongReceived,
        Event::BeaconReceived { stamp, period: slept },
        Event::FrameReceived,
        Event::BytesReceived,
        Event::LimitReceived { min_gap: slept },
        Event::PingSent { id },
        Event::PongSent,
        Event::TxProgress,
        Event::TxBlocked,
        Event::Drain,
        Event::Close,
        Event::GoodbyeReceived,
        Event::Suspend,
        Event::Resume { slept },
        Event::Hold { probe: true },
    ];
    let mut mistakes = 0;
    for round in 0..3 {
        for event in events {
            let actions = solo.tell_at(lost_at + SEC * (round + 1), event);
            let found = findings_in(&actions);
            mistakes += usize::from(found.contains(Findings::MISTAKE));
            assert!(actions.iter().all(|action| matches!(action, Action::Report(_))), "{event:?}");
            assert_eq!(ping_in(&actions), None);
            assert_eq!(solo.machine.liveness(), Liveness::Lost, "{event:?}");
            assert_eq!(solo.machine.report(), report, "{event:?}");
            assert_eq!(solo.due(), None, "{event:?}");
        }
    }
    assert_eq!(mistakes, 1, "the measured mistake is told once");
    let lost = solo.changes().iter().filter(|(_, to)| *to == Liveness::Lost).count();
    assert_eq!(lost, 1);
}
