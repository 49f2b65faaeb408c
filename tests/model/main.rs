//! The closed model.
mod call;
mod check;
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

use check::{fails, holds};
use heartbeat_proto::{ConfigError, LatePolicy};

macro_rules! exhausted {
    ($($name:ident: $world:expr, $least:literal;)+) => {$(
        #[test]
        fn $name() -> Result<(), ConfigError> {
            holds($least, $world?);
            Ok(())
        }
    )+};
}

exhausted! {
    strict: worlds::strict(), 1;
    restart: worlds::restart(), 1;
    in_bounds: worlds::in_bounds(), 1;
    stalls: worlds::stalls(LatePolicy::Reprobe), 1;
    forgive: worlds::forgive(), 1;
    follow_beacons: worlds::follow(), 1;
    adaptive: worlds::adaptive(), 1;
    writes: worlds::writes(), 1;
    external: worlds::external(), 1;
    suspend: worlds::suspend(), 1;
    reopen: worlds::reopen(), 1;
    traffic: worlds::traffic(), 1;
}
