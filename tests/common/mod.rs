//! Virtual time for the integration tests: [`Solo`] drives one machine, [`Pair`] joins two by a
//! link that loses, delays, duplicates and reorders as told. No clock, no sockets, no threads; the
//! same seed gives the same run. Times are nanoseconds since the start of the run.
#![allow(dead_code, reason = "every test program uses another part of this")]
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]
#![allow(clippy::large_types_passed_by_value, reason = "configurations are values; no speed here")]

mod rng;

use core::time::Duration;
use std::collections::BTreeMap;

use heartbeat_proto::detector::Deadline;
use heartbeat_proto::{
    Action, Config, Event, Findings, HeartbeatMachine, Ledger, Liveness, PingId, Reason, Table,
    Timestamp,
};

pub(crate) use self::rng::Rng;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SEC: u64 = 1_000 * MS;

/// Where every run starts on the machine's clock: not at zero, so that a rule that wrongly depends
/// on the epoch shows.
pub(crate) const BASE: u64 = 5_000 * SEC;

/// The freeze that `Suspend` announced is over.
pub(crate) const RESUME: Event = Event::Resume { slept: Duration::ZERO };

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A span in nanoseconds.
pub(crate) const fn nanos(span: Duration) -> u64 {
    span.as_secs() * SEC + span.subsec_nanos() as u64
}

/// A moment of the run on the machine's clock.
pub(crate) const fn at(now: u64) -> Timestamp {
    Timestamp::from_nanos(BASE.saturating_add(now))
}

/// One machine under virtual time. Everything it says is logged.
pub(crate) struct Solo<L: Ledger = Table> {
    pub(crate) machine: HeartbeatMachine<Deadline, L>,
    pub(crate) now: u64,
    pub(crate) log: Vec<(u64, Action)>,
    /// Calls at the present instant: a busy loop shows here.
    calls: u32,
}

impl Solo {
    /// A started machine.
    pub(crate) fn new(config: Config) -> Self {
        let mut solo = Self::idle(config, 7);
        let _ = solo.tell(Event::Start);
        solo
    }

    /// A machine whose connection is still being set up.
    pub(crate) fn idle(config: Config, seed: u64) -> Self {
        Self::of(HeartbeatMachine::new(config, seed, at(0)))
    }

    /// A machine whose peer was just heard for the first time, by a plain frame.
    pub(crate) fn alive(config: Config) -> Self {
        let mut solo = Self::new(config);
        let _ = solo.tell(Event::FrameReceived);
        assert_eq!(solo.machine.liveness(), Liveness::Alive);
        solo
    }
}

impl<L: Ledger> Solo<L> {
    pub(crate) fn of(machine: HeartbeatMachine<Deadline, L>) -> Self {
        Self { machine, now: 0, log: Vec::new(), calls: 0 }
    }

    /// Tells an event now, and returns what came of it.
    pub(crate) fn tell(&mut self, event: Event) -> Vec<Action> {
        self.calls += 1;
        assert!(self.calls < 64, "a busy loop at {}", self.now);
        let actions: Vec<_> = self.machine.handle(event, at(self.now)).collect();
        self.log.extend(actions.iter().map(|&action| (self.now, action)));
        actions
    }

    /// Tells an event at a later moment, without any call in between.
    pub(crate) fn tell_at(&mut self, now: u64, event: Event) -> Vec<Action> {
        self.skip_to(now);
        self.tell(event)
    }

    /// Time passes and nobody calls.
    pub(crate) fn skip_to(&mut self, now: u64) {
        assert!(now >= self.now, "virtual time does not run back");
        if now > self.now {
            self.calls = 0;
        }
        self.now = now;
    }

    /// When the machine wants to be called.
    pub(crate) fn due(&self) -> Option<u64> {
        self.machine.next_deadline().map(|due| due.as_nanos().saturating_sub(BASE))
    }

