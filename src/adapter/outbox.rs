//! [`Outbox`]: the heartbeats that wait to be written. Bounded, and ordered by urgency.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::codec::Frame;
use crate::event::PingId;
use crate::time::Timestamp;

/// How many pongs wait at most where each ping is answered. Beyond, the oldest is superseded.
const MOST_PONGS: usize = 16;

/// Which frame it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Pong(PingId),
    Ping(PingId),
    Beacon,
    Goodbye,
}

impl Beat {
    const fn of(frame: &Frame) -> Self {
        match *frame {
            Frame::Pong { id, .. } => Self::Pong(id),
            Frame::Ping { id, .. } => Self::Ping(id),
            Frame::Goodbye { .. } => Self::Goodbye,
            _ => Self::Beacon,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// With the time they were put here: they are held until they are written.
    pongs: VecDeque<(Frame, Timestamp)>,
    each: bool,
    ping: Option<Frame>,
    beacon: Option<Frame>,
    goodbye: Option<Frame>,
}

impl Outbox {
    pub(super) fn new(answer_each: bool) -> Self {
        Self { each: answer_each, ..Self::default() }
    }

    /// For the pongs that come from now on.
    pub(super) const fn answer_each(&mut self, each: bool) {
        self.each = each;
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
            Frame::Ping { .. } => self.ping = Some(frame),
            Frame::Goodbye { .. } => self.goodbye = Some(frame),
            _ => self.beacon = Some(frame),
        }
    }

    /// The frame to write next, as it is to be written at `now`.
    pub(super) fn first(&self, now: Timestamp) -> Option<(Frame, Beat)> {
        let pong = self.pongs.front().map(|&(pong, since)| {
            let waited = now.saturating_duration_since(since);
            held(pong, waited)
        });
        let frame = pong.or(self.ping).or(self.beacon).or(self.goodbye)?;
        Some((frame, Beat::of(&frame)))
    }

    /// Takes out what was written. What has taken its place since stays.
    pub(super) fn take(&mut self, written: Beat) {
        let is = |frame: &Frame| Beat::of(frame) == written;
        if self.pongs.front().is_some_and(|(pong, _)| is(pong)) {
            self.pongs.pop_front();
        }
        for slot in [&mut self.ping, &mut self.beacon, &mut self.goodbye] {
            slot.take_if(|frame| is(frame));
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
