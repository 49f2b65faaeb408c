//! The systems of the source articles that need bytes: Y2, Y20 and Y22. The others are in
//! `systems.rs`.
#![cfg(feature = "codec")]

use crate::common::{MS, SEC, Solo, at, ping_in, secs};
use heartbeat_proto::codec::{ByteLink, Frame, Link, PING_LEN, Status};
use heartbeat_proto::{Action, Config, Event, Findings, Liveness, Mode, Reason};

/// Y2: three layers of trust, three findings: the transport is silent (a verdict), frames are
/// invalid (a decoding error, and no life), or the peer says that it is not well (its status, while
/// the connection lives).
#[test]
fn y02_transport_frame_and_meaning_are_judged_apart() {
    let mut solo = Solo::new(Config::wan());
    let mut link = Link::new(0x1234, 9);
    let (mut bytes, mut peer) = ([0; 125], Link::new(0x9999, 4));
    let mut ready = Status::new().with_ready(true);
    for round in 0..40 {
        while solo.last_ping().is_none() || solo.pings().last() != Some(&solo.now) {
            let due = solo.due().expect("live");
            let _ = solo.tell_at(due, Event::Tick);
        }
        let &(_, ping) = solo.log.iter().rfind(|(_, action)| is_ping(action)).expect("a ping");
        let frame = link.frame(&ping, at(solo.now)).expect("a frame");
        let len = frame.encode_into(&mut bytes).expect("room");
        let (frame, _) = Frame::decode(&bytes[..len]).expect("valid").expect("whole");
        let Some(Event::PingReceived { id, .. }) = peer.event(&frame, at(7)) else {
            panic!("{frame:?}")
        };
        if round == 20 {
            ready = Status::new().with_ready(false).with_reason(503);
        }
        peer.set_status(Some(ready));
        let answer = peer.frame(&Action::SendPong { id, calm: false }, at(7)).expect("a answer");
        let len = answer.encode_into(&mut bytes).expect("room");

        // An altered header is a finding of the codec; the machine never hears of it.
        let mut altered = bytes;
        altered[0] ^= 0x20;
        let heard = solo.machine.stats().pongs_received;
        assert!(Frame::decode(&altered[..len]).is_err());
        assert_eq!(solo.machine.stats().pongs_received, heard);

        let (answer, _) = Frame::decode(&bytes[..len]).expect("valid").expect("whole");
        let event = link.event(&answer, at(solo.now)).expect("for us");
        let _ = solo.tell(event);
        assert_eq!(solo.machine.liveness(), Liveness::Alive, "well or not, it lives");
        let status = link.peer_status().expect("told");
        assert_eq!(status.is_ready(), round < 20);
        assert_eq!(status.reason(), if round < 20 { 0 } else { 503 });
    }
    // And silence is silence, whatever the last status said.
    solo.run_out();
    assert_eq!(solo.verdict().map(|(_, reason)| reason), Some(Reason::NoResponse));
}

fn is_ping(action: &Action) -> bool {
    matches!(action, Action::SendPing { .. })
}

