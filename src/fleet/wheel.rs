//! [`Wheel`]: which slots to look at, and when. It knows nothing of peers.
//!
//! Time is cut into steps of a power of two of nanoseconds, and [`BUCKETS`] of them lie ahead in a
//! ring. A bucket is a chain of blocks of slot numbers, so that a bucket that is due is read as
//! whole cache lines, and no record is touched to find the next one.
//!
//! Two marks a slot make it lazy. `filed` is the bucket with the slot's one valid entry; an entry
//! found in any other bucket is stale, and dropped. `wake` is the step in which the slot is really
//! due. A pong moves `wake` and nothing else; when the entry is met it is filed again, by the marks
//! alone. Only a wake-up *earlier* than the entry files a second one, and leaves a stale one behind,
//! unless that is the last of its bucket and can be taken back.
//! Each of them pays for the sweeping of a few blocks, so that there are never many
//! ([`stale_limit`]): nobody can fill the memory by what it makes us put forward.
//!
//! A slot that comes back to a bucket where it has left a stale entry would have two valid ones there.
//! So each block has a bit that is turned over whenever the broom has been at it ([`TURNED`]), and
//! so has the mark: an entry is valid where both are alike. When the broom keeps an entry it turns the
//! bit of its mark, and a second one of the slot that it comes to later in the round is stale.

use alloc::boxed::Box;

use super::blocks::{Block, Blocks, NO_BLOCK};
use crate::deadlines::NEVER;

/// Steps for which there are buckets: a power of two. What is due later is met in the last eighth of
/// them ([`reach`]), and filed again.
pub(crate) const BUCKETS: usize = 4096;
const LAST: u64 = BUCKETS as u64 - 1;

/// Slots are numbered in three bytes.
pub(crate) const MOST_SLOTS: usize = 1 << 24;

/// Slots for which room is made at once.
pub(crate) const CHUNK: usize = 1024;

/// What the wheel wants kept for each slot; at first the slot is vacant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The last sixteen bits of the step of the wake-up, while the slot is [`WAITS`].
    wake: u16,
    /// The label of the block with the valid entry, or [`UNFILED`]; and how the slot stands.
    filed: u16,
}

/// Where the marks are: beside what else there is of a slot, so that one look finds both.
pub(super) trait Marks {
    /// Asks for what there is of the slot, without waiting for it.
    fn fetch(&self, slot: u32);
    fn mark(&self, slot: u32) -> Mark;
    fn mark_mut(&mut self, slot: u32) -> &mut Mark;
}

/// The furthest step of a wake-up: what is due later is looked at then.
const FURTHEST: u64 = u16::MAX as u64;

/// The label of a block: its bucket, and whether the broom has been at it an odd number of times.
const LABEL: u16 = 4 * BUCKETS as u16 - 1;
const TURNED: u16 = 2 * UNFILED;
const UNFILED: u16 = BUCKETS as u16;

/// A label and one of these are a `u16`.
const STANDING: u16 = !LABEL;
const WAITS: u16 = 0;
/// It was taken in a batch, and nobody has said yet when it is due again.
const TAKEN: u16 = LABEL + 1;
const NEVER_DUE: u16 = 2 * TAKEN;
const VACANT: u16 = 3 * TAKEN;

impl Mark {
    pub(super) const fn vacant() -> Self {
        Self { wake: 0, filed: VACANT | UNFILED }
    }

    #[inline]
    pub(super) const fn is_vacant(self) -> bool {
        self.stands() == VACANT
    }

    /// Whether the slot is due, by a batch, and nothing was said of it since.
    #[inline]
    pub(super) const fn is_taken(self) -> bool {
        self.stands() == TAKEN
    }

    /// The slot is free; its entry is dropped when it is met.
    pub(super) const fn vacate(&mut self) {
        self.stand(VACANT);
    }

    #[inline]
    const fn stands(self) -> u16 {
        self.filed & STANDING
    }

    #[inline]
    const fn stand(&mut self, standing: u16) {
        self.filed = self.label() | standing;
    }

