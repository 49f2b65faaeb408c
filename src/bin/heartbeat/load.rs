//! `heartbeat load`: simulates the peers of a gateway.

mod addresses;
mod latencies;
mod life;
mod pace;
mod peer;
mod retry;
mod tally;
mod view;
mod world;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::process::ExitCode;

use anyhow::Context;
use heartbeat_proto::Timestamp;
use heartbeat_proto::adapter::StdClock;

use self::addresses::Addresses;
use self::view::{Run, View, Wire};
use self::world::{Plan, World};
use crate::batch::{Receiver, Sender, Socket};
use crate::stop::{self, Stop};
use crate::usage::Usage;

/// Simulate the peers of a gateway, and check what it says of them.
///
/// Each peer has an address of its own on one socket: it asks to join (evenly over --ramp), answers
/// the pings of `heartbeat serve --udp ADDR --fleet`, and leaves at the end. Some are killed: they
/// fall silent for ever, and the gateway's goodbye to them tells when it noticed. Some leave in
/// between and join anew. A goodbye to a peer that lives is a false verdict; that peer joins anew.
/// (Frames are not sealed: a gateway with --key lets nobody in.)
///
/// Peers of a gateway on 127.0.0.0/8 live at 127.1.0.0 and after. For another gateway name with
/// --from the first of as many addresses that are this host's.
///
/// The same seed chooses the same peers and losses, as far as what comes in is the same.
///
/// With --json one object a line: `event` is `snapshot` each second, and `ended`. All have
///
///     time, event, present, asked, joined, sent, received, lost, unsent, overrun, pings,
///     own_pings, churned, killed, found, late, undecided, false, forgotten, outside, waiting,
///     dismissed, strays, own_lateness_ms, join_ms, own_ping_ms, detection_ms {p50, p90, p99,
///     p99_9, max} (or null)
///
/// Datagrams are `lost` by chance (--loss), `unsent` where this host's buffers were full or it knows
/// no way, and `overrun` where they came faster than they were read (null: unknown). Of the killed
/// some are `found`, some `late`; those that at the end were killed within --bound, or forgotten by
/// a gateway that ended, are `undecided`. At the end, `forgotten` are the living that are in and
/// have not heard from the gateway for --bound, `outside` those that asked for so long and are not
/// in, `waiting` those that asked for less: a run shorter than that blames nobody. `dismissed` were
/// sent away by a gateway that ended, and ask again. `own_lateness_ms` is how late this program was
/// itself, at most: peers that it kept from answering were rightly declared dead.
///
/// Exit codes: 0 every verdict was right and within --bound, 1 one was false or late, or peers were
/// forgotten or not let in, 2 bad usage.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[allow(rustdoc::invalid_rust_codeblocks, reason = "a form for the terminal, no code")]
pub(crate) struct Args {
    /// The gateway's address: 127.0.0.1:7007, say
    #[arg(value_name = "ADDR")]
    gateway: SocketAddr,
    /// How many peers
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    peers: u32,
    /// All have asked to join within this time
    #[arg(long, value_name = "SPAN", default_value = "10s")]
    #[arg(value_parser = span)]
    ramp: Duration,
    /// All leave after this time
    #[arg(long = "for", value_name = "SPAN", default_value = "5m")]
    #[arg(value_parser = span)]
    length: Duration,
    /// The share of datagrams that are lost, each way: 1%
    #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = share)]
    loss: f64,
    /// So often a peer leaves and joins anew, after the ramp
    #[arg(long, value_name = "N", default_value_t = 0)]
    churn: u32,
    /// So many peers fall silent for ever, after the ramp and --bound before the end at the latest
    #[arg(long, value_name = "N", default_value_t = 0)]
    kill: u32,
    /// Within this time the gateway must notice: the worst case of its rules
    #[arg(long, value_name = "SPAN", default_value = "95s")]
    #[arg(value_parser = span)]
    bound: Duration,
    /// Each peer pings of its own accord, too, so often
    #[arg(long, value_name = "SPAN", value_parser = span)]
    ping: Option<Duration>,
    /// The address of the first peer; the others follow it [default: 127.1.0.0 on loopback]
    #[arg(long, value_name = "IP")]
    from: Option<IpAddr>,
    /// What chance begins with
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// One JSON object a line: a snapshot each second, and the end
    #[arg(long)]
    json: bool,
}

/// Positive, and a year at most.
fn span(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if span.is_zero() || span > Duration::from_secs(366 * 86_400) {
        return Err("more than 0s, and 366 days at most".to_owned());
    }
    Ok(span)
}

/// `1%` or `0.01`, from none up to half.
fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (text, 1.0),
    };
    let share = number.parse::<f64>().map_err(|error| error.to_string())? / unit;
    if (0.0..=0.5).contains(&share) { Ok(share) } else { Err("from 0% to 50%".to_owned()) }
}

