//! [`Compact`]: the equal-hazard margin in 24 bytes a peer.

use super::bits::ParameterError;
use super::lateness::{Arrival, ENDLESS, Lateness, Patience, nanos, period, signed};
use super::{Detector, Evidence, Sign, Source, Trust};
use crate::time::Timestamp;

/// [`Hazard`](super::Hazard) for fleets: the same rules in 24 bytes a peer.
///
/// What it saves, and at what cost:
///
/// * It needs to know when a beat was sent: by its stamp, or of a pong by the round trip. Beats
///   without a stamp renew trust and teach nothing.
/// * The mean square of the lateness is kept in 16 bits, to 2^-12 of itself; the deadline to 2^-26
///   of its span.
/// * After a pause of our own the first evidence teaches nothing, nor do beats that come in a burst
///   after it, more than half a period late; not for one period. Nor do these take back the trust
///   that there was, or that the pause gave.
///
/// ```
/// use heartbeat_proto::Config;
/// use heartbeat_proto::detector::{Compact, Detector};
///
/// let config = Config::builder().detector(Compact::default()).build()?;
/// assert_eq!(size_of::<<Compact as Detector>::State>(), 24);
/// # Ok::<(), heartbeat_proto::ConfigError>(())
/// ```
///
/// The default: the knob is 4, the source are beats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Compact {
    source: Source,
    patience: Patience,
}

impl Compact {
    /// With this knob: 0.01 to 1000, kept in hundredths. It means what it means for
    /// [`Hazard`](super::Hazard).
    ///
    /// # Errors
    ///
    /// It is out of its range.
    pub const fn new(patience: f64) -> Result<Self, ParameterError> {
        match Patience::new(patience) {
            Ok(patience) => Ok(Self { source: Source::Beats, patience }),
            Err(error) => Err(error),
        }
    }

    /// Learns from this source. Default: beats.
    #[must_use]
    pub const fn on(self, source: Source) -> Self {
        Self { source, ..self }
    }

    /// When the beat was sent, if it is one of the source that says so.
    fn sent(self, evidence: &Evidence) -> Option<u64> {
        let at = evidence.at.as_nanos();
        match (self.source, evidence.sign) {
            (Source::Beats, Sign::Beat) => evidence.stamp.map(Timestamp::as_nanos),
            (Source::Pongs, Sign::Pong) => evidence.rtt_nanos.map(|rtt| at.wrapping_sub(rtt)),
            _ => None,
        }
    }

    /// What is not as most beats are: rules DT2, DT3, DT24.
    #[inline(never)]
    fn unusual(self, state: &mut Gist, evidence: &Evidence, sent: Option<u64>) {
        let (at, period) = (evidence.at.as_nanos(), period(evidence.period_nanos));
        if evidence.in_pause || evidence.sign == Sign::Pause {
            state.run.pause();
            self.renew(state, at, period); // DT4
        }
        match sent {
            None if evidence.sign.renews() => {
                state.run.hear();
                self.renew(state, at, period); // DT2
            }
            None => (),
            Some(sent) => {
                if state.knows() && !state.is_before(sent) {
                    if signed(at.wrapping_sub(state.expected())) < period * FORGOTTEN {
                        state.run.hear();
                        return; // DT3
                    }
                    *state = Gist { run: state.run, ..Gist::default() };
                }
                if !state.knows() {
                    // As if one had come a period before.
                    state.newest = sent.wrapping_sub(period as u64);
                    state.level = at.wrapping_sub(sent);
                }
                let trusted = state.expected().wrapping_add(state.patience.nanos());
                let knew = state.knows();
                self.beat(state, evidence, sent, period);
                if knew && state.run.is_held() {
                    state.trust_until(trusted); // DT4: what waited for us takes nothing back.
                }
            }
        }
    }

