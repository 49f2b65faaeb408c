//! What an outsider knows of the present silence, and what it says about a verdict: S1, S2, S4,
//! S5, S6 and L1, from nothing but what went in and came out.

use heartbeat_proto::{Actions, Event, Findings, LatePolicy, LifeRule, Liveness, Reason, Report};

use super::rules::{Rules, nanos};

/// Whether an input is evidence (rules E1 to E4), as far as an outsider can tell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    No,
    /// A late pong and a forgotten one are told alike.
    Perhaps,
    Yes,
}

impl Evidence {
    pub fn of(event: Event, found: Findings, epoch: u32, rule: LifeRule) -> Self {
        let frames = matches!(rule, LifeRule::AnyFrame | LifeRule::AnyByte);
        let pong = |ours: bool| {
            let told = |finding| found.contains(finding);
            if !ours {
                Self::No
            } else if rule != LifeRule::ExactPong {
                Self::Yes
            } else if told(Findings::PONG_UNMATCHED) || told(Findings::PONG_DUPLICATE) {
                Self::No
            } else if told(Findings::PONG_LATE) {
                Self::Perhaps
            } else {
                Self::Yes
            }
        };
        let yes = match event {
            Event::PongReceived { id, .. } => return pong(id.epoch() == epoch),
            Event::AnonymousPongReceived => return pong(true),
            Event::PingReceived { .. }
            | Event::BeaconReceived { .. }
            | Event::FrameReceived
            | Event::LimitReceived { .. } => frames,
            Event::BytesReceived => rule == LifeRule::AnyByte,
            _ => false,
        };
        if yes { Self::Yes } else { Self::No }
    }
}

/// The silence since the last evidence.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    /// Between these two lies the last evidence; the second is `None` if a pause may have moved
    /// it (rules J7, LC6).
    certain: u64,
    possible: Option<u64>,
    /// Something has put the verdict off.
    granted: bool,
    /// How often that was a limit that the peer lowered (A6).
    limits: u32,
    /// The peer has changed the numbers in force since.
    changed: bool,
    /// The lateness of the caller, summed.
    lateness: u64,
    /// The first ping since.
    pinged: Option<u64>,
}

impl Silence {
    pub const fn from(ev: u64) -> Self {
        Self {
            certain: ev,
            possible: Some(ev),
            granted: false,
            limits: 0,
            changed: false,
            lateness: 0,
            pinged: None,
        }
    }

    /// Before what a call said is looked at: how late it was.
    pub const fn called(&mut self, late_by: u64) {
        self.lateness = self.lateness.saturating_add(late_by);
    }

    /// Time stood still, for longer than the caller knows.
    pub const fn paused(&mut self) {
        self.possible = None;
        self.granted = true;
    }

    pub const fn reconfigured(&mut self) {
        (self.granted, self.possible) = (true, None);
    }

    /// The peer asked for other numbers.
    pub const fn slowed(&mut self) {
        self.changed = true;
    }

    /// A ping that left at the same moment counts as sent since.
    pub fn heard(&mut self, evidence: Evidence, now: u64, last_ping: Option<u64>) {
        let at_once = last_ping.filter(|&sent| sent == now);
        match evidence {
            Evidence::No => {}
            Evidence::Perhaps => {
                self.certain = self.certain.min(now); // A grace may end later.
                self.possible = self.possible.map(|before| before.max(now));
                self.pinged = at_once;
            }
            Evidence::Yes => *self = Self { pinged: at_once, ..Self::from(now) },
        }
    }

    pub const fn pinged(&mut self, now: u64) {
        if self.pinged.is_none() && now >= self.certain {
            self.pinged = Some(now);
        }
    }

    /// A grant was given: by a limit that the peer lowered, or by a late call.
    pub const fn reprobed(&mut self, by_limit: bool) {
        self.granted = true;
        self.limits += by_limit as u32;
    }

    /// Judges a verdict by silence of this call. `self` is as it was before the call, but for
    /// [`called`](Self::called).
    pub fn verdict(
        &self,
        rules: &Rules,
        slowed: bool,
        report: &Report,
        actions: &Actions,
        now: u64,
    ) {
        let told = nanos(report.silence);
        assert!(told <= now.saturating_sub(self.certain), "E3: told {told}, {self:?} at {now}");
        if let Some(possible) = self.possible {
            assert!(told >= now.saturating_sub(possible), "S6: told {told}, {self:?} at {now}");
        }
        if !by_silence(report.reason) {
            return;
        }
        let config = &rules.config;
        let (floor, ceiling) = (nanos(config.floor()), nanos(config.ceiling()));
        assert!(told > floor, "S1: told {told}, floor {floor}, {report}");
        let reprobes = config.late_policy() == LatePolicy::Reprobe;
        let late = actions.findings().contains(Findings::LATE_CALL);
        assert!(!(reprobes && late && !self.granted), "S5: {report}, {self:?}");
        let exact = self.possible == Some(self.certain) && !self.changed;
        if exact && self.lateness == 0 && !self.granted && rules.fixed && !slowed {
            let limit = nanos(config.timeout()).clamp(floor, ceiling);
            assert_eq!(told, limit + 1, "S2: {report}");
        }
        let punctual = self.lateness == 0 || reprobes;
        let window = nanos(config.response_window());
        // Without ids a ping waits for the last one's window (P9), and S4 for a window below I.
        let in_time = rules.ids || window < nanos(config.interval());
        let probes = rules.probes() && rules.own_schedule && !config.write_reports();
        if exact && punctual && probes && in_time {
            let judged = self.pinged.is_some_and(|ping| now > ping + window);
            assert!(judged, "S4: {report}, {self:?} at {now}");
        }
    }

    /// L1: no silence is longer than promised, whether or not a verdict has fallen in this call.
    /// `peer_gap` is the largest that the peer has ever asked for.
    pub fn bound(&self, rules: &Rules, peer_gap: u64, now: u64) {
        let Some(possible) = self.possible else { return };
        let config = &rules.config;
        let window = if rules.own_schedule { 0 } else { nanos(config.response_window()) };
        let slowed = rules.gap(peer_gap) - rules.gap(0);
        // A nanosecond for each limit that must be passed: V, a window before it, one after it.
        let grant = nanos(config.response_window()) + rules.gap(peer_gap); // CF6
        let limits = grant.saturating_mul(self.limits.into());
        let extra = slowed.saturating_add(window).saturating_add(limits) + 3;
        let bound = nanos(config.worst_case_detection()).saturating_add(extra);
        let silence = now.saturating_sub(possible);
        let most = bound.saturating_add(self.lateness);
        assert!(silence <= most, "L1: {silence} > {bound} + {}", self.lateness);
    }
}

pub const fn by_silence(reason: Reason) -> bool {
    matches!(reason, Reason::NoResponse | Reason::Silence | Reason::NotProbed)
}

/// Whether silence is judged by this machine now.
pub const fn is_judged(liveness: Liveness, draining: bool, suspended: bool) -> bool {
    liveness.is_live() && !draining && !suspended
}
