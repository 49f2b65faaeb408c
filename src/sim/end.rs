//! One end of a link, and the node it lives on: what the machine needs around it.

use alloc::collections::VecDeque;

use super::clock::Clock;
use super::ghost::{Claim, Ghost, NEVER};
use super::path::Path;
use super::rng::Rng;
use super::sabotage::Sabotage;
use crate::config::Config;
use crate::detector::Detector;
use crate::event::Event;
use crate::heartbeat::HeartbeatMachine;
use crate::ledger::Ledger;
use crate::time::Timestamp;

/// A host with one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(crate) clock: Clock,
    pub(crate) up: bool,
    /// From when on the process runs; 0 in general, [`NEVER`] while it is down, frozen, asleep.
    pub(crate) awake_at: u64,
    /// Since when the host sleeps.
    pub(crate) asleep: Option<u64>,
    /// Ticks come up to this much late.
    pub(crate) late: u64,
    pub(crate) ticks_first: bool,
}

impl Node {
    pub(crate) const fn new(local: u64) -> Self {
        Self {
            clock: Clock::new(local),
            up: true,
            awake_at: 0,
            asleep: None,
            late: 0,
            ticks_first: false,
        }
    }

    pub(crate) const fn runs(&self) -> bool {
        self.awake_at == 0
    }
}

/// What an end waits for, in the order of a driver that reads first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Read = 1,
    Write,
    Traffic,
    Probe,
    Tick,
}

impl Turn {
    /// The rank of a tick where the driver ticks before it reads.
    pub(crate) const EARLY_TICK: u64 = 0;

    pub(crate) const fn of(rank: u64) -> Self {
        match rank {
            1 => Self::Read,
            2 => Self::Write,
            3 => Self::Traffic,
            4 => Self::Probe,
            _ => Self::Tick,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct End<D: Detector, L: Ledger> {
    pub(crate) node: usize,
    pub(crate) machine: HeartbeatMachine<D, L>,
    /// The configuration that the checker holds the machine to.
    pub(crate) claimed: Config<D>,
    pub(crate) ghost: Ghost,
    pub(crate) sabotage: Sabotage,
    /// The machine's wake-up on its own clock.
    pub(crate) due: u64,
    /// When it will be ticked.
    pub(crate) tick_at: u64,
    /// The way to the other end.
    pub(crate) path: Path,
    /// The delay of that way when nothing is wrong.
    pub(crate) delay: u64,
    /// On streams a new connection has a path of its own.
    pub(crate) stream: bool,
    pub(crate) writer: Writer,
    pub(crate) traffic_at: u64,
    pub(crate) traffic_gap: u64,
    pub(crate) probe_at: u64,
    pub(crate) prober: Option<u64>,
    pub(crate) rng: Rng,
    /// What the epochs of its machines come from.
    pub(crate) seed: u64,
}

impl<D: Detector, L: Ledger> End<D, L> {
    pub(crate) fn new(node: usize, config: Config<D>, seed: u64, now: u64, delay: u64) -> Self {
        let machine = HeartbeatMachine::with_ledger(config, seed, Timestamp::from_nanos(now));
        let mut end = Self {
            node,
            ghost: Ghost::new(machine.state().epoch(), now, false),
            due: NEVER,
            machine,
            claimed: config,
            sabotage: Sabotage::None,
            tick_at: NEVER,
            path: Path::new(seed, delay),
            delay,
            stream: true,
            writer: Writer::default(),
            traffic_at: NEVER,
            traffic_gap: 0,
            probe_at: NEVER,
            prober: Some(0),
            rng: Rng::part(seed, 1),
            seed,
        };
        end.due = end.machine.next_deadline().map_or(NEVER, Timestamp::as_nanos);
        end
    }

    /// As if made by [`End::new`], but the memory is kept.
    pub(crate) fn renew(
        &mut self,
        node: usize,
        config: Config<D>,
        seed: u64,
        now: u64,
        delay: u64,
    ) {
        let mut path = core::mem::replace(&mut self.path, Path::new(0, 0));
        let mut writer = core::mem::take(&mut self.writer);
        path.renew(seed, delay);
        writer.waiting.clear();
        let waiting = core::mem::take(&mut writer.waiting);
        *self = Self::new(node, config, seed, now, delay);
        self.path = path;
        self.writer.waiting = waiting;
    }

    /// Another machine takes the place of the one that was.
    pub(crate) fn replace(&mut self, machine: HeartbeatMachine<D, L>, ghost: Ghost) {
        self.machine = machine;
        self.ghost = ghost;
        self.ghost.claim = Claim::None;
        self.due = self.machine.next_deadline().map_or(NEVER, Timestamp::as_nanos);
        self.probe_at = NEVER;
        self.writer.clear();
    }

    /// The seed of the next fresh machine.
    pub(crate) const fn next_seed(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(2);
        self.seed
    }
}

/// Where writes are reported: what waits to be written, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    /// The frame, and the report of its writing.
    pub(crate) waiting: VecDeque<(Event, Event)>,
    /// When there is something to report.
    pub(crate) at: u64,
    /// How long each frame takes.
    pub(crate) takes: u64,
    pub(crate) blocked: bool,
}

impl Default for Writer {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), at: NEVER, takes: 0, blocked: false }
    }
}

impl Writer {
    /// The newest pong supersedes an older one, unless each is to be answered.
    pub(crate) fn push(&mut self, now: u64, frame: Event, report: Event, answer_each: bool) {
        if report == Event::PongSent && !answer_each {
            self.waiting.retain(|&(_, other)| other != Event::PongSent);
        }
        self.waiting.push_back((frame, report));
        if self.at == NEVER {
            self.at = if self.blocked { now } else { now + self.takes };
        }
    }

    /// What is to be reported now, and the frame that was written.
    pub(crate) fn take(&mut self, now: u64) -> Option<(Option<Event>, Event)> {
        self.at = NEVER;
        if self.blocked {
            return (!self.waiting.is_empty()).then_some((None, Event::TxBlocked));
        }
        let (frame, report) = self.waiting.pop_front()?;
        if !self.waiting.is_empty() {
            self.at = now + self.takes;
        }
        Some((Some(frame), report))
    }

    pub(crate) fn block(&mut self, now: u64, blocked: bool) {
        self.blocked = blocked;
        if !self.waiting.is_empty() {
            self.at = now;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.at = NEVER;
    }
}
