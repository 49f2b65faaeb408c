//! Groups C to E of the needs, second part: verify on demand, fit in, and tell what happened.

use crate::common::{MS, SEC, Solo, at, ms, nanos, ping_in, secs};
use heartbeat_proto::{
    Config, Event, LifeRule, Liveness, Mode, PingId, PingSchedule, Reason, Timestamp, Verdict,
};

/// Need 25: a half-open socket takes every write and answers nothing: it is never verified, and a
/// probe on demand finds out within the promise. A live one is verified by its pong alone.
#[test]
fn need_25_a_probe_on_demand_verifies_by_inbound_proof_only() {
    let builder = Config::builder().interval(secs(60)).response_window(secs(2));
    let config = builder.write_reports(true).build().expect("valid");
    for half_open in [true, false] {
        let mut solo = Solo::alive(config);
        solo.run_to(50 * SEC);
        let asked = solo.now;
        let id = ping_in(&solo.tell(Event::PingDue)).expect("probes at once");
        let _ = solo.tell_at(asked + MS, Event::PingSent { id });
        let _ = solo.tell(Event::TxProgress);
        assert!(!solo.machine.is_verified_since(at(asked)), "a write is no proof");
        if half_open {
            let mut suspected = None;
            while let Some(due) = solo.due() {
                let actions = solo.tell_at(due, Event::Tick);
                if let Some(id) = ping_in(&actions) {
                    let _ = solo.tell(Event::PingSent { id });
                }
                if solo.machine.liveness() == Liveness::Suspect {
                    suspected = suspected.or(Some(solo.now));
                }
                assert!(!solo.machine.is_verified_since(at(asked)));
            }
            assert_eq!(suspected, Some(asked + MS + 2 * SEC + 1), "one window after the writing");
            assert_eq!(solo.verdict(), Some((66 * SEC + 1, Reason::NoResponse)));
        } else {
            let _ = solo.tell_at(asked + 30 * MS, Event::pong(id));
            assert!(solo.machine.is_verified_since(at(asked)));
            assert!(!solo.machine.is_verified_since(at(asked + 30 * MS)));
        }
    }
}

/// Need 25: within the gap the wish is remembered, once.
#[test]
fn need_25_a_wish_within_the_gap_is_remembered_once() {
    let config = Config::lan();
    let mut solo = Solo::alive(config);
    let _ = solo.tell(Event::PingDue);
    for _ in 0..5 {
        assert_eq!(ping_in(&solo.tell(Event::PingDue)), None);
    }
    solo.run_to(nanos(config.min_gap()));
    assert_eq!(solo.pings(), [0, nanos(config.min_gap())]);
    let id = solo.last_ping().expect("a ping");
    let _ = solo.tell(Event::pong(id));
    solo.run_to(2 * nanos(config.min_gap()));
    assert_eq!(solo.pings().len(), 2, "once");
}

/// Need 29: liveness and idleness are two clocks. Idleness is a passive machine that is told of
/// application frames only; pings keep the connection alive and do not keep it busy.
#[test]
fn need_29_pings_keep_alive_what_is_idle_all_the_same() {
    let idle = Config::builder().mode(Mode::Passive).interval(secs(540)).timeout(secs(600));
    let idle = idle.attempts(1).build().expect("valid");
    for app_every in [None, Some(60)] {
        let mut liveness = Solo::alive(Config::default());
        let mut activity = Solo::alive(idle);
        for minute in 1..=60_u64 {
            liveness.answer_to(minute * 60 * SEC, 20 * MS);
            activity.run_to(minute * 60 * SEC);
            if app_every.is_some() {
                let _ = liveness.tell(Event::FrameReceived);
                let _ = activity.tell(Event::FrameReceived);
            }
        }
        assert_eq!(liveness.machine.liveness(), Liveness::Alive);
        let idle_at = activity.verdict();
        if app_every.is_some() {
            assert_eq!(idle_at, None);
        } else {
            assert_eq!(idle_at, Some((600 * SEC + 1, Reason::Silence)));
        }
        assert!(activity.pings().is_empty());
    }
}

