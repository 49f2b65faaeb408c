//! [`Frame`]: what is sent and received, as plain data apart from its bytes.

use core::time::Duration;

use super::hello::Hello;
use super::status::Status;
use crate::event::PingId;

/// One heartbeat frame. Bytes are made of it by [`encode_into`](Frame::encode_into) and it of
/// bytes by [`decode`](Frame::decode).
///
/// `handle` is a number of the ping's sender that the pong repeats, so that a gateway finds the
/// connection without a table. `stamp` is the sender's monotonic time in nanoseconds plus a
/// secret mask (see [`Link`](crate::codec::Link)); only its sender can read it.
///
/// ```
/// use heartbeat_proto::PingId;
/// use heartbeat_proto::codec::{Frame, PING_LEN};
///
/// let ping = Frame::Ping { id: PingId::new(1, 7), handle: 3, stamp: 1_500, status: None };
/// let mut bytes = [0; PING_LEN];
/// assert_eq!(ping.encode_into(&mut bytes), Ok(PING_LEN));
/// assert_eq!(Frame::decode(&bytes), Ok(Some((ping, PING_LEN))));
/// assert_eq!(Frame::decode(&bytes[..31]), Ok(None));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum Frame {
    /// Answer me.
    Ping {
        /// Names the ping; the pong repeats it.
        id: PingId,
        /// The sender's own; the pong repeats it.
        handle: u64,
        /// The sender's masked sending time; the pong repeats it.
        stamp: u64,
        /// The sender's health.
        status: Option<Status>,
    },
    /// The answer to a ping. It contains nothing that the ping's sender did not send, but the hold
    /// time and, if the application chose one, a status.
    Pong {
        /// The id of the ping.
        id: PingId,
        /// The handle of the ping.
        handle: u64,
        /// The stamp of the ping.
        stamp: u64,
        /// How long the ping was held before it was answered. On the wire: whole microseconds
        /// rounded down, at most `u32::MAX` of them (71 minutes) whatever the true value.
        hold: Duration,
        /// The ping came too soon after the one before: calm down.
        calm: bool,
        /// The sender's health.
        status: Option<Status>,
    },
    /// A sign of life that wants no answer.
    Beacon {
        /// Its number.
        id: PingId,
        /// The sender's own.
        handle: u64,
        /// The sender's masked sending time.
        stamp: u64,
        /// The longest gap to the next beacon that the sender promises; `None`: no promise. On
        /// the wire: whole microseconds, rounded up, never zero.
        period: Option<Duration>,
        /// The sender's health.
        status: Option<Status>,
    },
    /// Handshake and change of limits.
    Hello(Hello),
    /// The sender ends the connection on purpose.
    Goodbye {
        /// The sender's epoch; zero if it has none.
        epoch: u32,
        /// The application's own reason code; zero is "none".
        reason: u16,
    },
    /// A whole frame of a later version that may be skipped. It is received, never sent.
    Unknown {
        /// The kind, 0x80 or above.
        kind: u8,
    },
}

impl Frame {
    /// The pong to this frame if it is a ping, without any state: for gateways and reflectors.
    ///
    /// It is never longer than the ping, so that a forged sender's address gains nothing. `hold`
    /// is the time since the ping arrived.
    ///
    /// ```
    /// use core::time::Duration;
    /// use heartbeat_proto::PingId;
    /// use heartbeat_proto::codec::Frame;
    ///
    /// let ping = Frame::Ping { id: PingId::new(1, 7), handle: 3, stamp: 9, status: None };
    /// let pong = ping.answer(Duration::from_micros(20), false).expect("pings are answered");
    /// assert_eq!(pong.encoded_len(), ping.encoded_len());
    /// assert_eq!(pong.answer(Duration::ZERO, false), None);
    /// ```
    #[inline]
    pub const fn answer(&self, hold: Duration, calm: bool) -> Option<Self> {
        match *self {
            Self::Ping { id, handle, stamp, .. } => {
                Some(Self::Pong { id, handle, stamp, hold, calm, status: None })
            }
            _ => None,
        }
    }

    /// The health that the frame tells of its sender.
    pub const fn status(&self) -> Option<Status> {
        match *self {
            Self::Ping { status, .. } | Self::Pong { status, .. } | Self::Beacon { status, .. } => {
                status
            }
            _ => None,
        }
    }
}

// A frame is moved a lot: one cache line.
const _: () = assert!(size_of::<Frame>() <= 64);
