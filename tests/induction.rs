//! The tie between the proofs and the machine. `proofs/induction.py` proves lemmas about a
//! transcription of the timing rules, `proofs/machine.py`; `proofs/vectors.py` runs the very same
//! lines on plain integers and writes down what comes of each call. Here the shipped machine lives
//! through the same runs, and must do the same: liveness, ping, and the wake-up to the nanosecond.
//!
//! States are reached by events alone, so that nothing but the public interface is compared. The
//! runs crowd about the wake-ups (a nanosecond before, at and after them) and at the end of the
//! clock. A formula that differs on either side shows within a few calls.

use core::time::Duration;

use heartbeat_proto::{
    Action, Config, Event, HeartbeatMachine, LatePolicy, Liveness, PingId, Timestamp,
};

const RUNS: &str = include_str!("data/induction.txt");

fn ns(word: &str) -> Duration {
    Duration::from_nanos(number(word))
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("{word} is no number"))
}

fn small(word: &str) -> u8 {
    word.parse().unwrap_or_else(|_| panic!("{word} is no small number"))
}

/// `run seed start I T N C slack policy forgive grace jitter verify_every`.
fn begin(line: &[&str]) -> HeartbeatMachine {
    let late = match line[8] {
        "0" => LatePolicy::Strict,
        "1" => LatePolicy::Forgive(ns(line[9])),
        _ => LatePolicy::Reprobe,
    };
    let builder = Config::builder()
        .interval(ns(line[3]))
        .timeout(ns(line[4]))
        .attempts(small(line[5]))
        .ceiling(ns(line[6]))
        .late_policy(late)
        .startup_grace(ns(line[10]))
        .jitter_percent(small(line[11]))
        .verify_every(small(line[12]))
        .no_keepalive();
    let config = builder.build().expect("a valid configuration");
    assert!(config.slack() == ns(line[7]), "slack by default: {line:?}");
    let start = Timestamp::from_nanos(number(line[2]));
    let mut machine = HeartbeatMachine::new(config, number(line[1]), start);
    let _ = machine.handle(Event::Start, start);
    machine
}

fn event(line: &[&str], newest: Option<PingId>) -> Event {
    match line[0] {
        "tick" => Event::Tick,
        // Not even evidence: only the call itself counts.
        "other" => Event::TxProgress,
        "pong" => Event::pong(newest.expect("a ping before")),
        "frame" => Event::FrameReceived,
        "due" => Event::PingDue,
        "suspend" => Event::Suspend,
        "resume" => Event::Resume { slept: ns(line[2]) },
        "hold" => Event::Hold { probe: false },
        "probe" => Event::Hold { probe: true },
        other => panic!("{other} is no event"),
    }
}

#[test]
fn the_machine_does_what_the_transcription_says() {
    let mut machine = None;
    let mut newest = None;
    let mut calls = 0;
    for (index, line) in RUNS.lines().enumerate() {
        let words: Vec<_> = line.split(' ').collect();
        match words[0] {
            "#" => continue,
            "run" => {
                machine = Some(begin(&words));
                newest = None;
                continue;
            }
            _ => {}
        }
        let machine = machine.as_mut().expect("a run");
        let now = Timestamp::from_nanos(number(words[1]));
        let mut pinged = "-";
        for action in machine.handle(event(&words, newest), now) {
            if let Action::SendPing { id, .. } = action {
                (pinged, newest) = ("ping", Some(id));
            }
        }
        let due = machine.next_deadline();
        let due = due.map_or("-".into(), |due| due.as_nanos().to_string());
        let found = [machine.liveness().code(), pinged, &due];
        assert_eq!(found, words[3..], "line {} of induction.txt: {line}", index + 1);
        calls += 1;
        assert!(machine.liveness() != Liveness::Idle);
    }
    assert!(calls > 1_000, "only {calls} calls");
}
