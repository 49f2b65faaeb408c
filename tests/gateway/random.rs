//! GW9: a gateway is what a naive one is.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::naive::{ADDRESSES, Both, Op, PEERS};

fn op() -> impl Strategy<Value = Op> {
    let from = 0..ADDRESSES;
    let epoch = 1..4_u32;
    let which = 0..8_usize;
    prop_oneof![
        4 => (from.clone(), epoch.clone()).prop_map(|(from, epoch)| Op::Ping { from, epoch }),
        1 => (from.clone(), 0..4_u32).prop_map(|(from, epoch)| Op::Goodbye { from, epoch }),
        1 => (from.clone(), 0..4_u32).prop_map(|(from, epoch)| Op::Beacon { from, epoch }),
        6 => which.clone().prop_map(|which| Op::Answer { which }),
        1 => (which.clone(), from.clone()).prop_map(|(which, from)| Op::Moved { which, from }),
        1 => (which, 0..6_u8).prop_map(|(which, what)| Op::Tampered { which, what }),
        6 => (2..9_usize).prop_map(|but| Op::AnswerAll { but }),
        1 => (from, prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(from, bytes)| Op::Garbage { from, bytes }),
        8 => (1..400_u64).prop_map(|millis| Op::Pass { millis }),
        8 => (1..9_usize).prop_map(|budget| Op::Advance { budget }),
        1 => (0..PEERS).prop_map(|who| Op::Remove { who }),
    ]
}

fn run(ops: &[Op]) -> Both {
    let mut both = Both::new();
    for op in ops {
        both.play(op);
    }
    both
}

/// The random lives are not all short: peers join, answer, die, leave and begin anew.
#[test]
fn lives_are_full() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let lives = prop::collection::vec(op(), 200..300);
    let mut counted = BTreeMap::<&str, usize>::new();
    let (mut joined, mut pongs) = (0, 0);
    for _ in 0..20 {
        let both = run(&lives.new_tree(&mut runner).expect("generates").current());
        for (_, _, why) in &both.naive.gone {
            *counted.entry(why.code()).or_default() += 1;
        }
        joined += both.naive.joined;
        pongs += both.world.gateway.fleet().census().stats().pongs_received;
    }
    assert_eq!(counted.len(), 4, "{counted:?}");
    assert!(counted.values().all(|n| *n > 10), "{counted:?}");
    assert!(joined > 300 && pongs > 500, "{joined} joined, {pongs} pongs; {counted:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// GW1 to GW9: same datagrams, same verdicts, same states.
    #[test]
    fn a_gateway_is_what_a_naive_one_is(ops in prop::collection::vec(op(), 1..150)) {
        run(&ops);
    }
}
