//! The detection promise (rules CF5, CF6) and its other half (nobody healthy is convicted), over a
//! grid of configurations, moments of death and scripts of lateness. Nothing here is random that
//! is not seeded: no false failures.
#![allow(clippy::large_types_passed_by_value, reason = "configurations are values; no speed here")]

mod common;

use common::{BASE, MS, Rng, SEC, at, ms, nanos, secs};
use heartbeat_proto::{
    Action, Config, ConfigError, Echo, Event, FirstPing, HeartbeatMachine, LatePolicy, Ledger,
    Liveness, Mode, PingId, PingSchedule, Probing, Reason, Table, detector::Deadline,
};

/// How the driver of a run behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Driver {
    Punctual,
    /// Late at every call, by less than the slack.
    WithinSlack,
    /// One freeze that begins so long after the death, and lasts so long.
    Freeze {
        after: u64,
        lasts: u64,
    },
    /// A freeze of this length at every call.
    Always(u64),
    /// Late by up to this, at random.
    Random(u64),
}

/// How writes behave, where they are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    Instant,
    /// Every ping takes so long to be written.
    Slow(u64),
    Blocked,
}

/// A run of one machine against a peer that answers after `rtt` until it dies.
struct Run<L: Ledger> {
    machine: HeartbeatMachine<Deadline, L>,
    config: Config,
    driver: Driver,
    writer: Writer,
    rtt: u64,
    rng: Rng,
    now: u64,
    last_evidence: u64,
    /// What is on the way: arrival, event. Nothing arrives from `dies` on.
    wire: Vec<(u64, Event)>,
    /// Traffic or beats of the peer, and the caller's answers to requests.
    dies: u64,
    freeze_spent: bool,
    /// The caller's lateness of every call since the last evidence, summed.
    lateness: u64,
    verdict: Option<u64>,
    calls: u64,
}

impl<L: Ledger> Run<L> {
    fn new(config: Config, seed: u64, driver: Driver, writer: Writer, rtt: u64) -> Self {
        let machine = HeartbeatMachine::with_ledger(config, seed, at(0));
        let mut run = Self {
            machine,
            config,
            driver,
            writer,
            rtt,
            rng: Rng(seed),
            now: 0,
            last_evidence: 0,
            wire: Vec::new(),
            dies: u64::MAX,
            freeze_spent: false,
            lateness: 0,
            verdict: None,
            calls: 0,
        };
        run.tell(Event::Start);
        run
    }

    fn tell(&mut self, event: Event) {
        self.calls += 1;
        let actions = self.machine.handle(event, at(self.now));
        let life = matches!(
            event,
            Event::PongReceived { .. } | Event::FrameReceived | Event::BeaconReceived { .. }
        );
        // Under Strict a late call convicts before its evidence counts.
        if life && self.machine.liveness() != Liveness::Lost {
            self.last_evidence = self.now;
            self.lateness = 0;
        }
        for action in actions {
            match action {
                Action::SendPing { id, stamp } => self.send_ping(id, stamp),
                Action::RequestProbe => self.tell(Event::PingDue),
                Action::Notify(change) if change.to == Liveness::Lost => {
                    self.verdict = Some(self.now);
                }
                _ => {}
            }
        }
    }

    fn send_ping(&mut self, id: PingId, stamp: heartbeat_proto::Timestamp) {
        let written = match self.writer {
            Writer::Instant => self.now,
            Writer::Slow(takes) => self.now + takes,
            Writer::Blocked => return,
        };
        let pong = Event::PongReceived {
            id,
            stamp: Some(stamp),
            hold: core::time::Duration::ZERO,
            calm: false,
        };
        if self.config.write_reports() {
            self.post(written, Event::PingSent { id });
        }
        if written + self.rtt < self.dies {
            self.post(written + self.rtt, pong);
        }
    }

    fn post(&mut self, arrival: u64, event: Event) {
        let index = self.wire.partition_point(|&(other, _)| other <= arrival);
        self.wire.insert(index, (arrival, event));
    }

