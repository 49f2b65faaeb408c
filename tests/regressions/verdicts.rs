//! What went wrong once in judging: dead peers that were never found, or too late; and healthy
//! ones that were given up.

use crate::common::{MS, RESUME, SEC, Solo, at, findings_in, ms, nanos, ping_in, secs};
use heartbeat_proto::detector::Deadline;
use heartbeat_proto::{
    Action, Config, ConfigBuilder, Event, Findings, FirstPing, HeartbeatMachine, LatePolicy,
    LifeRule, Liveness, MAX_SPAN, Mode, PingId, PingSchedule, Probing, Reason, Verdict,
};

/// No chance and no keepalive, so that nothing but the rule at hand is seen.
fn plain(interval: u64, timeout: u64) -> ConfigBuilder {
    let builder = Config::builder().interval(secs(interval)).timeout(secs(timeout));
    builder.jitter_percent(0).no_keepalive()
}

// ----- Dead peers that were not found -----

/// CF5, LC6: where windows overlap, each window that ended renewed the grant of the resume, and a
/// dead peer was never lost.
#[test]
fn a_dead_peer_is_found_after_a_resume_where_windows_overlap() {
    let mut solo = Solo::alive(Config::service_mesh());
    let _ = solo.tell_at(SEC, Event::Suspend);
    let _ = solo.tell_at(3_600 * SEC, RESUME);
    assert!(solo.lost_by(3_700 * SEC).is_some(), "still {:?}", solo.machine.liveness());
}

/// CF5, J6: the same after one late call; there the end of every window was put off in turn.
#[test]
fn a_dead_peer_is_found_after_a_late_call_where_windows_overlap() {
    let mut solo = Solo::alive(Config::service_mesh());
    assert_eq!(solo.lost_by(3_500 * MS), None);
    let _ = solo.tell_at(3_700 * MS, Event::Tick); // 100 to 200 ms late
    assert!(solo.lost_by(100 * SEC).is_some(), "still {:?}", solo.machine.liveness());
}

/// CF5, J6: V waits for a window once a silence; with an adaptive detector and timers that are
/// always a little late (by less than the slack) it waited for one window after the other.
#[test]
fn a_dead_peer_is_found_by_an_adaptive_detector_with_slightly_late_timers() {
    let builder = Config::builder().detector(Deadline::rtt_adaptive(1)).interval(ms(300));
    let builder = builder.timeout(ms(3_900)).jitter_percent(0).no_keepalive();
    let mut solo = Solo::new(builder.probing(Probing::Always).build().expect("valid"));
    let id = solo.next_ping();
    let _ = solo.tell_at(solo.now + MS, Event::pong(id));
    assert!(solo.machine.config().slack() > ms(5));
    solo.run_late(600 * SEC, |_| 5 * MS);
    assert_eq!(solo.machine.liveness(), Liveness::Lost, "due at {:?}", solo.due());
}

/// CF5, P7: a caller that asks for pings faster than windows end kept a dead peer for ever, since
/// each new ping was granted the window anew.
#[test]
fn pings_on_demand_after_a_resume_do_not_keep_a_dead_peer() {
    let mut solo = Solo::alive(Config::lan());
    let _ = solo.tell_at(2 * SEC, Event::Suspend);
    let _ = solo.tell_at(10 * SEC, RESUME);
    for _ in 0..500 {
        solo.run_to(solo.now + 600 * MS);
        let _ = solo.tell(Event::PingDue);
    }
    assert_eq!(solo.machine.liveness(), Liveness::Lost);
}

