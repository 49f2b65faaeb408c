//! `heartbeat watch`: keeps connections alive and shows how they are.

mod heart;
mod news;
mod peer;
mod record;
mod view;

use core::num::NonZeroU64;
use core::time::Duration;
use std::process::ExitCode;

use heartbeat_proto::{Config, FirstPing, Probing};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::news::{News, Over};
use self::peer::Task;
use self::view::View;
use crate::rules::Rules;
use crate::stop;

/// Keep connections alive and show how they are.
///
/// Connects to each address (`heartbeat serve` answers, and so does every program that wraps its
/// stream with this library), pings it by the rules given, and tells every change with its
/// evidence: on a terminal one live line an address, otherwise plain lines, with --json one object
/// a line. Ctrl-C says goodbye and ends; a second Ctrl-C ends at once.
///
/// Exit codes: 0 everything ended on purpose (Ctrl-C, --for, --count, a goodbye of the peer), 1 a
/// peer was lost or could not be reached, 2 bad usage or configuration.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Whom to watch: host:port
    #[arg(required = true, value_name = "ADDR", value_parser = address)]
    addresses: Vec<String>,
    /// Over UDP, one heartbeat a datagram
    #[arg(long)]
    udp: bool,
    /// One JSON object a line: every change, and a snapshot now and then
    #[arg(long)]
    json: bool,
    /// End after this time, on purpose
    #[arg(long = "for", value_name = "SPAN", value_parser = humantime::parse_duration)]
    limit: Option<Duration>,
    /// End once each peer has answered so many pings
    #[arg(long, value_name = "N")]
    count: Option<NonZeroU64>,
    /// Time between two snapshots [default: 250ms on a terminal, 1s with --json, else 10s]
    #[arg(long, value_name = "SPAN", value_parser = humantime::parse_duration)]
    every: Option<Duration>,
    #[command(flatten)]
    rules: Rules,
}

/// `host:port`, so that a slip is a usage error and not one of the network.
fn address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(port)) if port != 0 => Ok(text.to_owned()),
        _ => Err("an address is host:port, 192.0.2.1:7007 or [2001:db8::1]:7007, say".to_owned()),
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    // An operator wants round trips: at once, and even from a peer that talks by itself.
    let base = Config::builder().probing(Probing::Always).first_ping(FirstPing::Immediate);
    let config = args.rules.config(&base)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(watch(args, config)))
}

async fn watch(args: Args, config: Config) -> ExitCode {
    let (stopper, stop) = stop::pair();
    let mut view = View::new(args.json, &args.addresses);
    let every = args.every.unwrap_or(view.usual_period()).max(Duration::from_millis(10));
    let (tell, mut news) = mpsc::unbounded_channel();
    let mut peers = JoinSet::new();
    for (index, address) in args.addresses.into_iter().enumerate() {
        let (tell, stop) = (tell.clone(), stop.clone());
        let task = Task { index, address, udp: args.udp, config, every, count: args.count, tell };
        peers.spawn(peer::watch(task, stop));
    }
    drop((tell, stop));
    tokio::spawn(stopper.clone().stop_on_signal());
    let limit = async {
        match args.limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => core::future::pending().await,
        }
        stopper.stop();
        // What follows is bounded by each peer.
        core::future::pending::<()>().await;
    };
    let show = async {
        let mut lost = false;
        while let Some((index, item)) = news.recv().await {
            lost |= matches!(&item, News::Over(over) if !matches!(over, Over::OnPurpose { .. }));
            view.show(index, &item);
        }
        lost
    };
    let lost = tokio::select! {
        () = limit => false,
        lost = show => lost,
    };
    view.end();
    if lost { ExitCode::from(crate::LOST) } else { ExitCode::SUCCESS }
}
