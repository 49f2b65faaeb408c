//! L1 to L5 and M1 to M6: what waits is found in time, and time is all that counts.

use heartbeat_proto::{
    Action, Actions, DeadlineReason, Echo, Event, Findings, Ledger, Liveness, PeerState,
    PingSchedule, Table, Timestamp,
};
use proptest::prelude::*;

use crate::configs::{Rules, Spy, rules};
use crate::drive::{Place, Run, START, Step, longest_gap, relative, script, stepping_script};
use crate::verdict::is_input;

type Check = Result<(), TestCaseError>;

/// Whatever happened before: from here on the peer is silent, and the driver punctual.
fn completes<L: Ledger>(rules: &Rules, script: &[Step]) -> Check {
    let mut run = Run::<L>::start(rules, START);
    for &step in script {
        let _ = run.step(step);
    }
    if run.view().suspended {
        let _ = run.tell(Event::Resume { slept: core::time::Duration::ZERO }, run.now);
    }
    let view = run.view();
    if !view.liveness.is_live() || view.draining || !rules.judges() {
        return Ok(());
    }
    let now = run.now.max(view.ev + rules.limits(view.ie).1);
    let gap = longest_gap(rules, script, view.ie);
    let external = u64::from(rules.schedule == PingSchedule::External) * rules.window();
    // What is granted already, and what the caller of an external schedule may do at last (CF6).
    run.run_to(now + rules.window() + gap + external + 4, |_| {});
    prop_assert_eq!(run.machine.liveness(), Liveness::Lost, "silent since {:?}", view);
    Ok(())
}

const END_OF_TIME: u64 = u64::MAX - 4 * 24 * 60 * 60 * 1_000_000_000;

fn wakes<L: Ledger>(rules: &Rules, script: &[Step], start: u64) -> Check {
    let mut run = Run::<L>::idle(rules, start);
    for &step in script {
        let call = run.step(step);
        let after = call.after;
        if let Some(due) = after.due {
            prop_assert!(due > call.now, "{due}: {call:?}");
        }
        let over = match after.liveness {
            Liveness::Closed => true,
            Liveness::Lost => !rules.reopens,
            _ => after.suspended,
        };
        let resting = after.liveness == Liveness::Lost; // Drained for good, or to be reopened.
        // T7: nobody looks at a tick before the wake-up, not even for the end of the clock.
        let unseen = call.event == Event::Tick && call.before.due == after.due;
        if call.now > END_OF_TIME {
            prop_assert!(after.due.is_none() || unseen, "{call:?}");
        } else if over {
            prop_assert_eq!(after.due, None, "{:?}", call);
        } else if !resting {
            prop_assert!(after.due.is_some(), "{call:?}");
        }
    }
    Ok(())
}

fn progresses<L: Ledger>(rules: &Rules, script: &[Step]) -> Check {
    let mut run = Run::<L>::start(rules, START);
    for &step in script {
        let _ = run.step(step);
        let Some(due) = run.due() else { continue };
        let mut there = run.clone();
        let call = there.tell(Event::Tick, due);
        let later = call.after.due.is_none_or(|next| next > due);
        prop_assert!(later || !call.actions.is_empty(), "{call:?}");
        prop_assert!(call.after.due != Some(due), "{call:?}");
    }
    Ok(())
}

fn waits<L: Ledger>(rules: &Rules, script: &[Step], share: u64) -> Check {
    let mut run = Run::<L>::start(rules, START);
    for &step in script {
        let _ = run.step(step);
        let Some(due) = run.due() else { continue };
        for early in [due - 1, run.now + (due - 1 - run.now) / 1000 * share] {
            let mut there = run.machine.clone();
            let actions = there.handle(Event::Tick, Timestamp::from_nanos(early));
            prop_assert!(actions.is_empty(), "{actions:?}, {} early", due - early);
            prop_assert_eq!(there.state(), run.machine.state());
            prop_assert_eq!(there.next_deadline(), run.machine.next_deadline());
            prop_assert_eq!(there.report(), run.machine.report());
            prop_assert_eq!(there.stats(), run.machine.stats());
        }
    }
    Ok(())
}

/// Steady: Alive, on its own schedule with ids, and with nothing to be written.
fn lazy<L: Ledger>(rules: &Rules, script: &[Step]) -> Check {
    let mut run = Run::<L>::start(rules, START);
    for &step in script {
        let mut there = run.clone();
        let _ = run.step(step);
        let before = there.view();
        let last_reason = there.machine.deadline_reason();
        let call = there.step((step.0, step.1));
        let next_reason = there.machine.deadline_reason();
        let asks = matches!(call.event, Event::LimitReceived { .. } | Event::PingDue)
            || call.actions.findings().contains(Findings::CALMED);
        let heard = is_input(call.event) && call.after.ev == call.now && !before.suspended;
        let (Some(was), Some(is)) = (before.due, call.after.due) else { continue };
        // Evidence moves the end of silence; a ping that waited for it (P6) is then the next.
        let waited = last_reason == Some(DeadlineReason::Verdict)
            && next_reason == Some(DeadlineReason::Probe);
        let steady = before.liveness == Liveness::Alive && call.after.liveness == Liveness::Alive;
        if steady && !waited && heard && !asks && call.now < was {
            prop_assert!(is >= was, "{is} before {was}: {call:?}");
        }
    }
    Ok(())
}