/// J10: the run of unanswered pings was told in silence, where it is no verdict, and never again:
/// a peer that talks for ten minutes and answers no ping was kept.
#[test]
fn unanswered_pings_convict_a_talking_peer_even_if_they_began_in_silence() {
    let builder = Config::builder().interval(secs(10)).response_window(secs(8)).attempts(5);
    let builder = builder.suspect_interval(secs(2)).probing(Probing::Always).jitter_percent(0);
    let builder = builder.ping_unanswered(3, Verdict::Convict).no_keepalive();
    let builder = builder.first_ping(FirstPing::AfterInterval);
    let mut solo = Solo::alive(builder.build().expect("valid"));
    assert_eq!(solo.lost_by(49 * SEC), None);
    for _ in 0..600 {
        solo.run_to(solo.now + SEC);
        let _ = solo.tell(Event::FrameReceived);
    }
    assert_eq!(solo.machine.liveness(), Liveness::Lost);
}

/// J7, LC6: under Forgive a resume was forgiven a second time as a late call.
#[test]
fn a_resume_is_not_credited_twice_under_forgive() {
    let builder = plain(10, 60).attempts(5).late_policy(LatePolicy::Forgive(secs(3_600)));
    let mut solo = Solo::alive(builder.build().expect("valid"));
    solo.run_to(50 * SEC - 1); // the last ping is a whole gap ago
    let due = solo.due().expect("live");
    let slept = 100 * SEC;
    let _ = solo.tell_at(due + slept, Event::Resume { slept: secs(100) });
    let lost = solo.lost_by(4_000 * SEC).expect("a verdict");
    let bound = (60 * SEC + slept).max(due + slept + 10 * SEC) + SEC;
    assert!(lost <= bound, "{} ns late", lost - bound);
}

/// E10: under Strict the verdict falls before the evidence of a late call; with `reopen_after` the
/// same pong reopened at once, and nobody was told of the loss.
#[test]
fn a_strict_verdict_is_not_hidden_by_the_pong_that_came_too_late() {
    let builder = plain(1, 4).late_policy(LatePolicy::Strict).reopen_after(1);
    let mut solo = Solo::alive(builder.build().expect("valid"));
    let id = solo.next_ping();
    let actions = solo.tell_at(3_600 * SEC, Event::pong(id));
    assert_eq!(solo.machine.liveness(), Liveness::Lost, "{actions:?}");
    assert_eq!(solo.machine.stats().losses, 1);
    assert_eq!(solo.verdict().map(|(lost, _)| lost), Some(3_600 * SEC), "{actions:?}");
}

/// J2: the fixed detector names the timeout, to the nanosecond; it once named I + N * W, which the
/// rounding of W makes shorter.
#[test]
fn the_fixed_detector_judges_at_the_timeout_where_windows_are_rounded() {
    let timeout = 40 * SEC + 2;
    let builder = Config::builder().interval(secs(10)).no_keepalive();
    let builder = builder.timeout(core::time::Duration::from_nanos(timeout));
    let mut solo = Solo::new(builder.build().expect("valid"));
    assert_eq!(solo.lost_by(100 * SEC), Some(timeout + 1));
}

/// CF4: the peer's limit is on our pings; it slowed the verdict of a Responder, which sends none.
#[test]
fn a_limit_received_does_not_slow_the_verdict_of_a_responder() {
    let builder = Config::builder().mode(Mode::Responder).interval(secs(10)).timeout(secs(40));
    let mut solo = Solo::new(builder.ceiling(secs(1_000)).build().expect("valid"));
    let _ = solo.tell_at(SEC, Event::LimitReceived { min_gap: secs(500) });
    assert_eq!(solo.lost_by(2_000 * SEC), Some(41 * SEC + 1));
}

// ----- Healthy peers that were given up -----

/// A6, CF4: after the peer had raised its limit and lowered it again, the plan stayed where the
/// larger gap had put it, behind the shorter timeout: a peer that answers each ping was lost.
#[test]
fn a_limit_that_is_lowered_again_moves_the_plan_back() {
    let mut solo = Solo::new(plain(5, 20).ceiling(secs(60)).build().expect("valid"));
    let id = solo.next_ping();
    let pinged = solo.now;
    let _ = solo.tell_at(pinged + MS, Event::pong(id));
    let _ = solo.tell_at(pinged + 2 * MS, Event::LimitReceived { min_gap: secs(50) });
    let _ = solo.tell_at(pinged + 3 * MS, Event::LimitReceived { min_gap: secs(0) });
    solo.answer_to(200 * SEC, MS);
    solo.assert_live();
    assert_eq!(solo.machine.liveness(), Liveness::Alive);
}

