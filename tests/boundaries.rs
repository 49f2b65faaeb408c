//! Rules at their very boundaries, where one comparison or one condition is all that matters: each
//! of these tests was written because a mutant of the code had passed all others.
#![allow(clippy::large_types_passed_by_value, reason = "configurations are values here")]

mod common;

use core::time::Duration;

use common::{MS, RESUME, SEC, Solo, at, findings_in, ms, nanos, ping_in, secs};
use heartbeat_proto::detector::{Deadline, Detector, Evidence, Sign, Trust};
use heartbeat_proto::{
    Action, Config, ConfigBuilder, ConfigError, DeadlineReason, Echo, Event, Findings, FirstPing,
    HeartbeatMachine, LatePolicy, LifeRule, Liveness, MAX_SPAN, Mode, PeerState, PingId,
    PingSchedule, Reason, Timestamp, Verdict,
};

/// I 10 s, T 40 s, so W = 10 s and S = 10 s; the first ping leaves at 10 s.
fn plain() -> ConfigBuilder {
    let builder = Config::builder().interval(secs(10)).timeout(secs(40)).jitter_percent(0);
    builder.no_keepalive().first_ping(FirstPing::AfterInterval)
}

fn build(builder: ConfigBuilder) -> Config {
    builder.build().expect("valid")
}

// ----- Time -----

/// What the machine does when it is called at the wake-up.
fn done(solo: &mut Solo) -> Option<DeadlineReason> {
    let due = solo.due()?;
    let actions = solo.tell_at(due, Event::Tick);
    let missed = findings_in(&actions).contains(Findings::MISS);
    actions.iter().find_map(|action| match action {
        Action::Notify(change) if change.reason == Reason::WriteStalled => {
            Some(DeadlineReason::WriteStall)
        }
        Action::Notify(change) if change.to == Liveness::Lost => Some(DeadlineReason::Verdict),
        Action::Notify(_) | Action::Report(_) if missed => Some(DeadlineReason::ResponseWindow),
        Action::Notify(change) if change.to == Liveness::Suspect => Some(DeadlineReason::Suspicion),
        Action::SendPing { .. } => Some(DeadlineReason::Probe),
        Action::SendBeacon { .. } => Some(DeadlineReason::Keepalive),
        _ => None,
    })
}

/// T5: the reason of a wake-up is what is then done, and the bare state knows both. Of several
/// things at once the verdict is named.
#[test]
fn a_wake_up_names_what_will_be_done() {
    let responder = plain().mode(Mode::Responder);
    let configs = [
        build(plain().keepalive(secs(7))),
        build(plain().write_reports(true).write_stall(secs(3))),
        build(responder),
        // The beat is overdue in the moment in which silence convicts.
        build(responder.timeout(secs(11)).attempts(1)),
    ];
    let mut seen = Vec::new();
    for config in configs {
        let mut solo = Solo::alive(config);
        while let Some(due) = solo.machine.next_deadline() {
            let reason = solo.machine.deadline_reason().expect("a wake-up has a reason");
            assert_eq!(solo.machine.state().next_deadline(&config), Some((due, reason)));
            if let Some(done) = done(&mut solo) {
                assert_eq!(done, reason, "at {}", solo.now);
                seen.push(reason.to_string());
            }
        }
        assert_eq!((solo.machine.deadline_reason(), solo.due()), (None, None));
    }
    for reason in ["verdict", "suspicion", "response_window", "probe", "keepalive", "write_stall"] {
        assert!(seen.iter().any(|seen| seen == reason), "{reason}: {seen:?}");
    }
}

// ----- Evidence -----

/// E4: at the end of its window a pong is in time, one nanosecond after it is late.
#[test]
fn a_pong_is_late_after_its_window() {
    for (after, late) in [(10 * SEC, false), (10 * SEC + 1, true)] {
        let mut solo = Solo::alive(build(plain()));
        let id = solo.next_ping();
        let told = findings_in(&solo.tell_at(solo.now + after, Event::pong(id)));
        assert_eq!(told.contains(Findings::PONG_LATE), late, "{after}");
    }
}

