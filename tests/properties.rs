//! Properties of the rules under random events, absurd clocks and random configurations. Each is
//! named after the invariant it checks (`docs/SPEC.md`).

use core::time::Duration;

use heartbeat_proto::{
    Action, Actions, Config, Echo, Event, FirstPing, HeartbeatMachine, LatePolicy, Ledger,
    LifeRule, Liveness, Mode, PingId, PingSchedule, Probing, Table, Timestamp, Verdict,
};
use proptest::prelude::*;

fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(0),
        1..1_000u64,
        1_000..10_000_000_000u64,
        1_000_000..60_000_000_000u64,
        Just(u64::MAX),
    ]
    .prop_map(Duration::from_nanos)
}

/// Valid configurations of every kind,
/// and whether it lets a lost peer come back.
fn config() -> impl Strategy<Value = (Config, bool)> {
    let choices = (
        prop_oneof![
            3 => Just(Mode::Symmetric),
            1 => Just(Mode::Initiator),
            1 => Just(Mode::Responder),
            1 => Just(Mode::Beacon),
            1 => Just(Mode::Passive)
        ],
        prop_oneof![4 => Just(PingSchedule::Own), 1 => Just(PingSchedule::External)],
        prop_oneof![Just(Probing::WhenIdle), Just(Probing::Always)],
        prop_oneof![
            Just(LifeRule::ExactPong),
            Just(LifeRule::AnyPong),
            Just(LifeRule::AnyFrame),
            Just(LifeRule::AnyByte)
        ],
        prop_oneof![
            Just(LatePolicy::Reprobe),
            Just(LatePolicy::Strict),
            (1..5_000_000_000u64).prop_map(|most| LatePolicy::Forgive(Duration::from_nanos(most)))
        ],
        prop_oneof![
            Just(FirstPing::Phase),
            Just(FirstPing::AfterInterval),
            Just(FirstPing::Immediate)
        ],
        any::<bool>(),
        any::<bool>(),
    );
    let numbers = (
        1_000..30_000_000_000u64,
        1_000..20_000_000_000u64,
        1..6u8,
        0..=25u8,
        0..4u8,
        0..3u8,
        any::<bool>(),
        0..5_000_000_000u64,
    );
    (choices, numbers).prop_filter_map("relations", |(choices, numbers)| {
        let (mode, schedule, probing, life, late, first, ids, writes) = choices;
        let (interval, window, attempts, jitter, reopen, loss, police, extra) = numbers;
        let mut builder = Config::builder()
            .mode(mode)
            .schedule(schedule)
            .probing(probing)
            .life_rule(life)
            .late_policy(late)
            .first_ping(first)
            .ids(ids)
            .write_reports(writes)
            .interval(Duration::from_nanos(interval))
            .response_window(Duration::from_nanos(window))
            .ceiling(Duration::from_nanos(interval + window * u64::from(attempts) + extra))
            .attempts(attempts)
            .jitter_percent(jitter)
            .reopen_after(reopen)
            .ping_unanswered(2, if loss == 2 { Verdict::Convict } else { Verdict::Report });
        if loss > 0 {
            let verdict = if loss == 2 { Verdict::Convict } else { Verdict::Report };
            builder = builder.probe_loss(2, 5, verdict);
        }
        if police {
            builder = builder.accept_gap(Duration::from_nanos(interval)).police(
                2,
                3,
                if loss == 2 { Verdict::Convict } else { Verdict::Report },
            );
        }
        builder.build().ok().map(|config| (config, reopen > 0))
    })
}

fn ping_id(epoch: u32) -> impl Strategy<Value = PingId> {
    prop_oneof![
        8 => (0..8u32).prop_map(move |seq| PingId::new(epoch, seq)),
        1 => any::<u64>().prop_map(PingId::from_u64)
    ]
}

fn event(epoch: u32) -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => Just(Event::Tick),
        1 => prop_oneof![Just(Event::Drain), Just(Event::Close), Just(Event::GoodbyeReceived)],
        1 => Just(Event::Start),
        2 => Just(Event::PingDue),
        2 => ping_id(epoch).prop_map(Event::ping),
        6 => (ping_id(epoch), proptest::option::of(any::<u64>()), span(), any::<bool>()).prop_map(
            |(id, stamp, hold, calm)| Event::PongReceived {
                id,
                stamp: stamp.map(Timestamp::from_nanos),
                hold,
                calm,
            }
        ),
        2 => Just(Event::AnonymousPongReceived),
        1 => span().prop_map(|period| Event::BeaconReceived { stamp: None, period }),
        2 => Just(Event::FrameReceived),
        1 => Just(Event::BytesReceived),
        1 => span().prop_map(|min_gap| Event::LimitReceived { min_gap }),
        3 => ping_id(epoch).prop_map(|id| Event::PingSent { id }),
        1 => Just(Event::PongSent),
        1 => Just(Event::TxProgress),
        1 => Just(Event::TxBlocked),
        1 => Just(Event::Suspend),
        1 => span().prop_map(|slept| Event::Resume { slept }),
    ]
}

