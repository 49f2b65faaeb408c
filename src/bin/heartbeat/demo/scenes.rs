//! The scenes, in the order in which they are played.

use core::net::SocketAddr;
use core::time::Duration;

use anyhow::Context;
use heartbeat_proto::adapter::{Ended, Notice, StdClock};
use heartbeat_proto::{Config, Findings, Liveness, Reason, Rtt, Timestamp};
use tokio::runtime::Handle;

use super::client::Client;
use super::outcome::Outcome;
use super::proxy::{Fault, Proxy};
use super::server::Server;
use crate::say::span;

/// Everything on the stage. The client lives on the thread that plays the scenes, so that it can be
/// stalled alone; the others live on `background`.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) background: Handle,
    pub(crate) clock: StdClock,
    pub(crate) config: Config,
    pub(crate) seed: u64,
    pub(crate) proxy: Proxy,
    pub(crate) server: Option<Server>,
    pub(crate) client: Client,
}

/// What nothing that is waited for may exceed: the promise, and half as much again.
const LIMIT: Duration = Duration::from_secs(4);

/// The pongs of scene 2 are that late: longer than the response window, shorter than the timeout.
const DELAY: Duration = Duration::from_millis(600);

/// How long scene 5 blocks the client's thread: half as long again as the timeout.
const STALL: Duration = Duration::from_millis(1800);

/// How long the server of scene 6 is away.
const DOWN: Duration = Duration::from_millis(300);

impl Stage {
    /// The rules in force, as the adapter set them.
    fn rules(&self) -> Config {
        *self.client.driver().machine().config()
    }

    /// A fresh connection through a proxy that passes everything, proved alive.
    async fn fresh(&mut self) -> anyhow::Result<()> {
        self.proxy.set(Fault::Pass);
        self.seed = self.seed.wrapping_add(1);
        let (to, config, seed) = (self.proxy.address, self.config, self.seed);
        self.client = Client::connect(to, config, seed, self.clock).await?;
        self.alive().await
    }

    async fn alive(&mut self) -> anyhow::Result<()> {
        self.client.until(LIMIT, |driver| driver.liveness() == Liveness::Alive).await;
        let alive = self.client.driver().liveness() == Liveness::Alive;
        alive.then_some(()).context("the client found no life on a healthy connection")
    }

