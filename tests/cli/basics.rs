//! What an operator does first: help, wrong arguments, a server and a watcher, the demo.

use core::time::Duration;
use std::io::Read;
use std::net::UdpSocket;
use std::process::Command;

use heartbeat_proto::PingId;
use heartbeat_proto::codec::{Frame, MAX_FRAME, datagram};
use serde_json::Value;

use crate::process::{PATIENCE, Running, events, json_lines, line_with, now, run, server, text};

#[test]
fn help_of_every_command_tells_its_exit_codes() {
    let commands = ["serve", "watch", "record", "replay", "load", "demo", "simulate"];
    let commands = commands.map(|command| vec![command, "--help"]);
    for args in [vec!["--help"]].into_iter().chain(commands) {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(text(&output.stdout).contains("Exit codes: 0"), "{args:?}");
    }
    assert_eq!(run(&["--version"]).status.code(), Some(0));
}

#[test]
fn bad_arguments_exit_with_2_and_name_the_field() {
    let watch = ["watch", "127.0.0.1:9"];
    for (args, named) in [
        (vec![], "Usage"),
        (vec!["watch"], "ADDR"),
        (vec!["watch", "nowhere"], "host:port"),
        (vec!["watch", "127.0.0.1:0"], "host:port"),
        ([&watch[..], &["--interval", "soon"]].concat(), "--interval"),
        ([&watch[..], &["--count", "0"]].concat(), "--count"),
        ([&watch[..], &["--profile", "moon"]].concat(), "--profile"),
        ([&watch[..], &["--within", "1s", "--timeout", "2s"]].concat(), "--timeout"),
        ([&watch[..], &["--within", "1ms"]].concat(), "detect_within is 1ms"),
        (
            [&watch[..], &["--interval", "9s", "--timeout", "2s"]].concat(),
            "interval is 9s but must be less than timeout, which is 2s",
        ),
        (vec!["serve", "--attempts", "99"], "attempts is 99 but must be in 1..=15"),
        (vec!["serve", "--max-clients", "0"], "--max-clients"),
        (vec!["demo", "--seed", "x"], "--seed"),
        (vec!["simulate", "--jobs", "0"], "--jobs"),
        (vec!["simulate", "--trace"], "--seed"),
        (vec!["simulate", "--seed", "1", "--from", "2"], "--from"),
    ] {
        let output = run(&args);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(named), "{args:?}: {error}");
    }
}

#[test]
fn an_unreachable_peer_is_told_and_exits_with_1() {
    // Bound but not listening: nobody else gets the port, and it refuses.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<core::net::SocketAddr>().unwrap().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap().to_string();
    let output = run(&["watch", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("cannot connect"), "{}", text(&output.stdout));
}

#[test]
fn a_taken_address_is_told_and_exits_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["serve", "--tcp", &address]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot listen on"), "{}", text(&output.stderr));
}

#[test]
fn serve_and_watch_talk_until_the_time_is_up() {
    for protocol in ["tcp", "udp"] {
        let (_server, _lines, address) = server(protocol);
        let mut args = vec!["watch", &address, "--json", "--for", "2s", "--within", "1s"];
        args.extend((protocol == "udp").then_some("--udp"));
        let output = run(&args);
        let lines = json_lines(&text(&output.stdout));
        assert_eq!(output.status.code(), Some(0), "{lines:#?}");
        assert!(lines.iter().all(|line| line["address"] == address.as_str()));
        assert_eq!(events(&lines, "connected").len(), 1);
        assert!(
            events(&lines, "transition").iter().any(|line| line["to"] == "alive"),
            "{lines:#?}"
        );
        assert!(!events(&lines, "snapshot").is_empty());
        let end = lines.last().unwrap();
        assert_eq!((&end["event"], &end["on_purpose"]), (&"ended".into(), &true.into()));
        assert!(end["last"]["pongs"].as_u64() >= Some(1) && end["last"]["rtt_p50_ms"].is_number());
    }
}

#[test]
fn udp_answers_a_ping_with_no_more_bytes_and_nothing_else_at_all() {
    let (_server, _lines, address) = server("udp");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut ping = [0; MAX_FRAME];
    let id = PingId::new(1, 7);
    let len = Frame::Ping { id, handle: 3, stamp: 9, status: None }.encode_into(&mut ping).unwrap();
    let mut goodbye = [0; MAX_FRAME];
    let frame = Frame::Goodbye { epoch: 1, reason: 0 };
    let goodbye_len = frame.encode_into(&mut goodbye).unwrap();

    // In order, on loopback: an answer to anything but the ping would come first.
    for datagram in [&b""[..], b"hello", &[0xff; 1400], &goodbye[..goodbye_len], &ping[..len]] {
        socket.send_to(datagram, &address).unwrap();
    }
    let mut answer = [0; 2048];
    let answer_len = socket.recv(&mut answer).unwrap();
    assert!(answer_len <= len);
    let answer = datagram::decode(&answer[..answer_len]).unwrap();
    assert!(matches!(answer, Frame::Pong { id: answered, .. } if answered == id), "{answer:?}");
}

