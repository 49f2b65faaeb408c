//! The configuration: every refusal in words, every preset in numbers, and every knob with an
//! effect.
#![allow(clippy::large_stack_arrays, reason = "a table of cases")]

mod common;

use core::fmt::Write as _;
use core::time::Duration;

use common::{MS, Rng, SEC, Solo, ms, secs};
use heartbeat_proto::detector::Deadline;
use heartbeat_proto::{
    Config, ConfigBuilder, ConfigError, Event, FirstPing, LatePolicy, LifeRule, Liveness, MAX_SPAN,
    Mode, PingId, PingSchedule, Probing, Reason, Verdict,
};

fn builder() -> ConfigBuilder {
    Config::builder().interval(secs(1)).timeout(secs(4))
}

/// Each variant, through the builder, and what it says.
#[test]
fn every_refusal_names_the_knob_the_value_and_the_limit() {
    let day = MAX_SPAN + Duration::from_nanos(1);
    let refusals = [
        (builder().interval(Duration::ZERO), "interval is zero"),
        (builder().timeout(Duration::ZERO), "timeout is zero"),
        (builder().min_gap(Duration::ZERO), "min_gap is zero"),
        (builder().keepalive(Duration::ZERO), "keepalive is zero"),
        (builder().slack(Duration::ZERO), "slack is zero"),
        (builder().accept_gap(Duration::ZERO), "accept_gap is zero"),
        (builder().startup_limit(Duration::ZERO), "startup_limit is zero"),
        (builder().drain_limit(Duration::ZERO), "drain_limit is zero"),
        (builder().down_interval(Duration::ZERO), "down_interval is zero"),
        (builder().late_policy(LatePolicy::Forgive(Duration::ZERO)), "LatePolicy::Forgive is zero"),
        (builder().write_reports(true).write_stall(Duration::ZERO), "write_stall is zero"),
        (builder().timeout(day), "timeout is 86400.000000001s but at most 86400s is allowed"),
        (
            builder().startup_grace(day),
            "startup_grace is 86400.000000001s but at most 86400s is allowed",
        ),
        (builder().interval(secs(4)), "interval is 4s but must be less than timeout, which is 4s"),
        (builder().ceiling(secs(3)), "ceiling is 3s but must be at least timeout, which is 4s"),
        (
            builder().floor(ms(1_999)),
            "floor is 1.999s but must be at least interval + response_window, which is 2s",
        ),
        (builder().floor(secs(5)), "floor is 5s but must be at most ceiling, which is 4s"),
        (
            builder().suspect_interval(ms(901)),
            "suspect_interval is 901ms but must be at most the jittered interval, which is 900ms",
        ),
        (
            builder().suspect_interval(ms(249)),
            "min_gap is 250ms but must be at most suspect_interval, which is 249ms",
        ),
        (
            builder().min_gap(ms(901)),
            "min_gap is 901ms but must be at most suspect_interval, which is 900ms",
        ),
        (
            builder().down_interval(ms(449)),
            "down_interval is 449ms but must be at least min_gap, which is 450ms",
        ),
        (
            builder().slack(ms(251)),
            "slack is 251ms but must be at most response_window / 4, which is 250ms",
        ),
        (builder().attempts(0), "attempts is 0 but must be in 1..=15"),
        (builder().attempts(16), "attempts is 16 but must be in 1..=15"),
        (builder().jitter_percent(51), "jitter_percent is 51 but must be in 0..=50"),
        (builder().verify_every(0), "verify_every is 0 but must be in 1..=255"),
        (builder().reopen_after(16), "reopen_after is 16 but must be in 0..=15"),
        (
            builder().ping_unanswered(16, Verdict::Report),
            "ping_unanswered limit is 16 but must be in 1..=14",
        ),
        (builder().probe_loss(3, 2, Verdict::Report), "probe_loss k is 3 but must be in 1..=2"),
        (builder().probe_loss(1, 13, Verdict::Report), "probe_loss n is 13 but must be in 1..=12"),
        (builder().probe_loss(0, 5, Verdict::Report), "probe_loss k is 0 but must be in 1..=5"),
        (builder().police(0, 3, Verdict::Report), "accept_burst is 0 but must be in 1..=255"),
        (builder().police(3, 16, Verdict::Report), "max_strikes is 16 but must be in 1..=15"),
        (builder().response_window(secs(1)), "timeout cannot be combined with response_window"),
        (
            builder().mode(Mode::Passive).life_rule(LifeRule::ExactPong),
            "a life rule that counts pongs only cannot be combined with a mode that sends no pings",
        ),
        (
            builder().mode(Mode::Responder).schedule(PingSchedule::External),
            "an external ping schedule cannot be combined with a mode that sends no pings",
        ),
        (
            builder().mode(Mode::Passive).keepalive(secs(1)),
            "keepalive cannot be combined with a mode without signs of life of its own, or with \
             nothing else",
        ),
        (
            builder().life_rule(LifeRule::AnyByte).reopen_after(1),
            "LifeRule::AnyByte (for streams) cannot be combined with reopen_after (for datagrams)",
        ),
    ];
    for (refused, line) in refusals {
        match refused.build() {
            Err(error) => assert_eq!(error.to_string(), line),
            Ok(config) => panic!("accepted, instead of {line}: {config:?}"),
        }
    }
    let wishes = [
        (Config::behind(ms(99)), "idle_limit is 99ms but must be in 100ms..=86400s"),
        (Config::detect_within(ms(5)), "detect_within is 5ms but must be in 6ms..=86400s"),
        (
            Config::detect_within(day),
            "detect_within is 86400.000000001s but must be in 6ms..=86400s",
        ),
    ];
    for (refused, line) in wishes {
        let error = refused.expect_err("a wish that cannot be fulfilled");
        assert!(matches!(error, ConfigError::Impossible { .. }));
        assert_eq!(error.to_string(), line);
    }
}

