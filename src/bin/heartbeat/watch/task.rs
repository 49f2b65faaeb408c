//! [`Task`]: whom to watch, how, and whom to tell; and one connection of it.

use alloc::sync::Arc;
use core::net::SocketAddr;
use core::num::NonZeroU64;
use core::time::Duration;
use std::io;

use heartbeat_proto::adapter::{Ended, Notice, Setup, TokioClock};
use heartbeat_proto::supervisor::{Plan, Step};
use heartbeat_proto::{Config, Liveness, Timestamp};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::heart::Heart;
use super::news::{News, Over, Snapshot};
use crate::rules::Book;
use crate::stop::Stop;
use crate::trace;

#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) index: usize,
    pub(crate) address: String,
    pub(crate) rules: watch::Receiver<Arc<Book>>,
    pub(crate) plan: Plan,
    pub(crate) give_up: Option<Duration>,
    pub(crate) every: Duration,
    pub(crate) count: Option<NonZeroU64>,
    /// Answers on earlier connections.
    pub(crate) answered: u64,
    pub(crate) tell: UnboundedSender<(usize, News)>,
    pub(crate) stop: Stop,
    pub(crate) clock: TokioClock,
}

/// Why nobody tries any longer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Halt {
    /// It was asked for.
    Asked(&'static str),
    /// The peer was gone for too long.
    GaveUp,
}

impl Task {
    pub(crate) fn tell(&self, news: News) {
        // Nobody listens only when the program ends.
        let _ = self.tell.send((self.index, news));
    }

    pub(crate) fn config(&self) -> Config {
        self.rules.borrow().of(&self.address).config
    }

    /// The heart's own notices, as they come. Its end is told by whoever watches it.
    pub(crate) fn setup(&self) -> Setup {
        let task = self.clone();
        Setup::new(self.config()).observer(move |notice| {
            trace::notice(&task.address, &notice);
            match notice {
                Notice::Changed { from, report } => task.tell(News::Changed { from, report }),
                Notice::Found(findings) => task.tell(News::Found(findings)),
                _ => {}
            }
        })
    }

    pub(crate) fn connected(&self, to: SocketAddr) {
        trace::connected(&self.address, &to);
        self.tell(News::Connected { to, config: self.config() });
    }

    /// Tells what the supervisor does at `now`.
    pub(crate) fn step(&self, step: &Step, now: Timestamp) {
        match *step {
            Step::Connect { attempt, .. } => {
                trace::connecting(&self.address, attempt);
                self.tell(News::Connecting(attempt));
            }
            Step::Wait { until, cause: Some(cause) } => {
                let delay = until.saturating_duration_since(now);
                trace::waiting(&self.address, delay, cause.code());
                self.tell(News::Waiting { cause, delay });
            }
            Step::Over(outcome) => trace::over(&self.address, &outcome),
            _ => {}
        }
    }

    /// Returns when a peer that is gone since then is to be given up, or all is to end.
    pub(crate) async fn halt(&mut self, gone: Option<Timestamp>) -> Halt {
        let give_up = async {
            match (self.give_up, gone) {
                (Some(limit), Some(since)) => {
                    let until = since.saturating_add(limit);
                    sleep(until.saturating_duration_since(self.clock.now())).await;
                }
                _ => core::future::pending().await,
            }
        };
        tokio::select! {
            () = self.stop.wanted() => Halt::Asked("said goodbye"),
            () = give_up => Halt::GaveUp,
        }
    }

    /// Beats with `heart` until something ends it. The rules may change meanwhile.
    pub(crate) async fn beat(&mut self, heart: &mut impl Heart) -> Result<Over, Halt> {
        let mut settings = self.rules.borrow_and_update().of(&self.address).settings.clone();
        // It may come from an earlier connection, with earlier rules.
        self.adapt(heart);
        let mut ticker = interval(self.every);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // The first tick comes at once, when there is nothing to show yet.
        ticker.tick().await;
        // Often enough to end soon after the last answer that was asked for.
        let mut counter = interval(Duration::from_millis(10));
        counter.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                ended = heart.beat() => {
                    self.answered += answers(heart);
                    return Ok(over(heart, ended));
                }
                () = self.stop.wanted() => return Err(Halt::Asked("said goodbye")),
                _ = ticker.tick() => {
                    self.tell(News::Snapshot(Snapshot::of(heart.driver(), heart.now())));
                }
                Ok(()) = self.rules.changed() => {
                    let new = self.rules.borrow_and_update().of(&self.address).settings.clone();
                    let changes = settings.changes(&new);
                    settings = new;
                    self.adapt(heart);
                    if !changes.is_empty() {
                        self.tell(News::Reconfigured(changes));
                    }
                }
                _ = counter.tick(), if self.count.is_some() => {
                    let answered = self.answered + answers(heart);
                    if self.count.is_some_and(|count| answered >= count.get()) {
                        return Err(Halt::Asked("answered as often as asked for"));
                    }
                }
            }
        }
    }

    fn adapt(&self, heart: &mut impl Heart) {
        let setup = Setup::new(self.config());
        if heart.driver().machine().config() != setup.config() {
            heart.adapt(*setup.config());
        }
    }

    /// The end on purpose of a living connection; one whose verdict has fallen is a loss.
    pub(crate) fn halted(heart: &impl Heart, halt: Halt) -> Over {
        let last = Snapshot::of(heart.driver(), heart.now());
        match halt {
            Halt::Asked(_) if last.liveness == Liveness::Lost => Over::Gone(NOT_REGAINED),
            Halt::Asked(what) => Over::OnPurpose { what, last: Some(last) },
            Halt::GaveUp => Over::Gone(GAVE_UP),
        }
    }

    /// The end without a connection.
    pub(crate) fn ended_without(halt: Halt, failed: bool) -> Over {
        match halt {
            Halt::GaveUp => Over::Gone(GAVE_UP),
            Halt::Asked(_) if failed => Over::Gone(NOT_REGAINED),
            Halt::Asked(_) => Over::OnPurpose { what: "ended before it was connected", last: None },
        }
    }
}

const NOT_REGAINED: &str = "the peer was lost, and not regained before the end";
const GAVE_UP: &str = "the peer was gone for too long (--give-up)";

fn answers(heart: &impl Heart) -> u64 {
    heart.driver().machine().rtt_histogram().count()
}

fn over(heart: &impl Heart, result: io::Result<()>) -> Over {
    let last = Snapshot::of(heart.driver(), heart.now());
    match result {
        Ok(()) => Over::OnPurpose { what: "the peer said goodbye", last: Some(last) },
        Err(error) => {
            let ended = Ended::of(&error).copied().unwrap_or(Ended::Transport(error.kind()));
            Over::Lost { ended, last }
        }
    }
}
