use core::time::Duration;
use heartbeat_proto::detector::Deadline;
use heartbeat_proto::*;

const S: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;
fn ts(n: u64) -> Timestamp {
    Timestamp::from_nanos(n)
}
fn d(n: u64) -> Duration {
    Duration::from_nanos(n)
}
type M = HeartbeatMachine<Deadline, Table>;
fn new(c: Config, at: u64) -> M {
    let mut m = M::new(c, 7, ts(at));
    let _ = m.handle(Event::Start, ts(at));
    m
}
fn ping(a: &Actions) -> Option<PingId> {
    a.clone().find_map(|x| if let Action::SendPing { id, .. } = x { Some(id) } else { None })
}
/// Ticks punctually until `until` or Lost; the time of Lost.
fn run(m: &mut M, until: u64) -> Option<u64> {
    let mut n = 0;
    while let Some(w) = m.next_deadline() {
        if w.as_nanos() > until {
            return None;
        }
        let _ = m.handle(Event::Tick, w);
        if m.liveness() == Liveness::Lost {
            return Some(w.as_nanos());
        }
        n += 1;
        assert!(n < 200_000, "spin");
    }
    None
}
fn alive(m: &mut M, at: u64) {
    let _ = m.handle(Event::FrameReceived, ts(at));
    assert_eq!(m.liveness(), Liveness::Alive);
}

// A1: a dead peer is never declared lost after a resume: overlapping windows
#[test]
fn a1_mesh_resume_never_lost() {
    let mut m = new(Config::service_mesh(), 0);
    alive(&mut m, 10);
    let _ = m.handle(Event::Suspend, ts(S));
    let _ = m.handle(Event::Resume { slept: Duration::ZERO }, ts(3600 * S));
    let lost = run(&mut m, 3700 * S);
    assert!(lost.is_some(), "dead for 100 s, still {:?}", m.liveness());
}
#[test]
fn a1_mesh_late_call_never_lost() {
    let mut m = new(Config::service_mesh(), 0);
    alive(&mut m, 10);
    assert_eq!(run(&mut m, 3500 * MS), None);
    let _ = m.handle(Event::Tick, ts(3700 * MS)); // ~ 100-200 ms late
    assert!(run(&mut m, 100 * S).is_some(), "still {:?}", m.liveness());
}
#[test]
fn a1_mesh_adaptive_slightly_late_timer_never_lost() {
    let c = Config::builder()
        .detector(Deadline::rtt_adaptive(1))
        .interval(d(300 * MS))
        .timeout(d(3900 * MS))
        .jitter_percent(0)
        .probing(Probing::Always)
        .no_keepalive()
        .build()
        .unwrap();
    let mut m = new(c, 0);
    // one exchange, then dead
    let w = m.next_deadline().unwrap();
    let id = ping(&m.handle(Event::Tick, w)).unwrap();
    let t0 = w.as_nanos();
    let _ = m.handle(Event::pong(id), ts(t0 + MS));
    // every timer 5 ms late (slack is 50)
    for _ in 0..2000 {
        let Some(w) = m.next_deadline() else { break };
        let _ = m.handle(Event::Tick, ts(w.as_nanos() + 5 * MS));
    }
    assert_eq!(m.liveness(), Liveness::Lost, "silent, {:?}", m.next_deadline());
}
#[test]
fn a1_ping_due_keeps_dead_peer_forever() {
    let c = Config::lan();
    let mut m = new(c, 0);
    alive(&mut m, 10);
    let _ = m.handle(Event::Suspend, ts(2 * S));
    let _ = m.handle(Event::Resume { slept: Duration::ZERO }, ts(10 * S));
    let mut t = 10 * S;
    for _ in 0..500 {
        t += 600 * MS;
        let _ = run(&mut m, t);
        let _ = m.handle(Event::PingDue, ts(t));
    }
    assert_eq!(m.liveness(), Liveness::Lost);
}

