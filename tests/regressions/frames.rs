//! What went wrong once with frames: pongs that were taken for what they are not, pings and beacons
//! that were not sent, and a writer that was blamed, or believed, wrongly.

use core::time::Duration;

use crate::common::{MS, RESUME, SEC, Solo, at, findings_in, ms, ping_in, secs};
use heartbeat_proto::{
    Action, Config, ConfigBuilder, Event, Findings, FirstPing, LifeRule, Liveness, Mode, PingId,
    Probing, Reason, Verdict,
};

/// No chance and no keepalive, so that nothing but the rule at hand is seen.
fn plain(interval: u64, timeout: u64) -> ConfigBuilder {
    let builder = Config::builder().interval(secs(interval)).timeout(secs(timeout));
    builder.jitter_percent(0).no_keepalive()
}

/// A driver that tells what it wrote.
fn reporting() -> ConfigBuilder {
    plain(10, 40).first_ping(FirstPing::AfterInterval).write_reports(true)
}

// ----- Pongs -----

/// P11, E4: a beacon took a number of its own, so that the pong of the ping before it seemed to
/// answer an old one.
#[test]
fn a_keepalive_between_ping_and_pong_does_not_make_the_pong_late() {
    let builder = Config::builder().interval(secs(10)).timeout(secs(40)).jitter_percent(0);
    let builder = builder.min_gap(ms(2_500)).keepalive(ms(2_500)).probing(Probing::Always);
    let builder = builder.ping_unanswered(3, Verdict::Convict).probe_loss(3, 5, Verdict::Report);
    let mut solo = Solo::new(builder.build().expect("valid"));
    solo.answer_to(1_000 * SEC, 3_500 * MS); // in its window of 10 s
    let beacon = |(_, action): &&(u64, Action)| matches!(action, Action::SendBeacon { .. });
    assert!(solo.log.iter().filter(beacon).count() > 100);
    assert_eq!(solo.found(Findings::PONG_LATE), 0);
    assert_eq!(solo.found(Findings::PROBE_LOSS), 0);
    assert_eq!(solo.machine.liveness(), Liveness::Alive);
}

/// E1, E4: a pong that the ledger has forgotten may be a replay; it passed for a late one, which
/// is evidence under `ExactPong`.
#[test]
fn an_old_pong_replayed_for_ever_is_no_life() {
    let builder = plain(1, 4).life_rule(LifeRule::ExactPong);
    let mut solo = Solo::new(builder.build().expect("valid"));
    let replayed = solo.next_ping();
    let _ = solo.tell_at(solo.now + MS, Event::pong(replayed));
    solo.answer_to(20 * SEC, MS);
    assert_eq!(solo.machine.liveness(), Liveness::Alive);
    for _ in 0..100 {
        solo.run_to(solo.now + SEC);
        let _ = solo.tell(Event::pong(replayed));
    }
    assert_eq!(solo.machine.liveness(), Liveness::Lost);
}

/// E8: without ids, the pong of a ping sent before a suspension gave a sample against the ping
/// sent at the resume.
#[test]
fn a_pong_without_id_gives_no_sample_across_a_resume() {
    let builder = Config::builder().interval(secs(10)).timeout(secs(40)).jitter_percent(0);
    let mut solo = Solo::new(builder.ids(false).build().expect("valid"));
    let _ = solo.next_ping();
    let _ = solo.tell_at(20 * SEC, Event::Suspend);
    let _ = solo.tell_at(120 * SEC, RESUME);
    let _ = solo.tell_at(120 * SEC + 1_000, Event::AnonymousPongReceived);
    assert_eq!(solo.machine.rtt().smoothed(), None);
}

/// CF2, E4: pings on demand at the smallest gap are at most four to a window, which the table
/// remembers; a smaller gap was allowed, and a pong inside its window was not known any more.
#[test]
fn a_burst_of_pings_on_demand_forgets_no_pending_pong() {
    let builder = plain(10, 40).min_gap(ms(2_500)).life_rule(LifeRule::ExactPong);
    let builder = builder.probe_loss(1, 1, Verdict::Report);
    let mut solo = Solo::new(builder.build().expect("valid"));
    let burst: Vec<_> = (0..4)
        .filter_map(|turn| ping_in(&solo.tell_at(SEC + turn * 2_500 * MS, Event::PingDue)))
        .collect();
    assert_eq!(burst.len(), 4);
    let actions = solo.tell_at(11 * SEC, Event::pong(burst[0])); // its window's last moment
    assert!(!findings_in(&actions).contains(Findings::PONG_LATE), "{actions:?}");
    assert_eq!(solo.machine.liveness(), Liveness::Alive);
}

