//! The configurations of which everything must hold.

use core::marker::PhantomData;

use heartbeat_proto::{
    ConfigError, Echo, LatePolicy, Ledger, LifeRule, Mode, Table,
    detector::{Deadline, Detector},
};

use crate::end::Side;
use crate::fate::{Data, Fate};
use crate::follow::Follow;
use crate::promises::Claims;
use crate::rules::{Rules, ns};
use crate::sabotage::Sabotage;
use crate::world::World;

/// How large the constants are: some seconds for all, or many minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Small,
    Large,
}

impl Size {
    fn of<T>(self, small: T, large: T) -> T {
        if self == Self::Small { small } else { large }
    }
}

pub(crate) type Fixed<L> = Result<World<Deadline, L>, ConfigError>;

pub(crate) const FIXED: Claims =
    Claims { exact: false, fixed: true, no_false_positive: false, probed: true };

const FOLLOW: Follow = Follow { margin: Some(1) };

pub(crate) fn world<D: Detector, L: Ledger>(
    name: &'static str,
    sides: [Side<D>; 2],
    fate: Fate,
) -> World<D, L> {
    let (offsets, stamps, sabotage) = (0, false, Sabotage::None);
    World { name, sides, fate, offsets, stamps, sabotage, ledger: PhantomData }
}

fn fixed(rules: Rules, claims: Claims) -> Result<Side<Deadline>, ConfigError> {
    Side::new(rules, Deadline::fixed(), claims)
}

/// An end that probes, unless the rules say otherwise.
pub(crate) fn client(rules: Rules, claims: Claims) -> Result<Side<Deadline>, ConfigError> {
    let mode = if rules.mode == Mode::Symmetric { Mode::Initiator } else { rules.mode };
    fixed(Rules { mode, ..rules }, claims)
}

/// A server that only answers, and is in no hurry.
pub(crate) fn server(silence: u64) -> Result<Side<Deadline>, ConfigError> {
    fixed(Rules { mode: Mode::Responder, ..Rules::of(silence, silence, 1) }, FIXED)
}

/// Two symmetric ends, losses, overtaking, one crash; the ledger stores nothing. Under Strict and
/// with a punctual driver the verdict is exact.
pub(crate) fn strict(size: Size) -> Fixed<Echo> {
    let rules = Rules { late: LatePolicy::Strict, ..Rules::of(3, 2, 1) };
    let both = fixed(rules, Claims { exact: true, ..FIXED })?;
    let loss = Some(size.of(11, 8));
    let fate = Fate { delay: 1, loss, crash: true, ..Fate::NOTHING };
    let offsets = size.of(1, 2);
    Ok(World { offsets, stamps: true, ..world("strict", [both; 2], fate) })
}

/// A client that probes and a server that only answers; packets lost at will, doubled, overtaking;
/// frames of strangers; the server may crash and begin anew amid frames of its old epoch.
pub(crate) fn restart(size: Size) -> Fixed<Echo> {
    let us = fixed(Rules { mode: Mode::Initiator, ..Rules::of(4, 4, 2) }, FIXED)?;
    let fate = Fate {
        delay: size.of(1, 2),
        loss: Some(0),
        duplication: true,
        crash: true,
        restart: true,
        strangers: true,
        ..Fate::NOTHING
    };
    Ok(World { stamps: true, ..world("restart", [us, server(8)?], fate) })
}

/// S3: no loss, delay at most D and T > I + 2D.
pub(crate) fn in_bounds(size: Size) -> Fixed<Table> {
    let both = fixed(Rules::of(4, 5, 1), Claims { no_false_positive: true, ..FIXED })?;
    let fate = Fate { delay: 2, crash: true, late: size.of(0, 1), ..Fate::NOTHING };
    let offsets = size.of(2, 3);
    Ok(World { offsets, ..world("in bounds", [both; 2], fate) })
}

