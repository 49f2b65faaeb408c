//! What goes into a failover ([`Event`]) and what comes out ([`Order`]).

use core::fmt;
use core::iter::FusedIterator;
use core::time::Duration;

use crate::time::Timestamp;

/// Names an endpoint of one [`Failover`](super::Failover). Never given twice, within 2^32
/// additions: what is still told of a removed endpoint changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId {
    pub(super) slot: u8,
    pub(super) generation: u32,
}

impl EndpointId {
    /// Where it lies: below the capacity, and free again after it is removed. For tables beside
    /// the failover.
    pub const fn slot(self) -> usize {
        self.slot as usize
    }
}

/// `#0.1`: the slot, and the how manieth addition it was.
impl fmt::Debug for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.slot, self.generation)
    }
}

/// One probe of one endpoint, to be given back with its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    pub(super) endpoint: EndpointId,
    pub(super) number: u32,
}

impl Probe {
    /// Whom to probe.
    pub const fn endpoint(self) -> EndpointId {
        self.endpoint
    }
}

/// A fact. Facts of endpoints that are not known (any more) change nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// Nothing but time.
    Tick,
    /// A probe was answered.
    Answered {
        /// The probe of the order.
        probe: Probe,
        /// How long it took; 0 counts as 1 microsecond.
        rtt: Duration,
    },
    /// A probe failed: refused, reset, a wrong answer. Time-outs are found by the failover itself.
    Failed {
        /// The probe of the order.
        probe: Probe,
    },
    /// Nobody asked, but an exchange with the endpoint went well: a request of the application,
    /// say, or a check at a pace of your own.
    Succeeded {
        /// With whom.
        endpoint: EndpointId,
        /// How long it took.
        rtt: Duration,
    },
    /// Nobody asked, but an exchange with the endpoint failed.
    Errored {
        /// With whom.
        endpoint: EndpointId,
    },
    /// The endpoint says how it is: see [`Event::status`].
    Reported {
        /// Who.
        endpoint: EndpointId,
        /// In percent; above 100 counts as 100.
        load: u8,
        /// Whether it wants work.
        ready: bool,
    },
    /// The connection to the endpoint became [`Suspect`](crate::Liveness::Suspect).
    Suspected {
        /// Whose connection.
        endpoint: EndpointId,
    },
    /// The connection to the endpoint is [`Alive`](crate::Liveness::Alive) (again).
    Alive {
        /// Whose connection.
        endpoint: EndpointId,
    },
    /// The connection to the endpoint was lost, or could not be made: the endpoint has failed. If
    /// you would rather connect to it again at once, do that and do not tell.
    Lost {
        /// Whose connection.
        endpoint: EndpointId,
    },
}

impl Event {
    /// What a peer said of itself in its pongs. It is ready if it is alive, wants work, and does
    /// not drain.
    #[cfg(feature = "codec")]
    pub const fn status(endpoint: EndpointId, status: &crate::codec::Status) -> Self {
        let ready = status.is_alive() && status.is_ready() && !status.is_draining();
        Self::Reported { endpoint, load: status.load(), ready }
    }
}

/// Where an endpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Standing {
    /// Not good enough to be chosen, or not known well enough.
    Out,
    /// May be chosen.
    InPool,
    /// Failed, and not to be chosen until this moment has passed.
    Quarantined {
        /// The last moment of the quarantine.
        until: Timestamp,
    },
}

/// Why another endpoint was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The first choice, or the active endpoint was removed.
    Vacant,
    /// The active endpoint failed.
    Failed,
    /// The active endpoint works, but is not good enough for the pool.
    Poor,
    /// Another endpoint is better by the margin.
    Better,
    /// All are bad, and another is less so.
    LeastBad,
}

/// One thing to do or to know. Perform all, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Order {
    /// An endpoint stands elsewhere than before the call. (The end of a quarantine is not told;
    /// what follows from it is.)
    Standing {
        /// Who.
        endpoint: EndpointId,
        /// Where it stood.
        from: Standing,
        /// Where it stands.
        to: Standing,
    },
    /// No endpoint is in the pool any more, or one is again. Meanwhile the least bad is kept.
    Panic {
        /// Whether it begins.
        on: bool,
    },
    /// Use another endpoint from now on: connect, and update the route.
    Switch {
        /// The one used so far.
        from: Option<EndpointId>,
        /// The one to use.
        to: EndpointId,
        /// Why.
        cause: Cause,
    },
    /// Probe an endpoint, and tell the result, or nothing: after the time-out it counts as failed.
    Probe(Probe),
}

/// The orders of one call, as an owned value that is an iterator: see the page on design for why
/// it is not a sink. At most [two for each endpoint and two more](super#orders).
#[must_use = "perform every order, in order, before handling the next event"]
#[derive(Clone, PartialEq, Eq)]
pub struct Orders<const N: usize> {
    pub(super) standings: [Option<Order>; N],
    pub(super) panic: Option<Order>,
    pub(super) switch: Option<Order>,
    pub(super) probes: [Option<Order>; N],
    /// How many places were visited.
    pub(super) at: usize,
}

impl<const N: usize> Orders<N> {
    pub(super) const NONE: Self =
        Self { standings: [None; N], panic: None, switch: None, probes: [None; N], at: 0 };

    /// The endpoint to switch to, if this call says so.
    pub const fn switch_to(&self) -> Option<EndpointId> {
        match self.switch {
            Some(Order::Switch { to, .. }) => Some(to),
            _ => None,
        }
    }
}

impl<const N: usize> Iterator for Orders<N> {
    type Item = Order;

    fn next(&mut self) -> Option<Order> {
        while self.at < 2 * N + 2 {
            let at = self.at;
            self.at += 1;
            let place = match at {
                at if at < N => self.standings[at],
                at if at == N => self.panic,
                at if at == N + 1 => self.switch,
                at => self.probes[at - N - 2],
            };
            if place.is_some() {
                return place;
            }
        }
        None
    }
}

impl<const N: usize> FusedIterator for Orders<N> {}

impl<const N: usize> fmt::Debug for Orders<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}
