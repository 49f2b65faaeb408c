//! What the simulator found: each with the smallest script that it left.

use crate::common::{MS, SEC, Solo, ms, nanos, secs};
use heartbeat_proto::{Config, Event, Findings, LatePolicy, LifeRule, Liveness, Reason};

/// J7, S2: lateness that was forgiven in the very call of the verdict was told as silence.
#[test]
fn what_was_forgiven_is_not_told_as_silence() {
    let config = Config::builder()
        .interval(secs(1))
        .timeout(secs(4))
        .late_policy(LatePolicy::Forgive(secs(3)))
        .build()
        .expect("valid");
    let mut solo = Solo::alive(config);
    let due = solo.due().expect("live");
    let _ = solo.tell_at(due + 60 * SEC, Event::Tick);
    let report = solo.machine.report().expect("a verdict");
    assert_eq!(report.liveness, Liveness::Lost);
    assert_eq!(nanos(report.silence), solo.now - 3 * SEC);
}

/// LC6: what lies ahead when a sleep begins moves by the time that the clock counted, whatever the
/// host knows of more. A clock that stood still put the grace and the plan off once more.
#[test]
fn a_sleep_that_no_clock_counted_puts_nothing_off_that_lies_ahead() {
    let config = Config::builder()
        .interval(secs(1))
        .timeout(secs(4))
        .startup_grace(secs(2))
        .jitter_percent(0)
        .build()
        .expect("valid");
    let mut solo = Solo::new(config);
    let _ = solo.tell_at(100 * MS, Event::Resume { slept: ms(500) });
    assert_eq!(solo.lost_by(60 * SEC), Some(6 * SEC + 1));
}

/// A6, S4: where only pongs are life, a peer that first wanted few pings and then more was given up
/// at once, with no ping of this silence.
#[test]
fn a_lowered_gap_is_no_verdict() {
    for late_policy in [LatePolicy::Reprobe, LatePolicy::Strict] {
        let builder = Config::builder()
            .interval(secs(1))
            .timeout(secs(4))
            .ceiling(secs(20))
            .life_rule(LifeRule::AnyPong)
            .late_policy(late_policy);
        let mut solo = Solo::new(builder.build().expect("valid"));
        let ping = solo.next_ping();
        let _ = solo.tell(Event::pong(ping));
        let heard = solo.now;
        let _ = solo.tell(Event::LimitReceived { min_gap: secs(15) });
        solo.run_to(heard + 9 * SEC);
        let _ = solo.tell(Event::LimitReceived { min_gap: ms(1) });
        assert!(solo.machine.liveness().is_live(), "{late_policy:?}");
        assert_eq!(solo.found(Findings::REPROBE), 1);
        // One ping, and its window.
        let window = nanos(solo.machine.config().response_window());
        assert_eq!(solo.pings().last(), Some(&solo.now));
        assert_eq!(solo.lost_by(60 * SEC), Some(heard + 9 * SEC + window + 1));
        assert_eq!(solo.verdict().map(|(_, reason)| reason), Some(Reason::NoResponse));
    }
}
