//! The part that all adapters share, without sockets and in virtual time.

extern crate alloc;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::time::Duration;
use std::sync::Mutex;

use heartbeat_proto::adapter::{Driver, Ended, Notice, Setup, StreamDriver};
use heartbeat_proto::codec::{Decoder, Encoder, Frame, Item, MAX_DATA};
use heartbeat_proto::{
    Config, Event, FirstPing, LatePolicy, LifeRule, Liveness, Mode, PingId, PingSchedule, Reason,
    Timestamp,
};
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_nanos(1_000_000 * MS + millis * MS)
}

/// 100 ms between pings, 3 windows of 100 ms: dead after 400 ms.
fn fast() -> Config {
    let config = Config::builder().interval(ms(100)).timeout(ms(400)).jitter_percent(0);
    config.first_ping(FirstPing::AfterInterval).build().unwrap()
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn ping(seq: u32) -> Frame {
    Frame::Ping { id: PingId::new(7, seq), handle: 1, stamp: 2, status: None }
}

/// Everything that `from` wants written, in pieces of `piece` bytes.
fn written(from: &mut StreamDriver, piece: usize, now: Timestamp) -> Vec<u8> {
    let mut wire = Vec::new();
    loop {
        let bytes = from.to_write(now);
        let len = bytes.len().min(piece);
        if len == 0 {
            return wire;
        }
        wire.extend_from_slice(&bytes[..len]);
        from.wrote(len, now);
    }
}

fn frames(wire: &[u8]) -> (Vec<Frame>, Vec<u8>) {
    let (mut decoder, mut input) = (Decoder::new(), wire);
    let (mut frames, mut data) = (Vec::new(), Vec::new());
    while !input.is_empty() {
        let (consumed, item) = decoder.feed(input).unwrap();
        match item {
            Some(Item::Frame(frame)) => frames.push(frame),
            Some(item) => data.extend_from_slice(item.data(input)),
            None => {}
        }
        input = &input[consumed..];
    }
    decoder.finish().unwrap();
    (frames, data)
}

fn answered(frame: &Frame) -> u32 {
    let Frame::Pong { id, .. } = frame else { panic!("{frame:?} is no pong") };
    id.seq()
}

#[test]
fn only_the_newest_pong_waits() {
    let mut driver = Driver::new(fast(), at(0));
    for seq in 1..=1000 {
        driver.received(&ping(seq), at(1));
    }
    let pong = driver.next_frame(at(1)).unwrap();
    driver.begun();
    driver.sent(at(1));
    assert_eq!(answered(&pong), 1000);
    assert!(!driver.has_output());
}

#[test]
fn with_answer_each_pongs_leave_in_order_and_their_number_is_bounded() {
    let config = Config::builder().answer_each(true).build().unwrap();
    let mut driver = Driver::new(config, at(0));
    for seq in 1..=1000 {
        driver.received(&ping(seq), at(1));
    }
    let mut pongs = Vec::new();
    while let Some(pong) = driver.next_frame(at(1)) {
        pongs.push(answered(&pong));
        driver.begun();
        driver.sent(at(1));
    }
    assert_eq!(pongs, (985..=1000).collect::<Vec<_>>());
}

#[test]
fn the_hold_time_of_a_pong_counts_until_it_is_written() {
    for each in [false, true] {
        let config = Config::builder().answer_each(each).build().unwrap();
        let mut driver = Driver::new(config, at(0));
        driver.received(&ping(1), at(10));
        let Some(Frame::Pong { hold, .. }) = driver.next_frame(at(73)) else { panic!("no pong") };
        assert_eq!(hold, ms(63));
    }
}

/// T1: the time of a clock that runs back is no time for which a pong was held, and closing does not
/// become shorter by it.
#[test]
fn a_clock_that_runs_back_counts_as_the_newest_time() {
    let mut driver = Driver::new(fast(), at(100));
    driver.received(&ping(1), at(40));
    let Some(Frame::Pong { hold, .. }) = driver.next_frame(at(103)) else { panic!("no pong") };
    assert_eq!(hold, ms(3));
    driver.handle(Event::Close, at(40));
    let limit = driver.machine().config().drain_limit();
    assert_eq!(driver.next_deadline(), Some(at(100).saturating_add(limit)));
}

#[test]
fn a_newer_pong_takes_the_place_of_one_that_the_transport_has_not_begun() {
    let mut stream = StreamDriver::new(fast(), at(0));
    stream.driver_mut().received(&ping(1), at(1));
    assert!(!stream.to_write(at(1)).is_empty()); // The transport took none of it.
    stream.driver_mut().blocked(at(1));
    stream.driver_mut().received(&ping(2), at(2));
    let (frames, _) = frames(&written(&mut stream, usize::MAX, at(2)));
    assert_eq!(frames.iter().map(answered).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_pong_that_was_begun_is_finished_before_the_next() {
    let mut stream = StreamDriver::new(fast(), at(0));
    stream.driver_mut().received(&ping(1), at(1));
    let mut wire = stream.to_write(at(1))[..5].to_vec();
    stream.wrote(5, at(1));
    stream.driver_mut().received(&ping(2), at(2));
    wire.extend(written(&mut stream, 3, at(2)));
    let (frames, _) = frames(&wire);
    assert_eq!(frames.iter().map(answered).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn heartbeats_go_before_data_but_never_into_a_data_frame() {
    let mut stream = StreamDriver::new(fast(), at(0));
    assert_eq!(stream.stage(&vec![b'x'; 20_000]).unwrap(), MAX_DATA);
    assert_eq!(stream.stage(b"more").unwrap(), 0, "one data frame at a time");
    stream.driver_mut().received(&ping(1), at(1));
    // Nothing of the data frame has left: the pong goes first.
    assert_eq!(written_len(&mut stream, 32, at(1)), 32);
    assert_eq!(stream.to_write(at(1)).len(), MAX_DATA + 4);
    stream.wrote(1000, at(1));
    // Now it has, so the pong waits for its end.
    stream.driver_mut().received(&ping(2), at(1));
    assert_eq!(stream.to_write(at(1)).len(), MAX_DATA + 4 - 1000);
    stream.wrote(MAX_DATA + 4 - 1000, at(1));
    let (frames, data) = frames(&written(&mut stream, usize::MAX, at(1)));
    assert_eq!((frames.iter().map(answered).collect::<Vec<_>>(), data), (vec![2], vec![]));
}

fn written_len(stream: &mut StreamDriver, expected: usize, now: Timestamp) -> usize {
    let len = stream.to_write(now).len();
    assert_eq!(len, expected);
    stream.wrote(len, now);
    len
}

#[test]
fn writes_are_reported_whatever_the_configuration_says() {
    let config = fast();
    assert!(!config.write_reports());
    let mut driver = Driver::new(config, at(0));
    assert!(driver.machine().config().write_reports());
    // The transport takes nothing: a verdict over a ping that never left blames the path.
    while let Some(due) = driver.next_deadline() {
        driver.tick(due);
        if driver.has_output() {
            driver.blocked(due);
        }
    }
    assert!(matches!(driver.ended(), Some(Ended::Lost(r)) if r.reason == Reason::WriteStalled));
}

#[test]
fn a_configured_write_stall_survives_the_switch_to_reported_writes() {
    let config = Config::builder().write_stall(ms(700)).build().unwrap();
    let mut stream = StreamDriver::new(config, at(0));
    stream.stage(b"waits").unwrap();
    stream.driver_mut().blocked(at(0));
    // Punctually: the first ping is due at random, and a late call would move the verdict.
    let mut last = at(0);
    while let Some(due) = stream.driver().next_deadline() {
        stream.driver_mut().tick(due);
        last = due;
    }
    assert!(at(700) < last && last <= at(701), "{last:?}");
    assert_eq!(stream.driver().report().unwrap().reason, Reason::WriteStalled);
}

#[test]
fn the_observer_hears_of_every_change_and_of_the_end_last() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&heard);
    let setup = Setup::new(fast()).observer(move |notice| sink.lock().unwrap().push(notice));
    let mut driver = Driver::new(setup, at(0));
    while let Some(due) = driver.next_deadline() {
        driver.tick(due);
        while driver.next_frame(due).is_some() {
            driver.begun();
            driver.sent(due);
        }
    }
    driver.tick(at(9999)); // Nothing more is told.
    let heard = heard.lock().unwrap();
    let changes: Vec<_> = heard
        .iter()
        .filter_map(|notice| match notice {
            Notice::Changed { from, report } => Some((*from, report.liveness)),
            _ => None,
        })
        .collect();
    assert_eq!(
        changes,
        [(Liveness::Idle, Liveness::Starting), (Liveness::Starting, Liveness::Lost)]
    );
    assert!(heard.iter().any(
        |notice| matches!(notice, Notice::Found(found) if found.to_string().contains("miss"))
    ));
    assert!(
        matches!(heard.last(), Some(Notice::Ended(Ended::Lost(report))) if report.reason == Reason::NoResponse)
    );
}

#[test]
fn an_external_schedule_is_asked_through_the_observer() {
    let asked = Arc::new(Mutex::new(0));
    let sink = Arc::clone(&asked);
    let config = Config::builder().schedule(PingSchedule::External).build().unwrap();
    let setup = Setup::new(config).observer(move |notice| {
        *sink.lock().unwrap() += u32::from(notice == Notice::ProbeWanted);
    });
    let mut driver = Driver::new(setup, at(0));
    while *asked.lock().unwrap() == 0 {
        let due = driver.next_deadline().expect("asked before the verdict");
        driver.tick(due);
        assert!(!matches!(driver.next_frame(due), Some(Frame::Ping { .. })));
    }
    let now = driver.next_deadline().unwrap();
    driver.handle(Event::PingDue, now);
    assert!(matches!(driver.next_frame(now), Some(Frame::Ping { .. })));
}

#[test]
fn a_full_inbox_holds_the_input_and_the_ticks_but_not_the_stall_of_a_writer() {
    let config = Config::builder().interval(ms(100)).timeout(ms(400)).write_stall(ms(1000));
    let (mut ours, mut theirs) =
        (StreamDriver::new(config.build().unwrap(), at(0)), StreamDriver::new(fast(), at(0)));
    while ours.wants_input() {
        theirs.stage(&[1; MAX_DATA]).unwrap();
        let wire = written(&mut theirs, usize::MAX, at(0));
        ours.received(&wire, at(0));
    }
    assert!(ours.is_full());
    assert!(
        ours.available() <= StreamDriver::<heartbeat_proto::detector::Deadline>::INBOX + MAX_DATA
    );
    // Whether the peer answers nobody has looked; that it takes nothing is seen.
    ours.stage(b"an application that waits in a write must not hang").unwrap();
    for now in 0..=1000 {
        ours.driver_mut().blocked(at(now));
    }
    assert_eq!(ours.driver().ended(), None, "silence is not judged while input is held");
    // The first judgement since is a late call, which grants a window.
    for now in 1001..=1200 {
        ours.driver_mut().blocked(at(now));
    }
    assert_eq!(ours.driver().report().unwrap().reason, Reason::WriteStalled);
    // What was received before can still be read.
    let mut buf = vec![0; 1 << 20];
    assert!(ours.take(&mut buf) >= 64 * 1024);
    assert!(ours.end_of_input().unwrap().is_err());
}

#[test]
fn closing_lets_the_written_bytes_go_before_the_goodbye() {
    let mut stream = StreamDriver::new(fast(), at(0));
    stream.stage(b"the last words").unwrap();
    let mut wire = Vec::new();
    while stream.driver().liveness() != Liveness::Closed {
        stream.close(at(1));
        wire.extend(written(&mut stream, 4, at(1)));
    }
    let (frames, data) = frames(&wire);
    assert_eq!(data, b"the last words");
    assert!(matches!(frames[..], [Frame::Goodbye { .. }]));
    assert_eq!(stream.stage(b"too late").unwrap_err().kind(), std::io::ErrorKind::NotConnected);
}

#[test]
fn closing_is_bounded_where_the_peer_takes_nothing() {
    let mut stream = StreamDriver::new(fast(), at(0));
    stream.stage(b"the last words").unwrap();
    stream.close(at(1));
    stream.driver_mut().blocked(at(1));
    let limit = stream.driver().machine().config().drain_limit();
    let mut now = at(1);
    while let Some(due) = stream.driver().next_deadline() {
        now = due;
        stream.driver_mut().tick(due);
    }
    assert!(now <= at(2).saturating_add(limit));
    assert!(matches!(stream.driver().ended(), Some(Ended::Lost(_))));
}

#[test]
fn after_the_goodbye_the_peer_has_the_drain_limit_for_its_last_bytes() {
    let mut stream = StreamDriver::new(fast(), at(0));
    stream.close(at(1));
    let _ = written(&mut stream, 100, at(1));
    assert!(stream.end_of_input().is_none(), "the peer may still send");
    let due = stream.driver().next_deadline().unwrap();
    assert_eq!(due, at(1).saturating_add(stream.driver().machine().config().drain_limit()));
    stream.driver_mut().tick(due);
    assert!(stream.driver().ended().unwrap().on_purpose());
    assert!(stream.end_of_input().unwrap().is_err(), "nobody said that those were all bytes");
}

#[test]
fn an_end_of_stream_is_a_crash_unless_a_goodbye_came_before() {
    let mut crashed = StreamDriver::new(fast(), at(0));
    crashed.received_end();
    assert_eq!(crashed.driver().ended(), Some(Ended::Abrupt));
    assert_eq!(
        crashed.end_of_input().unwrap().unwrap_err().kind(),
        std::io::ErrorKind::UnexpectedEof
    );

    let (mut ours, mut theirs) =
        (StreamDriver::new(fast(), at(0)), StreamDriver::new(fast(), at(0)));
    theirs.close(at(1));
    ours.received(&written(&mut theirs, 100, at(1)), at(1));
    assert!(ours.end_of_input().unwrap().is_ok(), "the goodbye is the end, whatever follows");
    ours.received_end();
    assert!(ours.stage(b"the last words").is_ok(), "the other direction is still open");
    let _ = written(&mut ours, 100, at(1));
    assert_eq!(ours.driver().ended(), None);
    ours.close(at(1));
    assert!(ours.driver().ended().unwrap().on_purpose());
}

#[test]
fn an_end_of_stream_in_the_middle_of_a_frame_is_no_clean_end() {
    let mut stream = StreamDriver::new(fast(), at(0));
    stream.close(at(1));
    written(&mut stream, usize::MAX, at(1));
    let mut data = Vec::from(Encoder::header(1000).unwrap());
    data.extend_from_slice(&[7; 500]);
    stream.received(&data, at(2));
    stream.received_end(); // The peer's process died.
    assert_eq!(stream.take(&mut [0; 1000]), 500);
    assert_eq!(stream.driver().ended(), Some(Ended::Abrupt));
    assert!(matches!(stream.end_of_input(), Some(Err(_))));
}

#[test]
fn a_bad_frame_ends_the_connection_after_the_bytes_before_it() {
    let (mut ours, mut theirs) =
        (StreamDriver::new(fast(), at(0)), StreamDriver::new(fast(), at(0)));
    theirs.stage(b"good").unwrap();
    let mut wire = written(&mut theirs, 100, at(0));
    wire.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
    ours.received(&wire, at(0));
    let mut buf = [0; 10];
    assert_eq!((ours.take(&mut buf), &buf[..4]), (4, b"good".as_slice()));
    assert!(matches!(ours.driver().ended(), Some(Ended::BadFrame { offset: 8, .. })));
    let error = ours.end_of_input().unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    assert_eq!(Ended::of(&error), ours.driver().ended().as_ref());
}

#[test]
fn the_next_connection_takes_nothing_of_the_old_one_but_what_it_should() {
    let told = Arc::new(Mutex::new(0));
    let sink = Arc::clone(&told);
    let setup = Setup::new(fast()).seed(5).observer(move |_| *sink.lock().unwrap() += 1);
    let mut stream = StreamDriver::new(setup, at(0));
    stream.stage(b"never arrives").unwrap();
    stream.received_end();
    let epoch = stream.driver().machine().state().epoch();
    let before = *told.lock().unwrap();
    let mut stream = stream.reconnected(at(1000));
    assert_eq!(stream.driver().liveness(), Liveness::Recovering);
    assert_eq!(stream.driver().machine().state().epoch(), epoch.wrapping_add(1));
    assert_eq!((stream.driver().ended(), stream.available()), (None, 0));
    assert!(written(&mut stream, 100, at(1000)).is_empty());
    stream.driver_mut().received(&ping(1), at(1001));
    assert_eq!(stream.driver().liveness(), Liveness::Alive);
    assert!(*told.lock().unwrap() > before, "the observer came along");
}

#[test]
fn beacons_promise_their_period() {
    let config = Config::builder().mode(Mode::Beacon).interval(ms(100)).timeout(ms(400));
    let mut driver = Driver::new(config.build().unwrap(), at(0));
    let due = driver.next_deadline().unwrap();
    driver.tick(due);
    let Some(Frame::Beacon { period, .. }) = driver.next_frame(due) else { panic!("no beacon") };
    assert_eq!(period, Some(ms(100)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Two ends, a transport that takes and gives any number of bytes at any time: both directions
    /// arrive whole and in order, and both machines stay alive.
    #[test]
    fn bytes_and_heartbeats_share_a_stream_however_it_is_cut(
        steps in prop::collection::vec((0_u64..60, 1_usize..40_000, 1_usize..40_000, 1_usize..3000), 40..120),
    ) {
        let mut ends = [StreamDriver::new(fast(), at(0)), StreamDriver::new(fast(), at(0))];
        let mut wires: [VecDeque<u8>; 2] = Default::default();
        let (mut sent, mut got) = ([0_u64; 2], [0_u64; 2]);
        let mut now = 0;
        for (gap, takes, gives, reads) in steps {
            now += gap;
            for one in 0..2 {
                let other = 1 - one;
                // Read before tick.
                let input: Vec<u8> = wires[other].drain(..gives.min(wires[other].len())).collect();
                ends[one].received(&input, at(now));
                let mut buf = vec![0; reads];
                let taken = ends[one].take(&mut buf);
                for byte in &buf[..taken] {
                    prop_assert_eq!(*byte, (got[one] % 251) as u8);
                    got[one] += 1;
                }
                if wires[other].is_empty() {
                    ends[one].driver_mut().tick(at(now));
                }
                let data: Vec<u8> = (sent[one]..sent[one] + 5000).map(|i| (i % 251) as u8).collect();
                sent[one] += ends[one].stage(&data).unwrap() as u64;
                let mut room = takes;
                while room > 0 {
                    let bytes = ends[one].to_write(at(now));
                    let len = bytes.len().min(room);
                    if len == 0 { break }
                    wires[one].extend(&bytes[..len]);
                    ends[one].wrote(len, at(now));
                    room -= len;
                }
                if room == 0 {
                    ends[one].driver_mut().blocked(at(now));
                }
                prop_assert_eq!(ends[one].driver().ended(), None);
            }
        }
        prop_assert!(got[0] > 0 && got[1] > 0);
    }
}

/// Where the transport's end is not told (its close does not reach the peer), goodbyes alone say
/// that all is said. Found with async-std, whose streams do not shut down when closed.
#[test]
fn two_goodbyes_that_cross_are_the_end_on_both_sides() {
    let (mut ours, mut theirs) =
        (StreamDriver::new(fast(), at(0)), StreamDriver::new(fast(), at(0)));
    theirs.stage(b"the last words").unwrap();
    let said = written(&mut theirs, 100, at(0));
    ours.close(at(1));
    theirs.close(at(1));
    let (from_us, from_them) = (written(&mut ours, 100, at(1)), written(&mut theirs, 100, at(1)));
    ours.received(&[said, from_them].concat(), at(2));
    theirs.received(&from_us, at(2));
    for end in [&ours, &theirs] {
        assert!(end.driver().ended().unwrap().on_purpose());
        assert!(end.end_of_input().unwrap().is_ok());
    }
    assert_eq!(ours.available(), 14);
}

/// The first bytes after a stall are the end of a frame's part; the pong behind them is unread.
#[test]
fn a_part_of_a_frame_brings_no_verdict_before_the_answer_behind_it() {
    let config = Config::builder().interval(ms(100)).timeout(ms(400)).jitter_percent(0);
    let config = config.first_ping(FirstPing::Immediate).late_policy(LatePolicy::Forgive(ms(1)));
    let (mut ours, mut theirs) =
        (StreamDriver::new(config.build().unwrap(), at(0)), StreamDriver::new(fast(), at(0)));
    ours.driver_mut().tick(at(0));
    theirs.received(&written(&mut ours, 100, at(0)), at(1));
    let answer = written(&mut theirs, 100, at(1));
    let (part, rest) = answer.split_at(5);
    ours.received(part, at(5000));
    assert_eq!(ours.driver().ended(), None, "nobody is judged by half a pong");
    ours.received(rest, at(5000));
    ours.driver_mut().tick(at(5000));
    assert_eq!(ours.driver().liveness(), Liveness::Alive);
}

/// A transport that takes bytes and says so later: in between, a newer ping came.
#[test]
fn what_was_written_is_the_frame_that_was_given_out() {
    let mut driver = Driver::new(fast(), at(0));
    driver.received(&ping(1), at(1));
    assert_eq!(answered(&driver.next_frame(at(1)).unwrap()), 1);
    driver.received(&ping(2), at(2));
    driver.begun();
    driver.sent(at(3));
    assert_eq!(answered(&driver.next_frame(at(3)).unwrap()), 2, "the newest is answered, too");
    driver.begun();
    driver.sent(at(3));
    assert!(!driver.has_output());
}

/// At the verdict's wake-up a frame that is no evidence comes first, the answer right behind it.
#[test]
fn nobody_is_judged_by_a_frame_before_the_answer_behind_it() {
    let verdict = at(400).saturating_add(Duration::from_nanos(1));
    let config = |rule| {
        let config = Config::builder().interval(ms(100)).timeout(ms(400)).jitter_percent(0);
        config.first_ping(FirstPing::AfterInterval).life_rule(rule).build().unwrap()
    };
    let answered = |rule, before: &[u8]| {
        let mut ours = StreamDriver::new(config(rule), at(0));
        let mut theirs = StreamDriver::new(fast(), at(0));
        while ours.driver().next_deadline().unwrap() < verdict {
            let now = ours.driver().next_deadline().unwrap();
            ours.driver_mut().tick(now);
            theirs.received(&written(&mut ours, 100, now), now);
        }
        let pong = written(&mut theirs, 100, verdict);
        ours.received(&[before, &pong].concat(), verdict);
        ours.driver_mut().tick(verdict);
        ours.driver().liveness()
    };
    let mut frame = Vec::new();
    ping(1).encode(&mut frame).unwrap();
    assert_eq!(answered(LifeRule::ExactPong, &frame), Liveness::Alive);
    assert_eq!(answered(LifeRule::AnyPong, &frame), Liveness::Alive);
    let data = [Encoder::header(5).unwrap().as_slice(), b"bytes"].concat();
    assert_eq!(answered(LifeRule::ExactPong, &data), Liveness::Alive);
}

/// A change of the rules reaches everything that goes by them: deadlines, pongs, the period that
/// beacons promise.
#[test]
fn a_driver_goes_on_under_other_rules() {
    let slow = Config::builder().interval(ms(60_000)).timeout(ms(150_000)).jitter_percent(0);
    let slow = slow.first_ping(FirstPing::Immediate).build().unwrap();
    let mut driver = Driver::new(slow, at(0));
    while driver.next_frame(at(0)).is_some() {
        driver.begun();
        driver.sent(at(0));
    }
    assert!(driver.next_deadline().unwrap() > at(1000));
    let quick = Config::builder().interval(ms(100)).timeout(ms(400)).answer_each(true);
    driver.reconfigure(quick.build().unwrap(), at(1000));
    assert_ne!(driver.liveness(), Liveness::Lost, "nobody is convicted by the change");
    assert!(driver.next_deadline().unwrap() <= at(1100));
    assert!(driver.machine().config().write_reports(), "as in a setup");
    driver.received(&ping(1), at(1001));
    driver.received(&ping(2), at(1001));
    let mut pongs = 0;
    while let Some(frame) = driver.next_frame(at(1001)) {
        pongs += u32::from(matches!(frame, Frame::Pong { .. }));
        driver.begun();
        driver.sent(at(1001));
    }
    assert_eq!(pongs, 2, "each ping is answered now");

    let beacons = |interval| {
        let builder = Config::builder().mode(Mode::Beacon).interval(interval);
        builder.jitter_percent(0).build().unwrap()
    };
    let mut driver = Driver::new(beacons(ms(1000)), at(0));
    driver.reconfigure(beacons(ms(300)), at(1));
    let due = driver.next_deadline().unwrap();
    driver.tick(due);
    let beacon = format!("{:?}", driver.next_frame(due).unwrap());
    assert!(beacon.contains("300ms"), "{beacon}");
}
