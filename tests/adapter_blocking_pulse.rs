//! `Pulse` and `Watch` on real sockets.
//!
//! Times as in `adapter_blocking.rs`: lower bounds are exact, upper ones have [`MARGIN`] for the
//! threads of a loaded machine to be scheduled at all.
#![cfg(all(unix, feature = "pulse"))]
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

use core::panic::AssertUnwindSafe;
use core::time::Duration;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::panic::catch_unwind;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use heartbeat_proto::adapter::blocking::{Heartbeat, Pulse, Transport, Watch};
use heartbeat_proto::adapter::{Driver, Ended, Notice, Setup};
use heartbeat_proto::{Config, FirstPing, LifeRule, Liveness, Probing, Reason, Report};

const MARGIN: Duration = Duration::from_secs(2);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[expect(clippy::disallowed_methods, reason = "the test measures real time")]
fn clock() -> Instant {
    Instant::now()
}

/// A peer that believes nothing but answers to its own pings, and gives up in under a second.
fn strict() -> Config {
    let config = Config::builder().interval(ms(150)).timeout(ms(900)).attempts(5);
    config.probing(Probing::Always).life_rule(LifeRule::ExactPong).build().unwrap()
}

/// It pings nobody for long, and nothing but the answers to the peer's pings leaves it.
fn calm() -> Config {
    let config = Config::builder().interval(ms(20_000)).timeout(ms(60_000)).drain_limit(ms(500));
    config.first_ping(FirstPing::AfterInterval).build().unwrap()
}

/// Several heartbeats a second, and a verdict that a loaded machine does not reach by chance.
fn patient() -> Config {
    let config = Config::builder().interval(ms(100)).timeout(ms(6100)).attempts(15);
    config.suspect_interval(ms(100)).jitter_percent(0).build().unwrap()
}

/// A verdict within half a second.
fn quick() -> Config {
    let config = Config::builder().interval(ms(100)).timeout(ms(400)).drain_limit(ms(500));
    config.first_ping(FirstPing::AfterInterval).build().unwrap()
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (here, listener.accept().unwrap().0)
}

type Halves<T> = (JoinHandle<()>, Watch<T>);

/// With the pulse running in a thread of this name.
fn run<T>((pulse, watch): (Pulse<T>, Watch<T>), name: &str) -> Halves<T>
where
    T: Transport + Send + 'static,
{
    (thread::Builder::new().name(name.into()).spawn(|| pulse.run()).unwrap(), watch)
}

fn beating(socket: TcpStream, setup: impl Into<Setup>, limit: Duration) -> Halves<TcpStream> {
    run(Heartbeat::new(socket, setup).unwrap().into_pulse(limit).unwrap(), "beat")
}

fn lost(error: &io::Error) -> Report {
    match Ended::of(error) {
        Some(Ended::Lost(report)) => *report,
        other => panic!("expected a verdict, found {other:?}"),
    }
}

/// What a [`strict`] peer comes to see, and when.
fn peer(there: TcpStream) -> JoinHandle<(io::Error, Instant)> {
    peer_with(there, strict())
}

fn peer_with(there: TcpStream, config: Config) -> JoinHandle<(io::Error, Instant)> {
    thread::spawn(move || {
        let mut peer: Heartbeat<_> = Heartbeat::new(there, config).unwrap();
        loop {
            match peer.run_for(ms(60_000)) {
                Ok(Liveness::Closed) => return (ErrorKind::NotConnected.into(), clock()),
                Ok(_) => {}
                Err(error) => return (error, clock()),
            }
        }
    })
}

/// Every notice, in its order.
fn noted(config: Config) -> (Setup, Arc<Mutex<Vec<Notice>>>) {
    let notices = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&notices);
    (Setup::new(config).observer(move |notice| keep.lock().unwrap().push(notice)), notices)
}

fn count(notices: &Mutex<Vec<Notice>>, which: Notice) -> usize {
    notices.lock().unwrap().iter().filter(|&&notice| notice == which).count()
}

/// How often the thread of this name went to sleep so far, for how long it ran, and for how long it
/// would have, had it been given a processor; `None` if there is none.
#[cfg(target_os = "linux")]
fn cost(name: &str) -> Option<(u64, Duration, Duration)> {
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        let Ok(comm) = fs::read_to_string(path.join("comm")) else { continue };
        if comm.trim_end() == name {
            // (It may end in between.)
            let status = fs::read_to_string(path.join("status")).ok()?;
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt")).unwrap();
            let sleeps = line.split_whitespace().last().unwrap().parse().unwrap();
            let times = fs::read_to_string(path.join("schedstat")).ok()?;
            let mut times =
                times.split_whitespace().map(|it| Duration::from_nanos(it.parse().unwrap()));
            let (ran, waited) = (times.next().unwrap(), times.next().unwrap());
            return Some((sleeps, ran, ran + waited));
        }
    }
    None
}

