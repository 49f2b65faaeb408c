//! Heartbeats on a connected UDP socket of the standard library.

use core::time::Duration;
use std::io::{self, ErrorKind};
use std::net::UdpSocket;

use super::{GLANCE, is_due, is_timeout, round_up, short_of_deadline};
use crate::adapter::clock::StdClock;
use crate::adapter::driver::Driver;
use crate::adapter::notice::Ended;
use crate::adapter::setup::Setup;
use crate::codec::{MAX_FRAME, datagram};
use crate::detector::{Deadline, Detector};
use crate::event::Event;
use crate::liveness::Liveness;
use crate::time::Timestamp;

/// How many datagrams are read past a deadline before it is acted on: more than a receive buffer of
/// usual size holds, so that an answer in it is found; bounded, so that garbage stops no clock.
pub(in crate::adapter) const MOST_OVERDUE: u32 = 512;

/// Heartbeats, one a datagram, with the peer that the socket is connected to.
///
/// Datagrams that are no heartbeat are dropped and [counted](Self::dropped), and so are errors that
/// tell of one datagram only (a port that is closed just now, a network that cannot be reached):
/// on datagrams only silence convicts. With
/// [`reopen_after`](crate::ConfigBuilder::reopen_after) even that is not final.
///
/// ```
/// use core::time::Duration;
/// use std::net::UdpSocket;
/// use heartbeat_proto::{Config, FirstPing, Liveness, adapter::blocking::UdpHeartbeat};
///
/// let (here, there) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
/// here.connect(there.local_addr()?)?;
/// there.connect(here.local_addr()?)?;
/// let config = Config::builder().first_ping(FirstPing::Immediate).build()?;
/// let mut here = UdpHeartbeat::new(here, config)?;
/// let mut there = UdpHeartbeat::new(there, config)?;
/// here.service()?; // a ping leaves
/// there.service()?; // and is answered
/// assert_eq!(here.run_for(Duration::from_millis(20))?, Liveness::Alive);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UdpHeartbeat<D: Detector = Deadline> {
    socket: UdpSocket,
    driver: Driver<D>,
    clock: StdClock,
    dropped: u64,
    refused: u64,
}

