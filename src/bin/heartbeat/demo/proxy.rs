//! A TCP relay that can be told to misbehave.

use alloc::sync::Arc;
use core::net::SocketAddr;
use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io;

use heartbeat_proto::Timestamp;
use heartbeat_proto::adapter::StdClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Sleep;

/// What the relay does to the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    Pass,
    /// What the server sends arrives that much later.
    Delay(Duration),
    /// Every byte of both directions is read and dropped; the sockets stay open.
    Swallow,
    /// What the client sends is not even read.
    StopReading,
}

#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    fault: watch::Sender<Fault>,
    delivered: Delivered,
}

/// When bytes were last handed to the client's socket, on the demo's own clock.
#[derive(Clone, Debug)]
struct Delivered {
    clock: StdClock,
    at: Arc<AtomicU64>,
}

/// So many pieces may be on their way to the client, late.
const IN_FLIGHT: usize = 1024;

impl Proxy {
    /// A relay to `upstream` for any number of connections, for as long as the runtime runs.
    pub(crate) async fn start(upstream: SocketAddr, clock: StdClock) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (fault, faults) = watch::channel(Fault::Pass);
        let delivered = Delivered { clock, at: Arc::default() };
        let stamps = delivered.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, upstream, faults.clone(), stamps.clone()));
            }
        });
        Ok(Self { address, fault, delivered })
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// When the client was last handed a byte: just before it, so never later than it knew.
    pub(crate) fn last_delivery(&self) -> Timestamp {
        Timestamp::from_nanos(self.delivered.at.load(Ordering::SeqCst))
    }
}

async fn relay(
    client: TcpStream,
    upstream: SocketAddr,
    faults: watch::Receiver<Fault>,
    stamps: Delivered,
) -> io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (late, on_time) = mpsc::channel(IN_FLIGHT);
    // Each ends when its source does, and thereby ends its target.
    let _ = tokio::join!(
        upload(from_client, to_server, faults.clone()),
        collect(from_server, late, faults.clone()),
        deliver(on_time, to_client, faults, stamps),
    );
    Ok(())
}

async fn upload(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut faults: watch::Receiver<Fault>,
) -> io::Result<()> {
    let mut space = vec![0; 64 * 1024];
    loop {
        let fault = *faults.borrow_and_update();
        tokio::select! {
            changed = faults.changed() => if changed.is_err() { return Ok(()) },
            read = from.read(&mut space), if fault != Fault::StopReading => match read? {
                0 => return Ok(()),
                _ if fault == Fault::Swallow => {}
                len => to.write_all(space.get(..len).unwrap_or_default()).await?,
            },
        }
    }
}

/// A piece of what the server sent, and the delay that began when it came.
type Late = (Pin<Box<Sleep>>, Vec<u8>);

async fn collect(
    mut from: OwnedReadHalf,
    to: mpsc::Sender<Late>,
    faults: watch::Receiver<Fault>,
) -> io::Result<()> {
    let mut space = [0; 4096];
    loop {
        let len = from.read(&mut space).await?;
        let delay = match *faults.borrow() {
            Fault::Delay(delay) => delay,
            _ => Duration::ZERO,
        };
        let piece = space.get(..len).unwrap_or_default().to_vec();
        if len == 0 || to.send((Box::pin(tokio::time::sleep(delay)), piece)).await.is_err() {
            return Ok(());
        }
    }
}

async fn deliver(
    mut from: mpsc::Receiver<Late>,
    mut to: OwnedWriteHalf,
    faults: watch::Receiver<Fault>,
    stamps: Delivered,
) -> io::Result<()> {
    while let Some((delay, piece)) = from.recv().await {
        delay.await;
        if *faults.borrow() != Fault::Swallow {
            stamps.at.store(stamps.clock.now().as_nanos(), Ordering::SeqCst);
            to.write_all(&piece).await?;
        }
    }
    Ok(())
}
