//! Many TCP clients, each with a heart of its own.

use alloc::sync::Arc;
use core::net::SocketAddr;
use core::time::Duration;

use heartbeat_proto::adapter::Setup;
use heartbeat_proto::adapter::tokio::Heartbeat;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::log::Log;
use crate::stop::{DRAIN_LIMIT, Stop};

/// After an error of `accept` (no file descriptors left, most often).
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts clients until `stop`, then says goodbye to each. If it is dropped before, so are all
/// connections, without a goodbye.
pub(crate) async fn serve(
    listener: TcpListener,
    most: u32,
    setup: impl Fn(SocketAddr) -> Setup,
    log: Log,
    mut stop: Stop,
) {
    let places = Arc::new(Semaphore::new(most as usize));
    let mut clients = JoinSet::new();
    loop {
        let accept = async {
            // The semaphore is never closed, so there is always a place in the end.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        tokio::select! {
            () = stop.wanted() => break,
            Some(_) = clients.join_next() => {}
            (accepted, place) = accept => match accepted {
                Ok((socket, peer)) => {
                    let (setup, stop) = (setup(peer), stop.clone());
                    clients.spawn(async move {
                        converse(socket, setup, stop).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    log.line(format_args!("cannot accept a client: {error}"));
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let _ = timeout(DRAIN_LIMIT, async { while clients.join_next().await.is_some() {} }).await;
}

/// Reads and drops what the client sends; its heart beats meanwhile. How it ended the observer of
/// `setup` was told.
async fn converse(socket: TcpStream, setup: Setup, mut stop: Stop) {
    let Ok(mut heart) = Heartbeat::tcp(socket, setup) else { return };
    let mut dropped = tokio::io::sink();
    tokio::select! {
        _ = tokio::io::copy(&mut heart, &mut dropped) => {}
        () = stop.wanted() => {}
    }
    // Waits for the client to close as well, so that its last ping makes no reset of the goodbye.
    let _ = timeout(DRAIN_LIMIT, heart.close()).await;
}
