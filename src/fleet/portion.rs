//! The bytes of a snapshot (rules SN1, SN3): portions of 1024 slots, and an end. Nothing here knows
//! a fleet. The layout is in `docs/PROTOCOL.md`; all numbers are big-endian.

use alloc::vec::Vec;

use thiserror::Error;

use super::wheel::CHUNK;
use crate::liveness::Liveness;
use crate::state::kept::{Age, Kept};

/// The newest version, which is written. All from 1 on are read.
const VERSION: u16 = 1;
const MAGIC: [u8; 4] = *b"HBFS";
const SLOTS: u8 = 0;
const END: u8 = 1;

const HEADER: usize = 28;
const RECORD: usize = 40;
const CHECK: usize = 4;

/// The length of a portion of slots: no portion is longer.
pub(crate) const LONGEST: usize = HEADER + CHUNK * RECORD + CHECK;
/// The length of the end.
const SHORTEST: usize = HEADER + CHECK;

/// Why a portion of a snapshot was refused. Nothing of it was restored.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The portion goes on; or, if there are no more bytes, the snapshot was cut.
    #[error("a portion takes {needed} bytes or more, and there are {found}")]
    Truncated {
        /// So many bytes say more: all of the portion, or those that tell how long it is.
        needed: usize,
        /// So many there are.
        found: usize,
    },
    /// It does not begin as a portion does.
    #[error("this is no portion of a snapshot")]
    NotASnapshot,
    /// It was written by a later version of this library.
    #[error("version {found} of the format is not known: up to {VERSION} can be read")]
    Version {
        /// The version it says.
        found: u16,
    },
    /// The check does not fit the bytes.
    #[error("the portion is damaged")]
    Damaged,
    /// The check fits, and still the bytes are none that are ever saved.
    #[error("the portion is malformed")]
    Malformed,
    /// A portion is missing, or they are not in their order.
    #[error("portion {found} comes where {expected} should")]
    OutOfOrder {
        /// The next one.
        expected: u32,
        /// This one.
        found: u32,
    },
    /// The number fits, but the portions before were of another snapshot.
    #[error("the portion is of another snapshot than the one before it")]
    OtherSnapshot,
    /// It is of another shard.
    #[error("the snapshot is of shard {found}, the fleet is shard {expected}")]
    OtherShard {
        /// The number of the fleet.
        expected: u8,
        /// The number of the fleet that was saved.
        found: u8,
    },
    /// The fleet has too few profiles.
    #[error("the peers have the profile {0}, which the fleet does not have")]
    UnknownProfile(u16),
    /// The fleet had peers of its own, or was given some since the restore began.
    #[error("only an empty fleet can be restored")]
    NotEmpty,
    /// The end has been read before.
    #[error("the snapshot has ended")]
    Ended,
}

/// One slot, vacant or not.
pub(crate) struct Record {
    pub(crate) epoch: u32,
    pub(crate) kept: Option<Kept>,
}

/// What a portion says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) is_end: bool,
    pub(crate) shard: u8,
    pub(crate) number: u32,
    /// The check of the portion before; 0 in the first.
    pub(crate) before: u32,
    pub(crate) profile: u16,
    /// Of what lasts of the detectors.
    pub(crate) form: u32,
}

/// Appends a portion, and returns its check. The end has no records, all others 1024.
pub(crate) fn write(
    header: &Header,
    records: impl Iterator<Item = Record>,
    out: &mut Vec<u8>,
) -> u32 {
    let begin = out.len();
    let length = if header.is_end { SHORTEST } else { LONGEST };
    out.reserve(length);
    out.extend(MAGIC);
    out.extend(VERSION.to_be_bytes());
    out.extend([if header.is_end { END } else { SLOTS }, header.shard]);
    out.extend((length as u32).to_be_bytes());
    out.extend(header.number.to_be_bytes());
    out.extend(header.before.to_be_bytes());
    out.extend(header.profile.to_be_bytes());
    out.extend([0, 0]);
    out.extend(header.form.to_be_bytes());
    records.for_each(|record| out.extend(encode(&record)));
    let check = crc32fast::hash(&out[begin..]);
    out.extend(check.to_be_bytes());
    debug_assert_eq!(out.len() - begin, length);
    check
}

/// A portion that is whole and undamaged.
pub(crate) struct Portion<'a> {
    pub(crate) header: Header,
    pub(crate) check: u32,
    pub(crate) length: usize,
    records: &'a [u8],
}