    /// The label of the block with the valid entry, or [`UNFILED`].
    #[inline]
    const fn label(self) -> u16 {
        self.filed & LABEL
    }

    /// How many steps the wake-up lies after `hand`.
    #[inline]
    const fn ahead(self, hand: u64) -> u64 {
        self.wake.wrapping_sub(hand as u16) as u64
    }
}

/// An entry that is to be made.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub(super) struct Filing {
    bucket: u16,
    /// The label of the block where there is an entry already, later: a stale one from now on. Or
    /// [`UNFILED`].
    stale: u16,
}

impl Filing {
    /// Whether no entry becomes stale: then nothing but [`Wheel::enter`] is to be done.
    #[inline]
    pub(super) const fn leaves_none(self) -> bool {
        self.stale == UNFILED
    }
}

/// Slots that are due, in the order in which they were found.
#[derive(Debug)]
pub(crate) struct Batch {
    slots: [u32; Self::MOST],
    end: usize,
    taken: usize,
}

impl Batch {
    /// So many are found before the first is handled.
    pub(crate) const MOST: usize = 48;

    pub(crate) const fn new() -> Self {
        Self { slots: [0; Self::MOST], end: 0, taken: 0 }
    }

    /// How many are left.
    pub(crate) const fn len(&self) -> usize {
        self.end - self.taken
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<u32> {
        let slot = *self.slots[..self.end].get(self.taken)?;
        self.taken += 1;
        Some(slot)
    }

    #[inline]
    fn push(&mut self, slot: u32) {
        let at = self.end;
        self.slots[at] = slot;
        self.end = at + 1;
    }

    const fn room(&self) -> usize {
        Self::MOST - self.end
    }
}

#[derive(Debug)]
pub(crate) struct Wheel {
    /// The step is `1 << shift` nanoseconds.
    shift: u32,
    /// The number of the first step that is not emptied yet.
    hand: u64,
    /// The first block of each bucket; only the first may be less than full.
    heads: Box<[u32; BUCKETS]>,
    /// The buckets that have a block.
    used: Box<[u64; BUCKETS / 64]>,
    blocks: Blocks,
    /// The block whose slots have been fetched.
    near: u32,
    /// The next block to be swept; those with smaller numbers were, in this round.
    broom: u32,
    /// The most entries there can be.
    room: usize,
}

impl Wheel {
    /// With the longest step of at most `step` nanoseconds.
    pub(crate) fn new(step: u64, now: u64) -> Self {
        let shift = step.max(1).ilog2();
        Self {
            shift,
            hand: now >> shift,
            heads: Box::new([NO_BLOCK; BUCKETS]),
            used: Box::new([0; BUCKETS / 64]),
            blocks: Blocks::default(),
            near: NO_BLOCK,
            broom: 0,
            room: 0,
        }
    }

    /// The step, in nanoseconds.
    pub(crate) const fn step(&self) -> u64 {
        1 << self.shift
    }

    /// Room for the entries of so many slots in all. Nothing else allocates.
    pub(crate) fn reserve(&mut self, slots: usize) {
        self.room = slots + stale_limit(slots);
        // All blocks full but the first of each bucket.
        self.blocks.reserve(self.room.div_ceil(Block::MOST) + BUCKETS.min(self.room));
    }

    /// Whether the slot waits for a wake-up that lies after the present step.
    #[inline]
    pub(super) fn is_before(&self, mark: Mark, now: u64) -> bool {
        mark.stands() == WAITS && self.hand + mark.ahead(self.hand) > now >> self.shift
    }

    /// The slot is due at `due`, or never ([`NEVER`]). What is returned is to be [filed](Self::file)
    /// before anything else.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "part of every pong")]
    pub(super) fn wake_at(&self, slot: u32, due: u64, mark: &mut Mark) -> Option<Filing> {
        if due == NEVER {
            mark.stand(NEVER_DUE);
            return None;
        }
        let ahead = (due >> self.shift).saturating_sub(self.hand).min(FURTHEST);
        mark.wake = (self.hand + ahead) as u16;
        let label = mark.label();
        if label != UNFILED && distance(self.hand, label) <= ahead {
            mark.filed = WAITS | label; // It is met in time.
            return None;
        }
        let bucket = self.bucket(reach(slot, ahead));
        mark.filed = WAITS | bucket;
        Some(Filing { bucket, stale: label })
    }

