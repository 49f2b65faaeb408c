//! [`Any`] and [`All`]: two detectors as one.

use super::{Detector, Evidence, Trust};
use crate::time::Timestamp;

/// Trust ends as soon as one of both ends it: the earlier deadline. It nests, so
/// `Any<A, Any<B, C>>` is the earliest of three. It never detects later than either, and makes the
/// mistakes of both (rule DT40).
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::{Config, detector::{Any, Deadline}};
///
/// // Early where the round trips are short, never later than the timeout.
/// let config = Config::builder()
///     .detector(Any(Deadline::rtt_adaptive(3), Deadline::fixed()))
///     .interval(Duration::from_secs(1))
///     .timeout(Duration::from_secs(4))
///     .build()?;
/// # let _ = config;
/// # Ok::<(), heartbeat_proto::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "it is a pair, for good")]
pub struct Any<A, B>(pub A, pub B);

/// Trust ends only when both have ended it: the later deadline. It nests. It never detects earlier
/// than either, and makes only the mistakes that both make (rule DT41).
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::{Config, detector::{All, Deadline}};
///
/// // Patient where the round trips are long, never earlier than the timeout.
/// let config = Config::builder()
///     .detector(All(Deadline::rtt_adaptive(3), Deadline::fixed()))
///     .interval(Duration::from_secs(1))
///     .timeout(Duration::from_secs(4))
///     .ceiling(Duration::from_secs(10))
///     .build()?;
/// # let _ = config;
/// # Ok::<(), heartbeat_proto::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "it is a pair, for good")]
pub struct All<A, B>(pub A, pub B);

macro_rules! composed {
    ($name:ident, $deadline:path, $suspicion:path) => {
        impl<A: Detector, B: Detector> Detector for $name<A, B> {
            type State = (A::State, B::State);

            #[inline]
            fn learn(&self, (a, b): &mut Self::State, evidence: &Evidence) {
                self.0.learn(a, evidence);
                self.1.learn(b, evidence);
            }

            #[inline]
            fn learn_in(&self, (a, b): &mut Self::State, evidence: &Evidence, trust: &Trust) {
                self.0.learn_in(a, evidence, trust);
                self.1.learn_in(b, evidence, trust);
            }

            #[inline]
            fn deadline(&self, (a, b): &Self::State, trust: &Trust) -> Timestamp {
                $deadline(self.0.deadline(a, trust), self.1.deadline(b, trust))
            }

            #[inline]
            fn beat_deadline(&self, (a, b): &Self::State, trust: &Trust) -> Option<Timestamp> {
                match (self.0.beat_deadline(a, trust), self.1.beat_deadline(b, trust)) {
                    (None, None) => None,
                    (a, b) => {
                        let usual = usual_beat(trust);
                        Some($deadline(a.unwrap_or(usual), b.unwrap_or(usual)))
                    }
                }
            }

            fn suspicion(&self, (a, b): &Self::State, trust: &Trust, now: Timestamp) -> f64 {
                $suspicion(self.0.suspicion(a, trust, now), self.1.suspicion(b, trust, now))
            }

            fn normalized(&self, (a, b): &Self::State, by: u64) -> Self::State {
                (self.0.normalized(a, by), self.1.normalized(b, by))
            }
        }
    };
}

composed!(Any, Ord::min, f64::max); // DT40
composed!(All, Ord::max, f64::min); // DT41

/// What `None` means among beat deadlines (rule J3). Where it is asked for nobody slows anybody, so
/// the effective interval is the configured one (rule CF4).
fn usual_beat(trust: &Trust) -> Timestamp {
    Timestamp::from_nanos(trust.since.saturating_add(trust.period).saturating_add(trust.window))
}
