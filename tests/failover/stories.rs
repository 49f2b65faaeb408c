//! Suspicion, switch, panic, hysteresis: rules FO8, FO10 to FO12, FO16.

use heartbeat_proto::failover::{Cause, Event, FailoverConfig, Order, Standing};

use crate::world::{Fate, MS, Nature, SEC, World, at, dies, exact, good, ns, silent};

/// A world whose active endpoint has this nature, the others being good.
fn with_active<const N: usize>(config: FailoverConfig, nature: impl Fn() -> Nature) -> World<N> {
    for seed in 0.. {
        let natures = (0..N).map(|index| if index == 0 { nature() } else { good(20 * MS) });
        let mut world = World::new(config, seed, natures.collect());
        let _ = world.tell(Event::Tick);
        if world.active() == 0 {
            return world;
        }
    }
    unreachable!("some seed draws the first")
}

/// FO8, FO10: Y18: suspect, probe the alternatives in parallel, switch, quarantine, new route.
#[test]
fn y18_a_time_out_leads_to_a_proven_alternative() {
    let mut world: World<3> = with_active(exact(), || dies(5 * SEC + 1));
    world.run_to(20 * SEC);
    // The probe of 5.5 s is given up at 6.3 s: everybody else is asked in that very call.
    let suspected = 6300 * MS + 1;
    for other in [1, 2] {
        assert!(world.probes(other).contains(&suspected), "{:?}", world.probes(other));
    }
    // The second retry is given up: the switch, the quarantine and the route in one call.
    let failed = 7900 * MS + 3;
    let [_, (when, to, cause)] = world.switches()[..] else { panic!("{:?}", world.switches()) };
    assert_eq!((when, cause), (failed, Cause::Failed));
    assert!(to != 0 && world.active() == to && world.is_quarantined(0));
    let call: Vec<&Order> =
        world.log.iter().filter(|(when, _)| *when == failed).map(|(_, order)| order).collect();
    let from = Some(world.ids[0]);
    assert!(matches!(call[0], Order::Standing { to: Standing::Quarantined { .. }, .. }));
    assert!(matches!(call[1], Order::Switch { from: left, .. } if *left == from), "{call:?}");
}

/// FO8: a report of suspicion asks all that are not being asked, and the active one's probe too.
#[test]
fn suspicion_probes_in_parallel() {
    let mut world: World<3> = with_active(exact(), || good(20 * MS));
    world.run_to(600 * MS);
    let endpoint = world.ids[0];
    let orders = world.tell(Event::Suspected { endpoint });
    assert_eq!(orders.len(), 3, "{orders:?}");
    assert!(orders.iter().all(|order| matches!(order, Order::Probe(_))));
    // Not again by a second report, nor by one about an endpoint that is not used.
    world.run_to(700 * MS);
    assert_eq!(world.tell(Event::Suspected { endpoint }), []);
    assert_eq!(world.tell(Event::Suspected { endpoint: world.ids[1] }), []);
    // Alive, and suspect once more: a new doubt.
    assert_eq!(world.tell(Event::Alive { endpoint }), []);
    assert_eq!(world.tell(Event::Suspected { endpoint }).len(), 3);
}

/// FO8: the quarantined are asked at their own pace, doubt or not.
#[test]
fn suspicion_does_not_hurry_the_quarantined() {
    let mut world: World<3> = with_active(exact(), || good(20 * MS));
    world.run_to(600 * MS);
    let _ = world.tell(Event::Lost { endpoint: world.ids[1] });
    let _ = world.tell(Event::Suspected { endpoint: world.ids[0] });
    let asked = |index: usize| world.probes(index).contains(&(600 * MS));
    assert_eq!([asked(0), asked(1), asked(2)], [true, false, true]);
}