/// A refused builder can be corrected and tried again (INC-2022-418).
#[test]
fn a_refusal_is_not_for_ever() {
    let refused = builder().interval(secs(9));
    assert!(refused.build().is_err());
    assert!(refused.interval(secs(2)).build().is_ok());
}

/// Presets: interval, timeout, window, floor, ceiling, suspect interval, minimum gap, slack, and
/// the promise, in milliseconds.
#[test]
fn presets_have_their_documented_numbers() {
    let behind = Config::behind(secs(60)).expect("valid");
    let presets = [
        (Config::default(), [25_000, 55_000, 10_000, 35_000, 55_000, 10_000, 5_000, 50, 70_000]),
        (
            Config::messaging_15_45(),
            [15_000, 45_000, 10_000, 25_000, 45_000, 10_000, 5_000, 50, 60_000],
        ),
        (
            Config::messaging_30_90(),
            [30_000, 90_000, 20_000, 50_000, 90_000, 20_000, 10_000, 50, 120_000],
        ),
        (
            Config::messaging_60_120(),
            [60_000, 120_000, 20_000, 80_000, 120_000, 20_000, 10_000, 50, 150_000],
        ),
        (Config::lan(), [1_000, 4_000, 1_000, 2_000, 4_000, 900, 450, 50, 5_450]),
        (Config::wan(), [5_000, 20_000, 5_000, 10_000, 20_000, 4_500, 2_250, 50, 27_250]),
        (Config::service_mesh(), [300, 3_900, 1_200, 1_500, 3_900, 300, 300, 50, 5_400]),
        (behind, [20_000, 38_000, 6_000, 26_000, 38_000, 6_000, 3_000, 50, 47_000]),
    ];
    for (config, numbers) in presets {
        let found = [
            config.interval(),
            config.timeout(),
            config.response_window(),
            config.floor(),
            config.ceiling(),
            config.suspect_interval(),
            config.min_gap(),
            config.slack(),
            config.worst_case_detection(),
        ];
        assert_eq!(found, numbers.map(ms), "{config:?}");
        assert_eq!(config.attempts(), 3);
        assert_eq!(config.mode(), Mode::Symmetric);
        assert_eq!(config.late_policy(), LatePolicy::Reprobe);
        assert_eq!(config.startup_limit(), secs(10));
        assert_eq!(config.drain_limit(), secs(10));
        assert_eq!(config.keepalive(), Some(config.interval()));
        assert!(!config.write_reports() && !config.answer_each());
        assert_eq!(*config.detector(), Deadline::fixed());
    }
    assert_eq!(Config::builder().build(), Ok(Config::default()));
}

/// `detect_within` keeps its word over all wishes, and does not undercut it by more than a fifth.
#[test]
fn detect_within_keeps_its_word() {
    let mut rng = Rng(1);
    let wishes = (6..2_000).map(ms).chain((2..1_000).map(secs));
    let odd = (0..2_000).map(|_| Duration::from_nanos(6 * MS + rng.below(86_000 * SEC)));
    for wish in wishes.chain(odd).chain([MAX_SPAN]) {
        let config = Config::detect_within(wish).expect("a wish in range");
        let promise = config.worst_case_detection();
        assert!(promise <= wish, "{promise:?} for {wish:?}");
        assert!(promise >= wish * 4 / 5, "{promise:?} for {wish:?}");
        assert_eq!(config.attempts(), 3);
    }
}

