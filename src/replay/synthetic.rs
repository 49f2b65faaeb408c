//! Links that nobody recorded: nine scenarios of two hours at ten beats a second (DETECTORS
//! section 4), made from a seed. The same seed gives the same traces on every machine; times are
//! whole microseconds, so that a trace can be exported without loss.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp, Gamma, LogNormal, Pareto};

use super::trace::{Sample, Segment, Trace};

/// Beats of a scenario.
const BEATS: u32 = 72_000;

/// Milliseconds between two of them.
const PERIOD: f64 = 100.0;

/// How long a stall lasts, in milliseconds.
const STALL: f64 = 5_000.0;

/// How many stalls are drawn: more than fit into the two hours.
const STALLS: usize = 40;

/// The delay in milliseconds and whether it is lost, of the beat sent at that millisecond.
type Beat<'a> = dyn FnMut(&mut ChaCha8Rng, f64) -> (f64, bool) + 'a;

/// A name, and how it is made.
type Scenario = (&'static str, fn(&mut ChaCha8Rng) -> Segment);

/// All scenarios: `syn-lan`, `syn-wan-lognormal` (also with heavy-tailed delay: `syn-pareto`, and
/// losses in bursts: `syn-gilbert-elliott`), `syn-step-x10`, `syn-sender-stall-5s`,
/// `syn-monitor-stall-5s` (with its pauses), `syn-congestion` and `syn-spikes-15s`. (RY9)
///
/// ```
/// use heartbeat_proto::replay::synthetic;
///
/// let traces = synthetic(1);
/// assert_eq!(traces.len(), 9);
/// assert_eq!(traces[0].segments[0].samples.len(), 72_000);
/// assert_eq!(traces, synthetic(1));
/// ```
pub fn synthetic(seed: u64) -> Vec<Trace> {
    let scenarios: [Scenario; 9] = [
        ("syn-lan", lan),
        ("syn-wan-lognormal", |random| plain(random, &mut |r, _| (wan(r), lost(r, 0.004)))),
        ("syn-pareto", pareto),
        ("syn-gilbert-elliott", gilbert_elliott),
        ("syn-step-x10", step),
        ("syn-sender-stall-5s", sender_stall),
        ("syn-monitor-stall-5s", monitor_stall),
        ("syn-congestion", congestion),
        ("syn-spikes-15s", spikes),
    ];
    let made = scenarios.into_iter().enumerate().map(|(stream, (name, make))| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream as u64);
        let mut segment = make(&mut random);
        name.clone_into(&mut segment.name);
        Trace::new(name.to_owned(), Vec::from([segment]))
    });
    made.collect()
}

fn micros(millis: f64) -> u64 {
    libm::round(millis * 1e3) as u64
}

fn lost(random: &mut ChaCha8Rng, chance: f64) -> bool {
    random.random::<f64>() < chance
}

fn draw(random: &mut ChaCha8Rng, of: Result<impl Distribution<f64>, impl Sized>) -> f64 {
    // The parameters are constants of this file, and good ones.
    of.map_or(0.0, |distribution| distribution.sample(random))
}

/// Exponential with this mean.
fn exponential(random: &mut ChaCha8Rng, mean: f64) -> f64 {
    draw(random, Exp::new(1.0 / mean))
}

/// 50 ms and a log-normal part: median 5 ms, sigma 1.
fn wan(random: &mut ChaCha8Rng) -> f64 {
    50.0 + draw(random, LogNormal::new(libm::log(5.0), 1.0))
}

/// The moments at which stalls begin, about every five minutes.
fn stalls(random: &mut ChaCha8Rng) -> Vec<f64> {
    let mut at = 0.0;
    let next = |_| {
        at += exponential(random, 300e3);
        at
    };
    (0..STALLS).map(next).collect()
}

/// Beats that arrive in the order in which they are sent.
fn plain(random: &mut ChaCha8Rng, beat: &mut Beat<'_>) -> Segment {
    arriving(random, beat, &mut |at| at)
}

