//! Configuration from a wish (rules QS1 to QS7): the example of the paper, its inequalities as
//! properties, and simulations that keep what was promised.
#![cfg(feature = "detectors")]
#![allow(clippy::std_instead_of_alloc, reason = "tests have std")]
#![allow(clippy::cast_precision_loss, reason = "spans of days in floats")]

mod common;

use core::time::Duration;
use std::collections::BTreeMap;

use common::{Rng, SEC, Solo, nanos, ping_in};
use heartbeat_proto::qos::{Link, Pings, Qos, QosError};
use heartbeat_proto::{Config, Event, HeartbeatMachine, Histogram, Liveness, PingId};
use proptest::prelude::*;

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What the paper wishes in its example.
fn papers_wish() -> Qos {
    Qos::new(secs(30), MONTH, secs(60)).expect("a wish")
}

/// QS2: the known distribution gives 9.97 s and 20.03 s.
#[test]
fn the_example_of_the_paper_with_a_known_distribution() {
    let exponential = Link::exponential(0.01, ms(20)).expect("a link");
    let same = |x: f64| (-x / 0.02).exp();
    let known = Link::known(0.01, &same).expect("a link");
    for link in [exponential, known] {
        let beats = papers_wish().beats(&link).expect("possible");
        assert_eq!(beats.interval().as_millis() / 10, 997, "{beats:?}");
        assert_eq!(beats.margin().as_millis() / 10, 2002, "30 s less 9.976 s");
        assert_eq!(beats.interval() + beats.margin(), secs(30));
        assert_eq!(beats.confirmations(), 3);
        let watcher = beats.watcher().expect("valid");
        assert_eq!((watcher.interval(), watcher.timeout()), (beats.interval(), secs(30)));
        assert_eq!(watcher.attempts(), 3);
    }
}

/// QS2: only the moments known, `E(D) = 0.02 s` and `V(D) = 0.02 s^2`, it is 9.71 s and 20.29 s.
#[test]
fn the_example_of_the_paper_with_moments_only() {
    let deviation = Duration::from_secs_f64(0.02_f64.sqrt());
    let link = Link::moments(0.01, ms(20), deviation).expect("a link");
    let beats = papers_wish().beats(&link).expect("possible");
    assert_eq!((beats.interval().as_millis() + 5) / 10, 971, "{beats:?}");
    assert_eq!((beats.margin().as_millis() + 5) / 10, 2029, "{beats:?}");
    // Without the mean, the bound is one beyond it: the same as with a mean of zero.
    let unknown = Link::variance(0.01, deviation).expect("a link");
    let zero = Link::moments(0.01, Duration::ZERO, deviation).expect("a link");
    let [unknown, zero] = [unknown, zero].map(|link| papers_wish().beats(&link).expect("possible"));
    assert_eq!(unknown, zero);
    assert!(unknown.interval() > beats.interval());
    assert_eq!(
        papers_wish().pings(&Link::variance(0.0, ms(1)).expect("a link")).err(),
        Some(QosError::NeedsDelay)
    );
}

/// QS1: of a histogram the upper ends count, and what was never seen may still happen.
#[test]
fn measured_delays_leave_room_for_what_was_not_seen() {
    let mut delays = Histogram::default();
    assert_eq!(Link::measured(0.0, &delays).err(), Some(QosError::NoDelays));
    for millis in 1..=99 {
        delays.record(ms(millis));
    }
    let link = Link::measured(0.0, &delays).expect("a link");
    assert!((link.exceeds(0.5) - 0.01).abs() < 1e-12, "1 in 100: {}", link.exceeds(0.5));
    assert!(link.exceeds(0.050) >= 0.50 && link.exceeds(0.050) <= 0.75, "{}", link.exceeds(0.05));
    assert!(link.exceeds(0.0) >= 1.0);
}

