//! Agreeing on the numbers: what a peer announces ([`Limits`]), what both ends compute from it
//! ([`negotiate`]), and in which order a live change is applied ([`Effective::toward`]).

use core::fmt;
use core::time::Duration;

mod limits;

use limits::{ANY, Micros, NEVER};
pub use limits::{Limits, LimitsError, Wish};

/// The part of a timeout that must be left between a sign of life and the verdict, for the path,
/// a late wake-up and one retransmission: a quarter.
const MARGIN_DIVISOR: u64 = 4;
/// A sender speeds up until two of its beats fit into the receiver's timeout, so that one may be
/// lost (cf. RFC 9000 section 10.1.2, RFC 5880 section 6.8.4).
const BEATS_AT_LEAST: u64 = 2;
/// A sender without a wish of its own fits three.
const BEATS_PREFERRED: u64 = 3;

/// What both ends have agreed on, seen from this end. The other end's is the
/// [`mirror`](Effective::mirror).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Effective {
    send: Option<Micros>,
    receive: Option<Micros>,
    detect: Option<Micros>,
    detected: Option<Micros>,
    send_gap: Micros,
    receive_gap: Micros,
}

impl Effective {
    /// The longest gap between our own pings or beacons; `None`: we send none of our own.
    pub const fn send_interval(&self) -> Option<Duration> {
        span(self.send)
    }

    /// The longest gap between the peer's own pings or beacons; `None`: it only answers ours.
    pub const fn receive_interval(&self) -> Option<Duration> {
        span(self.receive)
    }

    /// The silence after which we give the peer up; `None`: we do not judge it.
    pub const fn detect_after(&self) -> Option<Duration> {
        span(self.detect)
    }

    /// The silence after which the peer gives us up; `None`: it does not judge ours.
    pub const fn detected_after(&self) -> Option<Duration> {
        span(self.detected)
    }

    /// The smallest gap between our pings that the peer accepts.
    pub const fn send_gap(&self) -> Duration {
        Duration::from_micros(self.send_gap)
    }

    /// The smallest gap between the peer's pings that we accept.
    pub const fn receive_gap(&self) -> Duration {
        Duration::from_micros(self.receive_gap)
    }

    /// The same agreement, seen from the other end.
    #[must_use]
    pub const fn mirror(self) -> Self {
        Self {
            send: self.receive,
            receive: self.send,
            detect: self.detected,
            detected: self.detect,
            send_gap: self.receive_gap,
            receive_gap: self.send_gap,
        }
    }

    /// What must always be left between a sign of life and the verdict: a quarter of `timeout`.
    pub const fn margin(timeout: Duration) -> Duration {
        let nanos = timeout.as_nanos() / MARGIN_DIVISOR as u128;
        // A quarter of the largest `Duration` in whole seconds and the rest in nanoseconds.
        Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
    }

    /// How to get from this agreement to `target` while the connection lives.
    ///
    /// The order is that of BFD (RFC 5880 section 6.8.3): what is harmless to the other end is
    /// applied at once, that is sending faster, tolerating a longer silence, accepting a smaller
    /// gap. What would hurt if the other end had not heard of it waits for its acknowledgement:
    /// sending slower, a shorter silence, a larger gap.
    ///
    /// 1. The end that changes its limits applies [`Change::now`], then announces the limits.
    /// 2. The other end computes its own target and may apply it whole, because the announcement
    ///    proves step 1; then it acknowledges.
    /// 3. On the acknowledgement the first end applies [`Change::after_ack`].
    ///
    /// When two announcements cross, each end plans anew from what it has applied, towards the
    /// target of both new limits, and waits for the acknowledgement of its newest one.
    pub const fn toward(self, target: Self) -> Change {
        let now = Self {
            send: sooner(self.send, target.send),
            receive: sooner(self.receive, target.receive),
            detect: later(self.detect, target.detect),
            detected: later(self.detected, target.detected),
            // The peer's own demand on our gap is known to it: it binds with the slower sending.
            send_gap: min(self.send_gap, target.send_gap),
            receive_gap: min(self.receive_gap, target.receive_gap),
        };
        Change { now, after_ack: target }
    }
}

impl fmt::Debug for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Effective")
            .field("send_interval", &self.send_interval())
            .field("receive_interval", &self.receive_interval())
            .field("detect_after", &self.detect_after())
            .field("detected_after", &self.detected_after())
            .field("send_gap", &self.send_gap())
            .field("receive_gap", &self.receive_gap())
            .finish()
    }
}

/// A live change in its safe order; see [`Effective::toward`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    now: Effective,
    after_ack: Effective,
}

impl Change {
    /// What to apply before the change is announced.
    pub const fn now(&self) -> Effective {
        self.now
    }

    /// What to apply once the other end has acknowledged.
    pub const fn after_ack(&self) -> Effective {
        self.after_ack
    }

    /// Whether anything is left to apply after the acknowledgement.
    pub fn waits(&self) -> bool {
        self.now != self.after_ack
    }
}

/// One end of the connection, as seen by the end that negotiates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Side {
    /// This end.
    Local,
    /// The other end.
    Peer,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "the local end",
            Self::Peer => "the peer",
        })
    }
}

