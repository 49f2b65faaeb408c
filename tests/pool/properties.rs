//! Whatever happens, in whatever order: rules PL1, PL3, PL4, PL9, PL10, beside a naive pool.

use std::collections::BTreeMap;

use heartbeat_proto::Timestamp;
use heartbeat_proto::pool::{
    CheckOut, ConnectionId, IdleLimits, Lease, Pool, PoolConfig, Proof, Refusal, Take, Upkeep,
};
use proptest::prelude::*;

use crate::{MS, SEC, at};

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Back(u64),
    CheckOut(u8),
    CheckIn(usize, u64),
    Discard(usize),
    Upkeep(u8),
    Heard(usize),
    Remove(usize),
    Drain,
    End,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        300 => (0..40 * SEC).prop_map(Step::Pass),
        30 => (0..SEC).prop_map(Step::Back),
        500 => (0..4_u8).prop_map(Step::CheckOut),
        400 => (any::<usize>(), 0..100 * SEC).prop_map(|(which, ago)| Step::CheckIn(which, ago)),
        50 => any::<usize>().prop_map(Step::Discard),
        200 => (0..10_u8).prop_map(Step::Upkeep),
        100 => any::<usize>().prop_map(Step::Heard),
        50 => any::<usize>().prop_map(Step::Remove),
        5 => Just(Step::Drain),
        1 => Just(Step::End),
    ]
}

/// What is known of an idle connection from outside, in a list in the order of its giving in.
#[derive(Clone, Debug)]
struct Known {
    id: ConnectionId,
    number: u32,
    owner: u8,
    heard: u64,
    /// When a ping was asked for, unanswered.
    ping: Option<u64>,
    since: u64,
}

#[derive(Debug)]
struct Watched {
    pool: Pool<u8, u32>,
    newest: bool,
    proof: u64,
    caps: (u32, u32),
    now: u64,
    made: u32,
    idle: Vec<Known>,
    leased: Vec<(Lease<u8>, u32)>,
    closed: BTreeMap<u32, &'static str>,
}

impl Watched {
    fn close(&mut self, number: u32, why: &'static str) {
        assert_eq!(self.closed.insert(number, why), None, "PL10: {number} came out twice");
    }

    fn forget(&mut self, number: u32) -> Known {
        let at = self.idle.iter().position(|known| known.number == number);
        self.idle.remove(at.unwrap_or_else(|| panic!("PL10: {number} is not idle: {self:?}")))
    }

    fn check_out(&mut self, owner: u8) {
        let mut own = self.idle.iter().filter(|known| known.owner == owner);
        let expected = if self.newest { own.next_back() } else { own.next() }.cloned();
        let count = |owner: u8| {
            let idle = self.idle.iter().filter(|known| known.owner == owner).count();
            idle + self.leased.iter().filter(|(lease, _)| *lease.owner() == owner).count()
        };
        let (mine, all) = (count(owner), self.idle.len() + self.leased.len());
        let out = self.pool.check_out(&owner, Timestamp::from_nanos(self.now));
        let ready = matches!(out, CheckOut::Ready { .. });
        match out {
            CheckOut::Ready { lease, connection } | CheckOut::Verify { lease, connection } => {
                let known = self.forget(connection);
                assert_eq!(Some(known.number), expected.map(|known| known.number), "PL4");
                assert!(!self.is_overdue(&known), "PL4: evicted ones are not handed out");
                let limit = known.heard.saturating_add(self.proof);
                assert_eq!(ready, known.ping.is_none() && self.now <= limit, "PL4");
                self.leased.push((lease, connection));
            }
            CheckOut::Connect { lease } => {
                assert!(expected.is_none(), "PL4");
                assert!(mine < self.caps.0 as usize && all < self.caps.1 as usize, "PL3");
                self.made += 1;
                self.leased.push((lease, self.made));
            }
            CheckOut::Close { connection, why } => {
                let known = self.forget(connection);
                let room = expected.is_none() && all == self.caps.1 as usize;
                assert!(room || self.is_overdue(&known), "PL4: {why}");
                self.close(connection, "check_out");
            }
            CheckOut::Refused(Refusal::Owner { .. }) => assert_eq!(mine, self.caps.0 as usize),
            CheckOut::Refused(_) => assert_eq!(self.leased.len(), self.caps.1 as usize, "PL3"),
            _ => unreachable!("no other answers"),
        }
    }

    /// A second reading of PL7: 90 s unused, or a ping unanswered for 10 s.
    fn is_overdue(&self, known: &Known) -> bool {
        let unanswered = known.ping.is_some_and(|ping| self.now > ping.saturating_add(10 * SEC));
        unanswered || self.now > known.since.saturating_add(90 * SEC)
    }

