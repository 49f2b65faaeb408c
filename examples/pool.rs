//! A pool of connections over real sockets that never hands out a dead one.
//!
//! A server is frozen behind the pool's back: its sockets stay open, writes to it succeed, and
//! nobody is there any more. Another one is killed. It ends by itself.

#![allow(clippy::std_instead_of_alloc, reason = "a program has std")]

use core::future::Future;
use core::net::SocketAddr;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Poll;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use heartbeat_proto::Config;
use heartbeat_proto::adapter::TokioClock;
use heartbeat_proto::adapter::tokio::Heartbeat;
use heartbeat_proto::pool::{CheckOut, IdleLimits, Lease, Pool, PoolConfig, Proof, Upkeep};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep_until;

type Connection = Heartbeat<TcpStream>;

/// An echo server. Frozen, it neither reads nor writes, and closes nothing.
async fn echo(listener: TcpListener, frozen: Arc<AtomicBool>) -> io::Result<()> {
    let mut clients = JoinSet::new(); // They die with this task.
    loop {
        let (socket, _) = listener.accept().await?;
        let frozen = Arc::clone(&frozen);
        clients.spawn(async move {
            let mut stream = Heartbeat::tcp(socket, Config::detect_within(DETECT)?)?;
            let mut byte = [0];
            let mut serve = pin!(async {
                while stream.read(&mut byte).await? == 1 {
                    stream.write_all(&byte).await?;
                    stream.flush().await?;
                }
                stream.shutdown().await
            });
            core::future::poll_fn(|cx| {
                let works = !frozen.load(Ordering::Relaxed);
                if works { serve.as_mut().poll(cx) } else { Poll::Pending }
            })
            .await?;
            Ok::<(), Box<dyn core::error::Error + Send + Sync>>(())
        });
    }
}

const DETECT: Duration = Duration::from_millis(600);

/// The pool, and what performs its orders.
struct Connections {
    pool: Pool<SocketAddr, Connection>,
    clock: TokioClock,
    found_dead: u32,
}

impl Connections {
    /// A connection that works: heard a moment ago, verified, or new.
    async fn get(&mut self, address: SocketAddr) -> io::Result<(Lease<SocketAddr>, Connection)> {
        loop {
            match self.pool.check_out(&address, self.clock.now()) {
                CheckOut::Ready { lease, connection } => return Ok((lease, connection)),
                CheckOut::Verify { lease, mut connection } => match connection.verify().await {
                    Ok(()) => return Ok((lease, connection)),
                    Err(error) => {
                        println!("  dead, and not handed out: {error}");
                        self.found_dead += 1;
                        self.pool.discard(lease);
                    }
                },
                CheckOut::Connect { lease } => {
                    let config = Config::detect_within(DETECT).expect("a valid wish");
                    let made = TcpStream::connect(address).await;
                    return match made.and_then(|socket| Heartbeat::tcp(socket, config)) {
                        Ok(connection) => Ok((lease, connection)),
                        Err(error) => {
                            self.pool.discard(lease);
                            Err(error)
                        }
                    };
                }
                CheckOut::Close { connection, .. } => drop(connection.close().await),
                CheckOut::Refused(refusal) => return Err(io::Error::other(refusal)),
                _ => return Err(io::ErrorKind::Unsupported.into()),
            }
        }
    }

    /// Sends and receives so many bytes, each by a connection of its own.
    async fn exchange(&mut self, address: SocketAddr, times: usize) -> io::Result<()> {
        let mut used = Vec::new();
        for _ in 0..times {
            used.push(self.get(address).await?);
        }
        for (lease, mut connection) in used {
            connection.write_all(b"x").await?;
            connection.flush().await?;
            connection.read_exact(&mut [0]).await?;
            let now = self.clock.now();
            if let Err(old) = self.pool.check_in(lease, connection, now, now) {
                old.close().await?;
            }
        }
        Ok(())
    }

