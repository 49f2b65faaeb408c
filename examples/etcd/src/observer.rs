//! [`Observer`]: one of those who watch. One thread, which waits for nothing but datagrams and
//! deadlines; what takes etcd's time is in [`worker`].
//!
//! What keeps it honest:
//!
//! * When most of its peers fall silent together, it gives its lease back, and others look: it may be
//!   cut off from its peers and not from etcd. When others doubt themselves too, it stays. Until etcd
//!   has said which, no verdict of its is written.
//! * It stays away for a while, but not when nobody else is left.
//! * Before it acts it looks whether its lease is valid, by the clock. If not, it forgets all its
//!   peers, and comes back as a new one.
//! * Peers that it takes over are new to it: each is asked, and has its whole response time, before
//!   any verdict. Nobody dies because its observer did.
//! * A verdict is written by a transaction that etcd refuses unless this life of this observer is
//!   still there, no observer has come that it does not know of, and the peer has not registered
//!   anew. A verdict that is refused is none: the peer is watched again from the beginning.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use heartbeat_proto::Timestamp;
use heartbeat_proto::assignment::{Assignment, Change};
use heartbeat_proto::backoff::{Backoff, Policy};

use crate::clock;
use crate::etcd::{Etcd, Outcome, PEERS, Verdict};
use crate::lease::Lease;
use crate::view::{Moved, Peer, View};
use crate::ward::{self, Ward};
use crate::worker::{self, Ask, Told};

/// A turn that takes longer is told: who reads along shall know what this host had a part in.
const PUNCTUAL: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
pub struct Settings {
    pub etcd: Vec<String>,
    pub id: String,
    pub weight: u32,
    pub ttl: Duration,
    /// Where pings come from: of the family of the peers' addresses.
    pub listen: SocketAddr,
    /// Between two pings to a peer; the third in a row that is not answered convicts.
    pub interval: Duration,
}

enum Standing {
    /// No lease; the next try is at this time.
    Out(Timestamp),
    Joining,
    In(Box<Lease>),
}

pub struct Observer {
    settings: Settings,
    ward: Ward,
    /// Whose verdicts are being written.
    condemned: BTreeSet<String>,
    view: View,
    standing: Standing,
    last_lease: Option<i64>,
    backoff: Backoff,
    retries: Policy,
    /// How often it left of its own accord, and for how long it then stays away.
    doubts: Backoff,
    pauses: Policy,
    keepalives: SyncSender<(Ask, Duration)>,
    verdicts: Sender<(Ask, Duration)>,
    told: Receiver<Told>,
}

impl Observer {
    pub fn new(settings: Settings) -> Result<Self> {
        let etcd = Arc::new(Etcd::new(settings.etcd.clone())?);
        let now = clock::now();
        let seed = now.as_nanos() ^ u64::from(std::process::id()) << 40;
        let ward = Ward::new(settings.listen, settings.interval, seed)?;
        let away = ward::away(&ward::rules(settings.interval)?);
        let pauses = Policy::exponential(away).cap(away * 10).build()?;
        let (tell, told) = channel();
        // One keepalive may wait, no more: a queue would keep a lease alive for the dead.
        let (keepalives, asks) = sync_channel(1);
        let (client, teller) = (Arc::clone(&etcd), tell.clone());
        thread::spawn(move || worker::ask(&client, &asks, &teller));
        let (verdicts, asks) = channel();
        let (client, teller) = (Arc::clone(&etcd), tell.clone());
        thread::spawn(move || worker::ask(&client, &asks, &teller));
        let lasts = settings.ttl;
        thread::spawn(move || worker::watch(etcd, lasts, seed, tell));
        Ok(Self {
            settings,
            ward,
            condemned: BTreeSet::new(),
            view: View::new(),
            standing: Standing::Out(now),
            last_lease: None,
            backoff: Backoff::new(seed),
            retries: worker::retries(),
            doubts: Backoff::new(seed),
            pauses,
            keepalives,
            verdicts,
            told,
        })
    }

