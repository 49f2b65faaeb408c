//! One peer's step in a [`Fleet`]: the rules, the schedule, the guard and the census, in this order.

use core::ops::ControlFlow;

use super::Fleet;
use super::guard::{Counted, Suspect, convicts_by_silence};
use super::handle::Handle;
use super::sink::Sink;
use super::wheel::Standing;
use crate::action::Actions;
use crate::deadlines::{Deadlines, NEVER};
use crate::detector::Detector;
use crate::event::Event;
use crate::machine::{answer, probe, step};
use crate::report::Before;
use crate::time::Timestamp;

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

    /// `None`: the handle names nobody.
    #[inline]
    pub(super) fn tell(&mut self, handle: Handle, event: &Event, now: u64) -> Option<Actions> {
        let slot = self.slot_of(handle);
        if slot as usize >= self.slab.slots() {
            return None;
        }
        let (state, profile) = self.slab.peer_mut(slot);
        let standing = self.wheel.standing(slot, now);
        if state.epoch() != handle.epoch() || standing == Standing::Vacant {
            return None;
        }
        if let (Event::PongReceived { id, hold, calm: false, .. }, Standing::NotDue) =
            (*event, standing)
        {
            // The short-cut of `step`, without a look at the deadlines before it.
            let config = &self.profiles[profile.index()];
            if let Some(answered) = answer(config, state, id, hold, now) {
                self.census.record_answer(answered.rtt_micros);
                self.wheel.set(slot, answered.next);
                let mut actions = Actions::default();
                answered.tell(&mut actions);
                return Some(actions);
            }
        }
        Some(self.apply(slot, *event, now))
    }

    /// The slot is due.
    #[inline]
    pub(super) fn tick<S: Sink>(&mut self, slot: u32, now: u64, sink: &mut S) -> ControlFlow<()> {
        let (state, profile) = self.slab.peer_mut(slot);
        let config = &self.profiles[profile.index()];
        let handle = Handle::new(self.base | slot, state.epoch());
        // The other short-cut.
        if let Some(probed) = probe(config, state, now) {
            self.census.record_ping(now - probed.due, now, config);
            self.wheel.set(slot, probed.next);
            let mut actions = Actions::default();
            actions.ping(probed.id, now);
            return sink.take(handle, actions);
        }
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
        let (state, profile) = self.slab.peer_mut(slot);
        let config = &self.profiles[profile.index()];
        let mut due = Deadlines::of(config, state).first();
        let before = Before::of(state, due);
        let old = self.guard.is_some().then_some(*state);
        step(config, state, event, now, &mut due, &mut actions);
        if let (Some(guard), Some(old)) = (&mut self.guard, old) {
            if before.due != NEVER && now > before.due.saturating_add(config.window) {
                guard.overslept(before.due, now);
            }
            if guarded && convicts_by_silence(&actions) {
                if let Some(probe) = guard.decide(Suspect::of(slot, config, &old), now) {
                    *state = old;
                    return self.hold(slot, probe, event, now);
                }
            }
            guard.count(slot, Counted::of(config, &old), Counted::of(config, state), now);
        }
        self.wheel.set(slot, due);
        self.census.record(config, state, before, &event, now, &actions);
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
        let (state, profile) = self.slab.peer_mut(slot);
        let due = Deadlines::of(&self.profiles[profile.index()], state).first();
        self.wheel.set(slot, due);
    }

    /// Brings the records of these slots near, all at the same time.
    #[inline]
    pub(super) fn touch(&self, slots: impl Iterator<Item = u32>) {
        let all = self.slab.slots();
        let known = slots.filter(|slot| (*slot as usize) < all);
        core::hint::black_box(known.fold(0, |sum, slot| {
            sum ^ self.slab.touch(slot) ^ u64::from(self.wheel.is_vacant(slot))
        }));
    }
}
