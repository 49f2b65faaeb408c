//! A gateway on each core: peers that join over UDP are watched, all of them.

mod report;
mod turns;
mod worker;

use alloc::sync::Arc;
use core::hash::BuildHasher;
use core::hash::Hasher;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::hash::RandomState;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::Context;
use heartbeat_proto::adapter::StdClock;
use heartbeat_proto::codec::auth::KeyRing;
use heartbeat_proto::fleet::{GuardConfig, ShardedFleet};
use heartbeat_proto::gateway::{Gateway, GatewayConfig, GatewayError};
use heartbeat_proto::{Config, Mode};

use self::report::{Report, Seen};
use self::worker::Worker;
use crate::batch::Socket;
use crate::lines::Lines;
use crate::stop::Stop;
use crate::usage::Usage;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "A fleet of UDP peers")]
pub(crate) struct FleetArgs {
    /// Watch whoever joins over UDP: a peer joins by one ping, answers a challenge, and is pinged
    ///
    /// One line a second tells how many peers there are, and what was sent, heard and refused; a
    /// census is printed at the end. Each thread has a share of the peers, and the caps below are
    /// divided among the threads, but for --per-source, which is for each.
    #[arg(long, requires = "udp")]
    fleet: bool,
    /// Threads, each with a socket of its own [default: one for each core]
    #[arg(long, value_name = "N", requires = "fleet")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Peers at one time, in all; with several threads it may be an eighth more, and 65 a thread
    #[arg(long, value_name = "N", requires = "fleet", default_value_t = 1_048_576)]
    max_peers: u32,
    /// Peers at one time of one IPv4 address or one /64 of IPv6, on each thread
    #[arg(long, value_name = "N", requires = "fleet", default_value_t = 256)]
    per_source: u32,
    /// Peers admitted in a second; challenged are four times as many at most
    #[arg(long, value_name = "N", requires = "fleet", default_value_t = 10_000)]
    joins_per_second: u32,
    /// Hold verdicts for so long at most when half of all peers fall silent together
    #[arg(long, value_name = "SPAN", requires = "fleet", value_parser = humantime::parse_duration)]
    guard: Option<Duration>,
    /// Seal all frames with the secret in this file, 16 bytes or more, as the key number 1
    #[arg(long, value_name = "FILE", requires = "fleet")]
    key: Option<PathBuf>,
}

/// What the threads have in common.
struct Common {
    clock: StdClock,
    stopping: AtomicBool,
    /// By thread.
    seen: Vec<Mutex<Seen>>,
}

/// Gateways that run.
pub(crate) struct Running {
    common: Arc<Common>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
    log: Lines,
}

/// How often the operator is told.
const REPORT: Duration = Duration::from_secs(1);

impl FleetArgs {
    pub(crate) const fn wanted(&self) -> bool {
        self.fleet
    }

    /// Binds, and starts the threads.
    pub(crate) fn start(
        &self,
        address: SocketAddr,
        config: Config,
        log: &Lines,
    ) -> anyhow::Result<Running> {
        if config.reopen_after() > 0 || config.mode() == Mode::Beacon {
            // Nobody would be forgotten who is gone, until all places are taken.
            let keeps = "not with `reopen_after`, nor with `mode = \"beacon\"`: they keep the dead";
            return Err(Usage::of("--fleet", keeps).into());
        }
        let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(256);
        let threads = self.threads.map_or_else(cores, usize::from);
        let clock = StdClock::new();
        let now = clock.now();
        let fleet = ShardedFleet::new(config, threads, random(), now);
        let fleet = fleet.map_err(|error| Usage::of("--fleet", error))?;
        let caps = self.caps(threads)?;
        let keys = self.key.as_deref().map(keys).transpose()?;
        let mut gateways = Vec::new();
        for mut shard in fleet.into_shards() {
            if let Some(hold_most) = self.guard {
                let guarded = shard.set_guard(GuardConfig::new(hold_most));
                guarded.map_err(|error| Usage::of("--guard", error))?;
            }
            let secret = u128::from(random()) << 64 | u128::from(random());
            let gateway = Gateway::new(shard, caps, secret);
            let gateway = gateway.map_err(|error| Usage::of("--fleet", error))?;
            gateways.push(match &keys {
                Some(keys) => gateway.with_keys(keys.clone()),
                None => gateway,
            });
        }
        let sockets = bind(address, threads)
            .with_context(|| format!("cannot listen on {address}/udp, {threads} times"))?;
        let bound = sockets.first().context("no thread")?.local_addr()?;
        let on = if threads == 1 { "thread" } else { "threads" };
        let sealed = if keys.is_some() { ", sealed" } else { "" };
        let fleet = format_args!("a fleet on {threads} {on}{sealed}: {config}");
        log.line(format_args!("listening on {bound}/udp: {fleet}"));
        let seen = gateways.iter().map(|gateway| Mutex::new(Seen::of(gateway))).collect();
        let common = Arc::new(Common { clock, stopping: AtomicBool::new(false), seen });
        let mut running = Running { common, threads: Vec::new(), log: log.clone() };
        for (number, (socket, gateway)) in sockets.into_iter().zip(gateways).enumerate() {
            let common = Arc::clone(&running.common);
            let log = log.clone();
            let name = format!("fleet-{number}");
            let thread = std::thread::Builder::new().name(name).spawn(move || {
                let (receiver, sender) = socket.split().context("udp")?;
                Worker { gateway, receiver, sender, common, number, log }.run();
                Ok(())
            });
            running.threads.push(thread.context("cannot start a thread")?);
        }
        Ok(running)
    }

