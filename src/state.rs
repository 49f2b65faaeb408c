//! [`PeerState`]: everything the rules remember about one peer. Storage and typed accessors only.
//!
//! Six stamps, the RTT estimate, two numbers, and one word of small fields: 72 bytes, without
//! padding, so that a fleet can hold millions. Some stamps serve two purposes that exclude each
//! other; the accessors below name both. Fleets keep it in two pieces ([`halves`]).

#[cfg(feature = "fleet")]
pub(crate) mod halves;
#[cfg(feature = "snapshot")]
pub(crate) mod kept;

use crate::config::{Config, MAX_SPAN_NANOS};
use crate::detector::{Deadline, Detector};
use crate::jitter;
use crate::ledger::{Ledger, Table, shifted};
use crate::liveness::Liveness;
use crate::machine::END_OF_TIME;
use crate::rtt::Rtt;

/// What is remembered about one peer: of fixed size, comparable, and free of counters that grow
/// without bound. Shifting all its stamps by the same amount changes nothing (rule T3).
///
/// [`HeartbeatMachine`](crate::HeartbeatMachine) owns one, and is what most programs want. Use this
/// type where many peers share one [`Config`](crate::Config); see [`PeerState::handle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerState<D: Detector = Deadline, L: Ledger = Table> {
    /// Last evidence; from `Start` on, its time plus the grace; while Idle, the creation.
    pub(crate) ev: u64,
    /// The next planned slot; while draining, the hard deadline.
    pub(crate) plan: u64,
    /// When the newest ping left (written, where writes are reported); before the first: the start.
    pub(crate) last_ping: u64,
    /// Since when `waiting` waits, if it does.
    pub(crate) waiting_since: u64,
    /// When something was last sent; while something waits to be written, since when nothing is.
    pub(crate) tx_at: u64,
    /// Theoretical arrival time of the peer's next ping (GCRA, rule A2).
    pub(crate) tat: u64,
    pub(crate) rtt: Rtt,
    /// The number of the newest ping; 0: none was sent yet.
    pub(crate) seq: u32,
    pub(crate) epoch: u32,
    word: Word,
    pub(crate) detector: D::State,
    pub(crate) ledger: L,
}

/// The value of `in_a_row` from the telling of `ping_unanswered` to the next pong.
pub(crate) const TOLD: u8 = 15;

/// Without ids: so many clean exchanges before a sample counts again (rule E8).
pub(crate) const AMBIGUOUS: u8 = 2;

/// With ids: so many pings after a pause until no pong can be of one that it spoiled (rule E6; the
/// table knows four).
pub(crate) const SPOILED: u8 = 3;

/// What is being waited for, since [`PeerState::waiting_since`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    Nothing,
    /// The answer to the judged ping.
    Pong,
    /// The caller's `PingDue`, which was asked for.
    Caller,
    /// Nothing but the end of a granted window: no ping can be sent here, or none was wanted (J14).
    Window,
    /// The resume.
    Resume,
}

/// The re-probe (rule J6): one fresh ping and one window before the verdict. It is granted once a
/// silence after a late call, when a verdict comes while a window still runs, after a resume, and
/// by a reconfiguration that would convict at once. Life ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reprobe {
    None,
    /// Given; its probe has not left yet. No verdict falls.
    Wanted,
    /// Its probe's window runs.
    Running,
    /// Its probe's window has run. Later windows of this silence put nothing off.
    Spent,
}

impl<D: Detector, L: Ledger> PeerState<D, L> {
    /// A peer whose connection is being set up since `now`. The seed decides the epoch, the phase
    /// and the jitter: give each connection another one.
    pub fn new(seed: u64, now: crate::Timestamp) -> Self {
        Self::idle(jitter::epoch(seed), now.as_nanos().min(END_OF_TIME))
    }

    pub(crate) fn idle(epoch: u32, now: u64) -> Self {
        Self {
            ev: now,
            plan: now,
            last_ping: now,
            waiting_since: now,
            tx_at: now,
            tat: now,
            rtt: Rtt::default(),
            seq: 0,
            epoch,
            word: Word::default(),
            detector: D::State::default(),
            ledger: L::default(),
        }
    }

    /// What is believed of the peer.
    #[inline]
    pub const fn liveness(&self) -> Liveness {
        Liveness::from_index(self.word.get(PHASE))
    }

    /// Whether good replies bring a lost peer back (rule LC7); after a drain nothing does.
    pub(crate) const fn may_reopen(&self, config: &Config<D>) -> bool {
        config.reopen_after != 0 && !self.is_final()
    }

    /// The round-trip estimate.
    pub const fn rtt(&self) -> Rtt {
        self.rtt
    }

