//! What went wrong once at the turns of a connection's life: its end, its return, the next one,
//! another configuration, and the end of the clock.

use crate::common::{MS, RESUME, SEC, Solo, at, secs};
use heartbeat_proto::{
    Action, Config, ConfigBuilder, Event, Findings, HeartbeatMachine, Liveness, MAX_SPAN, Mode,
    PeerState, PingId, PingSchedule, Reason, Timestamp,
};

fn short() -> ConfigBuilder {
    Config::builder().interval(secs(1)).timeout(secs(4))
}

// ----- What has ended stays quiet -----

/// A connection where lost peers may come back, drained in vain: never heard, heard before, and
/// with a driver that looks up long after the limit.
fn drained() -> [Solo; 3] {
    let config = short().drain_limit(secs(2)).reopen_after(2).build().expect("valid");
    let drained = |mut solo: Solo, lateness| {
        let _ = solo.tell(Event::Drain);
        let limit = solo.due().expect("the hard limit");
        assert_eq!(limit, 2 * SEC + 1);
        let _ = solo.tell_at(limit + lateness, Event::Tick);
        assert_eq!(solo.verdict(), Some((solo.now, Reason::DrainTimeout)));
        solo
    };
    [
        drained(Solo::new(config), 0),
        drained(Solo::alive(config), 0),
        drained(Solo::alive(config), 9 * SEC),
    ]
}

/// LC3, P13, J12: its wake-up lay in the past for ever, and nothing moved it: a busy loop.
#[test]
fn a_drained_and_lost_connection_asks_for_no_wake_up() {
    for solo in drained() {
        assert_eq!(solo.machine.liveness(), Liveness::Lost);
        assert_eq!(solo.due(), None);
    }
}

/// LC3: a drain is an end on purpose: where a lost peer may come back, a drained one may not.
#[test]
fn a_drained_and_lost_connection_does_not_come_back() {
    let ping = Event::ping(PingId::new(3, 3));
    for mut solo in drained() {
        for event in [ping, Event::FrameReceived, Event::PingDue, Event::pong(PingId::new(3, 1))] {
            let actions = solo.tell(event);
            let quiet = actions.iter().all(|action| matches!(action, Action::Report(_)));
            assert!(quiet, "{event:?}: {actions:?}");
            assert_eq!(solo.machine.liveness(), Liveness::Lost, "{event:?}");
            assert_eq!(solo.due(), None, "{event:?}");
        }
    }
}

/// LC4: where a lost peer may come back, Lost is not final; `Close` was ignored, and pings went on.
#[test]
fn closing_ends_a_lost_connection_that_might_reopen() {
    let mut solo = Solo::new(short().reopen_after(1).build().expect("valid"));
    let lost = solo.lost_by(100 * SEC).expect("a verdict");
    let _ = solo.tell_at(lost + 1, Event::Close);
    assert_eq!(solo.machine.liveness(), Liveness::Closed);
    assert_eq!(solo.due(), None);
}

// ----- Coming back -----

/// LC7: pings to a lost peer may be further apart than the timeout. The plan of the peer that came
/// back kept that gap, so it was lost again before the next ping.
#[test]
fn a_peer_that_came_back_stays_where_pings_to_lost_peers_are_rarer_than_the_timeout() {
    for replies in [1, 2] {
        let builder = short().down_interval(secs(10)).reopen_after(replies);
        let builder = builder.jitter_percent(0).no_keepalive();
        let mut solo = Solo::new(builder.build().expect("valid"));
        let lost = solo.lost_by(100 * SEC).expect("a verdict");
        solo.answer_to(lost + 200 * SEC, MS);
        assert_eq!(solo.machine.liveness(), Liveness::Alive, "{replies}");
        assert_eq!(solo.machine.stats().losses, 1, "{replies}: {:?}", solo.changes());
    }
}

