//! [`Gateway`]: a [`Fleet`] behind one UDP socket. Datagrams in, datagrams and verdicts out; it
//! owns no socket and reads no clock.
//!
//! A peer joins by a ping from its address, and proves by a round trip that it is there: nothing is
//! kept of whoever only claims to be. From then on it is pinged, and a pong brings back which peer it
//! is, so that no address is looked up. What a gateway and its peers say to each other is in
//! `docs/PROTOCOL.md`, section 12; whatever answers pings is a peer, if it sends one itself.
//!
//! ```
//! use core::net::SocketAddr;
//! use heartbeat_proto::codec::{Frame, PING_LEN, datagram};
//! use heartbeat_proto::fleet::{Fleet, Progress};
//! use heartbeat_proto::gateway::{Gateway, GatewayConfig};
//! use heartbeat_proto::{Config, Liveness, PingId, Timestamp};
//!
//! let mut now = Timestamp::EPOCH;
//! let fleet = Fleet::new(Config::messaging_30_90(), 7, now)?;
//! let secret = 0x5eed; // Random, from the system, and told to nobody.
//! let mut gateway = Gateway::new(fleet, GatewayConfig::new(), secret)?;
//! let mut sent = Vec::new();
//! let mut out = |to: SocketAddr, bytes: &[u8]| sent.push((to, bytes.to_vec()));
//!
//! // A stranger pings; it is challenged, and answers as it answers any ping.
//! let stranger: SocketAddr = "192.0.2.7:4000".parse()?;
//! let ping = Frame::Ping { id: PingId::new(0xe90c, 1), handle: 0, stamp: 0, status: None };
//! let answer = |bytes: &[u8]| {
//!     let pong = datagram::decode(bytes).ok()?.answer(Default::default(), false)?;
//!     let mut bytes = [0; PING_LEN];
//!     pong.encode_into(&mut bytes).ok()?;
//!     Some(bytes)
//! };
//! let mut bytes = [0; PING_LEN];
//! ping.encode_into(&mut bytes)?;
//! gateway.datagram(now, stranger, &bytes, &mut out);
//! let challenge = sent.pop().expect("a challenge").1;
//! let mut out = |to: SocketAddr, bytes: &[u8]| sent.push((to, bytes.to_vec()));
//! gateway.datagram(now, stranger, &answer(&challenge).expect("a pong"), &mut out);
//! assert_eq!(gateway.len(), 1);
//!
//! // It is pinged as the rules say, and answers.
//! let (to, ping) = loop {
//!     now = gateway.next_deadline().expect("there is a peer");
//!     let mut out = |to: SocketAddr, bytes: &[u8]| sent.push((to, bytes.to_vec()));
//!     while gateway.advance(now, 1000, &mut out) == Progress::Pending {}
//!     if let Some(ping) = sent.pop() {
//!         break ping;
//!     }
//! };
//! assert_eq!(to, stranger);
//! gateway.datagram(now, to, &answer(&ping).expect("a pong"), &mut |_: SocketAddr, _: &[u8]| {});
//! assert_eq!(gateway.fleet().count(Liveness::Alive), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Order of work
//!
//! Read what has come before [`advance`](Gateway::advance), so that evidence that is already in a
//! buffer is seen before silence is judged. Many datagrams at a time go through a
//! [`burst`](Gateway::burst), which brings the records of several peers near at once.
//!
//! # What strangers can do
//!
//! Anybody can send anything. A bad datagram is dropped and counted. Strangers cost a hash and a
//! challenge each, with keys two digests, within caps ([`GatewayConfig`]), and no memory. An answer admits
//! once. Whoever sees the datagrams
//! of a peer can forge all that the peer could say. Whoever does not must guess 32 bits of the
//! peer's epoch to end it or to speak for it, if the peer answers no challenge but its own (whose
//! handle is the peer's epoch), and to answer its pings the gateway's epoch and a masked stamp
//! besides. (That epoch is 32 bits for who does not know the peer's slot. The epochs of slots lie in
//! order, rule FL12: who has a peer there as well, and knows the slot of another, has 12 to 22 bits to
//! guess. Where peers must not be told goodbye by others, use keys.)
//!
//! # The same rules
//!
//! What is believed of each peer is at all times what a machine of its own would believe (rules GW9,
//! FL1): the gateway decides what a peer hears, and nothing of what follows.
//!
//! # What it costs
//!
//! Beside the fleet's own, [`GatewayConfig::peers`] tells the bytes for each peer. A ping that is
//! sent touches 24 of them, a pong none; both look nothing up and allocate nothing (rule GW10). Figures:
//! `docs/PERFORMANCE.md`.

