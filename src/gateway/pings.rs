//! [`Pings`]: what an advance of the fleet sends. Pings wait for a few others, so that the
//! addresses of several are fetched from memory at the same time.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use super::book::{Book, Home};
use super::outlet::{Gone, Outlet};
use super::seals::Seals;
use super::secret::Secret;
use super::{frame, gone};
use crate::action::{Action, Actions};
use crate::codec::{Frame, Link, MAX_FRAME, PING_LEN};
use crate::event::PingId;
use crate::fleet::{GuardReport, Handle, Sink};
use crate::report::Report;
use crate::time::Timestamp;

/// Pings that wait: as many misses of the cache as a core has under way at once, and some more.
const MOST: usize = 32;

pub(super) struct Pings<'g, O> {
    book: &'g Book,
    seals: &'g mut Seals,
    secret: Secret,
    out: &'g mut O,
    /// Has room for one more, or there is no more to do now.
    ended: &'g mut Vec<(Handle, Gone)>,
    waiting: [(PingId, u32, Timestamp); MOST],
    len: usize,
    sent: u64,
}

impl<'g, O: Outlet> Pings<'g, O> {
    pub(super) fn new(
        book: &'g Book,
        seals: &'g mut Seals,
        secret: Secret,
        out: &'g mut O,
        ended: &'g mut Vec<(Handle, Gone)>,
    ) -> Self {
        let waiting = [(PingId::new(0, 0), 0, Timestamp::EPOCH); MOST];
        Self { book, seals, secret, out, ended, waiting, len: 0, sent: 0 }
    }

    /// Sends what waits. Returns how many datagrams were sent in all.
    pub(super) fn finish(&mut self) -> u64 {
        let waiting = self.waiting.get(..self.len).unwrap_or_default();
        let touched = waiting
            .iter()
            .fold(0, |sum, (_, slot, _)| sum ^ self.book.touch(Handle::new(*slot, 0).place()));
        core::hint::black_box(touched);
        for (id, slot, stamp) in waiting {
            let peer = Handle::new(*slot, id.epoch());
            let Some(home) = self.book.home(peer.place()) else { continue };
            // GW5: what the pong brings back.
            let handle = u64::from(*slot);
            let stamp = stamp.as_nanos().wrapping_add(self.mask(peer, home));
            let ping = Frame::Ping { id: *id, handle, stamp, status: None };
            if self.seals.are_on() {
                let mut bytes = [0; MAX_FRAME];
                let Some(len) = self.seals.encode(peer.place(), &ping, &mut bytes) else {
                    continue;
                };
                self.out.send(home.address.socket(), bytes.get(..len).unwrap_or_default());
            } else {
                let mut bytes = [0; PING_LEN];
                if ping.encode_into(&mut bytes).is_err() {
                    continue;
                }
                self.out.send(home.address.socket(), &bytes);
            }
            self.sent += 1;
        }
        self.len = 0;
        self.sent
    }

    #[inline]
    fn ping(&mut self, peer: Handle, id: PingId, stamp: Timestamp) {
        if self.len == MOST {
            self.finish();
        }
        if let Some(free) = self.waiting.get_mut(self.len) {
            *free = (id, peer.slot(), stamp);
            self.len += 1;
        }
    }

    #[inline]
    fn mask(&self, peer: Handle, home: &Home) -> u64 {
        self.seals.mask(&self.secret, peer, &home.address)
    }

    #[cold]
    fn other(&mut self, peer: Handle, action: &Action) {
        if let Action::Notify(transition) = action {
            self.ended.extend(gone(*transition).map(|why| (peer, why)));
        }
        let Some(home) = self.book.home(peer.place()) else { return };
        let mut link = Link::new(self.mask(peer, home), peer.slot().into());
        let Some(frame) = frame(&mut link, action, Timestamp::EPOCH) else { return };
        let mut bytes = [0; MAX_FRAME];
        if let Some(len) = self.seals.encode(peer.place(), &frame, &mut bytes) {
            self.sent += 1;
            self.out.send(home.address.socket(), bytes.get(..len).unwrap_or_default());
        }
    }
}

impl<O: Outlet> Sink for Pings<'_, O> {
    #[inline]
    fn take(&mut self, peer: Handle, actions: Actions) -> ControlFlow<()> {
        for action in actions {
            match action {
                Action::SendPing { id, stamp } => self.ping(peer, id, stamp),
                action => self.other(peer, &action),
            }
        }
        if self.ended.len() < self.ended.capacity() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }

    fn changed(&mut self, peer: Handle, report: &Report) {
        if let Some(home) = self.book.home(peer.place()) {
            self.out.changed(peer, home.address.socket(), report);
        }
    }

    fn guarded(&mut self, report: &GuardReport) {
        self.out.guarded(report);
    }
}