/// S3 and S5: a client whose process stalls for longer than its timeout, again and again.
pub(crate) fn stalls(size: Size, late: LatePolicy) -> Fixed<Table> {
    let rules = Rules {
        mode: Mode::Initiator,
        late,
        life: LifeRule::ExactPong,
        slack: Some(1),
        ..Rules::of(4, size.of(5, 7), 1)
    };
    let us = fixed(rules, Claims { no_false_positive: true, ..FIXED })?;
    let fate = Fate {
        delay: size.of(2, 3),
        crash: true,
        stall: 12,
        rest: 20,
        strangers: true,
        ..Fate::NOTHING
    };
    Ok(world("stalls", [us, server(30)?], fate))
}

/// Pongs without ids over a lossy link; timers late by more than the slack, which is forgiven.
pub(crate) fn forgive(size: Size) -> Fixed<Echo> {
    let rules = Rules {
        mode: Mode::Initiator,
        late: LatePolicy::Forgive(ns(2)),
        life: LifeRule::AnyPong,
        ids: false,
        ..Rules::of(4, 3, 2)
    };
    let us = fixed(rules, Claims { probed: false, ..FIXED })?;
    let fate = Fate {
        delay: size.of(1, 2),
        loss: Some(0),
        duplication: true,
        late: 3,
        crash: true,
        ..Fate::NOTHING
    };
    Ok(world("forgive", [us, server(9)?], fate))
}

/// An adaptive detector of stamped beacons, between its floor and its ceiling.
pub(crate) fn follow(size: Size) -> Result<World<Follow, Echo>, ConfigError> {
    let rules =
        Rules { mode: Mode::Passive, floor: Some(9), ceiling: Some(24), ..Rules::of(8, 8, 1) };
    let us = Side::new(rules, FOLLOW, Claims::default())?;
    let beacon = Rules { mode: Mode::Beacon, ..Rules::of(8, 8, 1) };
    let them = Side::new(beacon, FOLLOW, Claims::default())?;
    let fate = Fate {
        delay: size.of(6, 8),
        loss: Some(0),
        duplication: true,
        crash: true,
        restart: true,
        ..Fate::NOTHING
    };
    Ok(World { stamps: true, ..world("follow", [us, them], fate) })
}

/// An adaptive detector on an end that probes, with a keepalive of its own.
pub(crate) fn adaptive(_: Size) -> Result<World<Follow, Echo>, ConfigError> {
    let rules = Rules { mode: Mode::Initiator, ceiling: Some(12), ..Rules::of(4, 3, 1) };
    let us = Side::new(rules, FOLLOW, Claims { probed: true, ..Claims::default() })?;
    let beats =
        Rules { mode: Mode::Responder, keepalive: Some(3), min_gap: Some(1), ..Rules::of(9, 9, 1) };
    let them = Side::new(beats, Follow { margin: None }, Claims::default())?;
    let fate = Fate { delay: 1, crash: true, holds: 1, ..Fate::NOTHING };
    Ok(World { stamps: true, ..world("adaptive", [us, them], fate) })
}

/// Writes are reported: pings wait, and the transport may take nothing at all.
pub(crate) fn writes(size: Size) -> Fixed<Table> {
    let rules =
        Rules { mode: Mode::Initiator, writes: true, keepalive: Some(4), ..Rules::of(4, 3, 1) };
    let us = fixed(rules, Claims { probed: false, ..FIXED })?;
    let fate = Fate {
        delay: 1,
        loss: size.of(None, Some(0)),
        write: size.of(1, 2),
        block: true,
        crash: true,
        ..Fate::NOTHING
    };
    Ok(world("writes", [us, server(12)?], fate))
}

/// The caller probes: when asked, late, never, or unasked. And suspicion by lost probes.
pub(crate) fn external(size: Size) -> Fixed<Echo> {
    let rules =
        Rules { mode: Mode::Initiator, external: true, loss: Some((2, 3)), ..Rules::of(4, 3, 2) };
    let us = fixed(rules, Claims { probed: false, ..FIXED })?;
    let fate =
        Fate { delay: size.of(1, 2), loss: Some(0), ping_due: true, crash: true, ..Fate::NOTHING };
    Ok(World { stamps: true, ..world("external", [us, server(9)?], fate) })
}