/// The same without what only tells of the clock.
fn but_regression(actions: &Actions) -> (Vec<Action>, Findings) {
    let news = actions.findings().without(Findings::CLOCK_REGRESSION);
    let told = actions.clone().filter(|action| !matches!(action, Action::Report(_)));
    (told.collect(), news)
}

fn monotone<L: Ledger>(rules: &Rules, script: &[Step]) -> Check {
    let mut stepping = Run::<L>::start(rules, START);
    let mut steady = Run::<L>::start(rules, START);
    for &(moved, input) in script {
        let given = moved.moment(rules, stepping.now, stepping.due());
        let back = given < stepping.now;
        let newest = given.max(stepping.now);
        stepping.now = newest;
        let event = stepping.event(input);
        let one = stepping.tell(event, given);
        let other = steady.tell(event, newest);
        prop_assert_eq!(but_regression(&one.actions), but_regression(&other.actions));
        let told = one.actions.findings().contains(Findings::CLOCK_REGRESSION);
        prop_assert_eq!(told, back, "{:?}", one);
        prop_assert_eq!(stepping.machine.state(), steady.machine.state(), "{:?}", one);
        prop_assert_eq!(one.after.due, other.after.due);
        prop_assert_eq!(stepping.machine.report(), steady.machine.report());
    }
    Ok(())
}

/// The bare rules clamp no clock: their caller does. They still do not panic.
fn survives<L: Ledger>(rules: &Rules, script: &[Step], start: u64) -> Check {
    let mut peer = PeerState::<Spy, L>::new(7, Timestamp::from_nanos(start));
    let mut now = start;
    let _ = peer.handle(&rules.config, Event::Start, Timestamp::from_nanos(now));
    let mut newest = 0;
    for &(moved, input) in script {
        let due = peer.next_deadline(&rules.config).map(|(at, _)| at.as_nanos());
        now = moved.moment(rules, now, due);
        let place = Place { epoch: peer.epoch(), newest, now, ceiling: rules.ceiling() };
        let actions = peer.handle(&rules.config, input.event(&place), Timestamp::from_nanos(now));
        prop_assert!(actions.len() <= Actions::CAPACITY);
        newest = relative_newest(actions, newest);
    }
    Ok(())
}

fn relative_newest(actions: Actions, newest: u32) -> u32 {
    actions.fold(newest, |newest, action| match action {
        Action::SendPing { id, .. } | Action::SendBeacon { id, .. } => id.seq(),
        _ => newest,
    })
}

/// Whatever is asked of the machine, at whatever time; among it the questions that no script asks.
fn total<L: Ledger>(rules: &Rules, other: &Rules, script: &[(u64, Step)], start: u64) -> Check {
    let mut run = Run::<L>::idle(rules, start);
    for &(jump, step) in script {
        match jump % 32 {
            0 => drop(run.machine.reconfigure(other.config, Timestamp::from_nanos(jump))),
            1 => run.machine = run.machine.reconnected(Timestamp::from_nanos(jump)),
            2 => drop(run.tell(run.event(step.1), jump)),
            3 => drop(run.tell(run.event(step.1), jump | 1 << 63)),
            4 => drop(run.tell(run.event(step.1), u64::MAX - (jump >> 16))),
            _ => drop(run.step(step)),
        }
        let machine = &run.machine;
        let _ = (machine.suspicion(Timestamp::from_nanos(jump)), machine.deadline_reason());
        let _ = (machine.lateness().percentile(99), machine.is_verified_since(Timestamp::MAX));
        let _ = machine.report().map(|report| report.to_string());
        prop_assert!(run.due().is_none_or(|due| due > 0));
    }
    Ok(())
}

/// Moves both clocks alike and gives both the same; `by` apart.
fn shifted<L: Ledger>(rules: &Rules, script: &[Step], by: u64) -> Check {
    // Far enough from the epoch that a stamp of the past exists on either clock.
    let start = 1 << 42;
    let mut one = Run::<L>::start(rules, start);
    let mut other = Run::<L>::start(rules, start + by);
    for &(moved, input) in script {
        let input = input.of_a_sender_of(one.newest);
        let (mut mine, mut theirs) = (one.newest, other.newest);
        let given = moved.moment(rules, one.now, one.due());
        one.now = one.now.max(given);
        other.now = one.now + by;
        let first = one.tell(one.event(input), given);
        let second = other.tell(other.event(input), given + by);
        prop_assert_eq!(
            relative(first.actions, first.now, &mut mine),
            relative(second.actions, second.now, &mut theirs)
        );
        prop_assert_eq!(one.due().map(|due| due + by), other.due(), "after {:?}", input);
        prop_assert_eq!(first.after.liveness, second.after.liveness);
    }
    Ok(())
}