/// A6, CF4: a peer's gap above 2.3 hours did not fit its field, and was cut down without a word.
#[test]
fn a_peers_gap_of_three_hours_is_kept() {
    let builder = Config::builder().interval(secs(60)).timeout(secs(120)).ceiling(MAX_SPAN);
    let mut solo = Solo::new(builder.build().expect("valid"));
    let gap = secs(3 * 3_600);
    let _ = solo.tell_at(1, Event::LimitReceived { min_gap: gap });
    assert!(solo.machine.effective_interval() >= gap, "{:?}", solo.machine.effective_interval());
}

/// J10: no life can be missed before the grace is over; unanswered pings convicted inside it.
#[test]
fn unanswered_pings_do_not_convict_inside_the_startup_grace() {
    let builder = Config::builder().interval(secs(1)).timeout(secs(4)).startup_grace(secs(60));
    let builder = builder.ping_unanswered(3, Verdict::Convict).no_keepalive();
    let mut solo = Solo::new(builder.build().expect("valid"));
    let lost = solo.lost_by(200 * SEC).expect("a verdict");
    assert!(lost > 60 * SEC, "lost at {lost}: {:?}", solo.verdict());
}

/// LC6: a grace that lay ahead when the suspension began moves with it; it once ran on meanwhile.
#[test]
fn a_suspension_does_not_use_up_the_startup_grace() {
    let builder = Config::builder().interval(secs(1)).timeout(secs(4)).startup_grace(secs(60));
    let mut solo = Solo::new(builder.no_keepalive().build().expect("valid"));
    let _ = solo.tell_at(1, Event::Suspend);
    let _ = solo.tell_at(59 * SEC, RESUME);
    let lost = solo.lost_by(400 * SEC).expect("a verdict");
    assert!(lost >= (59 + 60 + 4) * SEC, "lost at {lost}");
}

/// LC6: a `Resume` is itself never a late call; under Strict it was, and convicted before the time
/// slept was credited.
#[test]
fn a_resume_that_nobody_announced_does_not_convict_under_strict() {
    let builder = Config::builder().interval(secs(1)).timeout(secs(4));
    let config = builder.late_policy(LatePolicy::Strict).build().expect("valid");
    let mut solo = Solo::alive(config);
    let _ = solo.tell_at(3_601 * SEC, Event::Resume { slept: secs(3_600) });
    solo.assert_live();
}

/// J10, P8: with overlapping windows, pongs that are late (but come, one for every ping) did not
/// end the run of unanswered pings, and a step of the round-trip time convicted.
#[test]
fn late_pongs_for_every_ping_end_the_run_of_unanswered_ones() {
    let builder = Config::builder().interval(ms(300)).timeout(ms(3_900)).jitter_percent(0);
    let builder = builder.probing(Probing::Always).ping_unanswered(3, Verdict::Convict);
    let mut solo = Solo::new(builder.build().expect("valid"));
    let mut pongs: Vec<(u64, PingId)> = Vec::new();
    let mut sent = 0;
    for _ in 0..300 {
        let Some(due) = solo.due() else { break };
        if pongs.first().is_some_and(|&(arrival, _)| arrival <= due) {
            let (arrival, id) = pongs.remove(0);
            let _ = solo.tell_at(arrival, Event::pong(id));
            let _ = solo.tell(Event::FrameReceived);
            continue;
        }
        if let Some(id) = ping_in(&solo.tell_at(due, Event::Tick)) {
            sent += 1;
            let rtt = if sent < 20 { 1_100 * MS } else { 1_300 * MS }; // the window is 1.2 s
            pongs.push((due + rtt, id));
        }
        if due % (600 * MS) < 300 * MS {
            let _ = solo.tell(Event::FrameReceived);
        }
    }
    assert!(sent > 30 && solo.found(Findings::PONG_LATE) > 5, "{sent} pings");
    solo.assert_live();
}