/// E5: an answered ping that left exactly the gap before the judged one resolves nothing.
#[test]
fn a_ping_a_gap_before_the_judged_one_does_not_answer_for_it() {
    let builder = plain().interval(secs(2)).timeout(secs(34)).attempts(4).min_gap(secs(2));
    let mut solo = Solo::alive(build(builder.suspect_interval(secs(2))));
    // Pings leave every two seconds, and the window is eight: the fifth is judged after the first.
    let ids: Vec<PingId> = (0..6).map(|_| solo.next_ping()).collect();
    let sixth = solo.now;
    assert_eq!(solo.found(Findings::MISS), 1, "the first is unanswered");
    let _ = solo.tell(Event::pong(ids[3]));
    solo.run_to(sixth + 6 * SEC);
    let next = solo.machine.deadline_reason();
    assert_eq!(next, Some(DeadlineReason::ResponseWindow), "the fifth is judged, not the sixth");
}

/// CF1: a grace may be as long as any span, and no longer.
#[test]
fn a_grace_may_be_the_longest_span() {
    assert!(plain().startup_grace(MAX_SPAN).build().is_ok());
    assert!(plain().startup_grace(MAX_SPAN + Duration::from_nanos(1)).build().is_err());
}

/// CF4: a gap of exactly `C - W` is no excess.
#[test]
fn a_peers_gap_may_reach_the_limit() {
    for (gap, told) in [(secs(30), 0), (secs(30) + Duration::from_nanos(1), 1)] {
        let mut solo = Solo::alive(build(plain()));
        let _ = solo.tell(Event::LimitReceived { min_gap: gap });
        assert_eq!(solo.found(Findings::LIMIT_EXCEEDED), told, "{gap:?}");
    }
}

/// A6: whole milliseconds, and above 127 of them seven bits and a power of two, rounded up; what
/// cannot be kept is more than the limit.
#[test]
fn a_peers_gap_is_rounded_up_to_seven_bits() {
    let builder = Config::builder().interval(ms(1)).timeout(ms(4)).ceiling(MAX_SPAN);
    let config = build(builder);
    let limit = config.ceiling().saturating_sub(config.response_window());
    let millis = Duration::from_millis;
    for (asked, kept) in [
        (Duration::from_nanos(1), millis(1)),
        (millis(127), millis(127)),
        (millis(128), millis(128)),
        (millis(129), millis(130)),
        (millis(254) + Duration::from_nanos(1), millis(256)),
        (millis(0x7f << 12), millis(0x7f << 12)),
        (millis((0x7f << 12) + 1), millis(0x40 << 13)),
        (millis(0x7f << 31), limit),
        (millis(0x80 << 31), limit),
    ] {
        let mut solo = Solo::alive(config);
        let _ = solo.tell(Event::LimitReceived { min_gap: asked });
        assert_eq!(solo.machine.effective_interval(), kept, "{asked:?}");
    }
}

/// The wake-up is the sum of all that the detector was told, each weighted by its own power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Sum;

impl Detector for Sum {
    type State = ();

    fn learn(&self, (): &mut (), _: &Evidence) {}

    fn deadline(&self, (): &(), trust: &Trust) -> Timestamp {
        let sum = trust.period_nanos() + 2 * trust.window_nanos() + 4 * trust.timeout_nanos();
        let sum = sum + 8 * u64::from(trust.attempts());
        trust.since().saturating_add(Duration::from_nanos(sum))
    }
}

