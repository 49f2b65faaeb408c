//! [`Heartbeat`]: a polled stream with heartbeats in between.

use alloc::sync::Arc;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker, ready};
use std::io::{self, ErrorKind};

use super::pulse::Pulse;
use super::runtime::{Timer, Transport};
use super::wakers::{Slot, Wakers};
use super::wire::{DIRECT, Round, Wire};
use crate::adapter::driver::Driver;
use crate::adapter::notice::Ended;
use crate::adapter::setup::Setup;
use crate::adapter::stream::StreamDriver;
use crate::detector::{Deadline, Detector};
use crate::event::Event;
use crate::liveness::Liveness;
use crate::time::Timestamp;

/// A stream that cannot hang: bytes as before, with heartbeats in between.
///
/// Known as [`tokio::Heartbeat`](crate::adapter::tokio::Heartbeat) and
/// [`futures_io::Heartbeat`](crate::adapter::futures_io::Heartbeat), which read and write by the
/// traits of their runtimes. Reads and writes fail at the latest
/// [`worst_case_detection`](crate::Config::worst_case_detection) after the peer's last sign of
/// life; see [the module above](crate::adapter#ends) for how. A program that does neither awaits
/// [`drive`](Self::drive). Dropping it says no goodbye, and the peer will take it for a crash:
/// [`close`](Self::close) it, or shut it down and read the peer's last bytes, which can come for
/// [`drain_limit`](crate::ConfigBuilder::drain_limit).
///
/// It may be split into two halves that are used from two tasks.
pub struct Heartbeat<S, T, D: Detector = Deadline> {
    wire: Wire<S, D>,
    pulse: Pulse<T>,
    wakers: Arc<Wakers>,
    /// What the transport wakes: `wakers`.
    waker: Waker,
}

/// What a round came to.
struct Turn {
    /// How many bytes it left for the application.
    taken: usize,
    /// A deadline is passed, and is acted on once the runtime has looked at the socket again.
    waits: bool,
}

impl<S: Transport, T: Timer, D: Detector> Heartbeat<S, T, D> {
    /// Wraps a stream; the heart beats from now on. The peer must do the same. When it is aborted
    /// it is dropped.
    pub fn over(transport: S, timer: T, setup: impl Into<Setup<D>>) -> Self {
        let stream = StreamDriver::new(setup, timer.now());
        Self::with(transport, stream, |_| (), Pulse::new(timer))
    }

    /// The next connection to the same peer. It keeps what was learnt of the path, the observer
    /// and the epoch's count, and begins [`Recovering`](Liveness::Recovering): see
    /// [`HeartbeatMachine::reconnected`](crate::HeartbeatMachine::reconnected).
    #[must_use]
    pub fn reconnected_over(self, transport: S) -> Self {
        let stream = self.wire.stream.reconnected(self.pulse.now());
        Self::with(transport, stream, self.wire.abort, self.pulse)
    }

    /// What to do with the stream before it is dropped without a goodbye. Default: nothing; for TCP
    /// make the close a reset.
    #[must_use]
    pub fn on_abort(mut self, abort: fn(&S)) -> Self {
        self.wire.abort = abort;
        self
    }

    fn with(transport: S, stream: StreamDriver<D>, abort: fn(&S), pulse: Pulse<T>) -> Self {
        let wakers = Arc::new(Wakers::default());
        let waker = Waker::from(Arc::clone(&wakers));
        let wire = Wire { transport: Some(transport), abort, stream, unflushed: false };
        Self { wire, pulse, wakers, waker }
    }

