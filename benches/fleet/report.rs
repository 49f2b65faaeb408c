//! Lines, and the ratios between them.

use std::fmt;

use clap::ValueEnum;

use crate::drive::Figures;
use crate::structures::{Kind, Name};
use crate::work::{Mode, STEP};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Temperature {
    Warm,
    /// The caches are evicted between any two steps.
    Cold,
}

/// All runs of one structure.
pub(crate) struct Row {
    pub(crate) mode: Mode,
    pub(crate) temperature: Temperature,
    pub(crate) peers: u32,
    pub(crate) name: Name,
    pub(crate) runs: Vec<Figures>,
}

/// `ping_ns`: the rest of a step, a ping (passive: a beat).
pub(crate) const HEADER: &str = "mode    temperature    peers structure           pong_ns  ping_ns \
     sim_second_ms bytes_per_peer resident_per_peer worst_step_us";

impl Row {
    fn median(&self, of: impl Fn(&Figures) -> f64) -> f64 {
        let mut values: Vec<f64> = self.runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }

    pub(crate) fn pong_ns(&self) -> f64 {
        self.median(|run| run.pong_nanos as f64 / run.pongs as f64)
    }

    pub(crate) fn ping_ns(&self) -> f64 {
        let of_pongs = self.mode == Mode::Passive;
        self.median(|run| {
            run.step_nanos as f64 / if of_pongs { run.pongs } else { run.pings } as f64
        })
    }

    /// A ping, its pong, and what they are of a step.
    pub(crate) fn heartbeat_ns(&self) -> f64 {
        self.pong_ns() + self.ping_ns()
    }

    pub(crate) fn sim_second_ms(&self) -> f64 {
        self.median(|run| {
            let seconds = run.steps as f64 * STEP as f64 / 1e9;
            (run.pong_nanos + run.step_nanos) as f64 / 1e6 / seconds
        })
    }

    pub(crate) fn bytes_per_peer(&self) -> f64 {
        self.median(|run| run.heap as f64 / f64::from(self.peers))
    }

    fn resident_per_peer(&self) -> f64 {
        self.median(|run| run.resident as f64 / f64::from(self.peers))
    }

    pub(crate) fn worst_step_us(&self) -> f64 {
        self.runs.iter().map(|run| run.worst_nanos).max().unwrap_or(0) as f64 / 1e3
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mode, temperature) = (word(&self.mode), word(&self.temperature));
        write!(
            f,
            "{mode} {temperature:11} {:8} {:18} {:8.1} {:8.1} {:13.3} {:14.1} {:17.1} {:13.1}",
            self.peers,
            word(&self.name),
            self.pong_ns(),
            self.ping_ns(),
            self.sim_second_ms(),
            self.bytes_per_peer(),
            self.resident_per_peer(),
            self.worst_step_us(),
        )
    }
}

/// As it is said on the command line.
pub(crate) fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().expect("none is skipped").get_name().to_owned()
}

/// Of each of our rows to the others: above 1 the other costs more.
pub(crate) fn ratios(rows: &[Row]) {
    let least = |kind, cost: &dyn Fn(&Row) -> f64| {
        let of_kind = rows.iter().filter(|row| row.name.kind() == kind);
        of_kind.min_by(|a, b| cost(a).total_cmp(&cost(b)))
    };
    for own in rows.iter().filter(|row| row.name.kind() == Kind::Ours) {
        let show = |what: &str, other: Option<&Row>, cost: &dyn Fn(&Row) -> f64| {
            if let Some(other) = other {
                let ratio = cost(other) / cost(own);
                println!("  {:13} {what:22} {ratio:8.2}  ({})", word(&own.name), word(&other.name));
            }
        };
        let (second, pong) = (&Row::sim_second_ms, &Row::pong_ns);
        show("time, best task", least(Kind::Task, second), second);
        show("time, best other", least(Kind::Other, second), second);
        show("time, best bound", least(Kind::Bound, second), second);
        show("pong, best other", least(Kind::Other, pong), pong);
        show("pong, limit", least(Kind::Limit, pong), pong);
        show("worst step, best task", least(Kind::Task, &Row::worst_step_us), &Row::worst_step_us);
        show(
            "worst step, best other",
            least(Kind::Other, &Row::worst_step_us),
            &Row::worst_step_us,
        );
        show("bytes, best task", least(Kind::Task, &Row::bytes_per_peer), &Row::bytes_per_peer);
        show("bytes, best other", least(Kind::Other, &Row::bytes_per_peer), &Row::bytes_per_peer);
    }
}

/// How much more a heartbeat costs with more peers, beside how much more a store to a random record
/// does, and what the model says.
///
/// The model: what a heartbeat costs where all is cached (warm, the fewest peers), and for each line
/// that it touches what a store costs more than it does there. The lines, of a peer without a
/// detector's memory: one for a pong or beat, one for a ping, one more at the end of its window, and
/// those of the two entries, of which nineteen share one.
pub(crate) fn growth(rows: &[Row]) {
    const BEAT: f64 = 1.0;
    const HEARTBEAT: f64 = 3.0 * BEAT + 2.0 / 19.0;
    for row in rows.iter().filter(|row| row.name.kind() == Kind::Ours) {
        let cached =
            |other: &&Row| other.mode == row.mode && other.temperature == Temperature::Warm;
        let limit = |of: &Row| {
            let like = |other: &&Row| {
                let same = (other.mode, other.temperature, other.peers);
                other.name.kind() == Kind::Limit && same == (of.mode, of.temperature, of.peers)
            };
            rows.iter().find(like)
        };
        let own = rows.iter().filter(cached).filter(|other| other.name == row.name);
        let Some(base) = own.min_by_key(|other| other.peers) else { continue };
        let (Some(then), Some(now)) = (limit(base), limit(row)) else { continue };
        let lines = if row.mode == Mode::Passive { BEAT } else { HEARTBEAT };
        let line = (now.pong_ns() - then.pong_ns()).max(0.0);
        println!(
            "growth {:7} {} {:8} {:13}: {:5.2} times, stores {:5.2} times; {:4.0} ns, by the model {:4.0} ns",
            word(&row.mode),
            word(&row.temperature),
            row.peers,
            word(&row.name),
            row.heartbeat_ns() / base.heartbeat_ns(),
            now.heartbeat_ns() / then.heartbeat_ns(),
            row.heartbeat_ns(),
            base.heartbeat_ns() + lines * line,
        );
    }
}