fn trace<L: Ledger>(run: &mut Run<L>, script: &[Step]) -> Vec<Actions> {
    script.iter().map(|&step| run.step(step).actions).collect()
}

fn determined<L: Ledger>(rules: &Rules, script: &[Step]) -> Check {
    let mut one = Run::<L>::start(rules, START);
    let mut other = Run::<L>::start(rules, START);
    prop_assert_eq!(trace(&mut one, script), trace(&mut other, script));
    prop_assert_eq!(&one.machine, &other.machine);
    Ok(())
}

fn cloned<L: Ledger>(rules: &Rules, script: &[Step], rest: &[Step]) -> Check {
    let mut original = Run::<L>::start(rules, START);
    let _ = trace(&mut original, script);
    let mut clone = original.clone();
    prop_assert_eq!(trace(&mut original, rest), trace(&mut clone, rest));
    prop_assert_eq!(&original.machine, &clone.machine);
    Ok(())
}

fn idempotent<L: Ledger>(rules: &Rules, script: &[Step], start: u64) -> Check {
    let mut run = Run::<L>::idle(rules, start);
    for &step in script {
        let call = run.step(step);
        if call.after.suspended {
            continue; // A tick would be the resume (LC5).
        }
        let mut again = run.machine.clone();
        let actions = again.handle(Event::Tick, Timestamp::from_nanos(call.now));
        prop_assert!(actions.is_empty(), "{actions:?} after {call:?}");
        prop_assert_eq!(again.state(), run.machine.state());
        prop_assert_eq!(again.next_deadline(), run.machine.next_deadline());
    }
    Ok(())
}

fn near_the_end() -> impl Strategy<Value = u64> {
    prop_oneof![6 => Just(START), 1 => Just(0), 1 => END_OF_TIME - 2_000..END_OF_TIME + 2_000]
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn l1_completeness(rules in rules(), script in stepping_script()) {
        completes::<Table>(&rules, &script)?;
        completes::<Echo>(&rules, &script)?;
    }

    #[test]
    fn l2_wake_up(rules in rules(), script in stepping_script(), start in near_the_end()) {
        wakes::<Table>(&rules, &script, start)?;
        wakes::<Echo>(&rules, &script, start)?;
    }

    #[test]
    fn l3_progress(rules in rules(), script in stepping_script()) {
        progresses::<Table>(&rules, &script)?;
        progresses::<Echo>(&rules, &script)?;
    }

    #[test]
    fn l4_no_early_effect(rules in rules(), script in stepping_script(), share in 0..1000u64) {
        waits::<Table>(&rules, &script, share)?;
        waits::<Echo>(&rules, &script, share)?;
    }

    #[test]
    fn l5_laziness(
        rules in rules().prop_filter("plain", |rules| {
            rules.is_plain() && !rules.config.write_reports()
        }),
        script in script(),
    ) {
        lazy::<Table>(&rules, &script)?;
        lazy::<Echo>(&rules, &script)?;
    }

    #[test]
    fn m1_monotone(rules in rules(), script in stepping_script(), start in near_the_end()) {
        monotone::<Table>(&rules, &script)?;
        monotone::<Echo>(&rules, &script)?;
        survives::<Table>(&rules, &script, start)?;
        survives::<Echo>(&rules, &script, start)?;
    }

    #[test]
    fn m2_total(
        rules in rules(),
        other in rules(),
        script in script(),
        jumps in prop::collection::vec(any::<u64>(), 80),
        start in prop_oneof![near_the_end(), any::<u64>()],
    ) {
        let script: Vec<_> = jumps.into_iter().zip(script).collect();
        total::<Table>(&rules, &other, &script, start)?;
        total::<Echo>(&rules, &other, &script, start)?;
    }

    #[test]
    fn m3_shift(
        rules in rules(),
        script in script(),
        by in prop_oneof![1..100u64, 0..1u64 << 60],
    ) {
        shifted::<Table>(&rules, &script, by)?;
        shifted::<Echo>(&rules, &script, by)?;
    }

    /// Across platforms `tests/digest.rs` compares.
    #[test]
    fn m4_determinism(rules in rules(), script in stepping_script()) {
        determined::<Table>(&rules, &script)?;
        determined::<Echo>(&rules, &script)?;
    }

    #[test]
    fn m5_clone(rules in rules(), script in stepping_script(), rest in script()) {
        cloned::<Table>(&rules, &script, &rest)?;
        cloned::<Echo>(&rules, &script, &rest)?;
    }

    #[test]
    fn m6_idempotence(rules in rules(), script in stepping_script(), start in near_the_end()) {
        idempotent::<Table>(&rules, &script, start)?;
        idempotent::<Echo>(&rules, &script, start)?;
    }
}