/// Waits until it holds: [`MARGIN`] more than anything here takes.
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let limit = clock() + ms(3000) + MARGIN;
    while !holds() {
        assert!(clock() < limit, "{what}: never");
        thread::sleep(ms(5));
    }
}

#[test]
fn the_peer_of_a_program_that_computes_for_five_timeouts_stays_calm() {
    let (here, there) = pair();
    let peer = peer(there);
    let (beat, watch) = beating(here, calm(), ms(2000));
    let end = clock() + 5 * ms(900);
    while clock() < end {
        thread::sleep(ms(50)); // A step of the work.
        assert!(watch.progress().unwrap().is_live());
    }
    assert_eq!(watch.lapses(), 0);
    watch.close().unwrap();
    let (error, _) = peer.join().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotConnected, "{error}");
    beat.join().unwrap();
}

#[test]
fn the_peer_of_a_program_that_hangs_finds_it_out_in_time() {
    let (here, there) = pair();
    let peer = peer(there);
    let limit = ms(1500);
    let (setup, notices) = noted(calm());
    let (beat, mut watch) = beating(here, setup, limit);
    watch.verify().unwrap();
    let (seen, hangs) = (clock(), clock() + limit);
    let (error, at) = peer.join().unwrap(); // The application is deadlocked.
    lost(&error);
    assert!(at > hangs, "it lived until then: {:?}", at - seen);
    assert!(at < hangs + strict().worst_case_detection() + MARGIN, "{:?}", at - seen);
    assert_eq!(count(&notices, Notice::Unattended), 1);
    assert_eq!(count(&notices, Notice::Attended), 0);
    assert_eq!(watch.lapses(), 1);
    assert_eq!(watch.driver(Driver::ended), None, "it judges nobody either");
    // It wakes up, and learns that the peer has hung up.
    let error = watch.read(&mut [0; 10]).unwrap_err();
    assert!(matches!(Ended::of(&error), Some(Ended::Transport(_) | Ended::Abrupt)), "{error}");
    assert_eq!(count(&notices, Notice::Attended), 1);
    assert!(watch.progress().is_err());
    beat.join().unwrap();
}

#[test]
fn a_program_that_comes_back_in_time_is_forgiven() {
    let (here, there) = pair();
    let config = patient();
    let (stop, stopped) = mpsc::channel::<()>();
    let peer = thread::spawn(move || {
        let mut peer: Heartbeat<_> = Heartbeat::new(there, config).unwrap();
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            peer.run_for(ms(50)).unwrap();
        }
        peer.close().unwrap();
    });
    let (setup, notices) = noted(config);
    let (beat, mut watch) = beating(here, setup, ms(600));
    watch.verify().unwrap();
    let pongs = |watch: &Watch<_>| watch.driver(|driver| driver.machine().stats().pongs_received);
    thread::sleep(ms(1500));
    let before = pongs(&watch);
    thread::sleep(ms(300));
    assert_eq!(pongs(&watch), before, "the gate is closed");
    assert_eq!(watch.lapses(), 1);
    assert!(watch.progress().unwrap().is_live());
    watch.verify().unwrap();
    assert!(pongs(&watch) > before);
    let told = notices.lock().unwrap().clone();
    let gate: Vec<_> =
        told.into_iter().filter(|n| matches!(n, Notice::Unattended | Notice::Attended)).collect();
    assert_eq!(gate, [Notice::Unattended, Notice::Attended]);
    drop(stop);
    assert_eq!(watch.read(&mut [0; 1]).unwrap(), 0);
    watch.close().unwrap();
    peer.join().unwrap();
    beat.join().unwrap();
}

#[test]
fn a_program_that_waits_for_its_peer_is_not_stuck() {
    let (here, there) = pair();
    let (beat, mut watch) = beating(here, calm(), ms(100));
    let peer = thread::spawn(move || {
        let mut peer: Heartbeat<_> = Heartbeat::new(there, strict()).unwrap();
        peer.run_for(ms(1000)).unwrap();
        let sent = clock();
        let _ = peer.write_all(b"job"); // It may see the other's end already.
        let _ = peer.run_for(ms(60_000));
        sent
    });
    let mut job = [0; 3];
    watch.read_exact(&mut job).unwrap();
    let got = clock();
    assert_eq!(watch.lapses(), 0);
    drop(watch);
    beat.join().unwrap();
    let took = got.saturating_duration_since(peer.join().unwrap());
    assert!(took < MARGIN, "it was told by no deadline: {took:?}");
}

