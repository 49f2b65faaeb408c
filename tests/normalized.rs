//! Time may be shifted (rule T3), and states that `PeerState::normalized` identifies behave alike
//! for ever: what makes the model check of `tests/model` sound. Each test runs two machines side by
//! side through a random life of a random configuration and compares every action and wake-up.

use core::time::Duration;

use heartbeat_proto::{
    Action, Actions, Config, Echo, Event, FirstPing, LatePolicy, Ledger, LifeRule, Liveness, Mode,
    PeerState, PingId, PingSchedule, Probing, Table, Timestamp, Verdict, detector::Deadline,
};
use proptest::prelude::*;

type Peer<L> = PeerState<Deadline, L>;

const fn ns(span: u64) -> Duration {
    Duration::from_nanos(span)
}

/// Valid configurations of every kind. The small scale makes windows, gaps and limits collide; the
/// large one makes round trips differ.
fn config() -> impl Strategy<Value = Config> {
    let roles = (
        prop_oneof![
            4 => Just(Mode::Symmetric),
            1 => Just(Mode::Initiator),
            1 => Just(Mode::Responder),
            1 => Just(Mode::Beacon),
            1 => Just(Mode::Passive)
        ],
        prop_oneof![3 => Just(PingSchedule::Own), 1 => Just(PingSchedule::External)],
        prop_oneof![Just(Probing::WhenIdle), Just(Probing::Always)],
        prop_oneof![
            1 => Just(LifeRule::ExactPong),
            1 => Just(LifeRule::AnyPong),
            3 => Just(LifeRule::AnyFrame),
            1 => Just(LifeRule::AnyByte)
        ],
        prop_oneof![
            3 => Just(LatePolicy::Reprobe),
            1 => Just(LatePolicy::Strict),
            1 => (1..60u64).prop_map(|most| LatePolicy::Forgive(ns(most)))
        ],
        prop_oneof![
            Just(FirstPing::Phase),
            Just(FirstPing::AfterInterval),
            Just(FirstPing::Immediate)
        ],
    );
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let numbers = (1..24u64, 1..16u64, 1..4u8, prop_oneof![Just(0), Just(25u8)], 0..3u8, 0..12u64);
    let spans = (1..3u8, proptest::option::of(1..30u64), 0..5u64, 1..40u64);
    let scale = prop_oneof![3 => Just(1u64), 1 => Just(1_000_003)];
    (roles, flags, numbers, spans, scale).prop_filter_map("relations", build)
}

type Roles = (Mode, PingSchedule, Probing, LifeRule, LatePolicy, FirstPing);
type Flags = (bool, bool, bool, bool, bool);
type Numbers = (u64, u64, u8, u8, u8, u64);
type Spans = (u8, Option<u64>, u64, u64);

fn build(all: (Roles, Flags, Numbers, Spans, u64)) -> Option<Config> {
    let (roles, flags, numbers, spans, scale) = all;
    let (mode, schedule, probing, life, late, first) = roles;
    let (ids, writes, police, losses, adaptive) = flags;
    let (interval, window, attempts, jitter, reopen, extra) = numbers;
    let (verify, keepalive, grace, limit) = spans;
    let verdict = if grace == 0 { Verdict::Convict } else { Verdict::Report };
    let mut builder = Config::builder()
        .detector(if adaptive { Deadline::rtt_adaptive(2) } else { Deadline::fixed() })
        .mode(mode)
        .schedule(schedule)
        .probing(probing)
        .life_rule(life)
        .late_policy(late)
        .first_ping(first)
        .ids(ids)
        .write_reports(writes)
        .interval(ns(interval * scale))
        .response_window(ns(window * scale))
        .ceiling(ns((interval + window * u64::from(attempts) + extra) * scale))
        .attempts(attempts)
        .jitter_percent(jitter)
        .verify_every(verify)
        .startup_grace(ns(grace * scale))
        .startup_limit(ns(limit * scale))
        .drain_limit(ns(limit * scale))
        .reopen_after(reopen)
        .ping_unanswered(2, verdict);
    builder = match keepalive {
        Some(span) => builder.keepalive(ns(span * scale)),
        None => builder.no_keepalive(),
    };
    if losses {
        builder = builder.probe_loss(2, 3, verdict);
    }
    if police {
        builder = builder.accept_gap(ns(interval * scale)).police(2, 2, verdict);
    }
    builder.build().ok()
}

