//! Sealed frames between two ends and an attacker who holds, repeats, alters and invents them:
//! what opens is what was sealed, once; everything honest and in time does open.

use std::collections::BTreeSet;

use arbitrary::{Arbitrary, Unstructured};
use heartbeat_proto::Timestamp;
use heartbeat_proto::codec::auth::{AuthError, KeyRing, Opener, SEAL_LEN, Sealer};
use heartbeat_proto::codec::{Frame, MAX_FRAME, datagram};

use super::input::{Input, span};

const MASK: u64 = 0xfeed_0000_1234_5678;
const LIMIT: u64 = 500_000_000;

/// A frame on its way.
struct Sealed {
    frame: Frame,
    bytes: Vec<u8>,
    key: u8,
    counter: u64,
    sent_at: u64,
}

struct Run {
    keys: [KeyRing; 2],
    /// The key that the sender uses, and those that the receiver accepts.
    used: u8,
    known: BTreeSet<u8>,
    sealer: Sealer,
    opener: Opener,
    now: u64,
    wire: Vec<Sealed>,
    /// The counters that were accepted.
    seen: BTreeSet<u64>,
    /// The shortest way of a stamped frame that was accepted.
    fastest: Option<u64>,
}

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    // Another connection for every input: the fuzzer sees what tags are compared with, and would
    // forge them by copying if the next run asked for the same ones.
    let nonce = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut run = Run::new(nonce);
    for _ in 0..48 {
        if input.is_empty() {
            break;
        }
        run.operation(&mut input);
    }
}

fn secret(key: u8) -> [u8; 32] {
    [key.wrapping_mul(37).wrapping_add(11); 32]
}

impl Run {
    fn new(nonce: u64) -> Self {
        let ring = || KeyRing::new(1, &secret(1)).expect("a good secret");
        Self {
            keys: [ring(), ring()],
            used: 1,
            known: BTreeSet::from([1]),
            sealer: Sealer::new(nonce, !nonce).expect("two nonces"),
            opener: Opener::new(!nonce, nonce).expect("two nonces"),
            now: 1 << 40,
            wire: Vec::new(),
            seen: BTreeSet::new(),
            fastest: None,
        }
    }

    fn operation(&mut self, input: &mut Input<'_>) {
        let code = input.byte();
        match code & 15 {
            0..4 => self.seal(input),
            4..8 => self.deliver(usize::from(code >> 4)),
            8 => self.deliver(usize::from(input.byte())),
            9 | 10 => self.alter(usize::from(code >> 4), input),
            11 => self.invent(input),
            12 => self.now += input.span(),
            13 => self.now += span(code),
            14 => self.rotate(input.byte()),
            _ => {
                self.opener.resumed();
                self.fastest = None;
            }
        }
    }

    fn seal(&mut self, input: &mut Input<'_>) {
        let mut from = Unstructured::new(input.0);
        let Ok(frame) = Frame::arbitrary(&mut from) else { return };
        input.0 = from.take_rest();
        let stamp = self.now.wrapping_add(MASK);
        let frame = match frame {
            Frame::Ping { id, handle, status, .. } => Frame::Ping { id, handle, stamp, status },
            Frame::Beacon { id, handle, period, status, .. } => {
                Frame::Beacon { id, handle, stamp, period, status }
            }
            Frame::Hello(hello) => Frame::Hello(hello.with_stamp(stamp)),
            other => other,
        };
        let mut out = [0; MAX_FRAME];
        let Ok(len) = self.sealer.seal(&self.keys[0], &frame, &mut out) else {
            assert!(frame.encode_into(&mut out).is_err(), "C1: every good frame can be sealed");
            return;
        };
        let plain = frame.encode_into(&mut [0; MAX_FRAME]).expect("it was sealed");
        assert_eq!(len, plain + SEAL_LEN);
        // What travels is the rounded form (a hold time, a period).
        let frame = datagram::decode(&out[..len]).expect("C1: a sealed frame is a frame");
        let counter = self.wire.last().map_or(0, |last| last.counter) + 1;
        let bytes = out[..len].to_vec();
        self.wire.push(Sealed { frame, bytes, key: self.used, counter, sent_at: self.now });
    }

