//! The machine, and with the feature `codec` the codec, in a program without the standard library,
//! without an allocator and without an operating system. It runs a fixed script and returns a
//! digest of everything that was said: the same on every platform (M4).
//!
//! The unsafe attributes and blocks here are what a bare program needs to be called and to speak;
//! the crate itself forbids them.
#![no_std]

#[cfg(target_arch = "arm")]
mod cortex_m3;
mod script;

/// For the caller of another language: the digest of so many lives.
// SAFETY: no other symbol has this name.
#[unsafe(no_mangle)]
pub extern "C" fn heartbeat_digest(lives: u32) -> u64 {
    script::digest(lives)
}

/// A bare program must say what a panic does. (`proofs/no-panic` shows that there is none.)
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// `bytes` asks for an allocator to be there. This one never gives anything, and is never asked.
#[cfg(feature = "codec")]
mod no_heap {
    use core::alloc::{GlobalAlloc, Layout};

    struct NoHeap;

    // SAFETY: null says that there is no memory, and what was never given is never given back.
    unsafe impl GlobalAlloc for NoHeap {
        unsafe fn alloc(&self, _: Layout) -> *mut u8 {
            core::ptr::null_mut()
        }

        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
    }

    #[global_allocator]
    static HEAP: NoHeap = NoHeap;
}
