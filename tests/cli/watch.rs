//! Many peers, lost ones and regained ones; what is told of them.

use alloc::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::process::{
    Directory, PATIENCE, Running, event, events, json_lines, line_with, run, server, server_with,
    text,
};

/// Bound but not listening: nobody else gets the port, and it refuses.
fn refusing() -> (socket2::Socket, String) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<core::net::SocketAddr>().unwrap().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap().to_string();
    (socket, address)
}

#[test]
fn one_dead_peer_of_many_is_told_and_the_others_live_on() {
    let servers = [server("tcp"), server("tcp"), server("tcp")];
    let (_port, dead) = refusing();
    let mut args = vec!["watch", &dead, "--json", "--for", "1500ms", "--within", "5s"];
    args.extend(servers.iter().map(|(_, _, address)| &**address));
    let output = run(&args);
    let lines = json_lines(&text(&output.stdout));
    assert_eq!(output.status.code(), Some(1), "{lines:#?}");
    let ended: BTreeMap<_, _> = events(&lines, "ended")
        .into_iter()
        .map(|end| (end["address"].as_str().unwrap(), (&end["on_purpose"], &end["code"])))
        .collect();
    assert_eq!(ended.len(), 4);
    assert_eq!(ended[&*dead], (&false.into(), &"unreachable".into()));
    for (_, _, address) in &servers {
        assert_eq!(ended[&**address], (&true.into(), &"closed".into()), "{lines:#?}");
    }
}

#[test]
fn a_server_that_restarts_is_regained() {
    for protocol in ["tcp", "udp"] {
        let (mut first, _lines, address) = server(protocol);
        let mut args = vec!["watch", &address, "--json", "--within", "600ms"];
        args.extend(["--retries", "forever", "--backoff", "100ms"]);
        args.extend((protocol == "udp").then_some("--udp"));
        let mut watch = Running::start(&args);
        let mut lines = watch.lines();
        line_with(&mut lines, "\"to\":\"alive\"");
        first.0.kill().unwrap();
        let waiting = event(&mut lines, "waiting");
        assert!(waiting["delay_ms"].as_f64() <= Some(100.0), "{waiting}");
        let option = format!("--{protocol}");
        let (_second, _lines, _) = server_with(&[&option, &address]);
        line_with(&mut lines, "\"to\":\"alive\"");
        watch.interrupt();
        assert_eq!(event(&mut lines, "ended")["on_purpose"], true);
        assert_eq!(watch.code_within(PATIENCE), Some(0), "{protocol}: regained");
    }
}

#[test]
fn a_goodbye_is_no_end_for_whoever_wants_to_come_back() {
    let (mut first, _lines, address) = server("tcp");
    let mut watch =
        Running::start(&["watch", &address, "--json", "--retries=99", "--backoff=100ms"]);
    let mut lines = watch.lines();
    line_with(&mut lines, "\"to\":\"alive\"");
    first.interrupt();
    assert_eq!(event(&mut lines, "waiting")["cause"], "goodbye");
    assert_eq!(first.code_within(PATIENCE), Some(0));
    let (_second, _lines, _) = server_with(&["--tcp", &address]);
    line_with(&mut lines, "\"to\":\"alive\"");
}

#[test]
fn a_peer_that_does_not_come_back_exits_with_1() {
    for (options, code) in [
        (["--give-up", "500ms", "--backoff", "100ms"], "not_regained"),
        (["--retries", "2", "--backoff", "50ms"], "unreachable"),
        (["--retries", "forever", "--backoff", "1h"], "not_regained"),
    ] {
        let (mut server, _lines, address) = server("tcp");
        let args = [&["watch", &address, "--json"], &options[..]].concat();
        let mut watch = Running::start(&args);
        let mut lines = watch.lines();
        line_with(&mut lines, "\"to\":\"alive\"");
        server.0.kill().unwrap();
        event(&mut lines, "waiting");
        if options[3] == "1h" {
            watch.interrupt();
        }
        let end = event(&mut lines, "ended");
        assert_eq!((&end["on_purpose"], &end["code"]), (&false.into(), &code.into()), "{end}");
        assert_eq!(watch.code_within(PATIENCE), Some(1), "{options:?}");
    }
}

#[test]
fn the_log_has_each_change_with_its_evidence_and_leaves_the_output_alone() {
    let (mut server, _lines, address) = server("tcp");
    let options = ["--json", "--log", "info", "--within", "2s"];
    let mut watch = Running::start(&[&["watch", &address], &options[..]].concat());
    let (mut lines, mut log) = (watch.lines(), watch.errors());
    line_with(&mut log, "connected");
    let alive = line_with(&mut log, "liveness=\"alive\"");
    for field in ["INFO", &format!("peer={address}"), "reason=\"heard\"", "fault=", "silence="] {
        assert!(alive.contains(field), "{field} in {alive}");
    }
    server.signal("-STOP");
    let lost = line_with(&mut log, "liveness=\"lost\"");
    for field in ["WARN", "reason=\"no_response\"", "fault=\"peer_or_path\"", "own_lateness="] {
        assert!(lost.contains(field), "{field} in {lost}");
    }
    assert_eq!(watch.code_within(PATIENCE), Some(1));
    let mut told = String::new();
    std::io::Read::read_to_string(&mut lines, &mut told).unwrap();
    assert!(!json_lines(&told).is_empty(), "nothing but objects");
    server.signal("-CONT");
    server.0.kill().unwrap();
}

