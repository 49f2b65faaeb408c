//! What happens to a machine: events of all kinds, relative to where it stands, at moments that are
//! mostly its own deadlines and the nanoseconds around them.
#![allow(dead_code, reason = "every test program uses another part of this")]

use heartbeat_proto::{
    Action, Actions, Event, HeartbeatMachine, Ledger, Liveness, PingId, Timestamp,
};
use proptest::prelude::*;

use crate::configs::{Rules, Spy, nanos, ns};

/// An event whose stamps, spans and numbers are relative to the machine it is given to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input {
    Plain(Event),
    /// How far behind the newest ping, how long ago it was sent by its echo, hold time, calm.
    Pong(i8, Option<i64>, u64, bool),
    ForeignPong,
    Beat(i64, u64),
    Written(i8),
    /// In thousandths of the ceiling.
    Limit(u16),
    Resume(u16),
}

/// Where an input is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) epoch: u32,
    pub(crate) newest: u32,
    pub(crate) now: u64,
    pub(crate) ceiling: u64,
}

impl Input {
    /// Only pings that were really sent, and ones that never were.
    pub(crate) fn of_a_sender_of(self, newest: u32) -> Self {
        let most = i8::try_from(newest).unwrap_or(i8::MAX) - 1;
        match self {
            Self::Pong(behind, ago, hold, calm) => Self::Pong(behind.min(most), ago, hold, calm),
            Self::Written(behind) => Self::Written(behind.min(most)),
            other => other,
        }
    }

    pub(crate) fn event(self, place: &Place) -> Event {
        let id = |behind: i8| {
            let seq = u32::try_from(i64::from(place.newest) - i64::from(behind)).unwrap_or(0);
            PingId::new(place.epoch, seq)
        };
        let ago = |ago: i64| Timestamp::from_nanos(place.now.saturating_add_signed(-ago));
        let share = |thousandths: u16| ns(place.ceiling * u64::from(thousandths) / 1000);
        match self {
            Self::Plain(event) => event,
            Self::Pong(behind, sent, hold, calm) => {
                Event::PongReceived { id: id(behind), stamp: sent.map(ago), hold: ns(hold), calm }
            }
            Self::ForeignPong => Event::pong(PingId::new(!place.epoch, 1)),
            Self::Beat(sent, period) => {
                Event::BeaconReceived { stamp: Some(ago(sent)), period: ns(period) }
            }
            Self::Written(behind) => Event::PingSent { id: id(behind) },
            Self::Limit(share_of) => Event::LimitReceived { min_gap: share(share_of) },
            Self::Resume(share_of) => Event::Resume { slept: share(share_of) },
        }
    }
}

pub(crate) fn input() -> impl Strategy<Value = Input> {
    let plain = prop_oneof![
        8 => Just(Event::Tick),
        2 => Just(Event::PingDue),
        2 => Just(Event::ping(PingId::new(9, 9))),
        1 => Just(Event::AnonymousPongReceived),
        2 => Just(Event::FrameReceived),
        1 => Just(Event::BytesReceived),
        1 => (0..9_000_000u64).prop_map(|gap| Event::LimitReceived { min_gap: ns(gap) }),
        1 => Just(Event::PongSent),
        1 => Just(Event::TxProgress),
        1 => Just(Event::TxBlocked),
        1 => Just(Event::Suspend),
        1 => (0..80u64).prop_map(|slept| Event::Resume { slept: ns(slept) }),
        2 => any::<bool>().prop_map(|probe| Event::Hold { probe }),
    ];
    let rare = prop_oneof![
        Just(Event::Start),
        Just(Event::Drain),
        Just(Event::Close),
        Just(Event::GoodbyeReceived)
    ];
    let ago = prop_oneof![-2..40i64, -2_000_000..40_000_000i64];
    let pong = (-1..6i8, proptest::option::of(ago), 0..5u64, any::<bool>());
    prop_oneof![
        60 => plain.prop_map(Input::Plain),
        1 => rare.prop_map(Input::Plain),
        16 => pong.prop_map(|(behind, ago, hold, calm)| Input::Pong(behind, ago, hold, calm)),
        2 => Just(Input::ForeignPong),
        3 => (0..50i64, 1..50u64).prop_map(|(ago, period)| Input::Beat(ago, period)),
        8 => (0..3i8).prop_map(Input::Written),
        1 => (0..1500u16).prop_map(Input::Limit),
        1 => (0..2500u16).prop_map(Input::Resume),
    ]
}

