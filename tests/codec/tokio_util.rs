//! The codec for `tokio_util::codec::Framed`: the same stream however it is cut, and bad frames.
#![cfg(feature = "tokio-util")]

use core::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use heartbeat_proto::PingId;
use heartbeat_proto::codec::tokio_util::{Error, FrameCodec, Message};
use heartbeat_proto::codec::{DecodeError, EncodeError, Frame, MAX_DATA, Status};
use tokio_util::codec::{Decoder, Encoder, Framed};

const PING: Frame = Frame::Ping { id: PingId::new(1, 7), handle: 3, stamp: 9, status: None };

fn frames() -> Vec<Frame> {
    let status = Some(Status::new());
    vec![
        PING,
        PING.answer(Duration::from_micros(5), true).unwrap(),
        Frame::Ping { id: PingId::new(1, 8), handle: 3, stamp: 9, status },
        Frame::Beacon { id: PingId::new(1, 9), handle: 3, stamp: 9, period: None, status: None },
        Frame::Goodbye { epoch: 1, reason: 2 },
    ]
}

/// Data, then a frame, and so on; and what it should be read as, with adjacent data in one.
fn wire() -> (BytesMut, Vec<Message>) {
    let (mut codec, mut wire, mut messages) = (FrameCodec::new(), BytesMut::new(), Vec::new());
    for (n, frame) in frames().into_iter().enumerate() {
        let data = Bytes::from(vec![n as u8; 10 * n + 1]);
        for message in [Message::from(data), Message::from(frame)] {
            codec.encode(message.clone(), &mut wire).unwrap();
            messages.push(message);
        }
    }
    (wire, messages)
}

/// Puts adjacent pieces of data together.
fn joined(messages: impl IntoIterator<Item = Message>) -> Vec<Message> {
    let mut all: Vec<Message> = Vec::new();
    for message in messages {
        match (all.last_mut(), message) {
            (Some(Message::Data(before)), Message::Data(more)) => {
                assert!(!more.is_empty());
                *before = [before.as_ref(), more.as_ref()].concat().into();
            }
            (_, message) => all.push(message),
        }
    }
    all
}

/// What `codec` finds in the pieces, and at the end.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Message>, Error> {
    let (mut codec, mut input, mut found) = (FrameCodec::new(), BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        while let Some(message) = codec.decode(&mut input)? {
            found.push(message);
        }
        assert!(input.is_empty(), "all is taken");
    }
    while let Some(message) = codec.decode_eof(&mut input)? {
        found.push(message);
    }
    Ok(joined(found))
}

#[test]
fn a_stream_reads_the_same_wherever_it_is_split() {
    let (wire, expected) = wire();
    assert_eq!(read([&wire[..]]).unwrap(), expected);
    assert_eq!(read(wire.chunks(1)).unwrap(), expected);
    for cut in 0..=wire.len() {
        let (before, after) = wire.split_at(cut);
        assert_eq!(read([before, after]).unwrap(), expected, "cut at {cut}");
    }
}

#[test]
fn an_end_within_a_frame_is_an_error_and_between_frames_is_none() {
    let (wire, messages) = wire();
    // After each message the stream may end.
    let (mut codec, mut ends) = (FrameCodec::new(), vec![0]);
    let mut copy = BytesMut::new();
    for message in messages {
        codec.encode(message, &mut copy).unwrap();
        ends.push(copy.len());
    }
    for end in 0..=wire.len() {
        let whole = ends.contains(&end);
        match read([&wire[..end]]) {
            Ok(_) => assert!(whole, "cut at {end}"),
            Err(Error::Decode { offset, error: DecodeError::Truncated { .. } }) => {
                assert!(!whole && offset <= wire.len() as u64, "cut at {end}");
            }
            Err(other) => panic!("cut at {end}: {other}"),
        }
    }
}

#[test]
fn a_bad_frame_is_told_with_its_place_again_and_again() {
    let mut codec = FrameCodec::new();
    let mut input = BytesMut::new();
    codec.encode(PING, &mut input).unwrap();
    let good = input.len() as u64;
    input.extend_from_slice(b"GET / HTTP/1.1");
    assert_eq!(codec.decode(&mut input).unwrap(), Some(Message::Frame(PING)));
    for _ in 0..3 {
        let error = codec.decode(&mut input).unwrap_err();
        let expected =
            format!("bad frame after {good} bytes: version byte is 0x47, allowed is 0xb0");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
    assert!(codec.decode_eof(&mut input).is_err());
}

#[test]
fn large_data_is_cut_and_empty_data_is_nothing() {
    let (mut codec, mut wire) = (FrameCodec::new(), BytesMut::new());
    codec.encode(Bytes::new(), &mut wire).unwrap();
    assert!(wire.is_empty());
    let data = Bytes::from(vec![7; 3 * MAX_DATA + 1]);
    codec.encode(data.clone(), &mut wire).unwrap();
    assert_eq!(wire.len(), data.len() + 4 * 4, "four headers");
    assert_eq!(read([&wire[..]]).unwrap(), [Message::Data(data)]);
}

#[test]
fn a_frame_that_cannot_be_written_leaves_nothing() {
    let (mut codec, mut wire) = (FrameCodec::new(), BytesMut::from(&b"before"[..]));
    let error = codec.encode(Frame::Unknown { kind: 0x80 }, &mut wire).unwrap_err();
    assert!(matches!(error, Error::Encode(EncodeError::Unknown { kind: 0x80 })), "{error}");
    let period = Some(Duration::ZERO);
    let beacon = Frame::Beacon { id: PingId::new(1, 1), handle: 0, stamp: 0, period, status: None };
    assert!(matches!(codec.encode(beacon, &mut wire), Err(Error::Encode(_))));
    assert_eq!(&wire[..], b"before");
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn framed_talks_to_the_adapter() {
    use heartbeat_proto::adapter::tokio::Heartbeat;
    use heartbeat_proto::{Config, FirstPing};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let (here, there) = tokio::io::duplex(256);
    let config = Config::builder().first_ping(FirstPing::Immediate).build().unwrap();
    let peer = tokio::spawn(async move {
        let mut peer = Heartbeat::new(there, config);
        let mut text = [0; 5];
        peer.read_exact(&mut text).await.unwrap();
        peer.write_all(&text).await.unwrap();
        peer.flush().await.unwrap();
        // It reads on until our goodbye.
        assert_eq!(peer.read(&mut text).await.unwrap(), 0);
        peer.driver().machine().stats().pongs_received
    });
    let mut framed = Framed::new(here, FrameCodec::new());
    framed.send(Bytes::from_static(b"hello")).await.unwrap();
    let mut text = Vec::new();
    while text.len() < 5 {
        match framed.next().await.unwrap().unwrap() {
            Message::Data(data) => text.extend_from_slice(&data),
            Message::Frame(frame) => {
                if let Some(pong) = frame.answer(Duration::ZERO, false) {
                    framed.send(pong).await.unwrap();
                }
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(text, b"hello");
    framed.send(Message::Frame(Frame::Goodbye { epoch: 0, reason: 0 })).await.unwrap();
    assert!(peer.await.unwrap() >= 1, "our pong was one");
}