/// Suspended with notice, again and again; drained or closed in between.
pub(crate) fn suspend(size: Size) -> Fixed<Table> {
    let rules = Rules {
        mode: size.of(Mode::Initiator, Mode::Symmetric),
        keepalive: Some(3),
        drain_limit: 5,
        always: true,
        ..Rules::of(4, 4, 1)
    };
    let us = fixed(rules, FIXED)?;
    let fate = Fate {
        delay: size.of(1, 2),
        suspend: 12,
        rest: 20,
        crash: true,
        ends: true,
        ..Fate::NOTHING
    };
    Ok(world("suspend", [us, server(30)?], fate))
}

/// Both ends give each other up over a lossy link, and come back.
pub(crate) fn reopen(size: Size) -> Fixed<Echo> {
    let us = Rules { mode: Mode::Initiator, reopen: 2, ..Rules::of(4, 3, 1) };
    let them = Rules { mode: Mode::Responder, reopen: 1, ..Rules::of(6, 4, 1) };
    let fate = Fate { delay: size.of(1, 2), loss: Some(0), ..Fate::NOTHING };
    let sides = [fixed(us, FIXED)?, fixed(them, FIXED)?];
    Ok(World { stamps: true, ..world("reopen", sides, fate) })
}

/// Traffic excuses pings, and bytes of unfinished frames are life; every timer fires late.
pub(crate) fn traffic(size: Size) -> Fixed<Echo> {
    let rules = Rules { life: LifeRule::AnyByte, mode: Mode::Initiator, ..Rules::of(4, 3, 1) };
    let us = fixed(rules, FIXED)?;
    let fate = Fate {
        delay: 1,
        loss: size.of(None, Some(9)),
        data: size.of(Data::Bytes, Data::Frames),
        late: 1,
        crash: true,
        holds: 1,
        ..Fate::NOTHING
    };
    Ok(World { stamps: true, ..world("traffic", [us, server(9)?], fate) })
}

/// Holds at any time, with a probe and without, for a living peer on a link within its bounds (S3) and
/// for one that has crashed.
pub(crate) fn held(size: Size) -> Fixed<Table> {
    let claims = Claims { no_false_positive: true, ..FIXED };
    let us = client(Rules::of(4, 3, 1), claims)?;
    let holds = size.of(2, 3);
    let late = size.of(0, 1);
    let fate = Fate { delay: 1, crash: true, late, holds, ..Fate::NOTHING };
    Ok(world("held", [us, server(20)?], fate))
}

/// Holds where the verdict is exact, and a pong does not say which ping it answers.
pub(crate) fn held_strict(size: Size) -> Fixed<Echo> {
    let rules = Rules {
        mode: Mode::Initiator,
        late: LatePolicy::Strict,
        life: LifeRule::AnyPong,
        ids: false,
        ..Rules::of(4, 3, 1)
    };
    let us = fixed(rules, Claims { exact: true, ..FIXED })?;
    let fate = Fate { delay: 1, loss: Some(0), crash: true, holds: size.of(1, 2), ..Fate::NOTHING };
    Ok(world("held strict", [us, server(9)?], fate))
}

/// Holds of an end whose caller probes: when asked, late, or never; and drains or closes.
pub(crate) fn held_caller(size: Size) -> Fixed<Echo> {
    let rules = Rules { mode: Mode::Initiator, external: true, ..Rules::of(4, 3, 1) };
    let us = fixed(rules, Claims { probed: false, ..FIXED })?;
    let fate =
        Fate { ping_due: true, crash: true, ends: true, holds: size.of(1, 2), ..Fate::NOTHING };
    Ok(World { stamps: true, ..world("held caller", [us, server(9)?], fate) })
}

/// Holds of a watcher of beacons, which cannot ask: the window alone runs.
pub(crate) fn held_watcher(size: Size) -> Fixed<Echo> {
    let us = fixed(Rules { mode: Mode::Passive, ..Rules::of(4, 4, 1) }, FIXED)?;
    let them = fixed(Rules { mode: Mode::Beacon, ..Rules::of(4, 4, 1) }, FIXED)?;
    let fate = Fate {
        delay: 1,
        loss: Some(0),
        crash: true,
        late: 2,
        holds: size.of(2, 3),
        ..Fate::NOTHING
    };
    Ok(world("held watcher", [us, them], fate))
}
