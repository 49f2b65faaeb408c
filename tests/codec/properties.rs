//! Promises of the codec, for all frames, all cuts and any garbage. proptest draws the cases; no
//! test asserts anything that holds only probably, so the false-failure rate is zero.

use core::time::Duration;

use heartbeat_proto::codec::{
    DecodeError, Decoder, Encoder, Frame, Hello, Item, MAX_DATA, MAX_FRAME, Status, datagram,
};
use heartbeat_proto::{Limits, PingId, Wish};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn status() -> impl Strategy<Value = Option<Status>> + Clone {
    option::of((any::<[bool; 4]>(), 0..=100_u8, any::<u16>()).prop_map(|(flags, load, reason)| {
        let [alive, ready, sustained, draining] = flags;
        let status = Status::new().with_alive(alive).with_ready(ready).with_sustained(sustained);
        status.with_draining(draining).with_load(load).unwrap().with_reason(reason)
    }))
}

fn limits() -> impl Strategy<Value = Limits> {
    let span = || (1..=Limits::MAX_SPAN.as_micros() as u64).prop_map(Duration::from_micros);
    let wish =
        prop_oneof![Just(Wish::Disabled), Just(Wish::NoPreference), span().prop_map(Wish::Every)];
    (wish, option::of(span()), span())
        .prop_map(|(interval, timeout, min_gap)| Limits::new(interval, timeout, min_gap).unwrap())
}

/// Every frame that can be written, with spans that are exact on the wire.
fn frame() -> impl Strategy<Value = Frame> {
    let beat = (any::<u64>().prop_map(PingId::from_u64), any::<u64>(), any::<u64>(), status());
    prop_oneof![
        beat.clone().prop_map(|(id, handle, stamp, status)| Frame::Ping {
            id,
            handle,
            stamp,
            status
        }),
        (beat.clone(), any::<u32>(), any::<bool>()).prop_map(|(beat, micros, calm)| {
            let (id, handle, stamp, status) = beat;
            let hold = Duration::from_micros(micros.into());
            Frame::Pong { id, handle, stamp, hold, calm, status }
        }),
        (beat, option::of(1..=u64::MAX)).prop_map(|(beat, micros)| {
            let (id, handle, stamp, status) = beat;
            let period = micros.map(Duration::from_micros);
            Frame::Beacon { id, handle, stamp, period, status }
        }),
        (any::<[u32; 3]>(), any::<[u64; 2]>(), limits()).prop_map(|(numbers, words, limits)| {
            let ([epoch, revision, ack], [nonce, stamp]) = (numbers, words);
            let hello = Hello::new(epoch, nonce, limits).with_stamp(stamp);
            Frame::Hello(hello.with_revision(revision).with_ack(ack))
        }),
        (any::<u32>(), any::<u16>()).prop_map(|(epoch, reason)| Frame::Goodbye { epoch, reason }),
    ]
}

/// Bytes that get past the first checks more often than not.
fn nearly_a_frame() -> impl Strategy<Value = Vec<u8>> {
    let patches = vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let header = (0..16_u8, prop_oneof![0..10_u8, Just(0x80), any::<u8>()], 0..130_u16);
    prop_oneof![
        vec(any::<u8>(), 0..300),
        (header, vec(any::<u8>(), 0..130)).prop_map(|((minor, kind, len), body)| {
            let mut bytes = vec![0xb0 | minor, kind];
            bytes.extend(len.to_be_bytes());
            bytes.extend(body);
            bytes
        }),
        (frame(), patches, vec(any::<u8>(), 0..8)).prop_map(|(frame, patches, tail)| {
            let mut bytes = encoded(&frame);
            for (at, byte) in patches {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.extend(tail);
            bytes
        }),
    ]
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut out = Vec::new();
    frame.encode(&mut out).unwrap();
    out
}

/// Application data or a heartbeat.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Beat(Frame),
    Data(Vec<u8>),
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let data = vec(any::<u8>(), 1..200).prop_map(Piece::Data);
    vec(prop_oneof![frame().prop_map(Piece::Beat), data], 0..12)
}

