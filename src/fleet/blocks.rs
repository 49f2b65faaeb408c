//! [`Blocks`]: cache lines of slot numbers, chained into the buckets of the wheel.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::fetch::prefetch;
use super::wheel::BUCKETS;

pub(super) const NO_BLOCK: u32 = u32::MAX;

/// A cache line of slot numbers.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Block {
    pub(super) next: u32,
    /// The bucket, below a bit that is the wheel's.
    pub(super) label: u16,
    /// 0: it is free, and `next` is the next free one.
    pub(super) len: u8,
    slots: [[u8; 3]; Self::MOST],
}

const _: () = assert!(size_of::<Block>() == 64);

impl Block {
    pub(super) const MOST: usize = 19;
    const FREE: Self = Self { next: NO_BLOCK, label: 0, len: 0, slots: [[0; 3]; Self::MOST] };
    const BUCKET: u16 = BUCKETS as u16 - 1;

    #[inline]
    pub(super) fn slot(&self, at: usize) -> u32 {
        unpacked(self.slots[at])
    }

    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + Clone {
        self.slots[..self.len as usize].iter().map(|slot| unpacked(*slot))
    }

    pub(super) fn put(&mut self, at: usize, slot: u32) {
        self.slots[at] = packed(slot);
    }

    /// False: it is full.
    #[inline]
    fn push(&mut self, slot: u32) -> bool {
        let Some(place) = self.slots.get_mut(self.len as usize) else { return false };
        *place = packed(slot);
        self.len += 1;
        true
    }
}

#[inline]
const fn packed(slot: u32) -> [u8; 3] {
    let [low, middle, high, _] = slot.to_le_bytes();
    [low, middle, high]
}

#[inline]
const fn unpacked([low, middle, high]: [u8; 3]) -> u32 {
    u32::from_le_bytes([low, middle, high, 0])
}

/// All blocks: made in chunks, never given back.
#[derive(Debug)]
pub(super) struct Blocks {
    chunks: Vec<Box<[Block; Self::CHUNK]>>,
    free: u32,
}

impl Default for Blocks {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: NO_BLOCK }
    }
}

impl Blocks {
    pub(super) const CHUNK: usize = 64;

    pub(super) fn made(&self) -> u32 {
        (self.chunks.len() * Self::CHUNK) as u32
    }

    /// At least so many blocks in all.
    pub(super) fn reserve(&mut self, most: usize) {
        while (self.made() as usize) < most {
            let first = self.made();
            // Whatever number of times all others were turned over, so were these.
            let label = self.chunks.last().map_or(0, |chunk| chunk[Self::CHUNK - 1].label);
            self.chunks.push(Box::new([Block { label, ..Block::FREE }; Self::CHUNK]));
            for block in (first..self.made()).rev() {
                self.free(block);
            }
        }
    }

    #[inline]
    pub(super) fn get(&self, block: u32) -> &Block {
        &self.chunks[block as usize / Self::CHUNK][block as usize % Self::CHUNK]
    }

    /// Asks for a block's memory, if there is one.
    #[inline]
    pub(super) fn fetch(&self, block: u32) {
        if let Some(chunk) = self.chunks.get(block as usize / Self::CHUNK) {
            prefetch(&chunk[..], block as usize % Self::CHUNK);
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, block: u32) -> &mut Block {
        &mut self.chunks[block as usize / Self::CHUNK][block as usize % Self::CHUNK]
    }

    /// Adds an entry to a block, and tells its label. `None`: it is full, or there is none
    /// ([`NO_BLOCK`]).
    #[inline]
    pub(super) fn push(&mut self, block: u32, slot: u32) -> Option<u16> {
        let chunk = self.chunks.get_mut(block as usize / Self::CHUNK)?;
        let block = &mut chunk[block as usize % Self::CHUNK];
        block.push(slot).then_some(block.label)
    }

    pub(super) fn free(&mut self, block: u32) {
        let next = self.free;
        let freed = self.get_mut(block);
        (freed.next, freed.len) = (next, 0);
        self.free = block;
    }

    /// A free block, as the first of the bucket.
    pub(super) fn take(&mut self, bucket: u16, next: u32) -> u32 {
        if self.free == NO_BLOCK {
            debug_assert!(false, "more blocks than there is room for");
            self.reserve(self.made() as usize + 1);
        }
        let taken = self.free;
        self.free = self.get(taken).next;
        let block = self.get_mut(taken);
        (block.next, block.label) = (next, block.label & !Block::BUCKET | bucket);
        taken
    }

    /// The last entry of this block.
    #[inline]
    pub(super) fn last(&self, block: u32) -> Option<u32> {
        if block == NO_BLOCK {
            return None;
        }
        let block = self.get(block);
        Some(block.slot(block.len as usize - 1))
    }
}