/// RP3: traffic that had been in the buffer all along passed for the answer to a ping.
#[test]
fn only_the_answer_to_a_ping_verifies_a_peer() {
    let mut solo = Solo::new(Config::lan());
    let actions = solo.tell_at(SEC, Event::PingDue);
    let id = ping_in(&actions).expect("a ping");
    let _ = solo.tell_at(SEC + 1, Event::FrameReceived);
    assert!(!solo.machine.is_verified_since(at(SEC)));
    let _ = solo.tell_at(SEC + 2, Event::pong(id));
    assert!(solo.machine.is_verified_since(at(SEC)));
}

/// A5: only a matched or late pong may slow us; one that answers nothing did.
#[test]
fn the_calm_signal_of_an_unmatched_pong_slows_nothing() {
    let mut solo = Solo::new(Config::builder().ceiling(secs(1_000)).build().expect("valid"));
    let before = solo.machine.effective_interval();
    let id = PingId::new(solo.machine.state().epoch(), 77);
    let pong = Event::PongReceived { id, stamp: None, hold: Duration::ZERO, calm: true };
    let actions = solo.tell_at(SEC, pong);
    assert!(findings_in(&actions).contains(Findings::PONG_UNMATCHED), "{actions:?}");
    assert_eq!(solo.machine.effective_interval(), before);
}

// ----- Pings and beacons -----

/// A3: a ping that is not admitted is evidence all the same; it renewed no life.
#[test]
fn a_ping_that_is_not_admitted_is_evidence() {
    let builder = Config::builder().accept_gap(secs(10)).police(1, 1, Verdict::Report);
    let mut solo = Solo::new(builder.build().expect("valid"));
    let _ = solo.tell_at(SEC, Event::ping(PingId::new(1, 1)));
    let actions = solo.tell_at(2 * SEC, Event::ping(PingId::new(1, 2)));
    assert!(findings_in(&actions).contains(Findings::PING_STRIKE), "{actions:?}");
    assert_eq!(solo.machine.liveness(), Liveness::Alive);
    assert!(solo.due() > Some(2 * SEC));
    let suspicion = solo.machine.suspicion(at(2 * SEC));
    assert!(suspicion.abs() < f64::EPSILON, "{suspicion}");
}

/// LC6, P12: what we owe the peer does not stand still while we are suspended; the keepalive did,
/// and the peer heard nothing for another interval.
#[test]
fn a_keepalive_is_sent_at_once_after_a_resume() {
    let builder = Config::builder().mode(Mode::Responder).interval(secs(10)).timeout(secs(40));
    let mut solo = Solo::alive(builder.keepalive(secs(10)).build().expect("valid"));
    let _ = solo.tell_at(9 * SEC, Event::Suspend);
    let actions = solo.tell_at(3_600 * SEC, RESUME);
    let beacon = |action: &Action| matches!(action, Action::SendBeacon { .. });
    assert!(actions.iter().any(beacon), "{actions:?}, due at {:?}", solo.due());
}

/// LC7, P9: the writer dropped the ping of a lost peer; it was waited for, and no other ever left.
#[test]
fn an_unwritten_ping_does_not_end_the_pings_to_a_lost_peer() {
    let builder = plain(1, 4).reopen_after(1).write_reports(true);
    let mut solo = Solo::new(builder.build().expect("valid"));
    let lost = solo.lost_by(100 * SEC).expect("a verdict");
    let before = solo.pings().len();
    solo.run_to(lost + 100 * SEC);
    assert!(solo.pings().len() > before, "lost at {lost}, and never pinged again");
}

// ----- The writer -----

/// J6: our own freeze is not charged to the writer: frozen before the driver could say `PingSent`,
/// the verdict was `write_stalled` at the first call.
#[test]
fn a_freeze_with_an_unwritten_ping_is_no_stalled_writer() {
    let mut solo = Solo::new(reporting().build().expect("valid"));
    let _ = solo.tell_at(SEC, Event::FrameReceived);
    let _ = solo.next_ping();
    let _ = solo.tell_at(3_600 * SEC, Event::Tick);
    solo.assert_live();
}

/// J6: the same for an owed pong, where evidence comes before any tick.
#[test]
fn a_freeze_with_an_unwritten_pong_is_no_stalled_writer() {
    let mut solo = Solo::new(reporting().build().expect("valid"));
    let _ = solo.tell_at(SEC, Event::FrameReceived);
    let actions = solo.tell_at(2 * SEC, Event::ping(PingId::new(1, 1)));
    assert!(matches!(actions[..], [Action::SendPong { .. }]), "{actions:?}");
    let _ = solo.tell_at(3_600 * SEC, Event::FrameReceived);
    solo.assert_live();
}

