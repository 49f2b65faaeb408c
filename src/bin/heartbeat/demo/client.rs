//! The client under test: an ordinary user of the adapter, with a log of what its heart told.

use alloc::sync::Arc;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;
use std::io;
use std::sync::{Mutex, PoisonError};

use heartbeat_proto::adapter::tokio::Heartbeat;
use heartbeat_proto::adapter::{Driver, Ended, Notice, Setup, StdClock};
use heartbeat_proto::{Config, Timestamp};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) heart: Heartbeat<TcpStream>,
    log: Log,
}

/// What the heart told, and when, on the demo's own clock.
#[derive(Clone, Debug)]
struct Log {
    clock: StdClock,
    notices: Arc<Mutex<Vec<(Timestamp, Notice)>>>,
}

impl Client {
    pub(crate) async fn connect(
        to: SocketAddr,
        config: Config,
        seed: u64,
        clock: StdClock,
    ) -> io::Result<Self> {
        let socket = TcpStream::connect(to).await?;
        let log = Log { clock, notices: Arc::default() };
        let told = log.clone();
        let setup = Setup::new(config).seed(seed).observer(move |notice| {
            let at = told.clock.now();
            told.notices.lock().unwrap_or_else(PoisonError::into_inner).push((at, notice));
        });
        Ok(Self { heart: Heartbeat::tcp(socket, setup)?, log })
    }

    /// The next connection to the same peer, with what was learnt on the last one.
    pub(crate) async fn reconnect(self, to: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(to).await?;
        socket.set_nodelay(true)?;
        Ok(Self { heart: self.heart.reconnected(socket), log: self.log })
    }

    pub(crate) fn driver(&self) -> &Driver {
        self.heart.driver()
    }

    /// Beats for `span`; earlier only if the connection ended.
    pub(crate) async fn live_for(&mut self, span: Duration) {
        self.until(span, |_| false).await;
    }

    /// Beats until `done`, the end of the connection, or `limit`.
    pub(crate) async fn until(&mut self, limit: Duration, done: impl Fn(&Driver) -> bool) {
        let heart = &mut self.heart;
        let beat = poll_fn(|cx| {
            loop {
                let mut space = [0; 1024];
                let mut buf = ReadBuf::new(&mut space);
                match Pin::new(&mut *heart).poll_read(cx, &mut buf) {
                    // The server sends nothing but heartbeats; were it to, it would be dropped.
                    Poll::Ready(Ok(())) if !buf.filled().is_empty() => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending if done(heart.driver()) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        // The limit is no failure: whoever waits looks at what came of it.
        let _ = timeout(limit, beat).await;
    }

    /// Sends as much as it can until the connection ends, or `limit`. Returns how much it was.
    pub(crate) async fn upload(&mut self, limit: Duration) -> u64 {
        let piece = vec![0x5a; 16 * 1024];
        let mut sent = 0;
        let _ = timeout(limit, async {
            while self.heart.write_all(&piece).await.is_ok() {
                sent += piece.len() as u64;
            }
        })
        .await;
        sent
    }

    pub(crate) fn ended(&self) -> Option<Ended> {
        self.driver().ended()
    }

    /// What was told since `since`.
    pub(crate) fn told_since(&self, since: Timestamp) -> Vec<(Timestamp, Notice)> {
        let notices = self.log.notices.lock().unwrap_or_else(PoisonError::into_inner);
        notices.iter().filter(|(at, _)| *at >= since).copied().collect()
    }
}
