//! The heartbeat systems that the source articles describe, rebuilt with this crate. The id of
//! each (Y1 and so on) is in its test's name. What needs bytes is in `wire.rs`.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]
#![allow(clippy::large_types_passed_by_value, reason = "configurations are values; no speed here")]

use std::collections::BTreeMap;

use crate::common::{Link, MS, Pair, Rng, SEC, Solo, at, findings_in, ms, nanos, ping_in, secs};
use heartbeat_proto::{
    Action, Config, ConfigBuilder, Event, Findings, FirstPing, HeartbeatMachine, LatePolicy,
    Liveness, Mode, PingId, Probing, Reason, Verdict,
};

fn build(builder: ConfigBuilder) -> Config {
    builder.build().expect("valid")
}

/// A resettable countdown: nothing is sent, the limit is 5 s.
fn countdown(late: LatePolicy) -> Config {
    let builder = Config::builder().mode(Mode::Passive).interval(secs(4)).timeout(secs(5));
    build(builder.attempts(1).late_policy(late))
}

/// Y1, to the nanosecond: evidence at the limit itself saves the peer; one nanosecond later the
/// verdict has fallen, and evidence does not undo it.
#[test]
fn y01_the_last_second_countdown_is_exact() {
    const LIMIT: u64 = 5 * SEC;
    for late in [LatePolicy::Reprobe, LatePolicy::Strict, LatePolicy::Forgive(secs(1))] {
        for moment in [4_999 * MS, LIMIT - 1, LIMIT] {
            let mut solo = Solo::alive(countdown(late));
            solo.run_to(moment);
            let _ = solo.tell(Event::FrameReceived);
            assert_eq!(solo.machine.liveness(), Liveness::Alive, "at {moment}");
            solo.run_out();
            assert_eq!(solo.verdict(), Some((moment + LIMIT + 1, Reason::Silence)), "at {moment}");
        }
        for moment in [LIMIT + 1, 5_001 * MS] {
            let mut solo = Solo::alive(countdown(late));
            solo.run_to(moment);
            let actions = solo.tell(Event::FrameReceived);
            assert_eq!(findings_in(&actions), Findings::MISTAKE, "at {moment}");
            assert_eq!(solo.machine.liveness(), Liveness::Lost);
            assert_eq!(solo.verdict(), Some((LIMIT + 1, Reason::Silence)));
            assert_eq!(solo.due(), None);
        }
    }
}

/// Y3: a ping that cannot be written is not queued up: later slots are skipped while it waits, and
/// the first one after the writing is used, on schedule.
#[test]
fn y03_an_unwritten_ping_is_skipped_not_queued() {
    let builder = Config::builder().interval(secs(1)).timeout(secs(4)).jitter_percent(0);
    let builder = builder.first_ping(FirstPing::AfterInterval).probing(Probing::Always);
    let config = build(builder.write_reports(true).write_stall(secs(60)));
    let mut solo = Solo::alive(config);
    for step in 1..=90_u64 {
        solo.run_to(step * 100 * MS);
        let _ = solo.tell(Event::FrameReceived);
        if step == 43 {
            assert_eq!(solo.pings(), [SEC], "one waits, nothing behind it");
            assert_eq!(solo.found(Findings::PING_SKIPPED), 3);
        }
        if step >= 43 {
            let id = solo.last_ping().expect("a ping");
            let _ = solo.tell(Event::PingSent { id });
        }
    }
    assert_eq!(solo.pings(), [1, 5, 6, 7, 8, 9].map(|second| second * SEC));
    assert_eq!(solo.verdict(), None);
    assert_eq!(solo.machine.stats().pings_skipped, 3);
}

