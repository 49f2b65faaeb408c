//! Which endpoint is used: the switch, the panic, and the round robin.

use super::Failover;
use super::event::{Cause, Order, Orders, Standing};
use super::slot::Slot;
use crate::jitter;

/// How bad an endpoint is, least bad last (rule FO12): the answer, the standing, the score.
type Rank = ((bool, bool), u8);

impl<const N: usize> Failover<N> {
    /// The switch of this call, if any.
    pub(super) fn choose(&mut self, now: u64, out: &mut Orders<N>) {
        let blank = |slot: &Slot| !slot.is_in_pool() && !slot.is_young();
        let panic = self.slots().count() > 0 && self.slots().all(blank);
        if panic != self.panic {
            self.panic = panic;
            out.panic = Some(Order::Panic { on: panic });
        }
        let Some(active) = self.active else {
            let target = self.first_choice();
            return self.switch(target, Cause::Vacant, now, out);
        };
        self.watch(active, now);
        let Some(slot) = self.slots[active] else { return };
        if self.unsettled && slot.is_in_pool() {
            self.unsettled = false;
            self.held = Some(now.saturating_add(self.config.hold));
        }
        let held = self.held.is_some() || slot.is_young();
        if slot.has_failed(&self.config) {
            let (target, wait) = self.substitute(active);
            if target.is_some() {
                return self.switch(target, Cause::Failed, now, out);
            }
            if wait || !panic {
                return;
            }
        }
        if held {
            return;
        }
        if panic {
            let target = self.least_bad(active);
            self.switch(target, Cause::LeastBad, now, out);
        } else if !slot.is_in_pool() {
            let target = self.draw(Slot::is_sound);
            self.switch(target, Cause::Poor, now, out);
        } else {
            let least = slot.score(&self.config).saturating_add(self.config.margin);
            let others = self.slots.iter().enumerate().rev();
            let better = others
                .filter_map(|(at, slot)| Some((at, slot.as_ref()?)))
                .filter(|(at, slot)| *at != active && slot.is_sound())
                .map(|(at, slot)| (slot.score(&self.config), at))
                .filter(|(score, _)| *score >= least)
                .max_by_key(|(score, _)| *score);
            self.switch(better.map(|(_, at)| at), Cause::Better, now, out);
        }
    }

    /// FO8: when doubt about the active endpoint begins, everybody else is probed.
    fn watch(&mut self, active: usize, now: u64) {
        let Some(slot) = &self.slots[active] else { return };
        if !self.suspect && slot.run == 0 && !slot.has_failed(&self.config) {
            self.doubt = None;
        } else if self.doubt.is_none() {
            self.doubt = Some(now);
            for (at, slot) in self.slots.iter_mut().enumerate() {
                let Some(slot) = slot else { continue };
                let skipped = slot.is_quarantined() || (at == active && slot.run > 0);
                if !skipped {
                    slot.due = slot.due.min(now);
                }
            }
        }
    }

    /// FO10: whom to use now that the active one has failed, or else whether to wait for one.
    fn substitute(&mut self, active: usize) -> (Option<usize>, bool) {
        let id = self.slots[active].as_ref().map(|slot| slot.id);
        let since = self.doubt.unwrap_or(u64::MAX);
        let other = |slot: &Slot| Some(slot.id) != id;
        let fresh = |slot: &Slot| slot.is_sound() && slot.answered.is_some_and(|at| at >= since);
        if let Some(at) = self.draw(|slot| other(slot) && fresh(slot)) {
            return (Some(at), false);
        }
        if self.slots().any(|slot| other(slot) && slot.is_in_pool()) {
            return (None, true);
        }
        let usable = |slot: &Slot| other(slot) && slot.answers() && !slot.is_quarantined();
        let best =
            self.slots().filter(|slot| usable(slot)).fold(None, |best: Option<&Slot>, slot| {
                match best {
                    Some(best) if best.score(&self.config) >= slot.score(&self.config) => {
                        Some(best)
                    }
                    _ => Some(slot),
                }
            });
        (best.map(|slot| slot.id.slot()), false)
    }