impl Args {
    fn plan(&self) -> Result<Plan, Usage> {
        if self.length < self.ramp {
            return Err(Usage::of("--for", "at least as long as --ramp"));
        }
        if self.kill > 0 && self.length.saturating_sub(self.ramp) <= self.bound {
            return Err(Usage::of("--for", "with --kill longer than --ramp and --bound together"));
        }
        if self.churn > 0 && self.length == self.ramp {
            return Err(Usage::of("--for", "with --churn longer than --ramp"));
        }
        if self.gateway.ip().is_unspecified() || self.gateway.port() == 0 {
            return Err(Usage::of("ADDR", "one that answers can come from"));
        }
        if self.kill > self.peers {
            return Err(Usage::of("--kill", "no more than --peers"));
        }
        let &Self { peers, ramp, length, loss, churn, kill, bound, ping, seed, .. } = self;
        Ok(Plan { peers, ramp, length, loss, churn, kill, bound, ping, seed })
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let plan = args.plan()?;
    let addresses = Addresses::new(args.from, args.peers, args.gateway)?;
    let any = match args.gateway {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = Socket::bind(SocketAddr::new(any, 0), false).context("no socket")?;
    let socket = socket.name_destinations().context("no socket")?;
    let place = match (addresses.of(0), socket.local_addr()?.port()) {
        (Some(first), port) => format!("{} and after", SocketAddr::new(first, port)),
        (None, port) => format!("port {port}"),
    };
    let (receiver, sender) = socket.split()?;
    // For the signals alone.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (stopper, stop) = stop::pair();
    runtime.block_on(async { stopper.stop_on_signal() });
    let clock = StdClock::new();
    let world = World::new(plan, clock.now())?;
    let view = View::new(args.json, args.length)?;
    let outlet = Outlet { gateway: args.gateway, addresses, sender, unsent: None };
    let mut load = Load { world, clock, outlet, receiver, view, stop };
    load.drive()?;
    let took = clock.now().saturating_duration_since(Timestamp::EPOCH);
    let (tally, wire, unsent) = (&load.world.tally, load.wire(), load.outlet.unsent.as_ref());
    load.view.end(&Run { plan: &plan, place: &place, took, tally, wire, unsent });
    let good = tally.is_good();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(crate::LOST) })
}

/// The world, and what joins it to the real one.
struct Load {
    world: World,
    clock: StdClock,
    outlet: Outlet,
    receiver: Receiver,
    view: View,
    stop: Stop,
}

/// Where datagrams leave. What cannot be sent is lost, as datagrams may be, and counted.
struct Outlet {
    gateway: SocketAddr,
    addresses: Addresses,
    sender: Sender,
    /// Why the last one that was not sent was not.
    unsent: Option<std::io::Error>,
}

impl Outlet {
    fn send(&mut self, peer: u32, bytes: &[u8]) {
        let sent = self.sender.push(self.gateway, self.addresses.of(peer), bytes);
        self.note(sent);
    }

    fn flush(&mut self) {
        let sent = self.sender.flush();
        self.note(sent);
    }

    fn note(&mut self, sent: std::io::Result<()>) {
        if let Err(error) = sent {
            self.unsent = Some(error);
        }
    }
}

/// Datagrams that are sent before what has come is read again; fewer while more comes than is read
/// at once. Otherwise requests to join bury the answers to them, and are repeated.
const BUDGET: usize = 256;
const BUDGET_BEHIND: usize = 16;

/// Batches that are read before more is sent.
const READS: usize = 32;

/// What is due within this time is done together.
const SLACK: Duration = Duration::from_millis(1);

/// How long the loop may sleep: it looks for the wish to end.
const NAP: Duration = Duration::from_millis(100);

impl Load {
    fn drive(&mut self) -> std::io::Result<()> {
        let (mut stopped, mut budget) = (false, BUDGET);
        let mut last = self.clock.now();
        while !self.world.is_over() {
            let now = self.clock.now();
            // It comes round when something is due, and after each nap.
            let nap = last.saturating_add(NAP);
            let due = self.world.next_deadline().map_or(nap, |due| due.min(nap));
            self.world.tally.was_due(due, now);
            last = now;
            if !stopped && self.stop.is_wanted() {
                stopped = true;
                self.world.stop(now);
            }
            let outlet = &mut self.outlet;
            self.world.advance(now, budget, &mut |peer, bytes: &[u8]| outlet.send(peer, bytes));
            outlet.flush();
            budget = if self.receive()? { BUDGET } else { BUDGET_BEHIND };
            let now = self.clock.now();
            let since = now.saturating_duration_since(Timestamp::EPOCH);
            if self.view.is_due(since) {
                self.view.show(since, &self.world.tally, self.wire());
            }
        }
        Ok(())
    }

    /// Waits for datagrams until something is due, and answers them. Whether that was all.
    fn receive(&mut self) -> std::io::Result<bool> {
        let outlet = &mut self.outlet;
        let (gateway, addresses) = (outlet.gateway, outlet.addresses);
        let mut out = |peer, bytes: &[u8]| outlet.send(peer, bytes);
        let now = self.clock.now();
        let due = self.world.next_deadline().map(|due| due.saturating_duration_since(now));
        let mut wait = match due {
            Some(Duration::ZERO) => Duration::ZERO,
            due => due.unwrap_or(NAP).clamp(SLACK, NAP),
        };
        let (world, clock) = (&mut self.world, self.clock);
        let mut all = false;
        for _ in 0..READS {
            let mut came = None;
            let count = self.receiver.receive(wait, |from, to, bytes| {
                let now = *came.get_or_insert_with(|| clock.now());
                match addresses.peer(to).filter(|_| from == gateway) {
                    Some(peer) => world.datagram(now, peer, bytes, &mut out),
                    None => world.tally.strays += 1,
                }
            })?;
            all = count == 0;
            if all {
                break;
            }
            wait = Duration::ZERO;
        }
        self.outlet.flush();
        Ok(all)
    }

    fn wire(&self) -> Wire {
        Wire { sent: self.outlet.sender.sent(), overrun: self.receiver.lost() }
    }
}
