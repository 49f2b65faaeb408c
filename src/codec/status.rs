//! [`Status`]: what a sender says about its own health.

use super::error::DecodeError;

/// The sender's own health, an optional extension of pings, pongs and beacons.
///
/// It is information for the application and no sign of life beyond the frame that carries it: a
/// process whose heartbeat thread answers while its workers are stuck says so here.
///
/// ```
/// use heartbeat_proto::codec::Status;
///
/// let status = Status::new().with_ready(true).with_load(35)?.with_reason(7);
/// assert!(status.is_alive() && status.is_ready() && !status.is_draining());
/// assert_eq!(status.load(), 35);
/// # Ok::<(), heartbeat_proto::codec::LoadError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status {
    flags: u8,
    load: u8,
    reason: u16,
}

const ALIVE: u8 = 1;
const READY: u8 = 1 << 1;
const SUSTAINED: u8 = 1 << 2;
const DRAINING: u8 = 1 << 3;
const FLAGS: u8 = ALIVE | READY | SUSTAINED | DRAINING;

impl Status {
    /// Alive, and nothing else: not ready, not draining, load and reason code zero.
    pub const fn new() -> Self {
        Self { flags: ALIVE, load: 0, reason: 0 }
    }

    /// Sets whether the sender's own checks say that it works at all.
    #[must_use]
    pub const fn with_alive(self, alive: bool) -> Self {
        self.with(ALIVE, alive)
    }

    /// Sets whether the sender wants work.
    #[must_use]
    pub const fn with_ready(self, ready: bool) -> Self {
        self.with(READY, ready)
    }

    /// Sets whether the sender has been well for as long as it asks of itself, not just now.
    #[must_use]
    pub const fn with_sustained(self, sustained: bool) -> Self {
        self.with(SUSTAINED, sustained)
    }

    /// Sets whether the sender finishes its work and will go.
    #[must_use]
    pub const fn with_draining(self, draining: bool) -> Self {
        self.with(DRAINING, draining)
    }

    /// Sets the load in percent, 0 to 100.
    ///
    /// # Errors
    ///
    /// A load above 100.
    pub const fn with_load(self, load: u8) -> Result<Self, LoadError> {
        if load > 100 { Err(LoadError { found: load }) } else { Ok(Self { load, ..self }) }
    }

    /// Sets a reason code. Its meaning is the application's own; zero is "none".
    #[must_use]
    pub const fn with_reason(self, reason: u16) -> Self {
        Self { reason, ..self }
    }

    /// Whether the sender's own checks say that it works at all.
    pub const fn is_alive(&self) -> bool {
        self.flags & ALIVE != 0
    }

    /// Whether the sender wants work.
    pub const fn is_ready(&self) -> bool {
        self.flags & READY != 0
    }

    /// Whether the sender has been well for as long as it asks of itself.
    pub const fn is_sustained(&self) -> bool {
        self.flags & SUSTAINED != 0
    }

    /// Whether the sender finishes its work and will go.
    pub const fn is_draining(&self) -> bool {
        self.flags & DRAINING != 0
    }

    /// The load in percent, 0 to 100.
    pub const fn load(&self) -> u8 {
        self.load
    }

    /// The application's own reason code; zero is "none".
    pub const fn reason(&self) -> u16 {
        self.reason
    }

    const fn with(self, flag: u8, on: bool) -> Self {
        let flags = if on { self.flags | flag } else { self.flags & !flag };
        Self { flags, ..self }
    }

    pub(super) const fn to_wire(self) -> [u8; 4] {
        let [high, low] = self.reason.to_be_bytes();
        [self.flags, self.load, high, low]
    }

    pub(super) const fn from_wire([flags, load, high, low]: [u8; 4]) -> Result<Self, DecodeError> {
        if flags & !FLAGS != 0 {
            Err(DecodeError::StatusFlags { found: flags })
        } else if load > 100 {
            Err(DecodeError::Load { found: load })
        } else {
            Ok(Self { flags, load, reason: u16::from_be_bytes([high, low]) })
        }
    }
}

impl Default for Status {
    fn default() -> Self {
        Self::new()
    }
}

/// Any valid status.
#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for Status {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Self {
            flags: u.int_in_range(0..=FLAGS)?,
            load: u.int_in_range(0..=100)?,
            reason: u.arbitrary()?,
        })
    }
}

/// The load that was given is above 100. The status is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("load is {found}, allowed is 0 to 100")]
#[non_exhaustive]
pub struct LoadError {
    /// The load that was given.
    pub found: u8,
}
