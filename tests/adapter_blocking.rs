//! The blocking adapter on loopback sockets.
//!
//! Times: a peer that must live has seconds; a peer that must die has tenths of a second, and the
//! verdict may then come later by what this process itself was late (it is in the report) and by
//! [`MARGIN`], for the threads of a loaded machine to be scheduled at all. Lower bounds are exact.
#![cfg(all(feature = "std", feature = "codec"))]

use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use heartbeat_proto::adapter::blocking::{Heartbeat, Transport, UdpHeartbeat};
use heartbeat_proto::adapter::{Ended, Setup};
use heartbeat_proto::codec::{Encoder, Frame, PING_LEN};
use heartbeat_proto::{
    Config, FirstPing, LatePolicy, LifeRule, Liveness, Mode, PingId, Probing, Reason,
};

const MARGIN: Duration = Duration::from_secs(2);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[cfg(all(feature = "tcp", target_os = "linux"))]
const fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

/// Several heartbeats a second, and a verdict that a loaded machine does not reach by chance.
fn patient() -> Config {
    Config::builder()
        .interval(ms(100))
        .timeout(ms(6100))
        .attempts(15)
        .suspect_interval(ms(100))
        .jitter_percent(0)
        .build()
        .unwrap()
}

/// A verdict within half a second.
fn quick() -> Config {
    Config::builder()
        .interval(ms(100))
        .timeout(ms(400))
        .first_ping(FirstPing::AfterInterval)
        .build()
        .unwrap()
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (here, listener.accept().unwrap().0)
}

