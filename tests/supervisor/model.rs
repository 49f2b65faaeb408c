//! A naive supervisor, from the text of the rules: it keeps the whole history and looks everything
//! up in it. Random scripts are played to both.

use heartbeat_proto::backoff::{Breaker, Budget, Cause, Jitter, Policies, Policy};
use heartbeat_proto::supervisor::{Plan, Step, Supervisor, Why};
use proptest::prelude::*;

use super::{at, ns};

const LIMIT: u64 = 40;
const STABLE: u64 = 60;
const BURST: u64 = 3;
const REFILL: u64 = 110;
const FAILURES: u32 = 3;
const COOL: u64 = 150;

/// Causes with a policy each, of all sorts.
const CAUSES: [Cause; 5] =
    [Cause::Refused, Cause::Goodbye, Cause::Transport, Cause::HandshakeTimeout, Cause::Rejected];

fn policies() -> Policies {
    let full = Policy::exponential(ns(10)).cap(ns(200)).jitter(Jitter::FULL).build().unwrap();
    let few = Policy::linear(ns(20)).cap(ns(100)).tries(6).build().unwrap();
    let at_once = Policy::immediate().tries(4).build().unwrap();
    Policies::all(full)
        .on(Cause::Goodbye, few)
        .on(Cause::Transport, at_once)
        .on(Cause::Rejected, Policy::NEVER)
}

fn plan(breaker: bool) -> Plan {
    let builder = Plan::builder()
        .policies(policies())
        .handshake_limit(ns(LIMIT))
        .stable_after(ns(STABLE))
        .budget(Budget::new(BURST as u32, ns(REFILL)).unwrap());
    let breaker = breaker.then(|| Breaker::new(FAILURES, ns(COOL)).unwrap());
    breaker.map_or(builder, |breaker| builder.breaker(breaker)).build().unwrap()
}

#[derive(Clone, Debug)]
enum Fact {
    Began,
    Up,
    Proved,
    /// And the delay that followed, if any.
    Fell(Cause, Option<u64>),
    Hastened,
    Stopped,
}

/// The history, newest last.
#[derive(Clone, Debug)]
struct Model {
    seed: u64,
    breaker: bool,
    now: u64,
    facts: Vec<(u64, Fact)>,
}

fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl Model {
    fn times(&self, which: impl Fn(&Fact) -> bool) -> Vec<u64> {
        self.facts.iter().filter(|(_, fact)| which(fact)).map(|(at, _)| *at).collect()
    }

    /// The facts of the attempt that is going on, if one is.
    fn current(&self) -> Option<&[(u64, Fact)]> {
        let begun = self.facts.iter().rposition(|(_, fact)| matches!(fact, Fact::Began))?;
        let facts = &self.facts[begun..];
        let over = facts.iter().any(|(_, fact)| matches!(fact, Fact::Fell(..) | Fact::Stopped));
        (!over).then_some(facts)
    }

    fn begun(&self) -> Option<u64> {
        self.current().map(|facts| facts[0].0)
    }

    fn up_since(&self) -> Option<u64> {
        let up = |facts: &[(u64, Fact)]| {
            facts.iter().find(|(_, fact)| matches!(fact, Fact::Up)).map(|(at, _)| *at)
        };
        self.current().and_then(up)
    }

    fn attempts(&self) -> u64 {
        self.times(|fact| matches!(fact, Fact::Began)).len() as u64
    }

    fn delays<'a>(facts: impl Iterator<Item = &'a (u64, Fact)>) -> u64 {
        facts.filter(|(_, fact)| matches!(fact, Fact::Fell(_, Some(_)))).count() as u64
    }

    fn retries(&self) -> u32 {
        let later = self.facts.iter().rev().take_while(|(_, fact)| !matches!(fact, Fact::Proved));
        Self::delays(later) as u32
    }

    fn over(&self) -> Option<(Why, Cause)> {
        self.facts.iter().find_map(|(_, fact)| match fact {
            Fact::Stopped => Some((Why::Stopped, Cause::ClosedLocally)),
            Fact::Fell(cause, None) if *cause == Cause::Rejected => Some((Why::Never, *cause)),
            Fact::Fell(cause, None) => Some((Why::TriesSpent, *cause)),
            _ => None,
        })
    }

    /// BO6, from the list of all attempts: the earliest moment that no span forbids.
    fn budget_from(&self) -> u64 {
        let begun = self.times(|fact| matches!(fact, Fact::Began));
        let held = |(i, at): (usize, &u64)| {
            let many = (begun.len() - i + 1) as u64;
            if many > BURST { at + (many - BURST) * REFILL } else { 0 }
        };
        begun.iter().enumerate().map(held).max().unwrap_or(0)
    }

    /// BO7, by going through all that ever happened.
    fn breaker_from(&self) -> u64 {
        let (mut row, mut shut, mut trial, mut proved) = (0, None, false, false);
        for (now, fact) in &self.facts {
            match fact {
                Fact::Began => {
                    proved = false;
                    if shut.is_some() {
                        (trial, shut) = (true, Some(now + COOL));
                    }
                }
                Fact::Proved => (row, shut, trial, proved) = (0, None, false, true),
                Fact::Fell(..) if !proved => {
                    row += 1;
                    if trial || (shut.is_none() && row >= FAILURES) {
                        (trial, shut) = (false, Some(now + COOL));
                    }
                }
                Fact::Hastened => shut = shut.map(|until| now.min(&until).to_owned()),
                _ => {}
            }
        }
        shut.filter(|_| self.breaker).unwrap_or(0)
    }

    fn ready(&self) -> (u64, Option<Cause>) {
        let mut ready = (0, None);
        for (now, fact) in &self.facts {
            match fact {
                Fact::Fell(cause, delay) => ready = (now + delay.unwrap_or(0), Some(*cause)),
                Fact::Hastened => ready.0 = ready.0.min(*now),
                _ => {}
            }
        }
        (ready.0.max(self.budget_from()).max(self.breaker_from()), ready.1)
    }

    fn fell(&mut self, cause: Cause) {
        let draw = Self::delays(self.facts.iter());
        let chance = mix(mix(self.seed).wrapping_add(draw));
        let delay = policies()[cause].delay(self.retries(), chance);
        let delay = delay.map(|delay| delay.as_nanos() as u64);
        self.facts.push((self.now, Fact::Fell(cause, delay)));
    }

    fn settle(&mut self, now: u64) {
        self.now = self.now.max(now);
        if self.up_since().is_none() && self.begun().is_some_and(|begun| self.now > begun + LIMIT) {
            self.fell(Cause::HandshakeTimeout);
        }
    }

    fn next(&mut self, now: u64) -> String {
        self.settle(now);
        if self.current().is_none() && self.over().is_none() && self.ready().0 <= self.now {
            self.facts.push((self.now, Fact::Began));
        }
        match (self.over(), self.begun(), self.up_since()) {
            (Some((why, cause)), _, _) => {
                format!("over {why:?} {cause} {} {}", self.attempts(), self.retries())
            }
            (_, Some(_), Some(_)) => Step::Run { attempt: self.attempts() }.to_string(),
            (_, Some(begun), None) => {
                Step::Connect { attempt: self.attempts(), until: at(begun + LIMIT) }.to_string()
            }
            _ => Step::Wait { until: at(self.ready().0), cause: self.ready().1 }.to_string(),
        }
    }

    fn established(&mut self, attempt: u64, now: u64) -> bool {
        self.settle(now);
        let going = self.current().is_some() && attempt == self.attempts();
        if going && self.up_since().is_none() {
            self.facts.push((self.now, Fact::Up));
        }
        going
    }

    fn ended(&mut self, attempt: u64, cause: Cause, now: u64) {
        self.settle(now);
        if self.current().is_some() && attempt == self.attempts() {
            self.fell(cause);
        }
    }

    fn verified(&mut self, attempt: u64, proof: u64) {
        self.settle(proof);
        let old = self.up_since().is_some_and(|since| proof >= since + STABLE);
        if old && attempt == self.attempts() {
            self.facts.push((self.now, Fact::Proved));
        }
    }

    fn hasten(&mut self, now: u64) {
        self.settle(now);
        if self.current().is_none() && self.over().is_none() {
            self.facts.push((self.now, Fact::Hastened));
        }
    }

    fn stop(&mut self, now: u64) {
        self.settle(now);
        if self.over().is_none() {
            self.facts.push((self.now, Fact::Stopped));
        }
    }
}

