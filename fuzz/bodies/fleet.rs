//! A fleet and a machine for each of its peers, whatever happens to them (rules FL1 to FL6, GD1,
//! GD3). The first three bytes choose the detector and the guard.

use core::sync::atomic::Ordering;
use core::time::Duration;

use heartbeat_proto::detector::{Compact, Deadline, Detector, Source};
use heartbeat_proto::fleet::GuardConfig;

use super::TRACE;
use super::input::Input;
use super::ops::{Op, Say, configs};
use super::twins::Pair;

const STEPS: usize = 120;
/// More would only be slower.
const PEERS: usize = 24;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let learns = input.flag();
    let guard = guard(&mut input);
    if learns {
        play(Compact::default().on(Source::Pongs), guard, input);
    } else {
        play(Deadline::fixed(), guard, input);
    }
}

/// Quick to doubt, and with few verdicts to give; or none.
fn guard(input: &mut Input<'_>) -> Option<GuardConfig> {
    let (hold, rest) = (input.byte(), input.byte());
    let guard = GuardConfig::new(Duration::from_millis(8 * u64::from(hold)))
        .share(1 + 7 * (rest & 7))
        .least(2 + u32::from(rest >> 3 & 1))
        .sample(1 + u32::from(rest >> 4 & 1))
        .verdicts_per_second(1 + u32::from(rest >> 5) * 3);
    (hold != 0).then_some(guard)
}

fn play<D: Detector>(detector: D, guard: Option<GuardConfig>, mut input: Input<'_>) {
    let mut pair = Pair::new(configs(detector), guard);
    for _ in 0..STEPS {
        if input.is_empty() {
            return;
        }
        let op = op(&mut input);
        if TRACE.load(Ordering::Relaxed) {
            println!("{op:?}");
        }
        if !matches!(op, Op::Insert { peers, .. } if pair.fleet.len() + peers > PEERS) {
            pair.play(&op);
            pair.compare();
        }
    }
}

/// The high half of a byte says what, the low half who or how.
fn op(input: &mut Input<'_>) -> Op {
    let code = input.byte();
    let low = usize::from(code & 15);
    match code >> 4 {
        0 => Op::Insert { profile: low % 3, peers: 1 + low / 3 },
        1 => Op::Start,
        2 => Op::Live { rounds: 1 + low },
        3 | 4 => Op::Answer { but: 2 + low },
        5 if low < 8 => Op::Remove { who: low },
        5 => Op::Reconnect { who: low },
        6 | 7 => Op::Tell { who: low, say: say(input) },
        8 => {
            let tells = (0..low).map(|_| (usize::from(input.byte()), say(input))).collect();
            Op::Batch { tells, enough: 1 + usize::from(input.byte() & 15) }
        }
        9 => Op::Advance { budget: low / 2, enough: 1 + low % 4 },
        10 | 11 => Op::Finish,
        12 if low == 0 => Op::Back { nanos: input.span() },
        // Up to four minutes: beyond what the ring of the schedule spans, sixteen times.
        12 if low == 1 => Op::Pass { nanos: 16 * input.span() },
        _ => Op::Pass { nanos: input.span() % 400_000_000 },
    }
}

fn say(input: &mut Input<'_>) -> Say {
    let code = input.byte();
    let high = code / 19;
    match code % 19 {
        0 => Say::Start,
        1 => Say::Pong(u32::from(high % 3)),
        2 => Say::BarePong(u32::from(high % 3)),
        3 => Say::CalmPong,
        4 => Say::Ping,
        5 => Say::Beacon,
        6 => Say::Frame,
        7 => Say::Limit(u16::from(high) * 30),
        8 => Say::PingDue,
        9 => Say::Written,
        10 => Say::Progress,
        11 => Say::Blocked,
        12 => Say::Suspend,
        13 => Say::Resume,
        14 => Say::Hold(high & 1 == 1),
        15 => Say::Drain,
        16 => Say::Close,
        17 => Say::Goodbye,
        _ => Say::Tick,
    }
}
