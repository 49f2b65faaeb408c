//! The guard's place in the [`Fleet`]: how it is set up, and how a hold is told.

use alloc::boxed::Box;

use super::Fleet;
use super::guard::{Counted, Doubt, Guard, GuardConfig, GuardError, GuardReport};
use super::handle::{Handle, StaleHandle};
use super::sink::Sink;
use super::wheel::CHUNK;
use crate::action::Actions;
use crate::detector::Detector;
use crate::event::Event;
use crate::ledger::Echo;
use crate::state::PeerState;

impl<D: Detector> Fleet<D> {
    /// From now on, when many peers fall silent together, their path or this host is doubted before
    /// them: see [`GuardConfig`]. All peers are in group 0 until
    /// [`set_group`](Self::set_group) says otherwise. A guard that was set before is forgotten, with
    /// its groups. Takes two bytes a peer, and time for each peer that there is.
    ///
    /// Where a call comes more than a response window after the [`next_deadline`](Self::next_deadline),
    /// nobody was there to hear: the silent are asked anew, and that time puts verdicts off, beyond
    /// `hold_most` (rule GD8). So call [`advance`](Self::advance) in time.
    ///
    /// # Errors
    ///
    /// The configuration cannot work.
    pub fn set_guard(&mut self, config: GuardConfig) -> Result<(), GuardError> {
        config.check()?;
        let mut guard = Box::new(Guard::new(config));
        for _ in 0..self.slab.slots() / CHUNK {
            guard.grow();
        }
        for (handle, state) in self.iter() {
            let config = &self.profiles[self.slab.profile(handle.place()).index()];
            let standing = Counted::of(config, &state);
            guard.count(handle.place(), Counted::default(), standing, self.now);
        }
        self.guard = Some(guard);
        Ok(())
    }

    /// Each peer is judged by itself again, by its own next deadline.
    pub fn remove_guard(&mut self) {
        self.guard = None;
    }

    /// What this peer shares with others: a zone, a network, a class of devices; 0 at first. Use
    /// small numbers: there is an entry for each up to the largest. Without a guard nothing is kept.
    ///
    /// # Errors
    ///
    /// The handle names no peer.
    pub fn set_group(&mut self, handle: Handle, group: u16) -> Result<(), StaleHandle> {
        let state = self.peer(handle)?;
        let config = &self.profiles[self.slab.profile(handle.place()).index()];
        if let Some(guard) = &mut self.guard {
            guard.set_group(handle.place(), group, Counted::of(config, &state), self.now);
        }
        Ok(())
    }

    /// The group of a peer; `None` without a guard.
    ///
    /// # Errors
    ///
    /// The handle names no peer.
    pub fn group(&self, handle: Handle) -> Result<Option<u16>, StaleHandle> {
        self.find(handle)?;
        Ok(self.guard.as_ref().map(|guard| guard.group(handle.place())))
    }

    /// How a group, or the whole fleet, stands now. `None`: there is no guard, or no such group.
    pub fn guard_report(&self, doubt: Doubt) -> Option<GuardReport> {
        self.guard.as_ref()?.report(doubt)
    }

    /// What the guard told the peer of the last [`handle`](Self::handle), before the event of that
    /// call: [`Event::Hold`]. (Elsewhere [`Sink::held`] is told.)
    pub fn last_hold(&self) -> Option<Event> {
        self.held.map(|(_, event)| event)
    }

    /// Puts the verdict off that `event` would have brought, and then tells the event (rule GD3).
    #[cold]
    pub(super) fn hold(&mut self, slot: u32, probe: bool, event: Event, now: u64) -> Actions {
        let hold = Event::Hold { probe };
        self.held = Some((self.name(slot, self.slab.epoch(slot)), hold));
        let first = self.apply_any(slot, hold, now, false);
        match event {
            Event::Tick => first,
            _ => first.followed_by(&self.apply_any(slot, event, now, false)),
        }
    }

    /// A peer is replaced, or taken out.
    pub(super) fn recount(
        &mut self,
        slot: u32,
        old: &PeerState<D, Echo>,
        new: Option<&PeerState<D, Echo>>,
    ) {
        let config = &self.profiles[self.slab.profile(slot).index()];
        if let Some(guard) = &mut self.guard {
            let new = new.map_or(Counted::default(), |new| Counted::of(config, new));
            guard.count(slot, Counted::of(config, old), new, self.now);
        }
    }

    /// Tells the sink what the guard did.
    #[inline]
    pub(super) fn tell_of_guard<S: Sink>(&mut self, sink: &mut S) {
        let Some(guard) = &mut self.guard else { return };
        if let Some((handle, event)) = self.held.take() {
            sink.held(handle, event);
        }
        while let Some(report) = guard.take_news() {
            sink.guarded(&report);
        }
    }
}
