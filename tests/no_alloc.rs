//! The machine never allocates, whatever happens to it: counted, over ten million random events.

mod common;

use core::time::Duration;

use common::{BASE, MS, Rng, SEC};
use heartbeat_proto::detector::Deadline;
use heartbeat_proto::{
    Actions, Config, Echo, Event, HeartbeatMachine, Ledger, LifeRule, Liveness, Mode, PingId,
    Table, Timestamp, Verdict,
};

const EVENTS: u32 = 10_000_000;

fn configs() -> [Config; 5] {
    let built = |built: Result<Config, _>| built.expect("valid");
    let second = Duration::from_secs(1);
    [
        Config::lan(),
        built(
            Config::builder()
                .interval(second)
                .timeout(4 * second)
                .write_reports(true)
                .reopen_after(3)
                .accept_gap(second)
                .police(2, 3, Verdict::Report)
                .probe_loss(2, 5, Verdict::Report)
                .build(),
        ),
        built(
            Config::builder()
                .interval(second)
                .timeout(4 * second)
                .ids(false)
                .life_rule(LifeRule::AnyByte)
                .build(),
        ),
        built(Config::builder().mode(Mode::Responder).reopen_after(1).build()),
        built(Config::builder().mode(Mode::Beacon).interval(second).timeout(4 * second).build()),
    ]
}

fn random_event(rng: &mut Rng, epoch: u32) -> Event {
    let span = Duration::from_nanos(rng.below(10 * SEC));
    let id = PingId::new(epoch, rng.below(6) as u32 + 1);
    match rng.below(25) {
        0..=7 => Event::Tick,
        8..=10 => Event::pong(id),
        11 => Event::PongReceived {
            id: PingId::from_u64(rng.next()),
            stamp: Some(Timestamp::from_nanos(rng.next())),
            hold: span,
            calm: true,
        },
        12 => Event::ping(PingId::from_u64(rng.next())),
        13 => Event::AnonymousPongReceived,
        14 => Event::BeaconReceived { stamp: None, period: span },
        15 => Event::FrameReceived,
        16 => Event::BytesReceived,
        17 => Event::PingSent { id },
        18 => Event::TxBlocked,
        19 => Event::TxProgress,
        20 => Event::PingDue,
        21 => Event::LimitReceived { min_gap: span },
        22 => Event::Suspend,
        23 => Event::Hold { probe: span.subsec_nanos() & 1 == 0 },
        _ => Event::Resume { slept: span },
    }
}

/// Runs `events` through machines that are replaced when they end; returns how many ended and the
/// most actions of one call.
fn run<L: Ledger>(config: Config, events: u32, seed: u64) -> (u32, usize) {
    let (mut rng, mut now, mut ended, mut most) = (Rng(seed), BASE, 0, 0);
    let new = |seed, now| -> HeartbeatMachine<Deadline, L> {
        HeartbeatMachine::with_ledger(config, seed, Timestamp::from_nanos(now))
    };
    let mut machine = new(seed, now);
    let mut epoch = machine.state().epoch();
    let _ = machine.handle(Event::Start, Timestamp::from_nanos(now));
    for _ in 0..events {
        now = match (rng.below(4), machine.next_deadline()) {
            (0, _) => now + rng.below(300 * MS),
            (1, Some(due)) => due.as_nanos().max(now) + rng.below(2) * rng.below(SEC),
            (_, Some(due)) => due.as_nanos().max(now),
            _ => now + 1,
        };
        let actions = machine.handle(random_event(&mut rng, epoch), Timestamp::from_nanos(now));
        most = most.max(actions.len());
        let done: usize = actions.map(|action| usize::from(size_of_val(&action) > 0)).sum();
        assert!(done <= Actions::CAPACITY);
        if matches!(machine.liveness(), Liveness::Lost | Liveness::Closed) {
            ended += 1;
            machine = if rng.percent(50) {
                machine.reconnected(Timestamp::from_nanos(now))
            } else {
                new(rng.next(), now)
            };
            epoch = machine.state().epoch();
            let _ = machine.handle(Event::Start, Timestamp::from_nanos(now));
        }
    }
    (ended, most)
}

fn allocates_nothing<L: Ledger>() {
    let (mut ended, mut most) = (0, 0);
    let counted = allocation_counter::measure(|| {
        for (index, config) in configs().into_iter().enumerate() {
            let each = run::<L>(config, EVENTS / 2 / 5, index as u64);
            ended += each.0;
            most = most.max(each.1);
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert!(ended > 1_000, "only {ended} connections ended: too tame");
    assert!((4..=Actions::CAPACITY).contains(&most), "{most}");
}

/// INC-2024-0117, INC-2023-1152, Y6: no allocation per event, and none per connection. Half of the
/// events (the counter counts per thread, so that both halves may run at once).
#[test]
fn five_million_random_events_with_a_table_allocate_nothing() {
    allocates_nothing::<Table>();
}

/// The other half.
#[test]
fn five_million_random_events_with_an_echo_ledger_allocate_nothing() {
    allocates_nothing::<Echo>();
}

/// The counter counts: otherwise the test above could not fail.
#[test]
fn an_allocation_is_counted() {
    let counted = allocation_counter::measure(|| drop(core::hint::black_box(vec![1_u8])));
    assert_eq!(counted.count_total, 1);
}

/// The adaptive detectors learn in place.
#[cfg(feature = "detectors")]
#[test]
fn detectors_never_allocate() {
    use heartbeat_proto::detector::{Compact, Detector, Evidence, Hazard, Sign, Trust};

    fn beats<D: Detector>(detector: D) {
        let mut rng = Rng(9);
        let mut state = D::State::default();
        let (mut sum, mut now) = (0_u64, SEC);
        let used = allocation_counter::measure(|| {
            for _ in 0..100_000 {
                let silence = rng.below(2 * SEC);
                now += silence;
                let mut evidence = Evidence::new(Sign::Beat, Timestamp::from_nanos(now), SEC);
                evidence.silence_nanos = silence;
                evidence.stamp = Some(Timestamp::from_nanos(now - rng.below(SEC)));
                detector.learn(&mut state, &evidence);
                let trust = Trust::new(evidence.at, SEC, 4 * SEC);
                sum ^= detector.deadline(&state, &trust).as_nanos();
            }
        });
        assert_eq!(used.count_total, 0, "{detector:?}: {sum}");
    }
    beats(Hazard::default());
    beats(Compact::default());
}
