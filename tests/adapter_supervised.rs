//! The supervised tokio adapter: on in-memory pipes in paused time, where everything is exact, and
//! on a loopback socket whose server restarts.
#![cfg(feature = "tokio")]
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

use core::future::{Future, pending};
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};

use heartbeat_proto::adapter::tokio::{GaveUp, Heartbeat, Supervised};
use heartbeat_proto::adapter::{Ended, Setup};
use heartbeat_proto::backoff::{Budget, Cause, Jitter, Policies, Policy};
use heartbeat_proto::supervisor::{Plan, Step, Why};
use heartbeat_proto::{Config, Liveness};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[expect(clippy::disallowed_methods, reason = "the test measures the runtime's time")]
fn clock() -> Instant {
    Instant::now()
}

fn constant(span: Duration) -> Policy {
    Policy::constant(span).jitter(Jitter::NONE).build().unwrap()
}

/// One second after everything; 2 s for a connect; stable after 5 s.
fn plan() -> Plan {
    plan_with(&Policies::all(constant(secs(1))).on(Cause::Rejected, Policy::NEVER))
}

fn plan_with(policies: &Policies) -> Plan {
    let builder = Plan::builder().policies(*policies);
    builder.handshake_limit(secs(2)).stable_after(secs(5)).build().unwrap()
}

/// A verdict within half a second.
fn quick() -> Config {
    Config::builder().interval(ms(100)).timeout(ms(400)).build().unwrap()
}