fn started<T: Transport>(transport: T, config: Config) -> Heartbeat<T> {
    Heartbeat::new(transport, config).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the test measures real time")]
fn clock() -> Instant {
    Instant::now()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

fn lost(error: &io::Error) -> heartbeat_proto::Report {
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    match Ended::of(error) {
        Some(Ended::Lost(report)) => *report,
        other => panic!("expected a verdict, found {other:?}"),
    }
}

/// That the verdict fell within its bound, and not before its floor.
fn assert_in_time(config: &Config, report: &heartbeat_proto::Report, took: Duration) {
    assert!(report.silence > config.floor(), "{report}");
    // One lateness for each wake-up of the silence; there are fewer than ten.
    let bound = config.worst_case_detection() + report.own_lateness * 10 + MARGIN;
    assert!(took <= bound, "took {took:?}, bound {bound:?}: {report}");
}

#[test]
fn a_megabyte_arrives_whole_both_ways_in_odd_pieces() {
    let (here, there) = pair();
    let echo = thread::spawn(move || -> io::Result<()> {
        let mut stream = started(there, patient());
        let mut buf = [0; 3001];
        loop {
            match stream.read(&mut buf)? {
                0 => return stream.close(),
                len => stream.write_all(&buf[..len])?,
            }
        }
    });
    let mut stream = started(here, patient());
    let sent = pattern(1 << 20);
    let mut got = vec![0; sent.len()];
    for (out, back) in sent.chunks(20_011).zip(got.chunks_mut(20_011)) {
        stream.write_all(out).unwrap();
        stream.read_exact(back).unwrap();
    }
    assert_eq!(sent, got);
    stream.close().unwrap();
    echo.join().unwrap().unwrap();
}

#[test]
fn a_megabyte_goes_one_way_and_then_the_other_through_full_buffers() {
    let (here, there) = pair();
    let server = thread::spawn(move || {
        let mut stream = started(there, patient());
        thread::sleep(ms(50)); // The buffers fill.
        let mut got = vec![0; 1 << 20];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(got, pattern(1 << 20));
        stream.write_all(&got).unwrap();
        stream.close().unwrap();
    });
    let mut stream = started(here, patient());
    stream.write_all(&pattern(1 << 20)).unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert_eq!(got, pattern(1 << 20));
    stream.close().unwrap();
    server.join().unwrap();
}

#[test]
fn a_peer_that_accepts_and_never_answers_is_lost_within_the_bound() {
    let (here, _there) = pair();
    let config = quick();
    let start = clock();
    let mut stream = started(here, config);
    let error = stream.read(&mut [0; 10]).unwrap_err();
    let report = lost(&error);
    assert_eq!(report.reason, Reason::NoResponse);
    assert_in_time(stream.driver().machine().config(), &report, start.elapsed_now());
    // It says so for ever, to everybody.
    assert_eq!(lost(&stream.write(b"x").unwrap_err()), report);
    assert_eq!(lost(&stream.flush().unwrap_err()), report);
    assert_eq!(lost(&stream.service().unwrap_err()), report);
    assert_eq!(lost(&stream.read(&mut [0; 10]).unwrap_err()), report);
    assert!(stream.get_ref().is_none(), "the transport is gone");
}

#[test]
fn the_lost_connection_is_torn_down_at_once_not_closed_gracefully() {
    let (here, mut there) = pair();
    let mut stream = started(here, quick());
    lost(&stream.run_for(ms(60_000)).unwrap_err());
    // With our end still in scope, the peer's end sees the abort.
    there.set_read_timeout(Some(MARGIN)).unwrap();
    let end = loop {
        match there.read(&mut [0; 1024]) {
            Ok(0) => break None,
            Ok(_) => {}
            Err(error) => break Some(error.kind()),
        }
    };
    let expected = if cfg!(feature = "tcp") { Some(ErrorKind::ConnectionReset) } else { None };
    assert_eq!(end, expected);
    drop(stream);
}

#[test]
fn a_peer_that_talks_but_does_not_read_is_a_stalled_writer() {
    stalled_by_a_talker(ms(4000), ms(400));
    // Longer than any silence may last: the kernel must wait for so long, too.
    stalled_by_a_talker(ms(400), ms(2500));
}

fn stalled_by_a_talker(timeout: Duration, stall: Duration) {
    let (here, mut there) = pair();
    let (stop, stopped) = mpsc::channel::<()>();
    let talker = thread::spawn(move || {
        let beacon = |seq| Frame::Beacon {
            id: PingId::new(9, seq),
            handle: 1,
            stamp: 0,
            period: None,
            status: None,
        };
        let mut bytes = [0; 64];
        for seq in 1.. {
            let len = beacon(seq).encode_into(&mut bytes).unwrap();
            let _ = there.write_all(&bytes[..len]); // Until it is reset.
            if stopped.recv_timeout(ms(20)) != Err(mpsc::RecvTimeoutError::Timeout) {
                return;
            }
        }
    });
    let config = Config::builder().interval(timeout / 4).timeout(timeout).write_stall(stall);
    let config = config.build().unwrap();
    let mut stream = started(here, config);
    let error = loop {
        if let Err(error) = stream.write_all(&pattern(65536)) {
            break error;
        }
    };
    // Silence is not the reason: the peer was heard all the time.
    let report = lost(&error);
    assert_eq!(report.reason, Reason::WriteStalled, "{report}");
    assert!(report.silence < timeout, "{report}");
    drop(stop);
    talker.join().unwrap();
}

#[cfg(all(feature = "tcp", target_os = "linux"))]
#[test]
fn the_kernel_gives_up_when_the_machine_has_and_not_sooner() {
    // 400 ms and a re-probe of 100 ms and its gap, which is no whole number of milliseconds.
    let config = Config::builder().interval(ms(100)).timeout(ms(400)).min_gap(ms(25) + ns(1));
    let config = config.drain_limit(ms(100)).write_stall(ms(400));
    let of_stall = config.write_stall(ms(700)).build().unwrap();
    let of_drain = config.drain_limit(ms(800)).build().unwrap();
    let graced = config.startup_grace(ms(900)).build().unwrap();
    let config = config.build().unwrap();
    assert_eq!(config.worst_case_detection(), ms(525) + ns(1));
    for (config, limit) in [(of_stall, 700), (of_drain, 800), (graced, 1426)] {
        let stream = started(pair().0, config);
        let socket = socket2::SockRef::from(stream.get_ref().unwrap());
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(ms(limit)));
    }
    let (here, there) = pair();
    let stream = started(here, config);
    let socket = socket2::SockRef::from(stream.get_ref().unwrap());
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(ms(526)));
    // The next connection's socket too.
    let stream = stream.reconnected(there).unwrap();
    let socket = socket2::SockRef::from(stream.get_ref().unwrap());
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(ms(526)));
}

