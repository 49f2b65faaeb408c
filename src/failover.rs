//! Which of several endpoints to use, and when another one.
//!
//! [`Failover`] probes every endpoint at its own pace, scores it from round trip, errors and the
//! load it reports, keeps the good ones in a pool, and says which one is to be used. When the
//! active one is in doubt the others are probed in parallel; when it fails, one that has just
//! answered takes its place and the failed one is quarantined. It opens no sockets and reads no
//! clock: [`handle`](Failover::handle) takes what happened and yields what to do.
//!
//! ```
//! use core::time::Duration;
//! use heartbeat_proto::Timestamp;
//! use heartbeat_proto::failover::{Endpoint, Event, Failover, FailoverConfig, Order};
//!
//! let mut now = Timestamp::EPOCH;
//! let mut failover: Failover<2> = Failover::new(FailoverConfig::default(), 42, now);
//! let home = failover.add(Endpoint::TCP, now)?;
//! let away = failover.add(Endpoint::TCP, now)?;
//! let mut event = Event::Tick;
//! for _ in 0..20 {
//!     let orders = failover.handle(event, now);
//!     event = Event::Tick;
//!     for order in orders {
//!         match order {
//!             Order::Switch { to, cause, .. } => println!("{now}: to {to:?}: {cause:?}"),
//!             // Connect, say, and tell how it went. Here one of the two is dead.
//!             Order::Probe(probe) if probe.endpoint() == away => {
//!                 event = Event::Answered { probe, rtt: Duration::from_millis(3) };
//!             }
//!             _ => {}
//!         }
//!     }
//!     now = failover.next_deadline().expect("there are endpoints");
//! }
//! assert_eq!(failover.active(), Some(away));
//! assert!(failover.score(home) < failover.score(away));
//! # Ok::<(), heartbeat_proto::failover::Full>(())
//! ```
//!
//! # The driver loop
//!
//! Tell every fact when it is known, and [`Event::Tick`] when
//! [`next_deadline`](Failover::next_deadline) is reached. Read before you tick: an answer that
//! lies unread is no time-out (after a late call, that is waited for once).
//!
//! After [`Order::Switch`] connect to the new endpoint. If a connection is lost and no switch
//! follows, nobody is better: connect to the same one again, with a back-off.
//!
//! # Orders
//!
//! Room for everything that one call can say is in its shape, without an allocator: for each
//! endpoint a change of standing and a probe, one switch, one notice of panic. That and the fixed
//! array of endpoints make it fit for `no_std`; with `N` at 8 a failover is about 1.5 kB.
//!
//! # Sources
//!
//! Scores are the least of three parts, not a weighted sum, since a sum lets two good parts hide a
//! bad one. Round trips are smoothed as in RFC 6298. Quarantine that grows with each failure and
//! shrinks with time is Envoy's outlier ejection; `retries` and `rise` are `HAProxy`'s `fall` and
//! `rise`. Panic is Envoy's panic threshold at its smallest: health is ignored when nobody is
//! healthy. [`pick`](Failover::pick) is nginx's smooth weighted round robin, which spreads better
//! than a random draw and has an exact bound; the target of a switch is drawn at random by a seed
//! instead, because a fleet that loses one endpoint must not go to the same next one.
//!
//! # What was rejected
//!
//! *The endpoint with the least round trip*: two nearly equal ones flap, and all clients meet at
//! one. *Peak EWMA* (Finagle, tower): made for load balancing under many requests; a single slow
//! probe would drive an endpoint from the pool. *Leaving nobody active when all are bad*: the
//! judgement may be wrong, and then the outage would be ours.

mod choice;
mod config;
mod event;
mod slot;

pub use config::{Endpoint, FailoverConfig, FailoverConfigBuilder};
pub use event::{Cause, EndpointId, Event, Order, Orders, Probe, Standing};

use self::slot::{Flight, Slot};
use crate::jitter;
use crate::time::{Timestamp, nanos};

/// Chooses among at most `N` endpoints, 1 to 255: see [the module](self). Rules FO1 to FO16.
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
#[derive(Clone, Debug)]
pub struct Failover<const N: usize = 8> {
    config: FailoverConfig,
    slots: [Option<Slot>; N],
    seed: u64,
    epoch: u32,
    draws: u32,
    generation: u32,
    /// The newest time given.
    now: u64,
    /// The place of the endpoint in use.
    active: Option<usize>,
    /// The endpoint that was told last to be used.
    route: Option<EndpointId>,
    /// The connection to the active endpoint is suspect.
    suspect: bool,
    /// When the present doubt about the active endpoint began.
    doubt: Option<u64>,
    /// Until when a working endpoint is kept.
    held: Option<u64>,
    /// Nothing was known of the active endpoint when it was chosen, nor was it in the pool since.
    unsettled: bool,
    panic: bool,
    /// Endpoints were added or removed since the last event.
    changed: bool,
}