/// How time moves before an event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Move {
    By(u64),
    /// In thousandths of the ceiling.
    Share(u16),
    ToDeadline(i64),
    /// As late as is still punctual, and so much more.
    Slack(u64),
    /// Late by so many thousandths of the ceiling.
    Late(u16),
    /// The clock runs back, by so many thousandths of the ceiling.
    Back(u16),
}

impl Move {
    /// The moment, for a machine that stands at `now` and wants to be called at `due`.
    pub(crate) fn moment(self, rules: &Rules, now: u64, due: Option<u64>) -> u64 {
        let share = |thousandths: u16| rules.ceiling() / 1000 * u64::from(thousandths);
        let due = due.unwrap_or(now);
        match self {
            Self::By(span) => now.saturating_add(span),
            Self::Share(of) => now.saturating_add(share(of)),
            Self::ToDeadline(offset) => due.saturating_add_signed(offset).max(now),
            Self::Slack(more) => due.saturating_add(rules.slack() + more).max(now),
            Self::Late(of) => due.saturating_add(share(of)).max(now),
            Self::Back(of) => now.saturating_sub(share(of)),
        }
    }
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (0..12u64).prop_map(Move::By),
        2 => (0..700u16).prop_map(Move::Share),
        9 => (-1..=1i64).prop_map(Move::ToDeadline),
        2 => (0..=1u64).prop_map(Move::Slack),
        1 => (0..2500u16).prop_map(Move::Late),
    ]
}

pub(crate) type Step = (Move, Input);

/// A life on a clock that only runs forward.
pub(crate) fn script() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((moves(), input()), 1..80)
}

/// The same on a clock that may step back.
pub(crate) fn stepping_script() -> impl Strategy<Value = Vec<Step>> {
    let moves = prop_oneof![5 => moves(), 1 => (0..1500u16).prop_map(Move::Back)];
    prop::collection::vec((moves, input()), 1..80)
}

/// The gap between pings that may be in force after a script, at most (rule CF4).
pub(crate) fn longest_gap(rules: &Rules, script: &[Step], ie: u64) -> u64 {
    let asks = |input: &Input| {
        matches!(input, Input::Limit(_) | Input::Plain(Event::LimitReceived { .. }))
    };
    let gap = nanos(rules.config.min_gap());
    if script.iter().any(|(_, input)| asks(input)) { gap.max(ie) } else { gap }
}

/// What can be seen of a machine between two calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) liveness: Liveness,
    pub(crate) due: Option<u64>,
    pub(crate) ev: u64,
    /// The effective interval.
    pub(crate) ie: u64,
    pub(crate) suspended: bool,
    pub(crate) draining: bool,
}

/// One call, and what it did.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) event: Event,
    pub(crate) now: u64,
    pub(crate) before: View,
    pub(crate) after: View,
    pub(crate) actions: Actions,
}

impl Call {
    /// The call was later than the wake-up by more than the slack.
    pub(crate) fn is_late(&self, rules: &Rules) -> bool {
        self.before.due.is_some_and(|due| self.now > due.saturating_add(rules.slack()))
    }

    pub(crate) fn ping(&self) -> Option<PingId> {
        self.actions.clone().find_map(|action| match action {
            Action::SendPing { id, .. } => Some(id),
            _ => None,
        })
    }

    pub(crate) fn pong(&self) -> Option<PingId> {
        self.actions.clone().find_map(|action| match action {
            Action::SendPong { id, .. } => Some(id),
            _ => None,
        })
    }

    /// Became Lost in this call.
    pub(crate) fn lost(&self) -> bool {
        self.actions.transition().is_some_and(|change| change.to == Liveness::Lost)
    }

