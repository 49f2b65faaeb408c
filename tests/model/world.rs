//! The world of the model: two shipped machines, the packets between them, and their misfortunes.
//! Here is what may happen next; what it does is in `call.rs`.

use core::marker::PhantomData;

use heartbeat_proto::{Event, Ledger, LifeRule, detector::Detector};

use crate::end::{End, Process, Side};
use crate::fate::{Data, Fate};
use crate::link::{Kind, Packet, remove};
use crate::promises::Rule;
use crate::sabotage::Sabotage;

/// Two ends with their rules, and what may happen to them.
pub(crate) struct World<D: Detector, L: Ledger> {
    pub(crate) name: &'static str,
    pub(crate) sides: [Side<D>; 2],
    pub(crate) fate: Fate,
    /// The other end starts 0 up to this many units before this one.
    pub(crate) offsets: u8,
    /// Frames carry stamps (the table ledger and the fixed detector read none).
    pub(crate) stamps: bool,
    /// How the machines are broken, where the world must fail.
    pub(crate) sabotage: Sabotage,
    pub(crate) ledger: PhantomData<fn() -> L>,
}

pub(crate) const US: usize = 0;
pub(crate) const THEM: usize = 1;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State<D: Detector, L: Ledger> {
    pub(crate) ends: [End<D, L>; 2],
    /// Sorted: the network has no order.
    pub(crate) packets: Vec<Packet>,
    /// Since the last loss; saturates where another one is allowed.
    pub(crate) since_loss: u8,
    /// The first promise that was broken.
    pub(crate) broken: Option<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// One unit of time passes.
    Pass,
    /// The driver calls because something is due.
    Tick(usize),
    /// The transport takes a frame.
    Write(Packet),
    Deliver(Packet),
    Lose(Packet),
    Double(Packet),
    /// A pong of another connection comes in.
    Stranger(usize),
    /// A pong comes in for a ping that never left.
    Forged(usize),
    /// The other end's application sends something.
    Data,
    Crash(usize),
    Restart(usize),
    Stall(usize),
    Wake(usize),
    Suspend(usize),
    Resume(usize),
    Block(usize),
    Unblock(usize),
    PingDue(usize),
    Drain(usize),
    Close(usize),
    Hold(usize, bool),
}

impl<D: Detector, L: Ledger> World<D, L> {
    pub(crate) fn first_states(&self) -> Vec<State<D, L>> {
        let starts = (0..=self.offsets).map(|ahead| {
            let mut state = State {
                ends: [US, THEM].map(|who| End::new(&self.fate, &self.sides[who])),
                packets: Vec::new(),
                since_loss: self.fate.loss.unwrap_or(0),
                broken: None,
            };
            self.call(&mut state, THEM, Event::Start);
            for _ in 0..ahead {
                self.pass(&mut state);
            }
            // Nobody listens yet.
            state.packets.clear();
            self.call(&mut state, US, Event::Start);
            state
        });
        starts.collect()
    }

    pub(crate) fn steps(&self, state: &State<D, L>, steps: &mut Vec<Step>) {
        let idle = |who: usize| {
            let end = &state.ends[who];
            end.process == Process::Crashed || self.sides[who].is_over(end.peer.liveness())
        };
        if state.broken.is_some() || (!self.fate.restart && idle(US) && idle(THEM)) {
            return;
        }
        let mut hurried = false;
        for who in [US, THEM] {
            hurried |= self.offer_process(state, who, steps);
            if self.fate.restart && idle(who) {
                steps.push(Step::Restart(who));
            }
        }
        for (i, &packet) in state.packets.iter().enumerate() {
            if i == 0 || state.packets[i - 1] != packet {
                hurried |= self.offer_packet(state, packet, steps);
            }
        }
        let heard = |packet: &Packet| packet.kind == Kind::Data;
        if self.fate.data != Data::None
            && state.ends[US].process != Process::Crashed
            && state.ends[THEM].process == Process::Runs
            && !state.packets.iter().any(heard)
        {
            steps.push(Step::Data);
        }
        if !hurried {
            steps.push(Step::Pass);
        }
    }

    /// What a process may do or suffer; whether it must do something before time passes.
    fn offer_process(&self, state: &State<D, L>, who: usize, steps: &mut Vec<Step>) -> bool {
        let end = &state.ends[who];
        match end.process {
            Process::Runs => {
                let hurried = self.offer_tick(state, who, steps);
                if self.fate.strangers && !self.unread(state, who) {
                    steps.push(Step::Stranger(who));
                    if self.sides[who].rules.life == LifeRule::ExactPong {
                        steps.push(Step::Forged(who)); // Under other rules it is life, at will.
                    }
                }
                if who == US {
                    self.offer_us(end, steps);
                } else if self.fate.crash {
                    steps.push(Step::Crash(who));
                }
                hurried
            }
            Process::Stands(so_far) => {
                steps.push(Step::Wake(who));
                so_far >= self.fate.stall
            }
            Process::Suspended(so_far) => {
                steps.push(Step::Resume(who));
                so_far >= self.fate.suspend
            }
            Process::Crashed => false,
        }
    }

    /// What befalls this end alone.
    fn offer_us(&self, end: &End<D, L>, steps: &mut Vec<Step>) {
        let mut offer = |step: Step, may: bool| {
            if may {
                steps.push(step);
            }
        };
        let (fate, live) = (&self.fate, end.peer.liveness().is_live());
        let rested = end.rested >= fate.rest && live;
        offer(Step::Stall(US), fate.stall > 0 && rested);
        offer(Step::Suspend(US), fate.suspend > 0 && rested);
        offer(Step::Block(US), fate.block && !end.blocked && live);
        offer(Step::Unblock(US), end.blocked);
        offer(Step::PingDue(US), fate.ping_due && !self.sides[US].is_over(end.peer.liveness()));
        offer(Step::Drain(US), fate.ends && live);
        offer(Step::Close(US), fate.ends && live);
        offer(Step::Hold(US, true), end.ghost.holds < fate.holds);
        offer(Step::Hold(US, false), end.ghost.holds < fate.holds);
    }

