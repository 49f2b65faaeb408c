//! Sealed frames: what opens, and everything that must not. Keys and nonces are fixed; only
//! the garbage test leaves anything to chance, with a false-failure rate below 2^-100.
#![cfg(feature = "auth")]
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

mod vectors;

use core::time::Duration;

use heartbeat_proto::codec::auth::{
    AuthError, KeyError, KeyRing, Opener, SEAL_LEN, SealError, Sealer,
};
use heartbeat_proto::codec::{DecodeError, EncodeError, Frame, Hello, MAX_FRAME, datagram};
use heartbeat_proto::{Limits, PingId, Timestamp, Wish};
use proptest::prelude::*;

const OURS: u64 = 0xa1a2_a3a4_a5a6_a7a8;
const THEIRS: u64 = 0xb1b2_b3b4_b5b6_b7b8;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const START: Timestamp = Timestamp::from_nanos(77_000_000_000);

fn keys() -> KeyRing {
    KeyRing::new(1, SECRET).unwrap()
}

fn pair() -> (Sealer, Opener) {
    (Sealer::new(OURS, THEIRS).unwrap(), Opener::new(THEIRS, OURS).unwrap())
}

fn seal(sealer: &mut Sealer, keys: &KeyRing, frame: &Frame) -> Vec<u8> {
    let mut out = [0; MAX_FRAME];
    let len = sealer.seal(keys, frame, &mut out).unwrap();
    assert_eq!(len, frame.encoded_len() + SEAL_LEN);
    out[..len].to_vec()
}

/// A ping that says it was sent `millis` after its sender's start.
fn ping(millis: i64) -> Frame {
    let stamp = 1_u64.wrapping_sub(1_000_000).wrapping_add_signed(millis * 1_000_000);
    Frame::Ping { id: PingId::new(1, 1), handle: 5, stamp, status: None }
}

fn after(millis: u64) -> Timestamp {
    START.saturating_add(Duration::from_millis(millis))
}

#[test]
fn sealed_vectors_of_the_documentation() {
    let (mut sealer, mut opener) = pair();
    let frames = vectors::golden_frames();
    for vector in vectors::block("sealed") {
        let frame = frames[vector.name];
        assert_eq!(seal(&mut sealer, &keys(), &frame), vector.bytes, "{}", vector.name);
        assert_eq!(opener.open(&keys(), &vector.bytes, START), Ok(frame), "{}", vector.name);
    }
}

#[test]
fn every_frame_fits_when_sealed_and_reads_without_a_key() {
    let (mut sealer, mut opener) = pair();
    for (name, frame) in vectors::golden_frames() {
        let bytes = seal(&mut sealer, &keys(), &frame);
        assert!(bytes.len() <= MAX_FRAME, "{name}");
        assert_eq!(datagram::decode(&bytes), Ok(frame), "{name}");
        assert_eq!(opener.open(&keys(), &bytes, START), Ok(frame), "{name}");
    }
}

#[test]
fn any_changed_bit_and_any_cut_fails_and_leaves_the_opener_as_it_was() {
    let (mut sealer, mut opener) = pair();
    let bytes = seal(&mut sealer, &keys(), &ping(0));
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let error = opener.open(&keys(), &bad, START).unwrap_err();
        let expected =
            matches!(error, AuthError::BadTag | AuthError::Missing | AuthError::UnknownKey { .. });
        assert!(expected, "{bit}: {error}");
    }
    for end in 0..bytes.len() {
        assert!(opener.open(&keys(), &bytes[..end], START).is_err());
    }
    assert_eq!(opener.open(&keys(), &bytes, START), Ok(ping(0)));
}

#[test]
fn frames_of_another_connection_or_direction_or_none_do_not_open() {
    let (mut sealer, mut opener) = pair();
    let bytes = seal(&mut sealer, &keys(), &ping(0));
    for (ours, theirs) in [(OURS, THEIRS), (THEIRS, OURS ^ 1), (THEIRS ^ 1, OURS)] {
        let mut other = Opener::new(ours, theirs).unwrap();
        assert_eq!(other.open(&keys(), &bytes, START), Err(AuthError::BadTag));
    }
    let mut plain = [0; MAX_FRAME];
    let len = ping(0).encode_into(&mut plain).unwrap();
    assert_eq!(opener.open(&keys(), &plain[..len], START), Err(AuthError::Missing));
    assert_eq!(opener.open(&keys(), &[0; 4096], START), Err(AuthError::Missing));
    assert_eq!(Opener::new(OURS, OURS).err(), Some(AuthError::SameNonce));
    assert_eq!(Sealer::new(OURS, OURS).err(), Some(AuthError::SameNonce));
}

