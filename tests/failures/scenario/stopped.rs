//! Processes that are stopped: the peer's is dead, as far as anybody can tell; the observer's own
//! proves nothing.

use std::thread;

use heartbeat_proto::Liveness;

use crate::child::Process;
use crate::measure::{Watch, clock, ms};
use crate::stage::{
    ANY_PORT, Life, Peer, alive, listen, live, observe, quick, responder, verdict, warm_up,
};
use crate::subject::Subject;
use crate::table::Row;

/// The peer's process is stopped; its system acknowledges on.
pub(super) fn peer_stopped(subject: &'static Subject) -> Row {
    let (server, address) = Process::serve(subject, ANY_PORT).expect("a server");
    let mut end = observe(subject, address, quick());
    warm_up(&mut *end, ms(700));
    let watch = Watch::begin();
    server.stop();
    verdict(&mut *end, Life::Before(clock()), &watch)
}

/// The observer stands at a breakpoint for five timeouts: a stall, not a death.
pub(super) fn observer_stopped_reprobe(subject: &'static Subject) -> Row {
    observer_stopped(subject, "reprobe")
}

/// The same under the policy that does not count it as silence.
pub(super) fn observer_stopped_forgive(subject: &'static Subject) -> Row {
    observer_stopped(subject, "forgive")
}

fn observer_stopped(subject: &'static Subject, policy: &str) -> Row {
    let (listener, address) = listen(subject);
    // It answers and says nothing else, so nothing lies in the buffers but an answer.
    let peer = Peer::spawn(subject, listener, responder(), live);
    let observer = Process::observe(policy, subject, address).expect("an observer");
    let timeout = quick().build().expect("sound rules").timeout();
    observer.stop();
    thread::sleep(timeout * 5);
    observer.go_on();
    thread::sleep(timeout * 3);
    let said = observer.finish().expect("an answer");
    peer.stop();
    let [liveness, late, longest, _] = said.split(';').collect::<Vec<_>>()[..] else {
        panic!("it said {said:?}");
    };
    assert_eq!(liveness, Liveness::Alive.code(), "{said}");
    assert!(late.parse::<u64>().expect("a count") > 0, "the stall was noticed: {said}");
    let longest = longest.parse::<u128>().expect("milliseconds");
    assert!(longest >= (timeout * 4).as_millis(), "and measured: {said}");
    Row { note: format!("alive after {longest}"), ..alive() }
}
