//! The machine against an independent model of `docs/SPEC.md`, event by event.

#![allow(
    clippy::many_single_char_names,
    clippy::cast_possible_wrap,
    clippy::items_after_statements,
    clippy::large_types_passed_by_value,
    clippy::match_bool,
    clippy::struct_excessive_bools,
    clippy::unused_self,
    clippy::use_self,
    clippy::std_instead_of_alloc,
    clippy::doc_markdown,
    reason = "naive on purpose: the text's symbols, wide numbers, plain flags"
)]
#![allow(unreachable_pub, dead_code, reason = "modules of a test, one of them shared")]

mod compare;
mod coverage;
mod follow;
mod generate;
mod knobs;
mod model;
mod script;
mod twists;

use compare::Case;
use follow::MachineFollows;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

/// The cases of a run that is asked for nothing else. `PROPTEST_CASES` asks for more, and
/// `REFERENCE_SEED` for others: the default is the same everywhere.
const CASES: u32 = 700;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn runner(cases: u32) -> TestRunner {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number("REFERENCE_SEED").unwrap_or(1).to_le_bytes());
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 3_000,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

/// Unoptimised strategies nest deeply: more stack than a test thread has.
fn with_a_large_stack(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(test);
    if let Err(panic) = thread.expect("a thread starts").join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn the_machine_follows_the_text() {
    with_a_large_stack(follow);
}

fn follow() {
    let mut runner = runner(number("PROPTEST_CASES").map_or(CASES, |cases| cases as u32));
    let config = runner.config().clone();
    let strategy = Case::sequential_strategy(1..100);
    let outcome = runner.run(&strategy, |(case, moves, seen)| {
        MachineFollows::test_sequential(config.clone(), case, moves, seen);
        Ok(())
    });
    if let Err(error) = outcome {
        // The script of the smallest case; what proptest would add says less.
        let text = error.to_string();
        let end = text.find("minimal failing input").unwrap_or(text.len());
        panic!("{}", &text[..end]);
    }
    coverage::assert_complete();
}

/// CF2 and CF3: both accept the same configurations.
#[test]
fn the_builder_accepts_what_the_text_accepts() {
    with_a_large_stack(|| {
        let accepted = core::cell::Cell::new(0);
        runner(CASES)
            .run(&knobs::raw(), |knobs| {
                let expected = model::Rules::of(&knobs).acceptable();
                assert_eq!(expected, knobs.config().is_ok(), "{knobs:?}: {:?}", knobs.config());
                accepted.set(accepted.get() + u32::from(expected));
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{error}"));
        assert!((50..CASES - 50).contains(&accepted.get()), "{} accepted", accepted.get());
    });
}
