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
    /// Whether the lease was given back.
    Left {
        lease: i64,
        left: bool,
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
                // Until etcd answers: the verdicts that wait behind it may be those of one who is
                // cut off, and must not be written before it is known who stays.
                let left = loop {
                    match etcd.leave(&observer, lease, ttl, patience) {
                        Ok(left) => break left,
                        Err(_) => thread::sleep(patience / 20),
                    }
                };
                Told::Left { lease, left }
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc::channel;

    use super::*;

    /// An etcd that leaves the first call without an answer, and is content with all others; tells
    /// what it is asked.
    fn deaf_at_first(listener: &TcpListener, asked: &Sender<String>) -> std::io::Result<()> {
        for nth in 0.. {
            let (stream, _) = listener.accept()?;
            let mut request = BufReader::new(&stream);
            let (mut call, mut len) = (String::new(), 0);
            loop {
                let mut line = String::new();
                request.read_line(&mut line)?;
                if let Some(rest) = line.strip_prefix("POST /v3/") {
                    call = rest.split(' ').next().unwrap_or_default().to_owned();
                } else if let Some(rest) = line.to_lowercase().strip_prefix("content-length:") {
                    len = rest.trim().parse().unwrap_or(0);
                } else if line.trim().is_empty() {
                    break;
                }
            }
            request.take(len).read_to_end(&mut Vec::new())?;
            if asked.send(call).is_err() {
                break;
            }
            let answer = r#"{"ID":"7","TTL":"4","succeeded":true}"#;
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length";
            if nth > 0 {
                write!(&stream, "{head}: {}\r\n\r\n{answer}", answer.len())?;
            }
        }
        Ok(())
    }

    #[test]
    fn no_verdict_is_written_before_it_is_known_who_stays() -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let etcd = Etcd::new(vec![format!("http://{}", listener.local_addr()?)])?;
        let (ask, asks) = channel();
        let (tell, told) = channel();
        let (note, asked) = channel();
        thread::spawn(move || deaf_at_first(&listener, &note));
        let ttl = Duration::from_secs(20);
        let verdict = Verdict {
            peer: "p".to_owned(),
            incarnation: 1,
            observer: "a".to_owned(),
            lease: 3,
            revision: 1,
            view: 1,
        };
        ask.send((Ask::Leave { observer: "a".to_owned(), lease: 3, ttl }, ttl))?;
        ask.send((Ask::Condemn(verdict), ttl))?;
        drop(ask);
        super::ask(&etcd, &asks, &tell);
        assert!(matches!(told.recv()?, Told::Left { lease: 3, left: true }));
        assert!(matches!(told.recv()?, Told::Condemned(_, Some(Outcome::Written))));
        let calls: Vec<String> = asked.try_iter().collect();
        let right = ["lease/grant", "lease/grant", "kv/txn", "lease/revoke", "kv/txn"];
        assert_eq!(calls, right);
        Ok(())
    }
}
