//! [`ConfigBuilder`]: every knob with its meaning. The rules between them are in `check.rs`.

use core::time::Duration;

use super::{FirstPing, LatePolicy, LifeRule, Mode, PingSchedule, Probing, Verdict};
use crate::detector::Deadline;

/// Collects knobs; [`build`](Self::build) checks them all. Spans are 1 ns to
/// [`MAX_SPAN`](crate::MAX_SPAN) (24 h) unless said otherwise; zero is an error, never "off".
#[must_use = "a builder does nothing until `build`"]
#[expect(clippy::struct_excessive_bools, reason = "knobs are independent of each other")]
#[derive(Clone, Copy, Debug)]
pub struct ConfigBuilder<D = Deadline> {
    pub(super) detector: D,
    pub(super) mode: Mode,
    pub(super) schedule: PingSchedule,
    pub(super) probing: Probing,
    pub(super) life_rule: LifeRule,
    pub(super) late_policy: LatePolicy,
    pub(super) first_ping: FirstPing,
    pub(super) ids: bool,
    pub(super) write_reports: bool,
    pub(super) answer_each: bool,
    pub(super) interval: Duration,
    pub(super) timeout: Option<Duration>,
    pub(super) response_window: Option<Duration>,
    pub(super) floor: Option<Duration>,
    pub(super) ceiling: Option<Duration>,
    pub(super) min_gap: Option<Duration>,
    pub(super) suspect_interval: Option<Duration>,
    pub(super) down_interval: Option<Duration>,
    pub(super) slack: Option<Duration>,
    pub(super) startup_limit: Duration,
    pub(super) startup_grace: Duration,
    pub(super) drain_limit: Duration,
    pub(super) keepalive: Option<Duration>,
    pub(super) keepalive_off: bool,
    pub(super) write_stall: Option<Duration>,
    pub(super) accept_gap: Option<Duration>,
    pub(super) attempts: u8,
    pub(super) jitter_percent: u8,
    pub(super) verify_every: u8,
    pub(super) unanswered_limit: u8,
    pub(super) unanswered_verdict: Verdict,
    pub(super) loss_k: u8,
    pub(super) loss_n: u8,
    pub(super) loss_verdict: Verdict,
    pub(super) accept_burst: u8,
    pub(super) max_strikes: u8,
    pub(super) abuse_verdict: Verdict,
    pub(super) reopen_after: u8,
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
        /// `interval + attempts * response_window` if that is given, else 2.2 intervals. Too short
        /// kills peers behind a short outage.
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
