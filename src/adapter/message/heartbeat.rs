//! [`Heartbeat`]: a stream and sink of messages, with pings in between.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::poll_fn;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use core::time::Duration;
use std::io::ErrorKind;

use futures_core::Stream;
use futures_sink::Sink;

use super::{Error, Format, Kind, Meter};
use crate::adapter::driver::Driver;
use crate::adapter::notice::Ended;
use crate::adapter::poll::{Input, Io, MOST_READS, Pulse, Slot, Timer, Wakers};
use crate::adapter::setup::Setup;
use crate::codec::{Frame, MAX_FRAME, datagram};
use crate::config::{Config, LifeRule};
use crate::detector::{Deadline, Detector};
use crate::event::{Event, PingId};
use crate::liveness::Liveness;
use crate::time::Timestamp;

/// Beyond so many unread bytes (and as many messages as 1 KiB each) the library is not read. Then
/// silence is not judged either, lest a peer be convicted whose answer nobody looked at: keep
/// reading.
const INBOX: usize = 64 * 1024;
const LEAST: usize = 1024;

/// Messages that cannot hang: a [`Stream`] and [`Sink`] as before, with heartbeats in between.
///
/// Both fail at the latest [`worst_case_detection`](crate::Config::worst_case_detection) after the
/// peer's last sign of life. Every poll, for whatever purpose, does the whole round of
/// [the driver loop](crate::adapter#the-driver-loop): a program that only reads, or only writes,
/// answers pings, flushed; one that does neither awaits [`drive`](Self::drive). Pings and pongs do
/// not reach the application. The stream ends after the peer's close. On a verdict the library's
/// socket is dropped, not closed.
pub struct Heartbeat<S, F: Format, T, D: Detector = Deadline>
where
    S: Sink<F::Message>,
{
    wire: Wire<S, F, D>,
    pulse: Pulse<T>,
    wakers: Arc<Wakers>,
    /// What the library wakes: `wakers`.
    waker: Waker,
}

struct Wire<S, F: Format, D: Detector>
where
    S: Sink<F::Message>,
{
    /// `None` once it was aborted.
    socket: Option<S>,
    abort: fn(&S),
    driver: Driver<D>,
    inbox: VecDeque<F::Message>,
    /// How many bytes its messages hold.
    inbox_bytes: usize,
    error: Option<S::Error>,
    input_over: bool,
    /// The payload of the peer's newest ping, and how many there were.
    asked: (Vec<u8>, u32),
    /// A ping or pong was given to the library and is not known to be written.
    unwritten: bool,
    /// Something was given to the library, by us or by itself, that should be written.
    unflushed: bool,
    meter: Option<(Meter, u64, u64)>,
    format: PhantomData<fn() -> F>,
}

