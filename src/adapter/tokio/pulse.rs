//! The driver loop of the tokio adapters, for whatever transport.

use alloc::boxed::Box;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use ::tokio::task::coop;
use ::tokio::time::{Sleep, sleep};

use crate::adapter::clock::TokioClock;
use crate::adapter::driver::Driver;
use crate::detector::Detector;
use crate::time::Timestamp;

/// How far the input was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
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
pub(super) trait Io {
    type Detector: Detector;

    fn driver(&mut self) -> &mut Driver<Self::Detector>;
    /// Reads what there is.
    fn poll_input(&mut self, clock: &TokioClock, cx: &mut Context<'_>) -> Input;
    /// Writes what waits, as far as it goes, and reports it.
    fn poll_output(&mut self, clock: &TokioClock, cx: &mut Context<'_>);
}

/// A clock and a timer.
#[derive(Debug)]
pub(super) struct Pulse {
    pub(super) clock: TokioClock,
    timer: Pin<Box<Sleep>>,
    /// What the timer is set to: never later than the deadline.
    armed: Timestamp,
}

impl Pulse {
    pub(super) fn new() -> Self {
        let clock = TokioClock::new();
        Self { clock, timer: Box::pin(sleep(Duration::ZERO)), armed: clock.now() }
    }

    /// One round of the driver loop, after which `cx` is woken for whatever comes next.
    pub(super) fn beat(&mut self, io: &mut impl Io, cx: &mut Context<'_>) {
        if !coop::has_budget_remaining() {
            // Every read would say "nothing there".
            return cx.waker().wake_by_ref();
        }
        loop {
            let input = io.poll_input(&self.clock, cx);
            let now = self.clock.now();
            io.driver().expire(now);
            let due = io.driver().next_deadline().filter(|&due| now >= due);
            if let (Some(due), Input::Drained) = (due, input) {
                // The runtime knows what the kernel has only from its last look, which may be
                // older than the deadline. The timer has fired only if it looked since.
                if !self.timer.is_elapsed() && self.arm(due, cx).is_pending() {
                    return;
                }
                io.driver().tick(now);
            }
            if input == Input::Enough {
                io.driver().tick(now);
            }
            io.poll_output(&self.clock, cx);
            if matches!(input, Input::More | Input::Enough) {
                return cx.waker().wake_by_ref();
            }
            let Some(deadline) = io.driver().next_deadline() else { return };
            let overdue = self.clock.now() >= deadline;
            if (overdue && input == Input::Held) || self.arm(deadline, cx).is_pending() {
                return;
            }
        }
    }

    /// Sets the timer, unless it fires early enough as it is: then it is set again when it fires.
    /// So a deadline that every received byte moves costs no timer operation for each.
    fn arm(&mut self, deadline: Timestamp, cx: &mut Context<'_>) -> Poll<()> {
        if deadline < self.armed || self.timer.is_elapsed() {
            if let Some(at) = self.clock.instant(deadline) {
                self.timer.as_mut().reset(at);
                self.armed = deadline;
            }
        }
        self.timer.as_mut().poll(cx)
    }
}