    /// How late the driver is for something that is due at `due`.
    fn late_for(&mut self, due: u64) -> u64 {
        let slack = nanos(self.config.slack());
        match self.driver {
            Driver::Punctual => 0,
            Driver::WithinSlack => self.rng.below(slack + 1),
            Driver::Freeze { after, lasts } => {
                let from = self.dies.saturating_add(after);
                if self.freeze_spent || due < from {
                    return 0;
                }
                self.freeze_spent = true;
                (from + lasts).saturating_sub(due)
            }
            Driver::Always(by) => by,
            Driver::Random(most) => self.rng.below(most + 1),
        }
    }

    /// Runs until the verdict or `until`.
    fn run_to(&mut self, until: u64) {
        while self.verdict.is_none() {
            let due = self.machine.next_deadline().map_or(u64::MAX, |due| due.as_nanos() - BASE);
            let arrival = self.wire.first().map_or(u64::MAX, |&(arrival, _)| arrival);
            if due.min(arrival) > until {
                break;
            }
            assert!(self.calls < 100_000, "busy loop at {}: {:?}", self.now, self.config);
            if arrival <= due {
                self.now = self.now.max(arrival);
                let (_, event) = self.wire.remove(0);
                self.tell(event);
                continue;
            }
            let late = self.late_for(due);
            self.now = self.now.max(due + late);
            // What had come while the process slept is read first.
            while self.wire.first().is_some_and(|&(arrival, _)| arrival <= self.now) {
                let (_, event) = self.wire.remove(0);
                if let Some(due) = self.machine.next_deadline() {
                    self.lateness += (self.now + BASE).saturating_sub(due.as_nanos());
                }
                self.tell(event);
            }
            if let Some(due) = self.machine.next_deadline() {
                self.lateness += (self.now + BASE).saturating_sub(due.as_nanos());
            }
            if self.verdict.is_none() {
                self.tell(Event::Tick);
            }
        }
    }

    fn stop_answering(&mut self, dies: u64) {
        self.dies = dies;
        self.wire
            .retain(|(arrival, event)| matches!(event, Event::PingSent { .. }) || *arrival < dies);
    }
}

/// What a grid point expects, checked against one run.
fn keeps_promise<L: Ledger>(config: Config, seed: u64, driver: Driver, writer: Writer, dies: u64) {
    let window = nanos(config.response_window());
    let mut run = Run::<L>::new(config, seed, driver, writer, window / 3);
    run.dies = dies;
    beats_of_peer(&mut run, dies);
    run.stop_answering(dies);
    let external = u64::from(run.config_is_external()) * window;
    // Each limit is passed 1 ns after it (rule T4): silence, and the window of a re-probe.
    let promise = nanos(config.worst_case_detection()) + external + 2;
    run.run_to(dies + 50 * promise + 100 * SEC);
    let story = || format!("{driver:?}, {writer:?}, seed {seed}, dies {dies}, {config:?}");
    let verdict = run.verdict.unwrap_or_else(|| panic!("never: {}", story()));
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

impl<L: Ledger> Run<L> {
    fn config_is_external(&self) -> bool {
        format!("{:?}", self.config).contains("schedule: External")
    }
}

/// Where this end sends no pings, the peer's beacons are its life.
fn beats_of_peer<L: Ledger>(run: &mut Run<L>, dies: u64) {
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
fn choices(builder: heartbeat_proto::ConfigBuilder, good: &mut Vec<Config>, refused: &mut usize) {
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
        let mut run = Run::<Table>::new(config, index as u64, driver, Writer::Instant, rtt);
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
        let mut run = Run::<Table>::new(config, round as u64, driver, Writer::Instant, rtt);
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
        let verdict = run.verdict.expect("a verdict");
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
        let mut run = Run::<Table>::new(config, seed, Driver::Punctual, Writer::Instant, 0);
        run.stop_answering(0);
        let external = u64::from(run.config_is_external()) * nanos(config.response_window());
        run.run_to(1_000_000 * MS);
        let verdict = run.verdict.unwrap_or_else(|| panic!("never: {config:?}"));
        let promise = nanos(config.worst_case_detection()) + external + 700 * MS + 1;
        assert!(verdict <= promise, "at {verdict}: {config:?}");
        assert!(verdict > nanos(config.floor()), "at {verdict}: {config:?}");
    }
}
