//! The lines of `--json`.

use alloc::collections::BTreeMap;

use heartbeat_proto::replay::{Score, Unseen};
use serde::Serialize;

use super::race::Race;
use crate::say;

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Record<'a> {
    Point {
        trace: &'a str,
        detector: &'a str,
        parameter: &'a str,
        mean_ms: f64,
        p99_ms: Option<f64>,
        worst_ms: f64,
        mistakes: u64,
        per_hour: f64,
        mistake_ms: f64,
        accuracy: f64,
        hours: f64,
    },
    Cell {
        trace: &'a str,
        periods: f64,
        reference: u64,
        holder: &'a str,
        mistakes: BTreeMap<&'a str, Option<u64>>,
    },
    Score {
        detector: &'a str,
        score: f64,
        cells: usize,
        at_best: usize,
        missing: usize,
        worst: Option<f64>,
        worst_cell: Option<String>,
    },
    Unseen {
        detector: &'a str,
        trace: Option<&'a str>,
        ratio: Option<f64>,
    },
    Played {
        rules: &'a str,
        trace: &'a str,
        segment: &'a str,
        suspicions: u64,
        losses: u64,
        distrusted_ms: f64,
        hours: f64,
        pings: u64,
        detection_mean_ms: Option<f64>,
        detection_max_ms: Option<f64>,
    },
    Compared {
        better: bool,
        losses: [u64; 2],
        detection_mean_ms: [Option<f64>; 2],
    },
}

/// Every point, every cell, every score.
pub(crate) fn tell(races: &[Race], score: Option<&Score>, unseen: Option<&Unseen>) {
    for race in races {
        for point in &race.points.0 {
            let o = &point.outcome;
            say::json(&Record::Point {
                trace: &race.field.name,
                detector: &point.contender,
                parameter: &point.label,
                mean_ms: o.mean / 1e6,
                p99_ms: o.p99.map(|p99| p99 / 1e6),
                worst_ms: o.worst / 1e6,
                mistakes: o.mistakes,
                per_hour: o.rate(),
                mistake_ms: o.mean_mistake() / 1e6,
                accuracy: o.accuracy(),
                hours: o.observed / 3.6e12,
            });
        }
    }
    let Some(score) = score else { return };
    for cell in &score.cells {
        let found = cell.found.iter();
        say::json(&Record::Cell {
            trace: &cell.trace,
            periods: cell.budget,
            reference: cell.reference,
            holder: &cell.holder,
            mistakes: found.map(|(name, found)| (&**name, found.map(|found| found.0))).collect(),
        });
    }
    for row in &score.rows {
        let place = |(_, cell): (f64, usize)| {
            let cell = &score.cells[cell];
            format!("{} m={}", cell.trace, cell.budget)
        };
        say::json(&Record::Score {
            detector: &row.contender,
            score: row.score,
            cells: score.cells.len(),
            at_best: row.at_best,
            missing: row.missing,
            worst: row.worst.map(|worst| worst.0),
            worst_cell: row.worst.map(place),
        });
    }
    for row in unseen.iter().flat_map(|unseen| &unseen.rows) {
        let traces = unseen.iter().flat_map(|unseen| &unseen.traces).map(|trace| Some(&**trace));
        let all = row.ratios.iter().copied().chain([Some(row.score)]);
        for (trace, ratio) in traces.chain([None]).zip(all) {
            say::json(&Record::Unseen { detector: &row.contender, trace, ratio });
        }
    }
}
