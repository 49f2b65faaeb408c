//! One end: a shipped machine, the process that drives it, and the observer of its promises.

use heartbeat_proto::{
    Config, ConfigError, Ledger, Liveness, PeerState, Timestamp, detector::Detector,
};

use crate::fate::Fate;
use crate::ghost::Ghost;
use crate::promises::Claims;
use crate::rules::Rules;

/// What one end is, for all times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side<D> {
    /// What the machine runs.
    pub(crate) config: Config<D>,
    /// What it is held to: the same, unless the world must fail.
    pub(crate) promised: Config<D>,
    pub(crate) rules: Rules,
    pub(crate) claims: Claims,
}

impl<D: Detector> Side<D> {
    pub(crate) fn new(rules: Rules, detector: D, claims: Claims) -> Result<Self, ConfigError> {
        let config = rules.build(detector)?;
        Ok(Self { config, promised: config, rules, claims })
    }

    /// Nothing will ever happen there again.
    pub(crate) fn is_over(&self, liveness: Liveness) -> bool {
        match liveness {
            Liveness::Lost => self.rules.reopen == 0,
            Liveness::Closed => true,
            _ => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct End<D: Detector, L: Ledger> {
    /// Always normalised: it is `NORMAL_NOW`.
    pub(crate) peer: PeerState<D, L>,
    pub(crate) process: Process,
    /// Its transport takes nothing.
    pub(crate) blocked: bool,
    /// Since the last stall or suspension; saturates where another one is allowed.
    pub(crate) rested: u8,
    pub(crate) ghost: Ghost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Process {
    Runs,
    /// For so many units now, without notice.
    Stands(u8),
    /// For so many units now, as announced.
    Suspended(u8),
    Crashed,
}

impl Process {
    pub(crate) fn is_suspended(self) -> bool {
        matches!(self, Self::Suspended(_))
    }
}

impl<D: Detector, L: Ledger> End<D, L> {
    pub(crate) const NOW: Timestamp = PeerState::<D, L>::NORMAL_NOW;

    pub(crate) fn new(fate: &Fate, side: &Side<D>) -> Self {
        // Without jitter and with a fixed phase the seed means nothing.
        let peer = PeerState::new(7, Self::NOW).normalized(&side.config, Self::NOW);
        let (process, ghost) = (Process::Runs, Ghost::default());
        Self { peer, process, blocked: false, rested: fate.rest, ghost }
    }

    pub(crate) fn crashed(fate: &Fate, side: &Side<D>) -> Self {
        Self { process: Process::Crashed, ..Self::new(fate, side) }
    }

    /// The next connection to the same peer; of the epoch nothing is left but its frames.
    pub(crate) fn next(fate: &Fate, side: &Side<D>) -> Self {
        let idle = PeerState::<D, L>::new(7, Self::NOW);
        let peer = idle.next_connection(&side.config, Self::NOW);
        Self { peer: peer.normalized(&side.config, Self::NOW), ..Self::new(fate, side) }
    }

    /// A unit of time passes.
    pub(crate) fn pass(&mut self, fate: &Fate, side: &Side<D>) {
        match &mut self.process {
            Process::Crashed => return,
            Process::Stands(so_far) | Process::Suspended(so_far) => *so_far += 1,
            Process::Runs => {}
        }
        self.rested = (self.rested + 1).min(fate.rest);
        let next = Timestamp::from_nanos(Self::NOW.as_nanos() + 1);
        self.peer = self.peer.normalized(&side.config, next);
    }

    /// For how long something has been due.
    pub(crate) fn overdue(&self, side: &Side<D>) -> Option<u64> {
        let (due, _) = self.peer.next_deadline(&side.config)?;
        Self::NOW.as_nanos().checked_sub(due.as_nanos())
    }
}
