//! The builder under any knobs: it accepts exactly what rule CF2 allows, names what it refuses,
//! and what it accepts keeps the arithmetic of the promise (CF1, CF3, CF5).

use core::time::Duration;

use heartbeat_proto::detector::Deadline;
use heartbeat_proto::{
    Config, ConfigError, HeartbeatMachine, LatePolicy, LifeRule, MAX_SPAN, Mode, PingSchedule,
    Timestamp, Verdict,
};

use super::input::{Input, span};

const DAY: u64 = MAX_SPAN.as_secs() * 1_000_000_000;

/// The knobs that have relations; an optional one is `None` where the default holds.
struct Knobs {
    mode: Mode,
    external: bool,
    life_rule: LifeRule,
    late: LatePolicy,
    ids: bool,
    counts: [u8; 9],
    /// In the order of [`NAMES`].
    spans: [Option<Duration>; 15],
}

const NAMES: [&str; 15] = [
    "interval",
    "timeout",
    "response_window",
    "ceiling",
    "floor",
    "suspect_interval",
    "min_gap",
    "down_interval",
    "slack",
    "keepalive",
    "write_stall",
    "accept_gap",
    "startup_limit",
    "startup_grace",
    "drain_limit",
];

pub fn run(data: &[u8]) {
    let knobs = Knobs::read(&mut Input(data));
    let built = knobs.build();
    match built {
        Ok(config) => {
            assert_eq!(knobs.broken(), None, "CF2: accepted");
            knobs.promise(&config);
        }
        Err(error) => {
            assert!(knobs.broken().is_some(), "CF2: {error} although every relation holds");
            knobs.named(&error);
        }
    }
}

impl Knobs {
    fn read(input: &mut Input<'_>) -> Self {
        let head = input.byte();
        let mode = match head & 7 {
            0 => Mode::Initiator,
            1 => Mode::Responder,
            2 => Mode::Beacon,
            3 => Mode::Passive,
            _ => Mode::Symmetric,
        };
        let rules = [LifeRule::AnyFrame, LifeRule::AnyByte, LifeRule::ExactPong, LifeRule::AnyPong];
        let choices = input.byte();
        let late = match choices & 3 {
            0 | 1 => LatePolicy::Reprobe,
            2 => LatePolicy::Strict,
            _ => LatePolicy::Forgive(any_span(input)),
        };
        // Mostly the defaults, so that one knob at a time decides.
        let mut counts = [3, 10, 4, 3, 0, 0, 3, 3, 0];
        let changed = input.byte();
        for (bit, count) in counts.iter_mut().enumerate() {
            if bit == 8 || changed >> bit & 1 == 1 {
                *count = input.byte();
            }
        }
        let given = u16::from_be_bytes([input.byte(), input.byte()]);
        let mut spans = [None; 15];
        for (bit, span) in spans.iter_mut().enumerate() {
            *span = (given >> bit & 1 == 1).then(|| any_span(input));
        }
        Self {
            mode,
            external: choices >> 2 & 3 == 3,
            life_rule: rules[usize::from(head >> 3 & 3)],
            late,
            ids: choices >> 4 & 1 == 0,
            counts,
            spans,
        }
    }

    fn build(&self) -> Result<Config, ConfigError> {
        let [attempts, jitter, verify, unanswered, k, n, burst, strikes, reopen] = self.counts;
        let mut builder = Config::builder()
            .mode(self.mode)
            .schedule(if self.external { PingSchedule::External } else { PingSchedule::Own })
            .life_rule(self.life_rule)
            .late_policy(self.late)
            .ids(self.ids)
            .attempts(attempts)
            .jitter_percent(jitter)
            .verify_every(verify)
            .ping_unanswered(unanswered, Verdict::Convict)
            .probe_loss(k, n, Verdict::Report)
            .police(burst, strikes, Verdict::Ignore)
            .reopen_after(reopen);
        for (name, span) in NAMES.into_iter().zip(self.spans) {
            let Some(span) = span else { continue };
            builder = match name {
                "interval" => builder.interval(span),
                "timeout" => builder.timeout(span),
                "response_window" => builder.response_window(span),
                "ceiling" => builder.ceiling(span),
                "floor" => builder.floor(span),
                "suspect_interval" => builder.suspect_interval(span),
                "min_gap" => builder.min_gap(span),
                "down_interval" => builder.down_interval(span),
                "slack" => builder.slack(span),
                "keepalive" => builder.keepalive(span),
                "write_stall" => builder.write_stall(span),
                "accept_gap" => builder.accept_gap(span),
                "startup_limit" => builder.startup_limit(span),
                "startup_grace" => builder.startup_grace(span),
                _ => builder.drain_limit(span),
            };
        }
        builder.build()
    }

    fn span(&self, name: &str) -> Option<u128> {
        let index = NAMES.iter().position(|&known| known == name).expect("a knob");
        self.spans[index].map(|span| span.as_nanos())
    }

