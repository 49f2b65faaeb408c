//! The form that `heartbeat record` writes, line by line, so that a file that breaks off is whole:
//!
//! ```text
//! heartbeat-trace 1
//! # comments and empty lines are skipped
//! segment 0 round-trip 192.0.2.1:7007
//! beat 0 1 0 523
//! beat 0 2 1000123 lost
//! pause 0 1500000 6500000
//! ```
//!
//! `segment ID KIND NAME` introduces a segment; `KIND` is `round-trip` or `one-way`, `NAME` the rest
//! of the line. `beat ID SEQ SEND_US DELAY_US` is a sample of it; beats of a segment may come in any
//! order. `pause ID FROM_US UNTIL_US`: the recorder itself stood still. Times are microseconds from
//! one origin a segment.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use super::{MOST_SAMPLES, Mistake, TextError, nanos, number, wrong};
use crate::replay::trace::{Kind, Sample, Segment};

pub(super) const HEADER: &str = "heartbeat-trace 1";

pub(super) fn read(text: &str) -> Result<(Kind, Vec<Segment>), TextError> {
    let mut kind = Kind::RoundTrip;
    let mut segments: Vec<(u32, Segment)> = Vec::new();
    let mut count = 0;
    let mut begun = false;
    for (index, row) in text.lines().enumerate() {
        let (line, row) = (index + 1, row.trim());
        if row.is_empty() || row.starts_with('#') {
            continue;
        }
        if !begun {
            begun = true; // The header, as the caller saw.
            continue;
        }
        let (word, rest) = row.split_once(' ').unwrap_or((row, ""));
        match word {
            "segment" => {
                let fields: Vec<_> = rest.splitn(3, ' ').collect();
                let [id, way, name] = fields[..] else {
                    return Err(wrong(line, Mistake::Fields { expected: 4, found: fields.len() }));
                };
                let id = number(line, id)?;
                if segments.iter().any(|(known, _)| *known == id) {
                    return Err(wrong(line, Mistake::Segment(id)));
                }
                match way {
                    "one-way" => kind = Kind::OneWay,
                    "round-trip" => {}
                    _ => return Err(wrong(line, Mistake::Word(way.chars().take(40).collect()))),
                }
                segments.push((id, Segment::new(name.to_owned(), Vec::new())));
            }
            "beat" => {
                count += 1;
                if count > MOST_SAMPLES {
                    return Err(wrong(line, Mistake::TooMany));
                }
                let [id, seq, sent, delay] = fields(line, rest)?;
                let delay = match delay {
                    "lost" => None,
                    delay => Some(nanos(line, delay)?),
                };
                let (seq, sent) = (number(line, seq)?, nanos(line, sent)?);
                find(line, &mut segments, id)?.samples.push(Sample { seq, sent, delay });
            }
            "pause" => {
                let [id, from, until] = fields(line, rest)?;
                let (from, until) = (nanos(line, from)?, nanos(line, until)?);
                find(line, &mut segments, id)?.pauses.push((from, until.max(from)));
            }
            word => return Err(wrong(line, Mistake::Word(word.chars().take(40).collect()))),
        }
    }
    let line = text.lines().count();
    let mut all = Vec::new();
    for (_, mut segment) in segments {
        segment.samples.sort_by_key(|sample| sample.seq);
        segment.pauses.sort_unstable();
        let out_of_order =
            |pair: &&[Sample]| pair[0].seq == pair[1].seq || pair[0].sent > pair[1].sent;
        if let Some(pair) = segment.samples.windows(2).find(out_of_order) {
            return Err(wrong(line, Mistake::Order(pair[1].seq)));
        }
        let origin = segment.samples.first().map_or(0, |first| first.sent);
        let shift = |time: u64| time.saturating_sub(origin);
        segment.samples.iter_mut().for_each(|sample| sample.sent = shift(sample.sent));
        for pause in &mut segment.pauses {
            *pause = (shift(pause.0), shift(pause.1));
        }
        all.push(segment);
    }
    Ok((kind, all))
}

fn fields<const N: usize>(line: usize, rest: &str) -> Result<[&str; N], TextError> {
    let fields: Vec<_> = rest.split_ascii_whitespace().collect();
    let found = fields.len() + 1;
    fields.try_into().map_err(|_| wrong(line, Mistake::Fields { expected: N + 1, found }))
}

fn find<'s>(
    line: usize,
    segments: &'s mut [(u32, Segment)],
    id: &str,
) -> Result<&'s mut Segment, TextError> {
    let id = number(line, id)?;
    let found = segments.iter_mut().rfind(|(known, _)| *known == id);
    found.map(|(_, segment)| segment).ok_or_else(|| wrong(line, Mistake::Segment(id)))
}
