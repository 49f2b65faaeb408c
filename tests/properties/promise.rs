//! The detection promise (L1, rules CF5 and CF6) and its other half (S3, nobody healthy is
//! convicted), over a grid of configurations, moments of death and scripts of lateness. What is
//! random is seeded: no false failures.

use heartbeat_proto::detector::Detector;
use heartbeat_proto::{
    Config, ConfigBuilder, ConfigError, Echo, Event, FirstPing, LatePolicy, Ledger, LifeRule, Mode,
    PingSchedule, Probing, Reason, Table,
};
use proptest::prelude::*;

use crate::common::{MS, Rng, SEC, ms, nanos, secs};
use crate::configs::{Rules, rules};
use crate::peer::{Driver, Run, Writer};

/// How long a peer that answers may seem silent, if up to `k` pings in a row are lost and driver
/// and writer together are late for each by up to `late` (invariant S3).
fn longest_silence(rules: &Rules, k: u64, late: u64) -> u64 {
    let (interval, window) = (rules.interval(), rules.window());
    let suspect = nanos(rules.config.suspect_interval());
    let (first, gaps) = if rules.is_plain() {
        (interval, if k == 0 { 0 } else { window.max(suspect) + (k - 1) * suspect })
    } else {
        // One ping, or one request, at a time.
        (interval.max(window + 1), k * suspect.max(window + 1))
    };
    first + gaps + window + (k + 2) * late
}

/// No verdict by silence on a peer that answers.
fn spares_the_living<L: Ledger>(
    rules: &Rules,
    (k, seed): (u32, u64),
    (driver, late): (Driver, u64),
    delay: u64,
) -> Result<(), TestCaseError> {
    let writer = if delay == 0 { Writer::Instant } else { Writer::Slow(delay) };
    let mut run = Run::<_, L>::new(rules.config, seed, driver, writer, rules.window());
    (run.varies, run.loses, run.ids) = (true, k, rules.ids);
    run.run_to(40 * rules.timeout());
    let silent = [Reason::NoResponse, Reason::Silence, Reason::NotProbed, Reason::WriteStalled];
    let verdict = run.verdict.filter(|(_, reason)| silent.contains(reason));
    prop_assert_eq!(verdict, None, "late by up to {}, written after {}", late, delay);
    Ok(())
}

proptest! {
    // Many rules are not asked of: however many cases are wanted, they are to be found.
    #![proptest_config(ProptestConfig {
        max_local_rejects: u32::MAX,
        max_global_rejects: u32::MAX,
        ..ProptestConfig::default()
    })]

    #[test]
    fn s3_no_false_positive(
        rules in rules().prop_filter("probes, with a whole stall limit", |rules| {
            rules.probes() && rules.grace == 0
        }),
        k in prop_oneof![2 => Just(0u32), 1 => 1..5u32],
        seed in any::<u64>(),
        punctual in 0..3u8,
        slow in any::<bool>(),
        late in 0..2_000u64,
    ) {
        let slack = rules.slack();
        // Otherwise the limit of the writer convicts.
        let patient = rules.config.write_reports() && rules.write_stall > rules.window() + 3 * slack;
        prop_assume!(patient || !rules.config.write_reports());
        // The window of a granted ping runs from its emission (J6).
        let delay = if slow && patient && punctual < 2 { slack } else { 0 };
        let (driver, most) = match punctual {
            0 => (Driver::Punctual, 0),
            1 => (Driver::WithinSlack, slack),
            _ => (Driver::Random(rules.timeout() * late / 1000), u64::MAX / 64),
        };
        // Answers within W of the emission; and of two that are read late, the first may prove nothing.
        let counts = rules.life != LifeRule::ExactPong || punctual < 2;
        let reprobes = rules.config.late_policy() == LatePolicy::Reprobe;
        let waits = k == 0 && delay == 0 && counts && reprobes;
        let fits = longest_silence(&rules, k.into(), most.saturating_add(delay)) <= rules.limits(rules.interval()).0;
        if waits || fits {
            spares_the_living::<Table>(&rules, (k, seed), (driver, most), delay)?;
            // What the echo ledger forgets while windows overlap proves no life under this rule.
            let overlap = nanos(rules.config.suspect_interval()) < rules.window();
            let forgets = overlap && rules.life == LifeRule::ExactPong;
            if !forgets {
                spares_the_living::<Echo>(&rules, (k, seed), (driver, most), delay)?;
            }
        }
    }
}

