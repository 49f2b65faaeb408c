//! Who watches whom: the same everywhere, no more moves than must, and fair.

#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

use std::collections::{BTreeMap, BTreeSet};

use heartbeat_proto::assignment::{Assignment, AssignmentError, Change};
use proptest::prelude::*;
use twox_hash::XxHash64;

fn of<I: AsRef<[u8]> + Copy>(seed: u64, observers: &[(I, u32)]) -> Assignment<I> {
    let mut all = Assignment::new(seed);
    for (id, weight) in observers {
        all.insert(*id, *weight).expect("valid");
    }
    all
}

const LONG: &str = "observer-with-a-name-of-more-than-32-bytes";

/// AS1, AS2: vectors from another implementation, of XXH64 too, in another language.
#[test]
fn it_is_the_same_everywhere() {
    let even = [("a", 1), ("b", 1), ("c", 1), (LONG, 1), ("", 1)];
    let weighted = [("a", 1), ("b", 2), ("c", 5), (LONG, 3), ("", 4)];
    let all: Vec<u8> = (0..=255).collect();
    let peers: [&[u8]; 5] =
        [b"", b"peer 1", b"10.0.0.1:4000", b"2001:db8:85a3::8a2e:370:7334 and then some", &all];
    // Each observer by its first letter, `L` for the long one and `_` for the empty one.
    let expected = [
        (0, ["aLbc_", "b_acL", "_cLab", "ab_cL", "Lcb_a"]),
        (7, ["ac_bL", "cLab_", "Lc_ab", "ba_Lc", "_Labc"]),
        (u64::MAX, ["c_abL", "La_cb", "_cLab", "aL_cb", "b_caL"]),
    ];
    let expected_weighted = [
        (0, ["Labc_", "_bcLa", "_cLba", "a_cbL", "Lc_ba"]),
        (7, ["c_abL", "cLab_", "cL_ab", "b_Lac", "_Lacb"]),
        (u64::MAX, ["c_abL", "L_cba", "_cLba", "_Lcab", "_bcaL"]),
    ];
    for (observers, expected) in [(even, expected), (weighted, expected_weighted)] {
        for (seed, orders) in expected {
            let observers = of(seed, &observers);
            for (peer, order) in peers.into_iter().zip(orders) {
                let short = |id: &&&str| match **id {
                    LONG => 'L',
                    id => id.chars().next().unwrap_or('_'),
                };
                let ranked = observers.ranked(peer, 9);
                assert_eq!(ranked.iter().map(short).collect::<String>(), order, "{seed} {peer:?}");
                assert_eq!(observers.assign(peer), Some(ranked[0]));
            }
        }
    }
    // The library's own vectors: those of the specification of xxHash.
    assert_eq!(XxHash64::oneshot(0, b""), 0xef46_db37_51d8_e999);
    assert_eq!(XxHash64::oneshot(0, b"abc"), 0x44bc_2cf5_ad77_0999);
}

/// AS2: the integers are the logarithm, to a part in 10^9.
#[test]
fn the_costs_are_logarithms() {
    let observers: Vec<(String, u32)> =
        (1..40_u32).map(|n| (format!("observer {n}"), n * n * n)).collect();
    let borrowed: Vec<(&str, u32)> = observers.iter().map(|(id, n)| (id.as_str(), *n)).collect();
    let all = of(3, &borrowed);
    let hash = |bytes: &[u8]| XxHash64::oneshot(3, bytes);
    let mut close = 0;
    for peer in 0..2_000_u32 {
        let peer = peer.to_be_bytes();
        let cost = |id: &str| {
            let pair = [hash(id.as_bytes()).to_le_bytes(), hash(&peer).to_le_bytes()].concat();
            #[expect(clippy::cast_precision_loss, reason = "a part in 10^15")]
            let draw = hash(&pair) as f64 / 2_f64.powi(64);
            let weight = borrowed.iter().find(|(other, _)| *other == id).expect("there").1;
            -draw.ln() / f64::from(weight)
        };
        let costs: Vec<f64> = all.ranked(peer, 40).into_iter().map(|id| cost(id)).collect();
        assert_eq!(costs.len(), 39);
        for pair in costs.windows(2) {
            assert!(pair[0] <= pair[1] * (1.0 + 1e-9), "{pair:?}");
            close += u32::from(pair[1] < pair[0] * (1.0 + 1e-3));
        }
    }
    assert!(close > 100, "{close} that a coarse logarithm would not tell apart");
}

