//! Scores, the pool, quarantine: rules FO5 to FO7, FO9.

use heartbeat_proto::failover::{Event, FailoverConfig, Order, Standing};

use crate::world::{Fate, MS, SEC, World, at, dies, exact, good, ns, silent, since};

/// One endpoint that is probed by hand, so that its outcomes are ours.
fn known() -> World<1> {
    let mut world = World::new(exact(), 1, vec![silent()]);
    let orders = world.tell(Event::Tick);
    let Some(Order::Probe(probe)) = orders.last() else { panic!("{orders:?}") };
    let _ = world.tell(Event::Answered { probe: *probe, rtt: ns(MS) });
    assert_eq!((world.standing(0), world.score(0)), (Standing::InPool, 100));
    world
}

/// FO6: Y24: the score from the round trip, linear from the goal to the time-out.
#[test]
fn y24_round_trips_are_scored() {
    let points =
        [(0, 100), (200, 100), (201, 99), (206, 99), (230, 95), (260, 90), (261, 89), (800, 0)];
    for (millis, score) in points {
        let mut world: World<1> = World::new(exact(), 1, vec![silent()]);
        let _ = world.tell(Event::Tick);
        let endpoint = world.ids[0];
        assert_eq!(world.score(0), 0, "nothing is known");
        let _ = world.tell(Event::Succeeded { endpoint, rtt: ns(millis * MS) });
        assert_eq!(world.score(0), score, "{millis} ms");
        let entered = world.standing(0) == Standing::InPool;
        assert_eq!(entered, score >= 95, "{millis} ms");
    }
}

/// FO5, FO6, FO7: Y24: 5 % errors are borne, more are not; old ones are forgotten.
#[test]
fn y24_more_than_five_percent_errors_leave_the_pool() {
    let mut world = known();
    let endpoint = world.ids[0];
    let (good, bad) = (Event::Succeeded { endpoint, rtt: ns(MS) }, Event::Errored { endpoint });
    let _ = world.tell(bad);
    assert_eq!((world.standing(0), world.score(0)), (Standing::InPool, 95));
    let _ = world.tell(good);
    let _ = world.tell(bad);
    assert_eq!((world.standing(0), world.score(0)), (Standing::Out, 90));
    // The newest of twenty push the first one out; then one failure, 5 %, is left.
    for answers in 1..=18 {
        let _ = world.tell(good);
        let entered = world.standing(0) == Standing::InPool;
        assert_eq!(entered, answers == 18, "{answers} answers");
    }
}

/// FO7: an answer in between is no return: `rise` in a row, within the errors.
#[test]
fn a_return_takes_answers_in_a_row() {
    let config = FailoverConfig::builder().window(1).rise(3).jitter_percent(0);
    let mut world: World<1> = World::new(config.build().expect("valid"), 1, vec![good(MS)]);
    world.run_to(10 * MS);
    assert_eq!(world.standing(0), Standing::InPool, "the first answer is enough at first");
    let endpoint = world.ids[0];
    let (good, bad) = (Event::Succeeded { endpoint, rtt: ns(MS) }, Event::Errored { endpoint });
    for event in [bad, good, good, bad, good, good] {
        let _ = world.tell(event);
        assert_eq!(world.standing(0), Standing::Out, "{event:?}");
    }
    let _ = world.tell(good);
    assert_eq!(world.standing(0), Standing::InPool);
}

