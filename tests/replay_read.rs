//! Traces as texts: each form that is read, what is refused and where, and that nothing panics.
#![cfg(feature = "replay")]

use core::fmt::Write;
use core::time::Duration;

use heartbeat_proto::replay::{Kind, Link, Mistake, Reader, Sample, Segment, TextError};
use proptest::prelude::*;

fn read(text: &str) -> Result<(Kind, Vec<Segment>), TextError> {
    Reader::default().text("trace", text)
}

/// Number, sending and delay in microseconds, -1 for lost.
fn rows(text: &str) -> Vec<(u32, u64, i64)> {
    let (_, segments) = read(text).expect("a trace");
    let [segment] = &segments[..] else { panic!("one segment: {segments:?}") };
    segment.samples.iter().map(row).collect()
}

fn row(sample: &Sample) -> (u32, u64, i64) {
    let delay = sample.delay.map_or(-1, |delay| i64::try_from(delay / 1000).unwrap());
    (sample.seq, sample.sent / 1000, delay)
}

/// RY1
#[test]
fn rows_are_read_as_they_are_written() {
    let text = "seq,send_us,delay_us\n0,0,34000\n1,55000,-1\r\n\n 3 , 109000 , 7 \n";
    assert_eq!(rows(text), [(0, 0, 34_000), (1, 55_000, -1), (3, 109_000, 7)]);
}

const PING: &str = "\
PING example.org (93.184.215.14) 56(84) bytes of data.
64 bytes from 93.184.215.14 (93.184.215.14): icmp_seq=1 ttl=56 time=11.6 ms
no answer yet for icmp_seq=2
64 bytes from 93.184.215.14: icmp_seq=3 ttl=56 time=1003 ms
64 bytes from 93.184.215.14: icmp_seq=4 ttl=56 time=0.045 ms
64 bytes from 93.184.215.14: icmp_seq=4 ttl=56 time=25.0 ms (DUP!)
From 10.0.0.1 icmp_seq=6 Destination Host Unreachable

--- example.org ping statistics ---
7 packets transmitted, 3 received, +1 duplicates, +1 errors, 57% packet loss, time 6012ms
rtt min/avg/max/mdev = 0.045/338.215/1003.000/470.075 ms
";

/// RY1: without `-D` the summary tells the distance; what it counts and nobody answered was lost.
#[test]
fn ping_of_iputils_is_read() {
    let sent = |n: u64| (n - 1) * 1_002_000;
    let delays = [11_600, -1, 1_003_000, 45, -1, -1, -1];
    let expected: Vec<_> = (1..).zip(delays).map(|(n, delay)| (n, sent(n.into()), delay)).collect();
    assert_eq!(rows(PING), expected);
}

/// RY1: a ping that was killed has no summary.
#[test]
fn ping_without_a_summary_has_the_interval_of_the_reader() {
    let text = PING.split("\n---").next().unwrap();
    assert_eq!(rows(text)[2], (3, 2_000_000, 1_003_000));
    assert_eq!(rows(text).len(), 6);
    let mut reader = Reader::default();
    reader.interval = Duration::from_millis(200);
    let (_, segments) = reader.text("trace", text).unwrap();
    assert_eq!(segments[0].samples[2].sent, 400_000_000);
}

/// RY1: with `-D` an answer carries the time at which it came; a lost ping left between its neighbours.
#[test]
fn ping_with_times_of_day_is_read() {
    let text = "\
PING 192.0.2.1 (192.0.2.1) 56(84) bytes of data.
[1700000000.100000] 64 bytes from 192.0.2.1: icmp_seq=1 ttl=64 time=100 ms
[1700000002.030000] no answer yet for icmp_seq=2
[1700000002.130000] 64 bytes from 192.0.2.1: icmp_seq=3 ttl=64 time=130 ms
[1700000003.000500] 64 bytes from 192.0.2.1: icmp_seq=4 ttl=64 time=0.500 ms
";
    let expected =
        [(1, 0, 100_000), (2, 1_000_000, -1), (3, 2_000_000, 130_000), (4, 3_000_000, 500)];
    assert_eq!(rows(text), expected);
}

