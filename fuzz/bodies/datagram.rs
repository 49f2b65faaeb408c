//! One datagram, any bytes: invariants C1, C2 and C7; the link, the one-byte profile, limits and
//! their negotiation on the same bytes.

use heartbeat_proto::codec::{ByteLink, DecodeError, Frame, Link, MAX_FRAME, datagram};
use heartbeat_proto::{Action, Event, PingId, Side, Timestamp, negotiate};

const NOW: Timestamp = Timestamp::from_nanos(1 << 40);

pub fn run(data: &[u8]) {
    let decoded = datagram::decode(data);
    match Frame::decode(data) {
        Ok(Some((frame, len))) if len == data.len() => assert_eq!(decoded, Ok(frame)),
        Ok(Some((_, len))) => {
            assert_eq!(decoded, Err(DecodeError::Trailing { extra: data.len() - len }));
        }
        Ok(None) => assert_eq!(decoded, Err(DecodeError::Truncated { found: data.len() })),
        Err(error) => assert_eq!(decoded, Err(error)),
    }
    if let Ok(frame) = decoded {
        canonical(&frame, data);
        linked(&frame);
    }
    bytes(data);
    agreed(data);
}

/// C1, C2: the frame encodes to the bytes it came in, but for what a later version may add: the
/// minor number and unknown extensions.
pub fn canonical(frame: &Frame, bytes: &[u8]) {
    let mut out = [0; MAX_FRAME];
    if let Frame::Unknown { .. } = frame {
        assert!(frame.encode_into(&mut out).is_err() && frame.encoded_len() == 0, "C1");
        return;
    }
    let len = frame.encode_into(&mut out).expect("C1: what was decoded can be encoded");
    assert_eq!(len, frame.encoded_len());
    assert_eq!(Frame::decode(&out[..len]), Ok(Some((*frame, len))), "C1");
    let mut appended = Vec::new();
    assert_eq!((frame.encode(&mut appended), appended.as_slice()), (Ok(()), &out[..len]), "C1");
    assert_eq!(Frame::decode_buf(&mut &out[..len]), Ok(Some(*frame)), "C1");
    assert!(len <= bytes.len(), "C2: {len} of {}", bytes.len());
    if len == bytes.len() {
        assert_eq!((out[0], &out[1..len]), (bytes[0] & 0xf0, &bytes[1..]), "C2");
    }
    assert!(frame.encode_into(&mut out[..len - 1]).is_err(), "C7: no room");
}

/// Any frame means something to a link, and what it answers is a frame.
fn linked(frame: &Frame) {
    let mut link = Link::new(7, 1).with_epoch(9);
    let ping = Action::SendPing { id: PingId::new(9, 1), stamp: NOW };
    assert!(link.frame(&ping, NOW).is_some());
    let event = link.event(frame, NOW);
    if let (Frame::Ping { id, handle, stamp, .. }, Some(Event::PingReceived { id: told, .. })) =
        (*frame, event)
    {
        assert_eq!(id, told, "S8");
        let answer = link.frame(&Action::SendPong { id, calm: false }, NOW).expect("S8");
        let plain = frame.answer(core::time::Duration::ZERO, false);
        assert_eq!(Some(answer), plain, "S8: nothing but what was sent: {handle} {stamp}");
        assert!(answer.encoded_len() <= frame.encoded_len(), "R2: no amplification");
    }
    assert!(event.is_some() || link.misdirected() == 1, "E2");
}

fn bytes(data: &[u8]) {
    let mut link = ByteLink::new();
    for &byte in data {
        let known = byte == ByteLink::PING || byte == ByteLink::PONG;
        assert_eq!(link.event(byte).is_ok(), known);
    }
}

/// The two halves as what two ends announce: they agree, or both see why not.
fn agreed(data: &[u8]) {
    let mut from = arbitrary::Unstructured::new(data);
    let (Ok(ours), Ok(theirs)) = (from.arbitrary(), from.arbitrary()) else { return };
    match (negotiate(&ours, &theirs), negotiate(&theirs, &ours)) {
        (Ok(here), Ok(there)) => {
            assert_eq!(here.mirror(), there);
            assert_eq!(here.toward(there).after_ack(), there);
        }
        (Err(here), Err(there)) => {
            let side = |error: &str| {
                error.starts_with(&Side::Local.to_string())
                    || error.starts_with(&Side::Peer.to_string())
            };
            assert!(side(&here.to_string()) && side(&there.to_string()), "{here}; {there}");
        }
        (here, there) => panic!("the ends disagree: {here:?}, {there:?}"),
    }
}