/// QS7: nonsense is refused by name.
#[test]
fn nonsense_is_refused() {
    let second = secs(1);
    let zero = Qos::new(Duration::ZERO, second, second).unwrap_err();
    assert_eq!(zero, QosError::Zero { part: "detect_within" });
    assert!(Qos::new(second, Duration::ZERO, second).is_err());
    assert!(Qos::new(second, second, Duration::ZERO).is_err());
    let day = Qos::new(secs(86_401), second, second).unwrap_err();
    assert_eq!(day.to_string(), "detect_within is 86401s but at most 86400s is allowed");
    for loss in [1.0, -0.1, f64::NAN, f64::INFINITY] {
        assert!(Link::exponential(loss, second).is_err(), "{loss}");
        assert!(Link::exponential(0.5, second).expect("a link").repeat_loss(loss).is_err());
    }
}

/// QS7: which part is impossible, and by how much: what is offered instead is granted, and a little
/// less is not.
#[test]
fn an_impossible_wish_is_told_with_what_is_possible() {
    let link = Link::exponential(0.05, ms(100)).expect("a link");
    let wish = |within, every, mean| Qos::new(within, every, mean).expect("a wish");
    let year = MONTH * 12;
    for (asked, expected) in [
        (wish(ms(120), year, secs(60)), "detect_within"),
        (wish(ms(2000), year * 1_000_000, secs(60)), "mistake_every"),
        (wish(secs(30), secs(1), ms(150)), "mean_mistake"),
    ] {
        let Err(QosError::Impossible { part, possible, detect_within, .. }) = asked.pings(&link)
        else {
            panic!("{asked:?} was granted");
        };
        let possible = possible.unwrap_or_else(|| panic!("something helps {expected}"));
        assert_eq!(part, expected);
        let changed_to = |span: Duration| match part {
            "detect_within" => wish(span, asked.mistake_every(), asked.mean_mistake()),
            "mistake_every" => wish(asked.detect_within(), span, asked.mean_mistake()),
            _ => wish(asked.detect_within(), asked.mistake_every(), span),
        };
        assert!(changed_to(possible).pings(&link).is_ok(), "{part}: {possible:?} is granted");
        let harder =
            if part == "mistake_every" { possible * 101 / 100 } else { possible * 99 / 100 };
        assert!(changed_to(harder).pings(&link).is_err(), "{part}: {harder:?} is not");
        if let Some(within) = detect_within {
            let later = wish(within, asked.mistake_every(), asked.mean_mistake());
            assert!(later.pings(&link).is_ok(), "{part}: or within {within:?}");
        }
    }
    let error = wish(ms(2000), year * 1_000_000, secs(60)).pings(&link).unwrap_err().to_string();
    assert!(error.starts_with("mistake_every of 31104000000000s is impossible on this link: "));
    assert!(error.contains("is the best there is; with detect_within of "), "{error}");
}

/// The product of the paper, by its formula.
fn recurrence(link: &Link<'_>, within: f64, interval: f64) -> f64 {
    let terms = (within / interval).ceil() as u32;
    let fails = |loss: f64, x: f64| loss + (1.0 - loss) * link.exceeds(x);
    let product: f64 = (1..terms)
        .map(|j| {
            let loss = if j == 1 { link.loss() } else { link.loss_after_loss() };
            fails(loss, within - f64::from(j) * interval)
        })
        .product();
    let answered = (1.0 - link.loss()) * (1.0 - link.exceeds(within));
    interval / (answered * product)
}

fn any_wish() -> impl Strategy<Value = Qos> {
    // Spans from milliseconds to months, by their logarithms.
    (-2.0..4.0f64, 0.0..8.0f64, -2.0..4.0f64).prop_map(|(within, every, mean)| {
        let span = |power: f64| Duration::from_secs_f64(10f64.powf(power));
        Qos::new(span(within), span(every), span(mean)).expect("a wish")
    })
}

fn any_link() -> impl Strategy<Value = Link<'static>> {
    let loss = prop_oneof![Just(0.0), 0.0..0.05, 0.05..0.9];
    (loss, 0.0..0.9f64, -4.0..1.0f64, -4.0..1.0f64, any::<bool>()).prop_map(
        |(loss, repeat, mean, deviation, known)| {
            let span = |power: f64| Duration::from_secs_f64(10f64.powf(power));
            let link = if known {
                Link::exponential(loss, span(mean))
            } else {
                Link::moments(loss, span(mean), span(deviation))
            };
            link.and_then(|link| link.repeat_loss(repeat)).expect("a link")
        },
    )
}

