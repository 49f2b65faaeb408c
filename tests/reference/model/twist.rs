//! Deliberate deviations from the text: the comparison must find each.

macro_rules! twists {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// One sentence of the text, changed.
        ///
        /// | twist | rule | the text says | the twist says |
        /// |---|---|---|---|
        $($(#[$doc])+)+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Twist {
            $($name,)+
        }

        impl Twist {
            pub const ALL: &[Self] = &[$(Self::$name,)+];
        }
    };
}

twists! {
    /// | `ClockRunsBack` | T1 | a lower `now` is taken as the largest | is taken as it is |
    ClockRunsBack,
    /// | `FloorIgnored` | J2 | at least `ev + Fe` | no floor |
    FloorIgnored,
    /// | `OldPongsMatch` | E4 | late if sent more than W ago | never for its age |
    OldPongsMatch,
    /// | `StrictTakesLateEvidence` | E10 | under Strict the verdict falls first | evidence counts |
    StrictTakesLateEvidence,
    /// | `EvidenceClearsWindow` | E3 | evidence does not clear the k-of-n window | clears it |
    EvidenceClearsWindow,
    /// | `ResolveWithoutGap` | E5 | later than the judged one less g | later than the judged one |
    ResolveWithoutGap,
    /// | `HoldCounts` | E6 | `now - sent - hold` | `now - sent` |
    HoldCounts,
    /// | `PausesAreSampled` | E6 | no sample of a ping that a pause overtook | a sample |
    PausesAreSampled,
    /// | `PlanDrifts` | P2 | `s' = s + I'(k)` | `s' = t + I'(k)` |
    PlanDrifts,
    /// | `SlotSoonAfterPing` | P3 | a slot before `t + ge` moves | stays |
    SlotSoonAfterPing,
    /// | `GapUnpushed` | P4 | at least `ge` apart | at least `g` apart |
    GapUnpushed,
    /// | `TrafficExcusesForever` | P5 | at most `verify_every * Ie` | without limit |
    TrafficExcusesForever,
    /// | `NoKeepalive` | P12 | a beacon after `keepalive` | none |
    NoKeepalive,
    /// | `WindowFromEmission` | P8 | the window runs from the writing | from the emission |
    WindowFromEmission,
    /// | `VerdictAtLimit` | T4, J5 | V is passed when `now > V` | when `now >= V` |
    VerdictAtLimit,
    /// | `MissDespiteLife` | P8 | a miss only if no life was heard | always a miss |
    MissDespiteLife,
    /// | `LateCallsRecordLoss` | J9 | a late call records no loss | records it |
    LateCallsRecordLoss,
    /// | `NoSlack` | J6 | later than its wake-up by more than `slack` | later at all |
    NoSlack,
    /// | `GrantsForEver` | J6 | one grant in a silence | one at each late call |
    GrantsForEver,
    /// | `DetectorWithoutIe` | J2 | `ev + T + (Ie - I)` | `ev + T` |
    DetectorWithoutIe,
    /// | `CountsNoRun` | J10 | the `unanswered_limit`-th in a row | any |
    CountsNoRun,
    /// | `StallFromFirst` | J11 | the clock starts anew at each report | runs on |
    StallFromFirst,
    /// | `StartNeedNotCome` | LC1 | `startup_limit` unless `Start` comes with that call | even then |
    StartNeedNotCome,
    /// | `DrainMovesAgain` | LC3 | a second `Drain` does not move the limit | moves it |
    DrainMovesAgain,
    /// | `PassiveSaysGoodbye` | LC4 | a goodbye, except in Passive | in Passive too |
    PassiveSaysGoodbye,
    /// | `SleepNotCredited` | LC6 | `max(d, slept)` | `d` |
    SleepNotCredited,
    /// | `OneReplyRecovers` | LC7 | n good replies in a row | one |
    OneReplyRecovers,
    /// | `CalmIsForgotten` | LC8 | the calm level is carried | starts anew |
    CalmIsForgotten,
    /// | `BucketOneMore` | A2 | `tat <= now + (b - 1) * h` | `tat <= now + b * h` |
    BucketOneMore,
    /// | `EveryStrikeCounts` | A3 | one strike counts until a ping is admitted | each counts |
    EveryStrikeCounts,
    /// | `StrikesStay` | A3 | a gap of peace clears the strikes | does not |
    StrikesStay,
    /// | `CalmUnguarded` | A5 | once for pings of the same interval | at each signal |
    CalmUnguarded,
    /// | `HoldsProbe` | J14 | the window passes without a ping of its own | with one |
    HoldsProbe,
    /// | `StrictIgnoresHolds` | E10, J14 | under Strict a hold comes before the verdict | after it |
    StrictIgnoresHolds,
    /// | `GapRoundedDown` | A6 | rounded up to milliseconds | rounded down |
    GapRoundedDown,
}
