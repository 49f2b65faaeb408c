//! A [`Config`] on one line.

use core::fmt;
use core::time::Duration;

use super::{Config, Mode};

/// What this end does, and what it promises; spans of a millisecond and more to the microsecond.
///
/// ```
/// use heartbeat_proto::{Config, Mode};
///
/// assert_eq!(
///     Config::lan().to_string(),
///     "symmetric, interval 1s, timeout 4s, 3 attempts, found within 5.45s"
/// );
/// let responder = Config::builder().mode(Mode::Responder).build()?;
/// assert_eq!(
///     responder.to_string(),
///     "responder, interval 25s, timeout 55s, found within 70s"
/// );
/// let beacon = Config::builder().mode(Mode::Beacon).build()?;
/// assert_eq!(beacon.to_string(), "beacon, interval 25s");
/// # Ok::<(), heartbeat_proto::ConfigError>(())
/// ```
impl<D> fmt::Display for Config<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, interval {:?}", code(self.mode), rounded(self.interval()))?;
        if self.judges() {
            write!(f, ", timeout {:?}", rounded(self.timeout()))?;
            if self.probes() {
                write!(f, ", {} attempts", self.attempts)?;
            }
            write!(f, ", found within {:?}", rounded(self.worst_case_detection()))?;
        }
        Ok(())
    }
}

const fn code(mode: Mode) -> &'static str {
    match mode {
        Mode::Symmetric => "symmetric",
        Mode::Initiator => "initiator",
        Mode::Responder => "responder",
        Mode::Beacon => "beacon",
        Mode::Passive => "passive",
    }
}

fn rounded(span: Duration) -> Duration {
    match span.as_nanos() as u64 {
        nanos @ 1_000_000.. => Duration::from_micros(nanos / 1000 + (nanos % 1000 + 500) / 1000),
        _ => span,
    }
}
