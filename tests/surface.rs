//! What people ask for and no rule does: getters, texts, conversions, and refusals of a rare kind.
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]
#![allow(clippy::large_types_passed_by_value, reason = "configurations are values; no speed here")]

mod common;

use core::fmt::{self, Display, Write};
use core::time::Duration;

use common::{RESUME, SEC, Solo, at, secs};
use heartbeat_proto::detector::{Deadline, Detector, Evidence, Trust};
use heartbeat_proto::{
    Action, Config, ConfigBuilder, ConfigError, Echo, Event, Fault, Findings, HeartbeatMachine,
    Histogram, LatePolicy, Limits, Liveness, MAX_SPAN, PeerState, PingId, PingSchedule, Reason,
    Timestamp, Verdict, Wish, negotiate,
};

/// Room for so many bytes of text.
struct Room(usize);

impl Write for Room {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// Writing into too little room says so, wherever it ends.
fn says_when_cut(what: &dyn Display) {
    let whole = what.to_string().len();
    for room in 0..whole {
        assert!(write!(Room(room), "{what}").is_err(), "{what} in {room} bytes");
    }
    assert!(write!(Room(whole), "{what}").is_ok());
}

#[test]
fn moments_are_added_and_subtracted_within_their_range() {
    let (one, two) = (Timestamp::from_nanos(1), Timestamp::from_nanos(3));
    let span = Duration::from_nanos(2);
    assert_eq!(one.checked_add(span), Some(two));
    assert_eq!(Timestamp::MAX.checked_add(span), None);
    assert_eq!(one.checked_add(Duration::MAX), None);
    assert_eq!(two.saturating_sub(span), one);
    assert_eq!(one.saturating_sub(span), Timestamp::EPOCH);
    assert_eq!(two.checked_duration_since(one), Some(span));
    assert_eq!(one.checked_duration_since(two), None);
}

#[test]
fn a_histogram_takes_spans_of_any_length() {
    let mut spans = Histogram::default();
    assert_eq!(spans.percentile(50), Duration::ZERO);
    for span in [Duration::ZERO, Duration::from_micros(3), Duration::MAX] {
        spans.record(span);
    }
    assert_eq!((spans.count(), spans.max()), (3, Duration::from_nanos(u64::MAX)));
    assert!(spans.percentile(0) <= spans.percentile(50));
    assert_eq!(spans.percentile(255), spans.max(), "no counted span exceeds it");
    // Two together: bucket by bucket, and the longest of both.
    let mut both = Histogram::default();
    both.record(Duration::from_micros(3));
    for _ in 0..2 {
        both += &spans;
    }
    assert_eq!((both.count(), both.max()), (7, spans.max()));
    assert_eq!(both.percentile(50), Duration::from_micros(4) - Duration::from_nanos(1));
    let longest = both;
    both += &Histogram::default();
    assert_eq!(both, longest);
}

#[test]
fn what_is_told_can_be_read() {
    let builder = Config::builder().interval(secs(10)).timeout(secs(40));
    let builder = builder.write_reports(true).write_stall(secs(5));
    let mut solo = Solo::alive(builder.build().expect("valid"));
    let actions = solo.machine.handle(Event::PingDue, at(SEC));
    assert!(format!("{actions:?}").starts_with("[SendPing {"), "{actions:?}");
    solo.run_out();
    let report = solo.machine.report().expect("a verdict");
    assert_eq!((report.reason, report.fault()), (Reason::WriteStalled, Fault::Path));
    assert!(report.to_string().contains(", a ping unwritten for 5.000s, "), "{report}");
    assert_eq!(solo.machine.rtt_histogram().count(), 0);
    let first = solo.log.iter().find_map(|(_, action)| match action {
        Action::Notify(change) => Some(change.to_string()),
        _ => None,
    });
    assert_eq!(first.as_deref(), Some("idle -> starting (started)"));
    assert_eq!(Findings::NONE.with(Findings::LATE_CALL).bits(), 2);
    says_when_cut(&report);
    says_when_cut(&Findings::MISS.with(Findings::LATE_CALL));
}

#[test]
fn an_observer_that_was_late_for_most_of_the_silence_is_at_fault() {
    let builder = Config::builder().interval(secs(10)).timeout(secs(40));
    let config = builder.late_policy(LatePolicy::Strict).build().expect("valid");
    for (late, fault) in [(100 * SEC, Fault::Observer), (0, Fault::PeerOrPath)] {
        let mut solo = Solo::alive(config);
        solo.run_late(200 * SEC, |_| late);
        solo.run_out();
        assert_eq!(solo.machine.report().expect("a verdict").fault(), fault);
    }
}

#[test]
fn a_peer_that_breaks_the_protocol_is_at_fault_itself() {
    let config = |builder: ConfigBuilder| builder.build().expect("valid");
    let lan = Config::builder().interval(secs(1)).timeout(secs(4));
    let mut silent = Solo::alive(config(lan.ping_unanswered(1, Verdict::Convict)));
    while silent.verdict().is_none() {
        let _ = silent.tell(Event::FrameReceived);
        let due = silent.due().expect("live");
        let _ = silent.tell_at(due, Event::Tick);
    }
    let mut rude = Solo::alive(config(lan.accept_gap(secs(1)).police(1, 1, Verdict::Convict)));
    for seq in 1..=2 {
        let _ = rude.tell(Event::ping(PingId::new(1, seq)));
    }
    for (solo, reason) in [(silent, Reason::PingUnanswered), (rude, Reason::PingAbuse)] {
        let report = solo.machine.report().expect("a verdict");
        assert_eq!((report.reason, report.fault().code()), (reason, "peer"), "{report}");
    }
}

/// CF4, A6: a gap beyond what can be kept is one beyond the limit.
#[test]
fn a_limit_of_centuries_slows_to_the_limit() {
    let mut solo = Solo::alive(Config::lan());
    let _ = solo.tell(Event::LimitReceived { min_gap: Duration::MAX });
    assert_eq!(solo.found(Findings::LIMIT_EXCEEDED), 1);
    let config = solo.machine.config();
    let limit = config.ceiling().saturating_sub(config.response_window());
    assert_eq!(solo.machine.effective_interval(), limit);
}

/// Trusts for four round trips, as the machine measured them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FourTrips;

impl Detector for FourTrips {
    type State = ();