    /// The epoch of this connection: part of the id of every ping.
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// What the detector has learnt.
    pub const fn detector_state(&self) -> &D::State {
        &self.detector
    }

    #[inline]
    pub(crate) const fn set_liveness(&mut self, liveness: Liveness) {
        self.word.set(PHASE, liveness.index());
    }

    /// Whether for something else than nothing or a pong.
    #[inline]
    const fn waits_oddly(&self) -> bool {
        self.word.0 & ODD_WAIT != 0
    }

    #[inline]
    pub(crate) const fn waiting(&self) -> Waiting {
        // The two common ones apart: a steady state tells them by one bit.
        if !self.waits_oddly() {
            let pong = self.word.get(WAITING) == Waiting::Pong as u64;
            return if pong { Waiting::Pong } else { Waiting::Nothing };
        }
        match self.word.get(WAITING) {
            2 => Waiting::Caller,
            3 => Waiting::Window,
            _ => Waiting::Resume,
        }
    }

    #[inline]
    pub(crate) const fn wait(&mut self, waiting: Waiting, since: u64) {
        self.word.set(WAITING, waiting as u64);
        self.waiting_since = since;
    }

    /// What was waited for has come. (The stamp stays: no rule looks at it any more.)
    #[inline]
    pub(crate) const fn wait_no_more(&mut self) {
        self.word.set(WAITING, Waiting::Nothing as u64);
    }

    #[inline]
    pub(crate) const fn reprobe(&self) -> Reprobe {
        match self.word.get(REPROBE) {
            0 => Reprobe::None,
            1 => Reprobe::Wanted,
            2 => Reprobe::Running,
            _ => Reprobe::Spent,
        }
    }

    #[inline]
    pub(crate) const fn set_reprobe(&mut self, grant: Reprobe) {
        self.word.set(REPROBE, grant as u64);
    }

    /// How many of the last `n` judged pings were lost.
    #[inline]
    pub(crate) const fn losses(&self, n: u8) -> u32 {
        (self.word.get(LOSSES) & ((1 << n) - 1)).count_ones()
    }

    #[inline]
    pub(crate) const fn push_outcome(&mut self, lost: bool) {
        self.word.set(LOSSES, (self.word.get(LOSSES) << 1) | lost as u64);
    }

    /// Forgets all but the last `n` judged pings.
    pub(crate) const fn keep_outcomes(&mut self, n: u8) {
        self.word.set(LOSSES, self.word.get(LOSSES) & ((1 << n) - 1));
    }

    /// The gap the peer asked for, rounded up; 0: none.
    #[inline]
    pub(crate) const fn peer_gap(&self) -> u64 {
        let packed = self.word.get(PEER_GAP);
        ((packed >> 5) << (packed & 31)).saturating_mul(1_000_000)
    }

    /// Kept as seven bits of milliseconds and five of exponent: at most 1.6 % more.
    pub(crate) const fn set_peer_gap(&mut self, nanos: u64) {
        let millis = nanos.div_ceil(1_000_000);
        let mut exponent = 0;
        while exponent < 31 && millis.div_ceil(1 << exponent) > 0x7f {
            exponent += 1;
        }
        let mantissa = millis.div_ceil(1 << exponent);
        let mantissa = if mantissa > 0x7f { 0x7f } else { mantissa };
        self.word.set(PEER_GAP, (mantissa << 5) | exponent);
    }

    /// Whether any peer has changed the effective interval: `calm` and `peer_gap` in one look.
    #[inline]
    pub(crate) const fn is_slowed(&self) -> bool {
        self.word.0 & (CALM.mask() | PEER_GAP.mask()) != 0
    }

    /// Alive and nothing special: no miss, none among the last pings either, no re-probe, nothing
    /// unwritten or wanted of the caller, not draining, not suspended, not slowed. One look at the word answers it.
    #[inline]
    pub(crate) const fn is_steady(&self) -> bool {
        self.word.0 & SPECIAL == STEADY
    }

    /// Steady; the newest ping is the only one that is out, it is judged, and its round trip counts.
    #[inline(always)]
    pub(crate) const fn awaits_newest_only(&self) -> bool {
        const ASKED: u64 = SPECIAL | WAITING.mask() | AMBIGUITY.mask() | UNANSWERED.mask();
        const WANTED: u64 =
            STEADY | (Waiting::Pong as u64) << WAITING.shift | 1 << UNANSWERED.shift;
        self.word.0 & ASKED == WANTED && self.judges_newest()
    }

    /// Steady, and nothing is waited for.
    #[inline]
    pub(crate) const fn is_quiet(&self) -> bool {
        self.word.0 & (SPECIAL | WAITING.mask()) == STEADY
    }

