//! Random configurations, and links whose ends fit together.

use core::time::Duration;

use super::{Link, MODES, Plan};
use crate::config::{
    Config, ConfigBuilder, FirstPing, LatePolicy, LifeRule, Mode, PingSchedule, Probing, Verdict,
};
use crate::detector::Deadline;
use crate::sim::rng::Rng;

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;

/// What both ends of a link should agree on where one of them waits for the other's beats.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    interval: u64,
    window: u64,
    attempts: u8,
}

impl Numbers {
    pub(super) fn draw(rng: &mut Rng) -> Self {
        let interval = rng.span(20 * MILLI, 60 * SECOND);
        let window = interval / 100 * rng.between(12, 150);
        let attempts = [1, 2, 3, 3, 3, 4, 5, 9][rng.below(8) as usize];
        Self { interval, window, attempts }
    }

    /// Another configuration of the same magnitude.
    fn like(self, rng: &mut Rng) -> Self {
        Self { interval: self.interval / 100 * rng.between(50, 200), ..self }
    }
}

pub(super) fn link(rng: &mut Rng, numbers: Numbers, peer: usize, plan: &Plan) -> Link {
    let (nodes, calm, echo) = ([0, peer], plan.calm, plan.echo);
    let mut modes = MODES[rng.below(MODES.len() as u64) as usize];
    if rng.one_in(2) {
        modes.reverse();
    }
    let both_probe = modes.iter().all(|mode| matches!(mode, Mode::Symmetric | Mode::Initiator));
    let other = if both_probe && rng.one_in(3) { numbers.like(rng) } else { numbers };
    let mut configs = [numbers, other].map(|_| Config::default());
    for (side, numbers) in [numbers, other].into_iter().enumerate() {
        let knobs = Knobs { mode: modes[side], numbers, steady: !both_probe, calm, echo };
        configs[side] = knobs.draw(rng);
    }
    let mut hostile = false;
    for side in 0..2 {
        if rng.one_in(6) && modes[side] != Mode::Beacon {
            let gap = configs[1 - side].min_gap;
            let wants_more = !calm && rng.one_in(3);
            hostile |= wants_more;
            let most = if wants_more { 3 * gap } else { gap };
            configs[side] = police(rng, configs[side], most, wants_more);
        }
    }
    let window = configs[0].window.min(configs[1].window);
    let delay = rng.span(1_000, (window / 8).max(1_000));
    Link { nodes, configs, delay, stream: rng.one_in(2), hostile }
}

/// The end accepts pings at least this far apart. (`accept_gap` is a knob of its own, and the
/// builder is gone.)
fn police(rng: &mut Rng, config: Config, most: u64, hostile: bool) -> Config {
    let verdict = if hostile && rng.one_in(2) { Verdict::Convict } else { Verdict::Report };
    Config {
        accept_half_gap: Some((most / 2).max(1)),
        accept_burst: rng.between(1, 3) as u8,
        max_strikes: rng.between(1, 3) as u8,
        abuse_verdict: verdict,
        ..config
    }
}

struct Knobs {
    mode: Mode,
    numbers: Numbers,
    /// One of both ends only listens to the other's beats.
    steady: bool,
    calm: bool,
    echo: bool,
}

impl Knobs {
    fn draw(&self, rng: &mut Rng) -> Config {
        let Numbers { interval, window, attempts } = self.numbers;
        let timeout = interval + window * u64::from(attempts) + rng.below(attempts.into());
        let plain = Config::builder()
            .mode(self.mode)
            .interval(ns(interval))
            .timeout(ns(timeout))
            .attempts(attempts)
            .jitter_percent([0, 10, 25, 50][rng.below(4) as usize]);
        let choices = self.choices(rng, plain, timeout);
        let full = self.spans(rng, choices, timeout);
        // Some draws contradict each other; then the spans are the default ones.
        match (full.build(), choices.build(), plain.build()) {
            (Ok(config), _, _) | (_, Ok(config), _) | (_, _, Ok(config)) => config,
            _ => Config::default(),
        }
    }

    const fn probes(&self) -> bool {
        matches!(self.mode, Mode::Symmetric | Mode::Initiator)
    }