/// What a grid point expects, checked against one run.
fn keeps_promise<L: Ledger>(config: Config, seed: u64, driver: Driver, writer: Writer, dies: u64) {
    let window = nanos(config.response_window());
    let mut run = Run::<_, L>::new(config, seed, driver, writer, window / 3);
    run.dies = dies;
    beats_of_peer(&mut run, dies);
    run.stop_answering(dies);
    let external = u64::from(run.config_is_external()) * window;
    // Each limit is passed 1 ns after it (rule T4): silence, and the window of a re-probe.
    let promise = nanos(config.worst_case_detection()) + external + 2;
    run.run_to(dies + 50 * promise + 100 * SEC);
    let story = || format!("{driver:?}, {writer:?}, seed {seed}, dies {dies}, {config:?}");
    let (verdict, _) = run.verdict.unwrap_or_else(|| panic!("never: {}", story()));
    let silence = verdict - run.last_evidence;
    assert!(
        silence <= promise + run.lateness,
        "silent for {silence}, promised {promise} and {} of lateness; {}",
        run.lateness,
        story()
    );
    // The floor is one of verdicts by silence; a stalled writer has a limit of its own (J11).
    let stalled = run.machine.report().is_some_and(|report| report.reason == Reason::WriteStalled);
    assert!(!stalled || writer != Writer::Instant, "stalled: {}", story());
    let early = silence <= nanos(config.floor());
    assert!(stalled || !early, "too early, at {silence}: {}", story());
    if driver == Driver::Punctual && writer == Writer::Instant {
        let exact = nanos(config.timeout().max(config.floor())) + 1;
        let early = nanos(config.response_window()) + exact;
        assert!(silence >= exact && silence <= early, "at {silence}: {}", story());
        let strict = config.late_policy() != LatePolicy::Reprobe;
        assert!(!strict || silence == exact, "at {silence}: {}", story());
    }
}

impl<D: Detector, L: Ledger> Run<D, L> {
    fn config_is_external(&self) -> bool {
        format!("{:?}", self.config).contains("schedule: External")
    }
}

/// Where this end sends no pings, the peer's beacons are its life.
fn beats_of_peer<D: Detector, L: Ledger>(run: &mut Run<D, L>, dies: u64) {
    if matches!(run.config.mode(), Mode::Responder | Mode::Passive) {
        let period = run.config.interval();
        let mut beat = nanos(period) / 2;
        while beat < dies {
            run.post(beat, Event::BeaconReceived { stamp: None, period });
            beat += nanos(period);
        }
    }
}

/// Valid configurations, and how many were refused.
fn grid() -> (Vec<Config>, usize) {
    let mut good = Vec::new();
    let mut refused = 0;
    let spans = [(1_000, 4_000), (300, 3_900), (10_000, 20_000), (15_000, 45_000), (9, 10)];
    let spans = spans.into_iter().chain([(4_000, 1_000), (0, 1_000), (1_000, 1_000)]);
    for (interval, timeout) in spans {
        for attempts in [1, 2, 3, 5, 15] {
            for jitter in [0, 10, 50] {
                for gap in [None, Some(1), Some(interval / 4), Some(timeout)] {
                    for (floor, ceiling) in [
                        (None, None),
                        (None, Some(timeout * 3 / 2)),
                        (Some(timeout * 5 / 4), Some(timeout * 3 / 2)),
                    ] {
                        let mut builder = Config::builder()
                            .interval(ms(interval))
                            .timeout(ms(timeout))
                            .attempts(attempts)
                            .jitter_percent(jitter);
                        if let Some(gap) = gap {
                            builder = builder.min_gap(ms(gap));
                        }
                        if let Some(floor) = floor {
                            builder = builder.floor(ms(floor));
                        }
                        if let Some(ceiling) = ceiling {
                            builder = builder.ceiling(ms(ceiling));
                        }
                        choices(builder, &mut good, &mut refused);
                    }
                }
            }
        }
    }
    (good, refused)
}

