//! Worlds that must fail: each promise is broken by one, so that none holds for want of a world in
//! which it could break. Most run a machine under other rules than those it is held to.

use heartbeat_proto::{ConfigError, Echo, LatePolicy, Mode, Table, detector::Deadline};

use crate::check::fails;
use crate::end::Side;
use crate::fate::Fate;
use crate::promises::Claims;
use crate::rules::{Rules, ns};
use crate::sabotage::Sabotage;
use crate::world::World;
use crate::worlds::{FIXED, Fixed, Size, client, held, server, stalls, strict, world};

const QUIET: Fate =
    Fate { delay: 0, loss: Some(0), duplication: false, crash: true, ..Fate::NOTHING };

/// A machine of these rules, held to others.
fn held_to(runs: Rules, promised: Rules, claims: Claims) -> Fixed<Table> {
    let us = Side { promised: promised.build(Deadline::fixed())?, ..client(runs, claims)? };
    let us = Side { rules: Rules { mode: us.rules.mode, ..promised }, ..us };
    Ok(world("held to other rules", [us, server(9)?], QUIET))
}

fn sabotaged(sabotage: Sabotage, strangers: bool) -> Fixed<Table> {
    let us = client(Rules::of(4, 3, 1), FIXED)?;
    let fate = Fate { strangers, ..QUIET };
    Ok(World { sabotage, ..world("sabotaged", [us, server(9)?], fate) })
}

fn deaf(sabotage: Sabotage) -> Fixed<Table> {
    Ok(World { sabotage, ..held(Size::Small)? })
}

macro_rules! broken {
    ($($(#[$doc:meta])* $name:ident: $property:literal, $world:expr;)+) => {$(
        $(#[$doc])*
        #[test]
        fn $name() -> Result<(), ConfigError> {
            fails($property, $world);
            Ok(())
        }
    )+};
}

broken! {
    an_early_verdict: "S1 accuracy", held_to(Rules::of(4, 3, 1), Rules::of(4, 4, 1), FIXED)?;
    a_verdict_that_waits: "S2 exactness", {
        let world = strict(Size::Small)?;
        let claims = Claims { exact: true, ..FIXED };
        let late = Rules { late: LatePolicy::Reprobe, ..world.sides[0].rules };
        let us = client(Rules { slack: None, ..late }, claims)?;
        World { sides: [us, server(9)?], fate: Fate { late: 1, ..QUIET }, offsets: 0, ..world }
    };
    /// T = I + 2D is too short by one.
    a_timeout_below_the_round_trip: "S3 no false positive", {
        let us = client(Rules::of(4, 3, 1), Claims { no_false_positive: true, ..FIXED })?;
        let fate = Fate { delay: 2, ..Fate::NOTHING };
        world::<_, Table>("T = I + 2D - 1", [us, server(30)?], fate)
    };
    /// One lost packet is more than one attempt allows.
    a_loss_that_was_claimed_away: "S3 no false positive", {
        let us = client(Rules::of(4, 5, 1), Claims { no_false_positive: true, ..FIXED })?;
        let fate = Fate { delay: 2, loss: Some(50), ..Fate::NOTHING };
        World { stamps: true, ..world::<_, Echo>("one loss in 50 units", [us, server(30)?], fate) }
    };
    /// Without the re-probe the stalls kill.
    a_stall_under_strict: "S3 no false positive", stalls(Size::Small, LatePolicy::Strict)?;
    /// Forgiving less than the stall lasts does not save the peer.
    a_stall_beyond_what_is_forgiven:
        "S3 no false positive", stalls(Size::Small, LatePolicy::Forgive(ns(2)))?;
    /// A driver that sleeps over the slot of its only ping, under Strict.
    a_verdict_without_a_probe: "S4 probe before verdict", {
        let us = client(Rules { late: LatePolicy::Strict, ..Rules::of(4, 3, 1) }, FIXED)?;
        world::<_, Table>("late, strict", [us, server(9)?], Fate { late: 9, ..QUIET })
    };
    a_stall_without_grace: "S5 stall grace", {
        let strict = Rules { late: LatePolicy::Strict, ..Rules::of(4, 3, 1) };
        let claims = Claims { probed: false, ..FIXED };
        let world = held_to(strict, Rules::of(4, 3, 1), claims)?;
        World { fate: Fate { late: 9, ..QUIET }, ..world }
    };
    a_stranger_that_is_trusted: "S6 received only", sabotaged(Sabotage::TrustsStrangers, true)?;
    a_verdict_that_is_undone: "S7 final", {
        let runs = Rules { reopen: 1, ..Rules::of(4, 3, 1) };
        let world = held_to(runs, Rules::of(4, 3, 1), FIXED)?;
        World { fate: Fate { delay: 2, ..QUIET }, ..world }
    };
    an_answer_that_is_owed: "S8 answer", {
        let passive = Rules { mode: Mode::Passive, ..Rules::of(9, 9, 1) };
        let rules = Rules { mode: Mode::Responder, ..passive };
        let them = Side { rules, ..client(passive, FIXED)? };
        world::<_, Table>("owes answers", [client(Rules::of(4, 3, 1), FIXED)?, them], QUIET)
    };
    a_gap_that_is_too_small: "R1 gap", {
        let wide = Rules { min_gap: Some(3), ..Rules::of(4, 3, 1) };
        let world = held_to(Rules::of(4, 3, 1), wide, FIXED)?;
        World { fate: Fate { ping_due: true, ..QUIET }, ..world }
    };
    a_verdict_in_spite_of_a_hold: "S5 stall grace", deaf(Sabotage::IgnoresHolds)?;
    a_probe_that_nobody_asked_for: "J14 as asked", deaf(Sabotage::ProbesAlways)?;
    a_probe_that_was_asked_for: "J14 as asked", deaf(Sabotage::ProbesNever)?;
    a_hold_that_is_trusted: "S6 received only", deaf(Sabotage::TrustsHolds)?;
    a_verdict_that_comes_too_late:
        "L1 completeness", held_to(Rules::of(4, 4, 3), Rules::of(4, 4, 1), FIXED)?;
    a_machine_that_never_sleeps: "L2 wake-up", sabotaged(Sabotage::NeverSleeps, false)?;
    a_tick_that_is_taken_for_more:
        "L4 no early effect", sabotaged(Sabotage::PingsWhenTicked, false)?;
}