#[test]
fn a_silent_peer_is_found_by_a_program_that_only_tells_its_progress() {
    let (here, _there) = pair();
    let start = clock();
    let (beat, watch) = beating(here, quick(), ms(10_000));
    let error = loop {
        match watch.progress() {
            Ok(_) => thread::sleep(ms(10)),
            Err(error) => break error,
        }
    };
    let report = lost(&error);
    assert_eq!(report.reason, Reason::NoResponse, "{report}");
    assert!(report.silence > quick().floor(), "{report}");
    let bound = quick().worst_case_detection() + report.own_lateness * 10 + MARGIN;
    assert!(start.elapsed_now() <= bound, "{report}");
    beat.join().unwrap();
}

#[test]
fn when_the_programs_thread_panics_the_peer_sees_the_end_at_once() {
    let (here, there) = pair();
    let peer = peer(there);
    let (beat, mut watch) = beating(here, calm(), ms(60_000));
    let program = thread::spawn(move || {
        watch.verify().unwrap();
        thread::sleep(ms(100));
        assert!(!watch.progress().unwrap().is_live(), "a panic on purpose");
    });
    assert!(program.join().is_err());
    let since = clock();
    let (error, at) = peer.join().unwrap();
    // A ping that nobody read makes the end a reset.
    let end = Ended::of(&error);
    assert!(matches!(end, Some(Ended::Abrupt | Ended::Transport(_))), "{error}");
    assert!(at < since + MARGIN, "by no limit: {:?}", at - since);
    beat.join().unwrap();
}

#[test]
fn a_panic_under_the_lock_ends_the_connection_for_both_halves() {
    let (here, there) = pair();
    let peer = peer(there);
    let setup = Setup::new(calm()).observer(|notice| {
        assert!(notice != Notice::Unattended, "a panic on purpose");
    });
    let (beat, mut watch) = beating(here, setup, ms(300));
    watch.verify().unwrap();
    assert!(beat.join().is_err());
    let error = watch.read(&mut [0; 10]).unwrap_err();
    assert_eq!(Ended::of(&error), Some(&Ended::Abandoned));
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert!(watch.progress().is_err());
    assert!(watch.write(b"x").is_err() && watch.flush().is_err() && watch.verify().is_err());
    assert!(Ended::of(&peer.join().unwrap().0).is_some());
    assert!(watch.close().is_err());
}

#[test]
fn a_panic_of_the_program_under_the_lock_stops_the_beat() {
    let (here, there) = pair();
    let peer = peer_with(there, patient()); // The hook that prints the panic has the lock, too.
    let (beat, watch) = beating(here, calm(), ms(60_000));
    let look = || watch.driver(|driver| assert!(!driver.liveness().is_live(), "on purpose"));
    assert!(catch_unwind(AssertUnwindSafe(look)).is_err());
    let error = watch.progress().unwrap_err();
    assert_eq!(Ended::of(&error), Some(&Ended::Abandoned));
    // And not only when the watch is dropped.
    beat.join().unwrap();
    let (error, _) = peer.join().unwrap();
    assert!(Ended::of(&error).is_some_and(|end| end.report().is_none()), "{error}");
}

#[test]
fn a_pulse_that_is_dropped_leaves_nobody_in_doubt() {
    let (here, there) = pair();
    let peer = peer(there);
    let (pulse, mut watch) =
        Heartbeat::<_>::new(here, calm()).unwrap().into_pulse(ms(60_000)).unwrap();
    let program = thread::spawn(move || watch.read(&mut [0; 10]).unwrap_err());
    thread::sleep(ms(100));
    drop(pulse);
    assert_eq!(Ended::of(&program.join().unwrap()), Some(&Ended::Abandoned));
    assert!(Ended::of(&peer.join().unwrap().0).is_some());
}

#[test]
fn a_pulse_that_nobody_runs_makes_nobody_hang() {
    let (here, _there) = pair();
    let (_pulse, mut watch) =
        Heartbeat::<_>::new(here, quick()).unwrap().into_pulse(ms(60_000)).unwrap();
    let start = clock();
    lost(&watch.read(&mut [0; 10]).unwrap_err());
    assert!(start.elapsed_now() < quick().worst_case_detection() + MARGIN);
}

