//! Every example runs, ends by itself with success, and says what it is there to show.
//!
//! `cargo test` builds the examples before it runs the tests; with `cargo test --test examples` build
//! them first: `cargo build --examples` with the same features.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

use core::time::Duration;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Far more than any of them takes.
const LIMIT: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(20);

/// They measure time: of those that have a thousand peers one after the other, and of the others.
static TURNS: [Mutex<()>; 2] = [Mutex::new(()), Mutex::new(())];
const CROWDED: [&str; 2] = ["websocket_chat", "udp_many_peers"];

fn path(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION)
}

/// Runs it, and demands each of `lines` in its output, in this order.
fn check(name: &str, lines: &[&str]) {
    let turn = &TURNS[usize::from(CROWDED.contains(&name))];
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    let path = path(name);
    assert!(path.exists(), "{} is missing: cargo build --example {name}", path.display());
    let mut child = Command::new(path).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let output = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let mut waited = Duration::ZERO;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if waited > LIMIT {
            child.kill().unwrap();
        }
        thread::sleep(STEP);
        waited += STEP;
    };
    let text = output.join().unwrap().unwrap();
    assert!(status.success(), "{name}: {status} after {waited:?}\n{text}");
    let mut rest = text.as_str();
    for line in lines {
        let Some(at) = rest.find(line) else { panic!("{name}: no {line:?} in\n{text}") };
        rest = &rest[at + line.len()..];
    }
    println!("{name}: {waited:.1?}");
}

macro_rules! examples {
    ($($(#[$when:meta])+ $name:ident: $($line:literal),+;)+) => {
        $($(#[$when])+ #[test] fn $name() { check(stringify!($name), &[$($line),+]); })+
    };
}

examples! {
    #[cfg(all(feature = "std", feature = "codec"))]
    blocking_echo: "client: hello", "client: goodbye", "closed (goodbye";
    #[cfg(all(unix, feature = "pulse"))]
    blocking_pulse: "boss: done", "boss: no worker any more", "worker: no boss any more";
    #[cfg(feature = "tokio")]
    tokio_echo: "client: hello", "client: goodbye", "closed (goodbye";
    #[cfg(all(unix, feature = "futures-io"))]
    smol_echo: "client: hello", "client: goodbye", "closed (goodbye";
    #[cfg(all(unix, feature = "futures-io"))]
    async_std_echo: "client: hello", "client: goodbye", "closed (goodbye";
    #[cfg(all(feature = "tokio", feature = "message"))]
    websocket_chat: "1000 clients", "no_response", "20 froze, 20 removed, 980 left";
    #[cfg(feature = "tokio")]
    udp_many_peers: "1000 peers alive", "25 lost", "35 said goodbye";
    #[cfg(feature = "tokio")]
    virtual_time: "by hand: lost (no_response", "in paused time: 3620.00", "of real time";
    #[cfg(feature = "codec")]
    embedded_like: "suspect -> lost", "recovering -> alive", " 0 allocations";
    #[cfg(feature = "tokio")]
    supervised: "(refused)", "(no_response)", "20 questions, 20 answers";
    #[cfg(feature = "tokio")]
    failover: "SWITCH", "kill", "SWITCH", "slow", "SWITCH", "end";
    #[cfg(feature = "tokio")]
    pool: "dead, and not handed out", "closed: ";
}
