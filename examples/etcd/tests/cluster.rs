//! Observers as processes, a real etcd, hundreds of peers; observers are killed and frozen, etcd is
//! killed, too (Y32 of the systems: a machine drives a real lease). Nobody living is ever condemned, everybody dead is found, within bounds that
//! [`Stage`] states.
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
    // They mostly wait; with more of them at once a small host is late.
    arguments.test_threads.get_or_insert(3);
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
    stage.until("all observers are there", Duration::from_secs(15), |stage| {
        Ok(view(stage)?.observers().len() == observers.len())
    })?;
    stage.until_all_asked(Instant::now(), Duration::from_secs(10))?;
    stage.crowd.forget_gaps();
    Ok(stage)
}

fn view(stage: &Stage) -> Result<View> {
    let (entries, revision) = stage.client.list(ALL, PATIENCE)?;
    Ok(View::of(entries, revision))
}

/// So many living peers that this observer watches now.
fn peers_of(stage: &Stage, observer: &str, most: usize) -> Result<Vec<String>> {
    let (view, lives) = (view(stage)?, stage.crowd.lives());
    let own = view.peers.keys().filter(|peer| view.owner(peer) == Some(observer));
    let living = own.filter(|peer| lives[*peer].killed.is_none());
    Ok(living.take(most).cloned().collect())
}

/// Kills these, and returns them with the time by which they must be found.
fn kill(stage: &Stage, peers: Vec<String>, within: Duration) -> BTreeMap<String, Instant> {
    peers.iter().for_each(|peer| stage.crowd.kill(peer));
    let by = Instant::now() + within;
    peers.into_iter().map(|peer| (peer, by)).collect()
}

