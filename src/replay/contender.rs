//! [`Contender`]: a detector of any type, with its knob and the values to try; and how it is driven
//! over a link, through the public trait alone.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::probes;
use super::tally::{Outcome, Tally};
use super::trace::{Arrival, Kind, Link};
use crate::detector::{Detector, Evidence, Sign, Trust};
use crate::rtt::Rtt;
use crate::time::Timestamp;

/// What a contender is in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// One of the published detectors: the best of them is the measure of a cell.
    Published,
    /// A published idea with a sender's stamp added: shows what the stamp alone brings.
    Stamped,
    /// What is to be judged.
    Candidate,
    /// Told of the monitor's pauses; compared where there are some, no part of the score.
    PauseAware,
}

/// A detector with one value of its knob, whatever its type.
pub struct Trial {
    judge: Box<dyn Judge>,
    timeout: u64,
}

impl Trial {
    /// A trial of `detector`, which has learnt nothing yet.
    pub fn new<D: Detector + 'static>(detector: D) -> Self {
        Self { judge: Box::new(Seat { detector, state: D::State::default() }), timeout: 0 }
    }

    /// The silence of the fixed verdict, [`Trust::timeout_nanos`]: the knob of
    /// [`Deadline::fixed`](crate::detector::Deadline::fixed). (0 by default.)
    #[must_use]
    pub const fn with_timeout(mut self, nanos: u64) -> Self {
        self.timeout = nanos;
        self
    }
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

trait Judge {
    fn learn(&mut self, evidence: &Evidence);
    fn deadline(&self, trust: &Trust) -> u64;
}

struct Seat<D: Detector> {
    detector: D,
    state: D::State,
}

impl<D: Detector> Judge for Seat<D> {
    fn learn(&mut self, evidence: &Evidence) {
        self.detector.learn(&mut self.state, evidence);
    }

    fn deadline(&self, trust: &Trust) -> u64 {
        self.detector.deadline(&self.state, trust).as_nanos()
    }
}

type Make = dyn Fn(f64, &Link) -> Option<Trial> + Send + Sync;

/// How it judges.
#[derive(Clone)]
enum Way {
    /// By a deadline after each arrival.
    Deadlines(Arc<Make>),
    /// By the answers to the last probes.
    Probes,
}

/// A detector in the comparison.
///
/// ```
/// use heartbeat_proto::detector::Deadline;
/// use heartbeat_proto::replay::{Contender, Role, Trial};
///
/// let fixed = Contender::new("fixed", Role::Published, vec![2.0, 3.0], |periods, link| {
///     let timeout = (periods * link.period as f64) as u64;
///     Some(Trial::new(Deadline::fixed()).with_timeout(timeout))
/// });
/// assert_eq!(fixed.name(), "fixed");
/// ```
#[derive(Clone)]
pub struct Contender {
    name: String,
    role: Role,
    grid: Vec<f64>,
    way: Way,
    heard: Sign,
}

impl Contender {
    /// A contender that hears beats with the sender's stamp. `make` gives it with one value of the
    /// `grid` for one link (whose period a margin may be in), or nothing for a value that it does
    /// not take.
    pub fn new(
        name: impl Into<String>,
        role: Role,
        grid: Vec<f64>,
        make: impl Fn(f64, &Link) -> Option<Trial> + Send + Sync + 'static,
    ) -> Self {
        let (name, way) = (name.into(), Way::Deadlines(Arc::new(make)));
        Self { name, role, grid, way, heard: Sign::Beat }
    }

    /// `k-of-n`: suspects when `k` of the last `n` probes found no answer in their window. Its
    /// parameter is the number of a setting; [`label`](Self::label) tells which.
    pub(super) fn probes() -> Self {
        let grid = (0..probes::SETTINGS).map(f64::from).collect();
        let name = String::from("k-of-n");
        Self { name, role: Role::Published, grid, way: Way::Probes, heard: Sign::Pong }
    }

    /// The same, but it hears pongs with their round trip.
    #[must_use]
    pub fn hearing_pongs(mut self) -> Self {
        self.heard = Sign::Pong;
        self
    }

    /// The same (`NAME+LP`), told of the monitor's pauses; and a deadline in a pause, or within a
    /// period after it, moves to a period after it, as the re-probe of the machine does. (RY6)
    #[must_use]
    pub fn pause_aware(&self) -> Self {
        Self { name: alloc::format!("{}+LP", self.name), role: Role::PauseAware, ..self.clone() }
    }