    /// Steady; nothing is out, and the last evidence excuses no slot.
    #[inline(always)]
    pub(crate) const fn awaits_nothing(&self) -> bool {
        const ASKED: u64 =
            SPECIAL | WAITING.mask() | AMBIGUITY.mask() | UNANSWERED.mask() | HEARD_TRAFFIC.mask();
        self.word.0 & ASKED == STEADY
    }

    /// A ping left at `now`, in the state of [`awaits_nothing`](Self::awaits_nothing).
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "part of every ping")]
    pub(crate) const fn newest_pinged(&mut self, now: u64, unwritten: bool) {
        // What is known of the word is said again, so that the compiler knows it too.
        self.word.0 = (self.word.0 & !(SPECIAL | WAITING.mask() | UNANSWERED.mask()))
            & !(WRITTEN_LATE.mask() | CALM_OBEYED.mask())
            | STEADY
            | (Waiting::Pong as u64) << WAITING.shift
            | 1 << UNANSWERED.shift
            | (unwritten as u64) << PING_UNWRITTEN.shift;
        self.waiting_since = now;
    }

    /// The answer to the ping of [`awaits_newest_only`](Self::awaits_newest_only) came.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "part of every pong")]
    pub(crate) const fn newest_answered(&mut self) {
        self.word.0 = (self.word.0 & !(SPECIAL | WAITING.mask() | UNANSWERED.mask()))
            & !(IN_A_ROW.mask() | HEARD_TRAFFIC.mask())
            | STEADY;
    }

    /// Time stood still for `by` nanoseconds. What lay ahead when that began (`began`) keeps its
    /// distance; what lay behind moves on, not into the future.
    pub(crate) fn shift(&mut self, by: u64, began: u64, now: u64) {
        self.plan = self.plan.saturating_add(by).min(now.saturating_add(MAX_SPAN_NANOS));
        let (ev, ahead) = (self.ev, self.ev > began);
        self.shift_past(by, now);
        if ahead {
            self.ev = ev.saturating_add(by).min(now.saturating_add(MAX_SPAN_NANOS));
        }
    }

    /// Time that no clock has counted: what lay behind moves on, not into the future.
    pub(crate) fn shift_past(&mut self, by: u64, now: u64) {
        self.ev = shifted(self.ev, by, now);
        self.last_ping = shifted(self.last_ping, by, now);
        self.waiting_since = shifted(self.waiting_since, by, now);
        self.ledger.shift(by, now);
        self.forgive_writer(by, now);
    }

    /// Nobody wrote while nobody ran: moves the stall clock, if it runs. (The keepalive owed is not
    /// put off: the peer's clock did not stand still.)
    pub(crate) fn forgive_writer(&mut self, by: u64, now: u64) {
        if self.ping_unwritten() || self.tx_owing() {
            self.tx_at = shifted(self.tx_at, by, now);
        }
    }

    /// Whether the judged ping is the newest one. (The identity of a ping is when it left: two are
    /// at least the gap apart.)
    #[inline]
    pub(crate) const fn judges_newest(&self) -> bool {
        self.waiting_since == self.last_ping
    }
}

