//! [`Formula`]: what tells one learning detector from the other. All they have in common is here:
//! order, pauses, cold start, and what other traffic is worth.

use core::fmt::Debug;
use core::hash::Hash;

use super::{Detector, Evidence, Sign, Source, Trust, linear_suspicion, on_its_side};
use crate::time::Timestamp;

/// A detector that learns from beats is a formula: it turns each beat into a term of trust. The
/// rest is the same for all of them, and every formula is a [`Detector`] by it:
///
/// * **Order.** A beat that is not newer than the newest one was overtaken: it teaches nothing and
///   renews no trust. If only such beats came for ten periods, the peer counts anew, and all is
///   forgotten (rule DT3).
/// * **Pauses.** Nothing is learnt from the timing of beats until one period after a pause of our
///   own, nor from the beat whose gap held the pause; and trust lasts from the pause on as after
///   other traffic, whatever the beats that waited say (rule DT4). A silence of more than twice the
///   ceiling counts as that much, so a longer pause gives less.
/// * **Cold start.** Until the formula gives a term, trust ends when the fixed verdict of the
///   configuration falls, later by as much as the peer's period is longer than ours (rule DT5).
/// * **Other traffic** renews trust for [`Term::traffic`] and teaches nothing (rule DT2).
/// * **Path change.** A new connection starts with an empty memory
///   ([`HeartbeatMachine::reconnected`](crate::HeartbeatMachine::reconnected)): whoever moves to
///   another path and keeps the connection must reconnect the machine. Within a connection each
///   formula forgets in its own way, and says how.
///
/// ```
/// use heartbeat_proto::Config;
/// use heartbeat_proto::detector::{Beat, Formula, Source, Term};
///
/// /// Three promised periods, whatever was measured.
/// #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
/// struct Three;
///
/// impl Formula for Three {
///     type Memory = ();
///
///     fn source(&self) -> Source {
///         Source::Beats
///     }
///
///     fn term(&self, (): &mut (), beat: &Beat) -> Option<Term> {
///         Some(Term::lasting(3.0 * beat.period_nanos as f64))
///     }
/// }
///
/// let config = Config::builder().detector(Three).build()?;
/// # Ok::<(), heartbeat_proto::ConfigError>(())
/// ```
pub trait Formula: Copy + Debug + Eq + Hash {
    /// What it keeps of the beats of one peer. No stamps of the local clock; floats by their bits.
    type Memory: Copy + Debug + Eq + Hash + Default;

    /// Whose timing it learns.
    fn source(&self) -> Source;

    /// Until when this beat, which is newer than all before, is worth trust. `None`: not enough is
    /// known. If the beat does not [teach](Beat::teaches), the memory must take no sample of it.
    fn term(&self, memory: &mut Self::Memory, beat: &Beat) -> Option<Term>;

    /// How suspicious it is that nothing came for `silence_nanos` since trust was last renewed; 1
    /// at the end of the term, and never less for a longer silence. `None`, the default: growing
    /// linearly.
    fn level(&self, memory: &Self::Memory, silence_nanos: u64) -> Option<f64> {
        let _ = (memory, silence_nanos);
        None
    }
}

/// A beat of the [`Source`], newer than all before it, as a [`Formula`] sees it. Spans are in
/// nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Beat {
    /// The period of the beats, at least 1 ns: what the peer promised, or our own interval.
    pub period_nanos: u64,
    /// There was none before it.
    pub first: bool,
    /// Since the beat before it arrived; one period for the first one. A silence of more than twice
    /// the ceiling may count as that much.
    pub gap_nanos: u64,
    /// How many beats after the one before it: by their numbers; if either has none, by the stamps,
    /// or else by the gap, to the nearest whole period. At least 1; 1 for the first one.
    pub steps: u32,
    /// How much longer it was under way than the last one of known delay: 0 for the first; `None`
    /// without a stamp or a round trip.
    pub slower_nanos: Option<i64>,
    /// The round trip, of a pong.
    pub rtt_nanos: Option<u64>,
    /// Whether its timing says something of the peer: no pause of our own was near.
    pub teaches: bool,
    /// How many beats have taught so far, this one included; it stops at 2^32 - 1.
    pub lessons: u32,
}

/// How long a [`Formula`] trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Term {
    /// After the beat, in nanoseconds. Negative: it came too late to be trusted at all.
    pub beat: i64,
    /// After traffic that is no beat of the source, in nanoseconds: the usual delay cannot be told
    /// from it. It never ends trust sooner than the beat would have.
    pub traffic: u64,
}