mod address;
mod book;
mod burst;
mod config;
mod join;
#[cfg(feature = "auth")]
mod moves;
mod outlet;
mod pings;
mod pongs;
#[cfg(feature = "auth")]
mod sealed;
mod seals;
mod secret;
mod stats;
mod stays;

use alloc::vec::Vec;
use core::net::SocketAddr;

pub use burst::Burst;
pub use config::{GatewayConfig, GatewayError};
pub use outlet::{Gone, Outlet};
pub use stats::GatewayStats;

use self::address::Address;
use self::book::{Book, Home};
use self::pings::Pings;
use self::pongs::answered;
use self::seals::Seals;
use self::secret::Secret;
use crate::action::{Action, Actions};
use crate::backoff::Budget;
use crate::codec::{Frame, Link, MAX_FRAME};
use crate::detector::{Deadline, Detector};
use crate::event::Event;
use crate::fleet::{Fleet, Handle, Progress, StaleHandle};
use crate::liveness::{Liveness, Reason, Transition};
use crate::time::{Timestamp, nanos};

/// A fleet whose peers are at the other end of one UDP socket. See the [module](self).
#[derive(Debug)]
pub struct Gateway<D: Detector = Deadline> {
    fleet: Fleet<D>,
    book: Book,
    config: GatewayConfig,
    secret: Secret,
    joins: Budget,
    challenges: Budget,
    /// Sealed hellos of strangers that are verified.
    #[cfg(feature = "auth")]
    trials: Budget,
    /// The oldest ping whose pong can still mean anything: its age in nanoseconds.
    oldest: u64,
    stats: GatewayStats,
    /// Whose end an advance has brought, until it returns. Its room never grows.
    ended: Vec<(Handle, Gone)>,
    /// How far the farewell has come.
    farewell: u32,
    seals: Seals,
}

/// Peers whose end one call of [`Gateway::advance`] brings, at most.
const ENDS: usize = 64;

/// Places that a farewell looks at for each peer of its budget.
const LOOKS: usize = 8;

/// And so many in any case: a fleet's first peers may lie that far apart.
const CHUNK: usize = 1024;

impl<D: Detector> Gateway<D> {
    /// The reason of the goodbye to a peer that was declared dead.
    pub const LOST: u16 = 1;
    /// The reason of the goodbye to a peer that the gateway gives up on purpose.
    pub const CLOSING: u16 = 2;

    /// A gateway for the peers of this fleet, which has none yet. They get its first profile. (One
    /// that reopens, or judges nobody, keeps the dead, and their places in the caps, until you
    /// [`remove`](Self::remove) them.)
    ///
    /// `secret` makes challenges and stamps that nobody else can: 128 random bits of the system,
    /// another one for each gateway.
    ///
    /// # Errors
    ///
    /// A cap is out of range, or the fleet is not empty.
    pub fn new(fleet: Fleet<D>, config: GatewayConfig, secret: u128) -> Result<Self, GatewayError> {
        config.check()?;
        if !fleet.is_empty() {
            return Err(GatewayError::NotEmpty(fleet.len()));
        }
        let secret = Secret::new(secret);
        let slots = Fleet::<D>::slots_for(config.peers as usize);
        let judged = fleet.profiles().filter_map(|profile| fleet.config(profile));
        let oldest = judged.map(|config| nanos(config.worst_case_detection())).max();
        Ok(Self {
            book: Book::new(secret, config.peers, slots, config.per_source.is_some()),
            joins: config.joins()?,
            challenges: config.challenges()?,
            #[cfg(feature = "auth")]
            trials: config.challenges()?,
            oldest: oldest.unwrap_or(u64::MAX),
            fleet,
            config,
            secret,
            stats: GatewayStats::default(),
            ended: Vec::with_capacity(ENDS),
            farewell: 0,
            seals: Seals::default(),
        })
    }