    /// Its name in tables.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is in the comparison.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The values of its knob to try.
    pub fn grid(&self) -> &[f64] {
        &self.grid
    }

    /// A value of its knob, for tables.
    pub fn label(&self, parameter: f64) -> String {
        match self.way {
            Way::Deadlines(_) => parameter.to_string(),
            Way::Probes => probes::label(parameter),
        }
    }

    /// Whether it can be judged on such a trace: what hears pongs not where there are none, and what
    /// is told of pauses only where there are some.
    pub fn fits(&self, kind: Kind, links: &[Link]) -> bool {
        let pauses = links.iter().any(|link| !link.pauses.is_empty());
        (kind == Kind::RoundTrip || self.heard == Sign::Beat)
            && (pauses || self.role != Role::PauseAware)
    }

    /// Until when each arrival of the link is trusted, in nanoseconds of the link's clock. `None`
    /// from a contender that judges probes, which knows no deadline, and for a parameter that it
    /// does not take. (RY3)
    pub fn deadlines(&self, parameter: f64, link: &Link) -> Option<Vec<u64>> {
        let Way::Deadlines(make) = &self.way else { return None };
        let trial = make(parameter, link)?;
        let mut run = Run { trial, rtt: Rtt::default(), heard: self.heard, link, newest: None };
        let aware = self.role == Role::PauseAware;
        let arrivals = link.arrivals.iter();
        let tell = |arrival| if aware { run.aware(arrival) } else { run.beat(arrival) };
        Some(arrivals.map(tell).collect())
    }

    /// How good it is with this parameter over all links, with the quantile of the detection time
    /// if `quantile`; `None` if there was nothing to judge.
    pub fn outcome(&self, parameter: f64, links: &[Link], quantile: bool) -> Option<Outcome> {
        let mut tally = if quantile { Tally::with_quantile() } else { Tally::new() };
        for link in links {
            match self.way {
                Way::Deadlines(_) => tally.add(link, &self.deadlines(parameter, link)?),
                Way::Probes => probes::add(&mut tally, parameter, link),
            }
        }
        tally.outcome()
    }
}

impl fmt::Debug for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contender").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A trial on its way over a link.
struct Run<'l> {
    trial: Trial,
    rtt: Rtt,
    heard: Sign,
    link: &'l Link,
    newest: Option<Arrival>,
}

impl Run<'_> {
    /// Tells the detector of an arrival and asks for the deadline.
    fn beat(&mut self, arrival: &Arrival) -> u64 {
        self.learn(arrival, self.heard, false);
        self.newest = Some(*arrival);
        self.deadline(arrival.at)
    }

    /// The same, with the pause that it may come from.
    fn aware(&mut self, arrival: &Arrival) -> u64 {
        // The first call after it is late; more of the same burst come in calls of their own.
        let ended = |pause: &&(u64, u64)| pause.1 <= arrival.at;
        let over = self.link.pauses.iter().rfind(ended);
        let before = self.newest.map_or(0, |newest| newest.at);
        let late = over.is_some_and(|pause| before < pause.1);
        if late {
            self.learn(arrival, Sign::Pause, true);
        }
        self.learn(arrival, self.heard, late);
        self.newest = Some(*arrival);
        let mut deadline = self.deadline(arrival.at);
        // A period after one pause may lie in the next.
        while let Some((_, until)) = self.link.pause_at(deadline) {
            deadline = until.saturating_add(self.link.period);
        }
        deadline
    }

    fn learn(&mut self, arrival: &Arrival, sign: Sign, in_pause: bool) {
        let rtt = arrival.at - arrival.sent;
        let pong = sign == Sign::Pong;
        if pong {
            self.rtt.sample(u32::try_from(rtt.div_ceil(1000)).unwrap_or(u32::MAX).max(1));
        }
        let beat = sign == Sign::Beat;
        self.trial.judge.learn(&Evidence {
            sign,
            at: Timestamp::from_nanos(arrival.at),
            silence_nanos: self.newest.map_or(0, |newest| arrival.at - newest.at),
            seq: (sign != Sign::Pause).then_some(arrival.seq),
            stamp: beat.then_some(Timestamp::from_nanos(arrival.sent)),
            period_nanos: self.link.period,
            rtt_nanos: pong.then_some(rtt),
            in_pause,
        });
    }

    fn deadline(&self, since: u64) -> u64 {
        self.trial.judge.deadline(&Trust {
            since,
            period: self.link.period,
            window: self.link.period,
            timeout: self.trial.timeout,
            attempts: 1,
            rtt: self.rtt,
        })
    }
}