fn wire(pieces: &[Piece]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Beat(frame) => frame.encode(&mut out).unwrap(),
            Piece::Data(bytes) => {
                out.extend(Encoder::header(bytes.len()).unwrap());
                out.extend(bytes);
            }
        }
    }
    out
}

/// What came out, the error with the offset of its frame, and the answer of `finish`.
type Decoded = (Vec<Piece>, Option<(DecodeError, u64)>, Result<(), DecodeError>);

/// All that comes out of a stream that arrives in these chunks, neighbouring data joined.
fn decode_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let (mut decoder, mut out) = (Decoder::new(), Vec::<Piece>::new());
    for mut input in chunks {
        while !input.is_empty() {
            let (consumed, item) = match decoder.feed(input) {
                Ok(fed) => fed,
                Err(error) => {
                    // Sticky, whatever is fed.
                    assert_eq!(decoder.feed(&[]), Err(error));
                    let good = encoded(&Frame::Goodbye { epoch: 1, reason: 0 });
                    assert_eq!(decoder.feed(&good), Err(error));
                    assert_eq!(decoder.finish(), Err(error));
                    return (out, Some((error, decoder.offset())), Err(error));
                }
            };
            match item {
                Some(Item::Frame(frame)) => {
                    let bytes = decoder.frame_bytes(input, consumed);
                    assert_eq!(datagram::decode(bytes), Ok(frame));
                    out.push(Piece::Beat(frame));
                }
                Some(data) => {
                    let bytes = data.data(input);
                    assert!(!bytes.is_empty());
                    match out.last_mut() {
                        Some(Piece::Data(last)) => last.extend(bytes),
                        _ => out.push(Piece::Data(bytes.to_vec())),
                    }
                }
                None => assert_eq!(consumed, input.len(), "all is taken if more is needed"),
            }
            input = &input[consumed..];
        }
    }
    let end = decoder.finish();
    (out, None, end)
}

fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut out = Vec::<Piece>::new();
    for piece in pieces {
        match (out.last_mut(), piece) {
            (Some(Piece::Data(last)), Piece::Data(bytes)) => last.extend(bytes),
            (_, piece) => out.push(piece),
        }
    }
    out
}

