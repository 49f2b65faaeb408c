//! Section 2: what is configured, its defaults (CF3) and what is refused (CF2).

use core::time::Duration;

use heartbeat_proto::{
    Config, ConfigError, FirstPing, LatePolicy, LifeRule, MAX_SPAN, Mode, PingSchedule, Probing,
    Verdict,
};

use super::Nanos;

/// Which ledger the machine is built with (E4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerKind {
    Table,
    Echo,
}

/// The keepalive: as CF3 has it, off, or given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keepalive {
    Default,
    Off,
    Every(u64),
}

/// Every knob, in nanoseconds where it is a span; `None` takes the default of CF3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knobs {
    pub ledger: LedgerKind,
    pub mode: Mode,
    pub schedule: PingSchedule,
    pub probing: Probing,
    pub life_rule: LifeRule,
    pub late_policy: LatePolicy,
    pub first_ping: FirstPing,
    pub ids: bool,
    pub write_reports: bool,
    pub answer_each: bool,
    pub interval: u64,
    pub timeout: Option<u64>,
    pub floor: Option<u64>,
    pub ceiling: Option<u64>,
    pub min_gap: Option<u64>,
    pub suspect_interval: Option<u64>,
    pub down_interval: Option<u64>,
    pub slack: Option<u64>,
    pub startup_limit: u64,
    pub startup_grace: u64,
    pub drain_limit: u64,
    pub keepalive: Keepalive,
    pub write_stall: Option<u64>,
    pub accept_gap: Option<u64>,
    pub attempts: u8,
    pub jitter_percent: u8,
    pub verify_every: u8,
    pub unanswered: (u8, Verdict),
    pub loss: Option<(u8, u8, Verdict)>,
    /// Burst, most strikes, what follows.
    pub police: (u8, u8, Verdict),
    /// 0: a verdict is final.
    pub reopen_after: u8,
}

impl Default for Knobs {
    /// CF3.
    fn default() -> Self {
        Self {
            ledger: LedgerKind::Table,
            mode: Mode::Symmetric,
            schedule: PingSchedule::Own,
            probing: Probing::WhenIdle,
            life_rule: LifeRule::AnyFrame,
            late_policy: LatePolicy::Reprobe,
            first_ping: FirstPing::Phase,
            ids: true,
            write_reports: false,
            answer_each: false,
            interval: 25_000_000_000,
            timeout: None,
            floor: None,
            ceiling: None,
            min_gap: None,
            suspect_interval: None,
            down_interval: None,
            slack: None,
            startup_limit: 10_000_000_000,
            startup_grace: 0,
            drain_limit: 10_000_000_000,
            keepalive: Keepalive::Default,
            write_stall: None,
            accept_gap: None,
            attempts: 3,
            jitter_percent: 10,
            verify_every: 4,
            unanswered: (3, Verdict::Report),
            loss: None,
            police: (3, 3, Verdict::Report),
            reopen_after: 0,
        }
    }
}

impl Knobs {
    /// The same knobs for the machine.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let span = Duration::from_nanos;
        let mut b = Config::builder()
            .mode(self.mode)
            .schedule(self.schedule)
            .probing(self.probing)
            .life_rule(self.life_rule)
            .late_policy(self.late_policy)
            .first_ping(self.first_ping)
            .ids(self.ids)
            .write_reports(self.write_reports)
            .answer_each(self.answer_each)
            .interval(span(self.interval))
            .startup_limit(span(self.startup_limit))
            .startup_grace(span(self.startup_grace))
            .drain_limit(span(self.drain_limit))
            .attempts(self.attempts)
            .jitter_percent(self.jitter_percent)
            .verify_every(self.verify_every)
            .ping_unanswered(self.unanswered.0, self.unanswered.1)
            .police(self.police.0, self.police.1, self.police.2)
            .reopen_after(self.reopen_after);
        macro_rules! optional {
            ($($name:ident)+) => { $(if let Some(x) = self.$name { b = b.$name(span(x)); })+ };
        }
        optional!(timeout floor ceiling min_gap suspect_interval down_interval slack);
        optional!(write_stall accept_gap);
        match self.keepalive {
            Keepalive::Default => {}
            Keepalive::Off => b = b.no_keepalive(),
            Keepalive::Every(x) => b = b.keepalive(span(x)),
        }
        if let Some((k, n, verdict)) = self.loss {
            b = b.probe_loss(k, n, verdict);
        }
        b.build()
    }

    /// Spans that are refused together fall back to their defaults, one after the other.
    #[must_use]
    pub fn mended(mut self) -> Self {
        let drops: [fn(&mut Self); 9] = [
            |_| {},
            |k| k.slack = None,
            |k| (k.min_gap, k.suspect_interval) = (None, None),
            |k| k.floor = None,
            |k| k.ceiling = None,
            |k| k.keepalive = Keepalive::Off,
            |k| k.down_interval = None,
            |k| k.timeout = None,
            |k| (k.attempts, k.jitter_percent, k.interval) = (3, 10, k.interval.max(100)),
        ];
        for drop in drops {
            drop(&mut self);
            if self.config().is_ok() {
                break;
            }
        }
        self
    }
}

