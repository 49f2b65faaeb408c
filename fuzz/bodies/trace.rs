//! Any bytes as a trace: no reader panics, mistakes have a line, and what is accepted is in order
//! and can be judged and played (RY1, RY2).

use heartbeat_proto::Config;
use heartbeat_proto::replay::{Kind, Link, Reader, Segment, Trace, contenders, play};

/// More samples than a text of so many bytes can name, but for the losses that `ping` claims.
const MANY: usize = 2_000_000;

/// Longer segments would only take longer.
const PLAYED: u64 = 100_000_000_000;

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if claims(&text) > 1_000_000 {
        return; // As RY1 has it: up to 20 million samples. It only takes its time.
    }
    match Reader::default().text("fuzz", &text) {
        Ok((kind, segments)) => {
            assert!(segments.iter().any(|segment| !segment.samples.is_empty()), "RY1");
            let samples: usize = segments.iter().map(|segment| segment.samples.len()).sum();
            assert!(samples < MANY, "RY1: {samples} samples of {} bytes", data.len());
            segments.iter().for_each(judge);
            let mut trace = Trace::new("fuzz".to_owned(), segments);
            trace.kind = kind;
            let _ = trace.links();
        }
        Err(error) => {
            let lines = text.lines().count().max(1);
            assert!((1..=lines).contains(&error.line), "RY1: line {} of {lines}", error.line);
            assert!(error.to_string().len() < 200, "RY1: {error}");
        }
    }
}

/// How many packets a summary says were sent.
fn claims(text: &str) -> u64 {
    let packets = |row: &str| row.split_once(" packets transmitted")?.0.trim().parse().ok();
    text.lines().filter_map(packets).max().unwrap_or(0)
}

fn judge(segment: &Segment) {
    let rising = segment.samples.windows(2);
    for pair in rising {
        assert!(pair[0].seq < pair[1].seq && pair[0].sent <= pair[1].sent, "RY1: out of order");
    }
    assert!(segment.pauses.iter().all(|(from, until)| from <= until), "RY1: a pause");
    let few = segment.samples.len() < 300;
    if let Some(link) = Link::new(segment).filter(|_| few) {
        assert!(link.period > 0 && link.arrivals.len() >= 20, "RY2");
        let order = |pair: &[_]| -> bool {
            let [one, two]: &[heartbeat_proto::replay::Arrival; 2] = pair.try_into().expect("two");
            one.seq < two.seq && one.at <= two.at
        };
        assert!(link.arrivals.windows(2).all(order), "RY2: not effective");
        let links = [link];
        for contender in contenders().iter().filter(|it| it.fits(Kind::RoundTrip, &links)) {
            let knob = contender.grid()[contender.grid().len() / 2];
            if let Some(outcome) = contender.outcome(knob, &links, true) {
                let numbers = [outcome.worst, outcome.suspected, outcome.observed];
                assert!(numbers.iter().all(|n| n.is_finite() && *n >= 0.0), "RY4: {numbers:?}");
                // Of probes the time is never cut off (RY5): where nobody probed for long, it is
                // below zero.
                let cut = contender.name() != "k-of-n";
                assert!(outcome.mean.is_finite() && (outcome.mean >= 0.0 || !cut), "RY4");
            }
        }
    }
    let ends = [segment.samples.first(), segment.samples.last()].map(|end| end.map(|it| it.sent));
    if let ([Some(first), Some(last)], true) = (ends, few) {
        if last - first < PLAYED {
            let _ = play(&Config::default(), segment, 2);
        }
    }
}
