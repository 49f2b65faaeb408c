//! The supervisor: by its rules, against a naive model, and as a fleet of 10 000.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

#[path = "supervisor/fleet.rs"]
mod fleet;
#[path = "supervisor/model.rs"]
mod model;

use core::time::Duration;

use heartbeat_proto::Timestamp;
use heartbeat_proto::backoff::{BackoffError, Breaker, Budget, Cause, Jitter, Policies, Policy};
use heartbeat_proto::supervisor::{Outcome, Plan, Step, Supervisor, Why};

pub(crate) const fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

pub(crate) const fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// 100 ns, 200 ns, 400 ns, then no more; 1 us for a connect; stable after 5 us.
fn plan() -> Plan {
    let policy =
        Policy::exponential(ns(100)).cap(ns(400)).jitter(Jitter::NONE).tries(3).build().unwrap();
    Plan::builder()
        .policies(Policies::all(policy).on(Cause::Rejected, Policy::NEVER))
        .handshake_limit(ns(1_000))
        .stable_after(ns(5_000))
        .build()
        .unwrap()
}

const fn wait(until: u64, cause: Cause) -> Step {
    Step::Wait { until: at(until), cause: Some(cause) }
}

const fn connect(attempt: u64, until: u64) -> Step {
    Step::Connect { attempt, until: at(until) }
}

fn outcome(supervisor: &Supervisor) -> Outcome {
    supervisor.outcome().expect("it is over")
}

/// Which attempt runs is told without beginning anything; and each step says what it is.
#[test]
fn it_tells_what_it_does() {
    let mut it = Supervisor::new(plan(), 1, at(0));
    let mut said = vec![it.next(at(0)).to_string()];
    assert_eq!(it.running(), None);
    assert!(it.established(1, at(2)));
    assert_eq!(it.running(), Some(1));
    said.push(it.next(at(3)).to_string());
    it.ended(1, Cause::Refused, at(4));
    assert_eq!(it.running(), None);
    said.push(it.next(at(5)).to_string());
    said.push(it.next(at(104)).to_string());
    assert!(it.established(2, at(105)));
    assert_eq!(it.running(), Some(2));
    it.stop(at(106));
    said.push(it.next(at(107)).to_string());
    assert_eq!(it.running(), None);
    let first = Step::Wait { until: at(100), cause: None }.to_string();
    assert_eq!(first, format!("wait until {}", at(100)));
    assert_eq!(said[0], format!("connect 1 until {}", at(1_000)));
    assert_eq!(said[1], "run 1");
    assert_eq!(said[2], format!("wait until {} ({})", at(104), Cause::Refused));
    assert!(said[3].starts_with("connect 2 until "), "{said:?}");
    assert!(said[4].starts_with("over: "), "{said:?}");
}

/// SV1: asked twice it says the same; told twice, or of another attempt, it changes nothing.
#[test]
fn nothing_happens_by_asking_or_telling_twice() {
    let mut it = Supervisor::new(plan(), 1, at(0));
    assert_eq!(it.next_deadline(), Some(at(0)));
    for _ in 0..2 {
        assert_eq!(it.next(at(0)), connect(1, 1_000));
    }
    assert!(!it.established(2, at(1)) && !it.established(0, at(1)));
    it.ended(2, Cause::Refused, at(1));
    it.verified(1, at(1));
    assert_eq!(it.next(at(2)), connect(1, 1_000));
    assert!(it.established(1, at(3)) && it.established(1, at(900)));
    assert_eq!((it.next(at(4)), it.next_deadline()), (Step::Run { attempt: 1 }, None));
    it.verified(1, at(5_002)); // The second word of it did not move its beginning ...
    assert!(!it.is_stable());
    it.verified(1, at(5_003)); // ... and the first one counts.
    assert!(it.is_stable());
    it.ended(1, Cause::Abrupt, at(6_000));
    it.ended(1, Cause::Rejected, at(6_001));
    assert!(!it.established(1, at(6_002)), "it has ended");
    for _ in 0..2 {
        assert_eq!(it.next(at(6_099)), wait(6_100, Cause::Abrupt));
        assert_eq!(it.next_deadline(), Some(at(6_100)));
    }
    assert_eq!(it.next(at(6_100)), connect(2, 7_100));
    // Time that runs back is the newest.
    assert_eq!(it.next(at(0)), connect(2, 7_100));
}

