//! Who takes part: every detector with its knob and the values to try.

use alloc::vec::Vec;
use core::time::Duration;

use super::contender::{Contender, Role, Trial};
use super::trace::Link;
use crate::detector::{
    Bertier, Chen, Compact, Deadline, Detector, Hazard, Jacobson, Misses, PhiExponential,
    PhiLogistic, PhiNormal, Retransmission, Satzger, TwoWindows, tail,
};

/// `n` values from `from` to `to` with equal ratios.
fn ratios(from: f64, to: f64, n: u32) -> Vec<f64> {
    let step = libm::log(to / from) / f64::from(n - 1);
    (0..n).map(|i| from * libm::exp(step * f64::from(i))).collect()
}

/// Constant margins, in periods.
fn margins() -> Vec<f64> {
    ratios(0.02, 400.0, 96)
}

/// Phi whose quantiles of the normal distribution are evenly spread at first, then in equal ratios.
fn thresholds() -> Vec<f64> {
    let even = (0..20).map(|i| 0.05 + 2.95 / 19.0 * f64::from(i));
    even.chain(ratios(3.3, 37.0, 22)).map(tail::phi).filter(|&phi| phi <= 300.0).collect()
}

/// Ticks without a beat: the usual counts, then coarser ones.
fn counts() -> Vec<f64> {
    let many = [13, 15, 18, 22, 27, 33, 40, 50, 65, 80, 100, 150, 200, 300, 400];
    (1..12).chain(many).map(f64::from).collect()
}

/// So many periods, in nanoseconds.
#[expect(clippy::cast_precision_loss, reason = "a period is far below 2^53 ns")]
fn periods(many: f64, link: &Link) -> u64 {
    libm::round(many * link.period as f64) as u64
}

/// Where in the period of its ticks a counter is at the first arrival: the ticks of a monitor lie
/// anywhere; 0.37 periods after the first sending, say.
#[expect(clippy::cast_precision_loss, reason = "delays and periods are far below 2^53 ns")]
fn phase(link: &Link) -> f64 {
    let delay = link.arrivals.first().map_or(0, |first| first.at - first.sent);
    let since = delay as f64 / link.period as f64 - 0.37;
    since - libm::floor(since)
}

type Knob<D> = fn(f64) -> Option<D>;

fn by_knob<D: Detector + 'static>(
    name: &str,
    role: Role,
    grid: Vec<f64>,
    make: Knob<D>,
) -> Contender {
    Contender::new(name, role, grid, move |knob, _| make(knob).map(Trial::new))
}

fn published<D: Detector + 'static>(name: &str, grid: Vec<f64>, make: Knob<D>) -> Contender {
    by_knob(name, Role::Published, grid, make)
}

/// Akka's phi with a pause of so many periods and a deviation of at least a tenth of one.
fn akka(name: &str, pause: f64) -> Contender {
    let make = move |phi, link: &Link| {
        let span = |many| Duration::from_nanos(periods(many, link));
        let akka = PhiLogistic::new(phi).ok()?.window::<1000>();
        Some(Trial::new(akka.acceptable_pause(span(pause)).min_deviation(span(0.1))))
    };
    Contender::new(name, Role::Published, ratios(0.31, 300.0, 36), make)
}

/// Every contender with the grid of its knob, as DETECTORS section 4 sweeps it: the sixteen
/// published ones, those with a stamp added, the candidates, and some that are told of pauses.
/// Windows are the published ones, of 1000 where nothing else is said.
pub fn contenders() -> Vec<Contender> {
    let fixed = Contender::new(
        "fixed",
        Role::Published,
        margins().into_iter().map(|margin| 1.0 + margin).collect(),
        |many, link| Some(Trial::new(Deadline::fixed()).with_timeout(periods(many, link))),
    );
    let missed = Contender::new("k-missed", Role::Published, counts(), |k, link| {
        Some(Trial::new(Misses::new(k as u32).phase(phase(link)).ok()?))
    });
    let normal = published("phi-normal", thresholds(), |phi| {
        Some(PhiNormal::new(phi).ok()?.window::<1000>())
    });
    let two = published("2W-FD(1,100)", margins(), |m| TwoWindows::by_number(m).ok());
    let hazard = by_knob("hazard", Role::Candidate, margins(), |m| Hazard::new(m).ok());
    let compact = by_knob("compact", Role::Candidate, margins(), |m| Compact::new(m).ok());
    let aware = [&fixed, &normal, &two, &hazard, &compact].map(Contender::pause_aware);
    let mut all = Vec::from([
        fixed,
        missed,
        published("chen-w32", margins(), |m| Some(Chen::by_number(m).ok()?.window::<32>())),
        published("chen-w1000", margins(), |m| Some(Chen::by_number(m).ok()?.window::<1000>())),
        published("bertier", ratios(0.25, 200.0, 44), |deviations| {
            Some(Bertier::new(deviations).ok()?.window::<1000>())
        }),
        normal,
        akka("phi-akka", 0.0),
        akka("phi-akka-pause3", 3.0),
        published("phi-exp(Cassandra)", ratios(0.44, 170.0, 52), |phi| {
            Some(PhiExponential::new(phi).ok()?.window::<1000>())
        }),
        published("2W-FD(1,1000)", margins(), |m| {
            Some(TwoWindows::by_number(m).ok()?.windows::<1, 1000>())
        }),
        two,
        published("rfc6298", ratios(0.5, 2000.0, 52), |deviations| {
            let rto = Retransmission::rfc6298().at_least(Duration::ZERO);
            rto.deviations(deviations).ok()
        })
        .hearing_pongs(),
        published("jacobson-gap", ratios(0.25, 1000.0, 52), |d| Jacobson::new(d).ok()),
        published("satzger-max", ratios(0.3, 60.0, 44), |factor| {
            Some(Satzger::new(factor, 1.0).ok()?.window::<1000>())
        }),
        published("satzger-q99", ratios(0.5, 200.0, 44), |factor| {
            Some(Satzger::new(factor, 0.99).ok()?.window::<1000>())
        }),
        Contender::probes(),
        by_knob("chen-ts(100)", Role::Stamped, margins(), |m| Chen::by_stamp(m).ok()),
        by_knob("2W-ts(1,100)", Role::Stamped, margins(), |m| TwoWindows::by_stamp(m).ok()),
        hazard,
        compact,
    ]);
    all.extend(aware);
    all
}
