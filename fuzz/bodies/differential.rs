//! The machine and the independent model of the text (`tests/reference`), told the same: both must
//! say the same at every step.

use core::sync::atomic::Ordering;
use core::time::Duration;

use heartbeat_proto::{
    Event, FirstPing, LatePolicy, LifeRule, Liveness, Mode, PingSchedule, Probing, Timestamp,
    Verdict,
};

use super::TRACE;
use super::compare::{Case, Machine, difference, script};
use super::input::{Input, span};
use super::model::{Act, Keepalive, Knobs, LedgerKind};
use super::script::{Echoed, Move, What, When, Which};

const STEPS: u32 = 100;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let head = input.byte();
    let seed = u64::from(input.byte());
    let ledger = if head & 1 == 1 { LedgerKind::Echo } else { LedgerKind::Table };
    let Some(knobs) = knobs(&mut input, ledger) else { return };
    let other = if head >> 1 & 1 == 1 { other(&mut input, &knobs) } else { knobs.clone() };
    let start = match head >> 2 & 7 {
        0 => 0,
        7 => u64::MAX - 4 * 86_400_000_000_000 - span(input.byte()),
        _ => 1 << 50,
    };
    let mut run = Run::new(Case::new(knobs, seed, start), other);
    run.step(When::Now, if input.flag() { What::Plain(Event::Start) } else { tick() });
    while !input.is_empty() && run.steps < STEPS {
        run.operation(&mut input);
    }
    if TRACE.load(Ordering::Relaxed) {
        eprintln!("{}", script(&run.case));
    }
}

const fn tick() -> What {
    What::Plain(Event::Tick)
}

struct Run {
    case: Case,
    machine: Machine,
    /// In force next, and the others.
    turns: [Knobs; 2],
    peer_seq: u32,
    steps: u32,
}

impl Run {
    fn new(case: Case, other: Knobs) -> Self {
        let turns = [other, case.knobs.clone()];
        let mut machine = Machine::new(&case);
        assert_eq!(difference(&mut machine, &case), None, "{}", script(&case));
        Self { machine, turns, peer_seq: 0, steps: 0, case }
    }

    fn step(&mut self, when: When, what: What) {
        self.steps += 1;
        self.case.take(&Move { when, what });
        if let Some(text) = difference(&mut self.machine, &self.case) {
            panic!("{}\n{text}", script(&self.case));
        }
    }

    fn told(&self, wanted: impl Fn(&Act) -> bool) -> bool {
        self.case.last.as_ref().is_some_and(|(_, acts)| acts.iter().any(wanted))
    }

    /// The upper three bits say when, the lower five what.
    fn operation(&mut self, input: &mut Input<'_>) {
        let code = input.byte();
        let when = when(code >> 5, input);
        let rules = &self.case.reference.rules;
        let (ids, span) = (rules.knobs.ids, rules.i);
        // Without write reports none come, nor from a link that is closed, and a link has ids or
        // has none (promises of a driver).
        let closed = self.case.reference.liveness() == Liveness::Closed;
        let reports = rules.knobs.write_reports && !closed;
        let written = |what| if reports { what } else { tick() };
        let what = match code & 31 {
            0..3 => tick(),
            3 => answer(ids, Which::Recent(0), Echoed::Stamp, 0, false),
            4 => answer(ids, Which::Recent(1), Echoed::Stamp, 0, false),
            5..8 => pong(ids, input),
            8 | 9 => self.peer_pings(),
            10 => What::Plain(Event::FrameReceived),
            11 => What::Plain(Event::BytesReceived),
            12 => What::Plain(Event::BeaconReceived {
                stamp: Some(Timestamp::from_nanos(5)),
                period: Duration::from_nanos(span as u64),
            }),
            13 => What::Limit(parts(input.byte())),
            14 => written(What::PingSent(Which::Recent(0))),
            15 => written(What::PingSent(which(input.byte()))),
            16 => written(What::Plain(Event::PongSent)),
            17 => written(What::Plain(Event::TxProgress)),
            18 => written(What::Plain(Event::TxBlocked)),
            19 => What::Plain(Event::Drain),
            20 => What::Plain(Event::Close),
            21 => What::Plain(Event::GoodbyeReceived),
            22 => What::Plain(Event::Suspend),
            23 => What::Resume(parts(input.byte())),
            24 => What::Plain(Event::PingDue),
            25 => What::Plain(Event::Start),
            26 => What::Reconnect,
            27 => {
                self.turns.swap(0, 1);
                What::Reconfigure(Box::new(self.turns[1].clone()))
            }
            28 => return self.flood(input.byte()),
            _ => return self.punctually(input.byte()),
        };
        self.step(when, what);
    }