    /// Makes the entry. If another one becomes stale, takes it back or pays for it.
    pub(super) fn file(&mut self, slot: u32, filing: Filing, marks: &mut impl Marks) {
        let taken_back = filing.leaves_none() || self.take_back(slot, filing.stale);
        self.enter(slot, filing, marks);
        if !taken_back {
            for _ in 0..SWEEPS {
                self.sweep(marks);
            }
        }
    }

    /// Drops the entry of this slot if it is the bucket's last: that of a peer that is started as
    /// soon as it is inserted. (Or a stale one of its: then the other is stale, and paid for.) False: it
    /// is not.
    #[inline(never)]
    fn take_back(&mut self, slot: u32, label: u16) -> bool {
        let head = self.heads[label as usize % BUCKETS];
        let found = self.blocks.last(head) == Some(slot);
        if found {
            self.drop_last(label);
        }
        found
    }

    /// [`wake_at`](Self::wake_at), and all that comes of it.
    pub(super) fn set(&mut self, slot: u32, due: u64, marks: &mut impl Marks) {
        if let Some(filing) = self.wake_at(slot, due, marks.mark_mut(slot)) {
            self.file(slot, filing, marks);
        }
    }

    /// Fills `batch` with slots that are due in steps that have ended by `now`, looking at about
    /// `look` entries at most; tells whether there may be more.
    #[inline(never)]
    pub(super) fn take(
        &mut self,
        now: u64,
        batch: &mut Batch,
        look: &mut usize,
        marks: &mut impl Marks,
    ) -> bool {
        let end = now >> self.shift;
        (batch.end, batch.taken) = (0, 0);
        while self.hand < end {
            let bucket = self.bucket(0);
            let head = self.heads[bucket as usize % BUCKETS];
            if head == NO_BLOCK {
                self.hand = match self.next_used() {
                    Some(ahead) => end.min(self.hand + ahead),
                    None => end,
                };
                continue;
            }
            if batch.room() < Block::MOST || *look == 0 {
                return true;
            }
            let block = *self.blocks.get(head);
            *look = look.saturating_sub(block.len as usize);
            self.unlink(bucket, head, block.next);
            self.fetch_ahead(head, &block, marks);
            self.meet_all(&block, batch, marks);
        }
        false
    }

    /// While this block's slots are met, the next one's come near, and the block after it.
    #[inline]
    fn fetch_ahead(&mut self, number: u32, block: &Block, marks: &impl Marks) {
        if self.near != number {
            block.iter().for_each(|slot| marks.fetch(slot));
        }
        self.near = block.next;
        if block.next != NO_BLOCK {
            let next = self.blocks.get(block.next);
            next.iter().for_each(|slot| marks.fetch(slot));
            self.blocks.fetch(next.next);
        }
    }

    /// What a block of the step at the hand has: into the batch, or filed again.
    #[inline]
    fn meet_all(&mut self, block: &Block, batch: &mut Batch, marks: &mut impl Marks) {
        let (mut slots, mut buckets, mut count) = ([0; Block::MOST], [0; Block::MOST], 0);
        for slot in block.iter() {
            if let Some(bucket) = self.meet(slot, block.label, batch, marks.mark_mut(slot)) {
                self.blocks.fetch(self.heads[bucket as usize % BUCKETS]);
                (slots[count], buckets[count]) = (slot, bucket);
                count += 1;
            }
        }
        for (slot, bucket) in slots[..count].iter().zip(&buckets[..count]) {
            self.enter_bucket(*slot, *bucket, marks);
        }
    }

