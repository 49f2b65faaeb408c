//! What the scenarios are played with: rules, a peer, a relay before it, and the judge of verdicts.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use heartbeat_proto::adapter::{Ended, Setup};
use heartbeat_proto::{Config, ConfigBuilder, Liveness, Mode, Report};

use crate::measure::{GRAIN, Watch, clock, ms};
use crate::relay::{Fate, TcpRelay, UdpRelay};
use crate::subject::{End, Kind, Listener, Side, Socket, Subject};
use crate::table::Row;

/// Dead after 0.8 s, with three pings unanswered; promised within 1.1 s.
pub(crate) fn quick() -> ConfigBuilder {
    Config::builder().interval(ms(200)).timeout(ms(800))
}

/// Gives nobody up while a scenario lasts.
pub(crate) fn patient() -> ConfigBuilder {
    let slow = Config::builder().interval(ms(500)).timeout(ms(30_500)).attempts(15);
    slow.suspect_interval(ms(500)).jitter_percent(0)
}

/// The same, and never speaks but to answer.
pub(crate) fn responder() -> ConfigBuilder {
    Config::builder().mode(Mode::Responder).interval(ms(10_000)).timeout(ms(60_000))
}

pub(crate) const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// How one end fared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fared {
    pub(crate) ended: Option<Ended>,
    pub(crate) liveness: Liveness,
}

impl Fared {
    pub(crate) fn of(end: &dyn End) -> Self {
        Self { ended: end.driver().ended(), liveness: end.driver().liveness() }
    }

    pub(crate) fn assert_alive(&self, who: &str) {
        assert!(self.ended.is_none() && self.liveness.is_live(), "{who} must live: {self:?}");
    }
}

/// The other end, in a thread of its own.
pub(crate) struct Peer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<Fared>>>,
}

/// Whether the peer is to go on.
pub(crate) type GoOn<'a> = &'a dyn Fn() -> bool;

impl Peer {
    /// Waits for a client and does this job, until it is told to stop or the connection ends.
    pub(crate) fn spawn(
        subject: &'static Subject,
        listener: Listener,
        rules: ConfigBuilder,
        job: impl FnOnce(&mut dyn End, GoOn<'_>) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let setup = Setup::new(rules.build().expect("sound rules"));
            let mut end = (subject.wrap)(listener.accept()?, Side::Server, setup)?;
            // How it ended is in the driver.
            let _ = job(&mut *end, &|| !stopped.load(Ordering::Relaxed));
            Ok(Fared::of(&*end))
        });
        Self { stop, thread: Some(thread) }
    }

    pub(crate) fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// How it fared until now.
    pub(crate) fn stop(mut self) -> Fared {
        self.ask_to_stop();
        self.thread.take().expect("once").join().expect("no panic").expect("a connection")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.ask_to_stop();
    }
}

/// A peer's job: to stay alive.
pub(crate) fn live(end: &mut dyn End, go_on: GoOn<'_>) -> io::Result<()> {
    while go_on() {
        end.run_for(ms(50))?;
    }
    Ok(())
}

/// A peer's job: to be stuck.
#[expect(clippy::unnecessary_wraps, reason = "a job")]
pub(crate) fn hang(_: &mut dyn End, go_on: GoOn<'_>) -> io::Result<()> {
    while go_on() {
        thread::sleep(ms(20));
    }
    Ok(())
}

/// A listener of the subject's kind, and its address.
pub(crate) fn listen(subject: &Subject) -> (Listener, SocketAddr) {
    let listener = Listener::bind(subject.kind, ANY_PORT).expect("a free port");
    let address = listener.address().expect("an address");
    (listener, address)
}

/// The observer: a client with these rules.
pub(crate) fn observe(subject: &Subject, to: SocketAddr, rules: ConfigBuilder) -> Box<dyn End> {
    let socket = Socket::connect(subject.kind, to).expect("a connection");
    observe_on(subject, socket, rules)
}

pub(crate) fn observe_on(subject: &Subject, socket: Socket, rules: ConfigBuilder) -> Box<dyn End> {
    let setup = Setup::new(rules.build().expect("sound rules"));
    (subject.wrap)(socket, Side::Client, setup).expect("a transport and its handshake")
}

