//! What happens, and when: mostly what makes rules meet.

use core::time::Duration;

use heartbeat_proto::{Event, Liveness, Timestamp};
use proptest::prelude::*;

use crate::compare::Case;
use crate::knobs;
use crate::script::{Echoed, Move, What, When, Which};

/// Mostly a clock far from its ends.
pub fn start() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => Just(1_000_000_000_000_000),
        1 => Just(0),
        1 => any::<u32>().prop_map(|by| u64::MAX - 4 * 86_400_000_000_000 - u64::from(by)),
    ]
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        20 => Just(When::Wake(0)),
        4 => Just(When::Now),
        4 => Just(When::Wake(-1)),
        4 => Just(When::Wake(1)),
        3 => Just(When::WakeSlack(0)),
        4 => Just(When::WakeSlack(1)),
        2 => Just(When::WakeWindow(0)),
        2 => Just(When::WakeWindow(1)),
        10 => (1u32..1000).prop_map(When::Towards),
        4 => (1u32..1000).prop_map(When::Later),
        2 => (1000u32..6000).prop_map(When::Later),
        3 => (1u32..4).prop_map(When::Nanos),
        1 => (1u32..2000).prop_map(When::Back),
    ]
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        12 => Just(Which::Recent(0)),
        8 => Just(Which::Recent(1)),
        3 => (2u8..6).prop_map(Which::Recent),
        1 => prop_oneof![Just(1), Just(2), any::<u32>()].prop_map(Which::Unsent),
        1 => Just(Which::Zero),
        1 => Just(Which::WrongEpoch),
    ]
}

fn pong() -> impl Strategy<Value = What> {
    let echoed = prop_oneof![
        1 => Just(Echoed::Nothing),
        6 => Just(Echoed::Stamp),
        1 => prop_oneof![Just(-1), Just(1), -500i64..500].prop_map(Echoed::Off),
    ];
    let hold = prop_oneof![3 => Just(0), 1 => 0u32..500];
    (which(), echoed, hold, prop::bool::weighted(0.5))
        .prop_map(|(which, echoed, hold, calm)| What::Pong { which, echoed, hold, calm })
}

fn plain(event: Event) -> Just<What> {
    Just(What::Plain(event))
}

/// What the driver tells of the writer.
fn writing() -> impl Strategy<Value = What> {
    prop_oneof![
        6 => which().prop_map(What::PingSent),
        2 => plain(Event::PongSent),
        2 => plain(Event::TxProgress),
        1 => plain(Event::TxBlocked),
    ]
}

fn what(case: &Case) -> impl Strategy<Value = What> + use<> {
    let rules = &case.reference.rules;
    let idle = case.reference.liveness() == Liveness::Idle;
    // Without write reports none come (a promise of the driver, not a rule of the text).
    let tick = plain(Event::Tick).boxed();
    let writes = if rules.knobs.write_reports { writing().boxed() } else { tick };
    let pings = if rules.accept_gap.is_some() { 25 } else { 5 };
    let drains = if case.reference.is_draining() { 10 } else { 1 };
    let external = if rules.external() { 12 } else { 2 };
    // A link has ids or has none: pongs of both kinds on one link are no part of the text.
    let anonymous = Just(What::Plain(Event::AnonymousPongReceived));
    let pong = if rules.knobs.ids { pong().boxed() } else { anonymous.boxed() };
    let stamp = Some(Timestamp::from_nanos(5));
    let period = Duration::from_nanos(rules.i as u64);
    prop_oneof![
        if idle { 300 } else { 1 } => plain(Event::Start),
        30 => plain(Event::Tick),
        20 => pong,
        20 => writes,
        external => plain(Event::PingDue),
        pings => (0u32..9).prop_map(What::Ping),
        drains => plain(Event::Drain),
        2 => plain(Event::BeaconReceived { stamp, period }),
        4 => plain(Event::FrameReceived),
        2 => plain(Event::BytesReceived),
        1 => prop_oneof![0u32..3000, 0u32..100_000].prop_map(What::Limit),
        1 => plain(Event::Suspend),
        1 => prop_oneof![Just(0), 0u32..5000].prop_map(What::Resume),
        5 => any::<bool>().prop_map(|probe| What::Plain(Event::Hold { probe })),
        1 => prop_oneof![
            3 => plain(Event::Close),
            1 => plain(Event::GoodbyeReceived),
            2 => Just(What::Reconnect),
            3 => Just(case.reference.rules.knobs.clone())
                .prop_flat_map(|now| knobs::other(&now))
                .prop_map(|knobs| What::Reconfigure(Box::new(knobs))),
        ],
    ]
}

pub fn next(case: &Case) -> BoxedStrategy<Move> {
    (when(), what(case)).prop_map(|(when, what)| Move { when, what }).boxed()
}
