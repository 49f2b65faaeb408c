//! [`KOfN`]: so many of the last beats came too late, or never.

use core::time::Duration;

use super::bits::{Bits, MOST, ParameterError};
use super::delays::{Clock, Delays};
use super::{Beat, Formula, Source, Term};
use crate::time::nanos;

/// Trust ends when `k` of the last `n` beats are missing: a beat is if it has not arrived `wait`
/// periods after it was expected. The right tool for links that lose single beats: one that comes
/// through does not hide that most do not.
///
/// The counting is that of BFD and of a thousand programs, over time instead of in a row. When a
/// beat is expected is known by its stamp or round trip: the mean of the last 32 delays, as in
/// [`Chen`](super::Chen), or a [fixed delay](Self::delay). A beat that was overtaken is missing.
/// After a pause of our own nothing that is late or missing counts. It forgets beat by beat, the
/// delays after 32 and the outcomes after `n`. While `k` are missing, only the beat that makes them
/// fewer brings trust back: a beat that an outage held up does not.
///
/// ```
/// use heartbeat_proto::Config;
/// use heartbeat_proto::detector::KOfN;
///
/// let config = Config::builder().detector(KOfN::new(3, 5, 1.0)?).build().expect("valid");
/// # Ok::<(), heartbeat_proto::detector::ParameterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KOfN {
    source: Source,
    k: u8,
    n: u8,
    /// In periods.
    wait: Bits,
    delay: Option<u64>,
}

impl KOfN {
    /// `k` of the last `n`, at most 100, are missing `wait` periods after they were expected, 0 to
    /// 10^6. (The outcomes of more than `127 - n` beats before the newest one count as known.)
    ///
    /// # Errors
    ///
    /// A parameter is out of its range.
    pub fn new(k: u8, n: u8, wait: f64) -> Result<Self, ParameterError> {
        Bits::within("n", n.into(), 1.0, 100.0)?;
        Bits::within("k", k.into(), 1.0, n.into())?;
        let wait = Bits::within("wait", wait, 0.0, MOST)?;
        Ok(Self { source: Source::Beats, k, n, wait, delay: None })
    }

    /// Learns from this source. Default: beats.
    #[must_use]
    pub const fn on(self, source: Source) -> Self {
        Self { source, ..self }
    }

    /// Pongs are expected so long after their ping left. Default: as long as the last 32 took. No
    /// matter for beats, whose delay is not known.
    #[must_use]
    pub const fn delay(self, delay: Duration) -> Self {
        Self { delay: Some(nanos(delay)), ..self }
    }

    /// By how many nanoseconds the beat is later than expected.
    #[expect(clippy::cast_precision_loss, reason = "round trips are below 2^53 ns")]
    fn lateness(&self, probes: &mut Probes, beat: &Beat) -> Option<f64> {
        if let (Some(delay), Some(rtt)) = (self.delay, beat.rtt_nanos) {
            return Some(rtt as f64 - delay as f64);
        }
        let late = probes.delays.hear(Clock::Stamp, beat)?;
        (!probes.delays.are_few()).then_some(late)
    }

    /// Whether `k` are missing when the outcome of the beat that comes `ahead` after the newest is
    /// known, and none comes after the newest.
    const fn fails(&self, missing: u128, ahead: i64) -> bool {
        let outcomes =
            if ahead > 0 { push(missing, ahead as u32, true) } else { missing >> -ahead };
        let window = u128::MAX >> (128 - self.n as u32);
        (outcomes & window).count_ones() >= self.k as u32
    }
}

/// What [`KOfN`] remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Probes {
    delays: Delays<32>,
    /// A bit for each of the last beats, the newest lowest: it was missing.
    missing: u128,
}

/// So many more outcomes, all the same.
const fn push(missing: u128, count: u32, lost: bool) -> u128 {
    let lost = if lost { u128::MAX } else { 0 };
    match (missing.checked_shl(count), lost.checked_shl(count)) {
        (Some(older), Some(mask)) => older | (lost & !mask),
        _ => lost,
    }
}

impl Formula for KOfN {
    type Memory = Probes;

    fn source(&self) -> Source {
        self.source
    }

    /// Rule DT18.
    #[expect(clippy::cast_precision_loss, reason = "periods are below 2^53 ns")]
    fn term(&self, probes: &mut Probes, beat: &Beat) -> Option<Term> {
        let late = self.lateness(probes, beat)?;
        let period = beat.period_nanos as f64;
        let wait = self.wait.get() * period;
        probes.missing = push(probes.missing, beat.steps - 1, beat.teaches);
        probes.missing = push(probes.missing, 1, beat.teaches && late > wait);
        // When the outcome of the newest beat is due, and of how many before it that is to come.
        let due = wait - late;
        let open =
            if due > 0.0 { ((due / period) as i64).min(127 - i64::from(self.n)) } else { -1 };
        let fails = |ahead: &i64| self.fails(probes.missing, *ahead);
        let known = -1 - open;
        let trusted = (known..=0).find(|ahead| !fails(ahead));
        let end = trusted.and_then(|from| (from..=i64::from(self.k)).find(fails));
        let patience = wait + period * f64::from(self.k);
        Some(Term::new(end.map_or(-1.0, |ahead| due + ahead as f64 * period), patience))
    }
}
