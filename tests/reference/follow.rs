//! The comparison as proptest drives it.

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

use crate::compare::{Case, Machine, difference, script};
use crate::script::Move;
use crate::{coverage, generate, knobs};

impl ReferenceStateMachine for Case {
    type State = Case;
    type Transition = Move;

    fn init_state() -> BoxedStrategy<Self::State> {
        (knobs::knobs(), any::<u64>(), generate::start())
            .prop_map(|(knobs, seed, start)| Case::new(knobs, seed, start))
            .boxed()
    }

    fn transitions(state: &Self::State) -> BoxedStrategy<Self::Transition> {
        generate::next(state)
    }

    fn apply(mut state: Self::State, transition: &Self::Transition) -> Self::State {
        state.take(transition);
        state
    }
}

pub struct MachineFollows;

impl StateMachineTest for MachineFollows {
    type SystemUnderTest = Machine;
    type Reference = Case;

    fn init_test(case: &Case) -> Machine {
        let mut machine = Machine::new(case);
        if let Some(text) = difference(&mut machine, case) {
            panic!("{case:?}\n{text}");
        }
        machine
    }

    fn apply(mut machine: Machine, case: &Case, _: Move) -> Machine {
        if let Some(text) = difference(&mut machine, case) {
            panic!("{}\n{text}", script(case));
        }
        coverage::count(case.last.iter().flat_map(|(_, acts)| acts));
        machine
    }
}
