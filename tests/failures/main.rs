//! Real failures on real sockets, for each adapter: what must be found is found within the promised
//! bound, and what lives is left alone.
//!
//! `cargo test --all-features --test failures [NAME]`; `-- --include-ignored` adds the long
//! one. Prints a table of the figures at the end, and with `UPDATE_DOCS=1` puts it into
//! `docs/TESTING.md`. What needs root (hosts of their own, in namespaces) says SKIP without.
//!
//! Bounds are the promise ([`worst_case_detection`](heartbeat_proto::Config)) and what was measured
//! of this machine's own lateness: see `measure.rs`.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]
#![allow(clippy::large_types_passed_by_value, reason = "configurations are values; no speed here")]

#[path = "../common/document.rs"]
mod document;
#[path = "../common/relay.rs"]
mod relay;

mod child;
mod hosts;
mod measure;
mod scenario;
mod stage;
mod subject;
mod table;

use libtest_mimic::{Arguments, Conclusion, Trial};

/// Trials mostly wait; more of them at once than processors do not disturb each other.
const AT_ONCE: usize = 12;

fn main() {
    if child::is_one() {
        return child::run();
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    measure::start();
    let mut trials = Vec::new();
    for &scenario in scenario::ALL {
        for subject in subject::ALL.iter().filter(|subject| (scenario.fits)(subject)) {
            let name = format!("{}::{}", scenario.name, subject.name.replace(' ', "_"));
            let trial = Trial::test(name, move || table::play(scenario, subject));
            trials.push(trial.with_ignored_flag(scenario.long));
        }
    }
    let listing = arguments.list;
    let conclusion: Conclusion = libtest_mimic::run(&arguments, trials);
    if !listing {
        table::print();
    }
    conclusion.exit();
}
