//! `heartbeat demo`: server, client and a fault proxy between them, over real loopback sockets.

mod client;
mod outcome;
mod proxy;
mod scenes;
mod server;

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::process::ExitCode;

use console::style;
use heartbeat_proto::adapter::StdClock;
use heartbeat_proto::{Config, ConfigError};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::runtime::{Builder, Handle, Runtime};

use self::client::Client;
use self::outcome::{DELIVERY, Outcome, table};
use self::proxy::Proxy;
use self::scenes::Stage;
use self::server::Server;
use crate::say::{self, span};

/// Watch every fault being found, over real sockets, in about 15 seconds.
///
/// A server, a client and a fault proxy between them run in this process and talk over TCP on
/// 127.0.0.1. One fault after the other is made, and the verdict is measured by a clock of the
/// demo's own against what the rules promise.
///
/// Exit codes: 0 every promise was kept, 1 one was broken, 2 bad usage.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Decides when pings leave (phases and jitter); the sockets' own timing stays real
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// One JSON object a scene, and a summary
    #[arg(long)]
    json: bool,
}

/// Short, so that the demo is: dead after 1.2 s.
fn rules() -> Result<Config, ConfigError> {
    Config::builder()
        .interval(Duration::from_millis(250))
        .timeout(Duration::from_millis(1200))
        .attempts(3)
        .build()
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    // The client has this thread and a runtime for itself, so that it alone can be stalled.
    let background = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let own = Builder::new_current_thread().enable_all().build()?;
    let result = own.block_on(play(args, background.handle()));
    // Nothing of it matters any more.
    Runtime::shutdown_background(background);
    result
}

async fn play(args: &Args, background: &Handle) -> anyhow::Result<ExitCode> {
    let clock = StdClock::new();
    let config = rules()?;
    let mut show = Show::new(args.json);
    show.title(args.seed, &config);
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = background.spawn(Server::start(any_port)).await??;
    let proxy = background.spawn(Proxy::start(server.address, clock)).await??;
    let client = Client::connect(proxy.address, config, args.seed, clock).await?;
    let background = background.clone();
    let mut stage =
        Stage { background, clock, config, seed: args.seed, proxy, server: Some(server), client };

    show.begin("the proxy passes everything on");
    show.end(stage.healthy().await?);
    show.begin("pongs come late");
    show.end(stage.slow().await?);
    show.begin("everything is swallowed");
    show.end(stage.black_hole().await?);
    show.begin("the peer stops reading");
    show.end(stage.blocked().await?);
    show.begin("the client itself is stalled");
    show.end(stage.stalled().await?);
    show.begin("the server is killed and comes back");
    let (mut stage, outcome) = stage.restart().await?;
    show.end(outcome);
    show.begin("the server says goodbye");
    show.end(stage.goodbye().await?);
    let took = clock.now().saturating_duration_since(heartbeat_proto::Timestamp::EPOCH);
    Ok(show.summary(took))
}

/// What the audience sees.
#[derive(Debug)]
struct Show {
    json: bool,
    /// A clock hand while a scene is played; only on a terminal.
    hand: Option<ProgressBar>,
    outcomes: Vec<Outcome>,
}

/// How wide lines are where no terminal says it.
const WIDTH: usize = 100;

#[derive(Debug, Serialize)]
struct Summary {
    scenes: usize,
    passed: usize,
    took_ms: f64,
}

impl Show {
    fn new(json: bool) -> Self {
        Self { json, hand: None, outcomes: Vec::new() }
    }

    fn title(&self, seed: u64, config: &Config) {
        if self.json {
            return;
        }
        let paragraphs = [
            format!("{}, seed {seed}", style("heartbeat demo").bold()),
            "client <-> fault proxy <-> server, over TCP on 127.0.0.1".to_owned(),
            format!("rules: {config}"),
            format!(
                "promise: a silent peer is lost within {} of its last byte, plus this program's \
                 own lateness; never before {}. The demo measures from the proxy's write, so \
                 {} are added for delivery.",
                span(config.worst_case_detection()),
                span(config.floor()),
                span(DELIVERY),
            ),
        ];
        for paragraph in paragraphs {
            say::line(textwrap::fill(&paragraph, width()));
        }
        say::line("");
    }

    fn begin(&mut self, what: &'static str) {
        if self.json || !console::Term::stdout().features().is_attended() {
            return;
        }
        let hand = ProgressBar::with_draw_target(None, indicatif::ProgressDrawTarget::stdout());
        if let Ok(look) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg:.dim}") {
            hand.set_style(look);
        }
        hand.set_message(what);
        hand.enable_steady_tick(Duration::from_millis(100));
        self.hand = Some(hand);
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(hand) = self.hand.take() {
            hand.finish_and_clear();
        }
        if self.json {
            say::json(&outcome);
        } else {
            say::line(outcome.block(width()));
        }
        self.outcomes.push(outcome);
    }

    fn summary(&self, took: Duration) -> ExitCode {
        let scenes = self.outcomes.len();
        let passed = self.outcomes.iter().filter(|outcome| outcome.passed).count();
        if self.json {
            say::json(&Summary { scenes, passed, took_ms: say::millis(took) });
        } else {
            say::line(table(&self.outcomes));
            let line = format!("{passed} of {scenes} scenes as promised, in {}", span(took));
            let line = style(line).bold();
            say::line(if passed == scenes { line.green() } else { line.red() });
        }
        if passed == scenes { ExitCode::SUCCESS } else { ExitCode::from(crate::LOST) }
    }
}

fn width() -> usize {
    let columns = console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    columns.unwrap_or(WIDTH).min(WIDTH)
}
