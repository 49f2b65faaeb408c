//! What the codec keeps and tells beside the frames: offsets, boundaries, status, what was heard.

use core::time::Duration;

use heartbeat_proto::codec::{
    DecodeError, Decoder, Encoder, Frame, Hello, Link, MAX_DATA, MAX_FRAME, Status,
};
use heartbeat_proto::{Action, Event, Limits, PingId, Timestamp, Wish};

const NOW: Timestamp = Timestamp::from_nanos(1);

#[test]
fn each_flag_of_a_status_is_itself() {
    type Set = fn(Status, bool) -> Status;
    type Get = fn(&Status) -> bool;
    let flags: [(Set, Get); 4] = [
        (Status::with_alive, Status::is_alive),
        (Status::with_ready, Status::is_ready),
        (Status::with_sustained, Status::is_sustained),
        (Status::with_draining, Status::is_draining),
    ];
    let none = Status::new().with_alive(false);
    assert!(Status::new().is_alive());
    for (index, (set, _)) in flags.iter().enumerate() {
        let twice = set(set(none, true), true);
        for (other, (_, get)) in flags.iter().enumerate() {
            assert!(!get(&none));
            assert_eq!(get(&twice), other == index);
        }
        assert_eq!(set(twice, false), none);
    }
}

#[test]
fn the_offset_counts_the_bytes_of_whole_frames() {
    let mut bytes = [0; MAX_FRAME];
    let goodbye = Frame::Goodbye { epoch: 1, reason: 0 };
    let len = goodbye.encode_into(&mut bytes).expect("it fits");
    let mut decoder = Decoder::new();
    assert_eq!(decoder.offset(), 0);
    for times in 1..=3 {
        let (taken, _) = decoder.feed(&bytes[..len]).expect("a good frame");
        assert_eq!((taken, decoder.offset()), (len, (times * len) as u64));
    }
}

#[test]
fn a_boundary_is_where_no_data_is_left() {
    let mut encoder = Encoder::new();
    assert!(encoder.at_boundary() && encoder.begin(0).is_none());
    let (_, len) = encoder.begin(MAX_DATA + 1).expect("something waits");
    assert_eq!((len, encoder.left(), encoder.at_boundary()), (MAX_DATA, MAX_DATA, false));
    assert!(encoder.begin(1).is_none(), "in the middle of a piece");
    encoder.wrote(MAX_DATA - 1);
    assert_eq!((encoder.left(), encoder.at_boundary()), (1, false));
    encoder.wrote(1);
    assert!(encoder.at_boundary());
}

/// Only a greeting that carries the epoch of what we have sent is our own.
#[test]
fn a_greeting_of_another_epoch_is_the_peers() {
    let limits = Limits::new(Wish::NoPreference, None, Duration::from_secs(1)).expect("valid");
    let greeting = |epoch| Frame::Hello(Hello::new(epoch, 2, limits));
    let heard = Some(Event::LimitReceived { min_gap: Duration::from_secs(1) });
    let mut link = Link::new(0, 42).with_epoch(8);
    assert_eq!(link.event(&greeting(8), NOW), heard, "we have sent nothing");
    let _ = link.frame(&Action::SendBeacon { id: PingId::new(8, 1), stamp: NOW }, NOW);
    assert_eq!(link.event(&greeting(9), NOW), heard, "another epoch");
    assert_eq!(link.event(&greeting(8), NOW), None);
    assert_eq!((link.misdirected(), link.peer_epoch()), (1, Some(9)));
}