/// An event whose stamps and numbers are relative to the machine it is given to.
#[derive(Clone, Copy, Debug)]
enum Input {
    Plain(Event),
    /// How far behind the newest ping, how long ago it was sent by its echo, hold time, calm.
    Pong(i8, Option<i64>, u64, bool),
    ForeignPong,
    Beat(i64, u64),
    Written(i8),
}

impl Input {
    /// Only pings that were really sent, and ones that never were.
    fn of_a_sender_of(self, newest: u32) -> Self {
        let most = i8::try_from(newest).unwrap_or(i8::MAX) - 1;
        match self {
            Self::Pong(behind, ago, hold, calm) => Self::Pong(behind.min(most), ago, hold, calm),
            Self::Written(behind) => Self::Written(behind.min(most)),
            other => other,
        }
    }
}

fn input() -> impl Strategy<Value = Input> {
    let plain = prop_oneof![
        8 => Just(Event::Tick),
        2 => Just(Event::PingDue),
        2 => Just(Event::ping(PingId::new(9, 9))),
        1 => Just(Event::AnonymousPongReceived),
        2 => Just(Event::FrameReceived),
        1 => Just(Event::BytesReceived),
        1 => (0..9_000_000u64).prop_map(|gap| Event::LimitReceived { min_gap: ns(gap) }),
        1 => Just(Event::PongSent),
        1 => Just(Event::TxProgress),
        1 => Just(Event::TxBlocked),
        1 => Just(Event::Suspend),
        1 => (0..80u64).prop_map(|slept| Event::Resume { slept: ns(slept) }),
    ];
    let rare = prop_oneof![
        Just(Event::Start),
        Just(Event::Drain),
        Just(Event::Close),
        Just(Event::GoodbyeReceived)
    ];
    let ago = prop_oneof![-2..40i64, -2_000_000..40_000_000i64];
    let pong = (-1..6i8, proptest::option::of(ago), 0..5u64, any::<bool>());
    prop_oneof![
        60 => plain.prop_map(Input::Plain),
        1 => rare.prop_map(Input::Plain),
        16 => pong.prop_map(|(behind, ago, hold, calm)| Input::Pong(behind, ago, hold, calm)),
        2 => Just(Input::ForeignPong),
        3 => (0..50i64, 1..50u64).prop_map(|(ago, period)| Input::Beat(ago, period)),
        8 => (0..3i8).prop_map(Input::Written),
    ]
}

/// How time moves before an event.
#[derive(Clone, Copy, Debug)]
enum Move {
    By(u64),
    ToDeadline(i64),
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (0..12u64).prop_map(Move::By),
        1 => (0..30_000_000u64).prop_map(Move::By),
        8 => (-1..=1i64).prop_map(Move::ToDeadline),
        1 => (1..90i64).prop_map(Move::ToDeadline),
    ]
}

fn script() -> impl Strategy<Value = Vec<(Move, Input)>> {
    prop::collection::vec((moves(), input()), 1..80)
}

/// One machine, its clock, and the number of its newest ping.
struct Run<L: Ledger> {
    peer: Peer<L>,
    now: u64,
    newest: u32,
}

impl<L: Ledger> Run<L> {
    fn start(config: &Config, now: u64) -> Self {
        let mut run = Self { peer: PeerState::new(7, Timestamp::from_nanos(now)), now, newest: 0 };
        let _ = run.call(config, Input::Plain(Event::Start));
        run
    }

    fn deadline(&self, config: &Config) -> Option<i64> {
        let (at, _) = self.peer.next_deadline(config)?;
        i64::try_from(i128::from(at.as_nanos()) - i128::from(self.now)).ok()
    }

    fn id(&self, behind: i64) -> PingId {
        let seq = u32::try_from(i64::from(self.newest) - behind).unwrap_or(0);
        PingId::new(self.peer.epoch(), seq)
    }

    fn ago(&self, ago: i64) -> Timestamp {
        Timestamp::from_nanos(self.now.saturating_add_signed(-ago))
    }

    /// One event, and what it led to with stamps and numbers relative to this machine.
    fn call(&mut self, config: &Config, input: Input) -> Vec<Action> {
        let event = match input {
            Input::Plain(event) => event,
            Input::Pong(behind, ago, hold, calm) => Event::PongReceived {
                id: self.id(behind.into()),
                stamp: ago.map(|ago| self.ago(ago)),
                hold: ns(hold),
                calm,
            },
            Input::ForeignPong => Event::pong(PingId::new(!self.peer.epoch(), 1)),
            Input::Beat(ago, period) => {
                Event::BeaconReceived { stamp: Some(self.ago(ago)), period: ns(period) }
            }
            Input::Written(behind) => Event::PingSent { id: self.id(behind.into()) },
        };
        let before = self.newest;
        let actions = self.peer.handle(config, event, Timestamp::from_nanos(self.now));
        self.relative(actions, before)
    }

