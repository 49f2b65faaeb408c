//! [`FailoverConfig`]: the knobs of a failover, and [`Endpoint`], those of one endpoint.

use core::time::Duration;

use crate::config::ConfigError;
use crate::config::check::{at_most, in_range, span};

/// What an endpoint is to a [`Failover`](super::Failover): how often to probe it, and its share of
/// the work. Its address is yours to keep, by [`EndpointId`](super::EndpointId).
///
/// The usual paces, after what a probe costs: [`Endpoint::TCP`] (a connect, every 500 ms) and
/// [`Endpoint::HTTP`] (a request, every 2 s).
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::failover::Endpoint;
///
/// let application = Endpoint::new(Duration::from_secs(5))?.with_weight(3)?;
/// # let _ = (application, Endpoint::TCP.with_weight(2)?);
/// # Ok::<(), heartbeat_proto::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub(super) pace: u64,
    pub(super) weight: u8,
}

impl Endpoint {
    /// Probed by a TCP connect, every 500 ms. Weight 1.
    pub const TCP: Self = Self { pace: 500_000_000, weight: 1 };
    /// Probed by an HTTP request, every 2 s. Weight 1.
    pub const HTTP: Self = Self { pace: 2_000_000_000, weight: 1 };

    /// Probed every `pace`, 1 ns to 24 h, less the configured jitter. Weight 1.
    ///
    /// # Errors
    ///
    /// A pace of zero or above 24 h.
    pub const fn new(pace: Duration) -> Result<Self, ConfigError> {
        match span("pace", pace) {
            Ok(pace) => Ok(Self { pace, weight: 1 }),
            Err(error) => Err(error),
        }
    }

    /// Its share of the work, 1 to 255, relative to the others.
    ///
    /// # Errors
    ///
    /// A weight of zero: remove the endpoint instead.
    pub const fn with_weight(self, weight: u8) -> Result<Self, ConfigError> {
        match in_range("weight", weight, 1, u8::MAX) {
            Ok(()) => Ok(Self { weight, ..self }),
            Err(error) => Err(error),
        }
    }
}

/// The rules of a [`Failover`](super::Failover). One that exists is valid.
///
/// The defaults are those of the field: time-outs of 800 ms, two retries and 30 s of quarantine
/// from a published outage review; a pool that is left below a score of 90 or above 5 % errors;
/// at most 300 s, as Envoy's `max_ejection_time`.
///
/// ```
/// use core::time::Duration;
/// use heartbeat_proto::failover::FailoverConfig;
///
/// let config = FailoverConfig::builder()
///     .timeout(Duration::from_millis(200))
///     .rtt_goal(Duration::from_millis(50))
///     .hold(Duration::from_secs(10))
///     .build()?;
/// assert_ne!(config, FailoverConfig::default());
/// # Ok::<(), heartbeat_proto::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FailoverConfig {
    pub(super) timeout: u64,
    pub(super) quarantine: u64,
    pub(super) quarantine_most: u64,
    pub(super) hold: u64,
    pub(super) rtt_goal: u64,
    pub(super) load_life: u64,
    pub(super) slack: u64,
    /// `retries + 1`.
    pub(super) fall: u8,
    pub(super) rise: u8,
    pub(super) window: u8,
    pub(super) errors_percent: u8,
    pub(super) leave_below: u8,
    pub(super) enter_at: u8,
    pub(super) margin: u8,
    pub(super) load_goal: u8,
    pub(super) jitter_percent: u8,
}

impl FailoverConfig {
    /// A builder with the defaults.
    pub const fn builder() -> FailoverConfigBuilder {
        FailoverConfigBuilder::new()
    }

    /// `L` of rule FO16: how often a quarantine doubles before it is the longest.
    pub(super) const fn doublings(&self) -> u8 {
        self.quarantine_most.div_ceil(self.quarantine).next_power_of_two().trailing_zeros() as u8
    }
}

impl Default for FailoverConfig {
    fn default() -> Self {
        FailoverConfigBuilder::new().build().expect("the defaults fit together")
    }
}

/// Collects the knobs of a [`FailoverConfig`]; [`build`](Self::build) checks them. Spans are 1 ns
/// to 24 h; zero is an error, never "off".
#[must_use = "a builder does nothing until `build`"]
#[derive(Clone, Copy, Debug)]
pub struct FailoverConfigBuilder {
    timeout: Duration,
    quarantine: Duration,
    quarantine_most: Duration,
    hold: Duration,
    rtt_goal: Duration,
    load_life: Duration,
    slack: Option<Duration>,
    retries: u8,
    rise: u8,
    window: u8,
    errors_percent: u8,
    leave_below: u8,
    enter_at: u8,
    margin: u8,
    load_goal: u8,
    jitter_percent: u8,
}

