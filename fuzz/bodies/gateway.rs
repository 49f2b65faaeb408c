//! A gateway and a naive one, under any datagrams from a few addresses (rules GW1 to GW9).

use core::sync::atomic::Ordering;

use super::TRACE;
use super::input::Input;
use super::naive::{ADDRESSES, Both, Op, PEERS};

const STEPS: usize = 200;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut both = Both::new();
    for _ in 0..STEPS {
        if input.is_empty() {
            return;
        }
        let op = op(&mut input);
        if TRACE.load(Ordering::Relaxed) {
            println!("{op:?}");
        }
        both.play(&op);
    }
}

/// The high half of a byte says what, the low half who or how.
fn op(input: &mut Input<'_>) -> Op {
    let code = input.byte();
    let low = usize::from(code & 15);
    let (from, epoch) = (low % ADDRESSES, 1 + u32::from(code & 1));
    match code >> 4 {
        0 | 1 => Op::Ping { from, epoch },
        2 => Op::Goodbye { from, epoch },
        3 => Op::Beacon { from, epoch },
        4..=6 => Op::Answer { which: low },
        7 => Op::Moved { which: low / 2, from: usize::from(input.byte()) % ADDRESSES },
        8 => Op::Tampered { which: low, what: input.byte() % 6 },
        9 => Op::AnswerAll { but: 2 + low % 7 },
        10 => {
            let len = usize::from(input.byte() % 64).min(input.0.len());
            let (bytes, rest) = input.0.split_at(len);
            input.0 = rest;
            Op::Garbage { from, bytes: bytes.to_vec() }
        }
        11 => Op::Remove { who: low % PEERS },
        12 | 13 => Op::Pass { millis: 1 + 25 * low as u64 },
        _ => Op::Advance { budget: 1 + low / 2 },
    }
}
