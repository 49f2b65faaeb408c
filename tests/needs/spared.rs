//! Group B of the needs: healthy peers are not killed.

use crate::common::{Link, MS, Pair, Rng, SEC, Solo, at, findings_in, ms, nanos, ping_in, secs};
use heartbeat_proto::{
    Action, Config, Event, Findings, FirstPing, LatePolicy, LifeRule, Liveness, Reason, Timestamp,
};

fn wan(late: LatePolicy) -> Config {
    let builder = Config::builder().interval(secs(5)).timeout(secs(20));
    builder.late_policy(late).build().expect("valid")
}

/// Need 7: 10 MB at 10 kB/s, the pong last in the queue. Frames are life; under a rule that counts
/// pongs only the same peer dies; and the starved pongs are told either way.
#[test]
fn need_07_pongs_stuck_behind_data_kill_only_under_a_rule_that_counts_pongs() {
    for (rule, event, survives) in [
        (LifeRule::AnyFrame, Event::FrameReceived, true),
        (LifeRule::AnyByte, Event::BytesReceived, true),
        (LifeRule::AnyFrame, Event::BytesReceived, false),
        (LifeRule::AnyPong, Event::FrameReceived, false),
        (LifeRule::ExactPong, Event::FrameReceived, false),
    ] {
        let builder = Config::builder().interval(secs(4)).timeout(secs(10)).life_rule(rule);
        let mut solo = Solo::new(builder.build().expect("valid"));
        for second in 1..=1_000 {
            solo.run_to(second * SEC);
            let _ = solo.tell(event);
        }
        assert_eq!(solo.verdict().is_none(), survives, "{rule:?}, {event:?}");
        if survives {
            assert_eq!(solo.found(Findings::PING_UNANSWERED), 1, "{rule:?}");
            assert!(solo.pings().len() > 50);
        }
    }
}

/// Need 8: at the deadline itself a pong and a tick leave the peer alive in either order.
#[test]
fn need_08_evidence_and_tick_at_the_deadline_leave_the_peer_alive_in_either_order() {
    for late in [LatePolicy::Reprobe, LatePolicy::Strict, LatePolicy::Forgive(secs(1))] {
        for tick_first in [false, true] {
            let mut solo = Solo::alive(wan(late));
            solo.run_to(20 * SEC);
            let id = solo.last_ping().expect("a ping");
            if tick_first {
                let _ = solo.tell(Event::Tick);
            }
            let _ = solo.tell(Event::pong(id));
            let _ = solo.tell(Event::Tick);
            assert_eq!(solo.machine.liveness(), Liveness::Alive, "{late:?}");
            assert_eq!(solo.verdict(), None);
        }
    }
}

/// Need 8: the thread was blocked for three timeouts, and the pong was in the buffer all the time.
/// Read first it saves the peer; and ticked first, the re-probe does.
#[test]
fn need_08_a_pong_in_the_buffer_of_a_blocked_thread_prevents_the_verdict() {
    for tick_first in [false, true] {
        let mut solo = Solo::alive(wan(LatePolicy::Reprobe));
        solo.run_to(6 * SEC);
        let id = solo.last_ping().expect("a ping");
        solo.skip_to(66 * SEC);
        if tick_first {
            let actions = solo.tell(Event::Tick);
            assert!(findings_in(&actions).contains(Findings::REPROBE), "{actions:?}");
        }
        let actions = solo.tell(Event::pong(id));
        let late = findings_in(&actions).contains(Findings::LATE_EVIDENCE);
        assert!(late || tick_first, "{actions:?}");
        assert_eq!(solo.machine.liveness(), Liveness::Alive);
        assert_eq!(solo.verdict(), None);
    }
    // Under Strict the caller's clock is beyond doubt, and the verdict falls first (E10).
    let mut solo = Solo::alive(wan(LatePolicy::Strict));
    solo.run_to(6 * SEC);
    let id = solo.last_ping().expect("a ping");
    let actions = solo.tell_at(66 * SEC, Event::pong(id));
    assert_eq!(solo.machine.liveness(), Liveness::Lost);
    assert!(findings_in(&actions).contains(Findings::MISTAKE), "{actions:?}");
}

