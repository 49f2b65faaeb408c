//! [`Driver`]: everything that adapters have in common, without a socket and without a clock.

#[cfg(feature = "detectors")]
use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use super::notice::{Ended, Notice};
use super::outbox::{Beat, Outbox};
use super::setup::{Observer, Setup, random};
use crate::action::{Action, Actions};
#[cfg(feature = "detectors")]
use crate::advisor::Advisor;
use crate::codec::{Frame, Link, Status};
use crate::config::{Config, Mode};
use crate::detector::{Deadline, Detector};
use crate::event::Event;
use crate::heartbeat::HeartbeatMachine;
use crate::liveness::{Liveness, Transition};
use crate::quality::{Gauge, Quality};
use crate::report::Report;
use crate::time::Timestamp;

/// A limit is passed one step after it (rule T4).
const STEP: Duration = Duration::from_nanos(1);

/// A machine with its link and its outbox: takes received frames, gives frames to send, tells the
/// observer. For transports with message boundaries; for byte streams see
/// [`StreamDriver`](super::StreamDriver).
///
/// It performs no I/O. Whoever drives it
///
/// 1. hands in what was received ([`received`](Self::received)), until there is nothing more;
/// 2. and only then, if [`next_deadline`](Self::next_deadline) is reached, calls
///    [`tick`](Self::tick), and once a round, whatever there still is to read,
///    [`expire`](Self::expire);
/// 3. sends [`next_frame`](Self::next_frame) until there is none, and after each says
///    [`begun`](Self::begun) and [`sent`](Self::sent), or once [`blocked`](Self::blocked);
/// 4. and waits for input, for room to write if it was blocked, and for the deadline.
///
/// ```
/// use heartbeat_proto::{Config, FirstPing, Liveness, Timestamp};
/// use heartbeat_proto::adapter::Driver;
///
/// let now = Timestamp::from_nanos(1);
/// let config = Config::builder().first_ping(FirstPing::Immediate).build()?;
/// let (mut ours, mut theirs) = (Driver::new(config, now), Driver::new(config, now));
/// while let Some(frame) = ours.next_frame(now) {
///     ours.begun();
///     ours.sent(now);
///     theirs.received(&frame, now);
/// }
/// assert_eq!(theirs.liveness(), Liveness::Alive);
/// # Ok::<(), heartbeat_proto::ConfigError>(())
/// ```
pub struct Driver<D: Detector = Deadline> {
    machine: HeartbeatMachine<D>,
    gauge: Gauge,
    /// On the heap: drivers move, as parts of futures.
    #[cfg(feature = "detectors")]
    advisor: Box<Advisor>,
    /// The largest `now` so far: a time that runs back counts as it (rule T1).
    now: Timestamp,
    link: Link,
    outbox: Outbox,
    /// The heartbeat that was given out to be written last.
    given: Option<Beat>,
    /// The heartbeat of which some bytes are written.
    under_way: Option<Beat>,
    status: Option<Status>,
    observer: Option<Observer>,
    /// Once closed: when whatever is still under way has had its time.
    patience: Option<Timestamp>,
    /// Since when the transport takes nothing.
    blocked_since: Option<Timestamp>,
    ended: Option<Ended>,
}

impl<D: Detector> Driver<D> {
    /// Starts a connection that is usable from `now` on.
    pub fn new(setup: impl Into<Setup<D>>, now: Timestamp) -> Self {
        let setup = setup.into();
        let machine = HeartbeatMachine::new(setup.config, setup.seed.unwrap_or_else(random), now);
        let mut driver = Self::with(machine, setup.status, setup.observer);
        driver.handle(Event::Start, now);
        driver
    }

    /// The driver of the next connection to the same peer: see
    /// [`HeartbeatMachine::reconnected`]. The observer goes with it, and what
    /// was learnt and measured of the peer ([`quality`](Self::quality)).
    #[must_use]
    pub fn reconnected(self, now: Timestamp) -> Self {
        let machine = self.machine.reconnected(now);
        let mut next = Self::with(machine, self.status, self.observer);
        next.gauge = self.gauge;
        #[cfg(feature = "detectors")]
        (next.advisor = self.advisor);
        next.handle(Event::Tick, now);
        next
    }

    fn with(
        machine: HeartbeatMachine<D>,
        status: Option<Status>,
        observer: Option<Observer>,
    ) -> Self {
        let mut link = link(&machine);
        link.set_status(status);
        let outbox = Outbox::new(machine.config().answer_each);
        Self {
            machine,
            gauge: Gauge::new(),
            #[cfg(feature = "detectors")]
            advisor: Box::default(),
            now: Timestamp::EPOCH,
            link,
            outbox,
            given: None,
            under_way: None,
            status,
            observer,
            patience: None,
            blocked_since: None,
            ended: None,
        }
    }

