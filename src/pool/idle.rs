//! [`IdleWatch`]: how long one connection may be idle. Rules PL1, PL6 to PL8.

use core::fmt;
use core::time::Duration;

use crate::config::ConfigError;
use crate::config::check::{at_most, in_range, span};
use crate::jitter;
use crate::time::Timestamp;

/// How long connections may be idle, and live. One that exists is valid.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::pool::IdleLimits;
///
/// let limits = IdleLimits::builder().unused(Some(Duration::from_secs(600))).build()?;
/// assert_ne!(limits, IdleLimits::server());
/// # Ok::<(), heartbeat_proto::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdleLimits {
    // Nanoseconds; `NEVER` is never.
    read: u64,
    write: u64,
    unused: u64,
    age: u64,
    answer: u64,
    slack: u64,
    age_jitter_percent: u8,
}

const NEVER: u64 = u64::MAX;

impl IdleLimits {
    /// A builder with the limits of [`server`](Self::server).
    pub const fn builder() -> IdleLimitsBuilder {
        IdleLimitsBuilder {
            read: Some(Duration::from_secs(60)),
            write: Some(Duration::from_secs(30)),
            unused: None,
            age: None,
            answer: Duration::from_secs(10),
            slack: None,
            age_jitter_percent: 10,
        }
    }

    /// For clients of a server: a ping after 30 s without writing or 60 s without reading, and
    /// eviction when it is not answered within 10 s. They may be unused for ever.
    pub fn server() -> Self {
        Self::known(Self::builder())
    }

    /// For a pool: also closed after 90 s without use, and at an age of 54 to 60 minutes.
    pub fn pool() -> Self {
        let builder = Self::builder().unused(Some(Duration::from_secs(90)));
        Self::known(builder.age(Some(Duration::from_secs(3600))))
    }

    fn known(builder: IdleLimitsBuilder) -> Self {
        builder.build().expect("the defaults fit together")
    }

    /// PL8: when a connection of this number is old.
    pub(super) fn old_at(&self, epoch: u32, number: u32, now: u64) -> u64 {
        if self.age == NEVER {
            return NEVER;
        }
        let most = self.age / 100 * self.age_jitter_percent as u64;
        now.saturating_add(self.age - jitter::share(most, epoch, number))
    }
}

/// Collects [`IdleLimits`]; [`build`](Self::build) checks them. Spans are 1 ns to 24 h; zero is an
/// error; `None` is never.
#[must_use = "a builder does nothing until `build`"]
#[derive(Clone, Copy, Debug)]
pub struct IdleLimitsBuilder {
    read: Option<Duration>,
    write: Option<Duration>,
    unused: Option<Duration>,
    age: Option<Duration>,
    answer: Duration,
    slack: Option<Duration>,
    age_jitter_percent: u8,
}

impl IdleLimitsBuilder {
    /// Without anything from the peer for so long, a ping is due. Default: 60 s.
    pub const fn read(self, read: Option<Duration>) -> Self {
        Self { read, ..self }
    }

    /// Without anything sent to the peer for so long, a ping is due. Default: 30 s: below the
    /// patience of common middleboxes.
    pub const fn write(self, write: Option<Duration>) -> Self {
        Self { write, ..self }
    }

    /// Without application data in either direction for so long, the connection is closed,
    /// however well it answers pings. Default: never; 90 s for a pool.
    pub const fn unused(self, unused: Option<Duration>) -> Self {
        Self { unused, ..self }
    }

    /// The age at which a connection is closed, so that load can move to new servers. Default:
    /// never; 1 h for a pool.
    pub const fn age(self, age: Option<Duration>) -> Self {
        Self { age, ..self }
    }

    /// How long a ping may be unanswered. Default: 10 s.
    pub const fn answer(self, answer: Duration) -> Self {
        Self { answer, ..self }
    }

