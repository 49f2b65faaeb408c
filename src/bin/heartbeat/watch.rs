//! `heartbeat watch`: keeps connections alive and shows how they are.

mod heart;
mod news;
mod plan;
mod record;
mod stream;
mod task;
mod udp;
mod view;

use core::num::NonZeroU64;
use core::time::Duration;
use std::path::PathBuf;
use std::process::ExitCode;

use heartbeat_proto::adapter::TokioClock;
use heartbeat_proto::{Config, ConfigBuilder, FirstPing, Probing};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::news::{News, Over};
use self::plan::Comeback;
use self::task::Task;
pub(crate) use self::udp::connect as connect_udp;
use self::view::View;
use crate::lines::Lines;
use crate::logging::Logging;
use crate::rules::{Opened, Rules, reload};
use crate::tls::Trust;
use crate::usage::Usage;
use crate::{stop, trace};

/// Keep connections alive and show how they are.
///
/// Connects to each address (`heartbeat serve` answers, and so does every program that wraps its
/// stream with this library), pings it by the rules given, and tells every change with its
/// evidence: on a terminal one live line an address, otherwise plain lines, with --json one object
/// a line. Ctrl-C says goodbye and ends; a second Ctrl-C ends at once.
///
/// A lost peer is over, unless --retries or --give-up say otherwise: then it is connected again,
/// after a back-off that depends on the cause.
///
/// With --json each line has `time`, `address` (null: about the program) and `event`:
///
///     connecting    attempt
///     connected     to, interval_ms, timeout_ms, promise_ms
///     transition    from, to, report {reason, fault, silence_ms, missed, attempts, last_rtt_ms,
///                   own_lateness_ms, unwritten_ms, text}
///     found         findings [name]
///     snapshot      state, suspicion, rtt_ms, rtt_p50_ms, rtt_p99_ms, pings, pongs, misses,
///                   suspicions, late_calls, own_lateness_p99_ms, own_lateness_max_ms, mistakes,
///                   mean_mistake_ms, accuracy (of this peer, over all its connections)
///     waiting       cause, delay_ms
///     reconfigured  changes [{knob, old, new}]
///     rules         accepted, changes {address ("" for all): [{knob, old, new}]}, text
///     ended         on_purpose, code, text, last (a snapshot, or null)
///
/// Spans are milliseconds, null is unknown. Fields may be added, none will be renamed.
///
/// Exit codes: 0 everything ended on purpose (Ctrl-C, --for, --count, a goodbye of the peer), 1 a
/// peer was lost and not regained, or could not be reached, 2 bad usage or configuration.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
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
    /// Over TLS; the peer's certificate must be vouched for
    #[arg(long, conflicts_with = "udp")]
    tls: bool,
    /// By the certificates in this file (PEM), and not by those that the system trusts
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca: Option<PathBuf>,
    /// The name in the peer's certificate, if it is not the host of ADDR
    #[arg(long, value_name = "NAME", requires = "tls")]
    server_name: Option<String>,
    #[command(flatten)]
    logging: Logging,
    #[command(flatten)]
    comeback: Comeback,
    #[command(flatten)]
    rules: Rules,
}

/// `host:port`, so that a slip is a usage error and not one of the network.
pub(crate) fn address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(port)) if port != 0 => Ok(text.to_owned()),
        _ => Err("an address is host:port, 192.0.2.1:7007 or [2001:db8::1]:7007, say".to_owned()),
    }
}

/// What rules begin with. An operator wants round trips: at once, and even from a peer that talks by
/// itself.
pub(crate) fn base() -> ConfigBuilder {
    Config::builder().probing(Probing::Always).first_ping(FirstPing::Immediate)
}

pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let opened = args.rules.open(&base())?;
    let trust = if args.tls {
        Some(Trust::new(args.ca.as_deref(), args.server_name.as_deref())?)
    } else {
        None
    };
    let trace = args.logging.start();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(watch(args, opened, trust));
    trace.iter().for_each(Lines::finish);
    Ok(ended?)
}

async fn watch(args: Args, opened: Opened, trust: Option<Trust>) -> Result<ExitCode, Usage> {
    let (stopper, stop) = stop::pair();
    stopper.clone().stop_on_signal();
    let mut view = View::new(args.json, &args.addresses);
    let every = args.every.unwrap_or(view.usual_period()).max(Duration::from_millis(10));
    let (tell, mut news) = mpsc::unbounded_channel();
    let (tell_rules, mut new_rules) = mpsc::unbounded_channel();
    let rules = reload::follow(opened, move |reloaded| {
        trace::rules(&reloaded);
        // Nobody listens only when the program ends.
        let _ = tell_rules.send(reloaded);
    });
    let mut peers = JoinSet::new();
    for (index, address) in args.addresses.into_iter().enumerate() {
        let (tell, stop, rules) = (tell.clone(), stop.clone(), rules.clone());
        let plan = args.comeback.plan(&rules.borrow().of(&address).config)?;
        let (give_up, count, clock) = (args.comeback.give_up, args.count, TokioClock::new());
        let task = Task {
            index,
            address,
            rules,
            plan,
            give_up,
            every,
            count,
            answered: 0,
            tell,
            stop,
            clock,
        };
        if args.udp {
            peers.spawn(udp::watch(task));
        } else {
            peers.spawn(stream::watch(task, trust.clone()));
        }
    }
    drop((tell, stop));
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
        loop {
            tokio::select! {
                biased;
                Some(reloaded) = new_rules.recv() => view.rules(&reloaded),
                item = news.recv() => {
                    let Some((index, item)) = item else { return lost };
                    let bad = |over: &Over| !matches!(over, Over::OnPurpose { .. });
                    lost |= matches!(&item, News::Over(over) if bad(over));
                    view.show(index, &item);
                }
            }
        }
    };
    let lost = tokio::select! {
        () = limit => false,
        lost = show => lost,
    };
    view.end();
    Ok(if lost { ExitCode::from(crate::LOST) } else { ExitCode::SUCCESS })
}