    fn upkeep(&mut self, times: u8) {
        for _ in 0..times {
            match self.pool.upkeep(Timestamp::from_nanos(self.now)) {
                None => {
                    let due = self.pool.next_deadline();
                    assert!(due.is_none_or(|due| due.as_nanos() > self.now), "PL9");
                    return;
                }
                Some(Upkeep::Ping { id, .. }) => {
                    let now = self.now;
                    let known = self.idle.iter_mut().find(|known| known.id == id).expect("idle");
                    known.ping = Some(now);
                }
                Some(Upkeep::Close { owner, connection, why }) => {
                    let known = self.forget(connection);
                    assert_eq!(known.owner, owner, "PL9");
                    assert!(self.is_overdue(&known), "PL7: {why}");
                    self.close(connection, "upkeep");
                }
                Some(_) => unreachable!("no other needs"),
            }
        }
    }

    fn step(&mut self, step: &Step) {
        let now = Timestamp::from_nanos(self.now);
        match *step {
            Step::Pass(by) => self.now = self.now.saturating_add(by),
            Step::Back(by) => {
                // It counts as the newest time.
                self.upkeep(100);
                let before = format!("{:?}", self.pool);
                let back = Timestamp::from_nanos(self.now - by);
                if self.pool.next_deadline().is_none_or(|due| due > now) {
                    assert!(self.pool.upkeep(back).is_none(), "PL1");
                    assert_eq!(format!("{:?}", self.pool), before, "PL1");
                }
            }
            Step::CheckOut(owner) => self.check_out(owner),
            Step::CheckIn(which, ago) if !self.leased.is_empty() => {
                let (lease, number) = self.leased.swap_remove(which % self.leased.len());
                let owner = *lease.owner();
                let heard = self.now.saturating_sub(ago);
                let heard_at = Timestamp::from_nanos(heard);
                match self.pool.check_in(lease, number, heard_at, now) {
                    Ok(id) => {
                        let since = self.now;
                        self.idle.push(Known { id, number, owner, heard, ping: None, since });
                    }
                    Err(number) => self.close(number, "check_in"),
                }
            }
            Step::Discard(which) if !self.leased.is_empty() => {
                let (lease, number) = self.leased.swap_remove(which % self.leased.len());
                self.close(number, "discard");
                self.pool.discard(lease);
            }
            Step::Upkeep(times) => self.upkeep(times),
            Step::Heard(which) if !self.idle.is_empty() => {
                let at = which % self.idle.len();
                assert!(self.pool.heard(self.idle[at].id, now));
                (self.idle[at].heard, self.idle[at].ping) = (self.now, None);
            }
            Step::Remove(which) if !self.idle.is_empty() => {
                let known = self.idle.remove(which % self.idle.len());
                assert_eq!(self.pool.remove(known.id), Some(known.number), "PL10");
                assert_eq!(self.pool.remove(known.id), None, "PL10");
                self.close(known.number, "remove");
            }
            Step::Drain => {
                let all: Vec<u32> = self.pool.drain().collect();
                assert_eq!(all.len(), self.idle.len(), "PL10");
                for number in all {
                    self.close(number, "drain");
                }
                self.idle.clear();
            }
            Step::End => self.now = u64::MAX,
            _ => {}
        }
        assert_eq!(self.pool.idle(), self.idle.len(), "PL10");
        let counted = self.idle.len() + self.leased.len();
        assert_eq!(self.pool.quota().all() as usize, counted, "PL3");
        assert!(counted <= self.caps.1 as usize, "PL3");
        assert_eq!(self.made as usize, counted + self.closed.len(), "PL10");
        let ended = self.now > u64::MAX / 2;
        assert!(self.pool.next_deadline().is_some() != self.idle.is_empty() || ended, "PL1");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// PL1, PL3, PL4, PL7, PL9, PL10: total, within the caps, never an evicted one, never a leak.
    #[test]
    fn whatever_happens_the_promises_hold(
        per_owner in 1..4_u32,
        more in 0..6_u32,
        newest: bool,
        proof in 1..5 * SEC,
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let caps = (per_owner, per_owner + more);
        let span = core::time::Duration::from_nanos(proof);
        let unused = Some(core::time::Duration::from_secs(90));
        let config = PoolConfig::builder()
            .caps(caps.0, caps.1)
            .take(if newest { Take::Newest } else { Take::Oldest })
            .proof(Proof::HeardWithin(span))
            .idle(IdleLimits::builder().unused(unused).build().expect("valid"))
            .build()
            .expect("valid");
        let mut watched = Watched {
            pool: Pool::new(config, 3), newest, proof, caps, now: at(100 * MS).as_nanos(), made: 0,
            idle: vec![], leased: vec![], closed: BTreeMap::new(),
        };
        for step in &steps {
            watched.step(step);
        }
    }
}
