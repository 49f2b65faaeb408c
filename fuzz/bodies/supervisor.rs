//! The supervisor under any plan, any news, told late, twice or of other attempts (rules SV1 to
//! SV7), with its back-off, budget and breaker (BO1, BO6).

use core::sync::atomic::Ordering;
use core::time::Duration;

use heartbeat_proto::Timestamp;
use heartbeat_proto::backoff::{Breaker, Budget, Cause, Jitter, Policies, Policy, PolicyBuilder};
use heartbeat_proto::supervisor::{Plan, Step, Supervisor};

use super::TRACE;
use super::input::{Input, span};

const STEPS: usize = 200;

struct Numbers {
    policies: Policies,
    limit: u64,
    stable: u64,
    burst: u64,
    refill: u64,
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let Some((plan, numbers)) = read(&mut input) else { return };
    let begin = if input.flag() { u64::MAX - span(200) } else { span(200) };
    let it = Supervisor::new(plan, input.word(), Timestamp::from_nanos(begin));
    let going = Going::Nothing;
    let mut watch = Watch { it, numbers, now: begin, going, begun: Vec::new(), floor: begin };
    for _ in 0..STEPS {
        if input.is_empty() {
            return;
        }
        watch.step(&mut input);
    }
}

fn policy(input: &mut Input<'_>) -> Option<Policy> {
    let base = Duration::from_nanos(input.span());
    let shapes: [fn(Duration) -> PolicyBuilder; 4] =
        [Policy::constant, Policy::linear, Policy::exponential, |_| Policy::immediate()];
    let code = input.byte();
    if code == 0 {
        return Some(Policy::NEVER);
    }
    let jitter = Jitter::percent(input.byte().into(), input.byte().into());
    let builder = shapes[usize::from(code & 3)](base)
        .cap(base + Duration::from_nanos(input.span()))
        .jitter(jitter);
    let tries = input.byte();
    if tries == 0 { builder } else { builder.tries(tries.into()) }.build().ok()
}

fn read(input: &mut Input<'_>) -> Option<(Plan, Numbers)> {
    let mut policies = Policies::all(policy(input)?);
    if input.flag() {
        policies = policies.on(Cause::Goodbye, policy(input)?);
    }
    let (limit, stable, refill) = (input.span(), input.span(), input.span());
    let burst = input.byte();
    let mut builder = Plan::builder()
        .policies(policies)
        .handshake_limit(Duration::from_nanos(limit))
        .stable_after(Duration::from_nanos(stable))
        .budget(Budget::new(burst.into(), Duration::from_nanos(refill)).ok()?);
    if input.flag() {
        let cool_down = Duration::from_nanos(input.span());
        builder = builder.breaker(Breaker::new(input.byte().into(), cool_down).ok()?);
    }
    let numbers = Numbers { policies, limit, stable, burst: burst.into(), refill };
    Some((builder.build().ok()?, numbers))
}

/// What must be going on.
#[derive(Clone, Copy, PartialEq)]
enum Going {
    Nothing,
    Connecting { begun: u64 },
    Up { since: u64 },
    Over,
}

struct Watch {
    it: Supervisor,
    numbers: Numbers,
    now: u64,
    going: Going,
    /// When each attempt began.
    begun: Vec<u64>,
    /// Before this moment the delay allows no attempt.
    floor: u64,
}

impl Watch {
    fn step(&mut self, input: &mut Input<'_>) {
        let op = input.byte();
        let due = self.it.next_deadline().map_or(self.now, Timestamp::as_nanos);
        self.now = match op >> 5 {
            0 | 1 => self.now,
            2 => due.saturating_sub(1).max(self.now),
            3 | 4 => due.max(self.now),
            5 => due.saturating_add(1).max(self.now),
            _ => self.now.saturating_add(input.span()),
        };
        let newest = self.begun.len() as u64;
        let attempt = if op % 4 == 0 { u64::from(input.byte()) } else { newest };
        if TRACE.load(Ordering::Relaxed) {
            println!("{} op {} attempt {attempt} of {newest}", self.now, op >> 2 & 7);
        }
        if self.going == Going::Over {
            assert_eq!(self.it.next_deadline(), None, "SV5");
        }
        let (now, what) = (Timestamp::from_nanos(self.now), op >> 2 & 7);
        if what == 6 {
            return self.verified(attempt, input.span());
        }
        // SV2: the limit comes before the news.
        if let Going::Connecting { begun } = self.going {
            if self.now > begun.saturating_add(self.numbers.limit) {
                self.fell(Cause::HandshakeTimeout);
            }
        }
        match what {
            0..=2 => {}
            3 => self.established(attempt),
            4 | 5 => {
                let cause = if op % 4 == 3 { Cause::Goodbye } else { Cause::Refused };
                let going = matches!(self.going, Going::Connecting { .. } | Going::Up { .. });
                if going && attempt == newest {
                    self.fell(cause);
                }
                self.it.ended(attempt, cause, now);
            }
            _ if op % 4 == 0 => {
                self.it.stop(now);
                self.going = Going::Over;
            }
            _ => {
                self.it.retry_now(now);
                self.floor = 0;
            }
        }
        self.ask(what <= 2);
    }

