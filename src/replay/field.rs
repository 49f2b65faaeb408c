//! [`Field`]: a trace on which contenders meet; [`Points`]: how they did; comparison at equal mean
//! detection time.

#![expect(clippy::cast_precision_loss, reason = "spans of years in floats are good to 10 ns")]

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::contender::{Contender, Role};
use super::tally::Outcome;
use super::trace::{Kind, Link, Trace};

/// A trace, prepared.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Field {
    /// Its name in tables.
    pub name: String,
    /// What its delays are.
    pub kind: Kind,
    /// Its segments.
    pub links: Vec<Link>,
    /// The mean period of its segments, in nanoseconds.
    pub period: f64,
    /// The mean delay of all arrivals, in nanoseconds.
    pub delay: f64,
}

impl Field {
    /// The field of a trace; `None` if no segment is long enough.
    pub fn new(trace: &Trace) -> Option<Self> {
        let links = trace.links();
        if links.is_empty() {
            return None;
        }
        let period = links.iter().map(|link| link.period as f64).sum::<f64>() / links.len() as f64;
        let arrivals = || links.iter().flat_map(|link| &link.arrivals);
        let delay = arrivals().map(|beat| (beat.at - beat.sent) as f64).sum::<f64>();
        let delay = delay / arrivals().count() as f64;
        Some(Self { name: trace.name.clone(), kind: trace.kind, links, period, delay })
    }

    /// A budget for the mean detection time, in nanoseconds: what nobody can avoid, half a period
    /// and the mean delay, and `periods` more. (RY7)
    pub fn budget(&self, periods: f64) -> f64 {
        self.period / 2.0 + self.delay + periods * self.period
    }

    /// One contender with one parameter. Every pair is independent of all others: run them in
    /// parallel, if you like. `quantile`: with the 99th percentile of the detection time.
    pub fn point(&self, contender: &Contender, parameter: f64, quantile: bool) -> Option<Point> {
        if !contender.fits(self.kind, &self.links) {
            return None;
        }
        Some(Point {
            contender: contender.name().to_string(),
            role: contender.role(),
            parameter,
            label: contender.label(parameter),
            outcome: contender.outcome(parameter, &self.links, quantile)?,
        })
    }
}

/// How a contender did with one parameter.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Point {
    /// Its name.
    pub contender: String,
    /// What it is in the comparison.
    pub role: Role,
    /// The value of its knob.
    pub parameter: f64,
    /// The same for tables.
    pub label: String,
    /// How it did.
    pub outcome: Outcome,
}

/// All points of a field.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "a list, with questions to it")]
pub struct Points(pub Vec<Point>);

/// The family with a constant margin: what it reaches is the measure of the guard.
const GUARDS: [&str; 6] =
    ["fixed", "chen-w32", "chen-w1000", "2W-FD(1,100)", "2W-FD(1,1000)", "chen-ts(100)"];

impl Points {
    /// The points of one contender.
    pub fn of<'p>(&'p self, contender: &'p str) -> impl Iterator<Item = &'p Point> {
        self.0.iter().filter(move |point| point.contender == contender)
    }

    /// The names, in the order of the points.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for point in &self.0 {
            if !names.contains(&&*point.contender) {
                names.push(&point.contender);
            }
        }
        names
    }

    /// The largest `1 - P_A` that counts within a budget: twice what the constant margins reach
    /// there (else that of the other published and stamped ones), so that nobody buys few mistakes
    /// by staying suspicious. (RY7)
    pub fn guard(&self, budget: f64) -> f64 {
        let within = |accept: &dyn Fn(&Point) -> bool| {
            let points = self.0.iter().filter(|p| p.outcome.mean <= budget && accept(p));
            points.map(|point| point.outcome.inaccuracy()).reduce(f64::min)
        };
        let known = |p: &Point| matches!(p.role, Role::Published | Role::Stamped);
        within(&|p| GUARDS.contains(&&*p.contender))
            .or_else(|| within(&|p| known(p) && p.contender != "k-of-n"))
            .map_or(1.0, |least| (2.0 * least).max(1e-5))
    }

    /// The best point of a contender within a budget and its guard: the fewest mistakes, then the
    /// shortest detection time.
    pub fn best<'p>(&'p self, contender: &'p str, budget: f64, guard: f64) -> Option<&'p Point> {
        self.of(contender)
            .filter(|p| p.outcome.mean <= budget && p.outcome.inaccuracy() <= guard)
            .min_by(|one, other| order(one, other))
    }

    /// The shortest mean detection time, in nanoseconds, with which a contender makes at most
    /// `rate` mistakes an hour.
    pub fn mean_for(&self, contender: &str, rate: f64) -> Option<f64> {
        let enough = self.of(contender).filter(|point| point.outcome.rate() <= rate);
        enough.map(|point| point.outcome.mean).reduce(f64::min)
    }
}

fn order(one: &Point, other: &Point) -> Ordering {
    let (one, other) = (&one.outcome, &other.outcome);
    one.rate().total_cmp(&other.rate()).then(one.mean.total_cmp(&other.mean))
}
