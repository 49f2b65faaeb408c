//! Space to read into, one for each thread: neither 16 KiB a connection nor 16 KiB cleared a read.

use alloc::boxed::Box;
use alloc::vec;
use core::cell::Cell;

const LEN: usize = 16 * 1024;

std::thread_local! {
    static SPACE: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Whoever reads through a transport that is a heartbeat itself gets a space of its own.
pub(super) fn with<R>(read: impl FnOnce(&mut [u8]) -> R) -> R {
    let kept = SPACE.try_with(Cell::take).ok().flatten();
    let mut space = kept.unwrap_or_else(|| vec![0; LEN].into());
    let result = read(&mut space);
    let _ = SPACE.try_with(|kept| kept.set(Some(space)));
    result
}