    fn peer_pings(&mut self) -> What {
        self.peer_seq += 1;
        What::Ping(self.peer_seq)
    }

    /// Many pings of the peer.
    fn flood(&mut self, code: u8) {
        for _ in 0..=code & 7 {
            let ping = self.peer_pings();
            self.step(When::Later(parts(code & 0xf8)), ping);
        }
    }

    /// A punctual driver for some wake-ups, and a peer that answers at once, or later, or never.
    fn punctually(&mut self, code: u8) {
        let rules = &self.case.reference.rules.knobs;
        let (ids, reports) = (rules.ids, rules.write_reports);
        for _ in 0..=code & 7 {
            if self.steps >= STEPS {
                return;
            }
            self.step(When::Wake(0), tick());
            if code & 8 == 0 {
                continue;
            }
            if self.told(|act| *act == Act::RequestProbe) {
                self.step(When::Now, What::Plain(Event::PingDue));
            }
            if self.told(|act| matches!(act, Act::SendPing { .. })) {
                if reports {
                    self.step(When::Now, What::PingSent(Which::Recent(0)));
                }
                let pong = answer(ids, Which::Recent(0), Echoed::Stamp, 0, code & 16 != 0);
                self.step(When::Towards(u32::from(code >> 5) * 125), pong);
            }
        }
    }
}

fn when(code: u8, input: &mut Input<'_>) -> When {
    match code {
        0 | 1 => When::Wake(0),
        2 => When::WakeSlack(1),
        3 => When::Now,
        4 => When::Towards(u32::from(input.byte()) * 1000 / 256),
        5 => When::Later(parts(input.byte())),
        6 => When::Wake(i64::from(input.byte()) - 128),
        _ => match input.byte() {
            0..32 => When::WakeSlack(0),
            32..64 => When::WakeWindow(0),
            64..96 => When::WakeWindow(1),
            96..128 => When::Wake(-1),
            128..160 => When::Wake(1),
            code @ 160..192 => When::Nanos(u32::from(code & 31)),
            code @ 192..224 => When::Back(parts(code << 3)),
            code => When::Later(1000 * u32::from(code & 31)),
        },
    }
}

fn which(code: u8) -> Which {
    match code & 15 {
        0 => Which::Unsent(u32::from(code >> 4) + 1),
        1 => Which::Zero,
        2 => Which::WrongEpoch,
        code => Which::Recent(code % 6),
    }
}

fn answer(ids: bool, which: Which, echoed: Echoed, hold: u32, calm: bool) -> What {
    if ids {
        What::Pong { which, echoed, hold, calm }
    } else {
        What::Plain(Event::AnonymousPongReceived)
    }
}

fn pong(ids: bool, input: &mut Input<'_>) -> What {
    if !ids {
        return What::Plain(Event::AnonymousPongReceived);
    }
    let (how, which) = (input.byte(), which(input.byte()));
    let echoed = match how & 7 {
        0 => Echoed::Nothing,
        1 => Echoed::Off(i64::from(input.byte()) - 128),
        _ => Echoed::Stamp,
    };
    let hold = if how >> 3 & 3 == 3 { parts(input.byte()) } else { 0 };
    answer(ids, which, echoed, hold, how >> 6 == 3)
}

/// Thousandths of the interval: from 0 to 15 of them, each power of two in eight steps.
const fn parts(code: u8) -> u32 {
    ((span(code & 0x7f) * 1000) >> 14) as u32
}

