//! Tables on the terminal.

use console::{Alignment, measure_text_width, pad_str, style};
use heartbeat_proto::replay::{Role, Row, Score, Unseen};

use super::line;
use super::race::Race;

/// The columns, in periods beyond what nobody can avoid.
const BUDGETS: [f64; 9] = [0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0];

const MILLI: f64 = 1e6;

/// Rows of a table: the first column is text, the others are numbers.
pub(crate) type Rows = Vec<Vec<String>>;

/// Prints rows in columns; the first row is the head.
pub(crate) fn columns(rows: &Rows) {
    let many = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| measure_text_width(cell)).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..many).map(width).collect();
    for (index, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            let side = if column == 0 { Alignment::Left } else { Alignment::Right };
            pad_str(cell, width, side, None).into_owned()
        });
        let text = cells.collect::<Vec<_>>().join("  ");
        let text = text.trim_end();
        line(if index == 0 { style(text).bold().to_string() } else { text.to_owned() });
    }
}

/// What is known of a trace, in a line.
pub(crate) fn head(race: &Race) -> String {
    let field = &race.field;
    let beats: usize = field.links.iter().map(|link| link.arrivals.len()).sum();
    format!(
        "{}: period {:.1} ms, mean delay {:.1} ms, {} segments, {beats} beats, {:.2} h",
        field.name,
        field.period / MILLI,
        field.delay / MILLI,
        field.links.len(),
        race.hours(),
    )
}

/// Mistakes an hour at equal mean detection time.
pub(crate) fn rows(race: &Race) -> Rows {
    let (field, points) = (&race.field, &race.points);
    let mut head = vec!["mistakes/h, m =".to_owned()];
    head.extend(BUDGETS.map(|m| m.to_string()));
    head.extend(["T_D(1/h)", "T_D(0)"].map(str::to_owned));
    let mut rows = vec![head];
    for name in points.names() {
        let mut row = vec![name.to_owned()];
        for m in BUDGETS {
            let budget = field.budget(m);
            let best = points.best(name, budget, points.guard(budget));
            row.push(best.map_or("-".to_owned(), |best| short(best.outcome.rate())));
        }
        for rate in [1.0, 0.0] {
            let mean = points.mean_for(name, rate);
            row.push(mean.map_or("-".to_owned(), |mean| format!("{:.2}", mean / field.period)));
        }
        rows.push(row);
    }
    rows
}

pub(crate) fn race(race: &Race) {
    line(style(head(race)).cyan());
    columns(&rows(race));
    line("");
}

/// Three digits, and no more than are there.
pub(crate) fn short(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        n if n >= 100.0 => format!("{n:.0}"),
        n if n >= 10.0 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    }
}

/// The detectors by their score.
pub(crate) fn score_rows(score: &Score) -> Rows {
    let head =
        ["detector", "score", "at best", "no point", "worst", "with 10 mistakes", "1-P_A/fixed"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let place = |found: Option<(f64, usize)>| {
        found.map_or("-".to_owned(), |(ratio, cell)| {
            let cell = &score.cells[cell];
            format!("x{ratio:.2} {} m={}", cell.trace, cell.budget)
        })
    };
    let row = |row: &Row| {
        let numbers =
            [format!("{:.3}", row.score), row.at_best.to_string(), row.missing.to_string()];
        let places = [row.worst, row.worst_counted, row.worst_accuracy].map(place);
        [row.contender.clone()].into_iter().chain(numbers).chain(places).collect()
    };
    rows.extend(score.rows.iter().map(row));
    rows
}

/// Every cell: the best published detector, and the candidates.
pub(crate) fn cell_rows(score: &Score, races: &[Race]) -> Rows {
    let points = races.iter().flat_map(|race| &race.points.0);
    let mut candidates: Vec<&str> = Vec::new();
    for point in points.filter(|point| point.role == Role::Candidate) {
        if !candidates.contains(&&*point.contender) {
            candidates.push(&point.contender);
        }
    }
    let mut head = ["cell", "mistakes", "of the best"].map(str::to_owned).to_vec();
    head.extend(candidates.iter().map(|name| (*name).to_owned()));
    let mut rows = vec![head];
    for cell in &score.cells {
        let mut row = vec![format!("{} m={}", cell.trace, cell.budget)];
        row.extend([cell.reference.to_string(), cell.holder.clone()]);
        row.extend(candidates.iter().map(|name| match (cell.of(name), cell.ratio(name)) {
            (Some((mistakes, _)), Some(ratio)) => format!("{mistakes} (x{ratio:.2})"),
            _ => "-".to_owned(),
        }));
        rows.push(row);
    }
    rows
}

/// A trace a row, the detectors from the best one on: as many as fit.
fn unseen_rows(unseen: &Unseen) -> Rows {
    let best = || unseen.rows.iter().take(6);
    let row = |name: &str, cell: &dyn Fn(usize) -> Option<f64>| {
        let cells =
            (0..best().count()).map(|i| cell(i).map_or("-".to_owned(), |r| format!("{r:.2}")));
        [name.to_owned()].into_iter().chain(cells).collect::<Vec<_>>()
    };
    let head = ["left out".to_owned()].into_iter().chain(best().map(|row| row.contender.clone()));
    let mut rows = vec![head.collect()];
    for (i, trace) in unseen.traces.iter().enumerate() {
        rows.push(row(trace, &|column| unseen.rows[column].ratios[i]));
    }
    rows.push(row("all", &|column| Some(unseen.rows[column].score)));
    rows
}

pub(crate) fn score(score: &Score, unseen: Option<&Unseen>, races: &[Race]) {
    columns(&cell_rows(score, races));
    line("");
    line(style(format!("score over {} cells", score.cells.len())).cyan());
    columns(&score_rows(score));
    if let Some(unseen) = unseen {
        line("");
        line(style("with a knob chosen on all other traces").cyan());
        columns(&unseen_rows(unseen));
    }
}