/// Y20: one byte each way, 0x01 and 0x02; the pong leaves in the same call; a native ping has 32.
#[test]
fn y20_one_byte_pings_and_pongs_keep_a_connection_alive() {
    assert_eq!(PING_LEN, 32);
    let builder = Config::builder().interval(secs(5)).timeout(secs(20)).ids(false);
    let client = builder.mode(Mode::Initiator).build().expect("valid");
    let server = builder.mode(Mode::Responder).build().expect("valid");
    let (mut client, mut server) = (Solo::new(client), Solo::new(server));
    let (mut up, mut down) = (ByteLink::new(), ByteLink::new());
    let mut bytes = Vec::new();
    for _ in 0..1_000 {
        let due = client.due().expect("live").min(server.due().expect("live"));
        let actions = client.tell_at(due, Event::Tick);
        let _ = server.tell_at(due, Event::Tick);
        if ping_in(&actions).is_none() {
            continue;
        }
        let byte = actions.iter().find_map(|action| up.byte(action)).expect("a byte");
        bytes.push(byte);
        let arrival = due + 10 * MS;
        let answers = server.tell_at(arrival, down.event(byte).expect("a ping"));
        let byte = answers.iter().find_map(|action| down.byte(action)).expect("at once");
        bytes.push(byte);
        let event = up.event(byte).expect("a pong");
        assert_eq!(event, Event::AnonymousPongReceived);
        let _ = client.tell_at(arrival + 10 * MS, event);
        server.skip_to(client.now);
    }
    assert!(bytes.len() > 1_000);
    assert!(bytes.chunks(2).all(|exchange| exchange == [0x01, 0x02]));
    for solo in [&client, &server] {
        assert_eq!(solo.machine.liveness(), Liveness::Alive);
        assert_eq!(solo.verdict(), None);
        assert_eq!(solo.found(Findings::MISS), 0);
    }
    assert_eq!(client.machine.rtt().smoothed(), Some(core::time::Duration::from_millis(20)));
    assert!(up.event(0x03).is_err());
    // The server goes silent: the client finds out.
    client.run_out();
    assert_eq!(client.verdict().map(|(_, reason)| reason), Some(Reason::NoResponse));
    assert!(client.now < 10_000 * SEC);
}

/// Y22: signature, skew and version are checked; each failure is a counted error, and no life.
#[cfg(feature = "auth")]
#[test]
fn y22_frames_that_fail_authentication_are_counted_and_are_no_life() {
    use heartbeat_proto::codec::auth::{AuthError, KeyRing, Opener, Sealer};

    let keys = KeyRing::new(1, b"0123456789abcdef0123456789abcdef").expect("a key");
    let (mut sealer, mut opener) =
        (Sealer::new(11, 22).expect("nonces"), Opener::new(22, 11).expect("nonces"));
    let mut solo = Solo::alive(Config::wan());
    let mut link = Link::new(0, 4);
    // Replays, wrong tags, skewed stamps.
    let mut rejected = [0; 3];
    let mut second = 0;
    while solo.machine.liveness().is_live() {
        second += 1;
        solo.run_to(second * SEC);
        let period = core::time::Duration::from_secs(1);
        // The sender's stamp jumps by 600 ms from the fifth second on.
        let stamp = second * SEC - if second >= 5 { 600 * MS } else { 0 };
        let id = heartbeat_proto::PingId::new(3, second as u32);
        let beacon = Frame::Beacon { id, handle: 0, stamp, period: Some(period), status: None };
        let mut out = [0; 125];
        let len = sealer.seal(&keys, &beacon, &mut out).expect("room");
        match second % 4 {
            1 if second > 4 => out[10] ^= 1,   // Altered.
            2 if second > 4 => out[0] ^= 0x20, // Another version; covered by the tag as well.
            _ => {}
        }
        match opener.open(&keys, &out[..len], at(solo.now)) {
            Ok(frame) => {
                let event = link.event(&frame, at(solo.now)).expect("an event");
                let _ = solo.tell(event);
                // Thrown back a second time: a replay.
                let again = opener.open(&keys, &out[..len], at(solo.now));
                assert!(matches!(again, Err(AuthError::Replay { .. })));
                rejected[0] += 1;
            }
            Err(AuthError::BadTag) => rejected[1] += 1,
            Err(AuthError::Skew { found_nanos, allowed_nanos }) => {
                assert!(found_nanos == 600_000_000 && allowed_nanos < 505_000_000);
                rejected[2] += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(rejected.iter().all(|&count| count > 3_u32), "{rejected:?}");
    // The last good one was that of the fourth second.
    assert_eq!(solo.verdict().map(|(now, _)| now), Some(24 * SEC + 1));
}