    /// A punctual driver: a tick at every deadline up to and including `until`.
    pub(crate) fn run_to(&mut self, until: u64) {
        self.run_late(until, |_| 0);
    }

    /// A driver that is late for the deadline it is given by what `late` says.
    pub(crate) fn run_late(&mut self, until: u64, mut late: impl FnMut(u64) -> u64) {
        while let Some(due) = self.due().filter(|&due| due <= until) {
            let now = due.max(self.now) + late(due);
            if now > until {
                break;
            }
            let _ = self.tell_at(now, Event::Tick);
        }
        self.skip_to(until);
    }

    /// Nothing is heard any more: runs punctually until there is nothing left to wait for.
    pub(crate) fn run_out(&mut self) {
        while let Some(due) = self.due() {
            let _ = self.tell_at(due, Event::Tick);
        }
    }

    /// Runs to `until` with a peer that answers every ping after `rtt`.
    pub(crate) fn answer_to(&mut self, until: u64, rtt: u64) {
        let mut pending: Vec<(u64, PingId)> = Vec::new();
        loop {
            let due = self.due().unwrap_or(u64::MAX);
            let arrival = pending.first().map_or(u64::MAX, |&(arrival, _)| arrival);
            if due.min(arrival) > until {
                break;
            }
            let actions = if arrival <= due {
                let (_, id) = pending.remove(0);
                self.tell_at(arrival, Event::pong(id))
            } else {
                self.tell_at(due, Event::Tick)
            };
            pending.extend(ping_in(&actions).map(|id| (self.now + rtt, id)));
        }
        self.skip_to(until);
    }

    /// Nothing is heard any more: runs punctually until the verdict; when it fell, if by `until`.
    pub(crate) fn lost_by(&mut self, until: u64) -> Option<u64> {
        while let Some(due) = self.due().filter(|&due| due <= until) {
            let _ = self.tell_at(due.max(self.now), Event::Tick);
            if self.machine.liveness() == Liveness::Lost {
                return Some(self.now);
            }
        }
        self.skip_to(until);
        None
    }

    /// Runs punctually until a ping leaves.
    pub(crate) fn next_ping(&mut self) -> PingId {
        loop {
            let due = self.due().expect("a ping to come").max(self.now);
            if let Some(id) = ping_in(&self.tell_at(due, Event::Tick)) {
                return id;
            }
        }
    }

    /// The peer is live; if not, the report of the verdict says why.
    pub(crate) fn assert_live(&self) {
        let report = self.machine.report().map(|report| report.to_string());
        assert!(
            self.machine.liveness().is_live(),
            "{} at {}",
            report.unwrap_or_default(),
            self.now
        );
    }

    /// When pings left.
    pub(crate) fn pings(&self) -> Vec<u64> {
        let is_ping = |action: &Action| matches!(action, Action::SendPing { .. });
        self.log.iter().filter(|(_, action)| is_ping(action)).map(|&(now, _)| now).collect()
    }

    /// The last ping that left.
    pub(crate) fn last_ping(&self) -> Option<PingId> {
        self.log.iter().rev().find_map(|&(_, action)| match action {
            Action::SendPing { id, .. } => Some(id),
            _ => None,
        })
    }

    /// When the verdict fell, and why.
    pub(crate) fn verdict(&self) -> Option<(u64, Reason)> {
        self.log.iter().find_map(|&(now, action)| match action {
            Action::Notify(change) if change.to == Liveness::Lost => Some((now, change.reason)),
            _ => None,
        })
    }

    /// Every change of liveness: when, and to what.
    pub(crate) fn changes(&self) -> Vec<(u64, Liveness)> {
        let change = |&(now, action): &(u64, Action)| match action {
            Action::Notify(change) => Some((now, change.to)),
            _ => None,
        };
        self.log.iter().filter_map(change).collect()
    }

    /// How often a finding was told.
    pub(crate) fn found(&self, finding: Findings) -> usize {
        let told =
            |action: &Action| matches!(action, Action::Report(found) if found.contains(finding));
        self.log.iter().filter(|(_, action)| told(action)).count()
    }
}

