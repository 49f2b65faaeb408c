//! What becomes of peers when a fleet is saved and restored: nobody dies of it, the dead are found
//! all the same, and neither comes all at once.

use core::ops::ControlFlow;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use heartbeat_proto::detector::{Compact, Detector, Evidence, Sign, Trust};
use heartbeat_proto::fleet::{Fleet, Handle, Progress, Restoring, Saving};
use heartbeat_proto::{Action, Actions, Config, Event, Findings, Liveness, Mode, Timestamp};
use proptest::prelude::*;

use super::schedule::{Run, SEC, at, started};

/// The whole snapshot of a fleet.
pub(super) fn saved<D: Detector>(fleet: &Fleet<D>, now: Timestamp) -> Vec<u8> {
    let (mut saving, mut bytes) = (Saving::new(), Vec::new());
    while fleet.save(&mut saving, now, &mut bytes) == Progress::Pending {}
    bytes
}

/// A fleet of that, with the old and the new handles.
fn restored<D: Detector>(
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

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).expect("short")
}

/// The most of `n` in a span `p`, by rule SN7.
fn most(n: u64, p: u64, interval: u64) -> u64 {
    let m = n.min((n * (p + 1)).div_ceil(interval));
    let root = (0..=m).find(|r| r * r >= m).expect("m at the latest");
    m + 8 * root + 23
}

