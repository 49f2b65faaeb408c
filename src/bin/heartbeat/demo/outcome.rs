//! What came of a scene, and how it is shown.

use core::time::Duration;

use console::{Alignment, pad_str, style};
use heartbeat_proto::adapter::Notice;
use heartbeat_proto::{Config, Timestamp};
use serde::Serialize;

use super::client::Client;
use crate::say::{millis, span};

/// One scene. Spans are milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) scene: usize,
    pub(crate) name: &'static str,
    /// What was done.
    pub(crate) done: String,
    /// What the client made of it, in a word or two.
    pub(crate) verdict: String,
    /// Every change of liveness.
    pub(crate) changes: Vec<String>,
    /// The machine's own words about the last change.
    pub(crate) report: String,
    /// What was measured.
    pub(crate) measured: String,
    #[serde(rename = "found_ms", serialize_with = "as_millis")]
    pub(crate) found: Option<Duration>,
    pub(crate) bound: Option<Bound>,
    /// Promises that were broken; empty if all were kept.
    pub(crate) broken: Vec<String>,
    pub(crate) passed: bool,
}

/// By when a silent peer must be found.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Bound {
    /// The promise of the rules: `worst_case_detection`.
    #[serde(rename = "promise_ms", serialize_with = "as_millis")]
    promise: Duration,
    /// The worst lateness of the client's own thread in that silence. (The promise allows for the
    /// sum of all; this is less.)
    #[serde(rename = "own_lateness_ms", serialize_with = "as_millis")]
    own_lateness: Duration,
    /// From the proxy's write to the client's read.
    #[serde(rename = "delivery_ms", serialize_with = "as_millis")]
    delivery: Duration,
    #[serde(rename = "total_ms", serialize_with = "as_millis")]
    total: Duration,
}

/// The time allowed for bytes to get from the proxy's write through two loopback sockets and a
/// wake-up into the client: the demo's clock starts at the write, the rules' at the read.
pub(crate) const DELIVERY: Duration = Duration::from_millis(20);

impl Outcome {
    /// A scene of which only what was done is known.
    pub(crate) fn of(scene: usize, name: &'static str, done: impl Into<String>) -> Self {
        Self {
            scene,
            name,
            done: done.into(),
            verdict: String::new(),
            changes: Vec::new(),
            report: String::new(),
            measured: String::new(),
            found: None,
            bound: None,
            broken: Vec::new(),
            passed: true,
        }
    }

    /// A promise, in words, and whether it was kept.
    pub(crate) fn demand(&mut self, kept: bool, promise: impl Into<String>) {
        if !kept {
            self.broken.push(promise.into());
            self.passed = false;
        }
    }

    /// Takes over what the client told since `since`.
    pub(crate) fn note(&mut self, client: &Client, since: Timestamp) {
        for (at, notice) in client.told_since(since) {
            if let Notice::Changed { from, report } = notice {
                let after = span(at.saturating_duration_since(since));
                let (to, reason) = (report.liveness, report.reason);
                self.changes.push(format!("{from} -> {to} ({reason}) at {after}"));
            }
        }
        if let Some(report) = client.driver().report().filter(|_| !self.changes.is_empty()) {
            self.report = report.to_string();
        }
    }

    /// The end was known `found` after the last delivery: within the promise? Returns the bound.
    pub(crate) fn within(
        &mut self,
        found: Duration,
        own_lateness: Duration,
        config: &Config,
    ) -> Duration {
        let promise = config.worst_case_detection();
        let total = promise + own_lateness + DELIVERY;
        self.found = Some(found);
        self.bound = Some(Bound { promise, own_lateness, delivery: DELIVERY, total });
        self.demand(found <= total, format!("to be found within {}", span(total)));
        total
    }

    /// A verdict by silence fell `found` after the last delivery: within the promise, and not too
    /// early?
    pub(crate) fn silence(&mut self, found: Duration, own_lateness: Duration, config: &Config) {
        let total = self.within(found, own_lateness, config);
        let floor = config.floor();
        self.demand(found >= floor, format!("no verdict before {}", span(floor)));
        self.measured = format!(
            "found after {}; promised within {} = {} + {} own lateness + {} for delivery",
            span(found),
            span(total),
            span(config.worst_case_detection()),
            span(own_lateness),
            span(DELIVERY),
        );
    }

