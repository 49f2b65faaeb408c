//! Millions of peers: the fleet beside what people use instead, and beside what is possible, in one
//! run.
//!
//! `cargo run --release --manifest-path benches/fleet/Cargo.toml -- --help`
//!
//! Every run of every structure is a process of its own, so that none inherits another's heap; the
//! structures take turns, so that a noisy machine is noisy for all. Lines are medians over the
//! runs, but for the worst step, which is the worst of all. It is checked that all did the same
//! work.

#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod drive;
mod edges;
mod monitor;
mod plot;
mod report;
mod shards;
mod stopwatch;
mod structure;
mod structures;
mod work;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};

use crate::drive::{Figures, Plan};
use crate::report::{Row, Temperature};
use crate::shards::Crowd;
use crate::structures::Name;
use crate::work::{Mode, Work};

const ALL_MODES: [Mode; 3] = [Mode::General, Mode::Uniform, Mode::Passive];
const BOTH: [Temperature; 2] = [Temperature::Warm, Temperature::Cold];

/// Measures structures that watch peers.
#[derive(Clone, Debug, Parser)]
struct Arguments {
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = ALL_MODES)]
    modes: Vec<Mode>,
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = BOTH)]
    temperatures: Vec<Temperature>,
    /// How many peers; ten million too, if asked for.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000])]
    peers: Vec<u32>,
    /// All of them, if not said.
    #[arg(long, value_enum, value_delimiter = ',')]
    structures: Vec<Name>,
    /// Runs of each structure.
    #[arg(long, default_value_t = 3)]
    runs: u64,
    /// Steps of 8.39 ms that are measured in a warm run. Each run goes on where the last one ended.
    #[arg(long, default_value_t = 1200)]
    steps: u64,
    /// The same for a cold run.
    #[arg(long, default_value_t = 200)]
    cold_steps: u64,
    /// How much is read before each cold step. More than the caches hold, or it is not cold.
    #[arg(long, default_value_t = 96)]
    evict_mib: usize,
    /// Draws what a heartbeat costs by the number of peers into this folder (SVG).
    #[arg(long)]
    plots: Option<PathBuf>,
    /// Instead of all that: so many shards on as many threads, with all the peers each, beside as
    /// many processes with a fleet each.
    #[arg(long)]
    shards: Option<usize>,
    /// Instead of all that: the longest calls while a fleet grows, while peers come and go, and when
    /// all fall silent.
    #[arg(long)]
    edges: bool,
    /// How many come and go then.
    #[arg(long, default_value_t = 10_000_000)]
    churned: u32,
    /// One structure's one run, in this process: prints bare numbers.
    #[arg(long, hide = true)]
    run: Option<u64>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let (Some(shards), &[peers, ..]) = (arguments.shards, arguments.peers.as_slice()) {
        let crowd = Crowd { shards, peers, steps: arguments.steps };
        return match arguments.run {
            Some(run) => shards::be_one_run(crowd, run),
            None => shards::compare(crowd, arguments.runs),
        };
    }
    if let Some(run) = arguments.run {
        return be_one_run(&arguments, run);
    }
    if arguments.edges {
        return arguments
            .peers
            .iter()
            .try_for_each(|&peers| edges::measure(peers, arguments.churned));
    }
    println!("{}", report::HEADER);
    let mut all = Vec::new();
    for &mode in &arguments.modes {
        for &peers in &arguments.peers {
            for &temperature in &arguments.temperatures {
                let rows = measure(&arguments, mode, temperature, peers)?;
                rows.iter().for_each(|row| println!("{row}"));
                report::ratios(&rows);
                all.extend(rows);
            }
        }
    }
    report::growth(&all);
    arguments.plots.as_deref().map_or(Ok(()), |folder| plot::all(folder, &all))
}

/// All structures in turn, several times.
fn measure(
    arguments: &Arguments,
    mode: Mode,
    temperature: Temperature,
    peers: u32,
) -> Result<Vec<Row>> {
    let chosen = match arguments.structures.as_slice() {
        [] => Name::value_variants(),
        some => some,
    };
    let mut rows: Vec<Row> = chosen
        .iter()
        .filter(|name| name.can(mode))
        .map(|&name| Row { mode, temperature, peers, name, runs: Vec::new() })
        .collect();
    for run in 0..arguments.runs {
        for row in &mut rows {
            let figures = child(arguments, row, run)
                .with_context(|| format!("{} peers in {:?}", row.peers, row.name))?;
            row.runs.push(figures);
        }
    }
    check(&rows)?;
    Ok(rows)
}

fn child(arguments: &Arguments, row: &Row, run: u64) -> Result<Figures> {
    let Arguments { steps, cold_steps, evict_mib, .. } = arguments;
    let output = Command::new(std::env::current_exe()?)
        .args(["--modes", &report::word(&row.mode)])
        .args(["--temperatures", &report::word(&row.temperature)])
        .args(["--structures", &report::word(&row.name)])
        .args(["--peers", &row.peers.to_string(), "--run", &run.to_string()])
        .args(["--steps", &steps.to_string(), "--cold-steps", &cold_steps.to_string()])
        .args(["--evict-mib", &evict_mib.to_string()])
        .output()?;
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout)?.parse()
}

fn be_one_run(arguments: &Arguments, run: u64) -> Result<()> {
    let (&[mode], &[temperature], &[peers], &[name]) = (
        arguments.modes.as_slice(),
        arguments.temperatures.as_slice(),
        arguments.peers.as_slice(),
        arguments.structures.as_slice(),
    ) else {
        bail!("one run is of one structure");
    };
    let work = Work::new(mode, peers);
    let (steps, evict_mib) = match temperature {
        Temperature::Warm => (arguments.steps, 0),
        Temperature::Cold => (arguments.cold_steps, arguments.evict_mib),
    };
    let skip = work.warm_up() + run * steps;
    println!("{}", name.drive(&Plan { work, evict_mib, skip, steps }));
    Ok(())
}

/// All did the same work. Phases and jitter are everyone's own, so counts differ by a little; of
/// verdicts there are few, and they scatter.
fn check(rows: &[Row]) -> Result<()> {
    let same = |a: u64, b: u64, share: f64, deviations: f64| {
        let (a, b) = (a as f64, b as f64);
        (a - b).abs() <= share * a.max(b) + deviations * a.max(b).sqrt() + 1.0
    };
    for row in rows {
        let is_limit = row.name.kind() == structures::Kind::Limit;
        // The limit pings evenly; the others still in waves, as they began.
        let share = if is_limit { 0.05 } else { 0.01 };
        for (own, first) in row.runs.iter().zip(&rows[0].runs) {
            let context = || format!("{:?}: {own:?}\n{:?}: {first:?}", row.name, rows[0].name);
            ensure!(own.pongs > 0, "no pongs: {}", context());
            ensure!(same(own.pings, first.pings, share, 5.0), "pings differ: {}", context());
            ensure!(same(own.pongs, first.pongs, share, 5.0), "pongs differ: {}", context());
            if is_limit {
                continue; // It never looks for silence.
            }
            ensure!(same(own.verdicts, first.verdicts, 0.0, 7.0), "verdicts: {}", context());
            ensure!(row.mode != Mode::Passive || own.verdicts == 0, "died: {}", context());
        }
    }
    Ok(())
}
