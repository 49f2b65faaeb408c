//! What an independent reading of the rules found: the machine did otherwise than the text says.

#![allow(clippy::large_types_passed_by_value, reason = "configurations are values here")]

use core::time::Duration;

use heartbeat_proto::{
    Action, Actions, Config, ConfigBuilder, Event, Findings, FirstPing, HeartbeatMachine, Ledger,
    PingId, Reason, Timestamp, Verdict, detector::Deadline,
};

/// Milliseconds.
const MS: u64 = 1_000_000;

fn span(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// I 1 s, W 400 ms, T 2.2 s, slack 50 ms, g 200 ms; the first ping leaves at the start, at 0.
fn base() -> ConfigBuilder {
    Config::builder().interval(span(1000 * MS)).first_ping(FirstPing::Immediate).no_keepalive()
}

fn started<L: Ledger>(config: ConfigBuilder) -> (HeartbeatMachine<Deadline, L>, PingId) {
    let config = config.build().expect("accepted");
    let mut machine = HeartbeatMachine::with_ledger(config, 0, Timestamp::EPOCH);
    let first = machine.handle(Event::Start, Timestamp::EPOCH).next();
    let Some(Action::SendPing { id, .. }) = first else { panic!("no ping: {first:?}") };
    (machine, id)
}

fn call<L: Ledger>(machine: &mut HeartbeatMachine<Deadline, L>, event: Event, at: u64) -> Actions {
    machine.handle(event, Timestamp::from_nanos(at))
}

/// Calls at each wake-up up to `until`.
fn run<L: Ledger>(machine: &mut HeartbeatMachine<Deadline, L>, until: u64) {
    while let Some(wake) = machine.next_deadline().filter(|wake| wake.as_nanos() <= until) {
        let _ = machine.handle(Event::Tick, wake);
    }
}

/// The number `seq` of the connection that `id` belongs to.
fn number(id: PingId, seq: u32) -> PingId {
    PingId::new(id.epoch(), seq)
}

/// E9: evidence on a final Lost is told once as `mistake`, whatever an earlier verdict was.
#[test]
fn a_mistake_is_told_for_each_verdict() {
    let (mut machine, id) = started::<heartbeat_proto::Table>(base().reopen_after(1));
    run(&mut machine, 2_200 * MS + 1);
    let told = call(&mut machine, Event::pong(number(id, 4)), 2_300 * MS).findings();
    assert!(told.contains(Findings::MISTAKE));
    let _ = call(&mut machine, Event::Drain, 2_400 * MS);
    run(&mut machine, 60_000 * MS);
    assert_eq!(machine.report().expect("a verdict").reason, Reason::DrainTimeout);
    let told = call(&mut machine, Event::FrameReceived, 61_000 * MS).findings();
    assert!(told.contains(Findings::MISTAKE), "{told:?}");
}

/// A5: a calm signal doubles the effective interval if that is not at its limit (here 19.6 s).
#[test]
fn a_calm_signal_counts_beyond_the_gap_of_the_peer() {
    let (mut machine, id) = started::<heartbeat_proto::Table>(base().ceiling(span(20_000 * MS)));
    let _ = call(&mut machine, Event::LimitReceived { min_gap: span(3_000 * MS) }, MS);
    let calm = |id| Event::PongReceived { id, stamp: None, hold: Duration::ZERO, calm: true };
    let before = machine.effective_interval();
    for round in 1..5 {
        let at = u64::from(round) * 5_000 * MS;
        let _ = call(&mut machine, calm(number(id, round)), at);
        let _ = call(&mut machine, Event::PingDue, at + MS);
    }
    assert!(machine.effective_interval() > before, "{:?}", machine.effective_interval());
}

/// A4: the first pong after a strike carries the calm signal, and no other.
#[test]
fn one_pong_carries_the_calm_signal() {
    let (mut machine, _) = started::<heartbeat_proto::Table>(
        base().accept_gap(span(500 * MS)).police(1, 3, Verdict::Report),
    );
    let ping = |seq| Event::ping(PingId::new(7, seq));
    let _ = call(&mut machine, ping(1), 10 * MS);
    assert!(call(&mut machine, ping(2), 11 * MS).findings().contains(Findings::PING_STRIKE));
    let _ = machine.reconfigure(base().build().expect("accepted"), Timestamp::from_nanos(12 * MS));
    let mut calm = |seq, at| {
        matches!(
            call(&mut machine, ping(seq), at).next(),
            Some(Action::SendPong { calm: true, .. })
        )
    };
    assert!(calm(3, 20 * MS));
    assert!(!calm(4, 30 * MS));
}