    fn learn(&self, (): &mut (), _: &Evidence) {}

    fn deadline(&self, (): &(), trust: &Trust) -> Timestamp {
        let trip = trust.rtt().smoothed().unwrap_or(secs(1));
        trust.since().saturating_add(4 * trip)
    }
}

#[test]
fn detectors_see_the_round_trip() {
    let config = Config::builder().detector(FourTrips).build().expect("valid");
    let mut machine = HeartbeatMachine::new(config, 7, at(0));
    let _ = machine.handle(Event::Start, at(0));
    let _ = machine.handle(Event::PingDue, at(0));
    let id = PingId::new(machine.state().epoch(), 1);
    let _ = machine.handle(Event::pong(id), at(SEC / 2));
    let at_limit = machine.suspicion(at(SEC / 2).saturating_add(secs(2)));
    assert!((at_limit - 1.0).abs() < 1e-9, "{at_limit}");
    assert_eq!(Deadline::rtt_adaptive(0), Deadline::rtt_adaptive(1));
}

/// CF2: refusals that need a span of their own.
#[test]
fn rare_mistakes_are_refused_too() {
    let (zero, long) = (Duration::ZERO, MAX_SPAN + Duration::from_nanos(1));
    let ns = Duration::from_nanos;
    let base = Config::builder().interval(secs(10)).timeout(secs(40));
    let windows = Config::builder().interval(secs(10));
    let refused = [
        base.ceiling(zero),
        base.floor(long),
        base.suspect_interval(zero),
        Config::builder().interval(MAX_SPAN),
        windows.response_window(zero),
        windows.response_window(MAX_SPAN),
        Config::builder().interval(ns(1)).timeout(ns(3)).attempts(3),
    ];
    for builder in refused {
        let error = builder.build().expect_err("impossible");
        let expected = matches!(
            error,
            ConfigError::Zero { .. } | ConfigError::TooLong { .. } | ConfigError::Below { .. }
        );
        assert!(expected, "{error}");
    }
}

/// LC1: a normalised state that waits for its start starts like the original.
#[test]
fn an_idle_state_is_normalised() {
    let config = Config::lan();
    let mut one: PeerState<Deadline, Echo> = PeerState::new(7, at(0));
    let mut other = one.normalized(&config, at(SEC));
    let normal = PeerState::<Deadline, Echo>::NORMAL_NOW;
    let _ =
        (one.handle(&config, Event::Start, at(SEC)), other.handle(&config, Event::Start, normal));
    let ahead = |peer: &PeerState<Deadline, Echo>, now: Timestamp| {
        let (due, why) = peer.next_deadline(&config).expect("live");
        (due.saturating_duration_since(now), why)
    };
    assert_eq!(ahead(&one, at(SEC)), ahead(&other, normal));
}

/// LC5: a caller that never probes is asked again after a resume.
#[test]
fn a_request_is_made_anew_after_a_resume() {
    let builder = Config::builder().interval(secs(10)).timeout(secs(40));
    let config = builder.schedule(PingSchedule::External).no_keepalive().build().expect("valid");
    let mut solo = Solo::alive(config);
    let _ = solo.tell(Event::PingDue);
    let _ = solo.tell(Event::Suspend);
    let _ = solo.tell_at(50 * SEC, RESUME);
    let asked = |actions: &[Action]| actions.contains(&Action::RequestProbe);
    let mut found = false;
    while let Some(due) = solo.due() {
        found |= asked(&solo.tell_at(due, Event::Tick));
    }
    assert!(found || solo.log.iter().any(|(_, action)| *action == Action::RequestProbe));
    assert_eq!(solo.machine.liveness(), Liveness::Lost);
}

/// J5: where the caller is asked for probes and sends none, the silence is the caller's own fault.
#[test]
fn who_never_probes_is_at_fault() {
    let builder = Config::builder().interval(secs(10)).timeout(secs(40));
    let config = builder.schedule(PingSchedule::External).no_keepalive().build().expect("valid");
    let mut solo = Solo::alive(config);
    while let Some(due) = solo.due() {
        let _ = solo.tell_at(due, Event::Tick);
    }
    let report = solo.machine.report().expect("a verdict");
    assert_eq!((report.reason, report.fault()), (Reason::NotProbed, Fault::Observer), "{report}");
}

#[test]
fn what_was_negotiated_can_be_read() {
    let limits = |every| {
        Limits::new(Wish::Every(secs(every)), Some(secs(40)), secs(1)).expect("valid limits")
    };
    let (ours, theirs) = (limits(5), limits(10));
    assert_eq!((ours.interval(), ours.min_gap()), (Wish::Every(secs(5)), secs(1)));
    let never = Limits::new(Wish::Disabled, None, secs(1)).expect("valid limits");
    let any = Limits::new(Wish::NoPreference, None, secs(1)).expect("valid limits");
    assert_eq!((never.interval(), any.interval()), (Wish::Disabled, Wish::NoPreference));
    assert!(format!("{ours:?}").starts_with("Limits { interval: Every(5s), "), "{ours:?}");
    let agreed = negotiate(&ours, &theirs).expect("compatible");
    assert_eq!((agreed.send_gap(), agreed.receive_gap()), (secs(1), secs(1)));
    assert!(format!("{agreed:?}").starts_with("Effective { send_interval: "), "{agreed:?}");
}

#[cfg(feature = "codec")]
mod codec {
    use core::time::Duration;

