//! [`Source`]: whose timing a detector learns.

/// What a detector learns from. Other evidence renews trust and teaches nothing (rule DT2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// The peer's own pings and beacons. Their delay is known up to the difference of both clocks,
    /// if they carry a stamp; their order by the stamp, or else by the number. The default.
    #[default]
    Beats,
    /// Pongs that measured a round trip: the ping left that long before.
    Pongs,
}
