//! The bytes of snapshots: what is saved comes back, what is damaged is refused, and nobody can
//! make the fleet do more than restore peers.

use heartbeat_proto::detector::Deadline;
use heartbeat_proto::fleet::{Fleet, Progress, Restoring, Saving, SnapshotError};
use heartbeat_proto::{Config, Event, Liveness, Timestamp};

use super::snapshot::saved;

pub(super) const MS: u64 = 1_000_000;
pub(super) const HOUR: u64 = 3_600_000 * MS;
pub(super) const PORTION: usize = Fleet::<Deadline>::LONGEST_PORTION;
pub(super) const HEADER: usize = 28;
pub(super) const RECORD: usize = 40;

pub(super) fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(HOUR + nanos)
}

/// CRC-32 of IEEE 802.3, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

/// The portion with a check that fits.
pub(super) fn sealed(portion: &[u8]) -> Vec<u8> {
    let (body, _) = portion.split_at(portion.len() - 4);
    [body, &crc(body).to_be_bytes()].concat()
}

pub(super) fn refused(bytes: &[u8]) -> SnapshotError {
    let mut fleet = Fleet::new(Config::lan(), 1, at(0)).expect("valid");
    let mut restoring = Restoring::new();
    let mut nobody = |_, _| panic!("a peer of a portion that is refused");
    let error = fleet.restore(&mut restoring, bytes, at(0), &mut nobody).expect_err("refused");
    assert_eq!((fleet.len(), restoring), (0, Restoring::new()));
    let profile = fleet.profiles().next().expect("one");
    assert!(fleet.insert(profile, at(0)).is_ok_and(|handle| handle.slot() == 0));
    error
}

/// Two portions and the end.
pub(super) fn snapshot(seed: u64) -> Vec<u8> {
    let mut fleet = Fleet::new(Config::lan(), seed, at(0)).expect("valid");
    let profile = fleet.profiles().next().expect("one");
    for n in 0..1500 {
        let handle = fleet.insert(profile, at(n)).expect("room");
        let _ = fleet.handle(handle, Event::Start, at(n)).expect("there");
    }
    saved(&fleet, at(HOUR))
}

pub(super) fn restore_all(fleet: &mut Fleet, bytes: &[u8]) -> Result<usize, SnapshotError> {
    let (mut restoring, mut taken) = (Restoring::new(), 0);
    while !restoring.is_done() {
        taken += fleet.restore(&mut restoring, &bytes[taken..], at(0), &mut |_, _| {})?;
    }
    let again = fleet.restore(&mut restoring, bytes, at(0), &mut |_, _| {});
    assert_eq!(again, Err(SnapshotError::Ended));
    Ok(taken)
}

/// SN1, SN3: the lengths are what is written down, and the check is zlib's.
#[test]
fn the_layout_is_as_written() {
    let bytes = snapshot(1);
    assert_eq!((PORTION, bytes.len()), (40_992, 2 * 40_992 + 32));
    let (first, rest) = bytes.split_at(PORTION);
    let (second, end) = rest.split_at(PORTION);
    let mut before = [0; 4];
    for (number, portion) in [first, second, end].into_iter().enumerate() {
        assert_eq!(sealed(portion), portion);
        assert_eq!(portion[..6], *b"HBFS\0\x01");
        let kind = u8::from(number == 2);
        let length = u32::try_from(portion.len()).expect("short").to_be_bytes();
        assert_eq!((&portion[6..8], &portion[8..12]), (&[kind, 0][..], &length[..]));
        assert_eq!((portion[15], &portion[16..20]), (number as u8, &before[..]));
        before.copy_from_slice(&portion[portion.len() - 4..]);
    }
    let mut fleet = Fleet::new(Config::lan(), 2, at(0)).expect("valid");
    assert_eq!(restore_all(&mut fleet, &bytes), Ok(bytes.len()));
    assert_eq!(fleet.count(Liveness::Starting), 1500);
}

/// SN3: every beginning of a portion asks for more, and for no more than a portion.
#[test]
fn what_is_cut_is_refused() {
    let bytes = snapshot(1);
    let mut fleet = Fleet::new(Config::lan(), 2, at(0)).expect("valid");
    let mut nobody = |_, _| panic!("a peer of a portion that is refused");
    for found in 0..PORTION {
        let needed = if found < 12 { 32 } else { PORTION };
        let cut = fleet.restore(&mut Restoring::new(), &bytes[..found], at(0), &mut nobody);
        assert_eq!(cut, Err(SnapshotError::Truncated { needed, found }));
    }
    // At the seam, too: the end is missing.
    let cut = restore_all(&mut fleet, &bytes[..2 * PORTION]);
    assert_eq!(cut, Err(SnapshotError::Truncated { needed: 32, found: 0 }));
    assert_eq!(fleet.len(), 1500, "what came before stands");
}

