//! A Cortex-M3 board in QEMU: what it starts with, and how it prints the digest.

use core::arch::asm;

/// Lives of each kind: some 100 000 calls of the machine.
const LIVES: u32 = 200;
/// Worlds of the simulator, as many as `tests/sim.rs` has in every run.
#[cfg(feature = "sim")]
const WORLDS: u32 = 2000;

unsafe extern "C" {
    /// The end of the memory, from `cortex_m3.ld`.
    static STACK: u32;
}

#[repr(C)]
struct Vectors {
    stack: *const u32,
    reset: extern "C" fn() -> !,
}

// SAFETY: it is never written.
unsafe impl Sync for Vectors {}

// SAFETY: the linker script puts it where the processor looks for it.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".vectors")]
static VECTORS: Vectors = Vectors { stack: &raw const STACK, reset };

extern "C" fn reset() -> ! {
    print(super::heartbeat_digest(LIVES));
    #[cfg(feature = "sim")]
    print(super::heartbeat_simulate(WORLDS));
    const EXIT: u32 = 0x18;
    const NORMALLY: usize = 0x2_0026;
    semihosting(EXIT, NORMALLY);
    loop {}
}

fn print(digest: u64) {
    let mut line = *b"0000000000000000\n\0";
    for (place, digit) in line.iter_mut().zip((0..16).rev()) {
        *place = b"0123456789abcdef"[(digest >> (4 * digit)) as usize & 15];
    }
    const WRITE0: u32 = 0x04;
    semihosting(WRITE0, line.as_ptr() as usize);
}

/// Calls the debugger, which QEMU is.
fn semihosting(operation: u32, argument: usize) {
    // SAFETY: QEMU reads the line, which ends with a zero, and nothing else.
    unsafe { asm!("bkpt 0xab", inout("r0") operation => _, in("r1") argument) };
}
