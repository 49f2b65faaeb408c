//! The detectors on the recorded traces, against an independent implementation:
//! `tests/data/oracle/golden.csv` is what `fd_eval.py` (numpy) makes of every eighth parameter of
//! each of them. How far both may differ, and why, is said at [`tolerance`].
#![cfg(feature = "replay")]
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]
#![expect(clippy::cast_precision_loss, reason = "mistakes are counted in thousands")]

use core::sync::atomic::{AtomicUsize, Ordering};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use heartbeat_proto::replay::{Contender, Field, Outcome, Reader, contenders};

/// One row of the golden table; spans in nanoseconds.
struct Golden {
    trace: String,
    detector: String,
    parameter: String,
    mistakes: u64,
    mean: f64,
    p99: f64,
    worst: f64,
    inaccuracy: f64,
}

impl Golden {
    fn parse(row: &str) -> Self {
        // Names may have a comma, and are quoted.
        let (trace, rest) = row.split_once(",\"").expect("a trace");
        let (detector, rest) = rest.split_once("\",").expect("a detector");
        let (parameter, rest) = rest.split_once(',').expect("a parameter");
        let numbers: Vec<f64> = rest.split(',').map(|n| n.parse().expect("a number")).collect();
        let [mistakes, mean, p99, worst, accuracy, _] = numbers[..] else { panic!("{row}") };
        let [trace, detector, parameter] = [trace, detector, parameter].map(str::to_owned);
        Self {
            trace,
            detector,
            parameter,
            mistakes: mistakes as u64,
            mean: mean * 1e3,
            p99: p99 * 1e3,
            worst: worst * 1e3,
            inaccuracy: 1.0 - accuracy,
        }
    }
}

fn data() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn fields() -> BTreeMap<String, Field> {
    let traces = Reader::default().path(&data().join("traces")).expect("readable");
    traces
        .iter()
        .map(|trace| (trace.name.clone(), Field::new(trace).expect("long enough")))
        .collect()
}

/// How far a detector may be from the oracle.
#[derive(Clone, Copy)]
struct Tolerance {
    /// Mistakes: so many, and so many parts of them.
    mistakes: (f64, f64),
    /// Times and `1 - P_A`, as parts of them.
    times: f64,
}

/// Every mistake is the same, and times are to a millionth: floats of milliseconds there, whole
/// nanoseconds here. The ticks of `k-missed` are one period apart for the whole segment, so that the
/// rounding of the period to a nanosecond adds up, to a microsecond in a thousand beats.
fn tolerance(detector: &str) -> Tolerance {
    let times = if detector == "k-missed" { 5e-6 } else { 1e-6 };
    Tolerance { mistakes: (0.0, 0.0), times }
}

fn knob(contender: &Contender, text: &str) -> f64 {
    let labelled = contender.grid().iter().copied().find(|&knob| contender.label(knob) == text);
    labelled.unwrap_or_else(|| text.parse().expect("a number"))
}

fn deviations(golden: &Golden, found: &Outcome) -> Vec<String> {
    let Tolerance { mistakes: (some, part), times } = tolerance(&golden.detector);
    let expected = golden.mistakes as f64;
    let far = |value: f64, expected: f64| {
        // The table has whole nanoseconds, and nine digits of the accuracy.
        (value - expected).abs() > times * expected.abs() + if expected > 1.0 { 1.0 } else { 1e-9 }
    };
    let mut all = Vec::new();
    if (found.mistakes as f64 - expected).abs() > some + part * expected {
        all.push(format!("mistakes {} not {}", found.mistakes, golden.mistakes));
    }
    for (name, value, expected) in [
        ("mean", found.mean, golden.mean),
        ("p99", found.p99.unwrap_or(f64::NAN), golden.p99),
        ("worst", found.worst, golden.worst),
        ("1 - P_A", found.inaccuracy(), golden.inaccuracy),
    ] {
        if far(value, expected) {
            all.push(format!("{name} {value} not {expected}"));
        }
    }
    all
}

/// What is wrong with one row of the table, if anything; `None`: nobody of that name takes part.
fn check(golden: &Golden, fields: &BTreeMap<String, Field>) -> Option<Vec<String>> {
    let all = contenders();
    let contender = all.iter().find(|one| one.name() == golden.detector)?;
    let links = &fields[&golden.trace].links;
    let outcome = contender.outcome(knob(contender, &golden.parameter), links, true);
    let Golden { trace, detector, parameter, .. } = golden;
    let place = |deviation| format!("{trace} {detector} {parameter}: {deviation}");
    Some(deviations(golden, &outcome.expect("judged")).into_iter().map(place).collect())
}

/// RY3, RY4, RY5: mistakes, detection times and accuracy of every detector on every trace. Without
/// optimisation every fifth row has to do.
#[test]
fn every_detector_agrees_with_the_oracle() {
    let table = std::fs::read_to_string(data().join("oracle/golden.csv")).expect("the table");
    let every = if cfg!(debug_assertions) { 5 } else { 1 };
    let rows: Vec<_> = table.lines().skip(1).step_by(every).map(Golden::parse).collect();
    let fields = fields();
    let (next, checked, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::default());
    let work = || {
        while let Some(golden) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(found) = check(golden, &fields) else { continue };
            checked.fetch_add(1, Ordering::Relaxed);
            Vec::extend(&mut wrong.lock().expect("no panic"), found);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (wrong, checked) = (wrong.into_inner().expect("no panic"), checked.into_inner());
    println!("{checked} of {} rows", rows.len());
    assert!(checked * 10 >= rows.len() * 9, "{checked} of {}", rows.len());
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
}