    /// Keeps the connection alive until it ends, for programs that neither read nor write just now.
    /// Received bytes are kept for a later read, 64 KiB of them; once so many wait, silence is not
    /// judged before some are read. Cancel-safe: use it in a `select!` or under a timeout. `Ok(())`:
    /// it was closed on purpose, by either side.
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
        let mut asked = false;
        poll_fn(|cx| {
            // Not before what was received is read: to ask is also to judge.
            self.service(Slot::Drive, cx);
            if !asked {
                asked = true;
                let now = self.now();
                self.driver_mut().handle(Event::PingDue, now);
                self.service(Slot::Drive, cx);
            }
            match self.driver().ended() {
                Some(ended) => Poll::Ready(Err(ended.into())),
                None if self.driver().machine().is_verified_since(since) => Poll::Ready(Ok(())),
                None if self.wire.stream.is_full() => {
                    Poll::Ready(Err(ErrorKind::WouldBlock.into()))
                }
                None => match self.driver().report() {
                    Some(report) if report.liveness == Liveness::Closed => {
                        Poll::Ready(Err(Ended::Closed(report).into()))
                    }
                    _ => Poll::Pending,
                },
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
        poll_fn(|cx| self.poll_shutdown(cx)).await?;
        poll_fn(|cx| {
            self.service(Slot::Drive, cx);
            if self.wire.stream.is_full() {
                cx.waker().wake_by_ref();
            }
            self.wire.stream.discard();
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
        self.wire.stream.driver()
    }

    /// For events of your own (a probe now, a drain, a resume) and for the status to tell.
    /// Stamp events with [`now`](Self::now).
    pub const fn driver_mut(&mut self) -> &mut Driver<D> {
        self.wire.stream.driver_mut()
    }

    /// The present moment on the clock of this connection.
    pub fn now(&self) -> Timestamp {
        self.pulse.now()
    }

    /// The wrapped stream, unless it was aborted. Do not read or write it.
    pub const fn get_ref(&self) -> Option<&S> {
        self.wire.transport.as_ref()
    }

    /// Takes the stream out and ends the connection, if it has not [ended](Ended::Abandoned): for
    /// whoever is done with the stream, but not with what is known of the peer.
    pub fn release(&mut self) -> Option<S> {
        self.driver_mut().end(Ended::Abandoned);
        self.waker.wake_by_ref();
        self.wire.transport.take()
    }

    /// Reads application bytes, as `AsyncRead` does; `Ok(0)` is the peer's goodbye.
    ///
    /// # Errors
    ///
    /// The connection has [ended](Ended).
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let full = self.wire.stream.is_full();
        let into = if self.wire.stream.available() == 0 { &mut *buf } else { &mut [] };
        let Turn { mut taken, waits } = self.round(Slot::Read, cx, into);
        if waits && taken == 0 {
            // Bytes may be at hand, but as long as there are the runtime does not turn.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        taken += self.wire.stream.take(buf.get_mut(taken..).unwrap_or_default());
        if full && !self.wire.stream.is_full() {
            // The transport was left unread, so nobody would be woken by it.
            self.waker.wake_by_ref();
        }
        let end = if taken > 0 || buf.is_empty() {
            Some(Ok(taken))
        } else {
            self.wire.stream.end_of_input().map(|end| end.map(|()| 0))
        };
        self.answer(Slot::Read, end)
    }

    /// Takes some bytes once the ones before are written, as `AsyncWrite` does. What of them does
    /// not leave at once leaves with whatever call comes next; a flush waits for it.
    ///
    /// # Errors
    ///
    /// The connection has [ended](Ended), or was shut down.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut taken = if buf.len() < DIRECT { self.wire.stream.stage(buf)? } else { 0 };
        self.service(Slot::Write, cx);
        if buf.len() >= DIRECT {
            let (now, cx) = (self.pulse.now(), &mut Context::from_waker(&self.waker));
            let written = self.wire.write_direct(buf, now, cx);
            self.abort_if_failed();
            taken = written?;
        }
        if taken == 0 {
            taken = self.wire.stream.stage(buf)?;
        }
        if taken > 0 && self.wire.stream.has_output() {
            // The rest of it goes on as soon as there is room, whoever is then in a call.
            self.service(Slot::Write, cx);
        }
        self.answer(Slot::Write, (taken > 0 || buf.is_empty()).then_some(Ok(taken)))
    }

    /// Ready when everything is written and flushed.
    ///
    /// # Errors
    ///
    /// The connection has [ended](Ended) otherwise than on purpose.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wire.has_unflushed() {
            self.service(Slot::Write, cx);
        }
        let done = match self.driver().ended() {
            Some(ended) if !ended.on_purpose() => Some(Err(ended.into())),
            None if self.wire.has_unflushed() => None,
            Some(_) if self.wire.has_unflushed() && self.poll_patience().is_pending() => None,
            _ => Some(Ok(())),
        };
        self.answer(Slot::Write, done)
    }

    /// Says goodbye and ends the own direction, within
    /// [`drain_limit`](crate::ConfigBuilder::drain_limit).
    ///
    /// # Errors
    ///
    /// The connection has [ended](Ended) otherwise than on purpose.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.stream.close(self.pulse.now());
        ready!(self.poll_flush(cx))?;
        if self.driver().liveness() != Liveness::Closed {
            // Everything the application wrote has left; now the goodbye.
            self.wire.stream.close(self.pulse.now());
            ready!(self.poll_flush(cx))?;
        }
        // Nothing waits, but the transport may: its close is waited for, and not for ever.
        self.service(Slot::Write, cx);
        let done = match (self.driver().ended(), &mut self.wire.transport) {
            (Some(ended), _) if !ended.on_purpose() => Some(Err(ended.into())),
            (_, None) => Some(Ok(())),
            (_, Some(transport)) => {
                match transport.poll_close(&mut Context::from_waker(&self.waker)) {
                    Poll::Ready(closed) => Some(closed),
                    Poll::Pending if self.poll_patience().is_pending() => None,
                    Poll::Pending => {
                        self.abort();
                        Some(Ok(()))
                    }
                }
            }
        };
        self.answer(Slot::Write, done)
    }

