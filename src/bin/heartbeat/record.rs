//! `heartbeat record`: makes a trace of a live address.
use std::process::ExitCode;
/// Record.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}
pub(crate) fn run(_: Args) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