/// Y4: how late the machine was called, against its own deadlines, as a distribution.
#[test]
fn y04_the_trigger_lateness_is_measured() {
    let mut solo = Solo::new(Config::lan());
    let mut calls = 0;
    while calls < 1_000 {
        let due = solo.due().expect("live");
        calls += 1;
        // 100 of 1000 calls are 40 ms late, ten 45 ms, the others 2 ms.
        let late = if calls % 100 == 0 {
            45 * MS
        } else if calls % 10 == 0 {
            40 * MS
        } else {
            2 * MS
        };
        let actions = solo.tell_at(due + late, Event::Tick);
        if let Some(id) = ping_in(&actions) {
            // At the same moment: no call between two deadlines.
            let _ = solo.tell(Event::pong(id));
        }
    }
    let lateness = solo.machine.lateness();
    assert_eq!(lateness.count(), 1_000);
    assert_eq!(lateness.max(), ms(45));
    // Buckets are exact to within a half upwards.
    assert!((ms(2)..ms(3)).contains(&lateness.percentile(50)), "{:?}", lateness.percentile(50));
    assert!((ms(40)..=ms(45)).contains(&lateness.percentile(99)));
    assert_eq!(solo.machine.stats().late_calls, 0, "all within the slack of 50 ms");
}

/// Y5: start, reconfigure, drain with a hard deadline, close; and nothing to leak anywhere.
#[test]
fn y05_the_life_cycle_runs_in_order_and_leaks_nothing() {
    assert!(!core::mem::needs_drop::<HeartbeatMachine>());
    let mut solo = Solo::idle(Config::lan(), 5);
    assert_eq!(solo.machine.liveness(), Liveness::Idle);
    let _ = solo.tell(Event::Start);
    solo.answer_to(10 * SEC, MS);
    let _ = solo.machine.reconfigure(Config::wan(), at(solo.now));
    assert_eq!(solo.machine.liveness(), Liveness::Alive, "never an instant death");
    let until = solo.now + 30 * SEC;
    solo.answer_to(until, MS);
    let _ = solo.tell(Event::Drain);
    let (pings, drained) = (solo.pings().len(), solo.now);
    solo.run_to(drained + 9 * SEC);
    let _ = solo.tell(Event::Drain);
    let asked = PingId::new(3, 3);
    let pong = Action::SendPong { id: asked, calm: false };
    assert!(solo.tell(Event::ping(asked)).contains(&pong), "still answers");
    assert_eq!((solo.pings().len(), solo.verdict()), (pings, None), "silence convicts nobody");
    let mut hung = Solo::of(solo.machine.clone());
    hung.skip_to(solo.now);
    hung.run_out();
    assert_eq!(hung.verdict(), Some((drained + 10 * SEC + 1, Reason::DrainTimeout)));
    assert!(solo.tell(Event::Close).contains(&Action::SendGoodbye));
    assert_eq!((solo.machine.liveness(), solo.due()), (Liveness::Closed, None));
    assert!(solo.tell(Event::Close).is_empty());
}

/// Y5: a live reconfiguration never convicts at once, and the new bound holds from then on.
#[test]
fn y05_a_reconfiguration_is_never_retroactively_fatal() {
    let mut judged = 0;
    for seed in 0..2_000 {
        let mut rng = Rng(seed);
        let configs = [Config::lan(), Config::wan(), Config::service_mesh(), Config::default()];
        let [old, new] = [0, 1].map(|_| configs[rng.below(4) as usize]);
        let mut solo = Solo::new(old);
        solo.answer_to(rng.below(60 * SEC), MS);
        let moment = solo.now + rng.below(nanos(old.timeout()) - 2 * MS);
        solo.run_to(moment);
        if !solo.machine.liveness().is_live() {
            continue; // The ping before was lost as well, and the old limit has passed.
        }
        judged += 1;
        let actions = solo.machine.reconfigure(new, at(moment));
        assert!(actions.transition().is_none_or(|change| change.to != Liveness::Lost));
        assert!(solo.machine.liveness().is_live(), "seed {seed}");
        let peace = nanos(new.response_window());
        solo.run_to(moment + peace);
        assert_eq!(solo.verdict(), None, "seed {seed}: within a window");
        solo.run_out();
        let bound = nanos(new.worst_case_detection()) + nanos(new.response_window());
        let (lost_at, _) = solo.verdict().expect("a verdict");
        assert!(lost_at <= moment + bound + 1, "seed {seed}: {lost_at} after {moment}");
    }
    assert!(judged > 1_500, "{judged}");
}

