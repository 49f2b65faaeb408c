//! What has ended stays quiet: no wake-up in the past, nothing sent.

use core::time::Duration;

use heartbeat_proto::{Action, Config, Event, Findings, HeartbeatMachine, Liveness, Timestamp};

fn builder() -> heartbeat_proto::ConfigBuilder {
    Config::builder().interval(Duration::from_secs(5)).timeout(Duration::from_secs(20))
}

/// P13, J12: a drained connection that was lost does not come back, and must not wake its driver
/// for ever (its wake-up once lay in the past, and nothing moved it).
#[test]
fn a_drained_and_lost_connection_asks_for_no_wake_up() {
    let config = builder().reopen_after(2).build().unwrap();
    let mut machine = HeartbeatMachine::new(config, 7, Timestamp::EPOCH);
    let _ = machine.handle(Event::Start, Timestamp::EPOCH);
    let _ = machine.handle(Event::Drain, Timestamp::EPOCH);
    let limit = machine.next_deadline().unwrap();
    let _ = machine.handle(Event::Tick, limit);
    assert_eq!(machine.liveness(), Liveness::Lost);
    assert_eq!(machine.next_deadline(), None);
}

/// T6: at the end of the clock, another configuration sends nothing and asks for no wake-up.
#[test]
fn after_the_end_of_the_clock_a_reconfiguration_sends_nothing() {
    let start = Timestamp::from_nanos(u64::MAX / 2);
    let mut machine = HeartbeatMachine::new(builder().build().unwrap(), 7, start);
    let _ = machine.handle(Event::Start, start);
    let actions = machine.reconfigure(builder().attempts(5).build().unwrap(), Timestamp::MAX);
    let sent = actions.filter(|action| matches!(action, Action::SendPing { .. })).count();
    assert_eq!(sent, 0);
    assert_eq!(machine.next_deadline(), None);
}

/// T6: whatever is begun after the end of the clock says so with its first event, and no sum of a
/// stamp and a span overflows.
#[test]
fn what_begins_after_the_end_of_the_clock_tells_so_and_rests() {
    let config = builder().build().unwrap();
    let first = HeartbeatMachine::new(config, 7, Timestamp::MAX);
    for mut machine in [first.reconnected(Timestamp::MAX), first] {
        let actions = machine.handle(Event::Start, Timestamp::MAX);
        assert_eq!(actions.findings(), Findings::CLOCK_EXHAUSTED);
        assert_eq!(machine.next_deadline(), None);
    }
}

/// L1: what never started is not reopened: it is lost for good, and nobody pings it.
#[test]
fn a_connection_that_never_started_is_not_reopened() {
    let config = Config::builder().reopen_after(1).build().expect("valid");
    let mut machine = HeartbeatMachine::new(config, 1, Timestamp::EPOCH);
    let limit = machine.next_deadline().expect("the start-up limit");
    let _ = machine.handle(Event::Tick, limit);
    assert_eq!(machine.liveness(), Liveness::Lost);
    assert_eq!(machine.next_deadline(), None);
    let _ = machine.handle(Event::FrameReceived, limit);
    assert_eq!(machine.liveness(), Liveness::Lost);
}