/// A peer that counts nothing but exact pongs as life, and pings every 50 ms.
fn strict_peer(there: TcpStream) -> thread::JoinHandle<u64> {
    thread::spawn(move || {
        let config = Config::builder()
            .interval(ms(50))
            .timeout(ms(3050))
            .attempts(15)
            .suspect_interval(ms(50))
            .jitter_percent(0)
            .probing(Probing::Always)
            .life_rule(LifeRule::ExactPong)
            .build()
            .unwrap();
        let mut stream = started(there, config);
        let end = clock() + ms(1500);
        let mut buf = [0; 4096];
        while clock() < end {
            if stream.wait_readable(ms(20)).unwrap() {
                let _ = stream.read(&mut buf).unwrap();
            }
        }
        assert_eq!(stream.driver().liveness(), Liveness::Alive);
        let pongs = stream.driver().machine().stats().pongs_received;
        stream.close().unwrap();
        pongs
    })
}

/// At 50 ms a ping there are 30 in 1.5 s. A third must have been answered, however busy the
/// machine: a program that does not answer answers none.
const ENOUGH: u64 = 10;

#[test]
fn a_program_that_only_reads_answers_pings() {
    let (here, there) = pair();
    let peer = strict_peer(there);
    let mut stream = started(here, patient());
    assert_eq!(stream.read(&mut [0; 10]).unwrap(), 0, "the peer says goodbye in the end");
    let _ = stream.close(); // It may have seen the peer's reset.
    assert!(peer.join().unwrap() >= ENOUGH);
}

#[test]
fn a_program_that_only_writes_answers_pings() {
    let (here, there) = pair();
    let peer = strict_peer(there);
    let mut stream = started(here, patient());
    while stream.driver().liveness() != Liveness::Closed {
        // An error is the peer being gone.
        if stream.write_all(&[1; 1000]).is_err() {
            break;
        }
        thread::sleep(ms(5));
    }
    let _ = stream.close(); // It may have seen the peer's reset.
    assert!(peer.join().unwrap() >= ENOUGH);
}

#[test]
fn a_program_that_does_neither_answers_pings() {
    let (here, there) = pair();
    let peer = strict_peer(there);
    let mut stream = started(here, patient());
    while stream.run_for(ms(100)).unwrap() != Liveness::Closed {}
    let _ = stream.close(); // It may have seen the peer's reset.
    assert!(peer.join().unwrap() >= ENOUGH);
}

#[test]
fn a_program_that_computes_and_services_now_and_then_answers_pings() {
    let (here, there) = pair();
    let peer = strict_peer(there);
    let mut stream = started(here, patient());
    while stream.service().unwrap() != Liveness::Closed {
        thread::sleep(ms(20)); // Work.
    }
    let _ = stream.close(); // It may have seen the peer's reset.
    assert!(peer.join().unwrap() >= ENOUGH);
}

#[test]
fn a_program_that_was_blocked_for_long_finds_the_answer_before_it_judges() {
    // `Forgive` grants no re-probe: whoever ticks before reading gives the peer up here.
    let config = Config::builder()
        .interval(ms(100))
        .timeout(ms(400))
        .first_ping(FirstPing::Immediate)
        .late_policy(LatePolicy::Forgive(ms(1)))
        .build()
        .unwrap();
    let (here, mut there) = pair();
    let mut stream = started(here, config);
    stream.service().unwrap(); // The ping leaves.
    let mut ping = [0; PING_LEN];
    there.read_exact(&mut ping).unwrap();
    let (frame, _) = Frame::decode(&ping).unwrap().unwrap();
    let answer = frame.answer(Duration::ZERO, false).unwrap();
    let mut bytes = [0; PING_LEN];
    let len = answer.encode_into(&mut bytes).unwrap();
    there.write_all(&bytes[..len]).unwrap();
    thread::sleep(ms(1200));
    assert_eq!(stream.service().unwrap(), Liveness::Alive);
    // The same with a call that writes first.
    there.write_all(&bytes[..len]).unwrap();
    thread::sleep(ms(1200));
    stream.write_all(b"hello").unwrap();
    assert_eq!(stream.driver().liveness(), Liveness::Alive);
}