#[test]
fn the_environment_chooses_the_log_and_the_option_overrules_it() {
    let (_server, _lines, address) = server("tcp");
    let args = ["watch", &address, "--count", "1"];
    for (options, logged) in [(&[][..], true), (&["--log", "off"][..], false)] {
        let mut command = crate::process::heartbeat(&[&args[..], options].concat());
        let output = command.env("RUST_LOG", "info").output().unwrap();
        assert_eq!(text(&output.stderr).contains("liveness=\"alive\""), logged);
    }
    let output = run(&[&args[..], &["--log", "loud"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--log"));
}

/// The lines as `watch --help` documents them: nothing more, nothing less.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
#[expect(dead_code, reason = "only their names and types matter")]
enum Line {
    Connecting {
        time: String,
        address: String,
        attempt: u64,
    },
    Connected {
        time: String,
        address: String,
        to: String,
        interval_ms: f64,
        timeout_ms: f64,
        promise_ms: f64,
    },
    Transition {
        time: String,
        address: String,
        from: String,
        to: String,
        report: Report,
    },
    Found {
        time: String,
        address: String,
        findings: Vec<String>,
    },
    Snapshot {
        time: String,
        address: String,
        #[serde(flatten)]
        numbers: Numbers,
    },
    Waiting {
        time: String,
        address: String,
        cause: String,
        delay_ms: f64,
    },
    Reconfigured {
        time: String,
        address: String,
        changes: Vec<Change>,
    },
    Rules {
        time: String,
        address: Option<String>,
        accepted: bool,
        changes: BTreeMap<String, Vec<Change>>,
        text: String,
    },
    Ended {
        time: String,
        address: String,
        on_purpose: bool,
        code: String,
        text: String,
        last: Option<Numbers>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only their names and types matter")]
struct Report {
    reason: String,
    fault: String,
    silence_ms: f64,
    missed: u8,
    attempts: u8,
    last_rtt_ms: Option<f64>,
    own_lateness_ms: f64,
    unwritten_ms: Option<f64>,
    text: String,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only their names and types matter")]
struct Numbers {
    state: String,
    suspicion: f64,
    rtt_ms: Option<f64>,
    rtt_p50_ms: Option<f64>,
    rtt_p99_ms: Option<f64>,
    pings: u64,
    pongs: u64,
    misses: u64,
    suspicions: u64,
    late_calls: u64,
    own_lateness_p99_ms: f64,
    own_lateness_max_ms: f64,
    mistakes: u32,
    mean_mistake_ms: Option<f64>,
    accuracy: Option<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only their names and types matter")]
struct Change {
    knob: String,
    old: String,
    new: String,
}

#[test]
fn every_line_is_as_documented() {
    let directory = Directory::new("schema");
    let rules = directory.write("rules.toml", "within = \"5s\"");
    let (mut first, _lines, address) = server("tcp");
    let mut options = vec!["watch", &address, "--json", "--every", "50ms", "--config", &rules];
    options.extend(["--retries", "1", "--backoff", "50ms"]);
    let mut watch = Running::start(&options);
    let mut lines = watch.lines();
    let mut told = String::new();
    let mut until = |lines: &mut _, what| {
        told.push_str(&line_with(lines, what));
    };
    until(&mut lines, "\"to\":\"alive\"");
    until(&mut lines, "snapshot");
    directory.write("rules.toml", "within = \"10s\"");
    watch.signal("-HUP");
    until(&mut lines, "\"accepted\":true");
    until(&mut lines, "reconfigured");
    directory.write("rules.toml", "within = 1");
    watch.signal("-HUP");
    until(&mut lines, "\"accepted\":false");
    first.0.kill().unwrap();
    std::io::Read::read_to_string(&mut lines, &mut told).unwrap();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for line in told.lines() {
        let _: Line = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let value: Value = serde_json::from_str(line).unwrap();
        *seen.entry(value["event"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    for event in ["transition", "snapshot", "reconfigured", "rules", "waiting", "ended"] {
        assert!(seen.contains_key(event), "no {event} in {seen:?}");
    }
    let help = text(&run(&["watch", "--help"]).stdout);
    for field in ["interval_ms", "unwritten_ms", "accuracy", "delay_ms", "on_purpose"] {
        assert!(help.contains(field), "{field} is documented");
    }
}
