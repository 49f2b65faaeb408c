//! A detector by itself: evidence goes in, deadlines come out.

use heartbeat_proto::Timestamp;
use heartbeat_proto::detector::{Detector, Evidence, Sign, Trust};

pub(crate) const MS: u64 = 1_000_000;

/// The peer's clock shows so much more than ours.
const PEER: u64 = 7_000_000_000_123;

/// Runs one detector. Times are nanoseconds on a clock that starts at `origin`.
pub(crate) struct Run<D: Detector> {
    pub(crate) detector: D,
    pub(crate) state: D::State,
    pub(crate) period: u64,
    pub(crate) timeout: u64,
    pub(crate) origin: u64,
    /// The last evidence.
    pub(crate) since: u64,
}

impl<D: Detector> Run<D> {
    /// The fixed verdict would fall after five periods and a nanosecond.
    pub(crate) fn new(detector: D, period: u64) -> Self {
        Self::on_clock(detector, period, 1 << 40)
    }

    pub(crate) fn on_clock(detector: D, period: u64, origin: u64) -> Self {
        let state = D::State::default();
        Self { detector, state, period, timeout: 5 * period + 1, origin, since: 0 }
    }

    pub(crate) fn tell(&mut self, sign: Sign, at: u64, more: impl FnOnce(&mut Evidence)) {
        let now = Timestamp::from_nanos(self.origin + at);
        let mut evidence = Evidence::new(sign, now, self.period);
        evidence.silence_nanos = at - self.since;
        more(&mut evidence);
        self.detector.learn(&mut self.state, &evidence);
        if sign.renews() {
            self.since = at;
        }
    }

    /// A beat with everything: number and stamp.
    pub(crate) fn beat(&mut self, number: u32, sent: u64, at: u64) {
        let stamp = Timestamp::from_nanos((self.origin + sent).wrapping_add(PEER));
        self.tell(Sign::Beat, at, |evidence| {
            evidence.seq = Some(number);
            evidence.stamp = Some(stamp);
        });
    }

    pub(crate) fn pong(&mut self, number: u32, sent: u64, at: u64) {
        self.tell(Sign::Pong, at, |evidence| {
            evidence.seq = Some(number);
            evidence.rtt_nanos = Some(at - sent);
        });
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::new(Timestamp::from_nanos(self.origin + self.since), self.period, self.timeout)
    }

    /// The last moment of trust.
    pub(crate) fn end(&self) -> i64 {
        let end = self.detector.deadline(&self.state, &self.trust()).as_nanos();
        i64::try_from(i128::from(end) - i128::from(self.origin)).expect("a time")
    }

    pub(crate) fn suspicion(&self, at: i64) -> f64 {
        let now = Timestamp::from_nanos(self.origin.saturating_add_signed(at));
        self.detector.suspicion(&self.state, &self.trust(), now)
    }
}