/// A goodbye of an earlier connection is counted, and ends nothing.
#[test]
fn a_stale_goodbye_is_counted() {
    let mut link = Link::new(0, 42);
    assert_eq!((link.stale_goodbyes(), link.peer_restarts()), (0, 0));
    let ping = Frame::Ping { id: PingId::new(5, 1), handle: 1, stamp: 0, status: None };
    assert!(link.event(&ping, NOW).is_some());
    for (epoch, counted) in [(4, 1), (6, 2)] {
        assert_eq!(link.event(&Frame::Goodbye { epoch, reason: 0 }, NOW), None);
        assert_eq!(link.stale_goodbyes(), counted);
    }
    for epoch in [0, 5] {
        let end = link.event(&Frame::Goodbye { epoch, reason: 0 }, NOW);
        assert_eq!(end, Some(Event::GoodbyeReceived));
    }
    assert_eq!((link.stale_goodbyes(), link.peer_restarts()), (2, 0));
}

/// A length may be the largest that is allowed.
#[test]
fn the_longest_frames_are_frames() {
    let header = Encoder::header(MAX_DATA).expect("the most");
    assert_eq!(Decoder::new().feed(&header), Ok((4, None)));
    let most = (MAX_FRAME - 4) as u8;
    let mut unknown = [0; MAX_FRAME];
    unknown[..4].copy_from_slice(&[0xb0, 0x80, 0, most]);
    assert_eq!(Frame::decode(&unknown), Ok(Some((Frame::Unknown { kind: 0x80 }, MAX_FRAME))));
    unknown[3] = most + 1;
    assert!(matches!(Frame::decode(&unknown), Err(DecodeError::Length { .. })));
}

/// A seal has one length.
#[test]
fn a_seal_of_another_length_is_refused() {
    let mut bytes = [0; MAX_FRAME];
    let ping = Frame::Ping { id: PingId::new(1, 1), handle: 2, stamp: 3, status: None };
    let len = ping.encode_into(&mut bytes).expect("it fits");
    bytes[3] += 3;
    bytes[len..len + 2].copy_from_slice(&[0x7f, 1]);
    let found = Frame::decode(&bytes[..len + 3]);
    let wrong = Err(DecodeError::ExtensionLength { extension: 0x7f, found: 1, allowed: 25 });
    assert_eq!(found, wrong);
}

/// What a fuzzer is given: every status and every limit that is valid, and none that is not.
#[cfg(feature = "arbitrary")]
#[test]
fn arbitrary_values_are_valid_and_of_every_kind() {
    use arbitrary::{Arbitrary, Unstructured};

    let mut word = 1_u64;
    let mut drawn = |len: usize| -> Vec<u8> {
        let next = |_| {
            word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (word >> 56) as u8
        };
        (0..len).map(next).collect()
    };
    let (mut loads, mut reasons, mut flags) = ([0; 256], 0, [0; 256]);
    let (mut never, mut any, mut patient, mut gaps) = (0, 0, 0, 0);
    for _ in 0..4_000 {
        let status = Status::arbitrary(&mut Unstructured::new(&drawn(16))).expect("enough bytes");
        loads[usize::from(status.load())] += 1;
        flags[usize::from(status.is_draining()) + 2 * usize::from(status.is_ready())] += 1;
        reasons += u32::from(status.reason() != 0);
        let limits = Limits::arbitrary(&mut Unstructured::new(&drawn(32))).expect("enough bytes");
        let again = Limits::new(limits.interval(), limits.timeout(), limits.min_gap());
        assert_eq!(again, Ok(limits), "valid");
        never += u32::from(limits.interval() == Wish::Disabled);
        any += u32::from(limits.interval() == Wish::NoPreference);
        patient += u32::from(limits.timeout().is_none());
        gaps += u32::from(!limits.min_gap().is_zero());
    }
    assert!(loads[..=100].iter().all(|&count| count > 0), "{loads:?}");
    assert!(loads[101..].iter().all(|&count| count == 0), "{loads:?}");
    assert!(flags[..4].iter().all(|&count| count > 0) && reasons > 3_000, "{reasons}");
    for count in [never, any, patient] {
        assert!((500..3_500).contains(&count), "{never} {any} {patient}");
    }
    assert!(gaps > 3_000);
}
