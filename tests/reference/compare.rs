//! Machine and reference side by side: under proptest here, and under the fuzzer.

use core::fmt::{Debug, Write};

use heartbeat_proto::{
    Action, Actions, Config, Echo, HeartbeatMachine, Report, Rtt, Timestamp, detector::Deadline,
};

use super::model::{Act, Evidence, Knobs, LedgerKind, Reference};
use super::script::{Move, Step};

/// The reference, and how it came here.
#[derive(Clone)]
pub struct Case {
    pub knobs: Knobs,
    pub seed: u64,
    pub start: u64,
    pub reference: Reference,
    pub last: Option<(Step, Vec<Act>)>,
    pub history: Vec<Step>,
}

impl Debug for Case {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?} seed {} start {}", self.knobs, self.seed, self.start)
    }
}

impl Case {
    pub fn new(knobs: Knobs, seed: u64, start: u64) -> Self {
        let reference = Reference::new(&knobs, seed, start);
        Self { knobs, seed, start, reference, last: None, history: Vec::new() }
    }

    pub fn take(&mut self, next: &Move) {
        let step = next.on(&self.reference);
        let acts = match &step {
            Step::Event(event, now) => self.reference.handle(*event, *now),
            Step::Reconnect(now) => {
                self.reference = self.reference.reconnected(*now);
                Vec::new()
            }
            Step::Reconfigure(knobs, now) => self.reference.reconfigure(knobs, *now),
        };
        self.history.push(step.clone());
        self.last = Some((step, acts));
    }
}

/// The machine, with either ledger.
pub enum Machine {
    Table(HeartbeatMachine),
    Echo(HeartbeatMachine<Deadline, Echo>),
}

macro_rules! each {
    ($self:expr, $machine:ident => $body:expr) => {
        match $self {
            Machine::Table($machine) => $body,
            Machine::Echo($machine) => $body,
        }
    };
}

impl Machine {
    pub fn new(case: &Case) -> Self {
        let config = config(&case.knobs);
        let start = Timestamp::from_nanos(case.start);
        match case.knobs.ledger {
            LedgerKind::Table => Self::Table(HeartbeatMachine::new(config, case.seed, start)),
            LedgerKind::Echo => Self::Echo(HeartbeatMachine::with_ledger(config, case.seed, start)),
        }
    }

    pub fn take(&mut self, step: &Step) -> Actions {
        let at = Timestamp::from_nanos;
        match step {
            Step::Event(event, now) => each!(self, machine => machine.handle(*event, at(*now))),
            Step::Reconnect(now) => {
                *self = match self {
                    Self::Table(machine) => Self::Table(machine.reconnected(at(*now))),
                    Self::Echo(machine) => Self::Echo(machine.reconnected(at(*now))),
                };
                Actions::default()
            }
            Step::Reconfigure(knobs, now) => {
                each!(self, machine => machine.reconfigure(config(knobs), at(*now)))
            }
        }
    }
}

fn config(knobs: &Knobs) -> Config {
    knobs.config().expect("the generator makes good ones only")
}

fn act(action: Action) -> Act {
    match action {
        Action::SendPong { id, calm } => Act::SendPong { id, calm },
        Action::SendPing { id, stamp } => Act::SendPing { id, stamp: stamp.as_nanos() },
        Action::SendBeacon { id, stamp } => Act::SendBeacon { id, stamp: stamp.as_nanos() },
        Action::RequestProbe => Act::RequestProbe,
        Action::SendGoodbye => Act::SendGoodbye,
        Action::Notify(t) => Act::Notify { from: t.from, to: t.to, reason: t.reason },
        Action::Report(findings) => Act::Report(findings),
        _ => unreachable!("an action that the text does not know"),
    }
}

fn rtt(rtt: Rtt) -> Option<(core::time::Duration, core::time::Duration)> {
    rtt.smoothed().zip(rtt.variation())
}

fn evidence(report: Report) -> Evidence {
    Evidence {
        liveness: report.liveness,
        reason: report.reason,
        silence: report.silence,
        missed: report.missed,
        attempts: report.attempts,
        last_rtt: report.last_rtt,
        rtt: rtt(report.rtt),
        own_lateness: report.own_lateness,
        unwritten: report.unwritten,
        due_at: report.due_at.as_nanos(),
        observed_at: report.observed_at.as_nanos(),
    }
}

/// Everything that the public API shows of both; `Some` tells where they differ.
pub fn difference(machine: &mut Machine, case: &Case) -> Option<String> {
    let mut text = String::new();
    let reference = &case.reference;
    if let Some((step, expected)) = &case.last {
        let got: Vec<Act> = machine.take(step).map(act).collect();
        differ(&mut text, "actions", expected, &got);
    }
    let machine = &*machine;
    each!(machine, m => {
        differ(&mut text, "liveness", &reference.liveness(), &m.liveness());
        let due = m.next_deadline().map(Timestamp::as_nanos);
        differ(&mut text, "deadline", &reference.next_deadline(), &due);
        if reference.next_deadline() != due {
            let _ = writeln!(text, "  why     {:?}", m.deadline_reason());
        }
        differ(&mut text, "report", &reference.report(), &m.report().map(evidence));
        differ(&mut text, "rtt", &reference.rtt(), &rtt(m.rtt()));
        for since in verified_since(reference) {
            let got = m.is_verified_since(Timestamp::from_nanos(since));
            let expected = reference.is_verified_since(since);
            differ(&mut text, "verified since", &(since, expected), &(since, got));
        }
    });
    (!text.is_empty()).then_some(text)
}

fn differ<T: PartialEq + Debug>(text: &mut String, what: &str, expected: &T, got: &T) {
    if expected != got {
        let _ = writeln!(text, "{what}:\n  text    {expected:?}\n  machine {got:?}");
    }
}

/// RP3: moments that tell: of every recent ping, and the last call.
fn verified_since(reference: &Reference) -> Vec<u64> {
    let pings = reference.pings.iter().rev().take(3);
    let stamps = pings.flat_map(|ping| [ping.stamp as u64, ping.stamp as u64 + 1]);
    stamps.chain([0, reference.now()]).collect()
}

/// The script so far, replayed on the reference, for whoever reads a failure.
pub fn script(case: &Case) -> String {
    let mut text = format!("{}\nseed {} start {}\n", short(&case.knobs), case.seed, case.start);
    let mut machine = Machine::new(case);
    for step in &case.history {
        let got: Vec<Act> = machine.take(step).map(act).collect();
        let due = each!(&machine, m => m.next_deadline().map(Timestamp::as_nanos));
        let why = each!(&machine, m => m.deadline_reason());
        let _ = match step {
            Step::Reconfigure(knobs, now) => writeln!(text, "Reconfigure({}, {now})", short(knobs)),
            step => writeln!(text, "{step:?}"),
        };
        let _ = writeln!(text, "    -> {got:?} next {due:?} {why:?}");
    }
    text
}

/// The knobs that are not at their defaults.
fn short(knobs: &Knobs) -> String {
    let fields = |knobs: &Knobs| -> Vec<String> {
        let text = format!("{knobs:?}");
        text.split_terminator(", ").map(str::to_owned).collect()
    };
    let defaults = fields(&Knobs::default());
    fields(knobs)
        .into_iter()
        .filter(|field| !defaults.contains(field))
        .collect::<Vec<_>>()
        .join(", ")
}
