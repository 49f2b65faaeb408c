//! How good the detector is, measured while it works: its mistakes, how long they last, how often
//! they come back, how long real deaths stay unseen, and the share of time in which it is right.
//!
//! [`Gauge`] watches one peer from beside the machine, and [`Quality`] is what it has measured, to
//! be added up for a fleet. Rules QL1 to QL5 of `docs/SPEC.md`.
//!
//! The words are those of Chen, Toueg and Aguilera, *On the Quality of Service of Failure
//! Detectors* (IEEE Transactions on Computers 51(5), 2002, section 2): a *mistake* is a suspicion
//! of a peer that lives, `T_M` its duration, `T_MR` the time from one mistake to the next, `P_A`
//! (query accuracy) the probability that a living peer is trusted at a moment taken at random.
//!
//! It is no part of [`Stats`](crate::Stats), for three reasons. It keeps stamps, and outlives the
//! connection: a mistake may follow one on the connection before. Fleets keep a
//! [`PeerState`](crate::PeerState) of 72 bytes a peer and want it too. And the machine's path and
//! size are no larger for those who do not ask.
//!
//! ```
//! use core::time::Duration;
//! use heartbeat_proto::quality::Gauge;
//! use heartbeat_proto::{Config, Event, HeartbeatMachine, Liveness, Timestamp};
//!
//! let mut now = Timestamp::EPOCH;
//! let mut machine = HeartbeatMachine::new(Config::lan(), 1, now);
//! let mut gauge = Gauge::new();
//! // Before the actions are taken out.
//! gauge.observe(&machine.handle(Event::Start, now), now);
//! gauge.observe(&machine.handle(Event::FrameReceived, now), now);
//! // The peer is silent for a while, becomes suspect, and is heard again.
//! while machine.liveness() != Liveness::Suspect {
//!     now = machine.next_deadline().expect("live");
//!     gauge.observe(&machine.handle(Event::Tick, now), now);
//! }
//! now = now.saturating_add(Duration::from_millis(200));
//! gauge.observe(&machine.handle(Event::FrameReceived, now), now);
//!
//! let quality = gauge.quality();
//! assert_eq!(quality.mistakes(), 1);
//! assert_eq!(quality.mean_mistake(), Some(Duration::from_millis(200)));
//! ```

mod gauge;

use core::fmt;
use core::time::Duration;

pub use gauge::Gauge;

/// What was measured of a detector: integers only, 72 bytes. Sums saturate (those of wrong
/// suspicion and of delays at 584 years, counts at four billion), so that
/// [`merge`](Self::merge) is exact, commutative and associative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Quality {
    /// The time for which the peer is known to have lived while it was judged.
    watched: Duration,
    // Spans in nanoseconds.
    wrong: u64,
    longest: u64,
    /// 0: there were no two.
    closest: u64,
    delays: u64,
    slowest: u64,
    mistakes: u32,
    wrong_losses: u32,
    detections: u32,
}

impl Quality {
    /// Nothing measured yet; [`Default`] is the same.
    pub const NONE: Self = Self {
        watched: Duration::ZERO,
        wrong: 0,
        longest: 0,
        closest: 0,
        delays: 0,
        slowest: 0,
        mistakes: 0,
        wrong_losses: 0,
        detections: 0,
    };

    /// For how long peers were judged that are known to have lived: the sum of all silences that
    /// ended with life, without those in which the host slept.
    pub const fn watched(&self) -> Duration {
        self.watched
    }

    /// How many suspicions (and verdicts without one before) later life proved wrong.
    pub const fn mistakes(&self) -> u32 {
        self.mistakes
    }

    /// How many of the mistakes had gone as far as the verdict `Lost`.
    pub const fn wrong_losses(&self) -> u32 {
        self.wrong_losses
    }

    /// For how long living peers were suspected, in all.
    pub const fn time_wrong(&self) -> Duration {
        Duration::from_nanos(self.wrong)
    }

    /// The longest mistake; zero if there was none.
    pub const fn longest_mistake(&self) -> Duration {
        Duration::from_nanos(self.longest)
    }

    /// `E(T_M)`: how long a mistake lasts on average; `None` without one.
    pub const fn mean_mistake(&self) -> Option<Duration> {
        mean(self.wrong as u128, self.mistakes)
    }

    /// `E(T_MR)`: how much time of a living peer there is to one mistake,
    /// [`watched`](Self::watched) over [`mistakes`](Self::mistakes); `None` without one. At least
    /// 584 years is told as that.
    pub const fn mean_recurrence(&self) -> Option<Duration> {
        mean(self.watched.as_nanos(), self.mistakes)
    }

    /// The shortest time between the beginnings of two mistakes about the same peer; `None` if no
    /// peer had two. Far less than the mean: mistakes come in bursts.
    pub const fn shortest_recurrence(&self) -> Option<Duration> {
        if self.closest == 0 { None } else { Some(Duration::from_nanos(self.closest)) }
    }

