//! What the operator sees.

use core::fmt;
use core::ops::AddAssign;

use heartbeat_proto::fleet::Census;
use heartbeat_proto::gateway::{Gateway, GatewayStats};
use heartbeat_proto::{Histogram, Liveness};

use crate::say;

/// What one thread, or all, have seen since the beginning.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    census: Census,
    stats: GatewayStats,
    /// Not taken by the system.
    unsent: u64,
    /// Came while the system's buffer was full.
    lost: u64,
}

impl Seen {
    pub(super) fn of(gateway: &Gateway) -> Self {
        let census = gateway.fleet().census().clone();
        Self { census, stats: *gateway.stats(), unsent: 0, lost: 0 }
    }

    pub(super) fn with_losses(self, unsent: u64, lost: u64) -> Self {
        Self { unsent, lost, ..self }
    }

    /// At the end.
    pub(super) fn census(&self) -> Vec<String> {
        let (counted, all) = (&self.stats, self.census.stats());
        vec![
            format!(
                "census: {} joined ({} anew), {} left, {} lost, {} told to go; {} suspicions, {} \
                 of them mistaken",
                counted.joined,
                counted.restarted,
                counted.left,
                counted.lost,
                counted.removed,
                all.suspicions,
                all.mistakes
            ),
            format!(
                "census: {} pings, {} pongs; round trips {}; own lateness {}",
                all.pings_sent,
                all.pongs_received,
                spread(self.census.rtt_histogram()),
                spread(self.census.lateness())
            ),
            format!(
                "census: {} datagrams in, {} out; dropped: {} refused, {} no frames, {} of no \
                 use, {} unsealed, {} pongs of nobody; lost: {} in, {} out",
                counted.received,
                counted.sent,
                counted.refused(),
                counted.malformed,
                counted.unwanted + counted.answers_bad,
                counted.unsealed,
                counted.pongs_stale
                    + counted.pongs_misrouted
                    + counted.pongs_moved
                    + counted.pongs_forged,
                self.lost,
                self.unsent
            ),
        ]
    }
}

impl AddAssign<&Self> for Seen {
    fn add_assign(&mut self, other: &Self) {
        self.census += &other.census;
        self.stats += &other.stats;
        self.unsent += other.unsent;
        self.lost += other.lost;
    }
}

fn spread(histogram: &Histogram) -> String {
    if histogram.count() == 0 {
        return "unknown".to_owned();
    }
    let at = |percent| say::span(histogram.percentile(percent));
    format!("p50 {}, p99 {}, max {}", at(50), at(99), say::span(histogram.max()))
}

/// The last second.
pub(super) struct Report<'s> {
    pub(super) seen: &'s Seen,
    pub(super) last: &'s Seen,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seen, last } = self;
        let census = &seen.census;
        write!(f, "{} peers", census.len())?;
        for liveness in Liveness::ALL.into_iter().filter(|liveness| census.count(*liveness) > 0) {
            write!(f, ", {} {liveness}", census.count(liveness))?;
        }
        let (all, before) = (census.stats(), last.census.stats());
        write!(f, "; {} pings, ", all.pings_sent - before.pings_sent)?;
        write!(f, "{} pongs", all.pongs_received - before.pongs_received)?;
        let (counted, before) = (&seen.stats, &last.stats);
        for (number, what) in [
            (counted.joined - before.joined, "joined"),
            (counted.left - before.left, "left"),
            (counted.lost - before.lost, "lost"),
            (counted.refused() - before.refused(), "refused"),
            (strange(counted) - strange(before), "dropped"),
            // The system's counter: it may wrap, and once be unknown.
            (seen.lost.saturating_sub(last.lost), "overrun"),
            (seen.unsent - last.unsent, "unsent"),
        ] {
            if number > 0 {
                write!(f, ", {number} {what}")?;
            }
        }
        Ok(())
    }
}

/// What was dropped, but for what a cap refused.
const fn strange(counted: &GatewayStats) -> u64 {
    counted.dropped() - counted.refused()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_and_dropped_are_told_apart() {
        let seen = |refused, malformed| {
            let mut seen = Seen::default();
            (seen.stats.refused_full, seen.stats.malformed) = (refused, malformed);
            seen
        };
        for (last, now, told) in [
            ((45, 0), (45, 0), ""),
            ((45, 0), (47, 0), ", 2 refused"),
            ((45, 3), (45, 4), ", 1 dropped"),
            ((1, 1), (9, 5), ", 8 refused, 4 dropped"),
        ] {
            let (last, now) = (seen(last.0, last.1), seen(now.0, now.1));
            let line = Report { seen: &now, last: &last }.to_string();
            assert_eq!(line, format!("0 peers; 0 pings, 0 pongs{told}"));
        }
    }

    #[test]
    fn a_counter_of_the_system_that_falls_is_no_panic() {
        let last = Seen { lost: 7, ..Seen::default() };
        let line = Report { seen: &Seen::default(), last: &last }.to_string();
        assert_eq!(line, "0 peers; 0 pings, 0 pongs");
    }
}
