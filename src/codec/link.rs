//! [`Link`]: frames of one connection to events, actions to frames.

use core::time::Duration;

use super::frame::Frame;
use super::status::Status;
use crate::action::Action;
use crate::event::{Event, PingId};
use crate::time::Timestamp;

/// Translates between the frames of one connection and its machine.
///
/// It knows what the machine need not: our handle, the mask on our stamps, what the newest ping
/// of the peer said, and what either end tells of its health. It performs nothing and never
/// panics.
///
/// ```
/// use heartbeat_proto::{Action, Event, PingId, Timestamp};
/// use heartbeat_proto::codec::{Frame, Link};
///
/// let (mut ours, mut theirs) = (Link::new(0x9e37_79b9, 3), Link::new(0x7f4a_7c15, 8));
/// let id = PingId::new(1, 7);
/// let at = Timestamp::from_nanos;
///
/// // Our machine wants a ping sent; the peer's machine hears of it and answers 20 us later.
/// let ping = ours.frame(&Action::SendPing { id, stamp: at(5_000) }, at(5_000)).unwrap();
/// assert!(matches!(theirs.event(&ping, at(100)), Some(Event::PingReceived { .. })));
/// let pong = theirs.frame(&Action::SendPong { id, calm: false }, at(20_100)).unwrap();
///
/// // Our machine gets its own stamp back, and the peer's hold time.
/// let Some(Event::PongReceived { stamp, hold, .. }) = ours.event(&pong, at(90_000)) else {
///     panic!("a pong is an event");
/// };
/// assert_eq!((stamp, hold.as_micros()), (Some(at(5_000)), 20));
/// ```
#[derive(Clone, Debug)]
pub struct Link {
    mask: u64,
    handle: u64,
    /// Our own epoch, zero until it is known.
    epoch: u32,
    /// The number of our newest ping or beacon; zero: none was sent.
    sent: u32,
    period: Option<Duration>,
    status: Option<Status>,
    echo: Option<Echo>,
    peer_status: Option<Status>,
    peer_epoch: Option<u32>,
    peer_restarts: u32,
    misdirected: u32,
    stale: u32,
}

/// What the newest ping of the peer said.
#[derive(Clone, Copy, Debug)]
struct Echo {
    id: PingId,
    handle: u64,
    stamp: u64,
    received_at: Timestamp,
}

impl Link {
    /// A new connection. `mask` is added to every stamp that leaves and taken off every stamp
    /// that comes back: give it a random number of the connection, because bare stamps tell the
    /// peer how long this host has been up. `handle` is yours to choose; pongs that repeat
    /// another one are not for this connection.
    pub const fn new(mask: u64, handle: u64) -> Self {
        Self {
            mask,
            handle,
            epoch: 0,
            sent: 0,
            period: None,
            status: None,
            echo: None,
            peer_status: None,
            peer_epoch: None,
            peer_restarts: 0,
            misdirected: 0,
            stale: 0,
        }
    }

    /// Sets our epoch, for goodbyes of an end that never pings. Others teach it by their pings.
    #[must_use]
    pub const fn with_epoch(self, epoch: u32) -> Self {
        Self { epoch, ..self }
    }

    /// Sets the period that our beacons promise. Without it they promise nothing.
    #[must_use]
    pub const fn with_period(self, period: Duration) -> Self {
        Self { period: Some(period), ..self }
    }

    /// Sets the health to tell with every ping, pong and beacon from now on. It makes each of
    /// them six bytes longer, a pong thereby longer than a ping without one.
    pub const fn set_status(&mut self, status: Option<Status>) {
        self.status = status;
    }

