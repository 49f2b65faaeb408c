//! The memory of an observer who sees one end from outside: what came in, what went out, and when.
//! What it asserts is in `promises.rs`.

use heartbeat_proto::{
    Action, Actions, Event, Findings, LifeRule, Liveness, Mode, detector::Detector,
};

use crate::end::Side;
use crate::promises::{Rule, check, held, is_in_time, nanos};

/// The observer of one end. Spans are in units of 1 ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ghost {
    /// Since the last evidence, or the start; without suspensions.
    pub(crate) silence: u64,
    /// The caller's lateness in this silence, summed over its calls.
    pub(crate) lateness: u64,
    /// How often it was resumed in this silence.
    pub(crate) resumes: u8,
    /// A re-probe was granted in this silence.
    pub(crate) granted: bool,
    /// Since the last ping; saturates at the gap.
    pub(crate) since_ping: Option<u64>,
    /// Since the first ping of this silence; saturates past the window.
    pub(crate) since_probe: Option<u64>,
    /// Since the late call that no grant came before; saturates at the window.
    pub(crate) since_stall: Option<u64>,
    /// How often it was told to hold in this silence, and for how long that may put a verdict off.
    pub(crate) holds: u8,
    pub(crate) held: u64,
    /// Since the last of them; saturates past the window.
    pub(crate) since_hold: Option<u64>,
    /// The probe of one of them has not left yet.
    pub(crate) owes_probe: bool,
    /// Since `Drain`.
    pub(crate) since_drain: Option<u64>,
    /// Of the last four pings, the newest in the lowest bit: nothing has answered it yet. (Where
    /// only that is life.)
    pub(crate) open: u8,
}

/// Which ping of the present connection a pong names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    /// So many behind the newest.
    Ping(u32),
    /// None that was ever sent.
    NoPing,
    OtherEpoch,
}

/// One call, as seen from outside.
pub(crate) struct Call {
    pub(crate) event: Event,
    pub(crate) answers: Answers,
    pub(crate) before: Liveness,
    pub(crate) after: Liveness,
    /// For how long something was due.
    pub(crate) overdue: Option<u64>,
    /// Whether the wake-up lies after `now`; `None`: there is none.
    pub(crate) wakes_later: Option<bool>,
    /// The other end has not crashed.
    pub(crate) peer_runs: bool,
    pub(crate) actions: Actions,
}

impl Call {
    pub(crate) fn sends(&self, what: impl Fn(Action) -> bool) -> bool {
        self.actions.clone().any(what)
    }

    pub(crate) fn sends_ping(&self) -> bool {
        self.sends(|action| matches!(action, Action::SendPing { .. }))
    }
}

impl Ghost {
    /// A unit of time passes, after everything was done that had to be.
    pub(crate) fn pass<D: Detector>(
        &mut self,
        side: &Side<D>,
        liveness: Liveness,
        suspended: bool,
        overdue: bool,
    ) -> Option<Rule> {
        let config = &side.promised;
        let age = |span: Option<u64>, most: u64| span.map(|span| (span + 1).min(most));
        self.since_ping = age(self.since_ping, nanos(config.min_gap()));
        if !liveness.is_live() || side.rules.mode == Mode::Beacon {
            *self = Self { since_ping: self.since_ping, open: self.open, ..Self::default() };
            return None;
        }
        let window = nanos(config.response_window());
        self.since_probe = age(self.since_probe, window + 1);
        self.since_stall = age(self.since_stall, window);
        self.since_hold = age(self.since_hold, window + 1);
        if suspended {
            return None;
        }
        let broken = !overdue && !is_in_time(self, side);
        self.since_drain = self.since_drain.map(|span| span + 1);
        self.silence += 1;
        broken.then_some(Rule::L1Completeness)
    }

    pub(crate) fn call<D: Detector>(&mut self, side: &Side<D>, call: &Call) -> Option<Rule> {
        let config = &side.promised;
        if call.before.is_live() {
            let late_by = call.overdue.unwrap_or(0);
            self.lateness += late_by;
            let late = late_by > nanos(config.slack());
            if late && side.rules.reprobes() && !self.granted {
                self.since_stall = Some(0);
            }
            if let Event::Hold { probe } = call.event {
                self.holds += 1;
                self.held += held(side, probe);
                self.since_hold = Some(0);
            }
        }
        let heard = self.is_evidence(side, call);
        let broken = check(self, side, call, heard);
        if heard {
            let since_probe = self.since_ping.filter(|&since| since == 0);
            // A ping of the same moment may still be missed.
            *self = Self {
                since_probe,
                since_ping: self.since_ping,
                since_drain: self.since_drain,
                open: self.open,
                ..Self::default()
            };
        }
        self.note(side, call);
        broken
    }

    fn note<D: Detector>(&mut self, side: &Side<D>, call: &Call) {
        let findings = call.actions.findings();
        if findings.contains(Findings::RESUMED) {
            self.resumes += 1;
            self.granted = true;
            self.since_stall = Some(0);
        }
        self.granted |= findings.contains(Findings::REPROBE);
        if let Event::Hold { probe: true } = call.event {
            self.owes_probe |= side.rules.probes_alone() && findings.contains(Findings::REPROBE);
        }
        if call.event == Event::Drain && call.after.is_live() {
            self.since_drain = self.since_drain.or(Some(0));
        }
        if let Answers::Ping(behind @ 0..4) = call.answers {
            self.open &= !(1 << behind);
        }
        // What was handed over before the evidence asks from when it is written.
        if matches!(call.event, Event::PingSent { .. }) && call.after.is_live() {
            self.since_probe = self.since_probe.or(Some(0));
        }
        if call.sends_ping() {
            self.owes_probe = false;
            self.since_ping = Some(0);
            self.since_probe = self.since_probe.or(Some(0));
            self.open = (self.open << 1 | 1) & 0b1111;
        }
        if side.rules.life != LifeRule::ExactPong {
            self.open = 0; // Nobody asks.
        }
    }

    /// E1 and E2; and that what comes in the call of the verdict is void (E10).
    fn is_evidence<D: Detector>(&self, side: &Side<D>, call: &Call) -> bool {
        let exact =
            matches!(call.answers, Answers::Ping(behind @ 0..4) if self.open >> behind & 1 == 1);
        let any_frame = matches!(side.rules.life, LifeRule::AnyFrame | LifeRule::AnyByte);
        let counts = match call.event {
            Event::PongReceived { .. } | Event::AnonymousPongReceived => match side.rules.life {
                LifeRule::ExactPong => exact,
                _ => call.answers != Answers::OtherEpoch,
            },
            Event::PingReceived { .. } | Event::BeaconReceived { .. } | Event::FrameReceived => {
                any_frame
            }
            Event::BytesReceived => side.rules.life == LifeRule::AnyByte,
            _ => false,
        };
        // Lost, only what brings it back is life (LC7).
        counts && call.after.is_live() && call.before != Liveness::Idle
    }
}
