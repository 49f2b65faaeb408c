//! [`Outbox`]: the heartbeats that wait to be written. Bounded, and ordered by urgency.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::codec::Frame;
use crate::event::PingId;
use crate::time::Timestamp;

/// How many pongs wait at most where each ping is answered. Beyond, the oldest is superseded.
const MOST_PONGS: usize = 16;

/// What a frame is to the machine, once it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Pong,
    Ping(PingId),
    Other,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// With the time they were put here: they are held until they are written.
    pongs: VecDeque<(Frame, Timestamp)>,
    each: bool,
    ping: Option<(Frame, PingId)>,
    beacon: Option<Frame>,
    goodbye: Option<Frame>,
}

impl Outbox {
    pub(super) fn new(answer_each: bool) -> Self {
        Self { each: answer_each, ..Self::default() }
    }

    /// The newest frame of a kind replaces one that still waits, but for pongs in `each` mode.
    pub(super) fn put(&mut self, frame: Frame, now: Timestamp) {
        match frame {
            Frame::Pong { .. } => {
                let most = if self.each { MOST_PONGS } else { 1 };
                while self.pongs.len() >= most {
                    self.pongs.pop_front();
                }
                self.pongs.push_back((frame, now));
            }
            Frame::Ping { id, .. } => self.ping = Some((frame, id)),
            Frame::Goodbye { .. } => self.goodbye = Some(frame),
            _ => self.beacon = Some(frame),
        }
    }

    /// The frame to write next, as it is to be written at `now`.
    pub(super) fn first(&self, now: Timestamp) -> Option<(Frame, Beat)> {
        if let Some(&(pong, since)) = self.pongs.front() {
            let waited = now.saturating_duration_since(since);
            return Some((held(pong, waited), Beat::Pong));
        }
        if let Some((ping, id)) = self.ping {
            return Some((ping, Beat::Ping(id)));
        }
        self.beacon.or(self.goodbye).map(|frame| (frame, Beat::Other))
    }

    /// Takes out what [`first`](Self::first) shows.
    pub(super) fn take_first(&mut self) {
        if self.pongs.pop_front().is_none()
            && self.ping.take().is_none()
            && self.beacon.take().is_none()
        {
            self.goodbye = None;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pongs.is_empty()
            && self.ping.is_none()
            && self.beacon.is_none()
            && self.goodbye.is_none()
    }

    /// The connection is over: nothing but a goodbye is still to be said.
    pub(super) fn keep_goodbye(&mut self) {
        *self = Self { goodbye: self.goodbye, ..Self::new(self.each) };
    }
}

/// The pong, held for so much longer.
fn held(frame: Frame, waited: Duration) -> Frame {
    match frame {
        Frame::Pong { id, handle, stamp, hold, calm, status } => {
            let hold = hold.saturating_add(waited);
            Frame::Pong { id, handle, stamp, hold, calm, status }
        }
        other => other,
    }
}