    use heartbeat_proto::codec::{
        DecodeError, Decoder, EncodeError, Frame, Hello, Item, Link, MAX_FRAME, Status, datagram,
    };
    use heartbeat_proto::{Event, Limits, PingId, Timestamp, Wish};

    #[test]
    fn what_a_peer_says_of_itself_can_be_read() {
        let limits = Limits::new(Wish::NoPreference, None, Duration::from_secs(1)).expect("valid");
        let hello = Hello::new(1, 2, limits).with_revision(3).with_ack(4).with_stamp(5);
        assert_eq!((hello.epoch(), hello.nonce(), hello.revision()), (1, 2, 3));
        assert_eq!((hello.ack(), hello.stamp(), hello.limits()), (4, 5, limits));
        let status = Status::default().with_alive(false).with_ready(true).with_sustained(false);
        let status = status.with_draining(true).with_load(7).expect("at most 100").with_reason(9);
        let flags = [status.is_alive(), status.is_ready(), status.is_sustained()];
        assert_eq!((flags, status.is_draining()), ([false, true, false], true));
        assert_eq!((status.load(), status.reason()), (7, 9));
        let error = Status::new().with_load(101).expect_err("above 100");
        assert!(error.to_string().contains("101"), "{error}");
    }

    #[test]
    fn frames_of_our_own_that_come_back_are_misdirected() {
        let mut link = Link::new(0, 42).with_epoch(8);
        let now = Timestamp::from_nanos(1);
        let action = heartbeat_proto::Action::SendBeacon { id: PingId::new(8, 1), stamp: now };
        let own = link.frame(&action, now).expect("a beacon");
        assert_eq!(link.event(&own, now), None);
        let limits = Limits::new(Wish::NoPreference, None, Duration::from_secs(1)).expect("valid");
        assert_eq!(link.event(&Frame::Hello(Hello::new(8, 2, limits)), now), None);
        assert_eq!(link.misdirected(), 2);
        assert_eq!(link.event(&Frame::Unknown { kind: 0x81 }, now), Some(Event::FrameReceived));
    }

