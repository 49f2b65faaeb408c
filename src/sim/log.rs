//! [`Log`]: one machine's life as text, to be replayed bit for bit.

mod check;
mod parse;

use alloc::vec::Vec;
use core::fmt;

pub use self::parse::{LogError, LogProblem};

use super::digest::Digest;
use crate::action::Actions;
use crate::config::Config;
use crate::detector::Detector;
use crate::event::Event;
use crate::heartbeat::HeartbeatMachine;
use crate::ledger::Ledger;
use crate::time::Timestamp;

/// What happened to a machine, line by line: everything it was told, in order. A machine of the
/// same configuration that is told the same says the same, so that a log taken in production
/// replays at the desk.
///
/// # Format
///
/// Text, one thing a line; empty lines and lines that begin with `#` say nothing.
///
/// ```text
/// heartbeat-log 1
/// config 8d2f64a85b1ce2f0
/// machine 5000000000 seed 42
/// 5000000000 start
/// 5250000000 tick
/// 5251000000 pong_received 9a3e0001#1 stamp 5250000000 hold 1000 calm
/// ```
///
/// The header names the version of the format, the [`fingerprint`] of the configuration, and when
/// and with which seed the machine was made. Every further line begins with the stamp of its event,
/// in nanoseconds on the machine's clock. The events and their arguments (those in brackets may be
/// left out; spans are nanoseconds; an id is its epoch in hexadecimal and its number):
///
/// ```text
/// tick, start, ping_due, anonymous_pong_received, frame_received, bytes_received,
/// goodbye_received, pong_sent, tx_progress, tx_blocked, drain, close, suspend
/// ping_received ID [stamp STAMP]
/// pong_received ID [stamp STAMP] [hold SPAN] [calm]
/// beacon_received [stamp STAMP] period SPAN
/// limit_received SPAN
/// ping_sent ID
/// resume SPAN
/// reconnected                 the next connection, by HeartbeatMachine::reconnected
/// fresh SEED                  a fresh machine takes the place of the old one
/// ```
///
/// # Examples
///
/// ```
/// use heartbeat_proto::sim::Log;
/// use heartbeat_proto::{Config, Event, HeartbeatMachine, Timestamp};
///
/// // In production: note each event before the machine is told.
/// let (config, seed, mut now) = (Config::lan(), 42, Timestamp::EPOCH);
/// let mut machine = HeartbeatMachine::new(config, seed, now);
/// let mut log = Log::new(&config, seed, now);
/// log.push(now, Event::Start);
/// let _ = machine.handle(Event::Start, now);
/// while let Some(wake) = machine.next_deadline() {
///     now = wake;
///     log.push(now, Event::Tick);
///     let _ = machine.handle(Event::Tick, now);
/// }
/// let text = log.to_string();
///
/// // At the desk.
/// let log: Log = text.parse().expect("a log");
/// let replayed: HeartbeatMachine = log.replay(config, |_| {}).expect("the same configuration");
/// assert_eq!(replayed, machine);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The fingerprint of the configuration.
    config: u64,
    made: Timestamp,
    seed: u64,
    entries: Vec<(Timestamp, Entry)>,
}

/// What happens to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// It is told an event.
    Event(Event),
    /// It gives way to the machine of the next connection.
    Reconnected,
    /// It gives way to a fresh machine.
    Fresh {
        /// The seed of that machine.
        seed: u64,
    },
}

/// One step of a replay.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Step<'a, D: Detector, L: Ledger> {
    /// The time on the machine's clock.
    pub stamp: Timestamp,
    /// What happened.
    pub entry: Entry,
    /// What the machine said.
    pub actions: Actions,
    /// The machine after it.
    pub machine: &'a HeartbeatMachine<D, L>,
}

/// The log was taken under another configuration: its fingerprint differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log was taken under configuration {expected:016x}, not {found:016x}")]
#[non_exhaustive]
pub struct OtherConfig {
    /// The fingerprint in the log.
    pub expected: u64,
    /// The fingerprint of the configuration that was given.
    pub found: u64,
}

/// Identifies a configuration within a version of this crate, on every platform.
pub fn fingerprint<D: fmt::Debug>(config: &Config<D>) -> u64 {
    struct Words(Digest);
    impl fmt::Write for Words {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            text.bytes().for_each(|byte| self.0.word(byte.into()));
            Ok(())
        }
    }
    let mut words = Words(Digest::default());
    // Nothing can fail here: the writer above does not.
    let _ = fmt::Write::write_fmt(&mut words, format_args!("{config:?}"));
    words.0.as_u64()
}

impl Log {
    /// An empty log of a machine that is made now.
    pub fn new<D: fmt::Debug>(config: &Config<D>, seed: u64, now: Timestamp) -> Self {
        Self { config: fingerprint(config), made: now, seed, entries: Vec::new() }
    }

    /// Notes what the machine is about to be told.
    pub fn push(&mut self, now: Timestamp, event: Event) {
        self.entries.push((now, Entry::Event(event)));
    }

    /// Notes that the machine gives way to another one.
    pub fn push_entry(&mut self, now: Timestamp, entry: Entry) {
        self.entries.push((now, entry));
    }

    /// Everything that happened, in order.
    pub fn entries(&self) -> &[(Timestamp, Entry)] {
        &self.entries
    }

