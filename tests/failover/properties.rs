//! Whatever happens, in whatever order: what rules FO1 to FO16 promise of every call.

use core::time::Duration;
use std::collections::BTreeMap;

use heartbeat_proto::Timestamp;
use heartbeat_proto::failover::{
    Cause, Endpoint, EndpointId, Event, Failover, FailoverConfig, Order, Probe, Standing,
};
use proptest::prelude::*;

use crate::world::{MS, SEC, at, ns};

#[derive(Clone, Debug)]
enum Step {
    /// To the wake-up, and so much further.
    Wake(u64),
    /// So far on (or back).
    Pass(i64),
    Answer(usize, u64),
    Refuse(usize),
    Tell(u8, usize, u8),
    Add(u64, u8),
    Remove(usize),
    /// To the end of the clock.
    End,
}

fn step() -> impl Strategy<Value = Step> {
    let late = prop_oneof![8 => Just(0), 1 => 0..100 * MS, 1 => 0..1000 * SEC];
    let pass = prop_oneof![-1_000_000_000..1_000_000_000_i64, 0..100_000_000_000_i64];
    prop_oneof![
        400 => late.prop_map(Step::Wake),
        100 => pass.prop_map(Step::Pass),
        300 => (any::<usize>(), 0..900 * MS).prop_map(|(who, rtt)| Step::Answer(who, rtt)),
        100 => any::<usize>().prop_map(Step::Refuse),
        120 => (0..6_u8, any::<usize>(), any::<u8>())
            .prop_map(|(kind, who, load)| Step::Tell(kind, who, load)),
        40 => (1..10 * SEC, 1..=255_u8).prop_map(|(pace, weight)| Step::Add(pace, weight)),
        20 => any::<usize>().prop_map(Step::Remove),
        1 => Just(Step::End),
    ]
}

/// Any configuration, its `hold` and its `timeout`.
fn config() -> impl Strategy<Value = (FailoverConfig, u64, u64)> {
    let counts = (0..=14_u8, 1..=15_u8, 1..=64_u8, 0..=99_u8, 1..=100_u8, 1..=100_u8, 0..=50_u8);
    let spans = (4..SEC, 1..100 * SEC, 1..1000 * SEC, 1..100 * SEC);
    (counts, spans).prop_map(|(counts, (timeout, hold, most, life))| {
        let (retries, rise, window, errors, leave, margin, jitter) = counts;
        let span = Duration::from_nanos;
        let config = FailoverConfig::builder()
            .timeout(span(timeout))
            .rtt_goal(span(timeout / 4))
            .hold(span(hold))
            .quarantine(span(1 + most / 20))
            .quarantine_most(span(most))
            .load_life(span(life))
            .retries(retries)
            .rise(rise)
            .window(window)
            .errors_percent(errors)
            .leave_below(leave)
            .enter_at(leave.midpoint(100))
            .margin(margin)
            .jitter_percent(jitter)
            .build()
            .expect("valid by construction");
        (config, hold, timeout)
    })
}

/// The failover, and what an observer from outside knows.
struct Watched {
    failover: Failover<4>,
    ids: Vec<EndpointId>,
    probes: Vec<Probe>,
    /// When the probe under way left, for each endpoint.
    under_way: BTreeMap<EndpointId, u64>,
    /// The active endpoint was in the pool since the switch to it.
    settled: bool,
    last_switch: Option<u64>,
    hold: u64,
    timeout: u64,
    now: u64,
}

impl Watched {
    fn tell(&mut self, event: Event, now: u64) {
        let early = event == Event::Tick
            && self.failover.next_deadline().is_none_or(|due| now.max(self.now) < due.as_nanos());
        let before = format!("{:?}", self.failover);
        self.now = self.now.max(now);
        if let Event::Answered { probe, .. } | Event::Failed { probe } = event {
            self.under_way.remove(&probe.endpoint());
        }
        let was_quarantined = |failover: &Failover<4>, id| {
            matches!(failover.standing(id), Some(Standing::Quarantined { until })
                if until.as_nanos() >= self.now)
        };
        let quarantined: Vec<EndpointId> =
            self.ids.iter().copied().filter(|id| was_quarantined(&self.failover, *id)).collect();
        let orders: Vec<Order> = self.failover.handle(event, Timestamp::from_nanos(now)).collect();
        if early {
            assert_eq!(orders, [], "FO1");
            let after = format!("{:?}", self.failover);
            // All but the clock, which is the newest time.
            let still = |text: &str| text.split(" now: ").next().map(str::to_owned);
            assert_eq!(still(&before), still(&after), "FO1");
        }
        self.check_orders(&orders, &quarantined);
        self.check_state();
    }