/// Everything the machine says under a set of scripts: two configurations that differ in a knob
/// must differ here.
fn trace(config: Config) -> String {
    let mut log = String::new();
    let mut keep = |solo: Solo| {
        let _ = writeln!(log, "{:?} {:?}", solo.log, solo.machine.report());
    };
    let heard = || {
        let mut solo = Solo::new(config);
        let _ = solo.tell(Event::FrameReceived);
        solo
    };
    let run = |mut solo: Solo, script: &mut dyn FnMut(&mut Solo, u64)| {
        let start = solo.now;
        for step in 1..=120_u64 {
            solo.run_to(start + step * 250 * MS);
            script(&mut solo, step);
        }
        solo
    };
    // Never started; never answered; silent after a while, and back again.
    keep(run(Solo::idle(config, 1), &mut |_, _| ()));
    keep(run(Solo::new(config), &mut |_, _| ()));
    let mut solo = Solo::new(config);
    solo.answer_to(9 * SEC, 700 * MS);
    keep(run(solo, &mut |solo, step| {
        if let (Some(id), true) = (solo.last_ping(), step > 80) {
            let _ = solo.tell(Event::pong(id));
            let _ = solo.tell(Event::AnonymousPongReceived);
        }
    }));
    // Every kind of traffic, one kind a run; some of it late, with a blocked writer.
    let id = PingId::new(9, 3);
    for event in [
        Event::FrameReceived,
        Event::BytesReceived,
        Event::ping(id),
        Event::BeaconReceived { stamp: None, period: secs(1) },
        Event::PingDue,
        Event::TxBlocked,
        Event::AnonymousPongReceived,
        Event::LimitReceived { min_gap: secs(3_000) },
    ] {
        keep(run(heard(), &mut |solo, _| {
            let _ = solo.tell(event);
        }));
    }
    keep(run(heard(), &mut |solo, step| {
        let _ = solo.tell(if step < 40 { Event::FrameReceived } else { Event::Drain });
    }));
    // Late by various amounts.
    for late in [40 * MS, 120 * MS, 3 * SEC] {
        let mut solo = heard();
        solo.run_late(60 * SEC, |_| late);
        keep(solo);
    }
    log
}

