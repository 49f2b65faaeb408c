//! [`Fault`]: everything that can happen to a world.

use core::fmt;

use crate::event::Event;

/// Something that happens to a world at a moment. Ends `2 k` and `2 k + 1` belong to link `k`; a
/// fault of a path is one of the direction away from its end. All of them last until they are set
/// otherwise, and no order of them makes no sense: what cannot happen does not. Spans are in
/// nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
#[non_exhaustive]
pub enum Fault {
    /// Nothing that the end sends arrives any more: a one-way partition.
    Cut { end: usize },
    /// The path carries again.
    Mend { end: usize },
    /// Frames get lost, so many of 1024.
    Lose { end: usize, of_1024: u16 },
    /// Frames arrive twice, so many of 1024.
    Duplicate { end: usize, of_1024: u16 },
    /// Frames take this long.
    Delay { end: usize, span: u64 },
    /// Frames take up to this much longer, at random, and overtake each other or not.
    Jitter { end: usize, span: u64, reorder: bool },
    /// A heartbeat occupies the path for so long, and data for eight times as long; 0: not at all.
    Narrow { end: usize, frame_time: u64 },
    /// The application sends data about this often; 0: never.
    Traffic { end: usize, gap: u64 },
    /// Each frame takes so long to be written (where writes are reported).
    SlowWriter { end: usize, span: u64 },
    /// The writer takes nothing (where writes are reported).
    Block { end: usize },
    /// The writer takes bytes again.
    Unblock { end: usize },
    /// The caller answers requests for probes after so long, or not at all.
    Prober { end: usize, after: Option<u64> },
    /// A pong of another connection, or of a ping that was never sent, comes in.
    Stray { end: usize, other_epoch: bool },
    /// The machine is told something.
    Tell { end: usize, event: Event },
    /// The process of the node stands still.
    Freeze { node: usize },
    /// It runs again.
    Thaw { node: usize },
    /// Each tick comes up to this much late.
    Late { node: usize, most: u64 },
    /// The driver ticks before it reads, or not.
    TickFirst { node: usize, on: bool },
    /// The host falls asleep, and its machines are told, or not.
    Suspend { node: usize, told: bool },
    /// It wakes up; its clock stood still meanwhile, or not; its machines are told, or not.
    Wake { node: usize, clock_stood: bool, told: bool },
    /// The node's clock is fast by so many parts per million, or slow.
    Drift { node: usize, ppm: i32 },
    /// The node's clock jumps.
    Step { node: usize, by: i64 },
    /// The node dies without a word.
    Crash { node: usize },
    /// It comes back with fresh machines. On streams its peers connect anew.
    Restart { node: usize },
    /// Both ends of a link begin its next connection, if both their nodes run: with fresh machines,
    /// or by [`reconnected`](crate::HeartbeatMachine::reconnected).
    Reconnect { link: usize, fresh: bool },
}

impl Fault {
    /// How many kinds there are.
    pub(crate) const KINDS: usize = Self::NAMES.len();

    /// Their stable names.
    pub(crate) const NAMES: [&str; 25] = [
        "cut",
        "mend",
        "lose",
        "duplicate",
        "delay",
        "jitter",
        "narrow",
        "traffic",
        "slow_writer",
        "block",
        "unblock",
        "prober",
        "stray",
        "tell",
        "freeze",
        "thaw",
        "late",
        "tick_first",
        "suspend",
        "wake",
        "drift",
        "step",
        "crash",
        "restart",
        "reconnect",
    ];

    /// Which of them it is.
    pub(crate) const fn kind(&self) -> usize {
        match self {
            Self::Cut { .. } => 0,
            Self::Mend { .. } => 1,
            Self::Lose { .. } => 2,
            Self::Duplicate { .. } => 3,
            Self::Delay { .. } => 4,
            Self::Jitter { .. } => 5,
            Self::Narrow { .. } => 6,
            Self::Traffic { .. } => 7,
            Self::SlowWriter { .. } => 8,
            Self::Block { .. } => 9,
            Self::Unblock { .. } => 10,
            Self::Prober { .. } => 11,
            Self::Stray { .. } => 12,
            Self::Tell { .. } => 13,
            Self::Freeze { .. } => 14,
            Self::Thaw { .. } => 15,
            Self::Late { .. } => 16,
            Self::TickFirst { .. } => 17,
            Self::Suspend { .. } => 18,
            Self::Wake { .. } => 19,
            Self::Drift { .. } => 20,
            Self::Step { .. } => 21,
            Self::Crash { .. } => 22,
            Self::Restart { .. } => 23,
            Self::Reconnect { .. } => 24,
        }
    }
}

/// `cut end 1`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES[self.kind()];
        match *self {
            Self::Cut { end }
            | Self::Mend { end }
            | Self::Block { end }
            | Self::Unblock { end } => {
                write!(f, "{name} end {end}")
            }
            Self::Lose { end, of_1024 } | Self::Duplicate { end, of_1024 } => {
                write!(f, "{name} end {end} {of_1024}/1024")
            }
            Self::Delay { end, span }
            | Self::Narrow { end, frame_time: span }
            | Self::Traffic { end, gap: span }
            | Self::SlowWriter { end, span } => write!(f, "{name} end {end} {}", Span(span)),
            Self::Jitter { end, span, reorder } => {
                let order = if reorder { "reordering" } else { "in order" };
                write!(f, "{name} end {end} {} {order}", Span(span))
            }
            Self::Prober { end, after: Some(after) } => {
                write!(f, "{name} end {end} after {}", Span(after))
            }
            Self::Prober { end, after: None } => write!(f, "{name} end {end} never"),
            Self::Stray { end, other_epoch } => {
                let what = if other_epoch { "other epoch" } else { "never sent" };
                write!(f, "{name} end {end} {what}")
            }
            Self::Tell { end, event } => write!(f, "{name} end {end} {event:?}"),
            Self::Freeze { node }
            | Self::Thaw { node }
            | Self::Crash { node }
            | Self::Restart { node } => write!(f, "{name} node {node}"),
            Self::Late { node, most } => write!(f, "{name} node {node} up to {}", Span(most)),
            Self::TickFirst { node, on } => write!(f, "{name} node {node} {on}"),
            Self::Suspend { node, told } => write!(f, "{name} node {node} told {told}"),
            Self::Wake { node, clock_stood, told } => {
                write!(f, "{name} node {node} clock stood {clock_stood} told {told}")
            }
            Self::Drift { node, ppm } => write!(f, "{name} node {node} {ppm} ppm"),
            Self::Step { node, by } => write!(f, "{name} node {node} by {by} ns"),
            Self::Reconnect { link, fresh } => write!(f, "{name} link {link} fresh {fresh}"),
        }
    }
}

/// A span in nanoseconds, for people.
pub(crate) struct Span(pub(crate) u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", core::time::Duration::from_nanos(self.0))
    }
}