/// SV2: the limit is hard, to the nanosecond, and comes before late news.
#[test]
fn a_connect_has_until_its_limit() {
    let begun = |now| {
        let mut it = Supervisor::new(plan(), 1, at(500));
        assert_eq!(it.next(at(500)), connect(1, 1_500));
        assert_eq!(it.next_deadline(), Some(at(1_501)));
        let step = it.next(at(now));
        (it, step)
    };
    let (mut it, step) = begun(1_500);
    assert_eq!(step, connect(1, 1_500));
    assert!(it.established(1, at(1_500)));
    let (mut it, step) = begun(1_501);
    assert_eq!(step, wait(1_601, Cause::HandshakeTimeout));
    assert!(!it.established(1, at(1_501)));
    // Nobody looked; the news itself is late.
    let (mut it, _) = begun(1_000);
    assert!(!it.established(1, at(1_501)));
    assert_eq!(it.next(at(1_501)), wait(1_601, Cause::HandshakeTimeout));
    let (mut it, _) = begun(1_000);
    it.ended(1, Cause::Rejected, at(1_501));
    assert_eq!(it.next(at(1_501)), wait(1_601, Cause::HandshakeTimeout));
}

/// SV3: delay, budget and breaker, each the one that holds.
#[test]
fn the_next_attempt_waits_for_delay_budget_and_breaker() {
    let budget = Budget::new(2, ns(10_000)).unwrap();
    let fail = |it: &mut Supervisor, now: u64| {
        let Step::Connect { attempt, .. } = it.next(at(now)) else {
            panic!("{}", it.next(at(now)))
        };
        it.ended(attempt, Cause::Refused, at(now));
        it.next(at(now))
    };
    let limited = |breaker: Option<Breaker>| {
        let builder = Plan::builder().policies(Policies::all(
            Policy::constant(ns(100)).jitter(Jitter::NONE).build().unwrap(),
        ));
        let builder = match breaker {
            Some(breaker) => builder.breaker(breaker),
            None => builder.budget(budget),
        };
        Supervisor::new(builder.build().unwrap(), 1, at(0))
    };
    let mut it = limited(None);
    assert_eq!(fail(&mut it, 0), wait(100, Cause::Refused));
    assert_eq!(fail(&mut it, 100), wait(10_000, Cause::Refused), "the budget is spent");
    assert_eq!(it.next(at(9_999)), wait(10_000, Cause::Refused));
    assert_eq!(fail(&mut it, 10_000), wait(20_000, Cause::Refused));
    let mut it = limited(Some(Breaker::new(2, ns(5_000)).unwrap()));
    assert_eq!(fail(&mut it, 0), wait(100, Cause::Refused));
    assert_eq!(fail(&mut it, 100), wait(5_100, Cause::Refused), "the breaker is open");
    assert_eq!(fail(&mut it, 5_100), wait(10_100, Cause::Refused), "the trial failed");
    let Step::Connect { attempt, .. } = it.next(at(10_100)) else { panic!() };
    assert!(it.established(attempt, at(10_100)));
    it.ended(attempt, Cause::Abrupt, at(10_200));
    assert_eq!(it.next(at(10_200)), wait(15_200, Cause::Abrupt), "it never proved stable");
    let Step::Connect { attempt, .. } = it.next(at(15_200)) else { panic!() };
    assert!(it.established(attempt, at(15_200)));
    it.verified(attempt, at(15_200 + 30_000_000_000));
    it.ended(attempt, Cause::Abrupt, at(15_300 + 30_000_000_000));
    assert_eq!(it.next(at(0)), wait(15_400 + 30_000_000_000, Cause::Abrupt), "now it has");
}