/// Every way to end, with the line it prints.
fn endings() -> Vec<(Solo, &'static str)> {
    let build = |builder: heartbeat_proto::ConfigBuilder| builder.build().expect("valid");
    let lan = || Config::builder().interval(secs(1)).timeout(secs(4)).jitter_percent(0);
    let silent = |config| {
        let mut solo = Solo::alive(config);
        solo.run_out();
        solo
    };
    let mut goodbye = Solo::alive(Config::lan());
    let _ = goodbye.tell(Event::GoodbyeReceived);
    let mut closed = Solo::alive(Config::lan());
    let _ = closed.tell(Event::Close);
    let mut drained = Solo::alive(Config::lan());
    let _ = drained.tell(Event::Drain);
    drained.run_out();
    let mut never_started = Solo::idle(Config::lan(), 1);
    never_started.run_out();
    let mut deaf = Solo::alive(build(lan().ping_unanswered(2, Verdict::Convict)));
    let mut lossy = Solo::alive(build(lan().probe_loss(2, 5, Verdict::Convict)));
    for solo in [&mut deaf, &mut lossy] {
        for step in 1..400 {
            solo.run_to(step * 500 * MS);
            let _ = solo.tell(Event::FrameReceived);
        }
    }
    let mut abusive = Solo::alive(build(lan().accept_gap(secs(1)).police(1, 1, Verdict::Convict)));
    let _ = abusive.tell(Event::ping(PingId::new(9, 1)));
    let _ = abusive.tell(Event::ping(PingId::new(9, 2)));
    let mut answered = Solo::new(build(lan()));
    answered.answer_to(2_500 * MS, 12_500_000);
    answered.run_out();
    vec![
        (
            silent(build(lan())),
            "lost (no_response, fault peer_or_path): silent 4.000s, 3 of 3 pings missed, rtt \
             unknown, own worst lateness 0ns",
        ),
        (
            silent(build(lan().mode(Mode::Passive))),
            "lost (silence, fault peer_or_path): silent 4.000s, 0 of 3 pings missed, rtt unknown, \
             own worst lateness 0ns",
        ),
        (
            silent(build(lan().write_reports(true))),
            "lost (write_stalled, fault path): silent 4.000s, 0 of 3 pings missed, rtt unknown, a \
             ping unwritten for 3.000s, own worst lateness 0ns",
        ),
        (
            silent(build(lan().schedule(PingSchedule::External))),
            "lost (not_probed, fault observer): silent 4.000s, 0 of 3 pings missed, rtt unknown, \
             own worst lateness 0ns",
        ),
        (
            deaf,
            "lost (ping_unanswered, fault peer): silent 1.000ns, 0 of 3 pings missed, rtt \
             unknown, own worst lateness 0ns",
        ),
        (
            lossy,
            "lost (probe_loss, fault path): silent 1.000ns, 0 of 3 pings missed, rtt unknown, own \
             worst lateness 0ns",
        ),
        (
            abusive,
            "lost (ping_abuse, fault peer): silent 0.000ns, 0 of 3 pings missed, rtt unknown, own \
             worst lateness 0ns",
        ),
        (
            never_started,
            "lost (startup_timeout, fault peer_or_path): silent 10.000s, 0 of 3 pings missed, rtt \
             unknown, own worst lateness 0ns",
        ),
        (
            drained,
            "lost (drain_timeout, fault peer_or_path): silent 10.000s, 0 of 3 pings missed, rtt \
             unknown, own worst lateness 0ns",
        ),
        (
            goodbye,
            "closed (goodbye, fault nobody): silent 0.000ns, 0 of 3 pings missed, rtt unknown, \
             own worst lateness 0ns",
        ),
        (
            closed,
            "closed (closed_locally, fault nobody): silent 0.000ns, 0 of 3 pings missed, rtt \
             unknown, own worst lateness 0ns",
        ),
        (
            answered,
            "lost (no_response, fault peer_or_path): silent 4.000s, 3 of 3 pings missed, rtt \
             12.5ms ± 4.7ms, own worst lateness 0ns",
        ),
    ]
}

/// Need 34: every end says why, with numbers, on one line; each reason has its scenario.
#[test]
fn need_34_every_verdict_explains_itself() {
    let mut reasons = Vec::new();
    for (solo, line) in endings() {
        let report = solo.machine.report().expect("an end");
        assert_eq!(report.to_string(), line);
        assert_eq!(report.code(), label(report.reason));
        assert!(report.due_at <= report.observed_at);
        reasons.push(report.code());
    }
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons.len(), 11, "{reasons:?}");
}

/// What metric labels are made of: it never changes.
fn label(reason: Reason) -> &'static str {
    match reason {
        Reason::NoResponse => "no_response",
        Reason::Silence => "silence",
        Reason::WriteStalled => "write_stalled",
        Reason::PingUnanswered => "ping_unanswered",
        Reason::NotProbed => "not_probed",
        Reason::ProbeLoss => "probe_loss",
        Reason::PingAbuse => "ping_abuse",
        Reason::StartupTimeout => "startup_timeout",
        Reason::DrainTimeout => "drain_timeout",
        Reason::ClosedLocally => "closed_locally",
        Reason::Goodbye => "goodbye",
        other => panic!("no end: {other}"),
    }
}

/// Need 34: the numbers in a report are the run's own.
#[test]
fn need_34_a_report_carries_the_evidence() {
    let builder = Config::builder().interval(secs(5)).timeout(secs(20)).jitter_percent(0);
    let mut solo = Solo::new(builder.life_rule(LifeRule::ExactPong).build().expect("valid"));
    solo.answer_to(21 * SEC, 40 * MS);
    let heard = solo.pings().last().expect("a ping") + 40 * MS;
    while let Some(due) = solo.due() {
        let _ = solo.tell_at(due + 3 * MS, Event::Tick);
    }
    let report = solo.machine.report().expect("a verdict");
    assert_eq!(report.last_rtt, Some(ms(40)));
    assert_eq!(report.own_lateness, ms(3));
    assert_eq!(report.observed_at, at(solo.now));
    assert_eq!(report.due_at, at(solo.now - 3 * MS));
    assert_eq!(nanos(report.silence), solo.now - heard);
    assert_eq!(report.rtt.smoothed(), Some(ms(40)));
    assert!(report.observed_at > Timestamp::EPOCH);
}