    /// One frame from the wire, the newest first; it may have been delivered before.
    fn deliver(&mut self, back: usize) {
        let Some(index) = self.wire.len().checked_sub(back + 1) else { return };
        let sealed = &self.wire[index];
        let opened =
            self.opener.open(&self.keys[1], &sealed.bytes, Timestamp::from_nanos(self.now));
        if !self.known.contains(&sealed.key) {
            assert_eq!(opened, Err(AuthError::UnknownKey { found: sealed.key }));
            return;
        }
        let newest = self.seen.last().copied().unwrap_or(0);
        let found = sealed.counter;
        if self.seen.contains(&found) || found + 63 < newest {
            assert_eq!(opened, Err(AuthError::Replay { found, newest }), "a replay");
            return;
        }
        let stamped =
            matches!(sealed.frame, Frame::Ping { .. } | Frame::Beacon { .. } | Frame::Hello(_));
        let way = self.now - sealed.sent_at;
        let late = stamped && self.fastest.is_some_and(|fastest| way > fastest + LIMIT);
        match opened {
            Ok(frame) => {
                assert_eq!(frame, sealed.frame);
                self.seen.insert(found);
                if stamped {
                    self.fastest = Some(self.fastest.map_or(way, |fastest| fastest.min(way)));
                }
            }
            Err(AuthError::Skew { .. }) => assert!(late, "an honest frame, {way} ns on its way"),
            Err(error) => panic!("an honest frame was refused: {error}"),
        }
    }

    /// One bit pattern of one byte is another, or the frame has another length.
    fn alter(&mut self, back: usize, input: &mut Input<'_>) {
        let Some(index) = self.wire.len().checked_sub(back + 1) else { return };
        let mut bytes = self.wire[index].bytes.clone();
        let (at, with) = (usize::from(input.byte()), input.byte());
        let len = bytes.len();
        match with {
            0 => bytes.truncate(at % len),
            1 => bytes.push(input.byte()),
            2 => bytes.insert(at % len, 0),
            _ => bytes[at % len] ^= with,
        }
        self.refuse(&bytes);
    }

    fn invent(&mut self, input: &mut Input<'_>) {
        let len = usize::from(input.byte()).min(input.0.len());
        let (bytes, rest) = input.0.split_at(len);
        input.0 = rest;
        self.refuse(bytes);
    }

    /// What nobody sealed does not open, and leaves no trace.
    fn refuse(&mut self, bytes: &[u8]) {
        if self.wire.iter().any(|sealed| sealed.bytes == bytes) {
            return; // It was one of the real ones after all.
        }
        let before = format!("{:?}", self.opener);
        let opened = self.opener.open(&self.keys[1], bytes, Timestamp::from_nanos(self.now));
        assert!(opened.is_err(), "forged: {opened:?}");
        assert_eq!(format!("{:?}", self.opener), before, "a refusal changes nothing");
    }

    /// The ends change their keys, each on its own.
    fn rotate(&mut self, code: u8) {
        let key = code >> 3 & 7;
        match code & 7 {
            0..3 => {
                let [sender, receiver] = &mut self.keys;
                let _ = sender.insert(key, &secret(key));
                if receiver.insert(key, &secret(key)).is_ok() {
                    self.known.insert(key);
                }
                assert!(self.known.len() <= KeyRing::CAPACITY);
            }
            3..6 => {
                let taken = self.keys[0].use_key(key).is_ok();
                if taken {
                    self.used = key;
                }
                assert_eq!(self.keys[0].current(), self.used);
            }
            6 => {
                let _ = self.keys[0].remove(key);
            }
            _ => {
                if self.keys[1].remove(key).is_ok() {
                    self.known.remove(&key);
                }
            }
        }
        assert!(self.keys[1].insert(key, &[1; 15]).is_err(), "a short secret");
    }
}
