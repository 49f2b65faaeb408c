//! Heartbeats on blocking streams of the standard library.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{TcpListener, TcpStream};
//! use heartbeat_proto::{Config, adapter::blocking::Heartbeat};
//!
//! # fn main() -> std::io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! let server = std::thread::spawn(move || -> std::io::Result<()> {
//!     let mut stream = Heartbeat::new(listener.accept()?.0, Config::lan())?;
//!     let mut buf = [0; 1024];
//!     loop {
//!         match stream.read(&mut buf)? {
//!             0 => return stream.close(),
//!             len => stream.write_all(&buf[..len])?,
//!         }
//!     }
//! });
//! let mut stream = Heartbeat::new(TcpStream::connect(address)?, Config::lan())?;
//! stream.write_all(b"are you there?")?;
//! let mut answer = [0; 14];
//! stream.read_exact(&mut answer)?; // an error within `worst_case_detection`, or the bytes
//! assert_eq!(&answer, b"are you there?");
//! stream.close()?;
//! # server.join().expect("no panic")
//! # }
//! ```
//!
//! # How it waits
//!
//! Without a thread of its own and without a selector of the system, a blocking program can wait
//! for one thing at a time: for input, with a read timeout that ends at the machine's deadline. While
//! the transport refuses bytes, it waits in the write for 10 ms at a time, and looks at the input in
//! between. So an idle connection costs nothing, a blocked writer a hundred wake-ups a second.
//!
//! # What was rejected
//!
//! *A reading thread for each connection*: it would hide from the machine that the application is
//! stuck, and outlive it. *Two halves for two threads*: the machine would need a lock, and whoever
//! holds it in a blocking read would keep the other from answering.
//!
//! # Platforms
//!
//! [`Transport`] needs working read and write timeouts. On Windows, the documentation of
//! `SO_RCVTIMEO` and `SO_SNDTIMEO` calls a socket indeterminate after a timeout; these adapters are
//! tested on Linux.

mod transport;
mod udp;

use core::fmt;
use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};

pub use transport::Transport;
pub use udp::UdpHeartbeat;
#[cfg(feature = "tokio")]
pub(super) use udp::{MOST_OVERDUE, concerns_one_datagram};

use super::clock::StdClock;
use super::driver::Driver;
use super::notice::Ended;
use super::setup::Setup;
use super::stream::StreamDriver;
use crate::detector::{Deadline, Detector};
use crate::event::Event;
use crate::liveness::Liveness;
use crate::time::Timestamp;

/// The shortest timeout that is asked for: zero would mean "for ever", and is an error.
const SHORTEST: Duration = Duration::from_millis(1);

/// How long one look at a blocked writer, or meanwhile at a reader, takes.
const GLANCE: Duration = Duration::from_millis(10);

/// A blocking stream that cannot hang: [`Read`] and [`Write`] with heartbeats in between.
///
/// Every call does everything that is due: it answers pings, sends them, judges the peer. Reads
/// and writes fail at the latest [`worst_case_detection`](crate::Config::worst_case_detection)
/// after the peer's last sign of life; see [the module above](super#ends) for how.
///
/// Dropping it says no goodbye: the peer will take it for a crash. [`close`](Self::close) does.
pub struct Heartbeat<T: Transport, D: Detector = Deadline> {
    /// `None` once it was aborted.
    transport: Option<T>,
    stream: StreamDriver<D>,
    clock: StdClock,
}

impl<T: Transport, D: Detector> Heartbeat<T, D> {
    /// Wraps a connected transport; the heart beats from now on. The peer must do the same.
    ///
    /// TCP sockets are told to send without delay and, with the feature `tcp`, to keep their
    /// unsent backlog small and to reset when aborted.
    ///
    /// # Errors
    ///
    /// The transport refuses these settings.
    pub fn new(transport: T, setup: impl Into<Setup<D>>) -> io::Result<Self> {
        transport.prepare()?;
        let clock = StdClock::new();
        let stream = StreamDriver::new(setup, clock.now());
        Ok(Self { transport: Some(transport), stream, clock })
    }

