//! [`Crowd`]: hundreds of peers in one thread, each with a socket of its own, that answer pings and
//! note when they were asked.

#![expect(clippy::disallowed_methods, reason = "peers have a clock of their own")]

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;
use heartbeat_proto::codec::{Frame, MAX_FRAME, datagram};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What a peer has noted.
#[derive(Clone, Debug)]
pub struct Life {
    pub address: SocketAddr,
    /// Since when it answers nothing.
    pub killed: Option<Instant>,
    pub pings: u64,
    /// Whose ping it heard last, and when (at first: since when it waits for one).
    pub observer: Option<SocketAddr>,
    pub asked: Instant,
    /// The longest time that it was not asked.
    pub longest_gap: Duration,
}

pub struct Crowd {
    lives: Arc<Mutex<BTreeMap<String, Life>>>,
    /// Whose pings nobody hears.
    unheard: Arc<Mutex<Option<SocketAddr>>>,
    /// The longest time that this host kept it from listening, in milliseconds.
    deaf: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    pub fn new(names: impl Iterator<Item = String>) -> Result<Self> {
        let now = Instant::now();
        let (mut lives, mut sockets) = (BTreeMap::new(), Vec::new());
        for name in names {
            let socket = UdpSocket::bind(("127.0.0.1", 0))?;
            socket.set_nonblocking(true)?;
            let address = socket.local_addr()?;
            let life = Life {
                address,
                killed: None,
                pings: 0,
                observer: None,
                asked: now,
                longest_gap: Duration::ZERO,
            };
            lives.insert(name.clone(), life);
            sockets.push((name, socket));
        }
        let (lives, stop) = (Arc::new(Mutex::new(lives)), Arc::new(AtomicBool::new(false)));
        let (shared, stopped) = (Arc::clone(&lives), Arc::clone(&stop));
        let unheard = Arc::new(Mutex::new(None));
        let deaf = Arc::new(AtomicU64::new(0));
        let (cut, late) = (Arc::clone(&unheard), Arc::clone(&deaf));
        let thread = Some(thread::spawn(move || live(&sockets, &shared, &cut, &late, &stopped)));
        Ok(Self { lives, unheard, deaf, stop, thread })
    }

    /// From now on it answers nothing.
    pub fn kill(&self, name: &str) {
        if let Some(life) = lock(&self.lives).get_mut(name) {
            life.killed = Some(Instant::now());
        }
    }

    /// From now on nobody hears this observer; `None`: all are heard.
    pub fn cut_off(&self, observer: Option<SocketAddr>) {
        *self.unheard.lock().unwrap_or_else(PoisonError::into_inner) = observer;
    }

    /// The longest time that this host kept the peers from listening: not their fault, nor that of
    /// those who watch them.
    pub fn deaf(&self) -> Duration {
        Duration::from_millis(self.deaf.load(Ordering::Relaxed))
    }

    /// All of them, with the gaps up to now.
    pub fn lives(&self) -> BTreeMap<String, Life> {
        let mut lives = lock(&self.lives).clone();
        for life in lives.values_mut() {
            life.longest_gap = life.longest_gap.max(life.asked.elapsed());
        }
        lives
    }

    /// Gaps are counted anew.
    pub fn forget_gaps(&self) {
        lock(&self.lives).values_mut().for_each(|life| life.longest_gap = Duration::ZERO);
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(lives: &Mutex<BTreeMap<String, Life>>) -> MutexGuard<'_, BTreeMap<String, Life>> {
    lives.lock().unwrap_or_else(PoisonError::into_inner)
}

fn live(
    sockets: &[(String, UdpSocket)],
    lives: &Mutex<BTreeMap<String, Life>>,
    unheard: &Mutex<Option<SocketAddr>>,
    deaf: &AtomicU64,
    stop: &AtomicBool,
) {
    let mut polled: Vec<PollFd<'_>> =
        sockets.iter().map(|(_, socket)| PollFd::new(socket, PollFlags::IN)).collect();
    let longest = Duration::from_millis(50);
    let wait = Timespec { tv_sec: 0, tv_nsec: longest.as_nanos() as _ };
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let _ = poll(&mut polled, Some(&wait));
        let late = last.elapsed().saturating_sub(longest);
        deaf.fetch_max(late.as_millis() as u64, Ordering::Relaxed);
        last = Instant::now();
        for (ready, (name, socket)) in polled.iter().zip(sockets) {
            if ready.revents().is_empty() {
                continue;
            }
            let mut bytes = [0; MAX_FRAME + 1];
            while let Ok((len, from)) = socket.recv_from(&mut bytes) {
                if *unheard.lock().unwrap_or_else(PoisonError::into_inner) == Some(from) {
                    continue;
                }
                let Ok(frame) = datagram::decode(&bytes[..len]) else { continue };
                let Some(pong) = frame.answer(Duration::ZERO, false) else { continue };
                if let Some(life) = lock(lives).get_mut(name).filter(|it| it.killed.is_none()) {
                    answer(socket, &pong, from);
                    life.longest_gap = life.longest_gap.max(life.asked.elapsed());
                    (life.asked, life.observer) = (Instant::now(), Some(from));
                    life.pings += 1;
                }
            }
        }
    }
}

fn answer(socket: &UdpSocket, pong: &Frame, to: SocketAddr) {
    let mut bytes = [0; MAX_FRAME];
    if let Ok(len) = pong.encode_into(&mut bytes) {
        let _ = socket.send_to(&bytes[..len], to);
    }
}
