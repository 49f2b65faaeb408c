//! Peers that live behind full buffers, thin pipes and busy programs; and one that takes nothing.

use std::thread;

use heartbeat_proto::adapter::Ended;
use heartbeat_proto::{LatePolicy, LifeRule, Reason};

use crate::measure::{GRAIN, Watch, clock, ms};
use crate::relay::{Fate, TcpRelay};
use crate::stage::{
    Fared, GoOn, Peer, Relay, alive, both_live, listen, live, observe, observe_on, patient, quick,
    responder, warm_up,
};
use crate::subject::{End, Socket, Subject};
use crate::table::Row;

const MEGABYTE: usize = 1_000_000;

/// A megabyte lies before the pong, on a path of 100 kB a second, with a limit of a second: whole
/// frames are life.
pub(super) fn megabyte_before_the_pong(subject: &'static Subject) -> Row {
    megabyte(subject, LifeRule::AnyFrame)
}

/// The same where any byte is life.
pub(super) fn megabyte_by_bytes(subject: &'static Subject) -> Row {
    megabyte(subject, LifeRule::AnyByte)
}

fn megabyte(subject: &'static Subject, life: LifeRule) -> Row {
    let (listener, address) = listen(subject);
    let peer = Peer::spawn(subject, listener, patient(), |end, go_on| {
        write_all(end, MEGABYTE, 16 * 1024)?;
        live(end, go_on)
    });
    let relay = TcpRelay::new(address).expect("a relay");
    relay.to_client().rate(100_000);
    let rules = quick().interval(ms(250)).timeout(ms(1000)).life_rule(life);
    let mut end = observe(subject, relay.address, rules);
    let (begun, mut got, mut buf) = (clock(), 0, vec![0; 16 * 1024]);
    while got < MEGABYTE {
        got += end.read(&mut buf, ms(500)).expect("a living peer").unwrap_or_default();
    }
    let took = clock() - begun;
    assert!(took > ms(9000), "the path was thin: {took:?}");
    warm_up(&mut *end, ms(300));
    both_live(&*end, peer)
}

fn write_all(end: &mut dyn End, bytes: usize, piece: usize) -> std::io::Result<()> {
    let (piece, mut left) = (vec![7; piece], bytes);
    while left > 0 {
        left -= end.write(&piece[..piece.len().min(left)])?;
    }
    Ok(())
}

/// Upload alone, through 10 kB a second and small buffers, to a receiver that has nothing to say. A
/// data frame takes longer than either end's limit, a second; no heartbeat gets past it.
pub(super) fn upload_at_10_kb(subject: &'static Subject) -> Row {
    let (listener, address) = listen(subject);
    // Where any byte is life, for no whole frame comes in time.
    let rules = quick().interval(ms(250)).timeout(ms(1000)).life_rule(LifeRule::AnyByte);
    let peer = Peer::spawn(subject, listener, rules, read_all);
    let relay = TcpRelay::with_buffer(address, Some(BUFFER)).expect("a relay");
    relay.to_server().queue(1024);
    let socket = Socket::connect(subject.kind, relay.address).expect("a connection");
    socket.send_buffer(BUFFER).expect("a small buffer");
    // The system takes more only when a good part of its buffer is free; till then it is a stall.
    let mut end = observe_on(subject, socket, rules.write_stall(ms(5000)));
    warm_up(&mut *end, ms(300));
    relay.to_server().rate(10_000);
    // A TLS record is no life before it is whole, so it must not take longer than the limit.
    let piece = if subject.name.contains("TLS") { 4 * 1024 } else { 16 * 1024 };
    let (begun, before) = (clock(), relay.to_server().passed());
    while clock() - begun < ms(7000) {
        write_all(&mut *end, piece, piece).expect("a living peer");
    }
    let passed = relay.to_server().passed() - before;
    assert!((30_000..120_000).contains(&passed), "the path was thin: {passed}");
    Fared::of(&*end).assert_alive("the writer's peer");
    peer.stop().assert_alive("the reader's peer");
    alive()
}

/// Of the system, each way.
const BUFFER: usize = 8 * 1024;

fn read_all(end: &mut dyn End, go_on: GoOn<'_>) -> std::io::Result<()> {
    let mut buf = vec![0; 16 * 1024];
    while go_on() {
        end.read(&mut buf, ms(50))?;
    }
    Ok(())
}