/// J6: the caller probed inside its window and the pong came inside its own, but the verdict fell
/// between the two: under the external schedule V waits for the judged ping's window.
#[test]
fn a_verdict_waits_for_the_window_of_a_ping_that_the_caller_sent_in_time() {
    let builder = plain(10, 20).attempts(1).schedule(PingSchedule::External);
    let mut solo = Solo::alive(builder.late_policy(LatePolicy::Strict).build().expect("valid"));
    let mut call: Option<u64> = None;
    let mut pong: Option<(u64, PingId)> = None;
    for _ in 0..50 {
        let Some(due) = solo.due() else { break };
        if let Some((arrival, id)) = pong.take_if(|(arrival, _)| *arrival <= due) {
            let _ = solo.tell_at(arrival, Event::pong(id));
        } else if let Some(moment) = call.take_if(|moment| *moment <= due) {
            let actions = solo.tell_at(moment, Event::PingDue);
            pong = ping_in(&actions).map(|id| (moment + 6 * SEC, id));
        } else if solo.tell_at(due, Event::Tick).contains(&Action::RequestProbe) {
            call = Some(due + 5 * SEC);
        }
    }
    assert!(solo.pings().len() > 3);
    solo.assert_live();
}

/// J6: without ids a late call's grant must not get lost to the ping that is outstanding: inside its
/// window that is begun anew, and after it another ping is sent. It got no window at all.
#[test]
fn a_late_call_without_ids_gives_a_whole_window() {
    let builder = Config::builder().interval(secs(10)).timeout(secs(20)).attempts(1).ids(false);
    let builder = builder.jitter_percent(0).first_ping(FirstPing::AfterInterval);
    // Late for the end of the window at 20 s; and, inside the window, for a beacon at 15 s.
    for (builder, thaw) in [(builder, 25 * SEC), (builder.keepalive(secs(5)), 18 * SEC)] {
        let mut solo = Solo::new(builder.build().expect("valid"));
        let _ = solo.next_ping();
        assert_eq!(solo.now, 10 * SEC);
        let actions = solo.tell_at(thaw, Event::Tick);
        assert!(findings_in(&actions).contains(Findings::REPROBE), "{actions:?}");
        solo.assert_live();
        let lost = solo.lost_by(1_000 * SEC).expect("a verdict");
        assert!(lost >= thaw + 10 * SEC, "{lost}, thawed at {thaw}");
    }
}

/// LC9: another, shorter timeout never means instant death, not even when the grant of this silence
/// was used up before; what was granted is forgotten.
#[test]
fn a_shorter_timeout_is_no_instant_death_after_a_grant_was_used_up() {
    let build = |interval, timeout| {
        let builder = Config::builder().interval(secs(interval)).timeout(secs(timeout));
        builder.no_keepalive().build().expect("valid")
    };
    let mut solo = Solo::alive(build(10, 100));
    let slept = core::time::Duration::from_nanos(1);
    let _ = solo.tell_at(5 * SEC, Event::Resume { slept });
    assert_eq!(solo.lost_by(70 * SEC), None);
    solo.skip_to(71 * SEC);
    let _ = solo.machine.reconfigure(build(5, 20), at(solo.now));
    solo.assert_live();
}

/// A3: the pings that piled up while we were frozen count as one strike; each counted, and they
/// convicted the peer.
#[test]
fn a_burst_after_our_own_freeze_is_not_charged_to_the_peer() {
    let builder = Config::builder().interval(secs(10)).timeout(secs(100)).accept_gap(secs(10));
    let mut solo = Solo::alive(builder.police(3, 3, Verdict::Convict).build().expect("valid"));
    for seq in 1..=7 {
        let _ = solo.tell_at(80 * SEC, Event::ping(PingId::new(1, seq)));
    }
    assert_eq!(solo.machine.stats().strikes, 4); // told, but counted once
    solo.assert_live();
}

