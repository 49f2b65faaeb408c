//! Defects once found in the asynchronous adapters, each with the least that shows it. In paused
//! time, where what is not woken sleeps for hours.
#![cfg(all(feature = "tokio", feature = "message"))]
#![allow(clippy::disallowed_methods, reason = "the tests measure the runtime's time")]

extern crate alloc;

use alloc::sync::Arc;
use core::cell::Cell;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker, ready};
use core::time::Duration;
use std::io::{self, ErrorKind};
use std::sync::Mutex;

use futures_util::SinkExt;
use futures_util::future::join;
use heartbeat_proto::adapter::Ended;
use heartbeat_proto::adapter::message::{self, Format, Kind};
use heartbeat_proto::adapter::poll::{self, Timer, Transport};
use heartbeat_proto::adapter::tokio::{Heartbeat, TokioTimer};
use heartbeat_proto::codec::{Encoder, Frame};
use heartbeat_proto::{Config, FirstPing, Reason, Timestamp};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex, split,
};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{self, Bytes, Message};

const HOURS: Duration = Duration::from_secs(36_000);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Pings each 100 ms, a verdict after 400 ms, a drain of 200 ms.
fn quick() -> Config {
    let config = Config::builder().interval(ms(100)).timeout(ms(400)).drain_limit(ms(200));
    config.first_ping(FirstPing::AfterInterval).build().unwrap()
}

fn goodbye() -> Vec<u8> {
    let mut bytes = Vec::new();
    Frame::Goodbye { epoch: 0, reason: 0 }.encode(&mut bytes).unwrap();
    bytes
}

fn data(len: usize) -> Vec<u8> {
    let mut bytes = Vec::from(Encoder::header(len).unwrap());
    bytes.resize(bytes.len() + len, 7);
    bytes
}

/// A transport with a buffer of its own, as TLS has: what it took leaves at a flush or at the close,
/// which take a while.
struct Buffered {
    input: DuplexStream,
    buffer: Vec<u8>,
    left: Arc<Mutex<Vec<u8>>>,
    takes: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    flushes_at_once: bool,
}

impl Buffered {
    fn new(input: DuplexStream, takes: Duration) -> Self {
        let (buffer, left) = (Vec::new(), Arc::default());
        Self { input, buffer, left, takes, sleep: None, flushes_at_once: false }
    }

    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(self.takes)));
        ready!(sleep.as_mut().poll(cx));
        self.sleep = None;
        self.left.lock().unwrap().append(&mut self.buffer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Buffered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_read(cx, buf)
    }
}

