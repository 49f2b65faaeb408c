//! S1 to S8: what a verdict by silence takes, and what it never does.

use std::collections::BTreeSet;

use heartbeat_proto::{
    Echo, Event, Findings, LatePolicy, Ledger, LifeRule, Liveness, Mode, PingSchedule, Reason,
    Table,
};
use proptest::prelude::*;

use crate::configs::{Rules, nanos, rules};
use crate::drive::{Call, Input, Move, Run, START, Step, longest_gap, script};

type Check = Result<(), TestCaseError>;

/// The verdict of this call, if it is one by silence: not by the limit of the writer, of the
/// start-up or of draining, and not by a finding.
fn verdict_by_silence(call: &Call) -> Option<Reason> {
    let reason = call.actions.transition().filter(|_| call.lost())?.reason;
    let by_silence = [Reason::NoResponse, Reason::Silence, Reason::NotProbed];
    by_silence.contains(&reason).then_some(reason)
}

/// What happened since the last evidence.
#[derive(Default)]
struct Silence {
    /// A grant was given, or a window waited for.
    put_off: bool,
    /// Every call for a wake-up came at it.
    exact: bool,
    /// The peer asked for another gap, which moves the limit of silence.
    limited: bool,
    /// When pings left.
    pings: Vec<u64>,
}

impl Silence {
    fn see(&mut self, call: &Call) {
        let found = call.actions.findings();
        let shifted = found.contains(Findings::RESUMED);
        let heard = call.after.ev == call.now && call.before.ev != call.now && is_input(call.event);
        let begun =
            call.actions.transition().is_some_and(|change| change.reason == Reason::Started);
        if begun || (heard && !shifted) {
            // A ping of the same nanosecond counts: nothing is known of what came first.
            let pings = self.pings.iter().copied().filter(|&ping| ping == call.now).collect();
            *self = Self { exact: true, pings, ..Self::default() };
        } else {
            self.exact &= call.before.due.is_none_or(|due| call.now <= due);
            self.limited |= matches!(call.event, Event::LimitReceived { .. });
        }
        self.put_off |= shifted || found.contains(Findings::REPROBE);
        if call.ping().is_some() {
            self.pings.push(call.now);
        }
    }
}

fn begin<L: Ledger>(rules: &Rules) -> (Run<L>, Silence) {
    let (mut run, mut silence) = (Run::idle(rules, START), Silence::default());
    silence.see(&run.tell(Event::Start, START));
    (run, silence)
}

pub(crate) const fn is_input(event: Event) -> bool {
    matches!(
        event,
        Event::PingReceived { .. }
            | Event::PongReceived { .. }
            | Event::AnonymousPongReceived
            | Event::BeaconReceived { .. }
            | Event::FrameReceived
            | Event::BytesReceived
            | Event::LimitReceived { .. }
    )
}

/// The limit of silence in force when the call judged (rule J2).
fn limit(rules: &Rules, call: &Call) -> u64 {
    call.after.ev + rules.limits(call.before.ie.min(call.after.ie)).0
}

fn accurate<L: Ledger>(rules: &Rules, script: &[Step]) -> Check {
    let mut run = Run::<L>::start(rules, START);
    for &step in script {
        let call = run.step(step);
        if verdict_by_silence(&call).is_some() {
            let silence = call.now.saturating_sub(call.after.ev);
            prop_assert!(silence > nanos(rules.config.floor()), "F: {silence}, {call:?}");
            prop_assert!(call.now > limit(rules, &call), "V: {silence}, {call:?}");
        }
    }
    Ok(())
}

fn exact<L: Ledger>(rules: &Rules, script: &[Step]) -> Check {
    let (mut run, mut silence) = begin::<L>(rules);
    let mut all: Vec<_> = script.to_vec();
    // Then nothing more is heard.
    all.extend([(Move::ToDeadline(0), Input::Plain(Event::Tick)); 40]);
    for &step in &all {
        let call = run.step(step);
        if verdict_by_silence(&call).is_some() {
            let report = run.machine.report().expect("of the verdict");
            prop_assert_eq!(nanos(report.silence), call.now.saturating_sub(call.after.ev));
            prop_assert_eq!(report.observed_at.as_nanos(), call.now);
            let at_wake_up = call.before.due == Some(call.now);
            if at_wake_up && !silence.put_off && !silence.limited && !rules.adaptive {
                prop_assert_eq!(call.now, limit(rules, &call) + 1, "{:?}", call);
            }
        }
        silence.see(&call);
    }
    Ok(())
}

