//! `heartbeat load` against `heartbeat serve --fleet`: the two tell the same story.
#![cfg(target_os = "linux")]

use std::process::Output;

use serde_json::Value;

use crate::process::{
    PATIENCE, Running, event, events, json_lines, line_with, run, server_with, text,
};

/// Pings every 300 ms, dead after 1.2 s: four pings, more when it is suspected. Chance hardly loses
/// them all.
const RULES: [&str; 4] = ["--interval", "300ms", "--timeout", "1200ms"];

/// The same, twice as slow, for many peers: a busy machine gets to all of them in time.
const CALM: [&str; 4] = ["--interval", "600ms", "--timeout", "2400ms"];

fn gateway(rules: &[&str]) -> (Running, impl std::io::BufRead, String) {
    server_with(&[&["--udp", "127.0.0.1:0", "--fleet", "--threads", "1"][..], rules].concat())
}

fn load(gateway: &str, options: &[&str]) -> Output {
    run(&[&["load", gateway, "--json"], options].concat())
}

/// The last line.
fn ended(output: &Output) -> Value {
    let lines = json_lines(&text(&output.stdout));
    (*events(&lines, "ended").last().expect("an end")).clone()
}

/// No more of them: unoptimised, with each short-cut compared, they would take the processors from the
/// programs whose times other tests measure meanwhile.
#[test]
fn hundreds_of_peers_are_held_and_the_killed_are_found() {
    let (mut server, mut lines, address) = gateway(&CALM);
    let output = load(
        &address,
        &[
            &["--peers", "400", "--ramp", "1s", "--for", "7s", "--bound", "4400ms"][..],
            &["--loss", "1%", "--churn", "20", "--kill", "10", "--ping", "2s", "--seed", "6"],
        ]
        .concat(),
    );
    let end = ended(&output);
    assert_eq!(output.status.code(), Some(0), "{end}");
    for (field, value) in [("false", 0), ("late", 0), ("forgotten", 0), ("undecided", 0)] {
        assert_eq!(end[field], value, "{field}: {end}");
    }
    for (field, value) in [("killed", 10), ("found", 10), ("churned", 20), ("unsent", 0)] {
        assert_eq!(end[field], value, "{field}: {end}");
    }
    let joined = end["joined"].as_u64().unwrap();
    assert!((410..=420).contains(&joined), "{end}");
    // One datagram in a hundred, each way.
    let all = ["sent", "received"].map(|field| end[field].as_u64().unwrap()).iter().sum::<u64>();
    let lost = end["lost"].as_u64().unwrap();
    assert!((all / 150..all / 70).contains(&lost), "{end}");
    let longest = end["detection_ms"]["max"].as_f64().unwrap();
    assert!((1_200.0..4_400.0).contains(&longest), "{end}");
    assert!(end["own_ping_ms"]["p50"].as_f64().unwrap() < 500.0, "{end}");
    let snapshots = json_lines(&text(&output.stdout));
    let most = events(&snapshots, "snapshot").iter().map(|line| line["present"].as_u64()).max();
    assert!(most.flatten().unwrap() > 360, "{most:?}");
    server.interrupt();
    // Who could not finish joining at the end is known to the gateway alone.
    let census = line_with(&mut lines, "census: ");
    assert!(census.contains(", 10 lost"), "{census}");
    assert_eq!(server.code_within(PATIENCE), Some(0));
}

#[test]
fn verdicts_that_are_late_or_false_and_a_gateway_that_is_not_there_exit_with_1() {
    let (_server, _lines, address) = gateway(&RULES);
    let short = ["--peers", "50", "--ramp", "100ms"];
    let late = ["--for", "1500ms", "--bound", "100ms", "--kill", "5"];
    let deaf = ["--for", "2500ms", "--loss", "50%", "--seed", "2"];
    for (options, field) in [(&late[..], "late"), (&deaf[..], "false")] {
        let output = load(&address, &[&short[..], options].concat());
        let end = ended(&output);
        assert_eq!(output.status.code(), Some(1), "{end}");
        assert!(end[field].as_u64() > Some(0), "{field}: {end}");
    }
    // Nobody listens there, since this socket is bound and silent.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let output = run(&["load", &address, "--peers", "3", "--ramp", "100ms", "--for", "200ms"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stdout);
    assert!(told.contains("nobody was let in"), "{told}");
}