/// Spans that fit together nearly always; `None` where the text refuses them.
fn knobs(input: &mut Input<'_>, ledger: LedgerKind) -> Option<Knobs> {
    let (a, b, c, d) = (input.byte(), input.byte(), input.byte(), input.byte());
    let mode = match a & 7 {
        0 => Mode::Initiator,
        1 => Mode::Responder,
        2 => Mode::Beacon,
        3 => Mode::Passive,
        _ => Mode::Symmetric,
    };
    let probes = matches!(mode, Mode::Symmetric | Mode::Initiator);
    let life_rule = match a >> 3 & 3 {
        0 => LifeRule::AnyByte,
        1 if probes => LifeRule::ExactPong,
        2 if probes => LifeRule::AnyPong,
        _ => LifeRule::AnyFrame,
    };
    let scale = [0, 0, 10, 13][usize::from(c & 3)];
    let interval = (input.span() << scale).clamp(1, 86_400_000_000_000 / 2);
    let verdict =
        |code| [Verdict::Report, Verdict::Ignore, Verdict::Convict][usize::from(code % 3)];
    let options = u16::from_be_bytes([input.byte(), input.byte()]);
    let mut option = |bit: u8| {
        let part = |code| ((u128::from(interval) * u128::from(span(code & 0x7f))) >> 14) as u64;
        ((options >> bit) & 1 == 1).then(|| part(input.byte()))
    };
    let beats = matches!(mode, Mode::Beacon | Mode::Passive);
    let knobs = Knobs {
        ledger,
        mode,
        life_rule,
        late_policy: match a >> 5 & 3 {
            0 | 1 => LatePolicy::Reprobe,
            2 => LatePolicy::Strict,
            _ => LatePolicy::Forgive(Duration::from_nanos(option(13).unwrap_or(interval).max(1))),
        },
        probing: if a >> 7 == 0 { Probing::WhenIdle } else { Probing::Always },
        first_ping: [FirstPing::Phase, FirstPing::AfterInterval, FirstPing::Immediate]
            [usize::from(b & 3) % 3],
        schedule: match b >> 2 & 3 {
            3 if probes => PingSchedule::External,
            _ => PingSchedule::Own,
        },
        ids: b >> 4 & 3 != 3,
        write_reports: b >> 6 & 1 == 1,
        answer_each: b >> 7 == 1,
        interval,
        timeout: option(0),
        floor: option(1),
        ceiling: option(2),
        min_gap: option(3),
        suspect_interval: option(4),
        down_interval: option(5),
        slack: option(6),
        startup_limit: option(7).unwrap_or(interval).max(1),
        startup_grace: option(8).unwrap_or(0),
        drain_limit: option(9).unwrap_or(interval).max(1),
        keepalive: match option(10) {
            _ if beats => Keepalive::Default,
            Some(0) => Keepalive::Off,
            Some(span) => Keepalive::Every(span),
            None => Keepalive::Default,
        },
        write_stall: option(11),
        accept_gap: option(12),
        attempts: d % 15 + 1,
        jitter_percent: [10, 0, 50, 7][usize::from(d >> 6)],
        verify_every: (c >> 2 & 3) + 1,
        unanswered: ((d & 7) + 1, verdict(c >> 4)),
        loss: option(14).map(|code| ((code % 4) as u8 + 1, (code % 12) as u8 + 1, verdict(c >> 6))),
        police: (b % 3 + 1, d % 4 + 1, verdict(b)),
        reopen_after: if life_rule == LifeRule::AnyByte { 0 } else { c >> 6 },
    };
    Some(knobs.mended()).filter(|knobs| knobs.config().is_ok())
}

/// Another configuration of the same machine: the part it plays, who schedules, whether a verdict
/// is final, and the counts stay. (The text does not say what a count or a policy that is changed
/// makes of what was counted before.)
fn other(input: &mut Input<'_>, now: &Knobs) -> Knobs {
    let Some(other) = knobs(input, now.ledger) else { return now.clone() };
    let Knobs { mode, schedule, ids, reopen_after, unanswered, loss, police, .. } = *now;
    let kept = Knobs { mode, schedule, ids, unanswered, loss, police, reopen_after, ..other };
    let other = kept.mended();
    if other.config().is_ok() { other } else { now.clone() }
}
