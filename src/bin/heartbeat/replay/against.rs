//! Whole configurations over traces: one, or two side by side.

use std::path::Path;
use std::process::ExitCode;

use console::style;
use heartbeat_proto::replay::{PlayError, Played, Segment, Trace, play};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::record::Record;
use super::table::{Rows, columns, short};
use super::{line, race};
use crate::rules::{Book, Refused};
use crate::say;
use crate::usage::Usage;
use crate::watch;

/// What the candidate may be worse by.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "With --against")]
pub(crate) struct Limits {
    /// So many living peers more may be given up, over all traces
    #[arg(long, value_name = "N", default_value_t = 0, requires = "against")]
    more_losses: u64,
    /// By so many percent the mean detection time over all traces may be longer
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, requires = "against")]
    slower: f64,
}

/// Crashes a segment.
const CRASHES: u32 = 100;

/// One configuration, or the old one and the new one.
pub(crate) struct Play {
    books: Vec<(String, Book)>,
}

/// What became of a segment under each.
struct Part {
    trace: String,
    name: String,
    played: Vec<Played>,
}

/// What became of all.
pub(crate) struct Parts {
    pub(crate) names: Vec<String>,
    segments: Vec<Part>,
    /// What is different, if there are two.
    pub(crate) changes: Vec<String>,
}

impl Play {
    pub(crate) fn of(old: Option<&Path>, new: &Path) -> Result<Self, Refused> {
        let read = |path: &Path| {
            let book = Book::of_file(path, &watch::base())?;
            Ok((path.display().to_string(), book))
        };
        Ok(Self { books: old.into_iter().chain([new]).map(read).collect::<Result<_, _>>()? })
    }

    /// What each makes of a segment: its name is the address whose rules count.
    pub(crate) fn segment(
        &self,
        segment: &Segment,
        crashes: u32,
    ) -> Result<Vec<(&str, Played)>, PlayError> {
        let books = self.books.iter();
        books
            .map(|(name, book)| {
                Ok((&**name, play(&book.of(&segment.name).config, segment, crashes)?))
            })
            .collect()
    }

    pub(crate) fn over(&self, traces: &[Trace]) -> anyhow::Result<Parts> {
        let all: Vec<_> = traces
            .iter()
            .flat_map(|trace| trace.segments.iter().map(move |segment| (trace, segment)))
            .collect();
        let bar = race::bar("segments", all.len())?;
        let parts = all.par_iter().map(|(trace, segment)| {
            let played = self.segment(segment, CRASHES);
            bar.inc(1);
            match played {
                Ok(played) => Ok(Some(Part {
                    trace: trace.name.clone(),
                    name: segment.name.clone(),
                    played: played.into_iter().map(|(_, played)| played).collect(),
                })),
                Err(PlayError::TooShort) => Ok(None),
                Err(error) => Err(Usage::of("--candidate", error)),
            }
        });
        let parts: Result<Vec<_>, _> = parts.collect();
        bar.finish_and_clear();
        let segments: Vec<_> = parts?.into_iter().flatten().collect();
        anyhow::ensure!(!segments.is_empty(), "no segment has two samples");
        let changes = match &self.books[..] {
            [(_, old), (_, new)] => old.changes(new),
            _ => alloc::collections::BTreeMap::new(),
        };
        let told = |(address, changes): (&String, &Vec<crate::rules::Change>)| {
            let scope = if address.is_empty() { String::new() } else { format!("{address}: ") };
            changes.iter().map(|change| format!("{scope}{change}")).collect::<Vec<_>>()
        };
        let changes = changes.iter().flat_map(told).collect();
        Ok(Parts {
            names: self.books.iter().map(|(name, _)| name.clone()).collect(),
            segments,
            changes,
        })
    }
}

/// Sums over segments.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) suspicions: u64,
    pub(crate) losses: u64,
    distrusted: f64,
    observed: f64,
    pings: u64,
    detection: f64,
    crashes: u64,
    worst: u64,
}

impl Sum {
    #[expect(clippy::cast_precision_loss, reason = "spans of years in floats are good to 10 ns")]
    pub(crate) fn of<'p>(played: impl IntoIterator<Item = &'p Played>) -> Self {
        let mut sum = Self::default();
        for one in played {
            sum.suspicions += one.suspicions;
            sum.losses += one.losses;
            sum.distrusted += one.distrusted as f64;
            sum.observed += one.observed as f64;
            sum.pings += one.pings;
            sum.crashes += one.detections.len() as u64;
            sum.detection += one.detections.iter().map(|&took| took as f64).sum::<f64>();
            sum.worst = one.detections.iter().copied().fold(sum.worst, u64::max);
        }
        sum
    }

    /// Milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "crashes are few")]
    pub(crate) fn mean(&self) -> Option<f64> {
        (self.crashes > 0).then(|| self.detection / self.crashes as f64 / 1e6)
    }

    /// Milliseconds.
    #[expect(clippy::cast_precision_loss, reason = "below 2^53 ns")]
    pub(crate) fn worst(&self) -> Option<f64> {
        (self.crashes > 0).then_some(self.worst as f64 / 1e6)
    }

    fn row(&self, name: String) -> Vec<String> {
        let millis =
            |span: Option<f64>| span.map_or("-".to_owned(), |span| format!("{span:.0} ms"));
        vec![
            name,
            self.losses.to_string(),
            self.suspicions.to_string(),
            format!("{} s", short(self.distrusted / 1e9)),
            millis(self.mean()),
            millis(self.worst()),
            self.pings.to_string(),
            format!("{:.2}", self.observed / 3.6e12),
        ]
    }
}

