//! How often each thing occurred: a comparison that never meets a rule proves nothing of it.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use heartbeat_proto::{Findings, Liveness, Reason};

use crate::model::Act;

static SEEN: LazyLock<Mutex<BTreeMap<String, u64>>> = LazyLock::new(Mutex::default);

/// Counts what a call yielded.
pub fn count<'a>(acts: impl Iterator<Item = &'a Act>) {
    let mut seen = SEEN.lock().expect("no test panics in here");
    let mut one = |name: String| *seen.entry(name).or_default() += 1;
    for act in acts {
        match act {
            Act::SendPong { calm, .. } => one(format!("action pong, calm {calm}")),
            Act::SendPing { .. } => one("action ping".into()),
            Act::SendBeacon { .. } => one("action beacon".into()),
            Act::RequestProbe => one("action request".into()),
            Act::SendGoodbye => one("action goodbye".into()),
            Act::Notify { from, to, reason } => {
                one(format!("{from} -> {to}"));
                one(format!("reason {reason}"));
            }
            Act::Report(findings) => {
                for name in findings.names() {
                    one(format!("finding {name}"));
                }
            }
        }
    }
}

/// What must occur at least once.
fn expected() -> Vec<String> {
    let actions = ["pong, calm false", "pong, calm true", "ping", "beacon", "request", "goodbye"];
    let reasons = [
        Reason::Started,
        Reason::Heard,
        Reason::Missed,
        Reason::Detector,
        Reason::ProbeLoss,
        Reason::NoResponse,
        Reason::Silence,
        Reason::WriteStalled,
        Reason::PingUnanswered,
        Reason::NotProbed,
        Reason::StartupTimeout,
        Reason::DrainTimeout,
        Reason::PingAbuse,
        Reason::ClosedLocally,
        Reason::Goodbye,
    ];
    use Liveness::{Alive, Closed, Idle, Lost, Recovering, Starting, Suspect};
    let transitions = [
        (Idle, Starting),
        (Idle, Lost),
        (Idle, Closed),
        (Starting, Alive),
        (Starting, Suspect),
        (Starting, Lost),
        (Starting, Closed),
        (Alive, Suspect),
        (Alive, Lost),
        (Alive, Closed),
        (Suspect, Alive),
        (Suspect, Lost),
        (Suspect, Closed),
        (Recovering, Alive),
        (Recovering, Suspect),
        (Recovering, Lost),
        (Recovering, Closed),
        (Lost, Recovering),
        (Lost, Alive),
        (Lost, Closed),
    ];
    let findings = (0..u32::BITS).filter_map(|bit| {
        let all = ALL.iter().find(|one| one.bits() == 1 << bit)?;
        all.names().next()
    });
    let mut expected: Vec<String> = actions.iter().map(|name| format!("action {name}")).collect();
    expected.extend(reasons.iter().map(|reason| format!("reason {reason}")));
    expected.extend(transitions.iter().map(|(from, to)| format!("{from} -> {to}")));
    expected.extend(findings.map(|name| format!("finding {name}")));
    expected
}

const ALL: [Findings; 22] = [
    Findings::MISS,
    Findings::LATE_CALL,
    Findings::LATE_EVIDENCE,
    Findings::CLOCK_REGRESSION,
    Findings::CLOCK_EXHAUSTED,
    Findings::WRITE_STALLED,
    Findings::PING_UNANSWERED,
    Findings::NOT_PROBED,
    Findings::PROBE_LOSS,
    Findings::PONG_LATE,
    Findings::PONG_DUPLICATE,
    Findings::PONG_UNMATCHED,
    Findings::PONG_WRONG_EPOCH,
    Findings::PING_STRIKE,
    Findings::PING_ABUSE,
    Findings::CALMED,
    Findings::LIMIT_EXCEEDED,
    Findings::UNEXPECTED_PING,
    Findings::MISTAKE,
    Findings::REPROBE,
    Findings::PING_SKIPPED,
    Findings::RESUMED,
];

/// Prints the table, and fails if anything is missing.
pub fn assert_complete() {
    let seen = SEEN.lock().expect("no test panics in here");
    for (name, count) in seen.iter() {
        println!("{count:>8}  {name}");
    }
    let missing: Vec<String> =
        expected().into_iter().filter(|name| !seen.contains_key(name)).collect();
    assert!(missing.is_empty(), "never met: {missing:?}");
}