/// Need 9: 10 000 peers and one frozen observer: nobody healthy dies, each is probed again; the
/// dead ones die within one probe and one window.
#[test]
fn need_09_the_observers_own_freeze_is_not_charged_to_its_peers() {
    let config = wan(LatePolicy::Reprobe);
    let (mut lost, mut probed) = (0, 0);
    for seed in 0..10_000 {
        let dead = seed % 100 == 0;
        let mut solo = Solo::idle(config, seed);
        let _ = solo.tell(Event::Start);
        solo.answer_to(15 * SEC, 30 * MS);
        let before = solo.pings().len();
        let thaw = solo.now + 60 * SEC;
        let actions = solo.tell_at(thaw, Event::Tick);
        assert!(findings_in(&actions).contains(Findings::LATE_CALL));
        if dead {
            solo.run_out();
            let (lost_at, _) = solo.verdict().expect("dead");
            let round = nanos(config.response_window()) + nanos(config.min_gap());
            assert!(lost_at <= thaw + round + 1, "{lost_at}");
            lost += 1;
        } else {
            let mut id = ping_in(&actions);
            while id.is_none() {
                let due = solo.due().expect("live");
                id = ping_in(&solo.tell_at(due, Event::Tick));
            }
            let _ = solo.tell_at(solo.now + 30 * MS, Event::pong(id.expect("a probe")));
            solo.answer_to(thaw + 60 * SEC, 30 * MS);
            assert_eq!(solo.verdict(), None, "seed {seed}");
            assert_eq!(solo.machine.liveness(), Liveness::Alive, "seed {seed}");
            probed += usize::from(solo.pings().len() > before);
        }
    }
    assert_eq!((lost, probed), (100, 9_900));
}

/// Need 9: the report of a verdict tells the observer's lateness.
#[test]
fn need_09_a_verdict_names_the_observers_lateness() {
    let mut solo = Solo::alive(wan(LatePolicy::Strict));
    let _ = solo.tell_at(50 * SEC, Event::Tick);
    let report = solo.machine.report().expect("a verdict");
    assert_eq!(report.fault(), heartbeat_proto::Fault::Observer);
    assert!(report.own_lateness > secs(40), "{report}");
    assert_eq!(solo.machine.stats().late_calls, 1);
}

/// Need 10: however late the write, no verdict "no response" before writing and window; a ping
/// that is not written makes the verdict say so.
#[test]
fn need_10_the_response_window_runs_from_the_writing() {
    let builder = Config::builder().interval(secs(5)).timeout(secs(20)).write_reports(true);
    let config = builder.first_ping(FirstPing::AfterInterval).attempts(1).build().expect("valid");
    let window = nanos(config.response_window());
    assert_eq!(window, 15 * SEC);
    for delay in 0..=75 {
        let mut solo = Solo::new(config);
        let written = (5 + delay) * SEC;
        solo.run_to(written);
        if let (Some(id), true) = (solo.last_ping(), solo.machine.liveness().is_live()) {
            let _ = solo.tell(Event::PingSent { id });
        }
        solo.run_out();
        let (lost_at, reason) = solo.verdict().expect("a verdict");
        if lost_at < written + window {
            assert_eq!(reason, Reason::WriteStalled, "delay {delay} s");
        } else {
            assert_eq!(reason, Reason::NoResponse, "delay {delay} s");
            assert_eq!(lost_at, written + window + 1);
        }
        assert!(lost_at <= nanos(config.worst_case_detection()) + 1, "delay {delay} s");
    }
}

/// Need 11: a transport that takes a byte a second is slow, one that takes none is stalled, even
/// though no ping was sent and the peer talks.
#[test]
fn need_11_slow_and_stalled_writers_are_told_apart() {
    let builder = Config::builder().interval(secs(5)).timeout(secs(20));
    let config = builder.write_reports(true).write_stall(secs(3)).build().expect("valid");
    for takes_bytes in [true, false] {
        let mut solo = Solo::alive(config);
        let _ = solo.tell(Event::TxBlocked);
        for second in 1..=600 {
            solo.run_to(second * SEC);
            let _ = solo.tell(Event::FrameReceived);
            if takes_bytes {
                let _ = solo.tell(Event::TxProgress);
                let _ = solo.tell(Event::TxBlocked);
            }
        }
        if takes_bytes {
            assert_eq!(solo.verdict(), None);
        } else {
            assert_eq!(solo.verdict(), Some((3 * SEC + 1, Reason::WriteStalled)));
            assert!(solo.pings().is_empty());
        }
    }
}