/// RY1
#[test]
fn ping_of_busybox_and_of_bsd_are_read() {
    let busybox = "\
PING 1.1.1.1 (1.1.1.1): 56 data bytes
64 bytes from 1.1.1.1: seq=0 ttl=57 time=12.345 ms
64 bytes from 1.1.1.1: seq=2 ttl=57 time=9.001 ms
64 bytes from 1.1.1.1: seq=2 ttl=57 time=9.101 ms (DUP!)

--- 1.1.1.1 ping statistics ---
4 packets transmitted, 2 packets received, 1 duplicates, 50% packet loss
round-trip min/avg/max = 9.001/10.673/12.345 ms
";
    let expected = [(0, 0, 12_345), (1, 1_000_000, -1), (2, 2_000_000, 9_001), (3, 3_000_000, -1)];
    assert_eq!(rows(busybox), expected);
    let bsd = "\
PING 1.1.1.1 (1.1.1.1): 56 data bytes
64 bytes from 1.1.1.1: icmp_seq=0 ttl=57 time=12.345 ms
Request timeout for icmp_seq 1
64 bytes from 1.1.1.1: icmp_seq=2 ttl=57 time=9.001 ms
";
    assert_eq!(rows(bsd), expected[..3]);
}

/// RY1: 16 bits are not enough for a day.
#[test]
fn the_numbers_of_ping_wrap() {
    let mut text = String::new();
    for n in 1..=131_080_u32 {
        if n % 1000 != 0 {
            writeln!(text, "64 bytes from ::1: icmp_seq={} ttl=64 time=1 ms", n % 65_536).unwrap();
        }
    }
    let rows = rows(&text);
    assert_eq!(rows.len(), 131_080);
    assert_eq!(rows[131_079], (131_080, 131_079_000_000, 1_000));
    assert_eq!(rows.iter().filter(|row| row.2 == -1).count(), 131);
}

/// RY1
#[test]
fn what_was_recorded_is_read_even_if_it_breaks_off() {
    let text = "\
heartbeat-trace 1
# by hand
segment 0 round-trip 192.0.2.1:7007 with a space
beat 0 1 5000 523
segment 7 round-trip [2001:db8::1]:7
beat 7 4 1 2
beat 0 3 2005000 lost
beat 0 2 1005000 17
pause 0 1500000 6500000
";
    let (kind, segments) = read(text).unwrap();
    assert_eq!(kind, Kind::RoundTrip);
    assert_eq!(segments[0].name, "192.0.2.1:7007 with a space");
    let samples: Vec<_> = segments[0].samples.iter().map(row).collect();
    assert_eq!(samples, [(1, 0, 523), (2, 1_000_000, 17), (3, 2_000_000, -1)]);
    assert_eq!(segments[0].pauses, [(1_495_000_000, 6_495_000_000)]);
    assert_eq!(segments[1].samples.len(), 1);
    let one_way = text.replace("7 round-trip", "7 one-way");
    assert_eq!(read(&one_way).unwrap().0, Kind::OneWay);
}

/// RY1: the line and the reason.
#[test]
fn what_is_refused_is_told_with_its_line() {
    let number = |text: &str| Mistake::Number(text.to_owned());
    let csv = "seq,send_us,delay_us\n0,0,1\n";
    let recorded = "heartbeat-trace 1\nsegment 0 round-trip a\n";
    for (text, line, mistake) in [
        (String::new(), 1, Mistake::UnknownForm),
        ("hello\n".to_owned(), 1, Mistake::UnknownForm),
        ("seq,send_us,delay_us\n".to_owned(), 1, Mistake::Empty),
        (format!("{csv}1,2\n"), 3, Mistake::Fields { expected: 3, found: 2 }),
        (format!("{csv}1,x,3\n"), 3, number("x")),
        (format!("{csv}1,2,-2\n"), 3, number("-2")),
        (format!("{csv}1,2,nan\n"), 3, number("nan")),
        (format!("{csv}1,99999999999999999,3\n"), 3, number("99999999999999999")),
        (format!("{csv}4294967296,2,3\n"), 3, number("4294967296")),
        (format!("{csv}\n0,5,3\n"), 4, Mistake::Order(0)),
        (format!("{csv}5,50,3\n6,49,3\n"), 4, Mistake::Order(6)),
        (format!("{recorded}beat 1 2 3 4\n"), 3, Mistake::Segment(1)),
        (format!("{recorded}segment 0 round-trip b\n"), 3, Mistake::Segment(0)),
        (format!("{recorded}segment 1 both b\n"), 3, Mistake::Word("both".to_owned())),
        (format!("{recorded}beet 0 2 3 4\n"), 3, Mistake::Word("beet".to_owned())),
        (format!("{recorded}beat 0 2 3\n"), 3, Mistake::Fields { expected: 5, found: 4 }),
        (format!("{recorded}beat 0 2 3 4\nbeat 0 2 3 4\n"), 4, Mistake::Order(2)),
        (recorded.to_owned(), 2, Mistake::Empty),
        ("PING a\n8 bytes from a: icmp_seq=1 ttl=1\n".to_owned(), 2, Mistake::NoTime),
        ("PING a\n8 bytes from a: icmp_seq=1 time=soon ms\n".to_owned(), 2, number("soon")),
        ("PING a (192.0.2.1) 56(84) bytes of data.\n".to_owned(), 1, Mistake::Empty),
    ] {
        let error = read(&text).expect_err(&text);
        assert_eq!((error.line, error.mistake), (line, mistake), "{text}");
    }
}

