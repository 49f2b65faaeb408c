//! What a fault does to a world, and how a world heals.

use super::{Note, World};
use crate::action::Actions;
use crate::detector::Detector;
use crate::event::{Event, PingId};
use crate::heartbeat::HeartbeatMachine;
use crate::ledger::Ledger;
use crate::liveness::Liveness;
use crate::sim::fault::Fault;
use crate::sim::ghost::{Claim, Ghost, NEVER};
use crate::sim::log::Entry;
use crate::time::Timestamp;

impl<D: Detector, L: Ledger> World<D, L> {
    /// Makes something happen, now.
    ///
    /// # Panics
    ///
    /// If there is no such node, link or end.
    pub fn apply(&mut self, fault: Fault) {
        self.coverage.faults[fault.kind()] += 1;
        let now = self.now;
        match fault {
            Fault::Cut { end } => self.ends[end].path.cut = true,
            Fault::Mend { end } => self.ends[end].path.cut = false,
            Fault::Lose { end, of_1024 } => self.ends[end].path.loss = of_1024,
            Fault::Duplicate { end, of_1024 } => self.ends[end].path.duplication = of_1024,
            Fault::Delay { end, span } => self.ends[end].path.delay = span,
            Fault::Jitter { end, span, reorder } => {
                self.ends[end].path.jitter = span;
                self.ends[end].path.fifo = !reorder;
            }
            Fault::Narrow { end, frame_time } => self.ends[end].path.frame_time = frame_time,
            Fault::Traffic { end, gap } => {
                self.ends[end].traffic_gap = gap;
                self.ends[end].traffic_at = if gap == 0 { NEVER } else { now };
            }
            Fault::SlowWriter { end, span } => self.ends[end].writer.takes = span,
            Fault::Block { end } => self.ends[end].writer.block(now, true),
            Fault::Unblock { end } => self.ends[end].writer.block(now, false),
            Fault::Prober { end, after } => self.ends[end].prober = after,
            Fault::Stray { end, other_epoch } => self.stray(end, other_epoch),
            Fault::Tell { end, event } => self.tell_if_awake(end, event),
            Fault::Freeze { node } => self.stop(node, NEVER),
            Fault::Thaw { node } => self.run_again(node),
            Fault::Late { node, most } => self.nodes[node].late = most,
            Fault::TickFirst { node, on } => self.nodes[node].ticks_first = on,
            Fault::Suspend { node, told } => self.suspend(node, told),
            Fault::Wake { node, clock_stood, told } => self.wake(node, clock_stood, told),
            Fault::Drift { node, ppm } => {
                self.nodes[node].clock.set_ppm(now, ppm);
                self.plan_ticks(node);
            }
            Fault::Step { node, by } => {
                self.nodes[node].clock.step(now, by);
                self.plan_ticks(node);
            }
            Fault::Crash { node } => self.die(node),
            Fault::Restart { node } => self.come_back(node),
            Fault::Reconnect { link, fresh } => self.connect_anew(link, fresh),
        }
    }

    /// The ends of a node that are in use.
    pub(crate) fn ends_of(&self, node: usize) -> impl Iterator<Item = usize> + use<D, L> {
        let mine: u64 = (0..2 * self.links)
            .filter(|&end| self.ends[end].node == node)
            .fold(0, |all, end| all | (1 << end));
        (0..64).filter(move |end| mine >> end & 1 == 1)
    }

    fn tell_if_awake(&mut self, end: usize, event: Event) {
        if self.nodes[self.ends[end].node].runs() {
            self.call(end, event);
        }
    }

    fn stray(&mut self, end: usize, other_epoch: bool) {
        let epoch = self.ends[end].machine.state().epoch();
        let id = if other_epoch { PingId::new(!epoch, 1) } else { PingId::new(epoch, u32::MAX) };
        self.tell_if_awake(end, Event::pong(id));
    }

    fn plan_ticks(&mut self, node: usize) {
        for end in self.ends_of(node) {
            self.plan_tick(end);
        }
    }

    fn stop(&mut self, node: usize, until: u64) {
        if self.nodes[node].up {
            self.nodes[node].awake_at = until;
        }
    }

    fn run_again(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        if state.up && state.asleep.is_none() {
            state.awake_at = 0;
        }
    }