/// How time moves before an event.
#[derive(Clone, Copy, Debug)]
enum Move {
    By(u64),
    ToDeadline(i64),
    To(u64),
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        3 => (0..50_000_000_000u64).prop_map(Move::By),
        6 => (-1..=1i64).prop_map(Move::ToDeadline),
        2 => (1_000_000..100_000_000i64).prop_map(Move::ToDeadline),
        1 => any::<u64>().prop_map(Move::To),
    ]
}

/// A machine under test, and its own clock.
struct Run<L: Ledger> {
    machine: HeartbeatMachine<heartbeat_proto::detector::Deadline, L>,
    now: u64,
}

impl<L: Ledger> Run<L> {
    fn new(config: Config, start: u64) -> Self {
        let machine = HeartbeatMachine::with_ledger(config, 7, Timestamp::from_nanos(start));
        Self { machine, now: start }
    }

    fn step(&mut self, moved: Move, event: Event) -> Actions {
        let deadline = self.machine.next_deadline().map_or(self.now, Timestamp::as_nanos);
        let given = match moved {
            Move::By(span) => self.now.saturating_add(span),
            Move::ToDeadline(offset) => deadline.saturating_add_signed(offset),
            Move::To(now) => now,
        };
        self.now = self.now.max(given);
        self.machine.handle(event, Timestamp::from_nanos(given))
    }
}

fn check<L: Ledger>(
    (config, reopens): (Config, bool),
    script: &[(Move, Event)],
) -> Result<(), TestCaseError> {
    let mut run = Run::<L>::new(config, 1_000_000_000);
    let mut last_ping: Option<u64> = None;
    let mut suspended = false;
    for &(moved, event) in script {
        let closed = run.machine.liveness() == Liveness::Closed;
        let ended = closed || run.machine.liveness() == Liveness::Lost;
        let actions = run.step(moved, event);
        prop_assert!(actions.len() <= Actions::CAPACITY, "CAPACITY: {actions:?}");
        for action in actions.clone() {
            if let Action::SendPing { .. } = action {
                if let Some(last) = last_ping {
                    let gap = u64::try_from(config.min_gap().as_nanos()).unwrap();
                    prop_assert!(run.now - last >= gap, "R1: {} ns", run.now - last);
                }
                last_ping = Some(run.now);
            }
        }
        suspended = match event {
            Event::Suspend => true,
            Event::Close => suspended,
            _ => false,
        };
        if let Some(deadline) = run.machine.next_deadline() {
            prop_assert!(deadline.as_nanos() > run.now, "L2: {deadline} after {event:?}");
        } else {
            let live = run.machine.liveness().is_live() || run.machine.liveness() == Liveness::Idle;
            let exhausted = run.now > u64::MAX - 4 * 86_400_000_000_000;
            let judged = !matches!(config.mode(), Mode::Beacon);
            prop_assert!(!live || exhausted || !judged || suspended, "L2: no wake-up, live");
        }
        if closed || (ended && !reopens) {
            prop_assert!(!run.machine.liveness().is_live(), "S7: alive again");
            prop_assert_eq!(run.machine.next_deadline(), None, "S7: a wake-up");
            prop_assert!(actions.transition().is_none(), "S7: {actions:?}");
        }
        if !suspended {
            let mut again = run.machine.clone();
            let actions = again.handle(Event::Tick, Timestamp::from_nanos(run.now));
            prop_assert!(actions.is_empty(), "M6: {actions:?} after {event:?}");
            prop_assert_eq!(again.state(), run.machine.state(), "M6");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    /// L2, M2, M6, R1 and the capacity, over every kind of configuration.
    #[test]
    fn l2_m2_m6_r1_hold_with_a_table(
        config in config(),
        script in prop::collection::vec((moves(), event(epoch())), 1..120),
    ) {
        let mut all = vec![(Move::By(0), Event::Start)];
        all.extend(script);
        check::<Table>(config, &all)?;
    }

    /// The same with the ledger that stores nothing.
    #[test]
    fn l2_m2_m6_r1_hold_with_an_echo_ledger(
        config in config(),
        script in prop::collection::vec((moves(), event(epoch())), 1..120),
    ) {
        let mut all = vec![(Move::By(0), Event::Start)];
        all.extend(script);
        check::<Echo>(config, &all)?;
    }
}

/// The epoch that the seed of [`Run`] leads to.
fn epoch() -> u32 {
    let machine: HeartbeatMachine = HeartbeatMachine::new(Config::lan(), 7, Timestamp::EPOCH);
    machine.state().epoch()
}
