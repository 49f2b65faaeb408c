//! Many TCP clients, each with a heart of its own.

use alloc::sync::Arc;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use heartbeat_proto::Config;
use heartbeat_proto::adapter::Setup;
use heartbeat_proto::adapter::tcp::{reset_on_close, tune};
use heartbeat_proto::adapter::tokio::{Heartbeat, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::lines::Lines;
use crate::over_tcp::OverTcp;
use crate::rules::Book;
use crate::stop::{DRAIN_LIMIT, Stop};

/// After an error of `accept` (no file descriptors left, most often).
const PAUSE: Duration = Duration::from_millis(100);

/// How clients are treated.
pub(crate) struct Manner<F> {
    /// The setup of a new client's heart.
    pub(crate) setup: F,
    pub(crate) tls: Option<TlsAcceptor>,
    /// The rules of living clients, if they may change.
    pub(crate) rules: Option<watch::Receiver<Arc<Book>>>,
}

/// One client, with the place that it takes.
struct Client {
    peer: SocketAddr,
    setup: Setup,
    rules: Option<watch::Receiver<Arc<Book>>>,
    stop: Stop,
}

/// Accepts clients until `stop`, then says goodbye to each. If it is dropped before, so are all
/// connections, without a goodbye.
pub(crate) async fn serve(
    listener: TcpListener,
    most: u32,
    manner: Manner<impl Fn(SocketAddr) -> Setup>,
    log: Lines,
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
                    let (setup, rules) = ((manner.setup)(peer), manner.rules.clone());
                    let client = Client { peer, setup, rules, stop: stop.clone() };
                    let (tls, log) = (manner.tls.clone(), log.clone());
                    clients.spawn(async move {
                        if let Err(error) = client.admit(socket, tls).await {
                            log.line(format_args!("{peer} {error}"));
                        }
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

impl Client {
    /// Within the start-up limit, or not at all.
    async fn admit(mut self, socket: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<()> {
        let Some(tls) = tls else { return self.converse(socket).await };
        let limit = self.setup.config().startup_limit();
        let shaken = tokio::select! {
            shaken = timeout(limit, tls.accept(socket)) => shaken,
            () = self.stop.wanted() => return Ok(()),
        };
        let late = || io::Error::other(format!("not within {limit:?} (startup_limit)"));
        match shaken.map_err(|_| late()).and_then(|shaken| shaken) {
            Ok(stream) => self.converse(stream).await,
            Err(error) => Err(io::Error::other(format!("TLS handshake failed: {error}"))),
        }
    }

    /// Reads and drops what the client sends; its heart beats meanwhile. How it ended the observer
    /// of the setup was told.
    async fn converse<S: OverTcp>(mut self, stream: S) -> io::Result<()> {
        let mut config = *self.setup.config();
        tune(stream.tcp(), &config)?;
        let heart = Heartbeat::new(stream, self.setup);
        let mut heart = heart.on_abort(|stream: &TokioIo<S>| reset_on_close(stream.tcp()));
        let name = self.peer.to_string();
        loop {
            let mut dropped = tokio::io::sink();
            let book = tokio::select! {
                _ = tokio::io::copy(&mut heart, &mut dropped) => break,
                () = self.stop.wanted() => break,
                book = changed(&mut self.rules) => book,
            };
            let new = Setup::from(book.of(&name).config);
            if *new.config() != config {
                config = *new.config();
                adapt(&mut heart, config);
            }
        }
        // Waits for the client to close as well, so that its last ping makes no reset of the
        // goodbye.
        let _ = timeout(DRAIN_LIMIT, heart.close()).await;
        Ok(())
    }
}

/// The rules, once they are others.
async fn changed(rules: &mut Option<watch::Receiver<Arc<Book>>>) -> Arc<Book> {
    if let Some(rules) = rules {
        if rules.changed().await.is_ok() {
            return Arc::clone(&rules.borrow_and_update());
        }
    }
    core::future::pending().await
}

/// Goes on under other rules.
pub(crate) fn adapt<S: OverTcp>(heart: &mut Heartbeat<S>, config: Config) {
    let now = heart.now();
    heart.driver_mut().reconfigure(config, now);
    if let Some(stream) = heart.get_ref() {
        // What the socket refuses it has refused before.
        let _ = tune(stream.tcp(), &config);
    }
}
