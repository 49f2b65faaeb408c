//! Observers as processes, a real etcd, hundreds of peers; observers are killed and frozen, etcd is
//! killed, too (Y32 of the systems: a machine drives a real lease). Nobody living is ever condemned,
//! everybody dead is found, nobody is left unwatched.
//!
//! How long it takes is printed beside how long it should take by the rules. It fails only if it takes
//! longer by more than an allowance (`HEARTBEAT_ETCD_ALLOWANCE`, in seconds), since a busy host is late with everything:
//! what a machine may do on time is tested where time is virtual.
//!
//! `cargo test --manifest-path examples/etcd/Cargo.toml`; `-- --include-ignored` adds the long one.
//! Without etcd (`apt-get install etcd-server`) all are ignored, and it says so.

#![expect(clippy::disallowed_methods, reason = "it measures")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::net::SocketAddr;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use etcd_observers::etcd::{ALL, Etcd, OBSERVERS, Outcome, PEERS, Verdict};
use etcd_observers::stage::{PATIENCE, Stage, find_etcd};
use etcd_observers::view::View;
use libtest_mimic::{Arguments, Failed, Trial};

const TTL: Duration = Duration::from_secs(2);
const INTERVAL: Duration = Duration::from_millis(300);

fn main() {
    let mut arguments = Arguments::from_args();
    // They mostly wait; but each has an etcd and its observers, and takes the time of the others.
    arguments.test_threads.get_or_insert(2);
    let is_there = find_etcd().is_some();
    if !is_there {
        println!("SKIP: there is no etcd here (`apt-get install etcd-server`, or set ETCD)");
    }
    let trial = |name: &str, run: fn() -> Result<()>, is_long: bool| {
        let run = move || run().map_err(|error| Failed::from(format!("{error:?}")));
        Trial::test(name, run).with_ignored_flag(!is_there || is_long)
    };
    let trials = vec![
        trial("y32_observers_die_and_nobody_else", y32_observers_die_and_nobody_else, false),
        trial("y32_a_frozen_observer_is_fenced", y32_a_frozen_observer_is_fenced, false),
        trial("an_observer_that_is_cut_off_leaves", an_observer_that_is_cut_off_leaves, false),
        trial("y32_etcd_dies_and_comes_back", y32_etcd_dies_and_comes_back, false),
        trial("a_fenced_observer_cannot_condemn", a_fenced_observer_cannot_condemn, false),
        trial("a_bad_day", a_bad_day, true),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn stage(peers: usize, observers: &[&str]) -> Result<Stage> {
    let program = Path::new(env!("CARGO_BIN_EXE_observer"));
    let mut stage = Stage::new(program, peers, TTL, INTERVAL)?;
    observers.iter().try_for_each(|id| stage.observe(id))?;
    for id in observers {
        wait_for(&stage, id)?;
    }
    until_all_asked(&stage)?;
    stage.crowd.forget_gaps();
    Ok(stage)
}

fn view(stage: &Stage) -> Result<View> {
    let (entries, revision) = stage.client.list(ALL, PATIENCE)?;
    Ok(View::of(entries, revision))
}

/// Waits until this observer is one of them. (On a busy host it may lose its lease at any time, and
/// come back.)
fn wait_for(stage: &Stage, id: &str) -> Result<()> {
    stage.until("it is there", TTL, |stage| is_there(stage, id))
}

fn is_there(stage: &Stage, id: &str) -> Result<bool> {
    Ok(view(stage)?.observers().observers().any(|(it, _)| it == id))
}

fn until_all_asked(stage: &Stage) -> Result<()> {
    stage.until_all_asked(Instant::now(), 2 * INTERVAL)
}

/// So many living peers that this observer watches.
fn peers_of(stage: &Stage, observer: &str, most: usize) -> Result<Vec<String>> {
    wait_for(stage, observer)?;
    let (view, lives) = (view(stage)?, stage.crowd.lives());
    let own = view.peers.keys().filter(|peer| view.owner(peer) == Some(observer));
    let living = own.filter(|peer| lives[*peer].killed.is_none());
    Ok(living.take(most).cloned().collect())
}

/// Kills these, and returns them with the time by which they should be found.
fn kill(stage: &Stage, peers: Vec<String>, within: Duration) -> BTreeMap<String, Instant> {
    peers.iter().for_each(|peer| stage.crowd.kill(peer));
    let by = Instant::now() + within;
    peers.into_iter().map(|peer| (peer, by)).collect()
}

/// Waits until all these are found, and checks that nobody else is.
fn found(stage: &Stage, mut awaited: BTreeMap<String, Instant>) -> Result<()> {
    let lives = stage.crowd.lives();
    let mut last = (Duration::ZERO, Duration::MAX / 2);
    while !awaited.is_empty() {
        let verdicts = stage.verdicts()?;
        let now = Instant::now();
        for (peer, by) in &awaited {
            let killed = lives[peer].killed.context("it is dead")?;
            let (took, within) = (now - killed, by.saturating_duration_since(killed));
            stage.allow(&format!("{peer} is found"), took, within)?;
            // Whose time is nearest to its bound, or beyond it by the most.
            if took + last.1 > last.0 + within {
                last = (took, within);
            }
        }
        awaited.retain(|peer, _| !verdicts.contains_key(peer));
        sleep(Duration::from_millis(10));
    }
    stage.measure("all are found", last.0, last.1)?;
    nobody_else(stage)
}

fn nobody_else(stage: &Stage) -> Result<()> {
    let lives = stage.crowd.lives();
    let wronged: BTreeSet<String> = stage
        .verdicts()?
        .into_keys()
        .filter(|peer| lives.get(peer).is_none_or(|life| life.killed.is_none()))
        .collect();
    ensure!(wronged.is_empty(), "condemned, and alive: {wronged:?}\n{}", stage.story());
    Ok(())
}

/// Prints for how long a living peer went unasked at most.
fn nobody_unwatched(stage: &Stage) -> Result<()> {
    let lives = stage.crowd.lives().into_iter().filter(|(_, life)| life.killed.is_none());
    let (peer, life) = lives.max_by_key(|(_, life)| life.longest_gap).context("no peers")?;
    stage.measure(&format!("{peer} was not asked"), life.longest_gap, stage.unwatched())?;
    stage.crowd.forget_gaps();
    Ok(())
}

/// What an observer had said of its lease last, by this time.
fn standing(stage: &Stage, id: &str, by: Instant) -> Option<(Instant, String)> {
    let is_of_it =
        |line: &str| ["joined", "fenced", "doubts"].iter().any(|it| line.starts_with(it));
    stage.lines(id).into_iter().rfind(|(at, line)| *at <= by && is_of_it(line))
}

/// For how long an observer has kept one lease, at the longest.
fn longest_lease(stage: &Stage, id: &str) -> Duration {
    let (mut longest, mut joined) = (Duration::ZERO, None);
    for (at, line) in stage.lines(id) {
        match line.split(' ').next() {
            Some("joined") => joined = Some(at),
            Some("fenced" | "doubts") => {
                longest = longest.max(joined.take().map_or(Duration::ZERO, |joined| at - joined));
            }
            _ => {}
        }
    }
    longest.max(joined.map_or(Duration::ZERO, |joined| joined.elapsed()))
}

fn y32_observers_die_and_nobody_else() -> Result<()> {
    let mut stage = stage(300, &["a", "b", "c", "d"])?;
    let (detected, unwatched) = (stage.detected()?, stage.unwatched());

    // One dies, and with it some of its peers, and some of others.
    let (own, others) = (peers_of(&stage, "b", 8)?, peers_of(&stage, "c", 8)?);
    ensure!(own.len() == 8 && others.len() == 8, "too few peers: {own:?} {others:?}");
    stage.kill("b")?;
    let mut awaited = kill(&stage, own, unwatched + detected);
    awaited.extend(kill(&stage, others, detected));
    found(&stage, awaited)?;
    until_all_asked(&stage)?;
    nobody_unwatched(&stage)?;

    // It comes back, and its peers come to it.
    stage.observe("b")?;
    let address = Some(stage.address("b")?);
    let moment = Instant::now();
    stage.until("b is back, and has peers", TTL + unwatched, |stage| {
        Ok(peers_asked_by(stage, address, moment).len() >= 9)
    })?;
    until_all_asked(&stage)?;
    nobody_unwatched(&stage)?;

    // Two at once.
    let own = peers_of(&stage, "d", 8)?;
    stage.kill("a")?;
    stage.kill("d")?;
    found(&stage, kill(&stage, own, unwatched + detected))?;
    until_all_asked(&stage)?;
    nobody_unwatched(&stage)?;
    // Left alone by its machine a lease would end after one TTL.
    stage.until("one lease is kept for long", 3 * TTL, |stage| {
        Ok(["b", "c"].iter().any(|id| longest_lease(stage, id) > 3 * TTL))
    })?;
    nobody_else(&stage)
}

fn y32_a_frozen_observer_is_fenced() -> Result<()> {
    let stage = stage(200, &["a", "b", "c"])?;
    let (detected, unwatched) = (stage.detected()?, stage.unwatched());

    // For a moment: nothing comes of it. (Unless this host adds some of its own; then once more.)
    stage.until("it may be frozen for a moment", TTL, |stage| {
        wait_for(stage, "b")?;
        let moment = Instant::now();
        stage.freeze("b")?;
        sleep(TTL / 4);
        stage.thaw("b")?;
        sleep(2 * INTERVAL);
        nobody_else(stage)?;
        Ok(["fenced", "doubts"].iter().all(|word| stage.said("b", word, moment).is_none()))
    })?;

    // Past its lease. It has just begun to miss some peers, and thaws when others have judged them.
    let first = peers_of(&stage, "b", 6)?;
    let mut awaited = kill(&stage, first.clone(), unwatched + detected);
    sleep(INTERVAL);
    let second = peers_of(&stage, "b", 6)?;
    stage.freeze("b")?;
    let frozen = Instant::now();
    awaited.extend(kill(&stage, second, unwatched + detected));
    let dead: Vec<String> = awaited.keys().cloned().collect();
    found(&stage, awaited)?;
    until_all_asked(&stage)?;
    nobody_unwatched(&stage)?;
    // (As far as it got before it was frozen, they may be its own verdicts.)
    let verdicts = stage.verdicts()?;
    stage.until("etcd has ended its lease", TTL, |stage| Ok(!is_there(stage, "b")?))?;
    let thawed = Instant::now();
    stage.thaw("b")?;
    stage.until("b is back", INTERVAL, |stage| Ok(stage.said("b", "joined", thawed).is_some()))?;
    // The first that it does, but for hearing what became of what it had done before.
    let (at, last) = standing(&stage, "b", thawed).context("it has joined once")?;
    ensure!(at < frozen + INTERVAL, "it was not frozen\n{}", stage.story());
    let after = stage.lines("b").into_iter().filter(|(at, _)| *at >= thawed);
    let heard = |line: &str| first.iter().any(|peer| line.starts_with(&format!("verdict {peer} ")));
    let next = after.map(|(_, line)| line).find(|line| !heard(line)).context("it is back")?;
    // (This host may have kept it so long before that it had been fenced.)
    let is_right = next.starts_with("fenced") || !last.starts_with("joined");
    ensure!(is_right, "it began with {next:?}\n{}", stage.story());
    until_all_asked(&stage)?;
    sleep(detected);
    ensure!(stage.verdicts()? == verdicts, "a verdict too many\n{}", stage.story());
    ensure!(verdicts.len() == dead.len(), "{verdicts:?}");
    nobody_unwatched(&stage)?;
    nobody_else(&stage)
}

/// Cut off from its peers, not from etcd: it would condemn them all.
fn an_observer_that_is_cut_off_leaves() -> Result<()> {
    let mut stage = stage(150, &["a", "b", "c"])?;
    let detected = stage.detected()?;
    let address = Some(stage.address("b")?);
    let moment = Instant::now();
    stage.crowd.cut_off(address);
    stage.until("it leaves", detected, |stage| Ok(stage.said("b", "doubts", moment).is_some()))?;
    // It has told etcd, so nobody waits for its lease.
    let is_there = is_there(&stage, "b")?;
    let left = stage.said("b", "doubts", moment).context("just now")?;
    ensure!(!is_there || stage.said("b", "joined", left).is_some(), "{}", stage.story());
    until_all_asked(&stage)?;
    nobody_unwatched(&stage)?;
    nobody_else(&stage)?;
    stage.crowd.cut_off(None);
    let healed = Instant::now();
    stage.until("it is back", stage.away()?, |stage| {
        Ok(!peers_asked_by(stage, address, healed).is_empty())
    })?;
    nobody_unwatched(&stage)?;

    // When four of five peers die all observers doubt themselves, hence none, and they are found. (The first
    // one may leave, and others take over its peers.)
    let judged = stage.judged()?;
    let living = |stage: &Stage| {
        let lives = stage.crowd.lives().into_iter();
        lives.filter(|(_, it)| it.killed.is_none()).map(|(peer, _)| peer)
    };
    let most = living(&stage).take(120).collect();
    found(&stage, kill(&stage, most, judged + detected))?;

    // And so does the last observer there is, of the last peers; even if it had left.
    stage.kill("a")?;
    stage.kill("c")?;
    let moment = Instant::now();
    let all: Vec<String> = living(&stage).collect();
    stage.until("b has all that live", stage.unwatched(), |stage| {
        Ok(peers_asked_by(stage, address, moment).len() == all.len())
    })?;
    found(&stage, kill(&stage, all, judged))
}

/// Which living peers were asked by it last, and since then.
fn peers_asked_by(stage: &Stage, observer: Option<SocketAddr>, since: Instant) -> Vec<String> {
    let lives = stage.crowd.lives().into_iter().filter(|(_, life)| life.killed.is_none());
    let asked = lives.filter(|(_, life)| life.observer == observer && life.asked >= since);
    asked.map(|(peer, _)| peer).collect()
}

fn y32_etcd_dies_and_comes_back() -> Result<()> {
    let mut stage = stage(100, &["a", "b"])?;
    let (detected, unwatched) = (stage.detected()?, stage.unwatched());
    stage.kill_etcd()?;
    let moment = Instant::now();
    // Nobody may judge any more, and they know it before their leases can have run out.
    for id in ["a", "b"] {
        let now = |stage: &Stage| standing(stage, id, Instant::now()).context("it has joined once");
        stage.until("both are fenced", TTL, |stage| Ok(!now(stage)?.1.starts_with("joined")))?;
        let fenced = now(&stage)?.0.saturating_duration_since(moment);
        // By its own clock; there is no allowance unless it was late with all that it does.
        let is_late = |stage: &Stage| {
            sleep(INTERVAL);
            stage.said(id, "late", moment).is_some()
        };
        ensure!(fenced < TTL || is_late(&stage), "{id}, after {fenced:?}\n{}", stage.story());
        stage.measure(&format!("{id} is fenced"), fenced, TTL)?;
    }
    let dead = peers_of_nobody(&stage, 5);
    dead.iter().for_each(|peer| stage.crowd.kill(peer));
    // Whoever is fenced leaves its peers alone. (Once, for what was under way.)
    let pings = |stage: &Stage| stage.crowd.lives().values().map(|it| it.pings).sum::<u64>();
    stage.until("nobody is asked", 2 * TTL, |stage| {
        let before = pings(stage);
        sleep(TTL);
        Ok(pings(stage) == before)
    })?;
    stage.restart_etcd()?;
    // At the latest when they try again, which is after up to 2 s and a fifth.
    let back = Duration::from_millis(2400) + TTL;
    for id in ["a", "b"] {
        stage
            .until("both are back", back, |stage| Ok(stage.said(id, "joined", moment).is_some()))?;
    }
    found(
        &stage,
        dead.into_iter().map(|it| (it, Instant::now() + unwatched + detected)).collect(),
    )?;
    until_all_asked(&stage)?;
    nobody_else(&stage)
}

fn peers_of_nobody(stage: &Stage, most: usize) -> Vec<String> {
    stage.crowd.lives().into_keys().take(most).collect()
}

/// What the transaction is for, one by one.
fn a_fenced_observer_cannot_condemn() -> Result<()> {
    let stage = stage(0, &[])?;
    let etcd: &Etcd = &stage.client;
    let incarnation = etcd.put(&format!("{PEERS}p"), "127.0.0.1:9", PATIENCE)?;
    // Long, since nobody keeps it.
    let join = |id: &str| etcd.join(id, 1, 100 * TTL, None, PATIENCE);
    let grant = join("a")?;
    ensure!(join("a").is_err(), "there are two of one name");
    let verdict = Verdict {
        peer: "p".to_owned(),
        incarnation,
        observer: "a".to_owned(),
        lease: grant.id,
        revision: grant.revision,
        view: grant.revision,
    };
    let condemn = |verdict: &Verdict| etcd.condemn(verdict, PATIENCE);
    let refused = |what: &str, verdict: &Verdict| {
        ensure!(condemn(verdict)? == Outcome::Refused, "it was written: {what}");
        ensure!(stage.verdicts()?.is_empty(), "{what}");
        Ok(())
    };
    refused("of another life", &Verdict { revision: grant.revision - 1, ..verdict.clone() })?;
    refused("of nobody", &Verdict { observer: "x".to_owned(), ..verdict.clone() })?;
    let again = etcd.put(&format!("{PEERS}p"), "127.0.0.1:9", PATIENCE)?;
    refused("of a peer that came again", &verdict)?;
    let verdict = Verdict { incarnation: again, ..verdict };
    let other = join("b")?;
    refused("without knowing of b", &verdict)?;
    etcd.revoke(grant.id, PATIENCE)?;
    let knowing = Verdict { view: other.revision, ..verdict.clone() };
    refused("after its lease", &knowing)?;
    ensure!(!etcd.keep_alive(grant.id, PATIENCE)?, "its lease is gone");
    // Joined anew it is another one, even with the same name.
    let grant = etcd.join("a", 1, 100 * TTL, Some(grant.id), PATIENCE)?;
    let knowing = Verdict { view: grant.revision, ..knowing };
    refused("of its life before", &knowing)?;
    let right = Verdict { lease: grant.id, revision: grant.revision, ..knowing };
    ensure!(condemn(&right)? == Outcome::Written, "all is right");
    ensure!(stage.verdicts()?.len() == 1, "it is written");
    refused_again(etcd, &right)?;
    // A lease that nobody keeps alive ends by itself.
    let short = etcd.join("c", 1, TTL, None, PATIENCE)?;
    let unknowing = Verdict { observer: "c".to_owned(), lease: short.id, ..right };
    stage.until("its lease ends", TTL + Duration::from_millis(500), |stage| {
        let observers = stage.client.list(OBSERVERS, PATIENCE)?.0;
        Ok(observers.iter().all(|it| it.created != short.revision))
    })?;
    refused_again(etcd, &Verdict { revision: short.revision, view: short.revision, ..unknowing })
}

fn refused_again(etcd: &Etcd, verdict: &Verdict) -> Result<()> {
    ensure!(etcd.condemn(verdict, PATIENCE)? == Outcome::Refused, "there is no such peer now");
    Ok(())
}

/// Two minutes (or `HEARTBEAT_ETCD_SECONDS`) of kills, freezes and cuts by chance.
fn a_bad_day() -> Result<()> {
    let number =
        |name: &str, usual| env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(usual);
    let mut chance = Chance(number("HEARTBEAT_ETCD_SEED", 1));
    let ids = ["a", "b", "c", "d"];
    let mut stage = stage(300, &ids)?;
    let (detected, unwatched) = (stage.detected()?, stage.unwatched());
    let end = Instant::now() + Duration::from_secs(number("HEARTBEAT_ETCD_SECONDS", 120));
    while Instant::now() < end {
        let id = ids[chance.below(4)];
        let dead = peers_of(&stage, ids[chance.below(4)], 1 + chance.below(3))?;
        let moment = Instant::now();
        let harm = chance.below(3);
        match harm {
            0 => stage.kill(id)?,
            1 => stage.freeze(id)?,
            _ => stage.crowd.cut_off(Some(stage.address(id)?)),
        }
        found(&stage, kill(&stage, dead, unwatched + detected))?;
        sleep(Duration::from_millis(chance.below(3000) as u64));
        match harm {
            0 => stage.observe(id)?,
            1 => stage.thaw(id)?,
            _ => stage.crowd.cut_off(None),
        }
        // Who doubts itself again and again stays away for up to ten times as long.
        let back = if harm == 2 { 10 * stage.away()? } else { 2 * TTL };
        stage.until("all four are there", back, |stage| {
            let is_back = harm != 0 || stage.said(id, "joined", moment).is_some();
            Ok(is_back && view(stage)?.observers().len() == 4)
        })?;
        until_all_asked(&stage)?;
        nobody_unwatched(&stage)?;
        nobody_else(&stage)?;
    }
    Ok(())
}

/// `SplitMix64`.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % limit as u64) as usize
    }
}