#[test]
fn a_goodbye_is_the_end_of_the_bytes_and_a_crash_is_an_error() {
    let (here, there) = pair();
    let mut peer = started(there, patient());
    peer.write_all(&pattern(100_000)).unwrap();
    let (start, limit) = (clock(), patient().drain_limit());
    let peer = thread::spawn(move || peer.close());
    let mut stream = started(here, patient());
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert_eq!(got, pattern(100_000));
    assert_eq!(stream.driver().liveness(), Liveness::Closed);
    assert_eq!(stream.driver().report().unwrap().reason, Reason::Goodbye);
    stream.close().unwrap();
    peer.join().unwrap().unwrap();
    assert!(start.elapsed_now() < limit, "there was nothing to wait for");

    let (here, there) = pair();
    let mut peer = started(there, patient());
    peer.write_all(b"half a sen").unwrap();
    drop(peer);
    let mut stream = started(here, patient());
    let mut got = Vec::new();
    let error = stream.read_to_end(&mut got).unwrap_err();
    assert_eq!(got, b"half a sen");
    assert_eq!((error.kind(), Ended::of(&error)), (ErrorKind::UnexpectedEof, Some(&Ended::Abrupt)));
}

/// Over a Unix socket, whose buffer stays full once it is: TCP makes room now and then.
#[cfg(unix)]
#[test]
fn closing_is_bounded_where_the_peer_reads_nothing() {
    let (mut here, _there) = std::os::unix::net::UnixStream::pair().unwrap();
    here.set_nonblocking(true).unwrap();
    while here.write(&pattern(65536)).is_ok() {} // Until the buffer is full.
    let config = Config::builder().interval(ms(1000)).timeout(ms(9000)).drain_limit(ms(300));
    let mut stream = started(here, config.build().unwrap());
    stream.write_all(b"never leaves").unwrap();
    let start = clock();
    let error = stream.close().unwrap_err();
    assert_eq!(lost(&error).reason, Reason::DrainTimeout);
    assert!(start.elapsed_now() < ms(300) + MARGIN);
}

/// [`quick`], and a fifth of a second for what is under way at the close.
fn short() -> Config {
    let config = Config::builder().interval(ms(100)).timeout(ms(400)).drain_limit(ms(200));
    config.first_ping(FirstPing::AfterInterval).build().unwrap()
}

/// Runs what must not hang in a thread, and says how long it took.
fn bounded(run: impl FnOnce() + Send + 'static) -> Duration {
    let (done, finished) = mpsc::channel();
    let begin = clock();
    thread::spawn(move || {
        run();
        let _ = done.send(());
    });
    finished.recv_timeout(ms(200) + MARGIN).expect("bounded by the drain limit");
    clock() - begin
}

#[test]
fn a_peer_that_said_goodbye_and_reads_nothing_holds_no_writer() {
    let (here, mut there) = pair();
    let mut goodbye = Vec::new();
    Frame::Goodbye { epoch: 0, reason: 0 }.encode(&mut goodbye).unwrap();
    there.write_all(&goodbye).unwrap();
    there.shutdown(std::net::Shutdown::Write).unwrap();
    let took = bounded(move || {
        let error = started(here, short()).write_all(&vec![1; 32 << 20]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
    });
    assert!(took >= ms(200), "what is under way has its time: {took:?}");
    drop(there);
}

/// A transport that takes everything and can always be read.
struct Flood(Vec<u8>);

impl Read for Flood {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = buf.len().min(self.0.len());
        buf[..len].copy_from_slice(&self.0[..len]);
        Ok(len)
    }
}

impl Write for Flood {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Flood {
    fn set_read_timeout(&self, _: Duration) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&self, _: Duration) -> io::Result<()> {
        Ok(())
    }

    fn abort(&self) {}