/// The rules in force: every knob with its default filled in, under the symbols of section 2.
#[derive(Clone, Debug)]
pub struct Rules {
    pub knobs: Knobs,
    pub i: Nanos,
    pub t: Nanos,
    pub n: Nanos,
    pub w: Nanos,
    pub f: Nanos,
    pub c: Nanos,
    pub g: Nanos,
    pub s: Nanos,
    pub down: Nanos,
    pub slack: Nanos,
    pub jitter: Nanos,
    pub keepalive: Option<Nanos>,
    pub write_stall: Nanos,
    pub accept_gap: Option<Nanos>,
    pub drain_limit: Nanos,
    pub startup_limit: Nanos,
    pub startup_grace: Nanos,
}

fn round_up(a: Nanos, b: Nanos) -> Nanos {
    (a + b - 1) / b
}

impl Rules {
    /// CF1 and CF3.
    pub fn of(knobs: &Knobs) -> Self {
        let given = |knob: Option<u64>, default: Nanos| knob.map_or(default, Nanos::from);
        let i = Nanos::from(knobs.interval);
        let t = given(knobs.timeout, i * 22 / 10);
        let n = Nanos::from(knobs.attempts);
        let w = if n == 0 { 0 } else { (t - i) / n }; // CF1
        let jitter = Nanos::from(knobs.jitter_percent);
        let s = given(knobs.suspect_interval, w.min(i - i / 100 * jitter));
        let plans = !matches!(knobs.mode, Mode::Responder | Mode::Passive);
        let quarter = if plans { round_up(w, 4) } else { 1 };
        let g = given(knobs.min_gap, round_up(s, 2).max(quarter));
        let probes = matches!(knobs.mode, Mode::Symmetric | Mode::Initiator);
        Self {
            i,
            t,
            n,
            w,
            f: given(knobs.floor, if probes { i + w } else { i }),
            c: given(knobs.ceiling, t),
            g,
            s,
            down: given(knobs.down_interval, i),
            slack: given(knobs.slack, (w / 4).min(50_000_000)),
            jitter,
            keepalive: match knobs.keepalive {
                Keepalive::Default => (probes && knobs.ids).then_some(i),
                Keepalive::Off => None,
                Keepalive::Every(x) => Some(Nanos::from(x)),
            },
            write_stall: given(knobs.write_stall, t),
            accept_gap: knobs.accept_gap.map(Nanos::from),
            drain_limit: Nanos::from(knobs.drain_limit),
            startup_limit: Nanos::from(knobs.startup_limit),
            startup_grace: Nanos::from(knobs.startup_grace),
            knobs: knobs.clone(),
        }
    }

    /// CF2: whether such a configuration is accepted.
    pub fn acceptable(&self) -> bool {
        let k = &self.knobs;
        let most = MAX_SPAN.as_nanos() as Nanos;
        let in_range = |x: Nanos| (1..=most).contains(&x);
        let spans = [
            self.i,
            self.t,
            self.f,
            self.c,
            self.g,
            self.s,
            self.down,
            self.slack,
            self.write_stall,
            self.drain_limit,
            self.startup_limit,
        ];
        let optional = [self.keepalive, self.accept_gap];
        let forgiven = match k.late_policy {
            LatePolicy::Forgive(max) => in_range(max.as_nanos() as Nanos),
            _ => true,
        };
        let (loss_k, loss_n) = k.loss.map_or((1, 1), |(k, n, _)| (k, n));
        spans.into_iter().all(in_range)
            && optional.into_iter().flatten().all(in_range)
            && forgiven
            && (0..=most).contains(&self.startup_grace)
            && self.i < self.t
            && self.w >= 1
            && self.t <= self.c
            && self.f <= self.c
            && (!self.probes() || self.i + self.w <= self.f)
            && self.g <= self.s
            && self.s <= self.i - self.i / 100 * self.jitter
            && (!self.sends_on_plan() || round_up(self.w, 4) <= self.g)
            && self.g <= self.down
            && self.keepalive.is_none_or(|keepalive| self.g <= keepalive)
            && self.slack <= self.w / 4
            && (1..=15).contains(&k.attempts)
            && k.jitter_percent <= 50
            && k.verify_every >= 1
            && (1..=14).contains(&k.unanswered.0)
            && 1 <= loss_k
            && loss_k <= loss_n
            && loss_n <= 12
            && k.police.0 >= 1
            && (1..=15).contains(&k.police.1)
            && k.reopen_after <= 15
            && (self.probes()
                || (matches!(k.life_rule, LifeRule::AnyFrame | LifeRule::AnyByte)
                    && k.schedule == PingSchedule::Own))
            && !(matches!(k.mode, Mode::Beacon | Mode::Passive) && self.keepalive.is_some())
            && !(k.reopen_after > 0 && k.life_rule == LifeRule::AnyByte)
    }

    /// "Where the machine probes."
    pub fn probes(&self) -> bool {
        matches!(self.knobs.mode, Mode::Symmetric | Mode::Initiator)
    }

    /// "Where the machine probes or sends beacons on the plan."
    pub fn sends_on_plan(&self) -> bool {
        self.probes() || self.knobs.mode == Mode::Beacon
    }

    /// P1.
    pub fn answers(&self) -> bool {
        !matches!(self.knobs.mode, Mode::Beacon | Mode::Passive)
    }

    /// P10.
    pub fn external(&self) -> bool {
        self.knobs.schedule == PingSchedule::External
    }

    /// LC7.
    pub fn reopens(&self) -> bool {
        self.knobs.reopen_after > 0
    }
}
