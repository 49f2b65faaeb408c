//! Random lives of a fleet.

use proptest::prelude::*;

use crate::ops::{MS, Op, Say};

pub(crate) fn say() -> impl Strategy<Value = Say> {
    prop_oneof![
        4 => Just(Say::Start),
        10 => (0..3_u32).prop_map(Say::Pong),
        1 => (0..3_u32).prop_map(Say::BarePong),
        1 => Just(Say::CalmPong),
        2 => Just(Say::Ping),
        2 => Just(Say::Beacon),
        3 => Just(Say::Frame),
        2 => (0..400_u16).prop_map(Say::Limit),
        2 => Just(Say::PingDue),
        2 => Just(Say::Written),
        1 => Just(Say::Progress),
        1 => Just(Say::Blocked),
        1 => Just(Say::Suspend),
        1 => Just(Say::Resume),
        2 => any::<bool>().prop_map(Say::Hold),
        1 => Just(Say::Drain),
        1 => Just(Say::Close),
        1 => Just(Say::Goodbye),
        1 => Just(Say::Tick),
    ]
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let span = prop_oneof![
        200 => 0..60 * MS,
        6 => 0..400 * MS,
        // A freeze; now and then beyond the horizon of the schedule (4096 steps of 8.4 ms).
        1 => 0..80_000 * MS,
    ];
    prop_oneof![
        4 => (0..3_usize, 1..8_usize).prop_map(|(profile, peers)| Op::Insert { profile, peers }),
        3 => Just(Op::Start),
        6 => (1..40_usize).prop_map(|rounds| Op::Live { rounds }),
        20 => (2..40_usize).prop_map(|but| Op::Answer { but }),
        1 => any::<usize>().prop_map(|who| Op::Remove { who }),
        1 => any::<usize>().prop_map(|who| Op::Reconnect { who }),
        4 => (any::<usize>(), say()).prop_map(|(who, say)| Op::Tell { who, say }),
        1 => (prop::collection::vec((any::<usize>(), say()), 0..12), 1..20_usize)
            .prop_map(|(tells, enough)| Op::Batch { tells, enough }),
        4 => (0..8_usize, 1..6_usize).prop_map(|(budget, enough)| Op::Advance { budget, enough }),
        12 => Just(Op::Finish),
        16 => span.prop_map(|nanos| Op::Pass { nanos }),
        1 => (0..20 * MS).prop_map(|nanos| Op::Back { nanos }),
    ]
}
