//! Reading a [`Log`]. Any text is either a log or an error with the number of its line.

use alloc::vec::Vec;
use core::str::{FromStr, SplitAsciiWhitespace};
use core::time::Duration;

use super::{Entry, Log, name};
use crate::event::{Event, PingId};
use crate::time::Timestamp;

/// A text is no log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
#[non_exhaustive]
pub struct LogError {
    /// The number of the line, from 1; one past the last if something is missing there.
    pub line: usize,
    /// What is wrong with it.
    pub problem: LogProblem,
}

/// What is wrong with a line of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogProblem {
    /// The first line must name the format and version 1.
    #[error("a log begins with `heartbeat-log 1`")]
    Version,
    /// The second line must be `config` and 16 hexadecimal digits.
    #[error("the fingerprint of the configuration is missing: `config` and 16 digits")]
    Config,
    /// The third line must say when the machine was made, and its seed.
    #[error("the making of the machine is missing: `machine STAMP seed SEED`")]
    Machine,
    /// A line begins with the stamp of its event.
    #[error("the stamp is missing, or no number of 64 bits")]
    Stamp,
    /// There is no such event.
    #[error("no such event")]
    UnknownEvent,
    /// An argument is missing, malformed or out of range.
    #[error("an argument is missing, malformed or out of range")]
    Argument,
    /// There is more on the line than belongs there.
    #[error("more on the line than belongs to the event")]
    Excess,
}

impl FromStr for Log {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        let count = text.lines().count();
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim()))
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let mut header = |problem, parse: &mut dyn FnMut(Words<'_>) -> Option<()>| {
            let (line, text) = lines.next().unwrap_or((count + 1, ""));
            parse(Words(text.split_ascii_whitespace())).ok_or(LogError { line, problem })
        };
        let mut log = Self { config: 0, made: Timestamp::EPOCH, seed: 0, entries: Vec::new() };
        header(LogProblem::Version, &mut |mut words| {
            words.keyword("heartbeat-log")?;
            words.keyword("1")?;
            words.end()
        })?;
        header(LogProblem::Config, &mut |mut words| {
            words.keyword("config")?;
            log.config = hex(words.0.next()?, 16)?;
            words.end()
        })?;
        header(LogProblem::Machine, &mut |mut words| {
            words.keyword("machine")?;
            log.made = words.stamp()?;
            words.keyword("seed")?;
            log.seed = number(words.0.next()?)?;
            words.end()
        })?;
        for (line, text) in lines {
            let entry = entry(text).map_err(|problem| LogError { line, problem })?;
            log.entries.push(entry);
        }
        Ok(log)
    }
}

fn entry(line: &str) -> Result<(Timestamp, Entry), LogProblem> {
    let mut words = Words(line.split_ascii_whitespace());
    let stamp = words.stamp().ok_or(LogProblem::Stamp)?;
    let kind = words.0.next().ok_or(LogProblem::UnknownEvent)?;
    let entry = match kind {
        "reconnected" => Entry::Reconnected,
        "fresh" => {
            let seed = words.0.next().and_then(number).ok_or(LogProblem::Argument)?;
            Entry::Fresh { seed }
        }
        _ => match PLAIN.iter().find(|&plain| name(plain) == kind) {
            Some(&plain) => Entry::Event(plain),
            None => Entry::Event(with_arguments(kind, &mut words)?),
        },
    };
    words.end().ok_or(LogProblem::Excess)?;
    Ok((stamp, entry))
}

/// The events without arguments.
const PLAIN: [Event; 15] = [
    Event::Tick,
    Event::Start,
    Event::PingDue,
    Event::AnonymousPongReceived,
    Event::FrameReceived,
    Event::BytesReceived,
    Event::GoodbyeReceived,
    Event::PongSent,
    Event::TxProgress,
    Event::TxBlocked,
    Event::Drain,
    Event::Close,
    Event::Suspend,
    Event::Hold { probe: false },
    Event::Hold { probe: true },
];

fn with_arguments(kind: &str, words: &mut Words<'_>) -> Result<Event, LogProblem> {
    let event = match kind {
        "ping_received" => words.ping(),
        "pong_received" => words.pong(),
        "beacon_received" => words.beacon(),
        "ping_sent" => words.id().map(|id| Event::PingSent { id }),
        "limit_received" => words.span().map(|min_gap| Event::LimitReceived { min_gap }),
        "resume" => words.span().map(|slept| Event::Resume { slept }),
        _ => return Err(LogProblem::UnknownEvent),
    };
    event.ok_or(LogProblem::Argument)
}

/// The rest of a line. What is taken is `None` if it is not there or makes no sense.
#[derive(Clone)]
struct Words<'a>(SplitAsciiWhitespace<'a>);

impl Words<'_> {
    fn keyword(&mut self, word: &str) -> Option<()> {
        (self.0.next()? == word).then_some(())
    }

    fn end(&mut self) -> Option<()> {
        self.0.next().is_none().then_some(())
    }

    /// Takes a name, if it comes next.
    fn takes(&mut self, name: &str) -> bool {
        let mut ahead = self.clone();
        let taken = ahead.keyword(name).is_some();
        if taken {
            *self = ahead;
        }
        taken
    }

    fn stamp(&mut self) -> Option<Timestamp> {
        number(self.0.next()?).map(Timestamp::from_nanos)
    }

    /// A span may be longer than 64 bits of nanoseconds.
    fn span(&mut self) -> Option<Duration> {
        let digits = self.0.next()?;
        let nanos: u128 = decimal(digits)?.parse().ok()?;
        let secs = u64::try_from(nanos / 1_000_000_000).ok()?;
        Some(Duration::new(secs, (nanos % 1_000_000_000) as u32))
    }

    fn id(&mut self) -> Option<PingId> {
        let (epoch, seq) = self.0.next()?.split_once('#')?;
        let (epoch, seq) = (hex(epoch, 8)?, number(seq)?);
        Some(PingId::new(u32::try_from(epoch).ok()?, u32::try_from(seq).ok()?))
    }

    fn ping(&mut self) -> Option<Event> {
        let id = self.id()?;
        let stamp = if self.takes("stamp") { Some(self.stamp()?) } else { None };
        Some(Event::PingReceived { id, stamp })
    }

    fn pong(&mut self) -> Option<Event> {
        let id = self.id()?;
        let stamp = if self.takes("stamp") { Some(self.stamp()?) } else { None };
        let hold = if self.takes("hold") { self.span()? } else { Duration::ZERO };
        Some(Event::PongReceived { id, stamp, hold, calm: self.takes("calm") })
    }

    fn beacon(&mut self) -> Option<Event> {
        let stamp = if self.takes("stamp") { Some(self.stamp()?) } else { None };
        self.keyword("period")?;
        Some(Event::BeaconReceived { stamp, period: self.span()? })
    }
}

/// Digits alone: the standard library takes a sign too.
fn decimal(digits: &str) -> Option<&str> {
    digits.bytes().all(|digit| digit.is_ascii_digit()).then_some(digits)
}

fn number(digits: &str) -> Option<u64> {
    decimal(digits)?.parse().ok()
}

/// Exactly so many hexadecimal digits.
fn hex(digits: &str, count: usize) -> Option<u64> {
    let fine = digits.len() == count && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16).ok().filter(|_| fine)
}