/// The same; `seen` is when the monitor sees what arrived then (milliseconds).
fn arriving(
    random: &mut ChaCha8Rng,
    beat: &mut Beat<'_>,
    seen: &mut dyn FnMut(f64) -> f64,
) -> Segment {
    let mut latest = 0;
    let samples = (0..BEATS).map(|seq| {
        let sent = f64::from(seq) * PERIOD;
        let (delay, lost) = beat(random, sent);
        latest = latest.max(micros(seen(sent + delay)));
        let sent = micros(sent);
        Sample { seq, sent: sent * 1000, delay: (!lost).then_some((latest - sent) * 1000) }
    });
    Segment::new(String::new(), samples.collect())
}

/// Calm, but for a rare hiccup.
fn lan(random: &mut ChaCha8Rng) -> Segment {
    plain(random, &mut |r, _| {
        let hiccup = if lost(r, 2e-4) { exponential(r, 20.0) } else { 0.0 };
        (0.3 + exponential(r, 0.05) + hiccup, lost(r, 1e-5))
    })
}

fn pareto(random: &mut ChaCha8Rng) -> Segment {
    plain(random, &mut |r, _| (50.0 + 2.0 * draw(r, Pareto::new(1.0, 1.5)), lost(r, 0.002)))
}

/// Losses in bursts: a bad state that begins with 0.2 % and ends with 15 % a beat.
fn gilbert_elliott(random: &mut ChaCha8Rng) -> Segment {
    let mut bad = false;
    plain(random, &mut |r, _| {
        bad = if bad { !lost(r, 0.15) } else { lost(r, 0.002) };
        let chance = if bad { 0.8 } else { 0.001 };
        (wan(r), lost(r, chance))
    })
}

/// Every ten minutes the path changes: 20 ms, 200 ms.
fn step(random: &mut ChaCha8Rng) -> Segment {
    plain(random, &mut |r, sent| {
        let level = if (sent / 600e3) as u64 % 2 == 0 { 20.0 } else { 200.0 };
        (level * (1.0 + 0.05 * exponential(r, 1.0)), lost(r, 0.002))
    })
}

/// The peer stands still now and then, and keeps its schedule after it.
fn sender_stall(random: &mut ChaCha8Rng) -> Segment {
    let stalls = stalls(random);
    plain(random, &mut |r, sent| {
        let stalled = stalls.iter().any(|&from| sent >= from && sent < from + STALL);
        (wan(r), lost(r, 0.002) || stalled)
    })
}

/// The monitor stands still now and then: what arrived meanwhile is seen at the end, 10 us each.
fn monitor_stall(random: &mut ChaCha8Rng) -> Segment {
    let stalls = stalls(random);
    let mut bursts = [0.0; STALLS];
    let seen = &mut |mut at: f64| {
        // Of two that overlap, the second one goes on.
        for (&from, burst) in stalls.iter().zip(&mut bursts) {
            if at >= from && at < from + STALL {
                at = from + STALL + *burst;
                *burst += 0.01;
            }
        }
        at
    };
    let mut segment = arriving(random, &mut |r, _| (wan(r), lost(r, 0.002)), seen);
    let nanos = |millis: f64| micros(millis) * 1000;
    segment.pauses = stalls.iter().map(|&from| (nanos(from), nanos(from + STALL))).collect();
    segment
}

/// A queue that fills up to 400 ms within a minute, stays full for another one and is empty again.
fn congestion(random: &mut ChaCha8Rng) -> Segment {
    plain(random, &mut |r, sent| {
        let phase = (sent % 300e3) / 1e3;
        let full = if phase < 180.0 { ((phase - 60.0) / 60.0).clamp(0.0, 1.0) } else { 0.0 };
        let queue = 400.0 * full;
        let delay = 40.0 + queue + (4.0 + queue * 0.25) * exponential(r, 1.0);
        (delay, lost(r, 0.001 + full * 0.03))
    })
}

/// Every 15 s half a second of 400 to 900 ms more.
fn spikes(random: &mut ChaCha8Rng) -> Segment {
    let mut height = 0.0;
    plain(random, &mut |r, sent| {
        let phase = sent % 15e3;
        if phase == 0.0 {
            height = r.random_range(400.0..900.0);
        }
        let spike = if phase < 500.0 { height } else { 0.0 };
        (45.0 + draw(r, Gamma::new(2.0, 4.0)) + spike, lost(r, 0.005))
    })
}
