//! The output of `ping`: iputils (with `-D`, `-O` or without), busybox, BSD and macOS.
//!
//! A reply is a line with `seq=N` or `icmp_seq=N` and `time=T ms`; before it `[seconds.micros]` with
//! `-D`. Lines that tell of a missing answer, numbers that are missing between two replies, and those
//! up to the number of packets in the summary are losses. Of several replies to one ping the first
//! counts. Numbers wrap after 65535.
//!
//! Without `-D` nobody knows when a ping left: then they are taken to have left at equal distance:
//! the one of the summary (`time 4005ms`), else the one given.

use alloc::vec::Vec;
use core::time::Duration;

use super::csv::push;
use super::{MOST_SAMPLES, Mistake, TextError, no_number, wrong};
use crate::replay::trace::{LONGEST, ORIGIN, Sample};

/// One answer.
struct Reply {
    line: usize,
    seq: u64,
    delay: u64,
    /// When it came, in nanoseconds of the wall clock.
    at: Option<u64>,
}

pub(super) fn looks_like(text: &str) -> bool {
    text.lines().any(|row| seq_of(row).is_some() || row.starts_with("PING "))
}

pub(super) fn read(text: &str, interval: Duration) -> Result<Vec<Sample>, TextError> {
    let mut replies: Vec<Reply> = Vec::new();
    let (mut last, mut highest) = (None::<u64>, None::<u64>);
    let mut summary = Summary::default();
    for (index, row) in text.lines().enumerate() {
        let line = index + 1;
        let Some(short) = seq_of(row) else {
            summary.take(row);
            continue;
        };
        let seq = unwrapped(last, short);
        last = Some(seq);
        highest = highest.max(Some(seq));
        if !row.contains("bytes from") {
            continue; // An answer that is missing, or an error of the path.
        }
        let delay = time_of(row).ok_or_else(|| wrong(line, Mistake::NoTime))?;
        let delay = millis(delay).ok_or_else(|| no_number(line, delay))?;
        replies.push(Reply { line, seq, delay, at: stamp_of(row) });
    }
    // The first of several answers to one ping.
    replies.sort_by_key(|reply| reply.seq);
    replies.dedup_by_key(|reply| reply.seq);
    let Some(first) = replies.first().map(|reply| reply.seq) else { return Ok(Vec::new()) };
    // The first ping has the number 1, or 0; its answer may be missing.
    let begin = if first <= 1 { first } else { 1 };
    let total = summary.packets.map_or(0, |packets| (begin + packets).saturating_sub(1));
    let end = highest.unwrap_or(first).max(total);
    if end - begin >= MOST_SAMPLES as u64 {
        return Err(wrong(replies.last().map_or(1, |reply| reply.line), Mistake::TooMany));
    }
    let period = summary.period().unwrap_or_else(|| interval.as_nanos().min(1 << 45) as u64);
    Sending::new(&replies, period).samples(&replies, begin, end)
}

/// When pings left.
struct Sending {
    /// Number and time of those that are known.
    known: Vec<(u64, u64)>,
    period: u64,
}

impl Sending {
    fn new(replies: &[Reply], period: u64) -> Self {
        let stamped = replies.iter().all(|reply| reply.at.is_some());
        let known = replies.iter().filter_map(|reply| {
            let at = if stamped { reply.at? } else { ORIGIN + reply.seq.checked_mul(period)? };
            // An answer is printed when it came: it left a round trip before. (Without stamps the
            // time is that of the sending.)
            let sent = if stamped { at.checked_sub(reply.delay)? } else { at };
            Some((reply.seq, sent))
        });
        Self { known: known.collect(), period }
    }

    /// Between two known ones at equal distance; before and after them a period each.
    fn at(&self, seq: u64) -> Option<u64> {
        let after = self.known.partition_point(|&(known, _)| known < seq);
        let next = self.known.get(after);
        let before = after.checked_sub(1).and_then(|index| self.known.get(index));
        Some(match (before, next) {
            (_, Some(&(known, at))) if known == seq => at,
            (Some(&(from, start)), Some(&(to, end))) => {
                let part = u128::from(end.checked_sub(start)?) * u128::from(seq - from);
                start + (part / u128::from(to - from)) as u64
            }
            (Some(&(from, start)), None) => {
                start.checked_add((seq - from).checked_mul(self.period)?)?
            }
            (None, Some(&(to, end))) => end.saturating_sub((to - seq).saturating_mul(self.period)),
            (None, None) => return None,
        })
    }