/// J2, CF4: a detector knows the numbers in force, slowed as the peer asked.
#[test]
fn a_detector_is_told_the_numbers_in_force() {
    let builder = plain().ceiling(secs(1_000)).mode(Mode::Symmetric).detector(Sum);
    let config = builder.build().expect("valid");
    let start = || {
        let mut machine = HeartbeatMachine::new(config, 7, at(0));
        let _ = machine.handle(Event::Start, at(0));
        machine
    };
    let ratio = |machine: &HeartbeatMachine<Sum>, limit: u64| {
        machine.suspicion(at(limit * SEC).saturating_add(Duration::from_nanos(8 * 3)))
    };
    let machine = start();
    assert!((ratio(&machine, 10 + 2 * 10 + 4 * 40) - 1.0).abs() < f64::EPSILON);
    let mut slowed = start();
    let _ = slowed.handle(Event::LimitReceived { min_gap: ms(16_384) }, at(0));
    let limit = Duration::from_millis(16_384 + 2 * 10_000 + 4 * (40_000 + 6_384));
    let limit = limit + Duration::from_nanos(8 * 3);
    assert!((slowed.suspicion(at(0).saturating_add(limit)) - 1.0).abs() < f64::EPSILON);
}

/// J2: the adaptive detector trusts for an interval and so many round-trip timeouts as `factor`
/// times `attempts`.
#[test]
fn the_adaptive_detector_counts_windows() {
    let builder = plain().ceiling(secs(1_000)).detector(Deadline::rtt_adaptive(4));
    let config = builder.build().expect("valid");
    let mut machine = HeartbeatMachine::new(config, 7, at(0));
    let _ = machine.handle(Event::Start, at(0));
    let _ = machine.handle(Event::Tick, at(10 * SEC));
    let _ = machine.handle(Event::pong(PingId::new(machine.state().epoch(), 1)), at(10 * SEC + MS));
    let timeout = machine.rtt().timeout_nanos().expect("a sample");
    let trusted = at(20 * SEC + MS + 4 * 3 * timeout);
    assert!((machine.suspicion(trusted) - 1.0).abs() < f64::EPSILON);
}

/// Trusts for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Trusting;

impl Detector for Trusting {
    type State = ();

    fn learn(&self, (): &mut (), _: &Evidence) {}

    fn deadline(&self, (): &(), _: &Trust) -> Timestamp {
        Timestamp::MAX
    }

    fn beat_deadline(&self, (): &(), _: &Trust) -> Option<Timestamp> {
        Some(Timestamp::MAX)
    }
}

/// M2, J2: whoever trusts for ever is overruled by the ceiling, in every mode.
#[test]
fn trust_for_ever_ends_at_the_ceiling() {
    for mode in [Mode::Symmetric, Mode::Initiator, Mode::Responder, Mode::Passive] {
        let builder = plain().mode(mode).ceiling(secs(90)).detector(Trusting);
        let config = builder.build().expect("valid");
        let mut machine = HeartbeatMachine::new(config, 7, at(0));
        let _ = machine.handle(Event::Start, at(0));
        let _ = machine.handle(Event::FrameReceived, at(0));
        let mut end = at(0);
        while let Some(due) = machine.next_deadline() {
            end = due;
            let _ = machine.handle(Event::Tick, due);
        }
        assert_eq!(end, at(90 * SEC + 1), "{mode:?}");
        assert_eq!(machine.liveness(), Liveness::Lost);
    }
}

/// Trusts for ten seconds from when the newest beat says that it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Wary;

impl Detector for Wary {
    type State = u64;

    fn learn(&self, left: &mut u64, evidence: &Evidence) {
        *left = evidence.stamp.map_or(*left, Timestamp::as_nanos);
    }

    fn deadline(&self, left: &u64, _: &Trust) -> Timestamp {
        Timestamp::from_nanos(*left + 10 * SEC)
    }

    fn beat_deadline(&self, _: &u64, _: &Trust) -> Option<Timestamp> {
        Some(Timestamp::MAX)
    }
}