    /// Ready once a closed connection has had its time, also one where both ends have said all:
    /// a transport with a buffer of its own may have that still to send.
    fn poll_patience(&mut self) -> Poll<()> {
        let Some(until) = self.driver().patience() else { return Poll::Ready(()) };
        self.pulse.wait(until, &mut Context::from_waker(&self.waker))
    }

    /// One round of the driver loop.
    fn service(&mut self, slot: Slot, cx: &Context<'_>) {
        self.round(slot, cx, &mut []);
    }

    /// One round, which may leave application bytes `into` this.
    fn round(&mut self, slot: Slot, cx: &Context<'_>, into: &mut [u8]) -> Turn {
        self.wakers.register(slot, cx.waker());
        let mut round = Round { wire: &mut self.wire, into, filled: 0, unread: false };
        let waits = self.pulse.beat(&mut round, &mut Context::from_waker(&self.waker));
        let Round { filled: taken, unread, .. } = round;
        if unread {
            // The transport wakes nobody for what is left; whoever waits for more must look himself.
            self.wakers.wake_others(cx.waker());
        }
        self.abort_if_failed();
        Turn { taken, waits }
    }

    /// A call that does not wait is not to be woken.
    fn answer<R>(&self, slot: Slot, ready: Option<R>) -> Poll<R> {
        let Some(ready) = ready else { return Poll::Pending };
        self.wakers.forget(slot);
        Poll::Ready(ready)
    }

    fn abort_if_failed(&mut self) {
        if self.driver().ended().is_some_and(|ended| !ended.on_purpose()) {
            self.abort();
        }
    }

    fn abort(&mut self) {
        if let Some(transport) = self.wire.transport.take() {
            (self.wire.abort)(&transport);
            // The transport will not. The running task, too: another half of it may wait there.
            self.waker.wake_by_ref();
        }
    }
}

/// Nothing in it is ever pinned.
impl<S, T, D: Detector> Unpin for Heartbeat<S, T, D> {}

impl<S, T, D: Detector> fmt::Debug for Heartbeat<S, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat").field("stream", &self.wire.stream).finish_non_exhaustive()
    }
}
