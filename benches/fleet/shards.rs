//! Shards on threads of one process, beside as many processes with one fleet each: what it costs
//! to share a process.

use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::thread;

use anyhow::{Result, ensure};
use heartbeat_proto::detector::Deadline;

use crate::drive::{Figures, Plan, drive_made};
use crate::structures::fleet::Ours;
use crate::work::{Mode, Work};

/// So many shards, with so many peers each.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) shards: usize,
    pub(crate) peers: u32,
    pub(crate) steps: u64,
}

/// Prints the ratio of each run, and the median. All of a run go at the same time, so they share
/// caches and memory either way. Each is timed by the time that its thread had.
pub(crate) fn compare(crowd: Crowd, runs: u64) -> Result<()> {
    ensure!((1..=256).contains(&crowd.shards) && runs > 0, "1 to 256 shards, and a run");
    let alone = Crowd { shards: 1, ..crowd };
    let mut ratios = Vec::new();
    for run in 0..runs {
        let (threads, processes);
        if run % 2 == 0 {
            threads = measure(crowd, 1, run)?;
            processes = measure(alone, crowd.shards, run)?;
        } else {
            processes = measure(alone, crowd.shards, run)?;
            threads = measure(crowd, 1, run)?;
        }
        let ratio = processes / threads;
        let Crowd { shards, peers, .. } = crowd;
        println!(
            "{shards} shards of {peers}: {threads:.1} ns a heartbeat on threads, {processes:.1} ns in \
             processes, ratio {ratio:.3}"
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.3} (above 1: threads are faster)", ratios[ratios.len() / 2]);
    Ok(())
}

/// Nanoseconds for a heartbeat, over all shards of so many processes.
fn measure(crowd: Crowd, processes: usize, run: u64) -> Result<f64> {
    let children = (0..processes).map(|_| begin(crowd, run)).collect::<Result<Vec<_>>>()?;
    let (mut nanos, mut pongs) = (0, 0);
    for child in children {
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for line in String::from_utf8(output.stdout)?.lines() {
            let figures: Figures = line.parse()?;
            nanos += figures.pong_nanos + figures.step_nanos;
            pongs += figures.pongs;
        }
    }
    ensure!(pongs > 0, "no pongs");
    Ok(nanos as f64 / pongs as f64)
}

fn begin(crowd: Crowd, run: u64) -> Result<Child> {
    let child = Command::new(std::env::current_exe()?)
        .args(["--shards", &crowd.shards.to_string(), "--peers", &crowd.peers.to_string()])
        .args(["--steps", &crowd.steps.to_string(), "--run", &run.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    Ok(child)
}

/// One process: prints the bare numbers of each shard.
pub(crate) fn be_one_run(crowd: Crowd, run: u64) -> Result<()> {
    let work = Work::new(Mode::General, crowd.peers);
    let skip = work.warm_up() + run * crowd.steps;
    let plan = Plan { work, evict_mib: 0, skip, steps: crowd.steps };
    let shards = Ours::<Deadline>::shards(&work, crowd.shards);
    let start = Barrier::new(shards.len());
    thread::scope(|threads| {
        for (ours, keys) in shards {
            let (start, plan) = (&start, &plan);
            threads.spawn(move || {
                start.wait();
                println!("{}", drive_made(plan, |_| (ours, keys)));
            });
        }
    });
    Ok(())
}
