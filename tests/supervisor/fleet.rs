//! 10 000 clients whose server restarts, in virtual time.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;

use heartbeat_proto::backoff::{Cause, Jitter, Policies, Policy};
use heartbeat_proto::supervisor::{Plan, Step, Supervisor};

use super::at;

const CLIENTS: u32 = 10_000;
const MS: u64 = 1_000_000;
const SEC: u64 = 1_000 * MS;
const HANDSHAKE: u64 = 10 * SEC;

/// The server of a run: gone at 0, back after `down`, and then `service` for each handshake, one
/// after the other, whether its client still waits or not. (That is what makes storms last.)
struct Server {
    down: u64,
    service: u64,
    free_at: u64,
}

struct Run {
    /// When each connect began, and which retry in a row it was.
    connects: Vec<(u64, u32)>,
    /// When the last client was back.
    whole_at: u64,
}

impl Run {
    /// The most connects within any second from `since` on, of those retries or of all.
    fn peak(&self, retry: Option<u32>, since: u64) -> usize {
        let counts = |n: u32| retry.is_none_or(|retry| n == retry);
        let wanted = self.connects.iter().filter(|(at, n)| *at >= since && counts(*n));
        let mut times: Vec<u64> = wanted.map(|(at, _)| *at).collect();
        times.sort_unstable();
        let (mut from, mut peak) = (0, 0);
        for (to, &last) in times.iter().enumerate() {
            while last - times[from] > SEC {
                from += 1;
            }
            peak = peak.max(to - from + 1);
        }
        peak
    }
}

/// All clients lose their stable connection at 0 by a goodbye.
fn restart(policies: &Policies, down: u64, service: u64, seed: u64) -> Run {
    let limit = Duration::from_nanos(HANDSHAKE);
    let plan = Plan::builder().policies(*policies).handshake_limit(limit).build().unwrap();
    let mut server = Server { down, service, free_at: down };
    let mut run = Run { connects: Vec::new(), whole_at: 0 };
    let mut agenda = BinaryHeap::new();
    let mut clients: Vec<Supervisor> = (0..CLIENTS)
        .map(|client| {
            let begin = at(0);
            let mut it = Supervisor::new(plan, seed << 32 | u64::from(client), begin);
            let Step::Connect { attempt, .. } = it.next(begin) else { panic!() };
            assert!(it.established(attempt, begin));
            it.verified(attempt, begin.saturating_add(Duration::from_secs(60)));
            it.ended(attempt, Cause::Goodbye, begin);
            it
        })
        .collect();
    // Time began 60 s ago for the clients' proof; count from there.
    let zero = 60 * SEC;
    agenda.extend((0..CLIENTS).map(|client| Reverse((zero, client))));
    while let Some(Reverse((now, client))) = agenda.pop() {
        let it = &mut clients[client as usize];
        match it.next(at(now)) {
            Step::Wait { until, .. } => agenda.push(Reverse((until.as_nanos(), client))),
            Step::Connect { attempt, until } => {
                let since = now - zero;
                run.connects.push((since, it.retries() - 1));
                if since < server.down {
                    it.ended(attempt, Cause::Refused, at(now));
                    agenda.push(Reverse((now, client)));
                    continue;
                }
                server.free_at = server.free_at.max(since) + server.service;
                let done = server.free_at + zero;
                if done <= until.as_nanos() {
                    assert!(it.established(attempt, at(done)));
                    run.whole_at = run.whole_at.max(server.free_at);
                } else {
                    agenda.push(Reverse((it.next_deadline().unwrap().as_nanos(), client)));
                }
            }
            other => panic!("{other}"),
        }
    }
    run
}

/// BO5, SV3: with the defaults the restart of a server with 10 000 clients is no storm: each wave
/// is within its bound, a server that does 1 500 handshakes a second needs no second try from
/// anyone whom it did not refuse, and all are back soon.
#[test]
fn ten_thousand_clients_come_back_in_peace() {
    let second = Duration::from_secs(1);
    let policy = Policies::default()[Cause::Goodbye];
    for (down, seed) in [(0, 1), (200 * MS, 2), (3 * SEC, 3), (20 * SEC, 4), (90 * SEC, 5)] {
        let run = restart(&Policies::default(), down, SEC / 1_500, seed);
        for n in 0..8 {
            let (peak, bound) = (run.peak(Some(n), 0), policy.wave(n, CLIENTS, second) as usize);
            assert!(peak <= bound, "{peak} of {bound} in wave {n}, down for {down}");
        }
        println!(
            "down {:.1?}: {} connects, at most {} a second, {} at the server (first wave {}, \
             bound {}), whole {:.1?} later",
            Duration::from_nanos(down),
            run.connects.len(),
            run.peak(None, 0),
            run.peak(None, down),
            run.peak(Some(0), 0),
            policy.wave(0, CLIENTS, second),
            Duration::from_nanos(run.whole_at - down),
        );
        assert!(run.peak(None, down) <= 1_500, "more than the server can do");
        assert!(run.whole_at - down <= 45 * SEC, "{} late", run.whole_at);
        if down == 0 {
            assert_eq!(run.connects.len(), CLIENTS as usize, "one connect each");
        }
    }
}

/// What the defaults are for: the same restart with the usual half second and 20 % of jitter.
#[test]
fn without_a_spread_it_is_a_storm() {
    let usual = Policies::all(Policy::exponential(Duration::from_millis(500)).build().unwrap());
    let none = Policy::exponential(Duration::from_millis(500)).jitter(Jitter::NONE);
    let in_step = Policies::all(none.build().unwrap());
    for (name, policies, least) in [("20 %", usual, 9_000), ("none", in_step, 10_000)] {
        let run = restart(&policies, 200 * MS, SEC / 500, 1);
        let calm = restart(&Policies::default(), 200 * MS, SEC / 500, 1);
        println!(
            "jitter {name}: {} connects, at most {} a second, whole after {:.1?}; \
             default: {}, {}, {:.1?}",
            run.connects.len(),
            run.peak(None, 0),
            Duration::from_nanos(run.whole_at),
            calm.connects.len(),
            calm.peak(None, 0),
            Duration::from_nanos(calm.whole_at),
        );
        assert!(run.peak(None, 0) >= least);
        assert!(run.connects.len() > calm.connects.len());
    }
}
