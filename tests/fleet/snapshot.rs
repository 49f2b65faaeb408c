//! What becomes of peers when a fleet is saved and restored: nobody dies of it, the dead are found
//! all the same, and neither comes all at once.

use core::ops::ControlFlow;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use heartbeat_proto::detector::Detector;
use heartbeat_proto::fleet::{Fleet, Handle, Progress, Restoring, Saving};
use heartbeat_proto::{Action, Actions, Config, Event, Findings, Liveness, Timestamp};
use proptest::prelude::*;

use super::guard::nanos;
use super::schedule::{Run, SEC, at, started};

/// The whole snapshot of a fleet.
pub(super) fn saved<D: Detector>(fleet: &Fleet<D>, now: Timestamp) -> Vec<u8> {
    let (mut saving, mut bytes) = (Saving::new(), Vec::new());
    while fleet.save(&mut saving, now, &mut bytes) == Progress::Pending {}
    bytes
}

/// A fleet of that, with the old and the new handles.
pub(super) fn restored<D: Detector>(
    config: Config<D>,
    seed: u64,
    bytes: &[u8],
    now: Timestamp,
) -> (Fleet<D>, BTreeMap<Handle, Handle>) {
    let mut fleet = Fleet::new(config, seed, now).expect("valid");
    let (mut restoring, mut rest, mut names) = (Restoring::new(), bytes, BTreeMap::new());
    while !restoring.is_done() {
        let mut told = |was, is| assert_eq!(names.insert(was, is), None);
        rest = &rest[fleet.restore(&mut restoring, rest, now, &mut told).expect("undamaged")..];
    }
    assert!(rest.is_empty());
    assert_eq!(fleet.len(), names.len());
    (fleet, names)
}

/// The most of `n` in a span `p`, by rule SN7.
pub(super) fn most(n: u64, p: u64, interval: u64) -> u64 {
    let m = n.min((n * (p + 1)).div_ceil(interval));
    let root = (0..=m).find(|r| r * r >= m).expect("m at the latest");
    m + 8 * root + 23
}

/// The largest number of `times` in a span.
pub(super) fn densest(mut times: Vec<u64>, span: u64) -> u64 {
    times.sort_unstable();
    let within = |(n, from): (usize, &u64)| times.partition_point(|t| *t <= from + span) - n;
    times.iter().enumerate().map(within).max().map_or(0, |most| most as u64)
}

