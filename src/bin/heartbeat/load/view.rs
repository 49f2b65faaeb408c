//! What is shown: a bar, lines of JSON, and the summary.

use core::time::Duration;
use std::io;

use console::style;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;

use super::latencies::{Latencies, PERCENTILES};
use super::tally::Tally;
use super::world::Plan;
use crate::batch::Sent;
use crate::say::{self, millis, wall_clock};

/// Shows how it goes.
#[derive(Debug)]
pub(super) struct View {
    json: bool,
    bar: ProgressBar,
    /// The pings of the last snapshot.
    pings: u64,
    shown: Duration,
}

/// What the sockets did, beside the peers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire {
    pub(super) sent: Sent,
    /// Came while the system's buffer was full, if it tells.
    pub(super) overrun: Option<u64>,
}

impl Wire {
    /// Of so many that were handed to the system, those that it took.
    const fn taken(self, handed: u64) -> u64 {
        handed.saturating_sub(self.sent.dropped)
    }
}

/// A run that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'r> {
    pub(super) plan: &'r Plan,
    /// Where the peers were.
    pub(super) place: &'r str,
    pub(super) took: Duration,
    pub(super) tally: &'r Tally,
    pub(super) wire: Wire,
    /// Why the last datagram that was not sent was not.
    pub(super) unsent: Option<&'r io::Error>,
}

/// Between two snapshots.
const EVERY: Duration = Duration::from_secs(1);

impl View {
    pub(super) fn new(json: bool, length: Duration) -> anyhow::Result<Self> {
        let bar = if json { ProgressBar::hidden() } else { ProgressBar::new(length.as_secs()) };
        bar.set_style(ProgressStyle::with_template("{elapsed} [{wide_bar}] {msg}, {eta} left")?);
        Ok(Self { json, bar, pings: 0, shown: Duration::ZERO })
    }

    /// Whether it is time to show how it goes.
    pub(super) fn is_due(&self, since: Duration) -> bool {
        since.saturating_sub(self.shown) >= EVERY
    }

    /// `since` the begin.
    pub(super) fn show(&mut self, since: Duration, tally: &Tally, wire: Wire) {
        let span = since.saturating_sub(self.shown);
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = (tally.pings - self.pings).saturating_mul(1_000) / millis;
        (self.pings, self.shown) = (tally.pings, since);
        if self.json {
            say::json(&Record::new("snapshot", tally, wire));
        }
        self.bar.set_position(since.as_secs());
        self.bar.set_message(format!(
            "{} in, {} pings/s, {} of {} killed found, {} false",
            HumanCount(tally.present),
            HumanCount(rate),
            tally.found,
            tally.killed,
            tally.wrong,
        ));
    }

    pub(super) fn end(&self, run: &Run<'_>) {
        let &Run { tally, wire, .. } = run;
        self.bar.finish_and_clear();
        if self.json {
            return say::json(&Record::new("ended", tally, wire));
        }
        for (what, text) in lines(run) {
            say::line(format!("{what:<11}{text}"));
        }
        table(tally);
        if !tally.is_good() {
            say::line(style(blame(run)).red().bold());
        }
    }
}

fn lines(run: &Run<'_>) -> Vec<(&'static str, String)> {
    let &Run { plan, place, took, tally, wire, .. } = run;
    let count = |count| HumanCount(count).to_string();
    let overrun = wire.overrun.map_or("unknown".to_owned(), count);
    let mut lines = vec![
        ("peers", format!("{} at {place}, seed {}", count(plan.peers.into()), plan.seed)),
        (
            "took",
            format!("{}, own lateness at most {}", say::span(took), say::span(tally.own_lateness)),
        ),
        ("joined", format!("{}, asked {} times", count(tally.joins.len()), count(tally.asked))),
        (
            "datagrams",
            format!(
                "{} sent, {} received; lost: {} by chance, {} not sent, {} not received in time",
                count(wire.taken(tally.sent)),
                count(tally.received),
                count(tally.lost),
                count(wire.sent.dropped),
                overrun,
            ),
        ),
        ("pings", format!("{} answered, {} own", count(tally.pings), count(tally.own_pings))),
        ("churned", count(tally.churned)),
        (
            "killed",
            format!(
                "{}, {} found, {} late (bound {})",
                count(tally.killed),
                count(tally.found),
                count(tally.late),
                say::span(plan.bound),
            ),
        ),
        ("false", format!("{}, {} forgotten", count(tally.wrong), count(tally.forgotten))),
    ];
    let rare = [
        ("outside", tally.outside),
        ("waiting", tally.waiting),
        ("undecided", tally.undecided),
        ("dismissed", tally.dismissed),
        ("strays", tally.strays),
    ];
    lines.extend(rare.into_iter().filter(|&(_, n)| n > 0).map(|(what, n)| (what, count(n))));
    lines
}