#[test]
fn keys_rotate_without_a_lost_frame() {
    let (mut sealer, mut opener) = pair();
    let (mut ours, mut theirs) = (keys(), keys());
    let new = b"a new secret of sufficient length";
    let mut works = |ours: &KeyRing, theirs: &KeyRing| {
        let bytes = seal(&mut sealer, ours, &ping(0));
        opener.open(theirs, &bytes, START)
    };
    assert_eq!(works(&ours, &theirs), Ok(ping(0)));
    theirs.insert(2, new).unwrap();
    assert_eq!(works(&ours, &theirs), Ok(ping(0)));
    ours.insert(2, new).unwrap();
    ours.use_key(2).unwrap();
    assert_eq!(works(&ours, &theirs), Ok(ping(0)));
    theirs.use_key(2).unwrap();
    theirs.remove(1).unwrap();
    assert_eq!(works(&ours, &theirs), Ok(ping(0)));
    ours.use_key(1).unwrap();
    assert_eq!(works(&ours, &theirs), Err(AuthError::UnknownKey { found: 1 }));
    assert_eq!(format!("{ours:?}"), "[1, 2]");
}

#[test]
fn a_key_ring_refuses_what_it_cannot_do() {
    let mut keys = keys();
    assert_eq!(KeyRing::new(1, b"short").err(), Some(KeyError::TooShort { found: 5 }));
    assert_eq!(keys.insert(1, SECRET), Err(KeyError::Taken { id: 1 }));
    assert_eq!(keys.remove(1), Err(KeyError::InUse { id: 1 }));
    assert_eq!(keys.remove(9), Err(KeyError::Unknown { id: 9 }));
    assert_eq!(keys.use_key(9), Err(KeyError::Unknown { id: 9 }));
    for id in 2..=4 {
        keys.insert(id, SECRET).unwrap();
    }
    assert_eq!(keys.insert(5, SECRET), Err(KeyError::Full));
    keys.remove(3).unwrap();
    assert_eq!(keys.insert(5, SECRET), Ok(()));
}

#[test]
fn stamps_may_be_off_by_the_limit_and_not_by_more() {
    let limit = 500;
    for (sent, received, ok) in
        [(0, limit, true), (0, limit + 1, false), (1_000, 500, true), (1_001, 500, true)]
    {
        let (mut sealer, mut opener) = pair();
        let first = seal(&mut sealer, &keys(), &ping(0));
        // The first frame teaches the offset: the clocks are arbitrarily far apart.
        assert_eq!(opener.open(&keys(), &first, START), Ok(ping(0)));
        let second = seal(&mut sealer, &keys(), &ping(sent));
        let result = opener.open(&keys(), &second, after(received));
        assert_eq!(result.is_ok(), ok, "sent {sent} ms, received {received} ms: {result:?}");
        if !ok {
            assert!(matches!(result, Err(AuthError::Skew { .. })));
            // Nothing changed: the same frame opens in time.
            let in_time = after(u64::try_from(sent).unwrap());
            assert_eq!(opener.open(&keys(), &second, in_time), Ok(ping(sent)));
        }
    }
}

/// The limit and the drift together are still allowed, to the nanosecond.
#[test]
fn a_stamp_may_be_off_by_the_limit_and_the_drift_exactly() {
    let fits = |late: &u64| *late == 500_000_000 + (late >> 12);
    let most = (500_000_000..501_000_000).find(fits).expect("a lateness that is all it may be");
    for (late, ok) in [(most, true), (most + 1, false)] {
        let (mut sealer, mut opener) = pair();
        for (late, ok) in [(0, true), (late, ok)] {
            let bytes = seal(&mut sealer, &keys(), &ping(0));
            let now = START.saturating_add(Duration::from_nanos(late));
            assert_eq!(opener.open(&keys(), &bytes, now).is_ok(), ok, "{late} ns late");
        }
    }
}

/// A hello says when it was sent, as a ping does.
#[test]
fn an_old_hello_is_as_bad_as_an_old_ping() {
    let (mut sealer, mut opener) = pair();
    let limits = Limits::new(Wish::NoPreference, None, Duration::ZERO).unwrap();
    let hello = Frame::Hello(Hello::new(1, OURS, limits));
    for (late, ok) in [(0, true), (600, false)] {
        let bytes = seal(&mut sealer, &keys(), &hello);
        assert_eq!(opener.open(&keys(), &bytes, after(late)).is_ok(), ok, "{late} ms late");
    }
}

