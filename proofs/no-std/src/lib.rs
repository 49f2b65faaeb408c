//! The machine, and with the feature `codec` the codec, in a program without the standard library,
//! without an allocator and without an operating system. It runs a fixed script and returns a
//! digest of everything that was said: the same on every platform (M4). With the feature `sim` it
//! runs simulated worlds as well, which need an allocator: one of its own (`heap.rs`).
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

/// For the caller of another language: the digest of so many simulated worlds.
// SAFETY: no other symbol has this name.
#[cfg(feature = "sim")]
#[unsafe(no_mangle)]
pub extern "C" fn heartbeat_simulate(worlds: u32) -> u64 {
    let mut simulator = heartbeat_proto::sim::Simulator::new();
    for seed in 0..worlds {
        if simulator.run(u64::from(seed)).is_err() {
            return 0; // An invariant broke.
        }
    }
    simulator.totals().digest.as_u64()
}

#[cfg(feature = "codec")]
mod heap;