/// P10, P13: a caller that let one request go by got no other while the peer was lost, and no
/// wake-up either.
#[test]
fn probes_of_a_lost_peer_are_requested_again_and_again() {
    let builder = short().schedule(PingSchedule::External).reopen_after(1).no_keepalive();
    let mut solo = Solo::new(builder.build().expect("valid"));
    let lost = solo.lost_by(100 * SEC).expect("a verdict");
    let before = solo.log.len();
    solo.run_to(lost + 20 * SEC);
    let asked = solo.log[before..].iter().filter(|(_, action)| *action == Action::RequestProbe);
    let asked = asked.count();
    assert!(asked > 1, "{asked} requests, then {:?}", solo.due());
}

/// LC8: the first evidence makes the next connection's machine Alive; after lost pings it counted
/// up to `reopen_after`, as if it had been lost.
#[test]
fn the_first_pong_makes_the_next_connection_alive_whatever_reopening_takes() {
    let config = short().reopen_after(3).no_keepalive().build().expect("valid");
    let mut solo = Solo::of(Solo::new(config).machine.reconnected(at(SEC)));
    solo.skip_to(SEC);
    let mut last = solo.next_ping();
    for _ in 0..2 {
        last = solo.next_ping();
    }
    let _ = solo.tell_at(solo.now + 1, Event::pong(last));
    assert_eq!(solo.machine.liveness(), Liveness::Alive);
}

// ----- Another configuration -----

/// LC9: while suspended, the resume does the rest; reconfiguring ended the suspension.
#[test]
fn a_reconfiguration_does_not_end_a_suspension() {
    let config = short().mode(Mode::Responder).build().expect("valid");
    let mut solo = Solo::alive(config);
    let _ = solo.tell_at(SEC, Event::Suspend);
    solo.skip_to(100 * SEC);
    let _ = solo.machine.reconfigure(config, at(solo.now));
    assert_eq!(solo.due(), None, "suspended");
    let _ = solo.tell(RESUME);
    assert!(solo.due() > Some(solo.now));
}

/// LC9: where no pings are sent, nothing waits for one; a grant that still waited for its ping kept
/// a silent peer for ever.
#[test]
fn a_responder_does_not_wait_for_the_ping_it_was_granted_as_a_prober() {
    let builder = Config::builder().interval(secs(10)).timeout(secs(40));
    let prober = builder.min_gap(secs(8)).suspect_interval(secs(10)).jitter_percent(0);
    let mut solo = Solo::alive(prober.no_keepalive().build().expect("valid"));
    let _ = solo.next_ping();
    let slept = core::time::Duration::from_nanos(1);
    let _ = solo.tell_at(solo.now + 1, Event::Resume { slept }); // granted, but inside the gap
    solo.skip_to(solo.now + 1);
    let responder = builder.mode(Mode::Responder).build().expect("valid");
    let _ = solo.machine.reconfigure(responder, at(solo.now));
    assert!(solo.lost_by(1_000 * SEC).is_some(), "due at {:?}", solo.due());
}

/// LC9: what was granted is forgotten. The window that ran alone where no pings were sent lasted into
/// the external schedule, and met a request (P10): a panic, where such things are asserted.
#[test]
fn a_window_granted_to_a_listener_ends_when_it_is_to_probe() {
    let listener = short().mode(Mode::Passive).build().expect("valid");
    let prober = short().mode(Mode::Initiator).schedule(PingSchedule::External);
    let prober = prober.no_keepalive().build().expect("valid");
    let mut solo = Solo::alive(listener);
    let _ = solo.tell_at(3 * SEC, RESUME);
    let actions: Vec<_> = solo.machine.reconfigure(prober, at(solo.now)).collect();
    assert!(actions.contains(&Action::RequestProbe), "the slot has long passed: {actions:?}");
}

// ----- The end of the clock -----