    /// When the machine was made.
    pub const fn made(&self) -> Timestamp {
        self.made
    }

    /// The same beginning, and other events.
    pub(crate) fn with_entries(&self, entries: Vec<(Timestamp, Entry)>) -> Self {
        Self { entries, ..*self }
    }

    /// The machine at the beginning.
    pub(crate) fn machine<D: Detector, L: Ledger>(
        &self,
        config: Config<D>,
    ) -> HeartbeatMachine<D, L> {
        HeartbeatMachine::with_ledger(config, self.seed, self.made)
    }

    /// Tells a machine of this configuration everything that is in the log, and returns it. `see`
    /// is called after each step.
    ///
    /// # Errors
    ///
    /// [`OtherConfig`] if the log was taken under another configuration.
    pub fn replay<D: Detector, L: Ledger>(
        &self,
        config: Config<D>,
        mut see: impl FnMut(Step<'_, D, L>),
    ) -> Result<HeartbeatMachine<D, L>, OtherConfig> {
        let found = fingerprint(&config);
        if found != self.config {
            return Err(OtherConfig { expected: self.config, found });
        }
        let mut machine = self.machine(config);
        for &(stamp, entry) in &self.entries {
            let actions = entry.apply(&mut machine, stamp);
            see(Step { stamp, entry, actions, machine: &machine });
        }
        Ok(machine)
    }

    /// The [`Digest`] of a replay: every event and every answer in 64 bits.
    ///
    /// # Errors
    ///
    /// [`OtherConfig`] if the log was taken under another configuration.
    pub fn digest<D: Detector, L: Ledger>(&self, config: Config<D>) -> Result<Digest, OtherConfig> {
        let mut digest = Digest::default();
        self.replay::<D, L>(config, |step| {
            digest.word(step.stamp.as_nanos());
            if let Entry::Event(event) = step.entry {
                digest.event(&event, 0);
            }
            step.actions.for_each(|action| digest.action(&action, 0));
            digest.word(step.machine.next_deadline().map_or(0, Timestamp::as_nanos));
        })?;
        Ok(digest)
    }
}

impl Entry {
    /// What the machine says to it.
    pub(crate) fn apply<D: Detector, L: Ledger>(
        self,
        machine: &mut HeartbeatMachine<D, L>,
        now: Timestamp,
    ) -> Actions {
        match self {
            Self::Event(event) => return machine.handle(event, now),
            Self::Reconnected => *machine = machine.reconnected(now),
            Self::Fresh { seed } => {
                *machine = HeartbeatMachine::with_ledger(*machine.config(), seed, now);
            }
        }
        Actions::default()
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "heartbeat-log 1")?;
        writeln!(f, "config {:016x}", self.config)?;
        writeln!(f, "machine {} seed {}", self.made.as_nanos(), self.seed)?;
        for (stamp, entry) in &self.entries {
            writeln!(f, "{} {entry}", stamp.as_nanos())?;
        }
        Ok(())
    }
}

/// As in a [`Log`].
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = match self {
            Self::Event(event) => event,
            Self::Reconnected => return f.write_str("reconnected"),
            Self::Fresh { seed } => return write!(f, "fresh {seed}"),
        };
        f.write_str(name(event))?;
        let stamped = |f: &mut fmt::Formatter<'_>, stamp: Option<Timestamp>| match stamp {
            Some(stamp) => write!(f, " stamp {}", stamp.as_nanos()),
            None => Ok(()),
        };
        match *event {
            Event::PingReceived { id, stamp } => {
                write!(f, " {id}")?;
                stamped(f, stamp)
            }
            Event::PongReceived { id, stamp, hold, calm } => {
                write!(f, " {id}")?;
                stamped(f, stamp)?;
                if !hold.is_zero() {
                    write!(f, " hold {}", hold.as_nanos())?;
                }
                f.write_str(if calm { " calm" } else { "" })
            }
            Event::BeaconReceived { stamp, period } => {
                stamped(f, stamp)?;
                write!(f, " period {}", period.as_nanos())
            }
            Event::PingSent { id } => write!(f, " {id}"),
            Event::LimitReceived { min_gap: span } | Event::Resume { slept: span } => {
                write!(f, " {}", span.as_nanos())
            }
            _ => Ok(()),
        }
    }
}

/// The stable name of an event in a log.
const fn name(event: &Event) -> &'static str {
    match event {
        Event::Tick => "tick",
        Event::Start => "start",
        Event::PingDue => "ping_due",
        Event::PingReceived { .. } => "ping_received",
        Event::PongReceived { .. } => "pong_received",
        Event::AnonymousPongReceived => "anonymous_pong_received",
        Event::BeaconReceived { .. } => "beacon_received",
        Event::FrameReceived => "frame_received",
        Event::BytesReceived => "bytes_received",
        Event::LimitReceived { .. } => "limit_received",
        Event::GoodbyeReceived => "goodbye_received",
        Event::PingSent { .. } => "ping_sent",
        Event::PongSent => "pong_sent",
        Event::TxProgress => "tx_progress",
        Event::TxBlocked => "tx_blocked",
        Event::Drain => "drain",
        Event::Close => "close",
        Event::Suspend => "suspend",
        Event::Resume { .. } => "resume",
        Event::Hold { probe: false } => "hold",
        Event::Hold { probe: true } => "hold_and_probe",
    }
}