/// Small counters (they saturate) and flags, all in one word.
macro_rules! counters {
    ($($(#[$doc:meta])+ $get:ident, $set:ident, $field:ident;)+) => {
        impl<D: Detector, L: Ledger> PeerState<D, L> {
            $(
                $(#[$doc])+
                #[inline]
                pub(crate) const fn $get(&self) -> u8 {
                    self.word.get($field) as u8
                }

                #[inline]
                pub(crate) const fn $set(&mut self, value: u8) {
                    let most = $field.mask() >> $field.shift;
                    let value = value as u64;
                    self.word.set($field, if value > most { most } else { value });
                }
            )+
        }
    };
}

macro_rules! flags {
    ($($(#[$doc:meta])+ $get:ident, $set:ident, $field:ident;)+) => {
        impl<D: Detector, L: Ledger> PeerState<D, L> {
            $(
                $(#[$doc])+
                #[inline]
                pub(crate) const fn $get(&self) -> bool {
                    self.word.get($field) != 0
                }

                #[inline]
                pub(crate) const fn $set(&mut self, value: bool) {
                    self.word.set($field, value as u64);
                }
            )+
        }
    };
}

counters! {
    /// Misses since the last life.
    misses, set_misses, MISSES;
    /// Pings emitted since the last one that was answered.
    unanswered, set_unanswered, UNANSWERED;
    /// How often the peer told us to calm down.
    calm, set_calm, CALM;
    /// Bursts of the peer's pings that found the bucket full, since a whole gap of peace.
    strikes, set_strikes, STRIKES;
    /// While Recovering: good replies in a row. (One field with the next; never both at a time.)
    good_in_a_row, set_good_in_a_row, IN_A_ROW;
    /// While Alive or Suspect: ended windows in a row without any pong between; [`TOLD`] once their
    /// limit was told.
    unanswered_in_a_row, set_unanswered_in_a_row, IN_A_ROW;
    /// Pings still to be sent before samples count again: [`AMBIGUOUS`], [`SPOILED`].
    ambiguity, set_ambiguity, AMBIGUITY;
}

flags! {
    /// The newest ping is not written yet (only with write reports).
    ping_unwritten, set_ping_unwritten, PING_UNWRITTEN;
    /// Something else than a ping waits to be written (only with write reports).
    tx_owing, set_tx_owing, TX_OWING;
    /// A `PingDue` came, and its ping has not left yet.
    probe_wanted, set_probe_wanted, PROBE_WANTED;
    /// The last evidence was traffic, not a pong: it excuses the next slot.
    heard_traffic, set_heard_traffic, HEARD_TRAFFIC;
    /// `Drain` was said. (One field with the next: what is drained or final never comes back.)
    draining, set_draining, DRAINING;
    /// Lost for good.
    is_final, set_final, DRAINING;
    /// A calm signal was obeyed since the last ping.
    calm_obeyed, set_calm_obeyed, CALM_OBEYED;
    /// The clock came to its end.
    exhausted, set_exhausted, EXHAUSTED;
    /// A strike was counted since the last admitted ping.
    struck, set_struck, STRUCK;
    /// The newest ping was written later than the slack after its emission.
    written_late, set_written_late, WRITTEN_LATE;
    /// Life was heard after a verdict on this connection.
    mistaken, set_mistaken, MISTAKEN;
}

/// Where a small field lies in the word.
#[derive(Clone, Copy)]
struct Field {
    shift: u32,
    width: u32,
}

impl Field {
    const fn mask(self) -> u64 {
        ((1 << self.width) - 1) << self.shift
    }
}

/// Fields one after the other.
macro_rules! field {
    ($name:ident = $before:ident, $width:literal) => {
        const $name: Field = Field { shift: $before.shift + $before.width, width: $width };
    };
}

const PHASE: Field = Field { shift: 0, width: 3 };
field!(WAITING = PHASE, 3);
const ODD_WAIT: u64 = WAITING.mask() & !((Waiting::Pong as u64) << WAITING.shift);
field!(REPROBE = WAITING, 2);
field!(PING_UNWRITTEN = REPROBE, 1);
field!(TX_OWING = PING_UNWRITTEN, 1);
field!(PROBE_WANTED = TX_OWING, 1);
field!(HEARD_TRAFFIC = PROBE_WANTED, 1);
field!(DRAINING = HEARD_TRAFFIC, 1);
field!(CALM_OBEYED = DRAINING, 1);
field!(EXHAUSTED = CALM_OBEYED, 1);
field!(STRUCK = EXHAUSTED, 1);
field!(WRITTEN_LATE = STRUCK, 1);
field!(MISTAKEN = WRITTEN_LATE, 1);
field!(AMBIGUITY = MISTAKEN, 2);
field!(LOSSES = AMBIGUITY, 12);
field!(PEER_GAP = LOSSES, 12);
field!(MISSES = PEER_GAP, 4);
field!(UNANSWERED = MISSES, 4);
field!(CALM = UNANSWERED, 4);
field!(STRIKES = CALM, 4);
field!(IN_A_ROW = STRIKES, 4);
const _: () = assert!(IN_A_ROW.shift + IN_A_ROW.width == u64::BITS);

/// The fields of which each is zero in a steady state, but for the phase.
const SPECIAL: u64 = PHASE.mask()
    | ODD_WAIT
    | REPROBE.mask()
    | PING_UNWRITTEN.mask()
    | TX_OWING.mask()
    | PROBE_WANTED.mask()
    | DRAINING.mask()
    | EXHAUSTED.mask()
    | LOSSES.mask()
    | PEER_GAP.mask()
    | MISSES.mask()
    | CALM.mask();
const STEADY: u64 = Liveness::Alive.index() << PHASE.shift;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Word(u64);

impl Word {
    #[inline]
    const fn get(self, field: Field) -> u64 {
        (self.0 & field.mask()) >> field.shift
    }

    /// Bits of `value` above the width of the field are dropped.
    #[inline]
    const fn set(&mut self, field: Field, value: u64) {
        self.0 = (self.0 & !field.mask()) | ((value << field.shift) & field.mask());
    }
}

const _: () = assert!(size_of::<PeerState<Deadline, crate::ledger::Echo>>() <= 72); // R3
