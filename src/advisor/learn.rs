//! [`Advisor`]: what a running peer teaches about its link, and the rules that follow from it.

use core::fmt;
use core::time::Duration;

use crate::action::Actions;
use crate::config::Config;
use crate::histogram::Histogram;
use crate::qos::{Link, Pings, Qos, QosError};
use crate::time::Timestamp;

/// Learns from one peer's pings, over all its connections: 472 bytes, no allocation. Give it what
/// each call of the machine returned, before the actions are taken out. (It needs pings with ids:
/// else it is not certain which were answered.)
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::advisor::{Advisor, AdvisorError};
/// use heartbeat_proto::qos::Qos;
/// use heartbeat_proto::{Action, Config, Event, HeartbeatMachine, Timestamp};
///
/// let mut machine = HeartbeatMachine::new(Config::wan(), 1, Timestamp::EPOCH);
/// let mut advisor = Advisor::new();
/// let mut event = Event::Start;
/// let mut now = Timestamp::EPOCH;
/// for _ in 0..2000 {
///     let actions = machine.handle(event, now);
///     advisor.observe(&actions, now);
///     let sent = actions.into_iter().find_map(|action| match action {
///         Action::SendPing { id, .. } => Some(id),
///         _ => None,
///     });
///     // Every ping is answered after 40 ms.
///     (event, now) = match sent {
///         Some(id) => (Event::pong(id), now.saturating_add(Duration::from_millis(40))),
///         None => (Event::Tick, machine.next_deadline().expect("live")),
///     };
/// }
/// let wish = Qos::new(
///     Duration::from_secs(10),
///     Duration::from_secs(7 * 24 * 3600),
///     Duration::from_secs(60),
/// ).expect("a wish");
/// let advice = advisor.propose(&wish)?;
/// assert!(advice.config().worst_case_detection() <= Duration::from_secs(10));
/// assert!(advice.to_string().contains("because of "), "{advice}");
/// # Ok::<(), AdvisorError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Advisor {
    rtts: Histogram,
    answered: u64,
    lost: u64,
    /// How often a loss began.
    runs: u64,
    /// The ping that was settled last was lost.
    in_run: bool,
    open: Open,
    first: Option<u64>,
    last: u64,
}

/// Pings that are not settled yet: the last ones, and how many came before them unanswered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Open {
    epoch: Option<u32>,
    /// When they left, the oldest first; the first `len` count.
    sent: [u64; Self::MOST],
    /// One bit for each.
    answered: u8,
    len: u8,
    before: u32,
}

impl Open {
    const MOST: usize = 8;

    /// How many pings before the newest that was answered may still be: pongs overtake each other.
    const OVERTAKEN: usize = 4;

    /// How many there are up to the newest that was answered.
    const fn proven(&self) -> usize {
        8 - self.answered.leading_zeros() as usize
    }

    /// Takes out the oldest: whether it was answered.
    fn pop(&mut self) -> bool {
        self.sent.copy_within(1.., 0);
        self.len = self.len.saturating_sub(1);
        let answered = self.answered & 1 != 0;
        self.answered >>= 1;
        answered
    }
}

/// Why there is no advice yet.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AdvisorError {
    /// Too little is known.
    #[error("{answered} pings were answered, {needed} are needed")]
    NotYet {
        /// How many pings were answered.
        answered: u64,
        /// How many it takes: [`Advisor::LEAST`].
        needed: u64,
    },
    /// The wish is impossible on this link, as far as it is known.
    #[error(transparent)]
    Wish(#[from] QosError),
}

impl Advisor {
    /// From so many answered pings on there is advice.
    pub const LEAST: u64 = 30;

    /// Nothing learnt yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what a call at `now` returned (rule AD1). Never panics.
    pub fn observe(&mut self, actions: &Actions, now: Timestamp) {
        let now = now.as_nanos().max(self.last);
        self.first.get_or_insert(now);
        self.last = now;
        if actions.rtt_micros != 0 {
            self.rtts.record_nanos(u64::from(actions.rtt_micros) * 1000);
        }
        if actions.proven {
            self.answered_at(actions.answered);
        }
        if let Some(id) = actions.ping_id() {
            self.sent(id.epoch(), now);
        }
    }

    fn sent(&mut self, epoch: u32, now: u64) {
        if self.open.epoch != Some(epoch) {
            // Another connection: what nothing proves to be lost died with the last one.
            self.settle_but(0);
            self.open = Open { epoch: Some(epoch), ..Open::default() };
        }
        if usize::from(self.open.len) == Open::MOST {
            if self.open.proven() > 0 {
                self.settle_one();
            } else {
                self.open.pop();
                self.open.before = self.open.before.saturating_add(1);
            }
        }
        self.open.sent[usize::from(self.open.len)] = now;
        self.open.len += 1;
    }

    /// The ping that left then was answered, and so those long before it are settled.
    fn answered_at(&mut self, sent: u64) {
        // Where writes are reported it left after it was emitted, and before the next one was.
        let len = usize::from(self.open.len);
        if let Some(index) = self.open.sent[..len].iter().rposition(|&at| at <= sent) {
            self.open.answered |= 1 << index;
        }
        self.settle_but(Open::OVERTAKEN);
    }

