//! [`World`]: nodes, links, and the loop from event to event.

mod faults;
mod note;
mod scripted;
mod ticks;

use alloc::vec::Vec;

pub use self::note::{Broken, Note};

use self::ticks::SAMPLED;
use super::coverage::Coverage;
use super::digest::Digest;
use super::end::{End, Node, Turn};
use super::ghost::{Call, Claim, NEVER};
use super::invariant::Invariant;
use super::log::Entry;
use super::rng::Rng;
use super::sabotage::Sabotage;
use super::told::Told;
use crate::config::Mode;
use crate::detector::{Deadline, Detector};
use crate::event::{Event, PingId};
use crate::ledger::{Ledger, Table};
use crate::liveness::Liveness;
use crate::time::Timestamp;

/// A network of heartbeat machines in virtual time: nodes, links between them, and at each end of a
/// link a [`HeartbeatMachine`](crate::HeartbeatMachine) with a checker that holds it to the
/// [invariants](Invariant). The same calls give the same run, to the bit, on every platform.
///
/// Nodes are numbered in the order of [`add_node`](Self::add_node), links in that of
/// [`connect`](Self::connect); link `k` has the ends `2 k` and `2 k + 1`.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::sim::{Broken, World};
/// use heartbeat_proto::{Config, Liveness};
///
/// # fn main() -> Result<(), Broken> {
/// let mut world = World::pair(Config::lan(), Config::lan(), 42);
/// world.run_for(Duration::from_secs(10))?;
/// assert_eq!(world.liveness(0), Liveness::Alive);
///
/// // Nothing from end 1 reaches end 0 any more.
/// world.cut(1);
/// world.run_for(Duration::from_secs(5))?;
/// assert_eq!(world.liveness(0), Liveness::Lost);
/// assert_eq!(world.liveness(1), Liveness::Alive);
///
/// // The path is mended, and both ends connect anew.
/// world.mend(1);
/// world.reconnect(0);
/// world.run_for(Duration::from_secs(5))?;
/// assert_eq!([world.liveness(0), world.liveness(1)], [Liveness::Alive; 2]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct World<D: Detector = Deadline, L: Ledger = Table> {
    pub(crate) now: u64,
    /// What the clocks show at the beginning.
    pub(crate) base: u64,
    pub(crate) seed: u64,
    pub(crate) nodes: Vec<Node>,
    /// Its length is that of the largest world that used it; `links` says how many are in use.
    pub(crate) ends: Vec<End<D, L>>,
    pub(crate) links: usize,
    rng: Rng,
    pub(crate) digest: Digest,
    pub(crate) coverage: Coverage,
    pub(crate) broken: Option<Broken>,
    pub(crate) notes: Option<Vec<Note>>,
    /// Calls at the present instant: a busy loop shows here.
    at_once: u32,
}

/// No world lasts longer: 36 years. [`NEVER`] is cut to it when it shares a word with a rank.
const LATEST: u64 = u64::MAX >> 4;

/// More calls than this at one instant are a busy loop.
const BUSY: u32 = 10_000;

impl<D: Detector, L: Ledger> World<D, L> {
    /// An empty world whose clocks show `base` nanoseconds. The seed decides everything that is
    /// left to chance.
    pub fn new(seed: u64, base: Timestamp) -> Self {
        Self {
            now: 0,
            base: base.as_nanos(),
            seed,
            nodes: Vec::new(),
            ends: Vec::new(),
            links: 0,
            rng: Rng::part(seed, 0),
            digest: Digest::default(),
            coverage: Coverage::default(),
            broken: None,
            notes: None,
            at_once: 0,
        }
    }

    /// Starts over as [`World::new`], but the memory is kept.
    pub(crate) fn renew(&mut self, seed: u64, base: u64) {
        self.nodes.clear();
        let mut fresh = Self::new(seed, Timestamp::from_nanos(base));
        fresh.nodes = core::mem::take(&mut self.nodes);
        fresh.ends = core::mem::take(&mut self.ends);
        fresh.notes = self.notes.take();
        *self = fresh;
    }

