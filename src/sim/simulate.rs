//! [`simulate`]: from a seed to a verdict on the machine.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::coverage::Coverage;
use super::digest::Digest;
use super::failure::Failure;
use super::fault::Fault;
use super::ghost::Claim;
use super::invariant::Invariant;
use super::plan::{Plan, Timed};
use super::sabotage::Sabotage;
use super::world::{Broken, Note, World};
use crate::config::Mode;
use crate::detector::Deadline;
use crate::ledger::{Echo, Ledger, Table};
use crate::liveness::Liveness;
use crate::time::Timestamp;

/// Runs the world of one seed: its [`Plan`] under faults, then a healed network that must converge.
///
/// # Errors
///
/// [`Failure`] if a machine broke an invariant, with the smallest script that still breaks it.
///
/// ```
/// let totals = heartbeat_proto::sim::simulate(42)?;
/// assert_eq!(totals.seeds, 1);
/// # Ok::<(), Box<heartbeat_proto::sim::Failure>>(())
/// ```
pub fn simulate(seed: u64) -> Result<Totals, Box<Failure>> {
    let mut simulator = Simulator::new();
    match simulator.run(seed) {
        Ok(()) => Ok(simulator.totals),
        Err(broken) => Err(Box::new(simulator.explain(seed, broken))),
    }
}

/// What the runs of some seeds amount to. It does not depend on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// How many seeds were run.
    pub seeds: u64,
    /// How many calls of machines that took.
    pub events: u64,
    /// The simulated time, in nanoseconds.
    pub nanos: u128,
    /// Everything that happened, in 64 bits.
    pub digest: Digest,
    /// What was come across.
    pub coverage: Coverage,
}

impl Totals {
    /// Adds the runs of other seeds.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.events += other.events;
        self.nanos += other.nanos;
        self.digest = Digest::from_u64(self.digest.as_u64().wrapping_add(other.digest.as_u64()));
        self.coverage.add(&other.coverage);
    }

    /// The simulated time.
    pub fn simulated(&self) -> Duration {
        let nanos = (self.nanos % 1_000_000_000) as u32;
        Duration::new(u64::try_from(self.nanos / 1_000_000_000).unwrap_or(u64::MAX), nanos)
    }
}

/// Runs seeds one after the other, in the same memory.
#[derive(Clone, Debug)]
pub struct Simulator {
    table: World<Deadline, Table>,
    echo: World<Deadline, Echo>,
    plan: Plan,
    sabotage: Sabotage,
    totals: Totals,
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator {
    /// A simulator that has run nothing yet.
    pub fn new() -> Self {
        Self {
            table: World::new(0, Timestamp::EPOCH),
            echo: World::new(0, Timestamp::EPOCH),
            plan: Plan::default(),
            sabotage: Sabotage::None,
            totals: Totals::default(),
        }
    }

    /// A simulator of machines that are broken on purpose.
    pub fn sabotaged(sabotage: Sabotage) -> Self {
        Self { sabotage, ..Self::new() }
    }

    /// Runs the world of one seed and adds it to the totals.
    ///
    /// # Errors
    ///
    /// [`Broken`] if an invariant broke; the seed is not added then.
    pub fn run(&mut self, seed: u64) -> Result<(), Broken> {
        self.plan.expand(seed);
        self.run_plan()
    }

    /// The same with every clock moved, which must change nothing but the times: the digest is the
    /// same (rule T3).
    ///
    /// # Errors
    ///
    /// [`Broken`] if an invariant broke; the seed is not added then.
    pub fn run_shifted(&mut self, seed: u64, base: Timestamp) -> Result<(), Broken> {
        self.plan.expand(seed);
        self.plan.base = base.as_nanos();
        self.run_plan()
    }

    /// The smallest script that breaks what the world of this seed broke. It takes some hundreds of
    /// runs.
    pub fn explain(&self, seed: u64, broken: Broken) -> Failure {
        Failure::explain(&Plan::of(seed), broken, self.sabotage)
    }

    fn run_plan(&mut self) -> Result<(), Broken> {
        let totals = if self.plan.echo {
            play(&mut self.echo, &self.plan, self.sabotage)?;
            sum(&self.echo)
        } else {
            play(&mut self.table, &self.plan, self.sabotage)?;
            sum(&self.table)
        };
        self.totals.add(&totals);
        Ok(())
    }

    /// What all runs amount to.
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }
}

fn sum<L: Ledger>(world: &World<Deadline, L>) -> Totals {
    let mut digest = Digest::default();
    digest.merge(world.digest.as_u64() ^ world.seed);
    let mut coverage = world.coverage;
    for end in &world.ends[..2 * world.links] {
        let tally = end.path.tally;
        let frames = [tally.sent, tally.lost, tally.duplicated, tally.reordered, tally.queued];
        for (sum, count) in coverage.frames.iter_mut().zip(frames) {
            *sum += count;
        }
    }
    let (nanos, events) = (u128::from(world.now), coverage.calls);
    Totals { seeds: 1, events, nanos, digest, coverage }
}