/// A relay of the subject's kind.
pub(crate) enum Relay {
    Tcp(TcpRelay),
    Udp(UdpRelay),
}

impl Relay {
    pub(crate) fn before(subject: &Subject, server: SocketAddr) -> Self {
        match subject.kind {
            Kind::Stream => Self::Tcp(TcpRelay::new(server).expect("a relay")),
            Kind::Datagrams => Self::Udp(UdpRelay::new(server, 1).expect("a relay")),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Tcp(relay) => relay.address,
            Self::Udp(relay) => relay.address,
        }
    }

    /// Nothing arrives from now on, either way. Returns just before something last did.
    pub(crate) fn swallow(&self) -> Instant {
        let last = match self {
            Self::Tcp(relay) => {
                relay.set(Fate::Swallow);
                relay.to_client().last()
            }
            Self::Udp(relay) => {
                relay.lose(100);
                relay.to_client().last
            }
        };
        last.expect("life before death")
    }

    /// Each way takes so long.
    pub(crate) fn delay(&self, delay: Duration) {
        match self {
            Self::Tcp(relay) => {
                relay.to_server().delay(delay);
                relay.to_client().delay(delay);
            }
            Self::Udp(relay) => {
                relay.to_server().delay = delay;
                relay.to_client().delay = delay;
            }
        }
    }
}

/// Keeps it alive for so long, and makes sure that it was.
pub(crate) fn warm_up(end: &mut dyn End, span: Duration) {
    end.run_for(span).expect("a healthy peer");
    let fared = Fared::of(end);
    assert_eq!((fared.ended, fared.liveness), (None, Liveness::Alive), "the peer is healthy");
}

/// Where life is known to have ended.
#[derive(Clone, Copy)]
pub(crate) enum Life {
    /// Just before the last sign of life: good for both bounds.
    Last(Instant),
    /// Some time before this: good for the upper bound alone.
    Before(Instant),
}

/// Waits for the verdict by silence, and judges it: within the promise and what was measured of
/// this machine's lateness, and not before the floor.
pub(crate) fn verdict(end: &mut dyn End, life: Life, watch: &Watch) -> Row {
    let error = end.run_for(LONG).expect_err("the peer is dead");
    judge(end, &error, life, watch)
}

pub(crate) fn judge(end: &dyn End, error: &io::Error, life: Life, watch: &Watch) -> Row {
    let returned = clock();
    let report = match Ended::of(error) {
        Some(Ended::Lost(report)) => *report,
        other => panic!("expected a verdict, found {other:?}: {error}"),
    };
    in_time(end, &report, life, returned, watch)
}

pub(crate) fn in_time(
    end: &dyn End,
    report: &Report,
    life: Life,
    returned: Instant,
    watch: &Watch,
) -> Row {
    let config = end.driver().machine().config();
    let promised = config.worst_case_detection();
    // At most two late calls put a verdict off: that of the re-probe, and that of the verdict.
    let own = report.own_lateness * 2;
    assert!(report.silence > config.floor(), "not before the floor: {report}");
    assert!(report.silence <= promised + own + ms(1), "promised {promised:?}: {report}");
    let late = own + watch.disturbance();
    let took = match life {
        Life::Last(last) => {
            let took = returned - last;
            assert!(took > config.floor(), "{took:?} is before the floor: {report}");
            took
        }
        Life::Before(then) => returned - then,
    };
    let bound = promised + late + GRAIN;
    assert!(took <= bound, "took {took:?}, bound {bound:?}: {report}");
    Row {
        took: Some(took),
        promised: Some(promised),
        late,
        verdict: report.reason.to_string(),
        fault: report.fault().to_string(),
        ..Row::default()
    }
}

/// Both ends live.
pub(crate) fn both_live(end: &dyn End, peer: Peer) -> Row {
    Fared::of(end).assert_alive("the observer's peer");
    peer.stop().assert_alive("the peer's peer");
    alive()
}

pub(crate) fn alive() -> Row {
    Row { verdict: "alive".to_owned(), fault: "nobody".to_owned(), ..Row::default() }
}