/// Y6: beats every 100 ms, and a hundred thousand connections opened and killed: not one
/// allocation, one deadline each.
#[test]
fn y06_fast_beats_and_many_connections_allocate_nothing() {
    let builder = Config::builder().interval(ms(100)).response_window(ms(100));
    let config = build(builder);
    let mut machine = HeartbeatMachine::new(config, 0, at(0));
    let counted = allocation_counter::measure(|| {
        for round in 0..100_000 {
            machine = machine.reconnected(at(round * SEC));
            for _ in 0..6 {
                let due = machine.next_deadline().expect("one deadline");
                for action in machine.handle(Event::Tick, due) {
                    if let Action::SendPing { id, .. } = action {
                        let _ = machine.handle(Event::pong(id), due);
                    }
                }
            }
            let kill = if round % 2 == 0 { Event::Close } else { Event::GoodbyeReceived };
            let _ = machine.handle(kill, at(round * SEC + 900 * MS));
            assert_eq!(machine.next_deadline(), None);
        }
    });
    assert_eq!(counted.count_total, 0);
}

/// Y7: Idle, Alive on the first life, Timeout on three missed acks, Recovering on the reconnect
/// notice, Alive on an ack.
#[test]
fn y07_the_state_machine_of_the_article() {
    let config = Config::messaging_15_45();
    let mut solo = Solo::idle(config, 7);
    assert_eq!(solo.machine.liveness(), Liveness::Idle);
    let _ = solo.tell(Event::Start);
    let _ = solo.tell(Event::FrameReceived);
    assert_eq!(solo.machine.liveness(), Liveness::Alive);
    solo.run_out();
    assert_eq!(solo.machine.liveness(), Liveness::Lost);
    assert_eq!(solo.machine.stats().misses, 3);
    let mut next = Solo::of(solo.machine.reconnected(at(solo.now)));
    next.skip_to(solo.now);
    assert_eq!(next.machine.liveness(), Liveness::Recovering);
    while next.last_ping().is_none() {
        let due = next.due().expect("live");
        let _ = next.tell_at(due, Event::Tick);
    }
    let id = next.last_ping().expect("a ping");
    let _ = next.tell_at(next.now + 30 * MS, Event::pong(id));
    assert_eq!(next.machine.liveness(), Liveness::Alive);
}

/// Y8: probe 300 ms, response 1200 ms, three in a row: Healthy, Degraded, Unavailable, Healthy. A
/// slow answer and no answer are different findings.
#[test]
fn y08_nested_timeouts_of_the_article() {
    let builder = Config::builder().interval(ms(300)).response_window(ms(1_200));
    let builder = builder.jitter_percent(0).first_ping(FirstPing::AfterInterval);
    let config = build(builder.reopen_after(1));
    assert_eq!(config.timeout(), Config::service_mesh().timeout());
    let mut solo = Solo::alive(config);
    solo.run_to(3_900 * MS + 1);
    assert_eq!(
        solo.changes()[2..],
        [(1_500 * MS + 1, Liveness::Suspect), (3_900 * MS + 1, Liveness::Lost)]
    );
    assert_eq!(solo.machine.report().map(|report| report.missed), Some(3));
    assert_eq!(solo.found(Findings::MISS), 3);
    assert_eq!(solo.found(Findings::PONG_LATE), 0);
    while solo.pings().last() <= Some(&(3_900 * MS)) {
        let due = solo.due().expect("probing goes on");
        let _ = solo.tell_at(due, Event::Tick);
    }
    let id = solo.last_ping().expect("a ping");
    let _ = solo.tell_at(solo.now + 20 * MS, Event::pong(id));
    assert_eq!(solo.machine.liveness(), Liveness::Alive);

    // Slow: each answer takes 1.3 s. It is late, and life all the same.
    let mut slow = Solo::new(config);
    slow.answer_to(60 * SEC, 1_300 * MS);
    assert_eq!(slow.verdict(), None);
    assert!(slow.found(Findings::PONG_LATE) > 30, "{:?}", slow.machine.stats());
}