/// RY1: what is cited in a mistake is not as long as whoever wrote the text liked.
#[test]
fn mistakes_are_short() {
    let long = "0".repeat(10_000);
    for text in [
        format!("PING a\n8 bytes from a: icmp_seq=1 time={long}x ms\n"),
        format!("seq,send_us,delay_us\n1,{long}9999999999999999,3\n"),
        format!("seq,send_us,delay_us\n{long}9999999999,1,3\n"),
    ] {
        let error = read(&text).expect_err("no number");
        assert!(error.to_string().len() < 100, "{error}");
    }
}

/// RY1: a clock that is set back makes no trace.
#[test]
fn a_wall_clock_that_is_set_back_is_refused() {
    let text = "\
[1700000010.0] 64 bytes from a: icmp_seq=1 time=1 ms
[1700000005.0] 64 bytes from a: icmp_seq=2 time=1 ms
";
    assert_eq!(read(text).unwrap_err(), error_at(2, Mistake::Order(2)));
}

fn error_at(line: usize, mistake: Mistake) -> TextError {
    let mut error = read("").unwrap_err();
    (error.line, error.mistake) = (line, mistake);
    error
}

/// RY1: hundreds of lines that each claim thirty thousand losses.
#[test]
fn claimed_losses_do_not_fill_the_memory() {
    let mut text = String::new();
    for n in 1..2000_u32 {
        writeln!(text, "64 bytes from a: icmp_seq={} time=1 ms", n * 32_000 % 65_536).unwrap();
    }
    assert_eq!(read(&text).unwrap_err().mistake, Mistake::TooMany);
}

/// RY2: overtaken beats do not count; short segments are left out.
#[test]
fn a_link_has_the_arrivals_that_told_something_new() {
    let text = |n: u32| {
        let mut text = String::from("seq,send_us,delay_us\n");
        for seq in 10..n + 10 {
            let delay = match seq {
                13 => -1,
                20 => 25_000,
                _ => 5_000,
            };
            writeln!(text, "{seq},{},{delay}", (seq - 10) * 10_000).unwrap();
        }
        text
    };
    let link = |n| Link::new(&read(&text(n)).unwrap().1[0]);
    assert_eq!(link(59), None);
    let link = link(60).unwrap();
    assert_eq!((link.period, link.warm, link.arrivals.len()), (10_000_000, 11, 58));
    let numbers: Vec<_> = link.arrivals.iter().map(|arrival| arrival.seq).take(11).collect();
    // 10 arrives together with 12, after 11.
    assert_eq!(numbers, [0, 1, 2, 4, 5, 6, 7, 8, 9, 11, 12]);
}

proptest! {
    /// RY1
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = read(&text);
    }

    /// RY1: close to real ones.
    #[test]
    fn no_almost_good_text_panics(
        head in prop_oneof![
            Just("seq,send_us,delay_us"), Just("heartbeat-trace 1"), Just("PING a"), Just("")
        ],
        lines in prop::collection::vec(
            "(beat|segment|pause|\\[[0-9]{1,19}(\\.[0-9]{1,9})?\\] 64 bytes from a: icmp_seq=|)\
             [ ,]?-?[0-9]{1,20}[ ,](time=)?[0-9]{1,20}(\\.[0-9])?[ ,](-1|lost|[0-9]{1,20})( ms)?",
            0..20,
        ),
        summary in "[0-9]{1,20} packets transmitted, time [0-9]{1,20}ms",
    ) {
        let text = format!("{head}\n{}\n{summary}", lines.join("\n"));
        if let Ok((_, segments)) = read(&text) {
            for segment in &segments {
                let rising = |pair: &[Sample]| {
                    pair[0].seq < pair[1].seq && pair[0].sent <= pair[1].sent
                };
                prop_assert!(segment.samples.windows(2).all(rising));
                let _ = Link::new(segment);
            }
        }
    }
}