    /// Rules DT21 to DT24, for one that is newer than the newest.
    #[inline]
    fn beat(self, state: &mut Gist, evidence: &Evidence, sent: u64, period: i64) {
        let at = evidence.at.as_nanos();
        let delay = at.wrapping_sub(sent);
        let late = signed(at.wrapping_sub(state.expected()).wrapping_sub(period as u64));
        let ahead = signed(state.level.wrapping_sub(delay));
        let in_burst = nanos(evidence.silence_nanos) < period / 2;
        let teaches = state.run.teaches(in_burst && ahead < -period / 2);
        let mut lateness = state.lateness();
        lateness.hear(&Arrival { period, late, ahead, in_burst, teaches });
        let margin = lateness.margin(period, self.patience);
        state.newest = sent;
        state.level = delay.wrapping_add_signed(lateness.ahead);
        state.patience = Span::new(lateness.patience(period, margin));
        state.square = Square::new(f64::from_bits(lateness.square));
        state.lessons = lateness.lessons;
        state.run = Run::new(lateness.stale, !teaches);
    }

    /// Trust for a usual term from `at` on, if anything is known.
    fn renew(self, state: &mut Gist, at: u64, period: i64) {
        let term = period + state.lateness().margin(period, self.patience);
        state.trust_until(at.wrapping_add(term as u64));
    }
}

/// A beat that seems older than the newest, so many periods after that: the peer's clock was set.
const FORGOTTEN: i64 = 10;

/// What is learnt of one peer, in 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Gist {
    /// When the newest beat was sent, on the peer's clock.
    newest: u64,
    /// The level of the delay, between both clocks.
    level: u64,
    /// From the newest beat's expected arrival to the end of trust; 0: nothing is known.
    patience: Span,
    /// The mean square of the lateness, in squared periods.
    square: Square,
    lessons: u8,
    run: Run,
}

impl Gist {
    const fn knows(&self) -> bool {
        self.patience.0 != 0
    }

    /// Whether that is a beat as most are: the next one, after many.
    #[inline]
    fn awaits(&self, evidence: &Evidence, sent: u64) -> bool {
        let is_steady = u16::from_le_bytes([self.lessons, self.run.0]) == u8::MAX.into();
        let is_usual = (1..ENDLESS as u64).contains(&evidence.period_nanos);
        is_steady && self.is_before(sent) && is_usual && !evidence.in_pause
    }

    /// Whether it was sent later than the newest.
    const fn is_before(&self, sent: u64) -> bool {
        signed(sent.wrapping_sub(self.newest)) > 0
    }

    /// When the newest beat was expected, on our clock.
    const fn expected(&self) -> u64 {
        self.newest.wrapping_add(self.level)
    }

    /// If it knows anything, it trusts until then at least.
    fn trust_until(&mut self, end: u64) {
        if self.knows() {
            let patience = signed(end.wrapping_sub(self.expected())).clamp(1, Span::MOST);
            self.patience = self.patience.max(Span::new(patience));
        }
    }

    /// But for what only the newest beat knew.
    const fn lateness(&self) -> Lateness {
        let (square, lessons, stale) = (self.square.get(), self.lessons, self.run.stale());
        Lateness { ahead: 0, square: square.to_bits(), lessons, stale }
    }
}

/// How many beats in a row were stale, below 16, and whether the timing of beats is to be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Run(u8);

impl Run {
    /// Nothing was heard since a pause of ours.
    const PAUSED: u8 = 0x20;
    /// What was heard since the pause may have waited for us.
    const HELD: u8 = 0x10;
    const STALE: u8 = 0x0f;

    const fn stale(self) -> u8 {
        self.0 & Self::STALE
    }

    const fn pause(&mut self) {
        self.0 |= Self::PAUSED | Self::HELD;
    }

    /// DT24.
    const fn teaches(self, waited: bool) -> bool {
        self.0 & Self::PAUSED == 0 && (self.0 & Self::HELD == 0 || !waited)
    }

    const fn is_held(self) -> bool {
        self.0 & Self::HELD != 0
    }