fn probes_before<L: Ledger>(rules: &Rules, script: &[Step]) -> Check {
    let (mut run, mut silence) = begin::<L>(rules);
    let patient = rules.config.late_policy() == LatePolicy::Reprobe;
    let spaced = rules.ids || rules.window() < rules.interval();
    let mut all: Vec<_> = script.to_vec();
    all.extend([(Move::ToDeadline(0), Input::Plain(Event::Tick)); 40]);
    for &step in &all {
        let call = run.step(step);
        let on_time = silence.exact && !call.is_late(rules);
        if verdict_by_silence(&call).is_some() && (patient || (on_time && spaced)) {
            let passed = |&ping: &u64| call.now > ping + rules.window();
            prop_assert!(silence.pings.iter().any(passed), "{:?}, {:?}", silence.pings, call);
        }
        silence.see(&call);
    }
    Ok(())
}

fn grants<L: Ledger>(rules: &Rules, script: &[Step], late_by: u64) -> Check {
    let (mut run, mut silence) = begin::<L>(rules);
    for &step in script {
        let call = run.step(step);
        if call.is_late(rules) && call.was_judged() {
            let convicted = verdict_by_silence(&call).is_some();
            prop_assert!(!convicted || silence.put_off, "{:?}", call);
        }
        silence.see(&call);
    }
    // The peer is dead, and this end sleeps; then it is punctual.
    let view = run.view();
    let Some(due) = view.due else { return Ok(()) };
    if !view.liveness.is_live() || view.suspended || view.draining {
        return Ok(());
    }
    let woke = due + rules.slack() + late_by;
    let first = run.tell(Event::Tick, woke);
    silence.see(&first);
    let limit = first.after.ev + rules.limits(view.ie).1;
    let gap = longest_gap(rules, script, view.ie);
    let until = limit.max(woke + rules.window() + gap) + 2;
    let mut probed = first.ping().is_some() || rules.schedule == PingSchedule::External;
    run.run_to(until, |call| probed |= call.ping().is_some());
    prop_assert_eq!(run.machine.liveness(), Liveness::Lost, "by {}: {:?}", until, first);
    let granted = first.actions.findings().contains(Findings::REPROBE);
    let can_probe = rules.probes() && rules.ids && !rules.config.write_reports();
    prop_assert!(!granted || !can_probe || probed, "no probe: {:?}", first);
    Ok(())
}

/// The rule of life in force, applied to one event by itself (rules E1, E2, E4). Duplicates are
/// told by a memory of what was answered; the echo ledger keeps none, and so may be fooled.
fn may_be_evidence(
    rules: &Rules,
    event: Event,
    epoch: u32,
    newest: u32,
    answered: &BTreeSet<u32>,
) -> bool {
    let (any_pong, any_frame, any_byte) = rules.counts();
    match event {
        Event::PongReceived { id, .. } => {
            let open = id.seq() != 0 && id.seq() <= newest && !answered.contains(&id.seq());
            id.epoch() == epoch && (any_pong || open)
        }
        Event::AnonymousPongReceived => any_pong || newest != 0,
        Event::BytesReceived => any_byte,
        event => is_input(event) && any_frame,
    }
}

fn received_only<L: Ledger>(rules: &Rules, script: &[Step], remembers: bool) -> Check {
    let mut run = Run::<L>::start(rules, START);
    let epoch = run.machine.state().epoch();
    let mut answered = BTreeSet::new();
    for &step in script {
        let newest = run.newest;
        let call = run.step(step);
        let (before, after) = (call.before, call.after);
        let begun =
            call.actions.transition().is_some_and(|change| change.reason == Reason::Started);
        let evidence = may_be_evidence(rules, call.event, epoch, newest, &answered);
        // Time may be credited: by a resume, and by Forgive for a late call.
        let forgives = matches!(rules.config.late_policy(), LatePolicy::Forgive(_));
        let credited = call.actions.findings().contains(Findings::RESUMED)
            || (forgives && call.actions.findings().contains(Findings::LATE_CALL));
        if after.ev != before.ev && !begun && !credited {
            prop_assert!(evidence, "ev moved: {call:?}");
            prop_assert_eq!(after.ev, call.now, "{:?}", call);
        }
        // Only a grace lies ahead.
        prop_assert!(after.ev <= call.now || rules.grace > 0, "ev lies ahead: {call:?}");
        let heard_of = before.liveness.is_live() && after.liveness.is_live();
        let sure = evidence && !matches!(call.event, Event::PongReceived { .. });
        let anonymous = call.event == Event::AnonymousPongReceived;
        if heard_of && sure && (!anonymous || rules.life != LifeRule::ExactPong) {
            prop_assert_eq!(after.ev, call.now, "ev stayed: {:?}", call);
        }
        if let Event::PongReceived { id, .. } = call.event {
            let sent = id.epoch() == epoch && id.seq() <= newest;
            answered.extend((sent && remembers).then_some(id.seq()));
        }
    }
    Ok(())
}

