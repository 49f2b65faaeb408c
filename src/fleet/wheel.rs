//! [`Wheel`]: which slots to look at, and when. It knows nothing of peers.
//!
//! Time is cut into steps of a power of two of nanoseconds, and [`BUCKETS`] of them lie ahead in a
//! ring. A bucket is a chain of blocks of slot numbers, so that a bucket that is due is read as
//! whole cache lines, and no record is touched to find the next one.
//!
//! Two marks a slot make it lazy. `filed` is the bucket with the slot's one valid entry; an entry
//! found in any other bucket is stale, and dropped. `wake` is the step in which the slot is really
//! due. A pong moves `wake` and nothing else; when the entry is met it is filed again, by the marks
//! alone. Only a wake-up *earlier* than the entry files a second one, and leaves a stale one behind.
//! Each of them pays for the sweeping of a few blocks, so that there are never many
//! ([`stale_limit`]): nobody can fill the memory by what it makes us put forward.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use crate::deadlines::NEVER;

/// Steps that lie ahead: a power of two. What is due later is looked at in the last of them.
pub(crate) const BUCKETS: usize = 4096;
const LAST: u64 = BUCKETS as u64 - 1;

/// Slots are numbered in three bytes.
pub(crate) const MOST_SLOTS: usize = 1 << 24;

/// Slots whose marks lie together, and are made at once.
pub(crate) const CHUNK: usize = 1024;

const NO_BLOCK: u32 = u32::MAX;

/// What the wheel keeps for each slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    /// The bucket of the wake-up, [`TAKEN`], [`NO_WAKE`] or [`VACANT`].
    wake: u16,
    /// The bucket of the valid entry, or [`UNFILED`].
    filed: u16,
}

/// It was taken in a batch, and nobody has said yet when it is due again.
const TAKEN: u16 = u16::MAX - 2;
const NO_WAKE: u16 = u16::MAX - 1;
const VACANT: u16 = u16::MAX;
const UNFILED: u16 = u16::MAX;
const _: () = assert!(BUCKETS < TAKEN as usize);

/// What the wheel knows of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nobody is there.
    Vacant,
    /// Nothing is due before the end of the present step.
    NotDue,
    PerhapsDue,
}

/// Slots that are due, in the order in which they were found.
#[derive(Debug)]
pub(crate) struct Batch {
    slots: [u32; Self::MOST],
    len: u8,
    taken: u8,
}

impl Batch {
    /// So many records are touched before the first is handled: what a processor can fetch at once.
    pub(crate) const MOST: usize = 48;

    pub(crate) const fn new() -> Self {
        Self { slots: [0; Self::MOST], len: 0, taken: 0 }
    }

    pub(crate) fn as_slice(&self) -> &[u32] {
        &self.slots[self.taken as usize..self.len as usize]
    }

    pub(crate) fn pop(&mut self) -> Option<u32> {
        let slot = *self.as_slice().first()?;
        self.taken += 1;
        Some(slot)
    }

    fn push(&mut self, slot: u32) {
        self.slots[self.len as usize] = slot;
        self.len += 1;
    }

    const fn room(&self) -> usize {
        Self::MOST - self.len as usize
    }
}

#[derive(Debug)]
pub(crate) struct Wheel {
    /// The step is `1 << shift` nanoseconds.
    shift: u32,
    /// The number of the first step that is not emptied yet.
    hand: u64,
    marks: Vec<Box<[Mark]>>,
    /// The first block of each bucket; only the first may be less than full.
    heads: Box<[u32]>,
    /// The buckets that have a block.
    used: Box<[u64]>,
    blocks: Blocks,
    /// The next block to be swept.
    broom: u32,
}

impl Wheel {
    /// With the longest step of at most `step` nanoseconds.
    pub(crate) fn new(step: u64, now: u64) -> Self {
        let shift = step.max(1).ilog2();
        Self {
            shift,
            hand: now >> shift,
            marks: Vec::new(),
            heads: vec![NO_BLOCK; BUCKETS].into_boxed_slice(),
            used: vec![0; BUCKETS / 64].into_boxed_slice(),
            blocks: Blocks::default(),
            broom: 0,
        }
    }

    /// The step, in nanoseconds.
    pub(crate) const fn step(&self) -> u64 {
        1 << self.shift
    }

    /// Room for a chunk of slots more, all vacant. Nothing else allocates.
    pub(crate) fn grow(&mut self) {
        let mark = Mark { wake: VACANT, filed: UNFILED };
        self.marks.push(vec![mark; CHUNK].into_boxed_slice());
        let slots = self.marks.len() * CHUNK;
        let entries = slots + stale_limit(slots);
        // All blocks full but the first of each bucket.
        self.blocks.reserve(entries.div_ceil(Block::MOST) + BUCKETS.min(entries));
    }

    pub(crate) fn is_vacant(&self, slot: u32) -> bool {
        self.mark(slot).wake == VACANT
    }

