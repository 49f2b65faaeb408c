//! A small adaptive detector whose state space closes: it follows the delay of stamped beats.

use heartbeat_proto::{
    Timestamp,
    detector::{Detector, Evidence, Trust},
};

/// Trust ends `margin` after the moment at which the next beat would come if it took as long as
/// the slowest of late; that memory fades by one unit a beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Follow {
    /// `None`: it follows nothing, and trusts for the fixed timeout.
    pub(crate) margin: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Followed {
    /// The newest beat, by the peer's stamp.
    newest: Option<u64>,
    /// The shortest and the longest way of late, on clocks with any offset.
    fastest: u64,
    slowest: u64,
    /// The end of trust, relative to the last evidence.
    left: i64,
}

impl Detector for Follow {
    type State = Followed;

    fn learn(&self, state: &mut Followed, evidence: &Evidence) {
        let Some(margin) = self.margin else { return };
        if !evidence.sign.renews() {
            return;
        }
        // Evidence moves what deadlines are relative to. (All that are past are alike.)
        state.left -= i64::try_from(evidence.silence_nanos).expect("small");
        state.left = state.left.max(-1);
        let Some(stamp) = evidence.stamp.map(Timestamp::as_nanos) else { return };
        if state.newest.is_some_and(|newest| stamp <= newest) {
            return; // Overtaken: it restores no trust.
        }
        let way = evidence.at.as_nanos().wrapping_sub(stamp);
        if state.newest.is_none() {
            (state.fastest, state.slowest) = (way, way);
        }
        state.newest = Some(stamp);
        if !evidence.in_pause {
            state.fastest = state.fastest.min(way);
            state.slowest = way.max(state.slowest.saturating_sub(1)).max(state.fastest);
        }
        let expected = i128::from(evidence.period_nanos) + i128::from(state.slowest);
        let left = expected + i128::from(margin) - i128::from(way);
        state.left = i64::try_from(left).expect("small").max(-1);
    }

    fn deadline(&self, state: &Followed, trust: &Trust) -> Timestamp {
        let since = trust.since().as_nanos();
        if self.margin.is_none() {
            return Timestamp::from_nanos(since + trust.timeout_nanos());
        }
        if state.newest.is_none() {
            return Timestamp::from_nanos(since + trust.period_nanos() + trust.window_nanos());
        }
        Timestamp::from_nanos(since.saturating_add_signed(state.left))
    }

    fn normalized(&self, state: &Followed, by: u64) -> Followed {
        // Ways are spans between two clocks that are shifted alike.
        Followed { newest: state.newest.map(|newest| newest.wrapping_sub(by)), ..*state }
    }
}
