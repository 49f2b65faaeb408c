//! [`Sink`]: where a fleet's output goes.

use core::ops::ControlFlow;

use super::guard::GuardReport;
use super::handle::Handle;
use crate::action::Actions;
use crate::event::Event;
use crate::report::Report;

/// Takes what a [`Fleet`](super::Fleet) wants done, peer by peer, as it is found: the fleet keeps
/// none of it. A closure over a handle and actions is a sink.
pub trait Sink {
    /// What is to be done for this peer: never empty. These actions are yours now, even if you
    /// answer [`ControlFlow::Break`]; nothing more is worked out then until the next call, and
    /// nothing is lost.
    fn take(&mut self, handle: Handle, actions: Actions) -> ControlFlow<()>;

    /// The peer's liveness has changed, and this is why: told before the actions of which the
    /// change is part. Does nothing by default.
    fn changed(&mut self, handle: Handle, report: &Report) {
        let _ = (handle, report);
    }

    /// The guard has told this peer something of its own accord, in the place of its tick or before
    /// its event: [`Event::Hold`]. A log that is to be played again needs it. Told before the
    /// actions that came of it. Does nothing by default.
    fn held(&mut self, handle: Handle, event: Event) {
        let _ = (handle, event);
    }

    /// The guard has begun to hold verdicts, or ended it: for whoever operates the fleet. Does
    /// nothing by default.
    fn guarded(&mut self, report: &GuardReport) {
        let _ = report;
    }

    /// An event of a batch was for a handle that names no peer; nothing came of it. Does nothing by
    /// default.
    fn stale(&mut self, handle: Handle) {
        let _ = handle;
    }
}

impl<F: FnMut(Handle, Actions) -> ControlFlow<()>> Sink for F {
    #[inline]
    fn take(&mut self, handle: Handle, actions: Actions) -> ControlFlow<()> {
        self(handle, actions)
    }
}