    /// Whether the slot is due, by a batch, and nothing was said of it since.
    pub(crate) fn is_taken(&self, slot: u32) -> bool {
        self.mark(slot).wake == TAKEN
    }

    /// The slot is free; its entry is dropped when it is met.
    pub(crate) fn vacate(&mut self, slot: u32) {
        self.mark_mut(slot).wake = VACANT;
    }

    /// What is known of the slot at `now`, in one look.
    #[inline]
    pub(crate) fn standing(&self, slot: u32, now: u64) -> Standing {
        match self.mark(slot).wake {
            VACANT => Standing::Vacant,
            wake if wake < TAKEN && self.hand + self.ahead(wake) > now >> self.shift => {
                Standing::NotDue
            }
            _ => Standing::PerhapsDue,
        }
    }

    /// The slot is due at `due`, or never ([`NEVER`]).
    #[inline]
    pub(crate) fn set(&mut self, slot: u32, due: u64) {
        let ahead = (due >> self.shift).saturating_sub(self.hand).min(LAST);
        let wake = if due == NEVER { NO_WAKE } else { self.bucket(ahead) };
        let hand = self.hand;
        let mark = self.mark_mut(slot);
        mark.wake = wake;
        let filed = mark.filed;
        if due == NEVER || (filed != UNFILED && distance(hand, filed) <= ahead) {
            return; // The entry is met in time.
        }
        mark.filed = wake;
        if filed != UNFILED {
            self.pay_for_stale();
        }
        self.enter(slot, wake);
    }

    #[inline(never)]
    fn pay_for_stale(&mut self) {
        for _ in 0..SWEEPS {
            self.sweep();
        }
    }

    /// Fills `batch` with slots that are due in steps that have ended by `now`, looking at about
    /// `look` entries at most; tells whether there may be more.
    pub(crate) fn take(&mut self, now: u64, batch: &mut Batch, look: &mut usize) -> bool {
        let end = now >> self.shift;
        (batch.len, batch.taken) = (0, 0);
        while self.hand < end {
            let bucket = self.bucket(0);
            let head = self.heads[bucket as usize];
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
            if block.next != NO_BLOCK {
                core::hint::black_box(self.blocks.get(block.next).len); // It comes near meanwhile.
            }
            // All marks at first: a branch on each as it comes would wait for the memory each time.
            let slots = (0..block.len as usize).map(|at| block.slot(at));
            let near = slots.clone().fold(0, |sum, slot| sum ^ self.mark(slot).wake);
            core::hint::black_box(near);
            for slot in slots {
                self.meet(slot, bucket, batch);
            }
        }
        false
    }

    /// An entry of the step at the hand.
    #[inline]
    fn meet(&mut self, slot: u32, bucket: u16, batch: &mut Batch) {
        let mark = self.mark_mut(slot);
        if mark.filed != bucket {
            return; // Stale.
        }
        let wake = mark.wake;
        if wake == bucket {
            *mark = Mark { wake: TAKEN, filed: UNFILED };
            batch.push(slot);
        } else if wake < TAKEN {
            mark.filed = wake;
            self.enter(slot, wake);
        } else {
            mark.filed = UNFILED;
        }
    }

