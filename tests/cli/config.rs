//! The configuration file, and how it changes under a running program.

use crate::process::{
    Directory, PATIENCE, Running, event, events, json_lines, line_with, run, server, server_with,
    text,
};

#[test]
fn a_changed_file_changes_the_living_connection() {
    let directory = Directory::new("reload");
    let slow = "interval = \"60s\"\ntimeout = \"150s\"\nno_keepalive = true\n";
    let rules = directory.write("rules.toml", slow);
    let (_server, _log, address) = server("tcp");
    let options = ["--json", "--every", "50ms", "--config", &rules];
    let mut watch = Running::start(&[&["watch", &address], &options[..]].concat());
    let mut lines = watch.lines();
    assert_eq!(event(&mut lines, "connected")["interval_ms"], 60_000.0);
    line_with(&mut lines, "\"to\":\"alive\"");
    let before = event(&mut lines, "snapshot");
    assert!(before["pings"].as_u64() <= Some(2), "{before}");

    // No signal: it is found by its time.
    directory.write("rules.toml", "interval = \"200ms\"\ntimeout = \"6s\"\nattempts = 15\n");
    let told = event(&mut lines, "rules");
    assert_eq!(told["accepted"], true);
    let changes = event(&mut lines, "reconfigured")["changes"].clone();
    let interval = serde_json::json!({"knob": "interval", "old": "1m", "new": "200ms"});
    assert!(changes.as_array().unwrap().contains(&interval), "{changes}");
    loop {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_ne!(value["event"], "connected", "it is the same connection");
        if value["pings"].as_u64() >= Some(8) {
            break;
        }
    }
}

#[test]
fn a_bad_file_is_refused_and_the_old_rules_stay_in_force() {
    let directory = Directory::new("refused");
    let rules = directory.write("rules.toml", "within = \"5s\"\n");
    let (mut server, mut log, address) = server_with(&["--tcp=127.0.0.1:0", "--config", &rules]);
    for (text, told) in [
        ("within = \"5s\"\nattempts = 99\n", "rules.toml:2: within decides attempts as well"),
        ("\nattempts = 99\n", "rules.toml:2: attempts is 99 but must be in 1..=15"),
        ("interval = \"9s\"\ntimeout = \"2s\"\n", "rules.toml:1: interval is 9s but must be less"),
        ("[address.\"10.0.0.7\"]\ntimeout = \"1s\"\n", "rules.toml:2: interval is 1s but"),
        ("slack = \n", "rules.toml:1: "),
        ("slak = \"1ms\"\n", "rules.toml:1: no knob is called `slak`"),
    ] {
        directory.write("rules.toml", text);
        server.signal("-HUP");
        let line = line_with(&mut log, "rules refused, the old rules stay");
        assert!(line.contains(told), "{line}");
    }
    let client = run(&["watch", &address, "--count", "1"]);
    assert_eq!(client.status.code(), Some(0), "it serves on");
    // And once it is right again, it is taken; the old rules were those of the first file.
    directory.write("rules.toml", "within = \"10s\"\n");
    server.signal("-HUP");
    let line = line_with(&mut log, "rules reloaded");
    assert!(line.contains("interval: 1s 250ms -> 2s 500ms"), "{line}");
    server.interrupt();
    assert_eq!(server.code_within(PATIENCE), Some(0));
}

#[test]
fn a_server_judges_living_clients_by_its_new_rules() {
    let directory = Directory::new("judge");
    let rules = directory.write("rules.toml", "profile = \"messaging-60-120\"\n");
    let (server, mut log, address) = server_with(&["--tcp=127.0.0.1:0", "--config", &rules]);
    let client = Running::start(&["watch", &address]);
    line_with(&mut log, "connected");
    client.signal("-STOP");
    directory.write("rules.toml", "[address.\"127.0.0.1\"]\nwithin = \"2s\"\n");
    server.signal("-HUP");
    line_with(&mut log, "for 127.0.0.1");
    line_with(&mut log, "-> lost (no_response, fault peer_or_path)");
}

#[test]
fn addresses_have_rules_of_their_own_and_flags_go_above_all() {
    let directory = Directory::new("own");
    let (_one, _log, first) = server("tcp");
    let (_two, _log_two, second) = server("tcp");
    let file = format!("profile = \"wan\"\n[address.\"{second}\"]\nwithin = \"2s\"\n");
    let rules = directory.write("rules.toml", &file);
    let args = ["watch", &first, &second, "--json", "--count", "1", "--config", &rules];
    let intervals = |options: &[&str]| {
        let output = run(&[&args[..], options].concat());
        let lines = json_lines(&text(&output.stdout));
        let of = |address: &str| {
            let all = events(&lines, "connected");
            let mine = all.into_iter().find(|line| line["address"] == address).expect(address);
            ["interval_ms", "timeout_ms"].map(|span| mine[span].as_f64().unwrap() as u64)
        };
        [of(&first), of(&second)]
    };
    let [one, two] = intervals(&[]);
    assert_eq!(one, [5_000, 20_000]);
    assert_eq!(two[0], 500);
    let [one, two] = intervals(&["--interval", "500ms", "--timeout", "3s"]);
    assert_eq!((one, two), ([500, 3_000], [500, 3_000]));
    let [one, two] = intervals(&["--profile", "lan"]);
    assert_eq!((one, two), ([1_000, 4_000], [1_000, 4_000]));
}

#[test]
fn errors_name_the_flag_or_the_line() {
    let directory = Directory::new("flags");
    let rules = directory.write("rules.toml", "\ninterval = \"9s\"\ntimeout = \"20s\"\n");
    let watch = ["watch", "127.0.0.1:9"];
    let missing = ["--config", "/no/such/rules.toml"];
    for (options, told) in [
        (&["--attempts", "99"][..], "heartbeat: --attempts: attempts is 99"),
        (&["--within", "1ms"], "heartbeat: --within: detect_within is 1ms"),
        (&["--timeout", "500ms"], "heartbeat: --timeout: interval is 1s but must be less"),
        (&["--config", &rules, "--timeout", "2s"], "rules.toml:2: interval is 9s"),
        (&["--backoff", "0s"], "heartbeat: --backoff: "),
        (&["--retries", "many"], "--retries"),
        (&missing, "/no/such/rules.toml: "),
    ] {
        let options = if told.contains("--backoff") {
            [options, &["--retries", "3"]].concat()
        } else {
            options.to_vec()
        };
        let output = run(&[&watch[..], &options].concat());
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {error}");
        assert!(error.contains(told), "{options:?}: {error}");
    }
}
