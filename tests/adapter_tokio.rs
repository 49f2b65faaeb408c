//! The tokio adapter: on loopback sockets in real time, and on in-memory pipes in paused time.
//!
//! Times: a peer that must live has seconds; a peer that must die has tenths of a second, and the
//! verdict may then come later by what this process itself was late (it is in the report) and by
//! [`MARGIN`], for the threads of a loaded machine to be scheduled at all. Lower bounds are exact.
//! In paused time everything is exact.
#![cfg(feature = "tokio")]

extern crate alloc;

use alloc::sync::Arc;
use core::future::Future;
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io::{self, ErrorKind};
use std::sync::mpsc;
use std::thread;

use heartbeat_proto::adapter::tokio::{Heartbeat, UdpHeartbeat};
use heartbeat_proto::adapter::{Ended, Notice, Setup, blocking};
use heartbeat_proto::codec::{Encoder, Frame};
use heartbeat_proto::{
    Config, Event, FirstPing, LatePolicy, LifeRule, Liveness, Mode, PingId, Probing, Reason, Report,
};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream, DuplexStream, ReadBuf, duplex,
    join, split,
};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{Instant, sleep, timeout};

const MARGIN: Duration = Duration::from_secs(2);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
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

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (here, listener.accept().await.unwrap().0)
}