    fn finish(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A TCP socket behind a buffer that is emptied by a flush alone, which fails so many times.
struct Buffered {
    socket: TcpStream,
    buffer: Vec<u8>,
    refusals: Vec<ErrorKind>,
}

impl Read for Buffered {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buf)
    }
}

impl Write for Buffered {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(kind) = self.refusals.pop() {
            thread::sleep(ms(5));
            return Err(kind.into());
        }
        self.socket.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl Transport for Buffered {
    fn set_read_timeout(&self, wait: Duration) -> io::Result<()> {
        Transport::set_read_timeout(&self.socket, wait)
    }

    fn set_write_timeout(&self, wait: Duration) -> io::Result<()> {
        Transport::set_write_timeout(&self.socket, wait)
    }

    fn abort(&self) {}

    fn finish(&self) -> io::Result<()> {
        if self.buffer.is_empty() {
            self.socket.finish()
        } else {
            Err(ErrorKind::WouldBlock.into())
        }
    }
}

/// Nothing is written but what the application writes.
fn quiet() -> Config {
    let config = Config::builder().interval(ms(20_000)).timeout(ms(60_000)).drain_limit(ms(200));
    config.first_ping(FirstPing::AfterInterval).build().unwrap()
}

#[test]
fn a_flush_that_was_refused_is_tried_again() {
    let (socket, there) = pair();
    let refusals = vec![ErrorKind::WouldBlock, ErrorKind::Interrupted, ErrorKind::TimedOut];
    let mut stream = started(Buffered { socket, buffer: Vec::new(), refusals }, quiet());
    stream.write_all(b"hello").unwrap();
    stream.flush().unwrap();
    assert_eq!(stream.get_ref().unwrap().buffer, [0; 0]);
    let mut peer = started(there, quiet());
    let mut got = [0; 5];
    peer.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"hello");
}

#[test]
fn a_flush_that_is_always_refused_is_a_stalled_writer() {
    let (socket, _there) = pair();
    let refusals = vec![ErrorKind::WouldBlock; 10_000];
    let config = Config::builder().interval(ms(20_000)).timeout(ms(60_000)).write_stall(ms(200));
    let config = config.first_ping(FirstPing::AfterInterval).build().unwrap();
    let mut stream = started(Buffered { socket, buffer: Vec::new(), refusals }, config);
    let took = bounded(move || {
        stream.write_all(b"hello").unwrap();
        assert_eq!(lost(&stream.flush().unwrap_err()).reason, Reason::WriteStalled);
    });
    assert!(took >= ms(200));
}

#[test]
fn closing_is_bounded_over_a_buffer_that_never_empties() {
    let (socket, _there) = pair();
    let refusals = vec![ErrorKind::WouldBlock; 10_000];
    let stream = started(Buffered { socket, buffer: Vec::new(), refusals }, quiet());
    let took = bounded(move || drop(stream.close()));
    assert!(took >= ms(200), "what is under way has its time: {took:?}");
}

/// A transport whose peer answers each ping, with an answer that can be read from the moment of the
/// next write on; and that write takes half a second.
#[derive(Default)]
struct Slow {
    answers: Vec<u8>,
    readable: usize,
}

impl Read for Slow {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.readable == 0 {
            thread::sleep(ms(1));
            return Err(ErrorKind::WouldBlock.into());
        }
        let len = self.readable.min(buf.len());
        buf[..len].copy_from_slice(&self.answers[..len]);
        self.answers.drain(..len);
        self.readable -= len;
        Ok(len)
    }
}