/// FO5, FO6: Y24: load counts from its goal, and for its life.
#[test]
fn y24_load_is_scored_and_forgotten() {
    let mut world = known();
    let endpoint = world.ids[0];
    for (load, score) in [(0, 100), (80, 100), (81, 95), (82, 90), (83, 85), (100, 0), (255, 0)] {
        let mut failover = world.failover.clone();
        let report = Event::Reported { endpoint, load, ready: true };
        let _ = failover.handle(report, at(world.now));
        assert_eq!(failover.score(endpoint), Some(score), "{load} %");
        let stays = failover.standing(endpoint) == Some(Standing::InPool);
        assert_eq!(stays, score >= 90, "{load} %");
    }
    let report = Event::Reported { endpoint, load: 7, ready: false };
    let _ = world.tell(report);
    assert_eq!((world.standing(0), world.score(0)), (Standing::Out, 0), "it wants no work");
    world.natures[0] = good(MS);
    world.run_to(10 * SEC);
    assert_eq!(world.standing(0), Standing::Out);
    world.run_to(10 * SEC + 1);
    assert_eq!(world.standing(0), Standing::InPool, "nobody says so any more");
}

/// FO6: what peers say in their pongs.
#[cfg(feature = "codec")]
#[test]
fn a_status_is_a_report() {
    use heartbeat_proto::codec::Status;
    let world = known();
    let endpoint = world.ids[0];
    let status = Status::new().with_load(40).expect("a load");
    for (status, ready) in [
        (status, false),
        (status.with_ready(true), true),
        (status.with_ready(true).with_draining(true), false),
        (status.with_ready(true).with_alive(false), false),
    ] {
        let event = Event::Reported { endpoint, load: 40, ready };
        assert_eq!(Event::status(endpoint, &status), event);
    }
}

/// FO7: between leaving and entering lies a gap: a score that trembles does not flap.
#[test]
fn the_pool_has_hysteresis() {
    let mut world = known();
    let endpoint = world.ids[0];
    let _ = world.tell(Event::Succeeded { endpoint, rtt: ns(MS) });
    for (load, standing) in [
        (82, Standing::InPool),
        (83, Standing::Out),
        (82, Standing::Out),
        (81, Standing::InPool),
        (82, Standing::InPool),
    ] {
        let _ = world.tell(Event::Reported { endpoint, load, ready: true });
        assert_eq!(world.standing(0), standing, "{load} %");
    }
}

/// FO9: Y18: two retries of 800 ms, then 30 s, to the nanosecond; nothing of before counts after.
#[test]
fn y18_the_failed_one_is_quarantined() {
    let death = 5 * SEC + 1;
    let mut world: World<2> = World::new(exact(), 1, vec![dies(death), dies(death)]);
    world.run_to(7900 * MS + 3);
    let quarantined = world.log.iter().find_map(|(when, order)| match order {
        Order::Standing { to: Standing::Quarantined { until }, .. } => Some((*when, since(*until))),
        _ => None,
    });
    // Probed at 5.5 s, given up after 800 ms, and twice again.
    let failed = 5500 * MS + 3 * (800 * MS + 1);
    assert_eq!(quarantined, Some((failed, failed + 30 * SEC)));
    world.natures = vec![good(MS), good(MS)];
    world.run_to(failed + 30 * SEC);
    assert!(world.is_quarantined(0) && world.is_quarantined(1));
    world.run_to(failed + 30 * SEC + 1);
    assert_eq!([world.standing(0), world.standing(1)], [Standing::InPool; 2]);
    assert_eq!(world.score(0), 100);
}

/// FO9: longer each time, up to the most; one step shorter for each `quarantine_most` of peace.
#[test]
fn quarantine_grows_and_shrinks() {
    let mut world: World<2> = World::new(exact(), 1, vec![good(MS), good(MS)]);
    let mut lose = |pause: u64| {
        world.run_to(world.now + pause);
        assert_eq!(world.standing(0), Standing::InPool);
        let _ = world.tell(Event::Lost { endpoint: world.ids[0] });
        let Standing::Quarantined { until } = world.standing(0) else { panic!("quarantined") };
        let span = since(until) - world.now;
        world.run_to(since(until) + 1);
        span / SEC
    };
    let grown: Vec<u64> = (0..7).map(|_| lose(3 * SEC)).collect();
    assert_eq!(grown, [30, 60, 120, 240, 300, 300, 300]);
    // 299.999999998 s of quiet are not enough, since the end of the last one is 1 ns ago.
    assert_eq!(lose(300 * SEC - 2), 300);
    assert_eq!(lose(300 * SEC - 1), 240);
    assert_eq!(lose(900 * SEC), 60);
    assert_eq!(lose(90_000 * SEC), 30);
}

