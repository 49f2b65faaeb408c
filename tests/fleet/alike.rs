//! The comparison of a fleet with its twins, and of what it counts with them.

use heartbeat_proto::Liveness;
use heartbeat_proto::detector::Detector;
use heartbeat_proto::fleet::{Doubt, Handle, Profile};

use super::twin::Twin;
use super::twins::Pair;

impl<D: Detector> Pair<D> {
    pub(crate) fn compare(&self) {
        assert_eq!(self.fleet.len(), self.twins.len());
        let mut seen = 0;
        for (handle, state) in self.fleet.iter() {
            assert_eq!(state, self.twins[&handle].state, "{handle}");
            assert_eq!(
                self.fleet.profile(handle).map(Profile::index),
                Ok(self.twins[&handle].profile)
            );
            seen += 1;
        }
        assert_eq!(seen, self.twins.len());
        for liveness in Liveness::ALL {
            let count = self.twins.values().filter(|t| t.state.liveness() == liveness).count();
            assert_eq!(self.fleet.count(liveness), count, "{liveness}");
        }
        self.compare_counts();
        for old in &self.old {
            assert!(!self.fleet.contains(*old));
        }
        // FL5: the fleet wants to be called before anybody waits for longer than a step.
        let step = u64::try_from(self.fleet.step().as_nanos()).expect("short");
        let due = |t: &Twin<D>| t.state.next_deadline(&self.configs[t.profile]).map(|(at, _)| at);
        if let Some(first) = self.twins.values().filter_map(due).min() {
            let next = self.fleet.next_deadline().expect("somebody is due").as_nanos();
            let end = (first.as_nanos() / step + 1) * step;
            assert!(next <= end.max(self.shown), "{next} for {first:?}");
        }
    }

    /// GD1: the members of each group and of all.
    fn compare_counts(&self) {
        let members = |group: Option<u16>| {
            let of = |handle: &Handle| group.is_none_or(|group| handle.slot() as u16 % 3 == group);
            // Of these only who is suspended has nothing due.
            let live = |twin: &Twin<D>| {
                let due = twin.state.next_deadline(&self.configs[twin.profile]);
                twin.state.liveness().is_live() && !twin.drained && due.is_some()
            };
            self.twins.iter().filter(|(handle, twin)| of(handle) && live(twin)).count() as u32
        };
        let scopes = (0..3).map(|group| (Doubt::Group(group), Some(group)));
        for (doubt, group) in scopes.chain([(Doubt::Observer, None)]) {
            if let Some(report) = self.fleet.guard_report(doubt) {
                assert_eq!(report.members, members(group), "{doubt}");
                assert!(report.silent <= report.members);
            }
        }
    }
}
