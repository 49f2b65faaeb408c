//! Slots with a wake-up each, in a [`Wheel`] and in a [`BTreeSet`].

use core::ops::Range;
use std::collections::BTreeSet;

use super::wheel::{Batch, CHUNK, Mark, Marks, Wheel};
use crate::deadlines::NEVER;
use crate::rng::Rng;

struct All(Vec<Mark>);

impl Marks for All {
    fn fetch(&self, _: u32) {}

    fn mark(&self, slot: u32) -> Mark {
        self.0[slot as usize]
    }

    fn mark_mut(&mut self, slot: u32) -> &mut Mark {
        &mut self.0[slot as usize]
    }
}

/// Times are steps: a step is one nanosecond.
struct Model {
    wheel: Wheel,
    marks: All,
    /// When each slot is due; `None`: it is not.
    due: Vec<Option<u64>>,
    naive: BTreeSet<(u64, u32)>,
    now: u64,
    rng: Rng,
}

impl Model {
    /// A wake-up further ahead is looked at so many steps ahead.
    const FURTHEST: u64 = 65_535;

    fn new(seed: u64, now: u64) -> Self {
        let (marks, due, naive) = (All(Vec::new()), Vec::new(), BTreeSet::new());
        Self { wheel: Wheel::new(1, now), marks, due, naive, now, rng: Rng(seed) }
    }

    fn grow(&mut self) {
        let slots = self.due.len() + CHUNK;
        self.marks.0.resize(slots, Mark::vacant());
        self.due.resize(slots, None);
        self.wheel.reserve(slots);
    }

    fn forget(&mut self, slot: u32) {
        if let Some(due) = self.due[slot as usize].take() {
            self.naive.remove(&(due, slot));
        }
    }

    fn set(&mut self, slot: u32, due: u64) {
        self.forget(slot);
        self.wheel.set(slot, due, &mut self.marks);
        if due != NEVER {
            // All steps before `now` are over, and done with.
            let due = due.clamp(self.now, self.now + Self::FURTHEST);
            self.due[slot as usize] = Some(due);
            self.naive.insert((due, slot));
        }
    }

    /// What peers and their going and coming can do to a slot.
    fn touch(&mut self, slot: u32) {
        let was = self.due[slot as usize].unwrap_or(self.now + 4000);
        let due = match self.rng.below(12) {
            // A ping in between, and its answer: forward, and back to the very step.
            0..=4 => {
                let soon = self.now + self.rng.below(6);
                self.set(slot, soon.min(was));
                was
            }
            5 => was.saturating_sub(self.rng.below(200)),
            // Few steps, which all come back to.
            6 | 7 => (self.now / 1024 + self.rng.below(5)) * 1024,
            8 => self.now + self.rng.below(4 * Self::FURTHEST),
            9 => NEVER,
            10 => {
                self.forget(slot);
                return self.marks.mark_mut(slot).vacate();
            }
            _ => self.now + self.rng.below(8000),
        };
        self.set(slot, due);
    }

    /// Time goes on, in pieces: each is found in its step, and nobody else. (By less than a mark can
    /// tell, so that what is set before all is done is not looked at too soon.)
    fn pass(&mut self, steps: u64) {
        self.now += steps;
        let mut batch = Batch::new();
        loop {
            let next = self.wheel.next();
            if let Some((due, _)) = self.naive.first() {
                assert!(next.is_some_and(|next| next <= due + 1), "FL5: {next:?}, {due}");
            }
            let mut look = self.rng.below(100) as usize + 1;
            let more = self.wheel.take(self.now, &mut batch, &mut look, &mut self.marks);
            let nothing = batch.is_empty();
            while let Some(slot) = batch.pop() {
                let due = self.due[slot as usize];
                assert!(due.is_some_and(|due| due < self.now), "{slot}, {due:?}: {}", self.now);
                assert!(self.marks.mark(slot).is_taken());
                self.forget(slot);
                if self.rng.below(10) > 0 {
                    let due = self.now + 1 + self.rng.below(5000);
                    self.set(slot, due);
                }
            }
            if nothing && !more {
                break;
            }
        }
        let first = self.naive.first();
        assert!(first.is_none_or(|(due, _)| *due >= self.now), "{first:?} was forgotten");
    }

    /// Whoever waits has a valid entry: not only if it is met in time.
    fn check(&self) {
        let mut valid = self.wheel.valid(&self.marks);
        valid.sort_unstable();
        let mut waiting = self.naive.iter().map(|(_, slot)| slot);
        assert!(waiting.all(|slot| valid.binary_search(slot).is_ok()), "no valid entry");
    }

    /// So many of its slots are touched, a few neighbours at a time.
    fn play(&mut self, rounds: u64, hot: u64, often: u64, most: u64) {
        for round in 0..rounds {
            let slots = self.due.len() as u64;
            let slot = (round / hot * 7 + self.rng.below(hot)) % slots;
            self.touch(slot as u32);
            if self.rng.below(100) == 0 {
                self.check();
            }
            if self.rng.below(often) == 0 {
                let steps = self.rng.below(most);
                self.pass(steps);
            }
            if self.rng.below(rounds / 3) == 0 {
                self.grow();
            }
        }
    }
}

/// Few slots or many, few steps or all, time that hardly goes on and time that leaps.
fn play(worlds: Range<u64>) {
    for seed in worlds {
        let of = |each: [u64; 3], nth: u64| each[(seed / nth % 3) as usize];
        let mut model = Model::new(seed, seed * 1_000_003);
        (0..=seed % 4).for_each(|_| model.grow());
        model.play(15_000, of([1, 30, 2000], 1), of([3, 200, 4000], 3), of([3, 600, 50_000], 9));
        (0..2).for_each(|_| model.pass(Model::FURTHEST / 2 + 1));
    }
}

/// FL3, FL5, FL7.
#[test]
fn each_slot_is_found_in_its_step() {
    play(0..27);
}

/// FL5, FL7: peers that were all put in at one moment, and are heard all the time, are not all filed again
/// at one moment.
#[test]
fn those_who_are_due_beyond_the_ring_are_met_a_few_at_a_time() {
    const DUE: u64 = 60_000;
    let mut model = Model::new(0, 0);
    (0..64).for_each(|_| model.grow());
    let slots = model.due.len();
    (0..slots).for_each(|slot| model.wheel.set(slot as u32, DUE, &mut model.marks));
    let (mut batch, mut most) = (Batch::new(), 0);
    for now in 0..=DUE {
        let mut look = slots;
        assert!(!model.wheel.take(now, &mut batch, &mut look, &mut model.marks));
        assert!(batch.is_empty());
        most = most.max(slots - look);
    }
    assert!(most <= 4 * CHUNK, "{most} in one step");
    model.wheel.take(DUE + 1, &mut batch, &mut 1, &mut model.marks);
    assert!(!batch.is_empty(), "they were forgotten");
}

/// FL7: wake-ups that only ever come forward, in the order in which they lie, so that no entry can be
/// taken back. The broom has to keep up, and to go on where all of a bucket is stale.
#[test]
fn entries_that_become_stale_are_swept_in_time() {
    for burst in [1, 18, 19, 20, CHUNK as u64] {
        let mut model = Model::new(burst, 0);
        model.grow();
        for round in 0..300 {
            for slot in 0..CHUNK as u64 {
                // So many of each bucket's come forward together, to one of them.
                model.set(slot as u32, 4000 - round - slot / burst % 7);
            }
        }
        model.check();
    }
}

#[test]
#[ignore = "minutes: tests/long.sh random"]
fn each_slot_is_found_in_its_step_of_many_worlds() {
    play(27..20_000);
}
