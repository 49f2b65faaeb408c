//! What frames mean to the machine, and which frames its actions become.

use core::time::Duration;

use heartbeat_proto::codec::{ByteLink, Frame, Hello, Link, Status};
use heartbeat_proto::{Action, Event, Findings, Limits, PingId, Timestamp, Wish};

const MASK: u64 = 0xffff_ffff_ffff_0000;
const HANDLE: u64 = 42;

fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn link() -> Link {
    Link::new(MASK, HANDLE)
}

fn id(seq: u32) -> PingId {
    PingId::new(9, seq)
}

fn ping(seq: u32, stamp: u64) -> Frame {
    Frame::Ping { id: id(seq), handle: 77, stamp, status: None }
}

fn pong(handle: u64, stamp: u64) -> Frame {
    let hold = Duration::from_micros(3);
    Frame::Pong { id: id(1), handle, stamp, hold, calm: true, status: None }
}

#[test]
fn stamps_leave_masked_and_come_back_bare() {
    let mut link = link();
    let sent = link.frame(&Action::SendPing { id: id(1), stamp: at(1_000_000) }, at(1_000_000));
    let Some(Frame::Ping { stamp, handle, .. }) = sent else { panic!("{sent:?}") };
    assert_eq!((stamp, handle), (1_000_000_u64.wrapping_add(MASK), HANDLE));
    assert_eq!(link.stamp(at(1_000_000)), stamp);
    let event = link.event(&pong(HANDLE, stamp), at(2_000_000));
    let (stamp, hold) = (Some(at(1_000_000)), Duration::from_micros(3));
    assert_eq!(event, Some(Event::PongReceived { id: id(1), stamp, hold, calm: true }));
}

#[test]
fn a_pong_repeats_its_ping_and_tells_the_hold_time() {
    let mut link = link();
    let stamp = Some(at(500));
    let event = link.event(&ping(1, 500), at(10_000));
    assert_eq!(event, Some(Event::PingReceived { id: id(1), stamp }));
    let sent = link.frame(&Action::SendPong { id: id(1), calm: true }, at(35_000));
    let hold = Duration::from_micros(25);
    let (handle, stamp, calm, status) = (77, 500, true, None);
    assert_eq!(sent, Some(Frame::Pong { id: id(1), handle, stamp, hold, calm, status }));
}

#[test]
fn only_the_newest_ping_is_answered() {
    let mut link = link();
    let answer = |id| Action::SendPong { id, calm: false };
    assert_eq!(link.frame(&answer(id(1)), at(0)), None);
    link.event(&ping(1, 500), at(1));
    link.event(&ping(2, 600), at(2));
    assert_eq!(link.frame(&answer(id(1)), at(3)), None);
    let sent = link.frame(&answer(id(2)), at(3));
    assert!(matches!(sent, Some(Frame::Pong { stamp: 600, .. })), "{sent:?}");
}

#[test]
fn a_pong_for_somebody_else_is_counted_and_no_event() {
    let mut link = link();
    assert_eq!(link.event(&pong(HANDLE + 1, 0), at(5)), None);
    assert_eq!(link.misdirected(), 1);
}

#[test]
fn a_beacon_without_a_promise_is_only_a_sign_of_life() {
    let mut ours = link();
    let mut theirs = link().with_period(Duration::from_secs(25));
    let send = Action::SendBeacon { id: id(1), stamp: at(7) };
    let bare = ours.frame(&send, at(7)).unwrap();
    assert_eq!(theirs.event(&bare, at(9)), Some(Event::FrameReceived));
    let send = Action::SendBeacon { id: PingId::new(8, 1), stamp: at(7) }; // Another seed's epoch.
    let promising = theirs.frame(&send, at(7)).unwrap();
    let event = ours.event(&promising, at(9));
    let stamp = Some(at(7_u64.wrapping_add(MASK)));
    assert_eq!(event, Some(Event::BeaconReceived { stamp, period: Duration::from_secs(25) }));
}

