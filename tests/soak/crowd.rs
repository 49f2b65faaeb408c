//! Thousands of live connections over loopback at once.

use core::time::Duration;
use std::io;

use allocation_counter::measure;
use heartbeat_proto::Config;
use heartbeat_proto::adapter::tokio::Heartbeat;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::held;

/// Descriptors for whatever else.
const SPARE: u64 = 50;

/// As many connections as the system allows.
fn allowed(connections: u64) -> u64 {
    let wanted = connections * 2 + SPARE;
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let raise = |current, hard| {
        setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: Some(hard) })
    };
    // Root may raise the hard limit as well.
    let _ = raise(wanted, hard.max(wanted)).or_else(|_| raise(wanted.min(hard), hard));
    let got = getrlimit(Resource::Nofile).current.unwrap_or(wanted);
    (got.saturating_sub(SPARE) / 2).min(connections)
}

/// How one end fared.
struct Fared {
    failed: Option<io::Error>,
    late: Duration,
    pings: u64,
}

/// Lives until it is time, then closes.
async fn live(mut beat: Heartbeat<TcpStream>, span: Duration) -> Fared {
    let failed = timeout(span, beat.drive()).await.ok().and_then(Result::err);
    let machine = beat.driver().machine();
    let (late, pings) = (machine.lateness().max(), machine.stats().pings_sent);
    // The other end closes at the same time.
    let closed = if failed.is_none() { beat.close().await.err() } else { None };
    Fared { failed: failed.or(closed), late, pings }
}

pub(super) fn run(connections: u64, seconds: u64) {
    let asked = connections;
    let connections = allowed(connections);
    if connections < asked {
        println!("SKIP: {asked} connections; the limit of descriptors allows {connections}");
    }
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let span = Duration::from_secs(seconds);
    let config = Config::wan(); // Every 5 s, dead after 20 s.
    let play = |connections: u64, span: Duration| {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let mut ends = JoinSet::new();
            for _ in 0..connections {
                let (here, there) = tokio::join!(TcpStream::connect(address), listener.accept());
                for socket in [here.expect("connected"), there.expect("accepted").0] {
                    let beat = Heartbeat::tcp(socket, config).expect("a tuned socket");
                    ends.spawn(live(beat, span));
                }
            }
            let crowd = held();
            let (mut late, mut pings) = (Duration::ZERO, 0);
            while let Some(end) = ends.join_next().await {
                let fared = end.expect("no panic");
                assert!(fared.failed.is_none(), "a living peer was given up: {:?}", fared.failed);
                (late, pings) = (late.max(fared.late), pings + fared.pings);
            }
            (crowd, late, pings)
        })
    };
    play(10, Duration::from_millis(100)); // Whatever is allocated once.
    let before = held();
    let mut during = None;
    let counted = measure(|| during = Some(play(connections, span)));
    let (after, (crowd, late, pings)) = (held(), during.expect("it was played"));
    println!(
        "crowd: {connections} connections for {seconds} s, {pings} pings, nobody died, a timer was \
         at most {late:?} late; allocations left {}, bytes left {}, at most {} bytes at once; \
         tasks left {}; {before:?} -> {crowd:?} -> {after:?}",
        counted.count_current,
        counted.bytes_current,
        counted.bytes_max,
        runtime.metrics().num_alive_tasks(),
    );
    assert_eq!(before.descriptors, after.descriptors);
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
    assert_eq!(counted.count_current, 0, "{counted:?}");
    // The runtime's queue has grown to hold all who were ready at once: some words for each end.
    assert!(counted.bytes_current <= i64::try_from(64 * connections).expect("few"), "{counted:?}");
}
