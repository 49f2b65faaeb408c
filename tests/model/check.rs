//! Exhausting a world, and showing that one fails.

use std::time::Instant;

use heartbeat_proto::{Ledger, Liveness, detector::Detector};
use stateright::{Checker, CheckerBuilder, HasDiscoveries, Model, Property};

use crate::promises::Rule;
use crate::world::{State, Step, US, World};

impl<D, L> Model for World<D, L>
where
    D: Detector + Send + Sync + 'static,
    D::State: Send + Sync,
    L: Ledger + Send + Sync + 'static,
{
    type State = State<D, L>;
    type Action = Step;

    fn init_states(&self) -> Vec<Self::State> {
        self.first_states()
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Step>) {
        self.steps(state, actions);
    }

    fn next_state(&self, last: &Self::State, step: Step) -> Option<Self::State> {
        Some(self.after(last, step))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! always {
            ($($name:literal: $rule:ident,)+) => {
                vec![$(Property::always($name, |_, state: &Self::State| {
                    state.broken != Some(Rule::$rule)
                }),)+
                // Promises about verdicts say nothing of a world without one.
                Property::sometimes("a verdict", |_, state: &Self::State| {
                    state.ends[US].peer.liveness() == Liveness::Lost
                })]
            };
        }
        always! {
            "S1 accuracy": S1Accuracy,
            "S2 exactness": S2Exactness,
            "S3 no false positive": S3NoFalsePositive,
            "S4 probe before verdict": S4ProbeBeforeVerdict,
            "S5 stall grace": S5StallGrace,
            "S6 received only": S6ReceivedOnly,
            "S7 final": S7Final,
            "S8 answer": S8Answer,
            "R1 gap": R1Gap,
            "J14 as asked": J14AsAsked,
            "L1 completeness": L1Completeness,
            "L2 wake-up": L2WakeUp,
            "L4 no early effect": L4NoEarlyEffect,
        }
    }
}

/// A space that does not close is a bug: here it would fill this many states.
const MOST_STATES: usize = 40_000_000;

/// The checker looks at no more successors, and then says that it is done.
const MOST_GENERATED: usize = 5 * MOST_STATES;

fn checker<D, L>(world: World<D, L>) -> CheckerBuilder<World<D, L>>
where
    D: Detector + Send + Sync + 'static,
    D::State: Send + Sync,
    L: Ledger + Send + Sync + 'static,
{
    world.checker().finish_when(HasDiscoveries::AnyFailures).target_state_count(MOST_GENERATED)
}

#[expect(clippy::disallowed_methods, reason = "how long the check takes is printed")]
/// Exhausts the space; every promise must hold. `least`: with fewer states the model has lost its
/// world.
pub(crate) fn holds<D, L>(least: usize, world: World<D, L>) -> usize
where
    D: Detector + Send + Sync + 'static,
    D::State: Send + Sync,
    L: Ledger + Send + Sync + 'static,
{
    let (name, begun) = (world.name, Instant::now());
    let checker = checker(world).spawn_bfs().join();
    let (unique, generated) = (checker.unique_state_count(), checker.state_count());
    let (depth, seconds) = (checker.max_depth(), begun.elapsed().as_secs_f64());
    println!("| {name:20} | {unique:10} | {generated:10} | {depth:5} | {seconds:6.1} |");
    checker.assert_properties();
    let closed = unique < MOST_STATES && generated < MOST_GENERATED;
    assert!(checker.is_done() && closed, "{name}: the space does not close");
    assert!(unique >= least, "{name}: only {unique} states");
    unique
}

/// `property` must fail; the shortest way there is printed.
pub(crate) fn fails<D, L>(property: &'static str, world: World<D, L>)
where
    D: Detector + Send + Sync + 'static,
    D::State: Send + Sync,
    L: Ledger + Send + Sync + 'static,
{
    let name = world.name;
    let checker = checker(world).spawn_bfs().join();
    let found: Vec<_> = checker.discoveries().into_keys().collect();
    assert!(found.contains(&property), "{name}: {property} holds; what fails: {found:?}");
    let steps = checker.assert_any_discovery(property).into_actions();
    println!("{name}: {property} fails after {} steps: {steps:?}", steps.len());
}
