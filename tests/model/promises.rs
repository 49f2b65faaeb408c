//! What is promised (`docs/SPEC.md`, section 10), as far as an observer from outside can tell.

use core::time::Duration;

use heartbeat_proto::{Action, Event, Findings, LatePolicy, Liveness, Reason, detector::Detector};

use crate::end::Side;
use crate::ghost::{Call, Ghost};

/// The names of the promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rule {
    /// No verdict by silence before the floor, nor before the timeout of the fixed detector.
    S1Accuracy,
    /// Where nothing puts it off the verdict falls 1 ns after the limit.
    S2Exactness,
    /// While network, driver and writer keep their bounds and the peer runs, no verdict.
    S3NoFalsePositive,
    /// A verdict by silence falls only after a ping and a whole window for its answer.
    S4ProbeBeforeVerdict,
    /// After a late call, no verdict by silence within one window, once a silence; and none after a
    /// hold, each time.
    S5StallGrace,
    /// Nothing but evidence makes life.
    S6ReceivedOnly,
    /// After the end nothing is sent, told or asked for.
    S7Final,
    /// Each ping gets its pong, in the same call, and nothing else does.
    S8Answer,
    /// Pings leave at least the gap apart.
    R1Gap,
    /// A hold sends a probe if it was asked for one, and if not, none.
    J14AsAsked,
    /// Silence is given up within the promise (rules CF5, CF6), a drain within its limit (LC3).
    L1Completeness,
    /// Live or Idle: a wake-up, strictly later. Over or suspended: none.
    L2WakeUp,
    /// A tick before the wake-up, or again, changes nothing (M6 too).
    L4NoEarlyEffect,
}

#[expect(clippy::struct_excessive_bools, reason = "claims are independent of each other")]
/// What a configuration is claimed to hold beyond the unconditional promises.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Claims {
    /// S2: nothing puts the verdict off, and it has no reason but silence.
    pub(crate) exact: bool,
    /// S1 speaks of the timeout: the detector is the fixed one.
    pub(crate) fixed: bool,
    /// S3.
    pub(crate) no_false_positive: bool,
    /// S4 for every verdict by silence: own schedule, punctual writer, and under Strict or Forgive
    /// a punctual driver. Else only for `no_response`.
    pub(crate) probed: bool,
}

pub(crate) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).expect("small")
}

/// CF5, CF6 and LC3: the silence (or the drain) has not lasted too long.
pub(crate) fn is_in_time<D: Detector>(ghost: &Ghost, side: &Side<D>) -> bool {
    if let Some(since) = ghost.since_drain {
        return since <= side.rules.drain_limit + ghost.lateness;
    }
    let config = &side.promised;
    let grace = nanos(config.response_window() + config.min_gap());
    // The window of a probe is a limit of its own, which is passed a nanosecond after it.
    let mut limit = nanos(config.worst_case_detection()) + u64::from(side.rules.reprobes());
    if side.rules.external {
        limit += nanos(config.response_window()) + 1;
    }
    ghost.silence <= limit + ghost.lateness + u64::from(ghost.resumes) * (grace + 1) + ghost.held
}

/// CF6: how much later a verdict may be for a hold.
pub(crate) fn held<D: Detector>(side: &Side<D>, probe: bool) -> u64 {
    let (config, external) = (&side.promised, u64::from(side.rules.external));
    let windows = if probe { 1 } else { 3 + external };
    // Each is a limit that must be passed.
    windows * (nanos(config.response_window()) + 1) + nanos(config.min_gap())
}

pub(crate) fn check<D: Detector>(
    ghost: &Ghost,
    side: &Side<D>,
    call: &Call,
    heard: bool,
) -> Option<Rule> {
    verdict(ghost, side, call)
        .or_else(|| life(call, heard))
        .or_else(|| finality(side, call))
        .or_else(|| answer(side, call))
        .or_else(|| wake_up(call))
        .or_else(|| gap(ghost, side, call))
        .or_else(|| hold(ghost, side, call))
}