    /// Began Suspect, Alive, Starting or Recovering, and with time running.
    pub(crate) fn was_judged(&self) -> bool {
        self.before.liveness.is_live() && !self.before.draining && !self.before.suspended
    }
}

/// A machine under a script.
#[derive(Clone)]
pub(crate) struct Run<L: Ledger> {
    pub(crate) rules: Rules,
    pub(crate) machine: HeartbeatMachine<Spy, L>,
    pub(crate) now: u64,
    pub(crate) newest: u32,
    suspended: bool,
    draining: bool,
}

/// Where most runs start on the machine's clock.
pub(crate) const START: u64 = 1_000_000_000;

impl<L: Ledger> Run<L> {
    /// A machine that waits for its start.
    pub(crate) fn idle(rules: &Rules, now: u64) -> Self {
        let machine = HeartbeatMachine::with_ledger(rules.config, 7, Timestamp::from_nanos(now));
        Self { rules: *rules, machine, now, newest: 0, suspended: false, draining: false }
    }

    /// A started machine.
    pub(crate) fn start(rules: &Rules, now: u64) -> Self {
        let mut run = Self::idle(rules, now);
        let _ = run.tell(Event::Start, now);
        run
    }

    pub(crate) fn due(&self) -> Option<u64> {
        self.machine.next_deadline().map(Timestamp::as_nanos)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number")]
    pub(crate) fn view(&self) -> View {
        View {
            liveness: self.machine.liveness(),
            due: self.due(),
            ev: self.machine.suspicion(Timestamp::EPOCH) as u64,
            ie: nanos(self.machine.effective_interval()),
            suspended: self.suspended,
            draining: self.draining,
        }
    }

    pub(crate) fn event(&self, input: Input) -> Event {
        input.event(&Place {
            epoch: self.machine.state().epoch(),
            newest: self.newest,
            now: self.now,
            ceiling: self.rules.ceiling(),
        })
    }

    pub(crate) fn step(&mut self, (moved, input): Step) -> Call {
        let given = moved.moment(&self.rules, self.now, self.due());
        self.now = self.now.max(given);
        let event = self.event(input);
        self.tell(event, given)
    }

    pub(crate) fn tell(&mut self, event: Event, given: u64) -> Call {
        let before = self.view();
        self.now = self.now.max(given);
        let actions = self.machine.handle(event, Timestamp::from_nanos(given));
        let ended = matches!(before.liveness, Liveness::Lost | Liveness::Closed);
        self.suspended = match event {
            Event::Suspend => !ended,
            Event::Close => self.suspended,
            _ => false,
        };
        self.draining |= event == Event::Drain && before.liveness.is_live();
        for action in actions.clone() {
            if let Action::SendPing { id, .. } | Action::SendBeacon { id, .. } = action {
                self.newest = id.seq();
            }
        }
        Call { event, now: self.now, before, after: self.view(), actions }
    }

    /// A punctual driver while nothing is heard, until nothing is due or `until`.
    pub(crate) fn run_to(&mut self, until: u64, mut seen: impl FnMut(&Call)) {
        while let Some(due) = self.due().filter(|&due| due <= until) {
            seen(&self.tell(Event::Tick, due));
        }
    }
}

/// The same actions with stamps relative to `now` and numbers relative to `newest`, which becomes
/// the newest.
pub(crate) fn relative(actions: Actions, now: u64, newest: &mut u32) -> Vec<Action> {
    let before = *newest;
    let mut number = |id: PingId, stamp: Timestamp| {
        *newest = id.seq();
        let stamp = stamp.as_nanos().wrapping_sub(now);
        (PingId::new(id.epoch(), id.seq() - before), Timestamp::from_nanos(stamp))
    };
    let relative = actions.map(|action| match action {
        Action::SendPing { id, stamp } => {
            let (id, stamp) = number(id, stamp);
            Action::SendPing { id, stamp }
        }
        Action::SendBeacon { id, stamp } => {
            let (id, stamp) = number(id, stamp);
            Action::SendBeacon { id, stamp }
        }
        other => other,
    });
    relative.collect()
}
