//! What the simulator found: each with the smallest script that it left.

mod common;

use common::{MS, SEC, Solo, ms, nanos, secs};
use heartbeat_proto::{Config, Event, LatePolicy, Liveness};

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
