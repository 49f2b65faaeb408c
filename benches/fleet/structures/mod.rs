//! The contenders, one a file.

mod btree;
mod delay_queue;
pub(crate) mod fleet;
mod heap;
mod hhwt;
mod lazy_wheel;
mod nexus;
mod phase_ring;
mod stores;
mod tokio_task;

use clap::ValueEnum;
use heartbeat_proto::detector::{Compact, Deadline};

use crate::drive::{Figures, Plan, drive};
use crate::monitor::Monitor;
use crate::work::Mode;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    Fleet,
    FleetCompact,
    TokioTask,
    TokioTaskReset,
    DelayQueue,
    BtreeSet,
    HeapLazy,
    HeapRecheck,
    NexusTimer,
    Hhwt,
    BoundLazyWheel,
    BoundPhaseRing,
    #[value(name = "limit-stores-80")]
    Stores80,
    #[value(name = "limit-stores-104")]
    Stores104,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Task,
    Other,
    /// By hand, as little as possible: to see how far one could go.
    Bound,
    /// No work at all but the memory's.
    Limit,
}

impl Name {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Fleet | Self::FleetCompact => Kind::Ours,
            Self::TokioTask | Self::TokioTaskReset => Kind::Task,
            Self::BoundLazyWheel | Self::BoundPhaseRing => Kind::Bound,
            Self::Stores80 | Self::Stores104 => Kind::Limit,
            _ => Kind::Other,
        }
    }

    /// A ring has one interval.
    pub(crate) fn can(self, mode: Mode) -> bool {
        self != Self::BoundPhaseRing || mode != Mode::General
    }

    pub(crate) fn drive(self, plan: &Plan) -> Figures {
        match self {
            Self::Fleet => drive::<fleet::Ours<Deadline>>(plan),
            Self::FleetCompact => drive::<fleet::Ours<Compact>>(plan),
            Self::TokioTask => drive::<tokio_task::Tasks<false>>(plan),
            Self::TokioTaskReset => drive::<tokio_task::Tasks<true>>(plan),
            Self::DelayQueue => drive::<Monitor<delay_queue::Queue>>(plan),
            Self::BtreeSet => drive::<Monitor<btree::Tree>>(plan),
            Self::HeapLazy => drive::<Monitor<heap::Heap<true>>>(plan),
            Self::HeapRecheck => drive::<Monitor<heap::Heap<false>>>(plan),
            Self::NexusTimer => drive::<Monitor<nexus::Nexus>>(plan),
            Self::Hhwt => drive::<Monitor<hhwt::Hhwt>>(plan),
            Self::BoundLazyWheel => drive::<lazy_wheel::LazyWheel>(plan),
            Self::BoundPhaseRing => drive::<phase_ring::PhaseRing>(plan),
            Self::Stores80 => drive::<stores::Stores<10>>(plan),
            Self::Stores104 => drive::<stores::Stores<13>>(plan),
        }
    }
}