impl Term {
    /// Terms in nanoseconds: not finite, or beyond 64 bits, is the nearest that can be.
    pub const fn new(beat: f64, traffic: f64) -> Self {
        // `as` saturates, and makes 0 of what is not a number.
        Self { beat: beat as i64, traffic: traffic as u64 }
    }

    /// As long after a beat as after other traffic.
    pub const fn lasting(nanos: f64) -> Self {
        Self::new(nanos, nanos)
    }
}

/// Before so many lessons windows and averages say too little (rule DT5).
pub(crate) const WARM_UP: usize = 10;

/// For so many periods nothing but beats that were overtaken: no path holds any back for so long,
/// the peer's clock or its numbers started anew (rule DT3).
const NEW_ORDER: u64 = 10;

/// What is learnt of one peer: the memory of a [`Formula`], and what all of them keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Learnt<M> {
    newest: Option<Sending>,
    /// From the newest beat to the last evidence.
    age: u64,
    /// From the last renewal of trust to the last evidence: more than 0 if only beats that were
    /// overtaken came since.
    stale: u64,
    /// For so long after the last evidence nothing is learnt, and trust does not end before.
    hold: u64,
    /// There was a pause since the newest beat.
    paused: bool,
    lessons: u32,
    /// Between beats, as last promised.
    period: u64,
    term: Option<Term>,
    memory: M,
}

/// What a beat says of its sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Sending {
    number: Option<u32>,
    /// On the peer's clock.
    stamp: Option<u64>,
    /// How long it was under way: between two clocks, wrapping, or there and back. If it does not
    /// say, that of the last one that did.
    delay: Option<u64>,
}

impl Sending {
    /// What the evidence says, if it is of this source.
    #[inline]
    fn of(source: Source, evidence: &Evidence) -> Option<Self> {
        match (source, evidence.sign, evidence.rtt_nanos) {
            (Source::Beats, Sign::Beat, _) => {
                let stamp = evidence.stamp.map(Timestamp::as_nanos);
                let delay = stamp.map(|sent| evidence.at.as_nanos().wrapping_sub(sent));
                Some(Self { number: evidence.seq, stamp, delay })
            }
            (Source::Pongs, Sign::Pong, Some(rtt)) => {
                Some(Self { number: evidence.seq, stamp: None, delay: Some(rtt) })
            }
            _ => None,
        }
    }

    /// How long after `before` it was sent, as the stamps say.
    #[inline]
    fn after(&self, before: &Self) -> Option<i64> {
        Some(signed(self.stamp?.wrapping_sub(before.stamp?)))
    }

    /// Where it stands in the order of sending, seen from `before`.
    #[inline]
    fn numbers_after(&self, before: &Self) -> Option<i32> {
        Some(i32::from_ne_bytes(self.number?.wrapping_sub(before.number?).to_ne_bytes()))
    }

    /// DT3. Two that cannot be compared are in order.
    #[inline]
    fn is_newer(&self, before: &Self) -> bool {
        match (self.after(before), self.numbers_after(before)) {
            (Some(0) | None, Some(steps)) => steps > 0,
            (Some(span), _) => span > 0,
            (None, None) => true,
        }
    }
}

/// The difference of two wrapping clocks.
const fn signed(span: u64) -> i64 {
    i64::from_ne_bytes(span.to_ne_bytes())
}

impl<M> Learnt<M> {
    /// What the formula remembers.
    pub const fn memory(&self) -> &M {
        &self.memory
    }

    /// The silence at `now` since trust was renewed, in nanoseconds.
    fn silence(&self, trust: &Trust, now: Timestamp) -> u64 {
        now.as_nanos().saturating_add(self.stale).saturating_sub(trust.since)
    }

    fn deadline(&self, trust: &Trust) -> Timestamp {
        let renewed = trust.since.saturating_sub(self.stale);
        let slower = self.period.saturating_sub(trust.period);
        let cold = trust.timeout.saturating_add(slower); // DT5
        let ends = match self.term {
            Some(term) => renewed.saturating_add_signed(term.beat),
            None => renewed.saturating_add(cold),
        };
        Timestamp::from_nanos(ends.max(self.held(trust.since)))
    }

    /// DT4: the end of trust that a pause of ours gives, if one was a moment ago.
    fn held(&self, since: u64) -> u64 {
        let more = self.term.map_or(0, |term| term.traffic.saturating_sub(self.period));
        if self.hold == 0 { 0 } else { since.saturating_add(self.hold).saturating_add(more) }
    }

