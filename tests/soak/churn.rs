//! Connects and kills on pipes in memory, in every way that a connection ends.

use core::time::Duration;
use std::io::ErrorKind;

use allocation_counter::measure;
use heartbeat_proto::adapter::Ended;
use heartbeat_proto::adapter::tokio::Heartbeat;
use heartbeat_proto::{Config, FirstPing};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::held;

/// So many connections at a time.
const BATCH: u32 = 500;

pub(super) fn run(connects: u32) {
    // Time passes when all wait, so a verdict costs none.
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    batches(&runtime, 10 * BATCH); // Whatever is allocated once.
    let (before, mut after) = (held(), held());
    let counted = measure(|| {
        batches(&runtime, connects);
        after = held();
    });
    println!(
        "churn: {connects} connects and kills; allocations left {}, bytes left {}, at most {} \
         bytes at once; tasks left {}; {before:?} -> {after:?}",
        counted.count_current,
        counted.bytes_current,
        counted.bytes_max,
        runtime.metrics().num_alive_tasks(),
    );
    assert_eq!((counted.count_current, counted.bytes_current), (0, 0), "{counted:?}");
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
    assert_eq!((before.descriptors, before.threads), (after.descriptors, after.threads));
    // The allocator may keep some pages more.
    assert!(after.resident_kb < before.resident_kb + 20_000, "{before:?} -> {after:?}");
}

fn batches(runtime: &Runtime, connects: u32) {
    for _ in 0..connects / BATCH {
        runtime.block_on(async {
            let tasks = (0..BATCH).map(|number| tokio::spawn(one(number)));
            for task in tasks.collect::<Vec<_>>() {
                task.await.expect("no panic");
            }
        });
    }
}

fn rules() -> Config {
    let rules = Config::builder().interval(Duration::from_millis(100));
    let rules = rules.timeout(Duration::from_millis(400)).first_ping(FirstPing::Immediate);
    rules.drain_limit(Duration::from_millis(200)).build().expect("sound rules")
}

/// A connection, and its end.
async fn one(number: u32) {
    let (here, there) = duplex(256);
    let mut ours = Heartbeat::new(here, rules());
    let mut theirs = Heartbeat::new(there, rules());
    let both = async { tokio::join!(ours.verify(), theirs.verify()) };
    let (here, there) = both.await;
    here.and(there).expect("both live");
    match number % 6 {
        0 => {
            // The peer crashes.
            drop(theirs);
            let error = ours.drive().await.expect_err("a crash");
            assert_eq!(Ended::of(&error), Some(&Ended::Abrupt));
        }
        1 => {
            // Silence, and the verdict.
            let error = ours.drive().await.expect_err("a verdict");
            assert_eq!(error.kind(), ErrorKind::TimedOut);
        }
        2 => {
            // A goodbye of both.
            let (ours, theirs) = tokio::join!(ours.close(), theirs.close());
            ours.and(theirs).expect("a goodbye");
        }
        3 => {
            // Forgotten with bytes under way that nobody reads.
            ours.write_all(&[7; 3000]).await.expect("room for a frame");
            ours.flush().await.expect_err("a verdict on a peer that takes nothing");
        }
        4 => {
            // Dropped in the middle of everything.
            let _ = timeout(Duration::from_millis(50), ours.read(&mut [0; 10])).await;
        }
        _ => {
            // The next connection of the same end, and its end.
            let (here, there) = duplex(256);
            let (mut ours, mut theirs) = (ours.reconnected(here), theirs.reconnected(there));
            let (here, there) = tokio::join!(ours.verify(), theirs.verify());
            here.and(there).expect("both live again");
        }
    }
}
