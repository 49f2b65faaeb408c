//! One peer's step in a [`Fleet`]: the rules, the schedule, the guard and the census, in this order.

use core::ops::ControlFlow;

use super::guard::{Counted, Suspect, convicts_by_silence};
use super::handle::Handle;
use super::sink::Sink;
use super::slab::Peer;
use super::wheel::Filing;
use super::{Fleet, Input};
use crate::action::Actions;
use crate::deadlines::{Deadlines, NEVER};
use crate::detector::Detector;
use crate::event::Event;
use crate::machine::{answer, beat, probe, step};
use crate::report::Before;
use crate::steady::Answered;
use crate::time::Timestamp;

/// What came of an event.
pub(super) enum Told {
    /// The handle names nobody.
    Nobody,
    /// It was a pong, and there is nothing to do.
    Answered(Answered),
    /// It was a beat, and there is nothing to do.
    Heard,
    Any(Actions),
}

impl Told {
    /// As a single machine answers.
    #[inline]
    pub(super) fn actions(self) -> Option<Actions> {
        let mut actions = Actions::default();
        match self {
            Self::Nobody => return None,
            Self::Answered(answered) => answered.tell(&mut actions),
            Self::Heard => actions.heard = true,
            Self::Any(actions) => return Some(actions),
        }
        Some(actions)
    }
}

impl<D: Detector> Fleet<D> {
    /// T1, for all peers at once.
    #[inline]
    pub(super) fn clamp(&mut self, now: Timestamp) -> u64 {
        if now.as_nanos() < self.now {
            self.census.count_regression();
        }
        self.now = self.now.max(now.as_nanos());
        self.now
    }