/// It answers, and watches nobody.
#[test]
fn a_server_that_only_answers_is_no_gateway() {
    let (_server, _lines, address) = server_with(&["--udp", "127.0.0.1:0"]);
    let plan = ["--peers", "3", "--ramp", "100ms", "--for", "200ms"];
    let output = run(&[&["load", &address][..], &plan].concat());
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("nobody was let in: is what answers a gateway, with room?"), "{told}");
}

/// Nothing can leave from an address that is not this host's.
#[test]
fn what_cannot_be_sent_is_no_fault_of_the_gateway() {
    let plan = ["--peers", "3", "--ramp", "100ms", "--for", "200ms"];
    let nowhere = [&["load", "192.0.2.1:9", "--from", "192.0.2.7"][..], &plan].concat();
    let output = run(&nowhere);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("0 sent, 0 received; lost: 0 by chance, 6 not sent"), "{told}");
    assert!(told.contains("nothing could be sent: "), "{told}");
    assert!(!told.contains("is there a gateway"), "{told}");
    let output = run(&[&nowhere[..], &["--json"]].concat());
    let end = ended(&output);
    assert_eq!((&end["sent"], &end["unsent"]), (&0.into(), &6.into()), "{end}");
}

/// Who was stopped itself for a while is told so, beside what came of it.
#[test]
fn its_own_stall_is_measured() {
    let (_server, _lines, address) = gateway(&RULES);
    let options = ["--peers", "20", "--ramp", "100ms", "--for", "30s", "--json"];
    let mut load = Running::start(&[&["load", &address][..], &options].concat());
    let mut lines = load.lines();
    line_with(&mut lines, "\"present\":20");
    load.signal("-STOP");
    std::thread::sleep(core::time::Duration::from_millis(2_500));
    load.signal("-CONT");
    // All were silent, and have to join anew.
    while event(&mut lines, "snapshot")["false"] == 0 {}
    load.interrupt();
    let end = line_with(&mut lines, "\"event\":\"ended\"");
    let end: Value = serde_json::from_str(&end).unwrap();
    assert!(end["own_lateness_ms"].as_f64() > Some(2_000.0), "{end}");
    assert_eq!(load.code_within(PATIENCE), Some(1));
}

#[test]
fn an_interrupted_run_ends_with_its_summary() {
    let (_server, _lines, address) = gateway(&RULES);
    let mut load =
        Running::start(&["load", &address, "--peers", "100", "--ramp", "100ms", "--json"]);
    let mut lines = load.lines();
    line_with(&mut lines, "\"present\":100");
    load.interrupt();
    line_with(&mut lines, "\"event\":\"ended\"");
    assert_eq!(load.code_within(PATIENCE), Some(0));
}

#[test]
fn bad_plans_are_named() {
    let load = ["load", "127.0.0.1:9"];
    for (options, named) in [
        (&["--peers", "0"][..], "--peers"),
        (&["--peers", "20000000"], "--from"),
        (&["--loss", "51%"], "--loss"),
        (&["--ramp", "0s"], "--ramp"),
        (&["--ramp", "6m"], "--for"),
        (&["--kill", "1", "--for", "60s"], "--for"),
        (&["--kill", "1001"], "--kill"),
        (&["--from", "::1"], "--from"),
        (&["--churn", "1", "--ramp", "9s", "--for", "9s"], "--for"),
    ] {
        let output = run(&[&load[..], options].concat());
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {error}");
        assert!(error.contains(named), "{options:?}: {error}");
    }
    // Where nothing can be sent to, or nothing comes from.
    for address in ["127.0.0.1:0", "0.0.0.0:9", "[::]:9"] {
        let error = text(&run(&["load", address, "--peers", "1"]).stderr);
        assert!(error.contains("ADDR"), "{address}: {error}");
    }
    let error = text(&run(&["load", "192.0.2.1:9"]).stderr);
    assert!(error.contains("each peer needs an address of its own"), "{error}");
    assert_eq!(run(&["load", "nowhere"]).status.code(), Some(2));
}
