//! The closed model: the shipped transition function, every interleaving, runs of any length.
//!
//! States are identified up to a shift of time (`PeerState::normalized`, whose soundness
//! `tests/normalized.rs` tests), so the space of each world is finite without a horizon and is
//! exhausted: what holds here holds for ever, for the constants of that world. Liveness is stated
//! as bounded safety. A state cap makes a space that does not close a failure.
//!
//! | world | what it is about |
//! |---|---|
//! | strict | two symmetric ends over a lossy link; the verdict is exact |
//! | restart | a server that crashes and begins anew amid frames of its old epoch |
//! | in bounds | no loss and a bounded delay: nobody is lost |
//! | stalls | a process that stands still for longer than its timeout; only exact pongs are life |
//! | forgive | late timers that are forgiven; pongs without ids |
//! | follow | a watcher of beacons, whose detector adapts |
//! | adaptive | the same detector on an end that probes |
//! | writes | pings that wait to be written, and a transport that takes nothing |
//! | external | a caller who probes when asked, late, never or unasked; k of n |
//! | suspend | suspension with notice, drains and closes |
//! | reopen | ends that give each other up and come back |
//! | traffic | traffic of unfinished frames that excuses pings; late timers |
//! | held | an observer that doubts itself and holds its verdicts, whenever it likes |
//! | held strict | the same under Strict, without ids |
//! | held caller | the same of a caller who probes |
//! | held watcher | the same of an end that sends no pings |
//!
//! `coverage` prints all features of each world, and what no world covers (`coverage.rs`). Worlds
//! and machines that must fail are in `broken.rs`.
//!
//! `cargo test --test model -- --nocapture` prints unique and generated states, depth and seconds.
mod broken;
mod call;
mod check;
mod coverage;
mod end;
mod fate;
mod follow;
mod ghost;
mod link;
mod promises;
mod rules;
mod sabotage;
mod world;
mod worlds;

use check::holds;
use heartbeat_proto::{ConfigError, LatePolicy};
use worlds::Size;

macro_rules! exhausted {
    ($($name:ident: $world:expr, $small:literal, $large:literal;)+) => {
        $(#[test]
        fn $name() -> Result<(), ConfigError> {
            holds($small, $world(Size::Small)?);
            Ok(())
        })+

        /// `cargo test --test model coverage -- --nocapture` prints the table.
        #[test]
        fn coverage() -> Result<(), ConfigError> {
            let mut table = Vec::new();
            $({
                let world = $world(Size::Small)?;
                table.push((world.name, coverage::of(&world)));
            })+
            coverage::tell(&table);
            Ok(())
        }

        /// One after the other, so that only one is in memory.
        #[test]
        #[ignore = "minutes, optimised, a gigabyte: `tests/long.sh model` runs it"]
        fn large_worlds() -> Result<(), ConfigError> {
            let mut all = 0;
            $(all += holds($large, $world(Size::Large)?);)+
            println!("{all} unique states in all");
            assert!(all >= 10_000_000);
            Ok(())
        }
    };
}

exhausted! {
    strict: worlds::strict, 500_000, 500_000;
    restart: worlds::restart, 15_000, 15_000;
    in_bounds: worlds::in_bounds, 50_000, 50_000;
    stalls: |size| worlds::stalls(size, LatePolicy::Reprobe), 30_000, 60_000;
    forgive: worlds::forgive, 60_000, 60_000;
    follow_beacons: worlds::follow, 150_000, 150_000;
    adaptive: worlds::adaptive, 18_000, 18_000;
    writes: worlds::writes, 25_000, 25_000;
    external: worlds::external, 90_000, 90_000;
    suspend: worlds::suspend, 300_000, 300_000;
    reopen: worlds::reopen, 7_000, 7_000;
    traffic: worlds::traffic, 90_000, 90_000;
    held: worlds::held, 14_000, 14_000;
    held_strict: worlds::held_strict, 17_000, 17_000;
    held_caller: worlds::held_caller, 55_000, 55_000;
    held_watcher: worlds::held_watcher, 40_000, 40_000;
}
