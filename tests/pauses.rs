//! A monitor that stands still, a host that is suspended, clocks that step: through the shipped
//! machine, on a calm link with the default knob, and on one with jitter and loss.
//!
//! `cargo test --features replay --test pauses -- --nocapture` prints what was measured.
#![cfg(feature = "replay")]
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    reason = "spans of hours in floats are good to a nanosecond"
)]

use core::time::Duration;
use std::sync::LazyLock;

use heartbeat_proto::detector::{Compact, Detector, Hazard};
use heartbeat_proto::replay::{Sample, Segment, Trace, synthetic};
use heartbeat_proto::{Config, Event, HeartbeatMachine, Liveness, Mode, Timestamp};

const MS: u64 = 1_000_000;
const SEC: u64 = 1_000 * MS;
const HOUR: u64 = 3_600 * SEC;
const PERIOD: u64 = 100 * MS;
/// Our clock when the first beat is sent, and the peer's.
const START: u64 = 1 << 50;
const PEER: u64 = 1 << 55;
/// Beats that are played, and how many of them teach before mistakes count.
const BEATS: usize = 12_000;
const WARM_UP: usize = 100;
/// Between two troubles.
const EVERY: u64 = 67 * SEC + 17 * MS;

/// What happens every now and then; how long it lasts, or how far it steps.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    /// The monitor stands still. What arrives waits, and is read in one go.
    Stall(u64),
    /// Its host is suspended: what is sent meanwhile is lost. Its clock stands still as well.
    Stopped(u64),
    /// The same, with a clock that goes on.
    Counted(u64),
    /// The same, and the driver tells of it when it wakes up.
    Told(u64),
    /// The peer's stamps leap forward.
    PeerForward(u64),
    /// The peer's stamps leap back. (They should not: they are of a monotonic clock.)
    PeerBack(u64),
    /// Our clock is set back.
    OursBack(u64),
}

#[derive(Debug, Default)]
struct Found {
    suspicions: u32,
    losses: u32,
    troubles: u32,
    /// Of the detection time over the crash, and of the times of crashes.
    area: f64,
    length: f64,
}

impl Found {
    /// The mean time from a crash to suspicion, in periods.
    fn detection(&self) -> f64 {
        self.area / self.length / PERIOD as f64
    }
}

struct Play<D: Detector> {
    machine: HeartbeatMachine<D>,
    trouble: Trouble,
    found: Found,
    /// Since when the peer is suspected.
    suspected: Option<u64>,
    counts: bool,
    /// Of our clock against time, and of the peer's.
    ours: i64,
    peers: i64,
    /// The monitor sleeps until then.
    asleep: Option<u64>,
    /// The newest beat: when it was sent, and until when it is trusted.
    newest: Option<(u64, u64)>,
}

impl<D: Detector> Play<D> {
    /// What our clock shows at a time.
    fn clock(&self, time: u64) -> u64 {
        (START + time).saturating_add_signed(self.ours)
    }

    fn tell(&mut self, event: Event, clock: u64) {
        let actions = self.machine.handle(event, Timestamp::from_nanos(clock));
        let Some(change) = actions.transition() else { return };
        self.suspected = None;
        if change.to == Liveness::Suspect {
            self.suspected = Some(clock);
            self.found.suspicions += u32::from(self.counts);
        } else if change.to == Liveness::Lost {
            self.found.losses += u32::from(self.counts);
            self.machine = self.machine.reconnected(Timestamp::from_nanos(clock));
            self.tell(Event::Tick, clock);
        }
    }

    fn due(&self) -> Option<u64> {
        self.machine.next_deadline().map(Timestamp::as_nanos)
    }

    /// A punctual driver.
    fn until(&mut self, clock: u64) {
        while let Some(due) = self.due().filter(|&due| due < clock) {
            self.tell(Event::Tick, due);
        }
    }

    fn begin(&mut self, at: u64) {
        self.until(self.clock(at));
        self.found.troubles += 1;
        self.newest = None; // A crash just now is another matter.
        match self.trouble {
            Trouble::Stall(span) | Trouble::Counted(span) | Trouble::Told(span) => {
                self.asleep = Some(at + span);
            }
            Trouble::Stopped(span) => {
                self.asleep = Some(at + span);
                self.ours -= span as i64;
            }
            Trouble::PeerForward(span) => self.peers += span as i64,
            Trouble::PeerBack(span) => self.peers -= span as i64,
            Trouble::OursBack(span) => self.ours -= span as i64,
        }
    }

    /// The driver is told of the time that passed, if there is nothing to read.
    fn wake(&mut self, time: u64) {
        let clock = self.clock(time);
        if let Trouble::Told(span) = self.trouble {
            self.tell(Event::Resume { slept: Duration::from_nanos(span) }, clock);
        }
        if self.due().is_some_and(|due| due <= clock) {
            self.tell(Event::Tick, clock);
        }
    }