    fn relative(&mut self, actions: Actions, before: u32) -> Vec<Action> {
        let now = self.now;
        let mut number = |id: PingId, stamp: Timestamp| {
            self.newest = id.seq();
            let stamp = stamp.as_nanos().wrapping_sub(now);
            (PingId::new(id.epoch(), id.seq() - before), Timestamp::from_nanos(stamp))
        };
        let relative = actions.map(|action| match action {
            Action::SendPing { id, stamp } => {
                let (id, stamp) = number(id, stamp);
                Action::SendPing { id, stamp }
            }
            Action::SendBeacon { id, stamp } => {
                let (id, stamp) = number(id, stamp);
                Action::SendBeacon { id, stamp }
            }
            other => other,
        });
        relative.collect()
    }

    fn normalized(&self, config: &Config) -> Self {
        let peer = self.peer.normalized(config, Timestamp::from_nanos(self.now));
        let renumbered = self.newest != 0 && config_is_even(config);
        let newest = if renumbered { Peer::<L>::NORMAL_SEQ } else { self.newest };
        Self { peer, now: Peer::<L>::NORMAL_NOW.as_nanos(), newest }
    }
}

/// Without jitter.
fn config_is_even(config: &Config) -> bool {
    format!("{config:?}").contains("jitter_percent: 0")
}

/// Moves both clocks alike and gives both machines the same event.
fn step_both<L: Ledger>(
    config: &Config,
    [one, other]: [&mut Run<L>; 2],
    (moved, input): (Move, Input),
) -> Result<(), TestCaseError> {
    let by = match moved {
        Move::By(span) => span,
        Move::ToDeadline(offset) => one
            .deadline(config)
            .map_or(0, |due| u64::try_from(due.saturating_add(offset)).unwrap_or(0)),
    };
    let input = input.of_a_sender_of(one.newest);
    one.now += by;
    other.now += by;
    let (mine, theirs) = (one.call(config, input), other.call(config, input));
    prop_assert_eq!(mine, theirs, "{:?} at +{}", input, by);
    prop_assert_eq!(one.deadline(config), other.deadline(config), "after {:?}", input);
    prop_assert_eq!(one.peer.liveness(), other.peer.liveness());
    Ok(())
}

/// A machine and the representative of its state, renewed before every step as in the model.
fn representative_is_faithful<L: Ledger>(
    config: &Config,
    script: &[(Move, Input)],
    every_step: bool,
) -> Result<(), TestCaseError> {
    let mut original = Run::<L>::start(config, 1_000_000_000);
    let mut copy = original.normalized(config);
    for &step in script {
        step_both(config, [&mut original, &mut copy], step)?;
        if every_step || original.peer.liveness() == Liveness::Lost {
            copy = copy.normalized(config);
        }
    }
    Ok(())
}

fn shift_changes_nothing<L: Ledger>(
    config: &Config,
    script: &[(Move, Input)],
    by: u64,
) -> Result<(), TestCaseError> {
    // Far enough from the epoch that a stamp of the past exists on either clock.
    let start = 1 << 32;
    let mut one = Run::<L>::start(config, start);
    let mut other = Run::<L>::start(config, start + by);
    for &step in script {
        step_both(config, [&mut one, &mut other], step)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(1_000)))]

    /// T3.
    #[test]
    fn a_shift_of_time_changes_nothing(
        config in config(),
        script in script(),
        by in prop_oneof![1..100u64, 0..1u64 << 60],
    ) {
        shift_changes_nothing::<Table>(&config, &script, by)?;
        shift_changes_nothing::<Echo>(&config, &script, by)?;
    }

    /// Normalised before every step, as the model does.
    #[test]
    fn a_normalized_state_behaves_like_the_original(config in config(), script in script()) {
        representative_is_faithful::<Table>(&config, &script, true)?;
        representative_is_faithful::<Echo>(&config, &script, true)?;
    }

    /// Normalised once, then left to itself.
    #[test]
    fn a_normalized_state_behaves_like_the_original_for_long(
        config in config(),
        script in script(),
    ) {
        representative_is_faithful::<Table>(&config, &script, false)?;
        representative_is_faithful::<Echo>(&config, &script, false)?;
    }
}
