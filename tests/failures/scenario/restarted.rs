//! A server that is killed, and comes back at the same address.

use std::thread;

use heartbeat_proto::adapter::Ended;
use heartbeat_proto::{Liveness, Reason};

use crate::child::Process;
use crate::measure::{GRAIN, Watch, clock, ms};
use crate::stage::{ANY_PORT, LONG, Life, in_time, observe, quick, warm_up};
use crate::subject::{End, Kind, Socket, Subject};
use crate::table::Row;

pub(super) fn server_restarted(subject: &'static Subject) -> Row {
    let (server, address) = Process::serve(subject, ANY_PORT).expect("a server");
    // A lost peer may come back, where the connection can (a verdict on a stream is final).
    let rules = quick().reopen_after(2).down_interval(ms(200));
    let mut end = observe(subject, address, rules);
    warm_up(&mut *end, ms(700));
    let watch = Watch::begin();
    server.kill();
    let row = match subject.kind {
        Kind::Stream => told_by_the_system(&mut *end, &watch),
        Kind::Datagrams => found_by_silence(&mut *end, &watch),
    };
    drop(server);
    let (_server, _) = Process::serve(subject, address).expect("the server again");
    if subject.kind == Kind::Stream {
        let rtt = end.driver().machine().rtt();
        let socket = Socket::connect(subject.kind, address).expect("a connection");
        end = end.reconnected(socket).expect("the next connection");
        assert_eq!(end.driver().liveness(), Liveness::Recovering);
        assert!(rtt.smoothed().is_some() && end.driver().machine().rtt() == rtt, "it is carried");
    }
    let (again, config) = (Watch::begin(), *end.driver().machine().config());
    until(&mut *end, Liveness::Alive);
    let took = clock() - again.begun();
    // A ping at the latest after an interval; two answers for one that was lost.
    let promised = config.interval() * 2 + config.response_window();
    let late = again.disturbance();
    assert!(took <= promised + late + GRAIN, "alive again after {took:?}, {late:?} late");
    Row { note: format!("(again {})", took.as_millis()), ..row }
}

/// The system of a process that was killed ends its streams.
fn told_by_the_system(end: &mut dyn End, watch: &Watch) -> Row {
    let error = end.run_for(LONG).expect_err("the server is dead");
    let (took, late) = (clock() - watch.begun(), watch.disturbance());
    assert!(!matches!(Ended::of(&error), Some(Ended::Lost(_))), "{error}");
    assert!(took <= GRAIN + late, "took {took:?}, {late:?} late: {error}");
    let verdict = "told by the system".to_owned();
    Row { took: Some(took), promised: Some(GRAIN), late, verdict, ..Row::default() }
}

/// On datagrams only silence convicts.
fn found_by_silence(end: &mut dyn End, watch: &Watch) -> Row {
    until(end, Liveness::Lost);
    let report = end.driver().report().expect("a verdict");
    assert_eq!(report.reason, Reason::NoResponse);
    in_time(end, &report, Life::Before(watch.begun()), clock(), watch)
}

fn until(end: &mut dyn End, liveness: Liveness) {
    let give_up = clock() + LONG;
    while end.driver().liveness() != liveness {
        end.run_for(ms(2)).expect("a connection");
        assert!(clock() < give_up, "never {liveness}");
        thread::yield_now();
    }
}
