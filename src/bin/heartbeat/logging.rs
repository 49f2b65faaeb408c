//! The log on standard error, for machines and late nights.

use std::io::{IsTerminal, Write};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::lines::{self, Lines};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Logging {
    /// Log to standard error: off, error, warn, info, debug or trace [default: `RUST_LOG`, or off]
    ///
    /// Each verdict and change of liveness is one event with peer, liveness, reason, fault,
    /// silence and `own_lateness` (a lost peer at warn, the others at info); connects and back-offs
    /// are told at info, findings at debug.
    #[arg(long, value_name = "LEVEL")]
    log: Option<LevelFilter>,
}

impl Logging {
    /// What is to be finished at the end, if there is a log.
    pub(crate) fn start(&self) -> Option<Lines> {
        let filter = match self.log {
            Some(level) => Targets::new().with_default(level),
            None => match std::env::var("RUST_LOG").ok()?.parse() {
                Ok(filter) => filter,
                Err(error) => {
                    // It may be meant for another program.
                    eprintln!("heartbeat: RUST_LOG is not understood, nothing is logged: {error}");
                    return None;
                }
            },
        };
        let lines = lines::start(|line| {
            // Whoever closed it wants no log.
            let _ = writeln!(std::io::stderr(), "{line}");
        });
        let writer = lines.clone();
        let layer = fmt::layer()
            .with_writer(move || writer.clone())
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .with_filter(filter);
        tracing_subscriber::registry().with(layer).init();
        Some(lines)
    }
}