/// The ping among some actions.
pub(crate) fn ping_in(actions: &[Action]) -> Option<PingId> {
    actions.iter().find_map(|action| match action {
        Action::SendPing { id, .. } => Some(*id),
        _ => None,
    })
}

/// The findings among some actions.
pub(crate) fn findings_in(actions: &[Action]) -> Findings {
    actions.iter().fold(Findings::NONE, |all, action| match action {
        Action::Report(found) => all.with(*found),
        _ => all,
    })
}

/// One direction of a link.
#[derive(Clone, Copy, Default)]
pub(crate) struct Link {
    pub(crate) delay: u64,
    /// Up to this much is added to the delay of a frame, at random.
    pub(crate) jitter: u64,
    /// Frames keep their order, as on a stream; otherwise the jitter reorders them.
    pub(crate) fifo: bool,
    pub(crate) loss_percent: u64,
    pub(crate) duplicate_percent: u64,
    /// From then on nothing arrives.
    pub(crate) dead_from: Option<u64>,
    /// The last scheduled arrival.
    pub(crate) last: u64,
}

impl Link {
    pub(crate) fn delayed(delay: u64) -> Self {
        Self { delay, ..Self::default() }
    }
}

/// One end of a [`Pair`].
pub(crate) struct End {
    pub(crate) machine: HeartbeatMachine,
    pub(crate) log: Vec<(u64, Action)>,
    /// The way to the other end.
    pub(crate) link: Link,
    /// While frozen, neither reads nor ticks: from, to.
    pub(crate) frozen: Vec<(u64, u64)>,
    /// The next application frame, and the time between two.
    pub(crate) app: Option<(u64, u64)>,
    /// When it last put anything on the wire.
    pub(crate) last_tx: u64,
    /// The longest time between two transmissions.
    pub(crate) longest_tx_gap: u64,
    ticks_at: (u64, u32),
}

impl End {
    /// The first moment from `now` on at which the process runs.
    fn awake(&self, now: u64) -> u64 {
        self.frozen.iter().fold(now, |now, &(from, to)| if now >= from { now.max(to) } else { now })
    }

    fn next_tick(&self) -> u64 {
        let due = self.machine.next_deadline().map_or(u64::MAX, |due| due.as_nanos() - BASE);
        self.awake(due)
    }

    fn next_app(&self) -> u64 {
        self.app.map_or(u64::MAX, |(next, _)| self.awake(next))
    }

    pub(crate) fn lost_at(&self) -> Option<u64> {
        self.log.iter().find_map(|&(now, action)| match action {
            Action::Notify(change) if change.to == Liveness::Lost => Some(now),
            _ => None,
        })
    }
}

/// Two machines joined by a link; index 0 and 1.
pub(crate) struct Pair {
    pub(crate) ends: [End; 2],
    pub(crate) now: u64,
    pub(crate) rng: Rng,
    /// What is on the way: arrival and order, to whom, what.
    wire: BTreeMap<(u64, u64), (usize, Event)>,
    sent: u64,
}

impl Pair {
    pub(crate) fn new(configs: [Config; 2], links: [Link; 2], seed: u64) -> Self {
        let mut index = 0;
        let ends = configs.map(|config| {
            index += 1;
            let machine = HeartbeatMachine::new(config, seed.wrapping_mul(2) + index, at(0));
            let link = links[index as usize - 1];
            let (log, frozen) = (Vec::new(), Vec::new());
            let (app, last_tx, longest_tx_gap, ticks_at) = (None, 0, 0, (0, 0));
            End { machine, log, link, frozen, app, last_tx, longest_tx_gap, ticks_at }
        });
        let mut pair = Self { ends, now: 0, rng: Rng(seed), wire: BTreeMap::new(), sent: 0 };
        pair.tell(0, Event::Start);
        pair.tell(1, Event::Start);
        pair
    }