    /// An entry of the step at the hand: into the batch if it is due. The bucket, if it is later.
    #[inline]
    fn meet(&self, slot: u32, label: u16, batch: &mut Batch, mark: &mut Mark) -> Option<u16> {
        if mark.filed == WAITS | label {
            let ahead = mark.ahead(self.hand);
            if ahead == 0 {
                mark.filed = TAKEN | UNFILED;
                batch.push(slot);
            } else {
                let bucket = self.bucket(reach(slot, ahead));
                mark.filed = WAITS | bucket;
                return Some(bucket);
            }
        } else if mark.label() == label {
            mark.filed = mark.stands() | UNFILED;
        } // Else it is stale.
        None
    }

    /// The end of the first step with an entry: not later than anything is due. `None`: nothing is.
    pub(crate) fn next(&self) -> Option<u64> {
        let here = self.heads[self.bucket(0) as usize] != NO_BLOCK;
        let ahead = if here { 0 } else { self.next_used()? };
        let end = (self.hand + ahead).saturating_add(1).checked_mul(self.step());
        Some(end.unwrap_or(u64::MAX)) // The last step of all.
    }

    /// How many steps after the hand the next bucket with an entry lies.
    fn next_used(&self) -> Option<u64> {
        let words = self.used.len();
        let first = self.hand as usize % BUCKETS;
        // The hand's own word twice: what lies after the hand in it, and what lies before.
        for turn in 0..=words {
            let at = (first / 64 + turn) % words;
            let mut word = self.used[at];
            if turn == 0 {
                word &= !(u64::MAX >> (63 - first % 64)); // Not the hand itself.
            }
            if word != 0 {
                let bucket = at * 64 + word.trailing_zeros() as usize;
                return Some(((bucket + BUCKETS - first) % BUCKETS) as u64).filter(|n| *n != 0);
            }
        }
        None
    }

    // ----- Entries -----

    /// The last part of [`file`](Self::file), or all of it.
    #[inline]
    pub(super) fn enter(&mut self, slot: u32, filing: Filing, marks: &mut impl Marks) {
        self.enter_bucket(slot, filing.bucket, marks);
    }

    /// Into the bucket's first block; into a new one if that is full.
    #[inline]
    fn enter_bucket(&mut self, slot: u32, bucket: u16, marks: &mut impl Marks) {
        let head = self.heads[bucket as usize % BUCKETS];
        let label = match self.blocks.push(head, slot) {
            Some(label) => label,
            None => self.enter_new_block(slot, bucket, head),
        };
        if label != bucket {
            marks.mark_mut(slot).filed |= TURNED;
        }
    }

    #[inline(never)]
    fn enter_new_block(&mut self, slot: u32, bucket: u16, next: u32) -> u16 {
        self.used[bucket as usize / 64 % (BUCKETS / 64)] |= 1 << (bucket % 64);
        let head = self.blocks.take(bucket, next);
        self.heads[bucket as usize % BUCKETS] = head;
        let _ = self.blocks.push(head, slot);
        self.blocks.get(head).label
    }

    /// Drops the bucket's last entry: that of its first block.
    fn drop_last(&mut self, label: u16) {
        let head = self.heads[label as usize % BUCKETS];
        let block = self.blocks.get_mut(head);
        block.len -= 1;
        if block.len == 0 {
            let next = block.next;
            self.unlink(label % UNFILED, head, next);
        }
    }

    /// The bucket's first block is free; `next` is the first.
    #[inline]
    fn unlink(&mut self, bucket: u16, head: u32, next: u32) {
        self.blocks.free(head);
        self.heads[bucket as usize % BUCKETS] = next;
        if next == NO_BLOCK {
            self.used[bucket as usize / 64 % (BUCKETS / 64)] &= !(1 << (bucket % 64));
        }
    }

