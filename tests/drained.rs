//! A drain is an end on purpose: where a lost peer may come back, a drained one may not (rule L3).

use core::time::Duration;

use heartbeat_proto::{Action, Config, Event, HeartbeatMachine, Liveness, PingId, Timestamp};

/// A datagram machine that was drained in vain, and the time of that verdict.
fn drained() -> (HeartbeatMachine, Timestamp) {
    let config = Config::builder()
        .interval(Duration::from_secs(1))
        .timeout(Duration::from_secs(4))
        .drain_limit(Duration::from_secs(2))
        .reopen_after(1)
        .build()
        .expect("valid");
    let now = Timestamp::EPOCH;
    let mut machine = HeartbeatMachine::new(config, 1, now);
    let _ = machine.handle(Event::Start, now);
    let _ = machine.handle(Event::Drain, now);
    let end = machine.next_deadline().expect("the hard limit");
    let _ = machine.handle(Event::Tick, end);
    assert_eq!(machine.report().map(|report| report.code()), Some("drain_timeout"));
    (machine, end)
}

#[test]
fn l3_a_drained_peer_needs_no_wake_up() {
    let (machine, end) = drained();
    // It asked for one in the past, for ever: a busy loop.
    assert_eq!(machine.next_deadline(), None, "verdict at {end}");
}

#[test]
fn l3_a_drained_peer_does_not_come_back() {
    let (mut machine, end) = drained();
    let ping = Event::ping(PingId::new(3, 3));
    for event in [ping, Event::FrameReceived, Event::PingDue, Event::pong(PingId::new(3, 1))] {
        let mut actions = machine.handle(event, end);
        assert!(!actions.any(|action| !matches!(action, Action::Report(_))), "{event:?}");
        assert_eq!(machine.liveness(), Liveness::Lost, "{event:?}");
        assert_eq!(machine.next_deadline(), None, "{event:?}");
    }
}
