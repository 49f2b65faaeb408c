//! Watches one peer, from connecting to the end.

use core::num::NonZeroU64;
use core::time::Duration;
use std::io;

use heartbeat_proto::Config;
use heartbeat_proto::adapter::{Ended, Notice, Setup};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{MissedTickBehavior, timeout};

use super::heart::{Heart, Transport};
use super::news::{News, Over, Snapshot};
use crate::stop::{DRAIN_LIMIT, Stop};

/// Whom to watch, how, and whom to tell.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) index: usize,
    pub(crate) address: String,
    pub(crate) udp: bool,
    pub(crate) config: Config,
    pub(crate) every: Duration,
    pub(crate) count: Option<NonZeroU64>,
    pub(crate) tell: UnboundedSender<(usize, News)>,
}

impl Task {
    fn tell(&self, news: News) {
        // Nobody listens only when the program ends.
        let _ = self.tell.send((self.index, news));
    }

    /// The heart's own notices, as they come. Its end is told by [`watch`], with the last numbers.
    fn setup(&self) -> Setup {
        let (index, tell) = (self.index, self.tell.clone());
        Setup::new(self.config).observer(move |notice| {
            let news = match notice {
                Notice::Changed { from, report } => News::Changed { from, report },
                Notice::Found(findings) => News::Found(findings),
                _ => return,
            };
            let _ = tell.send((index, news));
        })
    }
}

/// Watches until the peer ends it, is lost, has answered often enough, or `stop`.
pub(crate) async fn watch(task: Task, mut stop: Stop) {
    let limit = task.config.startup_limit();
    let connected = tokio::select! {
        connected = timeout(limit, Transport::connect(&task.address, task.udp)) => connected,
        () = stop.wanted() => {
            let what = "ended before it was connected";
            return task.tell(News::Over(Over::OnPurpose { what, last: None }));
        }
    };
    let over = match connected {
        Ok(Ok(transport)) => match begin(&task, transport) {
            Ok(heart) => keep(heart, &task, stop).await,
            Err(error) => Over::Unreachable(error.to_string()),
        },
        Ok(Err(error)) => Over::Unreachable(format!("cannot connect: {error}")),
        Err(_) => Over::Unreachable(format!("cannot connect within {limit:?} (start-up limit)")),
    };
    task.tell(News::Over(over));
}

fn begin(task: &Task, transport: Transport) -> io::Result<Heart> {
    task.tell(News::Connected { to: transport.peer()?, config: task.config });
    Heart::start(transport, task.setup())
}

async fn keep(mut heart: Heart, task: &Task, mut stop: Stop) -> Over {
    let mut ticker = tokio::time::interval(task.every);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // The first tick comes at once, when there is nothing to show yet.
    ticker.tick().await;
    // Often enough to end soon after the last answer that was asked for.
    let mut counter = tokio::time::interval(Duration::from_millis(10));
    counter.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let what = loop {
        tokio::select! {
            ended = heart.beat() => return over(&heart, ended),
            () = stop.wanted() => break "said goodbye",
            _ = ticker.tick() => task.tell(News::Snapshot(snapshot(&heart))),
            _ = counter.tick(), if task.count.is_some() => {
                let answered = heart.driver().machine().rtt_histogram().count();
                if task.count.is_some_and(|count| answered >= count.get()) {
                    break "answered as often as asked for";
                }
            }
        }
    };
    let last = Some(snapshot(&heart));
    // It is over anyway; a peer that cannot take the goodbye finds out by itself.
    let _ = timeout(DRAIN_LIMIT, heart.goodbye()).await;
    Over::OnPurpose { what, last }
}

fn snapshot(heart: &Heart) -> Box<Snapshot> {
    Box::new(Snapshot::of(heart.driver(), heart.now()))
}

fn over(heart: &Heart, result: io::Result<()>) -> Over {
    let last = snapshot(heart);
    match result {
        Ok(()) => Over::OnPurpose { what: "the peer said goodbye", last: Some(last) },
        Err(error) => {
            let ended = Ended::of(&error).copied().unwrap_or(Ended::Transport(error.kind()));
            Over::Lost { ended, last }
        }
    }
}