/// Why two ends cannot work together. Nothing was changed; the other end computes the same error
/// with the sides exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NegotiateError {
    /// The end judges silence, but neither end sends anything.
    #[error("{judge} gives up after {timeout:?} of silence, but neither end sends pings")]
    Silent {
        /// Who would judge.
        judge: Side,
        /// Its timeout.
        timeout: Duration,
    },
    /// Even the fastest gap that is allowed leaves too little before the end would give up.
    #[error(
        "{judge} gives up after {timeout:?} of silence, \
         but signs of life come every {gap:?} and need a margin of {margin:?}"
    )]
    TooSlow {
        /// Who would judge.
        judge: Side,
        /// Its timeout.
        timeout: Duration,
        /// The gap that the other end's smallest gap allows.
        gap: Duration,
        /// The margin: a quarter of the timeout.
        margin: Duration,
    },
}

/// Computes what both ends go by, for each direction apart.
///
/// * The gap of a sender is its wish, made shorter if need be so that two beats fit into the
///   receiver's timeout, and never shorter than the receiver's smallest gap. A sender without a
///   preference fits three, and sends nothing if nobody judges it.
/// * Where one end sends nothing of its own, the other end's pings and their answers are the
///   signs of life in both directions, so its own timeout counts as well.
/// * Symmetric: `negotiate(b, a)` is the [`mirror`](Effective::mirror) of `negotiate(a, b)`.
/// * For each end that judges, the longest gap between signs of life plus a quarter of its
///   timeout is less than its timeout.
///
/// Pure; never panics.
///
/// # Errors
///
/// If the last property cannot be had: with the numbers that collide.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::{Limits, Wish, negotiate};
///
/// let secs = Duration::from_secs;
/// let server = Limits::new(Wish::Every(secs(50)), Some(secs(60)), secs(5))?;
/// let client = Limits::new(Wish::NoPreference, Some(secs(30)), secs(5))?;
/// let agreed = negotiate(&server, &client).expect("these two can work together");
/// // The server wished for 50 s, but the client gives up after 30 s.
/// assert_eq!(agreed.send_interval(), Some(secs(15)));
/// assert_eq!(agreed.receive_interval(), Some(secs(20)));
/// # Ok::<(), heartbeat_proto::LimitsError>(())
/// ```
pub const fn negotiate(local: &Limits, peer: &Limits) -> Result<Effective, NegotiateError> {
    let effective = Effective {
        send: gap(local, peer),
        receive: gap(peer, local),
        detect: local.silence(),
        detected: peer.silence(),
        send_gap: peer.min_gap,
        receive_gap: local.min_gap,
    };
    // Both ends must report the same collision even if there are two: that of the shorter
    // timeout, with ties broken by the rest. Ends with equal limits each report themselves.
    let local_first = !precedes(peer, local);
    let ours = check(Side::Local, effective.detect, effective.receive, effective.send);
    let theirs = check(Side::Peer, effective.detected, effective.send, effective.receive);
    match if local_first { (ours, theirs) } else { (theirs, ours) } {
        (Some(error), _) | (None, Some(error)) => Err(error),
        (None, None) => Ok(effective),
    }
}

/// A total order of limits: by timeout, then by interval, then by gap.
const fn precedes(a: &Limits, b: &Limits) -> bool {
    if a.timeout != b.timeout {
        a.timeout < b.timeout
    } else if a.interval != b.interval {
        a.interval < b.interval
    } else {
        a.min_gap < b.min_gap
    }
}

/// The gap between the sender's own beats.
const fn gap(sender: &Limits, receiver: &Limits) -> Option<Micros> {
    let asks_for_itself = receiver.interval == NEVER;
    let judged = if asks_for_itself {
        sooner(sender.silence(), receiver.silence())
    } else {
        receiver.silence()
    };
    let wished = match (sender.interval, judged) {
        (NEVER, _) | (ANY, None) => return None,
        (ANY, Some(timeout)) => timeout / BEATS_PREFERRED,
        (micros, None) => micros,
        (micros, Some(timeout)) => min(micros, timeout / BEATS_AT_LEAST),
    };
    let floored = if wished < receiver.min_gap { receiver.min_gap } else { wished };
    Some(if floored == 0 { 1 } else { floored })
}

/// Whether the judge hears often enough: from the other end's own beats, or, where it sends
/// none, from its answers to the judge's pings.
const fn check(
    judge: Side,
    timeout: Option<Micros>,
    beats: Option<Micros>,
    answers: Option<Micros>,
) -> Option<NegotiateError> {
    let Some(silence) = timeout else { return None };
    let timeout = Duration::from_micros(silence);
    let Some(gap) = (if beats.is_some() { beats } else { answers }) else {
        return Some(NegotiateError::Silent { judge, timeout });
    };
    let (gap, margin) = (Duration::from_micros(gap), Effective::margin(timeout));
    if gap.as_nanos() + margin.as_nanos() < timeout.as_nanos() {
        None
    } else {
        Some(NegotiateError::TooSlow { judge, timeout, gap, margin })
    }
}

const fn span(micros: Option<Micros>) -> Option<Duration> {
    match micros {
        Some(micros) => Some(Duration::from_micros(micros)),
        None => None,
    }
}

const fn min(a: u64, b: u64) -> u64 {
    if a < b { a } else { b }
}

/// The smaller one, where `None` is never.
const fn sooner(a: Option<Micros>, b: Option<Micros>) -> Option<Micros> {
    match (a, b) {
        (Some(a), Some(b)) => Some(min(a, b)),
        (Some(one), None) | (None, Some(one)) => Some(one),
        (None, None) => None,
    }
}

/// The larger one, where `None` is never.
const fn later(a: Option<Micros>, b: Option<Micros>) -> Option<Micros> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a > b { a } else { b }),
        _ => None,
    }
}