/// Need 12: the host slept for a second to a week, in every live state: exactly one probe at the
/// resume, a window of peace, no burst, and a peer that is there stays.
#[test]
fn need_12_a_sleep_leads_to_one_probe_and_no_verdict() {
    let config = Config::wan();
    let window = nanos(config.response_window());
    for sleep in [1, 60, 3_600, 86_400, 7 * 86_400].map(|seconds| seconds * SEC) {
        for how in 0..3 {
            for state in [Liveness::Starting, Liveness::Alive, Liveness::Suspect] {
                let mut solo = Solo::new(config);
                if state != Liveness::Starting {
                    solo.answer_to(12 * SEC, 30 * MS);
                }
                if state == Liveness::Suspect {
                    let until = solo.now + 14 * SEC;
                    solo.run_to(until);
                }
                assert_eq!(solo.machine.liveness(), state);
                let asleep = solo.now;
                // The host says so before; only after, on a clock that stood still; or never.
                let actions = match how {
                    0 => {
                        let _ = solo.tell(Event::Suspend);
                        assert_eq!(solo.due(), None);
                        solo.tell_at(asleep + sleep, Event::Resume { slept: secs(0) })
                    }
                    1 => solo.tell_at(
                        asleep + sleep,
                        Event::Resume { slept: core::time::Duration::from_nanos(sleep) },
                    ),
                    _ => solo.tell_at(asleep + sleep, Event::Tick),
                };
                let woke = solo.now;
                assert!(solo.machine.liveness().is_live(), "{state}, {sleep}, {how}");
                let early = solo.pings().iter().filter(|&&ping| ping > asleep).count();
                assert!(early <= 1, "a burst: {actions:?}");
                // (A second's lateness, not known to be a sleep, leaves the old deadline far off.)
                let peace = if how < 2 || sleep > SEC { window - 1 } else { 0 };
                solo.run_to(woke + peace);
                assert_eq!(solo.verdict(), None, "{state}, {sleep}, {how}");
                let probes = solo.pings().iter().filter(|&&ping| ping > asleep).count();
                assert!(probes >= usize::from(how < 2), "{state}, {sleep}, {how}");
                assert!(probes <= 2, "{probes} probes: {state}, {sleep}, {how}");
                if let Some(id) = solo.last_ping() {
                    let _ = solo.tell(Event::pong(id));
                }
                solo.answer_to(woke + 100 * SEC, 30 * MS);
                assert_eq!(solo.machine.liveness(), Liveness::Alive);
            }
        }
    }
}

/// Need 13: absurd clocks, backwards too: no panic, and a step back alone convicts nobody.
#[test]
fn need_13_clock_steps_are_harmless() {
    let mut solo = Solo::new(Config::wan());
    solo.answer_to(30 * SEC, 30 * MS);
    let _ = solo.tell(Event::Tick);
    for back in [1, SEC, 30 * SEC] {
        let given = at(solo.now - back);
        let found = solo.machine.handle(Event::Tick, given).findings();
        assert!(found.contains(Findings::CLOCK_REGRESSION));
    }
    assert_eq!(solo.machine.stats().clock_regressions, 3);
    solo.answer_to(90 * SEC, 30 * MS);
    assert_eq!(solo.machine.liveness(), Liveness::Alive);

    // Forwards and backwards at random around a peer that answers every ping at once.
    let mut rng = Rng(13);
    for _ in 0..200 {
        let mut solo = Solo::new(Config::wan());
        for _ in 0..200 {
            let now = match rng.below(3) {
                0 => rng.next(),
                1 => solo.now.saturating_sub(rng.below(100 * SEC)),
                _ => solo.now + rng.below(100 * SEC),
            };
            let _ = solo.machine.handle(Event::Tick, Timestamp::from_nanos(now));
            let _ = solo.machine.handle(Event::FrameReceived, Timestamp::from_nanos(now));
            assert_ne!(solo.machine.liveness(), Liveness::Lost);
        }
    }
}

/// Need 14: miss, hit, miss, hit for a million rounds is no death; N in a row always is; and the
/// count never leaves 0..=N.
#[test]
fn need_14_only_consecutive_misses_convict() {
    let config = Config::lan();
    let mut solo = Solo::alive(config);
    let (mut rounds, mut misses) = (0, 0);
    while rounds < 1_000_000 {
        let due = solo.due().expect("live");
        let actions = solo.tell_at(due, Event::Tick);
        misses += usize::from(findings_in(&actions).contains(Findings::MISS));
        // The first ping is lost; the one after a miss is answered.
        if let (Some(id), true) = (ping_in(&actions), misses > rounds) {
            let _ = solo.tell_at(solo.now + MS, Event::pong(id));
            rounds += 1;
        }
        solo.log.clear();
        assert!(solo.machine.liveness().is_live(), "round {rounds}");
        let report = solo.machine.report().expect("a change");
        assert!(report.missed <= report.attempts);
    }
    solo.run_out();
    assert_eq!(solo.machine.liveness(), Liveness::Lost);
    let report = solo.machine.report().expect("a verdict");
    assert_eq!((report.missed, report.attempts), (3, 3));
}