    // ----- Input -----

    /// A frame came in.
    pub fn received(&mut self, frame: &Frame, now: Timestamp) {
        self.now = self.now.max(now);
        if let Some(event) = self.link.event(frame, self.now) {
            self.read(event, now);
        }
    }

    /// What was read at `now`. Within the slack of a deadline it counts as short of it: else the
    /// first frame would judge the peer, while its answer lies right behind. (Later than that, the
    /// rules of a late call see to it.)
    pub(super) fn read(&mut self, event: Event, now: Timestamp) {
        let slack = self.machine.config().slack();
        let due = self.next_deadline().filter(|due| now <= due.saturating_add(slack));
        let last = due.map(|due| due.saturating_sub(STEP));
        self.handle(event, last.map_or(now, |last| now.min(last)));
    }

    /// Anything else happened, see [`Event`]: for what no other method here covers.
    pub fn handle(&mut self, event: Event, now: Timestamp) {
        self.now = self.now.max(now);
        if self.ended.is_none() {
            let actions = self.machine.handle(event, now);
            self.perform(actions, self.now);
        }
    }

    /// Goes on under other rules from now on, as
    /// [`HeartbeatMachine::reconfigure`] does (rule LC9): nobody is convicted by the change. Drive
    /// it afterwards, or wait for the new [`next_deadline`](Self::next_deadline). As in a new
    /// [`Setup`], writes are reported whatever `config` says. After the end it is for the
    /// [next connection](Self::reconnected).
    ///
    /// ```
    /// use core::time::Duration;
    /// use heartbeat_proto::{Config, Timestamp, adapter::Driver};
    ///
    /// let mut driver = Driver::new(Config::wan(), Timestamp::EPOCH);
    /// driver.reconfigure(Config::lan(), Timestamp::EPOCH);
    /// assert_eq!(driver.machine().config().interval(), Duration::from_secs(1));
    /// ```
    pub fn reconfigure(&mut self, config: Config<D>, now: Timestamp) {
        self.now = self.now.max(now);
        let actions = self.machine.reconfigure(Setup::new(config).config, now);
        let config = self.machine.config();
        self.outbox.answer_each(config.answer_each);
        if config.mode() == Mode::Beacon {
            self.link = self.link.clone().with_period(config.interval());
        }
        if self.ended.is_none() {
            self.perform(actions, self.now);
        }
    }

    /// Time has passed. Call it when [`next_deadline`](Self::next_deadline) is reached and nothing
    /// that was received is left unread; more often does no harm.
    pub fn tick(&mut self, now: Timestamp) {
        self.expire(now);
        self.handle(Event::Tick, now);
    }

    /// Ends a connection that was closed, by either side, once what was still under way has had
    /// its [`drain_limit`](crate::ConfigBuilder::drain_limit). Unlike [`tick`](Self::tick) it
    /// judges nobody, so it may be called while received bytes are unread: a peer that goes on
    /// sending, or is not read, does not keep a closed connection. Never panics.
    pub fn expire(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        if self.patience.is_some_and(|until| self.now >= until) {
            self.end_closed();
        }
    }