    /// What a received frame means to the machine, which gets the event at the same `now`. `None`:
    /// nothing, it was not meant for this connection.
    #[inline]
    pub fn event(&mut self, frame: &Frame, now: Timestamp) -> Option<Event> {
        match *frame {
            Frame::Ping { id, handle, .. } | Frame::Beacon { id, handle, .. }
                if self.is_our_own(id, handle) =>
            {
                self.misdirect()
            }
            Frame::Hello(hello) if self.sent != 0 && hello.epoch() == self.epoch => {
                self.misdirect()
            }
            Frame::Ping { id, handle, stamp, status } => {
                self.echo = Some(Echo { id, handle, stamp, received_at: now });
                self.heard(id.epoch(), status);
                Some(Event::PingReceived { id, stamp: Some(Timestamp::from_nanos(stamp)) })
            }
            Frame::Pong { id, handle, stamp, hold, calm, status } => {
                if handle != self.handle {
                    return self.misdirect();
                }
                self.peer_status = status.or(self.peer_status);
                let stamp = Some(Timestamp::from_nanos(stamp.wrapping_sub(self.mask)));
                Some(Event::PongReceived { id, stamp, hold, calm })
            }
            Frame::Beacon { id, stamp, period, status, .. } => {
                self.heard(id.epoch(), status);
                let stamp = Some(Timestamp::from_nanos(stamp));
                // Without a promise a beacon is a sign of life like any other.
                Some(
                    period.map_or(Event::FrameReceived, |period| Event::BeaconReceived {
                        stamp,
                        period,
                    }),
                )
            }
            Frame::Hello(hello) => {
                self.heard(hello.epoch(), None);
                Some(Event::LimitReceived { min_gap: hello.limits().min_gap() })
            }
            Frame::Goodbye { epoch, .. } => {
                let other = self.peer_epoch.is_some_and(|known| epoch != 0 && known != epoch);
                if other {
                    // A late datagram of an earlier connection must not end this one.
                    self.stale = self.stale.saturating_add(1);
                    return None;
                }
                Some(Event::GoodbyeReceived)
            }
            Frame::Unknown { .. } => Some(Event::FrameReceived),
        }
    }

    /// The frame to send for an action; `None` if the action sends nothing, or is a pong to
    /// another ping than the newest.
    #[inline]
    pub fn frame(&mut self, action: &Action, now: Timestamp) -> Option<Frame> {
        let (handle, status) = (self.handle, self.status);
        match *action {
            Action::SendPing { id, stamp } => {
                (self.epoch, self.sent) = (id.epoch(), id.seq());
                Some(Frame::Ping { id, handle, stamp: self.stamp(stamp), status })
            }
            Action::SendPong { id, calm } => {
                let echo = self.echo.filter(|echo| echo.id == id)?;
                let hold = now.saturating_duration_since(echo.received_at);
                let Echo { handle, stamp, .. } = echo;
                Some(Frame::Pong { id, handle, stamp, hold, calm, status })
            }
            Action::SendBeacon { id, stamp } => {
                (self.epoch, self.sent) = (id.epoch(), id.seq());
                let stamp = self.stamp(stamp);
                Some(Frame::Beacon { id, handle, stamp, period: self.period, status })
            }
            Action::SendGoodbye => {
                let reason = status.map_or(0, |status| status.reason());
                Some(Frame::Goodbye { epoch: self.epoch, reason })
            }
            Action::RequestProbe | Action::Notify(_) | Action::Report(_) => None,
        }
    }

    /// The masked form of a time of ours, as it may leave this host.
    pub const fn stamp(&self, at: Timestamp) -> u64 {
        at.as_nanos().wrapping_add(self.mask)
    }

    /// The newest health that the peer told.
    pub const fn peer_status(&self) -> Option<Status> {
        self.peer_status
    }

    /// The epoch of the peer's newest ping, beacon or hello.
    pub const fn peer_epoch(&self) -> Option<u32> {
        self.peer_epoch
    }

    /// How often the peer's epoch changed: it began anew. On datagrams without authentication a
    /// late frame of an earlier connection looks the same.
    pub const fn peer_restarts(&self) -> u32 {
        self.peer_restarts
    }

    /// How many frames were not for us: pongs that repeat a handle that is not ours, and our own
    /// pings, beacons and hellos, thrown back by a reflector or a loop.
    pub const fn misdirected(&self) -> u32 {
        self.misdirected
    }

    /// How many goodbyes of another epoch of the peer were ignored.
    pub const fn stale_goodbyes(&self) -> u32 {
        self.stale
    }

    /// Whether a reflector threw back what we sent: that proves no peer. (Rule E2. Two ends must
    /// therefore differ in their seeds, as their documents ask for.)
    const fn is_our_own(&self, id: PingId, handle: u64) -> bool {
        self.sent != 0 && id.epoch() == self.epoch && id.seq() <= self.sent && handle == self.handle
    }

    const fn misdirect(&mut self) -> Option<Event> {
        self.misdirected = self.misdirected.saturating_add(1);
        None
    }

    fn heard(&mut self, epoch: u32, status: Option<Status>) {
        self.peer_status = status.or(self.peer_status);
        if self.peer_epoch.is_some_and(|known| known != epoch) {
            self.peer_restarts = self.peer_restarts.saturating_add(1);
        }
        self.peer_epoch = Some(epoch);
    }
}