/// CF5, J6: the window of a granted ping runs from its emission; a late writing started it again,
/// and the verdict fell after the time promised.
#[test]
fn the_late_writing_of_a_granted_ping_does_not_break_the_promise() {
    let builder = plain(10, 40).write_stall(secs(1_000)).write_reports(true);
    let config = builder.build().expect("valid");
    let mut solo = Solo::alive(config);
    while let Some(due) = solo.due().filter(|&due| due <= 38 * SEC) {
        if let Some(id) = ping_in(&solo.tell_at(due, Event::Tick)) {
            let _ = solo.tell(Event::PingSent { id });
        }
    }
    let due = solo.due().expect("live");
    let actions = solo.tell_at(45 * SEC, Event::Tick);
    assert!(findings_in(&actions).contains(Findings::REPROBE), "{actions:?}");
    let lateness = solo.now - due;
    let id = ping_in(&actions).expect("a re-probe");
    let _ = solo.lost_by(54 * SEC);
    let _ = solo.tell(Event::PingSent { id });
    let lost = solo.lost_by(1_000 * SEC).expect("a verdict");
    let bound = nanos(config.worst_case_detection()) + 1 + lateness;
    assert!(lost <= bound, "{} ns beyond the promise", lost - bound);
}

/// J5: a ping that left late because we were called late, and was written at once, is no sign of
/// a stalled writer; under Strict the verdict said so.
#[test]
fn a_ping_emitted_late_and_written_at_once_does_not_blame_the_writer() {
    let builder = plain(10, 40).late_policy(LatePolicy::Strict).write_reports(true);
    let mut solo = Solo::alive(builder.build().expect("valid"));
    let actions = solo.tell_at(35 * SEC, Event::Tick);
    let id = ping_in(&actions).expect("a ping");
    let _ = solo.tell(Event::PingSent { id });
    let _ = solo.lost_by(100 * SEC).expect("a verdict");
    assert_ne!(solo.verdict().map(|(_, reason)| reason), Some(Reason::WriteStalled));
}

/// J12, S2: under Forgive the verdict of a late call told the silence with the time that had just
/// been forgiven.
#[test]
fn the_silence_told_leaves_out_the_time_that_was_forgiven() {
    let config = plain(10, 40).late_policy(LatePolicy::Forgive(secs(5))).build().expect("valid");
    let mut solo = Solo::alive(config);
    solo.run_to(30 * SEC);
    let _ = solo.tell_at(100 * SEC, Event::Tick);
    assert_eq!(solo.machine.liveness(), Liveness::Lost);
    assert_eq!(solo.machine.report().expect("a verdict").silence, secs(95));
}

/// A6, S4: where only pongs are life, a peer that lowered the gap it had asked for was lost in that
/// very call: the limit of silence shrank with the interval, and no ping had left for long.
#[test]
fn a_peer_that_lowers_its_limit_is_asked_before_any_verdict() {
    for late in [LatePolicy::Reprobe, LatePolicy::Strict] {
        let builder = plain(5, 20).ceiling(secs(100)).life_rule(LifeRule::ExactPong);
        let mut solo = Solo::new(builder.late_policy(late).build().expect("valid"));
        let id = solo.next_ping();
        let _ = solo.tell(Event::pong(id));
        let heard = solo.now;
        let _ = solo.tell(Event::LimitReceived { min_gap: secs(90) });
        solo.run_to(heard + 60 * SEC);
        let actions = solo.tell(Event::LimitReceived { min_gap: ms(1) });
        solo.assert_live();
        assert!(ping_in(&actions).is_some(), "{actions:?}");
        assert_eq!(solo.lost_by(200 * SEC), Some(heard + 65 * SEC + 1));
    }
}

