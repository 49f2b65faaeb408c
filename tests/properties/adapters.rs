//! M1 for the drivers of the adapters: a time that runs back counts as the newest.

use heartbeat_proto::adapter::{Driver, Setup, StreamDriver};
use heartbeat_proto::codec::Frame;
use heartbeat_proto::detector::Deadline;
use heartbeat_proto::{Config, Event, PingId, Timestamp};
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const START: u64 = 1_000_000 * MS;

/// What a transport and an application do.
#[derive(Clone, Copy, Debug)]
enum Step {
    Ping(u32),
    Pong,
    Goodbye,
    Data,
    Tick,
    /// The transport takes so many bytes.
    Write(usize),
    Blocked,
    Stage,
    Close,
    EndOfInput,
    Due,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..9u32).prop_map(Step::Ping),
        3 => Just(Step::Pong),
        1 => Just(Step::Goodbye),
        2 => Just(Step::Data),
        6 => Just(Step::Tick),
        5 => (1..60usize).prop_map(Step::Write),
        2 => Just(Step::Blocked),
        2 => Just(Step::Stage),
        1 => Just(Step::Close),
        1 => Just(Step::EndOfInput),
        1 => Just(Step::Due),
    ]
}

/// To the deadline and a bit beyond or before, on, or back.
#[derive(Clone, Copy, Debug)]
enum Move {
    ToDeadline(i64),
    By(u64),
    Back(u64),
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (-1..=1i64).prop_map(Move::ToDeadline),
        1 => (0..600_000_000i64).prop_map(Move::ToDeadline),
        2 => (0..100 * MS).prop_map(Move::By),
        3 => (0..2_000 * MS).prop_map(Move::Back),
    ]
}

fn setup() -> Setup<Deadline> {
    let config = Config::builder()
        .interval(core::time::Duration::from_millis(100))
        .timeout(core::time::Duration::from_millis(400))
        .drain_limit(core::time::Duration::from_millis(300));
    Setup::new(config.build().expect("valid")).seed(7)
}

fn act(stream: &mut StreamDriver, step: Step, now: Timestamp) {
    let epoch = stream.driver().machine().state().epoch();
    let seq = u32::try_from(stream.driver().machine().stats().pings_sent).unwrap_or(0);
    let (id, handle, stamp, status) = (PingId::new(epoch, seq), 1, 2, None);
    stream.driver_mut().tick(now); // Not every step tells the machine the time.
    match step {
        Step::Ping(seq) => {
            let frame = Frame::Ping { id: PingId::new(3, seq), handle, stamp, status };
            stream.driver_mut().received(&frame, now);
        }
        Step::Pong => stream.driver_mut().handle(Event::pong(id), now),
        Step::Goodbye => {
            stream.driver_mut().received(&Frame::Goodbye { epoch: 3, reason: 0 }, now);
        }
        Step::Data => stream.received(&[0xb0, 7, 0, 1, 42], now),
        Step::Tick => stream.driver_mut().tick(now),
        Step::Write(most) => {
            let len = stream.to_write(now).len().min(most);
            stream.wrote(len, now);
        }
        Step::Blocked => stream.driver_mut().blocked(now),
        Step::Stage => drop(stream.stage(b"some data")),
        Step::Close => stream.close(now),
        Step::EndOfInput => stream.received_end(),
        Step::Due => stream.driver_mut().handle(Event::PingDue, now),
    }
}

/// The frame, without the handle and the clock that each driver drew for itself.
fn plain(frame: Option<Frame>) -> Option<Frame> {
    frame.map(|frame| match frame {
        Frame::Ping { id, status, .. } => Frame::Ping { id, handle: 0, stamp: 0, status },
        Frame::Pong { id, stamp, hold, calm, status, .. } => {
            Frame::Pong { id, handle: 0, stamp, hold, calm, status }
        }
        Frame::Beacon { id, period, status, .. } => {
            Frame::Beacon { id, handle: 0, stamp: 0, period, status }
        }
        other => other,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn m1_monotone_for_stream_drivers(
        script in prop::collection::vec((moves(), step()), 1..60),
    ) {
        let at = Timestamp::from_nanos;
        let mut stepping = StreamDriver::new(setup(), at(START));
        let mut steady = StreamDriver::new(setup(), at(START));
        let mut newest = START;
        for (moved, step) in script {
            let due = stepping.driver().next_deadline().map_or(newest, Timestamp::as_nanos);
            let given = match moved {
                Move::ToDeadline(offset) => due.saturating_add_signed(offset),
                Move::By(span) => newest + span,
                Move::Back(span) => newest.saturating_sub(span),
            };
            newest = newest.max(given);
            act(&mut stepping, step, at(given));
            act(&mut steady, step, at(newest));
            let [one, other] = [stepping.driver_mut(), steady.driver_mut()];
            prop_assert_eq!(one.next_deadline(), other.next_deadline(), "after {:?}", step);
            prop_assert_eq!(one.liveness(), other.liveness());
            prop_assert_eq!(one.ended(), other.ended());
            prop_assert_eq!(one.report(), other.report());
            prop_assert_eq!(one.machine().state(), other.machine().state());
            prop_assert_eq!(plain(one.next_frame(at(given))), plain(other.next_frame(at(newest))));
            prop_assert_eq!(stepping.has_output(), steady.has_output());
        }
    }

    /// A driver for datagrams, whose peer may come back.
    #[test]
    fn m1_monotone_for_datagram_drivers(times in prop::collection::vec(any::<u64>(), 1..60)) {
        let mut driver = Driver::new(setup(), Timestamp::from_nanos(START));
        for time in times {
            let now = Timestamp::from_nanos(time);
            driver.tick(now);
            driver.blocked(now);
            driver.expire(now);
            prop_assert!(driver.next_deadline().is_none_or(|due| due > Timestamp::EPOCH));
        }
    }
}
