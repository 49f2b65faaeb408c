//! E4: which ping a pong answers.

use heartbeat_proto::{Event, PingId};

use super::{LedgerKind, Nanos, Reference, Twist};

/// A ping that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Ping {
    pub seq: u32,
    /// What the frame says: never moved.
    pub stamp: Nanos,
    /// Its emission; with write reports its writing, once that is told.
    pub sent: Nanos,
    pub emitted: Nanos,
    pub written: Option<Nanos>,
    /// It was written more than `slack` after its emission.
    pub slow: bool,
    pub answered: bool,
    /// Sent by a grant (J6).
    pub granted: bool,
}

/// What a pong is (E4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pong {
    WrongEpoch,
    Unmatched,
    Duplicate,
    Matched(Answered),
    Late(Answered),
    Forgotten,
}

/// The ping that a pong answers: its number, when it was sent, and from when its RTT counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub seq: u32,
    pub sent: Nanos,
    pub rtt_from: Nanos,
}

impl Pong {
    /// "Matched or late."
    pub(super) fn answers(self) -> Option<Answered> {
        match self {
            Self::Matched(answered) | Self::Late(answered) => Some(answered),
            _ => None,
        }
    }
}

impl Reference {
    pub(super) fn newest(&self) -> Option<&Ping> {
        self.pings.last()
    }

    pub(super) fn ping(&self, seq: u32) -> Option<&Ping> {
        self.pings.iter().find(|ping| ping.seq == seq)
    }

    /// What kind of pong the event is, if it is one.
    pub(super) fn classify(&self, event: Event) -> Option<Pong> {
        match event {
            Event::AnonymousPongReceived => Some(self.classify_anonymous()),
            Event::PongReceived { id, stamp, .. } => {
                Some(self.classify_id(id, stamp.map(|stamp| Nanos::from(stamp.as_nanos()))))
            }
            _ => None,
        }
    }

    /// E8: "a pong answers the newest ping, if that is unanswered; else it is duplicate".
    fn classify_anonymous(&self) -> Pong {
        match self.classify_newest() {
            // E8: while samples are ambiguous, it is late exactly if no ping is judged.
            Pong::Matched(answered) | Pong::Late(answered) if self.ambiguous > 0 => {
                if self.judged.is_some() { Pong::Matched(answered) } else { Pong::Late(answered) }
            }
            pong => pong,
        }
    }

    fn classify_newest(&self) -> Pong {
        match self.newest() {
            None if self.seq == 0 => Pong::Unmatched,
            None => Pong::Duplicate,
            Some(ping) if ping.answered => Pong::Duplicate,
            Some(&ping) => self.matched_or_late(ping),
        }
    }

    fn classify_id(&self, id: PingId, stamp: Option<Nanos>) -> Pong {
        if id.epoch() != self.epoch {
            return Pong::WrongEpoch;
        }
        if id.seq() == 0 || id.seq() > self.seq {
            return Pong::Unmatched;
        }
        let echo = self.rules.knobs.ledger == LedgerKind::Echo;
        let Some(&newest) = self.newest() else {
            // Beacons share the numbers, and nothing answers them.
            return if echo && id.seq() == self.seq { Pong::Duplicate } else { Pong::Forgotten };
        };
        match self.rules.knobs.ledger {
            LedgerKind::Table => {
                let known = self.pings.len().saturating_sub(4);
                match self.pings[known..].iter().find(|ping| ping.seq == id.seq()) {
                    None => Pong::Forgotten,
                    Some(ping) if ping.answered => Pong::Duplicate,
                    Some(&ping) => self.matched_or_late(ping),
                }
            }
            LedgerKind::Echo if id.seq() == newest.seq => self.classify_newest(),
            LedgerKind::Echo => self.classify_echo(id.seq(), stamp, newest),
        }
    }

    /// "An older one by its echoed stamp, if that is later than the judged ping's sending less g
    /// and not later than the newest's."
    fn classify_echo(&self, seq: u32, stamp: Option<Nanos>, newest: Ping) -> Pong {
        let (Some(stamp), Some(judged)) = (stamp, self.judged_sent()) else {
            return Pong::Forgotten;
        };
        if stamp > judged - self.rules.g && stamp <= newest.sent {
            let answered = Answered { seq, sent: stamp, rtt_from: stamp };
            self.by_age(answered, newest.answered)
        } else {
            Pong::Forgotten
        }
    }

    fn matched_or_late(&self, ping: Ping) -> Pong {
        let newer_answered = self.pings.iter().any(|newer| newer.seq > ping.seq && newer.answered);
        let rtt_from = ping.sent; // E6
        self.by_age(Answered { seq: ping.seq, sent: ping.sent, rtt_from }, newer_answered)
    }

    fn by_age(&self, answered: Answered, newer_answered: bool) -> Pong {
        let old = self.now > answered.sent + self.rules.w;
        if newer_answered || (old && self.twist != Some(Twist::OldPongsMatch)) {
            Pong::Late(answered)
        } else {
            Pong::Matched(answered)
        }
    }

    /// When the judged ping was sent.
    pub(super) fn judged_sent(&self) -> Option<Nanos> {
        let judged = self.judged?;
        self.ping(judged.seq).map(|ping| ping.sent)
    }
}