/// The largest number of `times` in a span.
fn densest(mut times: Vec<u64>, span: u64) -> u64 {
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

/// SN1, SN4, SN5: those that were not simply alive.
#[test]
fn each_goes_on_with_its_life() {
    use Liveness::{Alive, Closed, Idle, Lost, Starting, Suspect};
    let seconds = Duration::from_secs;
    let config = Config::builder()
        .interval(seconds(10))
        .timeout(seconds(40))
        .startup_limit(seconds(100))
        .reopen_after(2)
        .build()
        .expect("valid");
    let mut fleet = Fleet::new(config, 1, at(0)).expect("valid");
    let profile = fleet.profiles().next().expect("one");
    let handles = [(); 8].map(|()| fleet.insert(profile, at(0)).expect("room"));
    let [alive, suspect, lost, closed, draining, suspended, starting, idle] = handles;
    let most = [alive, suspect, lost, closed, draining, suspended];
    let script = [
        (0, &most[..], Event::Start),
        (5, &most, Event::FrameReceived),
        (6, &[suspended], Event::Suspend),
        (6, &[closed], Event::GoodbyeReceived),
        (35, &[alive, suspect, draining], Event::FrameReceived),
        (50, &[starting], Event::Start),
        (58, &[draining], Event::Drain),
        (59, &[alive], Event::FrameReceived),
    ];
    let mut ignore = |_, _: Actions| ControlFlow::Continue(());
    for now in 0..=60 {
        for (_, who, event) in script.iter().filter(|(when, ..)| *when == now) {
            for one in *who {
                let _ = fleet.handle(*one, *event, at(now * SEC)).expect("there");
            }
        }
        while fleet.advance(at(now * SEC), 100, &mut ignore) == Progress::Pending {}
    }
    let all = |fleet: &Fleet, handles: [Handle; 8]| {
        handles.map(|one| fleet.peer(one).expect("there").liveness())
    };
    let before = all(&fleet, handles);
    assert_eq!(before, [Alive, Suspect, Lost, Closed, Suspect, Alive, Starting, Idle]);

    let begin = 5_000;
    let bytes = saved(&fleet, at(60 * SEC));
    let (mut fleet, names) = restored(config, 2, &bytes, at(begin * SEC));
    assert_eq!(all(&fleet, handles.map(|was| names[&was])), before);
    let mut seen: Vec<(u64, Handle, Action)> = Vec::new();
    for now in begin..begin + 65 {
        let mut sink = |handle, actions: Actions| {
            seen.extend(actions.into_iter().map(|action| (now - begin, handle, action)));
            ControlFlow::Continue(())
        };
        while fleet.advance(at(now * SEC), 100, &mut sink) == Progress::Pending {}
    }
    let times = |was: Handle, is_it: fn(&Action) -> bool| {
        let its = seen.iter().filter(|(_, is, action)| *is == names[&was] && is_it(action));
        its.map(|(when, ..)| *when).collect::<Vec<_>>()
    };
    let pings = |was| times(was, |action| matches!(action, Action::SendPing { .. }));
    let fell = |was| {
        let fallen = |a: &Action| matches!(a, Action::Notify(change) if change.to == Lost);
        times(was, fallen)[0]
    };
    assert!(seen.iter().all(|(_, is, _)| *is != names[&closed]));
    // One that may come back is pinged on, the first time within its interval.
    assert!(pings(lost).len() >= 5 && pings(lost)[0] <= 11, "{:?}", pings(lost));
    assert!(pings(draining).is_empty() && pings(idle).is_empty());
    // What remained, from the release on, which comes within 10 s; a step late, in whole seconds.
    let left = [(alive, 39), (suspect, 15), (draining, 8), (suspended, 39), (starting, 30)];
    for (was, left) in left.into_iter().chain([(idle, 40)]) {
        let fell = fell(was);
        // Draining and the limit of the start leave W at least.
        let least = if was == draining { 10 } else { left };
        assert!((least..=least + 12).contains(&fell), "{was}: {fell}, {left} were left");
    }
}

/// SN5: life releases at once, and so does nothing else that the old process could have been told;
/// a second `Suspend` holds until the resume.
#[test]
fn what_is_heard_releases() {
    let config = Config::messaging_30_90();
    let (fleet, _) = started(config, 100);
    let mut old = Run::new(fleet);
    old.until(50 * SEC);
    let begin = 60;
    let (mut fleet, names) = restored(config, 5, &saved(&old.fleet, at(old.now)), at(begin * SEC));
    let mut all = names.into_iter();
    let (was, held) = all.next().expect("hundred");
    assert!(fleet.handle(was, Event::FrameReceived, at(begin * SEC)).is_err());
    let actions = fleet.handle(held, Event::Suspend, at(begin * SEC)).expect("there");
    assert!(actions.is_empty());
    for (_, is) in all {
        let now = at(begin * SEC + 1);
        let actions = fleet.handle(is, Event::FrameReceived, now).expect("there");
        let resumed = |action| matches!(action, Action::Report(f) if f.contains(Findings::RESUMED));
        assert!(actions.into_iter().any(resumed));
    }
    let mut sink = |handle, _: Actions| -> ControlFlow<()> {
        assert_ne!(handle, held);
        ControlFlow::Continue(())
    };
    while fleet.advance(at((begin + 1000) * SEC), 1000, &mut sink) == Progress::Pending {}
    let event = Event::Resume { slept: Duration::ZERO };
    let actions = fleet.handle(held, event, at((begin + 1000) * SEC)).expect("there");
    assert!(actions.into_iter().any(|action| matches!(action, Action::SendPing { .. })));
    assert_eq!(fleet.peer(held).expect("there").liveness(), Liveness::Alive);
}

/// SN4: who sends no pings could not hear what was sent meanwhile. So a peer that was nearly given
/// up has all its time again, from its release on.
#[test]
fn listeners_begin_anew() {
    for mode in [Mode::Passive, Mode::Responder] {
        let config = Config::builder()
            .mode(mode)
            .interval(Duration::from_secs(30))
            .timeout(Duration::from_secs(40))
            .build()
            .expect("valid");
        let (fleet, handles) = started(config, 50);
        let mut old = Run::new(fleet);
        for handle in handles {
            let _ = old.fleet.handle(handle, Event::FrameReceived, at(SEC)).expect("there");
        }
        old.until(40 * SEC);
        assert_eq!(old.fleet.count(Liveness::Suspect), 50);
        let begin = 1000;
        let (mut fleet, _) = restored(config, 5, &saved(&old.fleet, at(old.now)), at(begin * SEC));
        let mut lost = Vec::new();
        for now in begin..begin + 80 {
            let mut sink = |_, actions: Actions| {
                let fell = |a| matches!(a, Action::Notify(change) if change.to == Liveness::Lost);
                lost.extend(actions.into_iter().any(fell).then_some(now - begin));
                ControlFlow::Continue(())
            };
            while fleet.advance(at(now * SEC), 1000, &mut sink) == Progress::Pending {}
        }
        assert_eq!(lost.len(), 50, "{mode:?}");
        assert!(lost.iter().all(|after| (40..=71).contains(after)), "{mode:?}: {lost:?}");
        assert!(densest(lost, 3) < 25, "{mode:?}: not spread");
    }
}

/// SN4: what a detector knows of both clocks does not last, what it knows of the path does: after
/// one beat the margin is what it was. Another detector begins anew.
#[test]
fn what_is_learnt_lasts() {
    let config = Config::builder()
        .interval(Duration::from_secs(1))
        .timeout(Duration::from_secs(4))
        .detector(Compact::default())
        .build()
        .expect("valid");
    let mut fleet = Fleet::new(config, 1, at(0)).expect("valid");
    let profile = fleet.profiles().next().expect("one");
    let peer = fleet.insert(profile, at(0)).expect("room");
    let _ = fleet.handle(peer, Event::Start, at(0)).expect("there");
    let beat = |sent: u64| Event::BeaconReceived {
        stamp: Some(Timestamp::from_nanos(sent)),
        period: Duration::from_secs(1),
    };
    for n in 0..300_u64 {
        let delay = SEC / 100 * (1 + n % 7);
        let _ = fleet.handle(peer, beat(n * SEC), at(n * SEC + delay)).expect("there");
    }
    // How long it trusts after a beat that is as late as the level.
    let margin = |fleet: &Fleet<Compact>, peer, heard: u64| {
        let trust = Trust::new(at(heard), SEC, 4 * SEC);
        let state = fleet.peer(peer).expect("there").detector_state();
        config.detector().deadline(state, &trust).as_nanos() - at(heard).as_nanos()
    };
    let knew = margin(&fleet, peer, 299 * SEC);
    let bytes = saved(&fleet, at(300 * SEC));
    let begin = 55_555;
    let (mut new, names) = restored(config, 2, &bytes, at(begin * SEC));
    let is = names[&peer];
    assert_eq!(margin(&new, is, begin * SEC), 4 * SEC, "the configuration's until life is heard");
    let _ = new.handle(is, beat(900 * SEC), at(begin * SEC)).expect("there");
    let _ = new.handle(is, beat(901 * SEC), at((begin + 1) * SEC)).expect("there");
    let knows = margin(&new, is, (begin + 1) * SEC);
    assert!(knows.abs_diff(knew) < SEC / 10, "{knows} was {knew}");
    // Anew: a margin of four periods.
    let mut state = <Compact as Detector>::State::default();
    let mut evidence = Evidence::new(Sign::Beat, at(0), SEC);
    evidence.stamp = Some(at(0));
    config.detector().learn(&mut state, &evidence);
    let trust = Trust::new(at(0), SEC, 4 * SEC);
    let anew = config.detector().deadline(&state, &trust).as_nanos() - at(0).as_nanos();
    assert!(anew > 2 * knows, "{anew}, {knows}");

    let fixed = Config::builder()
        .interval(Duration::from_secs(1))
        .timeout(Duration::from_secs(4))
        .build()
        .expect("valid");
    let (fleet, names) = restored(fixed, 2, &bytes, at(begin * SEC));
    assert_eq!(fleet.peer(names[&peer]).expect("there").liveness(), Liveness::Alive);
}

/// SN2: while it is saved, the fleet goes on; and whatever it does until it ends, none of its handles
/// names anybody in the fleet that is restored.
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

/// SN4: the keepalive is owed at the release, not by all at once; and without ids nobody takes the
/// pong of a ping that the old process sent for one of its own.
#[test]
fn what_was_under_way_is_forgotten() {
    let base = Config::builder().interval(Duration::from_secs(30)).timeout(Duration::from_secs(90));
    let config = base.mode(Mode::Responder).keepalive(Duration::from_secs(12)).build();
    let config = config.expect("valid");
    let (fleet, handles) = started(config, 600);
    let bytes = saved(&fleet, at(SEC));
    let begin = 1000 * SEC;
    let (mut fleet, _) = restored(config, 5, &bytes, at(begin));
    let mut first = BTreeMap::new();
    for step in 1..=3500 {
        let now = begin + step * SEC / 100;
        let mut sink = |handle, actions: Actions| {
            if actions.into_iter().any(|action| matches!(action, Action::SendBeacon { .. })) {
                first.entry(handle).or_insert(now);
            }
            ControlFlow::Continue(())
        };
        while fleet.advance(at(now), 1000, &mut sink) == Progress::Pending {}
    }
    assert_eq!(first.len(), handles.len());
    let densest = densest(first.into_values().collect(), SEC);
    assert!(densest <= most(600, SEC, 30 * SEC), "{densest} in a second");

    let config = base.ids(false).build().expect("valid");
    let (mut fleet, handles) = started(config, 1);
    let _ = fleet.handle(handles[0], Event::FrameReceived, at(1)).expect("there");
    let (mut fleet, names) = restored(config, 5, &saved(&fleet, at(SEC)), at(begin));
    let mut sink = |_, _: Actions| ControlFlow::Continue(());
    while fleet.advance(at(begin + 31 * SEC), 10, &mut sink) == Progress::Pending {}
    let peer = names[&handles[0]];
    let pong = Event::AnonymousPongReceived;
    let _ = fleet.handle(peer, pong, at(begin + 31 * SEC + 1)).expect("there");
    assert_eq!(fleet.peer(peer).expect("there").rtt().smoothed(), None);
}
