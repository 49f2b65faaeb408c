//! [`Watch`]: the application's half of a connection with a [`Pulse`].

use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;

use super::Transport;
use super::pulse::{Pulse, split};
use super::shared::{Core, Shared};
use crate::adapter::clock::StdClock;
use crate::adapter::driver::Driver;
use crate::detector::{Deadline, Detector};
use crate::event::Event;
use crate::liveness::Liveness;
use crate::time::Timestamp;

/// The application's half: [`Read`] and [`Write`] as a [`Heartbeat`](super::Heartbeat), and
/// [`progress`](Self::progress), while the [`Pulse`] beats.
///
/// ```
/// use core::time::Duration;
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
/// use heartbeat_proto::{Config, adapter::blocking::Heartbeat};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let address = listener.local_addr()?;
/// # let config = Config::lan();
/// # let server = std::thread::spawn(move || -> std::io::Result<()> {
/// #     let mut stream = Heartbeat::new(listener.accept()?.0, config)?;
/// #     stream.write_all(b"a job")?;
/// #     let mut answer = [0; 6];
/// #     stream.read_exact(&mut answer)?;
/// #     stream.close()
/// # });
/// let stream = Heartbeat::new(TcpStream::connect(address)?, config)?;
/// let (pulse, mut watch) = stream.into_pulse(Duration::from_secs(60))?;
/// let beat = std::thread::spawn(|| pulse.run());
///
/// let mut job = [0; 5];
/// watch.read_exact(&mut job)?;
/// for _step in 0..3 {
///     // ... a step of the work, of a minute at most ...
///     watch.progress()?; // Fails when there is nobody left to work for.
/// }
/// watch.write_all(b"done: ")?;
/// watch.close()?;
/// beat.join().expect("no panic");
/// # server.join().expect("no panic")?;
/// # Ok(())
/// # }
/// ```
///
/// Dropping it says no goodbye: the peer will take it for a crash. [`close`](Self::close) does.
pub struct Watch<T: Transport, D: Detector = Deadline> {
    shared: Arc<Shared<T, D>>,
    clock: StdClock,
}

impl<T: Transport, D: Detector> Watch<T, D> {
    pub(super) const fn new(shared: Arc<Shared<T, D>>, clock: StdClock) -> Self {
        Self { shared, clock }
    }

    /// Says that the application gets on, and learns how the connection is. Takes well under a
    /// microsecond, unless the gate was closed: then it opens, and does what is due.
    ///
    /// Call it where work is *done*, and where nothing is done it must not be called: in a thread of
    /// its own, or from a timer, it would be the very lie that the gate is to prevent.
    ///
    /// # Errors
    ///
    /// The connection has [ended](crate::adapter::Ended): whatever is being computed for this peer
    /// is in vain.
    pub fn progress(&self) -> io::Result<Liveness> {
        let mut core = self.shared.lock();
        if core.see() {
            core.turn();
            self.shared.rouse(&mut core);
        }
        core.check()?;
        Ok(core.wire.stream.driver().liveness())
    }

    /// How many times the gate has closed for lack of progress. When it grows, this end was silent,
    /// and its peer may have given it up: see [`Pulse`].
    pub fn lapses(&self) -> u64 {
        self.shared.lock().gate.lapses()
    }

    /// Waits up to `span` for application bytes, and says whether there are any (or their end).
    ///
    /// # Errors
    ///
    /// The connection has [ended](crate::adapter::Ended).
    pub fn wait_readable(&mut self, span: Duration) -> io::Result<bool> {
        let until = self.clock.now().saturating_add(span);
        let found = self.until(until, |core| {
            if core.wire.stream.available() > 0 { Some(Ok(())) } else { end_of_input(core) }
        });
        found.map_or(Ok(false), |found| found.map(|()| true))
    }

