//! The rules of `docs/SPEC.md`, word by word: naive, slow, and independent of the machine.
//!
//! It keeps every ping that was ever sent, and works everything out anew at each call. Each place
//! names its rule, so that the two texts can be held side by side.

mod answers;
mod evidence;
mod judge;
mod knobs;
pub mod late;
mod ledger;
mod life;
mod plan;
mod probe;
mod spans;
mod twist;
mod verdict;
mod wake;
mod writer;

use heartbeat_proto::{Event, Findings, Liveness, MAX_SPAN, PingId, Reason};

pub use knobs::{Keepalive, Knobs, LedgerKind, Rules};
pub use ledger::Ping;
pub use twist::Twist;
pub use verdict::Evidence;

/// Nanoseconds, wide and signed: nothing overflows, and what lies before zero is a number too.
pub type Nanos = i128;

/// What a call must yield, in the order of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    SendPong { id: PingId, calm: bool },
    SendPing { id: PingId, stamp: u64 },
    SendBeacon { id: PingId, stamp: u64 },
    RequestProbe,
    SendGoodbye,
    Notify { from: Liveness, to: Liveness, reason: Reason },
    Report(Findings),
}

/// The re-probe of J6, as section 9 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reprobe {
    None,
    /// The ping that was granted is still to leave.
    Granted,
    /// No verdict before this is passed.
    Running(Nanos),
    Spent,
}

/// The ping that is judged (P8): its number, and the start of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    pub seq: u32,
    pub from: Nanos,
}

/// What one call has gathered so far.
#[derive(Clone, Debug, Default)]
struct Call {
    pong: Option<Act>,
    probe: Option<Act>,
    request: bool,
    goodbye: bool,
    transition: Option<(Liveness, Liveness, Reason)>,
    findings: Findings,
    late: bool,
    may_grant: bool,
    /// The call began after the verdict's wake-up (E10).
    overdue: bool,
    fell: bool,
}

/// The reference model of one connection.
#[derive(Clone, Debug)]
pub struct Reference {
    pub rules: Rules,
    pub twist: Option<Twist>,
    call: Call,
    // Section 1.
    now: Nanos,
    exhausted: bool,
    wake: Option<Nanos>,
    // Section 6.
    liveness: Liveness,
    start: Nanos,
    draining: Option<Nanos>,
    suspended: Option<Nanos>,
    good_replies: u8,
    told_mistake: bool,
    final_verdict: bool,
    reopened: bool,
    // Section 3.
    ev: Nanos,
    traffic: bool,
    rtt: Option<(Nanos, Nanos)>,
    last_rtt: Option<Nanos>,
    ambiguous: u8,
    /// E6: the newest ping at the last pause with one unanswered.
    paused_at: Option<u32>,
    // Section 4.
    pub epoch: u32,
    seq: u32,
    plan: Nanos,
    /// The last ping, or the start.
    last_ping: Nanos,
    pub pings: Vec<Ping>,
    judged: Option<Judged>,
    /// The start of a window that runs alone (J6).
    lone: Option<Nanos>,
    wanted: bool,
    request: Option<Nanos>,
    last_sent: Nanos,
    calm: u32,
    calm_done: bool,
    peer_gap: Nanos,
    // Section 5.
    reprobe: Reprobe,
    misses: u8,
    unanswered_run: u8,
    told_unanswered: bool,
    windows: Vec<bool>,
    ping_waits: bool,
    owing: bool,
    stall: Option<Nanos>,
    // Section 7.
    tat: Nanos,
    strikes: u8,
    strike_counted: bool,
    calm_owed: bool,
    told_abuse: bool,
    // J12 and section 8.
    worst_lateness: Nanos,
    proof: Option<Nanos>,
    report: Option<Evidence>,
}

impl Reference {
    /// A machine that is being set up since `now`.
    pub fn new(knobs: &Knobs, seed: u64, now: u64) -> Self {
        let now = Nanos::from(now);
        let mut new = Self {
            rules: Rules::of(knobs),
            twist: None,
            call: Call::default(),
            now,
            exhausted: false,
            wake: None,
            liveness: Liveness::Idle,
            start: now,
            draining: None,
            suspended: None,
            good_replies: 0,
            told_mistake: false,
            final_verdict: false,
            reopened: false,
            ev: now,
            traffic: false,
            rtt: None,
            last_rtt: None,
            ambiguous: 0,
            paused_at: None,
            epoch: (spans::mix(seed) >> 32) as u32, // P2
            seq: 0,
            plan: now,
            last_ping: now,
            pings: Vec::new(),
            judged: None,
            lone: None,
            wanted: false,
            request: None,
            last_sent: now,
            calm: 0,
            calm_done: false,
            peer_gap: 0,
            reprobe: Reprobe::None,
            misses: 0,
            unanswered_run: 0,
            told_unanswered: false,
            windows: Vec::new(),
            ping_waits: false,
            owing: false,
            stall: None,
            tat: 0,
            strikes: 0,
            strike_counted: false,
            calm_owed: false,
            told_abuse: false,
            worst_lateness: 0,
            proof: None,
            report: None,
        };
        new.wake = new.wake_up();
        new
    }