/// Waits until all these are found, each in time, and checks that nobody else is.
fn found(stage: &Stage, mut awaited: BTreeMap<String, Instant>) -> Result<()> {
    while !awaited.is_empty() {
        let verdicts = stage.verdicts()?;
        let now = Instant::now();
        awaited.retain(|peer, by| !verdicts.contains_key(peer) || now > *by);
        let late: Vec<&String> =
            awaited.iter().filter(|(_, by)| now > **by).map(|(peer, _)| peer).collect();
        ensure!(late.is_empty(), "not found in time: {late:?}\n{}", stage.story());
        sleep(Duration::from_millis(10));
    }
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

/// No living peer went unasked for longer than the stage says.
fn nobody_unwatched(stage: &Stage) -> Result<()> {
    let lives = stage.crowd.lives().into_iter().filter(|(_, life)| life.killed.is_none());
    let (peer, life) = lives.max_by_key(|(_, life)| life.longest_gap).context("no peers")?;
    let bound = stage.unwatched();
    println!("unasked for {:.2?} at most, of {bound:.2?}", life.longest_gap);
    ensure!(
        life.longest_gap <= bound,
        "{peer} was not asked for {:?}, longer than {bound:?}\n{}",
        life.longest_gap,
        stage.story()
    );
    stage.crowd.forget_gaps();
    Ok(())
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
    stage.until_all_asked(Instant::now(), unwatched)?;
    nobody_unwatched(&stage)?;

    // It comes back, and its peers come to it.
    let moment = Instant::now();
    stage.observe("b")?;
    stage.until("b is back", TTL + PATIENCE, |stage| {
        Ok(stage.said("b", "joined", moment).is_some())
    })?;
    let joined = Instant::now();
    stage.until_all_asked(joined + INTERVAL, unwatched)?;
    ensure!(peers_of(&stage, "b", 9)?.len() == 9, "it got none back\n{}", stage.story());
    nobody_unwatched(&stage)?;

    // Two at once.
    let own = peers_of(&stage, "d", 8)?;
    stage.kill("a")?;
    stage.kill("d")?;
    found(&stage, kill(&stage, own, unwatched + detected))?;
    stage.until_all_asked(Instant::now(), unwatched)?;
    nobody_unwatched(&stage)?;
    // One lease was kept by its machine all that time.
    let joined = stage.lines("c").into_iter().filter(|(_, line)| line.starts_with("joined"));
    let since = joined.map(|(at, _)| at).collect::<Vec<_>>();
    ensure!(since.len() == 1 && since[0].elapsed() > 3 * TTL, "{}", stage.story());
    nobody_else(&stage)
}

fn y32_a_frozen_observer_is_fenced() -> Result<()> {
    let stage = stage(200, &["a", "b", "c"])?;
    let (detected, unwatched) = (stage.detected()?, stage.unwatched());

    // For a moment: nothing comes of it.
    let moment = Instant::now();
    stage.freeze("b")?;
    sleep(TTL / 4);
    stage.thaw("b")?;
    sleep(2 * INTERVAL);
    for word in ["fenced", "doubts"] {
        ensure!(stage.said("b", word, moment).is_none(), "{word}, too soon\n{}", stage.story());
    }
    nobody_else(&stage)?;

    // Past its lease. It has just begun to miss some peers, and thaws when others have judged them.
    let moment = Instant::now();
    let mut awaited = kill(&stage, peers_of(&stage, "b", 6)?, unwatched + detected);
    sleep(INTERVAL);
    stage.freeze("b")?;
    awaited.extend(kill(&stage, peers_of(&stage, "b", 6)?, unwatched + detected));
    let dead: Vec<String> = awaited.keys().cloned().collect();
    found(&stage, awaited)?;
    stage.until_all_asked(Instant::now(), unwatched)?;
    nobody_unwatched(&stage)?;
    // (As far as it got before it was frozen, they may be its own verdicts.)
    let verdicts = stage.verdicts()?;
    let thawed = Instant::now();
    stage.thaw("b")?;
    stage.until("b is back", TTL + PATIENCE, |stage| {
        Ok(stage.said("b", "joined", thawed).is_some())
    })?;
    let first = stage.lines("b").into_iter().find(|(at, _)| *at >= thawed);
    let first = first.map(|(_, line)| line).unwrap_or_default();
    ensure!(first.starts_with("fenced"), "it began with {first:?}\n{}", stage.story());
    ensure!(stage.said("b", "fenced", moment) >= Some(thawed), "it was not frozen");
    stage.until_all_asked(Instant::now() + INTERVAL, unwatched)?;
    ensure!(stage.verdicts()? == verdicts, "a verdict too many\n{}", stage.story());
    ensure!(verdicts.len() == dead.len(), "{verdicts:?}");
    nobody_unwatched(&stage)?;
    nobody_else(&stage)
}

/// Cut off from its peers, not from etcd: it would condemn them all.
fn an_observer_that_is_cut_off_leaves() -> Result<()> {
    let mut stage = stage(150, &["a", "b", "c"])?;
    let detected = stage.detected()?;
    let one = peers_of(&stage, "b", 1)?.pop().context("it has peers")?;
    let address = stage.crowd.lives()[&one].observer;
    let moment = Instant::now();
    stage.crowd.cut_off(address);
    stage.until("it leaves", detected, |stage| Ok(stage.said("b", "doubts", moment).is_some()))?;
    // It has told etcd, so nobody waits for its lease.
    stage.until_all_asked(Instant::now(), 4 * INTERVAL)?;
    nobody_unwatched(&stage)?;
    nobody_else(&stage)?;
    // It looks again, and again; nobody comes to harm.
    sleep(3 * TTL);
    let doubts = stage.lines("b").into_iter().filter(|(_, line)| line.starts_with("doubts"));
    ensure!(doubts.count() > 1, "it did not look again\n{}", stage.story());
    nobody_unwatched(&stage)?;
    nobody_else(&stage)?;
    stage.crowd.cut_off(None);
    let healed = Instant::now();
    stage.until("it is back", 20 * TTL, |stage| {
        Ok(!peers_asked_by(stage, address, healed).is_empty())
    })?;
    nobody_unwatched(&stage)?;

    // When four of five peers die all observers doubt themselves, hence none, and they are found. (The first
    // one may leave, and others take over its peers.)
    let holds = stage.detected()? + 10 * INTERVAL + 2 * stage.config()?.response_window();
    let living = |stage: &Stage| {
        let lives = stage.crowd.lives().into_iter();
        lives.filter(|(_, it)| it.killed.is_none()).map(|(peer, _)| peer)
    };
    let most = living(&stage).take(120).collect();
    found(&stage, kill(&stage, most, holds + detected))?;

    // And so does the last observer there is, of the last peers.
    stage.kill("a")?;
    stage.kill("c")?;
    stage.until_all_asked(Instant::now(), 10 * TTL)?;
    let all = living(&stage).collect();
    found(&stage, kill(&stage, all, holds))
}

/// Who was asked by it since.
fn peers_asked_by(stage: &Stage, observer: Option<SocketAddr>, since: Instant) -> Vec<String> {
    let lives = stage.crowd.lives().into_iter();
    let asked = lives.filter(|(_, life)| life.observer == observer && life.asked >= since);
    asked.map(|(peer, _)| peer).collect()
}

fn y32_etcd_dies_and_comes_back() -> Result<()> {
    let mut stage = stage(100, &["a", "b"])?;
    let (detected, unwatched) = (stage.detected()?, stage.unwatched());
    let moment = Instant::now();
    stage.kill_etcd()?;
    // Nobody may judge any more, and they know it before their leases can have run out.
    for id in ["a", "b"] {
        stage.until("both are fenced", TTL, |stage| {
            Ok(stage.said(id, "fenced", moment).is_some())
        })?;
        let fenced = stage.said(id, "fenced", moment).context("just now")? - moment;
        println!("fenced {fenced:.2?} after etcd was gone, of {TTL:?}");
        ensure!(fenced < TTL, "too late\n{}", stage.story());
    }
    let dead = peers_of_nobody(&stage, 5);
    dead.iter().for_each(|peer| stage.crowd.kill(peer));
    // Whoever is fenced leaves its peers alone.
    let pings = |stage: &Stage| stage.crowd.lives().values().map(|it| it.pings).sum::<u64>();
    sleep(Duration::from_millis(100)); // For what was under way.
    let before = pings(&stage);
    sleep(TTL);
    let more = pings(&stage) - before;
    ensure!(more == 0, "{more} pings of fenced observers\n{}", stage.story());
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
    stage.until_all_asked(Instant::now(), unwatched)?;
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
    let join = |id: &str| etcd.join(id, 1, TTL, None, PATIENCE);
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
    let grant = etcd.join("a", 1, TTL, Some(grant.id), PATIENCE)?;
    let knowing = Verdict { view: grant.revision, ..knowing };
    refused("of its life before", &knowing)?;
    let right = Verdict { lease: grant.id, revision: grant.revision, ..knowing };
    ensure!(condemn(&right)? == Outcome::Written, "all is right");
    ensure!(stage.verdicts()?.len() == 1, "it is written");
    refused_again(etcd, &right)?;
    // A lease that nobody keeps alive ends by itself.
    stage.until("both leases end", TTL + Duration::from_secs(2), |stage| {
        Ok(stage.client.list(OBSERVERS, PATIENCE)?.0.is_empty())
    })
}

fn refused_again(etcd: &Etcd, verdict: &Verdict) -> Result<()> {
    ensure!(etcd.condemn(verdict, PATIENCE)? == Outcome::Refused, "there is no such peer now");
    Ok(())
}

/// Two minutes (or `HEARTBEAT_ETCD_SECONDS`) of kills and freezes by chance.
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
        let is_frozen = chance.below(2) == 0;
        if is_frozen {
            stage.freeze(id)?
        } else {
            stage.kill(id)?
        }
        found(&stage, kill(&stage, dead, unwatched + detected))?;
        sleep(Duration::from_millis(chance.below(3000) as u64));
        if is_frozen {
            stage.thaw(id)?
        } else {
            stage.observe(id)?
        }
        stage.until("all four are there", 2 * TTL + PATIENCE, |stage| {
            let is_back = !is_frozen && stage.said(id, "joined", moment).is_none();
            Ok(!is_back && view(stage)?.observers().len() == 4)
        })?;
        stage.until_all_asked(Instant::now() + INTERVAL, unwatched)?;
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
