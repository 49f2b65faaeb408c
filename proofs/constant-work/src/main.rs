//! One call for `./run`, which counts its instructions (invariant R4).
//!
//! `heartbeat-constant-work PAST CALL`: the call comes after that past. Without arguments, all of them.

#[allow(dead_code, reason = "the benches use the other parts of this")]
#[path = "../../../benches/cycles/mod.rs"]
mod cycles;

use core::hint::black_box;
use std::env;

use heartbeat_proto::{Actions, Event, HeartbeatMachine, Table, Timestamp};

const SECOND: u64 = 1_000_000_000;

/// How many heartbeats lie behind.
const PASTS: [(&str, u32); 3] = [("young", 0), ("old", 1_000), ("ancient", 500_000)];

/// How late the call comes, and what it brings.
const CALLS: [(&str, u64, Event); 5] = [
    ("tick", 0, Event::Tick),
    ("frame", 0, Event::FrameReceived),
    ("late-minute", 60 * SECOND, Event::Tick),
    ("late-year", 365 * 86_400 * SECOND, Event::Tick),
    ("late-century", 36_500 * 86_400 * SECOND, Event::Tick),
];

/// What is counted.
#[inline(never)]
fn counted(machine: &mut HeartbeatMachine, event: Event, now: Timestamp) -> Actions {
    machine.handle(event, now)
}

fn run(heartbeats: u32, late: u64, event: Event) {
    let (mut machine, _) = cycles::machine::<Table>();
    for _ in 0..heartbeats {
        let _ = cycles::machine_cycle(&mut machine);
    }
    let due = machine.next_deadline().expect("live").as_nanos();
    let now = Timestamp::from_nanos(due + late);
    let _ = black_box(counted(black_box(&mut machine), black_box(event), black_box(now)));
}

fn main() {
    let words: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    for (past, heartbeats) in PASTS.into_iter().filter(|(past, _)| wanted(past)) {
        for (call, late, event) in CALLS.into_iter().filter(|(call, ..)| wanted(call)) {
            if words.is_empty() {
                println!("{past} {call}");
            }
            run(heartbeats, late, event);
        }
    }
}
