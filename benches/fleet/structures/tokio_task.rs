//! A tokio task for each peer, on one thread, under tokio's paused clock.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, advance, sleep_until, timeout};

use crate::structure::{Out, Structure};
use crate::work::{Mode, Work};

pub(crate) fn paused_runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

/// `RESET`: each task has one `Sleep` that it resets, beside the pongs in a `select!`. Else a new
/// `sleep` and a new `timeout` for each heartbeat.
pub(crate) struct Tasks<const RESET: bool> {
    pongs: Vec<Arc<Notify>>,
    runtime: Runtime,
    now: u64,
}

thread_local! {
    static SAID: RefCell<Said> =
        const { RefCell::new(Said { pings: Vec::new(), verdicts: 0, turns: 0 }) };
}

/// What the tasks have said.
struct Said {
    pings: Vec<u32>,
    verdicts: u64,
    /// How often a task went on.
    turns: u64,
}

fn say(peer: Option<u32>, verdict: bool) {
    SAID.with_borrow_mut(|said| {
        said.turns += 1;
        said.pings.extend(peer);
        said.verdicts += u64::from(verdict);
    });
}

/// Until no task goes on any more. A turn of the runtime lies between two looks.
async fn settle() {
    loop {
        let before = SAID.with_borrow(|said| said.turns);
        yield_now().await;
        if SAID.with_borrow(|said| said.turns) == before {
            return;
        }
    }
}

impl<const RESET: bool> Structure for Tasks<RESET> {
    type Key = u32;
    type Ping = u32;
    type Pong = u32;

    fn new(work: &Work) -> (Self, Vec<u32>) {
        let runtime = paused_runtime();
        let pongs: Vec<_> = (0..work.peers).map(|_| Arc::new(Notify::new())).collect();
        runtime.block_on(async {
            let start = Instant::now();
            for (peer, pong) in (0..).zip(&pongs) {
                let (work, pong) = (*work, Arc::clone(pong));
                match (work.mode == Mode::Passive, RESET) {
                    (false, false) => drop(tokio::spawn(ping_naively(work, peer, pong, start))),
                    (false, true) => drop(tokio::spawn(ping_resetting(work, peer, pong, start))),
                    (true, false) => drop(tokio::spawn(listen_naively(work, pong))),
                    (true, true) => drop(tokio::spawn(listen_resetting(work, pong))),
                }
            }
            for _ in 0..=work.peers / 32 {
                yield_now().await; // Every task starts.
            }
        });
        (Self { pongs, runtime, now: 0 }, (0..work.peers).collect())
    }

    fn pong(ping: u32) -> u32 {
        ping
    }

    fn beat(key: u32, _now: u64) -> u32 {
        key
    }

    fn hear(&mut self, pongs: &[u32], _now: u64) {
        self.runtime.block_on(async {
            for &peer in pongs {
                self.pongs[peer as usize].notify_one();
            }
            settle().await;
        });
    }

    fn step(&mut self, now: u64, out: &mut Out<u32>) {
        let passed = Duration::from_nanos(now - self.now);
        self.now = now;
        self.runtime.block_on(async {
            advance(passed).await;
            settle().await;
        });
        SAID.with_borrow_mut(|said| {
            out.pings.append(&mut said.pings);
            out.verdicts += std::mem::take(&mut said.verdicts);
        });
    }
}

async fn ping_naively(work: Work, peer: u32, pong: Arc<Notify>, start: Instant) {
    let window = Duration::from_nanos(work.window);
    let mut plan = work.first(peer);
    loop {
        sleep_until(start + Duration::from_nanos(plan)).await;
        plan += work.next_interval(peer, plan);
        say(Some(peer), false);
        while timeout(window, pong.notified()).await.is_err() {
            say(Some(peer), true);
        }
        say(None, false);
    }
}

async fn ping_resetting(work: Work, peer: u32, pong: Arc<Notify>, start: Instant) {
    let window = Duration::from_nanos(work.window);
    let mut plan = work.first(peer);
    let mut awaits_pong = false;
    let mut sleep = pin!(sleep_until(start + Duration::from_nanos(plan)));
    loop {
        tokio::select! {
            () = &mut sleep => {
                say(Some(peer), awaits_pong);
                if !awaits_pong {
                    awaits_pong = true;
                    plan += work.next_interval(peer, plan);
                }
                sleep.as_mut().reset(Instant::now() + window);
            }
            () = pong.notified() => {
                say(None, false);
                awaits_pong = false;
                sleep.as_mut().reset(start + Duration::from_nanos(plan));
            }
        }
    }
}

async fn listen_naively(work: Work, beat: Arc<Notify>) {
    loop {
        let heard = timeout(Duration::from_nanos(work.timeout), beat.notified()).await;
        say(None, heard.is_err());
    }
}

async fn listen_resetting(work: Work, beat: Arc<Notify>) {
    let silence = Duration::from_nanos(work.timeout);
    let mut sleep = pin!(tokio::time::sleep(silence));
    loop {
        let is_silent = tokio::select! {
            () = &mut sleep => true,
            () = beat.notified() => false,
        };
        say(None, is_silent);
        sleep.as_mut().reset(Instant::now() + silence);
    }
}