    /// When to call [`tick`](Self::tick) at the latest; `None` when the connection has ended.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.ended.is_some() { None } else { self.machine.next_deadline().or(self.patience) }
    }

    // ----- Output -----

    /// The heartbeat to write next, made for being written at `now`. It stays here until
    /// [`begun`](Self::begun): a newer pong may still take the place of an older one.
    pub fn next_frame(&mut self, now: Timestamp) -> Option<Frame> {
        let (frame, beat) = self.outbox.first(now.max(self.now))?;
        self.given = Some(beat);
        Some(frame)
    }

    /// The transport took the first byte of what [`next_frame`](Self::next_frame) gave last.
    pub fn begun(&mut self) {
        self.under_way = self.given.take();
        if let Some(beat) = self.under_way {
            self.outbox.take(beat);
        }
    }

    /// The transport took the last byte of the frame that was [`begun`](Self::begun).
    pub fn sent(&mut self, now: Timestamp) {
        self.blocked_since = None;
        match self.under_way.take() {
            Some(Beat::Ping(id)) => self.wrote(Event::PingSent { id }, now),
            Some(Beat::Pong(_)) => self.wrote(Event::PongSent, now),
            Some(Beat::Beacon | Beat::Goodbye) | None => self.wrote(Event::TxProgress, now),
        }
    }

    /// What becomes of our own bytes judges nobody: input may be unread. So it counts as short of
    /// the deadline, if that is passed.
    fn wrote(&mut self, event: Event, now: Timestamp) {
        let last = self.next_deadline().map(|due| due.saturating_sub(STEP));
        self.handle(event, last.map_or(now, |last| now.min(last)));
    }

    /// The transport took some bytes, but not the last of a heartbeat.
    pub fn progressed(&mut self, now: Timestamp) {
        self.blocked_since = None;
        self.wrote(Event::TxProgress, now);
    }

    /// The transport takes nothing at the moment, and something waits. That judges nobody, however
    /// much of the input is unread, until [`write_stall`](crate::ConfigBuilder::write_stall) is over.
    pub fn blocked(&mut self, now: Timestamp) {
        self.expire(now);
        match self.stall_deadline() {
            None => {
                self.blocked_since = Some(self.now);
                self.wrote(Event::TxBlocked, now);
            }
            Some(limit) if self.now >= limit => self.handle(Event::TxBlocked, now),
            Some(_) => {}
        }
    }

    /// When a transport that takes nothing is to be judged, whatever is unread. While draining that
    /// is any deadline: silence convicts nobody then.
    pub(super) fn stall_deadline(&self) -> Option<Timestamp> {
        let since = self.blocked_since?;
        if self.machine.state().draining() {
            return self.next_deadline();
        }
        let stall = Duration::from_nanos(self.machine.config().write_stall?);
        Some(since.saturating_add(stall).saturating_add(STEP))
    }

    /// Whether a heartbeat waits to be written or is half written.
    pub fn has_output(&self) -> bool {
        self.under_way.is_some() || !self.outbox.is_empty()
    }

    // ----- The end -----

    /// How the connection ended, if it did.
    pub const fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// The connection is over. Only the first end counts.
    pub fn end(&mut self, ended: Ended) {
        if self.ended.is_none() {
            self.ended = Some(ended);
            self.outbox = Outbox::default();
            self.tell(Notice::Ended(ended));
        }
    }

    /// When a connection that was closed has had its time.
    pub(super) const fn patience(&self) -> Option<Timestamp> {
        self.patience
    }

    /// What was closed on purpose has ended.
    pub(super) fn end_closed(&mut self) {
        if let Some(report) = self.machine.report() {
            self.end(Ended::Closed(report));
        }
    }

    // ----- What is known -----

    /// What is believed of the connection.
    pub const fn liveness(&self) -> Liveness {
        self.machine.liveness()
    }

    /// The last change of liveness with its evidence.
    pub const fn report(&self) -> Option<Report> {
        self.machine.report()
    }

    /// The machine: round trips, counters, lateness, the rules in force.
    pub const fn machine(&self) -> &HeartbeatMachine<D> {
        &self.machine
    }

    /// How good the detection was so far: mistakes, their duration, real detections. Of this peer,
    /// over all its connections.
    pub const fn quality(&self) -> Quality {
        self.gauge.quality()
    }

    /// What this peer has taught, over all its connections, and the rules that follow from it for a
    /// [wish](crate::qos::Qos).
    #[cfg(feature = "detectors")]
    pub fn advisor(&self) -> &Advisor {
        &self.advisor
    }

    /// The link: the peer's status, restarts of the peer, misdirected frames.
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// The health to tell the peer from now on.
    pub const fn set_status(&mut self, status: Option<Status>) {
        self.status = status;
        self.link.set_status(status);
    }

    fn perform(&mut self, actions: Actions, now: Timestamp) {
        self.gauge.observe(&actions, now);
        #[cfg(feature = "detectors")]
        self.advisor.observe(&actions, now);
        let transition = actions.transition();
        for action in actions {
            match action {
                Action::Notify(Transition { from, .. }) => {
                    if let Some(report) = self.machine.report() {
                        self.tell(Notice::Changed { from, report });
                    }
                }
                Action::Report(findings) => self.tell(Notice::Found(findings)),
                Action::RequestProbe => self.tell(Notice::ProbeWanted),
                sending => {
                    if let Some(frame) = self.link.frame(&sending, now) {
                        self.outbox.put(frame, now);
                    }
                }
            }
        }
        match (transition.map(|transition| transition.to), self.machine.report()) {
            (Some(Liveness::Lost), Some(report)) if self.machine.config().reopen_after == 0 => {
                self.end(Ended::Lost(report));
            }
            (Some(Liveness::Closed), _) => {
                self.patience = Some(now.saturating_add(self.machine.config().drain_limit()));
                self.outbox.keep_goodbye();
            }
            _ => {}
        }
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        if let Some(observer) = &mut self.observer {
            observer(notice);
        }
    }
}

fn link<D: Detector>(machine: &HeartbeatMachine<D>) -> Link {
    let config = machine.config();
    let link = Link::new(random(), random()).with_epoch(machine.state().epoch());
    if config.mode() == Mode::Beacon { link.with_period(config.interval()) } else { link }
}

impl<D: Detector> fmt::Debug for Driver<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("liveness", &self.liveness())
            .field("outbox", &self.outbox)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
