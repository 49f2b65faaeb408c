//! [`ConfigBuilder`]: every knob with its meaning, and all rules between them.

use core::time::Duration;

use super::{
    Config, ConfigError, FirstPing, LatePolicy, LifeRule, MAX_SPAN, MAX_SPAN_NANOS, Mode,
    PingSchedule, Probing, Verdict,
};
use crate::detector::Deadline;
use crate::time::nanos;

/// Collects knobs; [`build`](Self::build) checks them all. Spans are 1 ns to
/// [`MAX_SPAN`](crate::MAX_SPAN) (24 h) unless said otherwise; zero is an error, never "off".
#[must_use = "a builder does nothing until `build`"]
#[expect(clippy::struct_excessive_bools, reason = "knobs are independent of each other")]
#[derive(Clone, Copy, Debug)]
pub struct ConfigBuilder<D = Deadline> {
    detector: D,
    mode: Mode,
    schedule: PingSchedule,
    probing: Probing,
    life_rule: LifeRule,
    late_policy: LatePolicy,
    first_ping: FirstPing,
    ids: bool,
    write_reports: bool,
    answer_each: bool,
    interval: Duration,
    timeout: Option<Duration>,
    response_window: Option<Duration>,
    floor: Option<Duration>,
    ceiling: Option<Duration>,
    min_gap: Option<Duration>,
    suspect_interval: Option<Duration>,
    down_interval: Option<Duration>,
    slack: Option<Duration>,
    startup_limit: Duration,
    startup_grace: Duration,
    drain_limit: Duration,
    keepalive: Option<Duration>,
    keepalive_off: bool,
    write_stall: Option<Duration>,
    accept_gap: Option<Duration>,
    attempts: u8,
    jitter_percent: u8,
    verify_every: u8,
    unanswered_limit: u8,
    unanswered_verdict: Verdict,
    loss_k: u8,
    loss_n: u8,
    loss_verdict: Verdict,
    accept_burst: u8,
    max_strikes: u8,
    abuse_verdict: Verdict,
    reopen_after: u8,
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

impl<D: Copy> ConfigBuilder<D> {
    setters! {
        /// Which part this end plays. Default: [`Mode::Symmetric`].
        mode: Mode;
        /// Who decides when a ping leaves. Default: [`PingSchedule::Own`].
        schedule: PingSchedule;
        /// Whether traffic excuses pings. Default: [`Probing::WhenIdle`].
        probing: Probing;
        /// What renews life. Default: [`LifeRule::AnyFrame`]. Stricter rules prove more and kill
        /// peers whose pongs wait behind data; laxer ones trust half-written frames.
        life_rule: LifeRule;
        /// How the caller's own lateness is treated. Default: [`LatePolicy::Reprobe`].
        late_policy: LatePolicy;
        /// When the first ping leaves. Default: [`FirstPing::Phase`]; with the others, clients
        /// that reconnect together beat together.
        first_ping: FirstPing;
        /// Whether pings carry ids. Default: true. `false` is for the one-byte profile: one ping
        /// outstanding, RTT only from unambiguous exchanges.
        ids: bool;
        /// Whether the driver reports `PingSent`, `PongSent`, `TxProgress` and `TxBlocked`.
        /// Default: false. With it the response window runs from the writing of a ping and a
        /// blocked writer is told from a silent peer. Never set it if the driver does not report:
        /// every peer would be `WriteStalled`.
        write_reports: bool;
        /// Whether every admitted ping is answered in order. Default: false: the newest pong
        /// supersedes one that was not written yet, so that at most one waits.
        answer_each: bool;
        /// The longest time between two pings, or, where none are sent, between two beats of the
        /// peer. Default: 25 s. Below `timeout`. Too short wastes packets and battery; too long
        /// loses connections to middleboxes that forget idle ones.
        interval: Duration;
        /// The silence after which the fixed detector gives the peer up. Default:
        /// `interval + attempts * response_window` if that is given, else 55 s. Too short kills
        /// peers behind a short outage.
        timeout: Duration => Some;
        /// The time a pong may take, as another way to give `timeout`. It should be at least three
        /// round trips (RFC 9000 section 10.1 asks for three probe timeouts).
        response_window: Duration => Some;
        /// No verdict by silence before this, whatever an adaptive detector says. Default (and
        /// least, where this end probes): `interval + response_window`; elsewhere `interval`.
        floor: Duration => Some;
        /// Every verdict by silence has fallen after this, whatever the detector says. Default:
        /// `timeout`, which it may not be below. It also bounds how far a peer can slow our
        /// pings: `ceiling - response_window`.
        ceiling: Duration => Some;
        /// The smallest gap between two pings, whatever asks for them. Default: half of
        /// `suspect_interval`, which it may not exceed; at least a quarter of `response_window`,
        /// so that at most four pings are within their windows.
        min_gap: Duration => Some;
        /// The gap between pings while the peer is suspect. Default: `response_window`, at most
        /// the jittered interval. At least `min_gap`.
        suspect_interval: Duration => Some;
        /// The gap between pings after `Lost` where reopening is allowed. Default: `interval`; at
        /// least `min_gap`. RFC 5880 section 6.8.3 asks for at least 1 s while down.
        down_interval: Duration => Some;
        /// How late a call may be and still count as punctual. Default: 50 ms, at most a quarter
        /// of `response_window`. Too small makes every timer a stall, too large hides them.
        slack: Duration => Some;
        /// The limit of the set-up (transport and handshake) before `Event::Start`. Default: 10 s.
        startup_limit: Duration;
        /// Extra silence allowed between `Event::Start` and the first life. Default: none; zero is
        /// allowed. It adds to the promise for peers never heard.
        startup_grace: Duration;
        /// The hard limit of draining. Default: 10 s.
        drain_limit: Duration;
        /// Send at least this often, whatever is received: peers and middleboxes may watch our
        /// direction alone. At least `min_gap`. Default: `interval` where this end pings with ids,
        /// else off.
        keepalive: Duration => Some;
        /// How long the writer may take no byte while something waits. Default: `timeout` with
        /// `write_reports`, and without effect otherwise.
        write_stall: Duration => Some;
        /// The smallest gap between the peer's pings that is advertised. Half of it is enforced.
        /// Default: off, every ping is answered.
        accept_gap: Duration => Some;
        /// How many pings go unanswered within `timeout`. Default: 3; 1 to 15. One makes a single
        /// lost packet deadly.
        attempts: u8;
        /// By how many percent an interval may be shortened, at random but replayable. Default:
        /// 10; 0 to 50 (RFC 5880 section 6.8.7 uses 25).
        jitter_percent: u8;
        /// While traffic excuses pings, send one all the same every so many intervals. Default: 4;
        /// 1 to 255.
        verify_every: u8;
    }

