//! [`Worker`]: a thread with a socket and its gateway. It shares nothing with others but what it
//! tells once in a while.

use alloc::sync::Arc;
use core::net::SocketAddr;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::sync::PoisonError;

use heartbeat_proto::fleet::{GuardReport, Handle, Progress};
use heartbeat_proto::gateway::{Gateway, Gone, Outlet};
use heartbeat_proto::{Report, Timestamp};

use super::Common;
use super::report::Seen;
use super::turns::Turns;
use crate::batch::{Receiver, Sender};
use crate::lines::Lines;
use crate::trace;

pub(super) struct Worker {
    pub(super) gateway: Gateway,
    pub(super) receiver: Receiver,
    pub(super) sender: Sender,
    pub(super) common: Arc<Common>,
    pub(super) number: usize,
    pub(super) log: Lines,
}

/// At the longest between two looks at what others want.
const GLANCE: Duration = Duration::from_millis(100);

/// How often is told what was seen.
const TELL: Duration = Duration::from_millis(250);

/// Where datagrams come faster than one in so long, they are read so often only: a system call
/// and a waking thread for each of them cost many times what the rest does.
const NAP: Duration = Duration::from_millis(1);

/// Peers that are looked at before the socket is again.
const BUDGET: usize = 1024;

/// Goodbyes at the end: 1000 in each 10 ms, 100,000 a second of each thread.
const GOODBYES: usize = 1000;
const GOODBYE_PAUSE: Duration = Duration::from_millis(10);

/// After an error of the socket that is not about one datagram.
const PAUSE: Duration = Duration::from_millis(100);

impl Worker {
    pub(super) fn run(mut self) {
        let mut tell_at = self.now();
        let mut heard_at = None;
        let mut turns = Turns::new();
        while !self.common.stopping.load(Ordering::Relaxed) {
            let due = self.gateway.next_deadline();
            let wait = due.map(|due| due.saturating_duration_since(self.now()));
            let wait = wait.unwrap_or(GLANCE).min(GLANCE);
            let read = self.read(wait, turns.reading());
            let now = self.now();
            let mut wire = Wire { sender: &mut self.sender, log: &self.log };
            // What is left is due in the next round, after what has come meanwhile.
            let progress = self.gateway.advance(now, BUDGET, &mut wire);
            // The socket counts what it dropped.
            let _ = self.sender.flush();
            turns.judged(progress, self.now().saturating_duration_since(now));
            if now >= tell_at {
                self.tell();
                tell_at = now.saturating_add(TELL);
            }
            if read > 0 {
                let dense =
                    |at: Timestamp| now.saturating_duration_since(at) < NAP.saturating_mul(2);
                let dense = heard_at.is_some_and(dense);
                heard_at = Some(now);
                if dense && wait > NAP {
                    std::thread::sleep(NAP);
                }
            }
        }
        self.farewell();
        self.tell();
    }

    /// Whatever has come, if need be after a wait, and what comes for so long. Returns how many.
    fn read(&mut self, mut wait: Duration, most: Duration) -> usize {
        let clock = self.common.clock;
        let mut wire = Wire { sender: &mut self.sender, log: &self.log };
        let mut burst = self.gateway.burst(&mut wire);
        let (mut count, mut until) = (0, None);
        loop {
            // One look at the clock for all that came together.
            let mut now = None;
            let read = self.receiver.receive(wait, |from, _, bytes| {
                burst.datagram(*now.get_or_insert_with(|| clock.now()), from, bytes);
            });
            match (read, now) {
                (Ok(read), Some(now)) => {
                    count += read;
                    wait = Duration::ZERO;
                    if now >= *until.get_or_insert_with(|| now.saturating_add(most)) {
                        return count;
                    }
                }
                (Ok(_), None) => return count,
                // Word of an earlier datagram that found nobody.
                (Err(error), _) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
                (Err(error), _) => {
                    drop(burst);
                    self.log.line(format_args!("udp: {error}"));
                    std::thread::sleep(PAUSE);
                    return count;
                }
            }
        }
    }

    fn farewell(&mut self) {
        loop {
            let (now, before) = (self.now(), self.gateway.len());
            let mut wire = Wire { sender: &mut self.sender, log: &self.log };
            let progress = self.gateway.farewell(now, GOODBYES, &mut wire);
            let _ = self.sender.flush();
            self.tell();
            if progress == Progress::Done {
                return;
            }
            // It may have met empty places alone.
            if self.gateway.len() < before {
                std::thread::sleep(GOODBYE_PAUSE);
            }
        }
    }

    fn tell(&self) {
        if let Some(place) = self.common.seen.get(self.number) {
            let (dropped, lost) = (self.sender.sent().dropped, self.receiver.lost());
            let seen = Seen::of(&self.gateway).with_losses(dropped, lost.unwrap_or_default());
            *place.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        }
    }

    fn now(&self) -> Timestamp {
        self.common.clock.now()
    }
}

/// Where the gateway's output goes.
struct Wire<'w> {
    sender: &'w mut Sender,
    log: &'w Lines,
}

impl Outlet for Wire<'_> {
    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        // What could not be sent the socket has counted.
        let _ = self.sender.push(to, None, datagram);
    }

    fn joined(&mut self, peer: Handle, address: SocketAddr) {
        trace::joined(&address, &peer);
    }

    fn changed(&mut self, _: Handle, address: SocketAddr, report: &Report) {
        trace::believed(&address, report);
    }

    fn gone(&mut self, peer: Handle, address: SocketAddr, why: Gone) {
        trace::gone(&address, &peer, why.code());
    }

    fn guarded(&mut self, report: &GuardReport) {
        self.log.line(format_args!("guard: {report}"));
    }
}
