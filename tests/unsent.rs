//! Messages without a connection: each policy by example, and the account of all messages.
#![cfg(feature = "std")]
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]

use core::num::NonZeroUsize;

use heartbeat_proto::unsent::{Delivery, Pushed, Unsent, WhileDown};
use proptest::prelude::*;

const fn limit(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).unwrap()
}

fn queue(while_down: WhileDown, delivery: Delivery) -> Unsent<u32> {
    Unsent::new(limit(3), while_down, delivery)
}

fn taken(unsent: &mut Unsent<u32>) -> Option<(u32, bool)> {
    unsent.take().map(|out| (*out.message, out.again))
}

#[test]
fn without_a_connection_the_policy_decides() {
    let fill = |while_down| {
        let mut unsent = queue(while_down, Delivery::AtLeastOnce);
        let pushed: Vec<_> = (1..=5).map(|message| unsent.push(message)).collect();
        assert_eq!(unsent.take(), None, "there is no connection");
        assert_eq!(unsent.is_empty(), matches!(while_down, WhileDown::Drop | WhileDown::Fail));
        (pushed, unsent.tally(), unsent.into_messages().collect::<Vec<_>>())
    };
    let (pushed, tally, left) = fill(WhileDown::Drop);
    assert_eq!(pushed, [1, 2, 3, 4, 5].map(Pushed::Dropped));
    assert_eq!((tally.dropped, tally.refused, left.len()), (5, 0, 0));
    let (pushed, tally, left) = fill(WhileDown::Fail);
    assert_eq!(pushed, [1, 2, 3, 4, 5].map(Pushed::Refused));
    assert_eq!((tally.dropped, tally.refused, left.len()), (0, 5, 0));
    let (pushed, tally, left) = fill(WhileDown::KeepOldest);
    assert_eq!(pushed[2..], [Pushed::Kept, Pushed::Refused(4), Pushed::Refused(5)]);
    assert_eq!((tally.dropped, tally.refused, left), (0, 2, vec![1, 2, 3]));
    let (pushed, tally, left) = fill(WhileDown::KeepNewest);
    assert_eq!(pushed[2..], [Pushed::Kept, Pushed::KeptInsteadOf(1), Pushed::KeptInsteadOf(2)]);
    assert_eq!((tally.dropped, tally.refused, left), (2, 0, vec![3, 4, 5]));
}

#[test]
fn with_a_connection_a_full_queue_pushes_back() {
    for while_down in
        [WhileDown::Drop, WhileDown::Fail, WhileDown::KeepOldest, WhileDown::KeepNewest]
    {
        let mut unsent = queue(while_down, Delivery::AtLeastOnce);
        unsent.connected();
        assert!((1..=3).all(|message| unsent.push(message) == Pushed::Kept));
        assert_eq!(unsent.push(4), Pushed::Refused(4), "{while_down:?}");
        assert_eq!((taken(&mut unsent), unsent.under_way()), (Some((1, false)), 1));
        assert_eq!(unsent.push(4), Pushed::Refused(4), "what is under way counts");
        assert_eq!((unsent.confirm(), unsent.confirm()), (Some(1), None));
        assert_eq!(unsent.push(4), Pushed::Kept);
    }
}

/// Three pushed, two taken, one of those confirmed, then the loss.
fn interrupted(while_down: WhileDown, delivery: Delivery) -> Unsent<u32> {
    let mut unsent = queue(while_down, delivery);
    unsent.connected();
    assert!((1..=3).all(|message| unsent.push(message) == Pushed::Kept));
    assert_eq!((taken(&mut unsent), taken(&mut unsent)), (Some((1, false)), Some((2, false))));
    assert_eq!(unsent.confirm(), Some(1));
    unsent
}

#[test]
fn what_was_under_way_is_told_apart() {
    for while_down in
        [WhileDown::Drop, WhileDown::Fail, WhileDown::KeepOldest, WhileDown::KeepNewest]
    {
        let keeps = matches!(while_down, WhileDown::KeepOldest | WhileDown::KeepNewest);
        let dropped: &[u32] = if keeps { &[] } else { &[3] };

        let mut unsent = interrupted(while_down, Delivery::AtLeastOnce);
        let returned = unsent.lost();
        assert_eq!((returned.uncertain.as_slice(), returned.unsent.as_slice()), (&[][..], dropped));
        let returned = unsent.lost();
        assert!(returned.uncertain.is_empty() && returned.unsent.is_empty(), "told twice");
        assert_eq!(taken(&mut unsent), None);
        unsent.connected();
        assert_eq!(taken(&mut unsent), Some((2, true)), "in its old place, and marked");
        assert_eq!(taken(&mut unsent), keeps.then_some((3, false)));

        let mut unsent = interrupted(while_down, Delivery::AtMostOnce);
        let returned = unsent.lost();
        assert_eq!(
            (returned.uncertain.as_slice(), returned.unsent.as_slice()),
            (&[2][..], dropped)
        );
        assert_eq!(unsent.tally().uncertain, 1);
        unsent.connected();
        assert_eq!(taken(&mut unsent), keeps.then_some((3, false)), "2 is not sent again");
    }
}

