//! One machine under any events at any times: to the wake-up, just before and after it, back, and
//! far away.

use core::time::Duration;

use heartbeat_proto::{Action, Actions, Echo, Event, Ledger, PingId, Table, Timestamp};

use super::input::{Input, span};
use super::rules::{Rules, nanos};
use super::watch::Watch;

/// More steps find nothing that these do not.
const STEPS: u32 = 80;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let head = input.byte();
    let seed = u64::from(input.byte());
    let Some(rules) = Rules::read(&mut input) else { return };
    let Some(other) = (if head & 1 == 1 { Rules::read(&mut input) } else { Some(rules) }) else {
        return;
    };
    let now = match head >> 1 & 3 {
        0 => 0,
        3 => u64::MAX - 4 * 86_400_000_000_000 - span(input.byte()),
        _ => 1 << 50,
    };
    let shift = if head >> 3 & 1 == 1 { 0x0123_4567_89ab_cdef } else { 0 };
    if head >> 4 & 1 == 1 {
        Run::<Echo>::new(rules, other, seed, now, shift).all(&mut input);
    } else {
        Run::<Table>::new(rules, other, seed, now, shift).all(&mut input);
    }
}

/// A machine, and what a driver would remember.
struct Run<L: Ledger> {
    watch: Watch<L>,
    /// In force, and the others.
    rules: [Rules; 2],
    /// The last pings, newest first.
    pings: [(PingId, Timestamp); 4],
    peer_seq: u32,
    steps: u32,
}

impl<L: Ledger> Run<L> {
    fn new(rules: Rules, other: Rules, seed: u64, now: u64, shift: u64) -> Self {
        let watch = Watch::new(rules, seed, now, shift);
        let none = (PingId::new(watch.machine.state().epoch(), 0), Timestamp::from_nanos(now));
        Self { watch, rules: [rules, other], pings: [none; 4], peer_seq: 0, steps: 0 }
    }

    fn all(mut self, input: &mut Input<'_>) {
        // The rare start-up is one step away: the first operation may be anything.
        if input.flag() {
            let _ = self.tell(Event::Start, self.watch.now);
        }
        while !input.is_empty() && self.steps < STEPS {
            self.operation(input);
        }
        self.watch.finish();
    }

    fn tell(&mut self, event: Event, given: u64) -> Actions {
        self.steps += 1;
        let actions = self.watch.tell(event, given);
        self.remember(&actions);
        actions
    }

    fn remember(&mut self, actions: &Actions) {
        for action in actions.clone() {
            if let Action::SendPing { id, stamp } = action {
                self.pings.rotate_right(1);
                self.pings[0] = (id, stamp);
            }
        }
    }

    /// The upper three bits say when, the lower five what.
    fn operation(&mut self, input: &mut Input<'_>) {
        let code = input.byte();
        let given = self.when(code >> 5, input);
        let event = match code & 31 {
            0..3 => Event::Tick,
            3 => Event::pong(self.pings[0].0),
            4 => self.pong(input.byte(), 0),
            5 => {
                let (which, hold) = (input.byte(), input.span());
                self.pong(which, hold)
            }
            6 => Event::AnonymousPongReceived,
            7 => self.peer_pings(),
            8 => Event::BeaconReceived {
                stamp: Some(Timestamp::from_nanos(self.watch.now)),
                period: Duration::from_nanos(input.span()),
            },
            9 => Event::FrameReceived,
            10 => Event::BytesReceived,
            11 => Event::LimitReceived { min_gap: any_span(input) },
            12 => Event::GoodbyeReceived,
            13 => Event::PingSent { id: self.pings[0].0 },
            14 => Event::PingSent { id: self.pings[usize::from(input.byte() & 3)].0 },
            15 => Event::PongSent,
            16 => Event::TxProgress,
            17 => Event::TxBlocked,
            18 => Event::Drain,
            19 => Event::Close,
            20 => Event::Suspend,
            21 => Event::Resume { slept: any_span(input) },
            22 => Event::PingDue,
            23 => Event::Start,
            24 => return self.turn(given),
            25 => {
                self.watch.reconnect();
                let none = PingId::new(self.watch.machine.state().epoch(), 0);
                self.pings = [(none, Timestamp::from_nanos(self.watch.now)); 4];
                return;
            }
            26 => return self.watch.fork(),
            27..30 => return self.punctually(input.byte()),
            30 => return self.flood(input.byte()),
            _ => Event::PingReceived { id: PingId::from_u64(input.word()), stamp: None },
        };
        let _ = self.tell(event, given);
    }