impl AsyncWrite for Buffered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.buffer.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.flushes_at_once {
            let this = &mut *self;
            this.left.lock().unwrap().append(&mut this.buffer);
            return Poll::Ready(Ok(()));
        }
        self.poll_leave(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_leave(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_takes_its_time_to_close_wakes_whoever_shuts_down() {
    let (here, _there) = duplex(4096);
    let transport = Buffered { flushes_at_once: true, ..Buffered::new(here, ms(50)) };
    let mut stream = Heartbeat::new(transport, quick());
    let begin = Instant::now();
    timeout(HOURS, stream.shutdown()).await.expect("woken").unwrap();
    assert!((ms(50)..=ms(52)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn shutting_down_is_bounded_though_the_transport_never_closes() {
    let (here, _there) = duplex(4096);
    let transport = Buffered { flushes_at_once: true, ..Buffered::new(here, HOURS) };
    let mut stream = Heartbeat::new(transport, quick());
    let begin = Instant::now();
    timeout(HOURS, stream.shutdown()).await.expect("bounded").unwrap();
    assert!((ms(200)..=ms(202)).contains(&begin.elapsed()), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_the_transport_has_still_to_send_is_not_cut_off_by_the_last_word_of_both_ends() {
    let (here, mut there) = duplex(4096);
    let transport = Buffered::new(here, ms(50));
    let left = Arc::clone(&transport.left);
    let mut stream = Heartbeat::new(transport, quick());
    there.write_all(&goodbye()).await.unwrap();
    stream.write_all(b"the answer").await.unwrap();
    assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 0);
    timeout(HOURS, stream.shutdown()).await.expect("bounded").unwrap();
    let left = left.lock().unwrap();
    assert!(left.ends_with(b"the answer"), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_never_flushes_is_given_up_after_both_ends_last_word() {
    let (here, mut there) = duplex(4096);
    let mut stream = Heartbeat::new(Buffered::new(here, HOURS), quick());
    there.write_all(&goodbye()).await.unwrap();
    stream.write_all(b"the answer").await.unwrap();
    assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 0);
    let begin = Instant::now();
    timeout(HOURS, stream.shutdown()).await.expect("bounded").unwrap();
    assert!(begin.elapsed() <= ms(202), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_large_write_leaves_while_another_task_reads() {
    let (here, mut there) = duplex(4096);
    let (mut from, mut to) = split(Heartbeat::new(here, Config::default()));
    let reader = tokio::spawn(async move { from.read(&mut [0; 10]).await });
    tokio::task::yield_now().await;
    to.write_all(&[7; 5000]).await.unwrap();
    // As after every write, nobody calls in the writer's task any more.
    let mut got = vec![0; data(5000).len()];
    timeout(ms(1), there.read_exact(&mut got)).await.expect("written").unwrap();
    assert!(got == data(5000));
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

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

static ABORTED: AtomicBool = AtomicBool::new(false);

#[tokio::test(start_paused = true)]
async fn a_large_write_that_fails_aborts_and_wakes_the_other_task() {
    let stream = Heartbeat::new(Broken, Config::default())
        .on_abort(|_| ABORTED.store(true, Ordering::Relaxed));
    let (mut from, mut to) = split(stream);
    let reader = tokio::spawn(async move { from.read(&mut [0; 10]).await });
    tokio::task::yield_now().await;
    to.write(&[7; 5000]).await.unwrap_err();
    assert!(ABORTED.load(Ordering::Relaxed));
    let error = timeout(ms(1), reader).await.expect("woken").unwrap().unwrap_err();
    assert_eq!(Ended::of(&error), Some(&Ended::Transport(ErrorKind::BrokenPipe)));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_one_half_finds_wakes_the_other_half_in_the_same_task() {
    let (mut from, mut to) = split(Heartbeat::new(Broken, Config::default()));
    let both = tokio::spawn(async move {
        let mut buf = [0; 10];
        join(from.read(&mut buf), to.write(b"x")).await.0
    });
    let read = timeout(ms(1), both).await.expect("woken").unwrap();
    assert_eq!(Ended::of(&read.unwrap_err()), Some(&Ended::Transport(ErrorKind::BrokenPipe)));
}

/// A clock that never stands still, and an alarm that never rings.
struct Ticking(Cell<u64>);

impl Timer for Ticking {
    fn now(&self) -> Timestamp {
        self.0.set(self.0.get() + 1);
        Timestamp::from_nanos(self.0.get())
    }

    fn set(&mut self, _: Timestamp) {}

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// Takes all, and gives what it has.
struct Given(Vec<u8>);

impl Transport for Given {
    fn poll_read(&mut self, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let len = self.0.len().min(buf.len());
        buf[..len].copy_from_slice(&self.0[..len]);
        self.0.drain(..len);
        if len == 0 { Poll::Pending } else { Poll::Ready(Ok(len)) }
    }

    fn poll_write(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn no_call_tells_the_machine_a_time_that_runs_back() {
    let over = || poll::Heartbeat::over(Given(data(1)), Ticking(Cell::new(1)), Config::default());
    let cx = &mut Context::from_waker(Waker::noop());

    let mut stream = over();
    assert!(core::pin::pin!(stream.verify()).poll(cx).is_pending());
    assert_eq!(stream.driver().machine().stats().clock_regressions, 0);

    let mut stream = over();
    assert!(stream.poll_shutdown(cx).is_ready());
    assert_eq!(stream.driver().machine().stats().clock_regressions, 0);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_slowly_is_not_convicted_for_answers_that_wait_unread() {
    let (here, there) = duplex(4096);
    let mut ours = Heartbeat::new(here, quick());
    let (mut from, mut to) = split(Heartbeat::new(there, quick()));
    // It has said more than we care to read now ...
    let speaker = tokio::spawn(async move { to.write_all(&vec![7; 100_000]).await });
    // ... and takes what we send at its leisure.
    let listener = tokio::spawn(async move {
        let mut buf = [0; 1000];
        while from.read(&mut buf).await? > 0 {
            sleep(ms(10)).await;
        }
        io::Result::Ok(())
    });
    ours.write_all(&vec![7; 200_000]).await.unwrap();
    drop(ours);
    speaker.abort();
    listener.abort();
}

// ----- Messages -----

struct Tungstenite;

impl Format for Tungstenite {
    type Message = Message;

    fn kind(message: &Message) -> Kind<'_> {
        match message {
            Message::Ping(payload) => Kind::Ping(payload),
            Message::Pong(payload) => Kind::Pong(payload),
            Message::Close(_) => Kind::Close,
            _ => Kind::Data,
        }
    }

    fn ping(payload: &[u8]) -> Message {
        Message::Ping(Bytes::copy_from_slice(payload))
    }
}

type Raw = WebSocketStream<DuplexStream>;
type Beating = message::Heartbeat<Raw, Tungstenite, TokioTimer>;

async fn raw_pair(space: usize) -> (Raw, Raw) {
    let (here, there) = duplex(space);
    let here = Raw::from_raw_socket(here, Role::Client, None).await;
    (here, Raw::from_raw_socket(there, Role::Server, None).await)
}

fn reason(error: &message::Error<tungstenite::Error>) -> Reason {
    match error {
        message::Error::Ended(Ended::Lost(report)) => report.reason,
        other => panic!("expected a verdict, found {other:?}"),
    }
}

/// Feeds until it fails.
async fn feed(here: &mut Beating) -> message::Error<tungstenite::Error> {
    loop {
        if let Err(error) = here.feed(Message::binary(vec![7; 200_000])).await {
            return error;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_refused_room_is_stalled_in_time() {
    let (here, _there) = raw_pair(64).await;
    let config = Config::builder().write_stall(ms(1000)).build().unwrap();
    let mut here = message::Heartbeat::over(Tungstenite, here, TokioTimer::new(), config);
    let begin = Instant::now();
    let error = timeout(HOURS, feed(&mut here)).await.expect("bounded");
    assert_eq!(reason(&error), Reason::WriteStalled);
    assert!(begin.elapsed() <= ms(1002), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_refused_room_and_does_not_read_is_stalled_in_time() {
    let (here, mut there) = raw_pair(4096).await;
    let config = Config::builder().interval(ms(100)).timeout(ms(400)).write_stall(ms(1000));
    let config = config.build().unwrap();
    let mut here = message::Heartbeat::over(Tungstenite, here, TokioTimer::new(), config);
    for _ in 0..70 {
        there.send(Message::binary(vec![7])).await.unwrap();
    }
    let begin = Instant::now();
    let error = timeout(HOURS, feed(&mut here)).await.expect("bounded");
    assert_eq!(reason(&error), Reason::WriteStalled);
    // The first judgement since the inbox was full is a late call, which grants a window.
    assert!(
        begin.elapsed() <= ms(1000) + config.response_window() + ms(5),
        "{:?}",
        begin.elapsed()
    );
}
