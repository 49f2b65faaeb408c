//! What the simulator found: each with the smallest script that it left.

mod common;

use common::{SEC, Solo, nanos, secs};
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
