//! [`Stage`]: an etcd of its own, observers as processes, and a crowd; all is gone when it is
//! dropped.

#![expect(clippy::disallowed_methods, reason = "it measures")]

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use heartbeat_proto::{Config, Timestamp};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock;
use crate::crowd::Crowd;
use crate::etcd::{Etcd, PEERS, VERDICTS};
use crate::ward;

/// How long a call of the stage's own may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// So much longer than it should take anything may take, in seconds: a host that is busy is no
/// failure, and what never comes does not come then, either. What took longer than it should is
/// printed. `HEARTBEAT_ETCD_ALLOWANCE` is another figure, for a host that is known to be quiet.
const ALLOWANCE: f64 = 45.0;

/// The etcd that `ETCD` names, or that is found on the path.
pub fn find_etcd() -> Option<PathBuf> {
    if let Some(path) = env::var_os("ETCD") {
        return Some(path.into());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join("etcd")).find(|file| file.is_file())
}

pub struct Stage {
    pub client: Etcd,
    pub crowd: Crowd,
    pub ttl: Duration,
    pub interval: Duration,
    /// When it was all started.
    pub start: Instant,
    allowance: Duration,
    etcd: Child,
    etcd_command: Vec<String>,
    observers: BTreeMap<String, Running>,
    folder: PathBuf,
    url: String,
    /// The program.
    observer: PathBuf,
}

struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Stage {
    /// An etcd and so many peers, registered; no observers.
    pub fn new(observer: &Path, peers: usize, ttl: Duration, interval: Duration) -> Result<Self> {
        static STAGES: AtomicU32 = AtomicU32::new(0);
        let program = find_etcd().context("there is no etcd: `apt-get install etcd-server`")?;
        let number = STAGES.fetch_add(1, Ordering::Relaxed);
        let name = format!("heartbeat-etcd-{}-{number}", std::process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder)?;
        // Another process may take a port between its choice and its use.
        let (etcd_command, url, etcd) = (0..5)
            .find_map(|_| start_etcd(&program, &folder).transpose())
            .context("no free ports")??;
        let client = Etcd::new(vec![url.clone()])?;
        let crowd = Crowd::new((0..peers).map(|peer| format!("peer-{peer:04}")))?;
        let observer = observer.to_owned();
        let (start, observers) = (Instant::now(), BTreeMap::new());
        let allowance = match env::var("HEARTBEAT_ETCD_ALLOWANCE") {
            Ok(seconds) => seconds.parse().context("HEARTBEAT_ETCD_ALLOWANCE is in seconds")?,
            Err(_) => ALLOWANCE,
        };
        let allowance = Duration::try_from_secs_f64(allowance)?;
        let stage = Self {
            client,
            crowd,
            ttl,
            interval,
            start,
            allowance,
            etcd,
            etcd_command,
            observers,
            folder,
            url,
            observer,
        };
        let lives = stage.crowd.lives().into_iter();
        let all = lives.map(|(name, life)| (format!("{PEERS}{name}"), life.address.to_string()));
        for some in all.collect::<Vec<_>>().chunks(100) {
            stage.client.put_all(some, PATIENCE)?;
        }
        Ok(stage)
    }

    /// The longest that a living peer may be unwatched when its observer dies: the lease runs out,
    /// etcd notices (it looks twice a second), and the next one asks within an interval; the last one
    /// had asked up to an interval before it died.
    pub fn unwatched(&self) -> Duration {
        self.ttl + Duration::from_millis(500) + 2 * self.interval
    }

    /// The longest that a dead peer with a living observer may go without a verdict.
    pub fn detected(&self) -> Result<Duration> {
        Ok(self.config()?.worst_case_detection())
    }

    /// The same, when so many die at once that their observers doubt themselves.
    pub fn judged(&self) -> Result<Duration> {
        Ok(ward::judged_within(&self.config()?))
    }

    /// The longest that an observer stays away that has doubted itself for the first time.
    pub fn away(&self) -> Result<Duration> {
        Ok(ward::away(&self.config()?) * 6 / 5 + self.interval)
    }

    /// The rules for peers.
    pub fn config(&self) -> Result<Config> {
        ward::rules(self.interval)
    }

    /// Starts an observer, again if need be.
    pub fn observe(&mut self, id: &str) -> Result<()> {
        let (ttl, interval) = (self.ttl.as_secs(), self.interval.as_millis());
        let mut child = Command::new(&self.observer)
            .args(["observe", "--etcd", &self.url, "--id", id, "--with-parent"])
            .args(["--ttl", &ttl.to_string(), "--interval", &interval.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (output, kept) = (child.stdout.take().context("piped")?, Arc::clone(&lines));
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let line = dated(&line).unwrap_or((Instant::now(), line));
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        self.observers.insert(id.to_owned(), Running { child, lines });
        Ok(())
    }

    /// No warning, no goodbye.
    pub fn kill(&mut self, id: &str) -> Result<()> {
        let running = self.observers.get_mut(id).context("no such observer")?;
        running.child.kill()?;
        running.child.wait()?;
        Ok(())
    }

    pub fn freeze(&self, id: &str) -> Result<()> {
        signal(&self.observers.get(id).context("no such observer")?.child, Signal::STOP)
    }

    pub fn thaw(&self, id: &str) -> Result<()> {
        signal(&self.observers.get(id).context("no such observer")?.child, Signal::CONT)
    }

    pub fn kill_etcd(&mut self) -> Result<()> {
        self.etcd.kill()?;
        self.etcd.wait()?;
        Ok(())
    }

    /// The same one again, with its data.
    pub fn restart_etcd(&mut self) -> Result<()> {
        self.etcd = spawn(&self.etcd_command, &self.folder)?;
        self.until("etcd is back", PATIENCE, |stage| Ok(stage.verdicts().is_ok()))
    }

    /// Where an observer's pings come from.
    pub fn address(&self, id: &str) -> Result<SocketAddr> {
        self.until("it says its address", self.interval, |stage| {
            Ok(stage.said(id, "pings from", stage.start).is_some())
        })?;
        let lines = self.lines(id);
        let address = lines.iter().find_map(|(_, line)| line.strip_prefix("pings from "));
        let address: SocketAddr = address.context("just now")?.parse()?;
        Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()))
    }

    /// What an observer has said so far.
    pub fn lines(&self, id: &str) -> Vec<(Instant, String)> {
        self.observers.get(id).map_or_else(Vec::new, |running| {
            running.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
        })
    }

    /// When an observer said something that begins so, after `since`.
    pub fn said(&self, id: &str, begins: &str, since: Instant) -> Option<Instant> {
        let lines = self.lines(id).into_iter();
        lines.filter(|(at, line)| *at >= since && line.starts_with(begins)).map(|(at, _)| at).next()
    }

    /// The condemned, each with who wrote it.
    pub fn verdicts(&self) -> Result<BTreeMap<String, String>> {
        let (entries, _) = self.client.list(VERDICTS, PATIENCE)?;
        let peer = |key: &str| key.strip_prefix(VERDICTS).unwrap_or(key).to_owned();
        Ok(entries.into_iter().map(|entry| (peer(&entry.key), entry.value)).collect())
    }

    /// Waits until it is so; prints if that takes longer, and fails if by more than the allowance.
    pub fn until(
        &self,
        what: &str,
        within: Duration,
        is_so: impl Fn(&Self) -> Result<bool>,
    ) -> Result<()> {
        let start = Instant::now();
        while !is_so(self)? {
            self.allow(what, start.elapsed(), within)?;
            thread::sleep(Duration::from_millis(20));
        }
        if start.elapsed() > within {
            self.measure(what, start.elapsed(), within)?;
        }
        Ok(())
    }

    /// Prints how long something took, and fails as [`allow`](Self::allow) does.
    pub fn measure(&self, what: &str, took: Duration, of: Duration) -> Result<()> {
        let late = if took > of { ": LATE" } else { "" };
        println!("{what}: {took:.2?} of {of:.2?}{late}");
        self.allow(what, took, of)
    }

    /// Fails if something takes longer than it should by more than the allowance.
    pub fn allow(&self, what: &str, took: Duration, of: Duration) -> Result<()> {
        let most = of + self.allowance;
        ensure!(
            took <= most,
            "{what}: {took:.2?} of {of:.2?}, at most {most:.2?}\n{}",
            self.story()
        );
        Ok(())
    }

    /// Waits until every living peer was asked since `since`.
    pub fn until_all_asked(&self, since: Instant, within: Duration) -> Result<()> {
        self.until("all are asked", within, |stage| {
            let lives = stage.crowd.lives();
            Ok(lives.values().all(|it| it.killed.is_some() || it.pings > 0 && it.asked >= since))
        })
    }

    /// All that was said, in its order: for when something fails.
    pub fn story(&self) -> String {
        let mut all: Vec<(Instant, String)> = Vec::new();
        for id in self.observers.keys() {
            all.extend(self.lines(id).into_iter().map(|(at, line)| (at, format!("{id}: {line}"))));
        }
        all.sort();
        let deaf = self.crowd.deaf();
        let told = all.into_iter().map(|(at, line)| {
            format!("{:7.3} {line}\n", at.saturating_duration_since(self.start).as_secs_f64())
        });
        told.chain([format!("this host kept the peers from listening for {deaf:.2?}\n")]).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for running in self.observers.values_mut() {
            let _ = running.child.kill(); // A frozen one, too.
            let _ = running.child.wait();
        }
        let _ = self.etcd.kill();
        let _ = self.etcd.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What is said begins with the time by the clock of leases.
fn dated(line: &str) -> Option<(Instant, String)> {
    let (nanos, said) = line.split_once(' ')?;
    let at = Timestamp::from_nanos(nanos.parse().ok()?);
    let ago = clock::now().saturating_duration_since(at);
    Some((Instant::now().checked_sub(ago)?, said.to_owned()))
}

fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process")?;
    Ok(kill_process(pid, signal)?)
}

/// `None`: a port was taken.
fn start_etcd(program: &Path, folder: &Path) -> Result<Option<(Vec<String>, String, Child)>> {
    let port = || Ok::<_, std::io::Error>(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
    let (client, peer) =
        (format!("http://127.0.0.1:{}", port()?), format!("http://127.0.0.1:{}", port()?));
    let data = folder.join("data").to_string_lossy().into_owned();
    let command = [
        program.to_str().context("a path that is no text")?,
        "--data-dir",
        &data,
        "--listen-client-urls",
        &client,
        "--advertise-client-urls",
        &client,
        "--listen-peer-urls",
        &peer,
        "--initial-advertise-peer-urls",
        &peer,
        "--initial-cluster",
        &format!("default={peer}"),
    ];
    let command: Vec<String> = command.map(str::to_owned).into();
    let mut child = spawn(&command, folder)?;
    let probe = Etcd::new(vec![client.clone()])?;
    for _ in 0..2400 {
        if child.try_wait()?.is_some() {
            let _ = fs::remove_dir_all(&data);
            return Ok(None);
        }
        if probe.list(VERDICTS, PATIENCE).is_ok() {
            return Ok(Some((command, client, child)));
        }
        thread::sleep(Duration::from_millis(25));
    }
    let _ = child.kill();
    bail!("etcd does not answer; see {}", folder.display())
}

fn spawn(command: &[String], folder: &Path) -> Result<Child> {
    let log = File::options().create(true).append(true).open(folder.join("etcd.log"))?;
    let child = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    Ok(child)
}