fn final_once<L: Ledger>(rules: &Rules, script: &[Step]) -> Check {
    let mut run = Run::<L>::idle(rules, START);
    let mut verdicts = 0;
    let mut was_drained = false;
    for &step in script {
        let call = run.step(step);
        was_drained |= call.after.draining;
        let never_started = call
            .actions
            .transition()
            .is_some_and(|change| change.from == Liveness::Idle && change.to == Liveness::Lost);
        was_drained |= never_started;
        let before = call.before.liveness;
        let is_final = !rules.reopens || was_drained;
        if before == Liveness::Closed || (before == Liveness::Lost && is_final) {
            let findings = usize::from(!call.actions.findings().is_empty());
            prop_assert_eq!(call.actions.len(), findings, "{:?}", call);
            prop_assert_eq!(call.after.due, None);
            prop_assert_eq!(call.after.liveness, before);
        }
        verdicts += u32::from(call.lost());
        prop_assert!(verdicts <= 1 || rules.reopens, "{call:?}");
        if matches!(call.after.liveness, Liveness::Closed) {
            prop_assert_eq!(call.after.due, None);
        }
    }
    Ok(())
}

fn answers<L: Ledger>(rules: &Rules, script: &[Step]) -> Check {
    let mut run = Run::<L>::idle(rules, START);
    let answers = !matches!(rules.config.mode(), Mode::Beacon | Mode::Passive);
    for &step in script {
        let call = run.step(step);
        let Event::PingReceived { id, .. } = call.event else {
            prop_assert_eq!(call.pong(), None, "nothing else asks: {:?}", call);
            continue;
        };
        let open = |liveness: Liveness| {
            liveness.is_live() || (liveness == Liveness::Lost && rules.reopens)
        };
        let struck = call.actions.findings().contains(Findings::PING_STRIKE);
        prop_assert!(!struck || rules.polices, "{call:?}");
        prop_assert!(call.pong().is_none_or(|pong| pong == id && answers && !struck), "{call:?}");
        let is_open = open(call.before.liveness) && call.after.liveness.is_live();
        if answers && is_open && !struck {
            prop_assert_eq!(call.pong(), Some(id), "{:?}", call);
        }
        if !open(call.before.liveness) {
            prop_assert_eq!(call.pong(), None, "{:?}", call);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn s1_accuracy(rules in rules(), script in script()) {
        accurate::<Table>(&rules, &script)?;
        accurate::<Echo>(&rules, &script)?;
    }

    #[test]
    fn s2_exactness(rules in rules(), script in script()) {
        exact::<Table>(&rules, &script)?;
        exact::<Echo>(&rules, &script)?;
    }

    #[test]
    fn s4_probe_before_verdict(
        rules in rules().prop_filter("probes, written at once", |rules| {
            rules.probes() && rules.schedule == PingSchedule::Own && !rules.config.write_reports()
        }),
        script in script(),
    ) {
        probes_before::<Table>(&rules, &script)?;
        probes_before::<Echo>(&rules, &script)?;
    }

    #[test]
    fn s5_stall_grace(
        rules in rules().prop_filter("reprobes", |rules| {
            rules.judges() && rules.config.late_policy() == LatePolicy::Reprobe
        }),
        script in script(),
        late_by in prop_oneof![1..3u64, 1..60u64, 0..1u64 << 40],
    ) {
        grants::<Table>(&rules, &script, late_by)?;
        grants::<Echo>(&rules, &script, late_by)?;
    }

    #[test]
    fn s6_received_only(rules in rules(), script in script()) {
        received_only::<Table>(&rules, &script, true)?;
        received_only::<Echo>(&rules, &script, false)?;
    }

    #[test]
    fn s7_once_and_final(rules in rules(), script in script()) {
        final_once::<Table>(&rules, &script)?;
        final_once::<Echo>(&rules, &script)?;
    }

    #[test]
    fn s8_answer(rules in rules(), script in script()) {
        answers::<Table>(&rules, &script)?;
        answers::<Echo>(&rules, &script)?;
    }
}
