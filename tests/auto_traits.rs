//! Every public type may be moved and shared between threads, and the sizes that fleets rely on
//! do not grow unnoticed.

use core::panic::{RefUnwindSafe, UnwindSafe};

use heartbeat_proto::backoff::{
    Backoff, BackoffError, Breaker, BreakerState, Budget, Cause, Jitter, Policies, Policy,
    PolicyBuilder,
};
use heartbeat_proto::detector::{Deadline, Evidence, Sign, Trust};
use heartbeat_proto::supervisor::{Outcome, Plan, PlanBuilder, Step, Supervisor, Why};
use heartbeat_proto::{
    Action, Actions, Config, ConfigBuilder, ConfigError, DeadlineReason, Echo, Event, Fault,
    Findings, FirstPing, HeartbeatMachine, Histogram, LatePolicy, LifeRule, Liveness, Mode,
    PeerState, PingId, PingSchedule, Probing, Reason, Report, Rtt, Stats, Table, Timestamp,
    Transition, Verdict,
};

const fn plain<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + Clone + 'static>() {}

const fn copy<T: Copy>() {}

macro_rules! all {
    ($check:ident: $($type:ty),+ $(,)?) => { $(const _: () = $check::<$type>();)+ };
}

all!(plain: Action, Actions, Config, ConfigBuilder, ConfigError, Deadline, DeadlineReason, Echo,
    Event, Evidence, Fault, Findings, FirstPing, HeartbeatMachine, HeartbeatMachine<Deadline, Echo>,
    Histogram, LatePolicy, LifeRule, Liveness, Mode, PeerState, PeerState<Deadline, Echo>, PingId,
    PingSchedule, Probing, Reason, Report, Rtt, Sign, Stats, Table, Timestamp, Transition, Trust,
    Verdict);

all!(plain: Backoff, BackoffError, Breaker, BreakerState, Budget, Cause, Jitter, Outcome, Plan,
    PlanBuilder, Policies, Policy, PolicyBuilder, Step, Supervisor, Why);

all!(copy: Action, Config, ConfigError, Event, PeerState, PeerState<Deadline, Echo>, Report);

#[cfg(feature = "detectors")]
mod detectors {
    use heartbeat_proto::detector::memory::{
        Averages, Delays, Errors, Gaps, Probes, Ranked, RoundTrips, Ticks,
    };
    use heartbeat_proto::detector::{
        Beat, Bertier, Chen, Jacobson, KOfN, Learnt, Misses, ParameterError, PhiExponential,
        PhiLogistic, PhiNormal, Retransmission, Satzger, Source, Term, TwoWindows,
    };

    use super::{copy, plain};

    all!(plain: Beat, Bertier, Chen, Jacobson, KOfN, Misses, ParameterError, PhiExponential,
        PhiLogistic, PhiNormal, Retransmission, Satzger, Source, Term, TwoWindows);
    all!(copy: Learnt<Averages>, Learnt<Delays<100>>, Learnt<Errors<200>>, Learnt<Gaps<200>>,
        Learnt<Probes>, Learnt<Ranked<180>>, Learnt<RoundTrips>, Learnt<Ticks>);
}

#[cfg(feature = "gateway")]
mod gateway {
    use heartbeat_proto::gateway::{Gateway, GatewayConfig, GatewayError, GatewayStats, Gone};

    use super::{copy, plain};

    /// A gateway goes to the thread of its socket.
    const fn moves<T: Send + Sync + Unpin + 'static>() {}

    all!(plain: GatewayConfig, GatewayError, GatewayStats, Gone);
    all!(copy: GatewayConfig, GatewayError, GatewayStats, Gone);
    all!(moves: Gateway);
}

#[test]
fn errors_are_errors() {
    fn is_error<T: core::error::Error + Send + Sync + 'static>() {}
    is_error::<ConfigError>();
    is_error::<BackoffError>();
    is_error::<Outcome>();
    #[cfg(feature = "detectors")]
    is_error::<heartbeat_proto::detector::ParameterError>();
}

/// One cache line and a word a peer for a fleet; actions and their answer stay in registers and on
/// the stack.
#[test]
fn sizes_stay_as_promised() {
    assert_eq!(size_of::<PeerState<Deadline, Echo>>(), 72);
    assert_eq!(size_of::<PeerState<Deadline, Table>>(), 72 + 64);
    assert!(size_of::<Action>() <= 24, "{}", size_of::<Action>());
    assert!(size_of::<Actions>() <= 48, "{}", size_of::<Actions>());
    assert_eq!(size_of::<Timestamp>(), 8);
    assert_eq!(size_of::<PingId>(), 8);
    assert_eq!(size_of::<Rtt>(), 8);
    assert_eq!(size_of::<Findings>(), 4);
    assert!(size_of::<Supervisor>() <= 1024, "{}", size_of::<Supervisor>());
    assert!(size_of::<HeartbeatMachine>() <= 1536, "{}", size_of::<HeartbeatMachine>());
}
