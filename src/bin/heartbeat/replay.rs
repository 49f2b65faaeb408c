//! `heartbeat replay`: detectors and whole configurations over recorded traces.

mod against;
mod csv;
mod html;
mod plot;
mod race;
mod record;
mod table;
mod timeline;

use core::num::NonZeroUsize;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use heartbeat_proto::replay::{
    Contender, Reader, Role, Score, Segment, Trace, Unseen, contenders, synthetic,
};

use self::against::{Limits, Play};
use self::race::Race;
use crate::say;
use crate::usage::Usage;

/// Play detectors and whole configurations over recorded traces.
///
/// A trace is a file, or a folder of files that share one configuration: rows of
/// `seq,send_us,delay_us` (-1: lost), the output of `ping` (with -D or without), or what `heartbeat
/// record` wrote. A folder of such folders is a trace each.
///
/// Every detector runs with every value of its knob. The table compares them at equal mean detection
/// time: mistakes per hour within half a period, the mean delay and m periods more, the columns; then
/// the shortest mean detection time, in periods, with at most one mistake an hour, and with none. `-`:
/// no point within the budget, or one that stays suspicious for more than twice as long as a constant
/// margin does. --score makes one number of it: the geometric mean, over all traces and m, of the
/// mistakes + 1 over those of the best published detector + 1. With several traces it tells as well how
/// each does with a knob chosen on all the others.
///
/// With --candidate a configuration is played instead, by the rules of `heartbeat watch --config`,
/// through the machine itself: each ping meets the path as the sample of its time did. With --against
/// it is compared to another, and the exit code tells whether it is worse: more living peers given up,
/// or dead ones found later, than --more-losses and --slower allow.
///
/// With --json each line has `event`:
///
///     point    trace, detector, parameter, mean_ms, p99_ms, worst_ms, mistakes, per_hour,
///              mistake_ms, accuracy, hours
///     cell     trace, periods, reference, holder, mistakes {detector: n or null}
///     score    detector, score, cells, at_best, missing, worst, worst_cell
///     unseen   detector, trace left out (null: all), ratio
///     played   rules (the file), trace, segment, suspicions, losses, distrusted_ms, hours,
///              pings, detection_mean_ms, detection_max_ms
///     compared better, losses [old, new], detection_mean_ms [old, new]
///
/// Exit codes: 0 done, 1 the candidate is worse, or a trace cannot be read, 2 bad usage or
/// configuration.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Traces: files and folders
    #[arg(required_unless_present = "synthetic", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Nine synthetic scenarios besides: two hours each, made from this seed [default: 1]
    #[arg(long, value_name = "SEED", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "1")]
    synthetic: Option<u64>,
    /// Only these detectors; with --score the published ones run as well
    ///
    /// Names with commas between them; those within parentheses belong to the name.
    #[arg(long, value_name = "NAMES")]
    detectors: Option<String>,
    /// One number for each detector over all traces
    #[arg(long)]
    score: bool,
    /// Write every point to this file, as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write a report with plots to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Every point, every cell, the score: one JSON object a line
    #[arg(long)]
    json: bool,
    /// In the report: a timeline of this segment (its name, or TRACE/NAME)
    #[arg(long, value_name = "NAME", requires = "html")]
    segment: Option<String>,
    /// The timeline begins so long after the first sample
    #[arg(long, value_name = "SPAN", requires = "segment", default_value = "0s")]
    #[arg(value_parser = humantime::parse_duration)]
    from: Duration,
    /// The timeline ends so long after the first sample [default: 10s after its begin]
    #[arg(long, value_name = "SPAN", requires = "segment")]
    #[arg(value_parser = humantime::parse_duration)]
    to: Option<Duration>,
    /// Write every trace as CSV into a folder of its name in this folder
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// Time between two pings where the output of `ping` does not tell
    #[arg(long, value_name = "SPAN", default_value = "1s")]
    #[arg(value_parser = humantime::parse_duration)]
    interval: Duration,
    /// A trace with one-way delays (by name), besides loopback-vm-20ms and planetlab-send: nothing
    /// is judged there by round trips
    #[arg(long, value_name = "NAME")]
    one_way: Vec<String>,
    /// How many threads share the work; as many as there are processors by default
    #[arg(long, value_name = "J")]
    jobs: Option<NonZeroUsize>,
    /// Play the configuration of this file (TOML)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["score", "detectors", "csv"])]
    candidate: Option<PathBuf>,
    /// And compare it to the configuration of this one
    #[arg(long, value_name = "FILE", requires = "candidate")]
    against: Option<PathBuf>,
    #[command(flatten)]
    limits: Limits,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let traces = args.traces()?;
    if let Some(folder) = &args.export {
        csv::export(folder, &traces)?;
        return Ok(ExitCode::SUCCESS);
    }
    let jobs = args.jobs.map_or(0, NonZeroUsize::get);
    rayon::ThreadPoolBuilder::new().num_threads(jobs).build_global()?;
    let window = args.window(&traces)?;
    if let Some(candidate) = &args.candidate {
        let play = Play::of(args.against.as_deref(), candidate)?;
        let played = play.over(&traces)?;
        if let Some(path) = &args.html {
            let timeline = window.map(|window| timeline::of_rules(&window, &play));
            write(path, &html::of_rules(&played, timeline.transpose()?))?;
        }
        return Ok(played.report(&args.limits, args.json));
    }
    let contenders = args.contenders()?;
    let quantile = args.csv.is_some() || args.html.is_some() || args.json;
    let races = race::run(&traces, &contenders, quantile)?;
    let score =
        args.score.then(|| Score::new(races.iter().map(|race| (&race.field, &race.points))));
    let unseen = (args.score && races.len() > 1)
        .then(|| Unseen::new(races.iter().map(|race| (&race.field, &race.points))));
    if let Some(path) = &args.csv {
        write(path, &csv::points(&races))?;
    }
    if let Some(path) = &args.html {
        let timeline = window.map(|window| timeline::of_detectors(&window, &races, &contenders));
        write(path, &html::of_detectors(&races, score.as_ref(), timeline.transpose()?)?)?;
    }
    match (&score, args.json) {
        (_, true) => record::tell(&races, score.as_ref(), unseen.as_ref()),
        (Some(score), false) => table::score(score, unseen.as_ref(), &races),
        (None, false) => races.iter().for_each(table::race),
    }
    Ok(ExitCode::SUCCESS)
}

