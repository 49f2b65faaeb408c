//! One UDP socket and 1000 peers: a machine for each, and one timer for all.
//!
//! This is a loop of your own: `HeartbeatMachine` decides, `codec::Link` translates, and the order
//! of the deadlines says how long to wait. Some peers fall silent and are found, some say goodbye.
//! The peers use the adapter `UdpHeartbeat`. It ends by itself.

#![allow(clippy::std_instead_of_alloc, reason = "a program has std")]

use core::future::pending;
use core::hash::BuildHasher;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap};
use std::io;

use heartbeat_proto::adapter::TokioClock;
use heartbeat_proto::adapter::tokio::UdpHeartbeat;
use heartbeat_proto::codec::{Link, MAX_FRAME, datagram};
use heartbeat_proto::{Action, Config, Event, HeartbeatMachine, Liveness, Timestamp, Transition};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

const PEERS: usize = 1000;

/// One peer, as the server sees it.
struct Peer {
    machine: HeartbeatMachine,
    link: Link,
    /// Its place in `Server::deadlines`.
    due: Option<Timestamp>,
}

struct Server {
    socket: UdpSocket,
    config: Config,
    clock: TokioClock,
    /// By address: with peers behind a NAT, whose addresses change, use the handle in the frames.
    peers: HashMap<SocketAddr, Peer>,
    /// The one timer: whoever is due first comes first.
    deadlines: BTreeSet<(Timestamp, SocketAddr)>,
    /// Peers that were lost or have closed, in that order.
    ended: Vec<(SocketAddr, Transition)>,
}

impl Server {
    /// Waits for a datagram or a deadline, and does all that there is to do.
    async fn turn(&mut self) -> io::Result<()> {
        match self.deadlines.first() {
            None => self.socket.readable().await?,
            Some(&(due, _)) => {
                let due = self.clock.instant(due).expect("soon");
                tokio::select! {
                    readable = self.socket.readable() => readable?,
                    () = sleep_until(due) => {}
                }
            }
        }
        // Read before you judge: an answer that lies in the socket is no silence.
        let mut buf = [0; MAX_FRAME + 1]; // Longer datagrams are no frames.
        while let Ok((len, from)) = self.socket.try_recv_from(&mut buf) {
            self.received(&buf[..len], from);
        }
        while let Some(&(due, address)) = self.deadlines.first() {
            if due > self.clock.now() {
                break;
            }
            self.handle(address, Event::Tick);
        }
        Ok(())
    }

    fn received(&mut self, bytes: &[u8], from: SocketAddr) {
        let Ok(frame) = datagram::decode(bytes) else { return }; // Garbage is no sign of life.
        let now = self.clock.now();
        if !self.peers.contains_key(&from) {
            if self.peers.len() == PEERS {
                return; // Anybody can send: bound what you keep, and see the feature `auth`.
            }
            let seed = RandomState::new().hash_one(from);
            let machine = HeartbeatMachine::new(self.config, seed, now);
            let peer = Peer { machine, link: Link::new(seed, 0), due: None };
            self.peers.insert(from, peer);
            self.handle(from, Event::Start);
        }
        let link = self.peers.get_mut(&from).map(|peer| &mut peer.link);
        if let Some(event) = link.and_then(|link| link.event(&frame, now)) {
            self.handle(from, event);
        }
    }

    /// Hands an event to a peer's machine, performs its actions, and puts its deadline in order.
    fn handle(&mut self, address: SocketAddr, event: Event) {
        let Some(peer) = self.peers.get_mut(&address) else { return };
        let now = self.clock.now();
        let mut ended = None;
        for action in peer.machine.handle(event, now) {
            if let Some(frame) = peer.link.frame(&action, now) {
                let mut buf = [0; MAX_FRAME];
                let len = frame.encode_into(&mut buf).expect("there is room");
                // An error is no verdict: silence is.
                let _ = self.socket.try_send_to(&buf[..len], address);
            } else if let Action::Notify(change) = action {
                ended = matches!(change.to, Liveness::Lost | Liveness::Closed).then_some(change);
            }
        }
        let due = peer.machine.next_deadline().filter(|_| ended.is_none());
        if due != peer.due {
            if let Some(was) = peer.due {
                self.deadlines.remove(&(was, address));
            }
            if let Some(due) = due {
                self.deadlines.insert((due, address));
            }
            peer.due = due;
        }
        if let Some(change) = ended {
            self.peers.remove(&address);
            self.ended.push((address, change));
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Scene {
    Beat,
    FallSilent,
    SayGoodbye,
}

/// Every 40th peer falls silent, and every 25th of the others says goodbye.
async fn peer(number: usize, socket: UdpSocket, config: Config, mut scene: watch::Receiver<Scene>) {
    let mut heart = UdpHeartbeat::new(socket, config);
    loop {
        tokio::select! {
            _ = heart.drive() => return,
            changed = scene.changed() => changed.expect("the scenes go on"),
        }
        let now = *scene.borrow();
        match now {
            Scene::FallSilent if number % 40 == 0 => return pending().await,
            Scene::SayGoodbye if number % 25 == 0 => return heart.close().await,
            _ => {}
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn core::error::Error>> {
    allow_many_sockets()?;
    let config = Config::detect_within(Duration::from_secs(4))?;
    let mut server = Server {
        socket: UdpSocket::bind("127.0.0.1:0").await?,
        config,
        clock: TokioClock::new(),
        peers: HashMap::new(),
        deadlines: BTreeSet::new(),
        ended: Vec::new(),
    };
    let (scene, watched) = watch::channel(Scene::Beat);
    let (mut tasks, mut silent) = (JoinSet::new(), Vec::new());
    for number in 0..PEERS {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(server.socket.local_addr()?).await?;
        if number % 40 == 0 {
            silent.push(socket.local_addr()?);
        }
        tasks.spawn(peer(number, socket, config, watched.clone()));
    }

    // Two seconds of peace; then the silence, then the goodbyes.
    for (span, next) in [(2, Some(Scene::FallSilent)), (5, Some(Scene::SayGoodbye)), (1, None)] {
        let mut end = core::pin::pin!(sleep(Duration::from_secs(span)));
        loop {
            tokio::select! {
                turn = server.turn() => turn?,
                () = &mut end => break,
            }
        }
        println!(
            "{} peers alive, {} have ended; {} deadlines",
            server.peers.len(),
            server.ended.len(),
            server.deadlines.len(),
        );
        if let Some(next) = next {
            scene.send(next)?;
        }
    }

    let (mut lost, goodbyes): (Vec<&(SocketAddr, Transition)>, Vec<_>) =
        server.ended.iter().partition(|(_, change)| change.to == Liveness::Lost);
    println!("{} lost, the first: {}", lost.len(), lost.first().ok_or("some are lost")?.1);
    println!("{} said goodbye", goodbyes.len());
    lost.sort_unstable_by_key(|(address, _)| *address);
    silent.sort_unstable();
    assert!(lost.iter().map(|(address, _)| address).eq(&silent), "the silent, and nobody else");
    Ok(())
}

/// One socket for each peer: more than many systems allow unasked.
fn allow_many_sockets() -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    Ok(())
}
