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
//! # How it works
//!
//! [`Heartbeat`] is the stream: every poll of it, for whatever purpose, does the whole round of
//! [the driver loop](super#the-driver-loop). It has no task, so nothing outlives it; it keeps all
//! its state in itself and none in its futures, so every future may be dropped at any point, and
//! nothing is lost or written twice.
//!
//! The timer is the runtime's, one for each connection. It is set again only when it has fired or
//! is too late, not for every byte that moves the deadline. The machine is told the time of the
//! clock, never that of the timer. And before silence is judged after a stall, the runtime gets the
//! chance to look at the socket again: what tokio knows of a socket is as old as its last look.
//!
//! # What was rejected
//!
//! *A task for each connection, with channels*: it answers pings while the application is stuck,
//! outlives it, and needs an executor. *Two halves of our own*: `tokio::io::split` does, since each
//! half drives both directions and all waiting tasks are woken. *A future to be joined with the
//! application's*: forgotten, it would leave a program that never detects anything.

mod pulse;
mod udp;
mod wakers;

use alloc::sync::Arc;
use core::fmt;
use core::future::poll_fn;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use std::io::{self, ErrorKind};

use ::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ::tokio::net::TcpStream;

pub use udp::UdpHeartbeat;

use self::pulse::{Input, Io, Pulse};
use self::wakers::{Slot, Wakers};
use super::clock::TokioClock;
use super::driver::Driver;
use super::notice::Ended;
use super::setup::{Setup, longest_wait};
use super::stream::StreamDriver;
use super::tcp;
use crate::detector::{Deadline, Detector};
use crate::event::Event;
use crate::liveness::Liveness;
use crate::time::Timestamp;

/// How often one round reads before others get their turn.
const MOST_READS: u32 = 16;

/// A stream that cannot hang: [`AsyncRead`] and [`AsyncWrite`] with heartbeats in between.
///
/// Reads and writes fail at the latest
/// [`worst_case_detection`](crate::Config::worst_case_detection) after the peer's last sign of
/// life; see [the module above](super#ends) for how. A program that does neither awaits
/// [`drive`](Self::drive). Dropping it says no goodbye, and the peer will take it for a crash:
/// [`close`](Self::close) it, or `shutdown` it and read the peer's last bytes, which can come for
/// [`drain_limit`](crate::ConfigBuilder::drain_limit).
///
/// It may be given to `tokio::io::split` and used from two tasks.
pub struct Heartbeat<S, D: Detector = Deadline> {
    link: Wire<S, D>,
    pulse: Pulse,
    wakers: Arc<Wakers>,
    /// What the transport wakes: `wakers`.
    waker: Waker,
}