    /// How late a call may be and still count as punctual. Default: 50 ms, at most a quarter of
    /// `answer`. After a late call answers may lie unread, so nobody is evicted by it.
    pub const fn slack(self, slack: Duration) -> Self {
        Self { slack: Some(slack), ..self }
    }

    /// The share of the age by which it may be shorter, so that what was made together does not
    /// end together, 0 to 50 %. Default: 10.
    pub const fn age_jitter_percent(self, age_jitter_percent: u8) -> Self {
        Self { age_jitter_percent, ..self }
    }

    /// Checks every limit (rule PL2).
    ///
    /// # Errors
    ///
    /// The first that does not fit, with the values found and allowed.
    pub fn build(self) -> Result<IdleLimits, ConfigError> {
        let optional = |name, limit: Option<Duration>| limit.map_or(Ok(NEVER), |it| span(name, it));
        let answer = span("answer", self.answer)?;
        let slack = match self.slack {
            None => (answer / 4).min(50_000_000),
            Some(slack) => span("slack", slack)?,
        };
        at_most("slack", slack, "answer / 4", answer / 4)?;
        in_range("age_jitter_percent", self.age_jitter_percent, 0, 50)?;
        Ok(IdleLimits {
            read: optional("read", self.read)?,
            write: optional("write", self.write)?,
            unused: optional("unused", self.unused)?,
            age: optional("age", self.age)?,
            answer,
            slack,
            age_jitter_percent: self.age_jitter_percent,
        })
    }
}

/// What an idle connection needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Idle {
    /// Send a ping, and tell [`heard`](IdleWatch::heard) when anything comes.
    Ping,
    /// Close it. The watch is over.
    Evict(Why),
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// A ping was not answered.
    Unanswered,
    /// It was not used for too long.
    Unused,
    /// It is old.
    Old,
    /// Another owner needs its place.
    Room,
}

impl Why {
    /// A stable lower-case name, for logs and metric labels.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::Unused => "unused",
            Self::Old => "old",
            Self::Room => "room",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Watches one connection for idleness: when to ping it, when to evict it.
///
/// A server keeps one for each client, beside the [`IdleLimits`] that they share: 56 bytes, no
/// allocator. It is for protocols whose pings you send yourself; the
/// [`HeartbeatMachine`](crate::HeartbeatMachine) does that part better, and then `unused` and
/// `age` are what is left to do here.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::Timestamp;
/// use heartbeat_proto::pool::{Idle, IdleLimits, IdleWatch, Why};
///
/// let limits = IdleLimits::server();
/// let mut watch = IdleWatch::new(&limits, 42, Timestamp::EPOCH);
/// let ping = watch.next_deadline(&limits).expect("it waits");
/// assert_eq!(ping.as_nanos(), 30_000_000_001);
/// assert_eq!(watch.poll(&limits, ping), Some(Idle::Ping));
/// // Nothing comes for ten seconds.
/// let end = watch.next_deadline(&limits).expect("it waits");
/// assert_eq!(watch.poll(&limits, end), Some(Idle::Evict(Why::Unanswered)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdleWatch {
    heard: u64,
    sent: u64,
    used: u64,
    /// The last moment of its age.
    old: u64,
    /// When the unanswered ping was asked for.
    ping: Option<u64>,
    /// After a late call: not closed as unused before this has passed. 0: there was none since
    /// the peer was heard.
    spared: u64,
}

/// `spared` when the watch is over.
const OVER: u64 = u64::MAX;

impl IdleWatch {
    /// Watches a connection that was made now. The seed decides by how much its age is shorter.
    pub fn new(limits: &IdleLimits, seed: u64, now: Timestamp) -> Self {
        let now = now.as_nanos();
        Self::idle(limits.old_at(jitter::epoch(seed), 0, now), now, now)
    }

    /// Idle from now on, heard before.
    pub(super) fn idle(old: u64, heard: u64, now: u64) -> Self {
        Self { heard: heard.min(now), sent: now, used: now, old, ping: None, spared: 0 }
    }

