//! The program as a child process.

use core::time::Duration;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{sleep, spawn};
use std::time::Instant;

use serde_json::Value;

pub(crate) fn heartbeat(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heartbeat"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn run(args: &[&str]) -> Output {
    heartbeat(args).output().expect("the program runs")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running program, killed if the test fails, or hangs.
pub(crate) struct Running(
    pub(crate) Child,
    #[expect(dead_code, reason = "its drop tells")] Sender<()>,
);

/// Nothing here takes so long, however busy the machine.
const FOREVER: Duration = Duration::from_secs(180);

/// A program that is to end, or to answer, does so at once; a busy machine may take this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

impl Running {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::of(heartbeat(args))
    }

    pub(crate) fn of(mut command: Command) -> Self {
        let child = command.spawn().expect("the program starts");
        let (alive, watched) = channel();
        let id = child.id().to_string();
        spawn(move || {
            if watched.recv_timeout(FOREVER) == Err(RecvTimeoutError::Timeout) {
                let _ = Command::new("kill").args(["-KILL", &id]).status();
            }
        });
        Self(child, alive)
    }

    pub(crate) fn lines(&mut self) -> BufReader<ChildStdout> {
        BufReader::new(self.0.stdout.take().expect("standard output is piped"))
    }

    /// What it logs.
    pub(crate) fn errors(&mut self) -> BufReader<ChildStderr> {
        BufReader::new(self.0.stderr.take().expect("standard error is piped"))
    }

    pub(crate) fn interrupt(&self) {
        self.signal("-INT");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.0.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// The exit code, at the latest after `limit`.
    pub(crate) fn code_within(&mut self, limit: Duration) -> Option<i32> {
        let until = now() + limit;
        while now() < until {
            if let Some(status) = self.0.try_wait().expect("it can be waited for") {
                return status.code();
            }
            sleep(Duration::from_millis(10));
        }
        panic!("still running after {limit:?}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a program runs is real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Reads lines until one contains `what`, and returns it.
pub(crate) fn line_with(lines: &mut impl BufRead, what: &str) -> String {
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        assert_ne!(lines.read_line(&mut line).expect("readable"), 0, "no `{what}` in:\n{seen}");
        if line.contains(what) {
            return line;
        }
        seen.push_str(&line);
    }
}

/// A server on a free port: the running program, its output and its address.
pub(crate) fn server(protocol: &str) -> (Running, BufReader<ChildStdout>, String) {
    server_with(&[&format!("--{protocol}"), "127.0.0.1:0"])
}

/// The same with options of one's own.
pub(crate) fn server_with(options: &[&str]) -> (Running, BufReader<ChildStdout>, String) {
    let mut server = Running::start(&[&["serve"], options].concat());
    let mut lines = server.lines();
    let line = line_with(&mut lines, "listening on ");
    let address = line.split(['/', ' ']).nth(3).expect("an address").to_owned();
    (server, lines, address)
}

pub(crate) fn json_lines(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

pub(crate) fn events<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

/// The next line of `--json` with this event.
pub(crate) fn event(lines: &mut impl BufRead, event: &str) -> Value {
    let line = line_with(lines, &format!("\"event\":\"{event}\""));
    serde_json::from_str(&line).expect("an object")
}

/// A directory of one's own, removed when dropped.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("heartbeat-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    /// A file in it; its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        // Replaced in one step, so that nobody reads half of it.
        let new = path.with_extension("new");
        std::fs::write(&new, text).expect("a file");
        std::fs::rename(&new, &path).expect("a file");
        path.display().to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
