//! What is promised (`docs/SPEC.md`), kept apart from the machine: an observer with its own memory.

use heartbeat_proto::{
    Action, Actions, Config, Event, LatePolicy, Liveness, Mode, Reason, detector::Detector,
};

use crate::world::is_over;

/// The names of the promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rule {
    /// No verdict by silence before the floor, nor before the timeout of the fixed detector.
    S1Accuracy,
    /// The fixed verdict falls at `ev + T + 1`.
    S2Exactness,
    /// While the network keeps its bounds and the peer runs, no verdict.
    S3NoFalsePositive,
    /// `no_response` convicts only after a ping and a whole window for its answer.
    S4ProbeBeforeVerdict,
    /// After a stall, no verdict within one response window.
    S5StallGrace,
    /// After the end nothing is sent, told or asked for.
    S7Final,
    /// Each ping gets its pong, in the same call, and nothing else does.
    S8Answer,
    /// Pings leave at least the gap apart.
    R1Gap,
    /// Silence is given up within the promise (rule CF5).
    L1Completeness,
    /// Live: a wake-up, strictly later. Over: none.
    L2WakeUp,
}

#[expect(clippy::struct_excessive_bools, reason = "claims are independent of each other")]
/// What a configuration is claimed to hold beyond the unconditional promises.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Claims {
    /// S2: nothing puts the verdict off.
    pub(crate) exact: bool,
    /// The fixed detector: S1 speaks of the timeout.
    pub(crate) fixed: bool,
    /// S3.
    pub(crate) no_false_positive: bool,
    /// The life rule counts pongs only.
    pub(crate) pongs_only: bool,
}

/// The observer of one end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ghost {
    /// Since the last evidence, or the start.
    silence: u64,
    /// How much of the silence the process stood still or was late.
    lateness: u64,
    /// Since the last ping; saturates at the gap.
    since_ping: Option<u64>,
    /// Since the first ping of this silence; saturates past the window.
    since_probe: Option<u64>,
    /// Since the end of the last stall; saturates at the window.
    since_stall: Option<u64>,
}

/// One call, as seen from outside.
pub(crate) struct Call {
    pub(crate) event: Event,
    pub(crate) before: Liveness,
    pub(crate) after: Liveness,
    pub(crate) late_by: u64,
    /// Whether the wake-up lies after `now`; `None`: there is none.
    pub(crate) wakes_later: Option<bool>,
    pub(crate) actions: Actions,
}

fn ns(span: core::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).expect("small")
}

impl Ghost {
    /// A unit of time passes, after everything due was done.
    pub(crate) fn pass<D: Detector>(
        &mut self,
        config: &Config<D>,
        liveness: Liveness,
        stands: bool,
    ) -> Option<Rule> {
        if is_over(liveness) || config.mode() == Mode::Beacon {
            *self = Self { since_ping: self.since_ping, ..Self::default() };
        }
        let (gap, window) = (ns(config.min_gap()), ns(config.response_window()));
        let age = |span: Option<u64>, most: u64| span.map(|span| (span + 1).min(most));
        self.since_ping = age(self.since_ping, gap);
        self.since_probe = age(self.since_probe, window + 1);
        self.since_stall = age(self.since_stall, window);
        if !liveness.is_live() || config.mode() == Mode::Beacon {
            return None;
        }
        let bound = ns(config.worst_case_detection()) + self.lateness;
        let broken = !stands && self.silence > bound;
        self.silence += 1;
        self.lateness += u64::from(stands);
        broken.then_some(Rule::L1Completeness)
    }