    /// One call: everything that is due at its `now`, in the order of T8.
    pub fn handle(&mut self, event: Event, given: u64) -> Vec<Act> {
        self.call = Call::default();
        let given = Nanos::from(given);
        // T1.
        let backwards = given < self.now;
        self.now = self.now.max(given);
        if backwards {
            self.tell(Findings::CLOCK_REGRESSION);
            if self.twist == Some(Twist::ClockRunsBack) {
                self.now = given;
            }
        }
        self.note_lateness(); // RP1, J12
        let before = self.before();
        let early = self.wake.is_some_and(|wake| self.now < wake);
        if event == Event::Tick && early {
            // T7.
        } else if self.exhausts() {
            self.exhaust();
        } else {
            self.all_that_is_due(event);
        }
        self.wake = self.wake_up();
        self.explain(before); // J12
        self.told()
    }

    /// T8.
    fn all_that_is_due(&mut self, event: Event) {
        if self.is_over() {
            self.evidence_after_the_end(event); // E9
            return;
        }
        self.implied_resume(event); // LC5
        self.late_call(event); // J6 to J8
        self.verdict_before_evidence(event); // E10
        if self.is_over() {
            self.evidence_after_the_end(event);
            return;
        }
        self.take(event);
        self.late_grant(); // J6
        self.judge();
        self.probe();
        self.keepalive();
    }

    /// The event itself.
    fn take(&mut self, event: Event) {
        match event {
            Event::Tick => {}
            Event::Start => self.on_start(),
            Event::PingDue => self.on_ping_due(),
            Event::PingReceived { id, .. } => {
                self.on_ping(id);
                self.take_evidence(event);
            }
            Event::PongReceived { .. } | Event::AnonymousPongReceived => self.on_pong(event),
            Event::BeaconReceived { .. } | Event::FrameReceived | Event::BytesReceived => {
                self.take_evidence(event);
            }
            Event::LimitReceived { min_gap } => {
                self.on_limit(min_gap, self.is_evidence(event));
                self.take_evidence(event);
            }
            Event::GoodbyeReceived => self.close(Reason::Goodbye),
            Event::PingSent { id } => self.on_ping_sent(id),
            Event::PongSent => self.on_pong_sent(),
            Event::TxProgress => self.on_progress(),
            Event::TxBlocked => self.on_blocked(),
            Event::Drain => self.on_drain(),
            Event::Close => self.on_close(),
            Event::Suspend => self.on_suspend(),
            Event::Resume { slept } => self.on_resume(slept),
            Event::Hold { probe } => self.on_hold(probe),
            _ => unreachable!("an event that the text does not know"),
        }
    }

    /// T6.
    fn exhausts(&self) -> bool {
        Self::is_the_end(self.now)
    }

    /// T6: whether the clock is exhausted then.
    pub fn is_the_end(now: Nanos) -> bool {
        now > Nanos::from(u64::MAX) - 4 * MAX_SPAN.as_nanos() as Nanos
    }

    /// T6.
    fn exhaust(&mut self) {
        if !self.exhausted {
            self.tell(Findings::CLOCK_EXHAUSTED);
        }
        self.exhausted = true;
    }

    fn tell(&mut self, finding: Findings) {
        self.call.findings = self.call.findings.with(finding);
    }

    /// T8: of several transitions, from the first `from` to the last `to` with the last reason.
    fn becomes(&mut self, to: Liveness, reason: Reason) {
        let from = self.call.transition.map_or(self.liveness, |(first, ..)| first);
        self.call.transition = Some((from, to, reason));
        self.liveness = to;
    }

    /// The actions, in the order of the text.
    fn told(&self) -> Vec<Act> {
        let call = &self.call;
        let mut acts: Vec<Act> = call.pong.into_iter().chain(call.probe).collect();
        acts.extend(call.request.then_some(Act::RequestProbe));
        acts.extend(call.goodbye.then_some(Act::SendGoodbye));
        acts.extend(self.transition().map(|(from, to, reason)| Act::Notify { from, to, reason }));
        acts.extend((!call.findings.is_empty()).then_some(Act::Report(call.findings)));
        acts
    }

    /// T8: nothing, if both ends are equal.
    fn transition(&self) -> Option<(Liveness, Liveness, Reason)> {
        self.call.transition.filter(|(from, to, _)| from != to)
    }

    /// The wake-up asked for.
    pub fn next_deadline(&self) -> Option<u64> {
        self.wake.map(|wake| wake as u64)
    }

    pub fn liveness(&self) -> Liveness {
        self.liveness
    }

    pub fn report(&self) -> Option<Evidence> {
        self.report
    }

    pub fn now(&self) -> u64 {
        self.now as u64
    }
}
