//! The one-byte profile: 0x01 is a ping, 0x02 is a pong, and there is nothing else.

use crate::action::Action;
use crate::event::{Event, PingId};

/// Translates between single bytes and the machine. For links on which every byte counts; the
/// machine is then configured with [`ids(false)`](crate::ConfigBuilder::ids).
///
/// A pong names no ping, so at most one ping is outstanding and a late pong is hard to tell from
/// a timely one. There are no beacons, goodbyes, hold times or calm signals: a beacon is sent as a
/// pong that nobody asked for (as RFC 6455 section 5.5.3 does), a goodbye not at all.
///
/// ```
/// use heartbeat_proto::Event;
/// use heartbeat_proto::codec::ByteLink;
///
/// let mut link = ByteLink::new();
/// assert_eq!(link.event(ByteLink::PONG), Ok(Event::AnonymousPongReceived));
/// assert!(matches!(link.event(ByteLink::PING), Ok(Event::PingReceived { stamp: None, .. })));
/// assert!(link.event(0x03).is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ByteLink {
    received: u32,
}

impl ByteLink {
    /// The byte of a ping.
    pub const PING: u8 = 0x01;
    /// The byte of a pong.
    pub const PONG: u8 = 0x02;

    /// At the start of a connection.
    pub const fn new() -> Self {
        Self { received: 0 }
    }

    /// What a received byte means. The id of a ping is a number counted here. Never panics.
    ///
    /// # Errors
    ///
    /// A byte that is neither: fatal on a stream, one datagram lost on datagrams. Nothing
    /// changed.
    #[inline]
    pub const fn event(&mut self, byte: u8) -> Result<Event, UnknownByte> {
        match byte {
            Self::PING => {
                self.received = self.received.wrapping_add(1);
                Ok(Event::PingReceived { id: PingId::new(0, self.received), stamp: None })
            }
            Self::PONG => Ok(Event::AnonymousPongReceived),
            found => Err(UnknownByte { found }),
        }
    }

    /// The byte to send for an action; `None` if there is none to send.
    #[inline]
    pub const fn byte(&self, action: &Action) -> Option<u8> {
        match action {
            Action::SendPing { .. } => Some(Self::PING),
            Action::SendPong { .. } | Action::SendBeacon { .. } => Some(Self::PONG),
            _ => None,
        }
    }
}

/// A byte that the one-byte profile does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("byte is {found:#04x}, allowed is 0x01 or 0x02")]
#[non_exhaustive]
pub struct UnknownByte {
    /// The byte.
    pub found: u8,
}
