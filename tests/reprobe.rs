//! The re-probe of a late caller (rule J6) puts the verdict off once, also where windows overlap.

use core::time::Duration;

use heartbeat_proto::{Config, Event, HeartbeatMachine, Liveness, PingId, Timestamp};

/// A ping every 300 ms, each with 1200 ms to be answered: while one window ends, the next ones run.
#[test]
fn c5_a_dead_peer_is_found_after_a_stall_where_windows_overlap() {
    let config = Config::service_mesh();
    let mut machine = HeartbeatMachine::new(config, 1, Timestamp::EPOCH);
    let heard = Timestamp::EPOCH;
    let _ = machine.handle(Event::Start, heard);
    let _ = machine.handle(Event::ping(PingId::new(9, 1)), heard);
    assert_eq!(machine.liveness(), Liveness::Alive);

    // The peer is silent from now on. One call late in that silence is late, all others punctual.
    let near = heard.saturating_add(config.interval() + config.response_window() * 5 / 2);
    let lateness = Duration::from_millis(200);
    let mut stalled = false;
    let mut last = heard;
    for _ in 0..100 {
        let Some(mut wake) = machine.next_deadline() else { break };
        if wake >= near && !stalled {
            stalled = true;
            wake = wake.saturating_add(lateness);
        }
        let _ = machine.handle(Event::Tick, wake);
        last = wake;
    }
    assert!(stalled);
    assert_eq!(machine.liveness(), Liveness::Lost, "still waiting at {last}");
    let silence = last.saturating_duration_since(heard);
    let bound = config.worst_case_detection() + lateness + Duration::from_nanos(1);
    assert!(silence <= bound, "{silence:?} is above {bound:?}");
}
