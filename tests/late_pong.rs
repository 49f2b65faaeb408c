//! A pong that comes with the very call that would have ended its window.

use core::time::Duration;

use heartbeat_proto::{
    Action, Config, Event, Findings, HeartbeatMachine, Liveness, Timestamp, Verdict,
};

/// A started machine, its first ping, and the first moment after that ping's window.
fn pinged(verdict: Verdict) -> (HeartbeatMachine, Event, Timestamp) {
    let config = Config::builder()
        .interval(Duration::from_secs(5))
        .timeout(Duration::from_secs(20))
        .jitter_percent(0) // nothing is due before the window ends
        .probe_loss(1, 4, verdict)
        .build()
        .unwrap();
    let mut machine = HeartbeatMachine::new(config, 7, Timestamp::EPOCH);
    let _ = machine.handle(Event::Start, Timestamp::EPOCH);
    let due = machine.next_deadline().unwrap();
    let Some(Action::SendPing { id, .. }) = machine.handle(Event::Tick, due).next() else {
        panic!("a ping is due");
    };
    let end = due.saturating_add(config.response_window() + Duration::from_nanos(1));
    (machine, Event::pong(id), end)
}

/// J9, J3: it was not answered in its window, so it is told and is a bad sign, tick or no tick.
#[test]
fn a_pong_after_its_window_is_a_lost_probe_even_if_nobody_looked_before() {
    let (mut machine, pong, end) = pinged(Verdict::Report);
    let actions = machine.handle(pong, end);
    assert!(actions.findings().contains(Findings::PROBE_LOSS), "{actions:?}");
    assert_eq!(machine.liveness(), Liveness::Suspect);
}

/// J3: it is a bad sign also where it is not told.
#[test]
fn a_lost_probe_is_a_bad_sign_under_every_policy() {
    let (mut machine, pong, end) = pinged(Verdict::Ignore);
    let actions = machine.handle(pong, end);
    assert!(!actions.findings().contains(Findings::PROBE_LOSS), "{actions:?}");
    assert_eq!(machine.liveness(), Liveness::Suspect);
}

/// J9: under Convict it is the verdict, whose evidence then is void.
#[test]
fn a_lost_probe_convicts_where_it_shall() {
    let (mut machine, pong, end) = pinged(Verdict::Convict);
    let _ = machine.handle(pong, end);
    assert_eq!(machine.liveness(), Liveness::Lost);
    assert_eq!(machine.report().unwrap().code(), "probe_loss");
    assert_eq!(machine.next_deadline(), None);
}