    /// How many pings in a row a talking peer may leave unanswered, and what follows. Default: 3
    /// (1 to 14), [`Verdict::Report`].
    pub const fn ping_unanswered(mut self, limit: u8, verdict: Verdict) -> Self {
        self.unanswered_limit = limit;
        self.unanswered_verdict = verdict;
        self
    }

    /// Suspect the peer when `k` of the last `n` probes were lost, however much else is heard.
    /// Default: off. `1 <= k <= n <= 12`. With [`Verdict::Convict`] it is a verdict of its own.
    pub const fn probe_loss(mut self, k: u8, n: u8, verdict: Verdict) -> Self {
        self.loss_k = k;
        self.loss_n = n;
        self.loss_verdict = verdict;
        self
    }

    /// How the peer's pings are policed against [`accept_gap`](Self::accept_gap): a bucket of
    /// `burst` pings (default 3, 1 to 255), and `max_strikes` (default 3, 1 to 15) that lead to
    /// `verdict` (default [`Verdict::Report`]).
    pub const fn police(mut self, burst: u8, max_strikes: u8, verdict: Verdict) -> Self {
        self.accept_burst = burst;
        self.max_strikes = max_strikes;
        self.abuse_verdict = verdict;
        self
    }

    /// Let a lost peer come back after `n` good replies in a row (1 to 15; RFC 3539 section 3.4
    /// uses 3). Default: off, a verdict is final. For datagrams and fleets; on a stream a verdict
    /// means that the connection is aborted.
    pub const fn reopen_after(mut self, n: u8) -> Self {
        self.reopen_after = n;
        self
    }

