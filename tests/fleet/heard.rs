//! What a fleet says, and what it should have said where a guard makes two calls of one.

use core::ops::ControlFlow;

use heartbeat_proto::fleet::{Handle, Sink};
use heartbeat_proto::{Action, Actions, Event, Findings, Report};

pub(crate) fn listed(actions: Actions) -> Vec<Action> {
    actions.collect()
}

/// What one call would have yielded, of what one or two have: one of each kind, the findings of
/// both, a transition from the first to the last, and of ping, beacon and request the ping.
pub(crate) fn joined(calls: &[Actions]) -> Vec<Action> {
    let all = || calls.iter().cloned().flatten();
    let find = |kind: fn(&Action) -> bool| all().find(kind);
    let ping = find(|action| matches!(action, Action::SendPing { .. }));
    let beacon = find(|action| matches!(action, Action::SendBeacon { .. }));
    let request = find(|action| matches!(action, Action::RequestProbe));
    let changes: Vec<_> = calls.iter().filter_map(Actions::transition).collect();
    let change = changes.first().zip(changes.last()).map(|(first, last)| {
        let mut change = *last;
        change.from = first.from;
        change
    });
    let found = calls.iter().fold(Findings::NONE, |found, call| found.with(call.findings()));
    let mut joined = Vec::new();
    joined.extend(find(|action| matches!(action, Action::SendPong { .. })));
    joined.extend(ping.or(beacon));
    joined.extend(request.filter(|_| ping.is_none()));
    joined.extend(find(|action| matches!(action, Action::SendGoodbye)));
    joined.extend(change.filter(|change| change.from != change.to).map(Action::Notify));
    joined.extend((!found.is_empty()).then_some(Action::Report(found)));
    joined
}

/// Keeps what the fleet says, until it is enough.
#[derive(Default)]
pub(crate) struct Heard {
    pub(super) actions: Vec<(Handle, Actions)>,
    pub(super) reports: Vec<(Handle, Report)>,
    pub(super) stale: Vec<Handle>,
    pub(super) holds: Vec<(Handle, Event)>,
    pub(super) enough: usize,
}

impl Sink for Heard {
    fn take(&mut self, handle: Handle, actions: Actions) -> ControlFlow<()> {
        assert!(!actions.is_empty(), "told of nothing");
        self.actions.push((handle, actions));
        if self.actions.len() < self.enough {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }

    fn changed(&mut self, handle: Handle, report: &Report) {
        self.reports.push((handle, *report));
    }

    fn held(&mut self, handle: Handle, event: Event) {
        self.holds.push((handle, event));
    }

    fn stale(&mut self, handle: Handle) {
        self.stale.push(handle);
    }
}
