//! [`Compact`]: the equal-hazard margin in 24 bytes a peer.

use super::bits::ParameterError;
use super::hazard::{USUAL, hundredths};
use super::lateness::{Arrival, Lateness, nanos, root};
use super::{Detector, Evidence, Sign, Source, Trust};
use crate::time::Timestamp;

/// [`Hazard`](super::Hazard) for fleets: the same rules in 24 bytes a peer.
///
/// What it saves, and at what cost:
///
/// * It needs to know when a beat was sent: by its stamp, or of a pong by the round trip. Beats
///   without a stamp renew trust and teach nothing.
/// * The spread is kept as a root in 16 bits, 2^-14 periods; the deadline to 2^-26 of its span.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Compact {
    source: Source,
    hundredths: u32,
}

impl Default for Compact {
    /// The knob is 4, the source are beats.
    fn default() -> Self {
        Self { source: Source::Beats, hundredths: USUAL }
    }
}

impl Compact {
    /// With this knob: 0.01 to 1000, kept in hundredths. It means what it means for
    /// [`Hazard`](super::Hazard).
    ///
    /// # Errors
    ///
    /// It is out of its range.
    pub const fn new(patience: f64) -> Result<Self, ParameterError> {
        match hundredths(patience) {
            Ok(hundredths) => Ok(Self { source: Source::Beats, hundredths }),
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

    /// Rules DT21 to DT24.
    fn beat(self, state: &mut Gist, evidence: &Evidence, sent: u64) {
        let (at, period) = (evidence.at.as_nanos(), nanos(evidence.period_nanos.max(1)));
        let delay = at.wrapping_sub(sent);
        let (mut late, mut ahead) = (0, 0);
        let is_newer = signed(sent.wrapping_sub(state.newest)) > 0;
        let after = signed(at.wrapping_sub(state.expected()));
        if state.knows() && !is_newer {
            state.run.hear();
            if after < period.saturating_mul(FORGOTTEN) {
                return; // DT3
            }
            *state = Gist { run: state.run, ..Gist::default() };
        }
        if state.knows() {
            late = after.saturating_sub(period);
            ahead = signed(state.level.wrapping_sub(delay));
        }
        let mut lateness = Lateness {
            ahead: 0,
            square: u64::from(state.spread) * u64::from(state.spread),
            lessons: state.lessons,
            stale: state.run.stale(),
        };
        let in_burst = nanos(evidence.silence_nanos) < period / 2;
        let waited = in_burst && ahead < -period / 2;
        let teaches = state.run.teaches(waited);
        lateness.hear(&Arrival { period, late, ahead, in_burst, teaches });
        let margin = lateness.margin(period, self.hundredths);
        let patience = lateness.patience(period, margin).saturating_sub(lateness.ahead);
        let before = state.knows().then(|| state.expected().wrapping_add(state.patience.nanos()));
        state.newest = sent;
        state.level = delay.wrapping_add_signed(lateness.ahead);
        state.patience = Span::new(patience.max(0) as u64);
        state.spread = nearest_root(lateness.square);
        state.lessons = lateness.lessons;
        state.run = Run::new(lateness.stale, !teaches);
        if let Some(end) = before.filter(|_| !teaches) {
            state.trust_until(end); // DT4: what waited for us takes nothing back.
        }
    }

    /// DT2: life that is no beat of the source.
    fn traffic(self, state: &mut Gist, evidence: &Evidence) {
        state.run.hear();
        self.renew(state, evidence);
    }

    /// Trust for a usual term from now on, if anything is known.
    fn renew(self, state: &mut Gist, evidence: &Evidence) {
        let period = nanos(evidence.period_nanos);
        let spread = u64::from(state.spread);
        let lateness =
            Lateness { square: spread * spread, lessons: state.lessons, ..Lateness::default() };
        let term = period.saturating_add(lateness.margin(period, self.hundredths));
        state.trust_until(evidence.at.as_nanos().wrapping_add(term as u64));
    }
}

/// A beat that seems older than the newest, so many periods after that: the peer's clock was set.
const FORGOTTEN: i64 = 10;

/// The root, rounded to the nearest: at most 3 * 2^14.
fn nearest_root(square: u64) -> u16 {
    let root = root(square);
    (root + u64::from(square - root * root > root)) as u16
}

/// The difference of two wrapping clocks.
const fn signed(span: u64) -> i64 {
    i64::from_ne_bytes(span.to_ne_bytes())
}

/// What is learnt of one peer, in 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Gist {
    /// When the newest beat was sent, on the peer's clock.
    newest: u64,
    /// The level of the delay, between both clocks.
    level: u64,
    /// From the newest beat's expected arrival to the end of trust; 0: nothing is known.
    patience: Span,
    /// The root mean square of the lateness, in 2^-14 periods.
    spread: u16,
    lessons: u8,
    run: Run,
}

impl Gist {
    const fn knows(&self) -> bool {
        self.patience.0 != 0
    }

    /// When the newest beat was expected, on our clock.
    const fn expected(&self) -> u64 {
        self.newest.wrapping_add(self.level)
    }

    /// If it knows anything, it trusts until then at least.
    fn trust_until(&mut self, end: u64) {
        if self.knows() {
            let patience = signed(end.wrapping_sub(self.expected())).max(0);
            self.patience = self.patience.max(Span::new(patience as u64));
        }
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

    const fn new(stale: u8, held: bool) -> Self {
        Self(stale | if held { Self::HELD } else { 0 })
    }

    /// Something was heard that tells nothing of timing.
    const fn hear(&mut self) {
        self.0 &= !Self::PAUSED;
    }
}

/// A span in 32 bits: 27 bits, shifted by 5. Rounded down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Span(u32);

const MANTISSA: u32 = 27;

impl Span {
    /// At least 1: 0 stands for none.
    const fn new(nanos: u64) -> Self {
        let nanos = if nanos == 0 { 1 } else { nanos };
        let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(MANTISSA);
        let shift = if shift > 31 { 31 } else { shift };
        let mantissa = nanos >> shift;
        let most = (1 << MANTISSA) - 1;
        Self(shift << MANTISSA | if mantissa > most { most as u32 } else { mantissa as u32 })
    }

    const fn nanos(self) -> u64 {
        ((self.0 & ((1 << MANTISSA) - 1)) as u64) << (self.0 >> MANTISSA)
    }
}

impl Detector for Compact {
    type State = Gist;

    fn learn(&self, state: &mut Gist, evidence: &Evidence) {
        if evidence.in_pause || evidence.sign == Sign::Pause {
            state.run.pause();
            self.renew(state, evidence); // DT4
        }
        if !evidence.sign.renews() {
            return;
        }
        match self.sent(evidence) {
            Some(sent) => self.beat(state, evidence, sent),
            None => self.traffic(state, evidence),
        }
    }

    fn deadline(&self, state: &Gist, trust: &Trust) -> Timestamp {
        if state.knows() {
            let end = signed(state.expected().wrapping_sub(trust.since))
                .saturating_add(nanos(state.patience.nanos()));
            Timestamp::from_nanos(trust.since.saturating_add_signed(end))
        } else {
            Timestamp::from_nanos(trust.since.saturating_add(trust.timeout))
        }
    }

    fn beat_deadline(&self, state: &Gist, trust: &Trust) -> Option<Timestamp> {
        Some(self.deadline(state, trust))
    }

    fn normalized(&self, state: &Gist, by: u64) -> Gist {
        if state.knows() {
            Gist { newest: state.newest.wrapping_sub(by), ..*state }
        } else {
            *state
        }
    }
}