/// Cuts `bytes` after each of `cuts` (wrapped), in order.
fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn c1_round_trip(frame in frame(), tail in vec(any::<u8>(), 0..8)) {
        let mut bytes = encoded(&frame);
        let len = bytes.len();
        prop_assert_eq!(len, frame.encoded_len());
        prop_assert!(len <= MAX_FRAME);
        prop_assert_eq!(datagram::decode(&bytes), Ok(frame));
        let mut buf = bytes::Bytes::from(bytes.clone());
        prop_assert_eq!(Frame::decode_buf(&mut buf), Ok(Some(frame)));
        bytes.extend(&tail);
        prop_assert_eq!(Frame::decode(&bytes), Ok(Some((frame, len))));
        if !tail.is_empty() {
            let extra = tail.len();
            prop_assert_eq!(datagram::decode(&bytes), Err(DecodeError::Trailing { extra }));
        }
    }

    /// Skipped content makes the frame shorter; a later minor version differs in the first
    /// byte; nothing else may differ.
    #[test]
    fn c2_canonical(bytes in nearly_a_frame()) {
        if let Ok(Some((frame, len))) = Frame::decode(&bytes) {
            if matches!(frame, Frame::Unknown { .. }) {
                prop_assert!(frame.encode_into(&mut [0; MAX_FRAME]).is_err());
                return Ok(());
            }
            let mut again = encoded(&frame);
            prop_assert!(again.len() <= len);
            if again.len() == len {
                again[0] |= bytes[0] & 0x0f;
                prop_assert_eq!(again, &bytes[..len]);
            }
        }
    }

    /// A prefix is never an error and never a frame.
    #[test]
    fn c4_prefix(frame in frame()) {
        let bytes = encoded(&frame);
        for end in 0..bytes.len() {
            prop_assert_eq!(Frame::decode(&bytes[..end]), Ok(None));
            let mut from = &bytes[..end];
            prop_assert_eq!(Frame::decode_buf(&mut from), Ok(None));
            prop_assert_eq!(from.len(), end);
            let found = Err(DecodeError::Truncated { found: end });
            prop_assert_eq!(datagram::decode(&bytes[..end]), found);
        }
    }

    /// Good streams: at every single split point, and at many at once.
    #[test]
    fn c3_splits(
        pieces in pieces(),
        cuts in vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let wire = wire(&pieces);
        let pieces = joined(pieces);
        for at in 0..=wire.len() {
            let (one, two) = wire.split_at(at);
            let (found, error, end) = decode_chunks([one, two]);
            prop_assert_eq!((&found, error, end), (&pieces, None, Ok(())));
        }
        let (found, error, end) = decode_chunks(cut(&wire, &cuts));
        prop_assert_eq!((&found, error, end), (&pieces, None, Ok(())));
        let (found, error, end) = decode_chunks(wire.chunks(1));
        prop_assert_eq!((&found, error, end), (&pieces, None, Ok(())));
    }

    /// Bad ones: the same frames, the same error of the frame at the same byte.
    #[test]
    fn c3_splits_of_garbage(
        good in pieces(),
        bad in nearly_a_frame(),
        cuts in vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let mut wire = wire(&good);
        wire.extend(bad);
        let whole = decode_chunks([wire.as_slice()]);
        prop_assert_eq!(&decode_chunks(cut(&wire, &cuts)), &whole);
        prop_assert_eq!(&decode_chunks(wire.chunks(1)), &whole);
    }

    /// An error consumes nothing, and what is fed after it changes nothing.
    #[test]
    fn c5_errors(good in pieces(), bad in nearly_a_frame(), more in vec(any::<u8>(), 0..40)) {
        let mut bytes = wire(&good);
        bytes.extend(bad);
        let (mut decoder, mut from) = (Decoder::new(), &bytes[..]);
        while !from.is_empty() {
            let offset = decoder.offset();
            let Ok((consumed, _)) = decoder.feed(from) else {
                let before = decoder.clone();
                let error = decoder.feed(from);
                prop_assert!(error.is_err());
                for again in [&more[..], &[], from] {
                    prop_assert_eq!(decoder.feed(again), error);
                }
                prop_assert!(decoder.offset() == offset && decoder.offset() == before.offset());
                break;
            };
            from = &from[consumed..];
        }
        // In the slice core: the bytes that made the error are still all there.
        let mut from = bytes::Bytes::from(bytes.clone());
        while let Ok(Some(_)) = Frame::decode_buf(&mut from) {}
        let left = from.len();
        let again = Frame::decode_buf(&mut from);
        prop_assert!(from.len() == left && Frame::decode_buf(&mut from) == again);
    }

    /// No bytes panic or take anything from the heap in the slice core.
    #[test]
    fn c7_total(
        bytes in nearly_a_frame(),
        frame in frame(),
        cuts in vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let parts = cut(&bytes, &cuts);
        let used = allocation_counter::measure(|| {
            let _ = (Frame::decode(&bytes), datagram::decode(&bytes));
            let mut decoder = Decoder::new();
            for part in parts {
                let mut part = part;
                while let Ok((consumed @ 1.., _)) = decoder.feed(part) {
                    part = &part[consumed..];
                }
            }
            let _ = (decoder.finish(), frame.encode_into(&mut [0; MAX_FRAME]));
        });
        prop_assert_eq!(used.count_total, 0);
    }

    /// Four bytes suffice to reject a length.
    #[test]
    fn c6_length_first(
        minor in 0..16_u8,
        kind in any::<u8>(),
        len in any::<u16>(),
    ) {
        let [a, b] = len.to_be_bytes();
        let header = [0xb0 | minor, kind, a, b];
        let limit = if kind == 7 { MAX_DATA } else { MAX_FRAME - 4 };
        let mut decoder = Decoder::new();
        if decoder.feed(&header).is_ok() {
            prop_assert!(len as usize <= limit);
        } else if (1..=7).contains(&kind) && len as usize > limit {
            let found = Frame::decode(&header);
            let is_length = matches!(found, Err(DecodeError::Length { found, .. }) if found == len);
            prop_assert!(is_length, "{:?}", found);
        }
    }

    /// Encoding into too little space.
    #[test]
    fn a_small_output_is_an_error_with_the_size_needed(frame in frame(), len in 0..MAX_FRAME) {
        let mut out = vec![0; len];
        let needed = frame.encoded_len();
        match frame.encode_into(&mut out) {
            Ok(written) => prop_assert!(written == needed && needed <= len),
            Err(error) => {
                let told = heartbeat_proto::codec::EncodeError::NoSpace { found: len, needed };
                prop_assert_eq!(error, told);
                prop_assert!(needed > len);
            }
        }
        let mut room = &mut out[..];
        prop_assert_eq!(frame.encode(&mut room).is_ok(), needed <= len);
    }

    #[test]
    fn an_answer_is_never_longer_and_adds_nothing(ping in frame(), hold in any::<u64>()) {
        let hold = Duration::from_nanos(hold);
        let Some(pong) = ping.answer(hold, true) else {
            let is_ping = matches!(ping, Frame::Ping { .. });
            prop_assert!(!is_ping);
            return Ok(());
        };
        prop_assert!(encoded(&pong).len() <= encoded(&ping).len());
        prop_assert_eq!(&encoded(&pong)[4..28], &encoded(&ping)[4..28]);
    }

    #[test]
    fn data_of_any_size_is_cut_into_frames_of_bounded_size(waiting in 0..100_000_usize) {
        let (mut encoder, mut left, mut frames) = (Encoder::new(), waiting, 0);
        while let Some((header, len)) = encoder.begin(left) {
            prop_assert!(len <= MAX_DATA && encoder.begin(left).is_none());
            prop_assert_eq!(Encoder::header(len), Ok(header));
            encoder.wrote(len / 2);
            prop_assert_eq!(encoder.left(), len - len / 2);
            encoder.wrote(len - len / 2);
            prop_assert!(encoder.at_boundary());
            left -= len;
            frames += 1;
        }
        prop_assert_eq!((left, frames), (0, waiting.div_ceil(MAX_DATA)));
    }
}

