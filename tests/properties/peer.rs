//! A peer that answers, over a link that may lose, with a driver and a writer that may be late.

use heartbeat_proto::detector::Detector;
use heartbeat_proto::{
    Action, Config, Event, HeartbeatMachine, Ledger, Liveness, PingId, Reason, Timestamp,
};

use crate::common::{BASE, Rng, at, nanos};

/// How the driver of a run behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    Punctual,
    /// Late at every call, by less than the slack.
    WithinSlack,
    /// One freeze that begins so long after the death, and lasts so long.
    Freeze {
        after: u64,
        lasts: u64,
    },
    /// A freeze of this length at every call.
    Always(u64),
    /// Late by up to this, at random.
    Random(u64),
}

/// How writes behave, where they are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    Instant,
    /// Every ping takes so long to be written.
    Slow(u64),
    Blocked,
}

/// A run of one machine against a peer that answers after `rtt` until it dies.
pub(crate) struct Run<D: Detector, L: Ledger> {
    pub(crate) machine: HeartbeatMachine<D, L>,
    pub(crate) config: Config<D>,
    driver: Driver,
    writer: Writer,
    rtt: u64,
    /// Each pong takes another time, up to `rtt`.
    pub(crate) varies: bool,
    /// So many pings in a row may be lost.
    pub(crate) loses: u32,
    lost: u32,
    /// Pongs carry ids.
    pub(crate) ids: bool,
    rng: Rng,
    now: u64,
    pub(crate) last_evidence: u64,
    /// What is on the way: arrival, event. Nothing arrives from `dies` on.
    wire: Vec<(u64, Event)>,
    /// Traffic or beats of the peer, and the caller's answers to requests.
    pub(crate) dies: u64,
    freeze_spent: bool,
    /// The caller's lateness of every call since the last evidence, summed.
    pub(crate) lateness: u64,
    pub(crate) verdict: Option<(u64, Reason)>,
    calls: u64,
}

impl<D: Detector, L: Ledger> Run<D, L> {
    pub(crate) fn new(
        config: Config<D>,
        seed: u64,
        driver: Driver,
        writer: Writer,
        rtt: u64,
    ) -> Self {
        let machine = HeartbeatMachine::with_ledger(config, seed, at(0));
        let mut run = Self {
            machine,
            config,
            driver,
            writer,
            rtt,
            varies: false,
            loses: 0,
            lost: 0,
            ids: true,
            rng: Rng(seed),
            now: 0,
            last_evidence: 0,
            wire: Vec::new(),
            dies: u64::MAX,
            freeze_spent: false,
            lateness: 0,
            verdict: None,
            calls: 0,
        };
        run.tell(Event::Start);
        run
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.calls += 1;
        let actions = self.machine.handle(event, at(self.now));
        let life = matches!(
            event,
            Event::PongReceived { .. }
                | Event::AnonymousPongReceived
                | Event::FrameReceived
                | Event::BeaconReceived { .. }
        );
        // Under Strict a late call convicts before its evidence counts.
        if life && self.machine.liveness() != Liveness::Lost {
            self.last_evidence = self.now;
            self.lateness = 0;
        }
        for action in actions {
            match action {
                Action::SendPing { id, stamp } => self.send_ping(id, stamp),
                Action::SendBeacon { .. } if self.config.write_reports() => match self.writer {
                    Writer::Instant => self.post(self.now, Event::PongSent),
                    Writer::Slow(takes) => self.post(self.now + takes, Event::PongSent),
                    Writer::Blocked => {}
                },
                Action::RequestProbe => self.tell(Event::PingDue),
                Action::Notify(change) if change.to == Liveness::Lost => {
                    self.verdict = Some((self.now, change.reason));
                }
                _ => {}
            }
        }
    }

    pub(crate) fn send_ping(&mut self, id: PingId, stamp: Timestamp) {
        let written = match self.writer {
            Writer::Instant => self.now,
            Writer::Slow(takes) => self.now + takes,
            Writer::Blocked => return,
        };
        let hold = core::time::Duration::ZERO;
        let pong = if self.ids {
            Event::PongReceived { id, stamp: Some(stamp), hold, calm: false }
        } else {
            Event::AnonymousPongReceived
        };
        if self.config.write_reports() {
            self.post(written, Event::PingSent { id });
        }
        if self.lost < self.loses && self.rng.percent(70) {
            self.lost += 1;
            return;
        }
        self.lost = 0;
        let short = if self.varies && self.rng.percent(50) { self.rng.below(self.rtt) } else { 0 };
        if written + self.rtt < self.dies {
            self.post(written + self.rtt - short, pong);
        }
    }

    pub(crate) fn post(&mut self, arrival: u64, event: Event) {
        let index = self.wire.partition_point(|&(other, _)| other <= arrival);
        self.wire.insert(index, (arrival, event));
    }

    /// How late the driver is for something that is due at `due`.
    pub(crate) fn late_for(&mut self, due: u64) -> u64 {
        let slack = nanos(self.config.slack());
        match self.driver {
            Driver::Punctual => 0,
            Driver::WithinSlack => self.rng.below(slack + 1),
            Driver::Freeze { after, lasts } => {
                let from = self.dies.saturating_add(after);
                if self.freeze_spent || due < from {
                    return 0;
                }
                self.freeze_spent = true;
                (from + lasts).saturating_sub(due)
            }
            Driver::Always(by) => by,
            Driver::Random(most) => self.rng.below(most + 1),
        }
    }

    /// Runs until the verdict or `until`.
    pub(crate) fn run_to(&mut self, until: u64) {
        while self.verdict.is_none() {
            let due = self.machine.next_deadline().map_or(u64::MAX, |due| due.as_nanos() - BASE);
            let arrival = self.wire.first().map_or(u64::MAX, |&(arrival, _)| arrival);
            if due.min(arrival) > until {
                break;
            }
            assert!(self.calls < 100_000, "busy loop at {}: {:?}", self.now, self.config);
            if arrival <= due {
                self.now = self.now.max(arrival);
                let (_, event) = self.wire.remove(0);
                self.tell(event);
                continue;
            }
            let late = self.late_for(due);
            self.now = self.now.max(due + late);
            // What had come while the process slept is read first.
            while self.wire.first().is_some_and(|&(arrival, _)| arrival <= self.now) {
                let (_, event) = self.wire.remove(0);
                if let Some(due) = self.machine.next_deadline() {
                    self.lateness += (self.now + BASE).saturating_sub(due.as_nanos());
                }
                self.tell(event);
            }
            if let Some(due) = self.machine.next_deadline() {
                self.lateness += (self.now + BASE).saturating_sub(due.as_nanos());
            }
            if self.verdict.is_none() {
                self.tell(Event::Tick);
            }
        }
    }

    pub(crate) fn stop_answering(&mut self, dies: u64) {
        self.dies = dies;
        self.wire
            .retain(|(arrival, event)| matches!(event, Event::PingSent { .. }) || *arrival < dies);
    }
}