    /// The next connection to the same peer. It keeps what was learnt of the path, the observer
    /// and the epoch's count, and begins [`Recovering`](Liveness::Recovering): see
    /// [`HeartbeatMachine::reconnected`](crate::HeartbeatMachine::reconnected).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn reconnected(self, transport: T) -> io::Result<Self> {
        transport.prepare()?;
        let stream = self.stream.reconnected(self.clock.now());
        Ok(Self { transport: Some(transport), stream, clock: self.clock })
    }

    /// Does what is due, without waiting: for programs that compute for long between two reads or
    /// writes.
    ///
    /// # Errors
    ///
    /// The connection has [ended](Ended).
    pub fn service(&mut self) -> io::Result<Liveness> {
        self.run_for(Duration::ZERO)
    }

    /// Keeps the connection alive for `span`, for programs that neither read nor write. Returns
    /// sooner if the peer says goodbye ([`Liveness::Closed`]).
    ///
    /// # Errors
    ///
    /// The connection has [ended](Ended).
    pub fn run_for(&mut self, span: Duration) -> io::Result<Liveness> {
        let until = self.clock.now().saturating_add(span);
        loop {
            self.turn(until, SHORTEST)?;
            let over = self.stream.driver().liveness() == Liveness::Closed;
            if over || self.clock.now() >= until {
                return Ok(self.stream.driver().liveness());
            }
        }
    }

    /// Waits up to `span` for application bytes, and says whether there are any (or their end).
    ///
    /// # Errors
    ///
    /// The connection has [ended](Ended).
    pub fn wait_readable(&mut self, span: Duration) -> io::Result<bool> {
        let until = self.clock.now().saturating_add(span);
        if self.is_due() {
            self.turn(Timestamp::EPOCH, SHORTEST)?; // However much there is at hand.
        }
        loop {
            if self.stream.available() > 0 {
                return Ok(true);
            }
            if let Some(end) = self.stream.end_of_input() {
                return end.map(|()| true);
            }
            self.turn(until, SHORTEST)?;
            if self.stream.available() == 0 && self.clock.now() >= until {
                return Ok(false);
            }
        }
    }

    /// Asks the peer for a sign of life, and waits for it: before a pooled connection is used
    /// again, say. A write that succeeds proves nothing; this does.
    ///
    /// # Errors
    ///
    /// The connection has [ended](Ended), at the latest by the verdict that this silence leads to;
    /// or so many received bytes wait to be read that the answer behind them cannot be
    /// ([`ErrorKind::WouldBlock`]).
    pub fn verify(&mut self) -> io::Result<()> {
        let since = self.clock.now();
        self.stream.driver_mut().handle(Event::PingDue, since);
        while !self.stream.driver().machine().is_verified_since(since) {
            if self.stream.is_full() {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.turn(Timestamp::MAX, SHORTEST)?;
            if self.stream.driver().liveness() == Liveness::Closed {
                return self.stream.end_of_input().unwrap_or(Ok(()));
            }
        }
        Ok(())
    }

    /// Closes on purpose: sends what waits and a goodbye, and waits for the peer to close as well,
    /// dropping what it still sends. (A socket that is dropped while the peer's last ping is on its
    /// way would be reset, and what was written before be lost.) Each of the two takes at most
    /// [`drain_limit`](crate::ConfigBuilder::drain_limit).
    ///
    /// # Errors
    ///
    /// The connection has [ended](Ended) otherwise.
    pub fn close(mut self) -> io::Result<()> {
        loop {
            let now = self.clock.now();
            self.stream.close(now);
            if !self.stream.has_output() {
                break;
            }
            self.turn(Timestamp::EPOCH, GLANCE)?;
        }
        self.check()?;
        if let Some(transport) = &self.transport {
            transport.finish()?;
        }
        while self.stream.driver().ended().is_none() {
            self.turn(Timestamp::MAX, SHORTEST)?;
            self.stream.discard();
        }
        Ok(())
    }

    /// The machine's driver: liveness, report, round trips, counters.
    pub const fn driver(&self) -> &Driver<D> {
        self.stream.driver()
    }

    /// For events of your own (a probe now, a drain, a resume) and for the status to tell.
    /// Stamp events with [`now`](Self::now).
    pub const fn driver_mut(&mut self) -> &mut Driver<D> {
        self.stream.driver_mut()
    }

    /// The present moment on the clock of this connection.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The wrapped transport, unless it was aborted. Do not read or write it.
    pub const fn get_ref(&self) -> Option<&T> {
        self.transport.as_ref()
    }

    /// One round of the driver loop. It waits for input until the machine's deadline, `until` at
    /// most; if the transport refuses bytes, for `write_wait` to write and a glance to read.
    fn turn(&mut self, until: Timestamp, write_wait: Duration) -> io::Result<()> {
        let mut clear = true;
        if !self.is_due() {
            clear = self.flush_out(write_wait); // Else what was received comes first.
        }
        if self.stream.wants_input() {
            let now = self.clock.now();
            let until = until.min(self.stream.driver().next_deadline().unwrap_or(until));
            let wait = until.saturating_duration_since(now);
            let most = if write_wait > SHORTEST { SHORTEST } else { GLANCE };
            if self.read_some(if clear { wait } else { wait.min(most) }) {
                let now = self.clock.now();
                self.stream.driver_mut().tick(now);
            }
        } else if clear {
            // Nothing can be done before the application takes what was received.
            let wait = until.saturating_duration_since(self.clock.now());
            std::thread::sleep(wait.min(GLANCE));
        }
        let now = self.clock.now();
        self.stream.driver_mut().expire(now); // However much there still is to read.
        self.flush_out(SHORTEST);
        self.check()
    }

    fn is_due(&self) -> bool {
        self.stream.driver().next_deadline().is_some_and(|due| self.clock.now() >= due)
    }

    /// Reads once; whether all that was there has been read.
    fn read_some(&mut self, wait: Duration) -> bool {
        let Some(transport) = &mut self.transport else { return false };
        let mut buf = [0; 16 * 1024];
        let read = if wait.is_zero() {
            transport.read_now(&mut buf)
        } else {
            transport.set_read_timeout(round_up(wait)).and_then(|()| transport.read(&mut buf))
        };
        match read {
            Ok(0) => self.stream.received_end(),
            Ok(len) => {
                let now = self.clock.now();
                self.stream.received(buf.get(..len).unwrap_or_default(), now);
            }
            Err(error) if is_timeout(&error) => return true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => self.stream.driver_mut().end(Ended::Transport(error.kind())),
        }
        false
    }

    /// Writes what waits; whether all of it went. `wait` for a transport that refuses bytes.
    fn flush_out(&mut self, wait: Duration) -> bool {
        let Some(transport) = &mut self.transport else { return true };
        let mut wrote = false;
        loop {
            let bytes = self.stream.to_write(self.clock.now());
            if bytes.is_empty() {
                break;
            }
            let written = transport
                .set_write_timeout(wait.max(SHORTEST))
                .and_then(|()| transport.write(bytes));
            match written {
                Ok(0) => {
                    self.stream.driver_mut().end(Ended::Transport(ErrorKind::WriteZero));
                    return true;
                }
                Ok(len) => {
                    wrote = true;
                    self.stream.wrote(len, self.clock.now());
                }
                Err(error) if is_timeout(&error) => {
                    let now = self.clock.now();
                    self.stream.driver_mut().blocked(now);
                    return false;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.stream.driver_mut().end(Ended::Transport(error.kind()));
                    return true;
                }
            }
        }
        if wrote && transport.flush().is_err_and(|error| !is_timeout(&error)) {
            self.stream.driver_mut().end(Ended::Transport(ErrorKind::Other));
        }
        true
    }

    /// Aborts the transport and fails once the connection has ended otherwise than on purpose.
    fn check(&mut self) -> io::Result<()> {
        match self.stream.driver().ended() {
            Some(ended) if !ended.on_purpose() => {
                if let Some(transport) = self.transport.take() {
                    transport.abort();
                }
                Err(ended.into())
            }
            _ => Ok(()),
        }
    }
}

