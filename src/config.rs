//! [`Config`]: a valid set of rules for a connection, its presets and its promise.
//!
//! A `Config` that exists is valid; [`ConfigBuilder::build`] is the only way to one. The numbers
//! and their relations are those of `docs/SPEC.md`, section 2.

mod builder;
pub(crate) mod check;
mod display;
mod error;
mod policy;

use core::time::Duration;

pub use builder::ConfigBuilder;
pub use error::ConfigError;
pub use policy::{FirstPing, LatePolicy, LifeRule, Mode, PingSchedule, Probing, Verdict};

use crate::detector::Deadline;

/// The longest span that any knob may have: 24 hours.
pub const MAX_SPAN: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) const MAX_SPAN_NANOS: u64 = 24 * 60 * 60 * 1_000_000_000;

/// When to probe, what counts as life, and when silence is death.
///
/// # The promise
///
/// A peer that falls silent is declared [`Lost`](crate::Liveness::Lost) within
/// [`worst_case_detection`](Self::worst_case_detection) of its last sign of life, plus the time by
/// which the caller itself was late; and never before [`floor`](Self::floor) has passed.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::Config;
///
/// // 15 s between pings, three unanswered ones inside 45 s: pings at 15, 25 and 35 s of silence.
/// let config = Config::builder()
///     .interval(Duration::from_secs(15))
///     .timeout(Duration::from_secs(45))
///     .attempts(3)
///     .build()?;
/// assert_eq!(config.response_window(), Duration::from_secs(10));
/// // 45 s, and when this process itself was stalled, one more probe: 10 s and the 5 s gap.
/// assert_eq!(config.worst_case_detection(), Duration::from_secs(60));
/// # Ok::<(), heartbeat_proto::ConfigError>(())
/// ```
///
/// A configuration that could not work does not build, and says why:
///
/// ```
/// # use core::time::Duration;
/// # use heartbeat_proto::Config;
/// let error = Config::builder()
///     .interval(Duration::from_secs(45))
///     .timeout(Duration::from_secs(15))
///     .build()
///     .unwrap_err();
/// assert_eq!(error.to_string(), "interval is 45s but must be less than timeout, which is 15s");
/// ```
///
/// Constants fail at compile time:
///
/// ```compile_fail
/// # use core::time::Duration;
/// # use heartbeat_proto::Config;
/// const BAD: Config = match Config::builder().interval(Duration::ZERO).build() {
///     Ok(config) => config,
///     Err(_) => panic!("bad heartbeat configuration"),
/// };
/// # let _ = BAD;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config<D = Deadline> {
    pub(crate) detector: D,
    pub(crate) mode: Mode,
    pub(crate) schedule: PingSchedule,
    pub(crate) probing: Probing,
    pub(crate) life_rule: LifeRule,
    pub(crate) late_policy: LatePolicy,
    pub(crate) first_ping: FirstPing,
    pub(crate) ids: bool,
    pub(crate) write_reports: bool,
    pub(crate) answer_each: bool,

    // Spans in nanoseconds; `None` is "off", zero does not occur unless said.
    pub(crate) interval: u64,
    pub(crate) timeout: u64,
    pub(crate) window: u64,
    pub(crate) floor: u64,
    pub(crate) ceiling: u64,
    pub(crate) min_gap: u64,
    pub(crate) suspect_interval: u64,
    pub(crate) down_interval: u64,
    pub(crate) slack: u64,
    pub(crate) startup_limit: u64,
    /// May be zero: no grace.
    pub(crate) startup_grace: u64,
    pub(crate) drain_limit: u64,
    pub(crate) keepalive: Option<u64>,
    pub(crate) write_stall: Option<u64>,
    /// Half of the advertised gap: the increment of the token bucket (rule A2).
    pub(crate) accept_half_gap: Option<u64>,

    pub(crate) attempts: u8,
    pub(crate) jitter_percent: u8,
    pub(crate) verify_every: u8,
    pub(crate) unanswered_limit: u8,
    pub(crate) unanswered_verdict: Verdict,
    pub(crate) loss_k: u8,
    /// 0: the window is off.
    pub(crate) loss_n: u8,
    pub(crate) loss_verdict: Verdict,
    pub(crate) accept_burst: u8,
    pub(crate) max_strikes: u8,
    pub(crate) abuse_verdict: Verdict,
    /// 0: the verdict is final.
    pub(crate) reopen_after: u8,
}

impl Default for Config {
    /// Pings every 25 s (below the 30 s at which UDP NATs and the 60 s at which most proxies
    /// forget a connection), dead after 55 s with three pings unanswered.
    fn default() -> Self {
        const { preset(25_000, 55_000, 10) }
    }
}

impl Config {
    /// A builder with the numbers of [`Config::default`].
    pub const fn builder() -> ConfigBuilder {
        ConfigBuilder::new(Deadline::fixed())
    }

    /// Messaging on good networks: every 15 s, dead after 45 s (three unanswered pings).
    pub const fn messaging_15_45() -> Self {
        const { preset(15_000, 45_000, 10) }
    }

