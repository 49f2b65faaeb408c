//! Heartbeats on streams of the `futures-io` traits: smol, async-std, and others.
//!
//! ```
//! use heartbeat_proto::{Config, adapter::futures_io::Heartbeat};
//! use smol::io::{AsyncReadExt, AsyncWriteExt};
//! use smol::net::{TcpListener, TcpStream};
//!
//! # fn main() -> std::io::Result<()> {
//! # smol::block_on(async {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! let server = smol::spawn(async move {
//!     let stream = Heartbeat::tcp(listener.accept().await?.0, Config::lan())?;
//!     let (from, mut to) = smol::io::split(stream);
//!     smol::io::copy(from, &mut to).await?;
//!     to.close().await
//! });
//! let mut stream = Heartbeat::tcp(TcpStream::connect(address).await?, Config::lan())?;
//! stream.write_all(b"are you there?").await?;
//! let mut answer = [0; 14];
//! stream.read_exact(&mut answer).await?; // an error within `worst_case_detection`, or the bytes
//! assert_eq!(&answer, b"are you there?");
//! Heartbeat::close(stream).await?;
//! # server.await
//! # })
//! # }
//! ```
//!
//! [`Heartbeat`] is the shared [`poll::Heartbeat`] with these traits and a timer of `async-io`, which
//! works under any executor (its reactor has a thread of its own); how it works is said
//! [there](super::poll#how-it-works). A runtime with a better timer implements [`Timer`] and uses
//! [`over`](poll::Heartbeat::over).

use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};

use async_io::Timer as Alarm;
use futures_io::{AsyncRead, AsyncWrite};

use super::clock::StdClock;
use super::poll::{self, Timer, Transport};
use super::setup::Setup;
#[cfg(unix)]
use super::tcp;
use crate::detector::{Deadline, Detector};
use crate::time::Timestamp;

/// A stream that cannot hang: [`AsyncRead`] and [`AsyncWrite`] with heartbeats in between. All its
/// methods are those of [`poll::Heartbeat`].
pub type Heartbeat<S, D = Deadline> = poll::Heartbeat<FuturesIo<S>, AsyncIoTimer, D>;

#[cfg(unix)]
impl<S: AsyncRead + AsyncWrite + Unpin + std::os::fd::AsFd, D: Detector> Heartbeat<S, D> {
    /// Wraps a connected TCP stream; the heart beats from now on. The peer must do the same.
    ///
    /// The socket is told to send without delay, to keep its unsent backlog small (on Linux), and
    /// to reset when aborted.
    ///
    /// # Errors
    ///
    /// The socket refuses these settings.
    pub fn tcp(socket: S, setup: impl Into<Setup<D>>) -> io::Result<Self> {
        let setup = setup.into();
        tcp::tune(&socket, setup.config())?;
        Ok(Self::new(socket, setup).on_abort(|socket| tcp::reset_on_close(&**socket)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, D: Detector> Heartbeat<S, D> {
    /// Wraps any stream; for TCP see [`tcp`](Heartbeat::tcp). When it is aborted it is dropped.
    pub fn new(stream: S, setup: impl Into<Setup<D>>) -> Self {
        Self::over(FuturesIo(stream), AsyncIoTimer::new(), setup)
    }

    /// The next connection to the same peer: see
    /// [`reconnected_over`](poll::Heartbeat::reconnected_over). A TCP socket that does not come from
    /// [`tcp`](Heartbeat::tcp) must be tuned by its owner.
    #[must_use]
    pub fn reconnected(self, stream: S) -> Self {
        self.reconnected_over(FuturesIo(stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, D: Detector> AsyncRead for Heartbeat<S, D> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Self::poll_read(self.get_mut(), cx, buf)
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

    /// As [`poll_shutdown`](poll::Heartbeat::poll_shutdown).
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_shutdown(self.get_mut(), cx)
    }
}

/// A stream of the `futures-io` traits as a [`Transport`]; otherwise it is the stream.
#[derive(Debug)]
pub struct FuturesIo<S>(S);

impl<S> Deref for FuturesIo<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport for FuturesIo<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
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

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

/// The system's monotonic clock with a timer of `async-io`.
#[derive(Debug)]
pub struct AsyncIoTimer {
    clock: StdClock,
    alarm: Alarm,
}

impl AsyncIoTimer {
    /// A timer whose clock begins now.
    pub fn new() -> Self {
        Self { clock: StdClock::new(), alarm: Alarm::never() }
    }
}

impl Default for AsyncIoTimer {
    fn default() -> Self {
        Self::new()
    }
}

impl Timer for AsyncIoTimer {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn set(&mut self, at: Timestamp) {
        // What the system cannot name is centuries away.
        if let Some(at) = self.clock.instant(at) {
            self.alarm.set_at(at);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.alarm).poll(cx).map(|_| ())
    }
}
