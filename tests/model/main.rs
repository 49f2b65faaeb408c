//! The first closed model: the shipped transition function, every interleaving, runs of any length.
//!
//! States are identified up to a shift of time (`PeerState::normalized`, whose soundness
//! `tests/normalized.rs` tests), so the state space is finite without a horizon and is exhausted:
//! what holds here holds for ever, for the constants of each configuration. Liveness is stated as
//! bounded safety. A state cap makes a space that does not close a failure.
//!
//! `cargo test --test model -- --nocapture` prints the numbers of states.

mod follow;
mod ghost;
mod world;

use core::marker::PhantomData;
use core::time::Duration;

use follow::Follow;
use ghost::{Claims, Rule};
use heartbeat_proto::{
    Config, ConfigError, Echo, FirstPing, LatePolicy, Ledger, LifeRule, Mode, Table, Verdict,
    detector::{Deadline, Detector},
};
use stateright::{Checker, HasDiscoveries, Model, Property};
use world::{Fate, State, Step, World};

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
                }),)+]
            };
        }
        always! {
            "S1 accuracy": S1Accuracy,
            "S2 exactness": S2Exactness,
            "S3 no false positive": S3NoFalsePositive,
            "S4 probe before verdict": S4ProbeBeforeVerdict,
            "S5 stall grace": S5StallGrace,
            "S7 final": S7Final,
            "S8 answer": S8Answer,
            "R1 gap": R1Gap,
            "L1 completeness": L1Completeness,
            "L2 wake-up": L2WakeUp,
        }
    }
}

/// No model here has as many: a space that does not close is a bug.
const MOST_STATES: usize = 2_000_000;

/// Exhausts the space; every promise must hold.
fn holds<D, L>(name: &str, least: usize, world: World<D, L>)
where
    World<D, L>: Model<State = State<D, L>, Action = Step> + Send + Sync + 'static,
    D: Detector + Send + Sync + 'static,
    D::State: Send + Sync,
    L: Ledger + Send + Sync + 'static,
{
    let checker = world
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(20 * MOST_STATES)
        .spawn_bfs()
        .join();
    let (unique, generated) = (checker.unique_state_count(), checker.state_count());
    println!(
        "{name}: {unique} unique states, {generated} generated, depth {}",
        checker.max_depth()
    );
    checker.assert_properties();
    assert!(checker.is_done() && unique < MOST_STATES, "{name}: the space does not close");
    assert!(unique >= least, "{name}: only {unique} states: the model lost its world");
}