    /// A datagram came from there at `now`.
    ///
    /// Never panics, whatever is in it. Allocates only when the fleet makes room for 1024 peers
    /// more, and with keys for each peer that joins.
    #[inline]
    pub fn datagram<O: Outlet>(
        &mut self,
        now: Timestamp,
        from: SocketAddr,
        datagram: &[u8],
        out: &mut O,
    ) {
        self.stats.received += 1;
        #[cfg(feature = "auth")]
        if self.seals.are_on() {
            return self.sealed(now, from, datagram, out);
        }
        match answered(datagram) {
            Some(pong) => {
                if let Some(input) = self.proven(now, from, &pong) {
                    self.hear(now, &[input], out);
                }
            }
            None => self.other(now, from, datagram, out),
        }
    }

    /// Many datagrams at a time. See [`Burst`].
    pub fn burst<'g, O: Outlet>(&'g mut self, out: &'g mut O) -> Burst<'g, D, O> {
        Burst::new(self, out)
    }

    /// Does what time has made due by `now`, for at most `budget` peers (rule FL4). Call it at
    /// [`next_deadline`](Self::next_deadline), and again while it is [`Progress::Pending`]; read
    /// what has come in between.
    ///
    /// Never panics and never allocates.
    pub fn advance<O: Outlet>(&mut self, now: Timestamp, budget: usize, out: &mut O) -> Progress {
        let mut pings = Pings::new(&self.book, &mut self.seals, self.secret, out, &mut self.ended);
        let progress = self.fleet.advance(now, budget, &mut pings);
        self.stats.sent += pings.finish();
        while let Some((peer, why)) = self.ended.pop() {
            self.end(peer, why, out);
        }
        progress
    }