#[test]
fn a_hello_brings_the_peers_smallest_gap_and_its_restarts_show() {
    let mut link = link();
    let limits = Limits::new(Wish::NoPreference, None, Duration::from_secs(5)).unwrap();
    let min_gap = Duration::from_secs(5);
    for (epoch, restarts) in [(1, 0), (1, 0), (2, 1)] {
        let hello = Frame::Hello(Hello::new(epoch, 0, limits));
        assert_eq!(link.event(&hello, at(0)), Some(Event::LimitReceived { min_gap }));
        assert_eq!((link.peer_epoch(), link.peer_restarts()), (Some(epoch), restarts));
    }
}

#[test]
fn a_late_goodbye_of_an_earlier_connection_is_ignored() {
    let mut link = link();
    let goodbye = |epoch| Frame::Goodbye { epoch, reason: 0 };
    assert_eq!(link.event(&goodbye(8), at(0)), Some(Event::GoodbyeReceived));
    link.event(&ping(1, 0), at(1));
    assert_eq!(link.event(&goodbye(8), at(2)), None);
    assert_eq!(link.stale_goodbyes(), 1);
    for epoch in [0, 9] {
        assert_eq!(link.event(&goodbye(epoch), at(3)), Some(Event::GoodbyeReceived));
    }
}

#[test]
fn a_goodbye_names_our_epoch_and_reason() {
    let mut link = link().with_epoch(4);
    let goodbye = |epoch, reason| Some(Frame::Goodbye { epoch, reason });
    assert_eq!(link.frame(&Action::SendGoodbye, at(0)), goodbye(4, 0));
    link.frame(&Action::SendPing { id: id(1), stamp: at(0) }, at(0));
    link.set_status(Some(Status::new().with_reason(12)));
    assert_eq!(link.frame(&Action::SendGoodbye, at(0)), goodbye(9, 12));
}

#[test]
fn status_travels_both_ways_and_stays_until_the_next() {
    let mut ours = link();
    let mut theirs = link();
    let status = Status::new().with_ready(true).with_load(80).unwrap();
    theirs.set_status(Some(status));
    let loud = theirs.frame(&Action::SendPing { id: id(1), stamp: at(0) }, at(0)).unwrap();
    ours.event(&loud, at(1));
    ours.event(&ping(2, 0), at(2));
    assert_eq!(ours.peer_status(), Some(status));
    // A pong carries our status, never the peer's.
    let answer = ours.frame(&Action::SendPong { id: id(2), calm: false }, at(3)).unwrap();
    assert_eq!(answer.status(), None);
}

#[test]
fn actions_that_send_nothing_are_no_frames() {
    let mut link = link();
    for action in [Action::RequestProbe, Action::Report(Findings::MISS)] {
        assert_eq!(link.frame(&action, at(0)), None);
        assert_eq!(ByteLink::new().byte(&action), None);
    }
}

#[test]
fn the_one_byte_profile_numbers_pings_itself() {
    let mut link = ByteLink::new();
    for seq in 1..=3 {
        let id = PingId::new(0, seq);
        assert_eq!(link.event(0x01), Ok(Event::PingReceived { id, stamp: None }));
    }
    assert_eq!(link.event(0x02), Ok(Event::AnonymousPongReceived));
    for byte in (0..=u8::MAX).filter(|byte| ![1, 2].contains(byte)) {
        let before = link.clone();
        assert_eq!(link.event(byte).unwrap_err().found, byte);
        assert_eq!(link, before);
    }
    assert_eq!(link.byte(&Action::SendPing { id: id(1), stamp: at(0) }), Some(0x01));
    assert_eq!(link.byte(&Action::SendPong { id: id(1), calm: true }), Some(0x02));
    assert_eq!(link.byte(&Action::SendBeacon { id: id(1), stamp: at(0) }), Some(0x02));
    assert_eq!(link.byte(&Action::SendGoodbye), None);
}

/// E2: an echo service, or a loop in the network, is no peer: what it throws back proves nothing.
#[test]
fn our_own_frames_thrown_back_are_nobody() {
    let mut link = Link::new(77, 3);
    let at = Timestamp::from_nanos;
    for seq in 1..=3 {
        let id = PingId::new(9, seq);
        let ping = link.frame(&Action::SendPing { id, stamp: at(5) }, at(5)).expect("a ping");
        assert_eq!(link.event(&ping, at(6)), None);
        assert!(link.frame(&Action::SendPong { id, calm: false }, at(7)).is_none(), "no answer");
    }
    assert_eq!(link.misdirected(), 3);
}