    /// Owe no keepalive: what is sent depends on pings and answers alone.
    pub const fn no_keepalive(mut self) -> Self {
        self.keepalive = None;
        self.keepalive_off = true;
        self
    }

    /// Use another detector. Everything else stays as it is.
    pub const fn detector<E: Copy>(self, detector: E) -> ConfigBuilder<E> {
        ConfigBuilder {
            detector,
            mode: self.mode,
            schedule: self.schedule,
            probing: self.probing,
            life_rule: self.life_rule,
            late_policy: self.late_policy,
            first_ping: self.first_ping,
            ids: self.ids,
            write_reports: self.write_reports,
            answer_each: self.answer_each,
            interval: self.interval,
            timeout: self.timeout,
            response_window: self.response_window,
            floor: self.floor,
            ceiling: self.ceiling,
            min_gap: self.min_gap,
            suspect_interval: self.suspect_interval,
            down_interval: self.down_interval,
            slack: self.slack,
            startup_limit: self.startup_limit,
            startup_grace: self.startup_grace,
            drain_limit: self.drain_limit,
            keepalive: self.keepalive,
            keepalive_off: self.keepalive_off,
            write_stall: self.write_stall,
            accept_gap: self.accept_gap,
            attempts: self.attempts,
            jitter_percent: self.jitter_percent,
            verify_every: self.verify_every,
            unanswered_limit: self.unanswered_limit,
            unanswered_verdict: self.unanswered_verdict,
            loss_k: self.loss_k,
            loss_n: self.loss_n,
            loss_verdict: self.loss_verdict,
            accept_burst: self.accept_burst,
            max_strikes: self.max_strikes,
            abuse_verdict: self.abuse_verdict,
            reopen_after: self.reopen_after,
        }
    }
}

impl ConfigBuilder {
    pub(super) const fn new(detector: Deadline) -> Self {
        Self {
            detector,
            mode: Mode::Symmetric,
            schedule: PingSchedule::Own,
            probing: Probing::WhenIdle,
            life_rule: LifeRule::AnyFrame,
            late_policy: LatePolicy::Reprobe,
            first_ping: FirstPing::Phase,
            ids: true,
            write_reports: false,
            answer_each: false,
            interval: Duration::from_secs(25),
            timeout: None,
            response_window: None,
            floor: None,
            ceiling: None,
            min_gap: None,
            suspect_interval: None,
            down_interval: None,
            slack: None,
            startup_limit: Duration::from_secs(10),
            startup_grace: Duration::ZERO,
            drain_limit: Duration::from_secs(10),
            keepalive: None,
            keepalive_off: false,
            write_stall: None,
            accept_gap: None,
            attempts: 3,
            jitter_percent: 10,
            verify_every: 4,
            unanswered_limit: 3,
            unanswered_verdict: Verdict::Report,
            loss_k: 0,
            loss_n: 0,
            loss_verdict: Verdict::Report,
            accept_burst: 3,
            max_strikes: 3,
            abuse_verdict: Verdict::Report,
            reopen_after: 0,
        }
    }
}

/// The default timeout where neither `timeout` nor `response_window` is given.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(55);

/// What a peer's `slack` is at most by default: common timers are a few milliseconds late, busy
/// runtimes a few tens.
const DEFAULT_SLACK: u64 = 50_000_000;

/// Evaluates a `Result` in a `const fn`, where `?` is not allowed.
macro_rules! check {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}

impl<D: Copy> ConfigBuilder<D> {
    /// Checks every knob and every relation between them (rule C2).
    ///
    /// # Errors
    ///
    /// The first knob that does not fit, with the values found and allowed.
    pub const fn build(self) -> Result<Config<D>, ConfigError> {
        check!(self.check_counts());
        check!(self.check_choices());
        let attempts = self.attempts as u64;
        let interval = check!(span("interval", self.interval));
        let timeout = check!(self.silence_limit(interval));
        let window = (timeout - interval) / attempts;
        if window == 0 {
            return Err(below("timeout", timeout, "interval + attempts", interval + attempts));
        }
        let probes = matches!(self.mode, Mode::Symmetric | Mode::Initiator);
        let least_floor = if probes { interval + window } else { 1 };
        let usual_floor = if probes { least_floor } else { interval };
        let ceiling = check!(optional("ceiling", self.ceiling, timeout));
        check!(at_least("ceiling", ceiling, "timeout", timeout));
        let floor = check!(optional("floor", self.floor, usual_floor));
        check!(at_least("floor", floor, "interval + response_window", least_floor));
        check!(at_most("floor", floor, "ceiling", ceiling));

        // Rounded up: a gap may be longer than promised, never shorter.
        let shortest = interval - interval / 100 * self.jitter_percent as u64;
        let usual = if window < shortest { window } else { shortest };
        let suspect_interval = check!(optional("suspect_interval", self.suspect_interval, usual));
        check!(at_most("suspect_interval", suspect_interval, "the jittered interval", shortest));
        let quarter = window.div_ceil(4);
        let half = suspect_interval.div_ceil(2);
        let usual_gap = if half > quarter { half } else { quarter };
        let min_gap = check!(optional("min_gap", self.min_gap, usual_gap));
        check!(at_least("min_gap", min_gap, "response_window / 4", quarter));
        check!(at_most("min_gap", min_gap, "suspect_interval", suspect_interval));
        let down_interval = check!(optional("down_interval", self.down_interval, interval));
        check!(at_least("down_interval", down_interval, "min_gap", min_gap));

        let most_slack = window / 4;
        let usual_slack = if DEFAULT_SLACK < most_slack { DEFAULT_SLACK } else { most_slack };
        let slack = match self.slack {
            // A window of less than 4 ns has no quarter: everything counts as late.
            None => usual_slack,
            Some(slack) => check!(span("slack", slack)),
        };
        check!(at_most("slack", slack, "response_window / 4", most_slack));

        let keepalive = match self.keepalive {
            None if probes && self.ids && !self.keepalive_off => Some(interval),
            None => None,
            Some(keepalive) => {
                let keepalive = check!(span("keepalive", keepalive));
                check!(at_least("keepalive", keepalive, "min_gap", min_gap));
                Some(keepalive)
            }
        };
        let write_stall = match self.write_stall {
            // Kept even without write reports: an adapter may report writes after all.
            Some(write_stall) => Some(check!(span("write_stall", write_stall))),
            None if self.write_reports => Some(timeout),
            None => None,
        };
        let accept_half_gap = match self.accept_gap {
            None => None,
            Some(gap) => Some(check!(span("accept_gap", gap)).div_ceil(2)),
        };
        let startup_grace = nanos(self.startup_grace);
        if startup_grace > MAX_SPAN_NANOS {
            return Err(too_long("startup_grace", self.startup_grace));
        }
        Ok(Config {
            detector: self.detector,
            mode: self.mode,
            schedule: self.schedule,
            probing: self.probing,
            life_rule: self.life_rule,
            late_policy: self.late_policy,
            first_ping: self.first_ping,
            ids: self.ids,
            write_reports: self.write_reports,
            answer_each: self.answer_each,
            interval,
            timeout,
            window,
            floor,
            ceiling,
            min_gap,
            suspect_interval,
            down_interval,
            slack,
            startup_limit: check!(span("startup_limit", self.startup_limit)),
            startup_grace,
            drain_limit: check!(span("drain_limit", self.drain_limit)),
            keepalive,
            write_stall,
            accept_half_gap,
            attempts: self.attempts,
            jitter_percent: self.jitter_percent,
            verify_every: self.verify_every,
            unanswered_limit: self.unanswered_limit,
            unanswered_verdict: self.unanswered_verdict,
            loss_k: self.loss_k,
            loss_n: self.loss_n,
            loss_verdict: self.loss_verdict,
            accept_burst: self.accept_burst,
            max_strikes: self.max_strikes,
            abuse_verdict: self.abuse_verdict,
            reopen_after: self.reopen_after,
        })
    }