    /// Rules CF1 to CF3 once more, in wide numbers: the first relation that does not hold.
    fn broken(&self) -> Option<&'static str> {
        let [attempts, jitter, verify, unanswered, k, n, burst, strikes, reopen] = self.counts;
        let probes = matches!(self.mode, Mode::Symmetric | Mode::Initiator);
        let plans = !matches!(self.mode, Mode::Responder | Mode::Passive);
        let pongs_only = matches!(self.life_rule, LifeRule::ExactPong | LifeRule::AnyPong);
        let allowed = |name: &str, value: u128| {
            value <= u128::from(DAY) && (value > 0 || name == "startup_grace")
        };
        let spans_fit =
            NAMES.into_iter().all(|name| self.span(name).is_none_or(|span| allowed(name, span)));
        let forgives = match self.late {
            LatePolicy::Forgive(most) => allowed("", most.as_nanos()),
            _ => true,
        };
        let counts_fit = (1..=15).contains(&attempts)
            && jitter <= 50
            && verify >= 1
            && (1..=14).contains(&unanswered)
            && ((k == 0 && n == 0) || (1 <= k && k <= n && n <= 12))
            && burst >= 1
            && (1..=15).contains(&strikes)
            && reopen <= 15;
        let choices_fit = (probes || !(pongs_only || self.external))
            && (self.span("keepalive").is_none()
                || !matches!(self.mode, Mode::Beacon | Mode::Passive))
            && (reopen == 0 || self.life_rule != LifeRule::AnyByte);
        if !(spans_fit && forgives && counts_fit && choices_fit) {
            return Some("a range, or a choice");
        }

        let interval = self.span("interval").unwrap_or(25_000_000_000);
        let timeout = match (self.span("timeout"), self.span("response_window")) {
            (Some(_), Some(_)) => return Some("two ways to give the timeout"),
            (Some(timeout), None) => timeout,
            (None, Some(window)) => interval + window * u128::from(attempts),
            (None, None) => interval * 11 / 5,
        };
        if timeout > u128::from(DAY) || interval >= timeout {
            return Some("interval < timeout <= 24 h");
        }
        let window = (timeout - interval) / u128::from(attempts);
        let shortest = interval - interval / 100 * u128::from(jitter);
        let suspect = self.span("suspect_interval").unwrap_or(window.min(shortest));
        let quarter = if plans { window.div_ceil(4) } else { 1 };
        let gap = self.span("min_gap").unwrap_or(suspect.div_ceil(2).max(quarter));
        let ceiling = self.span("ceiling").unwrap_or(timeout);
        let usual = if probes { interval + window } else { interval };
        let floor = self.span("floor").unwrap_or(usual);
        let at_least_gap = |name| self.span(name).is_none_or(|span| span >= gap);
        [
            (window >= 1, "1 <= W"),
            (timeout <= ceiling, "T <= C"),
            (floor <= ceiling, "F <= C"),
            (!probes || interval + window <= floor, "I + W <= F"),
            (gap <= suspect, "g <= S"),
            (suspect <= shortest, "S <= I - j"),
            (quarter <= gap, "W / 4 <= g"),
            (gap <= self.span("down_interval").unwrap_or(interval), "g <= down_interval"),
            (at_least_gap("keepalive"), "g <= keepalive"),
            (self.span("slack").is_none_or(|slack| slack <= window / 4), "slack <= W / 4"),
        ]
        .into_iter()
        .find_map(|(holds, name)| (!holds).then_some(name))
    }

    /// The error names a knob, or a number made of several, and says its value.
    fn named(&self, error: &ConfigError) {
        let (name, found) = match *error {
            ConfigError::Zero { field } => (field, Some(Duration::ZERO)),
            ConfigError::TooLong { field, found, .. }
            | ConfigError::NotBelow { field, found, .. }
            | ConfigError::Above { field, found, .. }
            | ConfigError::Below { field, found, .. } => (field, Some(found)),
            ConfigError::OutOfRange { field, .. } | ConfigError::Conflict { field, .. } => {
                (field, None)
            }
            other => panic!("no wish was made: {other}"),
        };
        assert!(error.to_string().contains(name) && !name.is_empty(), "{error}");
        if let (Some(index), Some(found)) = (NAMES.iter().position(|&knob| knob == name), found) {
            assert!(self.spans[index].is_none_or(|given| given == found), "{error}");
        }
    }

    /// What holds for whatever is accepted.
    fn promise(&self, config: &Config) {
        let window = config.response_window();
        let room = config.timeout().saturating_sub(config.interval());
        assert_eq!(window, room / u32::from(config.attempts()), "CF1");
        let reprobe = if self.late == LatePolicy::Reprobe {
            window + config.min_gap()
        } else {
            Duration::ZERO
        };
        assert_eq!(config.worst_case_detection(), config.ceiling() + reprobe, "CF5");
        assert!(config.floor() <= config.ceiling() && config.slack() <= window / 4, "CF2");
        if matches!(self.mode, Mode::Symmetric | Mode::Initiator) {
            assert!(config.interval() + window <= config.floor(), "CF2");
            assert!(config.min_gap() * 4 >= window, "CF2: at most four within their windows");
        }
        // The knobs become rules that can be begun with.
        let machine: HeartbeatMachine<Deadline> =
            HeartbeatMachine::new(*config, 7, Timestamp::EPOCH);
        let limit = config.startup_limit() + Duration::from_nanos(1);
        assert_eq!(machine.next_deadline(), Some(Timestamp::EPOCH.saturating_add(limit)), "LC1");
    }
}

/// Spans of every size, with those around the limit.
fn any_span(input: &mut Input<'_>) -> Duration {
    let (code, scale) = (input.byte(), input.byte());
    match scale {
        255 => Duration::MAX,
        254 => Duration::from_nanos(DAY + 1),
        253 => Duration::from_nanos(DAY),
        252 => Duration::from_nanos(u64::MAX),
        251 => Duration::from_nanos(DAY - u64::from(code)),
        _ => Duration::from_nanos((span(code) << (scale & 15)) + u64::from(scale >> 4)),
    }
}
