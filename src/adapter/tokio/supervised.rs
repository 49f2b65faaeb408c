//! [`Supervised`]: a [`Heartbeat`] that comes back, on tokio.

mod handle;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::time::Duration;
use std::io::{self, ErrorKind};

use ::tokio::io::{AsyncRead, AsyncWrite};
use ::tokio::net::TcpStream;
use ::tokio::time::{sleep, timeout};

use self::handle::Wishes;
use super::{Heartbeat, TokioIo};
use crate::adapter::clock::TokioClock;
use crate::adapter::setup::{Setup, longest_wait, random};
use crate::adapter::tcp;
use crate::backoff::Cause;
use crate::detector::{Deadline, Detector};
use crate::liveness::Liveness;
use crate::supervisor::{Outcome, Plan, Step, Supervisor};
use crate::time::Timestamp;

pub use self::handle::Handle;

type Observer = Box<dyn FnMut(&Step) + Send>;

/// A [`Heartbeat`] that comes back: connects, and when the connection is lost backs off by the
/// [`Cause`] and connects again, until there is no hope. A [`Supervisor`] on tokio.
///
/// ```
/// use heartbeat_proto::{Config, adapter::tokio::Supervised, supervisor::Plan};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use tokio::net::{TcpListener, TcpStream};
/// # use heartbeat_proto::adapter::tokio::Heartbeat;
///
/// async fn ask(stream: &mut Heartbeat<TcpStream>) -> std::io::Result<[u8; 14]> {
///     stream.write_all(b"are you there?").await?;
///     let mut answer = [0; 14];
///     stream.read_exact(&mut answer).await?;
///     Ok(answer)
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = TcpListener::bind("127.0.0.1:0").await?;
/// # let address = listener.local_addr()?;
/// # let server = tokio::spawn(async move {
/// #     let stream = Heartbeat::tcp(listener.accept().await?.0, Config::lan())?;
/// #     let (mut from, mut to) = tokio::io::split(stream);
/// #     tokio::io::copy(&mut from, &mut to).await?;
/// #     to.shutdown().await
/// # });
/// let mut client = Supervised::tcp(Config::lan(), Plan::default());
/// let answer = loop {
///     // Connects, or waits and connects, or is at once the connection that lives.
///     let stream = client.connected(|| TcpStream::connect(address)).await?;
///     match ask(stream).await {
///         Ok(answer) => break answer,
///         Err(error) => client.failed(error),
///     }
/// };
/// client.close().await?;
/// assert_eq!(&answer, b"are you there?");
/// # server.await??;
/// # Ok(())
/// # }
/// ```
///
/// # When a connection counts as good
///
/// Its failures are forgotten once the peer has answered a ping that left
/// [`stable_after`](crate::supervisor::PlanBuilder::stable_after) the connect or later. Where
/// traffic excuses pings, that ping is one of the few that leave all the same (each
/// [`verify_every`](crate::ConfigBuilder::verify_every) intervals).
pub struct Supervised<S, D: Detector = Deadline> {
    supervisor: Supervisor,
    clock: TokioClock,
    /// Until the first connection.
    setup: Option<Setup<D>>,
    /// The connection, or the last one.
    heart: Option<Heartbeat<S, D>>,
    tune: fn(&S, Duration) -> io::Result<()>,
    /// How long the kernel may try at most.
    limit: Duration,
    abort: fn(&TokioIo<S>),
    wishes: Arc<Wishes>,
    observer: Option<Observer>,
    told: Option<Step>,
    last_error: Option<io::Error>,
}

