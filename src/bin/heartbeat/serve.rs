//! `heartbeat serve`: answers heartbeats over TCP and UDP.

pub(crate) mod log;
pub(crate) mod tcp;
mod udp;

use core::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use heartbeat_proto::adapter::{Notice, Setup};
use heartbeat_proto::{Config, Liveness};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use self::log::Log;
use crate::rules::{self, Rules};
use crate::stop;

/// Answer heartbeats over TCP and UDP, and find dead clients.
///
/// TCP clients are watched in turn by the rules given; what else they send is read and dropped.
/// UDP is answered without any state: one pong for a ping, never longer than it, so that a forged
/// sender's address gains nothing. Ctrl-C says goodbye to all TCP clients, waits for them for at
/// most two seconds, and ends with 0; a second Ctrl-C ends at once.
///
/// Exit codes: 0 ended by Ctrl-C or SIGTERM, 1 an address cannot be listened on, 2 bad usage or
/// configuration.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Listen on this TCP address (port 0: any) [default: 127.0.0.1:7007 unless --udp is given]
    #[arg(long, value_name = "ADDR")]
    tcp: Option<SocketAddr>,
    /// Answer on this UDP address (port 0: any)
    #[arg(long, value_name = "ADDR")]
    udp: Option<SocketAddr>,
    /// TCP clients at one time; further ones wait in the system's queue
    #[arg(long, value_name = "N", default_value_t = 1024)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_clients: u32,
    #[command(flatten)]
    rules: Rules,
}

/// Where to listen if nothing is said.
const DEFAULT: &str = "127.0.0.1:7007";

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = args.rules.config(&Config::builder())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (log, printer) = log::start();
    let ended = runtime.block_on(serve(args, config, log));
    // With it go the last tasks that hold the log.
    runtime.shutdown_timeout(stop::DRAIN_LIMIT);
    printer.finish();
    ended
}

async fn serve(args: &Args, config: Config, log: Log) -> anyhow::Result<ExitCode> {
    let (stopper, mut stop) = stop::pair();
    let mut services = JoinSet::new();
    let tcp = match (args.tcp, args.udp) {
        (None, None) => Some(DEFAULT.parse()?),
        (tcp, _) => tcp,
    };
    if let Some(address) = tcp {
        let socket = TcpListener::bind(address).await;
        let socket = socket.with_context(|| format!("cannot listen on {address}/tcp"))?;
        let address = socket.local_addr()?;
        log.line(format_args!("listening on {address}/tcp: {}", rules::describe(&config)));
        let clients = log.clone();
        let setup = move |peer| {
            let log = clients.clone();
            Setup::new(config).observer(move |notice| told(&log, peer, notice))
        };
        services.spawn(tcp::serve(socket, args.max_clients, setup, log.clone(), stop.clone()));
    }
    if let Some(address) = args.udp {
        let socket = UdpSocket::bind(address).await;
        let socket = socket.with_context(|| format!("cannot listen on {address}/udp"))?;
        let address = socket.local_addr()?;
        log.line(format_args!("listening on {address}/udp: answers pings, keeps no state"));
        services.spawn(udp::reflect(socket, log.clone(), stop.clone()));
    }
    tokio::spawn(stopper.stop_on_signal());
    stop.wanted().await;
    log.line("draining: goodbye to all clients");
    while services.join_next().await.is_some() {}
    log.line("ended");
    Ok(ExitCode::SUCCESS)
}

/// Logs what a client's heart told.
fn told(log: &Log, client: SocketAddr, notice: Notice) {
    match notice {
        Notice::Changed { from: Liveness::Idle, .. } => {
            log.line(format_args!("{client} connected"));
        }
        // The change of liveness before it said so.
        Notice::Ended(ended) if ended.report().is_some() => {}
        notice => log.line(format_args!("{client} {notice}")),
    }
}
