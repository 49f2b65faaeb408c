//! [`Observer`]: one of those who watch. One thread, which waits for nothing but datagrams and
//! deadlines; what takes etcd's time is in [`worker`].
//!
//! What keeps it honest:
//!
//! * Before it acts it looks whether its lease is valid, by the clock. If not, it forgets all its
//!   peers, and comes back as a new one.
//! * Peers that it takes over are new to it: each is asked, and has its whole response time, before
//!   any verdict. Nobody dies because its observer did.
//! * A verdict is written by a transaction that etcd refuses unless this life of this observer is
//!   still there, no observer has come that it does not know of, and the peer has not registered
//!   anew. A verdict that is refused is none: the peer is watched again from the beginning.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use heartbeat_proto::backoff::{Backoff, Policy};
use heartbeat_proto::codec::{Frame, MAX_FRAME, datagram};
use heartbeat_proto::fleet::{Fleet, Handle, Profile, Progress};
use heartbeat_proto::{Action, Actions, Config, Event, Liveness, Mode, Timestamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::clock;
use crate::etcd::{Etcd, Outcome, Verdict};
use crate::lease::Lease;
use crate::view::{Moved, View};
use crate::worker::{self, Ask, Told};

#[derive(Clone, Debug)]
pub struct Settings {
    pub etcd: Vec<String>,
    pub id: String,
    pub weight: u32,
    pub ttl: Duration,
    /// Between two pings to a peer; the third in a row that is not answered convicts.
    pub interval: Duration,
}

/// The rules for peers.
pub fn rules(interval: Duration) -> Result<Config> {
    Ok(Config::builder().mode(Mode::Initiator).interval(interval).build()?)
}

enum Standing {
    /// No lease; the next try is at this time.
    Out(Timestamp),
    Joining,
    In(Box<Lease>),
}

/// What is kept of a watched peer, besides its state.
struct Seat {
    peer: String,
    address: SocketAddr,
    incarnation: i64,
}

pub struct Observer {
    settings: Settings,
    config: Config,
    seed: u64,
    socket: UdpSocket,
    fleet: Fleet,
    profile: Profile,
    /// By the place in the fleet.
    seats: Vec<Option<Seat>>,
    watched: BTreeMap<String, Handle>,
    /// Whose verdicts are being written.
    condemned: BTreeSet<String>,
    view: View,
    standing: Standing,
    last_lease: Option<i64>,
    backoff: Backoff,
    retries: Policy,
    keepalives: SyncSender<(Ask, Duration)>,
    verdicts: Sender<(Ask, Duration)>,
    told: Receiver<Told>,
}

impl Observer {
    pub fn new(settings: Settings) -> Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.set_nonblocking(true)?;
        let etcd = Arc::new(Etcd::new(settings.etcd.clone())?);
        let now = clock::now();
        let seed = now.as_nanos() ^ u64::from(std::process::id()) << 40;
        let config = rules(settings.interval)?;
        let fleet = Fleet::new(config, seed, now)?;
        let profile = fleet.profiles().next().expect("the one above");
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
            config,
            seed,
            socket,
            fleet,
            profile,
            seats: Vec::new(),
            watched: BTreeMap::new(),
            condemned: BTreeSet::new(),
            view: View::new(),
            standing: Standing::Out(now),
            last_lease: None,
            backoff: Backoff::new(seed),
            retries: worker::retries(),
            keepalives,
            verdicts,
            told,
        })
    }

    /// For ever.
    pub fn run(mut self) -> Result<()> {
        loop {
            self.wait()?;
            self.check_lease()?; // First of all: who was frozen has no rights.
            while let Ok(told) = self.told.try_recv() {
                self.hear(told)?;
            }
            self.keep_lease()?;
            self.receive()?; // Read before you judge.
            self.check_lease()?;
            self.advance()?;
        }
    }

    /// For a datagram or a deadline; what the workers tell is seen within 10 ms.
    fn wait(&self) -> Result<()> {
        let now = clock::now();
        let lease = match &self.standing {
            Standing::In(lease) => Some(lease.next_deadline()),
            Standing::Out(retry) => Some(*retry),
            Standing::Joining => None,
        };
        let due = self.fleet.next_deadline().into_iter().chain(lease).min();
        let longest = Duration::from_millis(10);
        let left = due.map_or(longest, |due| due.saturating_duration_since(now).min(longest));
        let left = Timespec { tv_sec: 0, tv_nsec: left.as_nanos() as _ };
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&left)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whoever has lost its lease forgets everything.
    fn check_lease(&mut self) -> Result<()> {
        let now = clock::now();
        if let Standing::In(lease) = &self.standing
            && !lease.is_valid(now)
        {
            say(&format!("fenced lease={:x} peers={}", lease.grant().id, self.watched.len()));
            self.fleet = Fleet::new(self.config, self.seed ^ now.as_nanos(), now)?;
            self.seats.clear();
            self.watched.clear();
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
            Told::Condemned(verdict, outcome) => {
                let what = match outcome {
                    Some(Outcome::Written) => "written",
                    Some(Outcome::Refused) => "refused",
                    None => "unknown",
                };
                say(&format!("verdict {} {what}", verdict.peer));
                self.condemned.remove(&verdict.peer);
                // If that was the end of it, the watch tells; if not, all begins anew.
                if outcome != Some(Outcome::Written) {
                    self.admit(&verdict.peer)?;
                }
                Ok(())
            }
            Told::Snapshot(entries, revision) => {
                self.view = View::of(entries, revision);
                self.reconcile()
            }
            Told::Changes(changes, revision) => {
                let keys: Vec<String> = changes
                    .iter()
                    .filter_map(|change| {
                        Some(change.key().strip_prefix(crate::etcd::PEERS)?.to_owned())
                    })
                    .collect();
                let before = self.view.observers().clone();
                match self.view.apply(changes, revision) {
                    Moved::Observers => {
                        self.tell_of_change(&before);
                        self.reconcile()
                    }
                    Moved::Peers => keys.iter().try_for_each(|peer| self.settle(peer)),
                }
            }
        }
    }

    /// Who comes from whom, for whoever reads along.
    fn tell_of_change(&self, before: &heartbeat_proto::assignment::Assignment<String>) {
        use heartbeat_proto::assignment::Change;
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
            self.view.peers.keys().chain(self.watched.keys()).cloned().collect();
        peers.iter().try_for_each(|peer| self.settle(peer))
    }

    /// Watches this peer if it should, and else does not.
    fn settle(&mut self, peer: &str) -> Result<()> {
        let known = self.view.peers.get(peer).copied().filter(|_| self.is_own(peer));
        if let Some(handle) = self.watched.get(peer).copied() {
            let seat = self.seats[handle.place() as usize].as_ref();
            if seat.map(|seat| seat.incarnation) == known.map(|peer| peer.incarnation) {
                return Ok(());
            }
            self.dismiss(handle);
        }
        self.admit(peer)
    }

    fn is_own(&self, peer: &str) -> bool {
        let Standing::In(lease) = &self.standing else { return false };
        let id = &self.settings.id;
        self.view.is_member(id, lease.grant().revision) && self.view.owner(peer) == Some(id)
    }

    /// A peer that is ours, and new to us.
    fn admit(&mut self, peer: &str) -> Result<()> {
        let Some(known) = self.view.peers.get(peer).copied() else { return Ok(()) };
        if !self.is_own(peer) || self.watched.contains_key(peer) || self.condemned.contains(peer) {
            return Ok(());
        }
        let now = clock::now();
        let handle = self.fleet.insert(self.profile, now)?;
        let place = handle.place() as usize;
        self.seats.resize_with(self.seats.len().max(place + 1), || None);
        let (address, incarnation) = (known.address, known.incarnation);
        self.seats[place] = Some(Seat { peer: peer.to_owned(), address, incarnation });
        self.watched.insert(peer.to_owned(), handle);
        let actions = self.fleet.handle(handle, Event::Start, now)?;
        self.perform(vec![(handle, actions)]);
        Ok(())
    }

    fn dismiss(&mut self, handle: Handle) -> Option<Seat> {
        let _ = self.fleet.remove(handle).ok()?;
        let seat = self.seats[handle.place() as usize].take()?;
        self.watched.remove(&seat.peer);
        Some(seat)
    }

    fn receive(&mut self) -> Result<()> {
        let mut bytes = [0; MAX_FRAME + 1]; // Longer datagrams are no frames.
        loop {
            let (len, from) = match self.socket.recv_from(&mut bytes) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error.into()),
            };
            let Ok(Frame::Pong { id, handle, stamp, hold, calm, .. }) =
                datagram::decode(&bytes[..len])
            else {
                continue;
            };
            let handle = Handle::new(handle as u32, id.epoch());
            let seat = self.seats.get(handle.place() as usize).and_then(Option::as_ref);
            if seat.is_none_or(|seat| seat.address != from) {
                continue;
            }
            let stamp = Some(Timestamp::from_nanos(stamp.wrapping_sub(self.seed)));
            let event = Event::PongReceived { id, stamp, hold, calm };
            // A handle that is out of date names nobody.
            if let Ok(actions) = self.fleet.handle(handle, event, clock::now()) {
                self.perform(vec![(handle, actions)]);
            }
        }
    }

    fn advance(&mut self) -> Result<()> {
        loop {
            let mut all = Vec::new();
            let mut sink = |handle: Handle, actions: Actions| {
                all.push((handle, actions));
                ControlFlow::Continue(())
            };
            let progress = self.fleet.advance(clock::now(), 256, &mut sink);
            self.perform(all);
            if progress == Progress::Done {
                return Ok(());
            }
        }
    }

    fn perform(&mut self, all: Vec<(Handle, Actions)>) {
        for (handle, actions) in all {
            for action in actions {
                match action {
                    Action::SendPing { id, stamp } => {
                        let Some(Some(seat)) = self.seats.get(handle.place() as usize) else {
                            continue;
                        };
                        let stamp = stamp.as_nanos().wrapping_add(self.seed);
                        let handle = handle.slot().into();
                        let ping = Frame::Ping { id, handle, stamp, status: None };
                        let mut bytes = [0; MAX_FRAME];
                        let len = ping.encode_into(&mut bytes).expect("there is room");
                        // An error is no verdict: silence is.
                        let _ = self.socket.send_to(&bytes[..len], seat.address);
                    }
                    Action::Notify(change) if change.to == Liveness::Lost => self.condemn(handle),
                    _ => {}
                }
            }
        }
    }

    /// Has the verdict written, if it still may give one.
    fn condemn(&mut self, handle: Handle) {
        let Some(seat) = self.dismiss(handle) else { return };
        let Standing::In(lease) = &self.standing else { return };
        if !lease.is_valid(clock::now()) {
            return;
        }
        let verdict = Verdict {
            peer: seat.peer.clone(),
            incarnation: seat.incarnation,
            observer: self.settings.id.clone(),
            lease: lease.grant().id,
            revision: lease.grant().revision,
            view: self.view.revision,
        };
        if self.verdicts.send((Ask::Condemn(verdict), self.settings.ttl)).is_ok() {
            self.condemned.insert(seat.peer);
        }
    }
}

/// A line for whoever reads along; if nobody does, never mind.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}
