//! The pool: rules PL2 to PL5, PL9, PL10.

use core::time::Duration;

use heartbeat_proto::pool::{
    CheckOut, IdleLimits, Lease, Pool, PoolConfig, PoolConfigBuilder, PoolError, Proof, Quota,
    Refusal, Take, Upkeep, Why,
};

use crate::{SEC, at, since};

type Numbers = Pool<&'static str, u32>;

fn pool(builder: PoolConfigBuilder) -> Numbers {
    Pool::new(builder.build().expect("valid"), 1)
}

fn connect(pool: &mut Numbers, owner: &'static str, now: u64) -> Lease<&'static str> {
    match pool.check_out(&owner, at(now)) {
        CheckOut::Connect { lease } => lease,
        other => panic!("{other:?}"),
    }
}

/// Connects so many and gives them in, a second apart.
fn fill(pool: &mut Numbers, owner: &'static str, numbers: core::ops::Range<u32>) {
    let leases: Vec<_> = numbers.map(|number| (number, connect(pool, owner, 0))).collect();
    for (number, lease) in leases {
        let now = at(u64::from(number) * SEC);
        let _ = pool.check_in(lease, number, now, now).expect("young");
    }
}

/// PL4: INC "half-open TCP reused": whoever was silent for longer than the proof's span is to be
/// verified, to the nanosecond; without a span everybody is.
#[test]
fn y25_idle_connections_are_verified_before_reuse() {
    for (proof, limit) in [
        (Proof::HeardWithin(Duration::from_secs(2)), Some(2 * SEC)),
        (Proof::HeardWithin(Duration::from_nanos(1)), Some(1)),
        (Proof::Always, None),
    ] {
        for silence in [0, 1, 2, 2 * SEC, 2 * SEC + 1, 20 * SEC] {
            let mut pool = pool(PoolConfig::builder().proof(proof));
            let lease = connect(&mut pool, "db", 0);
            // Given back a minute after it was heard: giving back is no proof.
            let _ = pool.check_in(lease, 7, at(0), at(silence)).expect("young");
            let ready = match pool.check_out(&"db", at(silence)) {
                CheckOut::Ready { connection: 7, .. } => true,
                CheckOut::Verify { connection: 7, .. } => false,
                other => panic!("{other:?}"),
            };
            assert_eq!(ready, limit.is_some_and(|limit| silence <= limit), "{proof:?} {silence}");
        }
    }
}

/// PL4: what was heard while idle proves as well, and an unanswered ping disproves.
#[test]
fn what_is_heard_while_idle_counts() {
    let minute = Proof::HeardWithin(Duration::from_secs(60));
    let ready = |heard: Option<u64>, asked: u64| {
        let mut pool = pool(PoolConfig::builder().proof(minute));
        let lease = connect(&mut pool, "db", 0);
        let id = pool.check_in(lease, 7, at(0), at(0)).expect("young");
        let ping = pool.upkeep(at(30 * SEC + 1));
        assert!(matches!(ping, Some(Upkeep::Ping { connection: 7, .. })), "{ping:?}");
        if let Some(heard) = heard {
            assert!(pool.heard(id, at(heard)));
        }
        matches!(pool.check_out(&"db", at(asked)), CheckOut::Ready { .. })
    };
    assert!(!ready(None, 31 * SEC), "heard within a minute, but it owes an answer");
    assert!(ready(Some(31 * SEC), 32 * SEC));
    assert!(ready(Some(31 * SEC), 60 * SEC));
}

/// PL4: the newest or the oldest, of this owner only.
#[test]
fn the_order_is_as_configured() {
    for (take, first) in [(Take::Newest, 4), (Take::Oldest, 1)] {
        let mut pool = pool(PoolConfig::builder().take(take));
        fill(&mut pool, "other", 8..9);
        fill(&mut pool, "db", 1..5);
        fill(&mut pool, "another", 9..10);
        let out = pool.check_out(&"db", at(9 * SEC));
        assert!(matches!(out, CheckOut::Verify { connection, .. } if connection == first));
    }
}

/// PL4, PL7, PL8: what is due to be evicted is not handed out, even if nobody cleaned up.
#[test]
fn the_overdue_are_closed_not_handed_out() {
    let mut pool = pool(PoolConfig::builder());
    fill(&mut pool, "db", 0..3);
    // Unused for 90 s since the third second: all but the newest are overdue, unnoticed.
    let now = 92 * SEC;
    let out = pool.check_out(&"db", at(now));
    assert!(matches!(out, CheckOut::Verify { connection: 2, .. }), "{out:?}");
    for expected in [1, 0] {
        let out = pool.check_out(&"db", at(now + 1));
        let CheckOut::Close { connection, why: Why::Unused } = out else { panic!("{out:?}") };
        assert_eq!(connection, expected);
    }
    assert_eq!(pool.quota().all(), 1, "the one that is leased");
    let _ = connect(&mut pool, "db", now + 1);
}

/// PL3: Y28: a cap for each owner and one for all, leased or idle.
#[test]
fn y28_caps_hold_for_each_owner_and_in_all() {
    let mut pool = pool(PoolConfig::builder().caps(2, 3));
    let one = connect(&mut pool, "alice", 0);
    let two = connect(&mut pool, "alice", 0);
    let refused = |pool: &mut Numbers, owner: &'static str| match pool.check_out(&owner, at(0)) {
        CheckOut::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mut pool, "alice"), Refusal::Owner { cap: 2 });
    let three = connect(&mut pool, "bob", 0);
    assert_eq!(refused(&mut pool, "bob"), Refusal::Total { cap: 3 });
    assert_eq!(refused(&mut pool, "alice"), Refusal::Owner { cap: 2 });
    pool.discard(two);
    let two = connect(&mut pool, "carol", 0);
    // An idle one makes room for who needs it; a leased one does not.
    let _ = pool.check_in(one, 1, at(0), at(0)).expect("young");
    let out = pool.check_out(&"bob", at(0));
    assert!(matches!(out, CheckOut::Close { connection: 1, why: Why::Room }), "{out:?}");
    let four = connect(&mut pool, "bob", 0);
    assert_eq!((four.owner(), pool.quota().of(&"bob"), pool.quota().owners()), (&"bob", 2, 2));
    for lease in [two, three, four] {
        pool.discard(lease);
    }
    assert_eq!((pool.quota().all(), pool.quota().owners()), (0, 0));
}