// A2: keepalive beacons share the sequence
#[test]
fn a2_beacon_between_ping_and_pong() {
    let c = Config::builder()
        .interval(d(10 * S))
        .timeout(d(40 * S))
        .min_gap(d(2500 * MS))
        .keepalive(d(2500 * MS))
        .jitter_percent(0)
        .probing(Probing::Always)
        .ping_unanswered(3, Verdict::Convict)
        .probe_loss(3, 5, Verdict::Report)
        .build()
        .unwrap();
    let mut m = new(c, 0);
    let mut late = 0;
    let mut pongs: Vec<(u64, PingId)> = vec![];
    let mut found = Findings::NONE;
    for _ in 0..400 {
        let Some(w) = m.next_deadline() else { break };
        let w = w.as_nanos();
        let a = if pongs.first().is_some_and(|p| p.0 <= w) {
            let (t, id) = pongs.remove(0);
            m.handle(Event::pong(id), ts(t))
        } else {
            let a = m.handle(Event::Tick, ts(w));
            if let Some(id) = ping(&a) {
                pongs.push((w + 3500 * MS, id));
            } // RTT 3.5 s, window 10 s
            a
        };
        found = found.with(a.findings());
        if a.findings().contains(Findings::PONG_LATE) {
            late += 1;
        }
        if m.liveness() == Liveness::Lost {
            break;
        }
    }
    assert!(
        m.liveness() == Liveness::Alive && late == 0,
        "{:?} {:?} late {late} {found}",
        m.liveness(),
        m.report().map(|r| r.to_string())
    );
}

// A3: own freeze while a ping is unwritten
fn wr() -> Config {
    Config::builder()
        .interval(d(10 * S))
        .timeout(d(40 * S))
        .jitter_percent(0)
        .no_keepalive()
        .first_ping(FirstPing::AfterInterval)
        .write_reports(true)
        .build()
        .unwrap()
}
#[test]
fn a3_freeze_with_unwritten_ping() {
    let mut m = new(wr(), 0);
    alive(&mut m, S);
    let w = m.next_deadline().unwrap();
    assert!(ping(&m.handle(Event::Tick, w)).is_none()); // moved by traffic
    let w = m.next_deadline().unwrap();
    assert!(ping(&m.handle(Event::Tick, w)).is_some());
    // frozen before the driver could say PingSent
    let a = m.handle(Event::Tick, ts(3600 * S));
    assert!(m.liveness().is_live(), "{a:?} {}", m.report().unwrap());
}
#[test]
fn a3_freeze_with_owed_pong_then_evidence() {
    let mut m = new(wr(), 0);
    alive(&mut m, S);
    let _ = m.handle(Event::ping(PingId::new(1, 1)), ts(2 * S)); // a pong is handed to the writer
    let a = m.handle(Event::FrameReceived, ts(3600 * S)); // frozen; then evidence comes first
    assert!(m.liveness().is_live(), "{a:?} {}", m.report().unwrap());
}
#[test]
fn a3_resume_with_unwritten_ping() {
    let c = Config::builder()
        .interval(d(10 * S))
        .timeout(d(40 * S))
        .write_stall(d(100 * S))
        .jitter_percent(0)
        .no_keepalive()
        .first_ping(FirstPing::AfterInterval)
        .write_reports(true)
        .build()
        .unwrap();
    let mut m = new(c, 0);
    alive(&mut m, S);
    assert_eq!(run(&mut m, 40 * S), None);
    let _ = m.handle(Event::Suspend, ts(41 * S));
    let _ = m.handle(Event::Resume { slept: Duration::ZERO }, ts(3600 * S));
    let lost = run(&mut m, 4000 * S).unwrap();
    assert!(
        lost >= 3610 * S,
        "lost {} ns after the resume: {}",
        lost - 3600 * S,
        m.report().unwrap()
    );
}

// A4: lowering the limit
#[test]
fn a4_limit_lowered() {
    let c = Config::builder()
        .interval(d(5 * S))
        .timeout(d(20 * S))
        .ceiling(d(60 * S))
        .jitter_percent(0)
        .no_keepalive()
        .build()
        .unwrap();
    let mut m = new(c, 0);
    let w = m.next_deadline().unwrap();
    let id = ping(&m.handle(Event::Tick, w)).unwrap();
    let t = w.as_nanos();
    let _ = m.handle(Event::pong(id), ts(t + MS));
    let _ = m.handle(Event::LimitReceived { min_gap: d(50 * S) }, ts(t + 2 * MS));
    let _ = m.handle(Event::LimitReceived { min_gap: d(0) }, ts(t + 3 * MS));
    // a healthy peer that answers each ping at once
    let mut pings = 0;
    while let Some(w) = m.next_deadline() {
        if w.as_nanos() > 200 * S {
            break;
        }
        let a = m.handle(Event::Tick, w);
        if let Some(id) = ping(&a) {
            pings += 1;
            let _ = m.handle(Event::pong(id), ts(w.as_nanos() + MS));
        }
    }
    assert!(m.liveness() == Liveness::Alive, "{pings} pings, {}", m.report().unwrap());
}