/// FO10: a loss out of the blue: those that answer the parallel probes first are taken.
#[test]
fn a_loss_waits_for_one_fresh_answer() {
    let mut world: World<3> = with_active(exact(), || good(20 * MS));
    world.natures[1] = good(30 * MS);
    world.natures[2] = good(300 * MS);
    world.run_to(700 * MS);
    let _ = world.tell(Event::Lost { endpoint: world.ids[0] });
    assert_eq!((world.active(), world.is_quarantined(0)), (0, true));
    assert_ne!(world.failover.pick(), Some(world.ids[0]), "no more work to the lost one");
    world.run_to(2 * SEC);
    assert_eq!(world.switches()[1..], [(730 * MS, 1, Cause::Failed)]);
}

/// FO10: in doubt the answers are there already: the switch falls with the loss.
#[test]
fn after_a_suspicion_a_loss_switches_at_once() {
    let mut world: World<2> = with_active(exact(), || good(20 * MS));
    world.run_to(600 * MS);
    let _ = world.tell(Event::Suspected { endpoint: world.ids[0] });
    world.run_to(630 * MS);
    let _ = world.tell(Event::Lost { endpoint: world.ids[0] });
    assert_eq!(world.switches()[1..], [(630 * MS, 1, Cause::Failed)]);
}

/// FO10: alternatives that died unnoticed are not switched to, if any other answers.
#[test]
fn a_dead_alternative_is_not_chosen() {
    let mut world: World<3> = with_active(exact(), || good(20 * MS));
    world.natures[1] = silent();
    world.natures[2] = good(400 * MS);
    world.run_to(450 * MS); // Both others are in the pool: they answered once.
    world.natures[1] = silent();
    let _ = world.tell(Event::Lost { endpoint: world.ids[0] });
    world.run_to(3 * SEC);
    assert!(world.switches()[1..].iter().all(|(_, to, _)| *to == 2), "{:?}", world.switches());
}

/// FO10: who is out but answers is better than who failed; the quarantined are not taken.
#[test]
fn a_poor_endpoint_is_better_than_a_failed_one() {
    let mut world: World<3> = with_active(exact(), || good(20 * MS));
    world.natures[1] = good(500 * MS);
    world.natures[2] = silent();
    world.run_to(5 * SEC);
    assert_eq!((world.standing(1), world.is_quarantined(2)), (Standing::Out, true));
    let _ = world.tell(Event::Lost { endpoint: world.ids[0] });
    assert_eq!(world.switches()[1..], [(5 * SEC, 1, Cause::Failed)]);
}

/// FO10: the first choice: at once; one that never answers is left for the first that does.
#[test]
fn a_first_choice_that_is_dead_costs_one_time_out() {
    let mut world: World<3> = with_active(exact(), silent);
    assert_eq!(world.switches(), [(0, 0, Cause::Vacant)]);
    world.run_to(5 * SEC);
    let [_, (when, _, Cause::Failed)] = world.switches()[..] else {
        panic!("{:?}", world.switches())
    };
    // It has failed with its first failure; the answers to the parallel probes take 20 ms.
    assert_eq!(when, 800 * MS + 1 + 20 * MS);
    assert_eq!(world.standing(0), Standing::Out, "that is no quarantine");
}

/// FO11: a first choice that turns out poor is left at once; later, only after `hold`.
#[test]
fn a_poor_one_is_left_when_the_hold_has_passed() {
    let mut world: World<2> = with_active(exact(), || good(500 * MS));
    world.run_to(SEC);
    assert_eq!(world.switches()[1..], [(500 * MS, 1, Cause::Poor)]);
    world.natures = vec![good(20 * MS), good(700 * MS)];
    world.run_to(500 * MS + 60 * SEC);
    assert_eq!((world.active(), world.standing(1)), (1, Standing::Out));
    assert_eq!(world.standing(0), Standing::InPool);
    world.run_to(500 * MS + 60 * SEC + 1);
    assert_eq!(world.switches()[2..], [(500 * MS + 60 * SEC + 1, 0, Cause::Poor)]);
}