    /// Drops what is stale in the next block, by the last entry of its bucket in its place, and turns
    /// the block over. That last one may be stale as well. So that no call takes long, however many lie
    /// together, it drops a block's worth and leaves the rest to the next sweep.
    fn sweep(&mut self, marks: &mut impl Marks) {
        let (mut at, mut left) = (0, Block::MOST);
        loop {
            let block = self.blocks.get(self.broom);
            if at >= block.len as usize {
                break;
            }
            let (mark, label) = (marks.mark_mut(block.slot(at)), block.label);
            if mark.label() == label {
                mark.filed ^= TURNED;
                at += 1;
                continue;
            }
            if left == 0 {
                return self.turn_back(at, marks);
            }
            left -= 1;
            let head = self.heads[label as usize % BUCKETS];
            if let Some(last) = self.blocks.last(head) {
                self.blocks.get_mut(self.broom).put(at, last);
                self.drop_last(label);
                at += usize::from(head < self.broom); // Its block was turned in this round.
            }
        }
        self.blocks.get_mut(self.broom).label ^= TURNED;
        self.broom += 1;
        if self.broom >= self.blocks.made() {
            self.broom = 0;
            debug_assert!(self.entries() <= self.room, "more than there is room for");
        }
    }

    /// The sweep is not finished: the marks of the entries that it has kept, the first `many` of its
    /// block, are as that block is again. (One that came from a swept block may have a copy there,
    /// which is stale from now on in its place.)
    #[inline(never)]
    fn turn_back(&mut self, many: usize, marks: &mut impl Marks) {
        let block = self.blocks.get(self.broom);
        for slot in block.iter().take(many) {
            let mark = marks.mark_mut(slot);
            if mark.label() == block.label ^ TURNED {
                mark.filed ^= TURNED;
            }
        }
    }

    fn entries(&self) -> usize {
        (0..self.blocks.made()).map(|block| self.blocks.get(block).len as usize).sum()
    }

    /// The slots of all valid entries, as they lie. For tests: each that waits is there.
    #[cfg(test)]
    #[allow(dead_code, reason = "the test `wheel` alone asks")]
    pub(super) fn valid(&self, marks: &impl Marks) -> alloc::vec::Vec<u32> {
        let blocks = (0..self.blocks.made()).map(|block| self.blocks.get(block));
        let entries = blocks.flat_map(|block| block.iter().map(|slot| (slot, block.label)));
        let valid = entries.filter(|(slot, label)| marks.mark(*slot).label() == *label);
        valid.map(|(slot, _)| slot).collect()
    }

    // ----- Small sums -----

    #[inline]
    const fn bucket(&self, ahead: u64) -> u16 {
        ((self.hand + ahead) & LAST) as u16
    }
}

/// Blocks that are swept for each entry that becomes stale.
const SWEEPS: usize = 4;

/// The most stale entries there can be among so many slots.
///
/// One round of the broom over all `b` blocks finds every entry that was stale when it began. It takes
/// `b` sweeps, and `g` more that were not finished, and `(b + g) / SWEEPS` new stale entries. Each of
/// the `g` has dropped 19, of those there were at most: from round to round `s = (b + g) / 4` are
/// left, with `19 g <= s + (b + g) / 4`, so `s <= b / 4 * 38 / 37`. With those of the next round there are
/// never more than 0.51 `b`. (What is not finished takes fewer new ones than it drops.)
///
/// With `b <= (slots + stale) / 19 + the smaller of BUCKETS and (slots + stale) + 64`, solved for `stale`.
fn stale_limit(slots: usize) -> usize {
    (slots + slots / 6 + 72).min(slots / 36 + BUCKETS / 2 + 144)
}

const _: () = assert!(Block::MOST == 19 && Blocks::CHUNK == 64 && SWEEPS == 4);

/// How many steps ahead the slot is filed that is due so many steps ahead.
///
/// Who is due beyond the ring is not met with all others at its end: they may all have been put in at one
/// moment, and would be filed again at one moment for long. Neighbours stay together, for the caches.
#[inline]
const fn reach(slot: u32, ahead: u64) -> u64 {
    if ahead <= LAST { ahead } else { LAST - (slot as usize / CHUNK % (BUCKETS / 8)) as u64 }
}

/// How many steps the bucket lies after `hand`.
#[inline]
const fn distance(hand: u64, bucket: u16) -> u64 {
    (bucket as u64).wrapping_sub(hand) & LAST
}
