//! Logs: golden text, round trips, hostile text, replays.

use core::time::Duration;

use heartbeat_proto::sim::{Entry, Log, LogProblem, World, fingerprint};
use heartbeat_proto::{Config, Echo, Event, HeartbeatMachine, PingId, Table, Timestamp};

/// Every event, with and without what may be left out, at the ends of its range.
fn every_event() -> Vec<Event> {
    let (id, last) = (PingId::new(0x5eed_0001, 7), PingId::new(u32::MAX, u32::MAX));
    let (stamp, longest) = (Some(Timestamp::MAX), Duration::MAX);
    let short = Duration::from_nanos(1);
    vec![
        Event::Tick,
        Event::Start,
        Event::PingDue,
        Event::ping(id),
        Event::PingReceived { id: last, stamp },
        Event::pong(id),
        Event::PongReceived { id: last, stamp, hold: longest, calm: true },
        Event::PongReceived { id, stamp: None, hold: short, calm: false },
        Event::PongReceived { id, stamp: Some(Timestamp::EPOCH), hold: Duration::ZERO, calm: true },
        Event::AnonymousPongReceived,
        Event::BeaconReceived { stamp: None, period: short },
        Event::BeaconReceived { stamp, period: longest },
        Event::FrameReceived,
        Event::BytesReceived,
        Event::LimitReceived { min_gap: longest },
        Event::GoodbyeReceived,
        Event::PingSent { id },
        Event::PongSent,
        Event::TxProgress,
        Event::TxBlocked,
        Event::Drain,
        Event::Close,
        Event::Suspend,
        Event::Resume { slept: longest },
        Event::Hold { probe: false },
        Event::Hold { probe: true },
    ]
}

fn log_of_everything() -> Log {
    let made = Timestamp::from_nanos(5_000_000_000);
    let mut log = Log::new(&Config::lan(), 42, made);
    for (index, event) in every_event().into_iter().enumerate() {
        log.push(made.saturating_add(Duration::from_millis(index as u64)), event);
    }
    log.push_entry(Timestamp::MAX, Entry::Reconnected);
    log.push_entry(Timestamp::EPOCH, Entry::Fresh { seed: u64::MAX });
    log
}

/// The format stays readable: what was once written is read for ever.
#[test]
fn the_text_of_a_log_is_the_golden_one_and_nothing_is_lost() {
    let log = log_of_everything();
    let golden = include_str!("../data/every_event.heartbeat-log");
    assert_eq!(log.to_string(), golden);
    assert_eq!(golden.parse::<Log>(), Ok(log));
}

#[test]
fn lines_that_say_nothing_change_nothing() {
    let log = log_of_everything();
    let airy: String = log.to_string().lines().fold(String::from("# a log\n\n"), |text, line| {
        text + "  " + line + " \t\r\n# and then\n\n"
    });
    assert_eq!(airy.parse(), Ok(log));
}

#[test]
fn what_is_no_log_says_where_and_why() {
    let header = "heartbeat-log 1\nconfig 00000000000000ff\nmachine 0 seed 1\n";
    for (text, line, problem) in [
        ("", 1, LogProblem::Version),
        ("heartbeat-log 2\n", 1, LogProblem::Version),
        ("heartbeat-log 1 x\n", 1, LogProblem::Version),
        ("heartbeat-log 1\n", 2, LogProblem::Config),
        ("heartbeat-log 1\n\n# so\nconfig ff\n", 4, LogProblem::Config),
        ("heartbeat-log 1\nconfig +0000000000000ff\n", 2, LogProblem::Config),
        ("heartbeat-log 1\nconfig 00000000000000ff\nmachine 0\n", 3, LogProblem::Machine),
    ] {
        let error = text.parse::<Log>().expect_err(text);
        assert_eq!((error.line, error.problem), (line, problem), "{text}");
    }
    for (event, problem) in [
        ("x tick", LogProblem::Stamp),
        ("-1 tick", LogProblem::Stamp),
        ("18446744073709551616 tick", LogProblem::Stamp),
        ("1", LogProblem::UnknownEvent),
        ("1 tock", LogProblem::UnknownEvent),
        ("1 tick tick", LogProblem::Excess),
        ("1 ping_received", LogProblem::Argument),
        ("1 ping_received 5eed0001", LogProblem::Argument),
        ("1 ping_received 5eed001#1", LogProblem::Argument),
        ("1 ping_received 5eed0001#4294967296", LogProblem::Argument),
        ("1 ping_received 5eed0001#1 stamp", LogProblem::Argument),
        ("1 ping_received 5eed0001#1 calm", LogProblem::Excess),
        ("1 pong_received 5eed0001#1 calm stamp 1", LogProblem::Excess),
        ("1 beacon_received", LogProblem::Argument),
        ("1 resume +1", LogProblem::Argument),
        ("1 resume 18446744073709551616000000000", LogProblem::Argument),
        ("1 fresh", LogProblem::Argument),
    ] {
        let text = format!("{header}1 tick\n{event}\n");
        let error = text.parse::<Log>().expect_err(event);
        assert_eq!((error.line, error.problem), (5, problem), "{event}");
        assert!(error.to_string().starts_with("line 5: "));
    }
}

