//! Worlds for your own tests: build, run, break, look.

use core::time::Duration;

use super::{Broken, Note, World};
use crate::action::Actions;
use crate::config::Config;
use crate::detector::Detector;
use crate::event::Event;
use crate::heartbeat::HeartbeatMachine;
use crate::ledger::Ledger;
use crate::liveness::Liveness;
use crate::sim::Fault;
use crate::sim::digest::Digest;
use crate::sim::end::{End, Node};
use crate::sim::ghost::Claim;
use crate::sim::log::Entry;
use crate::sim::sabotage::Sabotage;
use crate::time::{Timestamp, nanos};

impl World {
    /// Two nodes, 0 and 1, joined by a link whose frames take a millisecond, and started: end 0 is
    /// on node 0. Clocks show an hour.
    pub fn pair(first: Config, second: Config, seed: u64) -> Self {
        let mut world = Self::new(seed, Timestamp::from_nanos(3_600_000_000_000));
        let nodes = [world.add_node(), world.add_node()];
        let link = world.connect(nodes, [first, second], Duration::from_millis(1));
        world.start(link);
        world
    }
}

impl<D: Detector, L: Ledger> World<D, L> {
    /// Adds a node and returns its number.
    pub fn add_node(&mut self) -> usize {
        // Clocks differ, so that a stamp of another node is not taken for an own one unnoticed.
        let ahead = self.nodes.len() as u64 * 1_000_000_007_000;
        self.nodes.push(Node::new(self.base.saturating_add(ahead)));
        self.nodes.len() - 1
    }

    /// Joins two nodes by a link whose frames take `delay`, and returns its number. Its machines
    /// are Idle until [`start`](Self::start). At most 32 links.
    ///
    /// # Panics
    ///
    /// If there is no such node, or there are 32 links.
    pub fn connect(
        &mut self,
        nodes: [usize; 2],
        configs: [Config<D>; 2],
        delay: Duration,
    ) -> usize {
        assert!(self.links < 32, "a world has room for 32 links");
        for side in 0..2 {
            let index = 2 * self.links + side;
            let seed = self.rng.next();
            let now = self.nodes[nodes[side]].clock.local(self.now);
            let delay = nanos(delay);
            self.note_made(index, seed, now);
            match self.ends.get_mut(index) {
                Some(end) => end.renew(nodes[side], configs[side], seed, now, delay),
                None => self.ends.push(End::new(nodes[side], configs[side], seed, now, delay)),
            }
        }
        self.links += 1;
        for side in 0..2 {
            self.plan_tick(2 * (self.links - 1) + side);
        }
        self.links - 1
    }

    fn note_made(&mut self, end: usize, seed: u64, now: u64) {
        if let Some(notes) = &mut self.notes {
            let (stamp, entry) = (Timestamp::from_nanos(now), Entry::Fresh { seed });
            let actions = Actions::default();
            notes.push(Note { at: self.now, end, stamp, entry, actions, next: None });
        }
    }

    /// Starts both machines of a link.
    ///
    /// # Panics
    ///
    /// If there is no such link.
    pub fn start(&mut self, link: usize) {
        for end in [2 * link, 2 * link + 1] {
            self.tell(end, Event::Start);
        }
    }

    /// Lets `span` pass.
    ///
    /// # Errors
    ///
    /// [`Broken`] if a machine broke an invariant; the world stands still from then on.
    pub fn run_for(&mut self, span: Duration) -> Result<(), Broken> {
        self.run_until(self.now.saturating_add(nanos(span)))
    }

    /// Tells a machine something, as its driver would. Nothing happens if its node does not run.
    ///
    /// # Panics
    ///
    /// If there is no such end.
    pub fn tell(&mut self, end: usize, event: Event) {
        self.apply(Fault::Tell { end, event });
    }

    /// Nothing that `end` sends arrives any more.
    ///
    /// # Panics
    ///
    /// If there is no such end.
    pub fn cut(&mut self, end: usize) {
        self.apply(Fault::Cut { end });
    }

    /// What `end` sends arrives again.
    ///
    /// # Panics
    ///
    /// If there is no such end.
    pub fn mend(&mut self, end: usize) {
        self.apply(Fault::Mend { end });
    }

    /// Nothing passes the link any more, in either direction.
    ///
    /// # Panics
    ///
    /// If there is no such link.
    pub fn partition(&mut self, link: usize) {
        self.cut(2 * link);
        self.cut(2 * link + 1);
    }

    /// The process of a node stands still, neither reads nor ticks, until [`thaw`](Self::thaw).
    ///
    /// # Panics
    ///
    /// If there is no such node.
    pub fn freeze(&mut self, node: usize) {
        self.apply(Fault::Freeze { node });
    }

    /// A frozen process runs again; it finds in its buffers what came meanwhile.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    pub fn thaw(&mut self, node: usize) {
        self.apply(Fault::Thaw { node });
    }

    /// A node dies without a word: its peers see nothing but silence.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    pub fn crash(&mut self, node: usize) {
        self.apply(Fault::Crash { node });
    }

    /// A dead node comes back with fresh machines, and its links connect anew.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    pub fn restart(&mut self, node: usize) {
        self.apply(Fault::Restart { node });
    }

    /// Both ends of a link begin their next connection.
    ///
    /// # Panics
    ///
    /// If there is no such link.
    pub fn reconnect(&mut self, link: usize) {
        self.apply(Fault::Reconnect { link, fresh: false });
    }

    /// What the machine of an end believes.
    ///
    /// # Panics
    ///
    /// If there is no such end.
    pub fn liveness(&self, end: usize) -> Liveness {
        self.machine(end).liveness()
    }

    /// The machine of an end.
    ///
    /// # Panics
    ///
    /// If there is no such end.
    pub fn machine(&self, end: usize) -> &HeartbeatMachine<D, L> {
        &self.ends[..2 * self.links][end].machine
    }

    /// How much time has passed since the beginning.
    pub const fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    /// Everything that has happened, in 64 bits.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Keeps a note of every call from now on.
    pub fn take_notes(&mut self) {
        self.notes.get_or_insert_default();
    }

    /// The notes taken so far.
    pub fn notes(&self) -> &[Note] {
        self.notes.as_deref().unwrap_or_default()
    }

    /// Falsifies what the machine of an end says, to show that your test can fail.
    ///
    /// # Panics
    ///
    /// If there is no such end.
    pub fn sabotage(&mut self, end: usize, sabotage: Sabotage) {
        self.ends[..2 * self.links][end].sabotage = sabotage;
    }

    /// From now on every verdict of the machine of an end is a false one and breaks S3: say so when
    /// its peer answers all its pings in time.
    ///
    /// # Panics
    ///
    /// If there is no such end.
    pub fn expect_no_verdict(&mut self, end: usize) {
        self.ends[..2 * self.links][end].ghost.claim = Claim::Healthy;
    }

    /// Holds the machine of an end to another configuration than it runs with: to see what that
    /// would promise, or that your test can fail.
    ///
    /// # Panics
    ///
    /// If there is no such end.
    pub fn claim(&mut self, end: usize, config: Config<D>) {
        self.ends[..2 * self.links][end].claimed = config;
    }
}