impl<D: Detector> UdpHeartbeat<D> {
    /// Begins heartbeats on a connected socket.
    ///
    /// # Errors
    ///
    /// The socket cannot be made to block.
    pub fn new(socket: UdpSocket, setup: impl Into<Setup<D>>) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        socket.set_write_timeout(Some(GLANCE))?;
        let clock = StdClock::new();
        let driver = Driver::new(setup, clock.now());
        Ok(Self { socket, driver, clock, dropped: 0, refused: 0 })
    }

    /// Does what is due and returns, after at most a millisecond.
    ///
    /// # Errors
    ///
    /// The connection has [ended](Ended).
    pub fn service(&mut self) -> io::Result<Liveness> {
        self.run_for(Duration::ZERO)
    }

    /// Keeps the heart beating for `span`. Returns sooner if the peer says goodbye
    /// ([`Liveness::Closed`]).
    ///
    /// # Errors
    ///
    /// The connection has [ended](Ended).
    pub fn run_for(&mut self, span: Duration) -> io::Result<Liveness> {
        let until = self.clock.now().saturating_add(span);
        loop {
            self.turn(until)?;
            if self.driver.liveness() == Liveness::Closed || self.clock.now() >= until {
                return Ok(self.driver.liveness());
            }
        }
    }

    /// Says goodbye. It is one datagram and may get lost.
    pub fn close(mut self) {
        let now = self.clock.now();
        self.driver.handle(Event::Close, now);
        self.send();
    }

    /// Liveness, report, round trips, counters.
    pub const fn driver(&self) -> &Driver<D> {
        &self.driver
    }

    /// For events of your own and for the status to tell. Stamp events with [`now`](Self::now).
    pub const fn driver_mut(&mut self) -> &mut Driver<D> {
        &mut self.driver
    }

    /// The present moment on the clock of this connection.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The wrapped socket. Do not read it.
    pub const fn get_ref(&self) -> &UdpSocket {
        &self.socket
    }

    /// How many datagrams were no heartbeat.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many times the system reported that a datagram did not get through.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    fn turn(&mut self, until: Timestamp) -> io::Result<()> {
        let due = self.driver.next_deadline().unwrap_or(until);
        let now = self.clock.now();
        if now < due {
            self.send();
            let mut wait = due.min(until).saturating_duration_since(now);
            if self.driver.has_output() {
                wait = wait.min(GLANCE); // To try again.
            }
            self.receive(Some(wait));
        }
        if self.clock.now() >= due {
            let now = self.receive_all();
            self.driver.tick(now);
        }
        self.send();
        match self.driver.ended() {
            Some(ended) if !ended.on_purpose() => Err(ended.into()),
            _ => Ok(()),
        }
    }

    /// Receives what is there without waiting, as far as it may hold up what is due. Returns until
    /// when everything has been received: whoever is judged by that had so long to answer.
    fn receive_all(&mut self) -> Timestamp {
        if let Err(error) = self.socket.set_nonblocking(true) {
            self.driver.end(Ended::Transport(error.kind()));
        }
        let mut now = self.clock.now();
        for _ in 0..MOST_OVERDUE {
            if self.receive(None) {
                break;
            }
            now = self.clock.now();
        }
        if let Err(error) = self.socket.set_nonblocking(false) {
            self.driver.end(Ended::Transport(error.kind()));
        }
        now
    }

    /// Receives one datagram, `wait`ing for it if the socket blocks; whether there was none.
    fn receive(&mut self, wait: Option<Duration>) -> bool {
        // One byte more than a frame may have, so that longer ones are seen to be.
        let mut buf = [0; MAX_FRAME + 1];
        let ready = wait.map_or(Ok(()), |wait| self.socket.set_read_timeout(Some(round_up(wait))));
        let received = ready.and_then(|()| self.socket.recv(&mut buf));
        match received.map(|len| datagram::decode(buf.get(..len).unwrap_or_default())) {
            Ok(Ok(frame)) => {
                let now = self.clock.now();
                self.driver.received(&frame, now);
            }
            Ok(Err(_)) => self.dropped = self.dropped.saturating_add(1),
            Err(error) if is_timeout(&error) => return true,
            Err(error) if concerns_one_datagram(&error) => {
                self.refused = self.refused.saturating_add(1);
            }
            Err(error) => self.driver.end(Ended::Transport(error.kind())),
        }
        false
    }

    /// Sends what waits, unless a deadline is reached: what was received comes first. What the system
    /// refuses for the moment stays, and is reported.
    fn send(&mut self) {
        let mut buf = [0; MAX_FRAME];
        loop {
            let now = self.clock.now();
            if is_due(&self.driver, now) {
                return;
            }
            let Some(frame) = self.driver.next_frame(now) else { return };
            let Ok(len) = frame.encode_into(&mut buf) else { return };
            let bytes = buf.get(..len).unwrap_or_default();
            let sent = match self.socket.send(bytes) {
                // Word of an earlier datagram, which says nothing about this one.
                Err(error) if concerns_one_datagram(&error) => {
                    self.refused = self.refused.saturating_add(1);
                    self.socket.send(bytes)
                }
                sent => sent,
            };
            let now = short_of_deadline(&self.driver, self.clock.now());
            if sent.is_err() {
                return self.driver.blocked(now);
            }
            self.driver.begun();
            self.driver.sent(now);
        }
    }
}

/// Whether the error tells that a datagram did not get through, and nothing about the socket.
pub(in crate::adapter) fn concerns_one_datagram(error: &io::Error) -> bool {
    /// A datagram was longer than the buffer; other systems cut it short without a word.
    const WSAEMSGSIZE: i32 = 10040;
    (cfg!(windows) && error.raw_os_error() == Some(WSAEMSGSIZE))
        || matches!(
            error.kind(),
            ErrorKind::Interrupted
                | ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionReset
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::NetworkDown
        )
}
