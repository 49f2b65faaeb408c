//! Heartbeats over TLS.

use crate::process::{Directory, PATIENCE, Running, event, line_with, run, server_with, text};

/// A certificate for `name` and its key, in files of `directory`.
fn identity(directory: &Directory, file: &str, name: &str) -> [String; 2] {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    [
        directory.write(&format!("{file}.crt"), &made.cert.pem()),
        directory.write(&format!("{file}.key"), &made.signing_key.serialize_pem()),
    ]
}

#[test]
fn a_peer_that_is_vouched_for_is_watched_and_both_ends_close_in_time() {
    let directory = Directory::new("tls-good");
    let [certificate, key] = identity(&directory, "good", "beat.test");
    let (mut server, mut log, address) =
        server_with(&["--tcp", "127.0.0.1:0", "--tls", &certificate, &key]);
    let args = ["watch", &address, "--json", "--within", "5s", "--tls", "--ca", &certificate];
    let named = [&args[..], &["--server-name", "beat.test"]].concat();
    let mut first = Running::start(&named);
    let mut second = Running::start(&named);
    let (mut of_first, mut of_second) = (first.lines(), second.lines());
    line_with(&mut of_first, "\"to\":\"alive\"");
    line_with(&mut of_second, "\"to\":\"alive\"");

    first.interrupt();
    assert_eq!(event(&mut of_first, "ended")["on_purpose"], true);
    assert_eq!(first.code_within(PATIENCE), Some(0));
    line_with(&mut log, "closed (goodbye");

    server.interrupt();
    assert_eq!(event(&mut of_second, "ended")["text"], "the peer said goodbye");
    assert_eq!(second.code_within(PATIENCE), Some(0));
    assert_eq!(server.code_within(PATIENCE), Some(0));
}

#[test]
fn a_frozen_tls_server_is_lost_and_its_watcher_does_not_wait_for_it() {
    let directory = Directory::new("tls-frozen");
    let [certificate, key] = identity(&directory, "good", "localhost");
    let (server, _log, address) =
        server_with(&["--tcp", "127.0.0.1:0", "--tls", &certificate, &key]);
    let address = address.replace("127.0.0.1", "localhost");
    let args = ["watch", &address, "--json", "--within", "2s", "--tls", "--ca", &certificate];
    let mut lost = Running::start(&args);
    let mut closing = Running::start(&args.map(|arg| if arg == "2s" { "1h" } else { arg }));
    let (mut of_lost, mut of_closing) = (lost.lines(), closing.lines());
    line_with(&mut of_lost, "\"to\":\"alive\"");
    line_with(&mut of_closing, "\"to\":\"alive\"");
    server.signal("-STOP");
    let change = line_with(&mut of_lost, "\"to\":\"lost\"");
    assert!(change.contains("\"fault\":\"peer_or_path\""), "{change}");
    assert_eq!(lost.code_within(PATIENCE), Some(1));
    closing.interrupt();
    assert_eq!(closing.code_within(PATIENCE), Some(0), "a close is bounded");
}

#[test]
fn a_lost_client_is_reset_below_tls() {
    let directory = Directory::new("tls-reset");
    let [certificate, key] = identity(&directory, "good", "localhost");
    let options = ["--tcp", "127.0.0.1:0", "--within", "1s", "--tls", &certificate, &key];
    let (_server, mut log, address) = server_with(&options);
    let address = address.replace("127.0.0.1", "localhost");
    let args = ["watch", &address, "--json", "--tls", "--ca", &certificate];
    let mut watch = Running::start(&args);
    let mut lines = watch.lines();
    line_with(&mut lines, "\"to\":\"alive\"");
    watch.signal("-STOP");
    line_with(&mut log, "-> lost");
    watch.signal("-CONT");
    let end = event(&mut lines, "ended");
    assert!(end["text"].as_str().unwrap().contains("reset"), "{end}");
    assert_eq!(watch.code_within(PATIENCE), Some(1));
}

#[test]
fn whom_nobody_vouches_for_is_told_and_not_tried_again() {
    let directory = Directory::new("tls-wrong");
    let [certificate, key] = identity(&directory, "good", "localhost");
    let [other, _] = identity(&directory, "other", "localhost");
    let (_server, mut log, address) =
        server_with(&["--tcp", "127.0.0.1:0", "--tls", &certificate, &key]);
    for (ca, name) in [(&other, "localhost"), (&certificate, "elsewhere.test")] {
        let mut args = vec!["watch", &address, "--json", "--tls", "--retries", "forever"];
        args.extend(["--ca", ca, "--server-name", name]);
        let mut watch = Running::start(&args);
        let end = event(&mut watch.lines(), "ended");
        let told = end["text"].as_str().unwrap();
        assert!(told.contains("the peer's certificate is not accepted"), "{end}");
        assert_eq!(watch.code_within(PATIENCE), Some(1));
        line_with(&mut log, "TLS handshake failed");
    }
    // Without TLS nothing sensible comes back; the server refuses such a client.
    let output = run(&["watch", &address, "--within", "1s"]);
    assert_eq!(output.status.code(), Some(1));
    line_with(&mut log, "TLS handshake failed");
}

#[test]
fn bad_certificate_files_are_refused_with_their_flag() {
    let directory = Directory::new("tls-files");
    let [certificate, key] = identity(&directory, "good", "localhost");
    let empty = directory.write("empty.pem", "");
    let missing = "/no/such/file.pem";
    for (args, told) in [
        (vec!["serve", "--tls", missing, &key], "--tls: certificates of /no/such/file.pem"),
        (vec!["serve", "--tls", &certificate, missing], "--tls: key of /no/such/file.pem"),
        (vec!["serve", "--tls", &empty, &key], "there are none"),
        (vec!["serve", "--tls", &certificate], "--tls"),
        (vec!["watch", "localhost:1", "--tls", "--ca", missing], "--ca: certificates of"),
        (vec!["watch", "localhost:1", "--ca", &certificate], "--tls"),
        (vec!["watch", "localhost:1", "--tls", "--udp"], "--udp"),
        (
            vec!["watch", "localhost:1", "--tls", "--ca", &certificate, "--server-name", "a b"],
            "--server-name",
        ),
    ] {
        let output = run(&args);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(told), "{args:?}: {error}");
    }
}
