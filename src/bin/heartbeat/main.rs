//! `heartbeat`: keep connections alive, find dead peers, and see both proved over real sockets.

extern crate alloc;

mod batch;
mod demo;
mod lines;
mod load;
mod logging;
mod over_tcp;
mod record;
mod replay;
mod rules;
mod say;
mod serve;
mod simulate;
mod stop;
mod tls;
mod trace;
mod usage;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Keep connections alive, find dead peers, never kill the living.
///
/// Exit codes: 0 everything ended on purpose, 1 a peer was lost and not regained, or could not be
/// reached (demo and simulate: a promise was broken; replay: the candidate is worse; load: a verdict
/// was false or late), 2 bad usage or configuration.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Watch(watch::Args),
    Record(record::Args),
    Replay(replay::Args),
    Load(load::Args),
    Demo(demo::Args),
    Simulate(simulate::Args),
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Watch(args) => watch::run(args),
        Command::Record(args) => record::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Simulate(args) => simulate::run(&args),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("heartbeat: {error:#}");
        let usage = error.is::<rules::Refused>() || error.is::<usage::Usage>();
        ExitCode::from(if usage { USAGE } else { LOST })
    })
}

/// A peer was lost or could not be reached; a promise was broken (demo, simulate).
const LOST: u8 = 1;
/// The arguments or the configuration make no sense. Clap uses the same.
const USAGE: u8 = 2;
