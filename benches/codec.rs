//! The 32-byte ping beside what others do with 24 bytes of payload, in batches of 1024 frames.
//! Divide a time by 1024, or take the reciprocal of the items per second, for a frame's time.
//!
//! `cargo bench --bench codec`

#![allow(clippy::wildcard_imports, reason = "the groups of one benchmark")]

use core::hint::black_box;
use core::time::Duration;
use std::io::Cursor;

use bytes::{Bytes, BytesMut};
use divan::Bencher;
use divan::counter::ItemsCount;
use heartbeat_proto::PingId;
use heartbeat_proto::codec::{Decoder, Frame, Item, PING_LEN, datagram};
use tokio_util::codec::{Decoder as _, Encoder as _, LengthDelimitedCodec};
use tungstenite::protocol::frame as ws;

const BATCH: usize = 1024;
const PAYLOAD: &[u8; 24] = b"24 bytes: handle, stamp.";

fn main() {
    divan::main();
}

fn frames() -> Vec<Frame> {
    let frame = |n: u32| {
        let (id, handle, stamp, status) = (PingId::new(1, n), n.into(), n.into(), None);
        let hold = Duration::from_micros(n.into());
        if n % 2 == 0 {
            Frame::Ping { id, handle, stamp, status }
        } else {
            Frame::Pong { id, handle, stamp, hold, calm: false, status }
        }
    };
    (0..BATCH as u32).map(frame).collect()
}

fn wire() -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames() {
        frame.encode(&mut out).unwrap();
    }
    assert_eq!(out.len(), BATCH * PING_LEN);
    out
}

fn items() -> ItemsCount {
    ItemsCount::new(BATCH)
}

/// What any caller does: look which frame it is, and use its fields.
#[inline]
fn consume(frame: &Frame) -> u64 {
    match *frame {
        Frame::Ping { id, handle, stamp, .. } => id.as_u64() ^ handle ^ stamp,
        Frame::Pong { id, handle, stamp, hold, .. } => {
            id.as_u64() ^ handle ^ stamp ^ u64::from(hold.subsec_nanos())
        }
        _ => 0,
    }
}

#[divan::bench_group]
mod encode {
    use super::*;

    #[divan::bench]
    fn ours_slice(bencher: Bencher) {
        let (frames, mut out) = (frames(), vec![0; BATCH * PING_LEN]);
        bencher.counter(items()).bench_local(|| {
            let mut at = 0;
            for frame in black_box(&frames) {
                at += frame.encode_into(&mut out[at..]).unwrap();
            }
            black_box(&out);
        });
    }

    #[divan::bench]
    fn ours_bytes_mut(bencher: Bencher) {
        let (frames, mut out) = (frames(), BytesMut::with_capacity(BATCH * PING_LEN));
        bencher.counter(items()).bench_local(|| {
            out.clear();
            for frame in black_box(&frames) {
                frame.encode(&mut out).unwrap();
            }
            black_box(&out);
        });
    }

    #[divan::bench]
    fn tungstenite_ping(bencher: Bencher) {
        let mut out = Vec::with_capacity(BATCH * 26);
        let frame = || ws::Frame::ping(Bytes::from_static(PAYLOAD));
        let frames = || (0..BATCH).map(|_| frame()).collect::<Vec<_>>();
        bencher.counter(items()).with_inputs(frames).bench_local_refs(|frames| {
            out.clear();
            for frame in frames.drain(..) {
                frame.format(&mut out).unwrap();
            }
            black_box(&out);
        });
    }

    #[divan::bench]
    fn tokio_util_length_delimited(bencher: Bencher) {
        let (mut codec, mut out) =
            (LengthDelimitedCodec::new(), BytesMut::with_capacity(BATCH * 28));
        bencher.counter(items()).bench_local(|| {
            out.clear();
            for _ in 0..BATCH {
                codec.encode(black_box(Bytes::from_static(PAYLOAD)), &mut out).unwrap();
            }
            black_box(&out);
        });
    }
}

#[divan::bench_group]
mod decode {
    use super::*;

    /// The fields are used, in registers.
    #[divan::bench]
    fn ours_slice(bencher: Bencher) {
        let wire = wire();
        bencher.counter(items()).bench_local(|| {
            let mut rest = black_box(wire.as_slice());
            while let Ok(Some((frame, len))) = Frame::decode(rest) {
                black_box(consume(&frame));
                rest = &rest[len..];
            }
            assert!(rest.is_empty());
        });
    }