    pub(crate) async fn healthy(&mut self) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::of(1, "healthy", "The proxy passes everything on.");
        // The client was connected when the clock began.
        let since = Timestamp::EPOCH;
        self.alive().await?;
        self.client.live_for(Duration::from_secs(4)).await;
        outcome.note(&self.client, since);
        let machine = self.client.driver().machine();
        let (stats, rtt) = (machine.stats(), machine.rtt_histogram());
        outcome.measured = format!(
            "{} pings, {} pongs, {} missed; rtt p50 {} p99 {}",
            stats.pings_sent,
            stats.pongs_received,
            stats.misses,
            span(rtt.percentile(50)),
            span(rtt.percentile(99)),
        );
        outcome.verdict = self.client.driver().liveness().to_string();
        outcome.demand(self.client.ended().is_none(), "nobody dies");
        outcome.demand(rtt.count() > 0, "round trips are measured");
        Ok(outcome)
    }

    pub(crate) async fn slow(&mut self) -> anyhow::Result<Outcome> {
        let done = format!(
            "Every pong comes {} late: too late for its window of {}, but it comes.",
            span(DELAY),
            span(self.rules().response_window()),
        );
        let mut outcome = Outcome::of(2, "slow", done);
        let since = self.clock.now();
        let before = *self.client.driver().machine().stats();
        self.proxy.set(Fault::Delay(DELAY));
        self.client.live_for(Duration::from_secs(4)).await;
        outcome.note(&self.client, since);
        let machine = self.client.driver().machine();
        let (stats, longest) = (*machine.stats(), machine.rtt_histogram().max());
        let pongs = stats.pongs_received - before.pongs_received;
        outcome.measured = format!(
            "{pongs} pongs, longest round trip {}; suspicions: {}, losses: 0",
            span(longest),
            stats.suspicions - before.suspicions,
        );
        outcome.verdict = String::from("never lost");
        outcome.demand(self.client.ended().is_none(), "a slow peer is not killed");
        outcome.demand(pongs > 0 && longest >= DELAY, "late pongs are measured as they are");
        self.proxy.set(Fault::Pass);
        self.client.live_for(Duration::from_millis(700)).await;
        Ok(outcome)
    }

    pub(crate) async fn black_hole(&mut self) -> anyhow::Result<Outcome> {
        let done = "Every byte is swallowed, both ways; all sockets stay open and say nothing.";
        let mut outcome = Outcome::of(3, "black hole", done);
        self.proxy.set(Fault::Swallow);
        let since = self.clock.now();
        self.client.until(LIMIT, |_| false).await;
        self.judge(&mut outcome, since, Reason::NoResponse);
        Ok(outcome)
    }

    pub(crate) async fn blocked(&mut self) -> anyhow::Result<Outcome> {
        self.fresh().await?;
        // Stop reading just after a pong, so that no ping lies unread in the proxy.
        let answered = self.client.driver().machine().stats().pongs_received;
        self.client.until(LIMIT, |driver| driver.machine().stats().pongs_received > answered).await;
        self.proxy.set(Fault::StopReading);
        let since = self.clock.now();
        let sent = self.client.upload(LIMIT).await;
        let done = format!(
            "The peer stops reading while the client uploads: {} kB fit into buffers, then the \
             socket takes no byte, not even a ping.",
            sent / 1000
        );
        let mut outcome = Outcome::of(4, "blocked", done);
        self.judge(&mut outcome, since, Reason::WriteStalled);
        self.proxy.set(Fault::Pass);
        Ok(outcome)
    }

    /// The client must have been lost for this reason, in time by the demo's own clock.
    fn judge(&self, outcome: &mut Outcome, since: Timestamp, reason: Reason) {
        outcome.note(&self.client, since);
        let lost = self.client.told_since(since).into_iter().find_map(|(at, told)| match told {
            Notice::Changed { report, .. } if report.liveness == Liveness::Lost => {
                Some((at, report))
            }
            _ => None,
        });
        let Some((at, report)) = lost else {
            outcome.verdict = String::from("not lost");
            outcome.demand(false, "a silent peer is found");
            return;
        };
        outcome.verdict = format!("lost ({})", report.reason);
        let silent_since = self.proxy.last_delivery();
        let found = at.saturating_duration_since(silent_since);
        outcome.silence(found, report.own_lateness, &self.rules());
        outcome.demand(report.reason == reason, format!("the reason is {reason}"));
    }

    pub(crate) async fn stalled(&mut self) -> anyhow::Result<Outcome> {
        let done = format!(
            "The client's own thread is blocked for {}, longer than the timeout of {}; the pong \
             waits in the kernel.",
            span(STALL),
            span(self.config.timeout()),
        );
        let mut outcome = Outcome::of(5, "own stall", done);
        self.fresh().await?;
        // Slow enough that the pong is still on its way when the client is blocked.
        self.proxy.set(Fault::Delay(Duration::from_millis(50)));
        let sent = self.client.driver().machine().stats().pings_sent;
        self.client.until(LIMIT, |driver| driver.machine().stats().pings_sent > sent).await;
        let since = self.clock.now();
        let due = self.client.driver().next_deadline().context("the client died too early")?;
        std::thread::sleep(STALL);
        // The machine cannot be called before this, so its lateness is at least this.
        let least = self.client.heart.now().saturating_duration_since(due);
        let answered = self.client.driver().machine().stats().pongs_received;
        self.client.live_for(Duration::from_secs(1)).await;
        outcome.note(&self.client, since);
        let told = self.client.told_since(since);
        let found = told.iter().fold(Findings::NONE, |all, (_, told)| match told {
            Notice::Found(findings) => all.with(*findings),
            _ => all,
        });
        let machine = self.client.driver().machine();
        let lateness = machine.lateness().max();
        let answered = machine.stats().pongs_received - answered;
        outcome.measured = format!(
            "own lateness measured: {} (at least {} by the demo's clock); {answered} pongs since; \
             found {found}",
            span(lateness),
            span(least),
        );
        outcome.verdict = format!("{}, not lost", self.client.driver().liveness());
        outcome.demand(self.client.ended().is_none(), "nobody dies of the observer's own stall");
        outcome.demand(lateness >= least, "the stall is measured as lateness");
        outcome.demand(found.contains(Findings::LATE_CALL), "the stall is told as late_call");
        outcome.demand(answered > 0, "the connection goes on");
        self.proxy.set(Fault::Pass);
        Ok(outcome)
    }

    pub(crate) async fn restart(mut self) -> anyhow::Result<(Self, Outcome)> {
        let done = format!("The server is killed and comes back after {}.", span(DOWN));
        let mut outcome = Outcome::of(6, "restart", done);
        let server = self.server.take().context("the server is gone")?;
        let killed = self.clock.now();
        let address = server.crash().await?;
        self.client.until(LIMIT, |_| false).await;
        let noticed = self.clock.now().saturating_duration_since(killed);
        // (Now: the last answers were under way when it was killed.)
        let learnt = self.client.driver().machine().rtt();
        let ended = self.client.ended();
        outcome.demand(ended.is_some_and(|ended| !ended.on_purpose()), "the crash is noticed");
        let back = self.background.spawn(async move {
            tokio::time::sleep(DOWN).await;
            Server::start(address).await
        });
        let (client, attempts, carried) = come_back(self.client, self.proxy.address).await?;
        self.client = client;
        outcome.demand(carried == learnt, "what was learnt of the path is kept");
        self.server = Some(back.await??);
        outcome.note(&self.client, killed);
        let alive = self.client.driver().liveness() == Liveness::Alive;
        outcome.demand(alive, "the next connection recovers");
        let whole = self.clock.now().saturating_duration_since(killed);
        let ended = ended.map_or_else(|| "nothing".to_owned(), |ended| ended.to_string());
        outcome.measured = format!(
            "noticed after {} ({ended}); alive again after {} and {attempts} attempts, with the \
             round-trip estimate of before",
            span(noticed),
            span(whole),
        );
        outcome.verdict = String::from("recovering -> alive");
        outcome.within(noticed, Duration::ZERO, &self.rules());
        Ok((self, outcome))
    }

    pub(crate) async fn goodbye(&mut self) -> anyhow::Result<Outcome> {
        let done = "The server says goodbye.";
        let mut outcome = Outcome::of(7, "goodbye", done);
        let since = self.clock.now();
        self.server.as_ref().context("the server is gone")?.say_goodbye();
        self.client.until(LIMIT, |_| false).await;
        let noticed = self.clock.now().saturating_duration_since(since);
        outcome.note(&self.client, since);
        let liveness = self.client.driver().liveness();
        let reason = self.client.driver().report().map(|report| report.reason);
        outcome.verdict = String::from("closed (goodbye)");
        outcome.measured = format!("closed after {}; no failure", span(noticed));
        outcome.demand(liveness == Liveness::Closed, "the end is no loss");
        outcome.demand(reason == Some(Reason::Goodbye), "the reason is goodbye");
        let failed = self.client.ended().is_some_and(|ended| !matches!(ended, Ended::Closed(_)));
        outcome.demand(!failed, "the end is no failure");
        Ok(outcome)
    }
}

/// Connects until the peer is alive again, with growing pauses. Also returns the number of attempts
/// and the round-trip estimate that the last one began with.
async fn come_back(mut client: Client, to: SocketAddr) -> anyhow::Result<(Client, u32, Rtt)> {
    let mut pause = Duration::from_millis(50);
    for attempt in 1..=MOST_ATTEMPTS {
        client = client.reconnect(to).await?;
        let carried = client.driver().machine().rtt();
        client.until(LIMIT, |driver| driver.liveness() == Liveness::Alive).await;
        if client.driver().liveness() == Liveness::Alive {
            return Ok((client, attempt, carried));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LIMIT);
    }
    anyhow::bail!("the server did not come back within {MOST_ATTEMPTS} attempts")
}

/// With pauses that double from 50 ms up to [`LIMIT`]: some ten seconds.
const MOST_ATTEMPTS: u32 = 8;