/// Makes the world of a plan and lets everything happen to it.
pub(crate) fn play<L: Ledger>(
    world: &mut World<Deadline, L>,
    plan: &Plan,
    sabotage: Sabotage,
) -> Result<(), Broken> {
    build(world, plan, sabotage);
    for &Timed { at, fault } in &plan.steps {
        if at >= plan.heals_at {
            break;
        }
        world.run_until(at)?;
        world.apply(fault);
    }
    world.run_until(plan.heals_at)?;
    heal(world, plan)?;
    if plan.ends_time() { Ok(()) } else { check_healed(world, plan) }
}

fn build<L: Ledger>(world: &mut World<Deadline, L>, plan: &Plan, sabotage: Sabotage) {
    world.renew(plan.seed, plan.base);
    for _ in 0..plan.nodes {
        world.add_node();
    }
    for link in &plan.links {
        let index = world.connect(link.nodes, link.configs, Duration::from_nanos(link.delay));
        for (side, config) in link.configs.iter().enumerate() {
            let end = &mut world.ends[2 * index + side];
            end.stream = link.stream;
            end.sabotage = sabotage;
            end.ghost.fixed = config.detector == Deadline::fixed();
            if plan.calm && config.probes() && !plan.ends_time() {
                end.ghost.claim = Claim::Healthy;
            }
        }
    }
}

/// All faults end; after a while whoever has been given up is connected anew.
fn heal<L: Ledger>(world: &mut World<Deadline, L>, plan: &Plan) -> Result<(), Broken> {
    world.heal();
    for node in 0..plan.nodes {
        if plan.dead != Some(node) {
            world.apply(Fault::Restart { node });
        }
    }
    // Bursts of what was held up are over after this.
    let calmed = plan.heals_at + plan.settles_in / 4;
    world.run_until(calmed)?;
    if plan.ends_time() {
        return world.run_until(calmed + plan.settles_in);
    }
    claim(world, plan, false);
    world.run_until(calmed + plan.settles_in)?;
    for link in 0..plan.links.len() {
        if !(world.is_well(2 * link) && world.is_well(2 * link + 1)) {
            world.apply(Fault::Reconnect { link, fresh: plan.seed % 2 == 0 });
        }
    }
    claim(world, plan, true);
    world.run_until(calmed + 2 * plan.settles_in)
}

/// From now on nothing excuses a verdict.
fn claim<L: Ledger>(world: &mut World<Deadline, L>, plan: &Plan, settled: bool) {
    for (index, link) in plan.links.iter().enumerate() {
        for side in 0..2 {
            let end = 2 * index + side;
            let answered = world.is_well(end) && world.is_well(end ^ 1) && !link.hostile;
            let probes = link.configs[side].probes();
            let local = world.nodes[link.nodes[side]].clock.local(world.now);
            world.ends[end].ghost.claim = match (answered, settled) {
                (true, true) => Claim::Healthy,
                (true, false) if probes => Claim::Answers(local),
                _ => Claim::None,
            };
        }
    }
}

/// Every living peer is Alive, and every dead one given up.
fn check_healed<L: Ledger>(world: &World<Deadline, L>, plan: &Plan) -> Result<(), Broken> {
    for (index, link) in plan.links.iter().enumerate() {
        for side in 0..2 {
            let (end, config) = (2 * index + side, &link.configs[side]);
            let liveness = world.liveness(end);
            let up = link.nodes.map(|node| world.nodes[node].up);
            let fine = match (up[side], up[1 - side]) {
                (false, _) => true,
                _ if world.ends[end].ghost.is_draining() => true,
                _ if config.mode == Mode::Beacon || link.hostile => true,
                (true, false) => !liveness.is_live(),
                (true, true) => {
                    let lossy = config.loss_n != 0 && liveness == Liveness::Suspect;
                    liveness == Liveness::Alive || lossy
                }
            };
            if !fine {
                let at = world.elapsed();
                return Err(Broken { invariant: Invariant::Convergence, end, at });
            }
        }
    }
    Ok(())
}

impl Plan {
    /// Runs the plan and notes every call, up to the end or where an invariant breaks.
    pub fn trace(&self) -> (Vec<Note>, Option<Broken>) {
        self.trace_sabotaged(Sabotage::None)
    }

    pub(crate) fn trace_sabotaged(&self, sabotage: Sabotage) -> (Vec<Note>, Option<Broken>) {
        fn trace<L: Ledger>(plan: &Plan, sabotage: Sabotage) -> (Vec<Note>, Option<Broken>) {
            let mut world = World::<Deadline, L>::new(0, Timestamp::EPOCH);
            world.take_notes();
            let broken = play(&mut world, plan, sabotage).err();
            (world.notes.unwrap_or_default(), broken)
        }
        if self.echo { trace::<Echo>(self, sabotage) } else { trace::<Table>(self, sabotage) }
    }

    /// Runs the plan and says what breaks, if anything does.
    pub(crate) fn breaks(&self, sabotage: Sabotage) -> Option<Broken> {
        fn run<L: Ledger>(plan: &Plan, sabotage: Sabotage) -> Option<Broken> {
            play(&mut World::<Deadline, L>::new(0, Timestamp::EPOCH), plan, sabotage).err()
        }
        if self.echo { run::<Echo>(self, sabotage) } else { run::<Table>(self, sabotage) }
    }
}