    /// The delay that follows is at least the shortest of its policy.
    fn fell(&mut self, cause: Cause) {
        self.going = Going::Over;
        if let Some((low, _)) = self.numbers.policies[cause].range(self.it.retries()) {
            self.floor = self.now.saturating_add(low.as_nanos() as u64);
            self.going = Going::Nothing;
        }
    }

    /// What it says must be what must be; and if asked in earnest, an attempt may begin.
    fn ask(&mut self, in_earnest: bool) {
        let now = Timestamp::from_nanos(self.now);
        let mut copy = self.it;
        let step = copy.next(now);
        assert_eq!(copy.next(now), step, "SV1: asked twice");
        let newest = self.begun.len() as u64;
        match step {
            Step::Wait { until, .. } => {
                assert!(self.going == Going::Nothing, "SV1: wait");
                assert!(until > now || now == Timestamp::MAX, "SV3: a wait that is over");
                assert!(until.as_nanos() >= self.floor, "SV3: until {until}");
                assert_eq!(copy.next_deadline(), Some(until), "SV3");
            }
            Step::Connect { attempt, until } if attempt == newest => {
                let Going::Connecting { begun } = self.going else { panic!("SV1: connect") };
                assert_eq!(until.as_nanos(), begun.saturating_add(self.numbers.limit), "SV2");
            }
            Step::Connect { attempt, .. } => {
                assert!(self.going == Going::Nothing && attempt == newest + 1, "SV1: begin");
                assert!(self.now >= self.floor, "SV3: {} before {}", self.now, self.floor);
                self.budget();
                if in_earnest {
                    self.going = Going::Connecting { begun: self.now };
                    self.begun.push(self.now);
                }
            }
            Step::Run { attempt } => {
                assert!(matches!(self.going, Going::Up { .. }) && attempt == newest, "SV1: run");
            }
            Step::Over(outcome) => {
                assert!(self.going == Going::Over && outcome.attempts == newest, "SV5");
            }
            _ => {}
        }
        if in_earnest {
            self.it = copy;
        }
    }

    /// BO6: an attempt now fits into all spans that end now.
    fn budget(&self) {
        for (i, begun) in self.begun.iter().enumerate() {
            let held = (self.begun.len() - i + 1) as u64;
            let most = self.numbers.burst + (self.now - begun) / self.numbers.refill;
            assert!(held <= most, "BO6: {held} since {begun}");
        }
    }

    fn established(&mut self, attempt: u64) {
        let current = attempt == self.begun.len() as u64;
        let wanted = self.it.established(attempt, Timestamp::from_nanos(self.now));
        match self.going {
            Going::Connecting { .. } if current => {
                assert!(wanted, "SV1");
                self.going = Going::Up { since: self.now };
            }
            Going::Up { .. } if current => assert!(wanted, "SV1: told twice"),
            _ => assert!(!wanted, "SV1, SV2"),
        }
    }

    /// Of some moment before, and thus no look at the limit.
    fn verified(&mut self, attempt: u64, ago: u64) {
        let at = self.now.saturating_sub(ago);
        let retries = self.it.retries();
        let mut copy = self.it;
        copy.verified(attempt, Timestamp::from_nanos(at));
        let proves = match self.going {
            Going::Up { since } => {
                at >= since.saturating_add(self.numbers.stable)
                    && attempt == self.begun.len() as u64
            }
            // It might end the attempt: not told.
            Going::Connecting { .. } => return,
            _ => false,
        };
        assert_eq!(copy.retries(), if proves { 0 } else { retries }, "SV4");
        self.it = copy;
    }
}