    /// When to call [`advance`](Self::advance) at the latest; `None`: nothing will ever be due.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.fleet.next_deadline()
    }

    /// Gives up a peer on purpose: it is told, and forgotten. Whoever is there can join again.
    ///
    /// # Errors
    ///
    /// The handle names no peer.
    pub fn remove<O: Outlet>(
        &mut self,
        peer: Handle,
        now: Timestamp,
        out: &mut O,
    ) -> Result<(), StaleHandle> {
        self.tell(peer, Event::Close, now, None, out)?;
        if self.fleet.contains(peer) {
            self.end(peer, Gone::Removed, out); // After the end of time (T6) a close is nothing.
        }
        Ok(())
    }

    /// Gives up at most `budget` peers on purpose, as [`remove`](Self::remove) does, and all of
    /// them in as many calls as it takes: pace them, since each answers to somebody. A call looks at
    /// eight places for each peer of its budget, and at 1024 at least; where those are empty, it tells
    /// nobody and is pending all the same.
    pub fn farewell<O: Outlet>(&mut self, now: Timestamp, budget: usize, out: &mut O) -> Progress {
        let (mut left, mut looks) = (budget, budget.saturating_mul(LOOKS).max(CHUNK));
        while !self.is_empty() && left > 0 && looks > 0 {
            looks -= 1;
            let place = self.farewell;
            self.farewell = if place + 1 < self.book.places() { place + 1 } else { 0 };
            if let Some(peer) = self.book.home(place).and_then(|_| self.fleet.at(place)) {
                left -= 1;
                let _ = self.remove(peer, now, out);
            }
        }
        if self.is_empty() { Progress::Done } else { Progress::Pending }
    }

    /// The fleet: who is believed to be how, and what was counted.
    pub const fn fleet(&self) -> &Fleet<D> {
        &self.fleet
    }

    /// What was counted beside that.
    pub const fn stats(&self) -> &GatewayStats {
        &self.stats
    }

    /// How many peers there are.
    pub fn len(&self) -> usize {
        self.fleet.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where a peer is.
    ///
    /// # Errors
    ///
    /// The handle names no peer.
    pub fn address(&self, peer: Handle) -> Result<SocketAddr, StaleHandle> {
        self.fleet.peer(peer)?;
        let home = self.book.home(peer.place()).ok_or(StaleHandle(peer))?;
        Ok(home.address.socket())
    }

    /// The peer at this address. (A look-up, which no datagram of a peer that is pinged needs.)
    pub fn find(&self, address: SocketAddr) -> Option<Handle> {
        self.fleet.at(self.book.find(&Address::new(address)?)?)
    }

    /// What is added to the stamps of pings to this peer.
    #[inline]
    fn mask(&self, peer: Handle, home: &Home) -> u64 {
        self.seals.mask(&self.secret, peer, &home.address)
    }

    /// Tells a peer something that is no pong, and does what comes of it.
    fn tell<O: Outlet>(
        &mut self,
        peer: Handle,
        event: Event,
        now: Timestamp,
        link: Option<&mut Link>,
        out: &mut O,
    ) -> Result<(), StaleHandle> {
        let actions = self.fleet.handle(peer, event, now)?;
        self.perform(peer, actions, now, link, out);
        Ok(())
    }

    /// `link`: what knows of the ping that a pong answers.
    #[cold]
    fn perform<O: Outlet>(
        &mut self,
        peer: Handle,
        actions: Actions,
        now: Timestamp,
        link: Option<&mut Link>,
        out: &mut O,
    ) {
        let Some(home) = self.book.home(peer.place()).copied() else { return };
        let address = home.address.socket();
        let mut plain = Link::new(self.mask(peer, &home), peer.slot().into());
        let link = link.unwrap_or(&mut plain);
        let mut end = None;
        for action in actions {
            if let Some(frame) = frame(link, &action, now) {
                self.send(peer, &home, &frame, out);
            }
            if let Action::Notify(transition) = action {
                if let Some(report) = self.fleet.census().last_report() {
                    out.changed(peer, address, report);
                }
                end = gone(transition);
            }
        }
        if let Some(why) = end {
            self.end(peer, why, out);
        }
    }

    /// GW8: the peer is forgotten, unless it may come back. It is told, unless it has left.
    fn end<O: Outlet>(&mut self, peer: Handle, why: Gone, out: &mut O) {
        if why == Gone::Lost && self.fleet.reopens(peer) {
            return;
        }
        let Some(home) = self.book.leave(peer.place()) else { return };
        let _ = self.fleet.remove(peer);
        let reason = match why {
            Gone::Lost => Some(Self::LOST),
            Gone::Removed => Some(Self::CLOSING),
            _ => None,
        };
        if let Some(reason) = reason {
            let goodbye = Frame::Goodbye { epoch: peer.epoch(), reason };
            self.send(peer, &home, &goodbye, out);
        }
        self.seals.forget(peer.place());
        let counter = match why {
            Gone::Lost => &mut self.stats.lost,
            Gone::Left => &mut self.stats.left,
            _ => &mut self.stats.removed,
        };
        *counter += 1;
        out.gone(peer, home.address.socket(), why);
    }

    fn send<O: Outlet>(&mut self, peer: Handle, home: &Home, frame: &Frame, out: &mut O) {
        let mut bytes = [0; MAX_FRAME];
        if let Some(len) = self.seals.encode(peer.place(), frame, &mut bytes) {
            self.stats.sent += 1;
            out.send(home.address.socket(), bytes.get(..len).unwrap_or_default());
        }
    }
}

/// What is sent for an action. Goodbyes are said where peers end: to those that no machine would say
/// it to, too.
fn frame(link: &mut Link, action: &Action, now: Timestamp) -> Option<Frame> {
    match action {
        Action::SendGoodbye => None,
        action => link.frame(action, now),
    }
}

/// Whether the peer has come to an end.
fn gone(transition: Transition) -> Option<Gone> {
    match (transition.to, transition.reason) {
        (Liveness::Lost, _) => Some(Gone::Lost),
        (Liveness::Closed, Reason::Goodbye) => Some(Gone::Left),
        (Liveness::Closed, _) => Some(Gone::Removed),
        _ => None,
    }
}