#[test]
fn the_limit_is_longer_than_zero() {
    let (here, _there) = pair();
    let error = Heartbeat::<_>::new(here, calm()).unwrap().into_pulse(ms(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

#[test]
fn a_megabyte_arrives_whole_both_ways_at_once() {
    let (here, there) = pair();
    let (their_beat, mut theirs) = beating(there, strict(), ms(5000));
    let echo = thread::spawn(move || {
        let mut buf = [0; 3001];
        loop {
            match theirs.read(&mut buf).unwrap() {
                0 => return theirs.close().unwrap(),
                len => theirs.write_all(&buf[..len]).unwrap(),
            }
        }
    });
    let (beat, mut watch) = beating(here, strict(), ms(5000));
    let sent = pattern(1 << 20);
    let mut got = vec![0; sent.len()];
    for (out, back) in sent.chunks(20_011).zip(got.chunks_mut(20_011)) {
        watch.write_all(out).unwrap();
        watch.read_exact(back).unwrap();
    }
    assert_eq!(sent, got);
    watch.close().unwrap();
    echo.join().unwrap();
    beat.join().unwrap();
    their_beat.join().unwrap();
}

/// The peer reads little by little, so every write waits for room that the pulse finds.
#[test]
fn a_megabyte_passes_a_slow_reader_and_unread_bytes_are_bounded() {
    let (here, there) = UnixStream::pair().unwrap();
    let name = "beat-slow";
    let halves = Heartbeat::<_>::new(here, strict()).unwrap().into_pulse(ms(20_000)).unwrap();
    let (beat, mut watch) = run(halves, name);
    let server = thread::spawn(move || {
        let mut peer: Heartbeat<_> = Heartbeat::new(there, strict()).unwrap();
        let (mut got, mut buf) = (Vec::new(), [0; 10_000]);
        while got.len() < 1 << 20 {
            let len = peer.read(&mut buf).unwrap();
            got.extend_from_slice(&buf[..len]);
            thread::sleep(ms(2));
        }
        assert_eq!(got, pattern(1 << 20));
        peer.write_all(&got).unwrap();
        peer.close().unwrap();
    });
    watch.write_all(&pattern(1 << 20)).unwrap();
    watch.flush().unwrap();
    let (mut steps, limit) = (0, clock() + 5 * MARGIN);
    while steps < 30 {
        thread::sleep(ms(10)); // It computes, and its inbox fills up, once the peer has read all.
        watch.progress().unwrap();
        steps += u32::from(watch.wait_readable(ms(0)).unwrap());
        assert!(clock() < limit, "the peer never answers");
    }
    assert!(watch.wait_readable(ms(0)).unwrap());
    let mut got = Vec::new();
    watch.read_to_end(&mut got).unwrap();
    assert_eq!(got, pattern(1 << 20));
    watch.close().unwrap();
    server.join().unwrap();
    beat.join().unwrap();
}

#[test]
fn a_stalled_writer_is_found_by_the_pulse_too() {
    for waits in [true, false] {
        let (here, _there) = UnixStream::pair().unwrap();
        (&here).write_all(&[]).unwrap();
        here.set_nonblocking(true).unwrap();
        while (&here).write(&pattern(65_536)).is_ok() {} // Until the buffer is full.
        let config =
            Config::builder().interval(ms(20_000)).timeout(ms(60_000)).write_stall(ms(400));
        let config = config.first_ping(FirstPing::AfterInterval).build().unwrap();
        let halves = Heartbeat::<_>::new(here, config).unwrap().into_pulse(ms(60_000)).unwrap();
        let (beat, mut watch) = run(halves, "beat-stall");
        let start = clock();
        watch.write_all(b"never leaves").unwrap();
        let error = if waits {
            watch.flush().unwrap_err()
        } else {
            beat.join().unwrap(); // The pulse has seen it, with nobody's help.
            watch.progress().unwrap_err()
        };
        assert_eq!(lost(&error).reason, Reason::WriteStalled);
        assert!(start.elapsed_now() >= ms(400) && start.elapsed_now() < ms(400) + MARGIN);
    }
}

#[test]
fn waiting_and_proving_are_as_without_a_pulse() {
    let (here, there) = pair();
    let (beat, mut watch) = beating(here, patient(), ms(60_000));
    let (their_beat, mut theirs) = beating(there, patient(), ms(60_000));
    let start = clock();
    assert!(!watch.wait_readable(ms(200)).unwrap());
    assert!(start.elapsed_now() >= ms(200) && start.elapsed_now() < ms(200) + MARGIN);
    for _ in 0..3 {
        let before = watch.now();
        watch.verify().unwrap();
        assert!(watch.driver(|driver| driver.machine().is_verified_since(before)));
    }
    theirs.write_all(b"x").unwrap();
    assert!(watch.wait_readable(ms(20_000)).unwrap());
    let program = thread::spawn(move || theirs.read(&mut [0; 1]).unwrap());
    assert_eq!(watch.read(&mut [0; 1]).unwrap(), 1);
    watch.driver_mut(|driver| driver.set_status(None));
    // (`theirs` reads a goodbye, is dropped, and so ends its side.)
    watch.close().unwrap();
    assert_eq!(program.join().unwrap(), 0);
    beat.join().unwrap();
    their_beat.join().unwrap();
}

#[test]
fn closing_is_bounded() {
    let (here, mut there) = pair();
    let (beat, watch) = beating(here, calm(), ms(60_000));
    let start = clock();
    watch.close().unwrap(); // The peer neither closes nor says anything.
    assert!(start.elapsed_now() >= ms(500) && start.elapsed_now() < ms(500) + MARGIN);
    beat.join().unwrap();
    assert!(there.read(&mut [0; 100]).unwrap() > 0, "a goodbye");
}

#[test]
fn the_next_connection_has_a_pulse_of_its_own() {
    let (here, there) = pair();
    let first = peer(there);
    let (old_beat, mut watch) = beating(here, calm(), ms(60_000));
    watch.verify().unwrap();
    let epoch = watch.driver(|driver| driver.machine().state().epoch());
    let (here, there) = pair();
    let (beat, mut watch) = run(watch.reconnected(here).unwrap(), "beat");
    old_beat.join().unwrap();
    assert!(Ended::of(&first.join().unwrap().0).is_some());
    assert_eq!(watch.driver(Driver::liveness), Liveness::Recovering);
    assert_eq!(watch.driver(|driver| driver.machine().state().epoch()), epoch.wrapping_add(1));
    let second = peer(there);
    watch.verify().unwrap();
    watch.close().unwrap();
    second.join().unwrap();
    beat.join().unwrap();
}

/// An idle connection, one whose bytes nobody takes and whose deadline has passed, one that is reset,
/// and one that is unattended: the pulse sleeps. And when the watch is gone, so is its thread.
#[cfg(target_os = "linux")]
#[test]
fn a_pulse_with_nothing_to_do_sleeps_and_none_is_left() {
    let name = "beat-idle";
    // Five pings and as many answers in half a second; and a tenth of the time for them, of which a
    // slow and loaded machine needs a tenth. A thread that spins takes all that it gets, and never
    // wants less than everything.
    let few = |why: &str| {
        thread::sleep(ms(150));
        let (start, before) = (clock(), cost(name).expect(why));
        thread::sleep(ms(500));
        let (span, after) = (start.elapsed_now(), cost(name).expect(why));
        let (sleeps, ran) = (after.0 - before.0, after.1.saturating_sub(before.1));
        let most = u64::try_from(span.as_millis() / 20).unwrap();
        let awake = after.2.saturating_sub(before.2);
        let told = format!("{why}: {sleeps} wake-ups, ran {ran:?}, awake {awake:?} of {span:?}");
        assert!(sleeps < most && ran < span / 10 && awake < span / 10 * 9, "{told}");
    };
    let (here, mut there) = pair();
    let halves = Heartbeat::<_>::new(here, patient()).unwrap().into_pulse(ms(3000)).unwrap();
    let (beat, mut watch) = run(halves, name);
    few("idle");
    watch.write_all(b"whoever leaves this unread resets the connection").unwrap();
    let mut bytes = heartbeat_proto::codec::Encoder::header(10_000).unwrap().to_vec();
    bytes.resize(bytes.len() + 10_000, 7);
    for _ in 0..20 {
        there.write_all(&bytes).unwrap();
    }
    few("full");
    drop(there);
    few("reset, and nobody looks");
    assert_eq!(watch.lapses(), 0);
    eventually("the gate is closed", || watch.lapses() == 1);
    few("unattended");
    drop(watch);
    beat.join().unwrap();
    // (A thread has ended a little before the system forgets it.)
    eventually("it is gone", || cost(name).is_none());
}

#[test]
fn both_halves_may_go_anywhere() {
    fn anywhere<T: Send + Sync + 'static>() {}
    anywhere::<Pulse<TcpStream>>();
    anywhere::<Watch<TcpStream>>();
}

trait ElapsedNow {
    fn elapsed_now(&self) -> Duration;
}

impl ElapsedNow for Instant {
    fn elapsed_now(&self) -> Duration {
        clock().saturating_duration_since(*self)
    }
}