#[test]
fn watch_ends_after_the_count_of_answers() {
    let (_server, _lines, address) = server("tcp");
    let output = run(&["watch", &address, "--count", "3", "--within", "1500ms"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("answered as often as asked for"));
}

#[test]
fn a_killed_server_is_told_with_the_reason_and_exits_with_1() {
    let (mut server, _lines, address) = server("tcp");
    let mut watch = Running::start(&["watch", &address, "--json", "--within", "1s"]);
    let mut lines = watch.lines();
    line_with(&mut lines, "\"to\":\"alive\"");
    server.0.kill().unwrap();
    let end = line_with(&mut lines, "\"event\":\"ended\"");
    let end: Value = serde_json::from_str(&end).unwrap();
    assert_eq!(end["on_purpose"], false);
    // A process that dies closes its sockets, unless unread bytes make a reset of it.
    assert!(end["code"] == "abrupt" || end["code"] == "transport", "{end}");
    assert_eq!(watch.code_within(PATIENCE), Some(1));
}

#[test]
fn a_frozen_server_is_lost_with_the_verdict_of_the_rules() {
    for protocol in ["tcp", "udp"] {
        let (server, _lines, address) = server(protocol);
        let mut args = vec!["watch", &address, "--json", "--within", "1s"];
        args.extend((protocol == "udp").then_some("--udp"));
        let mut watch = Running::start(&args);
        let mut lines = watch.lines();
        line_with(&mut lines, "\"to\":\"alive\"");
        let stop = Command::new("kill").args(["-STOP", &server.0.id().to_string()]).status();
        assert!(stop.unwrap().success());
        let lost: Value = serde_json::from_str(&line_with(&mut lines, "\"to\":\"lost\"")).unwrap();
        assert_eq!(lost["report"]["fault"], "peer_or_path", "{lost}");
        let end: Value = serde_json::from_str(&line_with(&mut lines, "\"ended\"")).unwrap();
        assert_eq!(end["code"], lost["report"]["reason"]);
        assert_eq!(watch.code_within(PATIENCE), Some(1));
    }
}

#[test]
fn an_interrupt_drains_both_ends() {
    let (mut server, mut log, address) = server("tcp");
    let mut first = Running::start(&["watch", &address, "--json"]);
    let mut second = Running::start(&["watch", &address, "--json"]);
    let (mut of_first, mut of_second) = (first.lines(), second.lines());
    line_with(&mut of_first, "\"event\":\"connected\"");
    line_with(&mut of_second, "\"event\":\"connected\"");

    first.interrupt();
    assert!(line_with(&mut of_first, "\"ended\"").contains("said goodbye"));
    assert_eq!(first.code_within(PATIENCE), Some(0));
    line_with(&mut log, "closed (goodbye");

    server.interrupt();
    assert!(line_with(&mut of_second, "\"ended\"").contains("the peer said goodbye"));
    assert_eq!(second.code_within(PATIENCE), Some(0));
    line_with(&mut log, "ended");
    assert_eq!(server.code_within(PATIENCE), Some(0));
}

#[test]
fn nobody_reading_the_output_ends_the_program_quietly() {
    let (_server, _lines, address) = server("tcp");
    let mut watch = Running::start(&["watch", &address, "--json", "--every", "20ms"]);
    let mut lines = watch.lines();
    line_with(&mut lines, "\"event\":\"connected\"");
    drop(lines);
    assert_eq!(watch.code_within(PATIENCE), Some(0));
    let mut complaint = String::new();
    watch.0.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!(complaint, "");
}

#[test]
fn the_demo_keeps_every_promise_in_less_than_40_seconds() {
    let began = now();
    let mut demo = Running::start(&["demo"]);
    let mut shown = String::new();
    demo.lines().read_to_string(&mut shown).unwrap();
    assert_eq!(demo.code_within(PATIENCE), Some(0), "{shown}");
    assert!(now().saturating_duration_since(began) < Duration::from_secs(40));
    // Once in the scene and once in the table.
    assert_eq!(shown.matches("PASS").count(), 2 * 7, "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours in a pipe");
}

#[test]
fn the_demo_tells_json_a_line_each() {
    let output = run(&["demo", "--json", "--seed", "7"]);
    let lines = json_lines(&text(&output.stdout));
    assert_eq!(output.status.code(), Some(0), "{lines:#?}");
    let (summary, scenes) = lines.split_last().unwrap();
    assert_eq!(scenes.len(), 7);
    assert!(scenes.iter().all(|scene| scene["passed"] == true));
    assert_eq!((&summary["scenes"], &summary["passed"]), (&7.into(), &7.into()));
    let black_hole = &scenes[2];
    assert!(black_hole["found_ms"].as_f64() <= black_hole["bound"]["total_ms"].as_f64());
}

/// However the seeds are shared between threads, the digest is the same.
#[test]
fn simulated_worlds_have_one_digest_for_any_number_of_jobs() {
    let digest = |jobs| {
        let output = run(&["simulate", "--from", "7", "--seeds", "1200", "--jobs", jobs]);
        let told = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert!(told.contains("1,200 from 7") && told.contains("no_response"), "{told}");
        told.lines().find(|line| line.starts_with("digest")).expect("a digest").to_owned()
    };
    let one = digest("1");
    assert_eq!(one.len(), "digest     ".len() + 16);
    assert_eq!(one, digest("3"));
}

#[test]
fn a_traced_seed_tells_its_plan_and_every_call() {
    let output = run(&["simulate", "--seed", "3", "--trace"]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.starts_with("seed 3: ") && told.contains("everything heals"), "{told}");
    assert!(told.contains("start") && told.contains("SendPing"), "{told}");
}