    /// For ever.
    pub fn run(mut self) -> Result<()> {
        say(&format!("pings from {}", self.ward.address()?));
        let mut last = clock::now();
        loop {
            self.ward.wait(self.next_deadline())?;
            self.check_lease()?; // First of all: who was frozen has no rights.
            let now = clock::now();
            let turn = now.saturating_duration_since(last);
            if turn > PUNCTUAL {
                say(&format!("late: {turn:.0?} for a turn"));
            }
            last = now;
            while let Ok(told) = self.told.try_recv() {
                self.hear(told)?;
            }
            self.keep_lease()?;
            self.ward.receive()?; // Read before you judge.
            self.check_lease()?;
            let found = self.ward.advance();
            found.guard.iter().for_each(|report| say(&format!("guard: {report}")));
            if found.doubts_us() {
                self.doubt();
            }
            for (name, peer) in found.dead {
                self.condemn(name, peer);
            }
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        match &self.standing {
            Standing::In(lease) => Some(lease.next_deadline()),
            Standing::Out(retry) => Some(*retry),
            Standing::Joining => None,
        }
    }

    /// Whoever has lost its lease forgets everything.
    fn check_lease(&mut self) -> Result<()> {
        let now = clock::now();
        if let Standing::In(lease) = &self.standing
            && !lease.is_valid(now)
        {
            say(&format!("fenced lease={:x} peers={}", lease.grant().id, self.ward.len()));
            self.ward.forget()?;
            self.standing = Standing::Out(now);
        }
        Ok(())
    }

    fn keep_lease(&mut self) -> Result<()> {
        let now = clock::now();
        match &mut self.standing {
            Standing::In(lease) => {
                if let Some(ping) = lease.turn(now) {
                    let ask = Ask::KeepAlive { lease: lease.grant().id, ping, sent: now };
                    // If the last one still waits, this one is left out.
                    let _ = self.keepalives.try_send((ask, lease.patience()));
                }
            }
            Standing::Out(retry) if *retry <= now => {
                let Settings { id, weight, ttl, .. } = &self.settings;
                let (observer, before) = (id.clone(), self.last_lease);
                let ask = Ask::Join { observer, weight: *weight, ttl: *ttl, before };
                self.standing = match self.keepalives.try_send((ask, *ttl)) {
                    Ok(()) => Standing::Joining,
                    Err(_) => Standing::Out(now.saturating_add(*ttl / 10)),
                };
            }
            _ => {}
        }
        Ok(())
    }

    fn hear(&mut self, told: Told) -> Result<()> {
        let now = clock::now();
        match told {
            Told::Joined(Ok(grant)) => {
                say(&format!("joined lease={:x} revision={}", grant.id, grant.revision));
                self.last_lease = Some(grant.id);
                self.backoff.reset();
                self.standing = Standing::In(Box::new(Lease::new(grant, now)?));
                self.reconcile()
            }
            Told::Joined(Err(error)) => {
                let delay = self.backoff.next(&self.retries).unwrap_or(self.settings.ttl);
                say(&format!("out for {delay:?}: {error:#}"));
                self.standing = Standing::Out(now.saturating_add(delay));
                Ok(())
            }
            Told::KeptAlive { lease: id, ping, sent, is_alive } => {
                if let Standing::In(lease) = &mut self.standing
                    && lease.grant().id == id
                {
                    lease.answered(ping, sent, is_alive, now);
                }
                Ok(())
            }
            Told::Left { lease: id, left } => match (&self.standing, left) {
                (Standing::In(lease), true) if lease.grant().id == id => self.leave(),
                (_, left) => {
                    say(&format!("stays: left={left}"));
                    Ok(())
                }
            },
            Told::Condemned(verdict, outcome) => {
                let what = match outcome {
                    Some(Outcome::Written) => "written",
                    Some(Outcome::Refused) => "refused",
                    None => "unknown",
                };
                say(&format!("verdict {} {what}", verdict.peer));
                self.condemned.remove(&verdict.peer);
                // If that was the end of it, the watch tells; if not, all begins anew. (It may have
                // registered again already.)
                let known = self.view.peers.get(&verdict.peer);
                let is_same = known.is_some_and(|peer| peer.incarnation == verdict.incarnation);
                if outcome == Some(Outcome::Written) && is_same {
                    return Ok(());
                }
                self.settle(&verdict.peer)
            }
            Told::Snapshot(entries, revision) => {
                self.view = View::of(entries, revision);
                self.return_if_nobody_is_left();
                self.reconcile()
            }
            Told::Changes(changes, revision) => {
                let keys: Vec<String> = changes
                    .iter()
                    .filter_map(|change| Some(change.key().strip_prefix(PEERS)?.to_owned()))
                    .collect();
                let before = self.view.observers().clone();
                match self.view.apply(changes, revision) {
                    Moved::Observers => {
                        self.tell_of_change(&before);
                        self.return_if_nobody_is_left();
                        self.reconcile()
                    }
                    Moved::Peers => keys.iter().try_for_each(|peer| self.settle(peer)),
                }
            }
        }
    }

    /// Who comes from whom, for whoever reads along.
    fn tell_of_change(&self, before: &Assignment<String>) {
        let mut from = BTreeMap::<&str, u32>::new();
        let mut given = 0;
        let peers = self.view.peers.keys();
        for (_, change) in before.changes(self.view.observers(), &self.settings.id, peers) {
            match change {
                Change::Gained { from: Some(other) } => *from.entry(other).or_default() += 1,
                Change::Gained { from: None } => *from.entry("nobody").or_default() += 1,
                Change::Given { .. } => given += 1,
            }
        }
        say(&format!("observers={} gained={from:?} given={given}", self.view.observers().len()));
    }

    /// Watches whom it should, and nobody else.
    fn reconcile(&mut self) -> Result<()> {
        let peers: BTreeSet<String> =
            self.view.peers.keys().chain(self.ward.names()).cloned().collect();
        peers.iter().try_for_each(|peer| self.settle(peer))
    }

    /// Watches this peer if it should, and else does not.
    fn settle(&mut self, name: &str) -> Result<()> {
        let known = self.view.peers.get(name).copied().filter(|_| self.is_own(name));
        if self.ward.peer(name) == known {
            return Ok(());
        }
        self.ward.dismiss(name);
        match known {
            Some(peer) if !self.condemned.contains(name) => self.ward.admit(name, peer),
            _ => Ok(()),
        }
    }

    fn is_own(&self, peer: &str) -> bool {
        let Standing::In(lease) = &self.standing else { return false };
        let id = &self.settings.id;
        self.view.is_member(id, lease.grant().revision) && self.view.owner(peer) == Some(id)
    }

    /// Most of its peers fell silent together: it may be cut off from them, and not from etcd. Others
    /// shall see. The last observer stays, and judges when its guard has waited long enough; so do
    /// all when several doubt themselves at once.
    fn doubt(&self) {
        if let Standing::In(lease) = &self.standing
            && self.view.observers().len() > 1
        {
            let (lease, ttl) = (lease.grant().id, self.settings.ttl);
            let observer = self.settings.id.clone();
            let _ = self.verdicts.send((Ask::Leave { observer, lease, ttl }, ttl));
        }
    }

    fn leave(&mut self) -> Result<()> {
        let Standing::In(lease) = &self.standing else { return Ok(()) };
        let (now, ttl) = (clock::now(), self.settings.ttl);
        if now.saturating_duration_since(lease.grant().asked) > ttl * 30 {
            self.doubts.reset(); // It went well for long.
        }
        let pause = self.doubts.next(&self.pauses).unwrap_or(ttl);
        say(&format!("doubts itself for {pause:?} peers={}", self.ward.len()));
        self.ward.forget()?;
        self.standing = Standing::Out(now.saturating_add(pause));
        self.return_if_nobody_is_left();
        Ok(())
    }

    /// Who stays away leaves its peers to others. If these are gone, nobody looks.
    fn return_if_nobody_is_left(&mut self) {
        if let Standing::Out(retry) = &mut self.standing
            && self.view.observers().is_empty()
        {
            *retry = clock::now();
        }
    }

    /// Has the verdict written, if it still may give one.
    fn condemn(&mut self, name: String, peer: Peer) {
        let Standing::In(lease) = &self.standing else { return };
        if !lease.is_valid(clock::now()) {
            return;
        }
        let verdict = Verdict {
            peer: name.clone(),
            incarnation: peer.incarnation,
            observer: self.settings.id.clone(),
            lease: lease.grant().id,
            revision: lease.grant().revision,
            view: self.view.revision,
        };
        if self.verdicts.send((Ask::Condemn(verdict), self.settings.ttl)).is_ok() {
            self.condemned.insert(name);
        }
    }
}

/// A line for whoever reads along, with the time by [`clock`]; if nobody does, never mind.
fn say(line: &str) {
    let nanos = clock::now().as_nanos();
    let _ = writeln!(io::stdout(), "{nanos} {line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::{Change, Entry, OBSERVERS};
    use crate::lease::Grant;

    const HOUR: Duration = Duration::from_secs(3600);

    /// There is no etcd where it looks.
    fn away() -> Result<Observer> {
        let mut observer = Observer::new(Settings {
            etcd: vec!["http://127.0.0.1:9".to_owned()],
            id: "a".to_owned(),
            weight: 1,
            ttl: Duration::from_secs(2),
            listen: ([127, 0, 0, 1], 0).into(),
            interval: Duration::from_secs(1),
        })?;
        observer.standing = Standing::Out(clock::now().saturating_add(HOUR));
        Ok(observer)
    }

    fn key(id: &str) -> String {
        format!("{OBSERVERS}{id}")
    }

    fn others(ids: &[&str]) -> Told {
        let entry =
            |id: &&str| Entry { key: key(id), value: "1".to_owned(), created: 5, modified: 5 };
        Told::Snapshot(ids.iter().map(entry).collect(), 9)
    }

    fn is_back(observer: &Observer) -> bool {
        observer.next_deadline().is_some_and(|due| due <= clock::now())
    }

    #[test]
    fn it_comes_back_when_nobody_else_is_left() -> Result<()> {
        let mut observer = away()?;
        observer.hear(others(&["b", "c"]))?;
        observer.hear(Told::Changes(vec![Change::Deleted(key("b"))], 10))?;
        assert!(!is_back(&observer), "c looks");
        observer.hear(Told::Changes(vec![Change::Deleted(key("c"))], 11))?;
        assert!(is_back(&observer), "nobody looks");

        let mut observer = away()?;
        observer.hear(others(&[]))?;
        assert!(is_back(&observer), "nobody looked from the beginning");

        // Nor does it go when they went before etcd had told that it may.
        let mut observer = away()?;
        let ttl = observer.settings.ttl;
        let grant = Grant { id: 7, revision: 3, ttl, asked: clock::now() };
        observer.standing = Standing::In(Box::new(Lease::new(grant, clock::now())?));
        observer.hear(Told::Left { lease: 7, left: true })?;
        assert!(is_back(&observer), "nobody looks");
        Ok(())
    }
}