/// Bytes changed, lost and doubled at random: an error or another log, never a panic; and what is
/// read can be written.
#[test]
fn hostile_text_is_a_log_or_an_error() {
    let golden = log_of_everything().to_string().into_bytes();
    let mut state = 1_u64;
    let mut draw = |limit: usize| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 33) as usize % limit
    };
    let mut logs = 0;
    for _ in 0..20_000 {
        let mut text = golden.clone();
        for _ in 0..=draw(3) {
            let at = draw(text.len());
            match draw(4) {
                0 => text[at] = b' ',
                1 => text.insert(at, text[draw(text.len())]),
                2 => text.truncate(at + 1),
                _ => text[at] = draw(256) as u8,
            }
        }
        let text = String::from_utf8_lossy(&text);
        if let Ok(log) = text.parse::<Log>() {
            logs += 1;
            assert_eq!(log.to_string().parse(), Ok(log));
        }
    }
    assert!(logs > 500, "{logs}");
}

#[test]
fn another_configuration_is_refused() {
    let log = log_of_everything();
    let refused = log.replay::<_, Table>(Config::wan(), |_| {}).expect_err("another configuration");
    assert_eq!(refused.expected, fingerprint(&Config::lan()));
    assert_eq!(refused.found, fingerprint(&Config::wan()));
    assert!(log.check::<Table>(Config::wan()).is_err());
}

/// What a driver noted replays bit for bit, through the text, with either ledger.
#[test]
fn a_recorded_run_replays_bit_for_bit() {
    let config = Config::lan();
    let (seed, mut now) = (7, Timestamp::from_nanos(1_000));
    let mut machine = HeartbeatMachine::<_, Echo>::with_ledger(config, seed, now);
    let mut log = Log::new(&config, seed, now);
    let mut said = Vec::new();
    for (index, event) in every_event().into_iter().cycle().take(500).enumerate() {
        let ends =
            matches!(event, Event::Close | Event::Drain | Event::GoodbyeReceived | Event::Suspend);
        if !ends {
            now = now.saturating_add(Duration::from_millis(index as u64 * 17 % 700));
            log.push(now, event);
            said.push(machine.handle(event, now));
        }
    }
    let read: Log = log.to_string().parse().expect("a log");
    let mut replayed = Vec::new();
    let twin = read.replay::<_, Echo>(config, |step| replayed.push(step.actions));
    assert_eq!(twin.expect("the same configuration"), machine);
    assert_eq!(replayed, said);
    assert_eq!(read.digest::<_, Echo>(config), log.digest::<_, Echo>(config));
    assert_eq!(read.check::<Echo>(config), Ok(None));
}

/// The same digest of the same log on every platform.
#[test]
fn the_golden_log_replays_to_the_golden_digest() {
    let digest = log_of_everything().digest::<_, Table>(Config::lan()).expect("its configuration");
    assert_eq!(digest.to_string(), "fcf705e270530b1d");
}

/// Every call of a world can be had as a note, and the notes of an end as a log.
#[test]
fn a_world_tells_what_it_did() {
    let mut world = World::pair(Config::lan(), Config::lan(), 3);
    world.take_notes();
    world.run_for(Duration::from_secs(10)).expect("nothing is wrong");
    assert!(world.notes().len() > 20);
    let text = world.notes()[0].to_string();
    assert!(text.contains(" end ") && text.contains("next "), "{text}");
}
