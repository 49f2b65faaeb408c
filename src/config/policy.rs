//! The choices a configuration makes that are not numbers.

use core::time::Duration;

/// Which part this end plays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum Mode {
    /// Both ends ping, answer and judge.
    #[default]
    Symmetric,
    /// This end pings and judges; the peer only answers. A ping of the peer is answered all the
    /// same, and told as [`Findings::UNEXPECTED_PING`](crate::Findings::UNEXPECTED_PING).
    Initiator,
    /// This end never pings; it answers, and holds a deadline on the peer's pings.
    Responder,
    /// This end only sends beacons, one an interval, and judges nobody.
    Beacon,
    /// This end sends nothing at all; it judges the peer by what comes.
    Passive,
}

/// Who decides when a ping is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum PingSchedule {
    /// The machine pings when its plan says so.
    #[default]
    Own,
    /// The machine only asks ([`Action::RequestProbe`](crate::Action::RequestProbe)); the caller
    /// answers with [`Event::PingDue`](crate::Event::PingDue).
    External,
}

/// Whether traffic excuses a ping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum Probing {
    /// Received traffic puts the next ping off, except one every
    /// [`verify_every`](crate::ConfigBuilder::verify_every) intervals.
    #[default]
    WhenIdle,
    /// Pings leave on schedule whatever comes in (constant RTT samples).
    Always,
}

/// What renews life. Own sends, frames of another connection and frames that fail authentication
/// never do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum LifeRule {
    /// Only a pong that answers an unanswered ping. Strict: proves that the peer's loop turns, but
    /// kills a peer whose pongs are stuck behind data.
    ExactPong,
    /// Any pong of this connection.
    AnyPong,
    /// Any whole frame.
    #[default]
    AnyFrame,
    /// Any byte, even of an unfinished frame. For streams only.
    AnyByte,
}

/// What the machine does when the caller itself was late (a stalled process, a busy runtime).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum LatePolicy {
    /// Before a verdict that the lateness could have caused, send one fresh probe and wait one
    /// response window. At most once a silence, so that repeated freezes still converge.
    #[default]
    Reprobe,
    /// Do not count up to this much of each lateness as silence.
    Forgive(Duration),
    /// Charge all lateness to the peer. For callers whose clock is beyond doubt.
    Strict,
}

/// When the first ping after the start leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum FirstPing {
    /// After a part of the interval that the seed decides, so that connections which start
    /// together do not beat together.
    #[default]
    Phase,
    /// After one whole interval.
    AfterInterval,
    /// With the start itself.
    Immediate,
}

/// What follows from a finding that is not silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum Verdict {
    /// It is ignored.
    Ignore,
    /// It is told.
    #[default]
    Report,
    /// It is told, and the peer is Lost.
    Convict,
}