impl Write for Slow {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if let Ok(Some((frame @ Frame::Ping { .. }, _))) = Frame::decode(buf) {
            frame.answer(Duration::ZERO, false).unwrap().encode(&mut self.answers).unwrap();
        } else {
            self.readable = self.answers.len();
            thread::sleep(ms(500));
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Slow {
    fn set_read_timeout(&self, _: Duration) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&self, _: Duration) -> io::Result<()> {
        Ok(())
    }

    fn abort(&self) {}

    fn finish(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_write_across_the_deadline_judges_nobody_whose_answer_lies_unread() {
    let config = Config::builder().interval(ms(500)).timeout(ms(2000));
    let config = config.first_ping(FirstPing::Immediate).late_policy(LatePolicy::Forgive(ms(1)));
    let mut stream = started(Slow::default(), config.build().unwrap());
    stream.run_for(ms(1700)).unwrap();
    assert_eq!(stream.driver().liveness(), Liveness::Starting);
    stream.write_all(b"hello").unwrap(); // From 1.7 to 2.2 s.
    assert_eq!(stream.driver().liveness(), Liveness::Alive);
}

/// Nothing comes before the verdict is due; then, in two reads, a ping and the answer to the last one.
struct LastMoment {
    start: Instant,
    wait: core::cell::Cell<Duration>,
    answer: Vec<u8>,
    frames: u32,
}

impl Read for LastMoment {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        thread::sleep(self.wait.get());
        if self.start.elapsed_now() < ms(2000) || self.frames == 2 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.frames += 1;
        let mut bytes = self.answer.clone();
        if self.frames == 1 {
            bytes.clear();
            let id = PingId::new(9, 1);
            Frame::Ping { id, handle: 1, stamp: 0, status: None }.encode(&mut bytes).unwrap();
        }
        buf[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

impl Write for LastMoment {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if let Ok(Some((frame @ Frame::Ping { .. }, _))) = Frame::decode(buf) {
            self.answer.clear();
            frame.answer(Duration::ZERO, false).unwrap().encode(&mut self.answer).unwrap();
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for LastMoment {
    fn set_read_timeout(&self, wait: Duration) -> io::Result<()> {
        self.wait.set(wait);
        Ok(())
    }

    fn set_write_timeout(&self, _: Duration) -> io::Result<()> {
        Ok(())
    }

    fn abort(&self) {}

    fn finish(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_frame_that_is_no_life_judges_nobody_whose_answer_is_behind_it() {
    let config = Config::builder().interval(ms(500)).timeout(ms(2000));
    let config = config.first_ping(FirstPing::Immediate).life_rule(LifeRule::ExactPong);
    let wait = core::cell::Cell::new(ms(1));
    let transport = LastMoment { start: clock(), wait, answer: Vec::new(), frames: 0 };
    let mut stream = started(transport, config.build().unwrap());
    stream.run_for(ms(2200)).unwrap();
    assert_eq!(stream.get_ref().unwrap().frames, 2);
    assert_eq!(stream.driver().liveness(), Liveness::Alive);
}

#[test]
fn closing_is_bounded_though_the_peer_never_stops_sending() {
    let mut data = Vec::from(Encoder::header(1020).unwrap());
    data.resize(1024, 7);
    let took = bounded(move || started(Flood(data), short()).close().unwrap());
    assert!(took >= ms(200), "the peer has its time: {took:?}");
}

#[test]
fn the_connection_to_a_restarted_server_recovers_and_keeps_what_was_learnt() {
    let (here, there) = pair();
    let mut server = started(there, patient());
    let mut stream = started(here, patient());
    let server_thread = thread::spawn(move || {
        let _ = server.run_for(ms(300));
        drop(server); // It crashes.
    });
    stream.verify().unwrap();
    let error = stream.read(&mut [0; 10]).unwrap_err();
    assert!(Ended::of(&error).is_some(), "{error}");
    server_thread.join().unwrap();
    let rtt = stream.driver().machine().rtt();
    let epoch = stream.driver().machine().state().epoch();
    assert!(rtt.smoothed().is_some());

    let (here, there) = pair();
    let mut stream = stream.reconnected(here).unwrap();
    assert_eq!(stream.driver().liveness(), Liveness::Recovering);
    assert_eq!(stream.driver().machine().rtt(), rtt);
    assert_eq!(stream.driver().machine().state().epoch(), epoch.wrapping_add(1));
    let server_thread = thread::spawn(move || started(there, patient()).write_all(b"back"));
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!((&answer, stream.driver().liveness()), (b"back", Liveness::Alive));
    server_thread.join().unwrap().unwrap();
}

#[test]
fn verify_proves_the_peer_and_not_the_buffer() {
    let (here, there) = pair();
    let peer = thread::spawn(move || {
        let mut peer = started(there, patient());
        while peer.run_for(ms(50)).is_ok_and(Liveness::is_live) {}
        peer.close().unwrap();
    });
    let mut stream = started(here, patient());
    for _ in 0..3 {
        let before = stream.now();
        stream.verify().unwrap();
        assert!(stream.driver().machine().is_verified_since(before));
    }
    stream.close().unwrap();
    peer.join().unwrap();

    let (here, _there) = pair();
    let mut stream = started(here, quick());
    stream.write_all(b"the buffer takes it").unwrap();
    lost(&stream.verify().unwrap_err());
}

#[test]
fn bytes_that_are_no_heartbeats_end_the_connection_with_their_offset() {
    let (here, mut there) = pair();
    there.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut stream = started(here, patient());
    let error = stream.read(&mut [0; 10]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(matches!(Ended::of(&error), Some(Ended::BadFrame { offset: 0, .. })));
}

#[test]
fn unread_bytes_are_bounded_and_nothing_is_lost() {
    let (here, there) = pair();
    let peer = thread::spawn(move || {
        let mut peer = started(there, patient());
        peer.write_all(&pattern(1 << 20)).unwrap();
        peer.close().unwrap();
    });
    let mut stream = started(here, patient());
    stream.run_for(ms(300)).unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert_eq!(got, pattern(1 << 20));
    stream.close().unwrap();
    peer.join().unwrap();
}

#[cfg(unix)]
#[test]
fn unix_sockets_work_as_well() {
    let (here, there) = std::os::unix::net::UnixStream::pair().unwrap();
    let echo = thread::spawn(move || {
        let mut stream = started(there, patient());
        let mut got = [0; 5];
        stream.read_exact(&mut got).unwrap();
        stream.write_all(&got).unwrap();
        stream.close().unwrap();
    });
    let mut stream = started(here, patient());
    stream.write_all(b"hello").unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"hello");
    stream.close().unwrap();
    echo.join().unwrap();

    let (here, _there) = std::os::unix::net::UnixStream::pair().unwrap();
    lost(&started(here, quick()).read(&mut [0; 10]).unwrap_err());
}

// ----- UDP -----

fn udp_pair() -> (UdpSocket, UdpSocket) {
    let (here, there) =
        (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    here.connect(there.local_addr().unwrap()).unwrap();
    there.connect(here.local_addr().unwrap()).unwrap();
    (here, there)
}

#[test]
fn datagrams_garbage_is_dropped_and_counted_and_is_no_sign_of_life() {
    let (here, there) = udp_pair();
    let mut stream = UdpHeartbeat::new(here, quick()).unwrap();
    let start = clock();
    let (stop, stopped) = mpsc::channel::<()>();
    let garbage = thread::spawn(move || {
        for i in 0_u32.. {
            // Too long, too short, wrong, almost right.
            let _ = match i % 4 {
                0 => there.send(&[0xb0; 2000]),
                1 => there.send(&[]),
                2 => there.send(b"GET / HTTP/1.1"),
                _ => there.send(&[0xb0, 1, 0, 28, 0, 0]),
            };
            if stopped.recv_timeout(ms(5)) != Err(mpsc::RecvTimeoutError::Timeout) {
                return;
            }
        }
    });
    let report = lost(&stream.run_for(ms(60_000)).unwrap_err());
    assert_eq!(report.reason, Reason::NoResponse);
    assert_in_time(stream.driver().machine().config(), &report, start.elapsed_now());
    drop(stop);
    garbage.join().unwrap();
    assert!(stream.dropped() >= 4, "{}", stream.dropped());
}

#[test]
fn datagrams_of_garbage_without_end_do_not_hide_a_dead_peer() {
    let (here, there) = udp_pair();
    let (stop, stopped) = mpsc::channel::<()>();
    let garbage = thread::spawn(move || {
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            for _ in 0..4 {
                let _ = there.send(b"x");
            }
            thread::sleep(Duration::from_micros(500));
        }
    });
    let mut beat: UdpHeartbeat = UdpHeartbeat::new(here, short()).unwrap();
    let error = beat.run_for(ms(400) + MARGIN).unwrap_err();
    lost(&error);
    assert!(beat.dropped() > 0);
    drop(stop);
    garbage.join().unwrap();
}

#[test]
fn datagrams_keep_both_ends_alive_and_a_goodbye_ends_them() {
    let (here, there) = udp_pair();
    let peer = thread::spawn(move || {
        let mut peer = UdpHeartbeat::new(there, patient()).unwrap();
        assert_eq!(peer.run_for(ms(700)).unwrap(), Liveness::Alive);
        assert!(peer.driver().machine().rtt().smoothed().is_some());
        peer.close();
    });
    let mut stream = UdpHeartbeat::new(here, patient()).unwrap();
    assert_eq!(stream.run_for(ms(60_000)).unwrap(), Liveness::Closed);
    assert_eq!(stream.driver().report().unwrap().reason, Reason::Goodbye);
    peer.join().unwrap();
}

#[test]
fn a_closed_port_is_silence_and_not_an_error() {
    let (here, there) = udp_pair();
    drop(there);
    let mut stream = UdpHeartbeat::new(here, quick()).unwrap();
    let report = lost(&stream.run_for(ms(60_000)).unwrap_err());
    assert_eq!(report.reason, Reason::NoResponse, "{report}");
    assert!(stream.refused() > 0);
}

#[test]
fn a_datagram_that_the_system_refuses_is_tried_again_soon() {
    let (here, there) =
        (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let handle = here.try_clone().unwrap();
    let config = Config::builder().interval(ms(20_000)).timeout(ms(60_000));
    let config = config.first_ping(FirstPing::Immediate).build().unwrap();
    let mut beat: UdpHeartbeat = UdpHeartbeat::new(here, config).unwrap();
    beat.run_for(ms(50)).unwrap(); // It is not connected, so nothing can be sent.
    assert_eq!(beat.driver().machine().stats().pings_sent, 1);
    assert!(beat.driver().has_output());
    handle.connect(there.local_addr().unwrap()).unwrap();
    beat.run_for(ms(50)).unwrap();
    assert!(!beat.driver().has_output());
    there.set_read_timeout(Some(MARGIN)).unwrap();
    let mut buf = [0; 100];
    let len = there.recv(&mut buf).unwrap();
    assert!(matches!(Frame::decode(&buf[..len]), Ok(Some((Frame::Ping { .. }, _)))));
}

#[test]
fn a_lost_datagram_peer_comes_back_where_the_verdict_may_be_reopened() {
    let (here, there) = udp_pair();
    let address = there.local_addr().unwrap();
    drop(there);
    let config = Config::builder()
        .interval(ms(100))
        .timeout(ms(400))
        .reopen_after(2)
        .down_interval(ms(100))
        .build()
        .unwrap();
    let client = here.local_addr().unwrap();
    let mut stream = UdpHeartbeat::new(here, config).unwrap();
    let give_up = clock() + ms(20_000);
    while stream.run_for(ms(50)).unwrap() != Liveness::Lost {
        assert!(clock() < give_up, "never lost");
    }
    let there = UdpSocket::bind(address).unwrap();
    there.connect(client).unwrap();
    let (stop, stopped) = mpsc::channel::<()>();
    let server = thread::spawn(move || {
        // A responder: only the pongs of the client's own pings bring it back.
        let config = Config::builder().mode(Mode::Responder).timeout(ms(50_000)).build().unwrap();
        let mut server = UdpHeartbeat::new(there, Setup::new(config)).unwrap();
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            server.run_for(ms(20)).unwrap();
        }
    });
    let give_up = clock() + ms(20_000);
    while stream.run_for(ms(50)).unwrap() != Liveness::Alive {
        assert!(clock() < give_up, "never came back");
    }
    drop(stop);
    server.join().unwrap();
}

trait ElapsedNow {
    fn elapsed_now(&self) -> Duration;
}

impl ElapsedNow for Instant {
    fn elapsed_now(&self) -> Duration {
        clock().saturating_duration_since(*self)
    }
}