    fn beat(&mut self, sent: u64, arrived: u64) {
        let mut time = arrived;
        if let Some(until) = self.asleep {
            let stalled = matches!(self.trouble, Trouble::Stall(_));
            if arrived >= until {
                self.asleep = None;
                self.wake(until);
            } else if stalled {
                time = until; // And it is read before anything else.
            } else {
                return;
            }
        }
        let clock = self.clock(time);
        if time == arrived {
            self.until(clock);
        }
        let fresh = self.newest.is_none_or(|(last, _)| sent > last);
        if let (Some((last, trusted)), true) = (self.newest, fresh && self.counts) {
            let found = trusted.saturating_sub(self.clock(last)) as f64;
            let gap = (sent - last) as f64;
            let rest = if found >= gap { found - gap / 2.0 } else { found * found / (2.0 * gap) };
            self.found.area += rest * gap;
            self.found.length += gap;
        }
        let stamp = Some(Timestamp::from_nanos((PEER + sent).saturating_add_signed(self.peers)));
        self.tell(Event::BeaconReceived { stamp, period: Duration::from_nanos(PERIOD) }, clock);
        if fresh {
            let due = self.due().map_or(clock, |due| due - 1);
            self.newest = Some((sent, self.suspected.unwrap_or(due)));
        }
    }
}

/// Plays the trouble on a link; a peer is given up after two periods at the earliest (`strict`), or
/// never.
fn play<D: Detector>(detector: D, link: &Segment, strict: bool, trouble: Trouble) -> Found {
    let (floor, ceiling) = if strict { (2, 60) } else { (30_000, 30_000) };
    let config = Config::builder()
        .mode(Mode::Passive)
        .detector(detector)
        .interval(Duration::from_nanos(PERIOD))
        .timeout(Duration::from_nanos(4 * PERIOD))
        .attempts(1)
        .floor(Duration::from_nanos(floor * PERIOD))
        .ceiling(Duration::from_nanos(ceiling * PERIOD))
        .build()
        .expect("valid");
    let mut play = Play {
        machine: HeartbeatMachine::new(config, 1, Timestamp::from_nanos(START)),
        trouble,
        found: Found::default(),
        suspected: None,
        counts: false,
        ours: 0,
        peers: 0,
        asleep: None,
        newest: None,
    };
    play.tell(Event::Start, START);
    let arrived = |sample: &Sample| Some((sample.sent + sample.delay?, sample.sent));
    let mut beats: Vec<(u64, u64)> = link.samples[..BEATS].iter().filter_map(arrived).collect();
    beats.sort_unstable();
    let mut next = EVERY;
    for (index, (arrived, sent)) in beats.into_iter().enumerate() {
        play.counts = index >= WARM_UP;
        if arrived >= next {
            play.begin(next);
            next += EVERY;
        }
        play.beat(sent, arrived);
    }
    play.found
}

/// Both detectors with this knob on the synthetic link of this name, never giving up and strict.
fn both(link: &str, knob: f64, trouble: Trouble) -> [Found; 4] {
    static TRACES: LazyLock<Vec<Trace>> = LazyLock::new(|| synthetic(1));
    let trace = TRACES.iter().find(|trace| trace.name == link).expect("a link");
    let (link, hazard) = (&trace.segments[0], Hazard::new(knob).expect("in range"));
    let compact = Compact::new(knob).expect("in range");
    let found = [
        play(hazard, link, false, trouble),
        play(compact, link, false, trouble),
        play(hazard, link, true, trouble),
        play(compact, link, true, trouble),
    ];
    let detections = [found[0].detection(), found[1].detection()];
    let mistakes = found.each_ref().map(|found| (found.suspicions, found.losses));
    println!("{} a = {knob}, {trouble:?}: {mistakes:?}, detection {detections:.2?}", trace.name);
    found
}

const SPARED: [Trouble; 8] = [
    Trouble::Stall(5 * SEC),
    Trouble::Stopped(10 * SEC),
    Trouble::Stopped(500 * MS),
    Trouble::Counted(10 * SEC),
    Trouble::Told(10 * SEC),
    Trouble::PeerForward(HOUR),
    Trouble::PeerForward(300 * MS),
    Trouble::OursBack(5 * SEC),
];

fn spares(link: &str, knob: f64) {
    for trouble in SPARED {
        for found in both(link, knob, trouble) {
            assert!(found.troubles >= 15, "{found:?}");
            assert_eq!((found.suspicions, found.losses), (0, 0), "{link}, {trouble:?}");
            assert!(found.detection() <= 9.0, "{link}, {trouble:?}: {}", found.detection());
        }
    }
}

/// DT4, DT7, DT21, DT24: nobody is suspected, with the default knob.
#[test]
fn a_calm_link_is_spared() {
    spares("syn-lan", 4.0);
}

/// The same where the link itself needs patience: of the log-normal delays and losses alone the
/// default knob makes a mistake every three minutes, and four times of it none.
#[test]
fn a_restless_link_is_spared() {
    spares("syn-wan-lognormal", 16.0);
}

/// DT3: what seems to be overtaken gives no trust for ten periods. That is the price of a peer
/// whose stamps are not monotonic: one suspicion each time.
#[test]
fn stamps_that_leap_back_cost_a_suspicion() {
    for trouble in [Trouble::PeerBack(HOUR), Trouble::PeerBack(500 * MS)] {
        for found in &both("syn-lan", 4.0, trouble)[..2] {
            assert_eq!((found.suspicions, found.losses), (found.troubles, 0), "{trouble:?}");
        }
    }
}