/// Y9: four healthy of the last five keep a peer up: one lost probe never convicts, two do.
#[test]
fn y09_one_lost_of_five_is_forgiven_two_convict() {
    let builder = Config::builder().interval(secs(1)).response_window(ms(300)).jitter_percent(0);
    let builder = builder.first_ping(FirstPing::AfterInterval).probing(Probing::Always);
    let config = build(builder.no_keepalive().probe_loss(2, 5, Verdict::Convict));
    let verdict_with = |lost: &[usize]| {
        let mut solo = Solo::alive(config);
        for beat in 1..=1_000_usize {
            // The peer talks all the time: only probes are lost, so this is no silence.
            for _ in 0..10 {
                let until = solo.now + 100 * MS;
                solo.run_to(until);
                let pinged = solo.pings().last() == Some(&solo.now);
                let _ = solo.tell(Event::FrameReceived);
                if let (true, false) = (pinged, lost.contains(&beat)) {
                    let id = solo.last_ping().expect("a ping");
                    let _ = solo.tell(Event::pong(id));
                }
            }
            if solo.verdict().is_some() {
                break;
            }
        }
        solo.verdict().map(|(_, reason)| reason)
    };
    let every_fifth: Vec<usize> = (1..=1_000).filter(|beat| beat % 5 == 0).collect();
    assert_eq!(verdict_with(&[]), None);
    assert_eq!(verdict_with(&[100]), None);
    assert_eq!(verdict_with(&every_fifth), None, "four of any five are healthy");
    assert_eq!(verdict_with(&[100, 101]), Some(Reason::ProbeLoss));
    assert_eq!(verdict_with(&[100, 104]), Some(Reason::ProbeLoss));
}

/// Y16 (INC-2021-089): a day of wake-ups that are late by up to 50 ms: every ping leaves within
/// that of its slot on the ideal grid, so that lateness never adds up; and an hour's pause is
/// followed by one ping, not by a burst.
#[test]
fn y16_a_day_without_drift_and_without_a_burst() {
    let builder = Config::builder().interval(secs(10)).timeout(secs(40)).jitter_percent(0);
    let config = build(builder.first_ping(FirstPing::AfterInterval).probing(Probing::Always));
    let mut solo = Solo::new(config);
    let mut rng = Rng(16);
    while solo.now < 86_400 * SEC {
        let due = solo.due().expect("live");
        let actions = solo.tell_at(due + rng.below(50 * MS), Event::Tick);
        if let Some(id) = ping_in(&actions) {
            let _ = solo.tell_at(solo.now + 5 * MS, Event::pong(id));
        }
    }
    let pings = solo.pings();
    assert_eq!(pings.len(), 8_640);
    for (index, &ping) in pings.iter().enumerate() {
        let slot = (index as u64 + 1) * 10 * SEC;
        assert!((slot..slot + 50 * MS).contains(&ping), "beat {index} at {ping}");
    }
    let paused = solo.now + 3_600 * SEC;
    let _ = solo.tell_at(paused, Event::Tick);
    let after: Vec<u64> = solo.pings()[pings.len()..].to_vec();
    assert_eq!(after, [paused]);
    let id = solo.last_ping().expect("a ping");
    let _ = solo.tell(Event::pong(id));
    solo.answer_to(paused + 35 * SEC, MS);
    assert!(solo.pings().len() - pings.len() <= 4, "no catching up");
}

