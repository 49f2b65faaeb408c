//! The interval that follows the network.

use core::time::Duration;

use heartbeat_proto::advisor::{Follow, FollowError};
use heartbeat_proto::{Action, Config, Event, HeartbeatMachine, Liveness};
use proptest::prelude::*;

use crate::common::{MS, Rng, SEC, at, ms, secs};

fn follow() -> Follow {
    Follow::new(secs(10), secs(2), secs(40)).expect("in order")
}

/// AD3: standard deviation over mean, as the textbook has it, once it has settled.
#[test]
fn the_fluctuation_is_the_deviation_over_the_mean() {
    // Two values in turn: the deviation is half their distance.
    for (low, high, percent) in [(100, 100, 0), (90, 110, 10), (50, 150, 50), (20, 380, 90)] {
        let mut follow = follow();
        for i in 0..400 {
            let _ = follow.sample(ms(if i % 2 == 0 { low } else { high }));
        }
        let told = follow.fluctuation_percent().expect("samples");
        assert!(told.abs_diff(percent) <= 4, "{low} and {high} ms: {told} %, not {percent} %");
    }
    assert_eq!(follow().fluctuation_percent(), None);
}

/// AD4, Y17: calm lengthens, roughness shortens at twice the pace and more, between them it stays.
#[test]
fn y17_the_interval_follows_the_network_within_bounds() {
    let mut follow = follow();
    let mut rng = Rng(1);
    let mut feed = |follow: &mut Follow, jitter: u64, samples: usize| {
        let rtt = |rng: &mut Rng| Duration::from_nanos(50 * MS + rng.below(jitter * MS + 1));
        (0..samples).filter_map(|_| follow.sample(rtt(&mut rng))).collect::<Vec<_>>()
    };
    let calm = feed(&mut follow, 5, 400);
    assert_eq!(follow.interval(), secs(40), "the upper bound");
    assert!(calm.windows(2).all(|pair| pair[0] < pair[1]), "{calm:?}");
    assert!(calm.len() >= 6, "by steps of a quarter: {calm:?}");
    let rough = feed(&mut follow, 2_000, 400);
    assert_eq!(follow.interval(), secs(2), "the lower bound");
    assert!(rough.len() <= 5, "by halves: {rough:?}");
    // Once more, to somewhere in the middle; then neither calm nor rough.
    let _ = feed(&mut follow, 5, 160);
    let before = follow.interval();
    assert!(before > secs(2) && before < secs(40), "{before:?}");
    let between = feed(&mut follow, 100, 400);
    let percent = follow.fluctuation_percent().expect("samples");
    assert!((16..40).contains(&percent), "{percent} %");
    assert!(between.len() <= 1, "it does not swing: {between:?}");
}

#[test]
fn bounds_out_of_order_are_refused() {
    for (interval, least, most) in
        [(1, 2, 3), (4, 2, 3), (2, 0, 3), (2, 3, 1), (100_000, 1, 100_000)]
    {
        let refused = Follow::new(secs(interval), secs(least), secs(most));
        assert!(matches!(refused, Err(FollowError::Bounds { .. })), "{interval} {least} {most}");
    }
    assert_eq!(
        follow().thresholds(40, 40).unwrap_err().to_string(),
        "calm is 40% but must be below rough, which is 40%"
    );
}

/// AD4, LC9: in a running machine, reconfigured whenever the interval changes: nobody is convicted
/// by a change, and the pings go at the new pace.
#[test]
fn y17_a_running_machine_follows() {
    let rules = Config::builder().response_window(secs(3)).jitter_percent(0);
    let config = rules.interval(secs(10)).build().expect("valid");
    let mut machine = HeartbeatMachine::new(config, 9, at(0));
    let mut follow = follow();
    let mut rng = Rng(9);
    let _ = machine.handle(Event::Start, at(0));
    let (mut now, mut pong, mut pings, mut changes) = (0, None, Vec::new(), 0);
    while now < 40_000 * SEC {
        let due = machine.next_deadline().expect("live").as_nanos() - at(0).as_nanos();
        let (event, sent_at) = match pong {
            Some((arrival, id, sent)) if arrival <= due => {
                (now, pong) = (arrival, None);
                (Event::pong(id), Some(sent))
            }
            _ => {
                now = due;
                (Event::Tick, None)
            }
        };
        for action in machine.handle(event, at(now)) {
            if let Action::SendPing { id, .. } = action {
                pings.push(now);
                // Calm, then rough, then calm.
                let rough = (10_000 * SEC..20_000 * SEC).contains(&now);
                let jitter = if rough { 1_500 * MS } else { 3 * MS };
                pong = Some((now + 40 * MS + rng.below(jitter), id, now));
            }
        }
        if let Some(sent) = sent_at {
            if let Some(interval) = follow.sample(Duration::from_nanos(now - sent)) {
                changes += 1;
                let config = rules.interval(interval).build().expect("valid");
                let _ = machine.reconfigure(config, at(now));
            }
        }
        assert!(machine.liveness() != Liveness::Lost, "at {now}");
    }
    let pace = |from: u64, to: u64| {
        let range = from * SEC..to * SEC;
        let count = pings.iter().filter(|at| range.contains(at)).count() as u64;
        (to - from) / count
    };
    assert_eq!(pace(8_000, 10_000), 40, "calm");
    assert!(pace(15_000, 20_000) <= 3, "rough: {}", pace(15_000, 20_000));
    assert!(pace(35_000, 40_000) >= 39, "calm again: {}", pace(35_000, 40_000));
    assert!(changes < 40, "{changes} changes");
}

proptest! {
    /// AD4: whatever comes, it stays within its bounds, and says each change once.
    #[test]
    fn it_stays_within_its_bounds(rtts in proptest::collection::vec(any::<u64>(), 0..300)) {
        let mut follow = follow();
        let mut last = follow.interval();
        for nanos in rtts {
            if let Some(interval) = follow.sample(Duration::from_nanos(nanos)) {
                prop_assert_ne!(interval, last);
                last = interval;
            }
            prop_assert_eq!(follow.interval(), last);
            prop_assert!((secs(2)..=secs(40)).contains(&last));
        }
    }
}