    /// A part of a batch; how many were taken, if the sink wants no more.
    #[inline(never)]
    pub(super) fn tell_all<S: Sink>(
        &mut self,
        inputs: &[Input],
        now: u64,
        sink: &mut S,
    ) -> ControlFlow<usize> {
        for (nth, input) in inputs.iter().enumerate() {
            let handle = input.handle;
            match self.tell(handle, &input.event, now) {
                Told::Nobody => sink.stale(handle),
                Told::Answered(_) | Told::Heard => {}
                Told::Any(actions) => {
                    if self.deliver(handle, actions, sink).is_break() {
                        return ControlFlow::Break(nth + 1);
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that the most frequent answer is never built")]
    pub(super) fn tell(&mut self, handle: Handle, event: &Event, now: u64) -> Told {
        let slot = self.slot_of(handle);
        let Some(Peer { record, profile }) = self.slab.find_mut(slot) else { return Told::Nobody };
        if record.epoch != handle.epoch() {
            return Told::Nobody;
        }
        if self.wheel.is_before(record.mark, now) {
            // The short-cuts of `step`, without a look at the deadlines before them.
            if let Event::PongReceived { id, hold, calm: false, .. } = *event {
                let config = &self.profiles[profile.index()];
                let mut state = record.newest();
                if let Some(answered) = answer(config, &mut state, id, hold, now) {
                    record.keep(&state);
                    self.census.record_answer(answered.rtt_micros);
                    let filing = self.wheel.wake_at(slot, answered.next, &mut record.mark);
                    self.file(slot, filing);
                    return Told::Answered(answered);
                }
            } else if self.hear(slot, event, now) {
                return Told::Heard;
            }
        } else if record.mark.is_vacant() {
            return Told::Nobody;
        }
        Told::Any(self.apply(slot, *event, now))
    }

    /// The short-cut for beats.
    #[inline(never)]
    fn hear(&mut self, slot: u32, event: &Event, now: u64) -> bool {
        if !matches!(event, Event::BeaconReceived { .. } | Event::PingReceived { .. }) {
            return false;
        }
        let Peer { record, profile } = self.slab.peer_mut(slot);
        let config = &self.profiles[profile.index()];
        let mut state = record.bare();
        let Some(next) = beat(config, &mut state, event, now) else { return false };
        record.keep(&state);
        let filing = self.wheel.wake_at(slot, next, &mut record.mark);
        self.file(slot, filing);
        self.census.record_beat(event);
        true
    }

    /// After an answer or a beat there is hardly ever an entry to make: out of line.
    #[inline]
    fn file(&mut self, slot: u32, filing: Option<Filing>) {
        if let Some(filing) = filing {
            self.file_any(slot, filing);
        }
    }

    #[inline(never)]
    fn file_any(&mut self, slot: u32, filing: Filing) {
        self.wheel.file(slot, filing, &mut self.slab);
    }

    /// The next `many` that are due, unless the sink wants no more.
    #[inline(never)]
    pub(super) fn tick_all<S: Sink>(
        &mut self,
        now: u64,
        many: usize,
        sink: &mut S,
    ) -> ControlFlow<()> {
        for _ in 0..many {
            let Some(slot) = self.batch.pop() else { break };
            self.tick(slot, now, sink)?;
        }
        ControlFlow::Continue(())
    }

    /// The slot is due.
    #[inline]
    pub(super) fn tick<S: Sink>(&mut self, slot: u32, now: u64, sink: &mut S) -> ControlFlow<()> {
        let Peer { record, profile } = self.slab.peer_mut(slot);
        if !record.mark.is_taken() {
            return ControlFlow::Continue(()); // Something has happened to it since.
        }
        let config = &self.profiles[profile.index()];
        // The other short-cut.
        let mut state = record.newest();
        let Some(probed) = probe(config, &mut state, now) else {
            return self.tick_any(slot, now, sink);
        };
        record.keep(&state);
        self.census.record_ping(now - probed.due, now, config);
        match self.wheel.wake_at(slot, probed.next, &mut record.mark) {
            Some(filing) if filing.leaves_none() => {
                self.wheel.enter(slot, filing, &mut self.slab);
            }
            filing => self.file(slot, filing),
        }
        let mut actions = Actions::default();
        actions.ping(probed.id, now);
        sink.take(self.name(slot, probed.id.epoch()), actions)
    }

    /// The same, without the short-cut.
    #[inline(never)]
    fn tick_any<S: Sink>(&mut self, slot: u32, now: u64, sink: &mut S) -> ControlFlow<()> {
        #[cfg(feature = "snapshot")]
        if self.is_held(slot, now) {
            return ControlFlow::Continue(());
        }
        let handle = self.name(slot, self.slab.epoch(slot));
        let actions = self.apply(slot, Event::Tick, now);
        self.deliver(handle, actions, sink)
    }

    /// FL1: the same step as a machine's.
    #[inline(never)]
    fn apply(&mut self, slot: u32, event: Event, now: u64) -> Actions {
        self.apply_any(slot, event, now, true)
    }

    /// `guarded`: a verdict by silence may be held.
    pub(super) fn apply_any(
        &mut self,
        slot: u32,
        event: Event,
        now: u64,
        guarded: bool,
    ) -> Actions {
        let mut actions = Actions::default();
        let config = &self.profiles[self.slab.profile(slot).index()];
        let old = self.slab.state(slot);
        let mut due = Deadlines::of(config, &old).first();
        let before = Before::of(&old, due);
        let mut state = old;
        step(config, &mut state, event, now, &mut due, &mut actions);
        if let Some(guard) = &mut self.guard {
            if before.due != NEVER && now > before.due.saturating_add(config.window) {
                guard.overslept(before.due, config.window, now);
            }
            if guarded && convicts_by_silence(&actions) {
                if let Some(probe) = guard.decide(Suspect::of(slot, config, &old), now) {
                    return self.hold(slot, probe, event, now);
                }
            }
            guard.count(slot, Counted::of(config, &old), Counted::of(config, &state), now);
        }
        self.slab.set_state(slot, &state);
        self.wheel.set(slot, due, &mut self.slab);
        self.census.record(config, &state, before, &event, now, &actions);
        actions
    }

    #[inline]
    pub(super) fn deliver<S: Sink>(
        &mut self,
        handle: Handle,
        actions: Actions,
        sink: &mut S,
    ) -> ControlFlow<()> {
        self.tell_of_guard(sink);
        if actions.is_empty() {
            return ControlFlow::Continue(());
        }
        if let (Some(_), Some(report)) = (actions.transition(), self.census.last_report()) {
            sink.changed(handle, report);
        }
        sink.take(handle, actions)
    }

    pub(super) fn reschedule(&mut self, slot: u32) {
        let config = &self.profiles[self.slab.profile(slot).index()];
        let due = Deadlines::of(config, &self.slab.state(slot)).first();
        self.wheel.set(slot, due, &mut self.slab);
    }
}