/// J3: a beat that comes too late for the detector to trust it makes the peer suspect at once.
#[test]
fn a_beat_may_come_too_late_to_be_trusted() {
    for mode in [Mode::Responder, Mode::Passive] {
        let config = plain().mode(mode).detector(Wary).build().expect("valid");
        let mut machine = HeartbeatMachine::new(config, 7, at(0));
        let _ = machine.handle(Event::Start, at(0));
        let mut beat = |left, now| {
            let period = Duration::ZERO;
            let told = machine.handle(Event::BeaconReceived { stamp: Some(left), period }, now);
            (told.transition().map(|change| (change.to, change.reason)), machine.next_deadline())
        };
        assert_eq!(beat(at(0), at(SEC)).0, Some((Liveness::Alive, Reason::Heard)));
        assert_eq!(beat(at(8 * SEC), at(9 * SEC)), (None, Some(at(18 * SEC + 1))), "{mode:?}");
        // The last moment at which it is trusted, and the first at which it is not.
        assert_eq!(beat(at(5 * SEC), at(15 * SEC)), (None, Some(at(15 * SEC + 1))), "{mode:?}");
        assert_eq!(beat(at(9 * SEC), at(15 * SEC)), (None, Some(at(19 * SEC + 1))), "{mode:?}");
        let suspected = Some((Liveness::Suspect, Reason::Detector));
        assert_eq!(beat(at(5 * SEC - 1), at(15 * SEC)).0, suspected, "{mode:?}");
    }
}

// ----- Probing -----

/// P5: a slot is excused by traffic whose own slot is still to come, not by one whose slot is now.
#[test]
fn a_slot_is_not_excused_by_a_moment_that_has_come() {
    // Slots at 10 and 20 s; the driver comes late for the first, at 14 s or 1 ns before.
    for (late, next) in [(4 * SEC - 1, 14 * SEC), (4 * SEC, 20 * SEC)] {
        let mut solo = Solo::alive(build(plain().late_policy(LatePolicy::Strict)));
        let _ = solo.tell_at(4 * SEC, Event::FrameReceived);
        let actions = solo.tell_at(10 * SEC + late, Event::Tick);
        let excused = ping_in(&actions).is_none();
        assert_eq!(excused, next == 14 * SEC, "{late}: {actions:?}");
        assert_eq!(solo.due(), Some(next), "{late}");
    }
}

/// P6, J9: a peer that is Suspect for lost probes alone is probed every `Se`, off the plan.
#[test]
fn a_suspect_without_misses_is_probed_faster() {
    let builder = plain().suspect_interval(secs(4)).probe_loss(1, 4, Verdict::Report);
    let mut solo = Solo::alive(build(builder));
    let first = solo.next_ping();
    let sent = solo.now;
    // Life, but no pong: the window ends, and that is a loss and no miss.
    let _ = solo.tell_at(sent + SEC, Event::FrameReceived);
    while solo.machine.liveness() == Liveness::Alive {
        let due = solo.due().expect("live");
        let _ = solo.tell_at(due, Event::FrameReceived);
    }
    assert_eq!((solo.found(Findings::MISS), first.seq()), (0, 1));
    let last = *solo.pings().last().expect("a ping");
    let _ = solo.next_ping();
    assert!(solo.now <= (last + 4 * SEC).max(sent + 10 * SEC + 1), "{} {last}", solo.now);
}

/// P10, J6: a grant asks the caller although a ping is judged.
#[test]
fn a_grant_asks_while_a_ping_is_judged() {
    let mut solo = Solo::alive(build(plain().schedule(PingSchedule::External)));
    for sent in [25, 31] {
        let _ = solo.tell_at(sent * SEC, Event::PingDue);
    }
    assert_eq!(solo.pings(), [25 * SEC, 31 * SEC]);
    // The window of the first ends at 35 s; the second is judged until 41 s, V is 40 s.
    let actions = solo.tell_at(36 * SEC, Event::Tick);
    assert!(findings_in(&actions).contains(Findings::REPROBE), "{actions:?}");
    assert!(actions.contains(&Action::RequestProbe), "{actions:?}");
}

/// Trusts for three seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Hasty;

impl Detector for Hasty {
    type State = ();