#[test]
fn a_message_stays_marked_until_it_is_confirmed() {
    let mut unsent = interrupted(WhileDown::KeepNewest, Delivery::AtLeastOnce);
    assert_eq!(taken(&mut unsent), Some((3, false)));
    let _ = unsent.lost(); // 2 and 3 were under way ...
    unsent.connected();
    assert_eq!(taken(&mut unsent), Some((2, true)));
    let _ = unsent.lost(); // ... and 3 was not under way this time.
    unsent.connected();
    assert_eq!((taken(&mut unsent), taken(&mut unsent)), (Some((2, true)), Some((3, true))));
    let _ = unsent.lost();
    assert_eq!(unsent.push(4), Pushed::Kept);
    assert_eq!(unsent.push(5), Pushed::KeptInsteadOf(2), "the user chose the newest");
    unsent.connected();
    assert_eq!((taken(&mut unsent), taken(&mut unsent)), (Some((3, true)), Some((4, false))));
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Waiting,
    UnderWay,
    Confirmed,
    Back,
}

proptest! {
    /// Of all that was pushed each message is in exactly one place, in its order; the limit holds;
    /// nothing is sent twice under at-most-once, nothing under way is lost under at-least-once.
    #[test]
    fn every_message_is_accounted_for(
        most in 1..6usize,
        kind in 0..4usize,
        at_least: bool,
        script in prop::collection::vec(0..9u8, 0..200),
    ) {
        let kinds =
            [WhileDown::Drop, WhileDown::Fail, WhileDown::KeepOldest, WhileDown::KeepNewest];
        let delivery = if at_least { Delivery::AtLeastOnce } else { Delivery::AtMostOnce };
        let mut unsent = Unsent::new(limit(most), kinds[kind], delivery);
        // What became of message i, and whether it ever left.
        let (mut places, mut left) = (Vec::new(), Vec::new());
        let mut is_up = false;
        for op in script {
            match op {
                0..=2 => {
                    let number = places.len();
                    places.push(Place::Waiting);
                    left.push(false);
                    match unsent.push(number) {
                        Pushed::Kept => {}
                        Pushed::KeptInsteadOf(old) => {
                            prop_assert_eq!(places[old], Place::Waiting);
                            prop_assert!(!places[..old].contains(&Place::Waiting), "the oldest");
                            places[old] = Place::Back;
                        }
                        Pushed::Dropped(it) | Pushed::Refused(it) => {
                            prop_assert_eq!(it, number);
                            places[it] = Place::Back;
                        }
                        _ => unreachable!(),
                    }
                }
                3 | 4 => {
                    let first = places.iter().position(|place| *place == Place::Waiting);
                    let out = unsent.take().map(|out| (*out.message, out.again));
                    prop_assert_eq!(out.map(|out| out.0), first.filter(|_| is_up), "in order");
                    if let Some((it, again)) = out {
                        prop_assert_eq!(again, left[it]);
                        prop_assert!(at_least || !again);
                        (places[it], left[it]) = (Place::UnderWay, true);
                    }
                }
                5 => {
                    let first = places.iter().position(|place| *place == Place::UnderWay);
                    prop_assert_eq!(unsent.confirm(), first);
                    if let Some(it) = first {
                        places[it] = Place::Confirmed;
                    }
                }
                6 | 7 => {
                    unsent.connected();
                    is_up = true;
                }
                _ => {
                    let returned = unsent.lost();
                    is_up = false;
                    let keeps = kind >= 2;
                    for it in 0..places.len() {
                        let back = match places[it] {
                            Place::UnderWay if at_least => {
                                places[it] = Place::Waiting;
                                None
                            }
                            Place::UnderWay => Some(&returned.uncertain),
                            Place::Waiting if !keeps && !left[it] => Some(&returned.unsent),
                            _ => None,
                        };
                        let wanted = usize::from(back.is_some());
                        let found = returned.uncertain.iter().chain(&returned.unsent);
                        prop_assert_eq!(found.filter(|back| **back == it).count(), wanted);
                        if let Some(back) = back {
                            prop_assert!(back.contains(&it));
                            places[it] = Place::Back;
                        }
                    }
                    prop_assert!(returned.uncertain.is_sorted() && returned.unsent.is_sorted());
                }
            }
            let count = |place| places.iter().filter(|found| **found == place).count();
            prop_assert_eq!(unsent.under_way(), count(Place::UnderWay));
            prop_assert_eq!(unsent.len(), count(Place::UnderWay) + count(Place::Waiting));
            prop_assert!(unsent.len() <= most);
            let tally = unsent.tally();
            prop_assert_eq!(tally.confirmed, count(Place::Confirmed) as u64);
            let back = tally.dropped + tally.refused + tally.uncertain;
            prop_assert_eq!(back, count(Place::Back) as u64);
        }
        let holds: Vec<_> = places
            .iter()
            .enumerate()
            .filter(|(_, place)| matches!(place, Place::Waiting | Place::UnderWay))
            .map(|(it, _)| it)
            .collect();
        prop_assert_eq!(unsent.into_messages().collect::<Vec<_>>(), holds);
    }
}
