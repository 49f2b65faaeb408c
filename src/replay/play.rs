//! Whole configurations over a trace: the shipped [`HeartbeatMachine`] lives through a segment, and
//! through crashes of its peer at many moments of it.

use alloc::collections::BinaryHeap;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::trace::{ORIGIN, Segment};
use crate::action::{Action, Actions};
use crate::config::{Config, Mode};
use crate::detector::Detector;
use crate::event::{Event, PingId};
use crate::heartbeat::HeartbeatMachine;
use crate::liveness::{Liveness, Reason, Transition};
use crate::time::Timestamp;

/// A change of liveness of the living peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// When, in nanoseconds from the first sample.
    pub at: u64,
    /// What was believed before.
    pub from: Liveness,
    /// What is believed now.
    pub to: Liveness,
    /// Why.
    pub reason: Reason,
}

/// What a configuration did on a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Played {
    /// The name of the segment.
    pub name: String,
    /// Every change of liveness, in order. After a wrong verdict the connection begins anew at
    /// once, unless the configuration reopens it by itself.
    pub turns: Vec<Turn>,
    /// How often the living peer was suspected.
    pub suspicions: u64,
    /// How often it was given up, after it was heard: an outage that ends several connections
    /// counts once.
    pub losses: u64,
    /// For how long it was suspected or given up, in nanoseconds.
    pub distrusted: u64,
    /// How long the segment was looked at, in nanoseconds.
    pub observed: u64,
    /// From each crash to the verdict, in nanoseconds.
    pub detections: Vec<u64>,
    /// Pings that were sent.
    pub pings: u64,
}

/// Why a configuration cannot be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlayError {
    /// In the mode `beacon` nobody is judged.
    #[error("a beacon judges nobody: there is nothing to find out")]
    JudgesNobody,
    /// The segment has no two samples at different times.
    #[error("the segment is too short")]
    TooShort,
}

/// Plays `config` over a segment, and over `crashes` crashes of the peer, spread evenly over it.
///
/// Where the configuration pings, a ping meets the path as the newest sample did that was sent before
/// it: its round trip is that sample's delay, and it is lost if that was. Where it only listens, it
/// hears the samples themselves: as pings (`responder`) or as stamped beacons (`passive`). The driver
/// is punctual, except in the pauses of the segment. A crash before the peer was first heard is left
/// out. (RY10)
///
/// # Errors
///
/// [`PlayError`].
///
/// ```
/// use heartbeat_proto::Config;
/// use heartbeat_proto::replay::{play, synthetic};
///
/// let lan = &synthetic(1)[0].segments[0];
/// let played = play(&Config::lan(), lan, 10)?;
/// assert_eq!(played.losses, 0);
/// let promise = Config::lan().worst_case_detection();
/// assert!(played.detections.iter().all(|&took| u128::from(took) <= promise.as_nanos()));
/// # Ok::<(), heartbeat_proto::replay::PlayError>(())
/// ```
pub fn play<D: Detector>(
    config: &Config<D>,
    segment: &Segment,
    crashes: u32,
) -> Result<Played, PlayError> {
    let (first, last) = match (segment.samples.first(), segment.samples.last()) {
        (Some(first), Some(last)) if first.sent < last.sent => (first.sent, last.sent),
        _ => return Err(PlayError::TooShort),
    };
    if config.mode() == Mode::Beacon {
        return Err(PlayError::JudgesNobody);
    }
    let mut run = Run::new(config, segment);
    run.tell(Event::Start, first);
    let mut detections = Vec::new();
    for crash in 0..u64::from(crashes) {
        let part = u128::from(last - first) * u128::from(2 * crash + 1);
        let at = first + (part / (2 * u128::from(crashes))) as u64;
        run.until(at);
        detections.extend(run.heard.then(|| run.clone().crashed(at)).flatten());
    }
    run.until(last);
    Ok(run.played(last - first, detections))
}

#[derive(Clone)]
struct Run<'s, D: Detector> {
    machine: HeartbeatMachine<D>,
    segment: &'s Segment,
    /// When what comes in, and the number of its ping; or of its sample, where it only listens.
    coming: BinaryHeap<Reverse<(u64, u32)>>,
    epoch: u32,
    /// When the peer crashed.
    crash: Option<u64>,
    heard: bool,
    /// It was heard since it was given up last.
    trusted: bool,
    /// When the peer was distrusted, if it is.
    since: Option<u64>,
    played: Played,
}

impl<'s, D: Detector> Run<'s, D> {
    fn new(config: &Config<D>, segment: &'s Segment) -> Self {
        let mut run = Self {
            machine: HeartbeatMachine::new(*config, 1, stamp(0)),
            segment,
            coming: BinaryHeap::new(),
            epoch: 0,
            crash: None,
            heard: false,
            trusted: false,
            since: None,
            played: Played { name: segment.name.clone(), ..Played::default() },
        };
        if run.listens() {
            let samples = segment.samples.iter().zip(0..);
            let coming = samples.filter_map(|(s, index)| Some(Reverse((s.sent + s.delay?, index))));
            run.coming = coming.collect();
        }
        run
    }

    /// Whether it sends no pings.
    fn listens(&self) -> bool {
        matches!(self.machine.config().mode(), Mode::Responder | Mode::Passive)
    }

