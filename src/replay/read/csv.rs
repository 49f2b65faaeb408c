//! `seq,send_us,delay_us`: one row a sample, integers; a delay of -1 is a loss.

use alloc::vec::Vec;

use super::{MOST_SAMPLES, Mistake, TextError, nanos, number, wrong};
use crate::replay::trace::Sample;

pub(super) const HEADER: &str = "seq,send_us,delay_us";

pub(super) fn read(text: &str) -> Result<Vec<Sample>, TextError> {
    let mut samples: Vec<Sample> = Vec::new();
    let rows = text.lines().enumerate().filter(|(_, row)| !row.trim().is_empty());
    for (index, row) in rows.skip(1) {
        let line = index + 1;
        let fields: Vec<_> = row.split(',').collect();
        let [seq, sent, delay] = fields[..] else {
            return Err(wrong(line, Mistake::Fields { expected: 3, found: fields.len() }));
        };
        let delay = match delay.trim() {
            "-1" => None,
            delay => Some(nanos(line, delay)?),
        };
        let sample = Sample { seq: number(line, seq)?, sent: nanos(line, sent)?, delay };
        push(line, &mut samples, sample)?;
    }
    Ok(samples)
}

/// Adds a sample, whose number must be above the last one's, and which was not sent before it.
pub(super) fn push(
    line: usize,
    samples: &mut Vec<Sample>,
    sample: Sample,
) -> Result<(), TextError> {
    let after = |last: &Sample| sample.seq > last.seq && sample.sent >= last.sent;
    if samples.len() >= MOST_SAMPLES {
        return Err(wrong(line, Mistake::TooMany));
    }
    if !samples.last().is_none_or(after) {
        return Err(wrong(line, Mistake::Order(sample.seq)));
    }
    samples.push(sample);
    Ok(())
}