impl<'a> Portion<'a> {
    /// The one at the front of `bytes`. What lies beyond its length is not looked at.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, SnapshotError> {
        let found = bytes.len();
        let known = MAGIC.len().min(found);
        if bytes[..known] != MAGIC[..known] {
            return Err(SnapshotError::NotASnapshot);
        }
        let mut fields = Fields(bytes);
        let short = SnapshotError::Truncated { needed: SHORTEST, found };
        let _magic: [u8; 4] = fields.take().ok_or(short)?;
        let version = fields.take().map(u16::from_be_bytes).ok_or(short)?;
        if version == 0 || version > VERSION {
            return Err(SnapshotError::Version { found: version });
        }
        let [kind, shard] = fields.take().ok_or(short)?;
        let length = fields.take().map(u32::from_be_bytes).ok_or(short)? as usize;
        // The length first: nobody is made to wait for more.
        if kind > END || length != if kind == END { SHORTEST } else { LONGEST } {
            return Err(SnapshotError::Malformed);
        }
        let (whole, _) = bytes
            .split_at_checked(length)
            .ok_or(SnapshotError::Truncated { needed: length, found })?;
        let (body, check) = whole.split_last_chunk().ok_or(SnapshotError::Malformed)?;
        let check = u32::from_be_bytes(*check);
        if crc32fast::hash(body) != check {
            return Err(SnapshotError::Damaged);
        }
        let number = fields.take().map(u32::from_be_bytes).ok_or(short)?;
        let before = fields.take().map(u32::from_be_bytes).ok_or(short)?;
        let profile = fields.take().map(u16::from_be_bytes).ok_or(short)?;
        let zeros = fields.take().map(u16::from_be_bytes).ok_or(short)?;
        let form = fields.take().map(u32::from_be_bytes).ok_or(short)?;
        if zeros != 0 || kind == END && (profile, form) != (0, 0) {
            return Err(SnapshotError::Malformed);
        }
        let header = Header { is_end: kind == END, shard, number, before, profile, form };
        Ok(Self { header, check, length, records: &body[HEADER..] })
    }

    /// Its slots in their order; `None` for one that is never saved so.
    pub(crate) fn records(&self) -> impl ExactSizeIterator<Item = Option<Record>> + use<'a> {
        self.records.chunks_exact(RECORD).map(|bytes| decode(Fields(bytes)))
    }
}

const HERE: u8 = 1;
const DRAINING: u8 = 1 << 4;
const MISTAKEN: u8 = 1 << 5;
const STRUCK: u8 = 1 << 6;

fn encode(record: &Record) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    let mut fields = &mut bytes[..];
    let mut put = |field: &[u8]| {
        let (head, rest) = core::mem::take(&mut fields).split_at_mut(field.len());
        head.copy_from_slice(field);
        fields = rest;
    };
    let Some(kept) = &record.kept else {
        put(&[0; 8]);
        put(&record.epoch.to_be_bytes());
        return bytes;
    };
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    let status = HERE
        | (kept.liveness.index() as u8) << 1
        | flag(kept.draining, DRAINING)
        | flag(kept.mistaken, MISTAKEN)
        | flag(kept.struck, STRUCK);
    put(&[status, kept.calm << 4 | kept.strikes, kept.misses << 4 | kept.in_a_row, 0]);
    put(&kept.losses.to_be_bytes());
    put(&kept.peer_gap.to_be_bytes());
    put(&record.epoch.to_be_bytes());
    put(&kept.seq.to_be_bytes());
    put(&kept.silence.0.to_be_bytes());
    put(&kept.last.0.to_be_bytes());
    put(&kept.rtt[0].to_be_bytes());
    put(&kept.rtt[1].to_be_bytes());
    put(&kept.lasting.unwrap_or(0).to_be_bytes());
    bytes
}

fn decode(mut fields: Fields<'_>) -> Option<Record> {
    let [status, paced, counted, zero] = fields.take()?;
    let losses = fields.take().map(u16::from_be_bytes)?;
    let peer_gap = fields.take().map(u16::from_be_bytes)?;
    let epoch = fields.take().map(u32::from_be_bytes)?;
    if status & HERE == 0 {
        let rest = [status, paced, counted, zero];
        let is_blank = rest == [0; 4] && losses | peer_gap == 0 && fields.0.iter().all(|b| *b == 0);
        return is_blank.then_some(Record { epoch, kept: None });
    }
    let index = usize::from(status >> 1 & 7);
    let kept = Kept {
        liveness: *Liveness::ALL.get(index)?,
        draining: status & DRAINING != 0,
        mistaken: status & MISTAKEN != 0,
        struck: status & STRUCK != 0,
        calm: paced >> 4,
        strikes: paced & 15,
        misses: counted >> 4,
        in_a_row: counted & 15,
        losses,
        peer_gap,
        seq: fields.take().map(u32::from_be_bytes)?,
        silence: Age(fields.take().map(i32::from_be_bytes)?),
        last: Age(fields.take().map(i32::from_be_bytes)?),
        rtt: [fields.take().map(u32::from_be_bytes)?, fields.take().map(u32::from_be_bytes)?],
        lasting: Some(fields.take().map(u64::from_be_bytes)?),
    };
    let is_known = status >> 7 == 0 && zero == 0 && (losses | peer_gap) >> 12 == 0;
    is_known.then_some(Record { epoch, kept: Some(kept) })
}

/// What is left to read.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
}