    /// FO10: the choice where there is no active endpoint.
    fn first_choice(&mut self) -> Option<usize> {
        self.draw(Slot::is_sound)
            .or_else(|| self.draw(Slot::is_in_pool))
            .or_else(|| self.draw(Slot::is_young))
            .or_else(|| self.best_rank().map(|(at, _)| at))
    }

    /// FO12: another endpoint, if the active one is worse by more than a little.
    fn least_bad(&self, active: usize) -> Option<usize> {
        let (best, (kind, score)) = self.best_rank()?;
        let (own_kind, own_score) = self.rank(self.slots[active].as_ref()?);
        let least = own_score.saturating_add(self.config.margin);
        (kind > own_kind || kind == own_kind && score >= least).then_some(best)
    }

    fn rank(&self, slot: &Slot) -> Rank {
        ((slot.answers(), !slot.is_quarantined()), slot.score(&self.config))
    }

    fn best_rank(&self) -> Option<(usize, Rank)> {
        let ranks = self.slots().map(|slot| (slot.id.slot(), self.rank(slot)));
        ranks.fold(None, |best, next| match best {
            Some((_, rank)) if rank >= next.1 => best,
            _ => Some(next),
        })
    }

    fn switch(&mut self, to: Option<usize>, cause: Cause, now: u64, out: &mut Orders<N>) {
        let Some((at, slot)) = to.and_then(|at| Some((at, self.slots[at].as_ref()?))) else {
            return;
        };
        out.switch = Some(Order::Switch { from: self.route.replace(slot.id), to: slot.id, cause });
        // FO11: nobody clings to one that nothing is known of.
        self.unsettled = slot.is_young();
        self.held = (!self.unsettled).then_some(now.saturating_add(self.config.hold));
        self.active = Some(at);
        (self.suspect, self.doubt) = (false, None);
    }

    /// FO13: a seeded draw in proportion to the weights.
    fn draw(&mut self, among: impl Fn(&Slot) -> bool) -> Option<usize> {
        let total: u64 = self.slots().filter(|slot| among(slot)).map(Slot::weight).sum();
        if total == 0 {
            return None;
        }
        self.draws = self.draws.wrapping_add(1);
        let mut left = jitter::share(total, self.epoch, self.draws);
        let mut candidates = self.slots().filter(|slot| among(slot));
        candidates.find_map(|slot| {
            let hit = left < slot.weight();
            left = left.saturating_sub(slot.weight());
            hit.then_some(slot.id.slot())
        })
    }

    /// FO13: smooth weighted round robin.
    pub(super) fn round_robin(&mut self) -> Option<usize> {
        let suspect = if self.suspect { self.active } else { None };
        let sound = |slot: &Slot| slot.is_sound() && Some(slot.id.slot()) != suspect;
        let any_sound = self.slots().any(sound);
        let start = self.epoch as usize % N;
        let (mut best, mut total) = (None, 0);
        for at in (start..N).chain(0..start) {
            let Some(slot) = &mut self.slots[at] else { continue };
            if !(if any_sound { sound(slot) } else { slot.is_in_pool() }) {
                continue;
            }
            let weight = slot.spec.weight as i32;
            slot.credit += weight;
            total += weight;
            if best.is_none_or(|(_, credit)| slot.credit > credit) {
                best = Some((at, slot.credit));
            }
        }
        let Some((at, _)) = best else { return self.active };
        if let Some(slot) = &mut self.slots[at] {
            slot.credit -= total;
        }
        Some(at)
    }
}

impl Slot {
    fn weight(&self) -> u64 {
        self.spec.weight as u64
    }
}

/// A change of standing as it is told: from the beginning of a call to its end.
pub(super) fn change(slot: &Slot, from: Standing) -> Option<Order> {
    let told = from != slot.standing
        && !(matches!(from, Standing::Quarantined { .. }) && slot.standing == Standing::Out);
    told.then_some(Order::Standing { endpoint: slot.id, from, to: slot.standing })
}