    fn choices(&self, rng: &mut Rng, mut builder: ConfigBuilder, timeout: u64) -> ConfigBuilder {
        if rng.one_in(4) {
            builder = builder.probing(Probing::Always);
        }
        let first = [FirstPing::Phase, FirstPing::AfterInterval, FirstPing::Immediate];
        builder = builder.first_ping(first[rng.below(3) as usize]);
        builder = builder.verify_every(rng.between(1, 6) as u8);
        builder = match rng.below(4) {
            0 => builder.late_policy(LatePolicy::Strict),
            1 => builder.late_policy(LatePolicy::Forgive(ns(rng.span(MILLI, timeout)))),
            _ => builder,
        };
        let mut reopens = rng.one_in(4);
        let rule = match rng.below(8) {
            // What a ledger with less memory takes for exact cannot be told from outside.
            0 if self.probes() && !self.echo => LifeRule::ExactPong,
            1 if self.probes() => LifeRule::AnyPong,
            2 => {
                reopens = false;
                LifeRule::AnyByte
            }
            _ => LifeRule::AnyFrame,
        };
        builder = builder.life_rule(rule);
        if reopens {
            builder = builder.reopen_after(rng.between(1, 3) as u8);
        }
        if self.probes() {
            builder = self.prober(rng, builder);
        }
        if rng.one_in(4) {
            builder = builder.write_reports(true);
        }
        if rng.one_in(4) {
            builder = builder.answer_each(true);
        }
        if rng.one_in(6) {
            builder = builder.detector(Deadline::rtt_adaptive(rng.between(1, 6) as u8));
        }
        builder
    }

    fn prober(&self, rng: &mut Rng, mut builder: ConfigBuilder) -> ConfigBuilder {
        if rng.one_in(6) {
            builder = builder.schedule(PingSchedule::External);
        }
        if rng.one_in(6) {
            builder = builder.ids(false);
            if self.steady {
                builder = builder.keepalive(ns(self.numbers.interval));
            }
        }
        if rng.one_in(8) && !self.steady {
            builder = builder.no_keepalive();
        }
        let verdicts = [Verdict::Ignore, Verdict::Report, Verdict::Convict];
        if rng.one_in(4) {
            let n = rng.between(1, 12);
            let k = rng.between(1, n);
            let verdict = verdicts[rng.below(3) as usize];
            builder = builder.probe_loss(k as u8, n as u8, verdict);
        }
        if rng.one_in(4) {
            let verdict = verdicts[rng.below(3) as usize];
            builder = builder.ping_unanswered(rng.between(1, 6) as u8, verdict);
        }
        builder
    }

    fn spans(&self, rng: &mut Rng, mut builder: ConfigBuilder, timeout: u64) -> ConfigBuilder {
        let Numbers { interval, window, .. } = self.numbers;
        let some = |rng: &mut Rng| rng.one_in(4);
        let mut ceiling = timeout;
        if some(rng) {
            ceiling = timeout / 100 * rng.between(100, 200) + 1_000;
            builder = builder.ceiling(ns(ceiling));
        }
        if some(rng) {
            let least = if self.probes() { interval + window } else { interval };
            builder = builder.floor(ns(rng.between(least, ceiling)));
        }
        let (most, least) = (window.min(interval / 2), window.div_ceil(4));
        let gap = rng.between(least, most.max(least));
        if some(rng) {
            builder = builder.min_gap(ns(gap));
        }
        if some(rng) {
            let suspect = rng.between(gap, (interval / 2).max(gap));
            builder = builder.min_gap(ns(gap)).suspect_interval(ns(suspect));
        }
        if some(rng) {
            builder = builder.down_interval(ns(rng.between(gap.max(interval / 2), 2 * interval)));
        }
        if some(rng) {
            builder = builder.slack(ns(rng.between(1, window / 4)));
        }
        if some(rng) && self.probes() {
            let most = if self.steady { interval } else { 2 * interval };
            builder = builder.keepalive(ns(rng.between(most / 2, most)));
        }
        if some(rng) {
            builder = builder.write_stall(ns(rng.between(window, timeout)));
        }
        if rng.one_in(8) && !self.calm {
            builder = builder.startup_grace(ns(rng.below(interval)));
        }
        builder.drain_limit(ns(rng.span(window, 10 * SECOND.max(window))))
    }
}

const fn ns(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}