/// SV4: only a connection that is old enough when the peer is proved alive is a success.
#[test]
fn merely_connecting_sets_nothing_back() {
    // When it was proved, when it ended, and the delay that follows.
    for (proof, end, delay) in [
        (None, 10_000, 200),        // never proved, however long it lasted
        (Some(4_999), 10_000, 200), // proved too young, then dead for long
        (Some(5_000), 10_000, 100), // old enough
        (Some(5_000), 5_000, 100),  // to the nanosecond
        (Some(10_000), 10_000, 100),
    ] {
        let mut it = Supervisor::new(plan(), 1, at(0));
        let Step::Connect { .. } = it.next(at(0)) else { panic!() };
        it.ended(1, Cause::Refused, at(0));
        assert_eq!(it.next(at(100)), connect(2, 1_100));
        assert!(it.established(2, at(100)));
        assert_eq!(it.retries(), 1);
        if let Some(proof) = proof {
            it.verified(2, at(100 + proof));
        }
        it.ended(2, Cause::Transport, at(100 + end));
        let until = 100 + end + delay;
        assert_eq!(it.next(at(100 + end)), wait(until, Cause::Transport), "{proof:?}");
    }
}

/// SV4: a server that accepts and dies is not hammered, for hours.
#[test]
fn a_server_that_accepts_and_dies_is_left_in_peace() {
    const SEC: u64 = 1_000_000_000;
    let mut it = Supervisor::new(Plan::default(), 3, at(0));
    let mut now = 0;
    let mut connects = 0;
    while now < 10 * 3_600 * SEC {
        match it.next(at(now)) {
            Step::Connect { attempt, .. } => {
                connects += 1;
                assert!(it.established(attempt, at(now)));
                it.verified(attempt, at(now + SEC / 2)); // It even answers a ping.
                now += SEC;
                it.ended(attempt, Cause::Abrupt, at(now));
            }
            Step::Wait { until, .. } => now = until.as_nanos(),
            other => panic!("{other}"),
        }
    }
    // Once each 21 s in the long run. (Reset by connecting, it would be each 6 s: 6 000.)
    assert!((1_500..1_950).contains(&connects), "{connects} connects in ten hours");
}

/// SV5: the end, why, and its numbers.
#[test]
fn it_gives_up_visibly() {
    let mut it = Supervisor::new(plan(), 1, at(10));
    let mut now = 10;
    for (attempt, delay) in [(1, 100), (2, 200), (3, 400)] {
        assert_eq!(it.next(at(now)), connect(attempt, now + 1_000));
        if attempt == 2 {
            assert!(it.established(2, at(now)));
            now += 50;
        }
        it.ended(attempt, Cause::Refused, at(now));
        now += delay;
    }
    assert_eq!(it.next(at(now)), connect(4, now + 1_000));
    assert_eq!(it.outcome(), None);
    it.ended(4, Cause::Goodbye, at(now));
    let end = outcome(&it);
    assert_eq!((end.why, end.cause), (Why::TriesSpent, Cause::Goodbye));
    assert_eq!((end.attempts, end.established, end.retries), (4, 1, 3));
    assert_eq!((end.lasted, end.connected, end.down), (ns(750), ns(50), ns(600)));
    assert_eq!(
        end.to_string(),
        "tries_spent (goodbye): 4 connects, 1 established, 3 retries in a row, connected for \
         50.000ns of 750.000ns, not for the last 600.000ns"
    );
    // It is final.
    let _ = it.established(4, at(now));
    it.ended(4, Cause::Refused, at(now + 9));
    it.retry_now(at(now + 9));
    it.stop(at(now + 9));
    assert_eq!((it.next(at(now + 9_999)), it.next_deadline()), (Step::Over(end), None));

    let mut it = Supervisor::new(plan(), 1, at(0));
    let _ = it.next(at(0));
    it.ended(1, Cause::Rejected, at(7));
    assert_eq!((outcome(&it).why, outcome(&it).cause), (Why::Never, Cause::Rejected));
    assert_eq!((outcome(&it).down, outcome(&it).retries), (ns(7), 0));
}