    /// `lambda_M`: mistakes an hour of a living peer's time; `None` before any time has passed.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub fn mistakes_per_hour(&self) -> Option<f64> {
        let hours = self.watched.as_nanos() as f64 / 3.6e12;
        (hours > 0.0).then(|| f64::from(self.mistakes) / hours)
    }

    /// `P_A = 1 - E(T_M) / E(T_MR)`: the share of a living peer's time in which it was trusted;
    /// `None` before any time has passed.
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    pub fn accuracy(&self) -> Option<f64> {
        let watched = self.watched.as_nanos() as f64;
        (watched > 0.0).then(|| 1.0 - (self.wrong as f64 / watched).min(1.0))
    }

    /// How many verdicts `Lost` by silence stand: no later life has proved them wrong.
    pub const fn detections(&self) -> u32 {
        self.detections
    }

    /// How long the peers of the standing verdicts had been silent when these fell, on average;
    /// `None` without one. The peer died during that silence, so this is the time of detection and,
    /// on average, half of what lies between two of its signs of life, and their transit.
    pub const fn mean_detection(&self) -> Option<Duration> {
        mean(self.delays as u128, self.detections)
    }

    /// The longest such silence; zero if there was none.
    pub const fn longest_detection(&self) -> Duration {
        Duration::from_nanos(self.slowest)
    }

    /// Both together: of two peers, or of two times (rule QL5).
    #[must_use]
    pub const fn merge(self, other: Self) -> Self {
        Self {
            watched: self.watched.saturating_add(other.watched),
            wrong: self.wrong.saturating_add(other.wrong),
            longest: larger(self.longest, other.longest),
            closest: match (self.closest, other.closest) {
                (0, closest) | (closest, 0) => closest,
                (ours, theirs) => {
                    if ours < theirs {
                        ours
                    } else {
                        theirs
                    }
                }
            },
            delays: self.delays.saturating_add(other.delays),
            slowest: larger(self.slowest, other.slowest),
            mistakes: self.mistakes.saturating_add(other.mistakes),
            wrong_losses: self.wrong_losses.saturating_add(other.wrong_losses),
            detections: self.detections.saturating_add(other.detections),
        }
    }

    /// The peer is now known to have lived for `span` more, for the last `wrong` of it suspected.
    pub(crate) const fn lived(&mut self, span: u64, wrong: u64) {
        self.watched = self.watched.saturating_add(Duration::from_nanos(span));
        self.wrong = self.wrong.saturating_add(wrong);
    }

    /// A suspicion was wrong. It began `after` the last one that was.
    pub(crate) const fn mistook(&mut self, after: Option<u64>) {
        self.mistakes = self.mistakes.saturating_add(1);
        if let Some(after) = after {
            if self.closest == 0 || after < self.closest {
                self.closest = after;
            }
        }
    }

    /// A mistake has lasted so long by now.
    pub(crate) const fn mistaken_for(&mut self, span: u64) {
        self.longest = larger(self.longest, span);
    }

    const fn lost_wrongly(&mut self) {
        self.wrong_losses = self.wrong_losses.saturating_add(1);
    }

    /// A verdict stands that fell after so much silence.
    const fn detected(&mut self, silence: u64) {
        self.detections = self.detections.saturating_add(1);
        self.delays = self.delays.saturating_add(silence);
        self.slowest = larger(self.slowest, silence);
    }
}

/// The sum over many peers.
impl core::iter::Sum for Quality {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::merge)
    }
}

/// `2 mistakes in 7200.0s (1.000/h, mean 150.0ms, longest 200.0ms, 1 of them lost), accuracy
/// 99.9958%, 1 death found in 4.0s, at most 4.0s`, without what there was none of.
impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.mistakes == 1 { "" } else { "s" };
        write!(f, "{} mistake{plural} in {:.1?}", self.mistakes, self.watched)?;
        if let (Some(mean), Some(rate)) = (self.mean_mistake(), self.mistakes_per_hour()) {
            write!(f, " ({rate:.3}/h, mean {mean:.1?}, longest {:.1?}", self.longest_mistake())?;
            if self.wrong_losses > 0 {
                write!(f, ", {} of them lost", self.wrong_losses)?;
            }
            f.write_str(")")?;
        }
        if let Some(accuracy) = self.accuracy() {
            write!(f, ", accuracy {:.4}%", accuracy * 100.0)?;
        }
        if let Some(mean) = self.mean_detection() {
            let plural = if self.detections == 1 { "" } else { "s" };
            let most = self.longest_detection();
            let count = self.detections;
            write!(f, ", {count} death{plural} found in {mean:.1?}, at most {most:.1?}")?;
        }
        Ok(())
    }
}

const fn larger(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

const fn mean(sum: u128, count: u32) -> Option<Duration> {
    if count == 0 {
        return None;
    }
    let nanos = sum / count as u128;
    Some(Duration::from_nanos(if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }))
}

const _: () = assert!(size_of::<Quality>() <= 72);
const _: () = assert!(size_of::<Gauge>() <= 120);