    fn check_orders(&mut self, orders: &[Order], quarantined: &[EndpointId]) {
        for (index, order) in orders.iter().enumerate() {
            let twin = |other: &Order| match (order, other) {
                (Order::Standing { endpoint: a, .. }, Order::Standing { endpoint: b, .. }) => {
                    a == b
                }
                (Order::Probe(a), Order::Probe(b)) => a.endpoint() == b.endpoint(),
                (a, b) => core::mem::discriminant(a) == core::mem::discriminant(b),
            };
            assert!(!orders[..index].iter().any(twin), "FO15: {orders:?}");
            match *order {
                Order::Probe(probe) => {
                    let before = self.under_way.insert(probe.endpoint(), self.now);
                    // If there was no result, its time-out has passed.
                    let over = before.is_none_or(|sent| self.now > sent + self.timeout);
                    assert!(over, "FO3: {probe:?}");
                    self.probes.push(probe);
                }
                Order::Switch { to, cause, from } => {
                    assert_ne!(from, Some(to), "a switch goes elsewhere");
                    let free = matches!(cause, Cause::LeastBad | Cause::Vacant);
                    assert!(free || !quarantined.contains(&to), "FO9: {orders:?}");
                    let wanted = !matches!(cause, Cause::Failed | Cause::Vacant);
                    let gap = self.last_switch.map_or(u64::MAX, |last| self.now - last);
                    let held = wanted && gap <= self.hold && self.settled;
                    assert!(!held, "FO16: {cause:?} {gap} after the last");
                    self.last_switch = Some(self.now);
                    self.settled = false;
                }
                Order::Panic { on } => assert_eq!(on, self.failover.is_panicking(), "FO12"),
                _ => {}
            }
        }
        let active = self.failover.active().and_then(|id| self.failover.standing(id));
        self.settled |= active == Some(Standing::InPool);
    }

