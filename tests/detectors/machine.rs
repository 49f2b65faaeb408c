//! In the machine: the configuration's floor and ceiling hold whatever was learnt.

use core::time::Duration;

use heartbeat_proto::detector::{Detector, Source};
use heartbeat_proto::{Config, Event, HeartbeatMachine, Liveness, Mode, Timestamp};

use crate::all::{Check, each};
use crate::common::Rng;
use crate::link::{PERIOD, rough};

const START: u64 = 1 << 40;

const fn at(now: u64) -> Timestamp {
    Timestamp::from_nanos(START + now)
}

fn watcher<D: Detector>(detector: D) -> Config<D> {
    let builder = Config::builder().mode(Mode::Passive).detector(detector);
    let builder = builder.interval(Duration::from_nanos(PERIOD));
    let builder = builder.timeout(Duration::from_nanos(4 * PERIOD));
    let builder = builder.floor(Duration::from_nanos(2 * PERIOD));
    builder.ceiling(Duration::from_nanos(10 * PERIOD)).build().expect("valid")
}

struct Promise;

impl Check for Promise {
    /// Beats of a rough link, some with an absurd stamp or promise; then none.
    fn check<D: Detector>(&self, name: &str, _: Source, _: u32, detector: D) {
        for seed in 0..20 {
            let mut rng = Rng(seed);
            let mut machine = HeartbeatMachine::new(watcher(detector), 1, at(0));
            let _ = machine.handle(Event::Start, at(0));
            let mut last = 0;
            for beat in rough(seed, 100 + 10 * seed as u32) {
                let due = machine.next_deadline().filter(|due| *due <= at(beat.at));
                if let Some(due) = due {
                    let _ = machine.handle(Event::Tick, due);
                }
                if machine.liveness() == Liveness::Lost {
                    break;
                }
                let absurd = rng.percent(5);
                let stamp = if absurd { rng.next() } else { beat.sent };
                let period = if absurd { rng.next() } else { PERIOD };
                let (stamp, period) = (
                    Some(at(0).saturating_add(Duration::from_nanos(stamp))),
                    Duration::from_nanos(period),
                );
                let _ = machine.handle(Event::BeaconReceived { stamp, period }, at(beat.at));
                last = beat.at;
            }
            while machine.liveness().is_live() {
                let due = machine.next_deadline().expect("live");
                let _ = machine.handle(Event::Tick, due);
            }
            let report = machine.report().expect("a verdict");
            let silence = report.observed_at.saturating_duration_since(at(last));
            let bounds = 2 * PERIOD + 1..=10 * PERIOD + 1;
            assert!(bounds.contains(&(silence.as_nanos() as u64)), "{name}: {silence:?}");
        }
    }
}

/// CF5, CF7, J2: the worst detection is the ceiling.
#[test]
fn the_ceiling_bounds_every_detector() {
    each(&Promise);
}
