//! Incidents inside the process: blocking, sharing, initialising.

extern crate alloc;

use alloc::sync::Arc;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Mutex, OnceLock};
use std::thread;

use heartbeat_proto::{
    Action, Config, ConfigError, Event, Findings, HeartbeatMachine, Liveness, Mode, PingId, Reason,
};

use crate::common::{MS, SEC, Solo, at, nanos, secs};
use crate::script::{FixedLimit, Script, play};

/// Lesson: nothing in the heartbeat's path may wait. A pong that leaves after a query leaves when
/// the database pleases. (The other half, a blocked observer, is in `verdicts.rs`.)
#[test]
fn inc_2024_0117_blocking_call_delays_the_answer() {
    // A ping comes every second, the way takes 5 ms; each beat is recorded in a database, which
    // takes 2 ms, and once, at the thirtieth, 12 s.
    let query = |ping: u64| if ping / SEC == 30 { 12 * SEC } else { 2 * MS };
    let judge = || FixedLimit::new(SEC, 5 * SEC);

    // `func onPing() { db.Exec(...); conn.Write(pong) }`, one at a time.
    let free_at = Cell::new(0);
    let records_first = |ping: u64| {
        free_at.set(free_at.get().max(ping + 5 * MS) + query(ping));
        Some(free_at.get() + 5 * MS)
    };
    let script = Script { answer: &records_first, until: 90 * SEC, ..Script::default() };
    let lost_at = play(&script, &mut judge()).lost_at.expect("a verdict");
    assert!((30 * SEC..40 * SEC).contains(&lost_at), "the healthy service is dead: {lost_at}");

    // Ours: the pong is in the answer to the very call that brings the ping (A1), and `handle` has
    // nowhere to wait: no allocation, no lock, no callback. The query is the worker's.
    let service = Cell::new(Some(Solo::alive(Config::messaging_15_45())));
    let answers_first = |ping: u64| {
        let mut solo = service.take().expect("put back below");
        solo.run_to(ping + 5 * MS);
        let id = PingId::new(9, (ping / SEC) as u32);
        let counted = allocation_counter::measure(|| {
            let actions = solo.machine.handle(Event::ping(id), at(solo.now));
            assert!(
                actions.into_iter().any(|action| action == Action::SendPong { id, calm: false })
            );
        });
        assert_eq!(counted.count_total, 0);
        let left = solo.now;
        service.set(Some(solo));
        Some(left + 5 * MS)
    };
    let script = Script { answer: &answers_first, until: 90 * SEC, ..Script::default() };
    assert_eq!(play(&script, &mut judge()).lost_at, None);
}

/// Lesson: health is decided by one owner. A flag and a stamp that two threads write step by step
/// end in states that never were.
#[test]
fn inc_2024_0334_unsynchronised_health_flag() {
    const LIMIT: u64 = 3 * SEC;
    // The last beat was at 1 s. At 4 s and a nanosecond two threads run: one has a beat, the other
    // checks. All orders of their steps:
    const NOW: u64 = SEC + LIMIT + 1;
    const ORDERS: [[u8; 4]; 6] = [*b"bbcc", *b"bcbc", *b"bccb", *b"cbbc", *b"cbcb", *b"ccbb"];

    let mut contradictions = 0;
    for order in ORDERS {
        let (mut healthy, mut last_beat, mut beat_step, mut check_step) = (true, SEC, 0, 0);
        let mut seen = 0;
        for step in order {
            match (step, if step == b'b' { beat_step } else { check_step }) {
                (b'b', 0) => last_beat = NOW,
                (b'b', _) => healthy = true,
                (_, 0) => seen = last_beat,
                _ if NOW - seen > LIMIT => healthy = false,
                _ => {}
            }
            *(if step == b'b' { &mut beat_step } else { &mut check_step }) += 1;
        }
        // Heard this very moment, and dead until the next beat.
        contradictions += u32::from(!healthy && last_beat == NOW);
    }
    assert_eq!(contradictions, 1, "one order of six: check, beat, beat, check");

    // Ours: `handle` takes `&mut self`, so that a call is one step, or it does not compile. Whoever
    // comes first, the verdict agrees with its evidence, and what it cost is told.
    let builder = Config::builder().mode(Mode::Passive).interval(secs(2)).timeout(secs(3));
    let config = builder.build().expect("valid");
    for events in [[Event::FrameReceived, Event::Tick], [Event::Tick, Event::FrameReceived]] {
        let mut solo = Solo::new(config);
        let _ = solo.tell_at(SEC, Event::FrameReceived);
        solo.run_to(NOW - 1);
        for event in events {
            let _ = solo.tell_at(NOW, event);
        }
        let checked_first = events[0] == Event::Tick;
        let report = solo.machine.report().expect("a change");
        assert_eq!(report.liveness, solo.machine.liveness());
        assert_eq!(solo.machine.liveness() == Liveness::Lost, checked_first);
        assert!(nanos(report.silence) > LIMIT || !checked_first, "{report}");
        assert_eq!(solo.found(Findings::MISTAKE), usize::from(checked_first), "told, not hidden");
    }
}