    /// Messaging: every 30 s, dead after 90 s (three unanswered pings).
    pub const fn messaging_30_90() -> Self {
        const { preset(30_000, 90_000, 10) }
    }

    /// Messaging on mobile networks, kind to batteries: every 60 s, dead after 120 s.
    pub const fn messaging_60_120() -> Self {
        const { preset(60_000, 120_000, 10) }
    }

    /// A local network: every second, dead after 4 s.
    pub const fn lan() -> Self {
        const { preset(1_000, 4_000, 10) }
    }

    /// A wide-area network: every 5 s, dead after 20 s.
    pub const fn wan() -> Self {
        const { preset(5_000, 20_000, 10) }
    }

    /// A service mesh: a probe every 300 ms, each with 1200 ms to be answered, three in a row
    /// (dead after 3.9 s). Several probes overlap. Without jitter, since four of them must fit one
    /// response window; the seeded phase spreads connections.
    pub const fn service_mesh() -> Self {
        const { preset(300, 3_900, 0) }
    }

    /// Behind a proxy, load balancer or NAT that drops connections after `idle_limit` without
    /// traffic: a ping after a third of the limit, the next ones a tenth of it apart, and a
    /// keepalive in our own direction after a third of it, so that two lost pings in a row and a
    /// late process still stay below the limit. Known limits: UDP NATs 30 s, AWS ALB and nginx
    /// 60 s, Cloudflare 100 s, AWS NLB 350 s.
    ///
    /// # Errors
    ///
    /// If `idle_limit` is below 100 ms or above [`MAX_SPAN`].
    ///
    /// ```
    /// use core::time::Duration;
    /// use heartbeat_proto::Config;
    ///
    /// let config = Config::behind(Duration::from_secs(60))?;
    /// assert_eq!(config.interval(), Duration::from_secs(20));
    /// assert_eq!(config.timeout(), Duration::from_secs(38));
    /// # Ok::<(), heartbeat_proto::ConfigError>(())
    /// ```
    pub const fn behind(idle_limit: Duration) -> Result<Self, ConfigError> {
        match within("idle_limit", idle_limit, Duration::from_millis(100)) {
            Ok(limit) => Self::builder()
                .interval(Duration::from_nanos(limit / 3))
                .response_window(Duration::from_nanos(limit / 10))
                .keepalive(Duration::from_nanos(limit / 3))
                .build(),
            Err(error) => Err(error),
        }
    }

    /// A configuration whose [`worst_case_detection`](Self::worst_case_detection) is at most
    /// `wish`, with three pings unanswered before any verdict: the response window is a sixth of
    /// the wish, the interval a quarter.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Impossible`] if `wish` is below 6 ms (a response window below 1 ms is less
    /// than the lateness of common timers) or above [`MAX_SPAN`].
    ///
    /// ```
    /// use core::time::Duration;
    /// use heartbeat_proto::Config;
    ///
    /// let config = Config::detect_within(Duration::from_secs(10))?;
    /// assert!(config.worst_case_detection() <= Duration::from_secs(10));
    /// assert!(Config::detect_within(Duration::from_millis(5)).is_err());
    /// # Ok::<(), heartbeat_proto::ConfigError>(())
    /// ```
    pub const fn detect_within(wish: Duration) -> Result<Self, ConfigError> {
        match within("detect_within", wish, Duration::from_millis(6)) {
            Ok(wish) => Self::builder()
                .interval(Duration::from_nanos(wish / 4))
                .response_window(Duration::from_nanos(wish / 6))
                .build(),
            Err(error) => Err(error),
        }
    }
}

impl<D> Config<D> {
    /// The latest moment of the verdict, measured from the last sign of life of a peer that falls
    /// silent, if the caller is punctual:
    ///
    /// * [`LatePolicy::Strict`] and [`LatePolicy::Forgive`]: `ceiling`;
    /// * [`LatePolicy::Reprobe`]: `ceiling + response_window + min_gap`.
    ///
    /// To be added: a nanosecond for each limit, which is passed only then (rule T4); the caller's
    /// own lateness, summed over the calls of that silence; what a peer that announced a larger gap
    /// than `min_gap` adds to it; one response window more under [`PingSchedule::External`];
    /// `startup_grace` for a peer that was never heard; and a response window and a gap for each
    /// resume, reconfiguration, or change of the peer's limit in that silence. Rules CF5 and CF6.
    pub const fn worst_case_detection(&self) -> Duration {
        Duration::from_nanos(self.worst_case_nanos())
    }

    #[inline]
    pub(crate) const fn worst_case_nanos(&self) -> u64 {
        match self.late_policy {
            LatePolicy::Strict | LatePolicy::Forgive(_) => self.ceiling,
            LatePolicy::Reprobe => self.ceiling + self.window + self.min_gap,
        }
    }

    /// Which part this end plays.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The longest time between two pings: see [`ConfigBuilder::interval`].
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// The silence of the fixed verdict: see [`ConfigBuilder::timeout`].
    pub const fn timeout(&self) -> Duration {
        Duration::from_nanos(self.timeout)
    }

    /// How many pings go unanswered within `timeout`: see [`ConfigBuilder::attempts`].
    pub const fn attempts(&self) -> u8 {
        self.attempts
    }