    /// The end of the first step with an entry: not later than anything is due. `None`: nothing is.
    pub(crate) fn next(&self) -> Option<u64> {
        let here = self.heads[self.bucket(0) as usize] != NO_BLOCK;
        let ahead = if here { 0 } else { self.next_used()? };
        Some((self.hand + ahead + 1) << self.shift)
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

    /// Into the bucket's first block; into a new one if that is full.
    #[inline]
    fn enter(&mut self, slot: u32, bucket: u16) {
        let head = self.heads[bucket as usize];
        if head == NO_BLOCK || !self.blocks.get_mut(head).push(slot) {
            self.enter_new_block(slot, bucket, head);
        }
    }

    #[inline(never)]
    fn enter_new_block(&mut self, slot: u32, bucket: u16, next: u32) {
        self.used[bucket as usize / 64] |= 1 << (bucket % 64);
        self.heads[bucket as usize] = self.blocks.take(bucket, next);
        let _ = self.blocks.get_mut(self.heads[bucket as usize]).push(slot);
    }

    /// Drops the bucket's last entry: that of its first block.
    fn drop_last(&mut self, bucket: u16) {
        let head = self.heads[bucket as usize];
        let block = self.blocks.get_mut(head);
        block.len -= 1;
        if block.len == 0 {
            let next = block.next;
            self.unlink(bucket, head, next);
        }
    }

    /// The bucket's first block is free; `next` is the first.
    #[inline]
    fn unlink(&mut self, bucket: u16, head: u32, next: u32) {
        self.blocks.free(head);
        self.heads[bucket as usize] = next;
        if next == NO_BLOCK {
            self.used[bucket as usize / 64] &= !(1 << (bucket % 64));
        }
    }

    /// Drops what is stale in one block, by the last entry of its bucket in its place.
    fn sweep(&mut self) {
        self.broom = if self.broom + 1 < self.blocks.made() { self.broom + 1 } else { 0 };
        let mut at = 0;
        loop {
            let block = self.blocks.get(self.broom);
            if at >= block.len as usize {
                return;
            }
            let (slot, bucket) = (block.slot(at), block.bucket);
            if self.mark(slot).filed == bucket {
                at += 1;
                continue;
            }
            let head = self.heads[bucket as usize];
            if let Some(last) = self.blocks.last(head) {
                self.blocks.get_mut(self.broom).put(at, last);
                self.drop_last(bucket);
            }
        }
    }

    // ----- Small sums -----

    #[inline]
    const fn bucket(&self, ahead: u64) -> u16 {
        ((self.hand + ahead) & LAST) as u16
    }

    #[inline]
    const fn ahead(&self, bucket: u16) -> u64 {
        distance(self.hand, bucket)
    }

    #[inline]
    fn mark(&self, slot: u32) -> Mark {
        self.marks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    #[inline]
    fn mark_mut(&mut self, slot: u32) -> &mut Mark {
        &mut self.marks[slot as usize / CHUNK][slot as usize % CHUNK]
    }
}

/// Blocks that are swept for each entry that becomes stale.
const SWEEPS: usize = 4;

/// The most stale entries there can be among so many slots.
///
/// One round of the broom over all `b` blocks finds every entry that was stale when it began, and
/// takes `b / SWEEPS` new ones. So there are never more than those of two rounds, `b / 2`. With
/// `b <= (slots + stale) / 19 + the smaller of BUCKETS and (slots + stale) + 64`, solved for `stale`.
fn stale_limit(slots: usize) -> usize {
    (slots + slots / 8 + 68).min(slots / 37 + BUCKETS / 2 + 144)
}

const _: () = assert!(Block::MOST == 19 && Blocks::CHUNK == 64 && SWEEPS == 4);

/// How many steps the bucket lies after `hand`.
#[inline]
const fn distance(hand: u64, bucket: u16) -> u64 {
    (bucket as u64).wrapping_sub(hand) & LAST
}

/// A cache line of slot numbers.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Block {
    next: u32,
    bucket: u16,
    /// 0: it is free, and `next` is the next free one.
    len: u8,
    slots: [[u8; 3]; Self::MOST],
}

const _: () = assert!(size_of::<Block>() == 64);

impl Block {
    const MOST: usize = 19;
    const FREE: Self = Self { next: NO_BLOCK, bucket: 0, len: 0, slots: [[0; 3]; Self::MOST] };

    #[inline]
    fn slot(&self, at: usize) -> u32 {
        let [low, middle, high] = self.slots[at];
        u32::from_le_bytes([low, middle, high, 0])
    }

    #[inline]
    fn put(&mut self, at: usize, slot: u32) {
        let [low, middle, high, _] = slot.to_le_bytes();
        self.slots[at] = [low, middle, high];
    }

    /// False: it is full.
    #[inline]
    fn push(&mut self, slot: u32) -> bool {
        let at = self.len as usize;
        if at == Self::MOST {
            return false;
        }
        self.put(at, slot);
        self.len += 1;
        true
    }
}

/// All blocks: made in chunks, never given back.
#[derive(Debug)]
struct Blocks {
    chunks: Vec<Box<[Block]>>,
    free: u32,
}

impl Default for Blocks {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: NO_BLOCK }
    }
}

impl Blocks {
    const CHUNK: usize = 64;

    fn made(&self) -> u32 {
        (self.chunks.len() * Self::CHUNK) as u32
    }

    /// At least so many blocks in all.
    fn reserve(&mut self, most: usize) {
        while (self.made() as usize) < most {
            let first = self.made();
            self.chunks.push(vec![Block::FREE; Self::CHUNK].into_boxed_slice());
            for block in (first..self.made()).rev() {
                self.free(block);
            }
        }
    }

    #[inline]
    fn get(&self, block: u32) -> &Block {
        &self.chunks[block as usize / Self::CHUNK][block as usize % Self::CHUNK]
    }

    #[inline]
    fn get_mut(&mut self, block: u32) -> &mut Block {
        &mut self.chunks[block as usize / Self::CHUNK][block as usize % Self::CHUNK]
    }

    fn free(&mut self, block: u32) {
        let next = self.free;
        let freed = self.get_mut(block);
        (freed.next, freed.len) = (next, 0);
        self.free = block;
    }

    /// A free block, as the first of the bucket.
    fn take(&mut self, bucket: u16, next: u32) -> u32 {
        if self.free == NO_BLOCK {
            debug_assert!(false, "more entries than `grow` has made room for");
            self.reserve(self.made() as usize + 1);
        }
        let taken = self.free;
        self.free = self.get(taken).next;
        let block = self.get_mut(taken);
        (block.next, block.bucket) = (next, bucket);
        taken
    }

    /// The last entry of this block.
    #[inline]
    fn last(&self, block: u32) -> Option<u32> {
        if block == NO_BLOCK {
            return None;
        }
        let block = self.get(block);
        Some(block.slot(block.len as usize - 1))
    }
}