    fn check_state(&mut self) {
        let failover = &mut self.failover;
        let due = failover.next_deadline();
        assert!(due.is_none_or(|due| due.as_nanos() > self.now), "FO1: {due:?} at {}", self.now);
        assert!(due.is_some() || self.ids.is_empty() || self.now > u64::MAX / 2, "FO1");
        assert_eq!(failover.active().is_some(), !self.ids.is_empty(), "FO10: never none");
        let standing = |id: &EndpointId| failover.standing(*id).expect("known");
        let pool: Vec<EndpointId> =
            self.ids.iter().copied().filter(|id| standing(id) == Standing::InPool).collect();
        assert!(!failover.is_panicking() || pool.is_empty(), "FO12");
        assert!(self.ids.iter().all(|id| failover.score(*id).is_some_and(|score| score <= 100)));
        let active = failover.active();
        match failover.pick() {
            Some(pick) if !pool.is_empty() => assert!(pool.contains(&pick), "FO13"),
            pick => assert_eq!(pick, active, "FO13"),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Wake(late) => {
                let due = self.failover.next_deadline().map_or(self.now, Timestamp::as_nanos);
                self.tell(Event::Tick, due.saturating_add(late));
            }
            Step::Pass(by) => self.tell(Event::Tick, self.now.saturating_add_signed(by)),
            Step::Answer(who, rtt) if !self.probes.is_empty() => {
                // Mostly the newest ones; an old one is stale.
                let probe = self.probes[self.probes.len() - 1 - who % self.probes.len().min(6)];
                self.tell(Event::Answered { probe, rtt: ns(rtt) }, self.now);
            }
            Step::Refuse(who) if !self.probes.is_empty() => {
                let probe = self.probes[self.probes.len() - 1 - who % self.probes.len().min(6)];
                self.tell(Event::Failed { probe }, self.now);
            }
            Step::Tell(kind, who, load) if !self.ids.is_empty() => {
                let endpoint = self.ids[who % self.ids.len()];
                let event = match kind {
                    0 => Event::Suspected { endpoint },
                    1 => Event::Alive { endpoint },
                    2 => Event::Lost { endpoint },
                    3 => Event::Errored { endpoint },
                    4 => Event::Succeeded { endpoint, rtt: ns(load as u64 * MS) },
                    _ => Event::Reported { endpoint, load, ready: load % 16 != 0 },
                };
                self.tell(event, self.now);
            }
            Step::Add(pace, weight) => {
                let endpoint = Endpoint::new(ns(pace)).and_then(|it| it.with_weight(weight));
                let now = Timestamp::from_nanos(self.now);
                let added = self.failover.add(endpoint.expect("valid"), now);
                assert_eq!(added.is_err(), self.ids.len() == 4, "FO14");
                self.ids.extend(added);
                self.tell(Event::Tick, self.now);
            }
            Step::Remove(who) if !self.ids.is_empty() => {
                let gone = self.ids.remove(who % self.ids.len());
                let _ = self.failover.remove(gone, Timestamp::from_nanos(self.now));
                self.under_way.remove(&gone);
                if !self.ids.is_empty() {
                    self.tell(Event::Tick, self.now);
                }
            }
            Step::End => self.tell(Event::Tick, u64::MAX - 3),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// FO1, FO3, FO9, FO10, FO12 to FO16: total, bounded, never none, never early, never held.
    #[test]
    fn whatever_happens_the_promises_hold(
        (config, hold, timeout) in config(),
        seed: u64,
        steps in prop::collection::vec(step(), 1..400),
    ) {
        let failover = Failover::new(config, seed, at(0));
        let mut watched = Watched {
            failover, ids: vec![], probes: vec![], under_way: BTreeMap::new(),
            settled: false, last_switch: None, hold, timeout, now: at(0).as_nanos(),
        };
        for _ in 0..3 {
            watched.step(&Step::Add(SEC / 2, 1));
        }
        for step in &steps {
            watched.step(step);
        }
    }
}

/// A second reading of rules FO5 to FO7 and FO9: all history, no rings, no clever bits.
#[derive(Default)]
struct Naive {
    outcomes: Vec<bool>,
    since_quarantine: usize,
    load: Option<(u8, u64)>,
    pool: bool,
    until: Option<u64>,
    lost: bool,
    doublings: u64,
    last_until: Option<u64>,
}

impl Naive {
    fn run(&self) -> usize {
        self.outcomes.iter().rev().take_while(|good| !**good).count()
    }

    fn judge(&mut self, now: u64) {
        if self.load.is_some_and(|(_, when)| now > when + 10 * SEC) {
            self.load = None;
        }
        if self.until.is_some_and(|until| now > until) {
            self.until = None;
        }
        let heard = self.outcomes[self.since_quarantine..].contains(&true);
        if (self.lost || self.run() >= 3) && heard && self.until.is_none() {
            let quiet = self.last_until.map_or(0, |until| now - until);
            self.doublings = self.doublings.saturating_sub(quiet / (300 * SEC)).min(4);
            let span = [30, 60, 120, 240, 300][self.doublings as usize];
            self.doublings += 1;
            self.until = Some(now + span * SEC);
            self.last_until = self.until;
            self.since_quarantine = self.outcomes.len();
            self.pool = false;
        }
        let known = &self.outcomes[self.since_quarantine..];
        let recent = known.iter().rev().take(20);
        let errors = recent.map(|good| u8::from(!*good)).sum::<u8>();
        let trip: f64 = if known.contains(&true) { 100.0 } else { 0.0 };
        let load = self.load.map_or(100.0, |(load, _)| match load {
            ..=80 => 100.0,
            load => f64::from(100 - load) * 5.0,
        });
        let score = trip.min(100.0 - f64::from(errors) * 5.0).min(load);
        let streak = known.iter().rev().take_while(|good| **good).count();
        let rise = if self.outcomes.contains(&false) { 2 } else { 1 };
        if self.pool {
            self.pool = score >= 90.0 && errors <= 1;
        } else if self.until.is_none() {
            self.pool = score >= 95.0 && errors <= 1 && streak >= rise;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// FO5, FO6, FO7, FO9: one endpoint stands where a naive reading of its whole history says.
    #[test]
    fn a_naive_reading_agrees(steps in prop::collection::vec((0..40_u8, 0..100_u8), 1..300)) {
        let pace = Endpoint::new(Duration::from_secs(86_400)).expect("valid");
        let mut failover: Failover<1> = Failover::new(FailoverConfig::default(), 1, at(0));
        let endpoint = failover.add(pace, at(0)).expect("room");
        let mut naive = Naive::default();
        let mut now = 0;
        // The one probe that leaves is answered; its pace is a day.
        let orders = failover.handle(Event::Tick, at(0));
        for order in orders {
            if let Order::Probe(probe) = order {
                let _ = failover.handle(Event::Answered { probe, rtt: ns(MS) }, at(0));
            }
        }
        naive.outcomes.push(true);
        naive.judge(0);
        for (kind, amount) in steps {
            let event = match kind {
                0..24 => Event::Succeeded { endpoint, rtt: ns(u64::from(amount) * MS) },
                24..28 => Event::Errored { endpoint },
                28 => Event::Lost { endpoint },
                29..34 => Event::Reported { endpoint, load: amount, ready: true },
                _ => Event::Tick,
            };
            match event {
                Event::Tick => now += u64::from(amount) * SEC / 8,
                Event::Reported { .. } => naive.load = Some((amount, now)),
                _ => {
                    naive.outcomes.push(matches!(event, Event::Succeeded { .. }));
                    naive.lost = match event {
                        Event::Lost { .. } => true,
                        Event::Succeeded { .. } => false,
                        _ => naive.lost,
                    };
                }
            }
            let orders: Vec<Order> = failover.handle(event, at(now)).collect();
            for order in orders {
                // After a failure it asks again: that is not part of this reading.
                if let Order::Probe(probe) = order {
                    let _ = failover.handle(Event::Answered { probe, rtt: ns(MS) }, at(now));
                    naive.judge(now);
                    naive.outcomes.push(true);
                    naive.lost = false;
                }
            }
            naive.judge(now);
            let expected = (naive.pool, naive.until.map(at));
            let found = match failover.standing(endpoint) {
                Some(Standing::Quarantined { until }) if until >= at(now) => (false, Some(until)),
                standing => (standing == Some(Standing::InPool), None),
            };
            prop_assert_eq!(found, expected, "{:?} at {}", event, now);
        }
    }
}
