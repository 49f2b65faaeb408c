//! [`Digest`]: a run in 64 bits.

use core::fmt;

use crate::action::Action;
use crate::event::{Event, PingId};
use crate::jitter::mix;
use crate::time::{Timestamp, nanos};

/// Everything that was told to machines and by them, in order, folded into 64 bits. Equal runs have
/// equal digests on every platform; times enter relative to the epoch of the run, so that a run
/// moved in time (rule T3) keeps its digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest(u64);

impl Digest {
    /// The digest as a number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The inverse of [`Digest::as_u64`].
    pub const fn from_u64(word: u64) -> Self {
        Self(word)
    }

    #[inline]
    pub(crate) const fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    /// The digests of several seeds in one, in whatever order.
    pub(crate) const fn merge(&mut self, other: u64) {
        self.0 = self.0.wrapping_add(mix(other));
    }

    #[inline]
    fn two(&mut self, kind: u64, word: u64) {
        self.word(kind);
        self.word(word);
    }

    #[inline]
    fn stamped(&mut self, kind: u64, id: PingId, stamp: Option<Timestamp>, base: u64) {
        self.two(kind, id.as_u64());
        self.word(stamp.map_or(0, |stamp| !stamp.as_nanos().wrapping_sub(base)));
    }

    #[inline]
    pub(crate) fn event(&mut self, event: &Event, base: u64) {
        match *event {
            Event::Tick => self.word(1),
            Event::PingReceived { id, stamp } => self.stamped(2, id, stamp, base),
            Event::PongReceived { id, stamp, hold, calm } => {
                self.stamped(3, id, stamp, base);
                self.two(u64::from(calm), nanos(hold));
            }
            Event::BeaconReceived { stamp, period } => {
                self.stamped(4, PingId::default(), stamp, base);
                self.word(nanos(period));
            }
            Event::PingSent { id } => self.two(5, id.as_u64()),
            Event::LimitReceived { min_gap } => self.two(6, nanos(min_gap)),
            Event::Resume { slept } => self.two(7, nanos(slept)),
            Event::Start => self.word(8),
            Event::PingDue => self.word(9),
            Event::AnonymousPongReceived => self.word(10),
            Event::FrameReceived => self.word(11),
            Event::BytesReceived => self.word(12),
            Event::GoodbyeReceived => self.word(13),
            Event::PongSent => self.word(14),
            Event::TxProgress => self.word(15),
            Event::TxBlocked => self.word(16),
            Event::Drain => self.word(17),
            Event::Close => self.word(18),
            Event::Suspend => self.word(19),
            Event::Hold { probe } => self.word(20 + u64::from(probe)),
        }
    }

    #[inline]
    pub(crate) fn action(&mut self, action: &Action, base: u64) {
        match *action {
            Action::SendPong { id, calm } => self.two(32 + u64::from(calm), id.as_u64()),
            Action::SendPing { id, stamp } => self.stamped(34, id, Some(stamp), base),
            Action::SendBeacon { id, stamp } => self.stamped(35, id, Some(stamp), base),
            Action::RequestProbe => self.word(36),
            Action::SendGoodbye => self.word(37),
            Action::Notify(change) => {
                let (from, to) = (change.from as u64, change.to as u64);
                self.two(38, (from << 16) | (to << 8) | change.reason as u64);
            }
            Action::Report(findings) => self.two(39, findings.bits().into()),
        }
    }
}

/// Sixteen hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
