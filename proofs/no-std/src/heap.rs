//! The allocator of a bare program. `bytes` asks for one to be there, and the codec never calls it;
//! the simulator does.
//!
//! The memory is a list of free blocks in the order of their addresses: first fit, and neighbours
//! join again. One thread, no interrupts.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::null_mut;

/// Without the simulator none is ever asked for.
const SIZE: usize = if cfg!(feature = "sim") { 4 << 20 } else { 0 };
/// All blocks begin and end at such addresses.
const UNIT: usize = 16;

/// A free block, written into its own first bytes.
struct Free {
    size: usize,
    next: *mut Free,
}

#[repr(align(16))]
struct Memory(UnsafeCell<[u8; SIZE]>);

struct Heap {
    memory: Memory,
    /// The first free block; before the first call, none and nothing used.
    first: UnsafeCell<*mut Free>,
    begun: UnsafeCell<bool>,
}

// SAFETY: the program has one thread and no interrupts.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap {
    memory: Memory(UnsafeCell::new([0; SIZE])),
    first: UnsafeCell::new(null_mut()),
    begun: UnsafeCell::new(false),
};

const fn units(layout: Layout) -> usize {
    layout.size().div_ceil(UNIT) * UNIT
}

// SAFETY: each block is handed out whole and once until it is given back; what is free is known to
// the list alone; blocks lie on `UNIT`, and larger alignments get none.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let wanted = units(layout);
        if layout.align() > UNIT || SIZE < UNIT {
            return null_mut();
        }
        unsafe {
            if !*self.begun.get() {
                *self.begun.get() = true;
                let all = self.memory.0.get().cast::<Free>();
                all.write(Free { size: SIZE / UNIT * UNIT, next: null_mut() });
                *self.first.get() = all;
            }
            let mut link = self.first.get();
            while !(*link).is_null() {
                let block = *link;
                let Free { size, next } = block.read();
                if size >= wanted {
                    *link = if size == wanted {
                        next
                    } else {
                        let rest = block.byte_add(wanted);
                        rest.write(Free { size: size - wanted, next });
                        rest
                    };
                    return block.cast();
                }
                link = &raw mut (*block).next;
            }
        }
        null_mut()
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        let block = start.cast::<Free>();
        unsafe {
            let mut before: *mut Free = null_mut();
            let mut after = *self.first.get();
            while !after.is_null() && after < block {
                before = after;
                after = (*after).next;
            }
            block.write(Free { size: units(layout), next: after });
            join(block);
            if before.is_null() {
                *self.first.get() = block;
            } else {
                (*before).next = block;
                join(before);
            }
        }
    }
}

/// A free block and the next one, if they touch, become one.
unsafe fn join(block: *mut Free) {
    unsafe {
        let next = (*block).next;
        if block.byte_add((*block).size) == next {
            (*block).size += (*next).size;
            (*block).next = (*next).next;
        }
    }
}