    fn when(&self, code: u8, input: &mut Input<'_>) -> u64 {
        let now = self.watch.now;
        let due = self.watch.due().unwrap_or(now);
        let slack = nanos(self.watch.rules.config.slack());
        match code {
            0 => due,
            1 => due.saturating_sub(1).max(now),
            2 => due.saturating_add(slack),
            3 => due.saturating_add(slack + 1),
            4 => now,
            5 => now.saturating_add(input.span()),
            6 => due.saturating_add(input.span()),
            _ => match input.byte() {
                0 => u64::MAX,
                1 => u64::MAX - 4 * 86_400_000_000_000,
                2 => u64::MAX - 4 * 86_400_000_000_000 + 1,
                3 => now.saturating_add(86_400_000_000_000),
                4 => now.saturating_add(nanos(self.watch.rules.config.response_window())),
                5 => now.saturating_add(nanos(self.watch.rules.config.ceiling())),
                6 => due.saturating_add(1),
                7 => now.saturating_add(nanos(self.watch.rules.config.min_gap())),
                code if code < 128 => now.saturating_sub(span(code << 1)),
                code => now.saturating_add(span(code) << 16),
            },
        }
    }

    /// Which of the last pings it answers, and how.
    fn pong(&self, code: u8, hold: u64) -> Event {
        let (mut id, stamp) = self.pings[usize::from(code & 3)];
        let mut stamp = (code >> 2 & 1 == 1).then_some(stamp);
        match code >> 3 & 7 {
            0 => id = PingId::new(id.epoch() ^ 1, id.seq()),
            1 => id = PingId::new(id.epoch(), id.seq().wrapping_add(1)),
            2 => id = PingId::new(id.epoch(), id.seq().saturating_sub(4)),
            3 => stamp = Some(Timestamp::from_nanos(self.watch.now)),
            4 => stamp = Some(Timestamp::MAX),
            _ => {}
        }
        let (hold, calm) = (Duration::from_nanos(hold), code >> 6 == 3);
        Event::PongReceived { id, stamp, hold, calm }
    }

    fn peer_pings(&mut self) -> Event {
        self.peer_seq += 1;
        Event::ping(PingId::new(77, self.peer_seq))
    }

    /// The other configuration, at `given` if that is not in the past.
    fn turn(&mut self, given: u64) {
        self.rules.swap(0, 1);
        self.watch.now = self.watch.now.max(given);
        let actions = self.watch.reconfigure(self.rules[0]);
        self.remember(&actions);
    }

    /// A punctual driver for some wake-ups, and a peer that answers at once, or a bit later, or
    /// not at all.
    fn punctually(&mut self, code: u8) {
        let delay = span(code & 0xf0);
        for _ in 0..=code & 7 {
            let Some(due) = self.watch.due().filter(|_| self.steps < STEPS) else { return };
            let actions = self.tell(Event::Tick, due);
            let ping = actions.clone().any(|action| matches!(action, Action::SendPing { .. }));
            let requested = actions.clone().any(|action| action == Action::RequestProbe);
            if requested && code & 8 != 0 {
                let _ = self.tell(Event::PingDue, due);
            }
            if ping && code & 8 != 0 {
                let (id, stamp) = self.pings[0];
                let sent = self.watch.rules.config.write_reports();
                if sent {
                    let _ = self.tell(Event::PingSent { id }, due);
                }
                let (stamp, hold) = (Some(stamp), Duration::ZERO);
                let answer = Event::PongReceived { id, stamp, hold, calm: false };
                let _ = self.tell(answer, due.saturating_add(delay));
            }
        }
    }

    /// Many pings of the peer, all alike apart.
    fn flood(&mut self, code: u8) {
        let gap = span(code & 0xf8);
        for _ in 0..=code & 7 {
            let ping = self.peer_pings();
            let _ = self.tell(ping, self.watch.now.saturating_add(gap));
        }
    }
}

fn any_span(input: &mut Input<'_>) -> Duration {
    match input.byte() {
        255 => Duration::MAX,
        code => Duration::from_nanos(span(code) << ((code & 3) * 4)),
    }
}