impl<D: Detector> Supervised<TcpStream, D> {
    /// For TCP streams; each is treated as by [`Heartbeat::tcp`].
    pub fn tcp(setup: impl Into<Setup<D>>, plan: Plan) -> Self {
        let tune = |socket: &TcpStream, limit| tcp::tune_for(socket, limit);
        let abort = |socket: &TokioIo<TcpStream>| tcp::reset_on_close(&**socket);
        Self { tune, abort, ..Self::new(setup, plan) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, D: Detector> Supervised<S, D> {
    /// For any stream; see [`tcp`](Supervised::tcp). Nothing happens until
    /// [`connected`](Self::connected). The [seed](Setup::seed) of the setup, if it has one, decides the delays as well.
    pub fn new(setup: impl Into<Setup<D>>, plan: Plan) -> Self {
        let (setup, clock) = (setup.into(), TokioClock::new());
        let seed = setup.seed.unwrap_or_else(random);
        Self {
            supervisor: Supervisor::new(plan, seed, clock.now()),
            clock,
            limit: longest_wait(setup.config()),
            setup: Some(setup),
            heart: None,
            tune: |_, _| Ok(()),
            abort: |_| (),
            wishes: Arc::default(),
            observer: None,
            told: None,
            last_error: None,
        }
    }

    /// What to do with a stream before it is dropped without a goodbye; see
    /// [`poll::Heartbeat::on_abort`](crate::adapter::poll::Heartbeat::on_abort).
    #[must_use]
    pub fn on_abort(self, abort: fn(&TokioIo<S>)) -> Self {
        Self { abort, ..self }
    }

    /// Who is told each new [`Step`]: connecting, running, waiting, over. Called from within
    /// [`connected`](Self::connected), so it must not block. (What happens on a connection is told to the
    /// observer of the [`Setup`].)
    #[must_use]
    pub fn on_step(mut self, observer: impl FnMut(&Step) + Send + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// To hasten or stop it from elsewhere.
    pub fn handle(&self) -> Handle {
        Handle::new(&self.wishes)
    }

    /// The state: retries, stability, the final report.
    pub const fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// The present moment on the clock of the [`Step`]s.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The connection: the one that lives, or else the next one, as soon as it is due and comes
    /// about. Call it in a loop, and use what it gives until that fails.
    ///
    /// `connect` is the whole way to a usable stream, with TLS and whatever is said before the
    /// heart beats; it has [`handshake_limit`](Plan::handshake_limit) for all of it and is dropped
    /// if that is passed. Let it return [`ErrorKind::PermissionDenied`] if the peer rejects us, or
    /// it will be tried again; see [`Cause::from`] for the other kinds.
    ///
    /// If the last connection has ended, this finds out why, and how good it was; there is nothing
    /// to report. What [`failed`](Self::failed) is for is a connection that lives.
    ///
    /// Cancel-safe: dropped, it drops the running `connect`, nothing else. Called again it goes on:
    /// waiting, or with the same attempt, within what is left of its limit, and a new call of
    /// `connect`.
    ///
    /// # Errors
    ///
    /// It gave up or was [stopped](Handle::stop), for ever.
    pub async fn connected<C: Future<Output = io::Result<S>>>(
        &mut self,
        mut connect: impl FnMut() -> C,
    ) -> Result<&mut Heartbeat<S, D>, GaveUp> {
        let wishes = Arc::clone(&self.wishes);
        let heart = loop {
            match self.step() {
                Step::Run { attempt } => match self.heart.take() {
                    Some(heart) if is_alive(&heart) => break heart,
                    ended => {
                        self.heart = ended;
                        self.fell(attempt, None);
                    }
                },
                Step::Connect { attempt, until } => {
                    let limit = self.supervisor.next_deadline().unwrap_or(until);
                    let connecting = timeout(self.left(limit), connect());
                    match wishes.unless_stopped(connecting).await {
                        None => {}
                        Some(Ok(Ok(transport))) => self.adopt(attempt, transport),
                        Some(Ok(Err(error))) => self.ended(attempt, (&error).into(), Some(error)),
                        Some(Err(late)) => {
                            self.ended(attempt, Cause::HandshakeTimeout, Some(late.into()));
                        }
                    }
                }
                Step::Wait { until, .. } => {
                    wishes.unless_hastened(self.wait(until)).await;
                    if wishes.forget_hurry() {
                        self.supervisor.retry_now(self.clock.now());
                    }
                }
                Step::Over(outcome) => {
                    if let Some(heart) = self.heart.take() {
                        // How it goes does not matter any more.
                        let _ = heart.close().await;
                    }
                    return Err(GaveUp { outcome, last_error: self.last_error.take() });
                }
            }
        };
        Ok(self.heart.insert(heart))
    }

    /// The application can do nothing more with this connection: what was read makes no sense, say.
    /// It is closed, and the next one follows as the connection's own end demands, or, if it lives,
    /// the error's kind ([`Cause::from`]). Without a connection it changes nothing.
    pub fn failed(&mut self, error: io::Error) {
        // No step: it might begin an attempt that nobody makes.
        if let Some(attempt) = self.supervisor.running() {
            self.fell(attempt, Some(error));
        }
    }

    /// Stops it, and closes the connection on purpose, as [`Heartbeat::close`] does.
    ///
    /// # Errors
    ///
    /// The connection has ended otherwise.
    pub async fn close(mut self) -> io::Result<()> {
        self.supervisor.stop(self.clock.now());
        self.step();
        match self.heart.take() {
            Some(heart) => heart.close().await,
            None => Ok(()),
        }
    }

    /// The connection that lives, if one does.
    pub fn heartbeat(&mut self) -> Option<&mut Heartbeat<S, D>> {
        self.heart.as_mut().filter(|heart| is_alive(heart))
    }

    /// What is to be done now. Told, if it is something new.
    fn step(&mut self) -> Step {
        let now = self.clock.now();
        if self.wishes.stop() {
            self.supervisor.stop(now);
        }
        let step = self.supervisor.next(now);
        if self.told != Some(step) {
            self.told = Some(step);
            if let Some(observer) = &mut self.observer {
                observer(&step);
            }
        }
        step
    }

    fn adopt(&mut self, attempt: u64, transport: S) {
        if !self.supervisor.established(attempt, self.clock.now()) {
            return;
        }
        if let Err(error) = (self.tune)(&transport, self.limit) {
            return self.ended(attempt, Cause::Transport, Some(error));
        }
        self.wishes.forget_hurry();
        self.heart = match (self.heart.take(), self.setup.take()) {
            (Some(last), _) => Some(last.reconnected(transport)),
            (None, Some(setup)) => Some(Heartbeat::new(transport, setup).on_abort(self.abort)),
            (None, None) => None,
        };
    }

    /// The connection has ended, or is wanted no more.
    fn fell(&mut self, attempt: u64, mut error: Option<io::Error>) {
        let (mut cause, mut proof) = (error.as_ref().map_or(Cause::Transport, Cause::from), None);
        if let Some(heart) = &self.heart {
            let driver = heart.driver();
            let closed = driver.report().filter(|_| driver.liveness() == Liveness::Closed);
            if let Some(ended) = driver.ended() {
                cause = ended.into();
                error = Some(ended.into());
            } else if let Some(report) = closed {
                cause = report.reason.into();
            }
            // The two clocks differ in their epochs.
            let age = |proof| heart.now().saturating_duration_since(proof);
            proof = driver.machine().verified_at().map(age);
        }
        if cause == Cause::ClosedLocally {
            // The application closed it, and yet goes on: it wants another one.
            cause = Cause::Goodbye;
        }
        if let Some(age) = proof {
            self.supervisor.verified(attempt, self.clock.now().saturating_sub(age));
        }
        // A wish from when all was well has come true.
        self.wishes.forget_hurry();
        self.ended(attempt, cause, error);
    }

    fn ended(&mut self, attempt: u64, cause: Cause, error: Option<io::Error>) {
        self.supervisor.ended(attempt, cause, self.clock.now());
        self.last_error = error.or(self.last_error.take());
    }

    /// Meanwhile the last connection says goodbye, if it still can.
    async fn wait(&mut self, until: Timestamp) {
        if let Some(heart) = &mut self.heart {
            let left = until.saturating_duration_since(self.clock.now());
            let _ = timeout(left, poll_fn(|cx| Pin::new(&mut *heart).poll_shutdown(cx))).await;
            drop(heart.release()); // No descriptor is held while we wait.
        }
        sleep(self.left(until)).await;
    }

    fn left(&self, until: Timestamp) -> Duration {
        until.saturating_duration_since(self.clock.now())
    }
}

fn is_alive<S: AsyncRead + AsyncWrite + Unpin, D: Detector>(heart: &Heartbeat<S, D>) -> bool {
    heart.driver().ended().is_none() && heart.driver().liveness() != Liveness::Closed
}

/// Why there will be no [connection](Supervised::connected) any more.
#[derive(Debug, thiserror::Error)]
#[error("{outcome}")]
#[non_exhaustive]
pub struct GaveUp {
    /// The final report.
    pub outcome: Outcome,
    /// The last error of `connect`, or that was [told](Supervised::failed), if there was one.
    #[source]
    pub last_error: Option<io::Error>,
}

/// With [`Ended::of`](crate::adapter::Ended::of) as before, if the last error was a connection's.
impl From<GaveUp> for io::Error {
    fn from(gave_up: GaveUp) -> Self {
        gave_up.last_error.unwrap_or_else(|| Self::new(ErrorKind::NotConnected, gave_up.outcome))
    }
}

impl<S, D: Detector> fmt::Debug for Supervised<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervised")
            .field("supervisor", &self.supervisor)
            .field("heart", &self.heart)
            .finish_non_exhaustive()
    }
}