/// Y19: failed beats (unwritten, unanswered, answered with garbage) are reported, and the schedule
/// goes on.
#[test]
fn y19_a_failed_beat_never_stops_the_loop() {
    let builder = Config::builder().interval(secs(1)).timeout(secs(4)).probing(Probing::Always);
    let mut solo = Solo::alive(build(builder));
    for second in 1..=1_000 {
        solo.run_to(second * SEC);
        let wrong = PingId::new(0xbad, second as u32);
        let _ = solo.tell(Event::pong(wrong));
        let _ = solo.tell(Event::FrameReceived);
    }
    assert_eq!(solo.machine.stats().pongs_wrong_epoch, 1_000);
    let pings = solo.pings();
    assert!(pings.len() >= 1_000, "{}", pings.len());
    assert!(pings.windows(2).all(|pair| pair[1] - pair[0] <= SEC));
    assert_eq!(solo.verdict(), None);
    assert_eq!(solo.found(Findings::PING_UNANSWERED), 1);
}

/// Y21: both sides ping, both answer, both judge; an initiator and a responder as well.
#[test]
fn y21_both_sides_may_ping() {
    let mut pair = Pair::new([Config::lan(); 2], [Link::delayed(10 * MS); 2], 21);
    pair.run_to(600 * SEC);
    for end in &pair.ends {
        let stats = end.machine.stats();
        assert!(stats.pings_sent > 100 && stats.pongs_sent > 100, "{stats:?}");
        assert_eq!(stats.misses, 0);
        assert_eq!(end.machine.rtt().smoothed(), Some(ms(20)));
    }
    let initiator = build(Config::builder().mode(Mode::Initiator));
    let responder = build(Config::builder().mode(Mode::Responder));
    let mut pair = Pair::new([initiator, responder], [Link::delayed(10 * MS); 2], 21);
    pair.run_to(10_000 * SEC);
    let [first, second] = [0, 1].map(|end| *pair.ends[end].machine.stats());
    assert!(first.pings_sent > 300 && second.pings_sent == 0);
    assert_eq!(second.pongs_sent, first.pings_sent);
    pair.cut(10_000 * SEC);
    pair.run_to(10_200 * SEC);
    assert!(pair.ends.iter().all(|end| end.lost_at().is_some()), "both find out");
}

/// Y26 and rule 17: three profiles, each exact: pings at these seconds of silence, and the verdict
/// one nanosecond after its limit, with three unanswered.
#[test]
fn y26_three_unanswered_pings_kill_at_the_exact_moment() {
    for (interval, timeout, pings) in
        [(15, 45, [15, 25, 35]), (30, 90, [30, 50, 70]), (60, 120, [60, 80, 100])]
    {
        let builder = Config::builder().interval(secs(interval)).timeout(secs(timeout));
        let builder = builder.attempts(3).jitter_percent(0).first_ping(FirstPing::AfterInterval);
        let mut solo = Solo::alive(build(builder));
        solo.run_out();
        assert_eq!(solo.pings(), pings.map(|second| second * SEC));
        assert_eq!(solo.verdict(), Some((timeout * SEC + 1, Reason::NoResponse)));
        let report = solo.machine.report().expect("a verdict");
        assert_eq!((report.missed, report.attempts), (3, 3));

        // The same after traffic, whenever it ends.
        let mut solo = Solo::alive(build(builder));
        for second in 1..=200 {
            solo.run_to(second * SEC + 123_456_789);
            let _ = solo.tell(Event::FrameReceived);
        }
        let last = solo.now;
        let before = solo.pings().len();
        solo.run_out();
        let silences: Vec<u64> = solo.pings()[before..].iter().map(|ping| ping - last).collect();
        assert_eq!(solo.verdict(), Some((last + timeout * SEC + 1, Reason::NoResponse)));
        assert!(silences.len() >= 3, "{silences:?}");
    }
    // The presets add jitter and phase; the verdict stays exact.
    for (config, timeout) in [
        (Config::messaging_15_45(), 45),
        (Config::messaging_30_90(), 90),
        (Config::messaging_60_120(), 120),
    ] {
        for seed in 1..50 {
            let mut solo = Solo::idle(config, seed);
            let _ = solo.tell(Event::Start);
            solo.answer_to(timeout * SEC + seed * 17 * SEC, 40 * MS);
            solo.run_out();
            let report = solo.machine.report().expect("a verdict");
            assert_eq!(nanos(report.silence), timeout * SEC + 1, "seed {seed}");
            assert_eq!((report.reason, report.missed), (Reason::NoResponse, 3));
        }
    }
}