    /// Asks the peer for a sign of life, and waits for it: see
    /// [`Heartbeat::verify`](super::Heartbeat::verify).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn verify(&mut self) -> io::Result<()> {
        let mut since = None;
        self.always(|core| {
            let stream = &mut core.wire.stream;
            if stream.driver().liveness() == Liveness::Closed || stream.driver().ended().is_some() {
                return end_of_input(core);
            }
            let Some(since) = since else {
                let now = core.wire.event_time();
                since = Some(now);
                core.wire.stream.driver_mut().handle(Event::PingDue, now);
                return None;
            };
            if stream.driver().machine().is_verified_since(since) {
                return Some(Ok(()));
            }
            stream.is_full().then(|| Err(ErrorKind::WouldBlock.into()))
        })
    }

    /// Closes on purpose: see [`Heartbeat::close`](super::Heartbeat::close). The [`Pulse`] ends.
    ///
    /// # Errors
    ///
    /// The connection has [ended](crate::adapter::Ended) otherwise.
    pub fn close(mut self) -> io::Result<()> {
        self.always(|core| {
            let now = core.wire.event_time();
            match core.wire.close(now) {
                Ok(false) => None,
                Ok(true) => Some(Ok(())),
                Err(error) => Some(Err(error)),
            }
        })
    }

    /// The next connection to the same peer, with the same limit: see
    /// [`Heartbeat::reconnected`](super::Heartbeat::reconnected). The old [`Pulse`] ends; run the
    /// new one.
    ///
    /// # Errors
    ///
    /// As [`Heartbeat::new`](super::Heartbeat::new) and
    /// [`into_pulse`](super::Heartbeat::into_pulse).
    pub fn reconnected(self, transport: T) -> io::Result<(Pulse<T, D>, Self)>
    where
        T: AsFd,
    {
        let next = self.shared.lock().next(transport)?;
        split(next)
    }

    /// Looks at the machine's driver: liveness, report, round trips, counters. To look is no
    /// progress. `look` runs under the lock: let it be short.
    pub fn driver<R>(&self, look: impl FnOnce(&Driver<D>) -> R) -> R {
        look(self.shared.lock().wire.stream.driver())
    }

    /// For events of your own (a probe now, a drain, a resume) and for the status to tell. Stamp
    /// events with [`now`](Self::now). `change` runs under the lock: let it be short.
    pub fn driver_mut<R>(&mut self, change: impl FnOnce(&mut Driver<D>) -> R) -> R {
        let mut core = self.shared.lock();
        core.see();
        core.turn(); // Events judge: what was received comes first.
        let changed = change(core.wire.stream.driver_mut());
        core.turn();
        self.shared.rouse(&mut core);
        changed
    }

    /// The present moment on the clock of this connection.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Does rounds and `step`s until a step has found something, or it is `until`.
    fn until<R>(
        &mut self,
        until: Timestamp,
        mut step: impl FnMut(&mut Core<T, D>) -> Option<R>,
    ) -> Option<R> {
        let mut core = self.shared.lock();
        core.wait();
        let found = loop {
            core.turn();
            let found = step(&mut core);
            let waits = core.wire.has_output();
            core.write();
            if found.is_some() || self.clock.now() >= until {
                break found;
            }
            if waits && !core.wire.has_output() {
                continue; // It may be this that the step waits for.
            }
            core = self.shared.wait(core, until);
        };
        core.see();
        self.shared.rouse(&mut core);
        found
    }

    /// The same without an end but the connection's.
    fn always<R>(
        &mut self,
        mut step: impl FnMut(&mut Core<T, D>) -> Option<io::Result<R>>,
    ) -> io::Result<R> {
        let found =
            self.until(Timestamp::MAX, |core| step(core).or_else(|| core.check().err().map(Err)));
        found.unwrap_or_else(|| Err(ErrorKind::TimedOut.into()))
    }
}

/// What a reader is told when no byte is there.
fn end_of_input<T: Transport, D: Detector>(core: &Core<T, D>) -> Option<io::Result<()>> {
    core.wire.stream.end_of_input().or_else(|| core.check().err().map(Err))
}

impl<T: Transport, D: Detector> Read for Watch<T, D> {
    /// Waits for application bytes. `Ok(0)`: the peer said goodbye.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let mut core = self.shared.lock();
        let taken = core.wire.stream.take(buf);
        if taken > 0 {
            core.see();
            self.shared.rouse(&mut core);
            return Ok(taken);
        }
        drop(core);
        self.always(|core| match core.wire.stream.take(buf) {
            0 => end_of_input(core).map(|end| end.map(|()| 0)),
            taken => Some(Ok(taken)),
        })
    }
}

impl<T: Transport, D: Detector> Write for Watch<T, D> {
    /// Takes some bytes once the ones before are written, and writes of them what goes at once. The
    /// rest leaves by the [`Pulse`]; [`flush`](Write::flush) waits for it.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.always(|core| match core.check().and_then(|()| core.wire.stream.stage(buf)) {
            Ok(0) if !buf.is_empty() => None,
            staged => Some(staged),
        })
    }

    /// Waits until everything is written.
    fn flush(&mut self) -> io::Result<()> {
        self.always(|core| {
            let clear = !core.wire.has_output();
            clear.then(|| core.check())
        })
    }
}

impl<T: Transport, D: Detector> Drop for Watch<T, D> {
    fn drop(&mut self) {
        let mut core = self.shared.lock();
        core.desert();
        self.shared.rouse(&mut core);
    }
}

impl<T: Transport, D: Detector> fmt::Debug for Watch<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}