    #[test]
    fn what_cannot_be_written_or_read_says_why() {
        let unknown = Frame::Unknown { kind: 0x81 };
        let mut out = Vec::new();
        assert_eq!(unknown.encode(&mut out), Err(EncodeError::Unknown { kind: 0x81 }));
        assert!(out.is_empty());
        // A seal of the wrong length behind a ping.
        let ping = Frame::Ping { id: PingId::new(1, 1), handle: 2, stamp: 3, status: None };
        let mut bytes = [0; MAX_FRAME];
        let len = ping.encode_into(&mut bytes).expect("it fits");
        bytes[3] += 3;
        bytes[len..len + 2].copy_from_slice(&[0x7f, 1]);
        for kind in 1..=0x7f {
            bytes[len] = kind;
            let found = datagram::decode(&bytes[..len + 3]);
            let plain = found == Ok(ping);
            let wrong = matches!(found, Err(DecodeError::ExtensionLength { found: 1, .. }));
            assert!(plain || wrong, "{kind}: {found:?}");
        }
    }

    #[test]
    fn a_decoder_begins_at_the_start_of_a_stream() {
        let mut decoder = Decoder::default();
        let goodbye = Frame::Goodbye { epoch: 1, reason: 0 };
        let mut bytes = [0; MAX_FRAME];
        let len = goodbye.encode_into(&mut bytes).expect("it fits");
        let (taken, item) = decoder.feed(&bytes[..len]).expect("a good frame");
        assert_eq!((taken, item), (len, Some(Item::Frame(goodbye))));
        assert_eq!(item.expect("a frame").data(&bytes), [0; 0]);
    }
}

#[cfg(feature = "auth")]
mod auth {
    use core::time::Duration;

    use heartbeat_proto::codec::auth::{AuthError, KeyError, KeyRing, Opener, SealError, Sealer};
    use heartbeat_proto::codec::{Frame, MAX_FRAME};
    use heartbeat_proto::{PingId, Timestamp};

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    #[test]
    fn keys_are_checked_and_chosen() {
        let mut keys = KeyRing::new(1, SECRET).expect("long enough");
        assert!(matches!(keys.insert(2, b"short"), Err(KeyError::TooShort { found: 5 })));
        assert_eq!((keys.use_key(1), keys.current()), (Ok(()), 1));
    }

    #[test]
    fn a_frame_that_cannot_be_written_is_not_sealed() {
        let keys = KeyRing::new(1, SECRET).expect("long enough");
        let mut sealer = Sealer::new(1, 2).expect("two nonces");
        let found = sealer.seal(&keys, &Frame::Unknown { kind: 0x81 }, &mut [0; MAX_FRAME]);
        assert!(matches!(found, Err(SealError::Encode(_))), "{found:?}");
    }

    #[test]
    fn the_limit_on_the_skew_can_be_set() {
        let keys = KeyRing::new(1, SECRET).expect("long enough");
        let mut sealer = Sealer::new(1, 2).expect("two nonces");
        let mut opener = Opener::new(2, 1).expect("two nonces").with_skew_limit(Duration::ZERO);
        let mut open = |stamp, now| {
            let ping = Frame::Ping { id: PingId::new(1, 1), handle: 5, stamp, status: None };
            let mut bytes = [0; MAX_FRAME];
            let len = sealer.seal(&keys, &ping, &mut bytes).expect("it fits");
            opener.open(&keys, &bytes[..len], Timestamp::from_nanos(now)).map(drop)
        };
        assert_eq!(open(100, 5_000), Ok(()));
        assert!(matches!(open(200, 9_000), Err(AuthError::Skew { .. })));
    }
}
