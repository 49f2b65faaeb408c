//! [`Event`]: what happened. Events are facts; the machine decides what they mean.

use core::fmt;
use core::time::Duration;

use crate::time::Timestamp;

/// Names one ping of one connection: the sender's epoch and a sequence number.
///
/// The pong repeats it, so that several pings can be outstanding and each pong finds its own. The
/// epoch changes with every connection: a pong that belongs to an earlier one is never mistaken
/// for life in this one.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct PingId {
    epoch: u32,
    seq: u32,
}

impl PingId {
    /// The ping `seq` of the connection `epoch`.
    pub const fn new(epoch: u32, seq: u32) -> Self {
        Self { epoch, seq }
    }

    /// Which connection of the sender the ping belongs to.
    pub const fn epoch(self) -> u32 {
        self.epoch
    }

    /// The number of the ping within its epoch, from 1; it wraps past zero.
    pub const fn seq(self) -> u32 {
        self.seq
    }

    /// Both parts in one word: the epoch in the high half.
    pub const fn as_u64(self) -> u64 {
        ((self.epoch as u64) << 32) | self.seq as u64
    }

    /// The inverse of [`PingId::as_u64`].
    pub const fn from_u64(word: u64) -> Self {
        Self { epoch: (word >> 32) as u32, seq: word as u32 }
    }
}

impl fmt::Debug for PingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Epoch and sequence: `5eed0001#7`.
impl fmt::Display for PingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}#{}", self.epoch, self.seq)
    }
}

/// What happened, as the driver knows it. The time it happened travels beside it, as `now`.
///
/// The driver's duty is small: report what was received **before** it ticks, so that evidence that
/// is already in a buffer is seen before silence is judged. In a call later than the slack a wrong
/// order only costs a re-probe; in a punctual one it can cost the peer, since nothing tells the
/// machine of the unread bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum Event {
    /// Time has passed. Drives everything that is due. Spurious ticks are no-ops.
    Tick,
    /// The connection is usable: transport and application handshake are finished. Ends
    /// [`Liveness::Idle`](crate::Liveness::Idle).
    Start,
    /// Probe now: the caller's own schedule fired, a pooled connection is about to be reused, the
    /// network changed. Within the minimum gap of the last ping it is remembered once.
    PingDue,

    /// A ping came in. `stamp` is the peer's own (its clock, any epoch), if the frame had one.
    PingReceived {
        /// The id that the pong must repeat.
        id: PingId,
        /// The peer's sending time on the peer's clock.
        stamp: Option<Timestamp>,
    },
    /// A pong came in.
    PongReceived {
        /// The id of the ping it answers.
        id: PingId,
        /// The stamp of that ping, echoed: our own clock at the emission of the ping.
        stamp: Option<Timestamp>,
        /// How long the peer held the ping before it answered; subtracted from the RTT.
        hold: Duration,
        /// The peer says that it is pinged too often.
        calm: bool,
    },
    /// A pong without an id came in (the one-byte profile). Configure
    /// [`ids(false)`](crate::ConfigBuilder::ids) for such links.
    AnonymousPongReceived,
    /// A one-way beacon came in: a sign of life that wants no answer.
    BeaconReceived {
        /// The peer's sending time on the peer's clock.
        stamp: Option<Timestamp>,
        /// The period that the peer promises to keep.
        period: Duration,
    },
    /// A whole valid frame of any other kind came in (application data, say).
    FrameReceived,
    /// Some bytes came in that do not make up a whole frame yet.
    BytesReceived,
    /// The peer asks for at least this gap between our pings.
    LimitReceived {
        /// The smallest gap that the peer accepts.
        min_gap: Duration,
    },
    /// The peer says goodbye: it ends the connection on purpose. Not a failure.
    GoodbyeReceived,

    /// The transport took the last byte of this ping. Only with
    /// [`write_reports`](crate::ConfigBuilder::write_reports).
    PingSent {
        /// The ping.
        id: PingId,
    },
    /// The transport took the last byte of the pending pong. Only with `write_reports`.
    PongSent,
    /// The transport took some bytes (application data included).
    TxProgress,
    /// The transport refused bytes that wait to be written.
    TxBlocked,

    /// Begin an orderly end: no new pings, missing pongs no longer convict, a hard deadline.
    Drain,
    /// The connection is closed on purpose, now.
    Close,
    /// The host or the application is about to be frozen: time stands still until
    /// [`Event::Resume`]. Any other input implies the resume.
    Suspend,
    /// The freeze is over. `slept` is what the host knows of it, zero if it knows nothing; the
    /// machine credits the larger of it and the time since [`Event::Suspend`].
    Resume {
        /// How long the host slept, as far as the caller's clock counted it.
        slept: Duration,
    },
    /// The observer doubts itself, not the peer: many others fell silent at the same time, so it
    /// may be the path that all share, or this host. No verdict by silence falls before one
    /// response window from now has passed (rule J14). No evidence: nothing is renewed, no miss is
    /// forgiven. Nothing comes of it while the verdict is further away than that.
    ///
    /// The guard of a fleet says it; whoever watches several peers may, too.
    Hold {
        /// Whether a fresh ping is sent, whose window is waited for. Without one the window passes
        /// in peace, unless a ping leaves in it for another reason, which then has its own.
        probe: bool,
    },
}

impl Event {
    /// A ping without a stamp.
    pub const fn ping(id: PingId) -> Self {
        Self::PingReceived { id, stamp: None }
    }

    /// A plain pong: no echoed stamp, no hold time, no calm signal.
    pub const fn pong(id: PingId) -> Self {
        Self::PongReceived { id, stamp: None, hold: Duration::ZERO, calm: false }
    }
}