/// Every choice that is not a number, for one set of numbers.
fn choices(builder: ConfigBuilder, good: &mut Vec<Config>, refused: &mut usize) {
    let mut take = |built: Result<Config, ConfigError>| match built {
        Ok(config) => good.push(config),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            *refused += 1;
        }
    };
    let lates = [LatePolicy::Reprobe, LatePolicy::Strict, LatePolicy::Forgive(secs(1))];
    for late in lates {
        let builder = builder.late_policy(late);
        take(builder.build());
        take(builder.write_reports(true).build());
        take(builder.first_ping(FirstPing::Immediate).probing(Probing::Always).build());
        take(builder.first_ping(FirstPing::AfterInterval).mode(Mode::Initiator).build());
        take(builder.mode(Mode::Responder).build());
        take(builder.mode(Mode::Passive).build());
        take(builder.schedule(PingSchedule::External).build());
        take(builder.ids(false).build());
        take(builder.startup_grace(ms(700)).build());
    }
}

/// CF5 and CF6: a punctual driver, any configuration, the peer dead from various moments on.
#[test]
fn a_silent_peer_is_lost_in_time_and_not_before_the_floor() {
    let (configs, refused) = grid();
    assert!(configs.len() > 4_000 && refused > 4_000, "{} of {refused}", configs.len());
    for (index, &config) in configs.iter().enumerate() {
        let interval = nanos(config.interval());
        let seed = index as u64;
        let dies = interval * 2 + Rng(seed).below(3 * interval);
        keeps_promise::<Table>(config, seed, Driver::Punctual, Writer::Instant, dies);
    }
}

/// CF5 and CF6 with frozen, late and repeatedly late drivers.
#[test]
fn a_late_driver_delays_the_verdict_by_its_own_lateness_at_most() {
    let (configs, _) = grid();
    for (index, &config) in configs.iter().enumerate() {
        let (interval, window) = (nanos(config.interval()), nanos(config.response_window()));
        let timeout = nanos(config.timeout());
        let mut rng = Rng(index as u64);
        let dies = interval * 2 + rng.below(3 * interval);
        let drivers = [
            Driver::WithinSlack,
            // Before the probe, between probe and verdict, over the verdict.
            Driver::Freeze { after: rng.below(interval), lasts: rng.below(2 * timeout) },
            Driver::Freeze { after: interval + rng.below(window), lasts: rng.below(timeout) },
            Driver::Freeze { after: timeout - rng.below(window), lasts: 3 * timeout },
            Driver::Always(nanos(config.slack()) + 1 + rng.below(timeout)),
            Driver::Random(timeout),
        ];
        let driver = drivers[index % drivers.len()];
        keeps_promise::<Table>(config, index as u64, driver, Writer::Instant, dies);
        keeps_promise::<Echo>(
            config,
            index as u64,
            drivers[(index + 3) % 6],
            Writer::Instant,
            dies,
        );
    }
}