    /// For one of so many threads.
    fn caps(&self, threads: usize) -> Result<GatewayConfig, Usage> {
        let threads = threads as u32;
        // The system does not spread peers evenly: room for an eighth more, if there are several.
        let share = self.max_peers.div_ceil(threads);
        let uneven = if threads == 1 { 0 } else { share / 8 + 64 };
        let peers = share.saturating_add(uneven).min(self.max_peers);
        let joins = self.joins_per_second.div_ceil(threads);
        let caps = GatewayConfig::new().peers(peers).per_source(self.per_source);
        let caps = caps.joins_per_second(joins).challenges_per_second(joins.saturating_mul(4));
        caps.check().map_err(|error| {
            let flag = match error {
                GatewayError::OutOfRange { field: "peers", .. } => "--max-peers",
                GatewayError::OutOfRange { field: "per_source", .. } => "--per-source",
                _ => "--joins-per-second",
            };
            Usage::of(flag, error)
        })?;
        Ok(caps)
    }
}

/// The secret is all of the file but the end of its last line.
fn keys(path: &Path) -> Result<KeyRing, Usage> {
    let secret = std::fs::read(path)
        .map_err(|error| Usage::of("--key", format_args!("{}: {error}", path.display())))?;
    let secret = secret.strip_suffix(b"\n").unwrap_or(&secret);
    KeyRing::new(1, secret.strip_suffix(b"\r").unwrap_or(secret))
        .map_err(|error| Usage::of("--key", format_args!("{}: {error}", path.display())))
}

/// As many sockets at one address as there are threads.
fn bind(address: SocketAddr, threads: usize) -> std::io::Result<Vec<Socket>> {
    // Those that share their port would share it with another gateway as well, and each would get
    // some peers of the other. One that does not share it is refused where there is any.
    drop(Socket::bind(address, false)?);
    let first = Socket::bind(address, threads > 1)?;
    let bound = first.local_addr()?;
    let others = (1..threads).map(|_| Socket::bind(bound, true));
    core::iter::once(Ok(first)).chain(others).collect()
}

/// From the system, by way of the keys of the standard library's tables.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl Running {
    /// Tells the operator, once a second and at the end, until `stop`; then all peers are told.
    ///
    /// # Errors
    ///
    /// A thread has ended before it was told to. So are the others then: whoever works on with a part of
    /// its peers unwatched looks well and is not.
    pub(crate) async fn report(mut self, mut stop: Stop) -> anyhow::Result<()> {
        let mut last = self.total();
        let mut ticks = tokio::time::interval(REPORT);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            tokio::select! {
                () = stop.wanted() => break,
                _ = ticks.tick() => {}
            }
            let seen = self.total();
            self.log.line(Report { seen: &seen, last: &last });
            last = seen;
            if self.threads.iter().any(JoinHandle::is_finished) {
                break;
            }
        }
        self.common.stopping.store(true, Ordering::Relaxed);
        let mut all = Ok(());
        for (number, thread) in core::mem::take(&mut self.threads).into_iter().enumerate() {
            while !thread.is_finished() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // Of what panicked, the panic itself has told.
            let ended = thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("panicked")));
            all =
                all.and(ended.with_context(|| format!("fleet-{number}: nobody watches its peers")));
        }
        for line in self.total().census() {
            self.log.line(line);
        }
        all
    }

    /// What all threads have seen so far.
    fn total(&self) -> Seen {
        let mut total = Seen::default();
        for seen in &self.common.seen {
            total += &*seen.lock().unwrap_or_else(PoisonError::into_inner);
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lines, stop};

    /// One thread works on, until it is told to end; the other one does this.
    fn running(other: fn() -> anyhow::Result<()>) -> Running {
        let common =
            Common { clock: StdClock::new(), stopping: AtomicBool::new(false), seen: Vec::new() };
        let common = Arc::new(common);
        let works = Arc::clone(&common);
        let threads = vec![
            std::thread::spawn(move || {
                while !works.stopping.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Ok(())
            }),
            std::thread::spawn(other),
        ];
        Running { common, threads, log: lines::start(|_| {}) }
    }

    #[tokio::test]
    async fn a_thread_that_dies_ends_the_others() {
        let fails: fn() -> anyhow::Result<()> = || Err(anyhow::anyhow!("no socket"));
        for (dies, why) in [(fails, "no socket"), (|| panic!("as a test"), "panicked")] {
            let (_stopper, stop) = stop::pair();
            let report = running(dies).report(stop);
            let ended = tokio::time::timeout(Duration::from_secs(20), report).await;
            let error = format!("{:#}", ended.expect("it ends").expect_err("an error"));
            assert_eq!(error, format!("fleet-1: nobody watches its peers: {why}"));
        }
    }

    #[tokio::test]
    async fn threads_that_end_when_they_are_told_to_have_not_died() {
        let (stopper, stop) = stop::pair();
        stopper.stop();
        assert!(running(|| Ok(())).report(stop).await.is_ok());
    }
}
