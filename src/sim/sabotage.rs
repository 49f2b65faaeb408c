//! [`Sabotage`]: machines that are broken on purpose, to show that the checker sees it.

use core::time::Duration;

use super::ghost::{Call, NEVER};
use crate::action::Action;
use crate::event::{Event, PingId};
use crate::finding::Findings;
use crate::liveness::{Liveness, Reason, Transition};

/// What a broken machine would do. The machine itself stays sound; what it says is falsified on its
/// way to the world and the checker. A test harness that cannot fail proves nothing: sabotage yours
/// once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sabotage {
    /// Nothing is falsified.
    #[default]
    None,
    /// A verdict by silence falls at the first miss.
    HastyVerdict,
    /// The silence told is a nanosecond too long.
    WrongSilence,
    /// Pings do not leave.
    NoPings,
    /// Pings are not answered.
    NoPongs,
    /// Data is answered by a pong too.
    PongForData,
    /// Calm signals are not sent, and sent where none are due.
    WrongCalm,
    /// A ping leaves after the end.
    PingAfterEnd,
    /// A call does two things of a kind.
    Twice,
    /// There is no wake-up.
    NoWakeUp,
    /// The wake-up does not move on.
    StuckWakeUp,
    /// Evidence makes the wake-up come sooner.
    HastyWakeUp,
    /// An early tick is taken for a due one.
    EarlyTick,
    /// A tick repeated at once is taken for a due one.
    RepeatedTick,
    /// A time that runs backwards is not told.
    SilentRegression,
    /// The wake-up asked for is an hour too late.
    LateWakeUp,
    /// Nobody calls at the wake-up.
    NoTicks,
}

impl Sabotage {
    /// Falsifies what a machine said.
    pub(crate) fn falsify(self, call: &mut Call) {
        let told = &mut call.told;
        match self {
            Self::HastyVerdict
                if told.change.is_some_and(|change| change.reason == Reason::Missed) =>
            {
                call.after = Liveness::Lost;
                let change = Transition::new(call.before, call.after, Reason::NoResponse);
                told.change = Some(change);
            }
            Self::WrongSilence => {
                if let Some(report) = &mut call.report {
                    report.silence += Duration::from_nanos(1);
                }
            }
            Self::NoPings => told.count -= u8::from(told.ping.take().is_some()),
            Self::NoPongs => told.count -= u8::from(told.pong.take().is_some()),
            Self::PongForData if call.event == Event::FrameReceived => {
                told.add(Action::SendPong { id: PingId::default(), calm: false });
            }
            Self::WrongCalm => {
                if let Some((_, calm)) = &mut told.pong {
                    *calm = !*calm;
                }
            }
            Self::PingAfterEnd if call.after == Liveness::Closed => {
                told.ping = Some((PingId::default(), call.given));
                told.count += 1;
            }
            Self::Twice if told.ping.is_some() => told.count += 1,
            Self::NoWakeUp if call.after == Liveness::Alive => call.next = NEVER,
            Self::LateWakeUp if call.next != NEVER => call.next += 3_600_000_000_000,
            Self::StuckWakeUp if call.due <= call.given => call.next = call.due,
            Self::HastyWakeUp if call.event == Event::FrameReceived && call.next != NEVER => {
                call.next = call.given + 1;
            }
            Self::SilentRegression if told.found == Findings::CLOCK_REGRESSION => {
                told.found = Findings::NONE;
                told.count -= 1;
            }
            _ => {}
        }
    }
}