/// SN3: every bit of the header, of the end and of the check counts.
#[test]
fn no_bit_of_the_frame_may_flip() {
    let bytes = snapshot(1);
    let first = &bytes[..PORTION];
    for bit in (0..8 * HEADER).chain(8 * (PORTION - 4)..8 * PORTION) {
        let mut flipped = first.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = refused(&flipped);
        let expected = match bit / 8 {
            0..4 => SnapshotError::NotASnapshot,
            4..6 => {
                SnapshotError::Version { found: 1 ^ 1 << (bit % 8 + if bit < 40 { 8 } else { 0 }) }
            }
            6 | 8..12 => SnapshotError::Malformed,
            _ => SnapshotError::Damaged,
        };
        assert_eq!(error, expected, "bit {bit}");
    }
    let mut empty = Vec::new();
    let fleet = Fleet::new(Config::lan(), 2, at(0)).expect("valid");
    assert_eq!(fleet.save(&mut Saving::new(), at(0), &mut empty), Progress::Done);
    for bit in 0..8 * empty.len() {
        let mut flipped = empty.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let _ = refused(&flipped);
    }
}

/// SN3: portions left out, swapped, of another snapshot, for other profiles or another fleet.
#[test]
fn what_does_not_belong_is_refused() {
    let (bytes, other) = (snapshot(1), snapshot(2));
    let (first, second) = (&bytes[..PORTION], &bytes[PORTION..2 * PORTION]);
    let out_of_order = |expected, found| Err(SnapshotError::OutOfOrder { expected, found });
    let restored = |portions: &[&[u8]]| {
        let mut fleet = Fleet::new(Config::lan(), 3, at(0)).expect("valid");
        restore_all(&mut fleet, &portions.concat())
    };
    assert_eq!(restored(&[second, first]), out_of_order(0, 1));
    assert_eq!(restored(&[first, first]), out_of_order(1, 0));
    assert_eq!(restored(&[first, &bytes[2 * PORTION..]]), out_of_order(1, 2));
    assert_eq!(restored(&[first, &other[PORTION..]]), Err(SnapshotError::OtherSnapshot));
    let end = &other[2 * PORTION..];
    assert_eq!(restored(&[first, second, end]), Err(SnapshotError::OtherSnapshot));
    assert_eq!(restored(&[first, second, &bytes[2 * PORTION..]]), Ok(bytes.len()));

    let with = |at: usize, value: u8| {
        let mut changed = first.to_vec();
        changed[at] = value;
        refused(&sealed(&changed))
    };
    assert_eq!(with(21, 1), SnapshotError::UnknownProfile(1));
    assert_eq!(with(5, 2), SnapshotError::Version { found: 2 });
    assert_eq!(with(7, 1), SnapshotError::OtherShard { expected: 0, found: 1 });
    assert_eq!(with(22, 1), SnapshotError::Malformed);
    for (byte, value) in [(0, 0x80 | 3), (0, 0x0f), (0, 0x02), (3, 1), (4, 0x10), (6, 0x10)] {
        assert_eq!(with(HEADER + byte, value), SnapshotError::Malformed, "{byte}");
    }

    // The end has no profile and no form: what a later version may say there is not overheard.
    let mut empty = Vec::new();
    let fleet = Fleet::new(Config::lan(), 2, at(0)).expect("valid");
    assert_eq!(fleet.save(&mut Saving::new(), at(0), &mut empty), Progress::Done);
    for byte in 20..28 {
        let mut changed = empty.clone();
        changed[byte] = 1;
        assert_eq!(refused(&sealed(&changed)), SnapshotError::Malformed, "{byte}");
    }

    let mut fleet = Fleet::new(Config::lan(), 3, at(0)).expect("valid");
    let profile = fleet.profiles().next().expect("one");
    let peer = fleet.insert(profile, at(0)).expect("room");
    let _ = fleet.remove(peer).expect("there");
    assert_eq!(restore_all(&mut fleet, &bytes), Err(SnapshotError::NotEmpty));
}

/// SN1, SN3: saving allocates nothing where there is room, and a portion makes nobody reserve more
/// than its peers take; one that is refused, next to nothing.
#[test]
fn memory_is_bounded() {
    let bytes = snapshot(1);
    let mut fleet = Fleet::new(Config::lan(), 1, at(0)).expect("valid");
    let mut restoring = Restoring::new();
    let counted = allocation_counter::measure(|| {
        let taken = fleet.restore(&mut restoring, &bytes, at(0), &mut |_, _| {});
        assert_eq!(taken, Ok(PORTION));
    });
    assert!(counted.bytes_max < 400_000, "{}", counted.bytes_max);
    let mut broken = bytes[PORTION..].to_vec();
    broken[HEADER + 3] = 1;
    let broken = sealed(&broken[..PORTION]);
    let counted = allocation_counter::measure(|| {
        let taken = fleet.restore(&mut restoring, &broken, at(0), &mut |_, _| {});
        assert_eq!(taken, Err(SnapshotError::Malformed));
    });
    assert!(counted.bytes_max < 150_000, "{}", counted.bytes_max);
    assert_eq!(counted.bytes_current, 0);
    let (mut saving, mut out) = (Saving::new(), Vec::with_capacity(PORTION));
    let counted = allocation_counter::measure(|| {
        let _ = fleet.save(&mut saving, at(0), &mut out);
    });
    assert_eq!(counted.count_total, 0);
}
