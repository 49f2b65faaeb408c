//! [`Retransmission`]: the timeouts of RFC 6298 and RFC 9002.

use core::time::Duration;

use super::bits::{Bits, MOST, ParameterError};
use super::jacobson::Averages;
use super::{Beat, Formula, Source, Term};
use crate::time::nanos;

/// The timeout after which transports retransmit, applied to the next ping: it is expected to leave
/// a period after the one that was answered, and its pong within the timeout:
/// `sent + period + SRTT + max(1 ms, deviations * RTTVAR)`, where `RTTVAR` and `SRTT` follow the
/// round trips with gains of 1/4 and 1/8 and start at `R` and `R / 2`. It learns from pongs alone
/// (no sample is taken where the ping is not certain), from the first one on.
///
/// * [`rfc6298`](Self::rfc6298) (section 2): four deviations, at least 1 s in all.
/// * [`rfc9002`](Self::rfc9002) (section 6.2.1): four deviations, and what the peer may delay.
///
/// Neither backs off here: what happens after the deadline is the machine's to decide. For liveness
/// the deviation forgets too soon, within about four pongs; nothing is rejected as an outlier.
/// [`Deadline::rtt_adaptive`](crate::detector::Deadline::rtt_adaptive) waits for several such
/// timeouts, and keeps no state.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::Config;
/// use heartbeat_proto::detector::Retransmission;
///
/// let detector = Retransmission::rfc9002(Duration::from_millis(25));
/// let config = Config::builder().detector(detector).build().expect("valid");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Retransmission {
    deviations: Bits,
    delay: u64,
    least: u64,
}

impl Retransmission {
    /// Four deviations, at least 1 s.
    pub const fn rfc6298() -> Self {
        Self { deviations: Bits::new(4.0), delay: 0, least: 1_000_000_000 }
    }

    /// Four deviations and the longest time by which the peer may delay its answer on purpose.
    pub const fn rfc9002(max_ack_delay: Duration) -> Self {
        Self { deviations: Bits::new(4.0), delay: nanos(max_ack_delay), least: 0 }
    }

    /// So many mean deviations instead of four: 0 to 10^6.
    ///
    /// # Errors
    ///
    /// The number is out of its range.
    pub const fn deviations(self, deviations: f64) -> Result<Self, ParameterError> {
        match Bits::within("deviations", deviations, 0.0, MOST) {
            Ok(deviations) => Ok(Self { deviations, ..self }),
            Err(error) => Err(error),
        }
    }

    /// At least this long after the ping left. RFC 6298: 1 s; RFC 9002: nothing.
    #[must_use]
    pub const fn at_least(self, least: Duration) -> Self {
        Self { least: nanos(least), ..self }
    }
}

/// What [`Retransmission`] remembers: `SRTT` and `RTTVAR`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RoundTrips(Averages);

impl Formula for Retransmission {
    type Memory = RoundTrips;

    fn source(&self) -> Source {
        Source::Pongs
    }

    /// Rule DT17.
    #[expect(clippy::cast_precision_loss, reason = "round trips are below 2^53 ns")]
    fn term(&self, RoundTrips(averages): &mut RoundTrips, beat: &Beat) -> Option<Term> {
        let rtt = beat.rtt_nanos? as f64;
        if beat.teaches && beat.lessons == 1 {
            *averages = Averages::starting(rtt, rtt / 2.0); // RFC 6298 (2.2)
        } else if beat.teaches {
            averages.follow(rtt);
        }
        if beat.lessons == 0 {
            return None;
        }
        let timeout = averages.reach(self.deviations.get()) + self.delay as f64;
        let patience = beat.period_nanos as f64 + timeout.max(self.least as f64);
        Some(Term::new(patience - rtt, patience))
    }
}