    fn samples(&self, replies: &[Reply], begin: u64, end: u64) -> Result<Vec<Sample>, TextError> {
        let mut samples = Vec::new();
        let mut replies = replies.iter().peekable();
        let origin = self.at(begin).unwrap_or(0);
        let mut line = 1;
        for seq in begin..=end {
            let reply = replies.next_if(|reply| reply.seq == seq);
            line = reply.map_or(line, |reply| reply.line);
            // What was printed late seems to be sent late, by less than a period.
            let least = samples.last().map_or(0, |last: &Sample| last.sent);
            let sent = self.at(seq).and_then(|at| (at + self.period).checked_sub(origin + least));
            let sent = sent.map(|more| least + more.saturating_sub(self.period));
            // Else the wall clock was set back, or leapt.
            let sent = sent.filter(|&sent| sent < LONGEST);
            let sent = sent.ok_or_else(|| wrong(line, Mistake::Order(seq as u32)))?;
            let delay = reply.map(|reply| reply.delay);
            push(line, &mut samples, Sample { seq: seq as u32, sent, delay })?;
        }
        Ok(samples)
    }
}

/// What the last lines say.
#[derive(Default)]
struct Summary {
    packets: Option<u64>,
    /// From the first ping to the end, in milliseconds.
    took: Option<u64>,
}

impl Summary {
    fn take(&mut self, row: &str) {
        let Some((packets, rest)) = row.split_once(" packets transmitted") else { return };
        self.packets = packets.trim().parse().ok().filter(|&n| n <= MOST_SAMPLES as u64);
        let took = rest.rsplit_once("time ").and_then(|(_, took)| took.trim().strip_suffix("ms"));
        self.took = took.and_then(|took| took.parse().ok());
    }

    fn period(&self) -> Option<u64> {
        let gaps = self.packets?.checked_sub(1).filter(|&gaps| gaps > 0)?;
        let period = self.took?.checked_mul(1_000_000)? / gaps;
        (period > 0 && period < 1 << 45).then_some(period)
    }
}

/// `seq=7`, `icmp_seq=7`, `icmp_seq 7`.
fn seq_of(row: &str) -> Option<u16> {
    let (_, rest) = row.split_once("seq=").or_else(|| row.split_once("icmp_seq "))?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The number that `short` abbreviates, next to the last one.
fn unwrapped(last: Option<u64>, short: u16) -> u64 {
    let Some(last) = last else { return short.into() };
    let step = short.wrapping_sub(last as u16);
    if step < 1 << 15 {
        last + u64::from(step)
    } else {
        // Overtaken; before the first one nothing was.
        last.saturating_sub(u64::from(step.wrapping_neg()))
    }
}

/// `time=11.6 ms`, `time<1 ms`.
fn time_of(row: &str) -> Option<&str> {
    let (_, rest) = row.split_once("time=").or_else(|| row.split_once("time<"))?;
    Some(rest.split([' ', 'm']).next().unwrap_or_default())
}

/// `[1700000000.123456] `, in nanoseconds.
fn stamp_of(row: &str) -> Option<u64> {
    let (seconds, _) = row.strip_prefix('[')?.split_once(']')?;
    decimal(seconds, 9)
}

/// Nanoseconds of decimal milliseconds, up to an hour.
fn millis(text: &str) -> Option<u64> {
    decimal(text, 6).filter(|&nanos| nanos <= 3_600_000_000_000)
}

/// `12.5` in units of `10^-places`; further digits are cut off.
fn decimal(text: &str, places: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !(whole.bytes().chain(part.bytes())).all(|c| c.is_ascii_digit()) {
        return None;
    }
    let part = part.bytes().map(|c| u64::from(c - b'0')).chain(core::iter::repeat(0));
    part.take(places)
        .try_fold(whole.parse().ok()?, |sum: u64, digit| sum.checked_mul(10)?.checked_add(digit))
}
