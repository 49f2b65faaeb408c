//! Endpoints that answer as told, and a failover that is driven exactly at its wake-ups.

use core::time::Duration;

use heartbeat_proto::Timestamp;
use heartbeat_proto::failover::{
    Cause, Endpoint, EndpointId, Event, Failover, FailoverConfig, Order, Probe, Standing,
};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SEC: u64 = 1_000 * MS;
/// Where runs start: not at zero, so that a rule that wrongly depends on that shows.
pub(crate) const BASE: u64 = 77 * SEC;

pub(crate) const fn at(now: u64) -> Timestamp {
    Timestamp::from_nanos(BASE.saturating_add(now))
}

pub(crate) const fn since(moment: Timestamp) -> u64 {
    moment.as_nanos() - BASE
}

pub(crate) const fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// What a probe that leaves at a moment meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Answered after so long.
    Answer(u64),
    /// Refused after so long.
    Refuse(u64),
    Silence,
}

pub(crate) type Nature = Box<dyn Fn(u64) -> Fate>;

pub(crate) fn good(rtt: u64) -> Nature {
    Box::new(move |_| Fate::Answer(rtt))
}

pub(crate) fn silent() -> Nature {
    Box::new(|_| Fate::Silence)
}

/// Answers before `until`, and is silent from then on.
pub(crate) fn dies(until: u64) -> Nature {
    Box::new(move |now| if now < until { Fate::Answer(10 * MS) } else { Fate::Silence })
}

pub(crate) struct World<const N: usize> {
    pub(crate) failover: Failover<N>,
    pub(crate) ids: Vec<EndpointId>,
    pub(crate) natures: Vec<Nature>,
    /// Results on their way.
    pub(crate) flights: Vec<(u64, Event)>,
    pub(crate) log: Vec<(u64, Order)>,
    pub(crate) now: u64,
}

impl<const N: usize> World<N> {
    pub(crate) fn new(config: FailoverConfig, seed: u64, natures: Vec<Nature>) -> Self {
        let mut failover = Failover::new(config, seed, at(0));
        let add = |_| failover.add(Endpoint::TCP, at(0)).expect("room");
        let ids = (0..natures.len()).map(add).collect();
        Self { failover, ids, natures, flights: Vec::new(), log: Vec::new(), now: 0 }
    }

    pub(crate) fn tell(&mut self, event: Event) -> Vec<Order> {
        let orders: Vec<Order> = self.failover.handle(event, at(self.now)).collect();
        for order in &orders {
            self.log.push((self.now, *order));
            if let Order::Probe(probe) = *order {
                self.launch(probe);
            }
        }
        orders
    }

    fn launch(&mut self, probe: Probe) {
        let index = self.ids.iter().position(|id| *id == probe.endpoint()).expect("known");
        match self.natures[index](self.now) {
            Fate::Answer(after) => {
                let rtt = ns(after);
                self.flights.push((self.now + after, Event::Answered { probe, rtt }));
            }
            Fate::Refuse(after) => self.flights.push((self.now + after, Event::Failed { probe })),
            Fate::Silence => {}
        }
    }

    /// Goes on to `end`, punctually, results before ticks.
    pub(crate) fn run_to(&mut self, end: u64) {
        loop {
            let wake = self.failover.next_deadline().map_or(u64::MAX, since);
            let first = self.flights.iter().enumerate().min_by_key(|(_, flight)| flight.0);
            let (index, arrival) = first.map_or((0, u64::MAX), |(index, flight)| (index, flight.0));
            let next = wake.min(arrival);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            let event = if arrival <= wake { self.flights.remove(index).1 } else { Event::Tick };
            let _ = self.tell(event);
        }
    }

    pub(crate) fn switches(&self) -> Vec<(u64, usize, Cause)> {
        let switch = |(when, order): &(u64, Order)| match order {
            Order::Switch { to, cause, .. } => {
                Some((*when, self.ids.iter().position(|id| id == to)?, *cause))
            }
            _ => None,
        };
        self.log.iter().filter_map(switch).collect()
    }

    pub(crate) fn probes(&self, index: usize) -> Vec<u64> {
        let id = self.ids[index];
        let probe = |(when, order): &(u64, Order)| match order {
            Order::Probe(probe) if probe.endpoint() == id => Some(*when),
            _ => None,
        };
        self.log.iter().filter_map(probe).collect()
    }

    pub(crate) fn standing(&self, index: usize) -> Standing {
        self.failover.standing(self.ids[index]).expect("known")
    }

    pub(crate) fn score(&self, index: usize) -> u8 {
        self.failover.score(self.ids[index]).expect("known")
    }

    pub(crate) fn is_quarantined(&self, index: usize) -> bool {
        matches!(self.standing(index), Standing::Quarantined { .. })
    }

    pub(crate) fn active(&self) -> usize {
        let active = self.failover.active().expect("one is active");
        self.ids.iter().position(|id| *id == active).expect("known")
    }
}

/// Without jitter, so that moments are round.
pub(crate) fn exact() -> FailoverConfig {
    FailoverConfig::builder().jitter_percent(0).build().expect("valid")
}
