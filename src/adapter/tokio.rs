//! Heartbeats on tokio streams and UDP sockets.
//!
//! ```
//! use heartbeat_proto::{Config, adapter::tokio::Heartbeat};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::{TcpListener, TcpStream};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! let server = tokio::spawn(async move {
//!     let stream = Heartbeat::tcp(listener.accept().await?.0, Config::lan())?;
//!     let (mut from, mut to) = tokio::io::split(stream);
//!     tokio::io::copy(&mut from, &mut to).await?;
//!     to.shutdown().await
//! });
//! let mut stream = Heartbeat::tcp(TcpStream::connect(address).await?, Config::lan())?;
//! stream.write_all(b"are you there?").await?;
//! let mut answer = [0; 14];
//! stream.read_exact(&mut answer).await?; // an error within `worst_case_detection`, or the bytes
//! assert_eq!(&answer, b"are you there?");
//! stream.close().await?;
//! # server.await.expect("no panic")
//! # }
//! ```
//!
//! [`Heartbeat`] is the shared [`poll::Heartbeat`] with tokio's traits and tokio's clock; how it
//! works is said [there](super::poll#how-it-works). Use `tokio::io::split` for two tasks.

mod supervised;
mod udp;

use alloc::boxed::Box;
use core::fmt;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io::{self, IoSlice};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::net::TcpStream;
use ::tokio::task::coop;
use ::tokio::time::{Sleep, sleep};

pub use supervised::{GaveUp, Handle, Supervised};
pub use udp::UdpHeartbeat;

use super::clock::TokioClock;
use super::poll::{self, Timer, Transport};
use super::setup::Setup;
use super::tcp;
use crate::detector::{Deadline, Detector};
use crate::time::Timestamp;

/// A stream that cannot hang: [`AsyncRead`] and [`AsyncWrite`] with heartbeats in between. All its
/// methods are those of [`poll::Heartbeat`].
pub type Heartbeat<S, D = Deadline> = poll::Heartbeat<TokioIo<S>, TokioTimer, D>;

impl<D: Detector> Heartbeat<TcpStream, D> {
    /// Wraps a connected TCP stream; the heart beats from now on. The peer must do the same.
    ///
    /// The socket is told to send without delay, to keep its unsent backlog small (on Linux), and
    /// to reset when aborted.
    ///
    /// # Errors
    ///
    /// The socket refuses these settings.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled, as all of tokio's timers.
    pub fn tcp(socket: TcpStream, setup: impl Into<Setup<D>>) -> io::Result<Self> {
        let setup = setup.into();
        tcp::tune(&socket, setup.config())?;
        Ok(Self::new(socket, setup).on_abort(|socket| tcp::reset_on_close(&**socket)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, D: Detector> Heartbeat<S, D> {
    /// Wraps any stream; for TCP see [`tcp`](Heartbeat::tcp). When it is aborted it is dropped.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled, as all of tokio's timers.
    pub fn new(stream: S, setup: impl Into<Setup<D>>) -> Self {
        Self::over(TokioIo(stream), TokioTimer::new(), setup)
    }

    /// The next connection to the same peer: see
    /// [`reconnected_over`](poll::Heartbeat::reconnected_over). A TCP socket that does not come from
    /// [`tcp`](Heartbeat::tcp) must be tuned by its owner.
    #[must_use]
    pub fn reconnected(self, stream: S) -> Self {
        self.reconnected_over(TokioIo(stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, D: Detector> AsyncRead for Heartbeat<S, D> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Self::poll_read(self.get_mut(), cx, buf.initialize_unfilled());
        read.map_ok(|len| buf.advance(len))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, D: Detector> AsyncWrite for Heartbeat<S, D> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Self::poll_write(self.get_mut(), cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_flush(self.get_mut(), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_shutdown(self.get_mut(), cx)
    }
}

/// A tokio stream as a [`Transport`]; otherwise it is the stream.
#[derive(Debug)]
pub struct TokioIo<S>(S);

impl<S> Deref for TokioIo<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport for TokioIo<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        Pin::new(&mut self.0).poll_read(cx, &mut buf).map_ok(|()| buf.filled().len())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_gather(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bytes)
    }

    fn gathers(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Tokio's clock with one of its timers; paused time works.
pub struct TokioTimer {
    clock: TokioClock,
    sleep: Pin<Box<Sleep>>,
}

impl TokioTimer {
    /// A timer whose clock begins now.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled.
    pub fn new() -> Self {
        Self { clock: TokioClock::new(), sleep: Box::pin(sleep(Duration::ZERO)) }
    }
}

impl Default for TokioTimer {
    fn default() -> Self {
        Self::new()
    }
}

impl Timer for TokioTimer {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn set(&mut self, at: Timestamp) {
        // What the system cannot name is centuries away; the longest sleep ends sooner, which is
        // no harm.
        if let Some(at) = self.clock.instant(at) {
            self.sleep.as_mut().reset(at);
        }
    }

    fn may_poll(&self) -> bool {
        coop::has_budget_remaining()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().poll(cx)
    }
}

impl fmt::Debug for TokioTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioTimer").field("clock", &self.clock).finish_non_exhaustive()
    }
}
