//! The detectors on the recorded traces, against an independent implementation:
//! `tests/data/oracle/golden.csv` is what `fd_eval.py` (numpy) makes of every eighth parameter of
//! each of them, `score.txt` what it makes of every cell of the score. How far both may differ, and
//! why, is said at [`tolerance`].
#![cfg(feature = "replay")]
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]
#![expect(clippy::cast_precision_loss, reason = "mistakes are counted in thousands")]

use core::sync::atomic::{AtomicUsize, Ordering};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use heartbeat_proto::replay::{
    Arrival, Contender, Field, Link, Outcome, Points, Reader, Role, Tally, contenders,
};

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

/// The results, in any order.
fn on_all_processors<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let run = || {
        while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = work(one);
            results.lock().expect("no panic").push(result);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(run))));
    results.into_inner().expect("no panic")
}

/// RY3, RY4, RY5: mistakes, detection times and accuracy of every detector on every trace. Without
/// optimisation every fifth row has to do.
#[test]
fn every_detector_agrees_with_the_oracle() {
    let table = std::fs::read_to_string(data().join("oracle/golden.csv")).expect("the table");
    let every = if cfg!(debug_assertions) { 5 } else { 1 };
    let rows: Vec<_> = table.lines().skip(1).step_by(every).map(Golden::parse).collect();
    let fields = fields();
    let found = on_all_processors(&rows, |golden| check(golden, &fields));
    let checked = found.iter().flatten().count();
    let wrong: Vec<_> = found.into_iter().flatten().flatten().collect();
    println!("{checked} of {} rows", rows.len());
    assert!(checked * 10 >= rows.len() * 9, "{checked} of {}", rows.len());
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
}

/// RY7, RY8: the guard of every budget, and the mistakes of the best point of every detector that has
/// one. Without optimisation one trace has to do.
#[test]
fn every_cell_agrees_with_the_oracle() {
    let told = std::fs::read_to_string(data().join("oracle/score.txt")).expect("the cells");
    let contenders: Vec<_> = contenders()
        .into_iter()
        .filter(|one| matches!(one.role(), Role::Published | Role::Stamped))
        .collect();
    assert_eq!(contenders.iter().filter(|one| one.role() == Role::Published).count(), 16);
    let mut cells = 0;
    for (name, field) in fields() {
        if cfg!(debug_assertions) && name != "5g-urban-100ms" {
            continue;
        }
        let runs: Vec<_> = contenders
            .iter()
            .flat_map(|one| one.grid().iter().map(move |&knob| (one, knob)))
            .collect();
        let points = on_all_processors(&runs, |&(one, knob)| field.point(one, knob, false));
        let points = Points(points.into_iter().flatten().collect());
        let start = format!("CELL {name} ");
        for line in told.lines().filter_map(|line| line.strip_prefix(&start)) {
            cell(&field, &points, line);
            cells += 1;
        }
    }
    assert_eq!(cells, if cfg!(debug_assertions) { 7 } else { 35 });
}

/// `0.5 guard 0.0315 best 6 fixed=174 ...`
fn cell(field: &Field, points: &Points, line: &str) {
    // One name has a space, and is none of ours: the prototype of a candidate.
    let words: Vec<_> = line.split(' ').filter(|word| *word != "EHM").collect();
    let ["guard", guard, "best", _] = words[1..5] else { panic!("{line}") };
    let budget = field.budget(words[0].parse().expect("periods"));
    let expected: f64 = guard.parse().expect("a share");
    let guard = points.guard(budget);
    assert!((guard - expected).abs() <= 1e-5 * expected, "{} {line}: {guard}", field.name);
    let told = words[5..].iter().filter_map(|word| word.rsplit_once('='));
    let mut told: BTreeMap<&str, u64> = told.map(|(n, m)| (n, m.parse().expect(m))).collect();
    told.remove("(proposed)");
    let best = |name| Some((name, points.best(name, budget, guard)?.outcome.mistakes));
    let found: BTreeMap<&str, u64> = points.names().into_iter().filter_map(best).collect();
    assert_eq!(found, told, "{} {line}", field.name);
}

/// RY4, RY5: why k-of-n is ahead on this trace at half a period (`docs/DETECTORS.md`). It judges
/// probes by when they left; who hears beats alone takes a ping that left late for silence.
#[test]
fn where_the_prober_is_late_its_clock_says_more_than_the_beats() {
    let field = &fields()["5g-urban-100ms"];
    let contenders = contenders();
    let hazard = contenders.iter().find(|one| one.name() == "hazard").expect("ours");
    let millis = |span: u64| span / 1_000_000;
    // The best point of the cell.
    let knob = hazard.grid().iter().copied().find(|&knob| knob > 2.0).expect("in the grid");
    let (mut mistakes, mut late) = (0, 0);
    for link in &field.links {
        let deadlines = hazard.deadlines(knob, link).expect("its own knob");
        let pairs = link.arrivals.windows(2).zip(deadlines).skip(link.warm);
        let wrong = |pair: &[Arrival], deadline| deadline > pair[0].at && deadline < pair[1].at;
        for (pair, _) in pairs.filter(|(pair, deadline)| wrong(pair, *deadline)) {
            mistakes += 1;
            let [gap, delay] = [pair[1].sent - pair[0].sent, pair[1].at - pair[1].sent].map(millis);
            late += u32::from(gap > 140 && delay < 25);
        }
    }
    assert_eq!((mistakes, late), (15, 8));

    // The same detector, were it told when the next ping leaves.
    let told = |link: &Link, deadlines: Vec<u64>| -> Vec<u64> {
        let moved = |(pair, deadline): (&[Arrival], u64)| {
            let gap = (pair[1].sent - pair[0].sent).saturating_sub(link.period);
            if deadline > pair[0].at && pair[1].seq == pair[0].seq + 1 {
                deadline + gap
            } else {
                deadline
            }
        };
        link.arrivals.windows(2).zip(deadlines).map(moved).collect()
    };
    let best = hazard.grid().iter().filter_map(|&knob| {
        let mut tally = Tally::new();
        for link in &field.links {
            tally.add(link, &told(link, hazard.deadlines(knob, link)?));
        }
        tally.outcome().filter(|outcome| outcome.mean <= field.budget(0.5))
    });
    assert_eq!(best.map(|outcome| outcome.mistakes).min(), Some(6));
}