/// The transport with its driver.
struct Wire<S, D: Detector> {
    /// `None` once it was aborted.
    transport: Option<S>,
    abort: fn(&S),
    stream: StreamDriver<D>,
    /// Something was written since the last flush.
    unflushed: bool,
}

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
        tcp::tune(&socket, longest_wait(setup.config()))?;
        Ok(Self::new(socket, setup).on_abort(|socket| tcp::reset_on_close(socket)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, D: Detector> Heartbeat<S, D> {
    /// Wraps any stream; for TCP see [`tcp`](Heartbeat::tcp). When it is aborted it is dropped.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled, as all of tokio's timers.
    pub fn new(transport: S, setup: impl Into<Setup<D>>) -> Self {
        let pulse = Pulse::new();
        let stream = StreamDriver::new(setup, pulse.clock.now());
        Self::with(transport, stream, |_| (), pulse)
    }

    /// The next connection to the same peer. It keeps what was learnt of the path, the observer
    /// and the epoch's count, and begins [`Recovering`](Liveness::Recovering): see
    /// [`HeartbeatMachine::reconnected`](crate::HeartbeatMachine::reconnected). A TCP socket that
    /// does not come from [`tcp`](Heartbeat::tcp) must be tuned by its owner.
    #[must_use]
    pub fn reconnected(self, transport: S) -> Self {
        let stream = self.link.stream.reconnected(self.pulse.clock.now());
        Self::with(transport, stream, self.link.abort, self.pulse)
    }

    /// What to do with the transport before it is dropped without a goodbye. Default: nothing; for
    /// [`tcp`](Heartbeat::tcp), make the close a reset.
    #[must_use]
    pub fn on_abort(mut self, abort: fn(&S)) -> Self {
        self.link.abort = abort;
        self
    }

    fn with(transport: S, stream: StreamDriver<D>, abort: fn(&S), pulse: Pulse) -> Self {
        let wakers = Arc::new(Wakers::default());
        let waker = Waker::from(Arc::clone(&wakers));
        let link = Wire { transport: Some(transport), abort, stream, unflushed: false };
        Self { link, pulse, wakers, waker }
    }

    /// Keeps the connection alive until it ends, for programs that neither read nor write just now.
    /// Received bytes are kept for a later read. Cancel-safe: use it in `select!` or under a
    /// timeout. `Ok(())`: it was closed on purpose, by either side.
    ///
    /// # Errors
    ///
    /// The connection has [ended](Ended).
    pub async fn drive(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            self.service(Slot::Drive, cx);
            match self.driver().ended() {
                Some(ended) if !ended.on_purpose() => Poll::Ready(Err(ended.into())),
                None if self.driver().liveness() != Liveness::Closed => Poll::Pending,
                _ => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    /// Asks the peer for a sign of life, and waits for it: before a pooled connection is used
    /// again, say. A write that succeeds proves nothing; this does. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The connection has [ended](Ended), at the latest by the verdict that this silence leads to;
    /// or so many received bytes wait to be read that the answer behind them cannot be
    /// ([`ErrorKind::WouldBlock`]).
    pub async fn verify(&mut self) -> io::Result<()> {
        let since = self.now();
        self.driver_mut().handle(Event::PingDue, since);
        poll_fn(|cx| {
            self.service(Slot::Drive, cx);
            match self.driver().ended() {
                Some(ended) => Poll::Ready(Err(ended.into())),
                None if self.driver().machine().is_verified_since(since) => Poll::Ready(Ok(())),
                None if self.link.stream.is_full() => {
                    Poll::Ready(Err(ErrorKind::WouldBlock.into()))
                }
                None => self.link.stream.end_of_input().map_or(Poll::Pending, Poll::Ready),
            }
        })
        .await
    }

    /// Closes on purpose: shuts down, and waits for the peer to close as well, dropping what it
    /// still sends. (A socket that is dropped while the peer's last ping is on its way would be
    /// reset, and what was written before be lost.) Each of the two takes at most
    /// [`drain_limit`](crate::ConfigBuilder::drain_limit).
    ///
    /// # Errors
    ///
    /// The connection has [ended](Ended) otherwise.
    pub async fn close(mut self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut self).poll_shutdown(cx)).await?;
        poll_fn(|cx| {
            self.service(Slot::Drive, cx);
            if self.link.stream.is_full() {
                cx.waker().wake_by_ref();
            }
            self.link.stream.discard();
            match self.driver().ended() {
                Some(ended) if !ended.on_purpose() => Poll::Ready(Err(ended.into())),
                Some(_) => Poll::Ready(Ok(())),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// The machine's driver: liveness, report, round trips, counters.
    pub const fn driver(&self) -> &Driver<D> {
        self.link.stream.driver()
    }

    /// For events of your own (a probe now, a drain, a resume) and for the status to tell.
    /// Stamp events with [`now`](Self::now).
    pub const fn driver_mut(&mut self) -> &mut Driver<D> {
        self.link.stream.driver_mut()
    }

    /// The present moment on the clock of this connection.
    pub fn now(&self) -> Timestamp {
        self.pulse.clock.now()
    }

    /// The wrapped transport, unless it was aborted. Do not read or write it.
    pub const fn get_ref(&self) -> Option<&S> {
        self.link.transport.as_ref()
    }

    /// One round of the driver loop.
    fn service(&mut self, slot: Slot, cx: &Context<'_>) {
        self.wakers.register(slot, cx.waker());
        self.pulse.beat(&mut self.link, &mut Context::from_waker(&self.waker));
        if self.driver().ended().is_some_and(|ended| !ended.on_purpose()) {
            if let Some(transport) = self.link.transport.take() {
                (self.link.abort)(&transport);
                self.wakers.wake_others(cx.waker()); // The transport will not.
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, D: Detector> Io for Wire<S, D> {
    type Detector = D;

    fn driver(&mut self) -> &mut Driver<D> {
        self.stream.driver_mut()
    }

    fn poll_input(&mut self, clock: &TokioClock, cx: &mut Context<'_>) -> Input {
        let mut space = [MaybeUninit::uninit(); 16 * 1024];
        for _ in 0..MOST_READS {
            let (true, Some(transport)) = (self.stream.wants_input(), &mut self.transport) else {
                return if self.stream.is_full() { Input::Held } else { Input::Drained };
            };
            let mut buf = ReadBuf::uninit(&mut space);
            match Pin::new(transport).poll_read(cx, &mut buf) {
                Poll::Pending => return Input::Drained,
                Poll::Ready(Ok(())) if buf.filled().is_empty() => self.stream.received_end(),
                Poll::Ready(Ok(())) => self.stream.received(buf.filled(), clock.now()),
                Poll::Ready(Err(error)) => self.driver().end(Ended::Transport(error.kind())),
            }
        }
        Input::More
    }

    fn poll_output(&mut self, clock: &TokioClock, cx: &mut Context<'_>) {
        let Some(transport) = &mut self.transport else { return };
        loop {
            let bytes = self.stream.to_write(clock.now());
            if bytes.is_empty() {
                break;
            }
            let end = match Pin::new(&mut *transport).poll_write(cx, bytes) {
                Poll::Pending => return self.stream.driver_mut().blocked(clock.now()),
                Poll::Ready(Ok(0)) => Ended::Transport(ErrorKind::WriteZero),
                Poll::Ready(Ok(len)) => {
                    self.unflushed = true;
                    self.stream.wrote(len, clock.now());
                    continue;
                }
                Poll::Ready(Err(error)) => Ended::Transport(error.kind()),
            };
            return self.stream.driver_mut().end(end);
        }
        if self.unflushed {
            match Pin::new(transport).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => {
                    self.stream.driver_mut().end(Ended::Transport(error.kind()));
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, D: Detector> AsyncRead for Heartbeat<S, D> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.service(Slot::Read, cx);
        let stream = &mut this.link.stream;
        let full = stream.is_full();
        let taken = stream.take(buf.initialize_unfilled());
        buf.advance(taken);
        if full && !stream.is_full() {
            // The transport was left unread, so nobody would be woken by it.
            cx.waker().wake_by_ref();
        }
        if taken > 0 || buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        stream.end_of_input().map_or(Poll::Pending, Poll::Ready)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, D: Detector> AsyncWrite for Heartbeat<S, D> {
    /// Takes some bytes once the ones before are written. What of them does not leave at once
    /// leaves with whatever call comes next; `flush` waits for it.
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.service(Slot::Write, cx);
        let staged = this.link.stream.stage(buf)?;
        if staged > 0 {
            this.service(Slot::Write, cx);
        }
        if staged > 0 || buf.is_empty() { Poll::Ready(Ok(staged)) } else { Poll::Pending }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.service(Slot::Write, cx);
        match this.driver().ended() {
            Some(ended) if !ended.on_purpose() => Poll::Ready(Err(ended.into())),
            None if this.link.stream.has_output() || this.link.unflushed => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let now = this.now();
        this.link.stream.close(now);
        ready!(Pin::new(&mut *this).poll_flush(cx))?;
        if this.driver().liveness() != Liveness::Closed {
            // Everything the application wrote has left; now the goodbye.
            this.link.stream.close(now);
            ready!(Pin::new(&mut *this).poll_flush(cx))?;
        }
        match &mut this.link.transport {
            Some(transport) => {
                Pin::new(transport).poll_shutdown(&mut Context::from_waker(&this.waker))
            }
            None => Poll::Ready(Ok(())),
        }
    }
}

/// Nothing in it is ever pinned.
impl<S, D: Detector> Unpin for Heartbeat<S, D> {}

impl<S, D: Detector> fmt::Debug for Heartbeat<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat").field("stream", &self.link.stream).finish_non_exhaustive()
    }
}