/// LC6: a resume means a whole window of peace, also where a ping is unwritten: its old window
/// stayed judged, and the verdict fell at once.
#[test]
fn a_resume_with_an_unwritten_ping_gives_a_whole_window() {
    let mut solo = Solo::new(reporting().write_stall(secs(100)).build().expect("valid"));
    let _ = solo.tell_at(SEC, Event::FrameReceived);
    assert_eq!(solo.lost_by(40 * SEC), None);
    assert_eq!(solo.pings().len(), 1);
    let _ = solo.tell_at(41 * SEC, Event::Suspend);
    let woke = 3_600 * SEC;
    let _ = solo.tell_at(woke, RESUME);
    let lost = solo.lost_by(4_000 * SEC).expect("a verdict");
    assert!(lost >= woke + 10 * SEC, "lost {} ns after the resume", lost - woke);
}

/// E9: after a final verdict, evidence is told once as a mistake; a report of the writer between
/// made it be told again.
#[test]
fn a_mistake_is_told_once_whatever_the_writer_says_after_it() {
    let mut solo = Solo::new(reporting().build().expect("valid"));
    let _ = solo.tell_at(SEC, Event::FrameReceived);
    let id = solo.next_ping();
    let lost = solo.lost_by(1_000 * SEC).expect("a verdict");
    assert_eq!(solo.verdict(), Some((lost, Reason::WriteStalled)));
    let _ = solo.tell_at(lost + SEC, Event::FrameReceived);
    let _ = solo.tell_at(lost + 2 * SEC, Event::PingSent { id });
    let _ = solo.tell_at(lost + 60 * SEC, Event::FrameReceived);
    let _ = solo.tell_at(lost + 61 * SEC, Event::FrameReceived);
    assert_eq!(solo.found(Findings::MISTAKE), 1);
}

/// LC9: without write reports nothing waits to be written any more; a ping whose report could no
/// longer come kept all others back.
#[test]
fn turning_write_reports_off_frees_the_pings_behind_an_unwritten_one() {
    let builder = Config::builder().interval(secs(10)).timeout(secs(40)).probing(Probing::Always);
    let mut solo = Solo::alive(builder.write_reports(true).build().expect("valid"));
    let _ = solo.next_ping();
    solo.skip_to(solo.now + 1);
    let _ = solo.machine.reconfigure(builder.build().expect("valid"), at(solo.now));
    let before = solo.machine.stats().pings_sent;
    for _ in 0..100 {
        solo.run_to(solo.now + 5 * SEC);
        let _ = solo.tell(Event::FrameReceived);
    }
    let stats = solo.machine.stats();
    assert!(stats.pings_sent > before, "no ping in 500 s, {} skipped", stats.pings_skipped);
}

/// A3: in Lost there is no verdict left to fall. One by abuse fell again, and forgot the ping that was
/// under way there.
#[test]
fn abuse_convicts_a_lost_peer_no_second_time() {
    let builder = Config::builder().interval(secs(1)).timeout(secs(4)).jitter_percent(0);
    let builder = builder.no_keepalive().life_rule(LifeRule::ExactPong).reopen_after(1);
    let builder = builder.down_interval(secs(3));
    let policed = builder.accept_gap(ms(200)).police(1, 2, Verdict::Convict);
    let mut solo = Solo::new(policed.build().expect("valid"));
    let _ = solo.lost_by(10 * SEC).expect("nobody answers");
    let _ = solo.next_ping();
    let (sent, due) = (solo.now, solo.due());
    let mut told = Findings::NONE;
    for (number, after) in [0, 1, 100, 101].into_iter().enumerate() {
        let ping = Event::ping(PingId::new(3, number as u32 + 1));
        told = findings_in(&solo.tell_at(sent + after * MS, ping));
    }
    assert!(told.contains(Findings::PING_ABUSE), "{told:?}");
    assert_eq!(solo.due(), due, "its window still runs");
}

/// E9, E10: a pong that comes too late is what the verdict of its own call falls by, and nothing that
/// proves it a mistake.
#[test]
fn a_pong_that_convicts_is_no_mistake() {
    let builder = Config::builder().interval(secs(1)).timeout(ms(2_200)).attempts(1);
    let builder = builder.jitter_percent(0).no_keepalive().first_ping(FirstPing::AfterInterval);
    let config = builder.probe_loss(1, 1, Verdict::Convict).build().expect("valid");
    let mut solo = Solo::alive(config);
    let first = solo.next_ping();
    let _ = solo.next_ping();
    let late = solo.due().expect("the end of the window, and of the silence");
    assert_eq!(late, 2_200 * MS + 1);
    let told = solo.tell_at(late, Event::pong(first));
    assert_eq!(findings_in(&told), Findings::PROBE_LOSS.with(Findings::PONG_LATE));
    assert_eq!(solo.machine.liveness(), Liveness::Lost);
}
