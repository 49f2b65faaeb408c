//! `heartbeat simulate`: random worlds by the million, each from one seed.

use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::process::ExitCode;
use std::thread;

use console::style;
use heartbeat_proto::Timestamp;
use heartbeat_proto::adapter::StdClock;
use heartbeat_proto::sim::{Broken, Plan, Simulator, Totals};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::say;

/// Run random networks in virtual time, and hold every machine in them to the invariants.
///
/// Each seed expands to nodes, links, configurations and faults: loss, delay, partitions, crashes,
/// stalls, clocks that step, and more. Then the network heals and must converge. The same seeds
/// give the same digest on every machine, for any number of jobs.
///
/// Exit codes: 0 every invariant held, 1 one was broken (the smallest script that breaks it is
/// printed), 2 bad usage.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many seeds to run
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, value_name = "S", default_value_t = 0)]
    from: u64,
    /// How many threads share them; as many as there are processors by default
    #[arg(long, value_name = "J")]
    jobs: Option<NonZeroUsize>,
    /// Print how often everything happened
    #[arg(long)]
    coverage: bool,
    /// Run this seed alone
    #[arg(long, value_name = "S", conflicts_with_all = ["seeds", "from", "jobs"])]
    seed: Option<u64>,
    /// Print what the seed expands to, and every call
    #[arg(long, requires = "seed")]
    trace: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let (Some(seed), true) = (args.seed, args.trace) {
        return Ok(trace(seed));
    }
    let (from, seeds) = args.seed.map_or((args.from, args.seeds), |seed| (seed, 1));
    let jobs = args.jobs.or_else(|| thread::available_parallelism().ok());
    let clock = StdClock::new();
    let bar = ProgressBar::new(seeds);
    bar.set_style(ProgressStyle::with_template(
        "{elapsed} [{wide_bar}] {human_pos}/{human_len} seeds, {eta} left",
    )?);
    let shared = Shared { next: AtomicU64::new(0), failed: AtomicU64::new(u64::MAX) };
    let (totals, failure) = thread::scope(|scope| {
        let job = || shared.work(from, seeds, &bar);
        let threads: Vec<_> =
            (0..jobs.map_or(1, NonZeroUsize::get)).map(|_| scope.spawn(job)).collect();
        let mut all = (Totals::default(), None::<(u64, Broken)>);
        for thread in threads {
            let (totals, failure) = thread.join().map_err(|_| anyhow::anyhow!("a job panicked"))?;
            all.0.add(&totals);
            let earliest = all.1.map_or(u64::MAX, |(index, _)| index);
            all.1 = failure.filter(|&(index, _)| index < earliest).or(all.1);
        }
        anyhow::Ok(all)
    })?;
    bar.finish_and_clear();
    let took = clock.now().saturating_duration_since(Timestamp::EPOCH);
    report(args, from, &totals, took);
    let Some((index, broken)) = failure else { return Ok(ExitCode::SUCCESS) };
    say::line(style("an invariant is broken").red().bold());
    say::line(Simulator::new().explain(from.wrapping_add(index), broken));
    Ok(ExitCode::from(crate::LOST))
}

/// What the jobs share.
struct Shared {
    /// How many seeds have been taken.
    next: AtomicU64,
    /// The earliest that failed, counted the same way.
    failed: AtomicU64,
}

/// So many seeds are taken at once.
const PORTION: u64 = 500;

impl Shared {
    /// Runs portions of the seeds until there are none, or an earlier one failed.
    fn work(&self, from: u64, seeds: u64, bar: &ProgressBar) -> (Totals, Option<(u64, Broken)>) {
        let mut simulator = Simulator::new();
        loop {
            let first = self.next.fetch_add(PORTION, Ordering::Relaxed);
            if first >= seeds.min(self.failed.load(Ordering::Relaxed)) {
                return (*simulator.totals(), None);
            }
            for index in first..seeds.min(first + PORTION) {
                if let Err(broken) = simulator.run(from.wrapping_add(index)) {
                    self.failed.fetch_min(index, Ordering::Relaxed);
                    return (*simulator.totals(), Some((index, broken)));
                }
            }
            bar.inc(PORTION.min(seeds - first));
        }
    }
}

/// Prints one world, call by call.
fn trace(seed: u64) -> ExitCode {
    let plan = Plan::of(seed);
    say::line(&plan);
    let (notes, broken) = plan.trace();
    notes.iter().for_each(say::line);
    match broken {
        Some(broken) => {
            say::line(style(broken).red().bold());
            ExitCode::from(crate::LOST)
        }
        None => ExitCode::SUCCESS,
    }
}

fn report(args: &Args, from: u64, totals: &Totals, took: Duration) {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = HumanCount(totals.events.saturating_mul(1_000) / millis);
    let years = totals.simulated().as_secs_f64() / (365.25 * 86_400.0);
    say::line(format!("seeds      {} from {from}", HumanCount(totals.seeds)));
    say::line(format!("events     {}", HumanCount(totals.events)));
    say::line(format!("took       {}, {rate} events/s", say::span(took)));
    say::line(format!("simulated  {years:.3} years"));
    say::line(format!("digest     {}", totals.digest));
    let coverage = &totals.coverage;
    counts("verdicts", coverage.verdicts().filter(|&(_, count)| count > 0));
    if args.coverage {
        counts("changes", coverage.changes());
        counts("findings", coverage.findings());
        counts("states", coverage.states());
        counts("faults", coverage.faults());
        counts("traffic", coverage.traffic());
    }
}

fn counts(what: &str, counts: impl Iterator<Item = (&'static str, u64)>) {
    say::line(what);
    for (name, count) in counts {
        say::line(format!("  {name:<18} {:>16}", HumanCount(count).to_string()));
    }
}