/// INC-2024-0334 with real threads: one owner behind a lock, two that tell it things, one that
/// reads whole snapshots. None of them is torn.
#[test]
fn inc_2024_0334_snapshots_from_other_threads_are_whole() {
    const ROUNDS: u64 = 20_000;
    let builder = Config::builder().mode(Mode::Passive).interval(secs(2)).timeout(secs(3));
    let machine = HeartbeatMachine::new(builder.build().expect("valid"), 1, at(0));
    let shared = Arc::new((Mutex::new(machine), AtomicU64::new(0)));
    let _ = shared.0.lock().expect("sound").handle(Event::Start, at(0));
    let tell = |event| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            for _ in 0..ROUNDS {
                // The stamp is taken outside the lock, so that times arrive out of order as well.
                let now = shared.1.fetch_add(MS, Ordering::Relaxed);
                let _ = shared.0.lock().expect("sound").handle(event, at(now));
            }
        })
    };
    let callers = [tell(Event::FrameReceived), tell(Event::Tick)];
    let mut snapshots = 0_u32;
    while !callers.iter().all(thread::JoinHandle::is_finished) || snapshots == 0 {
        let snapshot = shared.0.lock().expect("sound").clone();
        let report = snapshot.report().expect("started");
        assert_eq!(report.liveness, snapshot.liveness());
        if report.liveness == Liveness::Lost {
            assert_eq!(report.reason, Reason::Silence);
            assert!(report.silence > secs(3), "{report}");
        }
        snapshots += 1;
    }
    for caller in callers {
        caller.join().expect("no panic");
    }
    let owner = shared.0.lock().expect("sound");
    assert_eq!(owner.stats().frames_received, ROUNDS, "and nothing was lost");
}

/// Lesson: a failure at the start is an answer, not a state. What failed can be tried again.
#[test]
fn inc_2022_418_and_2023_093_failed_initialisation_remembered_for_ever() {
    // What the settings say at each try: not loaded yet, half loaded, loaded. And the first
    // connection after that fails as well, the second succeeds.
    let settings = [(0, 0), (30, 10), (5, 20)];
    let build = |(interval, timeout): (u64, u64)| {
        let [interval, timeout] = [interval, timeout].map(Duration::from_secs);
        Config::builder().interval(interval).timeout(timeout).build()
    };

    // `var once sync.Once`, with the error kept beside it.
    let once: OnceLock<Result<Config, ConfigError>> = OnceLock::new();
    let tries = settings.map(|setting| once.get_or_init(|| build(setting)).is_ok());
    assert_eq!(tries, [false; 3], "the first error for ever");

    let tries = settings.map(build);
    assert_eq!(tries.map(|built| built.is_ok()), [false, false, true]);
    let Ok(config) = tries[2] else { panic!("{tries:?}") };
    let mut first = Solo::idle(config, 1);
    first.run_out();
    assert_eq!(first.verdict().map(|(_, reason)| reason), Some(Reason::StartupTimeout));
    let mut second = Solo::of(first.machine.reconnected(at(first.now)));
    second.skip_to(first.now);
    second.answer_to(first.now + 60 * SEC, 20 * MS);
    assert_eq!(second.machine.liveness(), Liveness::Alive);
}