    /// A driver reads before it ticks, unless it is late: then any order must do. Returns whether
    /// time must not pass.
    fn offer_tick(&self, state: &State<D, L>, who: usize, steps: &mut Vec<Step>) -> bool {
        let (end, side) = (&state.ends[who], &self.sides[who]);
        let Some(late_by) = end.overdue(side) else { return false };
        let late = late_by > u64::try_from(side.config.slack().as_nanos()).expect("small");
        if late || !self.unread(state, who) {
            steps.push(Step::Tick(who));
        }
        who != US || late_by >= u64::from(self.fate.late)
    }

    /// Whether the process has slept and not read yet what came in meanwhile.
    fn unread(&self, state: &State<D, L>, who: usize) -> bool {
        let waits =
            |packet: &Packet| packet.to == who && packet.written && packet.age >= self.fate.delay;
        self.fate.stall > 0 && state.ends[who].rested == 0 && state.packets.iter().any(waits)
    }

    fn offer_packet(&self, state: &State<D, L>, packet: Packet, steps: &mut Vec<Step>) -> bool {
        let (from, to) = (&state.ends[1 - packet.to], &state.ends[packet.to]);
        if !packet.written {
            let may = from.process == Process::Runs && !from.blocked;
            if may {
                steps.push(Step::Write(packet));
            }
            return may && packet.age >= self.fate.write;
        }
        if packet.age == 0 {
            if self.fate.loss.is_some_and(|rest| state.since_loss >= rest) {
                steps.push(Step::Lose(packet));
            }
            if self.fate.duplication && !packet.doubled {
                steps.push(Step::Double(packet));
            }
        }
        match to.process {
            Process::Runs => {
                steps.push(Step::Deliver(packet));
                packet.age >= self.fate.delay
            }
            // What comes in implies the resume.
            Process::Suspended(_) => {
                steps.push(Step::Deliver(packet));
                false
            }
            _ => false,
        }
    }

    pub(crate) fn after(&self, before: &State<D, L>, step: Step) -> State<D, L> {
        let mut state = before.clone();
        match step {
            Step::Pass => self.pass(&mut state),
            Step::Tick(who) => self.call(&mut state, who, Event::Tick),
            Step::Write(packet) => self.write(&mut state, packet),
            Step::Deliver(packet) => self.deliver(&mut state, packet),
            Step::Lose(packet) => {
                remove(&mut state.packets, packet);
                state.since_loss = 0;
            }
            Step::Double(packet) => {
                remove(&mut state.packets, packet);
                state.packets.extend([Packet { doubled: true, ..packet }; 2]);
            }
            Step::Stranger(who) => self.stranger(&mut state, who),
            Step::Forged(who) => self.forged(&mut state, who),
            Step::Data => self.send(&mut state, THEM, Kind::Data),
            Step::Crash(who) => {
                state.ends[who] = End::crashed(&self.fate, &self.sides[who]);
                state.packets.retain(|packet| packet.to != who && packet.written);
                state.packets.iter_mut().for_each(|packet| packet.outlive(who));
            }
            Step::Restart(who) => {
                state.ends[who] = End::next(&self.fate, &self.sides[who]);
                state.packets.retain(|packet| packet.to == who || packet.written);
                state.packets.iter_mut().for_each(|packet| packet.outlive(who));
            }
            Step::Stall(who) => state.ends[who].process = Process::Stands(0),
            Step::Wake(who) => Self::wake(&mut state, who),
            Step::Suspend(who) => {
                self.call(&mut state, who, Event::Suspend);
                state.ends[who].process = Process::Suspended(0);
            }
            Step::Resume(who) => {
                Self::wake(&mut state, who);
                let slept = core::time::Duration::ZERO;
                self.call(&mut state, who, Event::Resume { slept });
            }
            Step::Block(who) => {
                state.ends[who].blocked = true;
                self.call(&mut state, who, Event::TxBlocked);
            }
            Step::Unblock(who) => state.ends[who].blocked = false,
            Step::PingDue(who) => self.call(&mut state, who, Event::PingDue),
            Step::Drain(who) => self.call(&mut state, who, Event::Drain),
            Step::Close(who) => self.call(&mut state, who, Event::Close),
            Step::Hold(who, probe) => self.call(&mut state, who, Event::Hold { probe }),
        }
        state.packets.sort_unstable();
        state
    }

    pub(crate) fn wake(state: &mut State<D, L>, who: usize) {
        state.ends[who].process = Process::Runs;
        state.ends[who].rested = 0;
    }

    fn pass(&self, state: &mut State<D, L>) {
        state.since_loss = (state.since_loss + 1).min(self.fate.loss.unwrap_or(0));
        for packet in &mut state.packets {
            packet.grow_older(&self.fate, self.stamps);
        }
        for (end, side) in state.ends.iter_mut().zip(&self.sides) {
            let suspended = matches!(end.process, Process::Suspended(_));
            let overdue = end.overdue(side).is_some();
            if end.process == Process::Crashed {
                continue;
            }
            let broken = end.ghost.pass(side, end.peer.liveness(), suspended, overdue);
            end.pass(&self.fate, side);
            let early = self.early_tick(end, side);
            state.broken = state.broken.or(broken).or(early);
        }
    }
}
