//! [`Pulse`]: the driver loop of the asynchronous adapters, for whatever transport.

use core::task::{Context, Poll};

use super::runtime::Timer;
use crate::adapter::driver::Driver;
use crate::detector::Detector;
use crate::time::Timestamp;

/// How often one round reads before others get their turn.
pub(in crate::adapter) const MOST_READS: u32 = 16;

/// How far the input was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::adapter) enum Input {
    /// The transport has nothing more, now or for ever.
    Drained,
    /// There may be more; others get their turn first.
    More,
    /// There may be more, but what is due has waited long enough for it.
    Enough,
    /// There may be more, but the application must take what it has before.
    Held,
}

/// A transport together with its driver.
pub(in crate::adapter) trait Io {
    type Detector: Detector;

    fn driver(&mut self) -> &mut Driver<Self::Detector>;
    /// Reads what there is. Also the time, read after the last of it: clocks are not free.
    fn poll_input(&mut self, clock: &impl Timer, cx: &mut Context<'_>) -> (Input, Timestamp);
    /// Writes what waits, as far as it goes, and reports it. The time afterwards.
    fn poll_output(
        &mut self,
        clock: &impl Timer,
        now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Timestamp;
}

/// A timer, and what it is set to.
#[derive(Debug)]
pub(in crate::adapter) struct Pulse<T> {
    timer: T,
    /// What the timer is set to: never later than the deadline.
    armed: Timestamp,
    /// It rang.
    rang: bool,
}

impl<T: Timer> Pulse<T> {
    pub(in crate::adapter) fn new(timer: T) -> Self {
        let armed = timer.now();
        Self { timer, armed, rang: true }
    }

    pub(in crate::adapter) fn now(&self) -> Timestamp {
        self.timer.now()
    }

    /// One round of the driver loop, after which `cx` is woken for whatever comes next. Whether the
    /// deadline is passed, and the runtime must look at its sockets before it can be acted on.
    pub(in crate::adapter) fn beat(&mut self, io: &mut impl Io, cx: &mut Context<'_>) -> bool {
        loop {
            let (input, now) = io.poll_input(&self.timer, cx);
            if !self.timer.may_poll() {
                cx.waker().wake_by_ref();
                return false;
            }
            io.driver().expire(now);
            let due = io.driver().next_deadline().filter(|&due| now >= due);
            if let (Some(due), Input::Drained) = (due, input) {
                // The runtime knows what the system has only from its last look, which may be
                // older than the deadline. The timer has rung only if it looked since.
                if !self.rang && self.arm(due, cx).is_pending() {
                    return true;
                }
                io.driver().tick(now);
            }
            if input == Input::Enough {
                io.driver().tick(now);
            }
            let now = io.poll_output(&self.timer, now, cx);
            if matches!(input, Input::More | Input::Enough) {
                cx.waker().wake_by_ref();
                return false;
            }
            let Some(mut deadline) = io.driver().next_deadline() else { return false };
            if now >= deadline && input == Input::Held {
                // Nobody is judged whose answer may be unread, but for taking nothing.
                let stall = io.driver().stall_deadline().filter(|&stall| stall > now);
                let Some(stall) = stall else { return false };
                deadline = stall;
            }
            if self.arm(deadline, cx).is_pending() {
                return false;
            }
        }
    }

    /// Ready once it is `until`.
    pub(in crate::adapter) fn wait(&mut self, until: Timestamp, cx: &mut Context<'_>) -> Poll<()> {
        while self.now() < until {
            if self.arm(until, cx).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Sets the timer, unless it rings early enough as it is: then it is set again when it rings.
    /// So a deadline that every received byte moves costs no timer operation for each.
    fn arm(&mut self, deadline: Timestamp, cx: &mut Context<'_>) -> Poll<()> {
        if deadline < self.armed || self.rang {
            self.timer.set(deadline);
            self.armed = deadline;
        }
        self.rang = self.timer.poll(cx).is_ready();
        if self.rang { Poll::Ready(()) } else { Poll::Pending }
    }
}
