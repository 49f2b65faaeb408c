//! `tokio_util::time::DelayQueue`, under tokio's paused clock. Without `unconstrained` it would
//! give up after 128 expiries a poll, and fall behind unnoticed.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{EnterGuard, Runtime};
use tokio::task::unconstrained;
use tokio::time::{Instant, advance};
use tokio_util::time::{DelayQueue, delay_queue::Key};

use super::tokio_task::paused_runtime;
use crate::monitor::Timers;
use crate::work::Work;

pub(crate) struct Queue {
    queue: DelayQueue<u32>,
    keys: Vec<Option<Key>>,
    runtime: &'static Runtime,
    start: Instant,
    now: u64,
    _entered: EnterGuard<'static>,
}

impl Timers for Queue {
    fn new(work: &Work) -> Self {
        let runtime: &'static Runtime = Box::leak(Box::new(paused_runtime()));
        let _entered = runtime.enter();
        let keys = vec![None; work.peers as usize];
        let (queue, start) = (DelayQueue::new(), Instant::now());
        Self { queue, keys, runtime, start, now: 0, _entered }
    }

    fn arm(&mut self, peer: u32, due: u64) {
        let at = self.start + Duration::from_nanos(due);
        self.keys[peer as usize] = Some(self.queue.insert_at(peer, at));
    }

    fn rearm(&mut self, peer: u32, due: u64) {
        let key = self.keys[peer as usize].expect("armed");
        self.queue.reset_at(&key, self.start + Duration::from_nanos(due));
    }

    fn expire(&mut self, now: u64, due: &mut Vec<u32>) {
        let passed = Duration::from_nanos(now - self.now);
        self.now = now;
        let queue = &mut self.queue;
        self.runtime.block_on(unconstrained(async {
            advance(passed).await;
            poll_fn(|cx| {
                while let Poll::Ready(Some(expired)) = queue.poll_expired(cx) {
                    due.push(expired.into_inner());
                }
                Poll::Ready(())
            })
            .await;
        }));
    }
}
