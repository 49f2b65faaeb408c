//! How news is shown: live lines on a terminal, plain lines elsewhere, or JSON.

use core::fmt::Display;
use core::time::Duration;

use console::{Alignment, measure_text_width, pad_str, style};
use heartbeat_proto::Liveness;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::news::{News, Over, Snapshot};
use super::record::{Record, code};
use crate::rules::Change;
use crate::rules::reload::Reloaded;
use crate::say::{self, span};

#[derive(Debug)]
pub(crate) struct View {
    names: Vec<String>,
    width: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Live { bars: Vec<ProgressBar>, area: MultiProgress },
    Plain,
    Json,
}

impl View {
    pub(crate) fn new(json: bool, addresses: &[String]) -> Self {
        let names = addresses.to_vec();
        let width = names.iter().map(|name| measure_text_width(name)).max().unwrap_or(0);
        let live = console::Term::stdout().features().is_attended();
        let kind = match (json, live) {
            (true, _) => Kind::Json,
            (false, false) => Kind::Plain,
            (false, true) => {
                let target = indicatif::ProgressDrawTarget::stdout();
                let area = MultiProgress::with_draw_target(target);
                let bar = |name: &String| {
                    let bar = area.add(ProgressBar::new_spinner());
                    // The rest of a line that is too narrow is cut off, not wrapped.
                    bar.set_style(
                        ProgressStyle::with_template("{prefix} {wide_msg}")
                            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
                    );
                    bar.set_prefix(pad_str(name, width, Alignment::Left, None).into_owned());
                    bar.set_message("connecting ...");
                    bar
                };
                Kind::Live { bars: names.iter().map(bar).collect(), area }
            }
        };
        Self { names, width, kind }
    }

    /// How often a snapshot is worth showing.
    pub(crate) fn usual_period(&self) -> Duration {
        match self.kind {
            Kind::Live { .. } => Duration::from_millis(250),
            Kind::Plain => Duration::from_secs(10),
            Kind::Json => Duration::from_secs(1),
        }
    }

    pub(crate) fn show(&mut self, index: usize, news: &News) {
        let Some(name) = self.names.get(index) else { return };
        match &self.kind {
            Kind::Json => say::json(&Record::new(name, news)),
            Kind::Plain => {
                if let Some(text) = event(news).or_else(|| numbers(news)) {
                    self.log(name, &text);
                }
            }
            Kind::Live { bars, .. } => {
                if let (Some(bar), Some(text)) = (bars.get(index), now(news)) {
                    bar.set_message(text);
                }
                if let Some(text) = event(news) {
                    self.log(name, &text);
                }
                if let (Some(bar), News::Over(over)) = (bars.get(index), news) {
                    // The line that stays above it has the rest.
                    bar.finish_with_message(end_in_short(over));
                }
            }
        }
    }

    /// What became of a changed file.
    pub(crate) fn rules(&self, reloaded: &Reloaded) {
        match self.kind {
            Kind::Json => say::json(&Record::of_rules(reloaded)),
            _ => self.log("rules", &reloaded.to_string()),
        }
    }

    /// A line that stays: above the live lines, if there are any.
    fn log(&self, name: &str, text: &str) {
        let name = pad_str(name, self.width, Alignment::Left, None);
        let time = say::wall_clock();
        let line = |time| format!("{} {name} {text}", style(time).dim());
        match &self.kind {
            Kind::Live { area, .. } => {
                // Whoever looks on knows the date.
                let line = line(time.get("2026-01-31T".len()..).unwrap_or_default());
                // The terminal is gone: the signal for that ends the program.
                let _ = area.println(line);
            }
            _ => say::line(line(&time)),
        }
    }

    /// Leaves the cursor below everything.
    pub(crate) fn end(&self) {
        if let Kind::Live { bars, .. } = &self.kind {
            bars.iter().filter(|bar| !bar.is_finished()).for_each(ProgressBar::abandon);
        }
    }
}