/// Y27: any message renews the deadline; no ping is needed but the one that verifies.
#[test]
fn y27_any_message_renews_the_deadline() {
    let mut solo = Solo::alive(Config::messaging_15_45());
    for round in 1..=1_000 {
        solo.run_to(round * 44 * SEC);
        assert!(solo.machine.liveness().is_live());
        let _ = solo.tell(Event::FrameReceived);
        assert_eq!(solo.machine.liveness(), Liveness::Alive);
    }
    let mut busy = Solo::alive(Config::messaging_15_45());
    for second in 1..=3_600 {
        busy.run_to(second * SEC);
        let _ = busy.tell(Event::FrameReceived);
    }
    assert!(busy.pings().len() <= 60, "{} pings an hour", busy.pings().len());
    assert_eq!(busy.machine.stats().misses, 0);
}

/// The idle rules of Y28.
fn idle_rules() -> Config {
    let builder = Config::builder().interval(secs(60)).response_window(secs(30)).attempts(1);
    let builder = builder.jitter_percent(0).first_ping(FirstPing::AfterInterval);
    build(builder.keepalive(secs(30)))
}

/// Y28: write-idle 30 s leads to a beacon, read-idle 60 s to a ping, and then to the eviction.
#[test]
fn y28_an_idle_connection_is_kept_asked_and_evicted() {
    let mut solo = Solo::alive(idle_rules());
    solo.run_out();
    let sent = |wanted: fn(&Action) -> bool| -> Vec<u64> {
        let of_kind = solo.log.iter().filter(|(_, action)| wanted(action));
        of_kind.map(|&(now, _)| now / SEC).collect()
    };
    let beacons = sent(|action| matches!(action, Action::SendBeacon { .. }));
    assert_eq!((beacons, solo.pings()), (vec![30, 90], vec![60 * SEC]));
    assert_eq!(solo.verdict(), Some((90 * SEC + 1, Reason::NoResponse)));
}

/// Y28: the cap per owner is the caller's: of an owner's connections the most silent one goes.
#[test]
fn y28_a_cap_per_owner_evicts_the_most_silent() {
    const CAP: usize = 3;
    let mut owners: BTreeMap<&str, Vec<(u64, Solo)>> = BTreeMap::new();
    let mut evicted = Vec::new();
    let arrivals = ["ann", "bob", "ann", "ann", "ann", "bob", "ann"];
    for (second, owner) in (1..).zip(arrivals) {
        let now = at(second * SEC);
        let connections = owners.entry(owner).or_default();
        if connections.len() == CAP {
            let suspicion = |solo: &Solo| solo.machine.suspicion(now);
            let most = (0..CAP)
                .max_by(|&one, &other| {
                    suspicion(&connections[one].1).total_cmp(&suspicion(&connections[other].1))
                })
                .expect("a full owner");
            let (id, mut solo) = connections.remove(most);
            assert!(solo.tell_at(second * SEC, Event::Close).contains(&Action::SendGoodbye));
            evicted.push(id);
        }
        let mut solo = Solo::idle(idle_rules(), second);
        solo.skip_to(second * SEC);
        let _ = solo.tell(Event::Start);
        let _ = solo.tell(Event::FrameReceived);
        connections.push((second, solo));
        // Ann's first connection keeps talking.
        if let Some((1, first)) = owners.get_mut("ann").and_then(|all| all.first_mut()) {
            let _ = first.tell_at(second * SEC, Event::FrameReceived);
        }
    }
    assert_eq!(evicted, [3, 4], "the talking one stays");
    assert!(owners.values().all(|connections| connections.len() <= CAP));
    // Nobody says anything any more: read idleness evicts all that are left.
    for (_, solo) in owners.values_mut().flatten() {
        solo.run_out();
        assert_eq!(solo.verdict().map(|(_, reason)| reason), Some(Reason::NoResponse));
    }
}