/// FO11: a better one is worth a switch from the margin on, after `hold`; a nearly equal one never.
#[test]
fn only_a_clearly_better_one_is_worth_a_switch() {
    for (rtt, better) in [(242, false), (243, true), (250, true)] {
        let mut world: World<2> = with_active(exact(), || good(20 * MS));
        world.run_to(SEC);
        assert_eq!(world.switches(), [(0, 0, Cause::Vacant)]);
        // 558 / 6 = 93, and 557 / 6 = 92: eight below.
        world.natures[0] = good(rtt * MS);
        world.run_to(200 * SEC);
        let switched = world.switches().get(1).map(|(_, to, cause)| (*to, *cause));
        assert_eq!(switched, better.then_some((1, Cause::Better)), "{rtt} ms");
    }
}

/// FO11: the hold runs from the last switch, to the nanosecond.
#[test]
fn a_better_one_waits_for_the_hold() {
    let mut world: World<2> = with_active(exact(), || dies(SEC));
    world.run_to(10 * SEC);
    let switched = world.switches()[1].0;
    world.natures = vec![good(20 * MS), good(250 * MS)];
    world.run_to(switched + 60 * SEC);
    assert_eq!((world.switches().len(), world.standing(0)), (2, Standing::InPool));
    world.run_to(switched + 60 * SEC + 1);
    assert_eq!(world.switches()[2..], [(switched + 60 * SEC + 1, 0, Cause::Better)]);
}

fn panics<const N: usize>(world: &World<N>) -> Vec<(u64, bool)> {
    let panic = |(when, order): &(u64, Order)| match order {
        Order::Panic { on } => Some((*when, *on)),
        _ => None,
    };
    world.log.iter().filter_map(panic).collect()
}

/// FO12: all dead: the active one is kept, and it is said; the first that returns is taken.
#[test]
fn when_all_are_bad_the_least_bad_is_kept() {
    let back = 100 * SEC;
    let nature = move |now| match now {
        now if now < 5 * SEC || now >= back => Fate::Answer(20 * MS),
        _ => Fate::Silence,
    };
    let mut world: World<2> = with_active(exact(), || dies(5 * SEC));
    world.natures[1] = Box::new(nature);
    world.run_to(99 * SEC);
    assert_eq!((world.active(), world.failover.is_panicking()), (0, true));
    assert_eq!(world.failover.pick(), Some(world.ids[0]));
    assert_eq!(world.switches().len(), 1, "{:?}", world.switches());
    world.run_to(120 * SEC);
    let [(began, true), (ended, false)] = panics(&world)[..] else {
        panic!("{:?}", panics(&world))
    };
    assert!(began < 8 * SEC && ended >= back, "{began} {ended}");
    // The first answer is better than none, even before it is enough for the pool.
    let [_, (when, 1, _)] = world.switches()[..] else { panic!("{:?}", world.switches()) };
    assert!(when >= back && when < back + 600 * MS, "{when}");
}

/// FO12: among the bad the worst is left after the hold, by the margin, the answering one first.
#[test]
fn the_least_bad_is_found_after_the_hold() {
    let mut world: World<2> = with_active(exact(), || good(20 * MS));
    world.run_to(5 * SEC);
    world.natures = vec![good(600 * MS), good(500 * MS)];
    // The hold runs from the first answer.
    let held = 20 * MS + 60 * SEC;
    world.run_to(held);
    assert_eq!((world.active(), world.failover.is_panicking()), (0, true));
    world.run_to(held + 1);
    assert_eq!(world.switches()[1..], [(held + 1, 1, Cause::LeastBad)]);
    world.natures = vec![good(450 * MS), good(500 * MS)];
    world.run_to(500 * SEC);
    assert_eq!(world.active(), 0, "eight points are a margin");
    world.natures[1] = good(435 * MS);
    world.run_to(900 * SEC);
    assert_eq!(world.active(), 0, "two are none");
}

/// FO12: in panic even a quarantined one is better than a dead one.
#[test]
fn panic_overrides_quarantine() {
    let mut world: World<2> = with_active(exact(), || good(20 * MS));
    world.run_to(100 * SEC);
    let _ = world.tell(Event::Lost { endpoint: world.ids[1] });
    assert!(world.is_quarantined(1));
    world.natures[0] = silent();
    world.run_to(105 * SEC);
    assert!(world.is_quarantined(0) && world.is_quarantined(1));
    assert_eq!(world.switches().last().map(|last| (last.1, last.2)), Some((1, Cause::LeastBad)));
}

