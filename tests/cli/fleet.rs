//! `heartbeat serve --udp ADDR --fleet`: tiny peers join, are pinged, leave, die, and are told.

use core::time::Duration;
use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::process::{ChildStdout, Command, Stdio};

use heartbeat_proto::codec::auth::{KeyRing, Opener, Sealer};
use heartbeat_proto::codec::{Frame, Hello, MAX_FRAME, datagram};
use heartbeat_proto::{Limits, PingId, Timestamp, Wish};

use crate::process::{Directory, PATIENCE, Running, heartbeat, line_with, run, server_with, text};

/// A ping every 600 ms; dead after a time in which a busy machine gets to answer one.
const QUICK: [&str; 6] = ["--interval", "600ms", "--timeout", "1800ms", "--attempts", "2"];

/// A peer that answers pings, and joined by one.
struct Peer {
    socket: UdpSocket,
    epoch: u32,
}

impl Peer {
    fn join(gateway: &str, epoch: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(gateway).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let peer = Self { socket, epoch };
        let (id, handle, stamp) = (PingId::new(epoch, 1), 3, 9);
        peer.send(&Frame::Ping { id, handle, stamp, status: None });
        let challenge = peer.receive();
        assert!(matches!(challenge, Frame::Ping { id, .. } if id.epoch() == 0), "{challenge:?}");
        peer.answer(&challenge);
        peer
    }

    fn send(&self, frame: &Frame) {
        let mut bytes = [0; MAX_FRAME];
        let len = frame.encode_into(&mut bytes).unwrap();
        self.socket.send(&bytes[..len]).unwrap();
    }

    fn answer(&self, ping: &Frame) {
        self.send(&ping.answer(Duration::ZERO, false).expect("a ping"));
    }

    /// What comes next but signs of life, which ask for nothing.
    fn receive(&self) -> Frame {
        let mut bytes = [0; MAX_FRAME];
        loop {
            let len = self.socket.recv(&mut bytes).expect("the gateway speaks");
            match datagram::decode(&bytes[..len]).expect("a frame") {
                Frame::Beacon { .. } => {}
                frame => return frame,
            }
        }
    }

    /// Answers so many pings.
    fn live(&self, pings: u32) {
        for _ in 0..pings {
            let ping = self.receive();
            assert!(matches!(ping, Frame::Ping { id, .. } if id.epoch() != 0), "{ping:?}");
            self.answer(&ping);
        }
    }

