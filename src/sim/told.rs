//! What a call said, taken apart once: for the digest, the checker and the world.

use super::digest::Digest;
use crate::action::{Action, Actions};
use crate::event::PingId;
use crate::finding::Findings;
use crate::liveness::Transition;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    /// The id, and whether it calms.
    pub(crate) pong: Option<(PingId, bool)>,
    /// The id, and the stamp.
    pub(crate) ping: Option<(PingId, u64)>,
    pub(crate) beacon: Option<(PingId, u64)>,
    pub(crate) request: bool,
    pub(crate) goodbye: bool,
    pub(crate) change: Option<Transition>,
    pub(crate) found: Findings,
    /// How many actions it was.
    pub(crate) count: u8,
}

impl Told {
    /// Takes the actions apart and folds them into the digest; times are told relative to `base`.
    #[inline]
    pub(crate) fn of(actions: Actions, base: u64, digest: &mut Digest) -> Self {
        let mut told = Self::default();
        for action in actions {
            digest.action(&action, base);
            told.add(action);
        }
        told
    }

    #[inline]
    pub(crate) fn add(&mut self, action: Action) {
        self.count += 1;
        match action {
            Action::SendPong { id, calm } => self.pong = Some((id, calm)),
            Action::SendPing { id, stamp } => self.ping = Some((id, stamp.as_nanos())),
            Action::SendBeacon { id, stamp } => self.beacon = Some((id, stamp.as_nanos())),
            Action::RequestProbe => self.request = true,
            Action::SendGoodbye => self.goodbye = true,
            Action::Notify(change) => self.change = Some(change),
            Action::Report(found) => self.found = found,
        }
    }

    /// Whether each action is of another kind; there are five.
    pub(crate) const fn is_one_of_each(&self) -> bool {
        let kinds = self.pong.is_some() as u8
            + self.life() as u8
            + (self.request || self.goodbye) as u8
            + self.change.is_some() as u8
            + !self.found.is_empty() as u8;
        self.count == kinds
    }

    /// Whether a ping or a beacon leaves.
    pub(crate) const fn life(&self) -> bool {
        self.ping.is_some() || self.beacon.is_some()
    }

    /// Whether anything is done but reporting.
    pub(crate) const fn acts(&self) -> bool {
        self.pong.is_some() || self.life() || self.request || self.goodbye || self.change.is_some()
    }
}
