//! The equal-hazard margin on recorded links (`tests/data`), through the
//! shipped machine: how often it suspects a living peer, against the fixed deadline that takes as
//! long to detect a dead one. Nothing here is random.
//!
//! `cargo test --test hazard_replay -- --nocapture` prints them.

#![expect(
    clippy::cast_precision_loss,
    reason = "spans of hours in floats are good to a nanosecond"
)]

use core::time::Duration;

use heartbeat_proto::{
    Config, DeadlineReason, Event, HeartbeatMachine, Liveness, Mode, Timestamp,
    detector::{Deadline, Detector, Hazard},
};

const fn at(nanos: u64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

/// Sent and arrived, in nanoseconds, in the order of arrival.
struct Link {
    beats: Vec<(u64, u64)>,
    period: u64,
}

/// Detectors learn from so many beats before mistakes count.
const WARM_UP: usize = 100;

impl Link {
    fn read(text: &str) -> Self {
        let rows: Vec<(u64, i64)> = text
            .lines()
            .skip(1)
            .map(|row| {
                let mut fields = row.split(',').skip(1).map(str::parse::<i64>);
                let mut field = || fields.next().expect("three fields").expect("a number");
                (u64::try_from(field()).expect("a time"), field())
            })
            .collect();
        let (first, last) = (rows[0].0, rows[rows.len() - 1].0);
        let period = (last - first) * 1000 / (rows.len() as u64 - 1);
        let start = 1_000_000_000;
        let mut beats: Vec<_> = rows
            .into_iter()
            .filter_map(|(sent, delay)| Some((sent, u64::try_from(delay).ok()?)))
            .map(|(sent, delay)| (start + sent * 1000, start + (sent + delay) * 1000))
            .collect();
        beats.sort_by_key(|&(sent, arrived)| (arrived, sent));
        Self { beats, period }
    }

    /// Replays the link through a machine that never gives up.
    fn replay<D: Detector>(&self, detector: D, patience: u64) -> Quality {
        let far = Duration::from_secs(3600);
        let config = Config::builder()
            .mode(Mode::Passive)
            .detector(detector)
            .interval(Duration::from_nanos(self.period))
            .response_window(Duration::from_nanos(patience))
            .attempts(1)
            .floor(far)
            .ceiling(far)
            .build()
            .expect("valid");
        let mut run = Replay {
            machine: HeartbeatMachine::new(config, 1, at(0)),
            suspected: None,
            quality: Quality::default(),
            counts: false,
        };
        run.tell(Event::Start, self.beats[0].1);
        let mut newest: Option<(u64, u64)> = None;
        for (i, &(sent, arrived)) in self.beats.iter().enumerate() {
            let fresh = newest.is_none_or(|(last, _)| sent > last);
            run.until(arrived);
            if let (Some((last, trusted)), true) = (newest, fresh && run.counts) {
                run.quality.add(trusted.saturating_sub(last), sent - last);
            }
            let period = Duration::from_nanos(self.period);
            run.tell(Event::BeaconReceived { stamp: Some(at(sent)), period }, arrived);
            run.counts = i >= WARM_UP;
            if fresh {
                newest = Some((sent, run.trusts_until()));
            }
        }
        run.quality
    }
}

struct Replay<D: Detector> {
    machine: HeartbeatMachine<D>,
    /// Since when the peer is suspected.
    suspected: Option<u64>,
    quality: Quality,
    counts: bool,
}

impl<D: Detector> Replay<D> {
    fn tell(&mut self, event: Event, now: u64) {
        let actions = self.machine.handle(event, at(now));
        let Some(change) = actions.transition() else { return };
        assert_ne!(change.to, Liveness::Lost, "the floor is far away");
        self.suspected = None;
        if change.to == Liveness::Suspect {
            self.suspected = Some(now);
            self.quality.mistakes += u32::from(self.counts);
        }
    }

    /// A punctual driver.
    fn until(&mut self, now: u64) {
        while let Some(wake) = self.machine.next_deadline().filter(|wake| wake.as_nanos() <= now) {
            self.tell(Event::Tick, wake.as_nanos());
        }
    }

    fn trusts_until(&self) -> u64 {
        self.suspected.unwrap_or_else(|| {
            assert_eq!(self.machine.deadline_reason(), Some(DeadlineReason::Suspicion));
            self.machine.next_deadline().expect("alive").as_nanos() - 1
        })
    }
}

/// Mistakes, and the detection time of a crash at a random moment.
#[derive(Clone, Copy, Debug, Default)]
struct Quality {
    mistakes: u32,
    area: f64,
    length: f64,
}

impl Quality {
    /// If the peer crashed within the `gap` after a beat, it would be suspected `found` after the
    /// beat: on average over the gap.
    fn add(&mut self, found: u64, gap: u64) {
        let (found, gap) = (found as f64, gap as f64);
        self.area += if found >= gap { found * gap - gap * gap / 2.0 } else { found * found / 2.0 };
        self.length += gap;
    }

    fn detection(&self) -> f64 {
        self.area / self.length
    }
}

/// The fixed deadline that takes as long to detect as `budget` allows.
fn fixed_within(link: &Link, budget: f64) -> Quality {
    let (mut least, mut most) = (1, 7 * link.period);
    while most - least > 1_000 {
        let middle = least.midpoint(most);
        if link.replay(Deadline::fixed(), middle).detection() <= budget {
            least = middle;
        } else {
            most = middle;
        }
    }
    link.replay(Deadline::fixed(), least)
}

/// At equal mean detection time: how many mistakes the adaptive deadline makes, and the fixed one.
fn compare(name: &str, text: &str, hundredths: u32) -> (u32, u32) {
    let link = Link::read(text);
    let hazard = Hazard::new(f64::from(hundredths) / 100.0).expect("in range");
    let adaptive = link.replay(hazard, 1);
    let fixed = fixed_within(&link, adaptive.detection());
    println!(
        "{name}, a = {:.2}: mean detection {:.2} periods, {} mistakes; fixed {:.2} periods, {}",
        f64::from(hundredths) / 100.0,
        adaptive.detection() / link.period as f64,
        adaptive.mistakes,
        fixed.detection() / link.period as f64,
        fixed.mistakes,
    );
    (adaptive.mistakes, fixed.mistakes)
}

const WEAK_TO_STRONG: &str = include_str!("data/5g-weak-to-strong.csv");
const URBAN: &str = include_str!("data/5g-urban.csv");
const SEATTLE: &str = include_str!("data/seattle.csv");

#[test]
fn it_adapts_to_weak_coverage() {
    assert_eq!(compare("5G, weak to strong", WEAK_TO_STRONG, 50), (81, 212));
    assert_eq!(compare("5G, weak to strong", WEAK_TO_STRONG, 100), (13, 30));
}

#[test]
fn it_adapts_to_a_city() {
    assert_eq!(compare("5G, urban", URBAN, 100), (19, 71));
    assert_eq!(compare("5G, urban", URBAN, 200), (2, 28));
}

/// A steady link leaves nothing to gain.
#[test]
fn it_costs_nothing_on_a_steady_link() {
    assert_eq!(compare("Seattle", SEATTLE, 100), (1, 1));
    assert_eq!(compare("Seattle", SEATTLE, 400), (0, 0));
}