fn table(tally: &Tally) {
    let row = |what: &str, cells: [String; 5]| {
        let cells = cells.map(|cell| format!("{cell:>10}")).concat();
        say::line(format!("{what:<11}{cells}"));
    };
    row("latency", PERCENTILES.map(|(name, _)| name.to_owned()));
    for (what, latencies) in [
        ("join", &tally.joins),
        ("own pings", &tally.round_trips),
        ("detection", &tally.detections),
    ] {
        if let Some(latencies) = latencies.percentiles() {
            row(what, latencies.map(say::span));
        }
    }
}

/// What was wrong.
fn blame(run: &Run<'_>) -> String {
    let &Run { tally, wire, unsent, .. } = run;
    match unsent {
        Some(why) if wire.taken(tally.sent) == 0 => return format!("nothing could be sent: {why}"),
        _ if tally.joins.len() > 0 => {}
        _ if tally.received > 0 => {
            return "nobody was let in: is what answers a gateway, with room?".to_owned();
        }
        _ => return "nobody was let in: is there a gateway?".to_owned(),
    }
    let found = [
        (tally.wrong, "false verdicts"),
        (tally.late, "late"),
        (tally.forgotten, "forgotten"),
        (tally.outside, "not let in"),
    ];
    let found = found.iter().filter(|(count, _)| *count > 0);
    found.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}

/// One line of `--json`.
#[derive(Debug, Serialize)]
struct Record {
    time: String,
    event: &'static str,
    present: u64,
    asked: u64,
    joined: u64,
    sent: u64,
    received: u64,
    lost: u64,
    unsent: u64,
    overrun: Option<u64>,
    pings: u64,
    own_pings: u64,
    churned: u64,
    killed: u64,
    found: u64,
    late: u64,
    undecided: u64,
    #[serde(rename = "false")]
    wrong: u64,
    forgotten: u64,
    outside: u64,
    waiting: u64,
    dismissed: u64,
    strays: u64,
    own_lateness_ms: f64,
    join_ms: Option<Latency>,
    own_ping_ms: Option<Latency>,
    detection_ms: Option<Latency>,
}

#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p99_9: f64,
    max: f64,
}

impl Latency {
    fn of(latencies: &Latencies) -> Option<Self> {
        let [p50, p90, p99, p99_9, max] = latencies.percentiles()?.map(millis);
        Some(Self { p50, p90, p99, p99_9, max })
    }
}

impl Record {
    fn new(event: &'static str, tally: &Tally, wire: Wire) -> Self {
        Self {
            time: wall_clock(),
            event,
            present: tally.present,
            asked: tally.asked,
            joined: tally.joins.len(),
            sent: wire.taken(tally.sent),
            received: tally.received,
            lost: tally.lost,
            unsent: wire.sent.dropped,
            overrun: wire.overrun,
            pings: tally.pings,
            own_pings: tally.own_pings,
            churned: tally.churned,
            killed: tally.killed,
            found: tally.found,
            late: tally.late,
            undecided: tally.undecided,
            wrong: tally.wrong,
            forgotten: tally.forgotten,
            outside: tally.outside,
            waiting: tally.waiting,
            dismissed: tally.dismissed,
            strays: tally.strays,
            own_lateness_ms: millis(tally.own_lateness),
            join_ms: Latency::of(&tally.joins),
            own_ping_ms: Latency::of(&tally.round_trips),
            detection_ms: Latency::of(&tally.detections),
        }
    }
}