    fn learn(&self, (): &mut (), _: &Evidence) {}

    fn deadline(&self, (): &(), trust: &Trust) -> Timestamp {
        trust.since().saturating_add(secs(3))
    }
}

/// P6: who is suspect before the first ping is probed by the plan.
#[test]
fn the_first_ping_waits_for_its_slot() {
    let config = plain().suspect_interval(secs(4)).detector(Hasty).build().expect("valid");
    let mut machine = HeartbeatMachine::new(config, 7, at(0));
    let _ = machine.handle(Event::Start, at(0));
    let _ = machine.handle(Event::FrameReceived, at(0));
    let mut sent = Vec::new();
    while sent.len() < 2 {
        let due = machine.next_deadline().expect("live");
        let ping = |action| matches!(action, Action::SendPing { .. });
        sent.extend(machine.handle(Event::Tick, due).any(ping).then_some(due));
    }
    assert_eq!(machine.liveness(), Liveness::Suspect);
    assert_eq!(sent, [at(10 * SEC), at(14 * SEC)]);
}

/// Trusts the first two pongs, and not the third.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Fickle;

impl Detector for Fickle {
    type State = u8;

    fn learn(&self, pongs: &mut u8, evidence: &Evidence) {
        *pongs += u8::from(evidence.sign == Sign::Pong);
    }

    fn deadline(&self, pongs: &u8, trust: &Trust) -> Timestamp {
        let since = trust.since();
        if *pongs < 3 { since.saturating_add(secs(100)) } else { Timestamp::EPOCH }
    }
}

/// J3, J4: a pong in time that its detector does not trust makes the peer suspect at once.
#[test]
fn a_pong_need_not_be_trusted() {
    let config = plain().detector(Fickle).build().expect("valid");
    let mut machine = HeartbeatMachine::new(config, 7, at(0));
    let _ = machine.handle(Event::Start, at(0));
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let due = machine.next_deadline().expect("live");
        let actions: Vec<Action> = machine.handle(Event::Tick, due).collect();
        if let Some(id) = ping_in(&actions) {
            let _ = machine.handle(Event::pong(id), due.saturating_add(ms(5)));
            seen.push(machine.liveness());
        }
    }
    assert_eq!(seen, [Liveness::Alive, Liveness::Alive, Liveness::Suspect]);
}

/// P7: a ping that is asked for before the start is not remembered.
#[test]
fn nobody_is_probed_before_the_start() {
    let mut solo = Solo::idle(build(plain()), 7);
    let _ = solo.tell(Event::PingDue);
    let _ = solo.tell_at(SEC, Event::Start);
    let _ = solo.next_ping();
    assert_eq!(solo.pings(), [11 * SEC]);
}

/// E4: the echo ledger believes a stamp later than the judged ping's sending less the gap.
#[test]
fn an_echoed_stamp_must_be_later_than_the_gap_before_the_judged_ping() {
    let config = build(plain().attempts(1).life_rule(LifeRule::ExactPong)); // W 30 s, g 7.5 s
    for (later, believed) in [(0, false), (1, true)] {
        let machine = HeartbeatMachine::<_, Echo>::with_ledger(config, 7, at(0));
        let mut solo = Solo::of(machine);
        let _ = solo.tell(Event::Start);
        let first = solo.next_ping();
        let stamp = Some(at(solo.now - config_gap(&config) + later));
        let _ = solo.next_ping();
        let (hold, calm) = (Duration::ZERO, false);
        let _ = solo.tell(Event::PongReceived { id: first, stamp, hold, calm });
        assert_eq!(solo.machine.liveness() == Liveness::Alive, believed, "{later}");
    }
}

fn config_gap(config: &Config) -> u64 {
    nanos(config.min_gap())
}