/// SN5, SN6, SN7: ten thousand that answer survive any time away, each is asked within an interval
/// and a gap, and no more leaves in a step than ever.
#[test]
fn nobody_dies_of_a_restore() {
    let config = Config::messaging_30_90();
    let (fleet, _) = started(config, 10_000);
    let mut old = Run::new(fleet);
    old.until(100 * SEC);
    let bytes = saved(&old.fleet, at(old.now));
    let (interval, step) = (nanos(config.interval()), nanos(old.fleet.step()));
    for (seed, begin) in [(8, 100), (9, 400_000_000)] {
        let begin = begin * SEC;
        let (fleet, names) = restored(config, seed, &bytes, at(begin));
        assert_eq!(fleet.count(Liveness::Alive), 10_000);
        assert!(names.iter().all(|(was, is)| was.slot() == is.slot()));
        let mut new = Run::new(fleet);
        new.now = begin;
        new.until(begin + interval + nanos(config.min_gap()) + step);
        let awaited = new.pongs.values().flatten().map(|input| &input.handle);
        assert_eq!(new.heard.keys().chain(awaited).collect::<BTreeSet<_>>().len(), 10_000);
        // One more that meets the gap is pinged again by the plan.
        assert!((10_000..16_000).contains(&new.pings), "{} pings", new.pings);
        new.until(begin + 130 * SEC);
        assert!(new.lost.is_empty(), "{} died", new.lost.len());
        assert_eq!(new.fleet.count(Liveness::Alive), 10_000);
        let bound = most(10_000, step, interval);
        assert!(new.most_pings_a_call <= bound, "{} > {bound}", new.most_pings_a_call);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// SN4, SN5, SN6: whatever the rules, the moment and the new clock.
    #[test]
    fn nobody_dies_whenever_it_is(
        config in prop::sample::select(vec![Config::lan(), Config::wan(), Config::service_mesh()]),
        moment in 1..40_000_u64,
        begin in 0..1_000_000_000_u64,
        seed: u64,
    ) {
        let (fleet, _) = started(config, 300);
        let mut old = Run::new(fleet);
        old.until(moment * SEC / 1000);
        let bytes = saved(&old.fleet, at(old.now));
        let (fleet, _) = restored(config, seed, &bytes, at(begin));
        let mut new = Run::new(fleet);
        new.now = begin;
        new.until(begin + 2 * nanos(config.timeout()));
        prop_assert!(new.lost.is_empty());
        prop_assert_eq!(new.fleet.count(Liveness::Alive), 300);
    }
}

/// SN6, SN7: those who died before or in the time away are found within the bound, each after a
/// window of its own, however long it was silent before; and they are as spread as pings are.
#[test]
fn the_dead_are_found_and_spread() {
    let config = Config::lan();
    let (fleet, handles) = started(config, 6_000);
    let mut old = Run::new(fleet);
    // A third died just before the saving, a third a while before, a third while it lay there.
    let mut rest = handles.into_iter();
    for (until, dead) in [(9_000, 0), (10_500, 2_000), (12_000, 2_000)] {
        old.dead.extend(rest.by_ref().take(dead));
        let dead = &old.dead;
        old.pongs.values_mut().for_each(|all| all.retain(|one| !dead.contains(&one.handle)));
        old.until(until * SEC / 1000);
    }
    assert!(old.lost.is_empty(), "nobody yet");
    let bytes = saved(&old.fleet, at(old.now));
    let begin = 777 * SEC;
    let (fleet, names) = restored(config, 3, &bytes, at(begin));
    let mut new = Run::new(fleet);
    (new.now, new.dead) = (begin, names.values().copied().collect());
    new.until(begin + 20 * SEC);
    assert_eq!(new.lost.len(), 6_000);

    let (window, step) = (nanos(config.response_window()), nanos(new.fleet.step()));
    let interval = nanos(config.interval());
    for (was, is) in &names {
        let silent = old.now - old.heard[was];
        let left = nanos(config.ceiling()).saturating_sub(silent);
        let least = window + nanos(config.min_gap());
        // Late are the release, the ping and the verdict; and a unit of the ages, and some limits.
        let bound = begin + interval + left.max(least) + 3 * step + (1 << 16) + 4;
        let lost = new.lost[is];
        assert!(lost > begin + window, "{is}: no window");
        assert!(lost <= bound, "{is}: {lost} > {bound}, silent for {silent}");
    }
    for span in [step, 20 * step, 60 * step] {
        let densest = densest(new.lost.values().copied().collect(), span);
        let bound = most(6_000, span + step, interval);
        assert!(densest <= bound, "{densest} verdicts in {span} ns, more than {bound}");
    }
}

/// SN4, SN6: silence counts as far as the clock goes back that restores. On one that begins with its
/// process the dead have their whole limit again, and no more.
#[test]
fn a_young_clock_forgets_silence() {
    let config = Config::lan();
    let (fleet, handles) = started(config, 300);
    let mut old = Run::new(fleet);
    old.until(9 * SEC);
    old.dead.extend(handles);
    old.pongs.clear();
    old.until(9 * SEC + 3 * SEC / 2);
    assert!(old.lost.is_empty(), "nobody yet");
    let bytes = saved(&old.fleet, at(old.now));
    let (window, gap) = (nanos(config.response_window()), nanos(config.min_gap()));
    let (interval, ceiling) = (nanos(config.interval()), nanos(config.ceiling()));
    // Before the moment that `at` counts from there is nothing.
    for (begin, age) in [(0, 0), (SEC, SEC), (99 * SEC, 99 * SEC)] {
        let now = |since: u64| Timestamp::from_nanos(begin + since);
        let (mut fleet, names) = restored(config, 3, &bytes, now(0));
        let mut lost = BTreeMap::new();
        while let Some(due) = fleet.next_deadline() {
            let mut sink = |handle, actions: Actions| {
                let fell = |a| matches!(a, Action::Notify(change) if change.to == Liveness::Lost);
                if actions.into_iter().any(fell) {
                    lost.insert(handle, due.as_nanos() - begin);
                }
                ControlFlow::Continue(())
            };
            while fleet.advance(due, 100, &mut sink) == Progress::Pending {}
        }
        assert_eq!(lost.len(), names.len());
        for (was, is) in &names {
            let silent = (old.now - old.heard[was]).min(age);
            let left = (ceiling - silent).max(window + gap);
            let late = 3 * nanos(fleet.step()) + (1 << 16) + 4;
            assert!(lost[is] <= interval + left + late, "{is}: {} of {left}", lost[is]);
            assert!(lost[is] + (1 << 16) > ceiling - silent, "{is}: {} of {left}", lost[is]);
        }
    }
}

/// SN5: also where the interval reaches beyond the horizon of the schedule.
#[test]
fn far_releases_are_spread() {
    let config = Config::builder()
        .interval(Duration::from_secs(3600))
        .timeout(Duration::from_secs(3 * 3600))
        .jitter_percent(0)
        .build()
        .expect("valid");
    let (fleet, _) = started(config, 3_600);
    let mut old = Run::new(fleet);
    old.until(4000 * SEC);
    let begin = 90_000 * SEC;
    let (fleet, _) = restored(config, 3, &saved(&old.fleet, at(old.now)), at(begin));
    let mut new = Run::new(fleet);
    new.now = begin;
    // One a second on average, when the gap (20 minutes) after the pings before has passed.
    for (minutes, pings) in [(1, 20..100), (10, 400..700), (30, 1500..1900)] {
        new.until(begin + minutes * 60 * SEC);
        assert!(pings.contains(&new.pings), "{} pings in {minutes} minutes", new.pings);
    }
}

/// SN2: while it is saved, the fleet goes on; and whatever it does until it ends, none of its
/// handles names anybody in the fleet that is restored.
#[test]
fn a_fleet_goes_on_while_it_is_saved() {
    let config = Config::lan();
    let (mut fleet, mut handles) = started(config, 3_000);
    let profile = fleet.profiles().next().expect("one");
    let (mut saving, mut bytes, mut now) = (Saving::new(), Vec::new(), 0);
    let (early, late) = (handles[5], handles[2_900]);
    let mut ignore = |_, _: Actions| ControlFlow::Continue(());
    let mut portions = 1;
    while fleet.save(&mut saving, at(now), &mut bytes) == Progress::Pending {
        if portions == 1 {
            for handle in [early, late] {
                let _ = fleet.remove(handle).expect("there");
            }
            // The free slot that was vacated last.
            let more = fleet.insert(profile, at(now)).expect("room");
            assert_eq!(more.slot(), late.slot());
            handles.push(more);
        }
        now += SEC / 2;
        while fleet.advance(at(now), 10_000, &mut ignore) == Progress::Pending {}
        portions += 1;
    }
    assert_eq!((portions, saving), (4, saving));
    let length = bytes.len();
    assert_eq!(fleet.save(&mut saving, at(now), &mut bytes), Progress::Done);
    assert_eq!(bytes.len(), length);

    let (new, names) = restored(config, 77, &bytes, at(50 * SEC));
    assert!(names.contains_key(&early), "needlessly");
    assert!(!names.contains_key(&late));
    assert_eq!(names.len(), 3_000);
    // The old fleet goes on with its slots: removed, inserted, connected again.
    let mut all = handles;
    for n in 0..20_000 {
        let some = all[n * 7 % 3_000];
        if let Ok(next) = fleet.reconnected(some, at(now)) {
            all[n * 7 % 3_000] = next;
            assert!(!new.contains(next) && !new.contains(some));
        }
    }
    for (was, is) in &names {
        let raised = is.epoch().wrapping_sub(was.epoch());
        assert!((1 << 16..1 << 17).contains(&raised));
    }
    let (twice, _) = restored(config, 78, &bytes, at(50 * SEC));
    let same = names.values().filter(|is| twice.contains(**is)).count();
    assert!(same < 5, "{same} of 3000 have the same handle when restored twice");
}

/// SN5, FL1: a restored peer lives on as a state of its own does that is ticked once when it is
/// released, and then when it is due; bit for bit.
#[test]
fn restored_peers_are_equal_to_their_twins() {
    let config = Config::lan();
    let (fleet, _) = started(config, 200);
    let mut old = Run::new(fleet);
    old.until(12 * SEC);
    let (mut fleet, names) = restored(config, 5, &saved(&old.fleet, at(old.now)), at(99 * SEC));
    let step = fleet.step();
    let steps = |now: Timestamp| now.as_nanos() / nanos(step);
    let mut twins: BTreeMap<Handle, _> =
        names.into_values().map(|is| (is, fleet.peer(is).expect("there"))).collect();
    let (mut released, mut now) = (0, at(99 * SEC));
    while now < at(110 * SEC) {
        now = fleet.next_deadline().expect("they live");
        let mut pings = Vec::new();
        let mut sink = |handle: Handle, actions: Actions| {
            let ping = actions.into_iter().find_map(|action| match action {
                Action::SendPing { id, stamp } => Some((handle, id, stamp)),
                _ => None,
            });
            pings.extend(ping.filter(|_| handle.slot() % 3 != 0));
            ControlFlow::Continue(())
        };
        while fleet.advance(now, 1000, &mut sink) == Progress::Pending {}
        for (handle, twin) in &mut twins {
            let is_due = match twin.next_deadline(&config) {
                Some((due, _)) => steps(due) < steps(now),
                None => fleet.peer(*handle) != Ok(*twin),
            };
            if is_due {
                let resumed = |a| matches!(a, Action::Report(f) if f.contains(Findings::RESUMED));
                let actions = twin.handle(&config, Event::Tick, now);
                released += usize::from(actions.into_iter().any(resumed));
            }
            assert_eq!(fleet.peer(*handle), Ok(*twin));
        }
        for (handle, id, stamp) in pings {
            let (stamp, hold, calm) = (Some(stamp), Duration::ZERO, false);
            let pong = Event::PongReceived { id, stamp, hold, calm };
            let told = fleet.handle(handle, pong, now).expect("there");
            let twin = twins.get_mut(&handle).expect("restored");
            assert_eq!(told, twin.handle(&config, pong, now));
        }
    }
    assert_eq!(released, 200);
    assert_eq!(fleet.count(Liveness::Lost), 67);
}