/// FO16: the bound on switches in a span, for `n` endpoints and for one among sound ones.
fn bounds(span: u64, n: u64) -> (u64, u64) {
    let (hold, most, doublings) = (60 * SEC, 300 * SEC, 4);
    let each = doublings + 3 + span / most;
    (3 + 2 * span / hold + n * each, 2 * each)
}

/// FO16: one endpoint oscillates, at any beat: the switches of an hour are bounded.
#[test]
fn an_oscillating_endpoint_does_not_make_the_route_flap() {
    let hour = 3600 * SEC;
    let (_, most) = bounds(hour, 3);
    assert_eq!(most, 38);
    let mut worst = 0;
    for beat in [1, 2, 3, 5, 10, 20, 30, 45, 60, 90, 120, 300] {
        let swings = move || -> Nature {
            Box::new(move |now| match now / (beat * SEC) % 2 {
                0 => Fate::Answer(MS),
                _ => Fate::Silence,
            })
        };
        let mut world: World<3> = with_active(FailoverConfig::default(), swings);
        // The others are sound, but by so much worse that it is tempting to return.
        for nature in &mut world.natures[1..] {
            *nature = Box::new(|now| Fate::Answer(if now < SEC { MS } else { 250 * MS }));
        }
        world.run_to(hour);
        let count = world.switches().len() as u64;
        assert!(count <= most, "{count} switches at a beat of {beat} s");
        worst = worst.max(count);
    }
    println!("at most {worst} switches an hour, the bound is {most}");
    assert!(worst > 4, "it is tempting: {worst}");
}

/// FO16: all oscillate.
#[test]
fn even_if_all_oscillate_switches_are_bounded() {
    let hour = 3600 * SEC;
    let (most, _) = bounds(hour, 4);
    assert_eq!(most, 199);
    let mut worst = 0;
    for seed in 0..20 {
        let natures = (0..4_u64).map(|index| -> Nature {
            let beat = (3 + 7 * ((seed + index * 5) % 11)) * SEC;
            Box::new(move |now| match (now / beat + index) % 2 {
                0 => Fate::Answer(MS),
                _ => Fate::Refuse(MS),
            })
        });
        let mut world: World<4> = World::new(FailoverConfig::default(), seed, natures.collect());
        world.run_to(hour);
        worst = worst.max(world.switches().len() as u64);
    }
    println!("at most {worst} switches an hour, the bound is {most}");
    assert!(worst <= most, "{worst}");
}

/// FO1: what was decided depends on differences of times alone, and on the seed.
#[test]
fn a_shift_changes_nothing_but_times() {
    let run = |shift: u64, seed: u64| {
        let config = FailoverConfig::default();
        let mut failover = heartbeat_proto::failover::Failover::<3>::new(config, seed, at(shift));
        let endpoint = heartbeat_proto::failover::Endpoint::TCP;
        for _ in 0..3 {
            let _ = failover.add(endpoint, at(shift)).expect("room");
        }
        let (mut now, mut seen) = (at(shift), Vec::new());
        for step in 0..300_u64 {
            let mut event = Event::Tick;
            for order in failover.handle(Event::Tick, now) {
                if let Order::Probe(probe) = order {
                    event = Event::Answered { probe, rtt: ns(step * MS) };
                }
            }
            let orders: Vec<Order> = failover.handle(event, now).collect();
            let picks = (failover.active(), failover.pick(), failover.is_panicking());
            let due = failover.next_deadline().expect("endpoints");
            seen.push((picks, orders.len(), due.as_nanos() - now.as_nanos()));
            now = due;
        }
        seen
    };
    assert_eq!(run(0, 7), run(123_456_789_012, 7));
    assert_ne!(run(0, 7), run(0, 8));
}