/// A reader that takes its time, and a writer that waits for it: both judge each other in 0.8 s.
/// The writer's limit is longer: even a tuned system lets it go on by 128 KiB at a time.
pub(super) fn slow_reader(subject: &'static Subject) -> Row {
    let (listener, address) = listen(subject);
    let peer = Peer::spawn(subject, listener, quick().write_stall(ms(3000)), |end, go_on| {
        while go_on() {
            write_all(end, 16 * 1024, 16 * 1024)?;
        }
        Ok(())
    });
    let mut end = observe(subject, address, quick());
    let (begun, mut buf) = (clock(), vec![0; 16 * 1024]);
    while clock() - begun < ms(3000) {
        if let Err(error) = end.read(&mut buf, ms(50)) {
            panic!("{error}: {:?}", peer.stop());
        }
        thread::sleep(ms(40));
    }
    Fared::of(&*end).assert_alive("the reader's peer");
    peer.ask_to_stop();
    while !peer.is_finished() && end.read(&mut buf, ms(50)).is_ok() {}
    peer.stop().assert_alive("the writer's peer");
    alive()
}

/// A program that is busy with each piece of what lies at hand: all that it calls is to read, and the
/// runtime has no turn, since there is something. Heartbeats leave all the same.
pub(super) fn busy_reader(subject: &'static Subject) -> Row {
    const PIECE: usize = 1500;
    let (listener, address) = listen(subject);
    let peer = Peer::spawn(subject, listener, quick(), |end, go_on| {
        write_all(end, 40 * PIECE, PIECE)?;
        live(end, go_on)
    });
    let mut end = observe(subject, address, quick());
    let (mut got, mut buf) = (0, vec![0; PIECE]);
    while got < 40 * PIECE {
        got += end.read(&mut buf, ms(50)).expect("a living peer").unwrap_or_default();
        thread::sleep(ms(100));
    }
    both_live(&*end, peer)
}

/// The peer talks and takes no byte: the writer is stalled, and found to be.
pub(super) fn blocked_writer(subject: &'static Subject) -> Row {
    let (listener, address) = listen(subject);
    let _peer = Peer::spawn(subject, listener, patient(), live);
    let relay = TcpRelay::new(address).expect("a relay");
    let mut end = observe(subject, relay.address, quick().write_stall(ms(800)));
    warm_up(&mut *end, ms(700));
    relay.to_server().set(Fate::Hold);
    let mut watch = Watch::begin();
    let error = loop {
        match end.write(&[7; 16 * 1024]) {
            Ok(_) => watch = Watch::begin(),
            Err(error) => break error,
        }
    };
    // No verdict by silence, so it has a limit of its own.
    let (took, late) = (clock() - watch.begun(), watch.disturbance());
    let limit = ms(800);
    let Some(Ended::Lost(report)) = Ended::of(&error) else { panic!("a verdict: {error}") };
    let late = late + report.own_lateness * 2;
    assert_eq!(report.reason, Reason::WriteStalled, "{report}");
    assert!(took <= limit + late + GRAIN, "took {took:?}, {late:?} late: {report}");
    Row {
        took: Some(took),
        promised: Some(limit),
        late,
        verdict: report.reason.to_string(),
        fault: report.fault().to_string(),
        ..Row::default()
    }
}

/// The program is stuck for three timeouts while the pong lies in the kernel's buffer. The policy
/// forgives next to nothing: what saves the peer is that it is read before it is judged.
pub(super) fn runtime_blocked(subject: &'static Subject) -> Row {
    let (listener, address) = listen(subject);
    let peer = Peer::spawn(subject, listener, responder(), live);
    let relay = Relay::before(subject, address);
    relay.delay(ms(30));
    let rules = quick().late_policy(LatePolicy::Forgive(ms(1)));
    let timeout = rules.build().expect("sound rules").timeout();
    let mut end = observe(subject, relay.address(), rules);
    warm_up(&mut *end, ms(500));
    for _ in 0..2 {
        let stats = *end.driver().machine().stats();
        while end.driver().machine().stats().pings_sent == stats.pings_sent {
            end.run_for(ms(2)).expect("a living peer");
        }
        let heard = end.driver().machine().stats().pongs_received;
        thread::sleep(timeout * 3);
        end.run_for(ms(20)).expect("what was received comes before any judgement");
        assert!(end.driver().machine().stats().pongs_received > heard);
    }
    both_live(&*end, peer)
}

/// A round trip that takes most of the window.
pub(super) fn slow_path(subject: &'static Subject) -> Row {
    let (listener, address) = listen(subject);
    let peer = Peer::spawn(subject, listener, patient(), live);
    let relay = Relay::before(subject, address);
    relay.delay(ms(60));
    let mut end = observe(subject, relay.address(), quick());
    end.run_for(ms(2500)).expect("a living peer");
    let rtt = end.driver().machine().rtt().smoothed().expect("pongs");
    assert!(rtt >= ms(119), "the path was long: {rtt:?}");
    both_live(&*end, peer);
    Row { note: format!("alive, rtt {} ms", rtt.as_millis()), ..alive() }
}
