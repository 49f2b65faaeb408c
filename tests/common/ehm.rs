//! The equal-hazard margin: an adaptive detector of stamped beats, on the public trait. The trial of
//! the trait's shape.
//!
//! With a budget for the mean detection time, the best deadline in any condition of the link lies
//! where the conditional density of the lateness falls to one common value; for heavy tails that
//! makes the margin grow with the square root of the spread. Level `m` of the relative one-way
//! delay `U`: slow up (mean of 100), fast down (largest of 16); spread `b`: geometric mean of a fast
//! and a slow deviation; deadline = stamp + period + m + max(0, (U - m) / 2) + a * sqrt(period * b).
#![allow(dead_code, reason = "every test program uses another part of this")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "spans of up to days in floats are good to a nanosecond and less"
)]

use heartbeat_proto::{
    Timestamp,
    detector::{Detector, Evidence, Sign, Trust},
};

/// The policy. Its knob is `a`: about 1 to 6, larger is more patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ehm {
    /// `a` in hundredths.
    hundredths: u32,
    /// Whose timing is learnt: beats by the peer's stamp, or pongs by their round trip.
    source: Sign,
}

impl Ehm {
    pub(crate) const fn on_beats(hundredths: u32) -> Self {
        Self { hundredths, source: Sign::Beat }
    }

    pub(crate) const fn on_pongs(hundredths: u32) -> Self {
        Self { hundredths, source: Sign::Pong }
    }
}

/// A non-negative finite float, comparable by its bits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Bits(u64);

impl Bits {
    fn get(self) -> f64 {
        f64::from_bits(self.0)
    }

    /// Moves towards `sample` by the share `1 / n`.
    fn follow(&mut self, sample: f64, n: f64) {
        self.0 = (self.get() + (sample - self.get()) / n).to_bits();
    }
}

impl core::fmt::Debug for Bits {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.get())
    }
}

const LONG: usize = 100;
const SHORT: usize = 16;

/// What is learnt of one peer. All spans are signed nanoseconds relative to the last evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Learnt {
    /// The last delays: local arrival less the peer's stamp, wrapping; their origin is arbitrary.
    delays: [u64; LONG],
    count: u64,
    /// The newest stamp, on the peer's clock.
    newest: u64,
    /// When the next beat is expected.
    base: i64,
    /// When trust ends.
    end: i64,
    /// The squared lateness, followed fast and slowly.
    fast: Bits,
    slow: Bits,
    /// Until then nothing is learnt: a period after a pause.
    hold: u64,
}

impl Default for Learnt {
    fn default() -> Self {
        Self {
            delays: [0; LONG],
            count: 0,
            newest: 0,
            base: 0,
            end: 0,
            fast: Bits::default(),
            slow: Bits::default(),
            hold: 0,
        }
    }
}

impl Learnt {
    /// The last `n` delays, relative to `reference`.
    fn last(&self, n: usize, reference: u64) -> impl Iterator<Item = i64> {
        let n = self.count.min(n as u64);
        (self.count - n..self.count)
            .map(move |i| wrapped(self.delays[(i % LONG as u64) as usize].wrapping_sub(reference)))
    }

    /// Mean of many, largest of few, whichever is lower.
    fn level(&self, reference: u64) -> f64 {
        let many = self.last(LONG, reference);
        let mean = many.map(|delay| delay as f64).sum::<f64>() / self.count.min(LONG as u64) as f64;
        let largest = self.last(SHORT, reference).max().unwrap_or(0);
        mean.min(largest as f64)
    }
}

/// The difference of two wrapping clocks.
const fn wrapped(span: u64) -> i64 {
    i64::from_ne_bytes(span.to_ne_bytes())
}

impl Detector for Ehm {
    type State = Learnt;

    fn learn(&self, state: &mut Learnt, evidence: &Evidence) {
        let silence = evidence.silence_nanos;
        if evidence.sign == Sign::Pause {
            state.hold = silence + evidence.period_nanos;
        }
        if !evidence.sign.renews() {
            return;
        }
        state.base = state.base.saturating_sub_unsigned(silence);
        state.end = state.end.saturating_sub_unsigned(silence);
        state.hold = state.hold.saturating_sub(silence);
        let at = evidence.at.as_nanos();
        let sent = match self.source {
            Sign::Pong => evidence.rtt_nanos.map(|rtt| at.wrapping_sub(rtt)),
            _ => evidence.stamp.map(Timestamp::as_nanos),
        };
        match sent {
            Some(sent) if evidence.sign == self.source => self.beat(state, evidence, sent),
            // Life without a time of sending: at least one period and the margin from now.
            _ if state.count > 0 => {
                let margin = state.end.saturating_sub(state.base);
                let patience = margin.saturating_add_unsigned(evidence.period_nanos);
                state.end = state.end.max(patience);
            }
            _ => {}
        }
    }

    fn deadline(&self, state: &Learnt, trust: &Trust) -> Timestamp {
        let since = trust.since().as_nanos();
        Timestamp::from_nanos(match state.count {
            0 => since + trust.period_nanos() + trust.window_nanos() * u64::from(trust.attempts()),
            _ => since.saturating_add_signed(state.end),
        })
    }

    fn beat_deadline(&self, state: &Learnt, trust: &Trust) -> Option<Timestamp> {
        Some(self.deadline(state, trust))
    }

    fn normalized(&self, state: &Learnt, by: u64) -> Learnt {
        Learnt { newest: state.newest.wrapping_sub(by), ..*state }
    }
}

impl Ehm {
    /// A beat that was sent at `sent`, on the sender's clock.
    fn beat(self, state: &mut Learnt, evidence: &Evidence, sent: u64) {
        if state.count > 0 && wrapped(sent.wrapping_sub(state.newest)) <= 0 {
            return; // Overtaken: it restores no trust.
        }
        let period = evidence.period_nanos as f64;
        let delay = evidence.at.as_nanos().wrapping_sub(sent);
        state.newest = sent;
        if state.hold == 0 || state.count == 0 {
            if state.count > 0 {
                // After a lost beat the lateness is about a period.
                let late = (-state.base as f64).min(3.0 * period);
                state.fast.follow(late * late, 32.0);
                state.slow.follow(late * late, 500.0);
            }
            state.delays[(state.count % LONG as u64) as usize] = delay;
            state.count += 1;
        }
        // Relative to this delay: how much longer beats take of late.
        let level = state.level(delay);
        let base = period + level + (-level / 2.0).max(0.0);
        let calm = period / 1000.0;
        let spread = (state.fast.get().sqrt() * state.slow.get().sqrt() + calm * calm).sqrt();
        let margin = f64::from(self.hundredths) / 100.0 * (period * spread).sqrt();
        state.base = base as i64;
        state.end = (base + margin) as i64;
    }
}
