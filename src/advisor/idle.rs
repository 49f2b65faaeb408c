//! [`IdleSearch`]: the longest silence that a NAT of unknown timeout bears.

use core::time::Duration;

use super::FollowError;
use crate::config::{MAX_SPAN, MAX_SPAN_NANOS};
use crate::time::{Timestamp, nanos};

/// Searches the longest interval at which the middleboxes between here and the peer still keep a
/// connection (rules AD5 to AD8).
///
/// The connection that matters is never risked. What is tried is tried on a *scout*, a second
/// connection over the same network: it stays silent for the time that [`trial`](Self::trial)
/// names, then it pings. The silence doubles while scouts survive; after the first that does not,
/// the gap between what survives and what does not is halved until it is a tenth. What may be used,
/// [`interval`](Self::interval), is seven eighths of the longest silence that a scout survived, so
/// that a lost ping can be repeated before the box forgets: let the response window be a fraction
/// of the eighth that is left.
///
/// A scout that is not answered proves nothing while nobody else is answered either: that is an
/// outage ([`Trial::Unclear`]). And one is not enough: it takes two in a row.
///
/// When the connection that matters is lost, say [`lost`](Self::lost): the shortest interval is in
/// force at once, until a scout has shown whether the box has become less patient or the loss was
/// an ordinary one.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::Timestamp;
/// use heartbeat_proto::advisor::{IdleSearch, Trial};
///
/// let secs = Duration::from_secs;
/// let mut search = IdleSearch::new(secs(25), secs(3600))?;
/// // A box that forgets after 300 s.
/// let (mut now, mut scouts) = (Timestamp::EPOCH, 0);
/// while let Some(silence) = search.trial(now) {
///     now = now.saturating_add(silence);
///     search.tried(silence, Trial::of(silence <= secs(300), true), now);
///     scouts += 1;
/// }
/// assert_eq!(search.interval(), Duration::from_millis(262_500));
/// assert_eq!(scouts, 10);
/// // Known from now on, whenever this network is met again.
/// let known = search.bounds();
/// let again = IdleSearch::new(secs(25), secs(3600))?.restored(known);
/// assert_eq!(again.interval(), search.interval());
/// # Ok::<(), heartbeat_proto::advisor::FollowError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdleSearch {
    least: u64,
    most: u64,
    /// Round down to multiples of it.
    quantum: u64,
    revisit: u64,
    /// The longest silence that survived.
    safe: u64,
    /// The shortest that did not; `NONE` if all did.
    bad: u64,
    /// How often the present trial has failed.
    failures: u8,
    /// What is in use may be too long.
    doubted: bool,
    /// When the search last came to its end.
    settled: Option<u64>,
}

/// What is known of a network, to be kept under its name (the SSID, say) and
/// [restored](IdleSearch::restored) when it is met again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Bounds {
    /// The longest silence that a connection survived.
    pub survived: Duration,
    /// The shortest that one did not survive, if any.
    pub expired: Option<Duration>,
}

impl Bounds {
    /// As read from where they were kept.
    pub const fn new(survived: Duration, expired: Option<Duration>) -> Self {
        Self { survived, expired }
    }
}

/// How a scout fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trial {
    /// It was answered after its silence.
    Survived,
    /// It was not, however often it pinged, but another connection was at the same time.
    Expired,
    /// Nobody was answered, or the scout never got through at all.
    Unclear,
}

impl Trial {
    /// From whether the scout was answered, and whether another connection was at the same time
    /// (the one that matters, or a fresh one).
    pub const fn of(scout_answered: bool, other_answered: bool) -> Self {
        match (scout_answered, other_answered) {
            (true, _) => Self::Survived,
            (false, true) => Self::Expired,
            (false, false) => Self::Unclear,
        }
    }
}

const NONE: u64 = u64::MAX;

/// So many scouts in a row must fail: one may have lost all its pings.
const FAILURES: u8 = 2;

/// Once the gap is a tenth, the interval is 0.78 to 0.875 of the timeout.
const PRECISION: u64 = 10;

const DAY: u64 = MAX_SPAN_NANOS;

impl IdleSearch {
    /// Searches from `least` to `most`. `least` is taken as safe without a trial, and what is
    /// fallen back on: 25 s suits all but the worst of UDP NATs.
    ///
    /// # Errors
    ///
    /// If they are not in that order, or not within 1 ns ..= [`MAX_SPAN`](crate::MAX_SPAN).
    pub const fn new(least: Duration, most: Duration) -> Result<Self, FollowError> {
        let (low, high) = (nanos(least), nanos(most));
        if low == 0 || low > high || high > MAX_SPAN_NANOS {
            return Err(FollowError::Bounds { found: least, least, most });
        }
        let (quantum, revisit, safe, bad) = (1, DAY, low, NONE);
        let (failures, doubted, settled) = (0, false, None);
        Ok(Self { least: low, most: high, quantum, revisit, safe, bad, failures, doubted, settled })
    }