    /// The scene on a few lines of at most `width` columns.
    pub(crate) fn block(&self, width: usize) -> String {
        let mut paragraphs = vec![self.done.clone()];
        if !self.changes.is_empty() {
            paragraphs.push(self.changes.join(", "));
        }
        if !self.report.is_empty() {
            paragraphs.push(style(&self.report).dim().to_string());
        }
        paragraphs.push(self.measured.clone());
        paragraphs.extend(
            self.broken.iter().map(|promise| style(format!("broken: {promise}")).red().to_string()),
        );
        let last = paragraphs.len() - 1;
        let mut block = String::new();
        for (index, paragraph) in paragraphs.iter().enumerate() {
            let label = match index {
                0 => style(format!("{} {}", self.scene, self.name)).bold().to_string(),
                _ if index == last => self.mark(),
                _ => String::new(),
            };
            let first = pad_str(&label, LABEL, Alignment::Left, None).into_owned();
            let rest = " ".repeat(LABEL);
            let options = textwrap::Options::new(width.max(LABEL + 20))
                .initial_indent(&first)
                .subsequent_indent(&rest);
            block.push_str(&textwrap::fill(paragraph, options));
            block.push('\n');
        }
        block
    }

    fn mark(&self) -> String {
        let mark = if self.passed { style("PASS").green() } else { style("FAIL").red() };
        mark.bold().to_string()
    }
}

/// Columns for the name of a scene.
const LABEL: usize = 16;

/// All scenes, one line each.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let line = |name: &str, verdict: &str, found: &str, bound: &str, mark: &str| {
        let name = pad_str(name, LABEL, Alignment::Left, None);
        let verdict = pad_str(verdict, 26, Alignment::Left, None);
        let found = pad_str(found, 9, Alignment::Right, None);
        let bound = pad_str(bound, 10, Alignment::Right, None);
        let line = format!("{name}{verdict}{found}{bound}   {mark}");
        format!("{}\n", line.trim_end())
    };
    let shown = |known: Option<Duration>| known.map_or_else(|| "-".to_owned(), span);
    let mut table = style(line("scene", "verdict", "found in", "promised", "")).dim().to_string();
    for outcome in outcomes {
        table.push_str(&line(
            &format!("{} {}", outcome.scene, outcome.name),
            &outcome.verdict,
            &shown(outcome.found),
            &shown(outcome.bound.map(|bound| bound.total)),
            &outcome.mark(),
        ));
    }
    table
}

fn as_millis<S: serde::Serializer>(
    known: &(impl Copy + Into<Option<Duration>>),
    to: S,
) -> Result<S::Ok, S::Error> {
    (*known).into().map(millis).serialize(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found_after(found: Duration, own_lateness: Duration) -> Outcome {
        let mut outcome = Outcome::of(1, "test", "nothing");
        outcome.silence(found, own_lateness, &Config::lan());
        outcome
    }

    #[test]
    fn a_verdict_fails_the_scene_only_outside_of_its_bounds() {
        let config = Config::lan();
        let most = config.worst_case_detection() + DELIVERY;
        let (none, a_bit) = (Duration::ZERO, Duration::from_nanos(1));
        assert!(found_after(config.floor(), none).passed);
        assert!(!found_after(config.floor().saturating_sub(a_bit), none).passed);
        assert!(found_after(most, none).passed);
        assert!(!found_after(most + a_bit, none).passed);
        assert!(found_after(most + a_bit, a_bit).passed);
    }

    #[test]
    fn a_broken_promise_is_shown_as_it_is() {
        let outcome = found_after(Duration::from_secs(60), Duration::ZERO);
        let block = outcome.block(100);
        assert!(block.contains("FAIL") && block.contains("broken: to be found within"), "{block}");
        assert!(table(&[outcome]).contains("FAIL"));
    }

    #[test]
    fn lines_keep_to_the_width() {
        let block = found_after(Duration::from_secs(60), Duration::ZERO).block(50);
        assert!(block.lines().all(|line| console::measure_text_width(line) <= 50), "{block}");
    }
}
