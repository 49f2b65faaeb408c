//! Heartbeats on a connected tokio UDP socket.

use core::future::poll_fn;
use core::task::{Context, Poll};
use std::io;

use ::tokio::io::ReadBuf;
use ::tokio::net::UdpSocket;

use super::TokioTimer;
use crate::adapter::blocking::{MOST_OVERDUE, concerns_one_datagram};
use crate::adapter::driver::Driver;
use crate::adapter::notice::Ended;
use crate::adapter::poll::{Input, Io, MOST_READS, Pulse, Timer};
use crate::adapter::setup::Setup;
use crate::codec::{MAX_FRAME, datagram};
use crate::detector::{Deadline, Detector};
use crate::event::Event;
use crate::liveness::Liveness;
use crate::time::Timestamp;

/// Heartbeats, one a datagram, with the peer that the socket is connected to.
///
/// Datagrams that are no heartbeat are dropped and [counted](Self::dropped), and so are errors that
/// tell of one datagram only (a port that is closed just now, a network that cannot be reached):
/// on datagrams only silence convicts. With
/// [`reopen_after`](crate::ConfigBuilder::reopen_after) even that is not final.
///
/// ```
/// use core::time::Duration;
/// use tokio::net::UdpSocket;
/// use heartbeat_proto::{Config, Liveness, adapter::tokio::UdpHeartbeat};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (here, there) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
/// here.connect(there.local_addr()?).await?;
/// there.connect(here.local_addr()?).await?;
/// let config = Config::detect_within(Duration::from_millis(400))?;
/// let (mut here, mut there) = (UdpHeartbeat::new(here, config), UdpHeartbeat::new(there, config));
/// let run = async { tokio::join!(here.drive(), there.drive()) };
/// assert!(tokio::time::timeout(Duration::from_millis(200), run).await.is_err()); // both live on
/// assert_eq!(here.driver().liveness(), Liveness::Alive);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct UdpHeartbeat<D: Detector = Deadline> {
    wire: Wire<D>,
    pulse: Pulse<TokioTimer>,
}

#[derive(Debug)]
struct Wire<D: Detector> {
    socket: UdpSocket,
    driver: Driver<D>,
    dropped: u64,
    refused: u64,
    /// How many datagrams were read since the deadline was passed.
    overdue: u32,
}

impl<D: Detector> UdpHeartbeat<D> {
    /// Begins heartbeats on a connected socket.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled, as all of tokio's timers.
    pub fn new(socket: UdpSocket, setup: impl Into<Setup<D>>) -> Self {
        let pulse = Pulse::new(TokioTimer::new());
        let driver = Driver::new(setup, pulse.now());
        Self { wire: Wire { socket, driver, dropped: 0, refused: 0, overdue: 0 }, pulse }
    }

    /// Keeps the heart beating until the connection ends. Cancel-safe: use it in `select!` or under
    /// a timeout. `Ok(())`: it was closed on purpose, by either side.
    ///
    /// # Errors
    ///
    /// The connection has [ended](Ended).
    pub async fn drive(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            self.pulse.beat(&mut self.wire, cx);
            match self.wire.driver.ended() {
                Some(ended) if !ended.on_purpose() => Poll::Ready(Err(ended.into())),
                None if self.wire.driver.liveness() != Liveness::Closed => Poll::Pending,
                _ => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    /// Says goodbye. It is one datagram and may get lost.
    pub async fn close(mut self) {
        let now = self.now();
        self.wire.driver.handle(Event::Close, now);
        poll_fn(|cx| {
            self.pulse.beat(&mut self.wire, cx);
            let waits = self.wire.driver.has_output() && self.wire.driver.ended().is_none();
            if waits { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// Liveness, report, round trips, counters.
    pub const fn driver(&self) -> &Driver<D> {
        &self.wire.driver
    }

    /// For events of your own and for the status to tell. Stamp events with [`now`](Self::now).
    pub const fn driver_mut(&mut self) -> &mut Driver<D> {
        &mut self.wire.driver
    }

    /// The present moment on the clock of this connection.
    pub fn now(&self) -> Timestamp {
        self.pulse.now()
    }

    /// The wrapped socket. Do not receive from it.
    pub const fn get_ref(&self) -> &UdpSocket {
        &self.wire.socket
    }

    /// How many datagrams were no heartbeat.
    pub const fn dropped(&self) -> u64 {
        self.wire.dropped
    }

    /// How many times the system reported that a datagram did not get through.
    pub const fn refused(&self) -> u64 {
        self.wire.refused
    }
}

impl<D: Detector> Io for Wire<D> {
    type Detector = D;

    fn driver(&mut self) -> &mut Driver<D> {
        &mut self.driver
    }

    fn poll_input(&mut self, clock: &impl Timer, cx: &mut Context<'_>) -> (Input, Timestamp) {
        let mut now = clock.now();
        // One byte more than a frame may have, so that longer ones are seen to be.
        let mut space = [0; MAX_FRAME + 1];
        for _ in 0..MOST_READS {
            let mut buf = ReadBuf::new(&mut space);
            match self.socket.poll_recv(cx, &mut buf) {
                Poll::Pending => {
                    self.overdue = 0;
                    return (Input::Drained, now);
                }
                Poll::Ready(Ok(())) => {
                    now = clock.now();
                    match datagram::decode(buf.filled()) {
                        Ok(frame) => self.driver.received(&frame, now),
                        Err(_) => self.dropped = self.dropped.saturating_add(1),
                    }
                }
                Poll::Ready(Err(error)) if concerns_one_datagram(&error) => {
                    self.refused = self.refused.saturating_add(1);
                }
                Poll::Ready(Err(error)) => {
                    self.driver.end(Ended::Transport(error.kind()));
                    return (Input::Held, now);
                }
            }
        }
        if self.driver.next_deadline().is_none_or(|due| now < due) {
            self.overdue = 0;
            return (Input::More, now);
        }
        self.overdue = self.overdue.saturating_add(MOST_READS);
        if self.overdue < MOST_OVERDUE {
            return (Input::More, now);
        }
        self.overdue = 0;
        (Input::Enough, now)
    }

    fn poll_output(
        &mut self,
        clock: &impl Timer,
        mut now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Timestamp {
        let mut space = [0; MAX_FRAME];
        while let Some(frame) = self.driver.next_frame(now) {
            let Ok(len) = frame.encode_into(&mut space) else { break };
            let bytes = space.get(..len).unwrap_or_default();
            let sent = match self.socket.poll_send(cx, bytes) {
                // Word of an earlier datagram, which says nothing about this one.
                Poll::Ready(Err(error)) if concerns_one_datagram(&error) => {
                    self.refused = self.refused.saturating_add(1);
                    self.socket.poll_send(cx, bytes)
                }
                sent => sent,
            };
            now = clock.now();
            if !matches!(sent, Poll::Ready(Ok(_))) {
                self.driver.blocked(now);
                break;
            }
            self.driver.begun();
            self.driver.sent(now);
        }
        now
    }
}
