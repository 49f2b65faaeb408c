//! [`Wakers`]: one waker for the transport, that wakes every task which waits on the connection.

use alloc::sync::Arc;
use alloc::task::Wake;
use core::task::Waker;
use std::sync::{Mutex, PoisonError};

/// Which of the calls waits. After `tokio::io::split`, reading and writing wait in different tasks.
#[derive(Clone, Copy, Debug)]
pub(in crate::adapter) enum Slot {
    Read,
    Write,
    Drive,
}

/// A transport remembers one waker a direction, and forgets the one before. Here every call drives
/// both directions, so a read would take the place of a waiting write. Hence the transport gets
/// this one, which wakes them all.
#[derive(Debug, Default)]
pub(in crate::adapter) struct Wakers {
    slots: Mutex<[Option<Waker>; 3]>,
}

impl Wakers {
    pub(in crate::adapter) fn register(&self, slot: Slot, waker: &Waker) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = slots.get_mut(slot as usize) {
            if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
                *kept = Some(waker.clone());
            }
        }
    }

    /// This call does not wait any more.
    pub(in crate::adapter) fn forget(&self, slot: Slot) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = slots.get_mut(slot as usize) {
            *kept = None;
        }
    }

    /// Wakes all tasks but the one that is running.
    pub(in crate::adapter) fn wake_others(&self, running: &Waker) {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner).clone();
        slots.into_iter().flatten().filter(|waker| !waker.will_wake(running)).for_each(Waker::wake);
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Woken without the lock: a waker may run anything.
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner).clone();
        slots.into_iter().flatten().for_each(Waker::wake);
    }
}
