//! Time, probing, time-outs: rules FO1 to FO4, FO14, FO15.

use core::time::Duration;

use heartbeat_proto::ConfigError;
use heartbeat_proto::failover::{
    Endpoint, Event, Failover, FailoverConfig, FailoverConfigBuilder, Order, Probe, Standing,
};

use crate::world::{MS, SEC, World, at, exact, good, ns, silent, since};

fn only_probe(orders: &[Order]) -> Probe {
    let probe = |order: &Order| match order {
        Order::Probe(probe) => Some(*probe),
        _ => None,
    };
    let probes: Vec<Probe> = orders.iter().filter_map(probe).collect();
    assert_eq!(probes.len(), 1, "{orders:?}");
    probes[0]
}

/// FO1: time that runs back is the newest; a tick before its time changes nothing.
#[test]
fn time_is_monotone_and_early_ticks_are_nothing() {
    let mut world: World<1> = World::new(exact(), 1, vec![good(10 * MS)]);
    world.run_to(300 * MS);
    let before = format!("{:?}", world.failover);
    world.now = 0;
    assert_eq!(world.tell(Event::Tick), []);
    assert_eq!(format!("{:?}", world.failover), before);
    world.run_to(3 * SEC);
    let probes = world.probes(0);
    assert_eq!(probes, [0, 500 * MS, 1000 * MS, 1500 * MS, 2000 * MS, 2500 * MS, 3000 * MS]);
}

/// FO1: no wake-up without endpoints, nor past the end of the clock.
#[test]
fn there_is_a_wake_up_while_there_are_endpoints() {
    let mut failover: Failover<1> = Failover::new(exact(), 1, at(0));
    assert_eq!(failover.next_deadline(), None);
    assert_eq!(failover.handle(Event::Tick, at(0)).count(), 0);
    assert_eq!(failover.pick(), None);
    let id = failover.add(Endpoint::TCP, at(0)).expect("room");
    assert_eq!(failover.next_deadline(), Some(at(0)));
    assert_eq!(failover.handle(Event::Tick, at(0)).count(), 2);
    assert_eq!(failover.next_deadline(), Some(at(800 * MS + 1)));
    let _ = failover.handle(Event::Tick, heartbeat_proto::Timestamp::MAX);
    let _ = failover.handle(Event::Tick, heartbeat_proto::Timestamp::MAX);
    assert_eq!(failover.next_deadline(), None);
    assert!(failover.remove(id, at(0)));
    assert_eq!((failover.next_deadline(), failover.active()), (None, None));
}

/// FO2: every bound, on both sides.
#[test]
fn what_does_not_fit_is_refused() {
    type Knob = fn(FailoverConfigBuilder, u8) -> FailoverConfigBuilder;
    type Span = fn(FailoverConfigBuilder, Duration) -> FailoverConfigBuilder;
    let knobs: [(&str, Knob, u8, u8); 9] = [
        ("retries", FailoverConfigBuilder::retries, 0, 14),
        ("rise", FailoverConfigBuilder::rise, 1, 15),
        ("window", FailoverConfigBuilder::window, 1, 64),
        ("errors_percent", FailoverConfigBuilder::errors_percent, 0, 99),
        ("leave_below", FailoverConfigBuilder::leave_below, 1, 95),
        ("enter_at", FailoverConfigBuilder::enter_at, 90, 100),
        ("margin", FailoverConfigBuilder::margin, 1, 100),
        ("load_goal", FailoverConfigBuilder::load_goal, 0, 99),
        ("jitter_percent", FailoverConfigBuilder::jitter_percent, 0, 50),
    ];
    for (name, knob, least, most) in knobs {
        for value in 0..=u8::MAX {
            let built = knob(FailoverConfig::builder(), value).build();
            assert_eq!(built.is_ok(), (least..=most).contains(&value), "{name} {value}: {built:?}");
        }
    }
    let day = Duration::from_secs(86_400);
    let over = day + ns(1);
    let spans: [(&str, Span, Duration, Duration); 7] = [
        ("timeout", FailoverConfigBuilder::timeout, ns(200 * MS + 1), day),
        ("rtt_goal", FailoverConfigBuilder::rtt_goal, ns(1), ns(800 * MS - 1)),
        ("slack", FailoverConfigBuilder::slack, ns(1), ns(200 * MS)),
        ("quarantine", FailoverConfigBuilder::quarantine, ns(1), ns(300 * SEC)),
        ("quarantine_most", FailoverConfigBuilder::quarantine_most, ns(30 * SEC), day),
        ("hold", FailoverConfigBuilder::hold, ns(1), day),
        ("load_life", FailoverConfigBuilder::load_life, ns(1), day),
    ];
    for (name, knob, least, most) in spans {
        let build = |span| knob(FailoverConfig::builder(), span).build();
        assert!(build(least).is_ok() && build(most).is_ok(), "{name}");
        for wrong in
            [Duration::ZERO, least.saturating_sub(ns(1)), most + ns(1), over, Duration::MAX]
        {
            assert!(build(wrong).is_err(), "{name} {wrong:?}");
        }
    }
    assert_eq!(Endpoint::new(ns(0)), Err(ConfigError::Zero { field: "pace" }));
    assert!(Endpoint::new(over).is_err() && Endpoint::new(day).is_ok());
    assert!(Endpoint::TCP.with_weight(0).is_err() && Endpoint::TCP.with_weight(255).is_ok());
    assert_eq!(Endpoint::new(ns(500 * MS)), Ok(Endpoint::TCP));
    assert_eq!(Endpoint::new(ns(2 * SEC)), Ok(Endpoint::HTTP));
}