    /// Hears pings, and says nothing any more, until it is told why.
    fn die(&self) -> u16 {
        loop {
            match self.receive() {
                Frame::Goodbye { reason, .. } => return reason,
                Frame::Ping { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn gateway(threads: &str) -> (Running, BufReader<ChildStdout>, String) {
    let options = ["--udp", "127.0.0.1:0", "--fleet", "--threads", threads];
    server_with(&[&options[..], &QUICK].concat())
}

/// GW2, GW3, GW5, GW7, GW8, from outside.
#[test]
fn peers_join_live_leave_and_die() {
    for threads in ["1", "2"] {
        let (mut gateway, mut lines, address) = gateway(threads);
        let peers: Vec<_> = (1..=6).map(|epoch| Peer::join(&address, epoch)).collect();
        for peer in &peers {
            peer.live(2);
        }
        peers[0].send(&Frame::Goodbye { epoch: peers[0].epoch, reason: 0 });
        assert_eq!(peers[1].die(), 1, "dead, and told so");
        gateway.interrupt();
        for peer in &peers[2..] {
            // The others were silent for a while, too; who was too slow for them was told as well.
            assert!((1..=2).contains(&peer.die()));
        }
        line_with(&mut lines, "draining");
        let census = line_with(&mut lines, "census: 6 joined (0 anew), 1 left");
        assert!(!census.contains(" 0 lost"), "{census}");
        line_with(&mut lines, "census: ");
        let last = line_with(&mut lines, "0 refused, 0 no frames");
        assert!(last.contains("datagrams in"), "{last}");
        assert_eq!(gateway.code_within(PATIENCE), Some(0));
    }
}

/// GW11: with a key only what is sealed counts; the handshake is that of two hellos.
#[test]
fn a_sealed_fleet_takes_sealed_peers() {
    let directory = Directory::new("fleet-key");
    let secret = "0123456789abcdef0123456789abcdef";
    let key = directory.write("key", &format!("{secret}\n"));
    let options = ["--udp", "127.0.0.1:0", "--fleet", "--threads", "1", "--key", &key];
    let (mut gateway, mut lines, address) = server_with(&[&options[..], &QUICK].concat());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(&address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let peer = Peer { socket, epoch: 9 };
    let id = PingId::new(9, 1);
    peer.send(&Frame::Ping { id, handle: 3, stamp: 9, status: None }); // Not sealed: no answer.

    let keys = KeyRing::new(1, secret.as_bytes()).unwrap();
    let limits = Limits::new(Wish::NoPreference, None, Duration::ZERO).unwrap();
    let hello = Frame::Hello(Hello::new(9, 0xabcd, limits));
    peer.send(&hello);
    let Frame::Hello(theirs) = peer.receive() else { panic!("a hello") };
    let mut sealer = Sealer::new(0xabcd, theirs.nonce()).unwrap();
    let mut opener = Opener::new(0xabcd, theirs.nonce()).unwrap();
    let mut bytes = [0; MAX_FRAME];
    let len = sealer.seal(&keys, &hello, &mut bytes).unwrap();
    peer.socket.send(&bytes[..len]).unwrap();
    let mut pings = 0;
    while pings < 3 {
        let len = peer.socket.recv(&mut bytes).expect("the gateway speaks");
        let frame = opener.open(&keys, &bytes[..len], Timestamp::EPOCH).expect("sealed");
        if let Some(pong) = frame.answer(Duration::ZERO, false) {
            pings += 1;
            let len = sealer.seal(&keys, &pong, &mut bytes).unwrap();
            peer.socket.send(&bytes[..len]).unwrap();
        }
    }
    gateway.interrupt();
    line_with(&mut lines, "census: 1 joined (0 anew), 0 left, 0 lost, 1 told to go");
    line_with(&mut lines, "3 pongs");
    line_with(&mut lines, "1 unsealed");
    assert_eq!(gateway.code_within(PATIENCE), Some(0));
}

/// An operator sees each second how it stands.
#[test]
fn a_line_a_second_says_how_it_stands() {
    let (_gateway, mut lines, address) = gateway("1");
    let peer = Peer::join(&address, 5);
    peer.live(7);
    let line = line_with(&mut lines, "1 peers, 1 alive");
    assert!(line.contains(" pings,") && line.contains(", 1 joined"), "{line}");
    peer.send(&Frame::Goodbye { epoch: 5, reason: 0 });
    line_with(&mut lines, ", 1 left");
}

/// Sockets of several threads share their port, but not with another gateway: it would take half of
/// the peers away.
#[test]
fn a_port_that_is_taken_is_refused() {
    for threads in ["1", "2"] {
        let (_gateway, _lines, address) = gateway(threads);
        let second = ["serve", "--udp", &address, "--fleet", "--threads", "2"];
        assert_eq!(Running::start(&second).code_within(PATIENCE), Some(1), "{threads}");
    }
}

/// A thread that cannot work ends the program: its share of the peers would be watched by nobody.
#[cfg(target_os = "linux")]
#[test]
fn a_thread_that_dies_ends_the_program() {
    let serve = ["serve", "--udp", "127.0.0.1:0", "--fleet", "--threads", "8"];
    // So few files that all sockets can be bound, and not each be split.
    for files in 10..100 {
        let program = heartbeat(&serve);
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -n $0 && exec \"$@\"", &files.to_string()]);
        limited.arg(program.get_program()).args(program.get_args());
        limited.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut gateway = Running::of(limited);
        let mut lines = gateway.lines();
        let listens = lines.by_ref().lines().any(|line| line.unwrap().contains("listening on "));
        if listens {
            assert_eq!(gateway.code_within(PATIENCE), Some(1), "with {files} files");
            line_with(&mut gateway.errors(), "heartbeat: fleet-");
            return;
        }
    }
    panic!("it never listened");
}

/// Rules under which nobody is ever forgotten who is gone would fill all places.
#[test]
fn rules_that_keep_the_dead_are_refused() {
    let directory = Directory::new("fleet-keeps");
    for rule in ["reopen_after = 1", "mode = \"beacon\""] {
        let path = directory.write("rules.toml", rule);
        let keeps = ["serve", "--udp", "127.0.0.1:0", "--fleet", "--config", &path];
        assert_eq!(Running::start(&keeps).code_within(PATIENCE), Some(2), "{rule}");
    }
}

/// Bad usage names the flag and exits with 2.
#[test]
fn bad_flags_are_named() {
    let fleet = ["serve", "--udp", "127.0.0.1:0", "--fleet"];
    for (args, named) in [
        (vec!["serve", "--fleet"], "--udp"),
        (vec!["serve", "--udp", "127.0.0.1:0", "--threads", "2"], "--fleet"),
        ([&fleet[..], &["--threads", "0"]].concat(), "--threads"),
        ([&fleet[..], &["--max-peers", "0"]].concat(), "--max-peers"),
        ([&fleet[..], &["--per-source", "0"]].concat(), "--per-source"),
        ([&fleet[..], &["--joins-per-second", "0"]].concat(), "--joins-per-second"),
        ([&fleet[..], &["--guard", "0s"]].concat(), "--guard"),
        ([&fleet[..], &["--key", "/dev/null"]].concat(), "--key"),
        ([&fleet[..], &["--key", "/nowhere"]].concat(), "--key: /nowhere"),
    ] {
        let output = run(&args);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(named), "{args:?}: {error}");
    }
}