/// J10, S3: a frame and the pong behind it lay in the buffer of a process that woke up late; the
/// frame ended the window of the ping, which convicted a peer that had answered in time.
#[test]
fn a_window_that_a_late_call_ends_does_not_convict_a_peer_that_talks() {
    let builder = plain(10, 40).ping_unanswered(1, Verdict::Convict);
    let mut solo = Solo::alive(builder.build().expect("valid"));
    let id = solo.next_ping();
    let due = solo.due().expect("the end of the window");
    let _ = solo.tell_at(due + SEC, Event::FrameReceived);
    let _ = solo.tell(Event::pong(id));
    solo.assert_live();
    // A window that a punctual call ends still does.
    let _ = solo.next_ping();
    let _ = solo.tell_at(solo.now + SEC, Event::FrameReceived);
    let lost = solo.lost_by(solo.now + 20 * SEC).expect("a verdict");
    assert_eq!(solo.verdict(), Some((lost, Reason::PingUnanswered)));
}

/// E6: a pong that had waited for our own frozen process gave a round trip of the whole freeze, and
/// an adaptive detector then waited for the ceiling before it found the peer dead.
#[test]
fn a_pong_that_waited_for_us_is_no_round_trip() {
    let builder = plain(1, 4).ceiling(secs(30)).probing(Probing::Always);
    let config = builder.detector(Deadline::rtt_adaptive(3)).build().expect("valid");
    let mut solo = Solo::of(HeartbeatMachine::new(config, 7, at(0)));
    let _ = solo.tell(Event::Start);
    solo.answer_to(200 * SEC, 20 * MS);
    let before = solo.machine.rtt();
    let asleep = solo.next_ping();
    let _ = solo.tell_at(solo.now + 12 * SEC, Event::Tick);
    let _ = solo.tell(Event::pong(asleep));
    assert_eq!(solo.machine.rtt(), before, "the freeze was ours");
    assert!(solo.machine.is_verified_since(at(solo.now - 12 * SEC)), "but it is proof of life");
    let asleep = solo.now;
    let lost = solo.lost_by(asleep + 30 * SEC).expect("a verdict");
    assert!(lost - asleep < 3 * SEC, "{} ns after its last sign of life", lost - asleep);
    // Three pings later round trips count again.
    let mut solo = Solo::of(HeartbeatMachine::new(config, 7, at(0)));
    let _ = solo.tell(Event::Start);
    let _ = solo.next_ping();
    let _ = solo.tell_at(solo.now + 3 * SEC, Event::FrameReceived);
    for _ in 0..3 {
        let id = solo.next_ping();
        let _ = solo.tell_at(solo.now + MS, Event::pong(id));
    }
    assert_eq!(solo.machine.rtt().smoothed(), Some(ms(1)));
}

/// J6, S3: a newer ping that waited to be written hid the written ping that was judged, and its
/// answer came inside its window to a peer that was lost already.
#[test]
fn a_verdict_waits_for_the_written_ping_behind_which_another_is_unwritten() {
    let builder = Config::builder().interval(ms(10)).timeout(ms(17)).attempts(1).no_keepalive();
    let builder = builder.life_rule(LifeRule::ExactPong).jitter_percent(50).write_reports(true);
    let builder = builder
        .min_gap(ms(4))
        .suspect_interval(ms(5))
        .slack(core::time::Duration::from_micros(1_750));
    let mut solo = Solo::new(builder.first_ping(FirstPing::AfterInterval).build().expect("valid"));
    let first = solo.next_ping(); // at 10 ms
    let _ = solo.tell_at(solo.now + 1_700_000, Event::PingSent { id: first });
    let second = ping_in(&solo.tell_at(16 * MS, Event::PingDue));
    assert!(second.is_some(), "and it stays unwritten");
    solo.run_to(17 * MS + 2);
    solo.assert_live();
    let _ = solo.tell_at(18 * MS, Event::pong(first)); // 6.3 ms after its writing; W is 7 ms
    solo.run_to(20 * MS);
    solo.assert_live();
}