/// PL3: Y28: a server's cap for each user or address.
#[test]
fn y28_a_quota_alone() {
    let mut quota = Quota::new(1, 2).expect("valid");
    assert_eq!(quota.admit(&"1.2.3.4"), Ok(()));
    assert_eq!(quota.admit(&"1.2.3.4"), Err(Refusal::Owner { cap: 1 }));
    assert_eq!(quota.admit(&"1.2.3.5"), Ok(()));
    assert_eq!(quota.admit(&"1.2.3.6"), Err(Refusal::Total { cap: 2 }));
    assert!(quota.release(&"1.2.3.4") && !quota.release(&"1.2.3.4"));
    assert_eq!((quota.all(), quota.of(&"1.2.3.4"), quota.of(&"1.2.3.5")), (1, 0, 1));
    assert_eq!(quota.admit(&"1.2.3.6"), Ok(()));
}

/// PL5, PL8: what is old is not taken back; it counts no more.
#[test]
fn the_old_are_not_taken_back() {
    let idle = IdleLimits::builder().age(Some(Duration::from_secs(100))).age_jitter_percent(0);
    let mut pool = pool(PoolConfig::builder().idle(idle.build().expect("valid")));
    let (young, old) = (connect(&mut pool, "db", 0), connect(&mut pool, "db", 0));
    let now = at(100 * SEC);
    let _ = pool.check_in(young, 1, now, now).expect("at the limit");
    let now = at(100 * SEC + 1);
    assert_eq!(pool.check_in(old, 2, now, now), Err(2));
    assert_eq!((pool.idle(), pool.quota().all()), (1, 1));
    let out = pool.check_out(&"db", now);
    assert!(matches!(out, CheckOut::Close { connection: 1, why: Why::Old }), "{out:?}");
}