/// So many standard deviations of a binomial count.
fn deviations(count: usize, of: usize, share: f64) -> f64 {
    let count = f64::from(u32::try_from(count).expect("small"));
    let of = f64::from(u32::try_from(of).expect("small"));
    (count - of * share) / (of * share * (1.0 - share)).sqrt()
}

/// AS4: shares are the weights', and those of who goes are shared out by them, too.
#[test]
fn shares_are_fair() {
    const PEERS: usize = 40_000;
    let names: Vec<String> = (0..10).map(|n| format!("10.0.0.{n}:7000")).collect();
    for weights in [[1; 10], [1, 1, 2, 2, 3, 5, 8, 10, 20, 48], [1000, 1, 1, 1, 1, 1, 1, 1, 1, 1]] {
        let observers: Vec<(&str, u32)> = names.iter().map(String::as_str).zip(weights).collect();
        let all = of(11, &observers);
        let sum = f64::from(weights.iter().sum::<u32>());
        let mut first = BTreeMap::<&str, usize>::new();
        let mut second = BTreeMap::<(&str, &str), usize>::new();
        for peer in 0..PEERS {
            let peer = format!("10.{}.{}.{}:4000", peer >> 16, peer >> 8 & 255, peer & 255);
            let ranked = all.ranked(peer, 2);
            *first.entry(ranked[0]).or_default() += 1;
            *second.entry((ranked[0], ranked[1])).or_default() += 1;
        }
        for (id, weight) in &observers {
            let count = first.get(id).copied().unwrap_or(0);
            let off = deviations(count, PEERS, f64::from(*weight) / sum);
            assert!(off.abs() < 4.5, "{id} of {weights:?}: {count} peers, {off} deviations");
            for (other, of_other) in observers.iter().filter(|(other, _)| other != id) {
                let moved = second.get(&(*id, *other)).copied().unwrap_or(0);
                let share = f64::from(*of_other) / (sum - f64::from(*weight));
                let off = deviations(moved, count, share);
                // Where few are expected, counts are not normal.
                let few = f64::from(u32::try_from(count).expect("small")) * share < 20.0;
                assert!(off.abs() < if few { 12.0 } else { 4.5 }, "{id} to {other}: {off}");
            }
        }
    }
}

/// AS6: what cannot be is refused, and nothing is changed.
#[test]
fn what_cannot_be_is_refused() {
    let mut all = Assignment::new(1);
    assert_eq!((all.assign("peer"), all.len(), all.is_empty()), (None, 0, true));
    assert_eq!(all.ranked("peer", 3), [&""; 0]);
    assert_eq!(all.insert("a", 0), Err(AssignmentError::ZeroWeight));
    assert_eq!(all.insert("a", u32::MAX), Ok(()));
    let before = all.clone();
    assert_eq!(all.insert("a", 1), Err(AssignmentError::Twice));
    assert_eq!(all.set_weight("a", 0), Err(AssignmentError::ZeroWeight));
    assert_eq!(all.set_weight("b", 1), Err(AssignmentError::Unknown));
    assert_eq!(all.remove("b"), None);
    assert_eq!(all, before);
    assert_eq!(all.observers().collect::<Vec<_>>(), [(&"a", u32::MAX)]);
    assert_eq!(all.ranked("peer", 0), [&""; 0]);
    assert_eq!(all.ranked("peer", 2), [&"a"]);
    assert_eq!(all.remove("a"), Some("a"));
    assert!(all.is_empty());
}