/// A world in which `property` must fail; the shortest way there is printed.
fn fails<D, L>(name: &str, property: &'static str, world: World<D, L>)
where
    World<D, L>: Model<State = State<D, L>, Action = Step> + Send + Sync + 'static,
    D: Detector + Send + Sync + 'static,
    D::State: Send + Sync,
    L: Ledger + Send + Sync + 'static,
{
    let checker = world
        .checker()
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(20 * MOST_STATES)
        .spawn_bfs()
        .join();
    let path = checker.assert_any_discovery(property);
    println!("{name}: {property} fails:");
    for step in path.into_actions() {
        println!("    {step:?}");
    }
}

const fn ns(span: u64) -> Duration {
    Duration::from_nanos(span)
}

/// Without jitter, phase and keepalive: the model chooses offsets itself.
fn rules(interval: u64, window: u64, attempts: u8) -> heartbeat_proto::ConfigBuilder {
    Config::builder()
        .first_ping(FirstPing::AfterInterval)
        .jitter_percent(0)
        .no_keepalive()
        .startup_limit(ns(1))
        .interval(ns(interval))
        .response_window(ns(window))
        .attempts(attempts)
}

fn world<D: Detector, L: Ledger>(us: Config<D>, them: Config<D>) -> World<D, L> {
    World {
        configs: [us, them],
        fate: Fate::default(),
        claims: [Claims::default(); 2],
        offsets: 0,
        ledger: PhantomData,
    }
}

const FIXED: Claims =
    Claims { exact: false, fixed: true, no_false_positive: false, pongs_only: false };

/// Two symmetric ends, losses, overtaking, one crash; the ledger stores nothing. Under Strict and
/// with a punctual driver the verdict is exact.
#[test]
fn symmetric_ends_over_a_lossy_link() -> Result<(), ConfigError> {
    let config = rules(3, 2, 1)
        .late_policy(LatePolicy::Strict)
        .ping_unanswered(1, Verdict::Report) // A shorter count is a smaller space.
        .build()?;
    let mut world = world::<Deadline, Echo>(config, config);
    world.fate = Fate { delay: 1, loss: Some(8), crash: true, ..Fate::default() };
    world.claims = [Claims { exact: true, ..FIXED }; 2];
    world.offsets = 2;
    holds("fixed, echo, symmetric, lossy", 250_000, world);
    Ok(())
}

/// A client that probes and a server that only answers; packets lost at will, doubled, overtaking;
/// frames of strangers; the server may crash.
#[test]
fn a_client_over_a_link_that_loses_and_doubles() -> Result<(), ConfigError> {
    let us = rules(4, 4, 2).mode(Mode::Initiator).build()?;
    let them = rules(8, 4, 2).mode(Mode::Responder).build()?;
    let mut world = world::<Deadline, Table>(us, them);
    world.fate = Fate {
        delay: 2,
        loss: Some(0),
        duplication: true,
        crash: true,
        strangers: true,
        ..Fate::default()
    };
    world.claims = [FIXED; 2];
    holds("fixed, table, initiator, lossy and doubling", 10_000, world);
    Ok(())
}

/// S3: no loss, delay at most D and T > I + 2D.
#[test]
fn a_network_that_keeps_its_bounds_kills_nobody() -> Result<(), ConfigError> {
    let config = rules(4, 5, 1).build()?;
    let mut world = world::<Deadline, Table>(config, config);
    world.fate = Fate { delay: 2, crash: true, ..Fate::default() };
    world.claims = [Claims { no_false_positive: true, ..FIXED }; 2];
    world.offsets = 3;
    holds("fixed, table, symmetric, in bounds", 50_000, world);
    Ok(())
}

/// A client whose process stalls for longer than its timeout, again and again.
fn stalling(policy: LatePolicy) -> Result<World<Deadline, Table>, ConfigError> {
    let us = rules(4, 5, 1)
        .mode(Mode::Initiator)
        .late_policy(policy)
        .life_rule(LifeRule::ExactPong)
        .slack(ns(1))
        .build()?;
    let them = rules(30, 30, 1).mode(Mode::Responder).build()?;
    let mut world = world(us, them);
    world.fate = Fate { delay: 2, crash: true, stall: 12, rest: 20, ..Fate::default() };
    world.claims = [Claims { no_false_positive: true, pongs_only: true, ..FIXED }, FIXED];
    Ok(world)
}

/// S5: under the default policy a stall kills nobody, and a crash is still found in time.
#[test]
fn a_stalled_client_probes_again() -> Result<(), ConfigError> {
    holds("fixed, table, initiator, stalling", 80_000, stalling(LatePolicy::Reprobe)?);
    Ok(())
}

/// An adaptive detector of stamped beacons, between its floor and its ceiling.
#[test]
fn a_watcher_that_follows_the_delay() -> Result<(), ConfigError> {
    let us = rules(8, 8, 1)
        .mode(Mode::Passive)
        .detector(Follow { margin: 1 })
        .floor(ns(9))
        .ceiling(ns(24))
        .build()?;
    let them = rules(8, 8, 1).mode(Mode::Beacon).detector(Follow { margin: 1 }).build()?;
    let mut world = world::<Follow, Echo>(us, them);
    world.fate =
        Fate { delay: 8, loss: Some(0), duplication: true, crash: true, ..Fate::default() };
    holds("adaptive, echo, passive, lossy and doubling", 25_000, world);
    Ok(())
}

/// The model can fail: T = I + 2D is too short by one.
#[test]
fn a_timeout_below_the_round_trip_is_found() -> Result<(), ConfigError> {
    let us = rules(4, 3, 1).mode(Mode::Initiator).build()?;
    let them = rules(30, 30, 1).mode(Mode::Responder).build()?;
    let mut world = world::<Deadline, Table>(us, them);
    world.fate = Fate { delay: 2, ..Fate::default() };
    world.claims[0] = Claims { no_false_positive: true, ..FIXED };
    fails("timeout 7 = 4 + 2 * 2 - 1", "S3 no false positive", world);
    Ok(())
}

/// The model can fail: without the re-probe the same stalls kill.
#[test]
fn a_stall_under_the_strict_policy_is_found() -> Result<(), ConfigError> {
    fails("stalls under Strict", "S3 no false positive", stalling(LatePolicy::Strict)?);
    Ok(())
}

/// The model can fail: one lost packet is more than one attempt in T = I + W allows.
#[test]
fn a_loss_that_was_claimed_away_is_found() -> Result<(), ConfigError> {
    let us = rules(4, 5, 1).mode(Mode::Initiator).build()?;
    let them = rules(30, 30, 1).mode(Mode::Responder).build()?;
    let mut world = world::<Deadline, Echo>(us, them);
    world.fate = Fate { delay: 2, loss: Some(50), ..Fate::default() };
    world.claims[0] = Claims { no_false_positive: true, ..FIXED };
    fails("one loss in 50 units", "S3 no false positive", world);
    Ok(())
}