impl<T: Transport, D: Detector> Read for Heartbeat<T, D> {
    /// Waits for application bytes. `Ok(0)`: the peer said goodbye.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.is_due() {
            let _ = self.turn(Timestamp::EPOCH, SHORTEST); // However much there is at hand.
        }
        loop {
            let taken = self.stream.take(buf);
            if taken > 0 {
                return Ok(taken);
            }
            if let Some(end) = self.stream.end_of_input() {
                return end.map(|()| 0);
            }
            // The error, if any, comes by way of `end_of_input`, after the bytes before it.
            let _ = self.turn(Timestamp::MAX, SHORTEST);
        }
    }
}

impl<T: Transport, D: Detector> Write for Heartbeat<T, D> {
    /// Takes some bytes once the ones before are written, and writes of them what goes at once. The
    /// rest leaves with whatever call comes next; [`flush`](Write::flush) waits for it.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        loop {
            let staged = self.stream.stage(buf)?;
            // Without waiting for input, but looking at it: a program may do nothing but write.
            self.turn(Timestamp::EPOCH, GLANCE)?;
            if staged > 0 || buf.is_empty() {
                return Ok(staged);
            }
        }
    }

    /// Waits until everything is written.
    fn flush(&mut self) -> io::Result<()> {
        while self.stream.has_output() {
            self.turn(Timestamp::EPOCH, GLANCE)?;
        }
        self.check()
    }
}

impl<T: Transport, D: Detector> fmt::Debug for Heartbeat<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// Whole milliseconds, rounded up, so that no wake-up precedes its deadline; never zero.
fn round_up(wait: Duration) -> Duration {
    let millis = wait.as_nanos().div_ceil(1_000_000).max(1);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
