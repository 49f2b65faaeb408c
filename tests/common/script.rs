//! One script, two designs: what arrives, and when, is written once and played to a model of a
//! faulty design and to the machine, so that the scenarios cannot differ. Simulated time only.
#![allow(dead_code, reason = "every test program uses another part of this")]
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

use std::collections::BTreeMap;

use heartbeat_proto::detector::Detector;
use heartbeat_proto::{
    Action, Config, Event, HeartbeatMachine, Ledger, Liveness, PingId, Timestamp,
};

use crate::common::at;

/// What happens around one connection, in nanoseconds since its start.
pub(crate) struct Script<'a> {
    /// When the answer to a ping that leaves at this time arrives, if ever.
    pub(crate) answer: &'a dyn Fn(u64) -> Option<u64>,
    /// Each answer arrives a second time, so much later.
    pub(crate) again: Option<u64>,
    /// When other whole frames arrive.
    pub(crate) frames: Vec<u64>,
    /// When the observing process stands still: from, to. What arrives meanwhile waits in its
    /// buffers.
    pub(crate) pauses: Vec<(u64, u64)>,
    /// Timers that are due at the same moment run before the buffers are read.
    pub(crate) timers_first: bool,
    /// How late a timer is that is due at this time.
    pub(crate) late: &'a dyn Fn(u64) -> u64,
    pub(crate) until: u64,
}

impl Default for Script<'_> {
    fn default() -> Self {
        Self {
            answer: &|_| None,
            again: None,
            frames: Vec::new(),
            pauses: Vec::new(),
            timers_first: false,
            late: &|_| 0,
            until: 0,
        }
    }
}

/// What a design is called for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input {
    Tick,
    /// The answer to the ping of that number.
    Pong(u64),
    /// Any other whole frame.
    Frame,
}

/// A heartbeat: the machine, or a model of what others wrote.
pub(crate) trait Design {
    /// When it wants to be called with a tick.
    fn due(&self) -> Option<u64>;
    /// Takes an input; the number of the ping that leaves, if one does.
    fn call(&mut self, input: Input, now: u64) -> Option<u64>;
    /// Whether it has given the peer up.
    fn is_dead(&self) -> bool;
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Played {
    pub(crate) lost_at: Option<u64>,
    pub(crate) pings: Vec<u64>,
    /// Calls for a tick.
    pub(crate) ticks: u64,
}

/// Plays the script up to its end, or up to the verdict.
pub(crate) fn play(script: &Script, design: &mut impl Design) -> Played {
    let awake = |moment: u64| {
        let thaw = |now: u64, &(from, to): &(u64, u64)| if now >= from { now.max(to) } else { now };
        script.pauses.iter().filter(|pause| moment < pause.1).fold(moment, thaw)
    };
    let mut inbox: BTreeMap<(u64, usize), Input> = BTreeMap::new();
    inbox.extend(script.frames.iter().enumerate().map(|(i, &now)| ((now, i), Input::Frame)));
    let (mut played, mut now, mut calls) = (Played::default(), 0, 0);
    loop {
        let arrival = inbox.keys().next().map_or(u64::MAX, |key| awake(key.0));
        let due = design.due().map_or(u64::MAX, |due| awake((due + (script.late)(due)).max(now)));
        let ticks = due < arrival || (due == arrival && script.timers_first);
        let next = due.min(arrival);
        if next > script.until {
            return played;
        }
        calls = if next == now { calls + 1 } else { 0 };
        assert!(calls < 10_000, "a busy loop at {now}");
        now = next;
        let input = if ticks {
            played.ticks += 1;
            Input::Tick
        } else {
            inbox.pop_first().map_or(Input::Tick, |(_, input)| input)
        };
        if let Some(ping) = design.call(input, now) {
            played.pings.push(now);
            if let Some(arrival) = (script.answer)(now) {
                let order = script.frames.len() + played.pings.len();
                inbox.insert((arrival, order), Input::Pong(ping));
                if let Some(later) = script.again {
                    inbox.insert((arrival + later, order), Input::Pong(ping));
                }
            }
        }
        if design.is_dead() {
            played.lost_at = Some(now);
            return played;
        }
    }
}

/// The machine, started at time 0.
pub(crate) fn ours<D: Detector>(config: Config<D>, seed: u64) -> HeartbeatMachine<D> {
    let mut machine = HeartbeatMachine::new(config, seed, at(0));
    let _ = machine.handle(Event::Start, at(0));
    machine
}

/// A moment of the machine's clock as one of the script.
pub(crate) fn since_start(moment: Timestamp) -> u64 {
    moment.as_nanos() - at(0).as_nanos()
}

impl<D: Detector, L: Ledger> Design for HeartbeatMachine<D, L> {
    fn due(&self) -> Option<u64> {
        self.next_deadline().map(since_start)
    }

    fn call(&mut self, input: Input, now: u64) -> Option<u64> {
        let event = match input {
            Input::Tick => Event::Tick,
            Input::Pong(ping) => Event::pong(PingId::from_u64(ping)),
            Input::Frame => Event::FrameReceived,
        };
        self.handle(event, at(now)).find_map(|action| match action {
            Action::SendPing { id, .. } => Some(id.as_u64()),
            _ => None,
        })
    }

    fn is_dead(&self) -> bool {
        self.liveness() == Liveness::Lost
    }
}

/// The design that everybody writes first: a ping every `interval`, and
/// `if now - last_heard > limit { dead }`.
pub(crate) struct FixedLimit {
    pub(crate) interval: u64,
    pub(crate) limit: u64,
    last_heard: u64,
    next_ping: u64,
    sent: u64,
    dead: bool,
}

impl FixedLimit {
    pub(crate) fn new(interval: u64, limit: u64) -> Self {
        Self { interval, limit, last_heard: 0, next_ping: interval, sent: 0, dead: false }
    }
}

impl Design for FixedLimit {
    fn due(&self) -> Option<u64> {
        Some(self.next_ping.min(self.last_heard + self.limit + 1))
    }

    fn call(&mut self, input: Input, now: u64) -> Option<u64> {
        if !matches!(input, Input::Tick) {
            self.last_heard = now;
            return None;
        }
        self.dead = now - self.last_heard > self.limit;
        if now < self.next_ping {
            return None;
        }
        self.next_ping = now + self.interval;
        self.sent += 1;
        Some(self.sent)
    }

    fn is_dead(&self) -> bool {
        self.dead
    }
}
