//! [`HeartbeatMachine`]: one connection. A shell around the rules: it clamps the clock, counts,
//! and keeps the evidence of verdicts.

use core::time::Duration;

use crate::action::Actions;
use crate::config::Config;
use crate::deadlines::{self, DeadlineReason, Deadlines, NEVER};
use crate::detector::{Deadline, Detector, Trust};
use crate::event::Event;
use crate::finding::Findings;
use crate::histogram::Histogram;
use crate::ledger::{Ledger, Table};
use crate::liveness::Liveness;
use crate::machine::step;
use crate::report::{Before, Report};
use crate::rtt::Rtt;
use crate::state::PeerState;
use crate::stats::Stats;
use crate::time::Timestamp;

/// Keeps one connection alive and finds out when its peer is gone.
///
/// It is a pure state machine: [`handle`](Self::handle) takes what happened and when, and returns
/// what to do; [`next_deadline`](Self::next_deadline) says when to call it again at the latest. It
/// owns no socket, reads no clock, spawns nothing and allocates nothing.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::{Action, Config, Event, HeartbeatMachine, Liveness, Timestamp};
///
/// let seed = 42; // another one for each connection: it spreads them in time
/// let mut now = Timestamp::EPOCH;
/// let mut machine = HeartbeatMachine::new(Config::wan(), seed, now);
/// let _ = machine.handle(Event::Start, now);
///
/// // The first ping is due within the interval.
/// now = machine.next_deadline().expect("live");
/// let Some(Action::SendPing { id, .. }) = machine.handle(Event::Tick, now).next() else {
///     panic!("a ping is due");
/// };
///
/// // Its pong comes 30 ms later.
/// now = now.saturating_add(Duration::from_millis(30));
/// let _ = machine.handle(Event::pong(id), now);
/// assert_eq!(machine.liveness(), Liveness::Alive);
/// assert_eq!(machine.rtt().smoothed(), Some(Duration::from_millis(30)));
///
/// // Nothing more is heard: the verdict falls after 20 s, and explains itself.
/// while let Some(wake) = machine.next_deadline() {
///     let _ = machine.handle(Event::Tick, wake);
/// }
/// assert_eq!(machine.liveness(), Liveness::Lost);
/// assert_eq!(machine.report().expect("a verdict").code(), "no_response");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HeartbeatMachine<D: Detector = Deadline, L: Ledger = Table> {
    config: Config<D>,
    state: PeerState<D, L>,
    /// The largest `now` so far.
    now: u64,
    /// The wake-up asked for, a function of `config` and `state`; [`NEVER`] if none.
    due: u64,
    /// When the newest answered ping left; where none are sent, when life was last heard.
    proof: Option<u64>,
    /// In microseconds; 0: none was measured.
    last_rtt: u32,
    /// The worst lateness in the present silence.
    worst_lateness: u64,
    report: Option<Report>,
    stats: Stats,
    rtts: Histogram,
    lateness: Histogram,
}

impl<D: Detector> HeartbeatMachine<D> {
    /// A machine for a connection that is being set up since `now`. Tell it [`Event::Start`] when
    /// the connection is usable; the start-up limit runs until then.
    ///
    /// `seed` decides the epoch, the phase of the first ping and the jitter. Give every connection
    /// another one (a counter will do within a process; across processes use random ones).
    pub fn new(config: Config<D>, seed: u64, now: Timestamp) -> Self {
        Self::with_ledger(config, seed, now)
    }
}

impl<D: Detector, L: Ledger> HeartbeatMachine<D, L> {
    /// Like [`new`](HeartbeatMachine::new), with another ledger than [`Table`].
    ///
    /// ```
    /// use heartbeat_proto::{Config, Echo, HeartbeatMachine, Timestamp, detector::Deadline};
    ///
    /// let machine: HeartbeatMachine<Deadline, Echo> =
    ///     HeartbeatMachine::with_ledger(Config::lan(), 7, Timestamp::EPOCH);
    /// # let _ = machine;
    /// ```
    pub fn with_ledger(config: Config<D>, seed: u64, now: Timestamp) -> Self {
        let state = PeerState::new(seed, now);
        Self::with_state(config, state, now.as_nanos())
    }

    fn with_state(config: Config<D>, state: PeerState<D, L>, now: u64) -> Self {
        let due = Deadlines::of(&config, &state).first();
        Self {
            config,
            state,
            now,
            due,
            proof: None,
            last_rtt: 0,
            worst_lateness: 0,
            report: None,
            stats: Stats::default(),
            rtts: Histogram::default(),
            lateness: Histogram::default(),
        }
    }

    /// Takes one event and returns everything to do about it, including all that time alone has
    /// made due. `now` is when it happened, as the caller knows it.
    ///
    /// Events may come in any order. A `now` below an earlier one is taken as that one, counted,
    /// and told as [`Findings::CLOCK_REGRESSION`] (rule T1).
    ///
    /// Never panics, never blocks, never allocates, and takes constant time.
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Actions {
        let given = now.as_nanos();
        let now = given.max(self.now);
        let before = Before::of(&self.state, self.due);
        self.stats.count_event(&event);
        let mut actions = Actions::default();
        step(&self.config, &mut self.state, event, now, &mut self.due, &mut actions);
        if given < self.now {
            actions.report(Findings::CLOCK_REGRESSION);
        }
        self.now = now;
        self.after_step(before, now.saturating_sub(before.due), &actions);
        actions
    }

