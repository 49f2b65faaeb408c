//! The closed model.
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
        #[ignore = "many minutes; run by tests/long.sh"]
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
    strict: worlds::strict, 1, 1;
    restart: worlds::restart, 1, 1;
    in_bounds: worlds::in_bounds, 1, 1;
    stalls: |size| worlds::stalls(size, LatePolicy::Reprobe), 1, 1;
    forgive: worlds::forgive, 1, 1;
    follow_beacons: worlds::follow, 1, 1;
    adaptive: worlds::adaptive, 1, 1;
    writes: worlds::writes, 1, 1;
    external: worlds::external, 1, 1;
    suspend: worlds::suspend, 1, 1;
    reopen: worlds::reopen, 1, 1;
    traffic: worlds::traffic, 1, 1;
}
