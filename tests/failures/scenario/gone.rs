//! Peers that are gone, in every way but that of saying so.

use heartbeat_proto::adapter::Ended;

use crate::hosts::Hosts;
use crate::measure::{GRAIN, Watch, clock, ms};
use crate::relay::TcpRelay;
use crate::stage::{
    Life, Peer, Relay, hang, judge, listen, live, observe, observe_on, patient, quick, verdict,
    warm_up,
};
use crate::subject::{Kind, Listener, Socket, Subject};
use crate::table::Row;

/// It accepts (and shakes hands), and that was it.
pub(super) fn silent_peer(subject: &'static Subject) -> Row {
    let (listener, address) = listen(subject);
    let _peer = Peer::spawn(subject, listener, patient(), hang);
    let watch = Watch::begin();
    let mut end = observe(subject, address, quick());
    verdict(&mut *end, Life::Last(watch.begun()), &watch)
}

/// Its host is cut off: nothing comes, nothing goes, nobody says so.
pub(super) fn host_swallowed(subject: &'static Subject) -> Row {
    let (listener, address) = listen(subject);
    let _peer = Peer::spawn(subject, listener, patient(), live);
    let relay = Relay::before(subject, address);
    let mut end = observe(subject, relay.address(), quick());
    warm_up(&mut *end, ms(700));
    let watch = Watch::begin();
    let last = relay.swallow();
    verdict(&mut *end, Life::Last(last), &watch)
}

/// The same between two hosts of their own, by the loss of the link.
pub(super) fn host_link_down(subject: &'static Subject) -> Row {
    between_hosts(subject, Hosts::unplug)
}

/// The same, by a firewall that forgets the connection.
pub(super) fn host_firewalled(subject: &'static Subject) -> Row {
    between_hosts(subject, |hosts| hosts.drop_by("drop"))
}

fn between_hosts(subject: &'static Subject, fail: fn(&Hosts)) -> Row {
    let hosts = match Hosts::new() {
        Ok(hosts) => hosts,
        Err(why) => return Row::skipped(&why),
    };
    let listener = hosts.at_peer(|| Listener::bind(subject.kind, Hosts::PEER)).expect("a listener");
    let _peer = Peer::spawn(subject, listener, patient(), live);
    let socket = hosts.at_observer(|| Socket::connect(subject.kind, Hosts::PEER));
    let mut end = observe_on(subject, socket.expect("a connection"), quick());
    warm_up(&mut *end, ms(700));
    // The observer goes on while the command runs.
    let watch = Watch::begin();
    std::thread::scope(|scope| {
        let failing = scope.spawn(|| {
            fail(&hosts);
            clock()
        });
        while !failing.is_finished() {
            if let Err(error) = end.run_for(ms(2)) {
                // The command was that slow to end: its report has to do.
                return judge(&*end, &error, Life::Before(clock()), &watch);
            }
        }
        let cut = failing.join().expect("no panic");
        verdict(&mut *end, Life::Before(cut), &watch)
    })
}

/// A middlebox resets the connection: told at once.
pub(super) fn reset(subject: &'static Subject) -> Row {
    let (listener, address) = listen(subject);
    let _peer = Peer::spawn(subject, listener, patient(), live);
    let relay = TcpRelay::new(address).expect("a relay");
    let mut end = observe(subject, relay.address, quick());
    warm_up(&mut *end, ms(700));
    let (watch, promised) = (Watch::begin(), ms(20)); // The relay looks up each 10 ms.
    relay.reset();
    let error = end.run_for(ms(700)).expect_err("a reset");
    let took = clock() - watch.begun();
    assert!(!matches!(Ended::of(&error), Some(Ended::Lost(_))), "{error}");
    let late = watch.disturbance();
    assert!(took <= promised + late + GRAIN, "took {took:?}, {late:?} late: {error}");
    let (took, promised, verdict) = (Some(took), Some(promised), error.kind().to_string());
    Row { took, promised, late, verdict, ..Row::default() }
}

/// A close on purpose is bounded, though nobody answers any more.
pub(super) fn close_to_the_dead(subject: &'static Subject) -> Row {
    let (listener, address) = listen(subject);
    let _peer = Peer::spawn(subject, listener, patient(), live);
    let relay = Relay::before(subject, address);
    // A second and a half of silence would be a verdict; the close is over before.
    let limit = ms(300);
    let mut end = observe(subject, relay.address(), quick().drain_limit(limit));
    warm_up(&mut *end, ms(700));
    relay.swallow();
    if subject.kind == Kind::Stream {
        assert!(end.write(&[7; 16 * 1024]).expect("room") > 0);
    }
    let watch = Watch::begin();
    let closed = end.close();
    let (took, late, promised) = (clock() - watch.begun(), watch.disturbance(), limit * 2);
    assert!(took <= promised + late + GRAIN, "took {took:?}, {late:?} late: {closed:?}");
    let verdict = closed.map_or_else(|error| error.to_string(), |()| "closed".to_owned());
    let fault = "nobody".to_owned();
    let (took, promised) = (Some(took), Some(promised));
    Row { took, promised, late, verdict, fault, ..Row::default() }
}
