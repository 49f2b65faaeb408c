//! `heartbeat serve`: answers heartbeats over TCP and UDP.

mod fleet;
pub(crate) mod tcp;
mod udp;

use core::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use heartbeat_proto::adapter::{Notice, Setup};
use heartbeat_proto::{Config, Liveness};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::{JoinError, JoinSet};
use tokio_rustls::TlsAcceptor;

use self::fleet::FleetArgs;
use self::tcp::Manner;
use crate::lines::{self, Lines};
use crate::logging::Logging;
use crate::rules::{Opened, Rules, reload};
use crate::{say, stop, tls, trace};

/// Answer heartbeats over TCP and UDP, and find dead clients.
///
/// TCP clients are watched in turn by the rules given; what else they send is read and dropped.
/// UDP is answered without any state: one pong for a ping, never longer than it, so that a forged
/// sender's address gains nothing. Ctrl-C says goodbye to all TCP clients, waits for them for at
/// most two seconds, and ends with 0; a second Ctrl-C ends at once.
///
/// With --fleet UDP peers are watched, too: whoever sends one ping and answers what it is sent from
/// then on. A peer declared dead is told so by a goodbye. At the end all are told, 100,000 a second.
///
/// With --config the rules come from a file, too, that is read again when it changes and at SIGHUP.
/// (Those of a fleet are the rules for everybody at the start.)
///
/// Exit codes: 0 ended by Ctrl-C or SIGTERM, 1 an address cannot be listened on or a service has
/// failed (all others are ended then), 2 bad usage or configuration.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Listen on this TCP address (port 0: any) [default: 127.0.0.1:7007 unless --udp is given]
    #[arg(long, value_name = "ADDR")]
    tcp: Option<SocketAddr>,
    /// Answer on this UDP address (port 0: any)
    ///
    /// On a host with several addresses name the one that is asked: from `0.0.0.0` and `::` answers
    /// leave under the address that the system chooses.
    #[arg(long, value_name = "ADDR")]
    udp: Option<SocketAddr>,
    /// TCP clients at one time; further ones wait in the system's queue
    #[arg(long, value_name = "N", default_value_t = 1024)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_clients: u32,
    /// TCP clients must speak TLS: the server's certificate chain and its key (PEM)
    #[arg(long, num_args = 2, value_names = ["CERT", "KEY"])]
    tls: Option<Vec<PathBuf>>,
    #[command(flatten)]
    fleet: FleetArgs,
    #[command(flatten)]
    logging: Logging,
    #[command(flatten)]
    rules: Rules,
}

/// Where to listen if nothing is said.
const DEFAULT: &str = "127.0.0.1:7007";

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let opened = args.rules.open(&Config::builder())?;
    let tls = match args.tls.as_deref() {
        Some([certificate, key]) => Some(tls::acceptor(certificate, key)?),
        _ => None,
    };
    let trace = args.logging.start();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let log = lines::start(|line| say::line(line));
    let ended = runtime.block_on(serve(args, opened, tls, log.clone()));
    // With it go the last tasks that write to the log.
    runtime.shutdown_timeout(stop::DRAIN_LIMIT);
    log.finish();
    trace.iter().for_each(Lines::finish);
    ended
}

async fn serve(
    args: &Args,
    opened: Opened,
    tls: Option<TlsAcceptor>,
    log: Lines,
) -> anyhow::Result<ExitCode> {
    let (stopper, mut stop) = stop::pair();
    stopper.clone().stop_on_signal();
    let mut services: JoinSet<anyhow::Result<()>> = JoinSet::new();
    let told = log.clone();
    let rules = reload::follow(opened, move |reloaded| {
        trace::rules(&reloaded);
        told.line(format_args!("rules {reloaded}"));
    });
    let config = rules.clone();
    let tcp = match (args.tcp, args.udp) {
        (None, None) => Some(DEFAULT.parse()?),
        (tcp, _) => tcp,
    };
    if let Some(address) = tcp {
        let socket = TcpListener::bind(address).await;
        let socket = socket.with_context(|| format!("cannot listen on {address}/tcp"))?;
        let address = socket.local_addr()?;
        let over = if tls.is_some() { ", TLS" } else { "" };
        let config = rules.borrow().of("").config;
        log.line(format_args!("listening on {address}/tcp{over}: {config}"));
        let (clients, book) = (log.clone(), rules.clone());
        let setup = move |peer: SocketAddr| {
            let log = clients.clone();
            let config = book.borrow().of(&peer.to_string()).config;
            Setup::new(config).observer(move |notice| told_by(&log, peer, notice))
        };
        let manner = Manner { setup, tls, rules: Some(rules) };
        let tcp = tcp::serve(socket, args.max_clients, manner, log.clone(), stop.clone());
        services.spawn(async {
            tcp.await;
            Ok(())
        });
    }
    if let Some(address) = args.udp.filter(|_| args.fleet.wanted()) {
        let config = config.borrow().of("").config;
        services.spawn(args.fleet.start(address, config, &log)?.report(stop.clone()));
    } else if let Some(address) = args.udp {
        let socket = UdpSocket::bind(address).await;
        let socket = socket.with_context(|| format!("cannot listen on {address}/udp"))?;
        let address = socket.local_addr()?;
        log.line(format_args!("listening on {address}/udp: answers pings, keeps no state"));
        let udp = udp::reflect(socket, log.clone(), stop.clone());
        services.spawn(async {
            udp.await;
            Ok(())
        });
    }
    let first = tokio::select! {
        () = stop.wanted() => None,
        // None ends of its own accord.
        ended = services.join_next() => ended,
    };
    stopper.stop();
    log.line("draining: goodbye to all clients");
    let mut all = first.map_or(Ok(()), ended);
    while let Some(next) = services.join_next().await {
        all = all.and(ended(next));
    }
    log.line("ended");
    all.map(|()| ExitCode::SUCCESS)
}

/// A service that panicked has failed like any other.
fn ended(service: Result<anyhow::Result<()>, JoinError>) -> anyhow::Result<()> {
    service.unwrap_or_else(|error| Err(error.into()))
}

/// Logs what a client's heart told.
fn told_by(log: &Lines, client: SocketAddr, notice: Notice) {
    trace::notice(&client, &notice);
    match notice {
        Notice::Changed { from: Liveness::Idle, .. } => {
            log.line(format_args!("{client} connected"));
        }
        // The change of liveness before it said so.
        Notice::Ended(ended) if ended.report().is_some() => {}
        notice => log.line(format_args!("{client} {notice}")),
    }
}