    /// `timeout`, from whichever of the two knobs is given.
    const fn silence_limit(&self, interval: u64) -> Result<u64, ConfigError> {
        let timeout = match (self.timeout, self.response_window) {
            (Some(_), Some(_)) => {
                return Err(ConfigError::Conflict { field: "timeout", other: "response_window" });
            }
            (Some(timeout), None) => check!(span("timeout", timeout)),
            (None, None) => check!(span("timeout", DEFAULT_TIMEOUT)),
            (None, Some(window)) => {
                let window = check!(span("response_window", window));
                let timeout = interval + window * self.attempts as u64;
                check!(span("interval + attempts * response_window", Duration::from_nanos(timeout)))
            }
        };
        if interval >= timeout {
            return Err(ConfigError::NotBelow {
                field: "interval",
                found: Duration::from_nanos(interval),
                other: "timeout",
                limit: Duration::from_nanos(timeout),
            });
        }
        Ok(timeout)
    }

    const fn check_counts(&self) -> Result<(), ConfigError> {
        check!(in_range("attempts", self.attempts, 1, 15));
        check!(in_range("jitter_percent", self.jitter_percent, 0, 50));
        check!(in_range("verify_every", self.verify_every, 1, u8::MAX));
        check!(in_range("ping_unanswered limit", self.unanswered_limit, 1, 14));
        if self.loss_k != 0 || self.loss_n != 0 {
            check!(in_range("probe_loss n", self.loss_n, 1, 12));
            check!(in_range("probe_loss k", self.loss_k, 1, self.loss_n));
        }
        check!(in_range("accept_burst", self.accept_burst, 1, u8::MAX));
        check!(in_range("max_strikes", self.max_strikes, 1, 15));
        in_range("reopen_after", self.reopen_after, 0, 15)
    }

