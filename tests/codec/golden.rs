//! The bytes of `docs/PROTOCOL.md` and the frames they stand for.

use crate::vectors::{block, golden_frames};
use heartbeat_proto::codec::{Decoder, Frame, Item, MAX_FRAME, datagram};

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut out = [0; MAX_FRAME];
    let len = frame.encode_into(&mut out).unwrap();
    assert_eq!(len, frame.encoded_len());
    out[..len].to_vec()
}

#[test]
fn golden_vectors_decode_and_encode_exactly() {
    let mut frames = golden_frames();
    for vector in block("golden") {
        let frame = frames.remove(vector.name).expect(vector.name);
        assert_eq!(datagram::decode(&vector.bytes), Ok(frame), "{}", vector.name);
        assert_eq!(encoded(&frame), vector.bytes, "{}", vector.name);
    }
    assert!(frames.is_empty(), "not in docs/PROTOCOL.md: {:?}", frames.keys());
}

#[test]
fn an_old_receiver_reads_frames_of_later_versions() {
    let golden = golden_frames();
    let Frame::Pong { id, handle, stamp, hold, calm, .. } = golden["pong"] else { unreachable!() };
    let status = golden["ping-status"].status();
    for vector in block("future") {
        let frame =
            datagram::decode(&vector.bytes).unwrap_or_else(|e| panic!("{}: {e}", vector.name));
        let expected = match vector.name {
            "ping-minor-15" | "ping-unknown-extension" => golden["ping"],
            "pong-status-and-unknown-extension" => {
                Frame::Pong { id, handle, stamp, hold, calm, status }
            }
            "goodbye-longer" => golden["goodbye"],
            "unknown-kind" | "unknown-kind-empty" => {
                assert!(matches!(frame, Frame::Unknown { kind } if kind == vector.bytes[1]));
                assert!(frame.encode_into(&mut [0; MAX_FRAME]).is_err());
                continue;
            }
            other => panic!("unknown vector {other}"),
        };
        assert_eq!(frame, expected, "{}", vector.name);
        assert_ne!(encoded(&frame), vector.bytes, "{}", vector.name);
    }
}

#[test]
fn bad_vectors_fail_for_the_documented_reason_in_every_decoder() {
    for vector in block("bad") {
        let error = Frame::decode(&vector.bytes).map(|ok| ok.is_some());
        assert_eq!(error.unwrap_err().to_string(), vector.note, "{}", vector.name);

        let mut decoder = Decoder::new();
        let fed = vector.bytes.iter().try_for_each(|byte| decoder.feed(&[*byte]).map(drop));
        assert_eq!(fed.unwrap_err().to_string(), vector.note, "{}", vector.name);
    }
}

#[test]
fn all_golden_vectors_in_one_stream_come_out_in_order() {
    let wire: Vec<u8> = block("golden").into_iter().flat_map(|vector| vector.bytes).collect();
    let frames = golden_frames();
    let (mut decoder, mut input) = (Decoder::new(), wire.as_slice());
    for vector in block("golden") {
        let (consumed, item) = decoder.feed(input).unwrap();
        assert_eq!(item, Some(Item::Frame(frames[vector.name])));
        assert_eq!(decoder.frame_bytes(input, consumed), vector.bytes);
        input = &input[consumed..];
    }
    assert_eq!(decoder.finish(), Ok(()));
}