    /// Something came from the peer that is no application data: a pong, say.
    pub fn heard(&mut self, now: Timestamp) {
        self.heard = self.heard.max(now.as_nanos());
        self.ping = None;
        if self.spared != OVER {
            self.spared = 0;
        }
    }

    /// Application data came from the peer.
    pub fn read(&mut self, now: Timestamp) {
        self.heard(now);
        self.used = self.used.max(now.as_nanos());
    }

    /// Application data was sent to the peer.
    pub fn wrote(&mut self, now: Timestamp) {
        self.sent = self.sent.max(now.as_nanos());
        self.used = self.used.max(now.as_nanos());
    }

    /// What is due, one thing a call. Tell what was read before you ask.
    pub fn poll(&mut self, limits: &IdleLimits, now: Timestamp) -> Option<Idle> {
        let wake = self.next_deadline(limits)?.as_nanos();
        let now = now.as_nanos();
        let grace = self.spared == 0 && now > wake.saturating_add(limits.slack); // PL7
        let why = self.due(limits, now);
        match why {
            None => {}
            Some(Why::Unused) if grace => self.spare(limits, now),
            Some(Why::Unanswered) if grace => {
                self.spare(limits, now);
                return Some(self.ping(now));
            }
            Some(why) => {
                self.spared = OVER;
                return Some(Idle::Evict(why));
            }
        }
        let silent = passed(self.sent, limits.write, now) || passed(self.heard, limits.read, now);
        (self.ping.is_none() && silent).then(|| self.ping(now)) // PL6
    }

    /// When to [`poll`](Self::poll) at the latest; `None` when it is over, or nothing is limited.
    pub fn next_deadline(&self, limits: &IdleLimits) -> Option<Timestamp> {
        if self.spared == OVER {
            return None;
        }
        let silence = match self.ping {
            Some(ping) => ping.saturating_add(limits.answer),
            None => end(self.sent, limits.write).min(end(self.heard, limits.read)),
        };
        let unused = end(self.used, limits.unused).max(self.spared);
        let wake = silence.min(unused).min(self.old);
        (wake != NEVER).then_some(Timestamp::from_nanos(wake.saturating_add(1)))
    }

    /// Why it is to be closed, if it is. PL7, PL8.
    fn due(&self, limits: &IdleLimits, now: u64) -> Option<Why> {
        if now > self.old {
            Some(Why::Old)
        } else if self.ping.is_some_and(|ping| passed(ping, limits.answer, now)) {
            Some(Why::Unanswered)
        } else if passed(self.used, limits.unused, now) && now > self.spared {
            Some(Why::Unused)
        } else {
            None
        }
    }

    /// PL7: nobody is closed by a late call.
    fn spare(&mut self, limits: &IdleLimits, now: u64) {
        self.spared = now.saturating_add(limits.slack).min(OVER - 1);
    }

    const fn ping(&mut self, now: u64) -> Idle {
        self.ping = Some(now);
        self.sent = now;
        Idle::Ping
    }
}

/// What only the pool asks.
#[cfg(any(feature = "std", feature = "codec"))]
impl IdleWatch {
    /// The same for who would use it: a late call's grace is for judging, not for using.
    pub(super) fn due_without_grace(self, limits: &IdleLimits, now: u64) -> Option<Why> {
        Self { spared: 0, ..self }.due(limits, now)
    }

    /// Whether it was heard so recently that this is proof enough (rule PL4).
    pub(super) const fn is_proven(&self, span: u64, now: u64) -> bool {
        self.ping.is_none() && now <= self.heard.saturating_add(span)
    }
}

/// T4: more than `limit` after `since`.
const fn passed(since: u64, limit: u64, now: u64) -> bool {
    now > since.saturating_add(limit)
}

const fn end(since: u64, limit: u64) -> u64 {
    since.saturating_add(limit)
}

const _: () = assert!(size_of::<IdleWatch>() <= 56);