/// FO3: Y24: each endpoint at its own pace; never two probes under way.
#[test]
fn y24_each_endpoint_is_probed_at_its_own_pace() {
    let mut world: World<3> = World::new(exact(), 1, vec![good(10 * MS)]);
    let slow = Endpoint::HTTP;
    let own = Endpoint::new(ns(5 * SEC)).expect("valid");
    for endpoint in [slow, own] {
        world.ids.push(world.failover.add(endpoint, at(0)).expect("room"));
        world.natures.push(good(10 * MS));
    }
    world.run_to(10 * SEC);
    let steps = |pace: u64| (0..=10 * SEC / pace).map(|k| k * pace).collect::<Vec<_>>();
    assert_eq!(world.probes(0), steps(SEC / 2));
    assert_eq!(world.probes(1), steps(2 * SEC));
    assert_eq!(world.probes(2), steps(5 * SEC));
}

/// FO3: jitter comes early, never late, within its share, and differs between endpoints.
#[test]
fn jitter_shortens_the_pace_by_its_share_at_most() {
    let config = FailoverConfig::builder().jitter_percent(20).build().expect("valid");
    let mut world: World<2> = World::new(config, 5, vec![good(MS), good(MS)]);
    world.run_to(60 * SEC);
    let gaps = |index: usize| {
        let probes = world.probes(index);
        probes.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
    };
    for gaps in [gaps(0), gaps(1)] {
        assert!(gaps.iter().all(|gap| (400 * MS..=500 * MS).contains(gap)), "{gaps:?}");
        let spread = gaps.iter().max().expect("some") - gaps.iter().min().expect("some");
        assert!(spread > 50 * MS, "{spread}");
    }
    assert_ne!(gaps(0), gaps(1));
}

/// FO3: a failed probe is repeated a time-out after its sending, or by its pace if that is sooner;
/// one that has failed is probed by its pace.
#[test]
fn failures_are_retried_soon_but_not_at_once() {
    let pace = |pace: u64| {
        let refuse = Box::new(|_| crate::world::Fate::Refuse(MS));
        let mut world: World<2> = World::new(exact(), 1, vec![]);
        let endpoint = Endpoint::new(ns(pace)).expect("valid");
        world.ids.push(world.failover.add(endpoint, at(0)).expect("room"));
        world.natures.push(refuse);
        world.run_to(12 * SEC);
        world.probes(0)
    };
    // Two retries; the third failure is the end of the run.
    assert_eq!(pace(5 * SEC), [0, 800 * MS, 1600 * MS, 6600 * MS, 11_600 * MS]);
    assert_eq!(pace(300 * MS)[..4], [0, 300 * MS, 600 * MS, 900 * MS]);
}

/// FO3, FO4: silence is a failure 1 ns after the time-out, and the retry leaves with it.
#[test]
fn a_time_out_is_passed_not_reached() {
    let mut world: World<1> = World::new(exact(), 1, vec![silent()]);
    let first = only_probe(&world.tell(Event::Tick));
    let id = world.ids[0];
    let fork = world.failover.clone();
    // At the limit an answer counts, before or after the tick.
    for tick_first in [false, true] {
        let mut failover = fork.clone();
        let limit = at(800 * MS);
        if tick_first {
            assert_eq!(failover.handle(Event::Tick, limit).count(), 0);
        }
        let answer = Event::Answered { probe: first, rtt: ns(5 * MS) };
        let orders: Vec<Order> = failover.handle(answer, limit).collect();
        assert_eq!(failover.standing(id), Some(Standing::InPool));
        assert_eq!(orders.len(), 2, "joined, and the next probe: {orders:?}");
    }
    assert_eq!(fork.next_deadline().map(since), Some(800 * MS + 1));
    world.run_to(800 * MS);
    assert_eq!(world.probes(0), [0]);
    world.run_to(800 * MS + 1);
    assert_eq!(world.probes(0), [0, 800 * MS + 1]);
    // The answer to the first comes too late: it is not the one under way.
    let stale = Event::Answered { probe: first, rtt: ns(SEC) };
    let before = format!("{:?}", world.failover);
    assert_eq!(world.tell(stale), []);
    assert_eq!(world.tell(Event::Failed { probe: first }), []);
    assert_eq!(format!("{:?}", world.failover), before);
}