macro_rules! setters {
    ($($(#[$doc:meta])+ $name:ident: $type:ty $(=> $some:ident)?;)+) => {
        $($(#[$doc])+ pub const fn $name(mut self, $name: $type) -> Self {
            self.$name = setters!(@value $name $($some)?);
            self
        })+
    };
    (@value $name:ident Some) => { Some($name) };
    (@value $name:ident) => { $name };
}

impl FailoverConfigBuilder {
    const fn new() -> Self {
        Self {
            timeout: Duration::from_millis(800),
            quarantine: Duration::from_secs(30),
            quarantine_most: Duration::from_secs(300),
            hold: Duration::from_secs(60),
            rtt_goal: Duration::from_millis(200),
            load_life: Duration::from_secs(10),
            slack: None,
            retries: 2,
            rise: 2,
            window: 20,
            errors_percent: 5,
            leave_below: 90,
            enter_at: 95,
            margin: 8,
            load_goal: 80,
            jitter_percent: 10,
        }
    }

    setters! {
        /// How long a probe may take. Default: 800 ms. A round trip this long scores 0.
        timeout: Duration;
        /// How long a failed endpoint is not used. Default: 30 s. It doubles with each further
        /// failure, and comes down again by one step for each `quarantine_most` without one.
        quarantine: Duration;
        /// The longest quarantine. Default: 300 s, as in Envoy; at least `quarantine`.
        quarantine_most: Duration;
        /// After any switch, how long a working endpoint is kept even if a better one is known.
        /// Default: 60 s. A failed one is left at once.
        hold: Duration;
        /// The round trip that is as good as any. Default: 200 ms; below `timeout`.
        rtt_goal: Duration;
        /// How long a reported load counts. Default: 10 s. Without an end, an endpoint that was
        /// left for its load could never report that it is over.
        load_life: Duration;
        /// How late a call may be and still count as punctual. Default: 50 ms, at most a quarter
        /// of `timeout`. After a late call answers may lie unread, so nobody is timed out by it.
        slack: Duration => Some;
        /// How many failures in a row are not yet a failed endpoint, 0 to 14. Default: 2.
        retries: u8;
        /// How many answers in a row bring an endpoint (back) into the pool, 1 to 15. Default: 2.
        rise: u8;
        /// How many outcomes the share of errors is taken of, 1 to 64. Default: 20.
        window: u8;
        /// The share of errors above which an endpoint leaves the pool, 0 to 99 %. Default: 5.
        errors_percent: u8;
        /// The score below which an endpoint leaves the pool, 1 to 100. Default: 90.
        leave_below: u8;
        /// The score from which it may enter again, up to 100. Default: 95; at least
        /// `leave_below`.
        enter_at: u8;
        /// By how many points another endpoint must be better to be worth a switch, 1 to 100.
        /// Default: 8, which is more than one lost probe of twenty costs.
        margin: u8;
        /// The load that is as good as none, 0 to 99 %. Default: 80.
        load_goal: u8;
        /// The share of the pace by which a probe may come earlier, so that a fleet does not beat
        /// together, 0 to 50 %. Default: 10.
        jitter_percent: u8;
    }

    /// Checks every knob and every relation between them (rule FO2).
    ///
    /// # Errors
    ///
    /// The first knob that does not fit, with the values found and allowed.
    pub fn build(self) -> Result<FailoverConfig, ConfigError> {
        let timeout = span("timeout", self.timeout)?;
        let rtt_goal = span("rtt_goal", self.rtt_goal)?;
        if rtt_goal >= timeout {
            return Err(ConfigError::NotBelow {
                field: "rtt_goal",
                found: self.rtt_goal,
                other: "timeout",
                limit: self.timeout,
            });
        }
        let slack = match self.slack {
            None => (timeout / 4).min(50_000_000),
            Some(slack) => span("slack", slack)?,
        };
        at_most("slack", slack, "timeout / 4", timeout / 4)?;
        let quarantine = span("quarantine", self.quarantine)?;
        let quarantine_most = span("quarantine_most", self.quarantine_most)?;
        at_most("quarantine", quarantine, "quarantine_most", quarantine_most)?;
        let counts = [
            ("retries", self.retries, 0, 14),
            ("rise", self.rise, 1, 15),
            ("window", self.window, 1, 64),
            ("errors_percent", self.errors_percent, 0, 99),
            ("leave_below", self.leave_below, 1, 100),
            ("enter_at", self.enter_at, self.leave_below, 100),
            ("margin", self.margin, 1, 100),
            ("load_goal", self.load_goal, 0, 99),
            ("jitter_percent", self.jitter_percent, 0, 50),
        ];
        for (field, found, least, most) in counts {
            in_range(field, found, least, most)?;
        }
        Ok(FailoverConfig {
            timeout,
            quarantine,
            quarantine_most,
            hold: span("hold", self.hold)?,
            rtt_goal,
            load_life: span("load_life", self.load_life)?,
            slack,
            fall: self.retries + 1,
            rise: self.rise,
            window: self.window,
            errors_percent: self.errors_percent,
            leave_below: self.leave_below,
            enter_at: self.enter_at,
            margin: self.margin,
            load_goal: self.load_goal,
            jitter_percent: self.jitter_percent,
        })
    }
}
