//! `heartbeat record`: makes a trace of a live address, to be replayed.

mod file;
mod probe;

use core::time::Duration;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::file::{File, Sums};
use self::probe::{Probe, Way};
use crate::say::{line, span};
use crate::tls::Trust;
use crate::usage::Usage;
use crate::{stop, watch};

/// Ping addresses steadily and write down what became of each ping, for `heartbeat replay`.
///
/// The peers are those of `heartbeat watch`: `heartbeat serve` answers, and so does every program that
/// wraps its stream with this library. Nobody is judged; a connection that breaks is made again, and
/// begins a new segment. The file is text, and whole after every line, however the program ends:
///
///     heartbeat-trace 1
///     segment ID round-trip ADDR
///     beat ID SEQ SEND_US DELAY_US         (or `lost` instead of the delay)
///     pause ID FROM_US UNTIL_US            (this program itself stood still)
///
/// Times are microseconds, from one origin a segment. What is still under way at the end is left out.
///
/// Exit codes: 0 ended on purpose (Ctrl-C, --for) and every address has answered, 1 one has never, or the
/// file could not be written, 2 bad usage.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[allow(rustdoc::invalid_rust_codeblocks, reason = "a form for the terminal, no code")]
pub(crate) struct Args {
    /// Whom to ping: host:port
    #[arg(required = true, value_name = "ADDR", value_parser = watch::address)]
    addresses: Vec<String>,
    /// The file to write; it must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Over UDP, one ping a datagram
    #[arg(long)]
    udp: bool,
    /// Time between two pings
    #[arg(long, value_name = "SPAN", default_value = "1s")]
    #[arg(value_parser = humantime::parse_duration)]
    interval: Duration,
    /// A ping that is not answered within this time is lost
    #[arg(long, value_name = "SPAN", default_value = "1m")]
    #[arg(value_parser = humantime::parse_duration)]
    patience: Duration,
    /// End after this time
    #[arg(long = "for", value_name = "SPAN", value_parser = humantime::parse_duration)]
    limit: Option<Duration>,
    /// Over TLS; the peer's certificate must be vouched for
    #[arg(long, conflicts_with = "udp")]
    tls: bool,
    /// By the certificates in this file (PEM), and not by those that the system trusts
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca: Option<PathBuf>,
    /// The name in the peer's certificate, if it is not the host of ADDR
    #[arg(long, value_name = "NAME", requires = "tls")]
    server_name: Option<String>,
}

/// More often than this is a load test.
const FASTEST: Duration = Duration::from_millis(1);

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.interval < FASTEST {
        return Err(Usage::of("--interval", "at least 1ms").into());
    }
    if args.patience < args.interval {
        return Err(Usage::of("--patience", "at least as long as --interval").into());
    }
    let way = match (args.udp, args.tls) {
        (true, _) => Way::Udp,
        (_, true) => Way::Tls(Trust::new(args.ca.as_deref(), args.server_name.as_deref())?),
        _ => Way::Tcp,
    };
    let file = File::create(&args.out)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let sums = runtime.block_on(record(args, &way, file))?;
    for (address, sum) in args.addresses.iter().zip(&sums) {
        line(format_args!("{address}: {} answered, {} lost", sum.answered, sum.lost));
        if sum.answered > 0 {
            line(format_args!("{address}: {} to {}", span(sum.least), span(sum.most)));
        }
    }
    let all = sums.iter().all(|sum| sum.answered > 0);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(crate::LOST) })
}

async fn record(args: &Args, way: &Way, mut file: File) -> anyhow::Result<Vec<Sums>> {
    let (stopper, stop) = stop::pair();
    stopper.clone().stop_on_signal();
    let (tell, mut notes) = mpsc::unbounded_channel();
    let mut probes = JoinSet::new();
    for (index, address) in args.addresses.iter().enumerate() {
        let probe = Probe {
            index,
            address: address.clone(),
            way: way.clone(),
            interval: args.interval,
            patience: args.patience,
            tell: tell.clone(),
        };
        let mut stop = stop.clone();
        probes.spawn(async move {
            tokio::select! {
                () = stop.wanted() => {}
                () = probe.run() => {}
            }
        });
    }
    drop((tell, stop));
    if let Some(limit) = args.limit {
        tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            stopper.stop();
        });
    }
    let mut sums = vec![Sums::default(); args.addresses.len()];
    while let Some((index, note)) = notes.recv().await {
        file.write(&note)?;
        if let Some(sum) = sums.get_mut(index) {
            sum.add(&note);
        }
    }
    Ok(sums)
}
