//! [`Near`] and [`Far`]: a state in two pieces, for those who keep millions of them.
//!
//! All that the steady calls ask for is in the near piece, which is a cache line (with the detector
//! [`Deadline`](crate::detector::Deadline)): a pong, or a ping, touches no other. Without padding, so
//! that both are as small as the state.

use super::{ODD_WAIT, PeerState, WAITING, Waiting, Word};
use crate::detector::Detector;
use crate::ledger::Echo;
use crate::rtt::Rtt;

/// What the steady calls ask for; and a mark of four bytes, which fills the line.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Near<D: Detector, M> {
    ev: u64,
    plan: u64,
    last_ping: u64,
    tx_at: u64,
    /// With other values of `WAITING`: see [`Word::folded`].
    word: Word,
    rtt: Rtt,
    pub(crate) detector: D::State,
    pub(crate) seq: u32,
    pub(crate) epoch: u32,
    /// The lower half.
    tat: u32,
    pub(crate) mark: M,
}

/// The other piece.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
pub(crate) struct Far {
    waiting_since: u64,
    /// The upper half.
    tat: u32,
}

impl<D: Detector, M> Near<D, M> {
    pub(crate) fn split(state: &PeerState<D, Echo>, mark: M) -> (Self, Far) {
        let mut near = Self {
            ev: 0,
            plan: 0,
            last_ping: 0,
            tx_at: 0,
            word: Word::default(),
            rtt: Rtt::default(),
            detector: D::State::default(),
            seq: 0,
            epoch: 0,
            tat: 0,
            mark,
        };
        let mut far = Far { waiting_since: 0, tat: 0 };
        near.set(&mut far, state);
        (near, far)
    }

    /// The state.
    pub(crate) fn whole(&self, far: &Far) -> PeerState<D, Echo> {
        let mut state = self.bare();
        if !state.judges_newest() {
            state.waiting_since = far.waiting_since;
        }
        state.tat = u64::from(far.tat) << 32 | u64::from(self.tat);
        state
    }

    pub(crate) fn set(&mut self, far: &mut Far, state: &PeerState<D, Echo>) {
        self.keep(state);
        self.tat = state.tat as u32;
        *far = Far { waiting_since: state.waiting_since, tat: (state.tat >> 32) as u32 };
    }

    /// The state but for what no steady call asks for: `tat`, and `waiting_since` unless it is the
    /// newest ping's (it is never equal to that by chance, and no sum with it overflows).
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that it is never built")]
    pub(crate) fn bare(&self) -> PeerState<D, Echo> {
        let (word, is_newest) = self.word.unfolded();
        let waiting_since = if is_newest { self.last_ping } else { self.last_ping ^ 1 };
        PeerState { waiting_since, word, ..self.newest() }
    }

    /// The same without unfolding the word: right if the wait is, or last was, for the newest ping.
    /// Else the wait looks odd, so that no steady call takes it.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that it is never built")]
    pub(crate) fn newest(&self) -> PeerState<D, Echo> {
        PeerState {
            ev: self.ev,
            plan: self.plan,
            last_ping: self.last_ping,
            waiting_since: self.last_ping,
            tx_at: self.tx_at,
            tat: 0,
            rtt: self.rtt,
            seq: self.seq,
            epoch: self.epoch,
            word: self.word,
            detector: self.detector,
            ledger: Echo,
        }
    }

    /// What a steady call has made of [`bare`](Self::bare) or [`newest`](Self::newest).
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that only what has changed is written")]
    pub(crate) fn keep(&mut self, state: &PeerState<D, Echo>) {
        self.ev = state.ev;
        self.plan = state.plan;
        self.last_ping = state.last_ping;
        self.tx_at = state.tx_at;
        self.word = state.word.folded(state.judges_newest());
        self.rtt = state.rtt;
        self.seq = state.seq;
        self.epoch = state.epoch;
        self.detector = state.detector;
    }
}

/// What is added to [`WAITING`] where the wait is not that for the newest ping.
const ELSE: u64 = Waiting::Resume as u64 + 1;
const _: () = assert!(ELSE + (Waiting::Pong as u64) < 1 << WAITING.width);

impl Word {
    /// With one bit more in it: whether `waiting_since` is when the newest ping left. Who waits for
    /// nothing or a pong has other values where it is not; of other waits it is not asked.
    #[inline]
    const fn folded(self, is_newest: bool) -> Self {
        let odd = self.0 & ODD_WAIT != 0;
        let more = if is_newest | odd { 0 } else { ELSE };
        Self(self.0 + (more << WAITING.shift))
    }

    /// And back; with that bit.
    #[inline]
    const fn unfolded(self) -> (Self, bool) {
        let waiting = self.get(WAITING);
        let less = if waiting >= ELSE { ELSE } else { 0 };
        (Self(self.0 - (less << WAITING.shift)), waiting <= Waiting::Pong as u64)
    }
}