/// T6: at the end of the clock, another configuration sends nothing and asks for no wake-up; its
/// sums once overflowed.
#[test]
fn after_the_end_of_the_clock_a_reconfiguration_sends_nothing() {
    let builder = Config::builder().interval(secs(5)).timeout(secs(20));
    let another = builder.attempts(5).build().expect("valid");
    for (first, second) in
        [(builder.build().expect("valid"), another), (Config::lan(), Config::wan())]
    {
        for start in [0, u64::MAX / 2].map(Timestamp::from_nanos) {
            let mut machine = HeartbeatMachine::new(first, 7, start);
            let _ = machine.handle(Event::Start, start);
            let actions = machine.reconfigure(second, Timestamp::MAX);
            assert_eq!(actions.findings(), Findings::CLOCK_EXHAUSTED);
            assert!(actions.clone().all(|action| matches!(action, Action::Report(_))));
            assert_eq!(machine.next_deadline(), None);
        }
    }
}

/// T6: whatever is begun after the end of the clock says so with its first event, and no sum of a
/// stamp and a span overflows, as they did.
#[test]
fn what_begins_after_the_end_of_the_clock_tells_so_and_rests() {
    let config = Config::builder().interval(secs(5)).timeout(secs(20)).build().expect("valid");
    for config in [config, Config::lan()] {
        let first = HeartbeatMachine::new(config, 7, Timestamp::MAX);
        let _ = first.next_deadline(); // asked before any event
        let mut old = HeartbeatMachine::new(config, 7, Timestamp::EPOCH);
        let _ = old.handle(Event::Start, Timestamp::EPOCH);
        let _ = old.handle(Event::Tick, Timestamp::MAX);
        let next = [first.reconnected(Timestamp::MAX), old.reconnected(Timestamp::MAX)];
        for mut machine in next.into_iter().chain([first]) {
            let actions = machine.handle(Event::Start, Timestamp::MAX);
            assert_eq!(actions.findings(), Findings::CLOCK_EXHAUSTED);
            assert_eq!(machine.next_deadline(), None);
        }
    }
}

/// LC6, T6: each of many resumes moved a drain limit by a whole `MAX_SPAN`, up to an overflow.
#[test]
fn resumes_at_the_end_of_the_clock_do_not_overflow_the_drain_limit() {
    let end = Timestamp::from_nanos(u64::MAX - 4 * 24 * 3_600 * SEC);
    let mut machine = HeartbeatMachine::new(Config::lan(), 7, end);
    let _ = machine.handle(Event::Start, end);
    let _ = machine.handle(Event::Drain, end);
    for _ in 0..5 {
        let _ = machine.handle(Event::Resume { slept: MAX_SPAN }, end);
        assert!(machine.next_deadline() > Some(end), "{:?}", machine.next_deadline());
    }
}

/// LC1: what never started was once pinged after its start-up limit, under `reopen_after`.
#[test]
fn a_connection_that_never_started_is_not_reopened() {
    let config = Config::builder().reopen_after(1).build().expect("valid");
    let mut machine = HeartbeatMachine::new(config, 1, Timestamp::EPOCH);
    let limit = machine.next_deadline().expect("the start-up limit");
    let _ = machine.handle(Event::Tick, limit);
    let _ = machine.handle(Event::FrameReceived, limit);
    assert_eq!(machine.liveness(), Liveness::Lost);
    assert_eq!(machine.next_deadline(), None);
}

/// M2: the bare rules, resumed or told of a write by a clock that had run back, overflowed: a panic
/// with checks, and without them a credit of 24 hours, in which no dead peer was found.
#[test]
fn a_clock_that_runs_back_does_not_overflow_the_bare_rules() {
    let config = short().write_reports(true).build().expect("valid");
    let mut peer: PeerState = PeerState::new(7, at(0));
    let _ = peer.handle(&config, Event::Start, at(0));
    let _ = peer.handle(&config, Event::FrameReceived, at(0));
    let _ = peer.handle(&config, Event::PingDue, at(SEC));
    let _ = peer.handle(&config, Event::PingSent { id: PingId::new(peer.epoch(), 1) }, at(0));
    let _ = peer.handle(&config, Event::Suspend, at(2 * SEC));
    let _ = peer.handle(&config, RESUME, at(SEC));
    while let Some((due, _)) = peer.next_deadline(&config) {
        assert!(due < at(20 * SEC), "still waiting");
        let _ = peer.handle(&config, Event::Tick, due);
    }
    assert_eq!(peer.liveness(), Liveness::Lost);
}
