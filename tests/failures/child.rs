//! Processes of their own, to be stopped and killed: this program again, with a part to play.
//!
//! A child ends with its standard input, so none outlives its parent but a stopped one, which its
//! parent kills.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use heartbeat_proto::LatePolicy;
use heartbeat_proto::adapter::Setup;
use rustix::process::{Pid, Signal, kill_process};

use crate::measure::ms;
use crate::stage::{live, observe, patient, quick};
use crate::subject::{ALL, IDENTITY, Listener, Side, Subject, identity};

/// What a child is to do: part, adapter, address.
const PART: &str = "HEARTBEAT_FAILURES_CHILD";

pub(crate) fn is_one() -> bool {
    env::var_os(PART).is_some()
}

/// A child, from its parent's side.
pub(crate) struct Process {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Process {
    /// A server for one client, and its address.
    pub(crate) fn serve(subject: &Subject, at: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let mut child = Self::start("serve", subject, at)?;
        let address = child.line()?.parse().map_err(|_| io::Error::other("no server"))?;
        Ok((child, address))
    }

    /// A client that observes, with `quick` rules and this policy, and is alive.
    pub(crate) fn observe(policy: &str, subject: &Subject, of: SocketAddr) -> io::Result<Self> {
        let mut child = Self::start(policy, subject, of)?;
        if child.line()? == "alive" { Ok(child) } else { Err(io::Error::other("not alive")) }
    }

    fn start(part: &str, subject: &Subject, address: SocketAddr) -> io::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .env(PART, format!("{part};{};{address}", subject.name))
            .env(IDENTITY, identity())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = BufReader::new(child.stdout.take().expect("piped"));
        Ok(Self { child, said })
    }

    /// The next line it says.
    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(id.expect("an id"), signal).expect("a child of ours");
    }

    /// It stands still, as at a debugger's breakpoint. (The signal is sent; the parent sees to it
    /// that it has come before it goes on.)
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        let status = format!("/proc/{}/stat", self.child.id());
        let stopped = || std::fs::read_to_string(&status).is_ok_and(|stat| stat.contains(") T "));
        while !stopped() {
            thread::sleep(ms(1));
        }
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Ends it, and gives what it last said.
    pub(crate) fn finish(mut self) -> io::Result<String> {
        drop(self.child.stdin.take());
        self.line()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays the child's part.
pub(crate) fn run() {
    static OVER: AtomicBool = AtomicBool::new(false);
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        OVER.store(true, Ordering::Relaxed);
        // Whatever it waits for.
        thread::sleep(ms(5000));
        std::process::exit(1);
    });
    let go_on = || !OVER.load(Ordering::Relaxed);
    let part = env::var(PART).expect("a part");
    let [part, name, address] = part.split(';').collect::<Vec<_>>()[..] else { panic!("{part}") };
    let subject = ALL.iter().find(|subject| subject.name == name).expect("an adapter");
    let address = address.parse().expect("an address");
    let policy = match part {
        "serve" => {
            let listener = Listener::bind(subject.kind, address).expect("a free port");
            println!("{}", listener.address().expect("an address"));
            let setup = Setup::new(patient().build().expect("sound rules"));
            let socket = listener.accept().expect("a client");
            let mut end = (subject.wrap)(socket, Side::Server, setup).expect("a connection");
            let _ = live(&mut *end, &go_on);
            return;
        }
        "reprobe" => LatePolicy::Reprobe,
        "forgive" => LatePolicy::Forgive(ms(60_000)),
        _ => LatePolicy::Strict,
    };
    let mut end = observe(subject, address, quick().late_policy(policy));
    end.run_for(ms(700)).expect("a living peer");
    println!("{}", end.driver().liveness());
    let end_of_it = live(&mut *end, &go_on);
    let driver = end.driver();
    let (liveness, late) = (driver.liveness(), driver.machine().stats().late_calls);
    let longest = driver.machine().lateness().max().as_millis();
    let ended = end_of_it.err().map(|error| error.to_string()).unwrap_or_default();
    println!("{liveness};{late};{longest};{ended}");
}
