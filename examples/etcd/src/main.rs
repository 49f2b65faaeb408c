//! An observer, and a demonstration of several.
//!
//! `cargo run --manifest-path examples/etcd/Cargo.toml -- demo`

#![forbid(unsafe_code)]
#![expect(clippy::disallowed_methods, reason = "the demonstration measures")]

use std::env;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;
use etcd_observers::observer::{Observer, Settings};
use etcd_observers::stage::Stage;
use rustix::process::{Signal, set_parent_process_death_signal};

#[derive(Debug, Parser)]
enum Arguments {
    /// Joins the observers and watches its share of the peers, until it is ended.
    ///
    /// Peers are keys `/heartbeat/peers/NAME` with an address as their value, where something answers
    /// pings (a UDP reflector of native frames is enough). Verdicts are keys
    /// `/heartbeat/verdicts/NAME`.
    Observe {
        /// Where etcd is; several with commas.
        #[arg(long, value_delimiter = ',', default_value = "http://127.0.0.1:2379")]
        etcd: Vec<String>,
        /// Its name, of which there is one.
        #[arg(long)]
        id: String,
        /// Its share, beside those of others.
        #[arg(long, default_value_t = 1)]
        weight: u32,
        /// Of its lease, in seconds: so long, at most, its peers are unwatched when it dies.
        #[arg(long, default_value_t = 10)]
        ttl: u64,
        /// Between two pings to a peer, in milliseconds.
        #[arg(long, default_value_t = 1000)]
        interval: u64,
        /// Where pings come from; peers must have addresses of the same family.
        #[arg(long, default_value = "0.0.0.0:0")]
        listen: SocketAddr,
        /// To end with the process that started it.
        #[arg(long)]
        with_parent: bool,
    },
    /// Starts an etcd, three observers and 300 peers, kills and freezes some, and tells what happens.
    Demo,
}

fn main() -> Result<()> {
    match Arguments::parse() {
        Arguments::Observe { etcd, id, weight, ttl, interval, listen, with_parent } => {
            if with_parent {
                set_parent_process_death_signal(Some(Signal::KILL))?;
            }
            let (ttl, interval) = (Duration::from_secs(ttl), Duration::from_millis(interval));
            Observer::new(Settings { etcd, id, weight, ttl, listen, interval })?.run()
        }
        Arguments::Demo => demo(),
    }
}

fn demo() -> Result<()> {
    let program = env::current_exe()?;
    let mut stage = Stage::new(&program, 300, Duration::from_secs(3), Duration::from_millis(300))?;
    println!("300 peers; a lease lasts 3 s, a ping goes every 300 ms");
    for id in ["berlin", "lima", "tokyo"] {
        stage.observe(id)?;
    }
    let moment = Instant::now();
    stage.until_all_asked(moment, Duration::from_secs(10))?;
    println!("three observers; all peers are asked");

    println!("berlin is killed, and with it the peers 0 to 9");
    stage.crowd.forget_gaps();
    stage.kill("berlin")?;
    let moment = Instant::now();
    (0..10).for_each(|peer| stage.crowd.kill(&format!("peer-{peer:04}")));
    let within = stage.unwatched() + stage.detected()?;
    stage.until("the ten are found", within, |stage| Ok(stage.verdicts()?.len() == 10))?;
    println!("all ten are found after {:.1?}", moment.elapsed());
    let gaps = stage.crowd.lives().into_values().filter(|life| life.killed.is_none());
    let longest = gaps.map(|life| life.longest_gap).max().unwrap_or_default();
    println!("the longest that a living peer was not asked: {longest:.1?}");

    println!("lima is frozen for 8 s, and then goes on");
    let moment = Instant::now();
    stage.freeze("lima")?;
    thread::sleep(Duration::from_secs(8));
    stage.thaw("lima")?;
    stage.until("lima is back", within, |stage| {
        Ok(stage.said("lima", "joined", moment).is_some())
    })?;
    let moment = Instant::now();
    stage.until_all_asked(moment + Duration::from_millis(500), Duration::from_secs(10))?;
    println!("verdicts: {:?}", stage.verdicts()?);
    println!("what the observers said:\n{}", stage.story());
    Ok(())
}
