//! [`Trace`]: what was recorded of links; and [`Link`], one segment of it as a detector lives it.

use alloc::string::String;
use alloc::vec::Vec;

/// One beat (or ping): when it was sent and how long it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "three facts, and no more to come")]
pub struct Sample {
    /// Its number; numbers rise from sample to sample.
    pub seq: u32,
    /// When it was sent, in nanoseconds from the first one.
    pub sent: u64,
    /// How long it took, in nanoseconds (of a ping: the round trip); `None`: lost.
    pub delay: Option<u64>,
}

/// What the delays of a trace are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Of pings: there and back.
    #[default]
    RoundTrip,
    /// Of beats that nobody answers. What is computed of round trips (RFC 6298) or judges probes
    /// (k of n) is left out there: the sender's own jitter is the subject.
    OneWay,
}

/// An independent run over one link: detectors start anew with each.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// Its name in tables.
    pub name: String,
    /// What was sent, in order.
    pub samples: Vec<Sample>,
    /// When the *monitor* stood still: from, and until, in nanoseconds. Arrivals in between were
    /// seen at the end of it.
    pub pauses: Vec<(u64, u64)>,
}

impl Segment {
    /// A segment without pauses.
    pub const fn new(name: String, samples: Vec<Sample>) -> Self {
        Self { name, samples, pauses: Vec::new() }
    }
}

/// A set of segments that share one configuration, as the links of a fleet do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace {
    /// Its name in tables.
    pub name: String,
    /// What its delays are.
    pub kind: Kind,
    /// Its independent parts.
    pub segments: Vec<Segment>,
}

impl Trace {
    /// A trace of round trips.
    pub const fn new(name: String, segments: Vec<Segment>) -> Self {
        Self { name, kind: Kind::RoundTrip, segments }
    }

    /// The links of the segments, without those that are too short to judge anything
    /// ([`Link::new`]).
    pub fn links(&self) -> Vec<Link> {
        self.segments.iter().filter_map(Link::new).collect()
    }
}

/// One arrival that told something new: its number is above all before it (rule RY2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "three facts, and no more to come")]
pub struct Arrival {
    /// Its number, from that of the first sample.
    pub seq: u32,
    /// When it was sent, in nanoseconds.
    pub sent: u64,
    /// When it came, in nanoseconds.
    pub at: u64,
}

/// One segment, prepared: the effective arrivals and what follows from them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// The name of the segment.
    pub name: String,
    /// The arrivals that count, in order; at least two.
    pub arrivals: Vec<Arrival>,
    /// The mean time between two sendings, in nanoseconds.
    pub period: u64,
    /// So many first arrivals teach and are not judged.
    pub warm: usize,
    /// When the monitor stood still.
    pub pauses: Vec<(u64, u64)>,
}

/// The clock of a link shows so much when the first sample is sent, so that no deadline of any
/// detector lies before its zero.
pub(crate) const ORIGIN: u64 = 1 << 50;

/// No trace is longer: two years.
pub(crate) const LONGEST: u64 = 1 << 56;

/// Beats that are not judged (DETECTORS section 4): detectors learn from so many.
const WARM_UP: usize = 100;

/// Segments with fewer samples say nothing.
const SHORTEST: usize = 60;

impl Link {
    /// The link of a segment; `None` if it has fewer than 60 samples, or fewer than 20 of them
    /// arrived, or no time passed. (RY2)
    pub fn new(segment: &Segment) -> Option<Self> {
        let samples = &segment.samples;
        let (first, last) = (samples.first()?, samples.last()?);
        let rises = samples.windows(2).all(|pair| pair[0].seq < pair[1].seq);
        let beats = u64::from(last.seq.checked_sub(first.seq).filter(|_| rises)?);
        let span = last.sent.checked_sub(first.sent)?;
        if samples.len() < SHORTEST || span < beats || beats == 0 {
            return None;
        }
        let period = (span + beats / 2) / beats;
        let mut all: Vec<Arrival> = samples
            .iter()
            .filter_map(|sample| {
                let sent = sample.sent.checked_add(ORIGIN)?;
                let seq = sample.seq - first.seq;
                Some(Arrival { seq, sent, at: sent.checked_add(sample.delay?)? })
            })
            .collect();
        all.sort_unstable_by_key(|arrival| (arrival.at, arrival.seq));
        let mut newest = None;
        all.retain(|arrival| {
            let fresh = newest.is_none_or(|newest| arrival.seq > newest);
            newest = if fresh { Some(arrival.seq) } else { newest };
            fresh
        });
        let warm = WARM_UP.min(all.len() / 5);
        let pauses = segment.pauses.iter();
        let pauses = pauses.map(|&(from, to)| (from + ORIGIN, to + ORIGIN)).collect();
        let name = segment.name.clone();
        (all.len() >= 20).then_some(Self { name, arrivals: all, period, warm, pauses })
    }

    /// The local pause in which (or within a period after which) `at` lies, if any.
    pub(crate) fn pause_at(&self, at: u64) -> Option<(u64, u64)> {
        // The few pauses are in order; the last that began before `at` is the one.
        let begun = self.pauses.partition_point(|&(from, _)| from <= at);
        let pause = *self.pauses.get(begun.checked_sub(1)?)?;
        (at < pause.1.saturating_add(self.period)).then_some(pause)
    }
}