/// CF5 and J11: a writer that is slow, or takes nothing at all, buys the peer no time.
#[test]
fn a_slow_or_blocked_writer_does_not_break_the_promise() {
    let (configs, _) = grid();
    let mut rng = Rng(3);
    for (index, &config) in configs.iter().filter(|config| config.write_reports()).enumerate() {
        let (interval, window) = (nanos(config.interval()), nanos(config.response_window()));
        let timeout = nanos(config.timeout());
        let writers = [
            Writer::Slow(rng.below(window / 2)),
            Writer::Slow(window - 1),
            Writer::Slow(2 * window),
            Writer::Blocked,
        ];
        for writer in writers {
            for driver in [
                Driver::Punctual,
                Driver::Random(timeout),
                Driver::Freeze { after: timeout - rng.below(window), lasts: timeout },
            ] {
                let dies = interval * 2 + rng.below(3 * interval);
                keeps_promise::<Table>(config, index as u64, driver, writer, dies);
            }
        }
    }
}

/// S3: no verdict on a peer that answers each ping within the response window, whatever else is
/// configured.
#[test]
fn a_healthy_peer_is_never_lost_nor_missed_with_a_punctual_driver() {
    let (configs, _) = grid();
    for (index, &config) in configs.iter().enumerate() {
        let window = nanos(config.response_window());
        let rtt = [1, window / 2, window - 1][index % 3];
        let driver = [Driver::Punctual, Driver::WithinSlack][index % 2];
        let rtt = if driver == Driver::Punctual { rtt } else { rtt.min(window / 2) };
        let mut run = Run::<_, Table>::new(config, index as u64, driver, Writer::Instant, rtt);
        let end = 20 * nanos(config.interval());
        beats_of_peer(&mut run, end + 1);
        run.run_to(end);
        assert_eq!(run.verdict, None, "rtt {rtt}, {driver:?}, {config:?}");
        assert_eq!(run.machine.stats().misses, 0, "rtt {rtt}, {driver:?}, {config:?}");
    }
}

/// Need 1: whatever traffic there was before, idle or busy, in whatever rhythm.
#[test]
fn random_traffic_before_the_death_does_not_put_off_the_verdict() {
    let mut rng = Rng(1);
    for round in 0..3_000 {
        let config = [Config::lan(), Config::wan(), Config::service_mesh()][round % 3];
        let interval = nanos(config.interval());
        let driver = if round % 2 == 0 { Driver::Punctual } else { Driver::Random(interval) };
        let rtt = rng.below(nanos(config.response_window()));
        let mut run = Run::<_, Table>::new(config, round as u64, driver, Writer::Instant, rtt);
        let dies = rng.below(10 * interval) + 1;
        run.dies = dies;
        let rhythm = 1 + rng.below(3 * interval);
        let mut frame = rng.below(rhythm);
        while frame < dies {
            run.post(frame, Event::FrameReceived);
            frame += 1 + rng.below(rhythm);
        }
        let promise = nanos(config.worst_case_detection()) + 1;
        run.run_to(dies + 100 * promise);
        let (verdict, _) = run.verdict.expect("a verdict");
        let silence = verdict - run.last_evidence;
        assert!(silence <= promise + run.lateness, "round {round}: {silence}, {driver:?}");
        assert!(silence > nanos(config.floor()), "round {round}: {silence}, {driver:?}");
    }
}

/// J1: a peer that was never heard is lost within the promise and the start-up grace.
#[test]
fn a_peer_that_was_never_heard_is_lost_in_time() {
    let (configs, _) = grid();
    for (index, &config) in configs.iter().enumerate() {
        let seed = index as u64;
        let mut run = Run::<_, Table>::new(config, seed, Driver::Punctual, Writer::Instant, 0);
        run.stop_answering(0);
        let external = u64::from(run.config_is_external()) * nanos(config.response_window());
        run.run_to(1_000_000 * MS);
        let (verdict, _) = run.verdict.unwrap_or_else(|| panic!("never: {config:?}"));
        let promise = nanos(config.worst_case_detection()) + external + 700 * MS + 1;
        assert!(verdict <= promise, "at {verdict}: {config:?}");
        assert!(verdict > nanos(config.floor()), "at {verdict}: {config:?}");
    }
}
