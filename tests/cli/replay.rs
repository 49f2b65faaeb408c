//! `heartbeat replay` and `heartbeat record`: tables, reports, verdicts over configurations, and a
//! trace of a live server that is played again.

use core::fmt::Write;
use core::time::Duration;

use serde_json::Value;

use crate::process::{Directory, PATIENCE, Running, events, json_lines, run, server, text};

const SEATTLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/seattle.csv");
const WEAK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/5g-weak-to-strong.csv");

/// A link with a beat every 100 ms that takes 10 ms, and an outage of `gap` beats every 500.
fn outages(beats: u32, gap: u32) -> String {
    let mut rows = String::from("seq,send_us,delay_us\n");
    for seq in 0..beats {
        let lost = seq % 500 >= 500 - gap;
        let delay = if lost { -1 } else { 10_000 };
        writeln!(rows, "{seq},{},{delay}", u64::from(seq) * 100_000).unwrap();
    }
    rows
}

fn ok(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn detectors_are_compared_in_a_table() {
    let told = ok(&["replay", SEATTLE, "--detectors", "fixed,2W-FD(1,100),k-of-n"]);
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].starts_with("seattle: period 1570"), "{told}");
    assert!(lines[1].contains("0.25") && lines[1].ends_with("T_D(0)"), "{told}");
    let row = |name: &str| lines.iter().find(|line| line.starts_with(name)).expect(name);
    // Nothing is ever wrong there with five periods.
    assert!(row("fixed").contains(" 0 ") && row("k-of-n").contains(" 0 "), "{told}");
    assert!(row("2W-FD(1,100)").split_whitespace().count() == 12, "{told}");
    assert!(!told.contains("bertier"), "{told}");
}

#[test]
fn points_go_to_json_and_csv_alike() {
    let directory = Directory::new("points");
    let csv = directory.write("points.csv", "");
    let args = ["replay", WEAK, "--detectors", "fixed", "--json", "--csv", &csv];
    let lines = json_lines(&ok(&args));
    let points = events(&lines, "point");
    assert_eq!(points.len(), 96);
    let table = std::fs::read_to_string(&csv).unwrap();
    let mut rows = table.lines();
    let head = "trace,detector,parameter,mean_td_ms,p99_td_ms,worst_td_ms,mistakes,mistakes_per_h,\
                mean_tm_ms,P_A,hours";
    assert_eq!(rows.next(), Some(head));
    for (row, point) in rows.zip(points) {
        let fields: Vec<_> = row.split(',').collect();
        assert_eq!(fields[0], "5g-weak-to-strong");
        assert_eq!(fields[6], point["mistakes"].to_string());
        assert_eq!(fields[3], format!("{:.6}", point["mean_ms"].as_f64().unwrap()));
        let p99 = point["p99_ms"].as_f64().unwrap();
        assert!(
            p99 >= point["mean_ms"].as_f64().unwrap() && p99 <= point["worst_ms"].as_f64().unwrap()
        );
    }
}

/// The published ones run as well, being the measure.
#[test]
fn the_score_is_told_for_every_detector() {
    let directory = Directory::new("score");
    let trace = directory.write("outages.csv", &outages(2_000, 3));
    let lines = json_lines(&ok(&["replay", &trace, "--score", "--detectors", "hazard", "--json"]));
    let scores = events(&lines, "score");
    assert_eq!(scores.len(), 17);
    assert!(scores.iter().any(|line| line["detector"] == "hazard"), "{scores:?}");
    let cells = events(&lines, "cell");
    assert!(!cells.is_empty());
    for cell in cells {
        let best = cell["holder"].as_str().unwrap();
        assert_eq!(cell["mistakes"][best], cell["reference"], "{cell}");
    }
    let table = ok(&["replay", &trace, "--score", "--detectors", "hazard"]);
    assert!(table.contains("score over ") && table.contains("of the best"), "{table}");
    // One trace leaves no other to choose a knob on.
    assert!(!table.contains("all other traces") && events(&lines, "unseen").is_empty());
    let short = ["a.csv", "b.csv"].map(|name| directory.write(name, &outages(600, 3)));
    let two = ["replay", &short[0], &short[1], "--score", "--detectors", "hazard"];
    let table = ok(&two);
    assert!(table.contains("with a knob chosen on all other traces"), "{table}");
    let lines = json_lines(&ok(&[&two[..], &["--json"]].concat()));
    let unseen = events(&lines, "unseen");
    // Three lines a detector: each trace, and all.
    let all: Vec<_> = unseen.iter().filter(|line| line["trace"].is_null()).collect();
    assert!(!all.is_empty() && unseen.len() == 3 * all.len(), "{unseen:?}");
    assert!(all.iter().all(|line| line["ratio"].as_f64().is_some_and(|ratio| ratio > 0.0)));
}