impl<S, F, T, D, E> Heartbeat<S, F, T, D>
where
    S: Stream<Item = Result<F::Message, E>> + Sink<F::Message, Error = E> + Unpin,
    F: Format,
    T: Timer,
    D: Detector,
{
    /// Wraps a connected socket of the library; the heart beats from now on. The timer is the
    /// runtime's: `tokio::TokioTimer`, `futures_io::AsyncIoTimer` or your own. Verdicts are final:
    /// [`reopen_after`](crate::ConfigBuilder::reopen_after) has no effect.
    #[expect(clippy::needless_pass_by_value, reason = "it names the format, and no more")]
    pub fn over(format: F, socket: S, timer: T, setup: impl Into<Setup<D>>) -> Self {
        let _ = format;
        let setup = setup.into();
        let config = Config { reopen_after: 0, ..setup.config };
        let driver = Driver::new(Setup { config, ..setup }, timer.now());
        Self::with(socket, driver, |_| (), Pulse::new(timer))
    }

    /// The next connection to the same peer: see [`Driver::reconnected`].
    #[must_use]
    pub fn reconnected(self, socket: S) -> Self {
        let driver = self.wire.driver.reconnected(self.pulse.now());
        Self::with(socket, driver, self.wire.abort, self.pulse)
    }

    fn with(socket: S, driver: Driver<D>, abort: fn(&S), pulse: Pulse<T>) -> Self {
        let wakers = Arc::new(Wakers::default());
        let waker = Waker::from(Arc::clone(&wakers));
        let wire = Wire {
            socket: Some(socket),
            abort,
            driver,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            error: None,
            input_over: false,
            asked: (Vec::new(), 0),
            unwritten: false,
            unflushed: false,
            meter: None,
            format: PhantomData,
        };
        Self { wire, pulse, wakers, waker }
    }

    /// Looks at the bytes below the library, too: see [large messages](super#large-messages).
    #[must_use]
    pub fn metered(mut self, meter: Meter) -> Self {
        let (read, written) = (meter.read(), meter.written());
        self.wire.meter = Some((meter, read, written));
        self
    }

    /// What to do with the socket before it is dropped without a close. Default: nothing; over TCP
    /// make the close a reset.
    #[must_use]
    pub fn on_abort(mut self, abort: fn(&S)) -> Self {
        self.wire.abort = abort;
        self
    }

    /// Keeps the connection alive until it ends, for programs that neither read nor write just now.
    /// Received messages are kept for a later read, 64 KiB of them; once so many wait, silence is
    /// not judged before some are read. Cancel-safe. `Ok(())`: it was closed on purpose, by either
    /// side.
    ///
    /// # Errors
    ///
    /// The connection has ended otherwise.
    pub async fn drive(&mut self) -> Result<(), Error<E>> {
        poll_fn(|cx| {
            self.service(Slot::Drive, cx);
            match self.wire.failure() {
                Some(error) => Poll::Ready(Err(error)),
                None if self.wire.driver.liveness() == Liveness::Closed => Poll::Ready(Ok(())),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// The machine's driver: liveness, report, round trips, counters.
    pub const fn driver(&self) -> &Driver<D> {
        &self.wire.driver
    }

    /// For events of your own (a probe now, a resume) and for the status to tell. Stamp events with
    /// [`now`](Self::now).
    pub const fn driver_mut(&mut self) -> &mut Driver<D> {
        &mut self.wire.driver
    }

    /// The present moment on the clock of this connection.
    pub fn now(&self) -> Timestamp {
        self.pulse.now()
    }

    /// The library's socket, unless it was aborted. Do not read or write it.
    pub const fn get_ref(&self) -> Option<&S> {
        self.wire.socket.as_ref()
    }

    /// One round of the driver loop. Whether what is due waits for the runtime's next look.
    fn service(&mut self, slot: Slot, cx: &Context<'_>) -> bool {
        self.wakers.register(slot, cx.waker());
        let waits = self.pulse.beat(&mut self.wire, &mut Context::from_waker(&self.waker));
        if self.wire.driver.ended().is_some_and(|ended| !ended.on_purpose()) {
            self.abort();
        }
        waits
    }

    fn abort(&mut self) {
        if let Some(socket) = self.wire.socket.take() {
            (self.wire.abort)(&socket);
            // The library will not. The running task, too: another half of it may wait there.
            self.waker.wake_by_ref();
        }
    }

    /// The library's socket, for the application's messages.
    fn socket(&mut self) -> Result<Pin<&mut S>, Error<E>> {
        if let Some(error) = self.wire.failure() {
            return Err(error);
        }
        let closed = self.wire.driver.report().map_or(Ended::Abrupt, Ended::Closed);
        let open = self.wire.driver.liveness() != Liveness::Closed;
        self.wire.socket.as_mut().filter(|_| open).map(Pin::new).ok_or(Error::Ended(closed))
    }
}

impl<S, F, D, E> Wire<S, F, D>
where
    S: Stream<Item = Result<F::Message, E>> + Sink<F::Message, Error = E> + Unpin,
    F: Format,
    D: Detector,
{
    /// Why the connection ended, if not on purpose: the library's word where there is one.
    fn failure(&mut self) -> Option<Error<E>> {
        let ended = self.driver.ended().filter(|ended| !ended.on_purpose())?;
        Some(self.error.take().map_or(Error::Ended(ended), Error::Library))
    }

    const fn is_full(&self) -> bool {
        self.inbox_bytes >= INBOX
    }

    fn fail(&mut self, error: E) {
        if self.driver.liveness() == Liveness::Closed {
            // Libraries call it an error to find the connection closed after a close.
            return self.driver.end_closed();
        }
        self.error = Some(error);
        self.driver.end(Ended::Transport(ErrorKind::Other));
    }

    fn received(&mut self, message: F::Message, now: Timestamp) {
        match F::kind(&message) {
            Kind::Pong(payload) => {
                // Our own ping comes back as the pong.
                let ours = datagram::decode(payload).ok();
                match ours.and_then(|ping| ping.answer(Duration::ZERO, false)) {
                    Some(answer) => self.driver.received(&answer, now),
                    None => self.driver.read(Event::FrameReceived, now),
                }
            }
            Kind::Ping(payload) => self.ping_received(payload, now),
            Kind::Close => self.driver.read(Event::GoodbyeReceived, now),
            Kind::Data => {
                let weight = F::weight(&message).max(LEAST);
                self.inbox_bytes = self.inbox_bytes.saturating_add(weight);
                self.inbox.push_back(message);
                self.driver.read(Event::FrameReceived, now);
            }
        }
    }

    fn ping_received(&mut self, payload: &[u8], now: Timestamp) {
        if F::pong(payload).is_none() {
            // The library answers; what it has queued must leave.
            self.unflushed = true;
            return self.driver.read(Event::FrameReceived, now);
        }
        let seq = self.asked.1.wrapping_add(1);
        self.asked = (payload.to_vec(), seq);
        let ping = Frame::Ping { id: PingId::new(0, seq), handle: 0, stamp: 0, status: None };
        self.driver.received(&ping, now);
    }

    /// What of a heartbeat's frame the library is to send; `None` where the library does it.
    fn message(&self, frame: &Frame) -> Option<F::Message> {
        match frame {
            Frame::Pong { .. } => F::pong(&self.asked.0),
            Frame::Goodbye { .. } => None,
            _ => {
                let mut space = [0; MAX_FRAME];
                let len = frame.encode_into(&mut space).ok()?;
                Some(F::ping(space.get(..len).unwrap_or_default()))
            }
        }
    }

    /// Tells of bytes that passed below the library.
    fn read_meter(&mut self, now: Timestamp) {
        let Some((meter, read, written)) = &mut self.meter else { return };
        let (was_read, was_written) = (*read, *written);
        (*read, *written) = (meter.read(), meter.written());
        let (reads, writes) = (*read != was_read, *written != was_written);
        if reads && self.driver.machine().config().life_rule == LifeRule::AnyByte {
            self.driver.read(Event::BytesReceived, now);
        }
        if writes {
            self.driver.progressed(now);
        }
    }

    fn poll_flush(&mut self, now: Timestamp, cx: &mut Context<'_>) -> Poll<()> {
        let Some(socket) = &mut self.socket else { return Poll::Ready(()) };
        match Pin::new(socket).poll_flush(cx) {
            Poll::Pending => {
                self.read_meter(now); // What went is told before what does not.
                self.driver.blocked(now);
                return Poll::Pending;
            }
            Poll::Ready(Ok(())) if self.unwritten => self.driver.sent(now),
            Poll::Ready(Ok(())) => self.driver.progressed(now),
            Poll::Ready(Err(error)) => self.fail(error),
        }
        (self.unwritten, self.unflushed) = (false, false);
        Poll::Ready(())
    }
}

impl<S, F, D, E> Io for Wire<S, F, D>
where
    S: Stream<Item = Result<F::Message, E>> + Sink<F::Message, Error = E> + Unpin,
    F: Format,
    D: Detector,
{
    type Detector = D;

    fn driver(&mut self) -> &mut Driver<D> {
        &mut self.driver
    }

    fn poll_input(&mut self, clock: &impl Timer, cx: &mut Context<'_>) -> (Input, Timestamp) {
        let mut now = clock.now();
        for _ in 0..MOST_READS {
            let over = self.input_over || self.driver.ended().is_some();
            let full = self.is_full();
            let Some(socket) = self.socket.as_mut().filter(|_| !over) else {
                return (Input::Drained, now);
            };
            if full {
                return (Input::Held, now);
            }
            let polled = Pin::new(socket).poll_next(cx);
            now = clock.now();
            self.read_meter(now);
            match polled {
                Poll::Pending => return (Input::Drained, now),
                Poll::Ready(Some(Ok(message))) => self.received(message, now),
                Poll::Ready(Some(Err(error))) => self.fail(error),
                Poll::Ready(None) => {
                    self.input_over = true;
                    if self.driver.liveness() == Liveness::Closed {
                        self.driver.end_closed();
                    } else {
                        self.driver.end(Ended::Abrupt);
                    }
                }
            }
        }
        (Input::More, now)
    }

    fn poll_output(
        &mut self,
        clock: &impl Timer,
        now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Timestamp {
        while !self.unwritten && self.driver.ended().is_none() {
            let Some(frame) = self.driver.next_frame(now) else { break };
            let Some(message) = self.message(&frame) else {
                self.driver.begun();
                self.driver.sent(now);
                continue;
            };
            let Some(socket) = &mut self.socket else { break };
            let Poll::Ready(ready) = Pin::new(&mut *socket).poll_ready(cx) else { break };
            if let Err(error) = ready.and_then(|()| Pin::new(socket).start_send(message)) {
                self.fail(error);
                break;
            }
            self.driver.begun();
            (self.unwritten, self.unflushed) = (true, true);
            let _ = self.poll_flush(clock.now(), cx);
        }
        let now = clock.now();
        if self.unflushed || self.driver.has_output() {
            let _ = self.poll_flush(now, cx);
        }
        self.read_meter(now);
        now
    }
}

impl<S, F, T, D, E> Stream for Heartbeat<S, F, T, D>
where
    S: Stream<Item = Result<F::Message, E>> + Sink<F::Message, Error = E> + Unpin,
    F: Format,
    T: Timer,
    D: Detector,
{
    type Item = Result<F::Message, Error<E>>;

    /// The next message of the application; the end after the peer's close. After an error it fails
    /// again each time.
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let full = this.wire.is_full();
        if this.service(Slot::Read, cx) {
            // Messages may be at hand, but as long as there are the runtime does not turn.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(message) = this.wire.inbox.pop_front() {
            let weight = F::weight(&message).max(LEAST);
            this.wire.inbox_bytes = this.wire.inbox_bytes.saturating_sub(weight);
            if full {
                this.waker.wake_by_ref(); // The library was left unread.
            }
            return Poll::Ready(Some(Ok(message)));
        }
        match this.wire.failure() {
            Some(error) => Poll::Ready(Some(Err(error))),
            None if this.wire.input_over => Poll::Ready(None),
            None if this.wire.driver.ended().is_some() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl<S, F, T, D, E> Sink<F::Message> for Heartbeat<S, F, T, D>
where
    S: Stream<Item = Result<F::Message, E>> + Sink<F::Message, Error = E> + Unpin,
    F: Format,
    T: Timer,
    D: Detector,
{
    type Error = Error<E>;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error<E>>> {
        let this = self.get_mut();
        this.service(Slot::Write, cx);
        let waker = this.waker.clone();
        let ready = this.socket()?.poll_ready(&mut Context::from_waker(&waker));
        if ready.is_pending() {
            let now = this.now();
            this.wire.read_meter(now);
            this.wire.driver.blocked(now);
            // That may have moved the deadline, for which nobody would be woken, or have been the end.
            this.service(Slot::Write, cx);
            this.socket()?;
        }
        ready.map_err(Error::Library)
    }

    fn start_send(self: Pin<&mut Self>, message: F::Message) -> Result<(), Error<E>> {
        self.get_mut().socket()?.start_send(message).map_err(Error::Library)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error<E>>> {
        let this = self.get_mut();
        this.wire.unflushed = true;
        this.service(Slot::Write, cx);
        match this.wire.failure() {
            Some(error) => Poll::Ready(Err(error)),
            None if this.wire.unflushed && this.wire.socket.is_some() => Poll::Pending,
            None => Poll::Ready(Ok(())),
        }
    }

    /// Closes on purpose, within [`drain_limit`](crate::ConfigBuilder::drain_limit).
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error<E>>> {
        let this = self.get_mut();
        let now = this.now();
        this.wire.driver.handle(Event::Close, now);
        this.service(Slot::Write, cx);
        if let Some(error) = this.wire.failure() {
            return Poll::Ready(Err(error));
        }
        let Some(socket) = &mut this.wire.socket else { return Poll::Ready(Ok(())) };
        let closed = Pin::new(socket).poll_close(&mut Context::from_waker(&this.waker));
        if closed.is_pending() && this.wire.driver.ended().is_some() {
            this.abort(); // The peer has had its time.
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(ready!(closed).map_err(Error::Library))
    }
}

/// Nothing in it is ever pinned.
impl<S: Sink<F::Message>, F: Format, T, D: Detector> Unpin for Heartbeat<S, F, T, D> {}

impl<S: Sink<F::Message>, F: Format, T, D: Detector> fmt::Debug for Heartbeat<S, F, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat").field("driver", &self.wire.driver).finish_non_exhaustive()
    }
}