/// Names between commas; `2W-FD(1,100)` is one.
fn split(names: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let names = names.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    names.map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// A part of a segment, for the timeline.
pub(crate) struct Window<'t> {
    pub(crate) trace: &'t str,
    pub(crate) segment: &'t Segment,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

impl Args {
    fn traces(&self) -> anyhow::Result<Vec<Trace>> {
        let mut reader = Reader::default();
        reader.interval = self.interval;
        reader.one_way.extend(self.one_way.iter().cloned());
        let mut traces = Vec::new();
        for path in &self.paths {
            traces.extend(reader.path(path)?);
        }
        traces.extend(self.synthetic.map(synthetic).unwrap_or_default());
        Ok(traces)
    }

    fn contenders(&self) -> Result<Vec<Contender>, Usage> {
        let all = contenders();
        let Some(names) = &self.detectors else { return Ok(all) };
        let names = split(names);
        if let Some(unknown) = names.iter().find(|name| all.iter().all(|one| one.name() != **name))
        {
            let names: Vec<_> = all.iter().map(Contender::name).collect();
            let text = format!("no detector is called `{unknown}`; there are {}", names.join(", "));
            return Err(Usage::of("--detectors", text));
        }
        let takes_part = |one: &Contender| {
            let measure = self.score && one.role() == Role::Published;
            names.contains(&one.name()) || measure
        };
        Ok(all.into_iter().filter(takes_part).collect())
    }

    fn window<'t>(&self, traces: &'t [Trace]) -> Result<Option<Window<'t>>, Usage> {
        let Some(wanted) = &self.segment else { return Ok(None) };
        let all = traces.iter().flat_map(|trace| trace.segments.iter().map(move |s| (trace, s)));
        let is_it = |(trace, segment): &(&Trace, &Segment)| {
            segment.name == *wanted || format!("{}/{}", trace.name, segment.name) == *wanted
        };
        let Some((trace, segment)) = all.into_iter().find(is_it) else {
            return Err(Usage::of("--segment", format!("no segment is called `{wanted}`")));
        };
        let to = self.to.unwrap_or(self.from.saturating_add(Duration::from_secs(10)));
        if to <= self.from {
            return Err(Usage::of("--to", "the timeline must end after its begin"));
        }
        let [from, to] = [self.from, to].map(|at| u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
        Ok(Some(Window { trace: &trace.name, segment, from, to }))
    }
}

/// Writes a file in one step.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    use anyhow::Context;

    std::fs::write(path, text).with_context(|| path.display().to_string())
}

/// A line of a report.
fn line(text: impl core::fmt::Display) {
    say::line(text);
}

impl Race {
    /// Hours that were judged.
    pub(crate) fn hours(&self) -> f64 {
        self.points.0.first().map_or(0.0, |point| point.outcome.observed / 3.6e12)
    }
}
