//! All changes of liveness, found by random walks over many configurations.

use std::collections::{BTreeMap, BTreeSet};

use heartbeat_proto::{
    Action, Config, ConfigBuilder, Event, HeartbeatMachine, LatePolicy, Mode, PingId, PingSchedule,
    Table, Verdict,
};

use super::common::{BASE, RESUME, Rng, SEC, at, secs};

/// From and to, and the reasons.
pub(crate) type Changes = BTreeMap<(String, String), BTreeSet<String>>;

fn pick<T: Copy>(random: &mut Rng, from: &[T]) -> T {
    from[random.below(from.len() as u64) as usize]
}

fn config(random: &mut Rng) -> Config {
    const MODES: [Mode; 6] = [
        Mode::Symmetric,
        Mode::Symmetric,
        Mode::Initiator,
        Mode::Responder,
        Mode::Beacon,
        Mode::Passive,
    ];
    let late = [LatePolicy::Reprobe, LatePolicy::Strict, LatePolicy::Forgive(secs(9))];
    let verdicts = [Verdict::Report, Verdict::Convict];
    let builder = Config::builder().interval(secs(10)).timeout(secs(40));
    let builder = builder.write_reports(random.percent(30)).ids(random.percent(80));
    let mut builder = builder.late_policy(pick(random, &late)).mode(pick(random, &MODES));
    let mut sometimes = |chance, option: fn(ConfigBuilder, Verdict) -> ConfigBuilder| {
        if random.percent(chance) {
            builder = option(builder, pick(random, &verdicts));
        }
    };
    sometimes(30, |builder, _| builder.reopen_after(1));
    sometimes(20, |builder, _| builder.reopen_after(2));
    sometimes(30, |builder, verdict| builder.probe_loss(1, 3, verdict));
    sometimes(30, |builder, verdict| builder.ping_unanswered(1, verdict));
    sometimes(30, |builder, verdict| builder.accept_gap(secs(20)).police(1, 1, verdict));
    let external = builder.schedule(PingSchedule::External);
    let own = builder.build().expect("valid");
    if random.percent(20) { external.build().unwrap_or(own) } else { own }
}

/// One connection, told nonsense and sense in turns.
fn walk(random: &mut Rng, seed: u64, changes: &mut Changes) {
    let config = config(random);
    let mut machine = HeartbeatMachine::<_, Table>::with_ledger(config, seed, at(0));
    let (mut now, mut newest) = (0, PingId::from_u64(0));
    for _ in 0..80 {
        let ends = random.percent(20);
        let event = match random.below(40) {
            0 => Event::PingDue,
            1..=3 => Event::pong(newest),
            4 => Event::FrameReceived,
            5 => Event::ping(PingId::new(1, 2)),
            6..=7 => Event::Start,
            8 if ends => Event::Close,
            9 if ends => Event::GoodbyeReceived,
            10 if ends => Event::Drain,
            11 => Event::Suspend,
            12 => RESUME,
            13 => Event::TxBlocked,
            14 => Event::PongSent,
            15..=18 => Event::PingSent { id: newest },
            _ => Event::Tick,
        };
        let due = machine.next_deadline().map_or(now, |due| due.as_nanos() - BASE);
        now = match random.below(8) {
            0 => now,
            1 => now + random.below(3 * SEC),
            2 => now + random.below(60 * SEC),
            3 => now.max(due) + random.below(SEC),
            _ => now.max(due),
        };
        for action in machine.handle(event, at(now)) {
            match action {
                Action::SendPing { id, .. } => newest = id,
                Action::Notify(change) => {
                    let edge = (change.from.to_string(), change.to.to_string());
                    changes.entry(edge).or_default().insert(change.reason.to_string());
                }
                _ => {}
            }
        }
        if !machine.liveness().is_live() && random.percent(3) {
            machine = machine.reconnected(at(now));
        }
    }
}

pub(crate) fn changes() -> Changes {
    let mut changes = Changes::new();
    for seed in 0..12_000 {
        walk(&mut Rng(seed), seed, &mut changes);
    }
    changes
}
