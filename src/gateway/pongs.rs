//! Pongs: whose they are, and what they tell.

use core::net::SocketAddr;
use core::ops::ControlFlow;
use core::time::Duration;

use super::address::Address;
use super::{Gateway, Outlet};
use crate::action::Actions;
use crate::codec::{Frame, datagram};
use crate::detector::Detector;
use crate::event::{Event, PingId};
use crate::fleet::{GuardReport, Handle, Input, Sink};
use crate::time::Timestamp;

/// The answer to a ping, as it is on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pong {
    pub(super) id: PingId,
    pub(super) handle: u64,
    pub(super) stamp: u64,
    pub(super) hold: Duration,
    pub(super) calm: bool,
}

impl<D: Detector> Gateway<D> {
    /// GW5: a pong is its peer's if slot, epoch, address and stamp are. The stamp proves the address:
    /// what is kept of it is not looked at.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a fifth of what a pong costs is moving it about")]
    pub(super) fn proven(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        pong: &Pong,
    ) -> Option<Input> {
        let now = self.fleet.clamped(now);
        let (Ok(slot), Some(from)) = (u32::try_from(pong.handle), Address::new(from)) else {
            self.stats.pongs_stale += 1;
            return None;
        };
        let handle = Handle::new(slot, pong.id.epoch());
        if handle.shard() != self.fleet.shard() {
            self.stats.pongs_misrouted += 1;
            return None;
        }
        let stamp = pong.stamp.wrapping_sub(self.seals.mask(&self.secret, handle, &from));
        if now.as_nanos().wrapping_sub(stamp) > self.oldest {
            self.count_unproven(handle, &from);
            return None;
        }
        let (stamp, hold) = (Some(Timestamp::from_nanos(stamp)), pong.hold);
        let event = Event::PongReceived { id: pong.id, stamp, hold, calm: pong.calm };
        Some(Input { handle, event })
    }

    #[cold]
    fn count_unproven(&mut self, peer: Handle, from: &Address) {
        let counter = match self.book.home(peer.place()) {
            None => &mut self.stats.pongs_stale,
            Some(home) if home.address != *from => &mut self.stats.pongs_moved,
            Some(_) => &mut self.stats.pongs_forged,
        };
        *counter += 1;
    }

    /// Tells peers of their pongs, and does what comes of it.
    #[inline]
    pub(super) fn hear<O: Outlet>(&mut self, now: Timestamp, mut pongs: &[Input], out: &mut O) {
        while !pongs.is_empty() {
            let mut heard = Heard { news: None, stale: 0, out };
            let taken = self.fleet.handle_batch(pongs, now, &mut heard);
            let Heard { news, stale, .. } = heard;
            self.stats.pongs_stale += stale;
            if let Some((peer, actions)) = news {
                self.perform(peer, actions, now, None, out);
            }
            pongs = pongs.get(taken..).unwrap_or_default();
        }
    }
}

/// What came of pongs, until one of them wants something done.
struct Heard<'o, O> {
    news: Option<(Handle, Actions)>,
    stale: u64,
    out: &'o mut O,
}

impl<O: Outlet> Sink for Heard<'_, O> {
    fn take(&mut self, peer: Handle, actions: Actions) -> ControlFlow<()> {
        self.news = Some((peer, actions));
        ControlFlow::Break(())
    }

    fn guarded(&mut self, report: &GuardReport) {
        self.out.guarded(report);
    }

    fn stale(&mut self, _: Handle) {
        self.stale += 1;
    }
}

/// A pong that may be a peer's; those of epoch 0 answer a challenge.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a pong is not moved about")]
pub(super) fn answered(datagram: &[u8]) -> Option<Pong> {
    match datagram::decode(datagram) {
        Ok(Frame::Pong { id, handle, stamp, hold, calm, .. }) if id.epoch() != 0 => {
            Some(Pong { id, handle, stamp, hold, calm })
        }
        _ => None,
    }
}