    /// Settles all pings up to the newest that was answered, but the last of these.
    fn settle_but(&mut self, last: usize) {
        while self.open.proven() > last {
            self.settle_one();
        }
    }

    /// Settles the oldest: a later one was answered, or it was itself.
    fn settle_one(&mut self) {
        let before = u64::from(core::mem::take(&mut self.open.before));
        let answered = self.open.pop();
        let lost = before + u64::from(!answered);
        self.runs += u64::from(lost > 0 && !self.in_run);
        self.lost += lost;
        self.answered += u64::from(answered);
        self.in_run = !answered;
    }

    /// How many pings were answered. (The last four are not counted yet: pongs may overtake each
    /// other.)
    pub const fn answered(&self) -> u64 {
        self.answered
    }

    /// How many were lost: later ones were answered. (Those before a death are none of them.)
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// For how long it has watched.
    pub const fn watched(&self) -> Duration {
        match self.first {
            Some(first) => Duration::from_nanos(self.last - first),
            None => Duration::ZERO,
        }
    }

    /// The round trips.
    pub const fn rtts(&self) -> &Histogram {
        &self.rtts
    }

    /// The rules that grant the wish on this link, cautiously: with the largest loss that the
    /// samples leave likely (rule AD2). More samples make it bolder.
    ///
    /// # Errors
    ///
    /// [`AdvisorError::NotYet`] before [`Self::LEAST`] answers with a round trip, and
    /// [`AdvisorError::Wish`] if the wish is impossible.
    pub fn propose(&self, wish: &Qos) -> Result<Advice, AdvisorError> {
        let answered = self.answered.min(self.rtts.count());
        if answered < Self::LEAST {
            return Err(AdvisorError::NotYet { answered, needed: Self::LEAST });
        }
        let lost = self.lost;
        let loss_at_most = at_most(lost, lost + self.answered);
        // A loss after a loss: all but the first of each run.
        let repeat = if lost == 0 { 0.0 } else { ratio(lost.saturating_sub(self.runs), lost) };
        let repeat_loss = repeat.max(loss_at_most).min(MOST_REPEATS);
        let link = Link::measured(loss_at_most, &self.rtts)?.repeat_loss(repeat_loss)?;
        let pings = wish.pings(&link)?;
        Ok(Advice {
            pings,
            answered: self.answered,
            lost,
            loss_at_most,
            repeat_loss,
            rtt: (self.rtts.percentile(50), self.rtts.percentile(99)),
            watched: self.watched(),
        })
    }
}

/// Even the burstiest of links lets something through some time.
const MOST_REPEATS: f64 = 0.99;

/// What an [`Advisor`] proposes, and why.
#[derive(Clone, Copy, Debug)]
pub struct Advice {
    pings: Pings,
    answered: u64,
    lost: u64,
    loss_at_most: f64,
    repeat_loss: f64,
    rtt: (Duration, Duration),
    watched: Duration,
}

impl Advice {
    /// The rules, for [`HeartbeatMachine::reconfigure`](crate::HeartbeatMachine::reconfigure).
    pub const fn config(&self) -> Config {
        self.pings.config()
    }

    /// The same with room for changes.
    pub const fn pings(&self) -> &Pings {
        &self.pings
    }

    /// How many pings it rests on: answered and lost.
    pub const fn samples(&self) -> u64 {
        self.answered + self.lost
    }

    /// How long these took. Advice from an hour knows nothing of the night.
    pub const fn watched(&self) -> Duration {
        self.watched
    }

    /// The loss that was assumed: the upper end of what the samples leave likely (95 %, Wilson).
    pub const fn loss_at_most(&self) -> f64 {
        self.loss_at_most
    }

    /// The loss after a loss that was assumed: bursts.
    pub const fn repeat_loss(&self) -> f64 {
        self.repeat_loss
    }
}

/// `interval 4.1s, response window 1.4s, 3 attempts, because of 12 lost of 1200 pings in 3.0h (at
/// most 1.6%, 8.3% after a loss) and round trips of 40ms, at most 62ms in 99 of 100`.
impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.config();
        let (loss, repeat) = (self.loss_at_most * 100.0, self.repeat_loss * 100.0);
        let ((middle, most), hours) = (self.rtt, self.watched.as_secs_f64() / 3600.0);
        write!(
            f,
            "interval {:.1?}, response window {:.1?}, {} attempts, ",
            config.interval(),
            config.response_window(),
            config.attempts(),
        )?;
        write!(f, "because of {} lost of {} pings in {hours:.1}h ", self.lost, self.samples())?;
        write!(
            f,
            "(at most {loss:.1}%, {repeat:.1}% after a loss) and round trips of {middle:.1?}"
        )?;
        write!(f, ", at most {most:.1?} in 99 of 100")
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 52 bits")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// The upper end of the interval of Wilson (Journal of the American Statistical Association 22,
/// 1927) for `part` of `whole`, which is not zero: above it in 1 of 20 cases.
fn at_most(part: u64, whole: u64) -> f64 {
    const Z: f64 = 1.645;
    let (share, n) = (ratio(part, whole), 1.0 / ratio(1, whole));
    let spread = Z * libm::sqrt(share * (1.0 - share) / n + Z * Z / (4.0 * n * n));
    (share + Z * Z / (2.0 * n) + spread) / (1.0 + Z * Z / n)
}