/// What was told, with seconds since the beginning.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn of<S>(&self, it: Supervised<S>) -> Supervised<S>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let (log, begun) = (self.clone(), clock());
        it.on_step(move |step| {
            let word = match step {
                Step::Connect { attempt, .. } => format!("connect {attempt}"),
                Step::Run { attempt } => format!("run {attempt}"),
                Step::Wait { cause, .. } => format!("wait {}", cause.unwrap()),
                Step::Over(outcome) => format!("over {}", outcome.why.code()),
                _ => unreachable!(),
            };
            let at = begun.elapsed_secs();
            log.0.lock().unwrap().push(format!("{at} {word}"));
        })
    }

    fn told(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

trait Seconds {
    fn elapsed_secs(&self) -> String;
}

impl Seconds for Instant {
    /// In tenths, rounded down: timers go by milliseconds.
    fn elapsed_secs(&self) -> String {
        let tenths = clock().duration_since(*self).as_millis() / 100;
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

/// A server in memory: `connect` gives it the other end.
fn server() -> (mpsc::UnboundedSender<DuplexStream>, mpsc::UnboundedReceiver<DuplexStream>) {
    mpsc::unbounded_channel()
}

fn dial(server: &mpsc::UnboundedSender<DuplexStream>) -> io::Result<DuplexStream> {
    let (here, there) = duplex(1024);
    server.send(there).map_err(|_| ErrorKind::ConnectionRefused)?;
    Ok(here)
}

/// Lives on one connection after the other, until there is no more.
async fn live<C: Future<Output = io::Result<DuplexStream>>>(
    it: &mut Supervised<DuplexStream>,
    mut connect: impl FnMut() -> C,
) -> GaveUp {
    loop {
        match it.connected(&mut connect).await {
            // How it ended is known without being told.
            Ok(heart) => drop(heart.drive().await),
            Err(gave_up) => return gave_up,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_tries_until_it_succeeds_and_is_done() {
    let (server, mut accept) = server();
    let echo = tokio::spawn(async move {
        let mut heart = Heartbeat::new(accept.recv().await.unwrap(), quick());
        let mut buf = [0; 4];
        heart.read_exact(&mut buf).await.unwrap();
        heart.write_all(&buf).await.unwrap();
        heart.flush().await.unwrap();
        assert_eq!(heart.read(&mut buf).await.unwrap(), 0, "a goodbye, not an abort");
        heart.close().await
    });
    let log = Log::default();
    let mut it = log.of(Supervised::new(quick(), plan()));
    assert!(it.heartbeat().is_none());
    let mut tries = 0;
    let connect = || {
        tries += 1;
        let refused = tries <= 2;
        let server = &server;
        async move { if refused { Err(ErrorKind::ConnectionRefused.into()) } else { dial(server) } }
    };
    let heart = it.connected(connect).await.unwrap();
    heart.write_all(b"ping").await.unwrap();
    let mut answer = [0; 4];
    heart.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"ping");
    let connect = || async { panic!("the connection lives") };
    assert!(it.connected(connect).await.is_ok() && it.heartbeat().is_some());
    it.close().await.unwrap();
    echo.await.unwrap().unwrap();
    assert_eq!(
        log.told(),
        [
            "0.0 connect 1",
            "0.0 wait refused",
            "1.0 connect 2",
            "1.0 wait refused",
            "2.0 connect 3",
            "2.0 run 3",
            "2.0 over stopped"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_hangs_is_abandoned_at_its_limit() {
    struct Dropped(Arc<Mutex<Vec<Duration>>>, Instant);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(clock().duration_since(self.1));
        }
    }
    let (begun, dropped) = (clock(), Arc::<Mutex<Vec<Duration>>>::default());
    let twice = Policy::constant(secs(1)).jitter(Jitter::NONE).tries(2).build().unwrap();
    let mut it = Supervised::<DuplexStream>::new(quick(), plan_with(&Policies::all(twice)));
    let connect = || async {
        let _guard = Dropped(Arc::clone(&dropped), begun);
        pending().await
    };
    let gave_up = live(&mut it, connect).await;
    assert_eq!(gave_up.outcome.why, Why::TriesSpent);
    assert_eq!((gave_up.outcome.cause, gave_up.outcome.attempts), (Cause::HandshakeTimeout, 3));
    assert_eq!(gave_up.last_error.unwrap().kind(), ErrorKind::TimedOut);
    // The limit is passed a nanosecond after it, and the timer goes by milliseconds.
    let limits = dropped.lock().unwrap().clone();
    for (dropped, limit) in limits.iter().zip([secs(2), secs(5), secs(8)]) {
        assert!(*dropped > limit && *dropped <= limit + ms(10), "{limits:?}");
    }
    assert_eq!(limits.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn it_comes_back_after_every_end_with_what_it_learnt() {
    let (server, mut accept) = server();
    let peer = tokio::spawn(async move {
        // A goodbye ...
        let mut heart = Heartbeat::new(accept.recv().await.unwrap(), quick());
        assert!(timeout(secs(1), heart.drive()).await.is_err());
        heart.close().await.unwrap();
        // ... a death ...
        let mut heart = Heartbeat::new(accept.recv().await.unwrap(), quick());
        assert!(timeout(secs(1), heart.drive()).await.is_err());
        drop(heart);
        // ... a silence ...
        let silent = accept.recv().await.unwrap();
        let mut rude = accept.recv().await.unwrap();
        drop(silent);
        // ... and nonsense.
        rude.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let mut heart = Heartbeat::new(accept.recv().await.unwrap(), quick());
        heart.drive().await.unwrap();
        heart.close().await
    });
    let log = Log::default();
    let mut it = log.of(Supervised::new(Setup::new(quick()).seed(1), plan()));
    let mut lives = Vec::new();
    while lives.len() < 5 {
        let heart = it.connected(|| async { dial(&server) }).await.unwrap();
        let machine = heart.driver().machine();
        lives.push((machine.liveness(), machine.state().epoch(), machine.rtt().smoothed()));
        // On the last one, for a while.
        let _ = timeout(secs(2), heart.drive()).await;
    }
    it.close().await.unwrap();
    peer.await.unwrap().unwrap();
    let words = log.told();
    let waits = words.iter().filter_map(|word| Some(word.split_once("wait ")?.1));
    let causes: Vec<_> = waits.collect();
    assert_eq!(causes, ["goodbye", "abrupt", "no_response", "bad_frame"], "{words:?}");
    assert_eq!(lives[0].0, Liveness::Starting);
    assert!(lives[0].2.is_none() && lives[1..].iter().all(|life| life.2.is_some()), "{lives:?}");
    for pair in lives.windows(2) {
        assert_eq!((pair[1].0, pair[1].1), (Liveness::Recovering, pair[0].1.wrapping_add(1)));
    }
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_with_the_last_error() {
    let mut it = Supervised::<DuplexStream>::new(quick(), plan());
    let connect = || async { Err(io::Error::new(ErrorKind::PermissionDenied, "bad token")) };
    let gave_up = live(&mut it, connect).await;
    assert_eq!((gave_up.outcome.why, gave_up.outcome.cause), (Why::Never, Cause::Rejected));
    assert!(gave_up.to_string().starts_with("never (rejected): 1 connects"), "{gave_up}");
    assert_eq!(io::Error::from(gave_up).to_string(), "bad token");
    let again = live(&mut it, || async { panic!("for ever") }).await;
    assert_eq!((again.outcome.why, again.last_error.is_none()), (Why::Never, true));
    assert_eq!(io::Error::from(again).kind(), ErrorKind::NotConnected);

    // A verdict is still a verdict.
    let (server, mut accept) = server();
    let mut it = Supervised::new(quick(), plan_with(&Policies::all(Policy::NEVER)));
    let gave_up = live(&mut it, || async { dial(&server) }).await;
    let _silent = accept.recv().await;
    let error = io::Error::from(gave_up);
    assert!(matches!(Ended::of(&error), Some(Ended::Lost(_))), "{error}");
}

/// What the application says counts only where the connection says nothing; and it gets a goodbye.
#[tokio::test(start_paused = true)]
async fn an_application_that_fails_takes_its_connection_along() {
    let (server, mut accept) = server();
    let peer = tokio::spawn(async move {
        let mut ends = Vec::new();
        while let Some(stream) = accept.recv().await {
            let mut heart = Heartbeat::new(stream, quick());
            ends.push(heart.drive().await.is_ok());
            let _ = heart.close().await;
        }
        ends
    });
    let policies = Policies::all(constant(secs(1))).on(Cause::BadFrame, constant(secs(60)));
    let log = Log::default();
    let mut it = log.of(Supervised::new(quick(), plan_with(&policies)));
    it.failed(ErrorKind::InvalidData.into()); // There is none: no effect.
    for life in 1..=4 {
        let heart = it.connected(|| async { dial(&server) }).await.unwrap();
        assert!(timeout(ms(500), heart.drive()).await.is_err());
        match life {
            1 => it.failed(io::Error::new(ErrorKind::InvalidData, "no JSON")),
            2 => it.failed(io::Error::other("what now?")),
            // Its own close is no wish to end it all.
            3 => heart.shutdown().await.unwrap(),
            _ => assert_eq!(heart.driver().liveness(), Liveness::Alive),
        }
    }
    it.close().await.unwrap();
    drop(server);
    assert_eq!(peer.await.unwrap(), [true; 4], "each got a goodbye");
    let told = log.told();
    let waits: Vec<_> = told.iter().filter(|word| word.contains("wait")).collect();
    assert_eq!(waits, ["0.5 wait bad_frame", "61.0 wait transport", "62.5 wait goodbye"]);
}

/// Between two calls nothing begins: an attempt's limit would run with nobody connecting.
#[tokio::test(start_paused = true)]
async fn an_attempt_begins_with_a_call() {
    let (server, _accept) = server();
    let at_once = Policies::all(Policy::immediate().tries(9).build().unwrap());
    let mut it = Supervised::new(Config::lan(), plan_with(&at_once));
    it.connected(|| async { dial(&server) }).await.unwrap();
    it.failed(ErrorKind::Other.into());
    it.failed(ErrorKind::Other.into()); // Told twice.
    sleep(secs(60)).await;
    it.connected(|| async { dial(&server) }).await.unwrap();
    assert_eq!((it.supervisor().running(), it.supervisor().retries()), (Some(2), 1));
}

/// Dropped at any moment, and called again, it goes on where it was.
#[tokio::test(start_paused = true)]
async fn it_may_be_cancelled_at_any_moment() {
    for step in [ms(1), ms(70), ms(333), ms(700)] {
        let (server, mut accept) = server();
        let peer = tokio::spawn(async move {
            let mut lives = 0;
            while let Some(stream) = accept.recv().await {
                lives += 1;
                let mut heart = Heartbeat::new(stream, quick());
                if lives < 3 {
                    assert!(timeout(secs(2), heart.drive()).await.is_err());
                } else {
                    let _ = heart.drive().await;
                }
                let _ = heart.close().await;
            }
            lives
        });
        let log = Log::default();
        let mut it = log.of(Supervised::new(quick(), plan()));
        let mut tries = 0;
        let begun = clock();
        while clock().duration_since(begun) < secs(9) {
            // Each cut falls before, in or after a connect, a wait, a life.
            let server = &server;
            let connect = || {
                tries += 1;
                async move {
                    sleep(step * 2 / 3).await;
                    dial(server)
                }
            };
            let live = async { it.connected(connect).await.unwrap().drive().await };
            let _ = timeout(step, live).await;
        }
        it.close().await.unwrap();
        drop(server);
        assert_eq!(peer.await.unwrap(), 3, "no connection more than needed; {tries} tries");
        let told = log.told();
        let words: Vec<_> = told.iter().map(|word| word.split_once(' ').unwrap().1).collect();
        let once = [
            ["connect 1", "run 1", "wait goodbye"],
            ["connect 2", "run 2", "wait goodbye"],
            ["connect 3", "run 3", "over stopped"],
        ];
        assert_eq!(words, once.concat(), "each told once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_hastens_and_stops() {
    let log = Log::default();
    let slow = plan_with(&Policies::all(constant(secs(1000))));
    let mut it = log.of(Supervised::<DuplexStream>::new(quick(), slow));
    let handle = it.handle();
    let helper = async {
        sleep(secs(1)).await;
        handle.retry_now(); // While connecting: counts for the wait that follows.
        sleep(secs(9)).await;
        handle.retry_now(); // While waiting.
        sleep(secs(10)).await;
        handle.stop();
    };
    let connect = || async {
        sleep(ms(1500)).await;
        Err(ErrorKind::NetworkUnreachable.into())
    };
    let (gave_up, ()) = tokio::join!(live(&mut it, connect), helper);
    assert_eq!(gave_up.outcome.why, Why::Stopped);
    assert_eq!(
        log.told(),
        [
            "0.0 connect 1",
            "1.5 wait refused",
            "1.5 connect 2",
            "3.0 wait refused",
            "10.0 connect 3",
            "11.5 wait refused",
            "20.0 over stopped"
        ]
    );
    // While connecting.
    let mut it = Supervised::<DuplexStream>::new(quick(), plan());
    let handle = it.handle();
    let (begun, connect) = (clock(), || async { pending().await });
    let stop = async {
        sleep(ms(700)).await;
        handle.stop();
    };
    let (gave_up, ()) = tokio::join!(live(&mut it, connect), stop);
    assert_eq!((gave_up.outcome.why, gave_up.outcome.established), (Why::Stopped, 0));
    assert_eq!(begun.elapsed_secs(), "0.7");
}

/// While connected a wish to hurry is none, and a stop is heeded at the next call: the peer gets
/// its goodbye.
#[tokio::test(start_paused = true)]
async fn a_handle_waits_for_the_application() {
    let (server, mut accept) = server();
    let peer = tokio::spawn(async move {
        for _ in 0..2 {
            let mut heart = Heartbeat::new(accept.recv().await.unwrap(), quick());
            let _ = timeout(secs(1), heart.drive()).await;
            heart.close().await.unwrap();
        }
    });
    let log = Log::default();
    let mut it = log.of(Supervised::new(quick(), plan()));
    let handle = it.handle();
    let heart = it.connected(|| async { dial(&server) }).await.unwrap();
    handle.retry_now();
    heart.drive().await.unwrap();
    let heart = it.connected(|| async { dial(&server) }).await.unwrap();
    handle.stop();
    assert!(timeout(ms(300), heart.drive()).await.is_err());
    let gave_up = it.connected(|| async { dial(&server) }).await.unwrap_err();
    assert_eq!((gave_up.outcome.why, gave_up.outcome.established), (Why::Stopped, 2));
    peer.await.unwrap();
    assert_eq!(
        log.told()[2..],
        ["1.0 wait goodbye", "2.0 connect 2", "2.0 run 2", "2.3 over stopped"]
    );
}

/// A server that accepts and dies is left alone for longer and longer, one that was good is not.
#[tokio::test(start_paused = true)]
async fn only_a_stable_connection_is_a_success() {
    let (server, mut accept) = server();
    let peer = tokio::spawn(async move {
        // The fifth is good for longer than the 5 s.
        for life in [ms(300), ms(300), ms(300), ms(300), secs(7), ms(300), ms(300)] {
            let mut heart = Heartbeat::new(accept.recv().await.unwrap(), quick());
            assert!(timeout(life, heart.drive()).await.is_err());
        }
        pending::<()>().await;
    });
    let doubled = Policy::exponential(secs(1)).jitter(Jitter::NONE).build().unwrap();
    let log = Log::default();
    let mut it = log.of(Supervised::new(quick(), plan_with(&Policies::all(doubled))));
    assert!(timeout(secs(25), live(&mut it, || async { dial(&server) })).await.is_err());
    peer.abort();
    let told = log.told();
    let runs: Vec<_> = told.iter().filter(|word| word.contains("run")).collect();
    // 0.3 + 1, 0.3 + 2, 0.3 + 4, 0.3 + 8, 7 + 1 (set back), 0.3 + 2.
    let expected = ["0.0 run 1", "1.3 run 2", "3.6 run 3", "7.9 run 4", "16.2 run 5", "24.2 run 6"];
    assert_eq!(runs, expected, "{told:?}");
}

/// On real sockets: the server restarts at its address, and the client, in a task of its own, goes
/// on where it was.
#[tokio::test]
async fn a_server_that_restarts_gets_its_client_back() {
    async fn serve(listener: TcpListener, answer: &[u8]) -> io::Result<()> {
        let mut heart = Heartbeat::tcp(listener.accept().await?.0, Config::lan())?;
        drop(listener);
        let mut question = [0; 1];
        heart.read_exact(&mut question).await?;
        heart.write_all(answer).await?;
        heart.flush().await?;
        sleep(ms(50)).await;
        heart.close().await
    }
    async fn ask(heart: &mut Heartbeat<TcpStream>) -> io::Result<u8> {
        heart.write_all(b"?").await?;
        let mut answer = [0; 1];
        heart.read_exact(&mut answer).await?;
        Ok(answer[0])
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let few = Policy::exponential(ms(20)).cap(ms(200)).build().unwrap();
    // Each refused connect takes a try.
    let budget = Budget::new(1000, ms(1)).unwrap();
    let plan = Plan::builder().policies(Policies::all(few)).budget(budget).build().unwrap();
    let steps = Arc::<Mutex<Vec<Step>>>::default();
    let told = Arc::clone(&steps);
    let client = tokio::spawn(async move {
        let mut it = Supervised::tcp(Config::lan(), plan)
            .on_step(move |step| told.lock().unwrap().push(*step));
        let mut answers = Vec::new();
        while answers.len() < 3 {
            let heart = it.connected(|| TcpStream::connect(address)).await?;
            assert!(heart.get_ref().unwrap().nodelay()?, "each connection is tuned");
            match ask(heart).await {
                Ok(answer) => answers.push(answer),
                Err(error) => it.failed(error),
            }
            if answers.len() < 3 {
                // Until the goodbye.
                if let Some(heart) = it.heartbeat() {
                    heart.drive().await?;
                }
            }
        }
        it.close().await?;
        Ok::<_, io::Error>(answers)
    });
    serve(listener, b"1").await.unwrap();
    // Down for a while: the client is refused.
    sleep(ms(300)).await;
    let listener = TcpListener::bind(address).await.unwrap();
    serve(listener, b"2").await.unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    let last = tokio::spawn(serve(listener, b"3"));
    let answers = timeout(secs(30), client).await.expect("in time").unwrap().unwrap();
    assert_eq!(answers, b"123");
    last.await.unwrap().unwrap();
    let steps = steps.lock().unwrap();
    let waited = |cause| {
        let is = |step: &Step| matches!(step, Step::Wait { cause: Some(why), .. } if *why == cause);
        steps.iter().filter(|step| is(step)).count()
    };
    assert!(waited(Cause::Goodbye) == 2 && waited(Cause::Refused) >= 1, "{steps:?}");
}

/// What it is asked to do before a stream is dropped without a goodbye, for each of them.
#[tokio::test(start_paused = true)]
async fn every_aborted_stream_is_treated_as_was_asked() {
    static ABORTED: AtomicUsize = AtomicUsize::new(0);
    let (server, _silent) = server();
    let it = Supervised::new(quick(), plan());
    let mut it = it.on_abort(|_| {
        ABORTED.fetch_add(1, Ordering::Relaxed);
    });
    for aborted in 1..=2 {
        let heart = it.connected(|| async { dial(&server) }).await.unwrap();
        let ended = heart.drive().await.unwrap_err();
        assert!(matches!(Ended::of(&ended), Some(Ended::Lost(_))), "{ended}");
        assert_eq!(ABORTED.load(Ordering::Relaxed), aborted);
    }
}

/// While it waits to try again no stream is held: descriptors of the dead would add up.
#[tokio::test(start_paused = true)]
async fn no_stream_is_held_while_it_waits() {
    let (here, mut there) = duplex(1000);
    let mut here = Some(here);
    let mut client = Supervised::<DuplexStream>::new(quick(), plan());
    client
        .connected(|| core::future::ready(here.take().ok_or(ErrorKind::Other.into())))
        .await
        .unwrap();
    client.failed(ErrorKind::Other.into());
    there.write_all(b"still there?").await.expect("the stream is there");
    // It says goodbye and waits for a second.
    let waits = timeout(ms(500), client.connected(pending::<io::Result<DuplexStream>>)).await;
    assert!(waits.is_err());
    let error = there.write_all(b"still there?").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}