    /// DT4: there was a pause until `after` the last evidence. A pause knows our period alone.
    fn pause(&mut self, after: u64, period: u64) {
        self.hold = self.hold.max(after.saturating_add(period.max(self.period)));
        self.paused = true;
    }

    /// The last evidence is `silence` later now (rule DT6).
    fn pass(&mut self, silence: u64) {
        self.age = self.age.saturating_add(silence);
        self.stale = self.stale.saturating_add(silence);
        self.hold = self.hold.saturating_sub(silence);
    }

    /// DT2: life that is no beat of the source.
    fn hear_traffic(&mut self) {
        if let Some(term) = &mut self.term {
            let left = term.beat.saturating_sub_unsigned(self.stale);
            term.beat = left.max(i64::try_from(term.traffic).unwrap_or(i64::MAX));
        }
        self.stale = 0;
    }

    /// Takes up a beat, unless it was overtaken.
    fn take(&mut self, sending: Sending, evidence: &Evidence) -> Option<Beat>
    where
        M: Default,
    {
        let period = evidence.period_nanos.max(1);
        if self.newest.is_some_and(|newest| !sending.is_newer(&newest)) {
            if self.age < period.saturating_mul(NEW_ORDER) {
                return None;
            }
            *self = Self { hold: self.hold, paused: self.paused, ..Self::default() };
        }
        let before = self.newest;
        let teaches = self.hold == 0 && !self.paused;
        self.lessons = self.lessons.saturating_add(u32::from(teaches));
        let known = before.and_then(|before| before.delay);
        let beat = Beat {
            period_nanos: period,
            first: before.is_none(),
            gap_nanos: before.map_or(period, |_| self.age),
            steps: before.map_or(1, |before| steps(&sending, &before, self.age, period)),
            slower_nanos: sending
                .delay
                .map(|delay| signed(delay.wrapping_sub(known.unwrap_or(delay)))),
            rtt_nanos: evidence.rtt_nanos,
            teaches,
            lessons: self.lessons,
        };
        self.newest = Some(Sending { delay: sending.delay.or(known), ..sending });
        self.paused = false;
        self.period = period;
        (self.age, self.stale) = (0, 0);
        Some(beat)
    }
}

/// How many beats lie between two: see [`Beat::steps`].
#[inline]
fn steps(sending: &Sending, before: &Sending, gap: u64, period: u64) -> u32 {
    let steps = match (sending.numbers_after(before), sending.after(before)) {
        (Some(steps), _) => i64::from(steps),
        (None, Some(span)) => nearest(span.unsigned_abs(), period),
        (None, None) => nearest(gap, period),
    };
    u32::try_from(steps.max(1)).unwrap_or(u32::MAX)
}

/// How many whole periods a span is.
fn nearest(span: u64, period: u64) -> i64 {
    i64::try_from(span.saturating_add(period / 2) / period).unwrap_or(i64::MAX)
}

impl<F: Formula> Detector for F {
    type State = Learnt<F::Memory>;

    fn learn(&self, state: &mut Self::State, evidence: &Evidence) {
        let silence = evidence.silence_nanos;
        if evidence.sign == Sign::Pause {
            state.pause(silence, evidence.period_nanos); // It renews nothing.
        }
        if !evidence.sign.renews() {
            return;
        }
        state.pass(silence);
        if evidence.in_pause {
            state.pause(0, evidence.period_nanos);
        }
        match Sending::of(self.source(), evidence) {
            None => state.hear_traffic(),
            Some(sending) => {
                if let Some(beat) = state.take(sending, evidence) {
                    state.term = self.term(&mut state.memory, &beat);
                }
            }
        }
    }

    fn deadline(&self, state: &Self::State, trust: &Trust) -> Timestamp {
        state.deadline(trust)
    }

    /// The deadline: it rests on the period that the peer promised.
    fn beat_deadline(&self, state: &Self::State, trust: &Trust) -> Option<Timestamp> {
        Some(state.deadline(trust))
    }

    fn suspicion(&self, state: &Self::State, trust: &Trust, now: Timestamp) -> f64 {
        let deadline = state.deadline(trust);
        let level = state.term.and_then(|_| self.level(&state.memory, state.silence(trust, now)));
        match level {
            Some(level) => on_its_side(level, now.as_nanos(), deadline.as_nanos()), // DT1
            None => linear_suspicion(trust, deadline, now),
        }
    }

    fn normalized(&self, state: &Self::State, by: u64) -> Self::State {
        let back = |stamp: u64| stamp.wrapping_sub(by);
        let newest = state.newest.map(|newest| Sending { stamp: newest.stamp.map(back), ..newest });
        Learnt { newest, ..*state }
    }
}