    fn suspend(&mut self, node: usize, told: bool) {
        if !self.nodes[node].runs() {
            return;
        }
        if told {
            for end in self.ends_of(node) {
                self.call(end, Event::Suspend);
            }
        }
        self.nodes[node].asleep = Some(self.now);
        self.stop(node, NEVER);
    }

    fn wake(&mut self, node: usize, clock_stood: bool, told: bool) {
        let Some(since) = self.nodes[node].asleep.take() else { return };
        let slept = self.now - since;
        if clock_stood {
            self.nodes[node].clock.step(self.now, -i64::try_from(slept).unwrap_or(i64::MAX));
        }
        self.run_again(node);
        self.plan_ticks(node);
        if !self.nodes[node].runs() {
            return;
        }
        // A clock that went on has counted the sleep. Whoever is not told finds a timer expired.
        let slept = core::time::Duration::from_nanos(if clock_stood { slept } else { 0 });
        let event = if told { Event::Resume { slept } } else { Event::Tick };
        for end in self.ends_of(node) {
            self.call(end, event);
        }
    }

    fn die(&mut self, node: usize) {
        self.nodes[node].up = false;
        self.nodes[node].asleep = None;
        self.nodes[node].awake_at = NEVER;
        for end in self.ends_of(node) {
            self.ends[end ^ 1].path.clear();
            self.ends[end ^ 1].ghost.claim = Claim::None;
            self.ends[end].writer.clear();
        }
    }

    fn come_back(&mut self, node: usize) {
        if self.nodes[node].up {
            return;
        }
        self.nodes[node].up = true;
        self.nodes[node].awake_at = 0;
        for end in self.ends_of(node) {
            if self.ends[end].stream || self.ends[end ^ 1].ghost.is_over() {
                self.connect_anew(end / 2, false);
            }
            self.replace(end, true);
        }
    }

    /// The next connection of a link, if both nodes run.
    fn connect_anew(&mut self, link: usize, fresh: bool) {
        let pair = [2 * link, 2 * link + 1];
        if !pair.iter().all(|&end| self.nodes[self.ends[end].node].runs()) {
            return;
        }
        for end in pair {
            if self.ends[end].stream {
                self.ends[end].path.clear();
            }
        }
        for end in pair {
            self.replace(end, fresh);
        }
    }

    /// The next machine of an end.
    fn replace(&mut self, index: usize, fresh: bool) {
        let end = &mut self.ends[index];
        let local = self.nodes[end.node].clock.local(self.now);
        let now = Timestamp::from_nanos(local);
        let (machine, entry) = if fresh {
            let seed = end.next_seed();
            (HeartbeatMachine::with_ledger(*end.machine.config(), seed, now), Entry::Fresh { seed })
        } else {
            (end.machine.reconnected(now), Entry::Reconnected)
        };
        let epoch = machine.state().epoch();
        let ghost = if fresh {
            Ghost::new(epoch, local, end.ghost.fixed)
        } else {
            end.ghost.next_connection(&end.claimed, epoch, local)
        };
        end.replace(machine, ghost);
        if let Some(notes) = &mut self.notes {
            let next = end.machine.next_deadline();
            let actions = Actions::default();
            notes.push(Note { at: self.now, end: index, stamp: now, entry, actions, next });
        }
        self.plan_tick(index);
        if fresh {
            self.call(index, Event::Start);
        }
    }

    /// No fault from now on: paths are whole, and every node that is up runs punctually. Clocks
    /// stay as they are, and the dead stay dead.
    pub fn heal(&mut self) {
        for node in 0..self.nodes.len() {
            self.nodes[node].late = 0;
            self.nodes[node].ticks_first = false;
            self.wake(node, false, true);
            self.run_again(node);
            self.plan_ticks(node);
        }
        for end in 0..2 * self.links {
            let now = self.now;
            let end = &mut self.ends[end];
            end.path.heal(now, end.delay);
            end.writer.takes = 0;
            end.writer.block(now, false);
            end.prober = Some(0);
        }
    }

    /// Whether the machine of an end is live, not draining, and its node runs.
    pub(crate) fn is_well(&self, end: usize) -> bool {
        let end = &self.ends[end];
        let live = end.machine.liveness() != Liveness::Idle && end.machine.liveness().is_live();
        live && !end.ghost.is_draining() && self.nodes[end.node].runs()
    }
}