/// J5: a ping that was written exactly the slack after its emission was written in time.
#[test]
fn a_writer_may_take_the_slack() {
    let builder = plain().timeout(secs(19)).attempts(1).late_policy(LatePolicy::Strict);
    let config = build(builder.write_reports(true).write_stall(secs(100)).slack(ms(50)));
    for (took, reason) in [(50 * MS, Reason::Silence), (50 * MS + 1, Reason::WriteStalled)] {
        let mut solo = Solo::alive(config);
        while solo.machine.liveness().is_live() {
            let due = solo.due().expect("live");
            if let Some(id) = ping_in(&solo.tell_at(due, Event::Tick)) {
                let _ = solo.tell_at(due + took, Event::PingSent { id });
            }
        }
        assert_eq!(solo.verdict().map(|(_, told)| told), Some(reason), "{took}");
    }
}

/// Keeps the longest silence that it was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Longest;

impl Detector for Longest {
    type State = u64;

    fn learn(&self, longest: &mut u64, evidence: &Evidence) {
        *longest = evidence.silence_nanos.max(*longest);
    }

    fn deadline(&self, _: &u64, trust: &Trust) -> Timestamp {
        trust.since().saturating_add(Duration::from_nanos(trust.timeout_nanos()))
    }
}

/// J13: the detector hears of silences up to twice the ceiling.
#[test]
fn silences_are_told_up_to_twice_the_ceiling() {
    let builder = plain().reopen_after(1).detector(Longest);
    let config = builder.build().expect("valid");
    for (silence, told) in [(30, 30), (79, 79), (80, 80), (300, 80)] {
        let mut machine = HeartbeatMachine::new(config, 7, at(0));
        let _ = machine.handle(Event::Start, at(0));
        let mut newest = 0;
        let mut now = at(0);
        while let Some(due) = machine.next_deadline().filter(|&due| due < at(silence * SEC)) {
            now = due;
            let sent = machine.handle(Event::Tick, now);
            newest = sent
                .filter_map(|action| match action {
                    Action::SendPing { id, .. } => Some(id.seq()),
                    _ => None,
                })
                .fold(newest, u32::max);
        }
        let id = PingId::new(machine.state().epoch(), newest);
        let _ = machine.handle(Event::pong(id), at(silence * SEC));
        let state = machine.state();
        assert_eq!(*state.detector_state(), told * SEC, "after {silence} s, at {now}");
        let normal = state.normalized(&config, at(silence * SEC));
        assert_eq!(normal.detector_state(), state.detector_state(), "it holds no stamps");
    }
}

// ----- Life cycle -----

/// LC5, LC6: a second `Suspend` does not move the beginning of the freeze.
#[test]
fn a_freeze_begins_once() {
    let ends = [false, true].map(|twice| {
        let mut solo = Solo::alive(build(plain()));
        let _ = solo.tell_at(3 * SEC, Event::Suspend);
        if twice {
            let _ = solo.tell_at(60 * SEC, Event::Suspend);
        }
        let _ = solo.tell_at(100 * SEC, RESUME);
        assert!(solo.lost_by(300 * SEC).is_some());
        solo.log
    });
    assert_eq!(ends[0], ends[1]);
}

/// LC6: a drain limit moves by the time suspended, whatever the interval.
#[test]
fn a_drain_limit_is_not_cut_to_the_interval() {
    let mut solo = Solo::alive(build(plain().drain_limit(secs(30))));
    let _ = solo.tell(Event::Drain);
    let _ = solo.tell_at(5 * SEC, Event::Suspend);
    let _ = solo.tell_at(6 * SEC, RESUME);
    assert_eq!(solo.lost_by(100 * SEC), Some(31 * SEC + 1));
}

/// J7, LC6: a grace that lay ahead at the wake-up moves by the whole lateness, even if it ends in
/// the nanosecond of the call. (The window is too short for any slack.)
#[test]
fn a_grace_moves_with_forgiveness() {
    let ns = Duration::from_nanos;
    let builder = plain().timeout(secs(10) + ns(2)).attempts(1).startup_grace(secs(10) + ns(1));
    let mut solo = Solo::new(build(builder.late_policy(LatePolicy::Forgive(secs(60)))));
    assert_eq!(solo.due(), Some(10 * SEC));
    let _ = solo.tell_at(10 * SEC + 1, Event::Tick);
    assert_eq!(solo.lost_by(60 * SEC), Some(20 * SEC + 2 + 2 + 1));
}