    /// The time a pong may take: `(timeout - interval) / attempts`.
    pub const fn response_window(&self) -> Duration {
        Duration::from_nanos(self.window)
    }

    /// No verdict by silence falls before this: see [`ConfigBuilder::floor`].
    pub const fn floor(&self) -> Duration {
        Duration::from_nanos(self.floor)
    }

    /// Every verdict by silence has fallen after this: see [`ConfigBuilder::ceiling`].
    pub const fn ceiling(&self) -> Duration {
        Duration::from_nanos(self.ceiling)
    }

    /// The smallest gap between two pings: see [`ConfigBuilder::min_gap`].
    pub const fn min_gap(&self) -> Duration {
        Duration::from_nanos(self.min_gap)
    }

    /// The gap between pings while suspect: see [`ConfigBuilder::suspect_interval`].
    pub const fn suspect_interval(&self) -> Duration {
        Duration::from_nanos(self.suspect_interval)
    }

    /// The lateness that is still punctual: see [`ConfigBuilder::slack`].
    pub const fn slack(&self) -> Duration {
        Duration::from_nanos(self.slack)
    }

    /// The limit of the set-up before [`Event::Start`](crate::Event::Start).
    pub const fn startup_limit(&self) -> Duration {
        Duration::from_nanos(self.startup_limit)
    }

    /// The limit of [`Event::Drain`](crate::Event::Drain).
    pub const fn drain_limit(&self) -> Duration {
        Duration::from_nanos(self.drain_limit)
    }

    /// How many good replies bring a lost peer back: see [`ConfigBuilder::reopen_after`]; 0: none do.
    pub const fn reopen_after(&self) -> u8 {
        self.reopen_after
    }

    /// How long we may send nothing at all, if limited: see [`ConfigBuilder::keepalive`].
    pub const fn keepalive(&self) -> Option<Duration> {
        match self.keepalive {
            Some(span) => Some(Duration::from_nanos(span)),
            None => None,
        }
    }

    /// How the caller's own lateness is treated.
    pub const fn late_policy(&self) -> LatePolicy {
        self.late_policy
    }

    /// Whether the driver reports what was written: see [`ConfigBuilder::write_reports`].
    pub const fn write_reports(&self) -> bool {
        self.write_reports
    }

    /// Whether every pong is to be written, in order: see [`ConfigBuilder::answer_each`]. The
    /// machine answers each admitted ping; what waits to be written is the driver's.
    pub const fn answer_each(&self) -> bool {
        self.answer_each
    }

    /// The detector's policy.
    pub const fn detector(&self) -> &D {
        &self.detector
    }

    /// Whether this end sends pings with ids, on a schedule of its own: the common case.
    #[inline]
    pub(crate) const fn is_plain(&self) -> bool {
        self.probes() && self.ids && matches!(self.schedule, PingSchedule::Own)
    }

    /// Whether this end sends nothing of its own accord. (Then each beat of the peer is a sign of
    /// life: who sends no pings is refused a life rule that takes pongs alone.)
    #[inline]
    pub(crate) const fn only_listens(&self) -> bool {
        matches!(self.mode, Mode::Responder | Mode::Passive)
    }

    /// Whether this end sends pings and may demand answers (rule P1).
    #[inline]
    pub(crate) const fn probes(&self) -> bool {
        matches!(self.mode, Mode::Symmetric | Mode::Initiator)
    }

    /// Whether this end sends pings, or beacons in their place.
    #[inline]
    pub(crate) const fn sends_on_plan(&self) -> bool {
        self.probes() || matches!(self.mode, Mode::Beacon)
    }

    /// Whether this end judges the silence of its peer.
    #[inline]
    pub(crate) const fn judges(&self) -> bool {
        !matches!(self.mode, Mode::Beacon)
    }

    /// Whether this end answers pings (rule P1).
    #[inline]
    pub(crate) const fn answers(&self) -> bool {
        !matches!(self.mode, Mode::Beacon | Mode::Passive)
    }

    /// The largest interval that a peer can push us to (rule CF4).
    #[inline]
    pub(crate) const fn interval_limit(&self) -> u64 {
        self.ceiling - self.window
    }
}

/// A preset from milliseconds, with three attempts; a bad one fails at compile time.
const fn preset(interval: u64, timeout: u64, jitter_percent: u8) -> Config {
    let built = Config::builder()
        .interval(Duration::from_millis(interval))
        .timeout(Duration::from_millis(timeout))
        .jitter_percent(jitter_percent)
        .build();
    match built {
        Ok(config) => config,
        // The callers are the presets above; the tests build each of them.
        Err(_) => panic!("a preset of this crate is invalid"),
    }
}

/// `wish` in nanoseconds if it lies in `least..=MAX_SPAN`.
const fn within(name: &'static str, wish: Duration, least: Duration) -> Result<u64, ConfigError> {
    let nanos = crate::time::nanos(wish);
    if nanos < crate::time::nanos(least) || nanos > MAX_SPAN_NANOS {
        return Err(ConfigError::Impossible { wish: name, found: wish, least, most: MAX_SPAN });
    }
    Ok(nanos)
}