/// What is longer than any frame is not worth a digest; what is just as long is.
#[test]
fn the_length_is_looked_at_before_the_tag() {
    let (mut sealer, mut opener) = pair();
    let good = seal(&mut sealer, &keys(), &ping(0));
    let (head, tail) = good.split_at(good.len() - SEAL_LEN);
    for (len, missing) in [(MAX_FRAME, false), (MAX_FRAME + 1, true), (MAX_FRAME + 2, true)] {
        let padding = vec![0; len - good.len()];
        let bytes = [head, &padding, tail].concat();
        let error = opener.open(&keys(), &bytes, START).unwrap_err();
        assert_eq!(error == AuthError::Missing, missing, "{len} bytes: {error}");
    }
}

#[test]
fn clocks_that_drift_apart_for_a_day_never_skew() {
    for ppm in [-200, 200_i64] {
        let (mut sealer, mut opener) = pair();
        for minute in 0..1_440_i64 {
            let frame = ping(minute * 60_000 + minute * 60_000 * ppm / 1_000_000);
            let bytes = seal(&mut sealer, &keys(), &frame);
            let now = after(u64::try_from(minute * 60_000).unwrap());
            assert_eq!(opener.open(&keys(), &bytes, now), Ok(frame), "{ppm} ppm, minute {minute}");
        }
    }
}

#[test]
fn a_day_of_silence_leaves_room_for_a_day_of_drift_and_no_more() {
    const DAY: i64 = 86_400_000;
    // A day divided by 4096, plus the limit.
    let most = DAY / 4_096 + 500;
    for (late, ok) in [(0, true), (most - 1, true), (most + 1, false)] {
        let (mut sealer, mut opener) = pair();
        for (sent, received, ok) in [(0, 0, true), (DAY - late, DAY, ok)] {
            let bytes = seal(&mut sealer, &keys(), &ping(sent));
            let now = after(u64::try_from(received).unwrap());
            assert_eq!(opener.open(&keys(), &bytes, now).is_ok(), ok, "{late} ms");
        }
    }
}

#[test]
fn a_seal_that_does_not_fit_is_not_written_and_not_counted() {
    let (mut sealer, mut opener) = pair();
    let error = sealer.seal(&keys(), &ping(0), &mut [0; 58]);
    assert_eq!(error, Err(SealError::Encode(EncodeError::NoSpace { found: 58, needed: 59 })));
    let bytes = seal(&mut sealer, &keys(), &ping(0));
    assert_eq!(bytes[35..43], 1_u64.to_be_bytes());
    let mut trailing = bytes.clone();
    trailing.push(0);
    assert!(opener.open(&keys(), &trailing, START).is_err());
    assert_eq!(datagram::decode(&trailing), Err(DecodeError::Trailing { extra: 1 }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// The window against a set that remembers everything.
    #[test]
    fn each_frame_opens_once_in_any_order(
        order in proptest::collection::vec(0..200_usize, 1..300),
    ) {
        let (mut sealer, mut opener) = pair();
        let frames: Vec<_> = (0..200).map(|_| seal(&mut sealer, &keys(), &ping(0))).collect();
        let (mut seen, mut newest) = (std::collections::BTreeSet::new(), 0);
        for at in order {
            let counter = at as u64 + 1;
            let fresh = counter + 63 >= newest && seen.insert(counter);
            let opened = opener.open(&keys(), &frames[at], START);
            if fresh {
                newest = newest.max(counter);
                prop_assert_eq!(opened, Ok(ping(0)));
            } else {
                prop_assert_eq!(opened, Err(AuthError::Replay { found: counter, newest }));
            }
        }
    }

    #[test]
    fn garbage_never_opens_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (_, mut opener) = pair();
        // 2^-128 a case.
        prop_assert!(opener.open(&keys(), &bytes, START).is_err());
    }
}

/// One late frame at the start once shut an honest peer out for hours.
#[test]
fn a_late_first_frame_does_not_shut_the_peer_out() {
    let (mut sealer, mut opener) = pair();
    let first = seal(&mut sealer, &keys(), &ping(0));
    assert!(opener.open(&keys(), &first, after(900)).is_ok());
    for second in 1..3600_u32 {
        let sent = i64::from(second) * 1000;
        let punctual = seal(&mut sealer, &keys(), &ping(sent));
        let received = after(u64::from(second) * 1000 + 20);
        assert!(opener.open(&keys(), &punctual, received).is_ok(), "after {second} s");
    }
    // And from then on the limit holds against delays.
    let delayed = seal(&mut sealer, &keys(), &ping(3_600_000));
    let received = after(3_600_000 + 600);
    assert!(matches!(opener.open(&keys(), &delayed, received), Err(AuthError::Skew { .. })));
    // A host that slept says so.
    opener.resumed();
    assert!(opener.open(&keys(), &delayed, received).is_ok());
}