const HEAD: [&str; 8] =
    ["", "given up", "suspected", "distrusted", "mean T_D", "longest T_D", "pings", "hours"];

impl Parts {
    /// Each configuration on each trace, and on all.
    pub(crate) fn rows(&self) -> Rows {
        let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
        let mut traces: Vec<&str> = self.segments.iter().map(|part| &*part.trace).collect();
        traces.dedup();
        for trace in traces {
            for (index, name) in self.names.iter().enumerate() {
                let sum = self.sum(index, Some(trace));
                rows.push(sum.row(format!("{trace}: {name}")));
            }
        }
        for (index, name) in self.names.iter().enumerate() {
            rows.push(self.sum(index, None).row(format!("all: {name}")));
        }
        rows
    }

    fn sum(&self, index: usize, trace: Option<&str>) -> Sum {
        let parts =
            self.segments.iter().filter(|part| trace.is_none_or(|trace| part.trace == trace));
        Sum::of(parts.filter_map(|part| part.played.get(index)))
    }

    /// The segments on which something that counts is better or worse, the worst first.
    pub(crate) fn differences(&self) -> Rows {
        let mut found: Vec<(i128, Vec<String>)> = Vec::new();
        for part in &self.segments {
            let [old, new] = &part.played[..] else { continue };
            let (old, new) = (Sum::of([old]), Sum::of([new]));
            let weight =
                |sum: &Sum| i128::from(sum.losses) * 1_000_000 + i128::from(sum.suspicions);
            let change = weight(&new) - weight(&old);
            let later = match (old.mean(), new.mean()) {
                (Some(old), Some(new)) => format!("{old:.0} -> {new:.0} ms"),
                _ => "-".to_owned(),
            };
            if change != 0 {
                found.push((
                    -change,
                    vec![
                        format!("{}/{}", part.trace, part.name),
                        (if change < 0 { "better" } else { "worse" }).to_owned(),
                        format!("{} -> {}", old.losses, new.losses),
                        format!("{} -> {}", old.suspicions, new.suspicions),
                        later,
                    ],
                ));
            }
        }
        found.sort_by_key(|(change, _)| *change);
        let head = ["segment", "", "given up", "suspected", "mean T_D"].map(str::to_owned).to_vec();
        [head].into_iter().chain(found.into_iter().map(|(_, row)| row)).collect()
    }

    /// Whether the new one is worse than the old one, as far as the limits say.
    pub(crate) fn worse(&self, limits: &Limits) -> Option<String> {
        let [_, _] = &self.names[..] else { return None };
        let (old, new) = (self.sum(0, None), self.sum(1, None));
        if new.losses > old.losses.saturating_add(limits.more_losses) {
            return Some(format!("{} living peers given up, not {}", new.losses, old.losses));
        }
        let (before, after) = (old.mean()?, new.mean()?);
        let limit = before * (1.0 + limits.slower / 100.0);
        (after > limit).then(|| format!("mean detection time {after:.0} ms, not {before:.0} ms"))
    }

    pub(crate) fn report(&self, limits: &Limits, json: bool) -> ExitCode {
        let worse = self.worse(limits);
        if json {
            self.tell(worse.is_none());
        } else {
            columns(&self.rows());
            if self.names.len() == 2 {
                line("");
                line(format!("changed: {}", self.changes.join(", ")));
                columns(&self.differences());
                line("");
                line(match &worse {
                    Some(why) => style(format!("worse: {why}")).red().bold(),
                    None => style("not worse".to_owned()).green(),
                });
            }
        }
        if worse.is_some() { ExitCode::from(crate::LOST) } else { ExitCode::SUCCESS }
    }

    fn tell(&self, better: bool) {
        for part in &self.segments {
            for (rules, played) in self.names.iter().zip(&part.played) {
                let sum = Sum::of([played]);
                say::json(&Record::Played {
                    rules,
                    trace: &part.trace,
                    segment: &part.name,
                    suspicions: sum.suspicions,
                    losses: sum.losses,
                    distrusted_ms: sum.distrusted / 1e6,
                    hours: sum.observed / 3.6e12,
                    pings: sum.pings,
                    detection_mean_ms: sum.mean(),
                    detection_max_ms: sum.worst(),
                });
            }
        }
        if self.names.len() == 2 {
            let (old, new) = (self.sum(0, None), self.sum(1, None));
            say::json(&Record::Compared {
                better,
                losses: [old.losses, new.losses],
                detection_mean_ms: [old.mean(), new.mean()],
            });
        }
    }
}
