//! [`Score`]: one number for a contender over many traces and budgets (DETECTORS section 5).

#![expect(clippy::cast_precision_loss, reason = "mistakes are counted in thousands")]

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use super::contender::Role;
use super::field::{Field, Points};

/// The budgets of the score, in periods beyond what nobody can avoid.
pub const BUDGETS: [f64; 7] = [0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0];

/// What a cell counts for a contender that has no point in it.
pub(super) const NO_POINT: f64 = 8.0;

/// A trace at one budget.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cell {
    /// The trace.
    pub trace: String,
    /// The budget, in periods: one of [`BUDGETS`].
    pub budget: f64,
    /// The mistakes of the best published detector; at least 1.
    pub reference: u64,
    /// Whose they are.
    pub holder: String,
    /// The mistakes of each contender, and its `1 - P_A`; `None`: no admissible point.
    pub found: Vec<(String, Option<(u64, f64)>)>,
}

impl Cell {
    /// The mistakes of a contender and its `1 - P_A`.
    pub fn of(&self, contender: &str) -> Option<(u64, f64)> {
        self.found.iter().find(|(name, _)| name == contender).and_then(|(_, found)| *found)
    }

    /// `(mistakes + 1) / (reference + 1)`; `None`: no admissible point.
    pub fn ratio(&self, contender: &str) -> Option<f64> {
        let (mistakes, _) = self.of(contender)?;
        Some((mistakes + 1) as f64 / (self.reference + 1) as f64)
    }
}

/// How a contender did over all cells.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Row {
    /// Its name.
    pub contender: String,
    /// The geometric mean of its ratios, 8 where it has no point.
    pub score: f64,
    /// In how many cells it is at or below the best published one.
    pub at_best: usize,
    /// In how many it has no admissible point.
    pub missing: usize,
    /// Its worst ratio, and the cell, among those with a point.
    pub worst: Option<(f64, usize)>,
    /// The same among cells in which it made at least ten mistakes.
    pub worst_counted: Option<(f64, usize)>,
    /// Its `1 - P_A` relative to that of the fixed timeout at the same budget, where it is largest,
    /// and the cell; cells in which the fixed timeout was never wrong, or has no point, are left out.
    pub worst_accuracy: Option<(f64, usize)>,
}

/// The score of all contenders.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Score {
    /// The cells that count: those in which even the best published detector made a mistake.
    pub cells: Vec<Cell>,
    /// The contenders, the best first.
    pub rows: Vec<Row>,
}

impl Score {
    /// The score over these fields. (RY8)
    pub fn new<'f>(fields: impl IntoIterator<Item = (&'f Field, &'f Points)>) -> Self {
        let mut cells = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for (field, points) in fields {
            // What is told of pauses has an advantage that the reference has not.
            let scored = |name: &&str| points.of(name).all(|p| p.role != Role::PauseAware);
            let here: Vec<_> = points.names().into_iter().filter(scored).collect();
            for name in &here {
                if !names.iter().any(|known| known == name) {
                    names.push((*name).to_owned());
                }
            }
            cells.extend(BUDGETS.iter().filter_map(|&m| cell(field, points, &here, m)));
        }
        let mut rows: Vec<_> = names.into_iter().map(|name| row(name, &cells)).collect();
        rows.sort_by(|one, other| one.score.total_cmp(&other.score));
        Self { cells, rows }
    }
}

fn cell(field: &Field, points: &Points, names: &[&str], periods: f64) -> Option<Cell> {
    let budget = field.budget(periods);
    let guard = points.guard(budget);
    let mut reference: Option<(u64, &str)> = None;
    let mut found = Vec::new();
    for &name in names {
        let best = points.best(name, budget, guard);
        if let Some(best) = best.filter(|best| best.role == Role::Published) {
            let mistakes = best.outcome.mistakes;
            if reference.is_none_or(|(least, _)| mistakes < least) {
                reference = Some((mistakes, name));
            }
        }
        let told = best.map(|best| (best.outcome.mistakes, best.outcome.inaccuracy()));
        found.push((name.to_owned(), told));
    }
    let (reference, holder) = reference.filter(|(mistakes, _)| *mistakes > 0)?;
    let (trace, holder) = (field.name.clone(), holder.to_owned());
    Some(Cell { trace, budget: periods, reference, holder, found })
}

fn row(contender: String, cells: &[Cell]) -> Row {
    let ratios: Vec<_> = cells.iter().map(|cell| cell.ratio(&contender)).collect();
    let log = |ratio: &Option<f64>| libm::log(ratio.unwrap_or(NO_POINT));
    let score = libm::exp(ratios.iter().map(log).sum::<f64>() / cells.len().max(1) as f64);
    let worst = |of: &dyn Fn(usize, &Cell) -> Option<f64>| {
        let all = cells.iter().enumerate().filter_map(|(i, cell)| Some((of(i, cell)?, i)));
        all.max_by(|one, other| one.0.total_cmp(&other.0))
    };
    Row {
        score,
        at_best: ratios.iter().flatten().filter(|ratio| **ratio <= 1.0).count(),
        missing: ratios.iter().filter(|ratio| ratio.is_none()).count(),
        worst: worst(&|i, _| ratios[i]),
        worst_counted: worst(&|i, cell| {
            ratios[i].filter(|_| cell.of(&contender).is_some_and(|(n, _)| n >= 10))
        }),
        worst_accuracy: worst(&|_, cell| {
            let (_, fixed) = cell.of("fixed").filter(|(_, fixed)| *fixed > 0.0)?;
            Some(cell.of(&contender)?.1 / fixed)
        }),
        contender,
    }
}
