//! The message adapter with WebSocket libraries: tokio-tungstenite on both sides, axum as a server,
//! and plain peers that do not know this crate. Mostly in paused time, where everything is exact.
#![cfg(all(feature = "tokio", feature = "message"))]
#![allow(clippy::disallowed_methods, reason = "the tests measure the runtime's time")]

use core::time::Duration;

use axum::extract::ws;
use futures_util::{SinkExt, StreamExt};
use heartbeat_proto::adapter::message::{Error, Format, Heartbeat, Kind, Meter, Metered};
use heartbeat_proto::adapter::tokio::TokioTimer;
use heartbeat_proto::adapter::{Ended, Setup};
use heartbeat_proto::{Config, FirstPing, LifeRule, Liveness, Reason, Report};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy, duplex, split};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{self, Bytes, Message};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

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

    fn weight(message: &Message) -> usize {
        message.len()
    }
}

struct Axum;

impl Format for Axum {
    type Message = ws::Message;

    fn kind(message: &ws::Message) -> Kind<'_> {
        match message {
            ws::Message::Ping(payload) => Kind::Ping(payload),
            ws::Message::Pong(payload) => Kind::Pong(payload),
            ws::Message::Close(_) => Kind::Close,
            _ => Kind::Data,
        }
    }

    fn ping(payload: &[u8]) -> ws::Message {
        ws::Message::Ping(Bytes::copy_from_slice(payload))
    }
}

type Raw<S = DuplexStream> = WebSocketStream<S>;
type Beating<S = DuplexStream> = Heartbeat<Raw<S>, Tungstenite, TokioTimer>;

/// Pings each 100 ms, a verdict after 400 ms.
fn quick() -> Config {
    Config::builder()
        .interval(ms(100))
        .timeout(ms(400))
        .first_ping(FirstPing::AfterInterval)
        .jitter_percent(0)
        .build()
        .unwrap()
}

async fn raw(stream: DuplexStream, role: Role) -> Raw {
    Raw::from_raw_socket(stream, role, None).await
}

async fn raw_pair(space: usize) -> (Raw, Raw) {
    let (here, there) = duplex(space);
    (raw(here, Role::Client).await, raw(there, Role::Server).await)
}

fn beating(socket: Raw, config: Config) -> Beating {
    Heartbeat::over(Tungstenite, socket, TokioTimer::new(), config)
}

fn clock() -> Instant {
    Instant::now()
}

