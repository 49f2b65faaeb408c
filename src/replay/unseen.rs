//! [`Unseen`]: a knob chosen on all other traces, judged on the one that was left out.

#![expect(clippy::cast_precision_loss, reason = "mistakes are counted in thousands")]

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use super::contender::Role;
use super::field::{Field, Point, Points};
use super::score::{BUDGETS, NO_POINT};

/// How one contender does on each trace, if its knob is chosen on all the others.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UnseenRow {
    /// Its name.
    pub contender: String,
    /// For each trace the geometric mean of its ratios over [`BUDGETS`]; `None`: nothing to judge.
    pub ratios: Vec<Option<f64>>,
    /// The geometric mean over all traces and budgets.
    pub score: f64,
}

/// The score without hindsight: the reference still has all of it, a contender has none.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unseen {
    /// The traces, as the columns of the rows.
    pub traces: Vec<String>,
    /// The contenders, the best first; those without anything to judge are left out.
    pub rows: Vec<UnseenRow>,
}

impl Unseen {
    /// Judges every contender on every field by the knob that is best on the others. (RY11)
    ///
    /// ```
    /// use heartbeat_proto::replay::{Field, Points, Unseen, contenders, synthetic};
    ///
    /// let fields: Vec<_> = synthetic(1)[..2].iter().filter_map(Field::new).collect();
    /// let contenders = contenders();
    /// let fixed = contenders.iter().find(|c| c.name() == "fixed").expect("a baseline");
    /// let race = |field: &Field| {
    ///     let run = |&knob: &f64| field.point(fixed, knob, false);
    ///     Points(fixed.grid().iter().filter_map(run).collect())
    /// };
    /// let points: Vec<_> = fields.iter().map(race).collect();
    /// let unseen = Unseen::new(fields.iter().zip(&points));
    /// // Nobody else took part: it is as good as the best at whatever mean it has.
    /// assert_eq!(unseen.rows[0].score, 1.0);
    /// ```
    pub fn new<'f>(fields: impl IntoIterator<Item = (&'f Field, &'f Points)>) -> Self {
        let all: Vec<_> =
            fields.into_iter().map(|(field, points)| Seen::new(field, points)).collect();
        let mut names: Vec<&str> = Vec::new();
        for point in all.iter().flat_map(|seen| &seen.points.0) {
            if point.role != Role::PauseAware && !names.contains(&&*point.contender) {
                names.push(&point.contender);
            }
        }
        let mut rows: Vec<_> = names.into_iter().filter_map(|name| row(name, &all)).collect();
        rows.sort_by(|one, other| one.score.total_cmp(&other.score));
        Self { traces: all.iter().map(|seen| seen.field.name.clone()).collect(), rows }
    }
}

/// A field, and for each point, in order, what the guard of its own mean says of it.
struct Seen<'f> {
    field: &'f Field,
    points: &'f Points,
    admissible: Vec<bool>,
}

impl<'f> Seen<'f> {
    fn new(field: &'f Field, points: &'f Points) -> Self {
        let admissible =
            |point: &Point| point.outcome.inaccuracy() <= points.guard(point.outcome.mean);
        Self { field, points, admissible: points.0.iter().map(admissible).collect() }
    }

    fn of(&self, name: &str) -> impl Iterator<Item = (&Point, bool)> {
        let points = self.points.0.iter().zip(self.admissible.iter().copied());
        points.filter(move |(point, _)| point.contender == name)
    }

    fn find(&self, name: &str, knob: f64) -> Option<(&Point, bool)> {
        self.of(name).find(|(point, _)| point.parameter.to_bits() == knob.to_bits())
    }

    /// The waiting beyond what nobody can avoid, in periods.
    fn waits(&self, point: &Point) -> f64 {
        (point.outcome.mean - self.field.budget(0.0)) / self.field.period
    }

    /// Its mistakes and 1, over those of the best published one that takes no longer and 1.
    /// `None` if there is none, or neither made a mistake.
    fn ratio(&self, (point, admissible): (&Point, bool)) -> Option<f64> {
        let mean = point.outcome.mean;
        let guard = self.points.guard(mean);
        let published = self.points.0.iter().filter(|other| {
            let outcome = &other.outcome;
            let counts = outcome.mean <= mean && outcome.inaccuracy() <= guard;
            other.role == Role::Published && counts
        });
        let reference = published.map(|other| other.outcome.mistakes).min()?;
        let mistakes = point.outcome.mistakes;
        if mistakes + reference == 0 {
            return None;
        }
        Some(if admissible { (mistakes + 1) as f64 / (reference + 1) as f64 } else { NO_POINT })
    }
}

fn row(name: &str, all: &[Seen<'_>]) -> Option<UnseenRow> {
    let judged = |left_out: usize| -> Vec<f64> {
        let on =
            |m: f64| all[left_out].ratio(all[left_out].find(name, knob(name, all, left_out, m)?)?);
        BUDGETS.into_iter().filter_map(on).collect()
    };
    let each: Vec<_> = (0..all.len()).map(judged).collect();
    let score = geometric(&each.concat())?;
    let ratios = each.iter().map(|ratios| geometric(ratios)).collect();
    Some(UnseenRow { contender: name.to_owned(), ratios, score })
}

fn geometric(ratios: &[f64]) -> Option<f64> {
    let sum = ratios.iter().map(|&ratio| libm::log(ratio)).sum::<f64>();
    (!ratios.is_empty()).then(|| libm::exp(sum / ratios.len() as f64))
}

/// The knob with the fewest mistakes on all traces but one, among those that wait for at most `m`
/// periods on average there.
fn knob(name: &str, all: &[Seen<'_>], left_out: usize, m: f64) -> Option<f64> {
    let plays = |seen: &Seen<'_>| seen.of(name).next().is_some();
    let others: Vec<_> =
        (0..all.len()).filter(|&i| i != left_out && plays(&all[i])).map(|i| &all[i]).collect();
    let many = others.len() as f64;
    let tried = others.first()?.of(name).filter_map(|(tried, _)| {
        let knob = tried.parameter;
        let found: Vec<_> = others
            .iter()
            .map(|seen| Some((*seen, seen.find(name, knob)?)))
            .collect::<Option<_>>()?;
        let waits = found.iter().map(|(seen, (point, _))| seen.waits(point)).sum::<f64>() / many;
        let cost = |(_, (point, admissible)): &(&Seen<'_>, (&Point, bool))| {
            let mistakes = (point.outcome.mistakes + 1) as f64;
            libm::log(if *admissible { mistakes } else { NO_POINT * mistakes })
        };
        (waits <= m).then(|| (found.iter().map(cost).sum::<f64>(), waits, knob))
    });
    let best = tried.min_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
    best.map(|(_, _, knob)| knob)
}