/// T6: the last moment of the clock is one.
#[test]
fn a_reconfiguration_at_the_last_moment_is_one() {
    let last = u64::MAX - 4 * nanos(MAX_SPAN);
    for (now, exhausted) in [(last, false), (last + 1, true)] {
        let begin = Timestamp::from_nanos(last - 1);
        let mut machine = HeartbeatMachine::new(build(plain()), 7, begin);
        let _ = machine.handle(Event::Start, begin);
        let actions = machine.reconfigure(build(plain()), Timestamp::from_nanos(now));
        let told = actions.findings().contains(Findings::CLOCK_EXHAUSTED);
        assert_eq!((told, machine.next_deadline().is_none()), (exhausted, exhausted));
    }
}

/// T6: when the clock is exhausted nothing is due, for the bare state either.
#[test]
fn nothing_is_due_on_an_exhausted_clock() {
    let end = u64::MAX - 4 * nanos(MAX_SPAN);
    let mut solo = Solo::alive(build(plain()));
    let told = solo.machine.handle(Event::FrameReceived, Timestamp::from_nanos(end + 1));
    assert_eq!(told.findings(), Findings::CLOCK_EXHAUSTED);
    assert_eq!((solo.machine.liveness(), solo.due()), (Liveness::Alive, None));
    assert_eq!(solo.machine.deadline_reason(), None);
    assert_eq!(solo.machine.state().next_deadline(solo.machine.config()), None);
}

/// LC5, P13: who is lost is not suspended, and is probed on.
#[test]
fn the_lost_are_not_suspended() {
    let mut solo = Solo::alive(build(plain().reopen_after(1)));
    assert!(solo.lost_by(60 * SEC).is_some());
    let due = solo.due();
    assert!(solo.tell(Event::Suspend).is_empty());
    assert!(due.is_some() && solo.due() == due);
    let _ = solo.next_ping();
}

// ----- Text -----

/// CF1, CF2: a window of less than a nanosecond is refused with the smallest timeout that has one.
#[test]
fn the_smallest_timeout_is_told() {
    let ns = Duration::from_nanos;
    let builder = Config::builder().interval(ns(4)).timeout(ns(6)).attempts(3);
    let error = builder.build().expect_err("no window");
    assert!(matches!(error, ConfigError::Below { limit, .. } if limit == ns(7)), "{error}");
    assert!(builder.timeout(ns(7)).jitter_percent(0).build().is_ok());
}

#[test]
fn a_moment_is_seconds_and_nanoseconds() {
    let moment = Timestamp::from_nanos(12_000_000_345);
    assert_eq!(
        (moment.to_string(), format!("{moment:?}")),
        ("12.000000345s".into(), "12.000000345s".into())
    );
    let longest = Duration::from_nanos(u64::MAX);
    assert_eq!(Timestamp::EPOCH.checked_add(longest), Some(Timestamp::MAX));
    assert_eq!(Timestamp::EPOCH.checked_add(longest + Duration::from_nanos(1)), None);
}

#[test]
fn a_finding_twice_is_a_finding() {
    let once = Findings::NONE.with(Findings::MISS);
    assert_eq!(once.with(Findings::MISS), once);
}

#[test]
fn the_id_of_a_ping_can_be_read() {
    let id = PingId::new(0x0063_cbe1, 7);
    assert_eq!((id.to_string(), format!("{id:?}")), ("0063cbe1#7".into(), "0063cbe1#7".into()));
    assert!(build(plain().write_reports(true)).write_reports());
    let state: PeerState = PeerState::new(7, at(MS));
    assert_eq!(state.epoch(), HeartbeatMachine::new(build(plain()), 7, at(MS)).state().epoch());
}