#[test]
fn spans_saturate_or_fail_but_never_wrap() {
    let id = PingId::new(1, 1);
    let pong = |hold| Frame::Pong { id, handle: 0, stamp: 0, hold, calm: false, status: None };
    let hold = |hold| match datagram::decode(&encoded(&pong(hold))) {
        Ok(Frame::Pong { hold, .. }) => hold,
        other => panic!("{other:?}"),
    };
    assert_eq!(hold(Duration::from_nanos(1_999)), Duration::from_micros(1));
    assert_eq!(hold(Duration::from_secs(65_600)), Duration::from_micros(u32::MAX.into()));
    assert_eq!(hold(Duration::MAX), Duration::from_micros(u32::MAX.into()));

    let beacon = |period| Frame::Beacon { id, handle: 0, stamp: 0, period, status: None };
    let out = &mut [0; MAX_FRAME];
    for bad in [Duration::ZERO, Duration::MAX] {
        assert!(beacon(Some(bad)).encode_into(out).is_err(), "{bad:?}");
    }
    let one = encoded(&beacon(Some(Duration::from_nanos(1))));
    assert_eq!(datagram::decode(&one), Ok(beacon(Some(Duration::from_micros(1)))));
}

#[test]
fn a_stream_that_ends_within_a_frame_says_so() {
    for (bytes, found) in [(&[0xb0, 1, 0][..], 3), (&[0xb0, 7, 0, 2, 9], 4)] {
        let mut decoder = Decoder::new();
        assert_eq!(decoder.feed(bytes).map(|(taken, _)| taken), Ok(bytes.len()));
        assert_eq!(decoder.finish(), Err(DecodeError::Truncated { found }));
    }
}