/// Observers by number, with weights; each list in an order of its own.
fn observers() -> impl Strategy<Value = BTreeMap<u8, u32>> {
    let weight =
        prop_oneof![3 => Just(1_u32), 2 => 1..10_u32, 1 => any::<u32>().prop_map(|w| w | 1)];
    prop::collection::btree_map(any::<u8>(), weight, 1..12)
}

fn made(seed: u64, observers: impl IntoIterator<Item = (u8, u32)>) -> Assignment<[u8; 1]> {
    let mut all = Assignment::new(seed);
    observers.into_iter().for_each(|(id, weight)| all.insert([id], weight).expect("new"));
    all
}

fn peers() -> impl Iterator<Item = [u8; 4]> {
    (0..300_u32).map(u32::to_be_bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    /// AS3: only to who came, only from who went, and everybody else in the same order.
    #[test]
    fn no_more_moves_than_must(
        before in observers(), seed: u64, id: u8, weight in 1..9_u32, again in 1..9_u32,
    ) {
        let without: BTreeMap<u8, u32> = before.into_iter().filter(|(o, _)| *o != id).collect();
        let mut all = made(seed, without.clone());
        let old = all.clone();
        // It comes, its weight changes, it goes.
        all.insert([id], weight).expect("new");
        let came = all.clone();
        all.set_weight([id], again).expect("there");
        for peer in peers() {
            let others = |all: &Assignment<[u8; 1]>| -> Vec<[u8; 1]> {
                all.ranked(peer, 20).into_iter().copied().filter(|other| *other != [id]).collect()
            };
            prop_assert_eq!(others(&came), others(&old));
            prop_assert_eq!(others(&all), others(&old));
            let (first, then) = (came.assign(peer), all.assign(peer));
            if first != then {
                let to = if again > weight { then } else { first };
                prop_assert_eq!(to, Some(&[id]), "{:?} {:?}", first, then);
            }
            let place = |all: &Assignment<[u8; 1]>| {
                all.ranked(peer, 20).iter().position(|other| **other == [id]).expect("there")
            };
            let (was, is) = (place(&came), place(&all));
            let right = if again > weight { is <= was } else { is >= was };
            prop_assert!(right, "{} {}", was, is);
        }
        all.remove([id]);
        prop_assert_eq!(&all, &old);
        let mut reversed = made(seed, without.into_iter().rev());
        prop_assert_eq!(&reversed, &old, "the order of coming is nothing");
        reversed.insert([id], weight).expect("new");
        prop_assert_eq!(reversed, came);
    }

    /// AS5: what is told to all observers together is all that changed.
    #[test]
    fn changes_are_all_that_changed(before in observers(), after in observers(), seed: u64) {
        let ids: BTreeSet<u8> = before.keys().chain(after.keys()).copied().collect();
        let (before, after) = (made(seed, before), made(seed, after));
        let mut gained = BTreeMap::new();
        let mut given = BTreeMap::new();
        for id in ids {
            for (peer, change) in before.changes(&after, [id], peers()) {
                let is_new = match change {
                    Change::Gained { from } => {
                        gained.insert(peer, (from.copied(), Some([id]))).is_none()
                    }
                    Change::Given { to } => given.insert(peer, (Some([id]), to.copied())).is_none(),
                };
                prop_assert!(is_new);
            }
        }
        for peer in peers() {
            let owners = (before.assign(peer).copied(), after.assign(peer).copied());
            let moved = (owners.0 != owners.1).then_some(owners);
            prop_assert_eq!(gained.remove(&peer), moved);
            prop_assert_eq!(given.remove(&peer), moved);
        }
        prop_assert!(gained.is_empty() && given.is_empty());
        let none = Assignment::new(seed);
        for (id, _) in before.observers() {
            let own = peers().filter(|peer| before.assign(peer) == Some(id)).count();
            let left = before.changes(&none, id, peers());
            prop_assert_eq!(left.filter(|(_, it)| *it == Change::Given { to: None }).count(), own);
            prop_assert_eq!(none.changes(&before, id, peers()).count(), own);
        }
    }
}