/// FO9: a dead endpoint is quarantined once, and returns as soon as it answers again.
#[test]
fn the_dead_are_not_quarantined_again_and_again() {
    let alive = 1000 * SEC;
    let nature = Box::new(move |now| match now {
        now if now < 5 * SEC => Fate::Answer(MS),
        now if now < alive => Fate::Refuse(MS),
        _ => Fate::Answer(MS),
    });
    let mut world: World<2> = World::new(exact(), 1, vec![nature, good(MS)]);
    world.run_to(1010 * SEC);
    let standings = world.log.iter().filter_map(|(when, order)| match order {
        Order::Standing { endpoint, to, .. } if *endpoint == world.ids[0] => {
            Some((*when, matches!(to, Standing::Quarantined { .. })))
        }
        _ => None,
    });
    let changes: Vec<(u64, bool)> = standings.collect();
    let [joined, left, failed, back] = changes[..] else { panic!("{changes:?}") };
    assert!(!joined.1 && !left.1 && failed.1 && !back.1);
    assert!(failed.0 < 8 * SEC, "{failed:?}");
    assert!(back.0 >= alive && back.0 < alive + 12 * SEC, "errors must leave the window: {back:?}");
}

/// FO9: life without a round trip ends a run.
#[test]
fn a_report_of_life_ends_the_run() {
    let mut world: World<2> = World::new(exact(), 1, vec![silent(), silent()]);
    let _ = world.tell(Event::Tick);
    let endpoint = world.ids[world.active()];
    let _ = world.tell(Event::Succeeded { endpoint, rtt: ns(MS) });
    let errored = Event::Errored { endpoint };
    for event in [errored, errored, Event::Alive { endpoint }, errored, errored] {
        let _ = world.tell(event);
        assert!(!world.is_quarantined(world.active()), "{event:?}");
    }
    let active = world.active();
    let _ = world.tell(errored);
    assert!(world.is_quarantined(active));
}

/// FO16: in any span an endpoint is quarantined at most `L + 2 + H / quarantine_most` times,
/// whatever the rhythm of its failures.
#[test]
fn quarantines_are_bounded_in_any_span() {
    let mut tightest = u64::MAX;
    for pauses in [&[0][..], &[100], &[299], &[301], &[601], &[0, 0, 0, 1300], &[0, 301, 0, 605]] {
        let mut world: World<1> = World::new(exact(), 1, vec![good(MS)]);
        let mut losses: Vec<u64> = Vec::new();
        while world.now < 6 * 3600 * SEC {
            let pause = pauses[losses.len() % pauses.len()] * SEC;
            world.run_to(world.now + 3 * SEC + pause);
            let _ = world.tell(Event::Lost { endpoint: world.ids[0] });
            let Standing::Quarantined { until } = world.standing(0) else { panic!("quarantined") };
            losses.push(world.now);
            world.run_to(since(until) + 1);
        }
        for span in [30 * SEC, 300 * SEC, 900 * SEC, 3600 * SEC, 4 * 3600 * SEC] {
            let most = 4 + 2 + span / (300 * SEC);
            for (index, start) in losses.iter().enumerate() {
                let within = losses[index..].iter().take_while(|loss| **loss <= start + span);
                let count = within.count() as u64;
                assert!(count <= most, "{count} in {span} with pauses of {pauses:?}");
                tightest = tightest.min(most - count);
            }
        }
    }
    println!("at the tightest {tightest} below the bound");
    assert!(tightest <= 3, "the bound says something: {tightest}");
}
