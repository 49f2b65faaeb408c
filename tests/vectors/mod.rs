//! The test vectors of `docs/PROTOCOL.md`, read from that very file.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]
#![allow(dead_code, reason = "not every test needs every part")]

use core::time::Duration;
use std::collections::BTreeMap;

use heartbeat_proto::codec::{Frame, Hello, Status};
use heartbeat_proto::{Limits, PingId, Wish};

const PROTOCOL: &str = include_str!("../../docs/PROTOCOL.md");

/// One line of a block: name, bytes, and what follows.
pub(crate) struct Vector {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) note: &'static str,
}

/// The lines of the fenced block that is tagged `tag`.
pub(crate) fn block(tag: &str) -> Vec<Vector> {
    let fence = format!("```{tag}");
    let lines = PROTOCOL.lines().skip_while(|line| *line != fence).skip(1);
    let vectors: Vec<_> = lines.take_while(|line| *line != "```").map(vector).collect();
    assert!(!vectors.is_empty(), "docs/PROTOCOL.md has no block `{tag}`");
    vectors
}

fn vector(line: &'static str) -> Vector {
    let mut parts = line.splitn(3, " | ");
    let name = parts.next().unwrap();
    let hex: String = parts.next().unwrap().split_whitespace().collect();
    assert!(hex.len() % 2 == 0, "{name}: odd number of digits");
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    let bytes = (0..hex.len()).step_by(2).map(byte).collect();
    Vector { name, bytes, note: parts.next().unwrap_or("") }
}

/// The frames of the golden block by name.
pub(crate) fn golden_frames() -> BTreeMap<&'static str, Frame> {
    let (id, handle, stamp) =
        (PingId::new(0x5eed_0001, 7), 0x0102_0304_0506_0708, 0x1112_1314_1516_1718);
    let sick = Status::new().with_ready(true).with_draining(true).with_reason(7);
    let sick = Some(sick.with_load(35).unwrap());
    let ping = |status| Frame::Ping { id, handle, stamp, status };
    let answer = |micros, calm, status| {
        let hold = Duration::from_micros(micros);
        Frame::Pong { id, handle, stamp, hold, calm, status }
    };
    let beacon = |secs: Option<u64>, status| {
        let period = secs.map(Duration::from_secs);
        Frame::Beacon { id, handle, stamp, period, status }
    };
    let hello = |revision, interval, timeout: Option<u64>, gap| {
        let timeout = timeout.map(Duration::from_secs);
        let limits = Limits::new(interval, timeout, Duration::from_secs(gap)).unwrap();
        let hello = Hello::new(0x5eed_0001, 0x1122_3344_5566_7788, limits).with_stamp(stamp);
        Frame::Hello(hello.with_revision(revision).with_ack(revision - 1))
    };
    let every = Wish::Every(Duration::from_secs(15));
    BTreeMap::from([
        ("ping", ping(None)),
        ("ping-status", ping(sick)),
        ("pong", answer(20, false, None)),
        ("pong-longest-hold", answer(u32::MAX.into(), false, None)),
        ("pong-calm", answer(20, true, None)),
        ("pong-calm-status", answer(20, true, sick)),
        ("beacon", beacon(Some(25), None)),
        ("beacon-no-promise", beacon(None, None)),
        ("beacon-status", beacon(Some(25), sick)),
        ("hello", hello(1, every, Some(45), 5)),
        ("hello-open", hello(2, Wish::NoPreference, None, 0)),
        ("hello-silent", hello(3, Wish::Disabled, Some(60), 1)),
        ("goodbye", Frame::Goodbye { epoch: 0x5eed_0001, reason: 7 }),
    ])
}
