//! [`Hazard`]: the equal-hazard margin.

use super::bits::ParameterError;
use super::lateness::{Arrival, Lateness, Patience, nanos, period};
use super::{Beat, Formula, Source, Term};

/// The equal-hazard margin: patient where the link is restless, quick where it is calm. One knob.
///
/// Trust ends a margin of `a * sqrt(P * b)` after the next beat is expected; `P` is the promised
/// period, `b` the spread of the lateness, `a` the knob.
///
/// **Why the root.** A detector may wait for so long on average, and wants the fewest mistakes for
/// it. Then waiting a little longer must be worth the same in every condition of the link: each
/// deadline lies where the density of the lateness `x` has fallen to one common value (Lagrange).
/// That is not where its tail is equal, as in the accrual detectors, nor a constant margin, as in
/// NFD-E. The lateness of real links has heavy tails: with `P(x > m) = b / m` the density `b / m^2`
/// is the same everywhere if `m` grows with the root of `b`.
///
/// **What is learnt**, in 24 bytes, of beats that are not delayed by a pause of our own:
///
/// * The *level* of the delay falls by 1/16 of the way to each beat and rises by 1/64, never by
///   more than 3/64 periods: so the queue that an outage leaves behind does not lift it. After a
///   beat 8 periods ahead of it, and after 16 beats in a row 3 periods behind it (those that come in
///   a burst do not count), the path or a clock has changed: the newest delay is the level.
/// * The *spread* `b` is the root of the mean square over about 64 beats of the lateness against the
///   level, from 0 (early beats are no concern) to 3 periods; a lost beat is late by a period.
///   It is at least `P / n` after `n` lessons: what is rarer was not seen yet. And it is at least
///   `P a / 300`: a larger knob hunts rarer mistakes, of which a calm link says less beforehand.
///
/// **Late beats.** A beat that is later than the level by up to a margin is trusted as if it had
/// come in time, for `P` and a margin; later than that, for as much less; and if it is more than two
/// margins late, not at all: it says that the peer lived long ago. So trust is not given in a drained
/// queue, nor for less than a period, only to end before the next beat can come.
///
/// **Cold start.** Before the first beat the fixed verdict of the configuration stands. Then the
/// spread counts as `P / n`: a margin of `a` periods after the first beat, that shrinks as beats
/// come. Beats without a stamp are told apart by their numbers, or else by their gaps.
///
/// The mean patience beyond the expected arrival is about `a / 3` periods on restless links, `a / 6`
/// on calm ones; 2 to 8 are useful, the default is 4. The floor and the ceiling of the
/// configuration bound it. Periods and margins of more than about 13 days count as that.
///
/// ```
/// use heartbeat_proto::Config;
/// use heartbeat_proto::detector::{Hazard, Source};
///
/// let config = Config::builder().detector(Hazard::default()).build()?;
/// let patient = Hazard::new(8.0).expect("in range").on(Source::Pongs);
/// # Ok::<(), heartbeat_proto::ConfigError>(())
/// ```
///
/// The default: the knob is 4, the source are beats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hazard {
    source: Source,
    patience: Patience,
}

impl Hazard {
    /// With this knob: 0.01 to 1000, kept in hundredths.
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
}

impl Formula for Hazard {
    type Memory = Lateness;

    fn source(&self) -> Source {
        self.source
    }

    /// Rules DT21 to DT23.
    fn term(&self, memory: &mut Lateness, beat: &Beat) -> Option<Term> {
        let (period, gap) = (period(beat.period_nanos), nanos(beat.gap_nanos));
        let slower = beat.slower_nanos.unwrap_or_else(|| {
            gap.saturating_sub(period.saturating_mul(beat.steps.into())) // As if sent in time.
        });
        memory.hear(&Arrival {
            period,
            late: gap.saturating_sub(period).saturating_sub(memory.ahead),
            ahead: memory.ahead.saturating_sub(slower),
            in_burst: gap < period / 2,
            teaches: beat.teaches,
        });
        let margin = memory.margin(period, self.patience);
        let patience = memory.patience(period, margin);
        Some(Term {
            beat: patience.saturating_add(memory.ahead),
            traffic: (period + margin) as u64,
        })
    }
}