/// Mutation in spirit: ignoring any one knob makes two of these traces equal.
#[test]
fn every_knob_has_an_effect() {
    let base = builder;
    let reopening = || builder().reopen_after(2);
    let writing = || builder().write_reports(true);
    let strict = Verdict::Convict;
    let adaptive = || builder().ceiling(secs(8)).detector(Deadline::rtt_adaptive(1));
    let pairs = [
        ("mode", base(), base().mode(Mode::Initiator)),
        ("mode", base().mode(Mode::Responder), base().mode(Mode::Passive)),
        ("mode", base(), base().mode(Mode::Beacon)),
        ("schedule", base(), base().schedule(PingSchedule::External)),
        ("probing", base(), base().probing(Probing::Always)),
        ("life_rule", base(), base().life_rule(LifeRule::AnyByte)),
        ("life_rule", base(), base().life_rule(LifeRule::AnyPong)),
        (
            "life_rule",
            base().ids(false).life_rule(LifeRule::AnyPong),
            base().ids(false).life_rule(LifeRule::ExactPong),
        ),
        ("late_policy", base(), base().late_policy(LatePolicy::Strict)),
        ("late_policy", base(), base().late_policy(LatePolicy::Forgive(secs(1)))),
        (
            "late_policy",
            base().late_policy(LatePolicy::Forgive(secs(2))),
            base().late_policy(LatePolicy::Forgive(secs(1))),
        ),
        ("first_ping", base(), base().first_ping(FirstPing::AfterInterval)),
        ("first_ping", base(), base().first_ping(FirstPing::Immediate)),
        ("ids", base(), base().ids(false)),
        ("write_reports", base(), writing()),
        ("interval", base(), base().interval(ms(1_100))),
        ("timeout", base(), base().timeout(ms(4_100))),
        (
            "response_window",
            Config::builder().interval(secs(1)).response_window(secs(1)),
            Config::builder().interval(secs(1)).response_window(ms(1_050)),
        ),
        ("floor", adaptive(), adaptive().floor(secs(6))),
        ("ceiling", base().ceiling(secs(5)), base().ceiling(secs(6))),
        ("min_gap", base(), base().min_gap(ms(300))),
        ("suspect_interval", base(), base().suspect_interval(ms(600))),
        ("down_interval", reopening(), reopening().down_interval(secs(2))),
        ("slack", base(), base().slack(ms(200))),
        ("startup_limit", base(), base().startup_limit(secs(9))),
        ("startup_grace", base(), base().startup_grace(secs(1))),
        ("drain_limit", base(), base().drain_limit(secs(5))),
        ("keepalive", base().probing(Probing::Always), base().keepalive(ms(450))),
        ("no_keepalive", base(), base().no_keepalive()),
        ("write_stall", writing(), writing().write_stall(ms(2_500))),
        ("accept_gap", base().accept_gap(secs(1)), base().accept_gap(secs(2))),
        ("attempts", base(), base().attempts(2)),
        ("jitter_percent", base().min_gap(ms(250)), base().min_gap(ms(250)).jitter_percent(9)),
        ("verify_every", base(), base().verify_every(8)),
        ("ping_unanswered", base(), base().ping_unanswered(2, Verdict::Report)),
        ("ping_unanswered", base(), base().ping_unanswered(3, strict)),
        ("ping_unanswered", base(), base().ping_unanswered(3, Verdict::Ignore)),
        ("probe_loss", base(), base().probe_loss(2, 5, Verdict::Report)),
        (
            "probe_loss k",
            base().probe_loss(2, 5, Verdict::Report),
            base().probe_loss(3, 5, Verdict::Report),
        ),
        (
            "probe_loss verdict",
            base().probe_loss(2, 5, Verdict::Report),
            base().probe_loss(2, 5, strict),
        ),
        (
            "police burst",
            base().accept_gap(secs(2)),
            base().accept_gap(secs(2)).police(4, 3, Verdict::Report),
        ),
        (
            "police strikes",
            base().accept_gap(secs(2)),
            base().accept_gap(secs(2)).police(3, 2, Verdict::Report),
        ),
        (
            "police verdict",
            base().accept_gap(secs(2)),
            base().accept_gap(secs(2)).police(3, 3, strict),
        ),
        ("reopen_after", reopening(), builder().reopen_after(3)),
        ("detector", builder().ceiling(secs(8)), adaptive()),
    ];
    let mut idle = Vec::new();
    for (knob, one, other) in pairs {
        let [one, other] = [one, other].map(|builder| trace(builder.build().expect("valid")));
        if one == other {
            idle.push(knob);
        }
    }
    assert!(idle.is_empty(), "without effect: {idle:?}");
    // The one knob that the driver acts on.
    assert!(base().answer_each(true).build().expect("valid").answer_each());
    // And the same configuration says the same.
    assert_eq!(trace(Config::lan()), trace(Config::lan()));
}

/// LC3: a drain timeout is final, also where a lost peer may come back: no wake-up is left (there
/// was one in the past, for ever), and late life reopens nothing.
#[test]
fn a_drain_timeout_is_final_where_losses_are_not() {
    let mut solo = Solo::alive(builder().reopen_after(1).build().expect("valid"));
    let _ = solo.tell(Event::Drain);
    solo.run_out();
    assert_eq!(solo.verdict(), Some((10 * SEC + 1, Reason::DrainTimeout)));
    let id = PingId::new(solo.machine.state().epoch(), 1);
    for event in [Event::Tick, Event::FrameReceived, Event::pong(id), Event::PingDue] {
        let _ = solo.tell(event);
        assert_eq!(solo.due(), None);
        assert_eq!(solo.machine.liveness(), Liveness::Lost);
    }
    assert!(solo.pings().is_empty());
}

/// The n of k-of-n: losses further apart than n pings are forgotten.
#[test]
fn probe_loss_forgets_what_is_older_than_n_pings() {
    let suspicions = |n| {
        let builder = Config::builder().interval(secs(1)).response_window(ms(850));
        let builder = builder.probing(Probing::Always).jitter_percent(0);
        let config = builder.probe_loss(2, n, Verdict::Report).build().expect("valid");
        let mut solo = Solo::alive(config);
        // Every fourth ping is lost, under traffic, so that losses are no misses.
        let mut pings = 0;
        for step in 1..4_000 {
            solo.run_to(step * 100 * MS);
            let _ = solo.tell(Event::FrameReceived);
            if solo.pings().len() > pings {
                pings += 1;
                if pings % 4 != 0 {
                    let id = solo.last_ping().expect("a ping");
                    let _ = solo.tell(Event::pong(id));
                }
            }
        }
        assert!(pings > 100);
        solo.machine.stats().suspicions
    };
    assert_eq!(suspicions(3), 0);
    assert!(suspicions(5) > 0);
}