/// All places are taken; remove an endpoint first. Nothing was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("all {capacity} places for endpoints are taken")]
#[non_exhaustive]
pub struct Full {
    /// How many endpoints there may be.
    pub capacity: usize,
}

impl<const N: usize> Failover<N> {
    /// Without endpoints. The seed decides jitter and draws: give each client another one, and a
    /// test the same.
    pub fn new(config: FailoverConfig, seed: u64, now: Timestamp) -> Self {
        const { assert!(N >= 1 && N <= 255, "1 to 255 endpoints") };
        Self {
            config,
            slots: [const { None }; N],
            seed,
            epoch: jitter::epoch(seed),
            draws: 0,
            generation: 0,
            now: now.as_nanos(),
            active: None,
            route: None,
            suspect: false,
            doubt: None,
            held: None,
            unsettled: false,
            panic: false,
            changed: false,
        }
    }

    /// Adds an endpoint. The next event, for which it is time at once, probes it.
    ///
    /// # Errors
    ///
    /// There are `N` endpoints already.
    pub fn add(&mut self, endpoint: Endpoint, now: Timestamp) -> Result<EndpointId, Full> {
        let Some(at) = self.slots.iter().position(Option::is_none) else {
            return Err(Full { capacity: N });
        };
        self.advance(now);
        self.generation = self.generation.wrapping_add(1);
        let id = EndpointId { slot: at as u8, generation: self.generation };
        self.slots[at] = Some(Slot::new(id, endpoint, self.seed, self.now));
        self.rearranged();
        Ok(id)
    }

    /// Removes an endpoint; if it was active, the next event, for which it is time at once, takes
    /// another one. Returns whether it was known.
    pub fn remove(&mut self, endpoint: EndpointId, now: Timestamp) -> bool {
        let Some(at) = self.place(endpoint) else { return false };
        self.advance(now);
        self.slots[at] = None;
        if self.active == Some(at) {
            (self.active, self.suspect, self.doubt) = (None, false, None);
        }
        self.rearranged();
        true
    }

    /// Takes one fact, does all that is due at `now`, and says what to do.
    ///
    /// Never panics, never allocates; its work is linear in `N`.
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Orders<N> {
        let wake = self.next_deadline().map_or(u64::MAX, Timestamp::as_nanos);
        self.advance(now);
        let now = self.now;
        let mut out = Orders::NONE;
        if event == Event::Tick && now < wake {
            return out; // FO1
        }
        self.changed = false;
        let before = self.slots.each_ref().map(|slot| slot.as_ref().map(|slot| slot.standing));
        self.take(event);
        self.expire(now > wake.saturating_add(self.config.slack));
        for slot in self.slots.iter_mut().flatten() {
            if slot.is_new_failure(&self.config) {
                slot.quarantine(&self.config, now);
            }
            slot.stand(&self.config);
        }
        self.choose(now, &mut out);
        for (at, slot) in self.slots.iter_mut().enumerate() {
            let (Some(slot), Some(from)) = (slot, before[at]) else { continue };
            out.standings[at] = choice::change(slot, from);
            if slot.flight.is_none() && slot.due <= now {
                let number = slot.launch(&self.config, now);
                out.probes[at] = Some(Order::Probe(Probe { endpoint: slot.id, number }));
            }
        }
        out
    }

