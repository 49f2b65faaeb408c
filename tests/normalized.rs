//! States that `PeerState::normalized` identifies behave alike for ever: with the invariance under
//! a shift of time (M3, `tests/properties`) it makes the model check of `tests/model` sound. Each test runs two machines side by
//! side through a random life of a random configuration and compares every action and wake-up.

#[path = "properties/configs.rs"]
mod configs;
#[path = "properties/drive.rs"]
mod drive;

use configs::{Rules, Spy, rules};
use drive::{Input, Place, Step, relative, script};
use heartbeat_proto::{Action, Echo, Event, Ledger, Liveness, PeerState, Table, Timestamp};
use proptest::prelude::*;

type Peer<L> = PeerState<Spy, L>;

/// One machine, its clock, and the number of its newest ping.
struct Run<L: Ledger> {
    peer: Peer<L>,
    now: u64,
    newest: u32,
}

impl<L: Ledger> Run<L> {
    fn start(rules: &Rules, now: u64) -> Self {
        let mut run = Self { peer: PeerState::new(7, Timestamp::from_nanos(now)), now, newest: 0 };
        let _ = run.call(rules, Input::Plain(Event::Start));
        run
    }

    /// The wake-up, relative to the time of this machine.
    fn deadline(&self, rules: &Rules) -> Option<i64> {
        let (at, _) = self.peer.next_deadline(&rules.config)?;
        i64::try_from(i128::from(at.as_nanos()) - i128::from(self.now)).ok()
    }

    /// One event, and what it led to with stamps and numbers relative to this machine.
    fn call(&mut self, rules: &Rules, input: Input) -> Vec<Action> {
        let event = input.event(&Place {
            epoch: self.peer.epoch(),
            newest: self.newest,
            now: self.now,
            ceiling: rules.ceiling(),
        });
        let actions = self.peer.handle(&rules.config, event, Timestamp::from_nanos(self.now));
        relative(actions, self.now, &mut self.newest)
    }

    fn normalized(&self, rules: &Rules) -> Self {
        let peer = self.peer.normalized(&rules.config, Timestamp::from_nanos(self.now));
        let renumbered = self.newest != 0 && rules.jitter == 0;
        let newest = if renumbered { Peer::<L>::NORMAL_SEQ } else { self.newest };
        Self { peer, now: Peer::<L>::NORMAL_NOW.as_nanos(), newest }
    }
}

/// Moves both clocks alike and gives both machines the same event.
fn step_both<L: Ledger>(
    rules: &Rules,
    [one, other]: [&mut Run<L>; 2],
    (moved, input): Step,
) -> Result<(), TestCaseError> {
    let due = one.peer.next_deadline(&rules.config).map(|(at, _)| at.as_nanos());
    let by = moved.moment(rules, one.now, due) - one.now;
    let input = input.of_a_sender_of(one.newest);
    one.now += by;
    other.now += by;
    let (mine, theirs) = (one.call(rules, input), other.call(rules, input));
    prop_assert_eq!(mine, theirs, "{:?} at +{}", input, by);
    prop_assert_eq!(one.deadline(rules), other.deadline(rules), "after {:?}", input);
    prop_assert_eq!(one.peer.liveness(), other.peer.liveness());
    Ok(())
}

/// A machine and the representative of its state, renewed before every step as in the model.
fn representative_is_faithful<L: Ledger>(
    rules: &Rules,
    script: &[Step],
    every_step: bool,
) -> Result<(), TestCaseError> {
    let mut original = Run::<L>::start(rules, 1_000_000_000);
    let mut copy = original.normalized(rules);
    for &step in script {
        step_both(rules, [&mut original, &mut copy], step)?;
        if every_step || original.peer.liveness() == Liveness::Lost {
            copy = copy.normalized(rules);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(1_000)))]

    /// Normalised before every step, as the model does.
    #[test]
    fn a_normalized_state_behaves_like_the_original(rules in rules(), script in script()) {
        representative_is_faithful::<Table>(&rules, &script, true)?;
        representative_is_faithful::<Echo>(&rules, &script, true)?;
    }

    /// Normalised once, then left to itself.
    #[test]
    fn a_normalized_state_behaves_like_the_original_for_long(
        rules in rules(),
        script in script(),
    ) {
        representative_is_faithful::<Table>(&rules, &script, false)?;
        representative_is_faithful::<Echo>(&rules, &script, false)?;
    }
}
