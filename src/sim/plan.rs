//! [`Plan`]: what a seed expands to. Each seed turns on a random part of all options and faults, so
//! that rare combinations are met too (swarm testing).

mod configs;
mod steps;

use alloc::vec::Vec;
use core::fmt;

use self::configs::Numbers;
use super::fault::{Fault, Span};
use super::rng::Rng;
use crate::config::{Config, Mode};
use crate::time::nanos;

/// A random world and what happens to it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Plan {
    /// What it comes from.
    pub seed: u64,
    /// What the clocks show at the beginning, in nanoseconds.
    pub base: u64,
    /// The machines use [`Echo`](crate::Echo), not [`Table`](crate::Table).
    pub echo: bool,
    /// Nothing happens that could excuse a verdict (S3).
    pub calm: bool,
    /// How many nodes there are.
    pub nodes: usize,
    /// A node that never comes back after its crash.
    pub dead: Option<usize>,
    /// The links; ends `2 k` and `2 k + 1` belong to link `k`.
    pub links: Vec<Link>,
    /// What happens, in order.
    pub steps: Vec<Timed>,
    /// When all faults end, in nanoseconds.
    pub heals_at: u64,
    /// How long a healed world needs to settle, in nanoseconds.
    pub settles_in: u64,
}

/// A link of a [`Plan`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Link {
    /// The nodes of its ends.
    pub nodes: [usize; 2],
    /// The configurations of its ends.
    pub configs: [Config; 2],
    /// How long a frame takes when nothing is wrong, in nanoseconds.
    pub delay: u64,
    /// A new connection has a path of its own.
    pub stream: bool,
    /// An end accepts fewer pings than the other one sends.
    pub hostile: bool,
}

/// A step of a [`Plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timed {
    /// When, in nanoseconds since the beginning.
    pub at: u64,
    /// What.
    pub fault: Fault,
}

impl Plan {
    /// What `seed` expands to.
    pub fn of(seed: u64) -> Self {
        let mut plan = Self::default();
        plan.expand(seed);
        plan
    }

    /// The same, in the memory of another plan.
    pub(crate) fn expand(&mut self, seed: u64) {
        let mut rng = Rng::part(seed, 7);
        self.links.clear();
        self.steps.clear();
        self.seed = seed;
        self.echo = rng.one_in(3);
        self.calm = rng.one_in(4);
        self.dead = None;
        // A hub with two peers, now and then.
        self.nodes = if rng.one_in(8) { 3 } else { 2 };
        let numbers = Numbers::draw(&mut rng);
        for peer in 1..self.nodes {
            let link = configs::link(&mut rng, numbers, peer, self);
            self.links.push(link);
        }
        let intervals = self.configs().map(|config| config.interval);
        let longest = intervals.max().unwrap_or(1);
        self.heals_at = longest * rng.between(6, 20);
        self.settles_in = self.configs().map(settling).max().unwrap_or(1);
        self.base = if rng.one_in(256) {
            // The clocks come to their end (rule T6).
            u64::MAX - 4 * nanos(crate::MAX_SPAN) - rng.below(2 * self.heals_at)
        } else {
            rng.below(1 << 62)
        };
        steps::draw(&mut rng, self);
        self.steps.sort_by_key(|step| step.at);
    }

    fn configs(&self) -> impl Iterator<Item = &Config> {
        self.links.iter().flat_map(|link| &link.configs)
    }

    /// Whether the clocks come to their end within the run.
    pub(crate) const fn ends_time(&self) -> bool {
        self.base > 1 << 63
    }
}

/// How long a machine needs to be sure of a healed world: silence, a re-probe, and the good replies
/// it wants, each of them as far apart as the peer may have slowed it down.
fn settling(config: &Config) -> u64 {
    let replies = 4 + u64::from(config.reopen_after);
    replies * (config.ceiling + config.window) + 2 * config.down_interval
}

/// The mode of each end, as they fit together.
const MODES: [[Mode; 2]; 8] = [
    [Mode::Symmetric, Mode::Symmetric],
    [Mode::Symmetric, Mode::Symmetric],
    [Mode::Symmetric, Mode::Symmetric],
    [Mode::Symmetric, Mode::Symmetric],
    [Mode::Initiator, Mode::Responder],
    [Mode::Symmetric, Mode::Responder],
    [Mode::Beacon, Mode::Passive],
    [Mode::Initiator, Mode::Symmetric],
];

/// The options, for people.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ledger = if self.echo { "echo" } else { "table" };
        let kind = if self.calm { "nothing excuses a verdict" } else { "faults" };
        writeln!(f, "seed {}: {} nodes, {ledger} ledger, {kind}", self.seed, self.nodes)?;
        writeln!(f, "clocks begin at {} ns", self.base)?;
        for (index, link) in self.links.iter().enumerate() {
            let Link { nodes: [a, b], delay, stream, hostile, .. } = *link;
            let kind = if stream { "stream" } else { "datagrams" };
            let hostile = if hostile { ", an end accepts fewer pings than it gets" } else { "" };
            writeln!(f, "link {index}: nodes {a} and {b}, {kind}, delay {}{hostile}", Span(delay))?;
            for side in 0..2 {
                writeln!(f, "  end {}: {:?}", 2 * index + side, link.configs[side])?;
            }
        }
        for step in &self.steps {
            writeln!(f, "at {}: {}", Span(step.at), step.fault)?;
        }
        write!(f, "at {}: everything heals", Span(self.heals_at))
    }
}