fn lost(error: &Error<tungstenite::Error>) -> Report {
    match error {
        Error::Ended(Ended::Lost(report)) => *report,
        other => panic!("expected a verdict, found {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn two_ends_talk_and_beat_for_an_hour_and_the_application_sees_no_ping() {
    let (here, there) = raw_pair(4096).await;
    let (mut here, mut there) = (beating(here, quick()), beating(there, quick()));
    let echo = tokio::spawn(async move {
        let mut count = 0;
        while let Some(message) = there.next().await {
            there.send(message.unwrap()).await.unwrap();
            count += 1;
        }
        count
    });
    for minute in 0..60 {
        assert!(timeout(ms(60_000), here.drive()).await.is_err(), "minute {minute}");
        let words = format!("minute {minute}");
        here.send(Message::text(words.clone())).await.unwrap();
        assert_eq!(here.next().await.unwrap().unwrap(), Message::text(words));
    }
    let stats = *here.driver().machine().stats();
    assert!(stats.pings_sent > 30_000, "{stats:?}");
    assert_eq!(stats.pongs_received, stats.pings_sent, "{stats:?}");
    assert_eq!(here.driver().liveness(), Liveness::Alive);
    here.close().await.unwrap();
    assert!(here.next().await.is_none());
    // A close is no failure of the library, whoever writes after it.
    let late = here.send(Message::text("too late")).await.unwrap_err();
    assert!(matches!(late, Error::Ended(Ended::Closed(_))), "{late:?}");
    assert_eq!(echo.await.unwrap(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_never_polled_is_lost_at_the_promised_moment() {
    let (here, _there) = raw_pair(4096).await;
    let mut here = beating(here, quick());
    let since = clock();
    let error = here.next().await.unwrap().unwrap_err();
    assert_eq!(lost(&error).reason, Reason::NoResponse);
    // Tokio's timers have a resolution of a millisecond.
    assert!((ms(400)..=ms(402)).contains(&since.elapsed()), "{:?}", since.elapsed());
    assert!(here.get_ref().is_none(), "the socket is dropped, not closed");
    assert!(matches!(here.send(Message::text("too late")).await, Err(Error::Ended(_))));
}

#[tokio::test(start_paused = true)]
async fn a_plain_peer_that_only_reads_lives() {
    let (here, mut there) = raw_pair(4096).await;
    let mut here = beating(here, quick());
    let peer = tokio::spawn(async move { while let Some(Ok(_)) = there.next().await {} });
    assert!(timeout(ms(60_000), here.drive()).await.is_err());
    let rtt = here.driver().machine().rtt();
    assert!(rtt.smoothed().expect("pongs give round trips") < ms(2), "{rtt:?}");
    here.close().await.unwrap();
    peer.await.unwrap();
}

/// A plain peer that pings, and demands each pong, flushed, within 50 ms.
async fn demanding(mut peer: Raw, pings: u32) {
    for n in 0..pings {
        peer.send(Message::Ping(n.to_be_bytes().to_vec().into())).await.unwrap();
        let answered = timeout(ms(50), async {
            loop {
                match peer.next().await.unwrap().unwrap() {
                    Message::Pong(payload) if payload[..] == n.to_be_bytes() => break,
                    _ => {}
                }
            }
        });
        answered.await.unwrap_or_else(|_| panic!("ping {n} was not answered"));
        sleep(ms(100)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_only_reads_answers_pings() {
    let (here, there) = raw_pair(4096).await;
    let mut here = beating(here, quick());
    tokio::select! {
        message = here.next() => panic!("{message:?}"),
        () = demanding(there, 50) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_only_writes_answers_pings() {
    let (here, there) = raw_pair(4096).await;
    let mut here = beating(here, quick());
    let write = async {
        loop {
            here.send(Message::text("news")).await.unwrap();
            sleep(ms(10)).await;
        }
    };
    tokio::select! {
        () = write => {}
        () = demanding(there, 50) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_does_neither_answers_pings() {
    let (here, there) = raw_pair(4096).await;
    let mut here = beating(here, quick());
    tokio::select! {
        end = here.drive() => panic!("{end:?}"),
        () = demanding(there, 50) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_a_stalled_writer() {
    let (here, there) = raw_pair(1024).await;
    let mut here = beating(here, quick());
    let since = clock();
    let error = loop {
        if let Err(error) = here.send(Message::binary(vec![7; 300])).await {
            break error;
        }
    };
    let report = lost(&error);
    assert_eq!(report.reason, Reason::WriteStalled, "{report}");
    assert!(since.elapsed() <= quick().worst_case_detection() + ms(5), "{:?}", since.elapsed());
    drop(there);
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_close_is_told_and_so_is_the_librarys_error() {
    let (here, there) = raw_pair(4096).await;
    let mut here = beating(here, quick());
    drop(there);
    let error = here.next().await.unwrap().unwrap_err();
    // The library's word: "reset without closing handshake".
    assert!(matches!(error, Error::Library(tungstenite::Error::Protocol(_))), "{error:?}");
    assert!(matches!(here.next().await, Some(Err(Error::Ended(Ended::Transport(_))))));
}

#[tokio::test(start_paused = true)]
async fn closing_is_bounded_where_the_peer_reads_nothing() {
    let (here, there) = raw_pair(64).await;
    let config = Config::builder().interval(ms(100)).timeout(ms(400)).drain_limit(ms(300));
    let mut here = beating(here, config.build().unwrap());
    here.feed(Message::binary(vec![7; 4096])).await.unwrap();
    let since = clock();
    let _ = here.close().await;
    assert!(since.elapsed() <= ms(310), "{:?}", since.elapsed());
    drop(there);
}

/// A message of `len` bytes passes a slow link, 1000 bytes each 10 ms; then the link is idle.
async fn through_a_slow_link(len: usize, meter: Option<Meter>) -> Result<usize, Reason> {
    let (here, near) = duplex(1000);
    let (far, there) = duplex(1000);
    let ((mut pings, mut arriving), (mut leaving, mut pinged)) = (split(near), split(far));
    let link = tokio::spawn(async move {
        let mut buf = [0; 1000];
        while let Ok(len @ 1..) = leaving.read(&mut buf).await {
            sleep(ms(len as u64 / 100)).await;
            if arriving.write_all(&buf[..len]).await.is_err() {
                return;
            }
        }
    });
    // The sender reads nothing while it sends: this direction fills up, and must not hold the other.
    let back = tokio::spawn(async move { copy(&mut pings, &mut pinged).await });
    let mut sender = raw(there, Role::Server).await;
    let send = tokio::spawn(async move {
        let _ = sender.send(Message::binary(vec![7; len])).await;
        while let Some(Ok(_)) = sender.next().await {}
    });
    let config = Config::builder()
        .interval(ms(250))
        .timeout(ms(1000))
        .life_rule(LifeRule::AnyByte)
        .build()
        .unwrap();
    let setup = Setup::new(config);
    let counted = meter.clone().unwrap_or_default();
    let socket: Raw<Metered<DuplexStream>> =
        WebSocketStream::from_raw_socket(counted.wrap(here), Role::Client, None).await;
    let mut here: Beating<Metered<DuplexStream>> =
        Heartbeat::over(Tungstenite, socket, TokioTimer::new(), setup);
    if let Some(meter) = meter {
        here = here.metered(meter);
    }
    let got = here.next().await.unwrap();
    link.abort();
    back.abort();
    send.abort();
    got.map(|message| message.len()).map_err(|error| lost(&error).reason)
}

#[tokio::test(start_paused = true)]
async fn a_megabyte_that_crawls_in_is_life_where_the_bytes_are_counted() {
    // 100 kB/s: ten seconds for one message, with a limit of one second.
    assert_eq!(through_a_slow_link(1_000_000, Some(Meter::default())).await, Ok(1_000_000));
    // Without the meter the same peer is convicted: this is what it is for.
    let blind = through_a_slow_link(1_000_000, None).await;
    assert!(blind.is_err(), "{blind:?}");
}

/// Axum as the server, tungstenite as the client, over TCP.
#[tokio::test]
async fn an_axum_server_and_a_tungstenite_client() {
    async fn serve(socket: ws::WebSocket) {
        let mut socket = Heartbeat::over(Axum, socket, TokioTimer::new(), patient());
        while let Some(Ok(message)) = socket.next().await {
            socket.send(message).await.unwrap();
        }
        assert!(socket.driver().machine().stats().pongs_received > 0);
        assert_eq!(socket.driver().liveness(), Liveness::Closed);
    }
    fn patient() -> Config {
        let config = Config::builder().interval(ms(100)).timeout(ms(6100)).attempts(15);
        config
            .suspect_interval(ms(100))
            .jitter_percent(0)
            .first_ping(FirstPing::Immediate)
            .build()
            .unwrap()
    }
    let app = axum::Router::new().route(
        "/",
        axum::routing::get(|upgrade: ws::WebSocketUpgrade| async { upgrade.on_upgrade(serve) }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    let (socket, _) =
        tokio_tungstenite::client_async(format!("ws://{address}/"), tcp).await.unwrap();
    let mut socket = Heartbeat::over(Tungstenite, socket, TokioTimer::new(), patient());
    for n in 0..5 {
        let words = Message::text(format!("message {n}"));
        socket.send(words.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), words);
        assert!(timeout(ms(120), socket.drive()).await.is_err());
    }
    let stats = *socket.driver().machine().stats();
    assert!(stats.pongs_received >= 2, "{stats:?}");
    socket.close().await.unwrap();
    assert!(socket.next().await.is_none());
    server.abort();
}

/// Large messages that nobody reads are left with the library and its peer, and the first of them
/// come whole and in order.
#[tokio::test(start_paused = true)]
async fn unread_messages_are_bounded_by_their_bytes() {
    let (here, mut there) = raw_pair(4096).await;
    let mut here = beating(here, quick());
    let (sent, mut count) = tokio::sync::watch::channel(0);
    let sender = tokio::spawn(async move {
        for n in 0..20_u8 {
            there.send(Message::binary(vec![n; 50_000])).await.unwrap();
            sent.send(n + 1).unwrap();
        }
        while let Some(Ok(_)) = there.next().await {}
    });
    assert!(timeout(ms(5000), here.drive()).await.is_err(), "nobody is judged meanwhile");
    assert!(*count.borrow_and_update() <= 3, "two messages are kept, one is under way");
    for n in 0..20_u8 {
        assert_eq!(here.next().await.unwrap().unwrap(), Message::binary(vec![n; 50_000]));
    }
    sender.abort();
}
