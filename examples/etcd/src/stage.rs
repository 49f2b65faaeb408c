//! [`Stage`]: an etcd of its own, observers as processes, and a crowd; all is gone when it is
//! dropped.

#![expect(clippy::disallowed_methods, reason = "it measures")]

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use heartbeat_proto::Config;
use rustix::process::{Pid, Signal, kill_process};

use crate::crowd::Crowd;
use crate::etcd::{Etcd, PEERS, VERDICTS};
use crate::ward;

/// How long a call of the stage's own may take.
pub const PATIENCE: Duration = Duration::from_secs(5);

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
        let stage = Self {
            client,
            crowd,
            ttl,
            interval,
            start,
            etcd,
            etcd_command,
            observers,
            folder,
            url,
            observer,
        };
        for (name, life) in stage.crowd.lives() {
            stage.client.put(&format!("{PEERS}{name}"), &life.address.to_string(), PATIENCE)?;
        }
        Ok(stage)
    }

    /// The longest that a living peer may be unwatched when its observer dies: the lease runs out,
    /// etcd notices (it looks twice a second), and the next one asks within an interval; the last one
    /// had asked up to an interval before it died. Half a second is for a busy host.
    pub fn unwatched(&self) -> Duration {
        self.ttl + Duration::from_millis(500) + 2 * self.interval + Duration::from_millis(500)
    }

    /// The longest that a dead peer with a living observer may go without a verdict.
    pub fn detected(&self) -> Result<Duration> {
        Ok(self.config()?.worst_case_detection() + Duration::from_millis(500))
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
                kept.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), line));
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

    /// Waits until it is so; fails if that takes longer.
    pub fn until(
        &self,
        what: &str,
        within: Duration,
        is_so: impl Fn(&Self) -> Result<bool>,
    ) -> Result<()> {
        let start = Instant::now();
        while !is_so(self)? {
            ensure!(start.elapsed() < within, "not within {within:?}: {what}\n{}", self.story());
            thread::sleep(Duration::from_millis(20));
        }
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
        let told = all.into_iter().map(|(at, line)| {
            format!("{:7.3} {line}\n", at.saturating_duration_since(self.start).as_secs_f64())
        });
        told.collect()
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
    for _ in 0..400 {
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