/// S1 to S5.
fn verdict<D: Detector>(ghost: &Ghost, side: &Side<D>, call: &Call) -> Option<Rule> {
    let verdict = call.actions.transition().filter(|told| told.to == Liveness::Lost)?;
    let (config, claims) = (&side.promised, side.claims);
    let (window, timeout) = (nanos(config.response_window()), nanos(config.timeout()));
    if claims.no_false_positive && call.peer_runs {
        return Some(Rule::S3NoFalsePositive);
    }
    if !matches!(verdict.reason, Reason::NoResponse | Reason::Silence | Reason::NotProbed) {
        return None;
    }
    let floor = nanos(config.floor());
    let least = if claims.fixed { timeout.max(floor) } else { floor };
    if ghost.silence <= least {
        return Some(Rule::S1Accuracy);
    }
    if claims.exact && ghost.holds == 0 && ghost.silence != least + 1 {
        return Some(Rule::S2Exactness);
    }
    let probed = ghost.since_probe.is_some_and(|since| since > window);
    let claimed = claims.probed && side.rules.probes();
    if !probed && (claimed || verdict.reason == Reason::NoResponse) {
        return Some(Rule::S4ProbeBeforeVerdict);
    }
    if ghost.since_hold.is_some_and(|since| since <= window) {
        return Some(Rule::S5StallGrace);
    }
    if ghost.owes_probe {
        return Some(Rule::J14AsAsked);
    }
    let graced = ghost.since_stall.is_none_or(|since| since >= window);
    (config.late_policy() == LatePolicy::Reprobe && !graced).then_some(Rule::S5StallGrace)
}

/// S6, as far as it shows: life is told of only where there was evidence.
fn life(call: &Call, heard: bool) -> Option<Rule> {
    let told = call.actions.transition().filter(|told| told.reason == Reason::Heard);
    (told.is_some() && !heard).then_some(Rule::S6ReceivedOnly)
}

fn finality<D: Detector>(side: &Side<D>, call: &Call) -> Option<Rule> {
    let news = |action| !matches!(action, Action::Report(_));
    let undone = !side.is_over(call.after) || call.wakes_later.is_some() || call.sends(news);
    (side.is_over(call.before) && undone).then_some(Rule::S7Final)
}

fn answer<D: Detector>(side: &Side<D>, call: &Call) -> Option<Rule> {
    let answered = call.actions.clone().find_map(|action| match action {
        Action::SendPong { id, .. } => Some(id),
        _ => None,
    });
    let hears = call.before != Liveness::Idle && !side.is_over(call.before);
    let asked = match call.event {
        Event::PingReceived { id, .. } if side.rules.answers() && hears => Some(id),
        _ => None,
    };
    // Under Strict a verdict may fall before the ping is looked at (rule E10).
    let excused = answered.is_none() && side.is_over(call.after);
    (answered != asked && !excused).then_some(Rule::S8Answer)
}

fn wake_up(call: &Call) -> Option<Rule> {
    let frozen = call.event == Event::Suspend;
    let ended = !call.after.is_live() && call.after != Liveness::Idle;
    let fine = match call.wakes_later {
        Some(later) => later,
        None => frozen || ended,
    };
    (!fine).then_some(Rule::L2WakeUp)
}

fn gap<D: Detector>(ghost: &Ghost, side: &Side<D>, call: &Call) -> Option<Rule> {
    let early = ghost.since_ping.is_some_and(|since| since < nanos(side.promised.min_gap()));
    (call.sends_ping() && early).then_some(Rule::R1Gap)
}

/// J14, where it shows.
fn hold<D: Detector>(ghost: &Ghost, side: &Side<D>, call: &Call) -> Option<Rule> {
    let Event::Hold { probe } = call.event else { return None };
    let granted = call.actions.findings().contains(Findings::REPROBE);
    let may = ghost.since_ping.is_none_or(|since| since >= nanos(side.promised.min_gap()));
    let asked = probe && granted && may && side.rules.probes_alone();
    // (Without ids a slot may have waited for the ping that is given up.)
    let unasked = call.overdue.is_none() && !(probe && granted) && side.rules.ids;
    let drained = granted && ghost.since_drain.is_some();
    (drained || if call.sends_ping() { unasked } else { asked }).then_some(Rule::J14AsAsked)
}
