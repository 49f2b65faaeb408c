//! The threads that wait for etcd, so that the observer's own never does.
//!
//! One for keepalives, one for verdicts, so that neither waits for the other, and one that watches.
//! Each asks, and puts what it hears into the observer's one channel.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Duration;

use heartbeat_proto::backoff::{Backoff, Policy};
use heartbeat_proto::{PingId, Timestamp};

use crate::etcd::{ALL, Change, Entry, Etcd, Outcome, Verdict};
use crate::lease::Grant;

/// What a worker is to ask.
#[derive(Debug)]
pub enum Ask {
    Join { observer: String, weight: u32, ttl: Duration, before: Option<i64> },
    KeepAlive { lease: i64, ping: PingId, sent: Timestamp },
    Condemn(Verdict),
    Leave { observer: String, lease: i64, ttl: Duration },
}

/// What came of it.
#[derive(Debug)]
pub enum Told {
    Joined(Result<Grant, anyhow::Error>),
    KeptAlive {
        lease: i64,
        ping: PingId,
        sent: Timestamp,
        is_alive: bool,
    },
    /// Whether the lease was given back; `None`: nobody knows.
    Left {
        lease: i64,
        left: Option<bool>,
    },
    /// `None`: nobody knows; etcd did not answer.
    Condemned(Verdict, Option<Outcome>),
    /// Everything, as it was at this revision.
    Snapshot(Vec<Entry>, i64),
    Changes(Vec<Change>, i64),
}

/// Asks one after the other, each for `patience` at most. Ends with the channel.
pub fn ask(etcd: &Etcd, asks: &Receiver<(Ask, Duration)>, tell: &Sender<Told>) {
    for (ask, patience) in asks {
        let told = match ask {
            Ask::Join { observer, weight, ttl, before } => {
                Told::Joined(etcd.join(&observer, weight, ttl, before, patience))
            }
            Ask::KeepAlive { lease, ping, sent } => match etcd.keep_alive(lease, patience) {
                Ok(is_alive) => Told::KeptAlive { lease, ping, sent, is_alive },
                // No answer is no verdict: silence is. The next one goes out as planned.
                Err(_) => continue,
            },
            Ask::Leave { observer, lease, ttl } => {
                let left = etcd.leave(&observer, lease, ttl, patience);
                if left.is_err() {
                    thread::sleep(patience / 20); // It will be asked again.
                }
                Told::Left { lease, left: left.ok() }
            }
            Ask::Condemn(verdict) => {
                let outcome = etcd.condemn(&verdict, patience).ok();
                Told::Condemned(verdict, outcome)
            }
        };
        if tell.send(told).is_err() {
            return;
        }
    }
}

/// Tells everything once, and then what changes; anew after each failure, with growing pauses.
/// A watch `lasts` so long, and then is asked for again: so much later a dead connection is noticed.
pub fn watch(etcd: Arc<Etcd>, lasts: Duration, seed: u64, tell: Sender<Told>) {
    let policy = retries();
    let mut backoff = Backoff::new(seed);
    loop {
        if let Ok((entries, revision)) = etcd.list(ALL, lasts) {
            backoff.reset();
            if tell.send(Told::Snapshot(entries, revision)).is_err() {
                return;
            }
            let mut next = revision + 1;
            let mut follow = || {
                etcd.watch(ALL, next, lasts, |changes, revision| {
                    next = revision + 1;
                    match tell.send(Told::Changes(changes, revision)) {
                        Ok(()) => ControlFlow::Continue(()),
                        Err(_) => ControlFlow::Break(()),
                    }
                })
            };
            while follow().is_ok() {}
        }
        thread::sleep(backoff.next(&policy).unwrap_or(lasts));
    }
}

/// From 100 ms to 2 s, for ever.
pub fn retries() -> Policy {
    let policy = Policy::exponential(Duration::from_millis(100)).cap(Duration::from_secs(2));
    policy.build().expect("constants that fit")
}