    /// Lets the idle connections beat, and looks after them.
    async fn rest(&mut self, span: Duration) {
        let end = self.clock.now().saturating_add(span);
        while self.clock.now() < end {
            let wake = self.pool.next_deadline().map_or(end, |due| due.min(end));
            let mut timer = pin!(sleep_until(self.clock.instant(wake).expect("soon")));
            // `drive` keeps nothing in its future, so a new one at every poll will do.
            let ended = core::future::poll_fn(|cx| {
                for (id, connection) in self.pool.idle_mut() {
                    if pin!(connection.drive()).poll(cx).is_ready() {
                        return Poll::Ready(Some(id));
                    }
                }
                timer.as_mut().poll(cx).map(|()| None)
            })
            .await;
            if let Some(id) = ended {
                println!("  ended while idle: {id:?}");
                self.found_dead += 1;
                drop(self.pool.remove(id));
            }
            let (now, mut closing) = (self.clock.now(), Vec::new());
            while let Some(upkeep) = self.pool.upkeep(now) {
                // Pings are the heartbeats' part, which bring their own verdict.
                if let Upkeep::Close { connection, why, .. } = upkeep {
                    closing.push((connection, why));
                }
            }
            for (connection, why) in closing {
                println!("  closed: {why}");
                let _ = connection.close().await;
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn core::error::Error>> {
    // The heartbeats ping; what is left to the pool is use, and age.
    let idle = IdleLimits::builder().read(None).write(None).unused(Some(Duration::from_secs(2)));
    let config = PoolConfig::builder().caps(3, 6).proof(Proof::Always).idle(idle.build()?);
    let pool = Pool::new(config.build()?, 42);
    let mut connections = Connections { pool, clock: TokioClock::new(), found_dead: 0 };

    let mut servers: Vec<(SocketAddr, Arc<AtomicBool>, JoinHandle<_>)> = Vec::new();
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, frozen) = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
        servers.push((address, Arc::clone(&frozen), tokio::spawn(echo(listener, frozen))));
    }
    let (first, second) = (servers[0].0, servers[1].0);

    println!("three connections to each of two servers");
    for address in [first, second] {
        connections.exchange(address, 3).await?;
    }
    assert_eq!(connections.pool.idle(), 6);
    println!("at rest for a second: all beat, none ends");
    connections.rest(Duration::from_secs(1)).await;
    assert_eq!((connections.pool.idle(), connections.found_dead), (6, 0));
    println!("reused: verified by a round trip each");
    connections.exchange(first, 3).await?;
    assert_eq!(connections.pool.quota().all(), 6);

    println!("the first server is frozen: no reset, no end, and writes would succeed");
    servers[0].1.store(true, Ordering::Relaxed);
    let mut handed_out = 0;
    for _ in 0..3 {
        if let CheckOut::Verify { lease, mut connection } =
            connections.pool.check_out(&first, connections.clock.now())
        {
            connection.write_all(b"x").await?; // A lie: this is what reuse without proof sees.
            match connection.verify().await {
                Ok(()) => handed_out += 1,
                Err(error) => println!("  writing worked, the proof did not: {error}"),
            }
            connections.pool.discard(lease);
        }
    }
    assert_eq!(handed_out, 0, "no dead connection is handed out");

    println!("the second server is killed, behind the pool's back");
    servers[1].2.abort();
    let error = connections.exchange(second, 1).await.expect_err("nobody is there");
    println!("  asked for a connection: {error}");
    assert_eq!(connections.found_dead, 3);
    assert_eq!((connections.pool.idle(), connections.pool.quota().all()), (0, 0));

    println!("the first one thaws: its connections are new, and after 2 s unused they are closed");
    servers[0].1.store(false, Ordering::Relaxed);
    connections.exchange(first, 2).await?;
    connections.rest(Duration::from_millis(2200)).await;
    assert_eq!((connections.pool.idle(), connections.pool.quota().all()), (0, 0));
    Ok(())
}