    /// When to call [`handle`](Self::handle) with [`Event::Tick`] at the latest, if nothing else
    /// happens before; `None` once the connection has ended, while suspended, and at the end of
    /// time. Level-triggered and free of side effects. While live it is always later than the
    /// `now` of the last call.
    #[doc(alias = "poll_timeout")]
    #[inline]
    pub const fn next_deadline(&self) -> Option<Timestamp> {
        if self.due == NEVER { None } else { Some(Timestamp::from_nanos(self.due)) }
    }

    /// Why [`next_deadline`](Self::next_deadline) is when it is. For logs.
    pub fn deadline_reason(&self) -> Option<DeadlineReason> {
        deadlines::next(&self.config, &self.state).map(|(_, reason)| reason)
    }

    /// What is believed of the connection. Level-triggered.
    pub const fn liveness(&self) -> Liveness {
        self.state.liveness()
    }

    /// The round-trip estimate.
    pub const fn rtt(&self) -> Rtt {
        self.state.rtt()
    }

    /// The distribution of the measured round trips.
    pub const fn rtt_histogram(&self) -> &Histogram {
        &self.rtts
    }

    /// The distribution of this end's own lateness: `now` less the deadline that was asked for, of
    /// every call at or after it (rule RP1). It tells a starved process from a slow network.
    pub const fn lateness(&self) -> &Histogram {
        &self.lateness
    }

    /// The counters.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The last change of liveness with its evidence; `None` before the first.
    pub const fn report(&self) -> Option<Report> {
        self.report
    }

    /// The rules in force.
    pub const fn config(&self) -> &Config<D> {
        &self.config
    }

    /// What the rules remember.
    pub const fn state(&self) -> &PeerState<D, L> {
        &self.state
    }

    /// The interval between pings in force: the configured one, slowed as the peer asked.
    pub fn effective_interval(&self) -> Duration {
        Duration::from_nanos(deadlines::interval(&self.config, &self.state))
    }

    /// How suspicious the silence is at `now`: 0 just after evidence, 1 at the detector's
    /// deadline, more beyond.
    pub fn suspicion(&self, now: Timestamp) -> f64 {
        self.config.detector.suspicion(&self.state.detector, &self.trust(), now)
    }

    /// What the detector is told of the present silence: to ask it more than the machine does,
    /// together with [`state`](Self::state) and its
    /// [`detector_state`](PeerState::detector_state).
    pub fn trust(&self) -> Trust {
        deadlines::trust(&self.config, &self.state)
    }

    /// Whether the peer has answered a ping that left at `since` or later: proof that it was there
    /// then. Frames that lay in a buffer prove nothing. (Where no pings are sent: whether life was
    /// heard since.) Before reusing a pooled connection, send [`Event::PingDue`] and wait for this
    /// (rule RP3).
    pub const fn is_verified_since(&self, since: Timestamp) -> bool {
        match self.proof {
            Some(at) => at >= since.as_nanos() && self.liveness().is_live(),
            None => false,
        }
    }

    /// When the newest ping that the peer has answered had left (where no pings are sent: when life
    /// was last heard). Kept after the end, unlike [`is_verified_since`](Self::is_verified_since):
    /// it tells how long a connection was good (rule RP3).
    pub fn verified_at(&self) -> Option<Timestamp> {
        self.proof.map(Timestamp::from_nanos)
    }

    /// Goes on under another configuration. Deadlines are computed from the last sign of life; one
    /// that would lie in the past is put off for a probe and a response window (rule LC9).
    pub fn reconfigure(&mut self, config: Config<D>, now: Timestamp) -> Actions {
        self.now = self.now.max(now.as_nanos());
        self.config = config;
        let before = Before::of(&self.state, self.due);
        let now = Timestamp::from_nanos(self.now);
        let actions = self.state.reconfigure(&self.config, now);
        self.due = Deadlines::of(&self.config, &self.state).first();
        self.after_step(before, 0, &actions);
        actions
    }

    /// The machine for the next connection to the same peer, usable since `now`. It carries the
    /// RTT estimate, how far the peer has slowed us down, and the next epoch (so that nothing of
    /// the old connection can be mistaken for life); nothing else. It starts in
    /// [`Liveness::Recovering`] until its first proof of life.
    #[must_use]
    pub fn reconnected(&self, now: Timestamp) -> Self {
        let state = self.state.next_connection(&self.config, now);
        Self::with_state(self.config, state, now.as_nanos())
    }

    /// Counts and explains, after all rules have run: nothing here is read by one (rule RP2).
    #[inline]
    fn after_step(&mut self, before: Before, late_by: u64, actions: &Actions) {
        if before.due <= self.now {
            self.lateness.record_nanos(late_by);
            self.worst_lateness = self.worst_lateness.max(late_by);
        }
        if actions.rtt_micros != 0 {
            self.last_rtt = actions.rtt_micros;
            self.rtts.record_nanos(u64::from(self.last_rtt) * 1000);
        }
        if actions.proven {
            self.proof = self.proof.max(Some(actions.answered));
        }
        if !actions.is_empty() {
            self.stats.count_actions(actions);
            if let Some(transition) = actions.transition() {
                self.report = Some(Report::of(
                    &self.config,
                    &self.state,
                    transition,
                    before,
                    self.now,
                    self.last_rtt,
                    self.worst_lateness,
                ));
            }
        }
        if actions.heard {
            if !self.config.probes() {
                self.proof = Some(self.now);
            }
            self.worst_lateness = 0;
        }
    }
}
