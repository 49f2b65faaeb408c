//! Does the comparison see anything? Each deviation from the text must be found.

use proptest::strategy::{Strategy, ValueTree};
use proptest_state_machine::ReferenceStateMachine;

use crate::compare::{self, Case, Machine};
use crate::model::Twist;
use crate::script::Move;

/// How many cases a twist has before it counts as survived.
const BUDGET: usize = 2000;

/// Whether the twisted reference differs from the machine in this case.
fn differs(case: &Case, moves: &[Move], twist: Option<Twist>) -> bool {
    let mut case = case.clone();
    case.reference.twist = twist;
    let mut machine = Machine::new(&case);
    moves.iter().any(|next| {
        case.take(next);
        compare::difference(&mut machine, &case).is_some()
    })
}

#[test]
fn each_twist_of_the_text_is_found() {
    crate::with_a_large_stack(find_each);
}

fn find_each() {
    let mut runner = crate::runner(1);
    let strategy = Case::sequential_strategy(1..100);
    let mut living = Twist::ALL.to_vec();
    for round in 1..=BUDGET {
        let tree = strategy.new_tree(&mut runner).expect("nothing is filtered");
        let (case, moves, _) = tree.current();
        if differs(&case, &moves, None) {
            continue; // What differs without a twist is the other test's.
        }
        living.retain(|&twist| {
            let found = differs(&case, &moves, Some(twist));
            if found {
                println!("{round:>6}  {twist:?}");
            }
            !found
        });
        if living.is_empty() {
            return;
        }
    }
    panic!("not found in {BUDGET} cases: {living:?}");
}