    const fn new(stale: u8, held: bool) -> Self {
        Self(stale | if held { Self::HELD } else { 0 })
    }

    /// Something was heard that tells nothing of timing.
    const fn hear(&mut self) {
        self.0 &= !Self::PAUSED;
    }
}

/// A square in 16 bits: a float of 5 bits of exponent and 11 of mantissa, rounded to the nearest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Square(u16);

impl Square {
    /// What an `f64` has more of mantissa.
    const SHIFT: u32 = f64::MANTISSA_DIGITS - 1 - 11;
    /// 2^-28 stands for none: no spread counts that is below 2^-8.
    const NONE: f64 = f64::from_bits((1023 - 28) << 52);

    /// Of a float below 15.
    #[inline]
    const fn new(square: f64) -> Self {
        let square = if square > Self::NONE { square } else { Self::NONE };
        let rounded = square.to_bits() + (1 << Self::SHIFT) / 2;
        Self(((rounded - Self::NONE.to_bits()) >> Self::SHIFT) as u16)
    }

    #[inline]
    const fn get(self) -> f64 {
        f64::from_bits(((self.0 as u64) << Self::SHIFT) + Self::NONE.to_bits())
    }
}

/// A span in 32 bits: 27 bits, shifted by 5. Rounded down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Span(u32);

const MANTISSA: u32 = 27;
const ALL: u64 = (1 << MANTISSA) - 1;

impl Span {
    const MOST: i64 = (1 << 58) - 1;

    /// Of a span up to [`MOST`](Self::MOST). 0 stands for none.
    #[inline]
    const fn new(nanos: i64) -> Self {
        let nanos = nanos as u64;
        let shift = (u64::BITS - MANTISSA) - (nanos | ALL).leading_zeros();
        Self(shift << MANTISSA | (nanos >> shift) as u32)
    }

    #[inline]
    const fn nanos(self) -> u64 {
        (self.0 as u64 & ALL) << (self.0 >> MANTISSA)
    }
}

impl Detector for Compact {
    type State = Gist;

    #[inline]
    fn learn(&self, state: &mut Gist, evidence: &Evidence) {
        let sent = self.sent(evidence);
        match sent {
            // Compiled by itself, with most answers known beforehand: half the instructions.
            Some(sent) if state.awaits(evidence, sent) => {
                self.beat(state, evidence, sent, signed(evidence.period_nanos));
            }
            _ => self.unusual(state, evidence, sent),
        }
    }

    #[inline]
    fn deadline(&self, state: &Gist, trust: &Trust) -> Timestamp {
        if state.knows() {
            let end = state.expected().wrapping_add(state.patience.nanos());
            let after = signed(end.wrapping_sub(trust.since));
            Timestamp::from_nanos(trust.since.saturating_add_signed(after))
        } else {
            Timestamp::from_nanos(trust.since.saturating_add(trust.timeout))
        }
    }

    fn beat_deadline(&self, state: &Gist, trust: &Trust) -> Option<Timestamp> {
        Some(self.deadline(state, trust))
    }

    #[cfg(feature = "snapshot")]
    const LASTING: u32 = 1;

    /// The spread of the lateness, and of how many lessons.
    #[cfg(feature = "snapshot")]
    fn lasting(&self, state: &Gist) -> u64 {
        u64::from(state.square.0) | u64::from(state.lessons) << 16
    }

    /// Its level begins with the first beat, which teaches nothing: it may have waited for us.
    #[cfg(feature = "snapshot")]
    fn lasted(&self, lasting: u64) -> Gist {
        let (square, lessons) = (Square(lasting as u16), (lasting >> 16) as u8);
        if lessons == 0 {
            return Gist::default();
        }
        Gist { square, lessons, run: Run(Run::PAUSED | Run::HELD), ..Gist::default() }
    }

    fn normalized(&self, state: &Gist, by: u64) -> Gist {
        if state.knows() {
            Gist { newest: state.newest.wrapping_sub(by), ..*state }
        } else {
            *state
        }
    }
}