    /// The whole frame is put into memory.
    #[divan::bench]
    fn ours_slice_stored(bencher: Bencher) {
        let wire = wire();
        bencher.counter(items()).bench_local(|| {
            let mut rest = black_box(wire.as_slice());
            while let Ok(Some((frame, len))) = Frame::decode(rest) {
                black_box(&frame);
                rest = &rest[len..];
            }
            assert!(rest.is_empty());
        });
    }

    #[divan::bench]
    fn ours_datagram(bencher: Bencher) {
        let wire = wire();
        bencher.counter(items()).bench_local(|| {
            for bytes in black_box(wire.as_slice()).chunks_exact(PING_LEN) {
                if let Ok(frame) = datagram::decode(bytes) {
                    black_box(consume(&frame));
                }
            }
        });
    }

    #[divan::bench]
    fn ours_stream(bencher: Bencher) {
        let (wire, mut decoder) = (wire(), Decoder::new());
        bencher.counter(items()).bench_local(|| {
            let mut rest = black_box(wire.as_slice());
            while let Ok((len, Some(Item::Frame(frame)))) = decoder.feed(rest) {
                black_box(consume(&frame));
                rest = &rest[len..];
            }
            assert!(rest.is_empty());
        });
    }

    #[divan::bench]
    fn tungstenite_header(bencher: Bencher) {
        let mut wire = Vec::new();
        for _ in 0..BATCH {
            ws::Frame::ping(Bytes::from_static(PAYLOAD)).format(&mut wire).unwrap();
        }
        bencher.counter(items()).bench_local(|| {
            let mut cursor = Cursor::new(black_box(wire.as_slice()));
            while let Some((header, len)) = ws::FrameHeader::parse(&mut cursor).unwrap() {
                let (start, end) = (cursor.position(), cursor.position() + len);
                black_box((&header, &wire[start as usize..end as usize]));
                cursor.set_position(end);
            }
        });
    }

    #[divan::bench]
    fn tokio_util_length_delimited(bencher: Bencher) {
        let (mut codec, mut wire) = (LengthDelimitedCodec::new(), BytesMut::new());
        for _ in 0..BATCH {
            codec.encode(Bytes::from_static(PAYLOAD), &mut wire).unwrap();
        }
        let copy = || BytesMut::from(wire.as_ref());
        bencher.counter(items()).with_inputs(copy).bench_local_refs(|wire| {
            while let Some(frame) = codec.decode(wire).unwrap() {
                black_box(&frame);
            }
        });
    }
}

/// What authentication costs on top: two blocks of SHA-256 for each of both hashes.
#[cfg(feature = "auth")]
#[divan::bench_group]
mod sealed {
    use super::*;
    use heartbeat_proto::Timestamp;
    use heartbeat_proto::codec::MAX_FRAME;
    use heartbeat_proto::codec::auth::{KeyRing, Opener, Sealer};

    const NOW: Timestamp = Timestamp::EPOCH;

    #[divan::bench]
    fn seal(bencher: Bencher) {
        let (keys, frames) = (KeyRing::new(1, &[7; 32]).unwrap(), frames());
        let mut sealer = Sealer::new(1, 2).unwrap();
        bencher.counter(items()).bench_local(|| {
            for frame in black_box(&frames) {
                let mut out = [0; MAX_FRAME];
                black_box(sealer.seal(&keys, frame, &mut out)).unwrap();
                black_box(&out);
            }
        });
    }

    #[divan::bench]
    fn open(bencher: Bencher) {
        let keys = KeyRing::new(1, &[7; 32]).unwrap();
        let mut sealer = Sealer::new(1, 2).unwrap();
        let seal = |frame| {
            let mut out = [0; MAX_FRAME];
            let len = sealer.seal(&keys, frame, &mut out).unwrap();
            out[..len].to_vec()
        };
        let bytes: Vec<_> = frames().iter().map(seal).collect();
        let opener = || Opener::new(2, 1).unwrap();
        bencher.counter(items()).with_inputs(opener).bench_local_refs(|opener| {
            for bytes in black_box(&bytes) {
                black_box(&opener.open(&keys, bytes, NOW)).as_ref().unwrap();
            }
        });
    }
}
