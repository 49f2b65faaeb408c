//! What a restored peer has, and what was left behind.

use core::ops::ControlFlow;
use core::time::Duration;
use std::collections::BTreeMap;

use heartbeat_proto::detector::{Compact, Detector, Evidence, Sign, Trust};
use heartbeat_proto::fleet::{Fleet, Handle, Progress, Restoring};
use heartbeat_proto::{Action, Actions, Config, Event, Findings, Liveness, Mode, Timestamp};

use super::guard::nanos;
use super::schedule::{Run, SEC, at, started};
use super::snapshot::{densest, most, restored, saved};
use super::snapshot_bytes::sealed;

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
        let state = *fleet.peer(peer).expect("there").detector_state();
        config.detector().deadline(&state, &trust).as_nanos() - at(heard).as_nanos()
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

    // Also without the pause that the release tells.
    let mut state = config.detector().lasted(0xff << 16);
    evidence.at = at(5_000 * SEC);
    config.detector().learn(&mut state, &evidence);
    let trust = Trust::new(evidence.at, SEC, 4 * SEC);
    let deadline = config.detector().deadline(&state, &trust);
    assert!(deadline > at(5_001 * SEC), "{deadline} {state:?}");

    // Of another detector, or of a later form of this one.
    let mut other = bytes[..Fleet::<Compact>::LONGEST_PORTION].to_vec();
    other[27] = 99;
    let mut anew = Fleet::new(config, 2, at(0)).expect("valid");
    let mut names = Vec::new();
    let mut told = |_, is| names.push(is);
    let taken = anew.restore(&mut Restoring::new(), &sealed(&other), at(0), &mut told);
    assert_eq!(taken, Ok(other.len()));
    let state = *anew.peer(names[0]).expect("there").detector_state();
    assert_eq!(state, <Compact as Detector>::State::default());
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

/// SN4, SN5: the rest of a grace is left, and lost ones that may come back are not pinged at once.
#[test]
fn the_unheard_and_the_lost_are_spread() {
    let base = Config::builder().interval(Duration::from_secs(10)).timeout(Duration::from_secs(40));
    let graced = base.startup_grace(Duration::from_secs(60)).build().expect("valid");
    let reopening = base.reopen_after(2).build().expect("valid");
    // Lost in the old process, and with 50 s of grace and a timeout left.
    for (config, seconds, least) in [(reopening, 70, None), (graced, 10, Some(90))] {
        let (fleet, handles) = started(config, 1000);
        let mut old = Run::new(fleet);
        old.dead = handles.into_iter().collect();
        old.until(seconds * SEC);
        let begin = 500 * SEC;
        let (fleet, names) = restored(config, 5, &saved(&old.fleet, at(old.now)), at(begin));
        let mut new = Run::new(fleet);
        (new.now, new.dead) = (begin, names.into_values().collect());
        let window = nanos(config.interval()) + nanos(config.min_gap());
        new.until(begin + window);
        assert!((1000..2000).contains(&new.pings), "{} pings", new.pings);
        let bound = most(1000, 2 * nanos(new.fleet.step()), nanos(config.interval()));
        assert!(new.most_pings_a_call <= bound, "{} > {bound}", new.most_pings_a_call);
        new.until(begin + 200 * SEC);
        let first = new.lost.values().min().map(|lost| (lost - begin) / SEC);
        assert_eq!((first >= least, first.is_some()), (true, least.is_some()), "{first:?}");
    }
}