    /// The interval is a multiple of `quantum` where that is not below the least one, so that
    /// several connections wake the device together. Default: any. Zero is taken as that.
    #[must_use]
    pub const fn quantized(self, quantum: Duration) -> Self {
        let quantum = nanos(quantum);
        Self { quantum: if quantum == 0 { 1 } else { quantum }, ..self }
    }

    /// How long after the search has come to its end it is looked whether the box has become more
    /// patient, by one scout. Default: a day; at most [`MAX_SPAN`](crate::MAX_SPAN), which longer
    /// ones are taken as.
    #[must_use]
    pub const fn revisited_every(self, span: Duration) -> Self {
        let revisit = if span.as_nanos() > MAX_SPAN.as_nanos() { DAY } else { nanos(span) };
        Self { revisit, ..self }
    }

    /// Goes on from what is known of this network, and has it proved by one scout. Bounds outside
    /// of `least..=most` count as far as they go.
    #[must_use]
    pub fn restored(self, bounds: Bounds) -> Self {
        let safe = nanos(bounds.survived).clamp(self.least, self.most);
        let bad = bounds.expired.map_or(NONE, nanos);
        // What contradicts itself is forgotten.
        let (safe, bad) = if bad <= safe { (self.least, NONE) } else { (safe, bad) };
        Self { safe, bad, failures: 0, doubted: false, settled: None, ..self }
    }

    /// What is known of this network.
    pub const fn bounds(&self) -> Bounds {
        Bounds {
            survived: Duration::from_nanos(self.safe),
            expired: if self.bad == NONE { None } else { Some(Duration::from_nanos(self.bad)) },
        }
    }

    /// The longest interval that is safe to use now (rule AD5).
    pub const fn interval(&self) -> Duration {
        if self.doubted {
            return Duration::from_nanos(self.least); // AD7
        }
        let used = self.safe - self.safe / 8;
        let used = used - used % self.quantum;
        Duration::from_nanos(if used > self.least { used } else { self.least })
    }

    /// Whether the search has come to its end, until it is revisited.
    pub const fn is_settled(&self) -> bool {
        !self.doubted && (self.safe >= self.most || self.bad - self.safe <= self.bad / PRECISION)
    }

    /// The silence that the next scout is to try; `None` while there is nothing to find out. The
    /// same until [`tried`](Self::tried) or [`lost`](Self::lost) (rules AD6 to AD8).
    pub const fn trial(&self, now: Timestamp) -> Option<Duration> {
        let silence = if self.doubted {
            self.safe
        } else if !self.is_settled() {
            let double = self.safe.saturating_mul(2);
            let middle = self.safe + (self.bad - self.safe) / 2;
            let next = if self.bad == NONE { double } else { middle };
            if next < self.most { next } else { self.most }
        } else {
            match self.settled {
                None => self.safe, // It was restored: is it still true?
                // AD8: what was too long may not be so any more.
                Some(since) if now.as_nanos() >= since.saturating_add(self.revisit) => {
                    if self.bad > self.most {
                        return None;
                    }
                    self.bad
                }
                Some(_) => return None,
            }
        };
        Some(Duration::from_nanos(silence))
    }

    /// A scout has tried that silence, and ended at `now`.
    pub fn tried(&mut self, silence: Duration, trial: Trial, now: Timestamp) {
        let silence = nanos(silence);
        match trial {
            Trial::Survived => self.survived(silence),
            Trial::Expired => self.expired(silence),
            Trial::Unclear => return,
        }
        if self.is_settled() {
            self.settled = Some(now.as_nanos());
        }
    }

    fn survived(&mut self, silence: u64) {
        self.failures = 0;
        if silence >= self.safe {
            self.doubted = false;
            self.safe = silence.min(self.most);
            if self.bad <= silence {
                self.bad = NONE; // The box has become more patient.
            }
        }
    }

    fn expired(&mut self, silence: u64) {
        if silence <= self.safe && silence > self.least {
            self.doubted = true; // AD7: at once, whatever the next one says.
        }
        self.failures += 1;
        // What was too long before needs no second proof.
        if self.failures < FAILURES && silence < self.bad {
            return;
        }
        self.failures = 0;
        self.bad = silence.min(self.bad).max(self.least + 1);
        if self.bad <= self.safe {
            (self.safe, self.doubted) = (self.least, false);
        }
    }

    /// The connection that matters was lost, for whatever reason (rule AD7).
    pub const fn lost(&mut self) {
        self.failures = 0;
        self.doubted = self.safe > self.least;
    }
}
