//! [`Report`]: a verdict with its evidence, on one line.

use core::fmt;
use core::time::Duration;

use crate::config::Config;
use crate::detector::Detector;
use crate::ledger::Ledger;
use crate::liveness::{Fault, Liveness, Reason, Transition};
use crate::rtt::Rtt;
use crate::state::PeerState;
use crate::time::Timestamp;

/// Why the liveness changed, with numbers. `Copy`, so that it can be logged, kept and compared.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::{Config, Event, HeartbeatMachine, Reason, Timestamp};
///
/// let mut machine = HeartbeatMachine::new(Config::lan(), 1, Timestamp::EPOCH);
/// let _ = machine.handle(Event::Start, Timestamp::EPOCH);
/// // Nobody answers; the driver is punctual.
/// while let Some(wake) = machine.next_deadline() {
///     let _ = machine.handle(Event::Tick, wake);
/// }
/// let report = machine.report().expect("a verdict has fallen");
/// assert_eq!(report.reason, Reason::NoResponse);
/// assert_eq!(report.silence, Duration::from_nanos(4_000_000_001));
/// assert_eq!(
///     report.to_string(),
///     "lost (no_response, fault peer_or_path): silent 4.000s, 3 of 3 pings missed, rtt unknown, \
///      own worst lateness 0ns"
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Report {
    /// What is believed since.
    pub liveness: Liveness,
    /// The rule that fired.
    pub reason: Reason,
    /// How long nothing had been heard (time suspended is not counted).
    pub silence: Duration,
    /// How many pings in a row had been missed.
    pub missed: u8,
    /// Out of how many that fit into the limit.
    pub attempts: u8,
    /// The last round trip that was measured.
    pub last_rtt: Option<Duration>,
    /// The smoothed round-trip time.
    pub rtt: Rtt,
    /// The worst lateness of this end since the last sign of life.
    pub own_lateness: Duration,
    /// How long a ping had been waiting to be written.
    pub unwritten: Option<Duration>,
    /// When the change was due.
    pub due_at: Timestamp,
    /// When it was observed: the `now` of the call that made it.
    pub observed_at: Timestamp,
}

/// What a report needs to know of the state before the step that changed it.
#[derive(Clone, Copy)]
pub(crate) struct Before {
    pub(crate) ev: u64,
    pub(crate) due: u64,
    pub(crate) misses: u8,
    pub(crate) unwritten_since: Option<u64>,
}

impl Before {
    #[inline]
    pub(crate) fn of<D: Detector, L: Ledger>(state: &PeerState<D, L>, due: u64) -> Self {
        Self {
            ev: state.ev,
            due,
            misses: state.misses(),
            unwritten_since: state.ping_unwritten().then_some(state.last_ping),
        }
    }
}

impl Report {
    /// The transition that a step at `now` has made. `last_rtt` in microseconds, 0 if unknown;
    /// `own_lateness` in nanoseconds.
    #[cold]
    pub(crate) fn of<D: Detector, L: Ledger>(
        config: &Config<D>,
        state: &PeerState<D, L>,
        transition: Transition,
        before: Before,
        now: u64,
        last_rtt: u32,
        own_lateness: u64,
    ) -> Self {
        let since = |stamp| Duration::from_nanos(now.saturating_sub(stamp));
        // Life that ends a silence has moved the stamp; time that was credited has, too.
        let lost = transition.to == Liveness::Lost;
        Self {
            liveness: transition.to,
            reason: transition.reason,
            silence: since(if lost { state.ev } else { before.ev }),
            missed: state.misses().max(before.misses),
            attempts: config.attempts,
            last_rtt: match last_rtt {
                0 => None,
                micros => Some(Duration::from_micros(micros.into())),
            },
            rtt: state.rtt,
            own_lateness: Duration::from_nanos(own_lateness),
            unwritten: before.unwritten_since.map(since),
            due_at: Timestamp::from_nanos(before.due.min(now)),
            observed_at: Timestamp::from_nanos(now),
        }
    }

    /// A stable lower-case name of the reason, for metric labels.
    pub const fn code(&self) -> &'static str {
        self.reason.code()
    }

    /// Who was at fault, as far as this end can tell. A late observer is named only if its
    /// lateness covered a good part (a quarter) of the silence.
    pub fn fault(&self) -> Fault {
        match self.reason {
            Reason::NoResponse | Reason::Missed | Reason::Silence | Reason::Detector
                if self.own_lateness > self.silence / 4 =>
            {
                Fault::Observer
            }
            Reason::NoResponse
            | Reason::Missed
            | Reason::Silence
            | Reason::Detector
            | Reason::StartupTimeout
            | Reason::DrainTimeout => Fault::PeerOrPath,
            Reason::PingUnanswered | Reason::PingAbuse => Fault::Peer,
            Reason::WriteStalled | Reason::ProbeLoss => Fault::Path,
            Reason::NotProbed => Fault::Observer,
            Reason::Started | Reason::Heard | Reason::ClosedLocally | Reason::Goodbye => {
                Fault::Nobody
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, fault {}): ", self.liveness, self.reason, self.fault())?;
        write!(f, "silent {:.3?}, ", self.silence)?;
        write!(f, "{} of {} pings missed, rtt {}", self.missed, self.attempts, self.rtt)?;
        if let Some(unwritten) = self.unwritten {
            write!(f, ", a ping unwritten for {unwritten:.3?}")?;
        }
        write!(f, ", own worst lateness {:.0?}", self.own_lateness)
    }
}