/// SV6: the delay ends, the budget does not, and nothing is set back.
#[test]
fn a_network_that_comes_back_ends_the_wait() {
    let plan = {
        let policy = Policy::constant(ns(100)).jitter(Jitter::NONE).build().unwrap();
        let (budget, breaker) = (Budget::new(3, ns(1_000)), Breaker::new(1, ns(9_000)));
        Plan::builder()
            .policies(Policies::all(policy))
            .budget(budget.unwrap())
            .breaker(breaker.unwrap())
            .build()
            .unwrap()
    };
    let mut it = Supervisor::new(plan, 1, at(0));
    it.retry_now(at(0));
    let limit = 10_000_000_000;
    for (attempt, begins) in [(1, 0), (2, 10), (3, 20)] {
        assert_eq!(it.next(at(begins)), connect(attempt, begins + limit));
        it.retry_now(at(begins));
        assert_eq!(it.next(at(begins)), connect(attempt, begins + limit), "no effect");
        it.ended(attempt, Cause::Refused, at(begins));
        assert_eq!(it.next(at(begins + 9)), wait(begins + 9_000, Cause::Refused));
        it.retry_now(at(begins + 10));
    }
    // A network that flaps has used up the budget.
    assert_eq!(it.next(at(30)), wait(1_000, Cause::Refused));
    it.retry_now(at(40));
    assert_eq!(it.next(at(999)), wait(1_000, Cause::Refused));
    assert_eq!(it.next(at(1_000)), connect(4, 1_000 + limit));
    assert_eq!(it.retries(), 3);
    assert!(it.established(4, at(1_000)));
    it.retry_now(at(1_001));
    assert_eq!(it.next(at(1_001)), Step::Run { attempt: 4 });
}

/// SV7: whatever goes on, it is over.
#[test]
fn stop_ends_it() {
    let check = |mut it: Supervisor, down| {
        it.stop(at(2_000));
        let end = outcome(&it);
        assert_eq!((end.why, end.cause, end.down), (Why::Stopped, Cause::ClosedLocally, ns(down)));
        assert_eq!(it.next(at(2_000)), Step::Over(end));
        assert!(!it.established(1, at(2_000)));
    };
    let mut it = Supervisor::new(plan(), 1, at(0));
    check(it, 2_000);
    let _ = it.next(at(1_500));
    check(it, 2_000);
    assert!(it.established(1, at(1_600)));
    check(it, 0);
    it.ended(1, Cause::Abrupt, at(1_700));
    check(it, 300);
}

/// SV1 to SV7 near the end of time: nothing overflows.
#[test]
fn the_end_of_time_is_no_panic() {
    let mut it = Supervisor::new(Plan::default(), 1, at(u64::MAX - 5));
    let Step::Connect { attempt, .. } = it.next(at(u64::MAX)) else { panic!() };
    assert_eq!(it.next_deadline(), Some(Timestamp::MAX));
    it.ended(attempt, Cause::Refused, Timestamp::MAX);
    let _ = it.next(Timestamp::MAX);
    it.verified(1, Timestamp::MAX);
    it.stop(Timestamp::MAX);
    assert!(it.outcome().is_some());
}

/// BO3: the plan's spans are checked as well.
#[test]
fn plans_that_make_no_sense_are_refused() {
    let text = |built: Result<Plan, BackoffError>| built.unwrap_err().to_string();
    assert_eq!(
        text(Plan::builder().handshake_limit(Duration::ZERO).build()),
        "handshake_limit is 0ns but must be in 1ns..=86400s"
    );
    assert_eq!(
        text(Plan::builder().stable_after(Duration::MAX).build()),
        "stable_after is 18446744073709551615.999999999s but must be in 1ns..=86400s"
    );
    assert_eq!(Plan::builder().build(), Ok(Plan::default()));
}
