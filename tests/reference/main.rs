//! The machine against an independent model of `docs/SPEC.md`, event by event.

#![allow(unreachable_pub, dead_code, reason = "modules of a test, one of them shared")]

mod compare;
mod generate;
mod knobs;
mod model;
mod script;
#[cfg(test)]
mod triage;

use compare::{Case, MachineFollows};
use proptest::test_runner::{Config as Cases, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

fn cases(default: u32) -> Cases {
    let given = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    Cases {
        cases: given.unwrap_or(default),
        failure_persistence: None,
        max_shrink_iters: 3_000,
        max_shrink_time: 20_000,
        ..Cases::default()
    }
}

#[test]
fn machine_follows_the_text() {
    let config = cases(2000);
    let mut runner = TestRunner::new(config.clone());
    let strategy = Case::sequential_strategy(1..100);
    let outcome = runner.run(&strategy, |(case, moves, seen)| {
        MachineFollows::test_sequential(config.clone(), case, moves, seen);
        Ok(())
    });
    if let Err(error) = outcome {
        let text = error.to_string();
        let end = text.find("minimal failing input").unwrap_or(text.len());
        panic!("{}", &text[..end]);
    }
}