    const fn check_choices(&self) -> Result<(), ConfigError> {
        let probes = matches!(self.mode, Mode::Symmetric | Mode::Initiator);
        let pongs_only = matches!(self.life_rule, LifeRule::ExactPong | LifeRule::AnyPong);
        if pongs_only && !probes {
            return Err(ConfigError::Conflict {
                field: "a life rule that counts pongs only",
                other: "a mode that sends no pings",
            });
        }
        if matches!(self.schedule, PingSchedule::External) && !probes {
            return Err(ConfigError::Conflict {
                field: "an external ping schedule",
                other: "a mode that sends no pings",
            });
        }
        if self.keepalive.is_some() && matches!(self.mode, Mode::Passive | Mode::Beacon) {
            return Err(ConfigError::Conflict {
                field: "keepalive",
                other: "a mode without signs of life of its own, or with nothing else",
            });
        }
        if matches!(self.life_rule, LifeRule::AnyByte) && self.reopen_after != 0 {
            return Err(ConfigError::Conflict {
                field: "LifeRule::AnyByte (for streams)",
                other: "reopen_after (for datagrams)",
            });
        }
        if let LatePolicy::Forgive(most) = self.late_policy {
            check!(span("LatePolicy::Forgive", most));
        }
        Ok(())
    }
}

const fn span(field: &'static str, value: Duration) -> Result<u64, ConfigError> {
    match nanos(value) {
        0 => Err(ConfigError::Zero { field }),
        nanos if nanos > MAX_SPAN_NANOS => Err(too_long(field, value)),
        nanos => Ok(nanos),
    }
}

const fn optional(
    field: &'static str,
    value: Option<Duration>,
    default: u64,
) -> Result<u64, ConfigError> {
    match value {
        Some(value) => span(field, value),
        None => Ok(default),
    }
}

const fn too_long(field: &'static str, found: Duration) -> ConfigError {
    ConfigError::TooLong { field, found, most: MAX_SPAN }
}

const fn at_most(
    field: &'static str,
    found: u64,
    other: &'static str,
    limit: u64,
) -> Result<(), ConfigError> {
    if found <= limit {
        return Ok(());
    }
    let (found, limit) = (Duration::from_nanos(found), Duration::from_nanos(limit));
    Err(ConfigError::Above { field, found, other, limit })
}

const fn at_least(
    field: &'static str,
    found: u64,
    other: &'static str,
    limit: u64,
) -> Result<(), ConfigError> {
    if found >= limit { Ok(()) } else { Err(below(field, found, other, limit)) }
}

const fn below(field: &'static str, found: u64, other: &'static str, limit: u64) -> ConfigError {
    let (found, limit) = (Duration::from_nanos(found), Duration::from_nanos(limit));
    ConfigError::Below { field, found, other, limit }
}

const fn in_range(field: &'static str, found: u8, least: u8, most: u8) -> Result<(), ConfigError> {
    if found >= least && found <= most {
        return Ok(());
    }
    Err(ConfigError::OutOfRange { field, found, least, most })
}