/// Need 14: suspicion is visible, and goes away with the first life.
#[test]
fn need_14_suspicion_comes_before_the_verdict_and_can_end() {
    const ORDER: &str = "starting alive suspect alive suspect lost";
    let mut solo = Solo::alive(Config::messaging_15_45());
    solo.run_to(30 * SEC);
    assert_eq!(solo.machine.liveness(), Liveness::Suspect);
    let _ = solo.tell(Event::FrameReceived);
    assert_eq!(solo.machine.liveness(), Liveness::Alive);
    solo.run_out();
    let order = solo.changes().into_iter().map(|(_, to)| to);
    assert_eq!(order.map(Liveness::code).collect::<Vec<_>>().join(" "), ORDER);
}

/// Need 15: no ping and no death during a handshake of any allowed length; one that takes longer
/// is a verdict of its own.
#[test]
fn need_15_no_ping_before_the_handshake_is_over() {
    let config = Config::builder().startup_limit(secs(8)).build().expect("valid");
    for millis in (0..=8_000).step_by(100) {
        let mut solo = Solo::idle(config, 1);
        solo.run_to(millis * MS);
        let _ = solo.tell(Event::FrameReceived);
        assert!(solo.log.is_empty(), "{:?}", solo.log);
        let _ = solo.tell(Event::Start);
        assert_eq!(solo.machine.liveness(), Liveness::Starting);
        assert!(solo.pings().is_empty());
        solo.answer_to(60 * SEC, 30 * MS);
        assert_eq!(solo.machine.liveness(), Liveness::Alive);
    }
    let mut solo = Solo::idle(config, 1);
    solo.run_out();
    assert_eq!(solo.verdict(), Some((8 * SEC + 1, Reason::StartupTimeout)));
}

/// Need 15 (INC-2023-0977): TLS renewal within the grace is no silence.
#[test]
fn need_15_the_grace_covers_a_slow_start() {
    let builder = Config::builder().interval(ms(500)).timeout(secs(3));
    for (grace, survives) in [(0, false), (2, true)] {
        let mut solo = Solo::new(builder.startup_grace(secs(grace)).build().expect("valid"));
        solo.run_to(4_500 * MS);
        let _ = solo.tell(Event::FrameReceived);
        assert_eq!(solo.machine.liveness() == Liveness::Alive, survives);
        solo.run_out();
        let lost_at = solo.verdict().expect("a verdict").0;
        assert_eq!(lost_at, if survives { 7_500 * MS + 1 } else { 3_000 * MS + 1 });
    }
}

/// Need 16: the machine of the next connection takes over nothing of a bad end: it is the same
/// state, bit for bit, as after a good one; and a pong of the old connection is not life.
#[test]
fn need_16_the_next_connection_is_not_poisoned() {
    let mut good = Solo::new(Config::wan());
    good.answer_to(40 * SEC, 30 * MS);
    let mut bad = Solo::of(good.machine.clone());
    bad.skip_to(good.now);
    bad.run_out();
    assert_eq!(bad.machine.liveness(), Liveness::Lost);
    let id = bad.last_ping().expect("a ping");

    let now = at(100 * SEC);
    let (fresh, next) = (good.machine.reconnected(now), bad.machine.reconnected(now));
    assert_eq!(fresh.state(), next.state());
    assert_eq!(fresh.next_deadline(), next.next_deadline());
    assert_eq!(next.rtt(), good.machine.rtt());
    assert_eq!(next.stats().losses, 0);

    let mut next = Solo::of(next);
    next.skip_to(100 * SEC);
    let actions = next.tell(Event::pong(id));
    assert!(findings_in(&actions).contains(Findings::PONG_WRONG_EPOCH));
    assert_eq!(next.machine.liveness(), Liveness::Recovering);
    next.answer_to(400 * SEC, 30 * MS);
    assert_eq!(next.machine.liveness(), Liveness::Alive);
    assert_eq!(next.machine.stats().misses, 0);
}

/// Needs 9 and 14 over a bad link: 5 % loss, jitter, duplicates and reordering, for a day, and no
/// verdict. The seed is fixed, so that every run is the same one.
#[test]
fn a_lossy_link_is_survived_for_a_day() {
    let link = Link {
        delay: 40 * MS,
        jitter: 60 * MS,
        loss_percent: 5,
        duplicate_percent: 5,
        ..Link::default()
    };
    let mut pair = Pair::new([Config::default(); 2], [link; 2], 11);
    pair.run_to(86_400 * SEC);
    for end in &pair.ends {
        assert_eq!(end.lost_at(), None);
        let stats = end.machine.stats();
        assert!(stats.pongs_duplicate > 10 && stats.suspicions > 10, "{stats:?}");
        let told = end.log.iter().filter(|(_, action)| matches!(action, Action::Notify(_)));
        assert!(told.count() as u64 >= 2 * stats.suspicions);
    }
}