    /// Everything that happens until then.
    fn until(&mut self, limit: u64) {
        while let Some((event, at)) = self.next().filter(|&(_, at)| at <= limit) {
            if event != Event::Tick {
                self.coming.pop();
            }
            self.tell(event, at);
        }
    }

    /// What happens next: what comes in is read before the clock is looked at.
    fn next(&self) -> Option<(Event, u64)> {
        let due = self.machine.next_deadline();
        let due = due.map(|due| self.awake(due.as_nanos().saturating_sub(ORIGIN)));
        match self.coming.peek() {
            Some(Reverse((at, number))) if due.is_none_or(|due| *at <= due) => {
                Some((self.event(*number), *at))
            }
            _ => Some((Event::Tick, due?)),
        }
    }

    /// When the driver gets to it.
    fn awake(&self, due: u64) -> u64 {
        let pauses = self.segment.pauses.iter();
        pauses.fold(due, |due, &(from, to)| if due >= from && due < to { to } else { due })
    }

    fn event(&self, number: u32) -> Event {
        let sent = |index: u32| self.segment.samples.get(index as usize).map_or(0, |s| s.sent);
        match self.machine.config().mode() {
            Mode::Responder => Event::PingReceived {
                id: PingId::new(1, number.wrapping_add(1)),
                stamp: Some(stamp(sent(number))),
            },
            Mode::Passive => Event::BeaconReceived {
                stamp: Some(stamp(sent(number))),
                period: self.machine.config().interval(),
            },
            _ => Event::pong(PingId::new(self.epoch, number)),
        }
    }

    fn tell(&mut self, event: Event, at: u64) {
        let actions = self.machine.handle(event, stamp(at));
        self.perform(actions, at);
    }

    fn perform(&mut self, actions: Actions, at: u64) {
        for action in actions {
            match action {
                Action::SendPing { id, .. } => self.ping(id, at),
                Action::RequestProbe => self.tell(Event::PingDue, at),
                Action::SendPong { .. } if self.machine.config().write_reports() => {
                    self.tell(Event::PongSent, at);
                }
                Action::Notify(change) => self.turn(change, at),
                _ => {}
            }
        }
    }

    /// A ping leaves, and meets the path.
    fn ping(&mut self, id: PingId, at: u64) {
        self.epoch = id.epoch();
        self.played.pings += 1;
        let after = self.segment.samples.partition_point(|sample| sample.sent <= at);
        let sample = after.checked_sub(1).and_then(|index| self.segment.samples.get(index));
        let delay = sample.and_then(|sample| sample.delay);
        if let (Some(delay), None) = (delay, self.crash) {
            self.coming.push(Reverse((self.awake(at + delay), id.seq())));
        }
        if self.machine.config().write_reports() {
            self.tell(Event::PingSent { id }, at);
        }
    }

    fn turn(&mut self, change: Transition, at: u64) {
        let Transition { from, to, reason, .. } = change;
        let first = self.segment.samples.first().map_or(0, |first| first.sent);
        self.played.turns.push(Turn { at: at - first, from, to, reason });
        self.heard |= to == Liveness::Alive;
        self.played.suspicions += u64::from(to == Liveness::Suspect);
        self.trusted |= to == Liveness::Alive;
        if to == Liveness::Lost {
            self.played.losses += u64::from(self.trusted);
            self.trusted = false;
        }
        let distrusted = matches!(to, Liveness::Suspect | Liveness::Lost | Liveness::Recovering);
        match (self.since, distrusted) {
            (None, true) => self.since = Some(at),
            (Some(since), false) => {
                self.played.distrusted += at - since;
                self.since = None;
            }
            _ => {}
        }
        let over = to == Liveness::Lost && self.machine.config().reopen_after == 0;
        if over && self.crash.is_none() {
            self.machine = self.machine.reconnected(stamp(at));
            if !self.listens() {
                self.coming.clear();
            }
            self.tell(Event::Tick, at);
        }
    }

    /// The peer crashes: when is that found out, counted from then?
    fn crashed(mut self, at: u64) -> Option<u64> {
        self.crash = Some(at);
        if self.listens() {
            let sent = |index: u32| self.segment.samples.get(index as usize).map(|s| s.sent);
            self.coming.retain(|Reverse((_, index))| sent(*index) <= Some(at));
        }
        // Far more than any configuration needs: the ceiling is a day, and a gap a nanosecond.
        for _ in 0..100_000 {
            if self.machine.liveness() == Liveness::Lost {
                break;
            }
            let (_, next) = self.next()?;
            self.until(next);
        }
        let lost = self.played.turns.last().filter(|turn| turn.to == Liveness::Lost)?;
        let first = self.segment.samples.first().map_or(0, |first| first.sent);
        Some((lost.at + first).saturating_sub(at))
    }

    fn played(mut self, observed: u64, detections: Vec<u64>) -> Played {
        let end = self.segment.samples.last().map_or(0, |last| last.sent);
        let open = self.since.map_or(0, |since| end.saturating_sub(since));
        self.played.distrusted += open;
        Played { observed, detections, ..self.played }
    }
}

/// The machine's clock.
const fn stamp(at: u64) -> Timestamp {
    Timestamp::from_nanos(at + ORIGIN)
}