fn said(step: Step) -> String {
    match step {
        Step::Over(end) => {
            format!("over {:?} {} {} {}", end.why, end.cause, end.attempts, end.retries)
        }
        step => step.to_string(),
    }
}

/// How time goes on, what happens, to which attempt.
fn scripts() -> impl Strategy<Value = Vec<(u64, u64, usize, u64)>> {
    prop::collection::vec((0..6u64, 0..80u64, 0..40usize, 0..8u64), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(700))]

    /// SV1 to SV7, BO2, BO6, BO7: whatever is told and asked, at the deadlines and beside them.
    #[test]
    fn the_supervisor_is_its_model(seed in any::<u64>(), breaker: bool, script in scripts()) {
        let mut it = Supervisor::new(plan(breaker), seed, at(0));
        let mut model = Model { seed, breaker, now: 0, facts: Vec::new() };
        let mut now = 0;
        for (pace, span, what, which) in script {
            let due = it.next_deadline().map_or(now, |due| due.as_nanos().max(now));
            now = match pace {
                0 => now,
                1 => due.saturating_sub(1).max(now),
                2 => due,
                3 => due + 1,
                _ => now + span,
            };
            // Mostly the current one.
            let attempt = match which {
                0 => model.attempts().saturating_sub(1),
                1 => model.attempts() + 1,
                _ => model.attempts(),
            };
            match what {
                0..=11 => prop_assert_eq!(said(it.next(at(now))), model.next(now)),
                12..=19 => {
                    let wanted = it.established(attempt, at(now));
                    prop_assert_eq!(wanted, model.established(attempt, now));
                }
                20..=27 => {
                    let rarely = if span % 29 == 0 { 4 } else { span % 4 };
                    let cause = CAUSES[rarely as usize];
                    it.ended(attempt, cause, at(now));
                    model.ended(attempt, cause, now);
                }
                28..=34 => {
                    let proof = now.saturating_sub(if which > 4 { span } else { 0 });
                    it.verified(attempt, at(proof));
                    model.verified(attempt, proof);
                }
                35..=38 => {
                    it.retry_now(at(now));
                    model.hasten(now);
                }
                _ if which == 0 => {
                    it.stop(at(now));
                    model.stop(now);
                }
                _ => {}
            }
            prop_assert_eq!(it.retries(), model.retries());
            // What it would say now, and at its next deadline: asked of copies.
            let due = it.next_deadline().map_or(now, |due| due.as_nanos().max(now));
            for then in [now, due] {
                let (mut it, mut model) = (it, model.clone());
                prop_assert_eq!(said(it.next(at(then))), model.next(then), "at {}", then);
                prop_assert_eq!(said(it.next(at(then))), model.next(then), "again at {}", then);
            }
        }
    }
}