    /// Runs until the world's time is `until`, unless an invariant breaks.
    pub(crate) fn run_until(&mut self, until: u64) -> Result<(), Broken> {
        while self.broken.is_none() {
            let Some((at, end, turn)) = self.next() else { break };
            if at > until {
                break;
            }
            if at > self.now {
                self.now = at;
                self.at_once = 0;
            }
            self.take_turn(end, turn);
        }
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// What happens next. At the same moment reading comes first, and ticks last.
    #[inline]
    fn next(&self) -> Option<(u64, usize, Turn)> {
        // A moment and a rank in one word: the least of all words is found without a branch.
        let word = |at: u64, rank: u64| (at.max(self.now) << 4) | rank;
        let (mut best, mut whose) = (u64::MAX, 0);
        for (index, end) in self.ends[..2 * self.links].iter().enumerate() {
            let node = &self.nodes[end.node];
            let tick = if node.ticks_first { Turn::EARLY_TICK } else { Turn::Tick as u64 };
            let least = word(self.ends[index ^ 1].path.next(), Turn::Read as u64)
                .min(word(end.writer.at, Turn::Write as u64))
                .min(word(end.traffic_at, Turn::Traffic as u64))
                .min(word(end.probe_at, Turn::Probe as u64))
                .min(word(end.tick_at, tick));
            if node.runs() && least < best {
                (best, whose) = (least, index);
            }
        }
        let at = best >> 4;
        (at < LATEST).then(|| (at, whose, Turn::of(best & 15)))
    }

    fn take_turn(&mut self, index: usize, turn: Turn) {
        let now = self.now;
        match turn {
            Turn::Read => {
                if let Some(event) = self.ends[index ^ 1].path.receive() {
                    self.call(index, event);
                }
            }
            Turn::Write => {
                if let Some((frame, report)) = self.ends[index].writer.take(now) {
                    if let Some(frame) = frame {
                        self.put(index, frame);
                    }
                    self.call(index, report);
                }
            }
            Turn::Traffic => self.send_data(index),
            Turn::Probe => {
                self.ends[index].probe_at = NEVER;
                self.call(index, Event::PingDue);
            }
            Turn::Tick => {
                self.ends[index].tick_at = NEVER;
                self.call(index, Event::Tick);
            }
        }
    }

    // ----- One call -----

    /// Tells a machine an event, checks what it says, and does it.
    pub(crate) fn call(&mut self, index: usize, event: Event) {
        let end = &mut self.ends[index];
        let given = self.nodes[end.node].clock.local(self.now);
        let (before, due) = (end.machine.liveness(), end.due);
        self.digest.word(given.wrapping_sub(self.base) ^ ((index as u64) << 56));
        self.digest.event(&event, self.base);
        let actions = end.machine.handle(event, Timestamp::from_nanos(given));
        let next = end.machine.next_deadline().map_or(NEVER, Timestamp::as_nanos);
        if let Some(notes) = &mut self.notes {
            notes.push(Note {
                at: self.now,
                end: index,
                stamp: Timestamp::from_nanos(given),
                entry: Entry::Event(event),
                actions: actions.clone(),
                next: end.machine.next_deadline(),
            });
        }
        let told = if actions.is_empty() {
            Told::default()
        } else {
            Told::of(actions, self.base, &mut self.digest)
        };
        self.digest.word(if next == NEVER { 0 } else { next.wrapping_sub(self.base) });
        let after = end.machine.liveness();
        let report = if told.change.is_some() { end.machine.report() } else { None };
        let mut call = Call { event, given, before, after, due, next, told, report };
        end.sabotage.falsify(&mut call);
        let mut checked = end.ghost.check(&end.claimed, &call);
        if checked.is_ok() && self.digest.as_u64() % SAMPLED == 0 {
            checked = end.check_ticks(given, next, self.digest.as_u64());
        }
        self.coverage.count(&call);
        self.at_once += 1;
        if self.at_once > BUSY {
            checked = Err(Invariant::Progress);
        }
        if let Err(invariant) = checked {
            self.break_off(invariant, index);
        }
        let end = &mut self.ends[index];
        if call.next != due || end.tick_at == NEVER {
            end.due = call.next;
            self.plan_tick(index);
        }
        if call.told.acts() {
            self.perform(index, event, &call.told);
        }
    }

    pub(crate) fn break_off(&mut self, invariant: Invariant, end: usize) {
        let at = core::time::Duration::from_nanos(self.now);
        self.broken = self.broken.or(Some(Broken { invariant, end, at }));
    }

    /// When the machine will be ticked: at its wake-up, or as late as its node is.
    pub(crate) fn plan_tick(&mut self, index: usize) {
        let end = &mut self.ends[index];
        if end.due == NEVER || end.sabotage == Sabotage::NoTicks {
            end.tick_at = NEVER;
            return;
        }
        let node = &self.nodes[end.node];
        let late = if node.late == 0 { 0 } else { self.rng.below(node.late + 1) };
        end.tick_at = node.clock.real(end.due).saturating_add(late);
    }

    // ----- Actions -----

    fn perform(&mut self, index: usize, event: Event, told: &Told) {
        let peer = index ^ 1;
        let zero = core::time::Duration::ZERO;
        if told.change.is_some_and(|change| is_over(change.to)) {
            // What was not written until now, never is. (The first ping after a loss may be.)
            self.ends[index].writer.clear();
            self.ends[peer].ghost.claim = Claim::None; // Who has ended answers nobody.
        }
        if let Some((id, calm)) = told.pong {
            let stamp = if let Event::PingReceived { stamp, .. } = event { stamp } else { None };
            let frame = if self.ends[peer].machine.config().ids {
                Event::PongReceived { id, stamp, hold: zero, calm }
            } else {
                Event::AnonymousPongReceived
            };
            self.write(index, frame, Event::PongSent);
        }
        if let Some((id, stamp)) = told.ping {
            let frame = if self.ends[index].machine.config().ids {
                Event::PingReceived { id, stamp: Some(Timestamp::from_nanos(stamp)) }
            } else {
                Event::ping(PingId::default())
            };
            self.write(index, frame, Event::PingSent { id });
        }
        if let Some((_, stamp)) = told.beacon {
            let period = self.ends[index].machine.effective_interval();
            let stamp = Some(Timestamp::from_nanos(stamp));
            self.write(index, Event::BeaconReceived { stamp, period }, Event::TxProgress);
        }
        if told.request {
            let end = &mut self.ends[index];
            end.probe_at = end.prober.map_or(NEVER, |after| self.now + after);
        }
        if told.goodbye {
            self.put(index, Event::GoodbyeReceived);
        }
    }

    /// Hands a frame to the writer, or where writes are not reported, to the path.
    fn write(&mut self, index: usize, frame: Event, report: Event) {
        let end = &mut self.ends[index];
        let config = end.machine.config();
        if config.write_reports {
            let each = config.answer_each;
            end.writer.push(self.now, frame, report, each);
        } else {
            self.put(index, frame);
        }
    }

    /// Puts a frame on the way to the other end. Nobody reads at a node that is down.
    pub(crate) fn put(&mut self, index: usize, frame: Event) {
        if self.nodes[self.ends[index ^ 1].node].up {
            self.ends[index].path.send(self.now, frame);
        }
    }

    /// The application uses the connection while it stands.
    fn send_data(&mut self, index: usize) {
        let end = &mut self.ends[index];
        let gap = end.traffic_gap;
        let draw = end.rng.next();
        end.traffic_at = if gap == 0 { NEVER } else { self.now + gap / 2 + draw % gap + 1 };
        let listens = !matches!(end.machine.config().mode, Mode::Passive);
        if !end.machine.liveness().is_live() || !listens {
            return;
        }
        let reports = end.machine.config().write_reports;
        let partial = draw >> 62 == 0;
        self.put(index, if partial { Event::BytesReceived } else { Event::FrameReceived });
        if reports && draw >> 61 == 7 {
            self.call(index, Event::TxProgress);
        }
    }
}

const fn is_over(liveness: Liveness) -> bool {
    matches!(liveness, Liveness::Lost | Liveness::Closed)
}
