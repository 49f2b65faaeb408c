//! R1 to R4: what is sent at most, and what a call costs.

use core::mem::needs_drop;

use heartbeat_proto::detector::Deadline;
use heartbeat_proto::{
    Action, Actions, Config, Echo, Event, HeartbeatMachine, Ledger, PeerState, Table,
};
use proptest::prelude::*;

use crate::configs::{Rules, nanos, rules};
use crate::drive::{Call, Run, START, Step, stepping_script};

type Check = Result<(), TestCaseError>;

/// The smallest gap between our pings that the peer accepts, as it is kept (rule A6).
fn kept_gap(asked: u64) -> u64 {
    let millis = asked.div_ceil(1_000_000);
    let exponent = (0..31).find(|&e| millis.div_ceil(1 << e) <= 127).unwrap_or(31);
    millis.div_ceil(1 << exponent).min(127).saturating_mul(1_000_000 << exponent)
}

fn keeps_gap<L: Ledger>(rules: &Rules, script: &[Step]) -> Check {
    let mut run = Run::<L>::start(rules, START);
    let (mut last, mut peer_gap) = (None, 0);
    for &step in script {
        let call = run.step(step);
        if let Event::LimitReceived { min_gap } = call.event {
            peer_gap = kept_gap(nanos(min_gap).min(1 << 50));
        }
        if call.ping().is_some() {
            let ge =
                nanos(rules.config.min_gap()).max(peer_gap.min(rules.ceiling() - rules.window()));
            if let Some(last) = last {
                prop_assert!(call.now - last >= ge, "{} after {last}: {call:?}", call.now);
            }
            last = Some(call.now);
        }
    }
    Ok(())
}

fn amplifies_nothing<L: Ledger>(rules: &Rules, script: &[Step]) -> Check {
    let mut run = Run::<L>::idle(rules, START);
    let (mut asked, mut answered) = (0, 0);
    for &step in script {
        let call = run.step(step);
        asked += u32::from(matches!(call.event, Event::PingReceived { .. }));
        answered += u32::from(call.pong().is_some());
        prop_assert!(answered <= asked, "{call:?}");
        let told: Vec<_> = call.actions.clone().collect();
        prop_assert!(told.len() <= 5 && call.actions.len() == told.len(), "{told:?}");
        let kind = |action: &Action| match action {
            Action::SendPong { .. } => 0,
            Action::SendPing { .. } | Action::SendBeacon { .. } => 1,
            Action::RequestProbe => 2,
            Action::SendGoodbye => 3,
            Action::Notify(_) => 4,
            _ => 5,
        };
        prop_assert!(told.windows(2).all(|two| kind(&two[0]) < kind(&two[1])), "{told:?}");
    }
    Ok(())
}

const YEAR: u64 = 365 * 24 * 60 * 60 * 1_000_000_000;

/// However long nobody called, one call settles it: nothing is repaid, and what comes next lies
/// ahead, the next slot within the effective interval.
fn settles_at_once<L: Ledger>(rules: &Rules, script: &[Step], jump: u64) -> Check {
    let mut run = Run::<L>::start(rules, START);
    for &step in script {
        let _ = run.step(step);
    }
    let call = run.tell(Event::Tick, run.now + jump);
    prop_assert!(call.actions.len() <= Actions::CAPACITY);
    prop_assert!(call.after.due.is_none_or(|due| due > call.now), "{call:?}");
    let again = run.tell(Event::Tick, run.now);
    prop_assert!(again.actions.is_empty(), "{again:?}");
    if call.after.liveness.is_live() && rules.is_plain() && !rules.config.write_reports() {
        // Each ping is answered at once: at most the slot that was due, one that is close, and one.
        let until = run.now + rules.interval() - rules.interval() / 100 * u64::from(rules.jitter);
        let mut pings = answer(&mut run, &call);
        while let Some(due) = run.due().filter(|&due| due < until) {
            let call = run.tell(Event::Tick, due);
            pings += answer(&mut run, &call);
        }
        prop_assert!(pings <= 3, "{pings} pings after a jump");
    }
    Ok(())
}

fn answer<L: Ledger>(run: &mut Run<L>, call: &Call) -> u32 {
    let Some(id) = call.ping() else { return 0 };
    let _ = run.tell(Event::pong(id), run.now);
    1
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn r1_gap(rules in rules(), script in stepping_script()) {
        keeps_gap::<Table>(&rules, &script)?;
        keeps_gap::<Echo>(&rules, &script)?;
    }

    #[test]
    fn r2_no_amplification(rules in rules(), script in stepping_script()) {
        amplifies_nothing::<Table>(&rules, &script)?;
        amplifies_nothing::<Echo>(&rules, &script)?;
    }

    /// What a call costs in instructions is counted by `proofs/constant-work/run`.
    #[test]
    fn r4_constant_work(
        rules in rules(),
        script in stepping_script(),
        jump in prop_oneof![1..1_000_000_000u64, Just(YEAR), Just(100 * YEAR)],
    ) {
        settles_at_once::<Table>(&rules, &script, jump)?;
        settles_at_once::<Echo>(&rules, &script, jump)?;
    }
}

/// Nothing here owns anything outside itself. How large the values are is told by
/// `tests/auto_traits.rs`, and `tests/no_alloc.rs` counts that running them takes nothing either.
#[test]
fn r3_fixed_size() {
    const fn is_plain_memory<T>() -> bool {
        !needs_drop::<T>()
    }
    fn copied<T: Copy>() -> bool {
        is_plain_memory::<T>()
    }
    assert!(copied::<PeerState<Deadline, Echo>>() && copied::<PeerState<Deadline, Table>>());
    assert!(copied::<Config>() && is_plain_memory::<Actions>());
    assert!(is_plain_memory::<HeartbeatMachine>());
    #[cfg(feature = "codec")]
    {
        use heartbeat_proto::codec::{Decoder, MAX_FRAME};
        // One frame, and where it stands.
        assert!(is_plain_memory::<Decoder>() && size_of::<Decoder>() <= MAX_FRAME + 80);
    }
}