/// FO4: a driver that was stalled does not condemn; but only once for each probe.
#[test]
fn a_late_call_times_nobody_out() {
    let slack = 50 * MS;
    let limit = 800 * MS;
    for (late, spared) in [(slack, false), (slack + 1, true)] {
        let mut world: World<1> = World::new(exact(), 1, vec![silent()]);
        let probe = only_probe(&world.tell(Event::Tick));
        world.now = limit + 1 + late;
        let failed = !world.tell(Event::Tick).is_empty();
        assert_eq!(failed, !spared, "late by {late}");
        if spared {
            let again = world.now + slack;
            assert_eq!(world.failover.next_deadline().map(since), Some(again + 1));
            let mut other = world.failover.clone();
            let answer = Event::Answered { probe, rtt: ns(MS) };
            let _ = other.handle(answer, at(again));
            assert_eq!(other.standing(world.ids[0]), Some(Standing::InPool));
            // Late again, by more than ever: no more grace.
            world.now = again + 10 * SEC;
            assert!(!world.tell(Event::Tick).is_empty());
        }
    }
}

/// FO14: ids of removed endpoints mean nothing, also when their place is taken again.
#[test]
fn endpoints_come_and_go() {
    let mut world: World<2> = World::new(exact(), 3, vec![good(MS), good(MS)]);
    let full = world.failover.add(Endpoint::TCP, at(0)).expect_err("two are two");
    assert_eq!(
        (full.capacity, full.to_string().as_str()),
        (2, "all 2 places for endpoints are taken")
    );
    world.run_to(SEC);
    let active = world.active();
    let (gone, other) = (world.ids[active], world.ids[1 - active]);
    assert!(world.failover.remove(gone, at(world.now)));
    assert!(!world.failover.remove(gone, at(world.now)));
    assert_eq!(world.failover.active(), None);
    assert_eq!(world.failover.next_deadline(), Some(at(world.now)));
    let orders = world.tell(Event::Tick);
    let cause = heartbeat_proto::failover::Cause::Vacant;
    let switched = orders.contains(&Order::Switch { from: Some(gone), to: other, cause });
    assert!(switched, "{orders:?}");
    let fresh = world.failover.add(Endpoint::TCP, at(world.now)).expect("room");
    assert_eq!(fresh.slot(), gone.slot());
    assert_ne!(fresh, gone);
    world.ids[active] = fresh;
    let _ = world.tell(Event::Tick);
    let before = format!("{:?}", world.failover);
    for event in [
        Event::Lost { endpoint: gone },
        Event::Suspected { endpoint: gone },
        Event::Errored { endpoint: gone },
        Event::Alive { endpoint: gone },
        Event::Reported { endpoint: gone, load: 100, ready: false },
        Event::Succeeded { endpoint: gone, rtt: ns(SEC) },
    ] {
        assert_eq!(world.tell(event), [], "{event:?}");
    }
    assert_eq!(format!("{:?}", world.failover), before);
    assert_eq!(world.failover.standing(gone), None);
    assert_eq!(world.failover.score(gone), None);
    world.run_to(2 * SEC);
    assert_eq!(world.failover.standing(fresh), Some(Standing::InPool));
    assert_eq!(world.failover.endpoints().count(), 2);
}

/// FO15: standings, panic, switch, probes: in this order, each once.
#[test]
fn orders_come_in_their_order() {
    let mut world: World<3> = World::new(exact(), 3, vec![good(MS), good(MS), good(MS)]);
    world.run_to(600 * MS);
    let active = world.ids[world.active()];
    // The others answer what the doubt asks them; then the loss.
    let _ = world.tell(Event::Suspected { endpoint: active });
    world.run_to(650 * MS);
    world.now = 1000 * MS;
    let orders = world.tell(Event::Lost { endpoint: active });
    let kind = |order: &Order| match order {
        Order::Standing { .. } => 0,
        Order::Panic { .. } => 1,
        Order::Switch { .. } => 2,
        _ => 3,
    };
    let kinds: Vec<u32> = orders.iter().map(kind).collect();
    assert!(kinds.is_sorted(), "{orders:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == 0).count(), 1);
    assert_eq!(kinds.iter().filter(|kind| **kind == 2).count(), 1);
}