/// PL9: one thing a call, the longest due first; bounded work may be left for later.
#[test]
fn upkeep_is_one_thing_a_call() {
    let mut pool = pool(PoolConfig::builder());
    fill(&mut pool, "db", 0..5);
    assert_eq!(pool.next_deadline().map(since), Some(30 * SEC + 1));
    assert!(pool.upkeep(at(30 * SEC)).is_none());
    // The five are due by now; two of them are looked after.
    let now = at(34 * SEC + 1);
    for expected in 0..2 {
        let found = pool.upkeep(now);
        let pinged =
            matches!(found, Some(Upkeep::Ping { connection, .. }) if *connection == expected);
        assert!(pinged);
    }
    assert_eq!(pool.next_deadline().map(since), Some(32 * SEC + 1));
    for _ in 2..5 {
        assert!(pool.upkeep(now).is_some());
    }
    assert!(pool.upkeep(now).is_none());
    assert!(pool.next_deadline().is_some_and(|due| due > now));
    // Nobody answers: all are evicted, each once, and nothing is left.
    let now = at(44 * SEC + 2);
    for expected in 0..5 {
        let Some(Upkeep::Close { owner, connection, why }) = pool.upkeep(now) else {
            panic!("an eviction")
        };
        assert_eq!((owner, connection, why), ("db", expected, Why::Unanswered));
    }
    assert!(pool.upkeep(now).is_none());
    assert_eq!((pool.idle(), pool.quota().all(), pool.next_deadline()), (0, 0, None));
}

/// PL10: what ends by itself, and the end of all.
#[test]
fn connections_can_be_taken_out() {
    let mut pool = pool(PoolConfig::builder());
    fill(&mut pool, "db", 0..4);
    let ids: Vec<_> = pool.idle_mut().map(|(id, _)| id).collect();
    assert_eq!((pool.remove(ids[2]), pool.remove(ids[2])), (Some(2), None));
    assert!(!pool.heard(ids[2], at(0)) && pool.heard(ids[1], at(0)));
    assert_eq!(pool.quota().all(), 3);
    let rest: Vec<u32> = pool.drain().collect();
    assert_eq!(rest, [0, 1, 3]);
    assert_eq!((pool.idle(), pool.quota().all(), pool.next_deadline()), (0, 0, None));
    let _ = connect(&mut pool, "db", 0);
}

/// PL2: caps and proofs.
#[test]
fn what_does_not_fit_is_refused() {
    for (per_owner, total) in [(0, 1), (0, 0), (2, 1)] {
        let error = PoolConfig::builder().caps(per_owner, total).build().expect_err("caps");
        assert!(matches!(error, PoolError::Caps(_)), "{error}");
        assert!(Quota::<u8>::new(per_owner, total).is_err());
    }
    assert!(PoolConfig::builder().caps(1, 1).build().is_ok());
    for span in [Duration::ZERO, Duration::from_secs(86_401)] {
        let error = PoolConfig::builder().proof(Proof::HeardWithin(span)).build();
        assert!(matches!(error, Err(PoolError::Span(_))), "{error:?}");
    }
    assert_eq!(PoolConfig::builder().build(), Ok(PoolConfig::default()));
    let hour = IdleLimits::builder().unused(Some(Duration::from_secs(90)));
    let hour = hour.age(Some(Duration::from_secs(3600))).build();
    assert_eq!(hour, Ok(IdleLimits::pool()));
}