/// What deserves a line that stays.
fn event(news: &News) -> Option<String> {
    Some(match news {
        // The start is told by the line before.
        News::Snapshot(_) | News::Connecting(_) | News::Changed { from: Liveness::Idle, .. } => {
            return None;
        }
        News::Connected { to, config } => format!("connected ({to}): {config}"),
        News::Waiting { .. } => now(news)?,
        News::Reconfigured(changes) => {
            let changes: Vec<_> = changes.iter().map(Change::to_string).collect();
            format!("reconfigured: {}", changes.join(", "))
        }
        News::Changed { from, report } => {
            let (from, to) = (paint(*from), paint(report.liveness));
            let text = report.to_string();
            // The report begins with the state that was just named, in colour.
            let text = text.strip_prefix(report.liveness.code()).unwrap_or(&text);
            format!("{from} -> {to}{text}")
        }
        News::Found(findings) => style(format!("found {findings}")).dim().to_string(),
        News::Over(over) => verdict(over),
    })
}

/// The live line.
fn now(news: &News) -> Option<String> {
    match news {
        News::Connecting(attempt) => Some(format!("connecting (attempt {attempt}) ...")),
        News::Waiting { cause, delay } => {
            let gone = style("gone").red().bold();
            Some(format!("{gone} ({cause}), next try in {}", span(*delay)))
        }
        news => numbers(news),
    }
}

fn numbers(news: &News) -> Option<String> {
    let News::Snapshot(snapshot) = news else { return None };
    Some(snapshot_line(snapshot))
}

fn snapshot_line(snapshot: &Snapshot) -> String {
    let liveness = paint(snapshot.liveness).to_string();
    let liveness = pad_str(&liveness, "recovering".len(), Alignment::Left, None).into_owned();
    let rtt = if snapshot.rtt.count() == 0 {
        "rtt unknown".to_owned()
    } else {
        let (p50, p99) = (snapshot.rtt.percentile(50), snapshot.rtt.percentile(99));
        format!("rtt p50 {} p99 {}", span(p50), span(p99))
    };
    let stats = &snapshot.stats;
    let last = snapshot.report.map_or_else(String::new, |last| {
        let silence = span(last.silence);
        format!(", last: {} ({}) after {silence}", last.liveness, last.reason)
    });
    format!(
        "{liveness} {rtt}, {} pings, {} missed, late p99 {} max {}{last}",
        stats.pings_sent,
        stats.misses,
        span(snapshot.lateness.percentile(99)),
        span(snapshot.lateness.max()),
    )
}

fn verdict(over: &Over) -> String {
    match over {
        Over::OnPurpose { what, last: Some(last) } => {
            format!("{}: {}; {}", style(what).green(), snapshot_line(last), last.quality)
        }
        Over::OnPurpose { what, last: None } => style(what).green().to_string(),
        // The change of liveness before it had all the evidence.
        Over::Lost { ended, .. } if ended.report().is_some() => end_in_short(over),
        Over::Lost { ended, .. } => format!("{} {ended}", style("over:").red().bold()),
        Over::Unreachable(text) => format!("{} {text}", style("over:").red().bold()),
        Over::Gone(text) => format!("{} {text}", style("over:").red().bold()),
    }
}

fn end_in_short(over: &Over) -> String {
    match over {
        Over::OnPurpose { what, .. } => style(what).green().to_string(),
        Over::Lost { ended, .. } => {
            style(format!("over: {}", code(ended))).red().bold().to_string()
        }
        Over::Unreachable(_) => style("over: unreachable").red().bold().to_string(),
        Over::Gone(_) => style("over: not regained").red().bold().to_string(),
    }
}

fn paint(liveness: Liveness) -> impl Display {
    let state = style(liveness.code());
    match liveness {
        Liveness::Alive => state.green(),
        Liveness::Suspect | Liveness::Recovering => state.yellow(),
        Liveness::Lost => state.red().bold(),
        _ => state.cyan(),
    }
}