/// A wish, and one that is harder in each part (or as hard).
fn two_wishes() -> impl Strategy<Value = (Qos, Qos)> {
    let share = || prop_oneof![Just(1.0), 0.01..1.0f64];
    (any_wish(), share(), share(), share()).prop_map(|(easy, within, every, mean)| {
        let harder = Qos::new(
            easy.detect_within().mul_f64(within).max(Duration::from_nanos(1)),
            easy.mistake_every().div_f64(every),
            easy.mean_mistake().mul_f64(mean).max(Duration::from_nanos(1)),
        );
        (easy, harder.expect("a wish"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// QS2: what is granted keeps the inequalities of the paper.
    #[test]
    fn granted_beats_keep_the_inequalities(wish in any_wish(), link in any_link()) {
        let Ok(beats) = wish.beats(&link) else { return Ok(()) };
        let interval = beats.interval().as_secs_f64();
        let within = wish.detect_within().as_secs_f64();
        let answered = (1.0 - link.loss()) * (1.0 - link.exceeds(within));
        prop_assert_eq!(beats.interval() + beats.margin(), wish.detect_within());
        prop_assert!(interval >= 0.000_999);
        prop_assert!(interval <= answered * wish.mean_mistake().as_secs_f64() * (1.0 + 1e-9));
        let recurs = recurrence(&link, within, interval);
        prop_assert!(recurs >= wish.mistake_every().as_secs_f64() * (1.0 - 1e-6), "{recurs}");
        let terms = beats.confirmations();
        prop_assert_eq!(terms, (within / interval).ceil() as u64 - 1);
    }

    /// QS4, QS5: and what is granted to pings those of this crate's machine.
    #[test]
    fn granted_pings_keep_the_inequalities(wish in any_wish(), link in any_link()) {
        let Ok(pings) = wish.pings(&link) else { return Ok(()) };
        let config = pings.config();
        prop_assert!(config.worst_case_detection() <= wish.detect_within());
        let (interval, window) =
            (config.interval().as_secs_f64(), config.response_window().as_secs_f64());
        prop_assert!(window * 3.0 + 1e-8 >= interval);
        prop_assert_eq!(config.suspect_interval(), config.response_window());
        let fails = |loss: f64, left: u8| {
            loss + (1.0 - loss) * link.exceeds(f64::from(left) * window)
        };
        let most = config.attempts();
        let all: f64 = fails(link.loss(), most)
            * (1..most).map(|left| fails(link.loss_after_loss(), left)).product::<f64>();
        let recurs = 0.9 * interval / all;
        // Spans of a millisecond, rounded to nanoseconds.
        prop_assert!(recurs >= wish.mistake_every().as_secs_f64() * (1.0 - 1e-3), "{recurs}");
        prop_assert!(link.exceeds(window) <= 0.050_1);
        // One gap until the first ping after the verdict has left, one for each that fails, one for
        // the answer.
        let gap = pings.down_interval().as_secs_f64();
        let answered = (1.0 - link.loss_after_loss()) * (1.0 - link.exceeds(gap));
        let lasts = gap * (1.0 + 1.0 / answered);
        prop_assert!(lasts <= wish.mean_mistake().as_secs_f64() * (1.0 + 1e-6), "{lasts}");
    }

    /// QS6: a harder wish never gets a longer interval, nor is it granted where the easier is not.
    #[test]
    fn a_harder_wish_never_gets_a_longer_interval(
        (easy, hard) in two_wishes(), link in any_link(),
    ) {
        if let Ok(hard) = hard.beats(&link) {
            let easy = easy.beats(&link);
            prop_assert!(easy.is_ok(), "the easier one is refused: {easy:?}");
            prop_assert!(easy.is_ok_and(|easy| easy.interval() >= hard.interval()));
        }
        if let Ok(hard) = hard.pings(&link) {
            let easy = easy.pings(&link);
            prop_assert!(easy.is_ok(), "the easier one is refused: {:?}", easy.err());
            let interval = |pings: Pings| pings.config().interval();
            prop_assert!(easy.is_ok_and(|easy| interval(easy) >= interval(hard)));
        }
    }
}

/// A number in 0..1.
fn unit(rng: &mut Rng) -> f64 {
    (rng.next() >> 11) as f64 / (1u64 << 53) as f64
}

/// An exponential delay in nanoseconds, or none if it is lost.
fn delay(rng: &mut Rng, loss: f64, mean: Duration) -> Option<u64> {
    let arrives = unit(rng) >= loss;
    let delay = -(1.0 - unit(rng)).ln() * nanos(mean) as f64;
    arrives.then_some(delay as u64)
}

/// QS2, QS3: NFD-S by its definition, over a lossy link, keeps the promised rate, duration and
/// detection. The promise is near enough to be worth something: at most ten times better.
#[test]
fn simulated_beats_keep_the_promise() {
    let (loss, mean) = (0.1, ms(100));
    let (within, every, lasts) = (secs(4), secs(600), secs(3));
    let wish = Qos::new(within, every, lasts).expect("a wish");
    let beats = wish.beats(&Link::exponential(loss, mean).expect("a link")).expect("possible");
    let (interval, margin) = (nanos(beats.interval()), nanos(beats.margin()));
    let hours = 400;
    let mut rng = Rng(11);
    let count = hours * 3600 * SEC / interval;
    // When a beat of this number or a later one has arrived.
    let mut arrivals: Vec<u64> = (0..count)
        .map(|i| delay(&mut rng, loss, mean).map_or(u64::MAX, |delay| i * interval + delay))
        .collect();
    // QS3: the fixed deadline suspects in silences longer than `T_D` alone.
    let mut heard: Vec<u64> = arrivals.iter().copied().filter(|&at| at != u64::MAX).collect();
    heard.sort_unstable();
    let too_long = |pair: &&[u64]| pair[1] - pair[0] > nanos(within);
    let fixed = heard.windows(2).filter(too_long).count() as u64;
    for i in (0..arrivals.len() - 1).rev() {
        arrivals[i] = arrivals[i].min(arrivals[i + 1]);
    }
    // In `tau_i..tau_(i+1)` trust needs a beat from i on. A mistake begins at a freshness point at
    // which there is none, if there was one just before it.
    let (mut mistakes, mut wrong) = (0u64, 0u64);
    for i in 1..arrivals.len() - 100 {
        let point = i as u64 * interval + margin;
        let untrusted = arrivals[i].saturating_sub(point).min(interval);
        wrong += untrusted;
        let before = arrivals[i - 1] < point;
        mistakes += u64::from(untrusted > 0 && before);
    }
    let promised = (hours * 3600) as f64 / every.as_secs_f64();
    assert!(mistakes > 100, "enough to judge by: {mistakes}");
    assert!(fixed <= mistakes, "{fixed} of the fixed deadline, {mistakes} of NFD-S");
    // Poisson: five deviations.
    let most = promised + 5.0 * promised.sqrt();
    assert!((mistakes as f64) < most, "{mistakes} mistakes, promised {promised}");
    assert!(mistakes as f64 * 10.0 > promised, "{mistakes} mistakes, promised {promised}");
    let mean_mistake = Duration::from_nanos(wrong / mistakes);
    assert!(mean_mistake <= lasts, "{mean_mistake:?}");
}

/// A machine of the rules, and a peer over a link: rates of wrong verdicts and their duration.
struct World {
    solo: Solo,
    rng: Rng,
    loss: f64,
    mean: Duration,
    /// Pongs on the way.
    wire: BTreeMap<(u64, u64), PingId>,
    sent: u64,
    /// From the verdict to the life that proved it wrong; 0 before that.
    losses: Vec<(u64, u64)>,
}

impl World {
    fn new(config: Config, seed: u64, loss: f64, mean: Duration) -> Self {
        let machine = HeartbeatMachine::new(config, seed, common::at(0));
        let mut solo = Solo::of(machine);
        let _ = solo.tell(Event::Start);
        Self {
            solo,
            rng: Rng(seed),
            loss,
            mean,
            wire: BTreeMap::new(),
            sent: 0,
            losses: Vec::new(),
        }
    }

    /// Runs until then; the peer lives until `death`.
    fn run(&mut self, until: u64, death: u64) {
        loop {
            let due = self.solo.due().unwrap_or(u64::MAX);
            let arrival = self.wire.first_key_value().map_or(u64::MAX, |(key, _)| key.0);
            if due.min(arrival) > until {
                break;
            }
            let actions = if arrival <= due {
                let ((now, _), id) = self.wire.pop_first().expect("it is there");
                self.solo.tell_at(now, Event::pong(id))
            } else {
                self.solo.tell_at(due, Event::Tick)
            };
            for (now, change) in self.solo.changes() {
                if change == Liveness::Lost || self.losses.last().is_some_and(|loss| loss.1 == 0) {
                    match change {
                        Liveness::Lost => self.losses.push((now, 0)),
                        _ => self.losses.last_mut().expect("one").1 = now,
                    }
                }
            }
            self.solo.log.clear();
            if let Some(id) = ping_in(&actions) {
                if let Some(delay) = delay(&mut self.rng, self.loss, self.mean) {
                    // It dies when the pong leaves, at the latest half way.
                    if self.solo.now + delay / 2 < death {
                        self.sent += 1;
                        self.wire.insert((self.solo.now + delay, self.sent), id);
                    }
                }
            }
        }
        self.solo.skip_to(until);
    }
}

/// QS4, QS5: the machine keeps the promised rate of wrong verdicts and their duration.
#[test]
fn simulated_pings_keep_the_promise() {
    let (loss, mean) = (0.2, ms(100));
    let (within, every, lasts) = (secs(6), secs(1000), secs(5));
    let wish = Qos::new(within, every, lasts).expect("a wish");
    let pings = wish.pings(&Link::exponential(loss, mean).expect("a link")).expect("possible");
    let config = pings.builder().reopen_after(1).build().expect("valid");
    assert_eq!(config.interval(), pings.config().interval());
    let hours = 200;
    let mut world = World::new(config, 5, loss, mean);
    world.run(hours * 3600 * SEC, u64::MAX);
    let over = world.losses.iter().filter(|loss| loss.1 > 0);
    let durations: Vec<u64> = over.map(|(from, to)| to - from).collect();
    let (mistakes, seconds) = (durations.len() as f64, (hours * 3600) as f64);
    assert!(mistakes <= seconds / every.as_secs_f64(), "{mistakes}");
    // The inequality itself is sharper than the wish, of which it is the next possible plan.
    let window = config.response_window().as_secs_f64();
    let fails = |left: u8| loss + (1.0 - loss) * (-f64::from(left) * window / 0.1).exp();
    let all: f64 = (1..=config.attempts()).map(fails).product();
    let most = seconds / (0.9 * config.interval().as_secs_f64() / all);
    assert!(mistakes > 100.0, "enough to judge by: {mistakes}");
    assert!(mistakes < most + 5.0 * most.sqrt(), "{mistakes}, at most {most}");
    // (The jitter lets one more ping into most silences: about a third of the bound.)
    assert!(mistakes * 5.0 > most, "{mistakes}, at most {most}");
    let mean_mistake = durations.iter().sum::<u64>() / durations.len() as u64;
    assert!(mean_mistake <= nanos(lasts), "{mean_mistake}");
}

/// QS4: and it finds the dead in time, from the last sign of life on.
#[test]
fn simulated_deaths_are_found_within_the_wish() {
    let (loss, mean) = (0.1, ms(100));
    let within = secs(6);
    let wish = Qos::new(within, secs(3600), secs(60)).expect("a wish");
    let pings = wish.pings(&Link::exponential(loss, mean).expect("a link")).expect("possible");
    let mut worst = 0;
    for seed in 0..200 {
        let mut world = World::new(pings.config(), seed, loss, mean);
        let death = 20 * SEC + seed * 37_000_000;
        world.run(death + 60 * SEC, death);
        let &(verdict, _) = world.losses.last().expect("it is found");
        let report = world.solo.machine.report().expect("a verdict");
        assert!(report.silence <= within, "{report}");
        worst = worst.max(verdict.saturating_sub(death));
    }
    // From the death itself it is later by the transit of the last sign.
    assert!(worst <= nanos(within) + 10 * nanos(mean), "{worst}");
    assert!(worst > nanos(within) / 2, "not far less than it may take: {worst}");
}