#[test]
fn the_report_is_one_page_with_plots_and_a_timeline() {
    let directory = Directory::new("report");
    let trace = directory.write("outages.csv", &outages(2_000, 3));
    let html = directory.write("report.html", "");
    let detectors = ["--detectors", "fixed,chen-w32,hazard"];
    let window = ["--segment", "outages", "--from", "49s", "--to", "51s"];
    ok(&[&["replay", &trace, "--html", &html], &detectors[..], &window].concat());
    let page = std::fs::read_to_string(&html).unwrap();
    assert_eq!(page.matches("<svg").count(), 2);
    assert_eq!(page.matches("</svg>").count(), 2);
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("mistakes per hour"));
    assert!(page.contains("seconds from the first sample") && page.contains("chen-w32 "));
    assert!(!page.contains("<script") && !page.contains("http://www.google"));
}

/// A timeout of a second gives up every time that three seconds are lost; one of ten never, and finds
/// a crash later.
#[test]
fn a_candidate_is_compared_to_the_rules_in_force() {
    let directory = Directory::new("against");
    let trace = directory.write("outages.csv", &outages(3_000, 30));
    let swift = "interval = \"300ms\"\ntimeout = \"1s\"\n";
    let swift = directory.write("swift.toml", swift);
    let slow = directory.write("slow.toml", "interval = \"1s\"\ntimeout = \"10s\"\n");
    let compare = |old: &str, new: &str, options: &[&str]| {
        let output =
            run(&[&["replay", &trace, "--against", old, "--candidate", new], options].concat());
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, told, _) = compare(&slow, &swift, &[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("timeout: 10s -> 1s") && told.contains("worse: 6 living peers"),
        "{told}"
    );
    assert!(told.contains("outages/outages") && told.contains("0 -> 6"), "{told}");
    let (code, told, _) = compare(&slow, &swift, &["--more-losses", "6"]);
    assert_eq!(code, Some(0), "{told}");
    // The other way round nobody is given up, but a crash takes ten seconds to find.
    let (code, told, _) = compare(&swift, &slow, &[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("worse: mean detection time"), "{told}");
    let (code, told, _) = compare(&swift, &slow, &["--slower", "2000", "--json"]);
    assert_eq!(code, Some(0), "{told}");
    let lines = json_lines(&told);
    assert_eq!(events(&lines, "played").len(), 2);
    let end = events(&lines, "compared")[0];
    assert_eq!((&end["losses"][0], &end["losses"][1]), (&6.into(), &0.into()), "{end}");
    let mean = |which: usize| end["detection_mean_ms"][which].as_f64().unwrap();
    assert!((500.0..1_100.0).contains(&mean(0)) && (9_000.0..10_100.0).contains(&mean(1)), "{end}");
    let (code, _, error) = compare(&swift, &directory.write("bad.toml", "slak = 1\n"), &[]);
    assert_eq!(code, Some(2));
    assert!(error.contains("bad.toml:1: no knob is called `slak`"), "{error}");
}

/// The name of a segment is the address whose rules count.
#[test]
fn rules_of_an_address_play_on_its_segments() {
    let directory = Directory::new("addresses");
    let mut trace = String::from("heartbeat-trace 1\n");
    for (id, address) in [(0, "192.0.2.1:7007"), (1, "192.0.2.2:7007")] {
        writeln!(trace, "segment {id} round-trip {address}").unwrap();
        for row in outages(1_000, 30).lines().skip(1) {
            let row = row.replace("-1", "lost").replace(',', " ");
            writeln!(trace, "beat {id} {row}").unwrap();
        }
    }
    let trace = directory.write("two.trace", &trace);
    let rules = "interval = \"300ms\"\ntimeout = \"1s\"\n[address.\"192.0.2.2\"]\ninterval = \"1s\"\ntimeout = \"10s\"\n";
    let rules = directory.write("rules.toml", rules);
    let lines = json_lines(&ok(&["replay", &trace, "--candidate", &rules, "--json"]));
    let losses = |name: &str| -> &Value {
        let played = events(&lines, "played");
        &played.into_iter().find(|line| line["segment"] == name).expect(name)["losses"]
    };
    assert_eq!((losses("192.0.2.1:7007"), losses("192.0.2.2:7007")), (&2.into(), &0.into()));
}

#[test]
fn bad_traces_and_arguments_are_told() {
    let directory = Directory::new("bad-traces");
    let bad = directory.write("bad.csv", "seq,send_us,delay_us\n0,0,1\n1,x,2\n");
    let short = directory.write("short.csv", &outages(20, 1));
    let unwritten = directory.write("none.trace", "heartbeat-trace 1\n");
    for (args, code, told) in [
        (vec!["replay"], 2, "PATH"),
        (vec!["replay", "/no/such/trace"], 1, "/no/such/trace: No such file"),
        (vec!["replay", &bad], 1, "bad.csv: line 3: `x` is no number"),
        (vec!["replay", &short], 1, "no segment has 60 samples"),
        (vec!["replay", &unwritten], 1, "none.trace: line 1: there is no sample in it"),
        (vec!["replay", SEATTLE, "--detectors", "oracle"], 2, "no detector is called `oracle`"),
        (vec!["replay", SEATTLE, "--html", "x", "--segment", "y"], 2, "no segment is called `y`"),
        (vec!["replay", SEATTLE, "--against", "a.toml"], 2, "--candidate"),
        (vec!["record", "127.0.0.1:9"], 2, "--out"),
        (vec!["record", "127.0.0.1:9", "--out", &short], 2, "--out: "),
        (vec!["record", "127.0.0.1:9", "--out", "x", "--interval", "1us"], 2, "--interval"),
    ] {
        let output = run(&args);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
        assert!(error.contains(told), "{args:?}: {error}");
    }
}

/// From a live server to a table, over both transports; the file is whole after an interrupt.
#[test]
fn a_live_address_is_recorded_and_played() {
    for protocol in ["tcp", "udp"] {
        let directory = Directory::new(&format!("record-{protocol}"));
        let folder = directory.write("mark", "");
        let out = folder.replace("mark", "live.trace");
        let (_server, _log, address) = server(protocol);
        let mut args = vec!["record", &address, "--out", &out, "--interval", "10ms"];
        args.extend((protocol == "udp").then_some("--udp"));
        let mut record = Running::start(&args);
        let written = || std::fs::read_to_string(&out).unwrap_or_default();
        while written().matches("beat ").count() < 80 {
            std::thread::sleep(Duration::from_millis(20));
        }
        record.interrupt();
        assert_eq!(record.code_within(PATIENCE), Some(0));
        let trace = written();
        assert!(
            trace.starts_with("heartbeat-trace 1\nsegment ") && trace.ends_with('\n'),
            "{trace}"
        );
        let told = ok(&["replay", &out, "--detectors", "fixed"]);
        // (A busy machine sends less often than it was told to, and never more often.)
        let period = told.strip_prefix("live: period ").and_then(|it| it.split_once(" ms"));
        let period: f64 = period.expect(&told).0.parse().expect(&told);
        assert!((9.0..200.0).contains(&period) && told.contains(" 1 segments"), "{told}");
    }
}

/// Nobody answers: the pings are lost, and the exit code says so.
#[test]
fn an_address_that_never_answers_is_told() {
    let directory = Directory::new("record-nobody");
    let out = directory.write("mark", "").replace("mark", "nobody.trace");
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let timing = ["--interval", "20ms", "--patience", "100ms", "--for", "600ms"];
    let args = ["record", &address, "--udp", "--out", &out];
    let output = run(&[&args[..], &timing].concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let trace = std::fs::read_to_string(&out).unwrap();
    assert!(trace.matches(" lost\n").count() >= 5, "{trace}");
}

#[test]
fn traces_are_exported_as_rows() {
    let directory = Directory::new("export");
    let ping =
        "PING a\n8 bytes from a: icmp_seq=1 time=1.5 ms\n8 bytes from a: icmp_seq=3 time=2 ms\n";
    let trace = directory.write("home.ping", ping);
    let folder = directory.write("mark", "").replace("mark", "out");
    ok(&["replay", &trace, "--interval", "200ms", "--export", &folder]);
    let rows = std::fs::read_to_string(format!("{folder}/home/home.csv")).unwrap();
    assert_eq!(rows, "seq,send_us,delay_us\n1,0,1500\n2,200000,-1\n3,400000,2000\n");
}
