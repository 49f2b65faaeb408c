//! Three servers; one is killed, one becomes slow. Who is used, and when, is printed.
//!
//! The failover decides; this program performs: it probes by a question on a new connection, and
//! keeps one connection with heartbeats to the active server. It ends by itself.

#![allow(clippy::std_instead_of_alloc, reason = "a program has std")]

use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use heartbeat_proto::adapter::tokio::Heartbeat;
use heartbeat_proto::adapter::{Notice, Setup, TokioClock};
use heartbeat_proto::failover::{Endpoint, EndpointId, Event, Failover, FailoverConfig, Order};
use heartbeat_proto::{Config, Liveness};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, sleep_until};

/// The first byte of a probe; anything else is a connection with heartbeats.
const QUESTION: u8 = b'?';

/// A server that can be killed and slowed down.
struct Server {
    address: SocketAddr,
    delay_millis: Arc<AtomicU64>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let delay_millis = Arc::new(AtomicU64::new(0));
        let delay = Arc::clone(&delay_millis);
        let task = tokio::spawn(async move {
            let mut clients = JoinSet::new(); // They die with this task.
            loop {
                let (socket, _) = listener.accept().await?;
                clients.spawn(serve(socket, Arc::clone(&delay)));
            }
        });
        Ok(Self { address, delay_millis, task })
    }
}

async fn serve(mut socket: TcpStream, delay: Arc<AtomicU64>) -> io::Result<()> {
    let mut first = [0];
    socket.peek(&mut first).await?;
    if first[0] == QUESTION {
        sleep(Duration::from_millis(delay.load(Ordering::Relaxed))).await;
        return socket.write_all(b"!").await;
    }
    Heartbeat::tcp(socket, Config::lan())?.drive().await
}

/// Asks a server, on a new connection. The failover itself bounds how long this may take.
async fn probe(address: SocketAddr) -> io::Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    socket.write_all(&[QUESTION]).await?;
    socket.read_exact(&mut [0]).await.map(drop)
}

/// Keeps a connection to the active server, and tells how it is.
async fn keep(address: SocketAddr, endpoint: EndpointId, facts: UnboundedSender<Event>) {
    let tell = facts.clone();
    let observe = move |notice: Notice| {
        if let Notice::Changed { report, .. } = notice {
            let _ = match report.liveness {
                Liveness::Suspect => tell.send(Event::Suspected { endpoint }),
                Liveness::Alive => tell.send(Event::Alive { endpoint }),
                _ => Ok(()),
            };
        }
    };
    let live = async || {
        let socket = TcpStream::connect(address).await?;
        let setup = Setup::new(Config::lan()).observer(observe.clone());
        Heartbeat::tcp(socket, setup)?.drive().await
    };
    // Until it is aborted, because a better server is used.
    loop {
        let _: io::Result<()> = live().await;
        let _ = facts.send(Event::Lost { endpoint });
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn core::error::Error>> {
    let config = FailoverConfig::builder()
        .timeout(Duration::from_millis(400))
        .rtt_goal(Duration::from_millis(50))
        .hold(Duration::from_secs(1))
        .quarantine(Duration::from_secs(2))
        .build()?;
    let clock = TokioClock::new();
    let start = clock.now();
    let mut failover: Failover<3> = Failover::new(config, 42, start);
    let (mut servers, mut ids) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        servers.push(Server::start().await?);
        ids.push(failover.add(Endpoint::new(Duration::from_millis(100))?, start)?);
    }
    let index = |id: EndpointId| ids.iter().position(|known| *known == id).expect("one of three");

    let (facts, mut told) = unbounded_channel();
    let mut connection: Option<JoinHandle<()>> = None;
    let mut scenes = vec![(4000, "end"), (2500, "slow"), (1000, "kill")];
    let (mut killed, mut slowed) = (None, None);
    loop {
        let (next, scene) = scenes[scenes.len() - 1];
        let next = start.saturating_add(Duration::from_millis(next));
        let wake = failover.next_deadline().map_or(next, |due| due.min(next));
        let event = tokio::select! {
            biased; // Read before you judge.
            Some(fact) = told.recv() => fact,
            () = sleep_until(clock.instant(wake).expect("soon")) => Event::Tick,
        };
        let now = clock.now();
        let shown = now.saturating_duration_since(start).as_millis();
        for order in failover.handle(event, now) {
            match order {
                Order::Probe(due) => {
                    let address = servers[index(due.endpoint())].address;
                    let facts = facts.clone();
                    tokio::spawn(async move {
                        let asked = clock.now();
                        let event = match probe(address).await {
                            Ok(()) => Event::Answered {
                                probe: due,
                                rtt: clock.now().saturating_duration_since(asked),
                            },
                            Err(_) => Event::Failed { probe: due },
                        };
                        let _ = facts.send(event);
                    });
                }
                Order::Switch { from, to, cause } => {
                    let from = from.map(index);
                    println!("{shown:5} ms  SWITCH {from:?} -> {}: {cause:?}", index(to));
                    if let Some(old) = connection.take() {
                        old.abort();
                    }
                    let address = servers[index(to)].address;
                    connection = Some(tokio::spawn(keep(address, to, facts.clone())));
                }
                Order::Standing { endpoint, from, to } => {
                    println!("{shown:5} ms  server {}: {from:?} -> {to:?}", index(endpoint));
                }
                Order::Panic { on } => println!("{shown:5} ms  panic: {on}"),
                _ => {}
            }
        }
        if now >= next {
            let active = index(failover.active().expect("never none"));
            println!("{shown:5} ms  {scene}: server {active}");
            match scene {
                "kill" => {
                    servers[active].task.abort();
                    killed = Some(active);
                }
                "slow" => {
                    servers[active].delay_millis.store(300, Ordering::Relaxed);
                    slowed = Some(active);
                }
                _ => {
                    assert!(Some(active) != killed && Some(active) != slowed, "a good one is used");
                    return Ok(());
                }
            }
            scenes.pop();
        }
    }
}