    pub(crate) fn call<D: Detector>(
        &mut self,
        config: &Config<D>,
        claims: Claims,
        call: &Call,
    ) -> Option<Rule> {
        let late = call.late_by > ns(config.slack()) && call.before.is_live();
        if late {
            self.since_stall = Some(0);
        }
        let broken = self
            .check_verdict(config, claims, call)
            .or_else(|| check_finality(call))
            .or_else(|| check_answer(config, call))
            .or_else(|| check_wake_up(config, call))
            .or_else(|| self.check_gap(config, call));
        if is_evidence(claims, call) {
            self.silence = 0;
            self.lateness = 0;
            // A ping of the same moment may still be missed.
            self.since_probe = self.since_ping.filter(|&since| since == 0);
        }
        if sends(call, |action| matches!(action, Action::SendPing { .. })) {
            self.since_ping = Some(0);
            self.since_probe = self.since_probe.or(Some(0));
        }
        broken
    }

    /// S1 to S5.
    fn check_verdict<D: Detector>(
        &self,
        config: &Config<D>,
        claims: Claims,
        call: &Call,
    ) -> Option<Rule> {
        let verdict = call.actions.transition().filter(|told| told.to == Liveness::Lost)?;
        let (window, timeout) = (ns(config.response_window()), ns(config.timeout()));
        let by_silence = matches!(verdict.reason, Reason::NoResponse | Reason::Silence);
        if by_silence {
            let least = if claims.fixed { timeout } else { ns(config.floor()) };
            if self.silence <= least {
                return Some(Rule::S1Accuracy);
            }
            if claims.exact && self.silence != timeout + 1 {
                return Some(Rule::S2Exactness);
            }
        }
        if claims.no_false_positive {
            return Some(Rule::S3NoFalsePositive);
        }
        let probed = self.since_probe.is_some_and(|since| since > window);
        if verdict.reason == Reason::NoResponse && !probed {
            return Some(Rule::S4ProbeBeforeVerdict);
        }
        let graced = self.since_stall.is_none_or(|since| since >= window);
        (by_silence && config.late_policy() == LatePolicy::Reprobe && !graced)
            .then_some(Rule::S5StallGrace)
    }

    fn check_gap<D: Detector>(&self, config: &Config<D>, call: &Call) -> Option<Rule> {
        let pings = sends(call, |action| matches!(action, Action::SendPing { .. }));
        let early = self.since_ping.is_some_and(|since| since < ns(config.min_gap()));
        (pings && early).then_some(Rule::R1Gap)
    }
}

fn sends(call: &Call, what: impl Fn(Action) -> bool) -> bool {
    call.actions.clone().any(what)
}

/// E1 and E2, for the life rules of the model.
fn is_evidence(claims: Claims, call: &Call) -> bool {
    let foreign = matches!(call.event, Event::PongReceived { id, .. } if id.seq() == 1);
    let frame = match call.event {
        Event::PongReceived { .. } => !foreign,
        Event::PingReceived { .. } | Event::BeaconReceived { .. } => !claims.pongs_only,
        _ => false,
    };
    frame && call.before.is_live() && call.after.is_live()
}

fn check_finality(call: &Call) -> Option<Rule> {
    let quiet = |action| matches!(action, Action::Report(_));
    let undone = !is_over(call.after)
        || call.wakes_later.is_some()
        || call.actions.clone().any(|action| !quiet(action));
    (is_over(call.before) && undone).then_some(Rule::S7Final)
}

fn check_answer<D: Detector>(config: &Config<D>, call: &Call) -> Option<Rule> {
    let answered = call.actions.clone().find_map(|action| match action {
        Action::SendPong { id, .. } => Some(id),
        _ => None,
    });
    let answers = !matches!(config.mode(), Mode::Beacon | Mode::Passive);
    let asked = match call.event {
        Event::PingReceived { id, .. } if answers && call.before.is_live() => Some(id),
        _ => None,
    };
    // Under Strict a verdict may fall before the ping is looked at (rule E10).
    let excused = answered.is_none() && is_over(call.after);
    (answered != asked && !excused).then_some(Rule::S8Answer)
}

fn check_wake_up<D: Detector>(config: &Config<D>, call: &Call) -> Option<Rule> {
    let fine = match call.wakes_later {
        Some(later) => later && call.after.is_live(),
        None => !call.after.is_live() || config.mode() == Mode::Beacon,
    };
    (!fine).then_some(Rule::L2WakeUp)
}