    /// When to call [`handle`](Self::handle) with [`Event::Tick`] at the latest. `None` without
    /// endpoints.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.changed {
            return Some(Timestamp::from_nanos(self.now)); // FO14
        }
        let slots = self.slots().map(|slot| slot.wake(&self.config)).min()?;
        let held = self.held.map_or(u64::MAX, |held| held.saturating_add(1));
        let wake = slots.min(held);
        (wake > self.now).then_some(Timestamp::from_nanos(wake)) // FO1
    }

    /// One more unit of work: to whom. Over the pool, in proportion to the weights; when nobody is
    /// in the pool, the [active](Self::active) endpoint. `None` without endpoints.
    pub fn pick(&mut self) -> Option<EndpointId> {
        self.round_robin().and_then(|at| self.slots[at].as_ref()).map(|slot| slot.id)
    }

    /// The endpoint in use, as the last [`Order::Switch`] said. `None` before the first event
    /// after the first endpoint was added, or the active one removed.
    pub fn active(&self) -> Option<EndpointId> {
        self.active.and_then(|at| self.slots[at].as_ref()).map(|slot| slot.id)
    }

    /// Whether no endpoint is in the pool, though each was tried: the active one is only the
    /// least bad.
    pub const fn is_panicking(&self) -> bool {
        self.panic
    }

    /// Where an endpoint stands; `None` if it is not known.
    pub fn standing(&self, endpoint: EndpointId) -> Option<Standing> {
        self.slot(endpoint).map(|slot| slot.standing)
    }

    /// The score of an endpoint, 0 to 100; `None` if it is not known.
    pub fn score(&self, endpoint: EndpointId) -> Option<u8> {
        self.slot(endpoint).map(|slot| slot.score(&self.config))
    }

    /// The endpoints, in no order that means anything.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointId> {
        self.slots().map(|slot| slot.id)
    }

    /// The rules in force.
    pub const fn config(&self) -> &FailoverConfig {
        &self.config
    }

    fn take(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Tick => {}
            Event::Answered { probe, rtt } => {
                let Some(slot) = self.slot_mut(probe.endpoint) else { return };
                if slot.land(probe.number).is_some() {
                    slot.answer(nanos(rtt), now);
                }
            }
            Event::Failed { probe } => {
                let config = self.config;
                let Some(slot) = self.slot_mut(probe.endpoint) else { return };
                if slot.land(probe.number).is_some() {
                    slot.fail(&config);
                }
            }
            Event::Succeeded { endpoint, rtt } => {
                if let Some(slot) = self.slot_mut(endpoint) {
                    slot.answer(nanos(rtt), now);
                }
            }
            Event::Errored { endpoint } => {
                let config = self.config;
                if let Some(slot) = self.slot_mut(endpoint) {
                    slot.fail(&config);
                }
            }
            Event::Reported { endpoint, load, ready } => {
                if let Some(slot) = self.slot_mut(endpoint) {
                    slot.report(load, ready, now); // FO5
                }
            }
            Event::Suspected { endpoint } => self.suspect |= self.active() == Some(endpoint), // FO8
            Event::Alive { endpoint } => {
                self.suspect &= self.active() != Some(endpoint);
                if let Some(slot) = self.slot_mut(endpoint) {
                    slot.alive(now);
                }
            }
            Event::Lost { endpoint } => {
                let config = self.config;
                if let Some(slot) = self.slot_mut(endpoint) {
                    slot.fail(&config);
                    slot.run = slot.run.max(config.fall); // FO9
                }
            }
        }
    }

    /// FO4, FO5, FO9, FO11: what has passed.
    fn expire(&mut self, late: bool) {
        let now = self.now;
        for slot in self.slots.iter_mut().flatten() {
            if let Some(flight) = slot.flight.as_mut().filter(|flight| now > flight.expires) {
                if late && !flight.spared {
                    let expires = now.saturating_add(self.config.slack);
                    *flight = Flight { expires, spared: true };
                } else {
                    slot.flight = None;
                    slot.fail(&self.config);
                }
            }
            if slot.report_ends(&self.config).is_some_and(|ends| now > ends) {
                slot.drop_report();
            }
            slot.release(now);
        }
        self.held = self.held.filter(|held| now <= *held);
    }

    const fn advance(&mut self, now: Timestamp) {
        if now.as_nanos() > self.now {
            self.now = now.as_nanos(); // FO1
        }
    }

    /// FO14: the round robin begins anew, and the next event is due.
    fn rearranged(&mut self) {
        self.changed = true;
        self.slots.iter_mut().flatten().for_each(|slot| slot.credit = 0);
        if self.slots().next().is_none() {
            (self.changed, self.held, self.panic) = (false, None, false);
        }
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().flatten()
    }

    fn place(&self, endpoint: EndpointId) -> Option<usize> {
        self.slot(endpoint).map(|slot| slot.id.slot())
    }

    fn slot(&self, endpoint: EndpointId) -> Option<&Slot> {
        self.slots.get(endpoint.slot())?.as_ref().filter(|slot| slot.id == endpoint)
    }

    fn slot_mut(&mut self, endpoint: EndpointId) -> Option<&mut Slot> {
        self.slots.get_mut(endpoint.slot())?.as_mut().filter(|slot| slot.id == endpoint)
    }
}