fn tcp(socket: TcpStream, config: Config) -> Heartbeat<TcpStream> {
    Heartbeat::tcp(socket, config).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the test measures the runtime's time")]
fn clock() -> Instant {
    Instant::now()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

fn lost(error: &io::Error) -> Report {
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    match Ended::of(error) {
        Some(Ended::Lost(report)) => *report,
        other => panic!("expected a verdict, found {other:?}"),
    }
}

/// That the verdict fell within its bound, and not before its floor.
fn assert_in_time(config: &Config, report: &Report, took: Duration) {
    assert!(report.silence > config.floor(), "{report}");
    // One lateness for each wake-up of the silence; there are fewer than ten.
    let bound = config.worst_case_detection() + report.own_lateness * 10 + MARGIN;
    assert!(took <= bound, "took {took:?}, bound {bound:?}: {report}");
}

/// Polls `future` up to `polls` times, then drops it.
async fn poll_and_drop<F: Future>(future: F, polls: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Drives once, which writes what waits, and blocks the runtime before it can do anything else.
fn poll_once_and_block(stream: &mut Heartbeat<TcpStream>, span: Duration) {
    let polled = pin!(stream.drive()).poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    thread::sleep(span);
}

// ----- Application bytes -----

#[tokio::test]
async fn a_megabyte_arrives_whole_both_ways_at_once_over_tcp() {
    let (here, there) = pair().await;
    let ends = [tcp(here, patient()), tcp(there, patient())].map(|stream| {
        tokio::spawn(async move {
            let (mut from, mut to) = split(stream);
            // Two tasks: reading and writing wait for each other's wake-ups.
            let writer = tokio::spawn(async move {
                for piece in pattern(1 << 20).chunks(30_011) {
                    to.write_all(piece).await.unwrap();
                }
                to.shutdown().await.unwrap();
            });
            let mut got = Vec::new();
            let mut buf = [0; 3001];
            loop {
                match from.read(&mut buf).await.unwrap() {
                    0 => break,
                    len => got.extend_from_slice(&buf[..len]),
                }
            }
            assert_eq!(got.len(), 1 << 20);
            assert_eq!(got, pattern(1 << 20));
            writer.await.unwrap();
        })
    });
    for end in ends {
        end.await.unwrap();
    }
}

#[tokio::test]
async fn bytes_arrive_whole_through_a_pipe_of_seven_bytes() {
    let (here, there) = duplex(7);
    let echo = tokio::spawn(async move {
        let (mut from, mut to) = split(Heartbeat::new(there, patient()));
        tokio::io::copy(&mut from, &mut to).await.unwrap();
        to.shutdown().await.unwrap();
    });
    let (mut from, mut to) = split(Heartbeat::new(here, patient()));
    let writer = tokio::spawn(async move {
        to.write_all(&pattern(50_000)).await.unwrap();
        to.shutdown().await.unwrap();
    });
    let mut got = vec![0; 50_000];
    from.read_exact(&mut got).await.unwrap();
    assert_eq!(got, pattern(50_000));
    writer.await.unwrap();
    echo.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn futures_dropped_at_any_point_lose_and_corrupt_nothing() {
    // Both ends drop every future after a few polls; the pipe cuts frames anywhere.
    for width in [1, 5, 33, 4096] {
        let (here, there) = duplex(width);
        let reader = tokio::spawn(async move {
            let mut stream = Heartbeat::new(there, patient());
            let (mut got, mut round) = (Vec::new(), 0);
            loop {
                round += 1;
                let _ = poll_and_drop(stream.drive(), round % 3).await;
                let mut buf = [0; 100];
                match poll_and_drop(stream.read(&mut buf), round % 4).await {
                    Some(len) => match len.unwrap() {
                        0 => return got,
                        len => got.extend_from_slice(&buf[..len]),
                    },
                    None => sleep(ms(1)).await,
                }
            }
        });
        let mut stream = Heartbeat::new(here, patient());
        let (bytes, mut sent, mut round) = (pattern(3000), 0, 0);
        while sent < bytes.len() {
            round += 1;
            let _ = poll_and_drop(stream.drive(), round % 2).await;
            let _ = poll_and_drop(stream.verify(), round % 3).await;
            let rest = &bytes[sent..bytes.len().min(sent + 700)];
            match poll_and_drop(stream.write(rest), round % 5).await {
                Some(len) => sent += len.unwrap(),
                None => sleep(ms(1)).await,
            }
            let _ = poll_and_drop(stream.flush(), round % 4).await;
            assert_eq!(stream.driver().ended(), None);
        }
        let mut round = 0;
        while poll_and_drop(stream.shutdown(), 1 + round % 3).await.is_none() {
            round += 1;
            sleep(ms(1)).await;
        }
        assert!(reader.await.unwrap() == bytes, "through a pipe of {width} bytes");
    }
}

// ----- Verdicts -----

#[tokio::test]
async fn a_peer_that_accepts_and_never_answers_is_lost_within_the_bound() {
    let (here, mut there) = pair().await;
    let start = clock();
    let mut stream = tcp(here, quick());
    let error = stream.read(&mut [0; 10]).await.unwrap_err();
    let report = lost(&error);
    assert_eq!(report.reason, Reason::NoResponse);
    assert_in_time(stream.driver().machine().config(), &report, clock() - start);
    // It says so for ever, to everybody.
    assert_eq!(lost(&stream.write(b"x").await.unwrap_err()), report);
    assert_eq!(lost(&stream.flush().await.unwrap_err()), report);
    assert_eq!(lost(&stream.drive().await.unwrap_err()), report);
    assert_eq!(lost(&stream.verify().await.unwrap_err()), report);
    assert_eq!(lost(&stream.shutdown().await.unwrap_err()), report);
    // With our end still in scope, the peer's end sees a reset, and not a graceful close.
    assert!(stream.get_ref().is_none());
    let end = timeout(MARGIN, there.read_to_end(&mut Vec::new())).await.expect("torn down");
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn in_exact_time_a_silent_peer_is_lost_one_step_after_the_timeout() {
    let (here, _there) = duplex(1024);
    let start = clock();
    let mut stream = Heartbeat::new(here, quick());
    let report = lost(&stream.drive().await.unwrap_err());
    assert_eq!(report.reason, Reason::NoResponse);
    // tokio's timers have a resolution of a millisecond and fire late, never early.
    let took = clock() - start;
    assert!(took > ms(400) && took <= ms(402), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_talks_but_does_not_read_is_a_stalled_writer() {
    let (here, mut there) = duplex(1024);
    let talker = tokio::spawn(async move {
        for seq in 1.. {
            let frame = Frame::Beacon {
                id: PingId::new(9, seq),
                handle: 1,
                stamp: 0,
                period: None,
                status: None,
            };
            let mut bytes = [0; 64];
            let len = frame.encode_into(&mut bytes).unwrap();
            if there.write_all(&bytes[..len]).await.is_err() {
                return;
            }
            sleep(ms(20)).await;
        }
    });
    let config = Config::builder().interval(ms(1000)).timeout(ms(4000)).write_stall(ms(400));
    let start = clock();
    let mut stream = Heartbeat::new(here, config.build().unwrap());
    let error = stream.write_all(&pattern(100_000)).await.unwrap_err();
    let (report, took) = (lost(&error), clock() - start);
    assert_eq!(report.reason, Reason::WriteStalled, "{report}");
    assert!(took >= ms(400) && took < ms(450), "{took:?}");
    talker.await.unwrap(); // Dropped, the pipe is closed.
}

#[tokio::test]
async fn a_verdict_wakes_the_task_that_waits_for_the_other_direction() {
    let (here, _there) = pair().await;
    let (mut from, mut to) = split(tcp(here, quick()));
    let reader = tokio::spawn(async move { from.read(&mut [0; 10]).await.map(|_| ()) });
    let writer = tokio::spawn(async move {
        loop {
            to.write_all(&pattern(65536)).await?;
        }
    });
    let both = async { tokio::join!(reader, writer) };
    let (read, write): (_, Result<io::Result<()>, _>) =
        timeout(ms(2000) + MARGIN, both).await.expect("both end");
    lost(&read.unwrap().unwrap_err());
    lost(&write.unwrap().unwrap_err());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_is_woken_though_another_task_polled_after_it_and_went_away() {
    let (here, there) = duplex(16);
    let (mut from, mut to) = split(Heartbeat::new(here, patient()));
    let writer = tokio::spawn(async move {
        to.write_all(&pattern(1000)).await.unwrap();
        to.flush().await
    });
    tokio::task::yield_now().await; // The writer waits for room.
    let reader = tokio::spawn(async move {
        // The transport remembers the waker of this poll, and then nobody polls here any more.
        assert!(timeout(Duration::ZERO, from.read(&mut [0; 10])).await.is_err());
        sleep(Duration::from_secs(3600)).await;
        drop(from);
    });
    tokio::task::yield_now().await;
    let mut peer = Heartbeat::new(there, patient());
    let mut got = vec![0; 1000];
    peer.read_exact(&mut got).await.unwrap();
    timeout(ms(1000), writer).await.expect("woken").unwrap().unwrap();
    reader.abort();
}

/// Nothing to read, ever, and nobody to write to.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_fails_for_one_task_wakes_the_other() {
    let (mut from, mut to) = split(Heartbeat::new(Broken, Config::default()));
    let reader = tokio::spawn(async move { from.read(&mut [0; 10]).await });
    tokio::task::yield_now().await;
    let _ = to.write(b"x").await;
    let error = timeout(ms(1), reader).await.expect("woken").unwrap().unwrap_err();
    assert_eq!(Ended::of(&error), Some(&Ended::Transport(ErrorKind::BrokenPipe)));
}

/// A peer that counts nothing but exact pongs as life, and pings every 50 ms.
fn strict() -> Config {
    Config::builder()
        .interval(ms(50))
        .timeout(ms(3050))
        .attempts(15)
        .suspect_interval(ms(50))
        .jitter_percent(0)
        .probing(Probing::Always)
        .life_rule(LifeRule::ExactPong)
        .build()
        .unwrap()
}

/// Runs the strict peer for ten minutes of paused time beside `program`. At 50 ms a ping there are
/// 12 000 of them, and each is answered.
async fn beside_a_strict_peer<F: Future<Output = ()>>(
    program: impl FnOnce(Heartbeat<DuplexStream>) -> F,
) {
    let (here, there) = duplex(4096);
    let peer = async {
        let (mut from, mut to) = split(Heartbeat::new(there, strict()));
        let reader = async {
            let mut buf = [0; 4096];
            while from.read(&mut buf).await.unwrap() > 0 {}
        };
        let _ = timeout(Duration::from_secs(600), reader).await;
        let stream = from.unsplit(to);
        assert_eq!(stream.driver().liveness(), Liveness::Alive);
        let stats = *stream.driver().machine().stats();
        assert!(stats.pings_sent >= 11_990, "{stats:?}");
        assert!(stats.pings_sent - stats.pongs_received <= 1, "{stats:?}");
        assert_eq!(stats.misses, 0);
        to = split(stream).1;
        to.shutdown().await.unwrap();
    };
    tokio::join!(peer, program(Heartbeat::new(here, patient())));
}

#[tokio::test(start_paused = true)]
async fn a_program_that_only_reads_answers_pings() {
    beside_a_strict_peer(|mut stream| async move {
        assert_eq!(stream.read(&mut [0; 10]).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_program_that_only_writes_answers_pings() {
    beside_a_strict_peer(|mut stream| async move {
        while stream.driver().liveness() != Liveness::Closed {
            if stream.write_all(&[1; 1000]).await.is_err() {
                break;
            }
            sleep(ms(20)).await; // Less than the peer's interval, or it would be answered late.
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_program_that_does_neither_answers_pings() {
    beside_a_strict_peer(|mut stream| async move { stream.drive().await.unwrap() }).await;
}

#[tokio::test(start_paused = true)]
async fn answers_are_flushed_through_a_buffered_transport() {
    let (here, there) = duplex(4096);
    let mut peer = Heartbeat::new(BufStream::new(there), strict());
    let mut stream = Heartbeat::new(BufStream::new(here), patient());
    let run = async { tokio::join!(stream.drive(), peer.drive()) };
    assert!(timeout(Duration::from_secs(60), run).await.is_err(), "both live");
    let stats = *peer.driver().machine().stats();
    assert!(stats.pings_sent >= 1190 && stats.misses == 0, "{stats:?}");
}

#[tokio::test]
async fn a_runtime_blocked_for_three_timeouts_finds_the_answer_before_it_judges() {
    // `Forgive` grants no re-probe: whoever ticks before reading gives the peer up here.
    let config = Config::builder()
        .interval(ms(100))
        .timeout(ms(400))
        .first_ping(FirstPing::Immediate)
        .late_policy(LatePolicy::Forgive(ms(1)))
        .build()
        .unwrap();
    let (here, there) = pair().await;
    let mut stream = tcp(here, config);
    // The peer runs in a thread of its own, and never gives us up.
    let there = there.into_std().unwrap();
    let (stop, stopped) = mpsc::channel::<()>();
    let peer = thread::spawn(move || {
        let config = Config::builder().mode(Mode::Responder).timeout(ms(60_000)).build().unwrap();
        let mut peer = blocking::Heartbeat::new(there, config).unwrap();
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            peer.run_for(ms(10)).unwrap();
        }
    });
    stream.verify().await.unwrap();
    for round in 0..3 {
        // A ping leaves, the runtime is blocked, and the pong waits in the kernel's buffer.
        let pongs = stream.driver().machine().stats().pongs_received;
        while !stream.driver().has_output() {
            let _ = timeout(ms(5), stream.drive()).await;
            let now = stream.now();
            stream.driver_mut().handle(Event::PingDue, now);
        }
        poll_once_and_block(&mut stream, ms(1200));
        match round {
            // The first call after the stall drives, reads or writes, before the runtime has had
            // the time to look at the socket.
            0 => assert!(timeout(ms(20), stream.drive()).await.is_err()),
            1 => assert!(timeout(ms(20), stream.read(&mut [0; 1])).await.is_err()),
            _ => assert_eq!(stream.write(b"hello").await.unwrap(), 5),
        }
        let _ = timeout(ms(20), stream.drive()).await;
        assert_eq!(stream.driver().ended(), None, "round {round}");
        assert!(stream.driver().machine().stats().pongs_received > pongs);
    }
    drop(stop);
    peer.join().unwrap();
}

// ----- The life of a connection -----

#[tokio::test(start_paused = true)]
async fn a_day_of_heartbeats_in_paused_time() {
    let (here, there) = duplex(1024);
    let config = Config::default();
    let (mut ours, mut theirs) = (Heartbeat::new(here, config), Heartbeat::new(there, config));
    let day = Duration::from_secs(24 * 60 * 60);
    let run = async { tokio::join!(ours.drive(), theirs.drive()) };
    assert!(timeout(day, run).await.is_err(), "both live on");
    for stream in [&ours, &theirs] {
        let stats = *stream.driver().machine().stats();
        assert_eq!(stream.driver().liveness(), Liveness::Alive);
        // The pings of the peer excuse most of ours; together they keep the interval of 25 s.
        assert_eq!((stats.misses, stats.late_calls, stats.strikes), (0, 0, 0), "{stats:?}");
        assert_eq!(stats.pings_sent, stats.pongs_received, "{stats:?}");
        assert!(stats.pings_sent + stats.pings_received >= 24 * 60 * 60 / 25, "{stats:?}");
    }
}

#[tokio::test]
async fn a_goodbye_is_the_end_of_the_bytes_and_a_crash_is_an_error() {
    let (here, there) = pair().await;
    let mut peer = tcp(there, patient());
    peer.write_all(&pattern(100_000)).await.unwrap();
    let peer = tokio::spawn(async move {
        peer.shutdown().await.unwrap();
        // The other direction is still open.
        let mut got = Vec::new();
        peer.read_to_end(&mut got).await.unwrap();
        got
    });
    let mut stream = tcp(here, patient());
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, pattern(100_000));
    assert_eq!(stream.driver().report().unwrap().reason, Reason::Goodbye);
    stream.write_all(b"and goodbye to you").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(peer.await.unwrap(), b"and goodbye to you");
    stream.drive().await.unwrap();

    let (here, there) = pair().await;
    let mut peer = tcp(there, patient());
    peer.write_all(b"half a sen").await.unwrap();
    drop(peer);
    let mut stream = tcp(here, patient());
    let mut got = Vec::new();
    let error = stream.read_to_end(&mut got).await.unwrap_err();
    assert_eq!(got, b"half a sen");
    assert_eq!((error.kind(), Ended::of(&error)), (ErrorKind::UnexpectedEof, Some(&Ended::Abrupt)));
}

#[tokio::test]
async fn closing_delivers_everything_though_the_peer_goes_on_pinging() {
    let (here, there) = pair().await;
    let reader = tokio::spawn(async move {
        let mut stream = tcp(there, strict());
        let (mut got, mut buf) = (Vec::new(), [0; 8192]);
        loop {
            match stream.read(&mut buf).await.unwrap() {
                0 => break,
                len => got.extend_from_slice(&buf[..len]),
            }
            sleep(ms(1)).await; // Slowly: it pings before it has read the goodbye.
        }
        stream.close().await.unwrap();
        got
    });
    let mut stream = tcp(here, patient());
    stream.write_all(&pattern(4 << 20)).await.unwrap();
    let (start, limit) = (clock(), patient().drain_limit());
    stream.close().await.unwrap();
    assert!(clock() - start < limit);
    assert!(reader.await.unwrap() == pattern(4 << 20));
}

#[tokio::test(start_paused = true)]
async fn shutting_down_is_bounded_where_the_peer_reads_nothing() {
    let (here, _there) = duplex(16);
    let config = Config::builder().drain_limit(ms(300)).build().unwrap();
    let mut stream = Heartbeat::new(here, config);
    let start = clock();
    let _ = stream.write(&[7; 1000]).await.unwrap();
    let error = stream.shutdown().await.unwrap_err();
    assert_eq!(lost(&error).reason, Reason::DrainTimeout);
    assert!(clock() - start <= ms(303));
}

/// [`quick`], and a fifth of a second for what is under way at the close.
fn short() -> Config {
    let config = Config::builder().interval(ms(100)).timeout(ms(400)).drain_limit(ms(200));
    config.first_ping(FirstPing::AfterInterval).build().unwrap()
}

fn goodbye() -> Vec<u8> {
    let mut bytes = Vec::new();
    Frame::Goodbye { epoch: 0, reason: 0 }.encode(&mut bytes).unwrap();
    bytes
}

/// A data frame.
fn data(len: usize) -> Vec<u8> {
    let mut bytes = Vec::from(Encoder::header(len).unwrap());
    bytes.resize(bytes.len() + len, 7);
    bytes
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_said_goodbye_and_reads_nothing_holds_no_writer() {
    let (input, mut peer) = duplex(1 << 16);
    let (output, _unread) = duplex(64);
    let mut stream = Heartbeat::new(join(input, output), short());
    peer.write_all(&goodbye()).await.unwrap();
    drop(peer); // The end of its bytes: nothing more to wait for on that side.
    let begin = clock();
    let bytes = vec![1; 99_999];
    let written = timeout(ms(3_600_000), stream.write_all(&bytes)).await.expect("bounded");
    assert_eq!(written.unwrap_err().kind(), ErrorKind::NotConnected);
    assert!((ms(200)..=ms(202)).contains(&(clock() - begin)), "{:?}", clock() - begin);
    timeout(ms(1), stream.shutdown()).await.expect("bounded").unwrap();
}

#[tokio::test(start_paused = true)]
async fn shutting_down_is_bounded_though_the_inbox_is_full_and_the_goodbye_refused() {
    let (input, mut peer) = duplex(1 << 20);
    let (output, _unread) = duplex(4);
    let mut stream = Heartbeat::new(join(input, output), short());
    peer.write_all(&data(16384).repeat(6)).await.unwrap();
    let begin = clock();
    timeout(ms(3_600_000), stream.shutdown()).await.expect("bounded").unwrap();
    assert!((ms(200)..=ms(202)).contains(&(clock() - begin)), "{:?}", clock() - begin);
}

/// A transport that takes everything and can always be read.
struct Flood(Vec<u8>);

impl AsyncRead for Flood {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        buf.put_slice(&self.0);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_is_bounded_though_the_peer_never_stops_sending() {
    let stream = Heartbeat::new(Flood(data(1020)), short());
    let begin = clock();
    timeout(ms(200) + MARGIN, stream.close()).await.expect("bounded").unwrap();
    assert!((clock() - begin) >= ms(200), "the peer has its time: {:?}", clock() - begin);
}

#[tokio::test]
async fn the_connection_to_a_restarted_server_recovers_and_keeps_what_was_learnt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let told = Arc::new(AtomicUsize::new(0));
    let sink = Arc::clone(&told);
    let setup = Setup::new(patient()).observer(move |notice| {
        sink.fetch_add(usize::from(matches!(notice, Notice::Ended(_))), Ordering::Relaxed);
    });
    let server = async {
        let mut server = tcp(listener.accept().await.unwrap().0, patient());
        let _ = timeout(ms(300), server.drive()).await; // And crashes.
    };
    let client = async {
        let mut stream = Heartbeat::tcp(TcpStream::connect(address).await.unwrap(), setup).unwrap();
        stream.verify().await.unwrap();
        assert!(Ended::of(&stream.drive().await.unwrap_err()).is_some());
        stream
    };
    let (client, ()) = tokio::join!(client, server);
    let rtt = client.driver().machine().rtt();
    assert!(rtt.smoothed().is_some());
    assert_eq!(told.load(Ordering::Relaxed), 1);

    let mut client = client.reconnected(TcpStream::connect(address).await.unwrap());
    assert_eq!(client.driver().liveness(), Liveness::Recovering);
    assert_eq!(client.driver().machine().rtt(), rtt);
    let server = tokio::spawn(async move {
        let mut server = tcp(listener.accept().await.unwrap().0, patient());
        server.write_all(b"back").await.unwrap();
        server.drive().await
    });
    let mut answer = [0; 4];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!((&answer, client.driver().liveness()), (b"back", Liveness::Alive));
    client.shutdown().await.unwrap();
    server.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn unread_bytes_are_bounded_and_hold_the_peer_back() {
    let (here, there) = duplex(4096);
    let mut ours = Heartbeat::new(here, patient());
    let mut theirs = Heartbeat::new(there, patient());
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let writer = tokio::spawn(async move {
        for piece in pattern(1 << 20).chunks(1024) {
            theirs.write_all(piece).await.unwrap();
            count.fetch_add(piece.len(), Ordering::Relaxed);
        }
        theirs.shutdown().await.unwrap();
    });
    let _ = timeout(ms(500), ours.drive()).await;
    let taken = written.load(Ordering::Relaxed);
    assert!((64 * 1024..200 * 1024).contains(&taken), "{taken}");
    // A slow reader is not hurt.
    let (mut got, mut buf) = (Vec::new(), [0; 5000]);
    loop {
        match ours.read(&mut buf).await.unwrap() {
            0 => break,
            len => got.extend_from_slice(&buf[..len]),
        }
        sleep(ms(20)).await;
    }
    assert!(got == pattern(1 << 20));
    writer.await.unwrap();
}

#[tokio::test]
async fn dropped_connections_leave_no_task_behind() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    for _ in 0..200 {
        let (here, there) = duplex(64);
        let (mut ours, mut theirs) =
            (Heartbeat::new(here, quick()), Heartbeat::new(there, quick()));
        let _ = poll_and_drop(async { tokio::join!(ours.drive(), theirs.drive()) }, 3).await;
    }
    assert_eq!(metrics.num_alive_tasks(), before);
}

// ----- UDP -----

async fn udp_pair() -> (UdpSocket, UdpSocket) {
    let here = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let there = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    here.connect(there.local_addr().unwrap()).await.unwrap();
    there.connect(here.local_addr().unwrap()).await.unwrap();
    (here, there)
}

#[tokio::test]
async fn datagrams_garbage_is_dropped_and_counted_and_is_no_sign_of_life() {
    let (here, there) = udp_pair().await;
    let mut stream = UdpHeartbeat::new(here, quick());
    let start = clock();
    let garbage = async {
        for i in 0_u32.. {
            // Too long, too short, wrong, almost right.
            let _ = match i % 4 {
                0 => there.send(&[0xb0; 2000]).await,
                1 => there.send(&[]).await,
                2 => there.send(b"GET / HTTP/1.1").await,
                _ => there.send(&[0xb0, 1, 0, 28, 0, 0]).await,
            };
            sleep(ms(3)).await;
        }
    };
    let error = tokio::select! {
        error = stream.drive() => error,
        () = garbage => unreachable!("it goes on for ever"),
    };
    let report = lost(&error.unwrap_err());
    assert_eq!(report.reason, Reason::NoResponse);
    assert_in_time(stream.driver().machine().config(), &report, clock() - start);
    assert!(stream.dropped() >= 4, "{}", stream.dropped());
}

#[tokio::test]
async fn datagrams_of_garbage_without_end_do_not_hide_a_dead_peer() {
    let (here, there) = udp_pair().await;
    let there = there.into_std().unwrap();
    let (stop, stopped) = mpsc::channel::<()>();
    let garbage = thread::spawn(move || {
        while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
            for _ in 0..6 {
                let _ = there.send(b"x");
            }
            thread::sleep(Duration::from_micros(900));
        }
    });
    let busy = tokio::spawn(async {
        loop {
            thread::sleep(ms(5)); // The runtime looks at the socket less often than garbage comes.
            tokio::task::yield_now().await;
        }
    });
    let mut beat: UdpHeartbeat = UdpHeartbeat::new(here, short());
    let end = timeout(2 * MARGIN, beat.drive()).await.expect("bounded");
    lost(&end.unwrap_err());
    assert!(beat.dropped() > 0);
    busy.abort();
    drop(stop);
    garbage.join().unwrap();
}

#[tokio::test]
async fn datagrams_keep_both_ends_alive_and_a_goodbye_ends_them() {
    let (here, there) = udp_pair().await;
    let peer = tokio::spawn(async move {
        let mut peer = UdpHeartbeat::new(there, patient());
        assert!(timeout(ms(700), peer.drive()).await.is_err());
        assert_eq!(peer.driver().liveness(), Liveness::Alive);
        peer.close().await;
    });
    let mut stream = UdpHeartbeat::new(here, patient());
    stream.drive().await.unwrap();
    assert_eq!(stream.driver().report().unwrap().reason, Reason::Goodbye);
    peer.await.unwrap();
}

#[tokio::test]
async fn a_closed_port_is_silence_and_a_lost_peer_may_come_back() {
    let (here, there) = udp_pair().await;
    let (address, client) = (there.local_addr().unwrap(), here.local_addr().unwrap());
    drop(there);
    let config = Config::builder()
        .interval(ms(100))
        .timeout(ms(400))
        .reopen_after(2)
        .down_interval(ms(100))
        .build()
        .unwrap();
    let mut stream = UdpHeartbeat::new(here, config);
    let give_up = clock() + ms(20_000);
    while stream.driver().liveness() != Liveness::Lost {
        let _ = timeout(ms(20), stream.drive()).await;
        assert!(clock() < give_up, "never lost");
    }
    assert!(stream.refused() > 0);
    let there = UdpSocket::bind(address).await.unwrap();
    there.connect(client).await.unwrap();
    // A responder: only the pongs of the client's own pings bring it back.
    let config = Config::builder().mode(Mode::Responder).timeout(ms(50_000)).build().unwrap();
    let mut server = UdpHeartbeat::new(there, config);
    while stream.driver().liveness() != Liveness::Alive {
        let run = async { tokio::join!(stream.drive(), server.drive()) };
        let _ = timeout(ms(20), run).await;
        assert!(clock() < give_up + ms(20_000), "never came back");
    }
}