// A5: down_interval > timeout
fn reopen(n: u8) -> bool {
    let c = Config::builder()
        .interval(d(S))
        .timeout(d(4 * S))
        .down_interval(d(10 * S))
        .reopen_after(n)
        .jitter_percent(0)
        .no_keepalive()
        .build()
        .unwrap();
    let mut m = new(c, 0);
    assert!(run(&mut m, 100 * S).is_some());
    let mut losses = 0;
    for _ in 0..200 {
        let w = m.next_deadline().unwrap();
        let a = m.handle(Event::Tick, w);
        if m.liveness() == Liveness::Lost && a.transition().is_some() {
            losses += 1;
        }
        if let Some(id) = ping(&a) {
            let _ = m.handle(Event::pong(id), ts(w.as_nanos() + MS));
        }
    }
    losses == 0 && m.liveness() == Liveness::Alive
}
#[test]
fn a5_reopen_1() {
    assert!(reopen(1));
}
#[test]
fn a5_reopen_2() {
    assert!(reopen(2));
}

// A6: drain timeout with reopen_after spins
#[test]
fn a6_drain_timeout_spins() {
    let c = Config::builder().interval(d(S)).timeout(d(4 * S)).reopen_after(1).build().unwrap();
    let mut m = new(c, 0);
    alive(&mut m, 10);
    let _ = m.handle(Event::Drain, ts(S));
    let _ = m.handle(Event::Tick, ts(12 * S));
    assert_eq!(m.liveness(), Liveness::Lost);
    assert!(m.next_deadline().is_none_or(|w| w.as_nanos() > 12 * S), "{:?}", m.next_deadline());
}
// A7: close while Lost with reopen
#[test]
fn a7_close_in_lost_with_reopen() {
    let c = Config::builder().interval(d(S)).timeout(d(4 * S)).reopen_after(1).build().unwrap();
    let mut m = new(c, 0);
    let l = run(&mut m, 100 * S).unwrap();
    let _ = m.handle(Event::Close, ts(l + 1));
    assert!(
        m.liveness() == Liveness::Closed && m.next_deadline().is_none(),
        "{:?} {:?}",
        m.liveness(),
        m.next_deadline()
    );
}
// A8: External, Lost, reopen: after one unanswered request no wake-up
#[test]
fn a8_external_lost_reopen_wedges() {
    let c = Config::builder()
        .interval(d(S))
        .timeout(d(4 * S))
        .schedule(PingSchedule::External)
        .reopen_after(1)
        .no_keepalive()
        .build()
        .unwrap();
    let mut m = new(c, 0);
    assert!(run(&mut m, 100 * S).is_some());
    let mut requests = 0;
    requests += 1;
    for _ in 0..10 {
        let Some(w) = m.next_deadline() else { break };
        requests += m.handle(Event::Tick, w).filter(|a| *a == Action::RequestProbe).count();
    }
    assert!(requests > 1, "{requests} request(s), then {:?}", m.next_deadline());
}
// A9: ExactPong renewed by an old duplicate
#[test]
fn a9_replayed_old_pong_is_life() {
    let c = Config::builder()
        .interval(d(S))
        .timeout(d(4 * S))
        .life_rule(LifeRule::ExactPong)
        .jitter_percent(0)
        .no_keepalive()
        .build()
        .unwrap();
    let mut m = new(c, 0);
    let mut first = None;
    for _ in 0..40 {
        let w = m.next_deadline().unwrap();
        let a = m.handle(Event::Tick, w);
        if let Some(id) = ping(&a) {
            first.get_or_insert(id);
            let _ = m.handle(Event::pong(id), ts(w.as_nanos() + MS));
        }
    }
    // dead now; a replayed pong #1 comes every second
    let mut t = m.next_deadline().unwrap().as_nanos();
    for _ in 0..100 {
        t += S;
        let _ = run(&mut m, t);
        let _ = m.handle(Event::pong(first.unwrap()), ts(t));
    }
    assert_eq!(m.liveness(), Liveness::Lost);
}
// A10: grace and unanswered
#[test]
fn a10_grace_convicts_as_unanswered() {
    let c = Config::builder()
        .interval(d(S))
        .timeout(d(4 * S))
        .startup_grace(d(60 * S))
        .ping_unanswered(3, Verdict::Convict)
        .no_keepalive()
        .build()
        .unwrap();
    let mut m = new(c, 0);
    let l = run(&mut m, 200 * S).unwrap();
    assert!(l > 60 * S, "lost at {l}: {}", m.report().unwrap());
}
#[test]
fn a10_suspend_eats_grace() {
    let c = Config::builder()
        .interval(d(S))
        .timeout(d(4 * S))
        .startup_grace(d(60 * S))
        .no_keepalive()
        .build()
        .unwrap();
    let mut m = new(c, 0);
    let _ = m.handle(Event::Suspend, ts(1));
    let _ = m.handle(Event::Resume { slept: Duration::ZERO }, ts(59 * S));
    let l = run(&mut m, 400 * S).unwrap();
    assert!(l >= (59 + 60 + 4) * S, "lost at {l}");
}
// A11: panics
#[test]
fn a11_new_at_max() {
    let m = M::new(Config::lan(), 1, Timestamp::MAX);
    let _ = m.next_deadline();
}
#[test]
fn a11_reconnected_at_max() {
    let mut m = new(Config::lan(), 0);
    let _ = m.handle(Event::Tick, Timestamp::MAX);
    let _ = m.reconnected(Timestamp::MAX);
}
#[test]
fn a11_reconfigure_at_max() {
    let mut m = new(Config::lan(), 0);
    let _ = m.reconfigure(Config::wan(), Timestamp::MAX);
}
#[test]
fn a11_drain_resume_at_end() {
    let end = u64::MAX - 4 * 24 * 3600 * S;
    let mut m = new(Config::lan(), end);
    let _ = m.handle(Event::Drain, ts(end));
    for _ in 0..5 {
        let _ = m.handle(Event::Resume { slept: MAX_SPAN }, ts(end));
    }
}
// A12: strict + resume without suspend
#[test]
fn a12_strict_resume_without_suspend() {
    let c = Config::builder()
        .interval(d(S))
        .timeout(d(4 * S))
        .late_policy(LatePolicy::Strict)
        .build()
        .unwrap();
    let mut m = new(c, 0);
    alive(&mut m, 10);
    let _ = m.handle(Event::Resume { slept: d(3600 * S) }, ts(3601 * S));
    assert!(m.liveness().is_live(), "{}", m.report().unwrap());
}
#[test]
fn a12_forgive_resume_double_credit() {
    let c = Config::builder()
        .interval(d(10 * S))
        .timeout(d(60 * S))
        .attempts(5)
        .jitter_percent(0)
        .no_keepalive()
        .late_policy(LatePolicy::Forgive(d(3600 * S)))
        .build()
        .unwrap();
    let mut m = new(c, 0);
    alive(&mut m, 10);
    let _ = run(&mut m, 50 * S);
    let w = m.next_deadline().unwrap().as_nanos();
    let _ = m.handle(Event::Resume { slept: d(100 * S) }, ts(w + 100 * S));
    // 100 s slept; what remained is about 60 - w
    let l = run(&mut m, 4000 * S).unwrap();
    let bound = (10 + 60 * S + 100 * S).max(w + 100 * S + 10 * S) + S;
    assert!(l <= bound, "{} ns late", l - bound);
}
// A13: unanswered saturates into TOLD in silence
#[test]
fn a13_unanswered_saturates() {
    let c = Config::builder()
        .interval(d(10 * S))
        .response_window(d(8 * S))
        .attempts(5)
        .suspect_interval(d(2 * S))
        .probing(Probing::Always)
        .ping_unanswered(3, Verdict::Convict)
        .no_keepalive()
        .jitter_percent(0)
        .first_ping(FirstPing::AfterInterval)
        .build()
        .unwrap();
    let mut m = new(c, 0);
    alive(&mut m, 10);
    assert_eq!(run(&mut m, 49 * S), None);
    // the peer talks again, but never answers a ping
    let mut t = 49 * S;
    for _ in 0..600 {
        t += S;
        let _ = m.handle(Event::FrameReceived, ts(t));
        let _ = run(&mut m, t + S - 1);
    }
    assert_eq!(m.liveness(), Liveness::Lost, "ten minutes of talk without one pong");
}
// A14: every ping answered, 100 ms after its window; overlapping windows, convict
#[test]
fn a14_rtt_step_convicts() {
    let c = Config::builder()
        .interval(d(300 * MS))
        .timeout(d(3900 * MS))
        .jitter_percent(0)
        .probing(Probing::Always)
        .ping_unanswered(3, Verdict::Convict)
        .build()
        .unwrap();
    let mut m = new(c, 0);
    let mut q: Vec<(u64, PingId)> = vec![];
    let mut k = 0;
    for _ in 0..300 {
        let w = match m.next_deadline() {
            Some(w) => w.as_nanos(),
            None => break,
        };
        let traffic = (w / (100 * MS)) * 100 * MS;
        let _ = traffic;
        if q.first().is_some_and(|p| p.0 <= w) {
            let (t, id) = q.remove(0);
            let _ = m.handle(Event::pong(id), ts(t));
            let _ = m.handle(Event::FrameReceived, ts(t));
            continue;
        }
        let a = m.handle(Event::Tick, ts(w));
        if let Some(id) = ping(&a) {
            k += 1;
            let rtt = if k >= 20 { 1300 } else { 1100 };
            q.push((w + rtt * MS, id));
        }
        if w % (600 * MS) < 300 * MS {
            let _ = m.handle(Event::FrameReceived, ts(w));
        }
    }
    assert!(m.liveness().is_live(), "{}", m.report().unwrap());
}
// A15: external, strict: a pong in its window, a caller in its window, still lost
#[test]
fn a15_external_strict_false_verdict() {
    let c = Config::builder()
        .interval(d(10 * S))
        .timeout(d(20 * S))
        .attempts(1)
        .schedule(PingSchedule::External)
        .late_policy(LatePolicy::Strict)
        .no_keepalive()
        .jitter_percent(0)
        .build()
        .unwrap();
    let mut m = new(c, 0);
    alive(&mut m, 10);
    let mut due: Option<u64> = None;
    let mut pong: Option<(u64, PingId)> = None;
    for _ in 0..50 {
        let Some(w) = m.next_deadline() else { break };
        let w = w.as_nanos();
        if let Some((t, id)) = pong.filter(|p| p.0 <= w) {
            pong = None;
            let _ = m.handle(Event::pong(id), ts(t));
            continue;
        }
        if let Some(t) = due.filter(|t| *t <= w) {
            due = None;
            if let Some(id) = ping(&m.handle(Event::PingDue, ts(t))) {
                pong = Some((t + 6 * S, id));
            }
            continue;
        }
        if m.handle(Event::Tick, ts(w)).any(|a| a == Action::RequestProbe) {
            due = Some(w + 5 * S);
        }
    }
    assert!(m.liveness().is_live(), "{}", m.report().unwrap());
}
// A16: reconfigure
#[test]
fn a16_reconfigure_instant_death() {
    let a =
        Config::builder().interval(d(10 * S)).timeout(d(100 * S)).no_keepalive().build().unwrap();
    let b = Config::builder().interval(d(5 * S)).timeout(d(20 * S)).no_keepalive().build().unwrap();
    let mut m = new(a, 0);
    alive(&mut m, 10);
    let _ = m.handle(Event::Resume { slept: d(1) }, ts(5 * S)); // a grant, used up at once
    assert_eq!(run(&mut m, 70 * S), None);
    let _ = m.reconfigure(b, ts(71 * S));
    assert!(m.liveness().is_live(), "{}", m.report().unwrap());
}
#[test]
fn a16_reconfigure_ends_suspension() {
    let c =
        Config::builder().mode(Mode::Responder).interval(d(S)).timeout(d(4 * S)).build().unwrap();
    let mut m = new(c, 0);
    alive(&mut m, 10);
    let _ = m.handle(Event::Suspend, ts(S));
    let _ = m.reconfigure(c, ts(100 * S));
    assert_eq!(m.next_deadline(), None, "suspended");
}
#[test]
fn a16_reconfigure_write_reports_off_wedges() {
    let off = Config::builder()
        .interval(d(10 * S))
        .timeout(d(40 * S))
        .probing(Probing::Always)
        .build()
        .unwrap();
    let on = Config::builder()
        .interval(d(10 * S))
        .timeout(d(40 * S))
        .probing(Probing::Always)
        .write_reports(true)
        .build()
        .unwrap();
    let mut m = new(on, 0);
    alive(&mut m, 10);
    let mut t = 0;
    while m.stats().pings_sent == 0 {
        t = m.next_deadline().unwrap().as_nanos();
        let _ = m.handle(Event::Tick, ts(t));
    }
    let _ = m.reconfigure(off, ts(t + 1));
    let before = m.stats().pings_sent;
    for _ in 0..100 {
        t += 5 * S;
        let _ = run(&mut m, t);
        let _ = m.handle(Event::FrameReceived, ts(t));
    }
    assert!(m.stats().pings_sent > before, "no ping in 500 s, {} skipped", m.stats().pings_skipped);
}
#[test]
fn a16_reconfigure_to_responder_wedges() {
    let a = Config::builder()
        .interval(d(10 * S))
        .timeout(d(40 * S))
        .min_gap(d(8 * S))
        .jitter_percent(0)
        .suspect_interval(d(10 * S))
        .no_keepalive()
        .build()
        .unwrap();
    let b = Config::builder()
        .mode(Mode::Responder)
        .interval(d(10 * S))
        .timeout(d(40 * S))
        .build()
        .unwrap();
    let mut m = new(a, 0);
    alive(&mut m, 10);
    let mut t = 0;
    while m.stats().pings_sent == 0 {
        t = m.next_deadline().unwrap().as_nanos();
        let _ = m.handle(Event::Tick, ts(t));
    }
    let _ = m.handle(Event::Resume { slept: d(1) }, ts(t + 1)); // grant wanted, inside the gap
    let _ = m.reconfigure(b, ts(t + 2));
    let _ = run(&mut m, 1000 * S);
    assert!(m.liveness() == Liveness::Lost, "{:?} {:?}", m.liveness(), m.next_deadline());
}
// A17: write reports: the window of a granted ping runs from its writing
#[test]
fn a17_grant_window_from_writing() {
    let c = Config::builder()
        .interval(d(10 * S))
        .timeout(d(40 * S))
        .write_stall(d(1000 * S))
        .jitter_percent(0)
        .no_keepalive()
        .write_reports(true)
        .build()
        .unwrap();
    let mut m = new(c, 0);
    alive(&mut m, 10);
    let mut t;
    let mut last = None;
    loop {
        t = m.next_deadline().unwrap().as_nanos();
        if t > 38 * S {
            break;
        }
        let a = m.handle(Event::Tick, ts(t));
        if let Some(id) = ping(&a) {
            last = Some(id);
            let _ = m.handle(Event::PingSent { id }, ts(t));
        }
    }
    let _ = last;
    let now = 45 * S;
    let lateness = now - t;
    let a = m.handle(Event::Tick, ts(now));
    let id = ping(&a).expect("re-probe");
    let _ = run(&mut m, now + 9 * S);
    let _ = m.handle(Event::PingSent { id }, ts(now + 9 * S));
    let l = run(&mut m, 1000 * S).unwrap();
    let bound = 10 + 1 + c.worst_case_detection().as_nanos() as u64 + lateness;
    assert!(l <= bound, "{} ns beyond the promise", l - bound);
}
// A18: A3
#[test]
fn a18_abusive_ping_is_evidence() {
    let c = Config::builder().accept_gap(d(10 * S)).police(1, 1, Verdict::Report).build().unwrap();
    let mut m = new(c, 0);
    let _ = m.handle(Event::ping(PingId::new(1, 1)), ts(S));
    let _ = m.handle(Event::ping(PingId::new(1, 2)), ts(2 * S));
    assert!(m.state().liveness() == Liveness::Alive && m.next_deadline() > Some(ts(2 * S)));
    assert_eq!(m.suspicion(ts(2 * S)), 0.0, "a ping not admitted is evidence all the same");
}
// A19: peer gap above 2.3 h
#[test]
fn a19_peer_gap_three_hours() {
    let c = Config::builder()
        .interval(d(60 * S))
        .timeout(d(120 * S))
        .ceiling(MAX_SPAN)
        .build()
        .unwrap();
    let mut m = new(c, 0);
    let a = m.handle(Event::LimitReceived { min_gap: d(3 * 3600 * S) }, ts(1));
    assert!(
        m.effective_interval() >= d(3 * 3600 * S)
            || a.findings().contains(Findings::LIMIT_EXCEEDED),
        "{:?}",
        m.effective_interval()
    );
}
// A20: fixed detector is not T
#[test]
fn a20_fixed_is_timeout() {
    let c = Config::builder()
        .interval(d(10 * S))
        .timeout(d(40 * S + 2))
        .no_keepalive()
        .build()
        .unwrap();
    let mut m = new(c, 0);
    assert_eq!(run(&mut m, 100 * S), Some(40 * S + 3));
}
// A21: strict with reopen hides the verdict
#[test]
fn a21_strict_reopen_hides_verdict() {
    let c = Config::builder()
        .interval(d(S))
        .timeout(d(4 * S))
        .late_policy(LatePolicy::Strict)
        .reopen_after(1)
        .jitter_percent(0)
        .no_keepalive()
        .build()
        .unwrap();
    let mut m = new(c, 0);
    alive(&mut m, 10);
    let mut id = None;
    while id.is_none() {
        let w = m.next_deadline().unwrap();
        id = ping(&m.handle(Event::Tick, w));
    }
    let a = m.handle(Event::pong(id.unwrap()), ts(3600 * S));
    assert!(
        m.stats().losses == 1 && m.liveness() == Liveness::Lost,
        "{a:?} losses {}",
        m.stats().losses
    );
}
// A22: mistake told twice
#[test]
fn a22_mistake_twice() {
    let mut m = new(wr(), 0);
    alive(&mut m, S);
    let mut id = None;
    while id.is_none() {
        let w = m.next_deadline().unwrap();
        id = ping(&m.handle(Event::Tick, w));
    }
    let l = run(&mut m, 1000 * S).unwrap();
    let mut n = 0;
    for (dt, e) in [
        (S, Event::FrameReceived),
        (2 * S, Event::PingSent { id: id.unwrap() }),
        (60 * S, Event::FrameReceived),
        (61 * S, Event::FrameReceived),
    ] {
        if m.handle(e, ts(l + dt)).findings().contains(Findings::MISTAKE) {
            n += 1;
        }
    }
    assert_eq!(n, 1);
}
// A23: ids=false, RTT sample across a resume
#[test]
fn a23_anonymous_sample_across_resume() {
    let c = Config::builder()
        .interval(d(10 * S))
        .timeout(d(40 * S))
        .ids(false)
        .jitter_percent(0)
        .build()
        .unwrap();
    let mut m = new(c, 0);
    while m.stats().pings_sent == 0 {
        let w = m.next_deadline().unwrap();
        let _ = m.handle(Event::Tick, w);
    }
    let t = 20 * S;
    let _ = m.handle(Event::Suspend, ts(t));
    let _ = m.handle(Event::Resume { slept: Duration::ZERO }, ts(t + 100 * S));
    let _ = m.handle(Event::AnonymousPongReceived, ts(t + 100 * S + 1000)); // the answer to the first ping
    assert_eq!(m.rtt().smoothed(), None);
}
// A24: ids=false grant inside the window of a ping outstanding
#[test]
fn a24_anonymous_grant_gets_no_window() {
    let c = Config::builder()
        .interval(d(10 * S))
        .timeout(d(20 * S))
        .attempts(1)
        .ids(false)
        .jitter_percent(0)
        .first_ping(FirstPing::AfterInterval)
        .build()
        .unwrap();
    let mut m = new(c, 0);
    let w = m.next_deadline().unwrap();
    let id = ping(&m.handle(Event::Tick, w));
    assert!(id.is_some());
    // due at 20 s; a keep-busy freeze: woken by a spurious TxProgress, late by 5 s
    let now = 25 * S;
    let a = m.handle(Event::Tick, ts(now));
    assert!(m.liveness().is_live(), "{a:?}");
    let l = run(&mut m, 1000 * S).unwrap();
    assert!(l >= now + 10 * S, "{l}");
}
// A25: burst after our own freeze is charged to the peer
#[test]
fn a25_freeze_makes_strikes() {
    let c = Config::builder()
        .interval(d(10 * S))
        .timeout(d(100 * S))
        .accept_gap(d(10 * S))
        .police(3, 3, Verdict::Convict)
        .build()
        .unwrap();
    let mut m = new(c, 0);
    alive(&mut m, 10);
    for i in 0..7 {
        let _ = m.handle(Event::ping(PingId::new(1, i + 1)), ts(80 * S));
    }
    assert!(m.liveness().is_live(), "{}", m.report().unwrap());
}
// A26: forgive/resume and keepalive
#[test]
fn a26_keepalive_after_resume() {
    let c = Config::builder()
        .mode(Mode::Responder)
        .interval(d(10 * S))
        .timeout(d(40 * S))
        .keepalive(d(10 * S))
        .build()
        .unwrap();
    let mut m = new(c, 0);
    alive(&mut m, 10);
    let _ = m.handle(Event::Suspend, ts(9 * S));
    let a = m.handle(Event::Resume { slept: Duration::ZERO }, ts(3600 * S));
    assert!(
        a.clone().any(|a| matches!(a, Action::SendBeacon { .. })),
        "{a:?} next {:?}",
        m.next_deadline()
    );
}
// A27: next connection with reopen_after, first ping lost
#[test]
fn a27_next_connection_first_evidence() {
    let c = Config::builder()
        .interval(d(S))
        .timeout(d(4 * S))
        .reopen_after(3)
        .no_keepalive()
        .build()
        .unwrap();
    let m = new(c, 0);
    let mut m = m.reconnected(ts(S));
    let mut id = None;
    let mut n = 0;
    let mut t = 0;
    while n < 3 {
        t = m.next_deadline().unwrap().as_nanos();
        if let Some(i) = ping(&m.handle(Event::Tick, ts(t))) {
            id = Some(i);
            n += 1;
        }
    }
    let _ = m.handle(Event::pong(id.unwrap()), ts(t + 1));
    assert_eq!(m.liveness(), Liveness::Alive);
}
// A28: strict blame
#[test]
fn a28_strict_late_ping_blames_writer() {
    let c = Config::builder()
        .interval(d(10 * S))
        .timeout(d(40 * S))
        .late_policy(LatePolicy::Strict)
        .write_reports(true)
        .jitter_percent(0)
        .no_keepalive()
        .build()
        .unwrap();
    let mut m = new(c, 0);
    alive(&mut m, 10);
    let mut t = 0;
    let _ = &mut t;
    let a = m.handle(Event::Tick, ts(35 * S)); // we were late
    let id = ping(&a).expect("ping");
    let _ = m.handle(Event::PingSent { id }, ts(35 * S)); // written at once
    let _ = run(&mut m, 100 * S).unwrap();
    assert_ne!(m.report().unwrap().reason, Reason::WriteStalled, "{}", m.report().unwrap());
}
// A29: Table overwritten by PingDue bursts at the gap
#[test]
fn a29_ping_due_burst_loses_pending_pong() {
    let c = Config::builder()
        .interval(d(10 * S))
        .timeout(d(40 * S))
        .min_gap(d(2500 * MS))
        .life_rule(LifeRule::ExactPong)
        .jitter_percent(0)
        .no_keepalive()
        .probe_loss(1, 1, Verdict::Report)
        .build()
        .unwrap();
    let mut m = new(c, 0);
    let mut ids = vec![];
    for i in 0..4u64 {
        if let Some(id) = ping(&m.handle(Event::PingDue, ts(S + i * 2500 * MS))) {
            ids.push(id);
        }
    }
    let a = m.handle(Event::pong(ids[0]), ts(11 * S)); // in its window of 10 s
    assert!(!a.findings().contains(Findings::PONG_LATE), "{a:?}");
}
// A30: Lost by a stalled datagram writer that dropped the ping
#[test]
fn a30_reopen_after_dropped_unwritten_ping() {
    let c = Config::builder()
        .interval(d(S))
        .timeout(d(4 * S))
        .reopen_after(1)
        .write_reports(true)
        .jitter_percent(0)
        .no_keepalive()
        .build()
        .unwrap();
    let mut m = new(c, 0);
    let l = run(&mut m, 100 * S).unwrap();
    let before = m.stats().pings_sent;
    for _ in 0..100 {
        if let Some(w) = m.next_deadline() {
            let _ = m.handle(Event::Tick, w);
        }
    }
    assert!(
        m.stats().pings_sent > before,
        "lost at {l}, never pings again, {} skipped",
        m.stats().pings_skipped
    );
}
// A31: reuse: traffic that was in the buffer before counts as proof
#[test]
fn a31_verified_by_any_buffered_frame() {
    let mut m = new(Config::lan(), 0);
    let _ = m.handle(Event::PingDue, ts(S));
    let _ = m.handle(Event::FrameReceived, ts(S + 1)); // was in the socket buffer all along
    assert!(!m.is_verified_since(ts(S)));
}
// A32: calm on a pong that answers nothing
#[test]
fn a32_calm_on_unmatched_pong() {
    let c = Config::builder().ceiling(d(1000 * S)).build().unwrap();
    let mut m = new(c, 0);
    let epoch = m.state().epoch();
    let before = m.effective_interval();
    let _ = m.handle(
        Event::PongReceived {
            id: PingId::new(epoch, 77),
            stamp: None,
            hold: Duration::ZERO,
            calm: true,
        },
        ts(S),
    );
    assert_eq!(m.effective_interval(), before);
}
// A33: mode Responder: the peer's limit on our pings slows the verdict on its beats
#[test]
fn a33_responder_verdict_slowed_by_limit() {
    let c = Config::builder()
        .mode(Mode::Responder)
        .interval(d(10 * S))
        .timeout(d(40 * S))
        .ceiling(d(1000 * S))
        .build()
        .unwrap();
    let mut m = new(c, 0);
    let _ = m.handle(Event::LimitReceived { min_gap: d(500 * S) }, ts(S));
    assert_eq!(run(&mut m, 2000 * S).map(|l| l / S), Some(41));
}
