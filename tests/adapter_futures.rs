//! The adapter for `futures-io` on real sockets, under smol and under async-std. What it shares with
//! the tokio adapter, which is nearly all, is tested there; here are the traits and the timer.
//! Times have generous upper bounds: the machine may be slow.
#![cfg(all(feature = "futures-io", unix))]
#![allow(clippy::disallowed_methods, reason = "the test measures time")]

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Waker};
use core::time::Duration;
use std::io::{self, ErrorKind};
use std::net;
use std::thread;
use std::time::Instant;

use futures_io::{AsyncRead, AsyncWrite};
use futures_util::{AsyncReadExt, AsyncWriteExt, future};
use heartbeat_proto::adapter::futures_io::Heartbeat;
use heartbeat_proto::adapter::{Ended, blocking};
use heartbeat_proto::{Config, Event, FirstPing, LatePolicy, Liveness, Mode, Reason};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Several heartbeats a second, and a verdict that a loaded machine does not reach by chance.
fn patient() -> Config {
    let config = Config::builder().interval(ms(100)).timeout(ms(6100)).attempts(15);
    config.suspect_interval(ms(100)).jitter_percent(0).build().unwrap()
}

/// A verdict within half a second.
fn quick() -> Config {
    let config = Config::builder().interval(ms(100)).timeout(ms(400));
    config.first_ping(FirstPing::AfterInterval).build().unwrap()
}

fn pair() -> (net::TcpStream, net::TcpStream) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let here = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let there = listener.accept().unwrap().0;
    here.set_nonblocking(true).unwrap();
    there.set_nonblocking(true).unwrap();
    (here, there)
}

fn clock() -> Instant {
    Instant::now()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

type Pair<S> = (Heartbeat<S>, Heartbeat<S>);

async fn a_megabyte_arrives_whole_both_ways_at_once<S: Stream>((here, there): Pair<S>) {
    let ends = [here, there].map(|stream| async move {
        let (mut from, mut to) = stream.split();
        let write = async move {
            for piece in pattern(1 << 20).chunks(30_011) {
                to.write_all(piece).await.unwrap();
            }
            to.close().await.unwrap();
        };
        let read = async move {
            let mut got = Vec::new();
            from.read_to_end(&mut got).await.unwrap();
            assert!(got == pattern(1 << 20), "{} bytes", got.len());
        };
        future::join(write, read).await;
    });
    future::join_all(ends).await;
}

async fn a_silent_peer_is_lost_within_the_bound<S: Stream>((mut here, there): Pair<S>) {
    let since = clock();
    let error = here.read(&mut [0; 1]).await.unwrap_err();
    let took = since.elapsed();
    let Some(Ended::Lost(report)) = Ended::of(&error) else { panic!("{error:?}") };
    assert_eq!((error.kind(), report.reason), (ErrorKind::TimedOut, Reason::NoResponse));
    assert!(report.silence > quick().floor(), "{report}");
    let bound = quick().worst_case_detection() + report.own_lateness * 10 + ms(2000);
    assert!(took <= bound, "took {took:?}, bound {bound:?}: {report}");
    drop(there);
}

async fn a_program_that_only_waits_lives_and_says_goodbye<S: Stream>(
    (mut here, mut there): Pair<S>,
) {
    let stay = async_io::Timer::after(ms(1000));
    {
        let both = future::join(here.drive(), there.drive());
        assert!(matches!(future::select(pin!(both), stay).await, future::Either::Right(_)));
    }
    let stats = *here.driver().machine().stats();
    assert!(stats.pongs_received >= 2, "{stats:?}");
    assert_eq!(here.driver().liveness(), Liveness::Alive);
    let read = async {
        let mut rest = Vec::new();
        there.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
        there.close().await
    };
    let (closed, read): (io::Result<()>, io::Result<()>) =
        future::join(Heartbeat::close(here), read).await;
    closed.unwrap();
    read.unwrap();
}

/// The answer lies in the kernel's buffer while the executor is blocked: it is found before the
/// peer is judged, though no grace is granted.
async fn a_blocked_executor_reads_before_it_judges<S: Stream>(
    mut here: Heartbeat<S>,
    there: net::TcpStream,
) {
    there.set_nonblocking(false).unwrap();
    let peer = thread::spawn(move || {
        let config = Config::builder().mode(Mode::Responder).timeout(ms(60_000)).build().unwrap();
        let mut peer = blocking::Heartbeat::new(there, config).unwrap();
        while peer.run_for(ms(10)).is_ok_and(|liveness| liveness != Liveness::Closed) {}
    });
    here.verify().await.unwrap();
    let mut rounds = 0;
    while rounds < 3 {
        // All earlier answers are in, and the gap between two pings is over.
        let _ = future::select(pin!(here.drive()), async_io::Timer::after(ms(30))).await;
        thread::sleep(ms(60));
        let now = here.now();
        here.driver_mut().handle(Event::PingDue, now);
        let pongs = here.driver().machine().stats().pongs_received;
        let polled = pin!(here.drive()).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        if here.driver().machine().stats().pongs_received > pongs {
            continue; // The answer was faster than the poll.
        }
        thread::sleep(ms(1200));
        let polled = pin!(here.drive()).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "round {rounds}: {polled:?}");
        assert!(here.driver().machine().stats().pongs_received > pongs, "round {rounds}");
        rounds += 1;
    }
    here.close().await.unwrap();
    peer.join().unwrap();
}

fn strict() -> Config {
    let config = Config::builder().interval(ms(100)).timeout(ms(400));
    let config = config.first_ping(FirstPing::Immediate).late_policy(LatePolicy::Forgive(ms(1)));
    config.build().unwrap()
}

macro_rules! runtime {
    ($name:ident, $block_on:path, $stream:ty, $from:expr) => {
        mod $name {
            use super::*;

            fn over(socket: net::TcpStream, config: Config) -> Heartbeat<$stream> {
                Heartbeat::tcp($from(socket), config).unwrap()
            }

            fn both(config: Config) -> Pair<$stream> {
                let (here, there) = pair();
                (over(here, config), over(there, config))
            }

            #[test]
            fn a_megabyte_arrives_whole_both_ways_at_once() {
                $block_on(super::a_megabyte_arrives_whole_both_ways_at_once(both(patient())));
            }

            #[test]
            fn a_silent_peer_is_lost_within_the_bound() {
                $block_on(super::a_silent_peer_is_lost_within_the_bound(both(quick())));
            }

            #[test]
            fn a_program_that_only_waits_lives_and_says_goodbye() {
                $block_on(super::a_program_that_only_waits_lives_and_says_goodbye(both(patient())));
            }

            #[test]
            fn a_blocked_executor_reads_before_it_judges() {
                let (here, there) = pair();
                $block_on(super::a_blocked_executor_reads_before_it_judges(
                    over(here, strict()),
                    there,
                ));
            }
        }
    };
}

runtime!(smol, ::smol::block_on, ::smol::net::TcpStream, |socket| {
    ::smol::net::TcpStream::try_from(socket).unwrap()
});
runtime!(async_std, ::async_std::task::block_on, ::async_std::net::TcpStream, |socket| {
    ::async_std::net::TcpStream::from(socket)
});
