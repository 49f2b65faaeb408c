//! Deliberate deviations from the text.

/// One sentence of the text, changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    ClockRunsBack,
    FloorWithoutIe,
    OldPongsMatch,
    StrictTakesLateEvidence,
    EvidenceClearsWindow,
    ResolveWithoutGap,
    HoldCounts,
    PlanDrifts,
    SlotSoonAfterPing,
    GapUnpushed,
    TrafficExcusesForever,
    NoKeepalive,
    VerdictAtLimit,
    MissDespiteLife,
    LateCallsRecordLoss,
    NoSlack,
    GrantsForEver,
    SleepNotCredited,
    BucketOneMore,
    EveryStrikeCounts,
    CalmUnguarded,
    WindowFromEmission,
}