    /// Both directions dead from `now` on.
    pub(crate) fn cut(&mut self, now: u64) {
        for end in &mut self.ends {
            end.link.dead_from = Some(now);
        }
    }

    /// Tells one end an event now and puts its answers on the wire.
    pub(crate) fn tell(&mut self, end: usize, event: Event) {
        let actions: Vec<_> = self.ends[end].machine.handle(event, at(self.now)).collect();
        let echo = match event {
            Event::PingReceived { stamp, .. } => stamp,
            _ => None,
        };
        for action in actions {
            self.ends[end].log.push((self.now, action));
            self.perform(end, action, echo);
        }
    }

    fn perform(&mut self, end: usize, action: Action, echo: Option<Timestamp>) {
        let period = self.ends[end].machine.effective_interval();
        let event = match action {
            Action::SendPing { id, stamp } => Event::PingReceived { id, stamp: Some(stamp) },
            Action::SendPong { id, calm } => {
                Event::PongReceived { id, stamp: echo, hold: Duration::ZERO, calm }
            }
            Action::SendBeacon { stamp, .. } => {
                Event::BeaconReceived { stamp: Some(stamp), period }
            }
            Action::SendGoodbye => Event::GoodbyeReceived,
            _ => return,
        };
        self.transmit(end, event);
    }

    /// Puts a frame on the way from `end` to the other one.
    pub(crate) fn transmit(&mut self, end: usize, event: Event) {
        let (now, rng) = (self.now, &mut self.rng);
        let sender = &mut self.ends[end];
        sender.longest_tx_gap = sender.longest_tx_gap.max(now - sender.last_tx);
        sender.last_tx = now;
        let link = &mut sender.link;
        let copies = 1 + u64::from(rng.percent(link.duplicate_percent));
        for _ in 0..copies {
            let mut arrival = now + link.delay + rng.below(link.jitter + 1);
            if link.fifo {
                arrival = arrival.max(link.last);
                link.last = arrival;
            }
            let dead = link.dead_from.is_some_and(|from| arrival >= from);
            if !dead && !rng.percent(link.loss_percent) {
                self.sent += 1;
                self.wire.insert((arrival, self.sent), (1 - end, event));
            }
        }
    }

    /// Jumps from event to event until `until`. Arrivals come before application frames, and those
    /// before ticks: drivers read first.
    pub(crate) fn run_to(&mut self, until: u64) {
        loop {
            // A frozen end does not hold up the other one's frames.
            let read_at = |(&key, &(to, _)): (&(u64, u64), &(usize, Event))| {
                (self.ends[to].awake(key.0), key)
            };
            let arrival = self.wire.iter().map(read_at).min();
            let arrival_at = arrival.map_or(u64::MAX, |(now, _)| now.max(self.now));
            let [app, tick] = [End::next_app, End::next_tick].map(|next| {
                let each = [next(&self.ends[0]), next(&self.ends[1])];
                (each[0].min(each[1]), usize::from(each[1] < each[0]))
            });
            let now = arrival_at.min(app.0).min(tick.0).max(self.now);
            if now > until {
                break;
            }
            self.now = now;
            if let Some((_, key)) = arrival.filter(|_| arrival_at <= now) {
                if let Some((to, event)) = self.wire.remove(&key) {
                    self.tell(to, event);
                }
            } else if app.0 <= now {
                let end = app.1;
                if let Some((next, period)) = &mut self.ends[end].app {
                    *next = (*next + *period).max(now + 1);
                }
                self.transmit(end, Event::FrameReceived);
            } else {
                let end = tick.1;
                let (last, ticks) = self.ends[end].ticks_at;
                self.ends[end].ticks_at = if last == now { (now, ticks + 1) } else { (now, 1) };
                assert!(self.ends[end].ticks_at.1 < 8, "end {end} is busy at {now}");
                self.tell(end, Event::Tick);
            }
        }
        self.now = until;
    }
}
